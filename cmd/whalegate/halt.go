package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/jackc/pgerrcode"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/whalegate/whalegate/internal/halt"
	"github.com/whalegate/whalegate/internal/health"
	"github.com/whalegate/whalegate/internal/postgres"
)

type haltCmd struct {
	databaseFlag
	Reason string `required:"" help:"What made you halt; kept as the incident record."`
	JSON   bool   `name:"json" help:"Print one JSON object."`
}

// Run puts a halt in force.
func (c *haltCmd) Run(ctx context.Context) error {
	pool, err := postgres.Open(ctx, c.DatabaseURL, "whalegate halt")
	if err != nil {
		return err
	}
	defer pool.Close()
	halt, err := telling(ctx, pool, "whalegate halt", "not halted yet, and the gate is as it was", func() (health.Halt, error) {
		return halt.Stop(ctx, pool, c.Reason, operator())
	})
	if err != nil {
		return notTaken(ctx, pool, "halt", err)
	}
	if c.JSON {
		return json.NewEncoder(os.Stdout).Encode(halt)
	}
	_, err = fmt.Printf("halted at %s: STALE until whalegate resume --cause … --actions …\n", halt.HaltedAt.UTC().Format(time.RFC3339))
	return err
}

type resumeCmd struct {
	databaseFlag
	Cause   string `required:"" help:"The root cause that was found."`
	Actions string `required:"" help:"What was done about it."`
	JSON    bool   `name:"json" help:"Print one JSON object."`
}

// Run ends the halt in force, or says what is missing.
func (c *resumeCmd) Run(ctx context.Context) error {
	pool, err := postgres.Open(ctx, c.DatabaseURL, "whalegate resume")
	if err != nil {
		return err
	}
	defer pool.Close()
	halt, err := telling(ctx, pool, "whalegate resume", "not resumed yet", func() (health.Halt, error) {
		return halt.Resume(ctx, pool, c.Cause, c.Actions, operator())
	})
	if err != nil {
		return notTaken(ctx, pool, "resume", err)
	}
	if c.JSON {
		return json.NewEncoder(os.Stdout).Encode(halt)
	}
	_, err = fmt.Printf("resumed at %s; halted since %s\n", halt.ResumedAt.UTC().Format(time.RFC3339), halt.HaltedAt.UTC().Format(time.RFC3339))
	return err
}

// How the server refuses what a person asks it to write.
const ()

// notTaken says in one line why the database did not take what a person asked for,
// where another server or another login would; any other error stays as it is.
func notTaken(ctx context.Context, db *pgxpool.Pool, command string, err error) error {
	var answer *pgconn.PgError
	if !errors.As(err, &answer) {
		return err
	}
	ctx, cancel := postgres.Reading(ctx)
	defer cancel()
	var login, owner, source string
	var standby bool
	if db.QueryRow(ctx, `
		SELECT current_user, pg_get_userbyid(d.datdba), s.source, pg_is_in_recovery()
		FROM pg_database d, pg_settings s
		WHERE d.datname = current_database() AND s.name = 'default_transaction_read_only'`).Scan(&login, &owner, &source, &standby) != nil {
		return err
	}
	ofLogin := slices.Contains([]string{"user", "database user", "client"}, source)
	switch {
	case answer.Code == pgerrcode.ReadOnlySQLTransaction && standby:
		return fmt.Errorf("%s: this server is a standby and takes no write: ask the primary (--database-url)", command)
	case answer.Code == pgerrcode.ReadOnlySQLTransaction && !ofLogin:
		return fmt.Errorf("%s: this server is no standby, and read-only by a setting (default_transaction_read_only): whalegate runbook show 7 says how to find and end it", command)
	case answer.Code == pgerrcode.ReadOnlySQLTransaction:
		return fmt.Errorf("%s: %s may only read, by a setting of this login: log in as a member of the database's owner, %s, or as the service does (whalegate_writer)", command, login, owner)
	case answer.Code == pgerrcode.InsufficientPrivilege:
		return fmt.Errorf("%s: %s may not: log in as a member of the database's owner, %s, or as the service does (whalegate_writer)", command, login, owner)
	default:
		return err
	}
}
