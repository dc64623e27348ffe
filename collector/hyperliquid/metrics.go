package hyperliquid

import (
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// The endpoints, as labels and as names in errors.
const (
	stateEndpoint        = "state"
	subAccountsEndpoint  = "sub_accounts"
	leaderboardEndpoint  = "leaderboard"
	metaEndpoint         = "meta"
	userRoleEndpoint     = "user_role"
	vaultDetailsEndpoint = "vault_details"
)

// Outcomes of a request beside the Failures.
const (
	outcomeOK          = "ok"
	outcomeNotModified = "not_modified"
)

// endpoints lists every endpoint, so that metrics can exist before they count.
var endpoints = []string{stateEndpoint, subAccountsEndpoint, leaderboardEndpoint, metaEndpoint, userRoleEndpoint, vaultDetailsEndpoint}

type metrics struct {
	requests *prometheus.CounterVec
	duration *prometheus.HistogramVec

	retryAfter prometheus.Gauge

	last atomic.Pointer[Trouble]
}

func newMetrics(registerer prometheus.Registerer, tokens func() float64) (*metrics, error) {
	m := &metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "whalegate_upstream_requests_total",
			Help: "Requests to the exchange, by endpoint and outcome: ok, not_modified, or why the request gave nothing. Every retry counts.",
		}, []string{"endpoint", "outcome"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "whalegate_upstream_request_duration_seconds",
			Help:    "Time from sending a request to having read its body, failures included, the wait for the weight budget excluded.",
			Buckets: []float64{0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60},
		}, []string{"endpoint"}),
		retryAfter: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "whalegate_upstream_retry_after_seconds",
			Help: "How long the exchange asked to be left alone when it refused a request last, a day at most; 0 once it answers again. It is asked every five minutes all the same.",
		}),
	}
	for _, endpoint := range endpoints {
		m.duration.WithLabelValues(endpoint)
		m.requests.WithLabelValues(endpoint, outcomeOK)
		for _, failure := range Failures {
			m.requests.WithLabelValues(endpoint, string(failure))
		}
	}
	m.requests.WithLabelValues(leaderboardEndpoint, outcomeNotModified)
	if registerer == nil {
		return m, nil
	}
	left := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "whalegate_rate_limit_tokens",
		Help: "Weight that requests to the exchange could spend at once: the limit less what the last minute spent.",
	}, tokens)
	for _, collector := range []prometheus.Collector{m.requests, m.duration, m.retryAfter, left} {
		if err := registerer.Register(collector); err != nil {
			return nil, err
		}
	}
	return m, nil
}

func (m *metrics) count(endpoint, outcome string) {
	m.requests.WithLabelValues(endpoint, outcome).Inc()
	if outcome == outcomeOK {
		m.retryAfter.Set(0)
	}
}

func (m *metrics) took(endpoint string, d time.Duration) {
	m.duration.WithLabelValues(endpoint).Observe(max(0, d.Seconds()))
}
