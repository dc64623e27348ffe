package retention

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

type metrics struct {
	rows     *prometheus.CounterVec // by table
	days     prometheus.Counter
	failures prometheus.Counter
	last     prometheus.Gauge
}

func newMetrics(registerer prometheus.Registerer) *metrics {
	f := promauto.With(registerer)
	m := &metrics{
		rows:     f.NewCounterVec(prometheus.CounterOpts{Name: "whalegate_pruned_rows_total", Help: "Rows that the daily job removed because they were old, by table."}, []string{"table"}),
		days:     f.NewCounter(prometheus.CounterOpts{Name: "whalegate_pruned_snapshot_partitions_total", Help: "Days of snapshots that the daily job dropped because they were old."}),
		failures: f.NewCounter(prometheus.CounterOpts{Name: "whalegate_prune_failures_total", Help: "Daily jobs that could not remove all that is old; they are tried again after an hour."}),
		last:     f.NewGauge(prometheus.GaugeOpts{Name: "whalegate_prune_last_success_timestamp_seconds", Help: "When all that was old had last been removed, by the job or by hand; 0 when never, or not known yet."}),
	}
	for _, r := range rules {
		m.rows.WithLabelValues(r.table)
	}
	return m
}

func (m *metrics) removed(list []Removed) {
	for _, r := range list {
		if r.Table == snapshots {
			m.days.Add(float64(r.Count))
			continue
		}
		m.rows.WithLabelValues(r.Table).Add(float64(r.Count))
	}
}
