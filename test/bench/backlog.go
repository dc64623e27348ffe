package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/whalegate/whalegate/alerting/outbox"
)

// backlog is how many deliveries wait: more than two years of alerts at the cap.
const backlog = 10_000

// ownClock is that of every installation: asked for each row that waits, another one
// would be measured too.
const ownClock = "CREATE OR REPLACE FUNCTION whalegate_now() RETURNS timestamptz LANGUAGE sql VOLATILE AS 'SELECT clock_timestamp()'"

const insertBacklog = `
	WITH a AS (
		INSERT INTO alerts (timestamp, asset, alert_type, severity, message, signal_snapshot, health_state)
		SELECT whalegate_now() - n * interval '5 minutes', 'ETH', 'exit_cluster', 'high', '[ETH] Smart Money De-risking: Exit Cluster elevated (28.3%%). Stop adding exposure. Tighten stops.', '{"is_degraded": false}', 'HEALTHY'
		FROM generate_series(1, %d) n RETURNING id)
	INSERT INTO alert_deliveries (alert_id, receiver, kind) SELECT id, 'hook', 'firing' FROM a`

// measureBacklog lets a sender work off a backlog, and watches the heap meanwhile.
func (b *bench) measureBacklog(ctx context.Context, conn *pgx.Conn, pool *pgxpool.Pool, h *hook) (err error) {
	if err := execute(ctx, conn, ownClock, fmt.Sprintf(insertBacklog, backlog), "ANALYZE"); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, 15*time.Minute, errors.New("the backlog was not worked off"))
	sender := outbox.NewSender(outbox.Config{Pool: pool, Logger: slog.New(slog.DiscardHandler), Registerer: prometheus.NewRegistry(), Receivers: h.receivers})
	ended := make(chan error, 1)
	before, most := heap()/(1<<20), 0.0
	begin := time.Now()
	go func() { ended <- sender.Run(ctx) }()
	defer func() { cancel(); err = errors.Join(err, <-ended) }()
	look := time.NewTicker(10 * time.Millisecond)
	defer look.Stop()
	for received := 0; received < backlog; {
		select {
		case <-h.firing:
			received++
		case <-look.C:
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			most = max(most, float64(m.HeapAlloc)/(1<<20))
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	seconds := time.Since(begin).Seconds()
	b.note("… a backlog of 10,000 deliveries to one receiver", seconds, " s", fmt.Sprintf("%.1f ms each; once", 1000*seconds/backlog))
	b.note("… memory that it takes", max(0, most-before), " MiB", "most of the heap above what was there before, garbage and the receiver itself included")
	return nil
}
