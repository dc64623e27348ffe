package postgres_test

import (
	"net/url"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/whalegate/whalegate/internal/postgres"
	"github.com/whalegate/whalegate/internal/postgres/pgtest"
)

// A database of the version before, with runs, signals, alerts and a halt in it, is
// migrated and judged as before; nothing in it is superseded.
func TestADatabaseOfTheVersionBeforeIsUpgraded(t *testing.T) {
	t.Parallel()
	address := pgtest.Leaderless(t)
	db, err := pgx.Connect(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close(t.Context())
	if _, err := db.Exec(t.Context(), "CREATE DATABASE older_version"); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if _, err := db.Exec(t.Context(), "DROP DATABASE older_version WITH (FORCE)"); err != nil {
			t.Error(err)
		}
	}()
	older, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	older.Path = "older_version"
	conn, err := pgx.Connect(t.Context(), older.String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	const before = 13 // migrations of the version before
	if err := postgres.MigrateTo(t.Context(), conn, before); err != nil {
		t.Fatal(err)
	}
	for _, sql := range []string{
		`INSERT INTO ingest_runs (timestamp, status, wallets_expected, wallet_success_count, wallet_fail_count, rows_expected, rows_written, coverage_pct,
			hype_non_null_pct, btc_non_null_pct, eth_non_null_pct, duration_ms, error, finished_at)
		SELECT m, CASE WHEN n IN (3, 4) THEN 'failed' ELSE 'success' END, 10, 10, 0, 30, 30, 100, 100, 100, 100, 900,
			CASE n WHEN 3 THEN 'S3: coverage 0.0 % is below 80 %' WHEN 4 THEN 'not written: disk_full' END, m + interval '5 s'
		FROM generate_series(0, 9) n, LATERAL (SELECT date_trunc('minute', clock_timestamp()) - (9 - n) * interval '1 minute' AS m) at`,
		`INSERT INTO signals (timestamp, asset, alignment_score, alignment_trend, dispersion_index, exit_cluster_score, allowed_playbook, risk_mode,
			add_exposure, tighten_stops, wallet_count, missing_count, dirty_count, is_degraded, computation_ms)
		VALUES (date_bin('5 minutes', now(), 'epoch'), 'BTC', 81, 'rising', 12, 3, 'Long-only', 'Normal', true, false, 10, 0, 0, false, 5)`,
		`INSERT INTO alerts (timestamp, asset, alert_type, severity, message, signal_snapshot, health_state)
		VALUES (date_bin('5 minutes', now(), 'epoch'), 'BTC', 'exit_cluster', 'high', 'm', '{"is_degraded": false}', 'HEALTHY')`,
		`INSERT INTO halts (halted_at, halted_by, reason) VALUES (now(), 'op', 'before the upgrade')`,
	} {
		if _, err := conn.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	if applied, err := postgres.Migrate(t.Context(), conn); err != nil || len(applied) != len(postgres.Migrations())-before {
		t.Fatalf("%d migrations, %v", len(applied), err)
	}
	if missing, err := postgres.Provision(t.Context(), conn); err != nil || len(missing) > 0 {
		t.Fatal(missing, err)
	}
	var state, checks string
	var superseded int
	err = conn.QueryRow(t.Context(), `
		SELECT (SELECT health_state || ' ' || reasons::text FROM ingest_health),
			(SELECT string_agg(coalesce(failed_check, 'none'), ' ' ORDER BY timestamp) FROM ingest_runs WHERE status = 'failed'),
			(SELECT count(*) FROM ingest_runs WHERE superseded) + (SELECT count(*) FROM alerts WHERE superseded)`).Scan(&state, &checks, &superseded)
	if err != nil || state != "STALE {halted}" || checks != "S3 none" || superseded != 0 {
		t.Errorf("%s, failed checks %q, %d superseded, %v", state, checks, superseded, err)
	}
}
