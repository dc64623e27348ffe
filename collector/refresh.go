package collector

import (
	"context"
	"errors"
	"time"

	"github.com/whalegate/whalegate/collector/hyperliquid"
	"github.com/whalegate/whalegate/internal/postgres"
	"github.com/whalegate/whalegate/internal/qa"
)

// Source is the only leaderboard there is.
const Source = "stats-data"

// retryWithoutUniverse is the pause after a failed refresh while there is no
// universe at all: nothing else can work until there is one.
const retryWithoutUniverse = time.Minute

// Universe refreshes the universe at its interval, and at once when there is
// none, until ctx ends.
func (c *Collector) Universe(ctx context.Context) error {
	c.validators = hyperliquid.Validators{} // another collector may have replaced the universe
	for ctx.Err() == nil {
		wait, err := c.untilRefresh(ctx)
		switch {
		case err != nil:
			c.cfg.Logger.Error("plan universe refresh", "error", err)
			wait = retryWithoutUniverse
		case wait <= 0:
			wait = 0
			if _, err := c.Refresh(ctx); err != nil && ctx.Err() == nil {
				c.cfg.Logger.Error("universe refresh", "error", err)
				wait = retryWithoutUniverse
			}
		}
		if c.cfg.Clock.Sleep(ctx, wait) != nil {
			return nil
		}
	}
	return nil
}

// untilRefresh is how long the next refresh is away. The interval counts from
// the last run, failed or not, so that a restart does not ask early.
func (c *Collector) untilRefresh(ctx context.Context) (time.Duration, error) {
	last, ok, err := c.store.LastUniverseRun(ctx)
	if err != nil || !ok {
		return 0, err
	}
	every := c.cfg.RefreshEvery
	if wallets, err := c.store.Tracked(ctx); err != nil {
		return 0, err
	} else if len(wallets) == 0 {
		every = retryWithoutUniverse
	}
	now := c.cfg.Clock.Now()
	if last.AsOf.After(now.Add(time.Minute)) {
		return 0, nil // a clock was ahead: nobody knows how old it is
	}
	return last.AsOf.Add(every).Sub(now), nil
}

// Refresh asks for the leaderboard, checks it and replaces the universe. A
// refused or failed refresh is a stored run with its error, not an error of
// this function: that one means that the database failed.
func (c *Collector) Refresh(ctx context.Context) (UniverseRun, error) {
	started := c.cfg.Clock.Now()
	run := UniverseRun{AsOf: started, Source: Source, Requested: c.cfg.UniverseSize, Status: Success}
	last, _, err := c.store.LastUniverseRun(ctx)
	if err != nil {
		return run, err
	}
	before, err := c.store.Members(ctx)
	if err != nil {
		return run, err
	}
	size, err := c.store.universeSize(ctx)
	if err != nil {
		return run, err
	}
	run.ChurnWarnings = last.ChurnWarnings // a run that fails before U5 neither adds to the count nor resets it
	// A universe of another size, or none, was not made from the body that the
	// validators stand for.
	known := c.validators
	if len(before) == 0 || size != run.Requested {
		known = hyperliquid.Validators{}
	}
	var board hyperliquid.Leaderboard
	failure := c.cfg.Room()
	if failure == nil {
		board, failure = c.leaderboard(ctx, known)
	}
	if ctx.Err() != nil {
		return run, context.Cause(ctx)
	}
	var members []Member
	var churn Churn
	if failure == nil {
		run.RowsRead, run.RowsSkipped = board.RowsRead, board.RowsSkipped
		if members = before; !board.NotModified {
			members = Members(board.Entries)
		}
		run.Received = len(members)
		failure = CheckMembers(members, run.Requested)
	}
	if failure == nil {
		was, is := before, members
		if size != run.Requested {
			both := min(size, run.Requested)
			was, is = leading(before, both), leading(members, both)
		}
		churn, failure = CheckChurn(was, is, run.Requested, last.ChurnWarnings)
		run.Entered, run.Exited, run.ChurnWarnings = churn.Entered, churn.Exited, churn.Warnings
	}
	if failure != nil {
		run.Status = Failed
		text := failure.Error()
		run.Error = &text
	}
	run.DurationMS = int(c.cfg.Clock.Now().Sub(started).Milliseconds())
	if err := c.store.KeepUniverseRun(ctx, run, members); err != nil {
		return run, err
	}
	if run.Status == Success {
		c.validators = board.Validators
	}
	c.refreshEnded(ctx, run, churn, failure)
	return run, nil
}

// universeSize is the size that the universe was made for, 0 when there is none.
// A failed run since then may have asked for another one.
func (s *Store) universeSize(ctx context.Context) (size int, err error) {
	ctx, cancel := postgres.Reading(ctx)
	defer cancel()
	err = s.pool.QueryRow(ctx, `SELECT coalesce((SELECT n_requested FROM wallet_universe_runs WHERE status = 'success'
		ORDER BY run_id DESC LIMIT 1), 0)`).Scan(&size)
	return size, postgres.Because(ctx, "read universe runs", err)
}

// leaderboard asks up to Attempts times.
func (c *Collector) leaderboard(ctx context.Context, known hyperliquid.Validators) (hyperliquid.Leaderboard, error) {
	for attempt := 1; ; attempt++ {
		board, err := c.upstream.Leaderboard(ctx, c.cfg.UniverseSize, known)
		var failed *hyperliquid.Error
		if err == nil || !errors.As(err, &failed) || !failed.Temporary() || attempt >= c.cfg.Attempts {
			return board, err
		}
		wait := max(failed.RetryAfter, jitter(c.cfg.Backoff[min(attempt, len(c.cfg.Backoff))-1]))
		if err := c.cfg.Clock.Sleep(ctx, wait); err != nil {
			return board, err
		}
	}
}

func (c *Collector) refreshEnded(ctx context.Context, run UniverseRun, churn Churn, failure error) {
	c.metrics.refreshes.WithLabelValues(string(run.Status)).Inc()
	c.metrics.received.Set(float64(run.Received))
	c.metrics.churn.Set(churn.Pct / 100)
	c.metrics.churnWarnings.Set(float64(run.ChurnWarnings))
	var refused *CheckError
	switch {
	case errors.As(failure, &refused):
		c.report(ctx, run.AsOf, qa.Event{Check: refused.Check, Severity: "error", Subject: "universe", Details: map[string]any{"error": refused.Reason}, Action: "run failed, universe kept"})
	case errors.Is(failure, postgres.ErrDiskFull):
		c.report(ctx, run.AsOf, qa.Event{Check: "S8", Severity: "critical", Subject: "universe", Details: map[string]any{"error": failure.Error()}, Action: "run failed, universe kept"})
	case failure != nil:
		c.cfg.Logger.Error("universe refresh failed, universe kept", "error", failure)
	case churn.Warnings > 0:
		c.report(ctx, run.AsOf, qa.Event{Check: "U5", Severity: "warning", Subject: "universe", Details: map[string]any{"churn_pct": churn.Pct, "warnings": churn.Warnings}, Action: "universe replaced"})
	}
	if run.Status != Success {
		return
	}
	c.cfg.Logger.Info("universe refreshed", "received", run.Received, "entered", run.Entered, "exited", run.Exited, "rows_read", run.RowsRead,
		"rows_skipped", run.RowsSkipped, "duration_ms", run.DurationMS)
	select {
	case c.refreshed <- struct{}{}:
	default: // somebody is already told
	}
}
