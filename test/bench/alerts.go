package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/whalegate/whalegate/alerting/engine"
	"github.com/whalegate/whalegate/alerting/outbox"
	"github.com/whalegate/whalegate/alerting/receiver"
	"github.com/whalegate/whalegate/internal/postgres"
	"github.com/whalegate/whalegate/internal/postgres/server"
)

// hook is a server that takes webhooks at once.
type hook struct {
	firing, resolved chan time.Time // when the body had arrived
	receivers        []receiver.Receiver
	close            func() error
}

func (b *bench) openHook(ctx context.Context) (*hook, error) {
	h := &hook{firing: make(chan time.Time, backlog+1), resolved: make(chan time.Time, 1)}
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		at := h.firing
		if strings.Contains(string(body), `"status":"resolved"`) {
			at = h.resolved
		}
		if err == nil {
			at <- time.Now()
		}
	})}
	go func() { _ = s.Serve(l) }() // it ends by our close
	h.close = s.Close
	file := filepath.Join(b.dir, "receivers.yml")
	text := fmt.Sprintf("receivers:\n  - name: hook\n    url: webhook+http://%s/\n", l.Addr())
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	h.receivers, err = receiver.Load(file, slog.New(slog.DiscardHandler))
	return h, err
}

// oldAlerts are what 90 days leave behind at the most that is sent: four a day of each
// asset.
const oldAlerts = `
	WITH a AS (
		INSERT INTO alerts (timestamp, asset, alert_type, severity, message, signal_snapshot, health_state)
		SELECT timestamptz '%s' - n * interval '8 hours', asset, 'regime_change', 'medium', 'an old one', '{"is_degraded": false}', 'HEALTHY'
		FROM generate_series(1, 360) n, unnest('{HYPE,BTC,ETH}'::text[]) asset RETURNING id, timestamp)
	INSERT INTO alert_deliveries (alert_id, receiver, kind, state, attempts, created_at, delivered_at, expires_at)
	SELECT id, 'hook', 'firing', 'delivered', 1, timestamp, timestamp, timestamp + interval '24 hours' FROM a`

// A boundary with its signals is committed with the two runs that make the health
// HEALTHY, and with the clock.
const insertBoundary = `
	WITH now AS (UPDATE bench_clock SET now = $1::timestamptz + interval '3 seconds'),
	runs AS (
		INSERT INTO ingest_runs (timestamp, status, wallets_expected, wallet_success_count, wallet_fail_count, rows_expected, rows_written, coverage_pct,
			hype_non_null_pct, btc_non_null_pct, eth_non_null_pct, duration_ms, finished_at)
		SELECT m, 'success', 200, 200, 0, 600, 600, 100, 100, 100, 100, 2000, m + interval '2 seconds' FROM generate_series($1::timestamptz - interval '1 minute', $1, '1 minute') m),
	signal AS (
		INSERT INTO signals SELECT $1, a, 50, 'flat', 30, CASE a WHEN 'BTC' THEN $2::float8 ELSE 10 END, 'No-trade', 'Defensive', false, true, 200, 0, 0, false, NULL, 3
		FROM unnest('{HYPE,BTC,ETH}'::text[]) a)
	INSERT INTO signal_cycles (timestamp, outcome, judged_at, health_state, reasons) VALUES ($1, 'computed', $1::timestamptz + interval '3 seconds', 'HEALTHY', '{}')`

// measureAlerts lets the exit cluster of one asset fire again and again, far enough
// apart that nothing is suppressed, through the job and the sender of the service.
func measureAlerts(ctx context.Context, b *bench) (err error) {
	if err := b.database(ctx, "alerts"); err != nil {
		return err
	}
	conn, err := b.connect(ctx, server.Superuser, "alerts")
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	if err := execute(ctx, conn, standingClock, "GRANT SELECT ON bench_clock TO whalegate_writer", fmt.Sprintf(oldAlerts, someDay.Format(time.RFC3339)), "ANALYZE"); err != nil {
		return err
	}
	_, leaves, err := b.leading(ctx, "alerts")
	if err != nil {
		return err
	}
	defer leaves()
	pool, err := postgres.Open(ctx, b.server.URL("whalegate_writer", "alerts"), "bench")
	if err != nil {
		return err
	}
	defer pool.Close()
	h, err := b.openHook(ctx)
	if err != nil {
		return err
	}
	defer h.close() //nolint:errcheck // it is thrown away
	list, err := alertTimes(ctx, conn, pool, h)
	if err != nil {
		return err
	}
	b.add("alert: signal committed → webhook received", 250, quantile(list, 0.99), " ms", fmt.Sprintf("p99 of %d alerts; p95 %.1f ms, %s", len(list), p95(list), spread(list)))
	return b.measureBacklog(ctx, conn, pool, h)
}

func alertTimes(ctx context.Context, conn *pgx.Conn, pool *pgxpool.Pool, h *hook) (list []float64, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, 5*time.Minute, errors.New("an alert did not arrive"))
	logger, registry := slog.New(slog.DiscardHandler), prometheus.NewRegistry()
	sender := outbox.NewSender(outbox.Config{Pool: pool, Logger: logger, Registerer: registry, Receivers: h.receivers})
	job := engine.New(engine.Config{Pool: pool, Logger: logger, Registerer: registry, Outbox: outbox.For(h.receivers), Told: sender.Wake})
	ended := make(chan error, 2)
	go func() { ended <- sender.Run(ctx) }()
	go func() { ended <- job.Run(ctx) }()
	defer func() { cancel(); err = errors.Join(err, <-ended, <-ended) }()
	// play commits a boundary and waits for what is told of it.
	play := func(boundary time.Time, score float64, told chan time.Time) (float64, error) {
		time.Sleep(pause)
		if _, err := conn.Exec(ctx, insertBoundary, boundary, score); err != nil {
			return 0, err
		}
		committed := time.Now()
		job.Wake()
		select {
		case at := <-told:
			return float64(at.Sub(committed)) / float64(time.Millisecond), nil
		case <-ctx.Done():
			return 0, context.Cause(ctx)
		}
	}
	const warm, count = 5, 400
	for i := range warm + count {
		boundary := someDay.Add(time.Duration(i+1) * 7 * time.Hour) // never five in a day
		ms, err := play(boundary, 30, h.firing)
		if err != nil {
			return nil, err
		}
		if i >= warm {
			list = append(list, ms)
		}
		if _, err := play(boundary.Add(5*time.Minute), 10, h.resolved); err != nil {
			return nil, err
		}
	}
	return list, settled(ctx, conn, 2*(warm+count))
}

// settled waits until as many deliveries are recorded, and finds what should not have
// been: a suppressed alert would have been measured as one that was late.
func settled(ctx context.Context, conn *pgx.Conn, deliveries int) error {
	for {
		var waiting, delivered, wrong int
		err := conn.QueryRow(ctx, `SELECT count(*) FILTER (WHERE state <> 'delivered'), count(*) FILTER (WHERE state = 'delivered' AND created_at > $1),
			(SELECT count(*) FROM alerts WHERE suppressed OR asset = 'SYSTEM') FROM alert_deliveries`, someDay).Scan(&waiting, &delivered, &wrong)
		if err != nil || wrong > 0 || waiting == 0 && delivered != deliveries {
			return errors.Join(err, fmt.Errorf("%d deliveries, %d alerts that should not be", delivered, wrong))
		}
		if waiting == 0 {
			return nil
		}
		time.Sleep(pause)
	}
}
