package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/whalegate/whalegate/internal/postgres/pgtest"
)

// alwaysShown are the views of the board that hold no signal value. Every other
// one is the decision surface, also one that is added later.
var alwaysShown = []string{"health", "header", "header_lines", "system_alert"}

// told are the values that nobody may learn while the state is STALE.
var told = []string{"77.25", "Long-only", "61.75", "4242.5", "exit cluster at 33"}

const (
	boardNow = "2026-03-01 12:01:30Z"
	putHalt  = "INSERT INTO halts (halted_at, halted_by, reason) VALUES ('2026-03-01 12:01:20Z', 'op', 'test')"
)

// newBoard makes a HEALTHY database with signals, and the board's pool on it.
func newBoard(t *testing.T) (db, board *pgxpool.Pool) {
	t.Helper()
	db = pgtest.New(t)
	pgtest.SetClock(t, db, boardNow)
	must(t, db, `
		INSERT INTO ingest_runs (timestamp, status, wallets_expected, wallet_success_count, wallet_fail_count, rows_expected, rows_written,
			coverage_pct, hype_non_null_pct, btc_non_null_pct, eth_non_null_pct, duration_ms, finished_at)
		SELECT m, 'success', 200, 200, 0, 600, 600, 100, 100, 100, 100, 5000, m + interval '5 seconds'
		FROM generate_series(timestamptz '2026-03-01 12:00Z', '2026-03-01 12:01Z', '1 minute') m;
		INSERT INTO signals SELECT b, a, 77.25, 'rising', 30, 10, 'Long-only', 'Normal', true, false, 200, 0, 0, false, NULL, 1
		FROM unnest('{2026-03-01 11:55Z,2026-03-01 12:00Z}'::timestamptz[]) b, unnest('{HYPE,BTC,ETH}'::text[]) a;
		INSERT INTO signal_contributors SELECT timestamp, asset, 61.75, 0, 38.25, 0, 123, 0, 77, 0, 200 FROM signals;
		INSERT INTO signal_positioning SELECT timestamp, asset, 4242.5, 123, 77, 0, 20 FROM signals;
		INSERT INTO alerts (timestamp, asset, alert_type, severity, message, signal_snapshot, health_state)
		VALUES ('2026-03-01 12:00Z', 'BTC', 'exit_cluster', 'high', 'exit cluster at 33', '{"is_degraded": false, "alignment_score": 77.25}', 'HEALTHY');
		INSERT INTO alert_state (asset, alert_type, is_active, active_alert_id) SELECT asset, alert_type, true, id FROM alerts`)
	return db, pgtest.As(t, db, "whalegate_board")
}

func must(t *testing.T, db *pgxpool.Pool, sql string) {
	t.Helper()
	if _, err := db.Exec(t.Context(), sql); err != nil {
		t.Fatal(err)
	}
}

func decisionViews(t *testing.T, db *pgxpool.Pool) []string {
	t.Helper()
	rows, err := db.Query(t.Context(), "SELECT 'board.' || quote_ident(viewname) FROM pg_views WHERE schemaname = 'board' AND viewname <> ALL ($1) ORDER BY 1", alwaysShown)
	if err != nil {
		t.Fatal(err)
	}
	views, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil || len(views) == 0 {
		t.Fatalf("the decision surface is %q, %v", views, err)
	}
	return views
}

// session is one connection of the board, with everything that it is told:
// rows, notices and the text of errors.
type session struct {
	t    *testing.T
	conn *pgx.Conn
	told strings.Builder
}

