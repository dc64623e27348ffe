package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/whalegate/whalegate/internal/postgres"
)

type clockCmd struct {
	Accept clockAccept `cmd:"" help:"Say that the database's present clock is right: runs stored with a later date are superseded, count no longer and may be replaced. For runbook 7 (clock_skew, clock_back)."`
}

// maxClockDifference is how far the database's clock may be from this machine's to be
// called right: what a snapshot's timestamp may be as well (S1).
const maxClockDifference = 30 * time.Second

type clockAccept struct {
	databaseFlag
	clockFlag
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
	clock, err := c.clock()
	if err != nil {
		return err
	}
	var present time.Time
	if err := pool.QueryRow(ctx, "SELECT whalegate_now()").Scan(&present); err != nil {
		return notTaken(ctx, pool, "clock accept", postgres.Because(ctx, "ask for the time", err))
	}
	if off := present.Sub(clock.Now()); off.Abs() > maxClockDifference {
		return fmt.Errorf("clock accept: the database's clock is %s this machine's (%s against %s): put the wrong one right first, or say so from a machine whose clock is right",
			beside(off), present.UTC().Format(time.RFC3339), clock.Now().Format(time.RFC3339))
	}
	var marked int64
	var now string
	err = pool.QueryRow(ctx, `SELECT accept_clock($1, $2), to_char(whalegate_now() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"')`, operator(), c.Reason).Scan(&marked, &now)
	if err != nil {
		return notTaken(ctx, pool, "clock accept", postgres.Because(ctx, "accept the clock", err))
	}
	fmt.Printf("the database's clock, %s, is accepted as right: %d later runs are superseded\n", now, marked)
	return nil
}

// beside says how a clock stands beside another one.
func beside(off time.Duration) string {
	if off = off.Round(time.Second); off < 0 {
		return (-off).String() + " behind"
	}
	return off.String() + " ahead of"
}
