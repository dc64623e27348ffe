package retention

import (
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/whalegate/whalegate/internal/postgres/pgtest"
)

func TestMain(m *testing.M) { os.Exit(pgtest.Main(m)) }

// noon is the present of every scene.
var noon = time.Date(2026, 6, 15, 12, 0, 0, 0, time.UTC)

// scene is a database whose clock stands at noon, and the service's rights on it.
type scene struct {
	testing.TB
	owner, writer *pgxpool.Pool
}

func stage(t testing.TB) *scene {
	t.Helper()
	owner := pgtest.New(t)
	pgtest.SetClock(t, owner, noon.Format(time.RFC3339))
	return &scene{TB: t, owner: owner, writer: pgtest.As(t, owner, "whalegate_writer")}
}

func (s *scene) exec(sql string, args ...any) {
	s.Helper()
	if _, err := s.owner.Exec(s.Context(), sql, args...); err != nil {
		s.Fatalf("%s: %v", sql, err)
	}
}

func get[T any](s *scene, sql string, args ...any) T {
	s.Helper()
	rows, err := s.owner.Query(s.Context(), sql, args...)
	if err != nil {
		s.Fatalf("%s: %v", sql, err)
	}
	value, err := pgx.CollectExactlyOneRow(rows, pgx.RowTo[T])
	if err != nil {
		s.Fatalf("%s: %v", sql, err)
	}
	return value
}

// prune runs as the service does and returns counts by table.
func (s *scene) prune(olderThan time.Duration) map[string]int64 {
	s.Helper()
	list, err := Run(s.Context(), s.writer, Options{OlderThan: olderThan, By: "test"})
	if err != nil {
		s.Fatal(err)
	}
	return counts(list)
}

func (s *scene) count(olderThan time.Duration) map[string]int64 {
	s.Helper()
	list, err := Count(s.Context(), s.writer, olderThan)
	if err != nil {
		s.Fatal(err)
	}
	return counts(list)
}

func counts(list []Removed) map[string]int64 {
	found := map[string]int64{}
	for _, r := range list {
		if r.Count > 0 {
			found[r.Table] = r.Count
		}
	}
	return found
}

// ages are the tables that something is kept of, and how the age of their rows
// is told: an expression in SQL that is the row's time.
var ages = map[string]string{
	"wallet_snapshots": "timestamp", "ingest_runs": "timestamp", "signals": "timestamp", "signal_contributors": "timestamp", "signal_positioning": "timestamp",
	"signal_cycles": "timestamp", "snapshot_anomalies": "snapshot_ts", "wallet_universe_runs": "as_of_ts", "qa_events": "last_ts", "health_transitions": "ts",
	"superseded_boundaries":   "greatest(timestamp, superseded_at)",
	"wallet_universe_members": "(SELECT as_of_ts FROM wallet_universe_runs r WHERE r.run_id = t.run_id)",
	"alerts":                  "timestamp", "alert_deliveries": "created_at", "prune_runs": "finished_at",
}

