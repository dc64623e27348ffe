package collector

import (
	"cmp"
	"context"
	"errors"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/jackc/pgerrcode"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/whalegate/whalegate/collector/hyperliquid"
	"github.com/whalegate/whalegate/internal/lead"
	"github.com/whalegate/whalegate/internal/postgres"
	"github.com/whalegate/whalegate/internal/qa"
	"github.com/whalegate/whalegate/internal/qa/check"
)

var errBudget = errors.New("the budget of the minute is used up")

// Snapshots runs a cycle every minute until ctx ends. A cycle never overlaps
// the next, and one that runs over never shifts the grid.
func (c *Collector) Snapshots(ctx context.Context) error {
	c.forget()       // another collector may have written since
	defer c.forget() // and may be about to
	last, began := c.firstMinute(ctx), time.Now()
	for ctx.Err() == nil {
		minute := c.cfg.Clock.Now().Truncate(interval)
		if ahead := last.Sub(minute); ahead >= 0 && ahead < 2*interval {
			if c.rest(ctx, last.Add(interval)) != nil {
				return nil
			}
			continue
		}
		if !last.IsZero() {
			c.skipped(ctx, last, minute, c.cfg.Clock.Elapsed(time.Since(began)))
		}
		began = time.Now()
		c.cycle(ctx, minute)
		last = minute
	}
	return nil
}

// forget drops what is remembered of the database and of the minutes before. What was
// committed is not forgotten: a lead may be lost because the database became another one.
func (c *Collector) forget() {
	c.lastTime, c.recent, c.unsaved = map[string]time.Time{}, nil, nil
	c.baseline, c.coins = nil, coins{}
	c.refusedAt, c.refusedFor = time.Time{}, time.Time{}
	c.countUnsaved()
}

// rest waits for the next minute. Failed minutes, and those that the database has
// lost, go to it as soon as it takes them: until then its health function cannot
// know of them, and the state could look better, or worse, than it was.
func (c *Collector) rest(ctx context.Context, until time.Time) error {
	const pause = time.Second
	// By the monotonic clock: one that is set back meanwhile makes the rest no longer.
	end := time.Now().Add(c.cfg.Clock.Real(until.Sub(c.cfg.Clock.Now())))
	for time.Until(end) > c.cfg.Clock.Real(pause) {
		if err := c.cfg.Clock.Sleep(ctx, pause); err != nil {
			return err
		}
		c.saveUnsaved(ctx)
	}
	return c.cfg.Clock.Sleep(ctx, c.cfg.Clock.Elapsed(time.Until(end)))
}

// cycle asks for every wallet and commits what came.
func (c *Collector) cycle(ctx context.Context, minute time.Time) {
	begun := time.Now()
	took := func() time.Duration { return c.cfg.Clock.Elapsed(time.Since(begun)) } // whoever sets the clock meanwhile
	m, err := c.collect(ctx, minute)
	if ctx.Err() != nil {
		return // cut short by the shutdown: nothing is written of a cycle that was not finished
	}
	if err == nil {
		err = c.compare(ctx, minute) // before anything newer is written
	}
	var stored Stored
	if err == nil {
		m.Run.Duration = took()
		// Those of a clock that was ahead are of no minute that has been.
		c.unsaved = slices.DeleteFunc(c.unsaved, func(r Run) bool { return r.failedRunCheck == "S1" && r.Timestamp.After(minute) })
		m.Unsaved, m.Before, m.PutRight, m.WentBack = c.unsaved, c.recent, c.putRight(minute), c.wentBack(minute)
		stored, err = c.store.Commit(ctx, m)
	}
	c.metrics.cycleDuration.Observe(took().Seconds())
	if err != nil && ctx.Err() != nil {
		return // the shutdown came during the commit: all of it or nothing is there
	}
	if err != nil {
		c.lost(ctx, m.Run, err)
		return
	}
	if stored.Superseded > 0 {
		c.recent, c.baseline = nil, nil // they may be among those
		c.cfg.Logger.Error("runs superseded: they are dated later than a good minute that was stored now, so a clock was wrong then or is wrong now", "runs", stored.Superseded, "timestamp", minute)
		c.report(ctx, c.cfg.Clock.Now(), qa.Event{
			Check: check.Superseded, Severity: "critical", Details: map[string]any{"runs": stored.Superseded, "minute": minute.Format(time.RFC3339)}, Action: "they count no longer, two clean minutes needed",
		})
	}
	c.keep(m.Run, m.Readings, stored.Finished)
	c.committed(ctx, m, stored.Dirty)
}