// newSession has undone what a session may undo of its own limits.
func newSession(t *testing.T, board *pgxpool.Pool) *session {
	t.Helper()
	config := board.Config().ConnConfig.Copy()
	s := &session{t: t}
	config.OnNotice = func(_ *pgconn.PgConn, n *pgconn.Notice) { fmt.Fprintln(&s.told, n.Message, n.Detail, n.Hint) }
	conn, err := pgx.ConnectConfig(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	s.conn = conn
	if got := s.ask("SET default_transaction_read_only = off"); got != "" {
		t.Fatal(got)
	}
	return s
}

// ask sends any number of statements and returns the rows, a line each, or the
// SQLSTATE of the error.
func (s *session) ask(sql string) string {
	results, err := s.conn.PgConn().Exec(s.t.Context(), sql).ReadAll()
	var lines []string
	for _, result := range results {
		for _, row := range result.Rows {
			cells := make([]string, len(row))
			for i, cell := range row {
				if cells[i] = string(cell); cell == nil {
					cells[i] = "NULL"
				}
			}
			lines = append(lines, strings.Join(cells, "|"))
		}
	}
	answer := strings.Join(lines, "\n")
	fmt.Fprintln(&s.told, answer)
	if err != nil {
		var refused *pgconn.PgError
		if !errors.As(err, &refused) {
			s.t.Fatalf("%s: %v", sql, err)
		}
		fmt.Fprintln(&s.told, refused.Message, refused.Detail, refused.Hint, refused.Where, refused.InternalQuery)
		return "ERROR " + refused.Code
	}
	return answer
}

// learned names the values that s was told and had not written itself.
func (s *session) learned(sql string) (values []string) {
	for _, value := range told {
		if strings.Contains(s.told.String(), value) && !strings.Contains(sql, value) {
			values = append(values, value)
		}
	}
	return values
}

// What can be asked of any view. Each would show or raise something for a row.
var ofEveryView = []struct{ name, sql, want string }{
	{"all of it", "SELECT * FROM %s", ""},
	{"a predicate that raises for a row", "SELECT 1 FROM %s v WHERE v::text::int = 1", ""},
	{"a value that raises for a row", "SELECT 1 / (length(v::text) - length(v::text)) FROM %s v", ""},
	{"count", "SELECT count(*) FROM %s", "0"},
	{"exists", "SELECT EXISTS (SELECT FROM %s)", "f"},
	{"an aggregate", "SELECT string_agg(v::text, ';'), max(v::text) FROM %s v", "NULL|NULL"},
	{"grouping sets", "SELECT v::text, count(*) FROM %s v GROUP BY ROLLUP (v::text)", "NULL|0"},
	{"a window", "SELECT lag(v::text) OVER (), row_number() OVER () FROM %s v", ""},
	{"an outer join", "SELECT h.health_state, v::text FROM board.health h LEFT JOIN %s v ON true", "STALE|NULL"},
	{"a join with itself", "SELECT * FROM %[1]s a JOIN %[1]s b ON a = b", ""},
	{"lateral", "SELECT l.* FROM board.header h, LATERAL (SELECT v::text, h.last_signal_ts FROM %s v) l", ""},
	{"set operations", "SELECT v::text FROM %[1]s v UNION ALL SELECT v::text FROM %[1]s v EXCEPT SELECT 'x'", ""},
	{"a common table", "WITH RECURSIVE r AS (SELECT v::text AS x FROM %[1]s v UNION SELECT x FROM r) SELECT * FROM r", ""},
	{"as XML", "SELECT query_to_xml('SELECT * FROM %s', true, true, '')::text ~ '<row>'", "f"},
	{"text search over a query", "SELECT * FROM ts_stat('SELECT to_tsvector(''simple'', v::text) FROM %s v')", ""},
	{"a prepared statement", "PREPARE p AS SELECT * FROM %s; EXECUTE p; EXECUTE p", ""},
	{"a cursor", "BEGIN; DECLARE c CURSOR FOR SELECT * FROM %s; FETCH ALL FROM c; COMMIT", ""},
	{"a block that raises what it reads", "DO $$DECLARE r record; BEGIN FOR r IN SELECT * FROM %s LOOP RAISE NOTICE '%%', r; RAISE '%%', r; END LOOP; END$$", ""},
	{"a block that tries serializable", "BEGIN ISOLATION LEVEL SERIALIZABLE; SELECT * FROM %s; COMMIT", ""},
	{"a block that tries read uncommitted", "BEGIN ISOLATION LEVEL READ UNCOMMITTED; SELECT * FROM %s; COMMIT", ""},
	{"its rows to be locked", "SELECT * FROM %s FOR UPDATE", "ERROR 42501"},
	{"to be emptied", "DELETE FROM %s", "ERROR 55000"}, // no such view: asked before the rights
	{"to be filled", "INSERT INTO %s DEFAULT VALUES", "ERROR 55000"},
}

func TestD2NothingIsLearnedFromAViewWhileStale(t *testing.T) {
	db, board := newBoard(t)
	must(t, db, putHalt)
	executed := regexp.MustCompile(`actual rows=[1-9]`)
	for _, view := range decisionViews(t, db) {
		for _, tt := range ofEveryView {
			sql := tt.sql
			if strings.Contains(sql, "%") {
				sql = fmt.Sprintf(sql, view)
			}
			s := newSession(t, board)
			if got := s.ask(sql); got != tt.want || len(s.learned(sql)) > 0 {
				t.Errorf("%s: %s: %q, want %q; learned %q", tt.name, sql, got, tt.want, s.learned(sql))
			}
			_ = s.conn.Close(t.Context())
		}
		// The tables behind it are not even read.
		for _, setting := range []string{"enable_nestloop", "enable_material", "enable_seqscan", "enable_indexscan"} {
			s := newSession(t, board)
			sql := "SET " + setting + " = off; EXPLAIN (ANALYZE, VERBOSE, TIMING OFF) SELECT * FROM " + view
			if got := s.ask(sql); executed.MatchString(got) || !strings.Contains(got, "never executed") || len(s.learned(sql)) > 0 {
				t.Errorf("%s: learned %q from\n%s", sql, s.learned(sql), got)
			}
			_ = s.conn.Close(t.Context())
		}
	}
}
