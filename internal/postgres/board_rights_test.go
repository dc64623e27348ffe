package postgres_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
)

// What the role may try beside reading its views, and what it gets.
func TestD2TheBoardsRoleCanDoNothingElseWhileStale(t *testing.T) {
	db, board := newBoard(t)
	must(t, db, putHalt+"; ANALYZE")
	const denied = "ERROR 42501"
	for _, tt := range []struct{ sql, want string }{
		// Leaky predicates with a value in mind.
		{"SELECT count(*) FROM board.gate WHERE allowed_playbook::int = 1", "0"},
		{"SELECT 1 / (alignment_score - 77.25) FROM board.signals", ""},
		{"SELECT 1 / (alignment_score - 77.25) FROM board.gate", ""},
		{"SELECT * FROM board.signals WHERE CASE WHEN allowed_playbook = 'Long-only' THEN pg_sleep(0) IS NOT NULL AND 1 / (wallet_count - 200) = 1 END", ""},

		// Other people and other settings.
		{"SET ROLE postgres", denied},
		{"SET ROLE whalegate_writer", denied},
		{"SET SESSION AUTHORIZATION postgres", denied},
		{"GRANT pg_read_all_data TO whalegate_board", denied},
		{"ALTER ROLE CURRENT_USER SUPERUSER", denied},
		{"ALTER ROLE CURRENT_USER CONNECTION LIMIT -1", denied},
		{"CREATE ROLE other", denied},
		{"SET session_replication_role = replica", denied},
		{"SET search_path = pg_temp, board, public; SELECT * FROM gate", ""},
		{"SET search_path = pg_temp, board, public; SELECT * FROM signals", ""},
		{"SET timezone = 'Pacific/Kiritimati'; SELECT * FROM board.gate", ""},
		{"SET whalegate.now = '2026-03-01 12:01:10Z'; SET whalegate.health_state = 'HEALTHY'; SELECT * FROM board.gate", ""},
		{"SET default_transaction_isolation = 'serializable'; SELECT * FROM board.gate", ""},
		{"SET default_transaction_isolation = 'read committed'; SELECT * FROM board.gate", ""},
		{"BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM board.gate; SET TRANSACTION ISOLATION LEVEL READ COMMITTED", "ERROR 25001"},
		{"BEGIN; SELECT count(*) FROM board.gate; SELECT set_config('transaction_isolation', 'serializable', true)", "ERROR 25001"},
		{"SET row_security = off; SET transform_null_equals = on; SELECT * FROM board.gate", ""},
		{"SET statement_timeout = 0; SET lock_timeout = 1; SELECT * FROM board.gate", ""},
		{"SET client_encoding = 'LATIN1'; SELECT * FROM board.gate, board.gate_lines", ""},

		// Things of its own, behind which a value could be kept or a name hidden.
		{"CREATE TEMP TABLE t AS SELECT * FROM board.gate", denied},
		{"SELECT * INTO TEMP t FROM board.gate", denied},
		{"CREATE TEMP VIEW v AS SELECT * FROM board.gate", denied},
		{"CREATE VIEW board.v AS SELECT * FROM board.gate", denied},
		{"CREATE VIEW public.v AS SELECT * FROM board.gate", denied},
		{"CREATE FUNCTION pg_temp.f() RETURNS int LANGUAGE sql AS 'SELECT 1'", denied},
		{"CREATE FUNCTION public.f() RETURNS int LANGUAGE sql AS 'SELECT 1'", denied},
		{"CREATE OR REPLACE FUNCTION public.whalegate_now() RETURNS timestamptz LANGUAGE sql AS 'SELECT now()'", denied},
		{"CREATE OR REPLACE VIEW board.health AS SELECT 'HEALTHY'::text AS health_state", denied},
		{"ALTER VIEW board.gate RESET (security_barrier)", "ERROR 42501"},
		{"CREATE SCHEMA mine", denied},
		{"CREATE EXTENSION dblink", denied},
		{"BEGIN; LOCK TABLE board.signals IN ACCESS EXCLUSIVE MODE", denied},

		// What is not in its schema.
		{"SELECT * FROM public.signals", denied},
		{"DELETE FROM public.halts", denied},
		{"UPDATE public.halts SET resumed_at = now()", denied},
		{"SELECT * FROM public.ingest_health", denied},
		{"SELECT * FROM public.alerts", denied},
		{"SELECT * FROM ops.health", denied},
		{"SELECT * FROM public.ingest_health_at('2026-03-01 12:01:10Z')", denied},
		{"SELECT public.whalegate_now()", denied},
		{"SELECT health_state FROM public.board_health()", "STALE"},
		{"SELECT * FROM public.decision_surface()", ""},

		// The catalogs and the server.
		{"SELECT count(*) FROM pg_stats WHERE schemaname = 'public'", "0"},
		{"SELECT * FROM pg_statistic", denied},
		{"SELECT count(*) FROM pg_stat_activity WHERE usename <> current_user AND query NOT IN ('<insufficient privilege>', '')", "0"},
		{"SELECT count(*) FROM pg_sequences WHERE schemaname = 'public' AND last_value IS NOT NULL", "0"},
		{"SELECT pg_read_file('postgresql.conf')", denied},
		{"SELECT pg_ls_dir('.')", denied},
		{"COPY (SELECT * FROM board.signals) TO PROGRAM 'cat'", denied},
		{"COPY (SELECT * FROM board.signals) TO '/tmp/x'", denied},
		{"COPY public.signals TO STDOUT", denied},
		{"SELECT lo_import('/etc/hostname')", denied},
		{"SELECT * FROM dblink('dbname=postgres', 'SELECT 1') AS t (n int)", "ERROR 42883"},
		{"LOAD 'auto_explain'", denied},
	} {
		s := newSession(t, board)
		if got := s.ask(tt.sql); got != tt.want || len(s.learned(tt.sql)) > 0 {
			t.Errorf("%s: %q, want %q; learned %q", tt.sql, got, tt.want, s.learned(tt.sql))
		}
		_ = s.conn.Close(t.Context())
	}
	var copied strings.Builder
	if _, err := newSession(t, board).conn.PgConn().CopyTo(t.Context(), &copied, "COPY (SELECT * FROM board.signals) TO STDOUT"); err != nil || copied.Len() > 0 {
		t.Errorf("COPY of the signals: %q, %v", copied.String(), err)
	}
}

