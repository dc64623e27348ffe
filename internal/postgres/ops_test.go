package postgres_test

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/whalegate/whalegate/internal/postgres/pgtest"
)

// hidden puts signal values everywhere where an operator's view comes near them.
const hidden = `
	INSERT INTO qa_events (day, check_id, stage, severity, subject, details, action_taken, first_ts, last_ts) VALUES
		('2026-03-01', 'G3', 'signals', 'warning', 'BTC', '{"score": 77.25}', 'No-trade, signal degraded', '2026-03-01 12:00Z', '2026-03-01 12:00Z'),
		('2026-03-01', 'S3', 'ingestion', 'warning', '', '{"note": "Long-only 77.25"}', 'degraded', '2026-03-01 12:00Z', '2026-03-01 12:00Z');
	UPDATE alert_state SET confirmed_playbook = 'Long-only', pending_playbook = 'Long-only', pending_periods = 1, cooldown_until = '2026-03-01 12:30Z';
	INSERT INTO alerts (timestamp, asset, alert_type, severity, message, signal_snapshot, health_state, suppressed, suppress_reason)
		VALUES ('2026-03-01 12:01Z', 'ETH', 'regime_change', 'medium', 'Playbook switched to Long-only', '{"is_degraded": false, "alignment_score": 77.25}', 'HEALTHY', true, 'cooldown');
	INSERT INTO alert_deliveries (alert_id, receiver, kind, state, attempts, last_error)
		SELECT id, 'phone', 'firing', 'pending', 2, 'status 400: cannot read "Playbook switched to Long-only", exit cluster at 33, 77.25' FROM alerts WHERE NOT suppressed;
	INSERT INTO signal_cycles (timestamp, outcome, judged_at, health_state) VALUES ('2026-03-01 12:00Z', 'computed', '2026-03-01 12:00:08Z', 'HEALTHY');
	INSERT INTO wallet_universe_runs (as_of_ts, status, source, n_requested, n_received, duration_ms) VALUES ('2026-03-01 11:00Z', 'success', 'stats-data', 200, 200, 900);
	INSERT INTO health_transitions (ts, from_state, to_state, reasons) VALUES ('2026-03-01 11:59Z', 'UNKNOWN', 'HEALTHY', '{}');
	INSERT INTO halts (halted_at, halted_by, reason, resumed_at, resumed_by, cause, actions) VALUES ('2026-02-01 11:00Z', 'op', 'test', '2026-02-01 12:00Z', 'op', 'a cause', 'actions');
	INSERT INTO alert_pauses (paused_at, paused_by, reason, until) VALUES ('2026-03-01 11:00Z', 'op', 'test', '2026-03-01 13:00Z');`

// newOps is the board's database with what an operator sees, and the operator's
// pool.
func newOps(t *testing.T) (db, ops *pgxpool.Pool) {
	t.Helper()
	db, _ = newBoard(t)
	must(t, db, hidden)
	return db, pgtest.As(t, db, "whalegate_ops")
}

func opsViews(t *testing.T, db *pgxpool.Pool) []string {
	t.Helper()
	rows, err := db.Query(t.Context(), "SELECT 'ops.' || viewname FROM pg_views WHERE schemaname = 'ops' ORDER BY 1")
	if err != nil {
		t.Fatal(err)
	}
	views, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil || len(views) < 30 {
		t.Fatalf("the views are %q, %v", views, err)
	}
	return views
}

// secret are further values that no operator's view may hold.
var secret = append(slices.Clone(told), "No-trade", "switched", "61.75", "signal degraded")

// checkSilent fails when a session was told a signal value.
func checkSilent(t *testing.T, s *session, what string) {
	t.Helper()
	for _, value := range secret {
		if strings.Contains(s.told.String(), value) && !strings.Contains(what, value) {
			t.Errorf("%s: tells %q", what, value)
		}
	}
	s.told.Reset()
}

