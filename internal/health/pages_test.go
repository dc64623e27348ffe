package health

import (
	"encoding/json"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/whalegate/whalegate/internal/postgres/pgtest"
)

// A session lives for weeks, and the plans of its functions with it: they must be as
// good as those of its first question, whatever was known of the table when they were
// made. Each question walks back from the newest run, so that it reads a part of the
// runs, and never all of them.
func TestHealthReadsFewPagesInALongSession(t *testing.T) {
	t.Parallel()
	const (
		runs = 10080 // a week
		most = 6000  // pages, counted at each visit: a day of failures is passed, and never the week
	)
	for _, analyzed := range []bool{true, false} {
		db := pgtest.New(t)
		pgtest.SetClock(t, db, "2026-01-12T00:00:10Z")
		session, err := db.Acquire(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer session.Release()
		exec := func(sql string, args ...any) {
			t.Helper()
			if _, err := session.Exec(t.Context(), sql, args...); err != nil {
				t.Fatal(err)
			}
		}
		if !analyzed { // plans of an empty table
			exec("SET plan_cache_mode = force_generic_plan")
			exec("SELECT FROM ingest_health")
		}
		exec(`INSERT INTO ingest_runs (timestamp, status, wallets_expected, wallet_success_count, wallet_fail_count, rows_expected, rows_written,
				coverage_pct, hype_non_null_pct, btc_non_null_pct, eth_non_null_pct, duration_ms, finished_at)
			SELECT m, 'success', 200, 200, 0, 600, 600, 100, 100, 100, 100, 2000, m + interval '2 seconds'
			FROM generate_series(1, $1::integer) n, LATERAL (SELECT date_trunc('minute', whalegate_now()) - ($1 - n) * interval '1 minute') AS t (m)`, runs)
		exec("UPDATE collector_beat SET run_minute = (SELECT max(timestamp) FROM ingest_runs)")
		for _, stage := range []struct{ what, sql, state string }{
			{"a week of good runs", "", "HEALTHY"},
			{"the last day failed", "UPDATE ingest_runs SET status = 'failed', error = 'S3', coverage_pct = 0, wallet_success_count = 0, wallet_fail_count = 200, rows_written = 0 WHERE timestamp > whalegate_now() - interval '1 day'", "STALE"},
			{"and one clean minute after it", "UPDATE ingest_runs SET status = 'success', error = NULL, coverage_pct = 100, wallet_success_count = 200, wallet_fail_count = 0, rows_written = 600 WHERE timestamp = (SELECT max(timestamp) FROM ingest_runs)", "STALE"},
			{"a halt that is over", "INSERT INTO halts (halted_at, halted_by, reason, resumed_at, resumed_by, cause, actions) SELECT whalegate_now() - interval '3 days', 'op', 'r', whalegate_now() - interval '2 days', 'op', 'c', 'a'", "STALE"},
		} {
			exec(stage.sql)
			if analyzed {
				exec("VACUUM ANALYZE ingest_runs")
			}
			for _, mode := range []string{"force_generic_plan", "force_custom_plan", "auto"} {
				exec("SET plan_cache_mode = " + mode)
				var state string
				if err := session.QueryRow(t.Context(), "SELECT health_state FROM ingest_health").Scan(&state); err != nil || state != stage.state {
					t.Fatalf("%s: %s, %v", stage.what, state, err)
				}
				if n := pages(t, session.Conn(), "SELECT * FROM ingest_health"); n > most {
					t.Errorf("%s, analyzed %t, %s: %d pages, want at most %d", stage.what, analyzed, mode, n, most)
				}
			}
		}
	}
}

// pages counts the pages that a question looks at, those of the functions that it calls
// included.
func pages(t *testing.T, conn *pgx.Conn, sql string) int {
	t.Helper()
	var text string
	if err := conn.QueryRow(t.Context(), "EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) "+sql, pgx.QueryExecModeSimpleProtocol).Scan(&text); err != nil {
		t.Fatal(err)
	}
	var plans []struct {
		Plan struct {
			Hit  int `json:"Shared Hit Blocks"`
			Read int `json:"Shared Read Blocks"`
		}
	}
	if err := json.Unmarshal([]byte(text), &plans); err != nil {
		t.Fatal(err)
	}
	return plans[0].Plan.Hit + plans[0].Plan.Read
}