// Grafana's roles may read the views of their schema, and do nothing else.
func TestD2TheRightsOfGrafanasRolesAreExactlyTheirViews(t *testing.T) {
	for _, tt := range []struct{ role, schema, functions string }{
		{"whalegate_board", "board", "board_health decision_surface reason_words"},
		{"whalegate_ops", "ops", "board_health collector_who ops_database ops_sessions ops_since ops_span ops_tables ops_truth ops_waiting reason_words whalegate_now"},
	} {
		t.Run(tt.role, func(t *testing.T) { checkRights(t, tt.role, tt.schema, tt.functions) })
	}
}

func checkRights(t *testing.T, role, schema, functions string) {
	db, _ := newBoard(t)
	fill := strings.NewReplacer("ROLE", "'"+role+"'", "SCHEMA", "'"+schema+"'").Replace
	const ours = "n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname NOT LIKE 'pg\\_toast%'"
	for _, tt := range []struct{ what, sql, want string }{
		{"functions", `SELECT p.proname FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
			WHERE ` + ours + ` AND has_function_privilege(ROLE, p.oid, 'EXECUTE') AND NOT (n.nspname = 'facts' AND ROLE = 'whalegate_ops' AND p.provolatile = 'i' AND p.pronargs = 0)`, functions}, // figures are nothing secret
		{"functions that are not the owner's, or find names where others can put them", `SELECT p.proname FROM pg_proc p
			WHERE p.pronamespace = 'public'::regnamespace AND has_function_privilege(ROLE, p.oid, 'EXECUTE') AND p.prosecdef AND NOT 'search_path=public, pg_temp' = ANY (coalesce(p.proconfig, '{}'))`, ""},
		{"relations that it may do anything with, beside reading its views", `SELECT c.oid::regclass::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
			WHERE ` + ours + ` AND (
				has_table_privilege(ROLE, c.oid, 'INSERT, UPDATE, DELETE, TRUNCATE, REFERENCES, TRIGGER')
				OR c.relkind <> 'i' AND has_any_column_privilege(ROLE, c.oid, 'INSERT, UPDATE, REFERENCES')
				OR has_any_column_privilege(ROLE, c.oid, 'SELECT') AND NOT (n.nspname = SCHEMA AND c.relkind = 'v'))`, ""},
		{"views that it may not read", `SELECT c.relname FROM pg_class c
			WHERE c.relnamespace = SCHEMA::regnamespace AND NOT has_table_privilege(ROLE, c.oid, 'SELECT')`, ""},
		{"things in its schema that are no view, or a view without a barrier, or not the owner's", `SELECT c.relname FROM pg_class c
			WHERE c.relnamespace = SCHEMA::regnamespace AND NOT (
				c.relkind = 'v' AND coalesce('security_barrier=true' = ANY (c.reloptions) OR 'security_barrier=on' = ANY (c.reloptions), false)
				AND c.relowner = (SELECT relowner FROM pg_class WHERE oid = 'public.signals'::regclass))`, ""},
		{"views that run with the rights of who asks", `SELECT c.relname FROM pg_class c
			WHERE c.relnamespace = SCHEMA::regnamespace AND 'security_invoker=true' = ANY (c.reloptions)`, ""},
		{"schemas that it may make things in", `SELECT n.nspname FROM pg_namespace n WHERE has_schema_privilege(ROLE, n.oid, 'CREATE')`, ""},
		{"schemas of ours that it may look into", `SELECT n.nspname FROM pg_namespace n WHERE ` + ours + ` AND n.nspname <> 'public' AND has_schema_privilege(ROLE, n.oid, 'USAGE')`, schema},
		{"databases that it may make things in", `SELECT datname FROM pg_database WHERE datname = current_database() AND has_database_privilege(ROLE, oid, 'CREATE, TEMPORARY')`, ""},
		{"roles that it is a member of", `SELECT r.rolname FROM pg_auth_members m JOIN pg_roles r ON r.oid = m.roleid WHERE m.member = ROLE::regrole`, ""},
		{"attributes", `SELECT rolname FROM pg_roles WHERE rolname = ROLE AND (rolsuper OR rolcreaterole OR rolcreatedb OR rolreplication OR rolbypassrls)`, ""},
		{"connection limit", `SELECT rolconnlimit::text FROM pg_roles WHERE rolname = ROLE`, "30"},
		{"settings", `SELECT unnest(setconfig) FROM pg_db_role_setting WHERE setrole = ROLE::regrole`,
			"default_transaction_read_only=on idle_in_transaction_session_timeout=10s jit=off row_security=off statement_timeout=5s"},
	} {
		rows, err := db.Query(t.Context(), fill(tt.sql))
		if err != nil {
			t.Fatal(err)
		}
		got, err := pgx.CollectRows(rows, pgx.RowTo[string])
		slices.Sort(got)
		if err != nil || strings.Join(got, " ") != tt.want {
			t.Errorf("%s: %q, %v; want %q", tt.what, got, err, tt.want)
		}
	}
}

func TestD4NoViewOfTheBoardNamesAPrice(t *testing.T) {
	db, _ := newBoard(t)
	rows, err := db.Query(t.Context(), `SELECT table_name || '.' || column_name FROM information_schema.columns
		WHERE table_schema = 'board' AND column_name ~* '(^|_)(px|price|notional|usd|wallet|wallet_id|address|entry|liq|liquidation|leverage|margin|pnl|value_usd)(_|$)'
			AND column_name <> 'wallet_count'`)
	if err != nil {
		t.Fatal(err)
	}
	if named, err := pgx.CollectRows(rows, pgx.RowTo[string]); err != nil || len(named) > 0 {
		t.Errorf("columns of the board: %q, %v", named, err)
	}
}
