package postgres_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/whalegate/whalegate/internal/facts"
	"github.com/whalegate/whalegate/internal/postgres"
	"github.com/whalegate/whalegate/internal/postgres/pgtest"
)

// hindered asks what keeps the service from its work.
func hindered(t *testing.T, db *pgxpool.Pool) []string {
	t.Helper()
	found, err := postgres.Hindered(t.Context(), db)
	if err != nil {
		t.Fatal(err)
	}
	return texts(found)
}

func texts(changes []facts.Change) (list []string) {
	for _, c := range changes {
		list = append(list, c.Text)
	}
	return list
}

// outsider makes a role that is none of ours, by a name of its own in the cluster.
func outsider(t *testing.T, db *pgxpool.Pool) string {
	t.Helper()
	var name string
	if err := db.QueryRow(t.Context(), "SELECT 'outsider_' || (SELECT oid FROM pg_database WHERE datname = current_database())").Scan(&name); err != nil {
		t.Fatal(err)
	}
	if _, err := db.Exec(t.Context(), "CREATE ROLE "+name); err != nil {
		t.Fatal(err)
	}
	return name
}

// Whoever owns what is ours, or may do with it what the definitions do not grant, is named;
// a migration puts back what our roles have, and never what others were granted.
func TestRightsThatNobodyGaveAreNamed(t *testing.T) {
	for name, tt := range map[string]struct {
		sql    string // {} is a role that is none of ours
		before []string
		stays  bool
	}{
		"nothing":                            {"SELECT 1", nil, false},
		"a table is read by another":         {"GRANT SELECT ON signals TO {}", []string{"signals: {} can SELECT, which the definitions do not grant"}, true},
		"a column of it":                     {"GRANT SELECT (asset) ON signals TO {}", []string{"signals: {} can SELECT (asset), which the definitions do not grant"}, true},
		"by a board":                         {"GRANT SELECT (allowed_playbook) ON signals TO whalegate_ops", []string{"signals: whalegate_ops can SELECT (allowed_playbook), which the definitions do not grant"}, false},
		"and handed on":                      {"GRANT SELECT ON signals TO whalegate_board WITH GRANT OPTION", []string{"signals: whalegate_board can SELECT WITH GRANT OPTION, which the definitions do not grant"}, false},
		"by everybody":                       {"GRANT SELECT, DELETE ON wallet_snapshots TO PUBLIC", []string{"wallet_snapshots: PUBLIC can DELETE, SELECT, which the definitions do not grant"}, false},
		"a view is":                          {"GRANT SELECT ON board.gate TO whalegate_ops", []string{"board.gate: whalegate_ops can SELECT, which the definitions do not grant"}, false},
		"a function is run by everybody":     {"GRANT EXECUTE ON FUNCTION supersede_minutes(timestamptz, timestamptz) TO PUBLIC", []string{"supersede_minutes(timestamp with time zone,timestamp with time zone): PUBLIC can EXECUTE, which the definitions do not grant"}, false},
		"a schema is written to":             {"GRANT CREATE ON SCHEMA public TO whalegate_board; GRANT USAGE ON SCHEMA ops TO {}", []string{"schema ops: {} can USAGE, which the definitions do not grant", "schema public: whalegate_board can CREATE, which the definitions do not grant"}, true},
		"a right more for the service":       {"GRANT INSERT ON schema_objects TO whalegate_writer", []string{"schema_objects: whalegate_writer can INSERT, which the definitions do not grant"}, false},
		"another owner of a table":           {"ALTER TABLE signals OWNER TO {}", []string{"signals: its owner is {}, not the owner"}, false},
		"of a view":                          {"ALTER VIEW ops.crash OWNER TO {}", []string{"ops.crash: its owner is {}, not the owner"}, false},
		"of a function":                      {"ALTER FUNCTION decision_surface() OWNER TO {}", []string{"decision_surface(): its owner is {}, not the owner"}, false},
		"a function with its owner's rights": {"ALTER FUNCTION null_share_reasons(ingest_runs, numeric) SECURITY DEFINER", []string{"null_share_reasons(ingest_runs,numeric) was changed: it runs with the rights of its owner (SECURITY DEFINER)"}, false},
		"another search path":                {"ALTER FUNCTION board_health() SET search_path = theirs, public", []string{"board_health() was changed: its settings are search_path=theirs, public"}, false},
		"a login that is a member":           {"GRANT whalegate_writer, whalegate_ops TO {}", nil, false},
		"what others have beside ours":       {"CREATE SCHEMA theirs; CREATE TABLE theirs.signals (a int); CREATE TABLE other (a int); CREATE VIEW theirs.gate AS SELECT 1 AS one; CREATE FUNCTION theirs.board_health() RETURNS int LANGUAGE sql AS 'SELECT 1'; GRANT ALL ON other, theirs.signals TO {}, PUBLIC; GRANT ALL ON SCHEMA theirs TO {}; GRANT USAGE ON SCHEMA public TO {}", nil, false},
		"a day that was made":                {"SELECT ensure_snapshot_partitions('2031-01-01', '2031-01-02')", nil, false},
		"and is read":                        {"SELECT ensure_snapshot_partitions('2031-01-01', '2031-01-02'); GRANT SELECT ON wallet_snapshots_20310101 TO {}, whalegate_board", []string{"wallet_snapshots_20310101: {} can SELECT, which the definitions do not grant", "wallet_snapshots_20310101: whalegate_board can SELECT, which the definitions do not grant"}, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := pgtest.New(t)
			other := outsider(t, db)
			if _, err := db.Exec(t.Context(), strings.ReplaceAll(tt.sql, "{}", other)); err != nil {
				t.Fatal(err)
			}
			before, after := migrated(t, db)
			var want, stays []string
			for _, line := range tt.before {
				want = append(want, strings.ReplaceAll(line, "{}", other))
				if tt.stays && strings.Contains(line, "{}") {
					stays = append(stays, strings.ReplaceAll(line, "{}", other))
				}
			}
			if !slices.Equal(before, want) || !slices.Equal(after, stays) {
				t.Errorf("%q before it is migrated, want %q; and %q after, want %q", before, want, after, stays)
			}
			if found := hindered(t, db); len(found) > 0 {
				t.Errorf("hindered: %q", found)
			}
		})
	}
}

