package runbook

import (
	"fmt"
	"strings"

	"github.com/whalegate/whalegate/internal/health"
)

// inForce is the halt, as the database or else the service knows it.
func (f *Facts) inForce() *health.Halt {
	if f.Stored != nil && f.Stored.Halt != nil {
		return f.Stored.Halt
	}
	if s := f.Service.Told; f.Stored == nil && s != nil {
		return s.Halt
	}
	return nil
}

// cleanSince counts the clean minutes in a row, up to the newest, that were stored
// since a halt: what a resume asks for.
func (f *Facts) cleanSince(h health.Halt) (clean int) {
	for clean < len(f.Stored.Runs) && f.Stored.Runs[clean].Clean && f.Stored.Runs[clean].Finished.After(h.HaltedAt) {
		clean++
	}
	return clean
}

func judgeHalt(f Facts) *Finding {
	h := f.inForce()
	if h == nil {
		return nil
	}
	found := halt.found(P1, "a halt is in force: signals and alerts stand still")
	found.figure("halted", "%s by %s: %s", stamp(h.HaltedAt), h.HaltedBy, h.Reason)
	if f.Stored != nil {
		found.figure("clean minutes in a row, stored since", "%d; a resume needs 2, and a snapshot that is at most 2 minutes old", f.cleanSince(*h))
	}
	if h := f.health(); h != nil && h.ClockIsWrong() {
		found.figure("a clock is wrong", "a resume is refused until it is right (%s; runbook 7)", strings.Join(h.OfClocks(), ", "))
	}
	found.do("ask whoever halted, and find the cause", "whalegate runbook diagnose")
	found.do("see what is missing for a resume", "whalegate runbook verify halt")
	found.do("once the cause is found and mended, write both down", `whalegate resume --cause "…" --actions "…"`)
	return found
}

// unexplained is a STALE state that no runbook explains: the halt is the answer to
// everything that is not covered.
func unexplained(reasons []string) *Finding {
	found := halt.found(P1, "the state is STALE (%s), and no other runbook says why: halt rather than guess", strings.Join(reasons, ", "))
	found.do("halt until the cause is known", `whalegate halt --reason "STALE, and nobody knows why"`)
	found.do("look at every figure", "whalegate status")
	return found
}

func haltRecovery(f Facts) []Criterion {
	const none, healthy, clean = "no halt in force", "health HEALTHY", "two consecutive clean cycles"
	h := f.health()
	if h == nil {
		why := "nobody could be asked"
		return []Criterion{unsure(none, why), unsure(healthy, why), unsure(clean, why)}
	}
	first := holds(none, f.inForce() == nil, "none")
	if in := f.inForce(); in != nil {
		first = holds(none, false, "since %s by %s: %s", stamp(in.HaltedAt), in.HaltedBy, in.Reason)
		if f.Stored != nil {
			first.Figure += fmt.Sprintf("; for a resume %d of 2 clean cycles stored since then", min(f.cleanSince(*in), 2))
		}
	} else if f.because("halted") {
		first = holds(none, false, "health says so")
	} else if why := f.dark(PartHalt); why != "" && f.Service.Told == nil {
		first = unsure(none, why)
	}
	return []Criterion{
		first,
		holds(healthy, h.State == health.Healthy, "%s %s", h.State, strings.Join(h.OfClocks(), ", ")),
		holds(clean, h.CleanRuns >= 2, "%d in a row", h.CleanRuns),
	}
}
