package postgres_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/whalegate/whalegate/internal/postgres/pgtest"
)

// The rate of dirty rows is that of counting every row, as the runbook does by
// hand.
func TestDirtyMinutesAreThoseOfTheRows(t *testing.T) {
	db := pgtest.New(t)
	pgtest.SetClock(t, db, boardNow)
	must(t, db, `SELECT ensure_snapshot_partitions('2026-02-28', '2026-03-01');
		INSERT INTO ingest_runs (timestamp, status, wallets_expected, wallet_success_count, wallet_fail_count, rows_expected, rows_written,
			coverage_pct, hype_non_null_pct, btc_non_null_pct, eth_non_null_pct, duration_ms, finished_at)
		SELECT m, 'success', 40, 40, 0, 120, 120, 100, 100, 100, 100, 5000, m + interval '5 seconds'
		FROM generate_series(timestamptz '2026-02-28 23:30Z', '2026-03-01 12:01Z', '1 minute') m;
		INSERT INTO wallet_snapshots (timestamp, wallet_id, asset, position_szi, is_dirty, ingest_run_id)
		SELECT m, 'w' || w, a, 1, (w * 7 + extract(minute FROM m)::int + length(a)) % 19 = 0 AND a <> 'ETH', 1
		FROM generate_series(timestamptz '2026-02-28 23:30Z', '2026-03-01 00:30Z', '1 minute') m, generate_series(1, 40) w, unnest('{HYPE,BTC,ETH}'::text[]) a`)
	var differ, compared int
	err := db.QueryRow(t.Context(), `
		WITH counted AS (
			SELECT timestamp, asset, count(*) FILTER (WHERE is_dirty) AS dirty, count(*) AS n FROM wallet_snapshots GROUP BY 1, 2
		)
		SELECT count(*) FILTER (WHERE o.dirty IS DISTINCT FROM c.dirty OR o.rows IS DISTINCT FROM c.n OR round(o.pct::numeric, 2) IS DISTINCT FROM round(100.0 * c.dirty / c.n, 2)), count(*) FILTER (WHERE c.dirty > 0)
		FROM counted c
		LEFT JOIN (
			SELECT m.timestamp, rows, x.* FROM ops.dirty_minutes m, LATERAL (VALUES ('HYPE', hype_rows, hype_pct), ('BTC', btc_rows, btc_pct), ('ETH', eth_rows, eth_pct)) x (asset, dirty, pct)
		) o USING (timestamp, asset)`).Scan(&differ, &compared)
	if err != nil || differ > 0 || compared < 50 {
		t.Errorf("%d of %d minutes differ, %v", differ, compared, err)
	}
	s := newSession(t, pgtest.As(t, db, "whalegate_ops"))
	plan := s.ask("EXPLAIN SELECT * FROM ops.dirty_minutes WHERE timestamp BETWEEN '2026-03-01 00:00Z' AND '2026-03-01 06:00Z'")
	if strings.Contains(plan, "20260228") || !strings.Contains(plan, "is_dirty") && !strings.Contains(plan, "timestamp_idx") {
		t.Errorf("a range reads other days, or whole days:\n%s", plan)
	}
}

// The spans of a status cover the whole time, and say when there was no run.
func TestRunSpansSayWhenThereWasNoRun(t *testing.T) {
	db := pgtest.New(t)
	pgtest.SetClock(t, db, "2026-03-01 12:20:00Z")
	run := func(minute, status string) string {
		return fmt.Sprintf(`INSERT INTO ingest_runs (timestamp, status, wallets_expected, wallet_success_count, wallet_fail_count, rows_expected, rows_written,
			coverage_pct, hype_non_null_pct, btc_non_null_pct, eth_non_null_pct, duration_ms, error, finished_at) VALUES ('2026-03-01 %[1]sZ', '%[2]s', 0, 0, 0, 0, 0, 100, 100, 100, 100, 1, 'x', '2026-03-01 %[1]s:05Z');`, minute, status)
	}
	must(t, db, run("12:00", "success")+run("12:01", "success")+run("12:02", "failed")+run("12:03", "failed")+run("12:04", "partial")+run("12:09", "success")+run("12:10", "success"))
	s := newSession(t, pgtest.As(t, db, "whalegate_ops"))
	want := "12:00 success\n12:02 failed\n12:04 partial\n12:05 no run\n12:09 success\n12:11 no run"
	if got := s.ask("SELECT to_char(from_ts AT TIME ZONE 'UTC', 'HH24:MI') || ' ' || status FROM ops.run_spans ORDER BY from_ts"); got != want {
		t.Errorf("the spans are\n%s", got)
	}
	if got := s.ask("SELECT count(*) FROM ops.run_spans a WHERE until_ts <> 'infinity' AND NOT EXISTS (SELECT FROM ops.run_spans b WHERE b.from_ts = a.until_ts)"); got != "0" {
		t.Errorf("%s spans end where none begins", got)
	}
	if got := s.ask("SELECT value FROM ops.crash WHERE place = 0"); got != "nobody runs" {
		t.Errorf("the symptom is %q", got)
	}
}

