package postgres_test

import (
	"context"
	"errors"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/whalegate/whalegate/internal/postgres"
	"github.com/whalegate/whalegate/internal/postgres/pgtest"
)

func TestMain(m *testing.M) { os.Exit(pgtest.Main(m)) }

func TestMigrateIsIdempotentAndSafeTogether(t *testing.T) {
	pool := pgtest.New(t)
	if err := postgres.CheckSchema(t.Context(), pool); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			conn, err := pgx.Connect(context.Background(), pool.Config().ConnString())
			if err != nil {
				t.Error(err)
				return
			}
			defer conn.Close(context.Background())
			applied, _, err := postgres.Migrate(context.Background(), conn, "")
			if err != nil || len(applied) > 0 {
				t.Errorf("a current schema: applied %d, %v", len(applied), err)
			}
		})
	}
	wg.Wait()
}

func TestCheckSchemaNamesWhatIsWrong(t *testing.T) {
	for _, tt := range []struct{ name, sql, want string }{
		{"an old schema", "DELETE FROM schema_migrations", "migration 1 (tables) is pending: run whalegate migrate"},
		{"no schema", "DROP TABLE schema_migrations", "migration 1 (tables) is pending"},
		{"of before the first release", "UPDATE schema_migrations SET name = 'ingestion', checksum = 'x'", "nothing upgrades it: make a new one"},
		{"functions of another version", "UPDATE schema_definitions SET checksum = 'x'", "functions and views are those of another version of this program: run whalegate migrate"},
		{"a schema from the future", "INSERT INTO schema_migrations VALUES (99, 'later', '')", "use the newer program"},
		{"another text", "UPDATE schema_migrations SET checksum = 'x' WHERE version = 1", "migration 1 (tables) was applied with another text"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			pool := pgtest.New(t)
			if _, err := pool.Exec(t.Context(), tt.sql); err != nil {
				t.Fatal(err)
			}
			err := postgres.CheckSchema(t.Context(), pool)
			if !errors.Is(err, postgres.ErrSchema) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("CheckSchema = %v, want %q", err, tt.want)
			}
		})
	}
}

func TestUnreachableIsToldFromAnAnswer(t *testing.T) {
	pool, err := postgres.Open(t.Context(), "postgres://nobody:secret@127.0.0.1:1/none", "test")
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	if err := postgres.CheckSchema(t.Context(), pool); !errors.Is(err, postgres.ErrUnreachable) || strings.Contains(err.Error(), "secret") {
		t.Errorf("a closed port: %v", err)
	}
	db := pgtest.New(t)
	_, err = db.Exec(t.Context(), "SELECT 1/0")
	if got := postgres.Cause(err); errors.Is(got, postgres.ErrUnreachable) {
		t.Errorf("an answer of the server counts as unreachable: %v", got)
	}
	_, err = db.Exec(t.Context(), "DO $$ BEGIN RAISE 'no space' USING ERRCODE = 'disk_full'; END $$")
	if got := postgres.Cause(postgres.Cause(err)); errors.Is(got, postgres.ErrUnreachable) || !errors.Is(got, postgres.ErrDiskFull) || strings.Count(got.Error(), "disk_full") != 1 {
		t.Errorf("a full disk: %v", got)
	}
}

func TestOpenHidesThePassword(t *testing.T) {
	for _, address := range []string{"postgres://u:s3cret@host:port/db", "host=x password=s3cret port=y", "s3cret"} {
		if _, err := postgres.Open(t.Context(), address, "test"); err == nil || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("Open(%q) = %v", address, err)
		}
	}
	if got := postgres.Redact("postgres://u:s3cret@host:5432/db?password=s3cret"); got != "postgres://u@host:5432/db" {
		t.Errorf("Redact = %s", got)
	}
}