// collect reads the universe and its wallets. An error means that the database
// failed; everything else is a run, if a failed one.
func (c *Collector) collect(ctx context.Context, minute time.Time) (Minute, error) {
	failed := func(wallets int, check, why string) Minute {
		return Minute{Run: failedRun(minute, wallets, check, why)}
	}
	if err := CheckTimestamp(minute); err != nil {
		return failed(0, "S1", err.Error()), nil
	}
	lost := failed(0, ofDatabase, "")
	if err := c.prepare(ctx, minute); err != nil {
		return lost, err
	}
	wallets, _, err := c.store.Tracked(ctx, c.cfg.Clock.Now())
	if err != nil {
		return lost, err
	}
	if len(wallets) == 0 {
		return failed(0, "S2", "S2: the expected rows cannot be determined: there is no universe yet"), nil
	}
	if err := c.cfg.Room(); err != nil {
		return failed(len(wallets), diskFull, "S8: nothing was asked for: "+err.Error()), nil
	}
	budget, cancel := c.cfg.Clock.WithTimeout(ctx, minute.Add(interval-reserve).Sub(c.cfg.Clock.Now()), errBudget)
	defer cancel()
	f := &fetch{
		upstream: c.upstream, clock: c.cfg.Clock, attempts: c.cfg.Attempts, backoff: c.cfg.Backoff,
		lastTime: c.lastTime, maxAge: c.cfg.MaxStateAge, maxLead: maxStateLead, limited: c.metrics.rateLimited.Inc, listed: c.search.readList,
	}
	c.reserve(wallets)
	if searchFirst(wallets) {
		for i := range wallets {
			wallets[i].Unreadable = cmp.Or(wallets[i].Unreadable, reasonAccountsFirst)
		}
	}
	var asking sync.WaitGroup
	if c.coins.due(minute) {
		asking.Go(func() { c.askCoins(budget, minute) })
	}
	readings, failures := f.run(budget, wallets, c.cfg.Concurrency)
	asking.Wait()
	if oldest := f.oldest.Load(); oldest != 0 {
		c.oldestState.Store(oldest)
	}
	m := Minute{Run: Judge(minute, len(wallets), readings, failures), Readings: readings}
	return m, c.believe(ctx, budget, &m, wallets)
}

// reserve keeps of the budget what a minute needs, with something for second attempts and
// for what is under way when it begins, unless no run can be good anyway. What the budget cannot carry is said.
func (c *Collector) reserve(wallets []Tracked) {
	weight := 0
	for i := range wallets {
		weight += wallets[i].weight()
	}
	c.metrics.minuteWeight.Set(float64(weight))
	if weight > c.cfg.WeightPerMinute && !c.overBudget {
		c.cfg.Logger.Error("the budget cannot carry a minute: wallets will be missing", "weight", weight, "weight_per_minute", c.cfg.WeightPerMinute)
	}
	c.overBudget = weight > c.cfg.WeightPerMinute
	if searchFirst(wallets) {
		weight = 0
	} else {
		weight += weight/20 + 2*hyperliquid.StateWeight*c.cfg.Concurrency + hyperliquid.MetaWeight
	}
	c.upstream.Reserve(weight)
}

// stateLag is how far the oldest state of the newest answers lies behind the present, in
// seconds; NaN before there was any.
func (c *Collector) stateLag() float64 {
	oldest := c.oldestState.Load()
	if oldest == 0 {
		return math.NaN()
	}
	return c.cfg.Clock.Now().Sub(time.Unix(0, oldest)).Seconds()
}

