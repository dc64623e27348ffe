package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/whalegate/whalegate/internal/asset"
	"github.com/whalegate/whalegate/internal/postgres"
)

type baselineCmd struct {
	Accept baselineAccept `cmd:"" help:"Accept the present sizes of an asset as the level, after something happened to all of its holders at once (S11). For runbook 4."`
	List   baselineList   `cmd:"" help:"Failures of S11, newest first, and who accepted which level."`
}

type baselineAccept struct {
	databaseFlag
	Asset  string `required:"" help:"HYPE, BTC or ETH."`
	Reason string `required:"" help:"How you know that the present sizes are real; kept in baselines."`
}

// Run takes the sizes that were read last as the level.
func (c *baselineAccept) Run(ctx context.Context) error {
	a, err := asset.Parse(c.Asset)
	if err != nil {
		return fmt.Errorf("baseline accept: %w", err)
	}
	if strings.TrimSpace(c.Reason) == "" {
		return errors.New("baseline accept: the reason is empty: say how you know that the present sizes are real")
	}
	pool, err := postgres.Open(ctx, c.DatabaseURL, "whalegate baseline")
	if err != nil {
		return err
	}
	defer pool.Close()
	ctx, cancel := postgres.Writing(ctx)
	defer cancel()
	accepted, err := telling(ctx, pool, "whalegate baseline", "not accepted yet", func() (Baseline, error) {
		var id int64
		if err := pool.QueryRow(ctx, "SELECT id FROM accept_baseline($1, $2, $3)", a.String(), operator(), c.Reason).Scan(&id); err != nil {
			return Baseline{}, err
		}
		// A statement of its own: the one that accepts does not see what it has recorded.
		rows, err := pool.Query(ctx, "SELECT "+baselineColumns+" FROM baselines b WHERE b.id = $1", id)
		if err != nil {
			return Baseline{}, err
		}
		return pgx.CollectExactlyOneRow(rows, pgx.RowToStructByPos[Baseline])
	})
	if err != nil {
		return notTaken(ctx, pool, "baseline accept", postgres.Because(ctx, "accept the level", err))
	}
	fmt.Printf("%s accepted: %s\nThe next two clean minutes open the gate, unless something else is wrong.\n", accepted.Subject, accepted.level())
	return nil
}

// Baseline is a failure of S11: a row of baselines, with its levels.
type Baseline struct {
	ID           int64      `json:"id"`
	Asset        string     `json:"asset"`
	Subject      string     `json:"subject"` // mass_close:BTC, …
	OpenedTS     time.Time  `json:"opened_ts"`
	Affected     int        `json:"affected"`
	Holders      int        `json:"holders"`
	Factor       *float64   `json:"factor"`
	EndedTS      *time.Time `json:"ended_ts"`
	AcceptedAt   *time.Time `json:"accepted_at"`
	AcceptedBy   *string    `json:"accepted_by"`
	Reason       *string    `json:"reason"`
	HeldBefore   int        `json:"held_before"` // wallets
	NetBefore    string     `json:"net_before"`  // units of the asset
	HeldAccepted *int       `json:"held_accepted"`
	NetAccepted  *string    `json:"net_accepted"`
}

const baselineColumns = `b.id, b.asset, b.subject, b.opened_ts, b.affected, b.holders, b.factor, b.ended_ts, b.accepted_at, b.accepted_by, b.reason,
	(SELECT count(*) FILTER (WHERE before <> 0) FROM baseline_sizes s WHERE s.baseline_id = b.id),
	(SELECT coalesce(sum(before), 0)::text FROM baseline_sizes s WHERE s.baseline_id = b.id),
	CASE WHEN b.accepted_at IS NOT NULL THEN (SELECT count(*) FILTER (WHERE coalesce(accepted, before) <> 0) FROM baseline_sizes s WHERE s.baseline_id = b.id) END,
	CASE WHEN b.accepted_at IS NOT NULL THEN (SELECT coalesce(sum(coalesce(accepted, before)), 0)::text FROM baseline_sizes s WHERE s.baseline_id = b.id) END`

// level says what was held before, and what was accepted.
func (b Baseline) level() string {
	text := fmt.Sprintf("before, %d wallets held %s %s net", b.HeldBefore, b.NetBefore, b.Asset)
	if b.HeldAccepted != nil {
		text += fmt.Sprintf("; accepted, %d hold %s", *b.HeldAccepted, *b.NetAccepted)
	}
	return text
}

type baselineList struct {
	databaseFlag
	Limit int  `default:"20" help:"How many at most."`
	JSON  bool `name:"json" help:"Print one JSON object per line."`
}

// Run prints the failures of S11.
func (c *baselineList) Run(ctx context.Context) error {
	pool, err := postgres.Open(ctx, c.DatabaseURL, "whalegate baseline")
	if err != nil {
		return err
	}
	defer pool.Close()
	ctx, cancel := postgres.Reading(ctx)
	defer cancel()
	rows, err := pool.Query(ctx, "SELECT "+baselineColumns+" FROM baselines b ORDER BY b.id DESC LIMIT $1", c.Limit)
	if err != nil {
		return postgres.Because(ctx, "read baselines", err)
	}
	list, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Baseline])
	if err != nil {
		return postgres.Because(ctx, "read baselines", err)
	}
	if c.JSON {
		out := json.NewEncoder(os.Stdout)
		for _, b := range list {
			if err := out.Encode(b); err != nil {
				return err
			}
		}
		return nil
	}
	if len(list) == 0 {
		fmt.Println("nothing has ever happened to all holders of an asset at once (S11)")
		return nil
	}
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "OPENED\tWHAT\tWALLETS\tENDED\tHOW\tLEVEL")
	for _, b := range list {
		ended, how := "no", "open: every run fails"
		if b.EndedTS != nil {
			ended, how = b.EndedTS.UTC().Format(time.RFC3339), "the sizes were back"
		}
		if b.AcceptedBy != nil {
			how = fmt.Sprintf("accepted by %s: %s", strconv.Quote(*b.AcceptedBy), strconv.Quote(*b.Reason))
		}
		fmt.Fprintf(w, "%s\t%s\t%d of %d\t%s\t%s\t%s\n", b.OpenedTS.UTC().Format(time.RFC3339), b.Subject, b.Affected, b.Holders, ended, how, b.level())
	}
	return w.Flush()
}
