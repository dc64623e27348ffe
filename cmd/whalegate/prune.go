package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"text/tabwriter"
	"time"

	"github.com/whalegate/whalegate/internal/postgres"
	"github.com/whalegate/whalegate/internal/retention"
)

type pruneCmd struct {
	databaseFlag
	OlderThan *keptFor `name:"older-than" env:"WHALEGATE_PRUNE_OLDER_THAN" help:"Keep everything at least this long, such as 30d or 720h; 7d or more. By default, and where it is longer, each table's own time."`
	DryRun    bool     `name:"dry-run" help:"Say what would be removed, and remove nothing."`
	JSON      bool     `name:"json" help:"Print one JSON object a table."`
}

// Run removes what is old, and says what that was.
func (c *pruneCmd) Run(ctx context.Context, logger *slog.Logger) error {
	olderThan, err := c.OlderThan.duration()
	if err != nil {
		return err
	}
	pool, err := postgres.Open(ctx, c.DatabaseURL, "whalegate prune")
	if err != nil {
		return err
	}
	defer pool.Close()
	if err := postgres.CheckSchema(ctx, pool); err != nil {
		return err
	}
	list, err := retention.Count(ctx, pool, olderThan)
	if err != nil {
		return err
	}
	if c.DryRun {
		return c.print(list, "would remove")
	}
	var done, total int
	for _, r := range list {
		total += int(r.Count)
	}
	progress := newProgress(os.Stderr, logger, "pruning")
	list, err = retention.Run(ctx, pool, retention.Options{OlderThan: olderThan, By: operator(), Progress: func(n int64) {
		done += int(n)
		progress.report(done, total)
	}})
	if err == nil {
		progress.done("removed", done)
	}
	if len(list) > 0 {
		if err := c.print(list, "removed"); err != nil {
			return err
		}
	}
	return err
}

// print says what was removed, or would be.
func (c *pruneCmd) print(list []retention.Removed, verb string) error {
	t := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	for _, r := range list {
		if c.JSON {
			if err := json.NewEncoder(os.Stdout).Encode(prunedTable{r, c.DryRun}); err != nil {
				return err
			}
			continue
		}
		room := ""
		if r.Bytes > 0 {
			room = fmt.Sprintf(", %d MiB", r.Bytes>>20)
		}
		fmt.Fprintf(t, "%s\t%s\t%d %s%s\tof before %s\n", verb, r.Table, r.Count, r.Unit, room, r.Before.Format(time.DateOnly))
	}
	return t.Flush()
}

// prunedTable is a line of --json.
type prunedTable struct {
	retention.Removed
	DryRun bool `json:"dry_run"`
}
