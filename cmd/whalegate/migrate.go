package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/whalegate/whalegate/internal/postgres"
)

type migrateCmd struct {
	databaseFlag
	Status bool `help:"Only show which migrations have been applied."`
	JSON   bool `name:"json" help:"Print one JSON object a line."`
	clockFlag
}

// Run migrates, or shows where the schema stands.
func (c *migrateCmd) Run(ctx context.Context) error {
	pool, err := postgres.Open(ctx, c.DatabaseURL, "whalegate migrate")
	if err != nil {
		return err
	}
	defer pool.Close()
	conn, err := pool.Acquire(ctx)
	if err != nil {
		return fmt.Errorf("connect to %s: %w", postgres.Redact(c.DatabaseURL), postgres.Cause(err))
	}
	defer conn.Release()
	if !c.Status {
		applied, missing, err := migrate(ctx, conn.Conn())
		if err != nil {
			return err
		}
		if c.Clock != "" {
			if err := c.moveClock(ctx, conn.Conn()); err != nil {
				return err
			}
		}
		if !c.JSON {
			fmt.Printf("%d migrations applied\n", len(applied))
		}
		for _, statement := range missing {
			fmt.Fprintln(os.Stderr, "not allowed to make roles; an administrator runs:", statement)
		}
		if len(missing) > 0 {
			fmt.Fprintln(os.Stderr, "then run whalegate migrate again: until then no role has any right")
		}
	}
	migrations, err := postgres.SchemaStatus(ctx, conn.Conn())
	if err != nil {
		return err
	}
	for _, m := range migrations {
		if c.JSON {
			if err := json.NewEncoder(os.Stdout).Encode(m); err != nil {
				return err
			}
			continue
		}
		state := "pending"
		if !m.Applied.IsZero() {
			state = "applied " + m.Applied.Format(time.RFC3339)
		}
		fmt.Printf("%04d  %-12s  %s\n", m.Version, m.Name, state)
	}
	return nil
}

// moveClock makes the database's clock the accelerated one of a test. Beats stay on
// real time.
func (c *migrateCmd) moveClock(ctx context.Context, conn *pgx.Conn) error {
	clock, err := c.clock()
	if err != nil {
		return err
	}
	if _, err := conn.Exec(ctx, "CREATE OR REPLACE FUNCTION whalegate_now() RETURNS timestamptz LANGUAGE sql VOLATILE AS "+postgres.Quote(clock.SQL())); err != nil {
		return fmt.Errorf("move the database's clock: %w", postgres.Cause(err))
	}
	return nil
}

// migrate brings schema and roles up to date.
func migrate(ctx context.Context, conn *pgx.Conn) (applied []postgres.Migration, missing []string, err error) {
	if applied, err = postgres.Migrate(ctx, conn); err != nil {
		return applied, nil, err
	}
	missing, err = postgres.Provision(ctx, conn)
	return applied, missing, err
}
