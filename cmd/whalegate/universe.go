package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"text/tabwriter"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/whalegate/whalegate/collector"
	"github.com/whalegate/whalegate/internal/lead"
	"github.com/whalegate/whalegate/internal/postgres"
	"github.com/whalegate/whalegate/internal/qa"
)

type universe struct {
	Show    universeShow    `cmd:"" help:"Show the tracked wallets by rank."`
	Refresh universeRefresh `cmd:"" help:"Refresh the universe now, with all of its checks."`
	Diff    universeDiff    `cmd:"" help:"Show who entered and who left at the newest accepted refresh."`
}

type universeShow struct {
	databaseFlag
	JSON bool `name:"json" help:"Print one JSON object a line."`
}

// Run prints the universe.
func (c *universeShow) Run(ctx context.Context) error {
	pool, err := postgres.Open(ctx, c.DatabaseURL, "whalegate universe")
	if err != nil {
		return err
	}
	defer pool.Close()
	members, err := collector.NewStore(pool).Members(ctx)
	if err != nil {
		return err
	}
	t := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	for _, m := range members {
		if c.JSON {
			err = json.NewEncoder(os.Stdout).Encode(m)
		} else {
			_, err = fmt.Fprintf(t, "%d\t%s\tmonth PnL %s\taccount value %s\n", m.Rank, m.Wallet, m.MonthPnL, m.AccountValue)
		}
		if err != nil {
			return err
		}
	}
	return t.Flush()
}

type universeRefresh struct {
	databaseFlag
	exchangeFlags
	clockFlag
	JSON bool `name:"json" help:"Print the run as one JSON object."`
}

// Run refreshes once; a refused refresh exits 1 with its check.
func (c *universeRefresh) Run(ctx context.Context, logger *slog.Logger) error {
	clk, err := c.clock()
	if err != nil {
		return err
	}
	client, err := c.client(clk, nil)
	if err != nil {
		return err
	}
	defer client.Close()
	pool, err := postgres.Open(ctx, c.DatabaseURL, "whalegate universe")
	if err != nil {
		return err
	}
	defer pool.Close()
	if err := postgres.CheckSchema(ctx, pool); err != nil {
		return err
	}
	unread := prometheus.NewRegistry() // a command's metrics are read by nobody
	col, err := collector.New(c.collectorConfig(clk, logger, unread, qa.New(pool, nil, logger, unread)), client, client.Sparing(), collector.NewStore(pool).Behind(lead.ByHand))
	if err != nil {
		return err
	}
	run, err := col.Refresh(ctx)
	if err != nil {
		return err
	}
	if c.JSON {
		if err := json.NewEncoder(os.Stdout).Encode(run); err != nil {
			return err
		}
	} else if run.Status == collector.Success {
		fmt.Printf("%d of %d wallets, %d entered, %d left, churn warnings %d\n", run.Received, run.Requested, run.Entered, run.Exited, run.ChurnWarnings)
	}
	if run.Status != collector.Success {
		return fmt.Errorf("refresh failed, the universe is kept: %s", *run.Error)
	}
	return nil
}

type universeDiff struct {
	databaseFlag
	JSON bool `name:"json" help:"Print one JSON object a line."`
}

// change is a wallet that entered or left.
type change struct {
	AsOf   time.Time `json:"as_of_ts"`
	Change string    `json:"change"` // entered or exited
	Wallet string    `json:"wallet_id"`
	Rank   int       `json:"rank"` // new rank of who entered, old rank of who left
}

// Run prints the difference between the two newest accepted refreshes.
func (c *universeDiff) Run(ctx context.Context) error {
	pool, err := postgres.Open(ctx, c.DatabaseURL, "whalegate universe")
	if err != nil {
		return err
	}
	defer pool.Close()
	rows, err := pool.Query(ctx, `
		WITH runs AS (SELECT run_id, as_of_ts, row_number() OVER (ORDER BY run_id DESC) AS n FROM wallet_universe_runs WHERE status = 'success'),
		is_member AS (SELECT m.* FROM wallet_universe_members m JOIN runs USING (run_id) WHERE n = 1),
		was_member AS (SELECT m.* FROM wallet_universe_members m JOIN runs USING (run_id) WHERE n = 2)
		SELECT r.as_of_ts, CASE WHEN was_member.wallet_id IS NULL THEN 'entered' ELSE 'exited' END, wallet_id, coalesce(is_member.rank, was_member.rank)
		FROM is_member FULL JOIN was_member USING (wallet_id), (SELECT as_of_ts FROM runs WHERE n = 1) r
		WHERE (is_member.wallet_id IS NULL OR was_member.wallet_id IS NULL) AND EXISTS (SELECT FROM runs WHERE n = 2)
		ORDER BY 2, 4`)
	if err != nil {
		return fmt.Errorf("compare universes: %w", postgres.Cause(err))
	}
	changes, err := pgx.CollectRows(rows, pgx.RowToStructByPos[change])
	if err != nil {
		return fmt.Errorf("compare universes: %w", postgres.Cause(err))
	}
	if len(changes) == 0 && !c.JSON {
		fmt.Println("nobody entered or left, or there are not two refreshes yet")
	}
	for _, ch := range changes {
		if c.JSON {
			err = json.NewEncoder(os.Stdout).Encode(ch)
		} else {
			_, err = fmt.Printf("%-7s  %s  rank %d\n", ch.Change, ch.Wallet, ch.Rank)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
