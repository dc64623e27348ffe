package engine

import (
	"context"
	"math"
	"slices"

	"github.com/jackc/pgx/v5"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"github.com/whalegate/whalegate/internal/asset"
	"github.com/whalegate/whalegate/internal/health"
	"github.com/whalegate/whalegate/internal/health/watch"
	"github.com/whalegate/whalegate/internal/postgres"
)

// metrics of the job: counts, durations and reasons. A signal value is never a
// metric: Prometheus keeps what it once scraped, and would show it while the
// board is dark.
type metrics struct {
	cycles   *prometheus.CounterVec // by outcome
	blocked  *prometheus.CounterVec // by reason
	skipped  *prometheus.CounterVec // by asset
	degraded *prometheus.CounterVec // by asset
	duration prometheus.Histogram
	errors   prometheus.Counter
}

func (m *metrics) observe(r Result) {
	m.cycles.WithLabelValues(string(r.Outcome)).Inc()
	m.duration.Observe(r.Took.Seconds())
	if r.Outcome == Blocked {
		for _, reason := range r.Reasons {
			m.blocked.WithLabelValues(reason).Inc()
		}
	}
	for _, a := range asset.All {
		if slices.Contains(r.Skipped, a.String()) {
			m.skipped.WithLabelValues(a.String()).Inc()
		}
	}
	for _, s := range r.Signals {
		if len(s.Degraded) > 0 {
			m.degraded.WithLabelValues(s.Asset.String()).Inc()
		}
	}
}

func newMetrics(registerer prometheus.Registerer) *metrics {
	f := promauto.With(registerer)
	vector := func(name, help, label string, values []string) *prometheus.CounterVec {
		v := f.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, []string{label})
		for _, value := range values {
			v.WithLabelValues(value)
		}
		return v
	}
	outcomes := make([]string, 0, len(Outcomes))
	for _, o := range Outcomes {
		outcomes = append(outcomes, string(o))
	}
	return &metrics{
		cycles:   vector("whalegate_signal_cycles_total", "Signal cycles by what became of them.", "outcome", outcomes),
		blocked:  vector("whalegate_signal_cycles_blocked_total", "Signal cycles that health blocked, by each of its reasons.", "reason", health.Reasons),
		skipped:  vector("whalegate_signals_skipped_total", "Signals not computed because the window held too few snapshots, by asset.", "asset", assetNames()),
		degraded: vector("whalegate_signals_degraded_total", "Signals written as degraded, by asset.", "asset", assetNames()),
		duration: f.NewHistogram(prometheus.HistogramOpts{
			Name: "whalegate_signal_computation_duration_seconds", Help: "Time of a signal cycle, from its first look at health to its commit.",
			Buckets: []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2, 5, 10, 30},
		}),
		errors: f.NewCounter(prometheus.CounterOpts{Name: "whalegate_signal_errors_total", Help: "Attempts at signals that an error of the database ended; they are tried again."}),
	}
}

func assetNames() []string {
	names := make([]string, 0, asset.Count)
	for _, a := range asset.All {
		names = append(names, a.String())
	}
	return names
}

// AgeCollector exports how old the newest signals are, by the database's clock
// at the scrape.
type AgeCollector struct {
	db  watch.Querier
	age *prometheus.Desc
}

// NewAgeCollector makes the collector that asks db.
func NewAgeCollector(db watch.Querier) *AgeCollector {
	return &AgeCollector{db, prometheus.NewDesc("whalegate_signal_age_seconds",
		"Age of the newest signal's boundary, by asset; +Inf when there is none or the database cannot be asked.", []string{"asset"}, nil)}
}

// Describe implements prometheus.Collector.
func (c *AgeCollector) Describe(ch chan<- *prometheus.Desc) { ch <- c.age }

// Collect implements prometheus.Collector.
func (c *AgeCollector) Collect(ch chan<- prometheus.Metric) {
	ctx, cancel := postgres.Looking(context.Background())
	defer cancel()
	ages, _ := c.ages(ctx) // what cannot be asked is infinitely old
	for _, a := range asset.All {
		age, ok := ages[a.String()]
		if !ok {
			age = math.Inf(1)
		}
		ch <- prometheus.MustNewConstMetric(c.age, prometheus.GaugeValue, age, a.String())
	}
}

func (c *AgeCollector) ages(ctx context.Context) (map[string]float64, error) {
	ctx, cancel := postgres.Reading(ctx)
	defer cancel()
	ages := map[string]float64{}
	rows, err := c.db.Query(ctx, `
		SELECT a, extract(epoch FROM whalegate_now() - (SELECT timestamp FROM signals s WHERE s.asset = a ORDER BY timestamp DESC LIMIT 1))::double precision
		FROM unnest($1::text[]) a`, assetNames())
	if err != nil {
		return ages, postgres.Because(ctx, "read signal ages", err)
	}
	var name string
	var age *float64
	_, err = pgx.ForEachRow(rows, []any{&name, &age}, func() error {
		if age != nil {
			ages[name] = *age
		}
		return nil
	})
	return ages, postgres.Because(ctx, "read signal ages", err)
}
