package engine

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"github.com/whalegate/whalegate/alerting"
)

// metrics of the engine: counts by type and reason, never a value.
type metrics struct {
	fired      *prometheus.CounterVec // by type: sent
	suppressed *prometheus.CounterVec // by type and reason: fired, and not sent
	resolved   *prometheus.CounterVec // by type
	blocked    *prometheus.CounterVec // by reason: periods of an asset that were not evaluated
	errors     prometheus.Counter
}

func newMetrics(registerer prometheus.Registerer) *metrics {
	f := promauto.With(registerer)
	m := &metrics{
		fired:      f.NewCounterVec(prometheus.CounterOpts{Name: "whalegate_alerts_fired_total", Help: "Alerts that fired and were not suppressed, by type."}, []string{"type"}),
		suppressed: f.NewCounterVec(prometheus.CounterOpts{Name: "whalegate_alerts_suppressed_total", Help: "Alerts that fired and were suppressed, by type and reason."}, []string{"type", "reason"}),
		resolved:   f.NewCounterVec(prometheus.CounterOpts{Name: "whalegate_alerts_resolved_total", Help: "Alerts that cleared, by type."}, []string{"type"}),
		blocked:    f.NewCounterVec(prometheus.CounterOpts{Name: "whalegate_alert_evaluations_blocked_total", Help: "Periods of an asset of which nothing could be concluded, by reason."}, []string{"reason"}),
		errors:     f.NewCounter(prometheus.CounterOpts{Name: "whalegate_alert_errors_total", Help: "Attempts to decide alerts that an error of the database ended; they are tried again."}),
	}
	for _, t := range append([]alerting.Type{alerting.SystemStale}, alerting.Behavioural...) {
		m.fired.WithLabelValues(string(t))
	}
	for _, t := range alerting.Behavioural {
		for _, r := range alerting.Suppressions {
			m.suppressed.WithLabelValues(string(t), string(r))
		}
	}
	m.resolved.WithLabelValues(string(alerting.ExitCluster))
	m.resolved.WithLabelValues(string(alerting.SystemStale))
	for _, r := range alerting.Blocks {
		m.blocked.WithLabelValues(string(r))
	}
	return m
}
