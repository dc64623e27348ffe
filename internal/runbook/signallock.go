package runbook

import (
	"fmt"
	"strings"
	"time"

	"github.com/whalegate/whalegate/internal/health"
	"github.com/whalegate/whalegate/internal/threshold"
)

const (
	period = 5 * time.Minute
	// settled is how long after a boundary something must have become of it: its
	// snapshot may take most of two minutes.
	settled = threshold.BoundaryOverdue - period
)

// due is the newest boundary of which something must have become.
func (f *Facts) due() time.Time { return f.at().Add(-settled).Truncate(period) }

func judgeSignalLock(f Facts) *Finding {
	if f.Stored == nil || f.unread(PartCycles) {
		return nil
	}
	if f.starting() != nil {
		return nil // signals are due once it has started
	}
	due := f.due()
	if len(f.Stored.Cycles) == 0 {
		first := len(f.Stored.Runs) == 0 || f.Stored.Runs[len(f.Stored.Runs)-1].Timestamp.After(due)
		if first {
			return nil // nothing was due yet
		}
		return f.dead(due, "no boundary was ever computed")
	}
	switch c := f.Stored.Cycles[0]; {
	case c.Timestamp.Before(due) && f.stale():
		return f.heldBack(due, "the newest boundary was never computed, and the state is STALE")
	case c.Timestamp.Before(due) && len(f.clockIn(due.Add(-period), due)) > 0:
		return f.heldBack(due, "the newest boundary fell into the time of a wrong clock")
	case c.Timestamp.Before(due) && f.working() > 0 && f.working() < f.at().Sub(due):
		return f.heldBack(due, "the newest boundary fell into the time without a process")
	case c.Timestamp.Before(due):
		return f.dead(due, "the newest boundary was not computed, and the state allows it")
	case c.Outcome == "failed":
		return f.dead(due, "the computation failed")
	case f.justStarted() && (c.Outcome == "blocked" || len(c.Skipped) > 0):
		return nil // nothing is wrong: the next boundaries have whole windows
	case c.Outcome == "blocked":
		if !f.stale() {
			return f.heldBack(due, "was blocked by health ("+strings.Join(c.Reasons, ", ")+"), as it should be; that is over")
		}
		return f.heldBack(due, "blocked by health ("+strings.Join(c.Reasons, ", ")+"), as it should be")
	case len(c.Skipped) > 0 && f.Stored.Runs != nil:
		found := signalLock.found(P3, "no signal of %s at the newest boundary: its window held too few snapshots", strings.Join(c.Skipped, ", "))
		found.cycles(&f)
		found.do("wait for the next boundary", "whalegate runbook verify signal-lock --watch")
		return found
	default:
		return nil
	}
}

// heldBack is the lock at work; what locked it is another runbook's.
func (f *Facts) heldBack(due time.Time, why string) *Finding {
	severity := P2
	if !f.stale() {
		severity = P3 // the next boundary is computed by itself
	}
	found := signalLock.found(severity, "%s", why)
	found.figure("newest boundary that was due", "%s", stamp(due))
	found.cycles(f)
	if f.stale() {
		found.do("do nothing about the lock: mend what health names", "whalegate status")
		found.do("the next boundary after that is computed by itself", "whalegate runbook verify signal-lock --watch")
	} else {
		next := f.at().Truncate(period).Add(period)
		found.do("do nothing: what locked it is over, and the boundary of "+next.UTC().Format("15:04")+" UTC is computed by itself, at the latest", "whalegate runbook verify signal-lock --watch")
	}
	return found
}

// dead is a job that does not do what it may.
func (f *Facts) dead(due time.Time, why string) *Finding {
	found := signalLock.found(P2, "%s", why)
	found.figure("newest boundary that was due", "%s", stamp(due))
	found.cycles(f)
	if f.Stored.Checks != nil {
		found.checks(f, "G")
	}
	found.rows(whatWasDone, texts(f.Stored.Hindered))
	found.do("read why", "journalctl -u whalegate -n 200 | grep -i signal")
	found.do("compute the newest day again without writing: does the computation itself fail?", "whalegate signals replay")
	found.do("if the job is dead, restart the service", "sudo systemctl restart whalegate")
	return found
}

func (f *Finding) cycles(facts *Facts) {
	var rows []string
	for _, c := range facts.Stored.Cycles[:min(5, len(facts.Stored.Cycles))] {
		row := fmt.Sprintf("%s %s", stamp(c.Timestamp), c.Outcome)
		if len(c.Reasons) > 0 {
			row += ": " + strings.Join(c.Reasons, ", ")
		}
		if len(c.Skipped) > 0 {
			row += ", skipped " + strings.Join(c.Skipped, ", ")
		}
		rows = append(rows, row)
	}
	f.rows("newest boundaries", rows)
}

func signalLockRecovery(f Facts) []Criterion {
	const state, row = "health HEALTHY or DEGRADED", "a signal of the newest boundary"
	h := f.health()
	first := unsure(state, "nobody could be asked")
	if h != nil {
		first = holds(state, h.State != health.Stale, "%s %s", h.State, strings.Join(h.Reasons, ", "))
	}
	if why := f.dark(PartCycles); why != "" {
		return []Criterion{first, unsure(row, why)}
	}
	newest := "none"
	current := 0
	for _, s := range f.Stored.Newest {
		if !s.At.Before(f.due()) {
			current++
		}
		newest = stamp(s.At)
	}
	return []Criterion{first, holds(row, current > 0, "%d assets at %s or later; newest %s", current, stamp(f.due()), newest)}
}