// Each role can do its work and nothing beside it.
func TestRolesHaveTheLeastRights(t *testing.T) {
	pool := pgtest.New(t)
	const denied = "42501"
	for _, tt := range []struct {
		role, sql string
		allowed   bool
	}{
		{"whalegate_writer", "INSERT INTO health_transitions (ts, from_state, to_state, reasons) VALUES (now(), 'STALE', 'HEALTHY', '{}')", true},
		{"whalegate_writer", "SELECT ensure_snapshot_partitions('2026-01-01', '2026-01-02')", true},
		{"whalegate_writer", "SELECT drop_snapshot_partitions('2026-01-02')", true},
		{"whalegate_writer", "SELECT * FROM ingest_health", true},
		{"whalegate_writer", "CREATE TABLE t ()", false},
		{"whalegate_writer", "CREATE TEMP TABLE t ()", false},
		{"whalegate_writer", "DROP TABLE halts", false},
		{"whalegate_writer", "UPDATE schema_migrations SET checksum = ''", false},
		{"whalegate_writer", "CREATE OR REPLACE FUNCTION whalegate_now() RETURNS timestamptz LANGUAGE sql AS 'SELECT now()'", false},
		{"whalegate_watchdog", "SELECT * FROM ingest_health", true},
		{"whalegate_watchdog", "SELECT * FROM alert_state FOR UPDATE", true},
		{"whalegate_watchdog", "SELECT * FROM wallet_snapshots", false},
		{"whalegate_watchdog", "SELECT * FROM signals", false},
		{"whalegate_board", "SELECT * FROM board.health", true},
		{"whalegate_board", "SELECT * FROM public.ingest_health", false},
		{"whalegate_board", "SELECT * FROM public.signals", false},
		{"whalegate_board", "SELECT * FROM public.wallet_snapshots", false},
		{"whalegate_board", "SELECT * FROM ops.health", false},
		{"whalegate_board", "SELECT public.whalegate_now()", false},
		{"whalegate_board", "SET TRANSACTION READ WRITE; CREATE TEMP TABLE t ()", false},
		{"whalegate_board", "SELECT pg_advisory_lock(1)", false}, // it could block the collector
		{"whalegate_board", "SELECT pg_try_advisory_xact_lock_shared(1, 2)", false},
		{"whalegate_board", "SET default_transaction_read_only = off; SELECT lo_from_bytea(0, 'kept')", false},
		{"whalegate_ops", "SELECT pg_advisory_lock(1)", false},
		{"whalegate_board", "SELECT pg_logical_emit_message(true, '', '')", false}, // a transaction's number, and a lock, for each savepoint
		{"whalegate_ops", "SELECT pg_logical_emit_message(true, '', '')", false},
		{"whalegate_writer", "SELECT pg_advisory_xact_lock(1)", true},
		{"whalegate_ops", "SELECT * FROM ops.health", true},
		{"whalegate_ops", "SELECT * FROM public.signals", false},
		{"whalegate_ops", "SELECT * FROM board.health", false},
	} {
		_, err := pgtest.As(t, pool, tt.role).Exec(t.Context(), tt.sql)
		var answer *pgconn.PgError
		switch {
		case tt.allowed && err != nil:
			t.Errorf("%s may not: %s: %v", tt.role, tt.sql, err)
		case !tt.allowed && (!errors.As(err, &answer) || answer.Code != denied):
			t.Errorf("%s may: %s: %v", tt.role, tt.sql, err)
		}
	}
}

func TestReadersAreHeldShort(t *testing.T) {
	pool := pgtest.New(t)
	for _, role := range []string{"whalegate_board", "whalegate_ops"} {
		for setting, want := range map[string]string{"statement_timeout": "5s", "default_transaction_read_only": "on"} {
			var got string
			if err := pgtest.As(t, pool, role).QueryRow(t.Context(), "SHOW "+setting).Scan(&got); err != nil || got != want {
				t.Errorf("%s: %s = %q, %v; want %s", role, setting, got, err, want)
			}
		}
	}
}

// A role can change its own settings, so a viewer with a hand-made query can
// close the board for everybody; migrating again opens it.
func TestMigrateRenewsWhatAViewerBent(t *testing.T) {
	pool := pgtest.New(t)
	if _, err := pgtest.As(t, pool, "whalegate_ops").Exec(t.Context(), "SET transaction_read_only = off; ALTER ROLE CURRENT_USER IN DATABASE "+pool.Config().ConnConfig.Database+" SET lock_timeout = '1ms'; ALTER ROLE CURRENT_USER SET statement_timeout = 0"); err != nil {
		t.Fatal(err)
	}
	conn, err := pool.Acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Release()
	if _, _, err := postgres.Migrate(t.Context(), conn.Conn(), ""); err != nil {
		t.Fatal(err)
	}
	for setting, want := range map[string]string{"statement_timeout": "5s", "lock_timeout": "0", "default_transaction_read_only": "on"} {
		var got string
		if err := pgtest.As(t, pool, "whalegate_ops").QueryRow(t.Context(), "SHOW "+setting).Scan(&got); err != nil || got != want {
			t.Errorf("%s = %q, %v; want %s", setting, got, err, want)
		}
	}
}

