package watchdog

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"github.com/whalegate/whalegate/alerting/receiver"
)

type metrics struct {
	answered, spoken prometheus.Gauge
	fired, resolved  prometheus.Counter
	attempts         *prometheus.CounterVec // by outcome, without the database
}

func newMetrics(registerer prometheus.Registerer) *metrics {
	f := promauto.With(registerer)
	m := &metrics{
		answered: f.NewGauge(prometheus.GaugeOpts{Name: "whalegate_watchdog_database_answered_timestamp_seconds", Help: "When the database last answered the watchdog, or when the watchdog started."}),
		spoken:   f.NewGauge(prometheus.GaugeOpts{Name: "whalegate_watchdog_speaking_without_database", Help: "Whether the watchdog has fired the system alert without the database (1), and could not enter it yet."}),
		fired:    f.NewCounter(prometheus.CounterOpts{Name: "whalegate_watchdog_alerts_fired_total", Help: "System alerts that this watchdog fired on the database, before anybody else did."}),
		resolved: f.NewCounter(prometheus.CounterOpts{Name: "whalegate_watchdog_alerts_resolved_total", Help: "System alerts that this watchdog cleared, before anybody else did."}),
		attempts: f.NewCounterVec(prometheus.CounterOpts{Name: "whalegate_watchdog_deliveries_total", Help: "Attempts to deliver the system alert without the database, by outcome."}, []string{"outcome"}),
	}
	for _, outcome := range receiver.Outcomes {
		m.attempts.WithLabelValues(string(outcome))
	}
	return m
}