// Every broken rule of alerting is seen, and none is where they hold.
func TestAlertRulesAreSeenToBreak(t *testing.T) {
	alert := func(minutes int, asset, kind string, resolvedAfter int) string {
		resolved := "NULL"
		if resolvedAfter > 0 {
			resolved = fmt.Sprintf("timestamptz '2026-03-01 00:00Z' + interval '%d minutes'", minutes+resolvedAfter)
		}
		state := "HEALTHY"
		if kind == "system_stale" {
			state = "STALE"
		}
		return fmt.Sprintf(`INSERT INTO alerts (timestamp, asset, alert_type, severity, message, signal_snapshot, health_state, resolved_at)
			VALUES (timestamptz '2026-03-01 00:00Z' + interval '%d minutes', '%s', '%s', 'high', 'm', '{"is_degraded": false}', '%s', %s);`, minutes, asset, kind, state, resolved)
	}
	for _, tt := range []struct{ name, sql, broken, symptom string }{
		{"all of it allowed", alert(0, "BTC", "exit_cluster", 20) + alert(60, "BTC", "exit_cluster", 0) + alert(90, "BTC", "regime_change", 0) + alert(90, "ETH", "regime_change", 0) +
			alert(120, "BTC", "regime_change", 0) + alert(300, "SYSTEM", "system_stale", 9) + alert(320, "SYSTEM", "system_stale", 0), "", "at the cap"},
		{"exit cluster without clearing", alert(0, "BTC", "exit_cluster", 0) + alert(90, "BTC", "exit_cluster", 0), "1", "RULE BROKEN"},
		{"exit cluster cleared too late", alert(0, "BTC", "exit_cluster", 95) + alert(90, "BTC", "exit_cluster", 0), "1", "RULE BROKEN"},
		{"exit cluster of two assets", alert(0, "BTC", "exit_cluster", 0) + alert(10, "ETH", "exit_cluster", 0), "", "ok"},
		{"inside the cooldown", alert(0, "BTC", "regime_change", 0) + alert(25, "BTC", "regime_change", 0), "2", "RULE BROKEN"},
		{"inside the longer cooldown", alert(0, "BTC", "exit_cluster", 20) + alert(55, "BTC", "exit_cluster", 0), "2", "RULE BROKEN"},
		{"types share no cooldown", alert(0, "BTC", "exit_cluster", 0) + alert(5, "BTC", "regime_change", 0), "", "ok"},
		{"stale twice", alert(0, "SYSTEM", "system_stale", 0) + alert(90, "SYSTEM", "system_stale", 0), "3", "RULE BROKEN"},
		{"a fifth of a day", alert(0, "BTC", "regime_change", 0) + alert(60, "BTC", "regime_change", 0) + alert(120, "BTC", "regime_change", 0) + alert(180, "BTC", "regime_change", 0) + alert(240, "BTC", "regime_change", 0), "4", "RULE BROKEN"},
		{"a fifth of another day", alert(-721, "BTC", "regime_change", 0) + alert(60, "BTC", "regime_change", 0) + alert(120, "BTC", "regime_change", 0) + alert(180, "BTC", "regime_change", 0), "", "ok"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			db := pgtest.New(t)
			pgtest.SetClock(t, db, boardNow)
			must(t, db, tt.sql)
			s := newSession(t, pgtest.As(t, db, "whalegate_ops"))
			if got := s.ask("SELECT place FROM ops.alert_rules WHERE NOT holds ORDER BY place"); got != tt.broken {
				t.Errorf("broken are %q, want %q: %s", got, tt.broken, s.ask("SELECT * FROM ops.alert_rules"))
			}
			if got := s.ask("SELECT value FROM ops.alert_spam WHERE place = 0"); got != tt.symptom {
				t.Errorf("the symptom is %q, want %q", got, tt.symptom)
			}
		})
	}
}

