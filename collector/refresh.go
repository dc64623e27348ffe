package collector

import (
	"context"
	"errors"
	"maps"
	"math"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

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
		case ctx.Err() != nil: // the shutdown came while it was asked
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
		// It is looked at again each minute: somebody may empty the universe.
		if c.cfg.Clock.Sleep(ctx, min(wait, retryWithoutUniverse)) != nil {
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
	if wallets, err := c.store.Wallets(ctx); err != nil {
		return 0, err
	} else if wallets == 0 {
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
	begun, started := time.Now(), c.cfg.Clock.Now()
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
	if size != 0 && size != run.Requested {
		c.cfg.Logger.Warn("the universe's size changes", "from", size, "to", run.Requested)
	}
	run.ChurnWarnings = last.ChurnWarnings // a run that fails before U5 neither adds to the count nor resets it
	// A universe of another size, or none, was not made from the body that the
	// validators stand for.
	known := c.validators
	double, err := c.store.DoubleRows(ctx, walletsOf(before))
	if err != nil {
		return run, err
	}
	if len(before) == 0 || size != run.Requested || len(double) > 0 {
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
			if members, err = c.leadingMembers(ctx, Members(board.Entries)); err != nil {
				return run, err
			}
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
		if run.ChangedAt = last.ChangedAt; run.ChangedAt == nil || !board.NotModified && !slices.Equal(before, members) {
			run.ChangedAt = &started
		}
	}
	if failure != nil {
		run.Status = Failed
		text := failure.Error()
		run.Error = &text
	}
	run.DurationMS = int(c.cfg.Clock.Elapsed(time.Since(begun)).Milliseconds())
	if err := c.store.KeepUniverseRun(ctx, run, members); err != nil {
		return run, err
	}
	if run.Status == Success {
		c.validators = board.Validators
	}
	c.refreshEnded(ctx, run, churn, failure)
	return run, nil
}

// spareCandidates is how many more rows of the leaderboard are kept than wallets are
// tracked, in percent: some rows are sub-accounts of others.
const spareCandidates = 25

// leadingMembers are the first of the candidates, without the rows that are sub-accounts
// of a wallet among them: those count there, and the next rank moves up.
func (c *Collector) leadingMembers(ctx context.Context, candidates []Member) ([]Member, error) {
	owners, err := c.store.DoubleRows(ctx, walletsOf(candidates))
	if err != nil {
		return nil, err
	}
	return LeaveOut(candidates, owners, c.cfg.UniverseSize), nil
}

// LeaveOut are the first size candidates by rank, ranked anew, without those that have an
// owner among them.
func LeaveOut(candidates []Member, owners map[string]string, size int) []Member {
	var members []Member
	kept := map[string]bool{} // of the round before
	for _, m := range candidates {
		kept[m.Wallet] = true
	}
	for range 10 { // an owner may itself fall out when the next rank moves up
		members = members[:0:0]
		for _, m := range candidates {
			if owner, double := owners[m.Wallet]; len(members) < size && (!double || !kept[owner]) {
				m.Rank = len(members) + 1
				members = append(members, m)
			}
		}
		now := map[string]bool{}
		for _, m := range members {
			now[m.Wallet] = true
		}
		if maps.Equal(now, kept) {
			break
		}
		kept = now
	}
	return members
}

func walletsOf(members []Member) []string {
	wallets := make([]string, len(members))
	for i := range members {
		wallets[i] = members[i].Wallet
	}
	return wallets
}

// DoubleRows finds the wallets that are sub-accounts of another one of them, with that
// one. Of those that have sub-accounts of their own nobody can tell what is whose.
func (s *Store) DoubleRows(ctx context.Context, wallets []string) (map[string]string, error) {
	ctx, cancel := postgres.Reading(ctx)
	defer cancel()
	rows, err := s.pool.Query(ctx, `
		WITH candidate AS (SELECT unnest($1::text[]) AS wallet_id)
		SELECT account, min(owner) FROM (
			SELECT sub.account, a.wallet_id AS owner
			FROM wallet_accounts a JOIN candidate USING (wallet_id), unnest(a.sub_accounts) AS sub (account)
		) owned
		JOIN candidate c ON c.wallet_id = owned.account
		JOIN candidate o ON o.wallet_id = owned.owner AND o.wallet_id <> c.wallet_id
		WHERE NOT EXISTS (SELECT FROM wallet_accounts a WHERE a.wallet_id = owned.account AND a.sub_accounts <> '{}')
		GROUP BY account`, wallets)
	if err != nil {
		return nil, postgres.Because(ctx, "look for double rows", err)
	}
	owners := map[string]string{}
	var account, owner string
	_, err = pgx.ForEachRow(rows, []any{&account, &owner}, func() error {
		owners[account] = owner
		return nil
	})
	return owners, postgres.Because(ctx, "look for double rows", err)
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
		board, err := c.upstream.Leaderboard(ctx, (c.cfg.UniverseSize*(100+spareCandidates)+99)/100, known)
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
	c.metrics.universeChanged.Set(float64(run.ChangedAt.Unix()))
	if unchanged := run.AsOf.Sub(*run.ChangedAt); unchanged > maxUnchanged {
		c.report(ctx, run.AsOf, qa.Event{Check: "U7", Severity: "warning", Subject: "universe", Action: "universe replaced",
			Details: map[string]any{"unchanged_since": run.ChangedAt.Format(time.RFC3339), "hours": math.Floor(unchanged.Hours())}})
	}
	c.cfg.Logger.Info("universe refreshed", "received", run.Received, "entered", run.Entered, "exited", run.Exited, "rows_read", run.RowsRead,
		"rows_skipped", run.RowsSkipped, "duration_ms", run.DurationMS)
	select {
	case c.refreshed <- struct{}{}:
	default: // somebody is already told
	}
}
