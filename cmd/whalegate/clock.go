package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/whalegate/whalegate/internal/postgres"
)

type clockCmd struct {
	Accept clockAccept `cmd:"" help:"Say that the database's present clock is right: runs stored with a later date are superseded, count no longer and may be replaced. For runbook 7 (clock_skew, clock_back)."`
}

type clockAccept struct {
	databaseFlag
	Reason string `required:"" help:"How you know that the present clock is right; kept in clock_refusals."`
}

// Run marks the later runs as superseded and records who said so, and why.
func (c *clockAccept) Run(ctx context.Context) error {
	if strings.TrimSpace(c.Reason) == "" {
		return errors.New("clock accept: the reason is empty: say how you know that the present clock is right")
	}
	pool, err := postgres.Open(ctx, c.DatabaseURL, "whalegate clock")
	if err != nil {
		return err
	}
	defer pool.Close()
	ctx, cancel := postgres.Writing(ctx)
	defer cancel()
	var marked int64
	var now string
	err = pool.QueryRow(ctx, `SELECT accept_clock($1, $2), to_char(whalegate_now() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"')`, operator(), c.Reason).Scan(&marked, &now)
	if err != nil {
		return postgres.Because(ctx, "accept the clock", err)
	}
	fmt.Printf("the database's clock, %s, is accepted as right: %d later runs are superseded\n", now, marked)
	return nil
}
