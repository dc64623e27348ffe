package postgres_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/whalegate/whalegate/internal/postgres"
	"github.com/whalegate/whalegate/internal/postgres/pgtest"
	"github.com/whalegate/whalegate/internal/threshold"
)

// migrated migrates again, and returns what was not as it must be before, and after.
func migrated(t *testing.T, db *pgxpool.Pool) (before, after []string) {
	t.Helper()
	tampered := func() []string {
		t.Helper()
		found, err := postgres.Tampered(t.Context(), db)
		if err != nil {
			t.Fatal(err)
		}
		return texts(found)
	}
	before = tampered()
	conn, err := db.Acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Release()
	if _, missing, err := postgres.Migrate(t.Context(), conn.Conn(), ""); err != nil || len(missing) > 0 {
		t.Fatalf("%v %v", missing, err)
	}
	return before, tampered()
}

// Functions and views are put back after somebody changed them, in whatever way. What
// somebody else has made stays, and is named where it stands in the way of ours.
func TestTheDefinitionsArePutBack(t *testing.T) {
	for name, tt := range map[string]struct {
		sql           string
		before, after []string
	}{
		"the mask, by another body": {
			`CREATE OR REPLACE FUNCTION decision_surface() RETURNS TABLE (health_state text, judged_at timestamptz) LANGUAGE sql VOLATILE SECURITY DEFINER AS $$SELECT 'HEALTHY', now()$$`,
			[]string{"decision_surface() was changed: its settings are none"}, nil,
		},
		"whose rights it has":       {"ALTER FUNCTION board_health() SECURITY INVOKER", []string{"board_health() was changed: it runs with the rights of its caller (SECURITY INVOKER)"}, nil},
		"where it looks for names":  {"ALTER FUNCTION board_health() RESET ALL", []string{"board_health() was changed: its settings are none"}, nil},
		"a view":                    {"CREATE OR REPLACE VIEW board.playbook AS SELECT place, asset, is_degraded, 'Long-only' AS playbook FROM board.gate", []string{"board.playbook was changed"}, nil},
		"a view that is no barrier": {"ALTER VIEW board.gate RESET (security_barrier)", []string{"board.gate was changed"}, nil},
		"a view that is gone":       {"DROP VIEW ops.crash", []string{"ops.crash is missing"}, nil},
		"a view with other columns": {"DROP VIEW ops.crash; CREATE VIEW ops.crash AS SELECT 1 AS one", []string{"ops.crash was changed"}, nil},
		"a function with another result": {
			"DROP VIEW ops.locks CASCADE; DROP FUNCTION ops_waiting(); CREATE FUNCTION ops_waiting() RETURNS integer LANGUAGE sql AS 'SELECT 1'",
			[]string{
				"ops.database is missing", "ops.locks is missing", "ops_waiting() was changed: it runs with the rights of its caller (SECURITY INVOKER) and its settings are none",
				"ops_waiting(): PUBLIC can EXECUTE, which the definitions do not grant",
			}, nil,
		},
		"a clock that stands, as for a test":           {"CREATE OR REPLACE FUNCTION whalegate_now() RETURNS timestamptz LANGUAGE sql AS $$SELECT timestamptz '2026-03-01 12:00Z'$$", nil, nil},
		"a clock that runs, as for a test, and is set": {"CREATE OR REPLACE FUNCTION whalegate_now() RETURNS timestamptz LANGUAGE sql VOLATILE AS $$SELECT (SELECT timestamptz '2026-03-01T12:00:00.5Z' + (clock_timestamp() - timestamptz '2026-03-01T12:00:00.5Z') * 60) + interval '-1200000 milliseconds'$$", nil, nil},
		"a clock of somebody's":                        {"CREATE OR REPLACE FUNCTION whalegate_now() RETURNS timestamptz LANGUAGE sql AS $$SELECT least(clock_timestamp(), '2026-03-01 12:00Z')$$", []string{"whalegate_now() was changed"}, nil},
		"a function of somebody":                       {"CREATE FUNCTION theirs() RETURNS integer LANGUAGE sql AS 'SELECT 1'; CREATE VIEW ops.theirs AS SELECT 1 AS one", nil, nil},
		"a function in the place of ours": {
			"CREATE FUNCTION null_share_reasons(ingest_runs, integer) RETURNS text[] LANGUAGE sql AS $$SELECT '{}'::text[]$$",
			[]string{"null_share_reasons(ingest_runs,integer) was added beside ours"}, []string{"null_share_reasons(ingest_runs,integer) was added beside ours"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := pgtest.New(t)
			if _, err := db.Exec(t.Context(), tt.sql); err != nil {
				t.Fatal(err)
			}
			before, after := migrated(t, db)
			if !slices.Equal(before, tt.before) || !slices.Equal(after, tt.after) {
				t.Errorf("%q before it is migrated, and %q after", before, after)
			}
		})
	}
}