// What changes what is stored, or keeps the service from its work, is named; a migration
// gives rights back, and leaves to a person what else somebody has made.
func TestWhatHindersTheServiceIsNamed(t *testing.T) {
	const function = "CREATE FUNCTION theirs() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';"
	for name, tt := range map[string]struct {
		sql    string
		want   []string
		mended bool
	}{
		"nothing":              {"SELECT 1", nil, true},
		"a trigger":            {function + "CREATE TRIGGER swallow BEFORE INSERT ON signals FOR EACH ROW EXECUTE FUNCTION theirs()", []string{"signals: trigger swallow was added"}, false},
		"one of a day":         {"SELECT ensure_snapshot_partitions('2031-01-01', '2031-01-01');" + function + "CREATE TRIGGER swallow BEFORE INSERT ON wallet_snapshots_20310101 FOR EACH ROW EXECUTE FUNCTION theirs()", []string{"wallet_snapshots_20310101: trigger swallow was added"}, false},
		"foreign keys are off": {"ALTER TABLE signal_positioning DISABLE TRIGGER ALL", []string{"signal_positioning: 2 of its triggers that hold foreign keys and constraints are disabled"}, false},
		"a rule":               {"CREATE RULE nothing AS ON DELETE TO qa_events DO INSTEAD NOTHING", []string{"qa_events: rule nothing was added"}, false},
		"row security":         {"ALTER TABLE signals ENABLE ROW LEVEL SECURITY; CREATE POLICY partly ON signals USING (asset = 'BTC')", []string{"signals: policy partly was added", "signals: row security is on"}, false},
		"rights are gone":      {"REVOKE INSERT, DELETE ON signals FROM whalegate_writer", []string{"signals: whalegate_writer can no longer DELETE, INSERT"}, true},
		"a schema is closed":   {"REVOKE USAGE ON SCHEMA board FROM whalegate_board", []string{"schema board: whalegate_board can no longer USAGE"}, true},
		"of others":            {function + "CREATE TABLE other (a int); CREATE TRIGGER swallow BEFORE INSERT ON other FOR EACH ROW EXECUTE FUNCTION theirs(); ALTER TABLE other ENABLE ROW LEVEL SECURITY", nil, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := pgtest.New(t)
			if _, err := db.Exec(t.Context(), tt.sql); err != nil {
				t.Fatal(err)
			}
			if found := hindered(t, db); !slices.Equal(found, tt.want) {
				t.Errorf("%q, want %q", found, tt.want)
			}
			if before, _ := migrated(t, db); len(before) > 0 {
				t.Errorf("tampered: %q", before)
			}
			if found := hindered(t, db); tt.mended != (len(found) == 0) {
				t.Errorf("after a migration: %q", found)
			}
		})
	}
}

