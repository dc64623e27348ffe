package collector

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/whalegate/whalegate/internal/lead"
	"github.com/whalegate/whalegate/internal/qa"
	"github.com/whalegate/whalegate/internal/qa/check"
)

// kept is a minute that was committed, as far as it may have to be written again: a
// database can come back as another one, a promoted standby or a restored backup.
type kept struct {
	run      Run
	finished time.Time
	readings []Reading // nil: there was no room for them
}

const (
	keptFor      = time.Hour
	keptReadings = 20_000 // in all minutes together: 10 MB
)

// keep remembers a committed minute.
func (c *Collector) keep(run Run, readings []Reading, finished time.Time) {
	// A clock that was ahead, and is right now, committed what is not before this one.
	c.kept = slices.DeleteFunc(c.kept, func(k kept) bool { return !k.run.Timestamp.Before(run.Timestamp) })
	c.kept = append(c.kept, kept{run, finished, readings})
	c.forgetOld()
	room := keptReadings
	for i := len(c.kept) - 1; i >= 0; i-- {
		if room -= len(c.kept[i].readings); room < 0 {
			c.kept[i].readings = nil
		}
	}
}

// forgetOld drops minutes that lie too far before the newest that is remembered.
func (c *Collector) forgetOld() {
	oldest := c.kept[len(c.kept)-1].run.Timestamp.Add(-keptFor)
	c.kept = slices.DeleteFunc(c.kept, func(k kept) bool { return k.run.Timestamp.Before(oldest) })
}

// keepFailed stores a failed minute and remembers it: what the database takes it may lose,
// and a minute that failed must not become one that nobody knows of.
func (c *Collector) keepFailed(ctx context.Context, run Run) error {
	if err := c.store.KeepFailed(ctx, run); err != nil {
		return err
	}
	if run.failedRunCheck == "S1" {
		return nil // a clock was wrong: it may be stored at another minute, or at none
	}
	at, known := slices.BinarySearchFunc(c.kept, run.Timestamp, func(k kept, t time.Time) int { return k.run.Timestamp.Compare(t) })
	if !known {
		c.kept = slices.Insert(c.kept, at, kept{run: run})
		c.forgetOld()
	}
	return nil
}

// Recheck asks for a comparison of what was committed with what the database has at
// once, not only with the next minute. It is for whoever saw the connections go and
// come back.
func (c *Collector) Recheck() { c.recheck.Store(true) }

// compare writes what the database has lost again: a minute with its rows where they
// are still known and nothing later is stored, or else as failed. What was lost is
// a failed check, so that no recovery is silent.
//
// Minutes from present on are left out: a clock that was ahead committed them.
func (c *Collector) compare(ctx context.Context, present time.Time) (err error) {
	defer func() {
		if err != nil {
			c.recheck.Store(true)
		}
	}()
	c.recheck.Store(false)
	if err := c.inheritLost(ctx); err != nil {
		return err
	}
	if len(c.kept) == 0 {
		return nil
	}
	stored, err := c.store.Stored(ctx, c.kept[0].run.Timestamp)
	if err != nil {
		return err
	}
	newest, err := c.store.Newest(ctx)
	if err != nil {
		return err
	}
	var lost, rewritten []string
	for _, k := range c.kept {
		at := k.run.Timestamp
		if !at.Before(present) {
			break
		}
		if stored[at] {
			continue
		}
		lost = append(lost, at.Format(time.RFC3339))
		if k.readings != nil && at.After(newest) {
			if err := c.rewrite(ctx, k); err != nil {
				return err
			}
			newest = at
			rewritten = append(rewritten, at.Format(time.RFC3339))
			continue
		}
		run := k.run // of one that had failed there is nothing else to say
		if run.Status != Failed {
			run = failedRun(at, k.run.Expected, check.Lost, "lost: the database came back without this minute, which it had taken")
		}
		if err := c.store.KeepFailed(ctx, run); err != nil {
			return err
		}
	}
	if len(lost) > 0 {
		c.recent, c.lastTime, c.baseline = nil, map[string]time.Time{}, nil
		c.cfg.Logger.Error("the database came back without minutes that it had taken", "lost", len(lost), "since", lost[0], "until", lost[len(lost)-1], "written_again", len(rewritten))
		c.report(ctx, c.cfg.Clock.Now(), qa.Event{
			Check: check.Lost, Severity: "critical", Action: "written again where still known, else failed",
			Details: map[string]any{"minutes": len(lost), "since": lost[0], "until": lost[len(lost)-1], "written_again": len(rewritten)},
		})
	}
	return nil
}

// inheritLost makes the minutes that a predecessor had committed, and that the database
// has lost together with it, minutes that it was to have.
func (c *Collector) inheritLost(ctx context.Context) error {
	if c.inherited.Lost.IsZero() {
		return nil
	}
	newest, err := c.store.Newest(ctx)
	if err != nil {
		return err
	}
	first := newest.Add(interval)
	if oldest := c.inherited.Lost.Add(-keptFor); first.Before(oldest) {
		first = oldest
	}
	for m := first; !m.After(c.inherited.Lost); m = m.Add(interval) {
		c.kept = append(c.kept, kept{run: Run{Timestamp: m}})
	}
	c.inherited = lead.Legacy{}
	return nil
}

// rewrite stores a minute as it was, with the time at which it ended. The days of its
// partitions may be gone as well.
func (c *Collector) rewrite(ctx context.Context, k kept) error {
	day := k.run.Timestamp.Truncate(24 * time.Hour)
	if err := c.store.EnsurePartitions(ctx, day, day); err != nil {
		return err
	}
	_, err := c.store.Commit(ctx, Minute{Run: k.run, Readings: k.readings, Backfill: true, Finished: k.finished})
	if err != nil && !errors.Is(err, lead.ErrNotLeading) {
		c.cfg.Logger.Error("write a lost minute again", "timestamp", k.run.Timestamp, "error", err)
	}
	return err
}
