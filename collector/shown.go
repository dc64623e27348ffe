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
}

const shownFor = 24 * time.Hour

// Inherit takes what the predecessor knew. It is called before Snapshots.
func (c *Collector) Inherit(l lead.Legacy) {
	if !l.Minute.IsZero() {
		c.show(l.Minute, time.Now().Add(-c.cfg.Clock.Real(l.Age)))
	}
	c.inherited = l
}

// show remembers a stored minute.
func (c *Collector) show(minute, at time.Time) {
	c.shown = slices.DeleteFunc(c.shown, func(s shown) bool { return !s.minute.Before(minute) || minute.Sub(s.minute) > shownFor })
	c.shown = append(c.shown, shown{minute, at})
}

// wentBack tells whether the clock went back before a minute: later ones were stored,
// and by the newest one before them it should be later now. Where it is just as late as
// by that one, it was ahead when it showed the later ones, and is right again.
func (c *Collector) wentBack(minute time.Time) bool {
	i := slices.IndexFunc(c.shown, func(s shown) bool { return !s.minute.Before(minute) })
	if i < 1 || !c.shown[len(c.shown)-1].minute.After(minute) {
		return false // nothing before, or nothing later: nobody knows
	}
	before := c.shown[i-1]
	return before.minute.Add(c.cfg.Clock.Elapsed(time.Since(before.at))).Sub(minute) > 2*interval
}
