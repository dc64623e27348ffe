package postgres

import (
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
)

// poolCollector exports how a pool is used, and how long its database takes.
type poolCollector struct {
	pool                       *pgxpool.Pool
	roundTrips                 prometheus.Histogram
	connections, waits, waited *prometheus.Desc
}

// NewCollector exports the pool as metrics.
func NewCollector(pool *pgxpool.Pool) prometheus.Collector {
	return &poolCollector{
		pool:        pool,
		roundTrips:  stopwatchOf(pool).seconds,
		connections: prometheus.NewDesc("whalegate_database_connections", "Connections of the pool by state; the limit is max.", []string{"state"}, nil),
		waits:       prometheus.NewDesc("whalegate_database_connection_waits_total", "Times that a connection had to be waited for.", nil, nil),
		waited:      prometheus.NewDesc("whalegate_database_connection_wait_seconds_total", "Time spent waiting for connections.", nil, nil),
	}
}

// Describe implements prometheus.Collector.
func (c *poolCollector) Describe(ch chan<- *prometheus.Desc) {
	ch <- c.connections
	ch <- c.waits
	ch <- c.waited
	c.roundTrips.Describe(ch)
}

// Collect implements prometheus.Collector.
func (c *poolCollector) Collect(ch chan<- prometheus.Metric) {
	s := c.pool.Stat()
	for state, n := range map[string]int32{"idle": s.IdleConns(), "in_use": s.AcquiredConns(), "max": s.MaxConns()} {
		ch <- prometheus.MustNewConstMetric(c.connections, prometheus.GaugeValue, float64(n), state)
	}
	ch <- prometheus.MustNewConstMetric(c.waits, prometheus.CounterValue, float64(s.EmptyAcquireCount()))
	ch <- prometheus.MustNewConstMetric(c.waited, prometheus.CounterValue, s.AcquireDuration().Seconds())
	c.roundTrips.Collect(ch)
}