// tellDayGone tells that today's partition was missing, and is there again, if rows of
// today were stored before: no recovery is silent. Rows that went with it are gone.
func (c *Collector) tellDayGone(ctx context.Context, day time.Time) error {
	stored, empty, err := c.store.emptied(ctx, day)
	if err != nil || stored == 0 {
		return err
	}
	action := "attached again, with its rows"
	if empty > 0 {
		action = "made anew: the rows of these minutes are gone"
	}
	c.report(ctx, c.cfg.Clock.Now(), qa.Event{Check: check.DayGone, Severity: "critical", Action: action,
		Details: map[string]any{"day": day.Format(time.DateOnly), "minutes_stored": stored, "minutes_without_rows": empty}})
	return nil
}

// prepare makes the partitions of the days ahead, and learns from the database
// what it last stored.
func (c *Collector) prepare(ctx context.Context, minute time.Time) error {
	const daysAhead = 3
	day := minute.Truncate(24 * time.Hour)
	// Asked anew each minute: somebody may drop or detach one, or restore the database.
	until := day.AddDate(0, 0, daysAhead)
	missing, err := c.store.missingDays(ctx, day, until)
	if err != nil {
		return err
	}
	if missing > 0 {
		c.cfg.Logger.Info("days of snapshots are made, or attached again", "days", missing)
		gone, err := c.store.missingDays(ctx, day, day)
		if err != nil {
			return err
		}
		if err := c.store.EnsurePartitions(ctx, day, until); err != nil {
			return err
		}
		if gone > 0 {
			if err := c.tellDayGone(ctx, day); err != nil {
				return err
			}
		}
	}
	if len(c.lastTime) == 0 {
		times, err := c.store.StateTimes(ctx)
		if err != nil {
			return err
		}
		c.lastTime = times
	}
	if !c.coins.known {
		said, err := c.store.Coins(ctx)
		if err != nil {
			return err
		}
		c.coins = said
	}
	return nil
}

// committed follows a run that is stored: memory, metrics, log, checks, and
// whoever waits for it.
func (c *Collector) committed(ctx context.Context, m Minute, dirty []Collapse) {
	run, readings := m.Run, m.Readings
	c.refusedAt, c.refusedFor = time.Time{}, time.Time{}
	c.show(shown{run.Timestamp, time.Now(), true})
	c.unsaved = nil
	c.countUnsaved()
	if run.Status != Failed { // a failed run's rows feed nothing
		c.firstGood(ctx)
		c.recent = append(c.recent, Window{run.Timestamp, readings})
		c.recent = c.recent[max(0, len(c.recent)-2):]
		for _, r := range readings {
			for _, t := range r.times {
				c.lastTime[t.account] = t.time
			}
		}
		if c.baseline != nil {
			c.baseline.add(run.Timestamp, readings)
		}
	}
	if len(m.Opened)+len(m.Ended) > 0 {
		c.baseline = nil // it is read anew, with what the database has of it
	}
	c.metrics.cycles.WithLabelValues(string(run.Status)).Inc()
	c.metrics.rowsWritten.Add(float64(run.RowsWritten))
	for reason, n := range run.Failures {
		if run.failedRunCheck == "" {
			c.metrics.walletFailures.WithLabelValues(reason).Add(float64(n))
		}
	}
	for _, d := range dirty {
		c.metrics.dirtyRows.WithLabelValues(d.Asset.String()).Inc()
	}
	attrs := []any{"timestamp", run.Timestamp, "status", run.Status, "coverage_pct", run.CoveragePct, "rows", run.RowsWritten, "duration_ms", run.Duration.Milliseconds()}
	if run.Status == Success {
		c.cfg.Logger.Info("snapshot", attrs...)
	} else {
		c.cfg.Logger.Warn("snapshot", append(attrs, "failures", run.Failures, "error", run.Error)...)
	}
	c.report(ctx, run.Timestamp, Events(run, dirty)...)
	if c.cfg.Committed != nil {
		c.cfg.Committed(run)
	}
}