// day stores a row in every table at noon of the day so many days ago, with
// whatever the service would have stored.
func (s *scene) day(ago int) {
	s.Helper()
	at := noon.AddDate(0, 0, -ago)
	s.exec("SELECT ensure_snapshot_partitions($1, $1)", at)
	s.exec("INSERT INTO wallet_snapshots (timestamp, wallet_id, asset, ingest_run_id) VALUES ($1, '0x1', 'BTC', 1)", at)
	s.run(at, "success", 100)
	s.exec("INSERT INTO signals VALUES ($1, 'BTC', 50, 'flat', 10, 10, 'No-trade', 'Reduced', false, false, 1, 0, 0, false, NULL, 1)", at)
	s.exec("INSERT INTO signal_contributors VALUES ($1, 'BTC', 0, 0, 0, 100, 0, 0, 0, 1, 1)", at)
	s.exec("INSERT INTO signal_positioning VALUES ($1, 'BTC', 0, 0, 0, 1, 0)", at)
	s.exec("INSERT INTO signal_cycles (timestamp, outcome, judged_at, health_state) VALUES ($1, 'computed', $1, 'HEALTHY')", at)
	s.exec("INSERT INTO superseded_boundaries (timestamp, superseded_at, signals) VALUES ($1, $1, '[]')", at)
	s.exec("INSERT INTO snapshot_anomalies (snapshot_ts, wallet_id, asset, anomaly_type) VALUES ($1, '0x1', 'BTC', 'transient_collapse')", at)
	s.refresh(at, "success")
	s.exec("INSERT INTO qa_events (day, check_id, stage, severity, action_taken, first_ts, last_ts) VALUES ($1::timestamptz, 'S3', 'ingestion', 'warning', 'none', $1, $1)", at)
	s.exec("INSERT INTO health_transitions (ts, from_state, to_state, reasons) VALUES ($1, 'STALE', 'HEALTHY', '{}')", at)
	s.exec("INSERT INTO halts (halted_at, halted_by, reason, resumed_at, resumed_by, cause, actions) VALUES ($1, 'x', 'x', $1, 'x', 'x', 'x')", at)
	s.exec("INSERT INTO alert_pauses (paused_at, paused_by, reason, until) VALUES ($1, 'x', 'x', $1::timestamptz + interval '1 hour')", at)
	s.exec("INSERT INTO prune_runs (started_at, finished_at, status, pruned_by, removed) VALUES ($1, $1, 'success', 'x', '{}')", at)
	s.alert(at, nil, "delivered")
	s.exec("INSERT INTO alert_deliveries (receiver, kind, state, created_at, delivered_at) VALUES ('r', 'test', 'delivered', $1, $1)", at)
}

// run stores a run that ended five seconds after its minute.
func (s *scene) run(at time.Time, status string, coverage int) {
	s.Helper()
	s.runs(at, 1, status, coverage)
}

// runs stores one a minute.
func (s *scene) runs(from time.Time, minutes int, status string, coverage int) {
	s.Helper()
	s.exec(`INSERT INTO ingest_runs (timestamp, status, wallets_expected, wallet_success_count, wallet_fail_count, rows_expected, rows_written, coverage_pct,
			hype_non_null_pct, btc_non_null_pct, eth_non_null_pct, duration_ms, error, finished_at)
		SELECT m, $3, 100, $4::integer, 100 - $4::integer, 300, 3 * $4::integer, $4::integer, 100, 100, 100, 5000, CASE WHEN $3 = 'failed' THEN 'x' END, m + interval '5 seconds'
		FROM generate_series($1::timestamptz, $1::timestamptz + ($2 - 1) * interval '1 minute', interval '1 minute') m`, from, minutes, status, coverage)
}

// refresh stores a refresh of the universe with one member.
func (s *scene) refresh(at time.Time, status string) {
	s.Helper()
	s.exec(`WITH run AS (
			INSERT INTO wallet_universe_runs (as_of_ts, status, source, n_requested, n_received, duration_ms, error)
			VALUES ($1, $2, 'stats-data', 1, 1, 1000, CASE WHEN $2 = 'failed' THEN 'x' END) RETURNING run_id)
		INSERT INTO wallet_universe_members (run_id, wallet_id, rank, month_pnl) SELECT run_id, '0x1', 1, 0 FROM run WHERE $2 = 'success'`, at, status)
}

// alert stores an alert with a delivery in a state, "" for none, and returns its id.
func (s *scene) alert(at time.Time, resolved *time.Time, delivery string) int64 {
	s.Helper()
	id := get[int64](s, `INSERT INTO alerts (timestamp, asset, alert_type, severity, message, health_state, resolved_at)
		VALUES ($1, 'SYSTEM', 'system_stale', 'critical', 'x', 'STALE', $2) RETURNING id`, at, resolved)
	if delivery != "" {
		s.exec(`INSERT INTO alert_deliveries (alert_id, receiver, kind, state, created_at, delivered_at, last_error)
			VALUES ($1, 'r', 'firing', $2, $3, CASE WHEN $2 = 'delivered' THEN $3::timestamptz END, CASE WHEN $2 = 'failed' THEN 'x' END)`, id, delivery, at)
	}
	return id
}

// left tells how many days ago the oldest row of a table is, and how many there are.
func (s *scene) left(table string) string {
	s.Helper()
	return get[string](s, fmt.Sprintf("SELECT count(*) || ' of ' || coalesce(extract(day FROM $1::timestamptz - min(%s))::text, 'no') || ' d' FROM %s t", ages[table], table), noon)
}
