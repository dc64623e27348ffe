package postgres

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/jackc/pgerrcode"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// ErrUnreachable is wrapped by errors that mean that the database could not be
// asked, as opposed to one that answered with an error.
var ErrUnreachable = errors.New("database unreachable")

// ErrDiskFull is wrapped by errors that mean that the database's disk has no
// room: its server said so, or whoever watches the disk did before.
var ErrDiskFull = errors.New("disk_full")

const connectTimeout = 5 * time.Second

// Open makes a pool on the database at databaseURL. It does not connect: a
// database that is down at start is a state, not an error. program is shown to
// operators in pg_stat_activity. The error names what is wrong with the URL
// without repeating its password.
func Open(ctx context.Context, databaseURL, program string) (*pgxpool.Pool, error) {
	config, err := pgxpool.ParseConfig(databaseURL)
	if err != nil {
		return nil, badURL(databaseURL)
	}
	config.ConnConfig.ConnectTimeout = connectTimeout
	config.ConnConfig.RuntimeParams["application_name"] = program
	config.ConnConfig.RuntimeParams["timezone"] = "UTC"
	config.ConnConfig.Tracer = newStopwatch()
	config.MaxConns = 8
	config.MaxConnIdleTime = 5 * time.Minute
	config.AfterConnect = settle
	return pgxpool.NewWithConfig(ctx, config)
}

// settle undoes what a person may have set for the whole database: where our names are
// looked for, for how long a statement may run and a session may rest, whether a commit waits for the disk (a halt
// that was acknowledged must not be lost), and how a transaction sees what others
// commit; ours rely on seeing it once they have waited for a lock. Rows that a policy would
// hide are an error, as a halt or an alert that is hidden would be over without a word. A time-out of the login
// itself stays: readers are held short by theirs. And the server may end a transaction
// whose process was frozen or cut off in its middle, whose locks would stop everybody.
// These are no parameters of the connection, which a pooler may refuse.
func settle(ctx context.Context, conn *pgx.Conn) error {
	const settings = "SELECT set_config(name, '0', false) FROM pg_settings WHERE name IN ('statement_timeout', 'lock_timeout', 'idle_session_timeout', 'transaction_timeout') AND source NOT IN ('user', 'database user', 'client');" +
		"SELECT set_config(name, 'on', false) FROM pg_settings WHERE name = 'synchronous_commit' AND setting = 'off';" +
		"SET search_path = public; SET default_transaction_isolation = 'read committed'; SET default_transaction_deferrable = off; SET idle_in_transaction_session_timeout = '60s'; SET jit = off; SET row_security = off"
	return conn.PgConn().Exec(ctx, settings).Close() // no statement of the service's: it is not measured
}

// Connect opens a single session, outside of any pool.
func Connect(ctx context.Context, databaseURL, program string) (*pgx.Conn, error) {
	config, err := pgx.ParseConfig(databaseURL)
	if err != nil {
		return nil, badURL(databaseURL)
	}
	config.ConnectTimeout = connectTimeout
	config.RuntimeParams["application_name"] = program
	config.RuntimeParams["timezone"] = "UTC"
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("connect: %w", Cause(err))
	}
	return conn, nil
}

func badURL(databaseURL string) error {
	return fmt.Errorf("database URL %s: not a PostgreSQL URL or connection string such as postgres://user@host:5432/hyperliquid", Redact(databaseURL))
}

// Redact is databaseURL without its password; text that is no URL is left out
// whole, because a password may stand anywhere in it.
func Redact(databaseURL string) string {
	u, err := url.Parse(databaseURL)
	if err != nil || u.Scheme == "" || u.Host == "" {
		return "(not shown)"
	}
	if u.User != nil {
		u.User = url.User(u.User.Username())
	}
	u.RawQuery = ""
	return u.String()
}

// Cause tells an unreachable database from one that answered: err, wrapped with
// ErrUnreachable when no answer of the server is behind it, and with ErrDiskFull
// when the answer is that its disk is.
func Cause(err error) error {
	if err == nil || errors.Is(err, ErrUnreachable) || errors.Is(err, ErrDiskFull) {
		return err
	}
	var answer *pgconn.PgError
	if errors.As(err, &answer) {
		if answer.Code == pgerrcode.DiskFull {
			return fmt.Errorf("%w: %w", ErrDiskFull, err)
		}
		switch answer.Code[:2] {
		case "08", "57": // connection trouble, and a server that is stopping or starting
			return fmt.Errorf("%w: %w", ErrUnreachable, err)
		}
		return err
	}
	if errors.Is(err, pgx.ErrNoRows) || errors.Is(err, pgx.ErrTooManyRows) {
		return err
	}
	return fmt.Errorf("%w: %w", ErrUnreachable, err)
}

// Executor runs statements: a pool, a connection or a transaction.
type Executor interface {
	Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error)
}
