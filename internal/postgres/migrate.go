package postgres

import (
	"context"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgerrcode"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/whalegate/whalegate/internal/threshold"
)

//go:embed schema/*.sql schema/tables/*.sql
var schemaFiles embed.FS

// ErrSchema is wrapped by errors that say that the database's schema is not the
// one of this program.
var ErrSchema = errors.New("schema not current")

// ErrNewer is the ErrSchema of a database that a newer program has migrated.
var ErrNewer = fmt.Errorf("%w", ErrSchema)

// ErrUnreleased is the ErrSchema of a database that a version of before the first release
// made: nothing upgrades it.
var ErrUnreleased = fmt.Errorf("%w: a version of before the first release made this database, and nothing upgrades it: make a new one", ErrSchema)

// migrationLock is the advisory lock under which migrations run.
const migrationLock = 0x77686c67 // "whlg"

// definitionFiles are the functions and views as they are now, in the order in which
// they build on each other. They are applied again after the tables; the clocks are also
// there before, because the tables' defaults ask them.
var definitionFiles = []string{"clock", thresholds, "partitions", "lead", "minutes", "health", "facts", "board", "ops"}

// thresholds are no file: package threshold has them.
const thresholds = "thresholds"

// Migration is one numbered step of the tables, or the definitions as a whole.
type Migration struct {
	Version  int       `json:"version,omitempty"` // 0: the definitions
	Name     string    `json:"name"`
	Checksum string    `json:"checksum"`
	Applied  time.Time `json:"applied_at,omitzero"` // zero: pending

	sql string
}

func schemaFile(name string) string {
	if name == thresholds+".sql" {
		return threshold.SQL()
	}
	body, err := schemaFiles.ReadFile("schema/" + name)
	if err != nil {
		panic(err) // embedded at build time
	}
	return string(body)
}

func checksum(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:8])
}

// Migrations lists the steps of the tables that this program knows, in order.
func Migrations() []Migration {
	entries, err := schemaFiles.ReadDir("schema/tables")
	if err != nil {
		panic(err) // embedded at build time
	}
	migrations := make([]Migration, 0, len(entries))
	for i, entry := range entries {
		number, name, _ := strings.Cut(strings.TrimSuffix(entry.Name(), ".sql"), "_")
		if version, err := strconv.Atoi(number); err != nil || version != i+1 {
			panic(fmt.Sprintf("migration %s is not number %d", entry.Name(), i+1))
		}
		body := schemaFile("tables/" + entry.Name())
		migrations = append(migrations, Migration{Version: i + 1, Name: name, Checksum: checksum(body), sql: body})
	}
	return migrations
}

// definitions are what stands once: functions, views and rights.
func definitions() Migration {
	var all strings.Builder
	for _, name := range append(definitionFiles, "grants") {
		all.WriteString(schemaFile(name + ".sql"))
	}
	return Migration{Name: "definitions", Checksum: checksum(all.String())}
}

// querier is what reading the schema's state needs: a connection, a pool or a
// transaction.
type querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

// SchemaStatus lists every step with when it was applied, and the definitions at the
// end. The error wraps ErrSchema when the database holds a step that this program does
// not know, or another text of one that it does.
func SchemaStatus(ctx context.Context, db querier) ([]Migration, error) {
	steps, defined := Migrations(), definitions()
	var ledger, marked bool
	if err := db.QueryRow(ctx, "SELECT to_regclass('public.schema_migrations') IS NOT NULL, to_regclass('public.schema_definitions') IS NOT NULL").Scan(&ledger, &marked); err != nil {
		return nil, fmt.Errorf("look for schema_migrations: %w", Cause(err))
	}
	if !ledger {
		return append(steps, defined), nil
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
		case m.Version == 1 && m.Name != steps[0].Name:
			return nil, ErrUnreleased
		case m.Version > len(steps):
			return nil, fmt.Errorf("%w: the database has migration %d (%s), this program knows %d: use the newer program", ErrNewer, m.Version, m.Name, len(steps))
		case steps[m.Version-1].Checksum != m.Checksum:
			return nil, fmt.Errorf("%w: migration %d (%s) was applied with another text than this program's", ErrSchema, m.Version, m.Name)
		}
		steps[m.Version-1].Applied = m.Applied.UTC()
	}
	if marked {
		err := db.QueryRow(ctx, "SELECT applied_at FROM schema_definitions WHERE checksum = $1", defined.Checksum).Scan(&defined.Applied)
		if err != nil && !errors.Is(err, pgx.ErrNoRows) {
			return nil, fmt.Errorf("read schema_definitions: %w", Cause(err))
		}
	}
	return append(steps, defined), nil
}