// What somebody else has built on a view that is to have other columns is not torn down:
// the migration says so, and nothing of it is applied.
func TestADefinitionThatOthersBuildOnIsNotDropped(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	if _, err := db.Exec(t.Context(), "DROP VIEW ops.crash; CREATE VIEW ops.crash AS SELECT 1 AS one; CREATE VIEW theirs AS SELECT * FROM ops.crash"); err != nil {
		t.Fatal(err)
	}
	conn, err := db.Acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Release()
	if _, _, err := postgres.Migrate(t.Context(), conn.Conn(), ""); err == nil || !strings.Contains(err.Error(), "other objects depend on") {
		t.Error(err)
	}
	var left int
	if err := db.QueryRow(t.Context(), "SELECT one FROM theirs").Scan(&left); err != nil || left != 1 {
		t.Error(left, err)
	}
}

// Whoever looks sees the same, wherever its names are looked for; and a server that words
// views in another way, because it was upgraded, is no tampering.
func TestNothingIsTamperedForAnotherReader(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	for name, sql := range map[string]string{
		"another search path": "SET search_path = ops, board, pg_catalog",
		"an upgraded server":  "UPDATE schema_definitions SET server = server - 1; UPDATE schema_objects SET digest = 'worded otherwise' WHERE object LIKE 'board.%'",
	} {
		conn, err := pgx.ConnectConfig(t.Context(), db.Config().ConnConfig.Copy())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
		if tampered, err := postgres.Tampered(t.Context(), conn); err != nil || len(tampered) > 0 {
			t.Errorf("%s: %q, %v", name, tampered, err)
		}
		if err := conn.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if _, after := migrated(t, db); len(after) > 0 {
		t.Errorf("%q after it was migrated", after)
	}
	var left int
	if err := db.QueryRow(t.Context(), "SELECT count(*) FROM schema_objects WHERE digest = 'worded otherwise'").Scan(&left); err != nil || left > 0 {
		t.Errorf("%d digests are of the server before, %v", left, err)
	}
}

// Every file of the schema is applied, tables stand in the numbered ones alone, and what
// reads them in the others.
func TestEveryFileOfTheSchemaIsApplied(t *testing.T) {
	for pattern, lacks := range map[string]string{"schema/*.sql": "CREATE TABLE", "schema/tables/*.sql": "FUNCTION"} {
		files, err := filepath.Glob(pattern)
		if err != nil || len(files) == 0 {
			t.Fatal(files, err)
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if strings.Contains(string(text), "\n"+lacks) || strings.Contains(string(text), "\nCREATE "+lacks) || strings.Contains(string(text), "\nCREATE OR REPLACE "+lacks) {
				t.Errorf("%s has a %s", file, lacks)
			}
			name := strings.TrimSuffix(filepath.Base(file), ".sql")
			if pattern == "schema/*.sql" && name != "grants" && !slices.Contains(postgres.DefinitionFiles, name) {
				t.Errorf("%s is never applied", file)
			}
		}
	}
}

// The clock of a test is put back as it was given, and gone when nobody gives it.
func TestTheClockOfATestIsPutBack(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	conn, err := db.Acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Release()
	const then = "SELECT timestamptz '2026-03-01 12:00Z'"
	for _, tt := range []struct {
		clock, tamper string
		stands        bool
	}{
		{then, "", true},
		{then, "CREATE OR REPLACE FUNCTION whalegate_now() RETURNS timestamptz LANGUAGE sql VOLATILE AS 'SELECT now()'", true},
		{"", "", false},
		{then, "", true},
	} {
		if _, err := db.Exec(t.Context(), tt.tamper); err != nil {
			t.Fatal(err)
		}
		if _, _, err := postgres.Migrate(t.Context(), conn.Conn(), tt.clock); err != nil {
			t.Fatal(err)
		}
		var stands bool
		if err := db.QueryRow(t.Context(), "SELECT whalegate_now() = '2026-03-01 12:00Z'").Scan(&stands); err != nil || stands != tt.stands {
			t.Errorf("%+v: %t, %v", tt, stands, err)
		}
	}
}

// What is stored with a run as clean, and by Go, is the same: the table has the figure in a
// column that is computed when a run is stored.
func TestARunIsCleanAsTheFigureSays(t *testing.T) {
	text, err := os.ReadFile("schema/tables/0001_tables.sql")
	if err != nil || !strings.Contains(string(text), fmt.Sprintf("coverage_pct >= %d) STORED", threshold.CoverageThin)) {
		t.Errorf("another figure needs a migration of ingest_runs.is_clean: %v", err)
	}
}
