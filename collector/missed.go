package collector

import (
	"context"
	"math"
	"slices"
	"time"

	"github.com/whalegate/whalegate/internal/qa"
	"github.com/whalegate/whalegate/internal/qa/check"
)

const (
	// maxUnsaved bounds the failed runs that are remembered through an outage of
	// the database: a day.
	maxUnsaved = 24 * 60
	// maxSkipped bounds how many missed minutes are accounted for: beyond it the
	// clock has jumped, and nothing ran over.
	maxSkipped = 60
	// maxUnled bounds the gap before a start that is accounted for. A longer one has made
	// the state STALE by its age, which needs two clean minutes by itself.
	maxUnled = 10 * time.Minute
)

// firstMinute is the minute that counts as done at start: the present one when
// it has been committed already, or when too little of its budget is left. Minutes that
// a predecessor left are not given up in silence: those that are over are stored as
// failed, and the present one is asked for as far as the budget goes, or stored as failed.
func (c *Collector) firstMinute(ctx context.Context) time.Time {
	// Minutes that were committed here, and that the database has lost since, are no holes.
	if err := c.compare(ctx, c.cfg.Clock.Now().Truncate(interval)); err != nil {
		c.cfg.Logger.Warn("compare with the database", "error", err)
	}
	minute, holes, follows := c.holes(ctx)
	left := minute.Add(interval - reserve).Sub(c.cfg.Clock.Now())
	for _, m := range holes {
		if slices.ContainsFunc(c.kept, func(k kept) bool { return k.run.Timestamp.Equal(m) }) {
			continue // the comparison comes to it
		}
		c.missed(m, "no run of this minute was there when the lead was taken: nobody led in it, a clock showed another time, or the database has lost it")
	}
	done, err := c.store.Committed(ctx, minute)
	switch {
	case err == nil && done:
		return minute
	case follows && left <= 0:
		c.missed(minute, "no cycle in this minute: the lead was taken too late for it")
		return minute
	case !follows && left < worthStarting:
		return minute
	}
	return time.Time{}
}

// holes is the present minute, with those before it that have no run, and whether it
// follows one that has. A moment's trouble with the database must not make a hole that
// nobody sees.
func (c *Collector) holes(ctx context.Context) (minute time.Time, holes []time.Time, follows bool) {
	var err error
	for range 5 {
		minute = c.cfg.Clock.Now().Truncate(interval)
		if holes, follows, err = c.store.Holes(ctx, minute); err == nil {
			return minute, holes, follows
		}
		if c.cfg.Clock.Sleep(ctx, time.Second) != nil {
			return minute, nil, false
		}
	}
	c.cfg.Logger.Error("minutes without a run before this one could not be looked for", "error", err)
	return minute, nil, false
}

// missed accounts for a minute that had no cycle.
func (c *Collector) missed(minute time.Time, why string) {
	c.metrics.missedMinutes.Inc()
	c.remember(failedRun(minute, 0, skippedMinute, why))
}

// skipped accounts for the minutes between two cycles, of which the second began so
// long after the first on the monotonic clock. Minutes that did not pass were not
// skipped: the clock was set.
func (c *Collector) skipped(ctx context.Context, last, minute time.Time, passed time.Duration) {
	from := last.Add(interval)
	if minute.Sub(from) > min(maxSkipped*interval, passed+interval) {
		c.report(ctx, c.cfg.Clock.Now(), qa.Event{Check: check.ClockJump, Severity: "warning", Action: "the minutes between are in no run: they did not pass here",
			Details: map[string]any{"from": last.Format(time.RFC3339), "to": minute.Format(time.RFC3339), "passed_seconds": math.Round(passed.Seconds())}})
		return
	}
	for m := from; m.Before(minute); m = m.Add(interval) {
		c.missed(m, "no cycle in this minute: the one before ran over, or the process was held up")
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
var unsavedReasons = []string{ofDatabase, diskFull, skippedMinute, check.Lost, "S1", "S4"}

// saveUnsaved writes failed minutes, oldest first, until the database refuses.
func (c *Collector) saveUnsaved(ctx context.Context) {
	if c.recheck.Load() {
		if err := c.compare(ctx, c.cfg.Clock.Now()); err != nil {
			c.cfg.Logger.Debug("compare with the database", "error", err)
			return
		}
	}
	for len(c.unsaved) > 0 {
		if err := c.keepFailed(ctx, c.unsaved[0]); err != nil {
			c.cfg.Logger.Debug("keep failed run", "error", err)
			return
		}
		c.unsaved = c.unsaved[1:]
		c.countUnsaved()
	}
}
