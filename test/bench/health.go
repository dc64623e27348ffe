package main

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/whalegate/whalegate/internal/postgres/server"
)

const weekOfRuns = `
	INSERT INTO ingest_runs (timestamp, status, wallets_expected, wallet_success_count, wallet_fail_count, rows_expected, rows_written,
		coverage_pct, hype_non_null_pct, btc_non_null_pct, eth_non_null_pct, duration_ms, finished_at)
	SELECT m, 'success', 200, 200, 0, 600, 600, 100, 100, 100, 100, 2000, m + interval '2 seconds'
	FROM generate_series(1, 10080) n, LATERAL (SELECT date_trunc('minute', whalegate_now()) - (10080 - n) * interval '1 minute') AS t (m)`

// The last day fails as a whole: every search for a good run has to pass it.
const failLastDay = `
	UPDATE ingest_runs SET status = 'failed', error = 'S3', coverage_pct = 0, wallet_success_count = 0, wallet_fail_count = 200, rows_written = 0
	WHERE timestamp > (SELECT max(timestamp) FROM ingest_runs) - interval '1 day'`

// One clean minute after it: the search for the last recovery passes it as well.
const firstCleanMinute = `
	UPDATE ingest_runs SET status = 'success', error = NULL, coverage_pct = 100, wallet_success_count = 200, wallet_fail_count = 0, rows_written = 600
	WHERE timestamp = (SELECT max(timestamp) FROM ingest_runs)`

func measureHealth(ctx context.Context, b *bench) error {
	if err := b.database(ctx, "health"); err != nil {
		return err
	}
	owner, err := b.connect(ctx, server.Superuser, "health")
	if err != nil {
		return err
	}
	defer owner.Close(ctx)
	board, err := b.connect(ctx, "whalegate_board", "health")
	if err != nil {
		return err
	}
	defer board.Close(ctx)
	_, leaves, err := b.leading(ctx, "health")
	if err != nil {
		return err
	}
	defer leaves()
	const frozen = "CREATE OR REPLACE FUNCTION whalegate_now() RETURNS timestamptz LANGUAGE sql VOLATILE AS $$SELECT timestamptz '2026-01-12 00:00:10+00'$$"
	if err := execute(ctx, owner, frozen); err != nil {
		return err
	}
	for _, stage := range []struct{ what, prepare, state string }{
		{"health, 7 days of runs", weekOfRuns, "HEALTHY"},
		{"… the whole last day failed", failLastDay, "STALE"},
		{"… and one clean minute after that day", firstCleanMinute, "STALE"},
	} {
		if err := execute(ctx, owner, stage.prepare, "VACUUM ANALYZE ingest_runs"); err != nil {
			return err
		}
		if err := execute(ctx, owner, "UPDATE collector_beat SET run_minute = (SELECT max(timestamp) FROM ingest_runs)"); err != nil {
			return err
		}
		p, err := alternate(300,
			func() (float64, error) {
				return query(ctx, board, "SELECT health_state FROM board.health", stage.state)
			},
			func() (float64, error) { return query(ctx, board, "SELECT '1'", "1") })
		if err != nil {
			return err
		}
		b.add(stage.what, 2, p.difference(), " ms", fmt.Sprintf("%.2f ms against %.2f ms for `SELECT 1`, as whalegate_board", median(p.a), median(p.b)))
	}
	return nil
}

func query(ctx context.Context, conn *pgx.Conn, sql, want string) (float64, error) {
	var got string
	ms, err := timed(func() error { return conn.QueryRow(ctx, sql).Scan(&got) })
	if err == nil && got != want {
		err = fmt.Errorf("%s is %s, not %s", sql, got, want)
	}
	return ms, err
}
