package gather

import (
	"context"
	"errors"
	"net"

	"github.com/jackc/pgerrcode"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/whalegate/whalegate/internal/runbook"
)

// connect opens one session that cannot be held for long.
func connect(ctx context.Context, databaseURL string) (*pgx.Conn, error) {
	config, err := pgx.ParseConfig(databaseURL)
	if err != nil {
		return nil, errBadURL
	}
	config.ConnectTimeout = connectTimeout
	config.RuntimeParams["application_name"], config.RuntimeParams["timezone"] = "whalegate runbook", "UTC"
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return nil, err
	}
	// Not as parameters of the connection: a pooler (PgBouncer) refuses those that it does
	// not know.
	ctx, cancel := context.WithTimeout(ctx, answersWithin)
	defer cancel()
	if err := conn.PgConn().Exec(ctx, "SET statement_timeout = '"+statementTimeout+"'; SET lock_timeout = '"+lockWait+"'; SET jit = off").Close(); err != nil {
		return nil, errors.Join(err, conn.Close(context.WithoutCancel(ctx)))
	}
	return conn, nil
}

var errBadURL = errors.New("not a PostgreSQL URL or connection string such as postgres://user@host:5432/hyperliquid")

// refusal classifies why no session could be opened.
func refusal(err error) runbook.Trouble {
	if errors.Is(err, errBadURL) {
		return runbook.BadURL
	}
	var answer *pgconn.PgError
	var name *net.DNSError
	switch {
	case errors.As(err, &answer):
	case errors.As(err, &name):
		return runbook.NameUnknown
	default:
		return runbook.Unreachable
	}
	switch answer.Code {
	case pgerrcode.InvalidPassword, pgerrcode.InvalidAuthorizationSpecification:
		return runbook.LoginRefused
	case pgerrcode.InvalidCatalogName:
		return runbook.NoDatabase
	case pgerrcode.TooManyConnections:
		return runbook.TooMany
	case pgerrcode.InsufficientPrivilege:
		return runbook.Denied
	default:
		return runbook.Unreachable
	}
}
