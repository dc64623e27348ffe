package collector

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/whalegate/whalegate/internal/postgres"
	"github.com/whalegate/whalegate/internal/qa"
)

const (
	// maxUnsaved bounds the failed runs that are remembered through an outage of
	// the database: a day.
	maxUnsaved = 24 * 60
	// maxSkipped bounds how many missed minutes are accounted for: beyond it the
	// clock has jumped, and nothing ran over.
	maxSkipped = 60
)

var errBudget = errors.New("the budget of the minute is used up")

// Snapshots runs a cycle every minute until ctx ends. A cycle never overlaps
// the next, and one that runs over never shifts the grid.
func (c *Collector) Snapshots(ctx context.Context) error {
	last := c.firstMinute(ctx)
	for ctx.Err() == nil {
		minute := c.cfg.Clock.Now().Truncate(interval)
		if ahead := last.Sub(minute); ahead >= 0 && ahead < 2*interval {
			if c.rest(ctx, last.Add(interval)) != nil {
				return nil
			}
			continue
		}
		if !last.IsZero() {
			c.skipped(last, minute)
		}
		c.cycle(ctx, minute)
		last = minute
	}
	return nil
}

// rest waits for the next minute. Failed minutes go to the database as soon as
// it takes them: until then its health function cannot know of them, and the
// state could look better than it was.
func (c *Collector) rest(ctx context.Context, until time.Time) error {
	const pause = time.Second
	for len(c.unsaved) > 0 {
		left := until.Sub(c.cfg.Clock.Now())
		if left <= pause {
			break
		}
		if err := c.cfg.Clock.Sleep(ctx, pause); err != nil {
			return err
		}
		c.saveUnsaved(ctx)
	}
	return c.cfg.Clock.SleepUntil(ctx, until)
}

// saveUnsaved writes failed minutes, oldest first, until the database refuses.
func (c *Collector) saveUnsaved(ctx context.Context) {
	for len(c.unsaved) > 0 {
		if err := c.store.KeepFailed(ctx, c.unsaved[0]); err != nil {
			c.cfg.Logger.Debug("keep failed run", "error", err)
			return
		}
		c.unsaved = c.unsaved[1:]
		c.countUnsaved()
	}
}

// firstMinute is the minute that counts as done at start: the present one when
// it has been committed already, or when too little of its budget is left.
func (c *Collector) firstMinute(ctx context.Context) time.Time {
	now := c.cfg.Clock.Now()
	minute := now.Truncate(interval)
	if minute.Add(interval-reserve).Sub(now) < worthStarting {
		return minute
	}
	if done, err := c.store.Committed(ctx, minute); err == nil && done {
		return minute
	}
	return time.Time{}
}

// skipped accounts for the minutes between two cycles.
func (c *Collector) skipped(last, minute time.Time) {
	from := last.Add(interval)
	if minute.Sub(from) > maxSkipped*interval {
		c.cfg.Logger.Warn("the clock jumped", "from", last, "to", minute)
		return
	}
	for m := from; m.Before(minute); m = m.Add(interval) {
		c.metrics.missedMinutes.Inc()
		c.remember(failedRun(m, 0, skippedMinute, "no cycle in this minute: the one before ran over, or the process was held up"))
	}
}

// remember keeps a failed run until the database takes it.
func (c *Collector) remember(run Run) {
	if len(c.unsaved) >= maxUnsaved {
		c.unsaved = c.unsaved[1:]
	}
	c.unsaved = append(c.unsaved, run)
	c.countUnsaved()
}

// countUnsaved counts the failed minutes that wait by what failed them, so that
// somebody who cannot ask the database may know.
func (c *Collector) countUnsaved() {
	waiting := map[string]int{}
	for _, run := range c.unsaved {
		waiting[run.failedRunCheck]++
	}
	for _, reason := range unsavedReasons {
		c.metrics.unsavedRuns.WithLabelValues(reason).Set(float64(waiting[reason]))
	}
}

// unsavedReasons are why a minute may have failed that waits to be written.
var unsavedReasons = []string{ofDatabase, diskFull, skippedMinute, "S4"}

// cycle asks for every wallet and commits what came.
func (c *Collector) cycle(ctx context.Context, minute time.Time) {
	started := c.cfg.Clock.Now()
	run, readings, err := c.collect(ctx, minute)
	if ctx.Err() != nil {
		return // cut short by the shutdown: nothing is written of a cycle that was not finished
	}
	var dirty []Collapse
	if err == nil {
		run.Duration = c.cfg.Clock.Now().Sub(started)
		dirty, err = c.store.Commit(ctx, Minute{Run: run, Readings: readings, Unsaved: c.unsaved, Before: c.recent})
	}
	c.metrics.cycleDuration.Observe(c.cfg.Clock.Now().Sub(started).Seconds())
	if err != nil && ctx.Err() != nil {
		return // the shutdown came during the commit: all of it or nothing is there
	}
	if err != nil {
		c.lost(ctx, run, err)
		return
	}
	c.committed(ctx, run, readings, dirty)
}