// No view of the operators holds a signal value, in any state; and each answers
// in every state, also when the state cannot be told.
func TestTheOperatorsViewsTellNoSignalInAnyState(t *testing.T) {
	const function = `CREATE OR REPLACE FUNCTION ingest_health_at(at timestamptz DEFAULT NULL)
		RETURNS TABLE (health_state text, snapshot_status text, last_success_snapshot_ts timestamptz, snapshot_age_seconds double precision,
			coverage_pct numeric, clean_runs integer, reasons text[])
		LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS `
	for _, tt := range []struct{ name, sql, state string }{
		{"healthy", "", "HEALTHY|{}"},
		{"degraded", "UPDATE ingest_runs SET hype_non_null_pct = 70 WHERE timestamp = '2026-03-01 12:01Z'", "DEGRADED|{null_szi:HYPE}"},
		{"halted", putHalt, "STALE|{halted}"},
		{"health raises", function + "$$BEGIN RAISE 'broken at 77.25 Long-only'; END$$", "STALE|{health_unknown}"},
		{"health answers nothing", function + "$$BEGIN RETURN; END$$", "STALE|{health_unknown}"},
		{"health is gone", "ALTER FUNCTION ingest_health_at(timestamptz) RENAME TO gone", "STALE|{health_unknown}"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			db, ops := newOps(t)
			if tt.sql != "" {
				must(t, db, tt.sql)
			}
			s := newSession(t, ops)
			if got := s.ask("SELECT health_state, reasons FROM ops.health"); got != tt.state {
				t.Errorf("the state is %q", got)
			}
			shown := 0
			for _, view := range opsViews(t, db) {
				got := s.ask("SELECT * FROM " + view)
				if strings.HasPrefix(got, "ERROR") {
					t.Errorf("%s: %s", view, s.told.String())
				}
				if got != "" {
					shown++
				}
				checkSilent(t, s, view)
				s.ask("EXPLAIN (ANALYZE, VERBOSE) SELECT * FROM " + view)
				checkSilent(t, s, "EXPLAIN "+view)
			}
			if shown < 25 { // of what there are no rows now: locks, slow queries, blocked cycles, failures
				t.Errorf("only %d views show anything: this checks nothing", shown)
			}
		})
	}
}

// An empty database is no reason to be silent.
func TestTheOperatorsViewsAnswerOnAnEmptyDatabase(t *testing.T) {
	db := pgtest.New(t)
	s := newSession(t, pgtest.As(t, db, "whalegate_ops"))
	for _, view := range opsViews(t, db) {
		if got := s.ask("SELECT * FROM " + view); strings.HasPrefix(got, "ERROR") {
			t.Errorf("%s: %s", view, s.told.String())
		}
	}
	for view, symptom := range map[string]string{
		"ingestion": "no run yet", "universe": "no refresh yet", "signal_lock": "no cycle yet", "dirty_spike": "no rows", "alert_spam": "ok", "board_truth": "ok",
		"database": "ok", "clock": "ok", "halt": "ok", "crash": "no run yet", "collector": "ok", "accounts": "no universe yet",
	} {
		if got := s.ask("SELECT value FROM ops." + view + " WHERE place = 0"); got != symptom {
			t.Errorf("%s says %q, want %q", view, got, symptom)
		}
	}
}

// What the role may try beside reading its views, and what it gets.
func TestTheOperatorsRoleCanDoNothingElse(t *testing.T) {
	db, ops := newOps(t)
	must(t, db, "ANALYZE")
	const denied = "ERROR 42501"
	for _, tt := range []struct{ sql, want string }{
		{"SELECT * FROM public.signals", denied},
		{"SELECT count(*) FROM public.signals", denied},
		{"SELECT * FROM public.signal_contributors", denied},
		{"SELECT * FROM public.signal_positioning", denied},
		{"SELECT * FROM public.wallet_snapshots", denied},
		{"SELECT * FROM public.alerts", denied},
		{"SELECT * FROM public.alert_state", denied},
		{"SELECT * FROM public.alert_deliveries", denied},
		{"SELECT * FROM public.qa_events", denied},
		{"SELECT * FROM public.ingest_health", denied},
		{"SELECT * FROM public.ingest_health_at('2026-03-01 12:01:10Z')", denied},
		{"SELECT * FROM board.gate", denied},
		{"SELECT * FROM board.signals", denied},
		{"SELECT * FROM board.health", denied},
		{"SELECT * FROM public.decision_surface()", denied},
		{"SELECT public.ensure_snapshot_partitions('2026-01-01', '2026-01-02')", denied},
		{"SELECT public.drop_snapshot_partitions('2026-01-02')", denied},
		{"DELETE FROM public.halts", denied},
		{"UPDATE public.alert_pauses SET until = now()", denied},
		{"SET ROLE postgres", denied},
		{"SET ROLE whalegate_board", denied},
		{"SET SESSION AUTHORIZATION postgres", denied},
		{"GRANT pg_monitor TO whalegate_ops", denied},
		{"CREATE TEMP TABLE t AS SELECT * FROM ops.runs", denied},
		{"CREATE VIEW ops.v AS SELECT 1", denied},
		{"CREATE OR REPLACE VIEW ops.health AS SELECT 'HEALTHY'::text AS health_state", denied},
		{"CREATE OR REPLACE FUNCTION public.ops_span(seconds double precision) RETURNS text LANGUAGE sql AS 'SELECT 1'", denied},
		{"CREATE SCHEMA mine", denied},
		{"SET search_path = pg_temp, ops, board, public; SELECT * FROM gate", "ERROR 42P01"},
		{"BEGIN; LOCK TABLE ops.runs IN ACCESS EXCLUSIVE MODE", denied},
		{"SELECT pg_read_file('postgresql.conf')", denied},
		{"SELECT pg_ls_waldir()", denied},
		{"COPY (SELECT 1) TO PROGRAM 'cat'", denied},
		{"COPY public.signals TO STDOUT", denied},
		{"SELECT * FROM pg_statistic", denied},
		{"SELECT count(*) FROM pg_stats WHERE schemaname = 'public'", "0"},
		{"SELECT count(*) FROM pg_stat_activity WHERE usename <> current_user AND query NOT IN ('<insufficient privilege>', '')", "0"},
		// A predicate that raises says nothing of what is hidden behind a view.
		{"SELECT count(*) FROM ops.failed_checks WHERE action_taken::int = 1 AND stage = 'signals'", "0"},
		{"SELECT string_agg(last_error, '') FROM ops.deliveries", "answered 400"},
	} {
		s := newSession(t, ops)
		if got := s.ask(tt.sql); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.sql, got, tt.want)
		}
		checkSilent(t, s, tt.sql)
		_ = s.conn.Close(t.Context())
	}
}

