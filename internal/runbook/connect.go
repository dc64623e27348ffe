package runbook

import (
	"context"
	"errors"
	"net"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
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
	if err := conn.PgConn().Exec(ctx, "SET statement_timeout = '"+statementTimeout+"'; SET lock_timeout = '"+lockWait+"'").Close(); err != nil {
		return nil, errors.Join(err, conn.Close(context.WithoutCancel(ctx)))
	}
	return conn, nil
}

var errBadURL = errors.New("not a PostgreSQL URL or connection string such as postgres://user@host:5432/hyperliquid")

// refusal classifies why no session could be opened.
func refusal(err error) Trouble {
	if errors.Is(err, errBadURL) {
		return BadURL
	}
	var answer *pgconn.PgError
	var name *net.DNSError
	switch {
	case errors.As(err, &answer):
	case errors.As(err, &name):
		return NameUnknown
	default:
		return Unreachable
	}
	switch answer.Code {
	case "28P01", "28000":
		return LoginRefused
	case "3D000":
		return NoDatabase
	case "53300":
		return TooMany
	case insufficientPrivilege:
		return Denied
	default:
		return Unreachable
	}
}

const insufficientPrivilege = "42501"
