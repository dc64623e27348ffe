package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"time"

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
	halt, err := health.Stop(ctx, pool, c.Reason, operator())
	if err != nil {
		return err
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
	halt, err := health.Resume(ctx, pool, c.Cause, c.Actions, operator())
	if err != nil {
		return err
	}
	if c.JSON {
		return json.NewEncoder(os.Stdout).Encode(halt)
	}
	_, err = fmt.Printf("resumed at %s; halted since %s\n", halt.ResumedAt.UTC().Format(time.RFC3339), halt.HaltedAt.UTC().Format(time.RFC3339))
	return err
}
