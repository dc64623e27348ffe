package postgres

import (
	"context"
	"sync/atomic"
	"syscall"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
)

// diskCollector exports how large the database is and, when the server is on
// this machine, how much room its disk has left.
type diskCollector struct {
	pool           *pgxpool.Pool
	dir            atomic.Pointer[string] // remembered: a full disk takes the server away
	size           *prometheus.Desc
	free, capacity *prometheus.Desc
}

// NewDiskCollector exports the size of the database of a pool and the room on
// its disk. What cannot be known has no series: the size while the database is
// away; the room when the server is on another machine, or the owner of the
// schema may not know where its data is.
func NewDiskCollector(pool *pgxpool.Pool) prometheus.Collector {
	return &diskCollector{
		pool:     pool,
		size:     prometheus.NewDesc("whalegate_database_size_bytes", "Size of the database on disk, write-ahead log excluded; no series while it cannot be asked.", nil, nil),
		free:     prometheus.NewDesc("whalegate_database_disk_free_bytes", "Room left on the disk of the database's data directory; no series when the server is on another machine.", nil, nil),
		capacity: prometheus.NewDesc("whalegate_database_disk_size_bytes", "Size of the disk of the database's data directory; no series when the server is on another machine.", nil, nil),
	}
}

// Describe implements prometheus.Collector.
func (c *diskCollector) Describe(ch chan<- *prometheus.Desc) {
	ch <- c.size
	ch <- c.free
	ch <- c.capacity
}

// Collect implements prometheus.Collector. A database that cannot be asked is
// health's to tell, not an error of the scrape.
func (c *diskCollector) Collect(ch chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, value float64) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value)
	}
	if size, err := c.ask(context.Background()); err == nil {
		gauge(c.size, float64(size))
	}
	dir := c.dir.Load()
	if dir == nil {
		return
	}
	var disk syscall.Statfs_t
	if err := syscall.Statfs(*dir, &disk); err != nil {
		return // in a container of its own, or behind a folder that is closed to us
	}
	gauge(c.free, float64(disk.Bavail)*float64(disk.Bsize))
	gauge(c.capacity, float64(disk.Blocks)*float64(disk.Bsize))
}

// ask returns the size, and remembers where the data is when that is here: a
// client with the server's own address, or on its socket, is on its machine.
func (c *diskCollector) ask(ctx context.Context) (size int64, err error) {
	ctx, cancel := Reading(ctx)
	defer cancel()
	var dir *string
	err = c.pool.QueryRow(ctx, `
		SELECT pg_database_size(current_database()),
			CASE WHEN inet_client_addr() IS NOT DISTINCT FROM inet_server_addr() THEN database_directory() END`).Scan(&size, &dir)
	if err == nil {
		c.dir.Store(dir)
	}
	return size, Because(ctx, "ask for the size of the database", err)
}