func TestMigrateWithoutTheRightPrintsTheStatements(t *testing.T) {
	saved := postgres.Roles
	t.Cleanup(func() { postgres.Roles = saved })
	postgres.Roles = append([]postgres.Role{postgres.NewRole("whalegate_absent", "nothing works")}, saved...)
	_, missing, err := postgres.Migrate(t.Context(), owned(t, "plain_owner")("plain_owner"), "")
	if err != nil || len(missing) != 1 || !strings.HasPrefix(missing[0], "CREATE ROLE whalegate_absent NOLOGIN; -- without it, nothing works") {
		t.Errorf("Migrate = %q, %v", missing, err)
	}
}

// owned makes an empty database of a new role's, and returns how to connect to it.
func owned(t *testing.T, owner string) func(user string) *pgx.Conn {
	t.Helper()
	pool := pgtest.New(t)
	name := pool.Config().ConnConfig.Database + "_owned"
	do := func(ctx context.Context, statements ...string) {
		for _, sql := range statements {
			if _, err := pool.Exec(ctx, sql); err != nil {
				t.Fatal(err)
			}
		}
	}
	do(t.Context(), "CREATE ROLE "+owner+" LOGIN", "CREATE DATABASE "+name+" OWNER "+owner)
	t.Cleanup(func() { do(context.Background(), "DROP DATABASE "+name+" WITH (FORCE)", "DROP ROLE "+owner) })
	return func(user string) *pgx.Conn {
		config := pool.Config().ConnConfig.Copy()
		config.User, config.Database = user, name
		conn, err := pgx.ConnectConfig(t.Context(), config)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close(context.Background()) })
		return conn
	}
}

// An owner without a superuser's rights can migrate too: before a superuser
// ever did, and after.
func TestAnOrdinaryOwnerCanMigrate(t *testing.T) {
	connect := owned(t, "ordinary_owner")
	for _, user := range []string{"ordinary_owner", "postgres", "ordinary_owner"} {
		if _, missing, err := postgres.Migrate(t.Context(), connect(user), ""); err != nil || len(missing) > 0 {
			t.Errorf("migrate as %s: %q, %v", user, missing, err)
		}
	}
}

func TestPartitionsComeAndGoByDay(t *testing.T) {
	pool := pgtest.New(t)
	ctx := t.Context()
	count := func(sql string) (n int) {
		t.Helper()
		if err := pool.QueryRow(ctx, sql).Scan(&n); err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
		return n
	}
	if made := count("SELECT ensure_snapshot_partitions('2026-02-27', '2026-03-02')"); made != 4 {
		t.Errorf("made %d days, want 4", made)
	}
	if made := count("SELECT ensure_snapshot_partitions('2026-02-27', '2026-03-02')"); made != 0 {
		t.Errorf("made %d days again", made)
	}
	const insert = `INSERT INTO wallet_snapshots (timestamp, wallet_id, asset, ingest_run_id)
		SELECT m, '0x1', 'BTC', 1 FROM generate_series(timestamptz '2026-02-27 00:00Z', '2026-03-02 23:59Z', '1 hour') m`
	if _, err := pool.Exec(ctx, insert); err != nil {
		t.Fatal(err)
	}
	if dropped := count("SELECT drop_snapshot_partitions('2026-03-01 23:59Z')"); dropped != 2 {
		t.Errorf("dropped %d days, want the two that had ended", dropped)
	}
	if left := count("SELECT count(*) FROM wallet_snapshots"); left != 48 {
		t.Errorf("%d rows left, want 48", left)
	}
	// What operators do by hand works.
	for _, sql := range []string{
		"UPDATE wallet_snapshots SET is_dirty = true, dirty_reason = 'by hand' WHERE timestamp < '2026-03-01 05:00Z'",
		"DELETE FROM wallet_snapshots WHERE timestamp < '2026-03-01 05:00Z'",
	} {
		if tag, err := pool.Exec(ctx, sql); err != nil || tag.RowsAffected() != 5 {
			t.Errorf("%s: %s, %v", sql, tag, err)
		}
	}
}

