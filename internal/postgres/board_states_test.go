package postgres_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/whalegate/whalegate/internal/postgres/pgtest"
)

// Without this the emptiness of the other tests would mean nothing.
func TestD2EveryViewShowsSomethingWhileHealthy(t *testing.T) {
	db, board := newBoard(t)
	s := newSession(t, board)
	for _, view := range decisionViews(t, db) {
		if s.ask("SELECT * FROM "+view) == "" {
			t.Errorf("%s is empty", view)
		}
	}
	if learned := s.learned(""); !slices.Equal(learned, told) {
		t.Errorf("a HEALTHY board tells %q, want %q", learned, told)
	}
	if got := s.ask("SELECT asset, playbook FROM board.playbook ORDER BY place"); got != "HYPE|Long-only\nBTC|Long-only\nETH|Long-only" {
		t.Errorf("the playbooks are\n%s", got)
	}
}

func TestD2WithoutASignalTheGateIsClosed(t *testing.T) {
	const closed, open = "BTC|No-trade|Defensive|t", "BTC|Long-only|Normal|f"
	for _, tt := range []struct{ name, sql, now, gate, warning string }{
		{"a signal of this period", "", "2026-03-01 12:01:30Z", open, "none"},
		{"no signal of the asset", "DELETE FROM signals WHERE asset = 'BTC'", "2026-03-01 12:01:30Z", closed, "no signal"},
		{"almost ten minutes old", "DELETE FROM signals WHERE timestamp > '2026-03-01 11:55Z'", "2026-03-01 12:04:59.999999Z", open, "none"},
		{"ten minutes old", "DELETE FROM signals WHERE timestamp > '2026-03-01 11:55Z'", "2026-03-01 12:05:00Z", closed, "no signal"},
		{"a signal from the future", "UPDATE signals SET timestamp = timestamp + interval '10 minutes' WHERE asset = 'BTC'", "2026-03-01 12:01:30Z", closed, "no signal"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			db, board := newBoard(t)
			must(t, db, "DELETE FROM signal_contributors; DELETE FROM signal_positioning;"+tt.sql)
			pgtest.SetClock(t, db, tt.now)
			s := newSession(t, board)
			if got := s.ask("SELECT asset, allowed_playbook, risk_mode, no_signal FROM board.gate WHERE asset = 'BTC'"); got != tt.gate {
				t.Errorf("the gate is %q, want %q", got, tt.gate)
			}
			if got := s.ask("SELECT value FROM board.gate_lines WHERE asset = 'BTC' AND label = 'Warning'"); got != tt.warning {
				t.Errorf("the warning is %q, want %q", got, tt.warning)
			}
			if got := s.ask("SELECT count(*) FROM board.gate_lines"); got != "24" {
				t.Errorf("%s lines, want eight of each asset", got)
			}
		})
	}
}

// Whatever keeps health from being judged closes the board, and says so.
func TestD2UnknownHealthIsStale(t *testing.T) {
	const function = `CREATE OR REPLACE FUNCTION ingest_health_at(at timestamptz DEFAULT NULL)
		RETURNS TABLE (health_state text, snapshot_status text, last_success_snapshot_ts timestamptz, snapshot_age_seconds double precision,
			coverage_pct numeric, clean_runs integer, reasons text[])
		LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS `
	for name, sql := range map[string]string{
		"it raises":          function + "$$BEGIN RAISE 'broken at 77.25 Long-only'; END$$",
		"it answers nothing": function + "$$BEGIN RETURN; END$$",
		"it is not there":    "ALTER FUNCTION ingest_health_at(timestamptz) RENAME TO gone",
		"its table is gone":  "ALTER TABLE ingest_runs RENAME TO gone",
		"its clock raises":   "CREATE OR REPLACE FUNCTION whalegate_now() RETURNS timestamptz LANGUAGE plpgsql VOLATILE AS $$BEGIN RAISE 'no clock'; END$$",
		"it may not be run":  "ALTER FUNCTION board_health() OWNER TO whalegate_ops; REVOKE ALL ON FUNCTION ingest_health_at(timestamptz) FROM whalegate_ops",
	} {
		t.Run(name, func(t *testing.T) {
			db, board := newBoard(t)
			must(t, db, sql)
			s := newSession(t, board)
			if got := s.ask("SELECT health_state, reasons FROM board.health"); got != "STALE|{health_unknown}" {
				t.Errorf("the health is %q", got)
			}
			dark(t, s, decisionViews(t, db))
			if got := s.ask("SELECT value FROM board.header_lines ORDER BY place"); !strings.HasPrefix(got, "SYSTEM HALT\n") || !strings.HasSuffix(got, "health cannot be judged (health_unknown)\n7-database") {
				t.Errorf("the header says\n%s", got)
			}
		})
	}
}

