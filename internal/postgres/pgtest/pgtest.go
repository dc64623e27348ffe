// Package pgtest hands each test a migrated database of its own, on a real
// PostgreSQL server that is started for the test binary and ends with it.
package pgtest

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/whalegate/whalegate/internal/postgres"
	"github.com/whalegate/whalegate/internal/postgres/server"
)

const template = "whalegate_template"

var (
	cluster = sync.OnceValues(startCluster)
	started atomic.Pointer[server.Server]
	folder  string
	serial  atomic.Int64
)

// Main is to be called by TestMain of every package that uses New. It returns
// the exit code.
func Main(m *testing.M) int {
	code := m.Run()
	if s := started.Load(); s != nil {
		if err := s.Kill(); err != nil { // the data is thrown away
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
		if err := os.RemoveAll(folder); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
	}
	return code
}

// Settings make a throw-away server fast: nothing of it has to survive.
func Settings() map[string]string {
	return map[string]string{"fsync": "off", "full_page_writes": "off", "synchronous_commit": "off", "shared_buffers": "64MB", "max_connections": "200"}
}

func startCluster() (*server.Server, error) {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "whalegate-pgtest-")
	if err != nil {
		return nil, err
	}
	folder = dir
	if err := os.Chmod(dir, 0o711); err != nil { // the server's user has to pass through
		return nil, err
	}
	s, err := server.Start(ctx, server.Config{Dir: dir + "/data", Settings: Settings()})
	if err != nil {
		return nil, err
	}
	started.Store(s)
	if err := Prepare(ctx, s, template); err != nil {
		return nil, err
	}
	if err := execute(ctx, s.URL(server.Superuser, template), standingBeat); err != nil {
		return nil, err
	}
	return s, nil
}

// Epoch and Holder are of the collector that leads each test's database, so that a
// state can be HEALTHY: a row, and a session that holds the lock.
const (
	Epoch  = 1
	Holder = "00000000-0000-4000-8000-000000000001"
)

// The beat's clock stands at its only beat.
const standingBeat = `
	CREATE OR REPLACE FUNCTION beat_now() RETURNS timestamptz LANGUAGE sql VOLATILE AS $$SELECT timestamptz '2026-01-01 00:00Z'$$;
	INSERT INTO collector_beat (epoch, beats, beat_at, run_age_seconds) VALUES (1, 1, '2026-01-01 00:00Z', 0);
	INSERT INTO collector_leader (epoch, holder, host) VALUES (1, '` + Holder + `', 'test')`

// lead makes a session hold the lock of the database's leader until the test ends.
func lead(t testing.TB, address string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), address)
	for _, sql := range []string{"UPDATE collector_leader SET pid = pg_backend_pid()", "BEGIN", "LOCK TABLE leader_lock IN SHARE UPDATE EXCLUSIVE MODE"} {
		if err == nil {
			_, err = conn.Exec(t.Context(), sql)
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) }) // the database goes with it
}

// Prepare makes a migrated database on s, with roles that may log in.
func Prepare(ctx context.Context, s *server.Server, database string) error {
	if err := execute(ctx, s.URL(server.Superuser, "postgres"), "CREATE DATABASE "+pgx.Identifier{database}.Sanitize()); err != nil {
		return err
	}
	conn, err := pgx.Connect(ctx, s.URL(server.Superuser, database))
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	if _, _, err := postgres.Migrate(ctx, conn, ""); err != nil {
		return err
	}
	for _, role := range postgres.Roles {
		if _, err := conn.Exec(ctx, "ALTER ROLE "+role.Name+" LOGIN"); err != nil {
			return err
		}
	}
	_, err = conn.Exec(ctx, "UPDATE schema_definitions SET test_clock = 'set by a test'") // to move a clock is not to tamper
	return err
}

func execute(ctx context.Context, url, sql string) error {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	_, err = conn.Exec(ctx, sql)
	return err
}

// URL makes a migrated database for the test, in which a collector leads, and
// returns its address as the superuser.
func URL(t testing.TB) string {
	t.Helper()
	address := Leaderless(t)
	lead(t, address)
	return address
}

// Leaderless is as URL, but nobody holds the lock.
func Leaderless(t testing.TB) string {
	t.Helper()
	s, err := cluster()
	if err != nil {
		t.Fatal(err)
	}
	name := fmt.Sprintf("test_%d", serial.Add(1))
	admin := s.URL(server.Superuser, "postgres")
	if err := execute(t.Context(), admin, "CREATE DATABASE "+name+" TEMPLATE "+template); err != nil {
		t.Fatal(err)
	}
	address := s.URL(server.Superuser, name)
	// Rights on the database itself are not copied from a template.
	if err := execute(t.Context(), address, "REVOKE TEMPORARY, CREATE ON DATABASE "+name+" FROM PUBLIC"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := execute(context.Background(), admin, "DROP DATABASE "+name+" WITH (FORCE)"); err != nil {
			t.Error(err)
		}
	})
	return address
}

// New makes a migrated database for the test and a pool on it as the superuser.
func New(t testing.TB) *pgxpool.Pool {
	t.Helper()
	return connect(t, URL(t))
}

// As opens a pool on the same database as another role.
func As(t testing.TB, pool *pgxpool.Pool, role string) *pgxpool.Pool {
	t.Helper()
	address, err := url.Parse(pool.Config().ConnString())
	if err != nil {
		t.Fatal(err)
	}
	address.User = url.User(role)
	return connect(t, address.String())
}

func connect(t testing.TB, address string) *pgxpool.Pool {
	t.Helper()
	pool, err := postgres.Open(t.Context(), address, "test")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	return pool
}

// SetClock makes the database's clock stand at a given instant, formatted as
// PostgreSQL reads it, until it is set again.
func SetClock(t testing.TB, pool *pgxpool.Pool, instant string) {
	t.Helper()
	sql := fmt.Sprintf("CREATE OR REPLACE FUNCTION whalegate_now() RETURNS timestamptz LANGUAGE sql VOLATILE AS $$SELECT timestamptz '%s'$$", instant)
	if _, err := pool.Exec(t.Context(), sql); err != nil {
		t.Fatal(err)
	}
}