// EXPLAIN tells its estimates to every role, so the planner keeps no values of
// what is hidden.
func TestNoStatisticsAreKeptOfWhatOperatorsMayNotSee(t *testing.T) {
	db, ops := newOps(t)
	must(t, db, `INSERT INTO alert_state (asset, alert_type, confirmed_playbook, pending_playbook, pending_periods) VALUES ('HYPE', 'regime_change', 'Long-only', 'No-trade', 1), ('ETH', 'regime_change', 'Long-only', 'No-trade', 1);
		ANALYZE`)
	rows, err := db.Query(t.Context(), `SELECT tablename || '.' || attname FROM pg_stats WHERE schemaname = 'public' AND (
		tablename = 'alert_state' AND attname NOT IN ('asset', 'alert_type', 'active_alert_id', 'last_period')
		OR tablename = 'alerts' AND attname NOT IN ('id', 'timestamp', 'asset')
		OR tablename IN ('signals', 'signal_contributors', 'signal_positioning') AND attname NOT IN ('timestamp', 'asset'))`)
	if err != nil {
		t.Fatal(err)
	}
	if kept, err := pgx.CollectRows(rows, pgx.RowTo[string]); err != nil || len(kept) > 0 {
		t.Errorf("statistics of %q, %v", kept, err)
	}
	s := newSession(t, ops)
	one := s.ask("EXPLAIN SELECT * FROM ops.failed_checks WHERE action_taken = 'No-trade, signal degraded'")
	other := s.ask("EXPLAIN SELECT * FROM ops.failed_checks WHERE action_taken = 'asset skipped: no signal'")
	if strip := strings.NewReplacer("No-trade, signal degraded", "", "asset skipped: no signal", "").Replace; strip(one) != strip(other) {
		t.Errorf("two guesses are told apart:\n%s\n%s", one, other)
	}
}

// The columns of the operators' views are none of those that hold signals.
func TestNoViewOfTheOperatorsNamesASignal(t *testing.T) {
	db, _ := newOps(t)
	rows, err := db.Query(t.Context(), `SELECT o.table_name || '.' || o.column_name FROM information_schema.columns o
		WHERE o.table_schema = 'ops' AND (
			o.column_name ~* '(score|index|playbook|risk|exposure|stops|trend|message|snapshot$|px|szi|wallet_id|details|pct_add|net_|top10|query)'
			OR EXISTS (SELECT FROM information_schema.columns p WHERE p.table_schema = 'public' AND p.column_name = o.column_name
				AND p.table_name IN ('signals', 'signal_contributors', 'signal_positioning') AND p.column_name NOT IN ('timestamp', 'asset')))`)
	if err != nil {
		t.Fatal(err)
	}
	if named, err := pgx.CollectRows(rows, pgx.RowTo[string]); err != nil || len(named) > 0 {
		t.Errorf("columns of the operators: %q, %v", named, err)
	}
}

// mustEnd runs at the end of a test, whose context is over.
func mustEnd(t *testing.T, db *pgxpool.Pool, sql string) {
	t.Helper()
	if _, err := db.Exec(context.Background(), sql); err != nil {
		t.Error(err)
	}
}
