package collector

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"github.com/whalegate/whalegate/internal/asset"
	"github.com/whalegate/whalegate/internal/qa/check"
)

// metrics of the collector. No wallet is ever a label and no position a value.
type metrics struct {
	cycles          *prometheus.CounterVec // by status
	cycleDuration   prometheus.Histogram
	missedMinutes   prometheus.Counter
	unsavedRuns     *prometheus.GaugeVec   // by reason
	refused         *prometheus.CounterVec // by reason
	walletFailures  *prometheus.CounterVec // by reason
	rowsWritten     prometheus.Counter
	dirtyRows       *prometheus.CounterVec // by asset
	rateLimited     prometheus.Counter
	refreshes       *prometheus.CounterVec // by status
	searches        *prometheus.CounterVec // by outcome
	minuteWeight    prometheus.Gauge
	received        prometheus.Gauge
	churn           prometheus.Gauge
	universeChanged prometheus.Gauge
	churnWarnings   prometheus.Gauge
}

func newMetrics(registerer prometheus.Registerer, budgetSeconds float64, stateLag func() float64) *metrics {
	f := promauto.With(registerer)
	counter := func(name, help string) prometheus.Counter {
		return f.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
	}
	gauge := func(name, help string) prometheus.Gauge {
		return f.NewGauge(prometheus.GaugeOpts{Name: name, Help: help})
	}
	vector := func(name, help, label string, values []string) *prometheus.CounterVec {
		v := f.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, []string{label})
		for _, value := range values {
			v.WithLabelValues(value)
		}
		return v
	}
	assets := make([]string, 0, asset.Count)
	for _, a := range asset.All {
		assets = append(assets, a.String())
	}
	statuses := make([]string, 0, len(Statuses))
	for _, s := range Statuses {
		statuses = append(statuses, string(s))
	}
	gauge("whalegate_cycle_budget_seconds", "Time that a snapshot cycle has for asking the exchange.").Set(budgetSeconds)
	f.NewGaugeFunc(prometheus.GaugeOpts{Name: "whalegate_state_lag_seconds", Help: "How far the oldest account state that the exchange answered with last lies behind the present, believed or not."}, stateLag)
	return &metrics{
		cycles: vector("whalegate_cycles_total", "Snapshot cycles by status.", "status", statuses),
		cycleDuration: f.NewHistogram(prometheus.HistogramOpts{
			Name: "whalegate_cycle_duration_seconds", Help: "Time from the start of a snapshot cycle to its commit.",
			Buckets: []float64{.25, .5, 1, 2.5, 5, 10, 20, 30, 40, 50, 55, 60, 75},
		}),
		missedMinutes:   counter("whalegate_cycles_missed_total", "Minutes that had no cycle because the one before ran over, the process was held up, or nobody led."),
		unsavedRuns:     f.NewGaugeVec(prometheus.GaugeOpts{Name: "whalegate_runs_unsaved", Help: "Failed runs that wait for the database to take them, by what failed them."}, []string{"reason"}),
		refused:         vector("whalegate_runs_refused_total", "Minutes that were not stored because what is stored must stay, by reason.", "reason", []string{check.ClockBack, check.Worse}),
		walletFailures:  vector("whalegate_wallet_failures_total", "Wallets that a cycle could not read, by reason.", "reason", walletReasons),
		rowsWritten:     counter("whalegate_snapshot_rows_written_total", "Snapshot rows committed."),
		dirtyRows:       vector("whalegate_dirty_rows_total", "Snapshot rows marked dirty (S6), by asset.", "asset", assets),
		rateLimited:     counter("whalegate_rate_limited_total", "Answers of status 429; each halves the concurrency for the rest of its cycle."),
		refreshes:       vector("whalegate_universe_refreshes_total", "Universe refreshes by status.", "status", []string{string(Success), string(Failed)}),
		searches:        vector("whalegate_account_searches_total", "Wallets that the search for accounts has asked for, by outcome.", "outcome", []string{"found", "asked_again", "failed"}),
		minuteWeight:    gauge("whalegate_minute_weight", "Request weight that reading every wallet of the universe takes, each minute."),
		received:        gauge("whalegate_universe_received_wallets", "Wallets that the newest refresh received."),
		universeChanged: gauge("whalegate_universe_changed_timestamp_seconds", "When the leaderboard was last seen to differ."),
		churn:           gauge("whalegate_universe_churn_ratio", "Wallets entered and exited at the newest refresh, as a share of the requested size."),
		churnWarnings:   gauge("whalegate_universe_churn_warnings", "Refreshes in a row with churn above the limit."),
	}
}