func TestS1SnapshotsOffTheMinuteAreRefusedByTheTable(t *testing.T) {
	pool := pgtest.New(t)
	if _, err := pool.Exec(t.Context(), "SELECT ensure_snapshot_partitions('2026-03-01', '2026-03-01')"); err != nil {
		t.Fatal(err)
	}
	_, err := pool.Exec(t.Context(), "INSERT INTO wallet_snapshots (timestamp, wallet_id, asset, ingest_run_id) VALUES ('2026-03-01 00:00:00.4Z', '0x1', 'BTC', 1)")
	var answer *pgconn.PgError
	if !errors.As(err, &answer) || answer.ConstraintName != "on_a_minute" {
		t.Errorf("a row off the minute: %v", err)
	}
}

// What a person set for the database does not change how the service's transactions see
// what others commit.
func TestOpenSettlesWhatTransactionsRelyOn(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	if _, err := db.Exec(t.Context(), "DO $$BEGIN EXECUTE format('ALTER DATABASE %I SET default_transaction_isolation = ''serializable''', current_database()); EXECUTE format('ALTER DATABASE %I SET default_transaction_deferrable = on', current_database()); EXECUTE format('ALTER DATABASE %I SET search_path = pg_catalog', current_database()); EXECUTE format('ALTER DATABASE %I SET statement_timeout = 50', current_database()); EXECUTE format('ALTER DATABASE %I SET lock_timeout = 20', current_database()); EXECUTE format('ALTER DATABASE %I SET idle_session_timeout = 500', current_database()); EXECUTE format('ALTER DATABASE %I SET synchronous_commit = off', current_database()); END$$"); err != nil {
		t.Fatal(err)
	}
	pool, err := postgres.Open(t.Context(), db.Config().ConnString(), "test")
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	var got []string
	err = pool.QueryRow(t.Context(), `SELECT array_agg(current_setting(name) ORDER BY n)
		FROM unnest('{transaction_isolation,transaction_deferrable,idle_in_transaction_session_timeout,search_path,statement_timeout,lock_timeout,idle_session_timeout,synchronous_commit}'::text[]) WITH ORDINALITY s (name, n)`).Scan(&got)
	if want := []string{"read committed", "off", "1min", "public", "0", "0", "0", "on"}; err != nil || !slices.Equal(got, want) {
		t.Errorf("%q, %v", got, err)
	}
}

// A row that somebody's policy hides is an error to the service, whichever table it is in: a
// halt in force that it does not see would be over, and a wallet that it does not see flat.
func TestNothingIsHiddenFromTheService(t *testing.T) {
	t.Parallel()
	owner := pgtest.New(t)
	for _, role := range []string{"whalegate_writer", "whalegate_watchdog"} {
		rows, err := owner.Query(t.Context(), `SELECT c.oid::regclass::text FROM pg_class c
			WHERE c.relkind IN ('r', 'p') AND c.relnamespace = 'public'::regnamespace AND has_any_column_privilege($1, c.oid, 'SELECT')`, role)
		if err != nil {
			t.Fatal(err)
		}
		tables, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil {
			t.Fatal(err)
		}
		if role == "whalegate_writer" && len(tables) < 10 {
			t.Errorf("%s reads only %q", role, tables)
		}
		pool := pgtest.As(t, owner, role)
		for _, table := range tables {
			if _, err := owner.Exec(t.Context(), "ALTER TABLE "+table+" ENABLE ROW LEVEL SECURITY"); err != nil {
				t.Fatal(err)
			}
			if _, err := pool.Exec(t.Context(), "SELECT count(*) FROM "+table); err == nil {
				t.Errorf("%s sees nothing wrong with %s", role, table)
			}
			if _, err := owner.Exec(t.Context(), "ALTER TABLE "+table+" DISABLE ROW LEVEL SECURITY"); err != nil {
				t.Fatal(err)
			}
			if _, err := pool.Exec(t.Context(), "SELECT count(*) FROM "+table); err != nil {
				t.Errorf("without it: %v", err)
			}
		}
	}
}
