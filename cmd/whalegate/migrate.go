package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"time"

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
		testClock := ""
		if c.Clock != "" {
			clock, err := c.clock()
			if err != nil {
				return err
			}
			testClock = clock.SQL()
		}
		applied, missing, err := postgres.Migrate(ctx, conn.Conn(), testClock)
		if err != nil {
			return err
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
		number := fmt.Sprintf("%04d", m.Version)
		if m.Version == 0 {
			number = "" // functions, views and rights: not one of the numbered steps
		}
		fmt.Printf("%4s  %-12s  %s\n", number, m.Name, state)
	}
	return nil
}
