package postgres

import (
	"context"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

//go:embed migrations/*.sql
var migrationFiles embed.FS

// ErrSchema is wrapped by errors that say that the database's schema is not the
// one of this program.
var ErrSchema = errors.New("schema not current")

// ErrNewer is the ErrSchema of a database that a newer program has migrated.
var ErrNewer = fmt.Errorf("%w", ErrSchema)

// migrationLock is the advisory lock under which migrations run.
const migrationLock = 0x77686c67 // "whlg"

// Migration is one numbered step of the schema.
type Migration struct {
	Version  int       `json:"version"`
	Name     string    `json:"name"`
	Checksum string    `json:"checksum"`
	Applied  time.Time `json:"applied_at,omitzero"` // zero: pending

	sql string
}

// Migrations lists the steps that this program knows, in order.
func Migrations() []Migration {
	entries, err := migrationFiles.ReadDir("migrations")
	if err != nil {
		panic(err) // embedded at build time
	}
	migrations := make([]Migration, 0, len(entries))
	for i, entry := range entries {
		body, err := migrationFiles.ReadFile("migrations/" + entry.Name())
		if err != nil {
			panic(err)
		}
		number, name, _ := strings.Cut(strings.TrimSuffix(entry.Name(), ".sql"), "_")
		if version, err := strconv.Atoi(number); err != nil || version != i+1 {
			panic(fmt.Sprintf("migration %s is not number %d", entry.Name(), i+1))
		}
		sum := sha256.Sum256(body)
		migrations = append(migrations, Migration{Version: i + 1, Name: name, Checksum: hex.EncodeToString(sum[:8]), sql: string(body)})
	}
	return migrations
}

// querier is what reading the schema's state needs: a connection, a pool or a
// transaction.
type querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

// SchemaStatus lists every migration with when it was applied. The error wraps
// ErrSchema when the database holds a migration that this program does not
// know, or another text of one that it does.
func SchemaStatus(ctx context.Context, db querier) ([]Migration, error) {
	migrations := Migrations()
	var exists bool
	if err := db.QueryRow(ctx, "SELECT to_regclass('public.schema_migrations') IS NOT NULL").Scan(&exists); err != nil {
		return nil, fmt.Errorf("look for schema_migrations: %w", Cause(err))
	}
	if !exists {
		return migrations, nil
	}
	rows, err := db.Query(ctx, "SELECT version, name, checksum, applied_at FROM schema_migrations ORDER BY version")
	if err != nil {
		return nil, fmt.Errorf("read schema_migrations: %w", Cause(err))
	}
	applied, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (m Migration, err error) {
		return m, row.Scan(&m.Version, &m.Name, &m.Checksum, &m.Applied)
	})
	if err != nil {
		return nil, fmt.Errorf("read schema_migrations: %w", Cause(err))
	}
	for _, m := range applied {
		switch {
		case m.Version > len(migrations):
			return nil, fmt.Errorf("%w: the database has migration %d (%s), this program knows %d: use the newer program",
				ErrNewer, m.Version, m.Name, len(migrations))
		case migrations[m.Version-1].Checksum != m.Checksum:
			return nil, fmt.Errorf("%w: migration %d (%s) was applied with another text than this program's",
				ErrSchema, m.Version, m.Name)
		}
		migrations[m.Version-1].Applied = m.Applied.UTC()
	}
	return migrations, nil
}

// CheckSchema returns nil when every migration has been applied, and an error
// that wraps ErrSchema and says what to do when not.
func CheckSchema(ctx context.Context, db querier) error {
	migrations, err := SchemaStatus(ctx, db)
	if err != nil {
		return err
	}
	for _, m := range migrations {
		if m.Applied.IsZero() {
			return fmt.Errorf("%w: migration %d (%s) is pending: run whalegate migrate", ErrSchema, m.Version, m.Name)
		}
	}
	return nil
}

// Migrate applies what is pending, each step in a transaction of its own, and
// returns it. Two processes that migrate at once do it one after the other.
func Migrate(ctx context.Context, conn *pgx.Conn) (applied []Migration, err error) {
	if _, err := conn.Exec(ctx, "SELECT pg_advisory_lock($1)", migrationLock); err != nil {
		return nil, fmt.Errorf("take the migration lock: %w", Cause(err))
	}
	defer func() {
		_, unlockErr := conn.Exec(context.WithoutCancel(ctx), "SELECT pg_advisory_unlock($1)", migrationLock)
		err = errors.Join(err, unlockErr)
	}()
	migrations, err := SchemaStatus(ctx, conn)
	if err != nil {
		return nil, err
	}
	for _, m := range migrations {
		if !m.Applied.IsZero() {
			continue
		}
		if err := apply(ctx, conn, m); err != nil {
			return applied, fmt.Errorf("apply migration %d (%s): %w", m.Version, m.Name, Cause(err))
		}
		applied = append(applied, m)
	}
	return applied, nil
}

func apply(ctx context.Context, conn *pgx.Conn, m Migration) error {
	return pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		const ledger = `CREATE TABLE IF NOT EXISTS schema_migrations (
			version    integer     PRIMARY KEY,
			name       text        NOT NULL,
			checksum   text        NOT NULL,
			applied_at timestamptz NOT NULL DEFAULT clock_timestamp())`
		if _, err := tx.Exec(ctx, ledger); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, m.sql); err != nil {
			return atLine(err, m.sql)
		}
		_, err := tx.Exec(ctx, "INSERT INTO schema_migrations (version, name, checksum) VALUES ($1, $2, $3)", m.Version, m.Name, m.Checksum)
		return err
	})
}

// Quote is text as a literal of SQL.
func Quote(text string) string { return "'" + strings.ReplaceAll(text, "'", "''") + "'" }

// atLine adds the line of the file at which the server stumbled.
func atLine(err error, sql string) error {
	var answer *pgconn.PgError
	if !errors.As(err, &answer) || answer.Position <= 0 || int(answer.Position) > len(sql) {
		return err
	}
	return fmt.Errorf("line %d: %w", 1+strings.Count(sql[:answer.Position-1], "\n"), err)
}