// A board that shows what it must not is said so, and so is one that is dark
// without a reason.
func TestBoardTruthSeesAMaskThatIsOpen(t *testing.T) {
	const surface = `CREATE OR REPLACE FUNCTION decision_surface() RETURNS TABLE (health_state text, judged_at timestamptz)
		LANGUAGE sql VOLATILE SECURITY DEFINER ROWS 1 SET search_path = public, pg_temp AS `
	for _, tt := range []struct{ name, sql, want string }{
		{"healthy", "", "ok|HEALTHY|3 assets|3 assets"},
		{"halted", putHalt, "ok|STALE|SYSTEM HALT|SYSTEM HALT"},
		{"an open mask", putHalt + ";" + surface + "$$SELECT 'HEALTHY'::text, whalegate_now()$$", "MASK OPEN|STALE|3 assets|SYSTEM HALT"},
		{"a mask that never opens", surface + "$$SELECT 'STALE'::text, whalegate_now() WHERE false$$", "dark, not stale|HEALTHY|SYSTEM HALT|3 assets"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			db, ops := newOps(t)
			if tt.sql != "" {
				must(t, db, tt.sql)
			}
			if got := newSession(t, ops).ask("SELECT string_agg(value, '|' ORDER BY place) FROM ops.board_truth"); got != tt.want {
				t.Errorf("it says %q, want %q", got, tt.want)
			}
		})
	}
}

// While a table is locked the views of the database say so, and who holds it;
// they do not wait for it themselves.
func TestALockedTableIsSeen(t *testing.T) {
	db, ops := newOps(t)
	holder, waiter := newSession(t, db), newSession(t, db)
	if got := holder.ask("BEGIN; LOCK TABLE signals IN ACCESS EXCLUSIVE MODE; SELECT pg_backend_pid()"); strings.HasPrefix(got, "ERROR") {
		t.Fatal(got)
	}
	waiting := make(chan string, 1)
	go func() {
		_, err := waiter.conn.Exec(t.Context(), "SELECT count(*) AS no_trade_at_77 FROM signals WHERE alignment_score = 77.25")
		waiting <- fmt.Sprint(err)
	}()
	s := newSession(t, ops)
	for s.ask("SELECT count(*) FROM ops.locks") != "1" {
		if t.Context().Err() != nil {
			t.Fatal("nobody waits")
		}
	}
	if got := s.ask("SELECT role, wants, relation, held_by LIKE '% postgres' FROM ops.locks"); got != "postgres|AccessShareLock|signals|t" {
		t.Errorf("the lock is %q", got)
	}
	if got := s.ask("SELECT bytes, locked_parts FROM ops.tables WHERE name = 'signals'"); got != "NULL|1" {
		t.Errorf("the locked table is %q", got)
	}
	if got := s.ask("SELECT count(*) FROM ops.tables WHERE bytes > 0"); got != "29" {
		t.Errorf("%s tables have a size", got)
	}
	for s.ask("SELECT value FROM ops.database WHERE place IN (0, 5) ORDER BY place") != "locks\n1" { // after a while: a lock for a moment is nothing
		if t.Context().Err() != nil {
			t.Fatal("the database does not say so")
		}
	}
	if got := s.ask("SELECT count(*) FROM ops.connections WHERE state = 'active' AND role = 'postgres'"); got != "1" {
		t.Errorf("%s kinds of active sessions", got)
	}
	s.ask("SELECT * FROM ops.connections; SELECT * FROM ops.slow_queries; SELECT * FROM public.ops_sessions(); SELECT * FROM public.ops_waiting()")
	checkSilent(t, s, "the text of somebody's query")
	if got := holder.ask("ROLLBACK"); got != "" {
		t.Error(got)
	}
	if got := <-waiting; got != "<nil>" {
		t.Error(got)
	}
}

// An owner who may not see other sessions does not take them for none.
func TestAHalfBlindOwnerSaysSo(t *testing.T) {
	db, ops := newOps(t)
	must(t, db, `CREATE ROLE half_blind; GRANT ALL ON SCHEMA public TO half_blind; ALTER FUNCTION ops_sessions() OWNER TO half_blind; ALTER FUNCTION ops_database() OWNER TO half_blind;
		GRANT EXECUTE ON FUNCTION ops_sessions(), ops_database() TO whalegate_ops;
		GRANT EXECUTE ON FUNCTION lead_session() TO half_blind`) // the owner owns everything else, too
	t.Cleanup(func() {
		mustEnd(t, db, "REASSIGN OWNED BY half_blind TO postgres; DROP OWNED BY half_blind; DROP ROLE half_blind")
	})
	s := newSession(t, ops)
	if got := s.ask("SELECT value FROM ops.database WHERE place IN (0, 2, 4) ORDER BY place"); got != "half blind\nhidden from its owner\nhidden from its owner" {
		t.Errorf("the database says %q", got)
	}
	if got := s.ask("SELECT DISTINCT state FROM ops.connections WHERE role = 'postgres' ORDER BY 1"); got != "hidden\nholds the lead" { // who leads is told by its lock
		t.Errorf("the sessions are %q", got)
	}
}
