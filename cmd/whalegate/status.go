package main

import (
	"context"
	"errors"
	"os"
	"time"

	"github.com/whalegate/whalegate/internal/postgres"
	"github.com/whalegate/whalegate/internal/status"
)

type statusCmd struct {
	databaseFlag
	JSON bool `name:"json" help:"Print one JSON object."`
}

// Run prints the status and exits by it.
func (c *statusCmd) Run(ctx context.Context) error {
	pool, err := postgres.Open(ctx, c.DatabaseURL, "whalegate status")
	if err != nil {
		return &exitError{3, err}
	}
	defer pool.Close()
	report, _ := status.Read(ctx, pool, time.Now()) // the report carries the error
	if c.JSON {
		err = report.WriteJSON(os.Stdout)
	} else {
		err = report.WriteText(os.Stdout)
	}
	if err != nil {
		return &exitError{3, errors.Join(errors.New("print status"), err)}
	}
	if code := report.ExitCode(); code != 0 {
		return &exitError{code: code}
	}
	return nil
}
