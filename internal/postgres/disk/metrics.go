package disk

import (
	"context"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/whalegate/whalegate/internal/postgres"
)

// collector exports the room on the database's disk, and how much of it the
// database takes. What is not known has no series.
type collector struct {
	guard           *Guard
	pool            *pgxpool.Pool
	free, all, size *prometheus.Desc
}

// NewCollector exports what guard watches and the size of pool's database.
func NewCollector(guard *Guard, pool *pgxpool.Pool) prometheus.Collector {
	return &collector{
		guard: guard, pool: pool,
		free: prometheus.NewDesc("whalegate_database_disk_free_bytes", "Room on the database's disk; absent when it is not known.", nil, nil),
		all:  prometheus.NewDesc("whalegate_database_disk_size_bytes", "Size of the database's disk; absent when it is not known.", nil, nil),
		size: prometheus.NewDesc("whalegate_database_size_bytes", "Size of the database; absent when it cannot be asked.", nil, nil),
	}
}

// Describe implements prometheus.Collector.
func (c *collector) Describe(ch chan<- *prometheus.Desc) {
	ch <- c.free
	ch <- c.all
	ch <- c.size
}

// Collect implements prometheus.Collector.
func (c *collector) Collect(ch chan<- prometheus.Metric) {
	if c.guard.cfg.Path != "" {
		if u, err := c.guard.of(c.guard.cfg.Path); err == nil {
			ch <- prometheus.MustNewConstMetric(c.free, prometheus.GaugeValue, float64(u.Free))
			ch <- prometheus.MustNewConstMetric(c.all, prometheus.GaugeValue, float64(u.Size))
		}
	}
	ctx, cancel := postgres.Looking(context.Background())
	defer cancel()
	var size int64
	if err := c.pool.QueryRow(ctx, "SELECT pg_database_size(current_database())").Scan(&size); err == nil {
		ch <- prometheus.MustNewConstMetric(c.size, prometheus.GaugeValue, float64(size))
	}
}