// A dump that somebody else restored belongs to somebody else as a whole.
func TestARestoredDumpOfAnotherOwnerIsNoTampering(t *testing.T) {
	t.Parallel()
	db, err := postgres.Open(t.Context(), pgtest.Leaderless(t), "test") // a leader holds one of the views
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(db.Close)
	other := outsider(t, db)
	_, err = db.Exec(t.Context(), fmt.Sprintf(`
		DO $$
		DECLARE
			what text;
		BEGIN
			FOR what IN
				SELECT format('%%s %%I.%%I', CASE c.relkind WHEN 'v' THEN 'VIEW' ELSE 'TABLE' END, n.nspname, c.relname)
				FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname IN ('public', 'facts', 'board', 'ops') AND c.relkind IN ('r', 'p', 'v')
				UNION ALL SELECT 'FUNCTION ' || p.oid::regprocedure FROM pg_proc p WHERE p.pronamespace IN ('public'::regnamespace, 'facts'::regnamespace)
				UNION ALL SELECT 'SCHEMA ' || n FROM unnest('{facts,board,ops}'::text[]) n
			LOOP
				EXECUTE 'ALTER ' || what || ' OWNER TO %s';
			END LOOP;
		END
		$$`, other))
	if err != nil {
		t.Fatal(err)
	}
	if before, after := migrated(t, db); len(before) > 0 || len(after) > 0 {
		t.Errorf("%q, and %q after", before, after)
	}
}

// Whatever the names are, the statement that is told with a change takes it back.
func TestWhatWasDoneIsTakenBackByItsStatement(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	other := outsider(t, db)
	for _, sql := range []string{
		"CREATE FUNCTION theirs() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'", `CREATE TRIGGER "sw""a $(id)" BEFORE INSERT ON signals FOR EACH ROW EXECUTE FUNCTION theirs()`,
		`CREATE RULE "no'thing" AS ON DELETE TO qa_events DO INSTEAD NOTHING`, `ALTER TABLE halts ENABLE ROW LEVEL SECURITY; CREATE POLICY "p` + "`" + `" ON halts`, "ALTER TABLE alerts FORCE ROW LEVEL SECURITY",
		"ALTER TABLE signal_positioning DISABLE TRIGGER ALL", "GRANT SELECT (asset), DELETE ON signals TO " + other, "GRANT USAGE ON SCHEMA ops TO " + other + " WITH GRANT OPTION",
		"GRANT EXECUTE ON FUNCTION board_health() TO " + other, `CREATE FUNCTION public.board_health("$(id)" integer) RETURNS integer LANGUAGE sql AS 'SELECT 1'`, "CREATE FUNCTION facts.beat_old(integer) RETURNS integer LANGUAGE sql AS 'SELECT 1'",
	} {
		if _, err := db.Exec(t.Context(), sql); err != nil {
			t.Fatal(sql, err)
		}
	}
	tampered, err := postgres.Tampered(t.Context(), db)
	if err != nil {
		t.Fatal(err)
	}
	found, err := postgres.Hindered(t.Context(), db)
	if err != nil {
		t.Fatal(err)
	}
	if len(tampered) != 5 || len(found) != 6 {
		t.Errorf("%q\n%q", texts(tampered), texts(found))
	}
	for _, c := range append(tampered, found...) {
		if _, err := db.Exec(t.Context(), c.Undo); err != nil || c.Undo == "" {
			t.Errorf("%s: %q: %v", c.Text, c.Undo, err)
		}
	}
	if tampered, _ = postgres.Tampered(t.Context(), db); len(tampered) > 0 || len(hindered(t, db)) > 0 {
		t.Errorf("it is not taken back: %q %q", texts(tampered), hindered(t, db))
	}
}

// The login of the service, which may change none of it, sees the same.
func TestTheServiceSeesWhatWasTampered(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	if _, err := db.Exec(t.Context(), "GRANT SELECT ON signals TO whalegate_ops; ALTER TABLE signals ENABLE ROW LEVEL SECURITY"); err != nil {
		t.Fatal(err)
	}
	writer := pgtest.As(t, db, "whalegate_writer")
	tampered, err := postgres.Tampered(t.Context(), writer)
	if err != nil || !slices.Equal(texts(tampered), []string{"signals: whalegate_ops can SELECT, which the definitions do not grant"}) {
		t.Errorf("%q, %v", tampered, err)
	}
	if found := hindered(t, writer); !slices.Equal(found, []string{"signals: row security is on"}) {
		t.Errorf("%q", found)
	}
	if _, err := writer.Exec(t.Context(), "DELETE FROM schema_rights"); err == nil {
		t.Error("it may change what the rights are compared with")
	}
}
