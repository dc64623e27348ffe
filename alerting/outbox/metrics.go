package outbox

import (
	"context"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"github.com/whalegate/whalegate/alerting/receiver"
	"github.com/whalegate/whalegate/internal/postgres"
)

// metrics of a sender, by receiver: counts and durations, never a message.
type metrics struct {
	attempts  *prometheus.CounterVec   // by outcome
	reminders *prometheus.CounterVec   // by outcome
	latency   *prometheus.HistogramVec // from the intent to the delivery
	errors    prometheus.Counter
}

func newMetrics(registerer prometheus.Registerer, list []receiver.Receiver) *metrics {
	f := promauto.With(registerer)
	m := &metrics{
		attempts:  f.NewCounterVec(prometheus.CounterOpts{Name: "whalegate_deliveries_total", Help: "Attempts to deliver an alert, by receiver and outcome; failed also counts what was given up after a day."}, []string{"receiver", "outcome"}),
		reminders: f.NewCounterVec(prometheus.CounterOpts{Name: "whalegate_delivery_reminders_total", Help: "Times that a receiver that forgets was told again, by outcome."}, []string{"receiver", "outcome"}),
		latency: f.NewHistogramVec(prometheus.HistogramOpts{
			Name: "whalegate_delivery_latency_seconds", Help: "Time from the intent to the delivery, by the database's clock.",
			Buckets: []float64{0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5, 15, 60, 300, 900, 3600, 6 * 3600, 24 * 3600},
		}, []string{"receiver"}),
		errors: f.NewCounter(prometheus.CounterOpts{Name: "whalegate_delivery_errors_total", Help: "Times that the database kept the outbox from being worked off; it is tried again."}),
	}
	for _, r := range list {
		for _, outcome := range receiver.Outcomes {
			m.attempts.WithLabelValues(r.Name, string(outcome))
			if r.Reminded {
				m.reminders.WithLabelValues(r.Name, string(outcome))
			}
		}
		m.latency.WithLabelValues(r.Name)
	}
	return m
}

// collector exports how much waits, as the database has it.
type collector struct {
	db            *pgxpool.Pool
	names         []string
	queue, oldest *prometheus.Desc
}

// NewCollector exports the queue. It asks the database at every scrape; what cannot
// be asked is left out, and seen as absent.
func NewCollector(db *pgxpool.Pool, list []receiver.Receiver) prometheus.Collector {
	c := &collector{
		db:     db,
		queue:  prometheus.NewDesc("whalegate_delivery_queue", "Deliveries by receiver and state: pending, unknown (a request went out without an answer), or failed in the last day.", []string{"receiver", "state"}, nil),
		oldest: prometheus.NewDesc("whalegate_delivery_oldest_seconds", "How long the oldest delivery that is still to be sent has waited; 0 when there is none.", []string{"receiver"}, nil),
	}
	for _, r := range list {
		c.names = append(c.names, r.Name)
	}
	return c
}

// Describe implements prometheus.Collector.
func (c *collector) Describe(ch chan<- *prometheus.Desc) {
	ch <- c.queue
	ch <- c.oldest
}

// Collect implements prometheus.Collector. Receivers of which rows are left, and
// which are in the file no more, are shown too.
func (c *collector) Collect(ch chan<- prometheus.Metric) {
	ctx, cancel := postgres.Looking(context.Background())
	defer cancel()
	depths, err := Depths(ctx, c.db)
	if err != nil {
		return
	}
	type key struct{ receiver, state string }
	rows, oldest := map[key]float64{}, map[string]float64{}
	for _, name := range c.names {
		oldest[name] = 0
	}
	for _, d := range depths {
		rows[key{d.Receiver, d.State}] = float64(d.Rows)
		if d.State != "failed" {
			oldest[d.Receiver] = max(oldest[d.Receiver], d.OldestSeconds)
		} else if _, ok := oldest[d.Receiver]; !ok {
			oldest[d.Receiver] = 0
		}
	}
	for name, seconds := range oldest {
		ch <- prometheus.MustNewConstMetric(c.oldest, prometheus.GaugeValue, seconds, name)
		for _, state := range []string{"pending", "unknown", "failed"} {
			ch <- prometheus.MustNewConstMetric(c.queue, prometheus.GaugeValue, rows[key{name, state}], name, state)
		}
	}
}
