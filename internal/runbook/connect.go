package runbook

import (
	"context"
	"errors"

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
	for name, value := range map[string]string{
		"application_name": "whalegate runbook", "timezone": "UTC", "statement_timeout": statementTimeout, "lock_timeout": lockWait,
	} {
		config.RuntimeParams[name] = value
	}
	return pgx.ConnectConfig(ctx, config)
}

var errBadURL = errors.New("not a PostgreSQL URL or connection string such as postgres://user@host:5432/hyperliquid")

// refusal classifies why no session could be opened.
func refusal(err error) Trouble {
	if errors.Is(err, errBadURL) {
		return BadURL
	}
	var answer *pgconn.PgError
	if !errors.As(err, &answer) {
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