// collect reads the universe and its wallets. An error means that the database
// failed; everything else is a run, if a failed one.
func (c *Collector) collect(ctx context.Context, minute time.Time) (Run, []Reading, error) {
	if err := CheckTimestamp(minute); err != nil {
		return failedRun(minute, 0, "S1", err.Error()), nil, nil
	}
	lost := failedRun(minute, 0, ofDatabase, "")
	if err := c.prepare(ctx, minute); err != nil {
		return lost, nil, err
	}
	wallets, err := c.store.Tracked(ctx)
	if err != nil {
		return lost, nil, err
	}
	if len(wallets) == 0 {
		return failedRun(minute, 0, "S2", "S2: the expected rows cannot be determined: there is no universe yet"), nil, nil
	}
	if err := c.cfg.Room(); err != nil {
		return failedRun(minute, len(wallets), diskFull, "S8: nothing was asked for: "+err.Error()), nil, nil
	}
	budget, cancel := c.cfg.Clock.WithTimeout(ctx, minute.Add(interval-reserve).Sub(c.cfg.Clock.Now()), errBudget)
	defer cancel()
	f := &fetch{
		upstream: c.upstream, clock: c.cfg.Clock, attempts: c.cfg.Attempts, backoff: c.cfg.Backoff,
		lastTime: c.lastTime, limited: c.metrics.rateLimited.Inc,
	}
	readings, failures := f.run(budget, wallets, c.cfg.Concurrency)
	return Judge(minute, len(wallets), readings, failures), readings, nil
}

// prepare makes the partitions of the days ahead, and learns from the database
// what it last stored.
func (c *Collector) prepare(ctx context.Context, minute time.Time) error {
	const daysAhead = 3
	day := minute.Truncate(24 * time.Hour)
	if c.partitions.Before(day.AddDate(0, 0, daysAhead-1)) {
		until := day.AddDate(0, 0, daysAhead)
		if err := c.store.EnsurePartitions(ctx, day, until); err != nil {
			return err
		}
		c.partitions = until
	}
	if len(c.lastTime) == 0 {
		times, err := c.store.StateTimes(ctx)
		if err != nil {
			return err
		}
		c.lastTime = times
	}
	return nil
}

// committed follows a run that is stored: memory, metrics, log, checks, and
// whoever waits for it.
func (c *Collector) committed(ctx context.Context, run Run, readings []Reading, dirty []Collapse) {
	c.unsaved = nil
	c.countUnsaved()
	c.recent = append(c.recent, Window{run.Timestamp, readings})
	c.recent = c.recent[max(0, len(c.recent)-2):]
	var oldest time.Time
	for _, r := range readings {
		for _, t := range r.times {
			c.lastTime[t.account] = t.time
		}
		if oldest.IsZero() || r.StateTime.Before(oldest) {
			oldest = r.StateTime
		}
	}
	if !oldest.IsZero() {
		c.metrics.stateLag.Set(run.Timestamp.Add(run.Duration).Sub(oldest).Seconds())
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

// lost follows a cycle that could not be stored as it should.
func (c *Collector) lost(ctx context.Context, run Run, err error) {
	run = failedRun(run.Timestamp, run.Expected, ofDatabase, "not written: "+err.Error())
	c.metrics.cycles.WithLabelValues(string(Failed)).Inc()
	c.cfg.Logger.Error("snapshot lost", "timestamp", run.Timestamp, "error", err)
	var skew *clockError
	if errors.As(err, &skew) {
		run = failedRun(run.Timestamp, run.Expected, "S1", skew.Error())
		c.report(ctx, c.cfg.Clock.Now(), Events(run, nil)...)
		if err := c.store.KeepFailed(ctx, run); err != nil {
			c.cfg.Logger.Error("keep failed run", "error", err)
		}
		return
	}
	var refused *pgconn.PgError
	switch {
	case errors.Is(err, postgres.ErrDiskFull):
		run = failedRun(run.Timestamp, run.Expected, diskFull, "S8: not written: "+err.Error())
		c.report(ctx, c.cfg.Clock.Now(), Events(run, nil)...)
	case errors.As(err, &refused) && refused.Code == uniqueViolation:
		run.failedRunCheck = "S4"
		c.report(ctx, c.cfg.Clock.Now(), Events(run, nil)...)
	}
	c.remember(run)
}

// Why every wallet of a minute failed that could not be stored as it should.
const (
	ofDatabase    = "database"  // it did not take it
	diskFull      = "disk_full" // it has no room for it (S8)
	skippedMinute = "skipped"   // the minute before took so long
)

// uniqueViolation is how the primary key refuses a second row for the same
// minute, wallet and asset (S4).
const uniqueViolation = "23505"

// ReportAge is S7: the newest success is older than ten minutes. Whoever watches
// health calls it once an outage; the state itself is the database's to judge.
func (c *Collector) ReportAge(ctx context.Context, age time.Duration) {
	c.report(ctx, c.cfg.Clock.Now(), qa.Event{Check: "S7", Severity: "critical", Details: map[string]any{"snapshot_age_seconds": age.Seconds()}, Action: "stale"})
}
