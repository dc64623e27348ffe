package collector

import (
	"slices"
	"time"

	"github.com/whalegate/whalegate/internal/lead"
)

// shown is a stored minute and when the clock showed it, on the monotonic clock. The
// two together tell a clock that is right again from one that went back.
type shown struct {
	minute time.Time
	at     time.Time
	own    bool // our own clock showed it then; else a predecessor says so
}

const shownFor = 24 * time.Hour

// Inherit takes what the predecessor knew, and what was seen while waiting. It is called
// before Snapshots.
func (c *Collector) Inherit(l lead.Legacy) {
	now := time.Now()
	newest := time.Time{}
	for _, s := range l.Seen {
		c.show(shown{s.Minute, now.Add(-s.Ago), true})
		newest = s.Minute
	}
	if l.Minute.After(newest) {
		c.show(shown{l.Minute, now.Add(-c.cfg.Clock.Real(l.Age)), false})
	}
	c.inherited = l
}

// show remembers a stored minute.
func (c *Collector) show(s shown) {
	// How long ago is asked of the monotonic clock: one that jumps by days forgets nothing.
	c.shown = slices.DeleteFunc(c.shown, func(o shown) bool {
		return !o.minute.Before(s.minute) || time.Since(o.at) > c.cfg.Clock.Real(shownFor)
	})
	c.shown = append(c.shown, s)
}

// wentBack tells whether the clock went back before a minute: it has shown later ones,
// and it is not as late as it should be by the newest one before them. Where it is, it
// was ahead when it showed the later ones, and is right again. Where nothing before is
// known, no guess may set later minutes aside.
func (c *Collector) wentBack(minute time.Time) bool {
	if !slices.ContainsFunc(c.shown, func(s shown) bool { return s.own && s.minute.After(minute) }) {
		return false
	}
	i := slices.IndexFunc(c.shown, func(s shown) bool { return !s.minute.Before(minute) })
	if i < 1 {
		return true
	}
	before := c.shown[i-1]
	return before.minute.Add(c.cfg.Clock.Elapsed(time.Since(before.at))).Sub(minute) > 2*interval
}