// A state that nobody knows is not one that opens.
func TestD2AnotherStateOpensNothing(t *testing.T) {
	db, board := newBoard(t)
	must(t, db, `CREATE OR REPLACE FUNCTION board_health() RETURNS TABLE (health_state text, snapshot_status text, last_success_snapshot_ts timestamptz,
			snapshot_age_seconds double precision, coverage_pct numeric, clean_runs integer, reasons text[])
		LANGUAGE sql STABLE SECURITY DEFINER AS $$VALUES ('healthy', 'success', now(), 1::float8, 100::numeric, 2, '{}'::text[]),
			(NULL, 'success', now(), 1::float8, 100::numeric, 2, '{}'::text[])$$`)
	dark(t, newSession(t, board), decisionViews(t, db))
}

// dark fails when a view shows a row or raises.
func dark(t *testing.T, s *session, views []string) {
	t.Helper()
	for _, view := range views {
		if got := s.ask("SELECT * FROM " + view); got != "" {
			t.Errorf("%s: %q, want no row", view, got)
		}
	}
	if learned := s.learned(""); len(learned) > 0 {
		t.Errorf("learned %q", learned)
	}
}

func TestD2AnEmptyDatabaseSaysSystemHalt(t *testing.T) {
	db := pgtest.New(t)
	s := newSession(t, pgtest.As(t, db, "whalegate_board"))
	dark(t, s, append(decisionViews(t, db), "board.system_alert"))
	want := "SYSTEM HALT\nnone\nunknown\nnothing has run yet (no_runs)\n9-crash"
	if got := s.ask("SELECT value FROM board.header_lines ORDER BY place"); got != want {
		t.Errorf("the header says\n%s", got)
	}
}

// A transaction that holds a snapshot does not see the halt that comes after it.
func TestD2NoTransactionKeepsThePastOpen(t *testing.T) {
	for _, level := range []string{"REPEATABLE READ", "SERIALIZABLE", "SERIALIZABLE READ ONLY DEFERRABLE", "READ UNCOMMITTED", "READ COMMITTED"} {
		t.Run(level, func(t *testing.T) {
			db, board := newBoard(t)
			views, s := decisionViews(t, db), newSession(t, board)
			if got := s.ask("BEGIN ISOLATION LEVEL " + level + "; SELECT health_state FROM board.health"); got != "HEALTHY" {
				t.Fatal(got)
			}
			if level == "READ COMMITTED" {
				if got := s.ask("SELECT count(*) FROM board.gate"); got != "3" {
					t.Errorf("%s rows of the gate before the halt", got)
				}
			} else {
				dark(t, s, views)
			}
			must(t, db, putHalt)
			dark(t, s, views)
			if got := s.ask("COMMIT; SELECT health_state FROM board.health"); got != "STALE" {
				t.Error(got)
			}
			dark(t, s, views)
		})
	}
}

func TestD2NothingMadeEarlierOutlivesTheMask(t *testing.T) {
	db, board := newBoard(t)
	first, second := newSession(t, board), newSession(t, board)
	snapshot := first.ask("BEGIN; SELECT pg_export_snapshot()")
	prepared := newSession(t, board)
	prepared.ask("SET plan_cache_mode = force_generic_plan; PREPARE p AS SELECT * FROM board.gate")
	if prepared.ask("EXECUTE p") == "" {
		t.Error("nothing is shown while HEALTHY")
	}
	prepared.told.Reset()
	must(t, db, putHalt)
	if got := prepared.ask("EXECUTE p"); got != "" {
		t.Errorf("a statement prepared while HEALTHY shows %q", got)
	}
	if got := second.ask(fmt.Sprintf("BEGIN ISOLATION LEVEL REPEATABLE READ; SET TRANSACTION SNAPSHOT '%s'; SELECT health_state FROM board.health", snapshot)); got != "HEALTHY" {
		t.Errorf("the exported snapshot says %q: it should be of before the halt", got)
	}
	dark(t, second, decisionViews(t, db))

	// And what was made while STALE shows nothing later.
	held := newSession(t, board)
	if got := held.ask("BEGIN; DECLARE c CURSOR WITH HOLD FOR SELECT * FROM board.gate; COMMIT"); got != "" {
		t.Fatal(got)
	}
	must(t, db, "DELETE FROM halts")
	if got := held.ask("FETCH ALL FROM c"); got != "" {
		t.Errorf("a cursor made while STALE shows %q", got)
	}
	if held.ask("SELECT * FROM board.gate") == "" {
		t.Error("nothing is shown while HEALTHY again")
	}
}