// firstGood ends the first start: the search for accounts has found enough.
func (c *Collector) firstGood(ctx context.Context) {
	if c.healthy.Swap(true) {
		return
	}
	if err := c.store.EndProgress(ctx, c.cfg.Clock.Now()); err != nil {
		c.cfg.Logger.Error("end the progress of the search", "error", err)
	}
}

// lost follows a cycle that could not be stored as it should.
func (c *Collector) lost(ctx context.Context, run Run, err error) {
	run = failedRun(run.Timestamp, run.Expected, ofDatabase, "not written: "+err.Error())
	if errors.Is(err, lead.ErrNotLeading) {
		c.cfg.Logger.Warn("minute not written: another collector leads", "timestamp", run.Timestamp)
		return
	}
	if errors.Is(err, postgres.ErrUnreachable) {
		c.Recheck() // it may come back as another one
	}
	c.metrics.cycles.WithLabelValues(string(Failed)).Inc()
	var stored *RefusedError
	if errors.As(err, &stored) {
		c.refused(ctx, run.Timestamp, stored)
		return
	}
	c.cfg.Logger.Error("snapshot lost", "timestamp", run.Timestamp, "error", err)
	var skew *clockError
	if errors.As(err, &skew) {
		run = failedRun(run.Timestamp, run.Expected, "S1", skew.Error())
		c.report(ctx, c.cfg.Clock.Now(), Events(run, nil)...)
		if err := c.keepFailed(ctx, run); err != nil {
			c.cfg.Logger.Warn("keep failed run", "error", err)
			c.remember(run)
		}
		return
	}
	var refused *pgconn.PgError
	switch {
	case errors.Is(err, postgres.ErrDiskFull):
		run = failedRun(run.Timestamp, run.Expected, diskFull, "S8: not written: "+err.Error())
		c.report(ctx, c.cfg.Clock.Now(), Events(run, nil)...)
	case errors.As(err, &refused) && refused.Code == pgerrcode.UniqueViolation:
		run.failedRunCheck = "S4"
		c.report(ctx, c.cfg.Clock.Now(), Events(run, nil)...)
	}
	c.remember(run)
}

// refused follows a minute that may not be stored. That the clock has shown it
// before is recorded where health sees it.
func (c *Collector) refused(ctx context.Context, minute time.Time, why *RefusedError) {
	c.metrics.refused.WithLabelValues(why.Check).Inc()
	c.cfg.Logger.Error("minute refused", "timestamp", minute, "check", why.Check, "error", why.Why)
	action := "nothing written, what is stored stays"
	if why.Check == check.ClockBack {
		c.refusedAt, c.refusedFor = time.Now(), minute
		action = "nothing written, stale"
		if err := c.store.KeepRefused(ctx, minute); err != nil {
			c.cfg.Logger.Error("keep refused minute", "error", err)
		}
	}
	c.report(ctx, c.cfg.Clock.Now(), qa.Event{Check: why.Check, Severity: "critical", Details: map[string]any{"minute": minute.Format(time.RFC3339), "error": why.Why}, Action: action})
}

// putRight tells whether the clock was set since the last minute that was refused: less
// time has passed on the monotonic clock than it shows.
func (c *Collector) putRight(minute time.Time) bool {
	return !c.refusedAt.IsZero() && minute.Sub(c.refusedFor) > c.cfg.Clock.Elapsed(time.Since(c.refusedAt))+2*interval
}

// Why every wallet of a minute failed that could not be stored as it should.
const (
	ofDatabase    = "database"  // it did not take it
	diskFull      = "disk_full" // it has no room for it (S8)
	skippedMinute = "skipped"   // the minute before took so long
)

// pgerrcode.UniqueViolation is how the primary key refuses a second row for the same
// minute, wallet and asset (S4).
// ReportAge is S7: the newest success is older than ten minutes. Whoever watches
// health calls it once an outage; the state itself is the database's to judge.
func (c *Collector) ReportAge(ctx context.Context, age time.Duration) {
	c.report(ctx, c.cfg.Clock.Now(), qa.Event{Check: "S7", Severity: "critical", Details: map[string]any{"snapshot_age_seconds": age.Seconds()}, Action: "stale"})
}