// CheckSchema returns nil when every step has been applied, and the definitions are
// those of this program; an error that wraps ErrSchema and says what to do when not.
func CheckSchema(ctx context.Context, db querier) error {
	steps, err := SchemaStatus(ctx, db)
	if err != nil {
		return err
	}
	for _, m := range steps {
		switch {
		case !m.Applied.IsZero():
		case m.Version == 0:
			return fmt.Errorf("%w: functions and views are those of another version of this program: run whalegate migrate of the one that is meant to run", ErrSchema)
		default:
			return fmt.Errorf("%w: migration %d (%s) is pending: run whalegate migrate", ErrSchema, m.Version, m.Name)
		}
	}
	return nil
}

// Migrate makes the roles that are missing, applies the steps that are pending, and puts
// the functions, the views and each role's rights back as they must be: what was done to
// them by hand does not last. All of it is one transaction but for the roles, which are
// the cluster's. It returns the steps that it applied, and the statements that an
// administrator has to run first where this login may not make roles: until then no role
// has any right. Two processes that migrate at once do it one after the other.
//
// testClock is the statement by which the clock of the data shows a test's time; "": it
// shows the server's.
func Migrate(ctx context.Context, conn *pgx.Conn, testClock string) (applied []Migration, missing []string, err error) {
	if _, err := conn.Exec(ctx, "SELECT pg_advisory_lock($1)", migrationLock); err != nil {
		return nil, nil, fmt.Errorf("take the migration lock: %w", Cause(err))
	}
	defer func() {
		_, unlockErr := conn.Exec(context.WithoutCancel(ctx), "SELECT pg_advisory_unlock($1)", migrationLock)
		err = errors.Join(err, unlockErr)
	}()
	steps, err := SchemaStatus(ctx, conn)
	if err != nil {
		return nil, nil, err
	}
	if missing, err = makeRoles(ctx, conn); err != nil {
		return nil, nil, err
	}
	m := migration{pending: steps, clock: testClock, grant: len(missing) == 0}
	err = pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error { return m.run(ctx, tx) })
	var answer *pgconn.PgError
	if errors.As(err, &answer) && anotherShape[answer.Code] {
		m.anew = true
		err = pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error { return m.run(ctx, tx) })
	}
	if err != nil {
		return nil, nil, err
	}
	return m.applied, missing, nil
}

// anotherShape is what the server answers when a view or a function is to have other
// columns or another result than it has: it cannot be replaced, only made anew.
var anotherShape = map[string]bool{pgerrcode.InvalidTableDefinition: true, pgerrcode.InvalidFunctionDefinition: true}

// migration is one attempt.
type migration struct {
	pending []Migration
	clock   string // of a test; "": none
	grant   bool
	anew    bool // drop the definitions first
	applied []Migration
}

// ours is where names are looked for and made. Nobody waits for long behind a migration
// that waits for somebody's lock.
const ours = "SET LOCAL search_path = public; SET LOCAL lock_timeout = '10s';"

// ledgers are what has been applied, and of the definitions each as it was then.
const ledgers = `
	CREATE TABLE IF NOT EXISTS schema_migrations (
		version    integer     PRIMARY KEY,
		name       text        NOT NULL,
		checksum   text        NOT NULL,
		applied_at timestamptz NOT NULL DEFAULT clock_timestamp());
	CREATE TABLE IF NOT EXISTS schema_definitions (
		one        boolean     PRIMARY KEY DEFAULT true CHECK (one),
		checksum   text        NOT NULL,
		test_clock text        NOT NULL DEFAULT '', -- the statement by which whalegate_now() shows a test's time
		server     integer     NOT NULL,            -- its major version: another one words a view in another way
		applied_at timestamptz NOT NULL DEFAULT clock_timestamp());
	CREATE TABLE IF NOT EXISTS schema_objects (
		object text PRIMARY KEY,
		name   text NOT NULL,
		digest text NOT NULL);
	CREATE TABLE IF NOT EXISTS schema_rights (
		object text NOT NULL,
		aspect text NOT NULL CHECK (aspect IN ('owner', 'right', 'definer', 'settings')),
		value  text NOT NULL,
		PRIMARY KEY (object, aspect, value))`

func (m *migration) run(ctx context.Context, tx pgx.Tx) error {
	m.applied = nil
	if _, err := tx.Exec(ctx, ours+ledgers); err != nil {
		return fmt.Errorf("make the ledgers of the schema: %w", Cause(err))
	}
	if err := putRightsBack(ctx, tx); err != nil {
		return err
	}
	if m.anew {
		if err := drop(ctx, tx, "$1::text[] IS NULL", nil); err != nil {
			return err
		}
	}
	if err := m.change(ctx, tx); err != nil {
		return err
	}
	if m.grant {
		if err := execute(ctx, tx, "grants.sql"); err != nil {
			return fmt.Errorf("grant rights: %w", err)
		}
	}
	return noteRights(ctx, tx)
}

// change applies what is pending, and the definitions unless they are as they must be: to
// replace a view waits for whoever reads it.
func (m *migration) change(ctx context.Context, tx pgx.Tx) error {
	tampered, err := tamperedObjects(ctx, tx)
	if err != nil {
		return err
	}
	var same bool
	if err := tx.QueryRow(ctx, "SELECT coalesce((SELECT test_clock = $1 AND server = "+majorVersion+" FROM schema_definitions), false)", m.clock).Scan(&same); err != nil {
		return fmt.Errorf("look for what was applied: %w", Cause(err))
	}
	isPending := func(s Migration) bool { return s.Applied.IsZero() }
	if !m.anew && same && len(tampered) == 0 && !slices.ContainsFunc(m.pending, isPending) {
		return nil
	}
	if err := m.define(ctx, tx, "clock"); err != nil {
		return err
	}
	for _, step := range m.pending {
		if step.Version == 0 || !isPending(step) {
			continue
		}
		if _, err := tx.Exec(ctx, step.sql); err != nil {
			return fmt.Errorf("apply migration %d (%s): %w", step.Version, step.Name, atLine(Cause(err), step.sql))
		}
		if _, err := tx.Exec(ctx, "INSERT INTO schema_migrations (version, name, checksum) VALUES ($1, $2, $3)", step.Version, step.Name, step.Checksum); err != nil {
			return fmt.Errorf("note migration %d: %w", step.Version, Cause(err))
		}
		m.applied = append(m.applied, step)
	}
	for _, name := range definitionFiles {
		if err := m.define(ctx, tx, name); err != nil {
			return err
		}
	}
	if err := drop(ctx, tx, "name <> ALL ($1)", names()); err != nil { // ours no more
		return err
	}
	return note(ctx, tx, m.clock)
}

// define applies a file of definitions, the clock's as a test has it.
func (m *migration) define(ctx context.Context, tx pgx.Tx, name string) error {
	err := execute(ctx, tx, name+".sql")
	if err == nil && name == "clock" && m.clock != "" {
		if _, err = tx.Exec(ctx, "CREATE OR REPLACE FUNCTION whalegate_now() RETURNS timestamptz LANGUAGE sql VOLATILE AS "+Quote(m.clock)); err != nil {
			err = fmt.Errorf("move the database's clock: %w", Cause(err))
		}
	}
	return err
}

// note writes down which definitions these are, and each as it is.
func note(ctx context.Context, tx pgx.Tx, testClock string) error {
	batch := &pgx.Batch{}
	batch.Queue("INSERT INTO schema_definitions (checksum, test_clock, server) VALUES ($1, $2, "+majorVersion+") ON CONFLICT (one) DO UPDATE SET checksum = excluded.checksum, test_clock = excluded.test_clock, server = excluded.server, applied_at = clock_timestamp()", definitions().Checksum, testClock)
	batch.Queue("DELETE FROM schema_objects")
	batch.Queue("INSERT INTO schema_objects SELECT object, name, digest FROM ("+objects+") o WHERE name = ANY ($1) AND coalesce(written = pg_current_xact_id()::xid, true)", names()) // not somebody's beside ours
	if err := tx.SendBatch(ctx, batch).Close(); err != nil {
		return fmt.Errorf("note the definitions: %w", Cause(err))
	}
	return nil
}

// execute runs a file of the schema.
func execute(ctx context.Context, tx pgx.Tx, name string) error {
	text := schemaFile(name)
	if _, err := tx.Exec(ctx, text); err != nil {
		return fmt.Errorf("put back %s: %w", name, atLine(Cause(err), text))
	}
	return nil
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
