package runbook

import (
	"slices"
	"time"
)

const longEnough = 10 * time.Minute // a process that has lived so long has not crashed at once

func judgeCrash(f *Facts) *Finding {
	c, at := f.broke()
	dead := f.Service.Trouble == Refused
	var found *Finding
	switch {
	case dead && (c == stopped || f.runsUnknown()):
		found = crash.found(f.worst(P2), "nobody answers at %s, and no run comes: the process is gone", f.Service.URL)
		if f.runsUnknown() {
			found = crash.found(P2, "nobody answers at %s: the process is gone; whether runs come cannot be read", f.Service.URL)
		}
	case dead:
		found = crash.found(P3, "nobody answers at %s, though runs came until a moment ago: it died just now, or listens elsewhere (--service-url)", f.Service.URL)
	case f.Service.URL == "" && c == stopped:
		found = crash.found(f.worst(P2), "no run comes, and the service was not asked: the process may be gone")
	case f.Service.Trouble == Answered && c == stopped:
		found = crash.found(f.worst(P2), "no run comes, and something else answers at %s: the process may be gone", f.Service.URL)
	case c == gap && !f.outlived(at):
		found = crash.found(f.worst(P3), "the process was away: minutes are missing from the runs")
		found.figure("missing", "%d minutes within the last hour", f.missing(time.Hour))
		if up := f.Service.Up; up > 0 {
			found.figure("process up for", "%s", ago(up))
		}
		found.do("find out why it ended: its last lines, and whether the kernel killed it", endOfLog)
		found.do("wait until it has lived for ten minutes", "whalegate runbook verify crash --watch")
		return found
	default:
		return nil
	}
	if f.Service.Error != "" {
		found.figure("service", "%s", oneLine(f.Service.Error))
	}
	found.lastRun(f)
	found.do("see whether it is there", "pgrep -ax whalegate")
	found.do("keep the end of its log, and see whether the kernel killed it", endOfLog)
	found.do("start it again: nothing that was committed is lost", "sudo systemctl start whalegate")
	found.do("wait until it has recovered", "whalegate runbook verify crash --watch")
	return found
}

// restarted is the finding for a process that has not lived for long and took over
// from another one; nil when it has, or is the first. It is looked for last: what
// else applies says more.
func (f *Facts) restarted() *Finding {
	s := f.Service
	if !s.answers() || s.Up <= 0 || s.Up >= longEnough || f.Stored == nil {
		return nil
	}
	began := f.at().Add(-s.Up)
	if !slices.ContainsFunc(f.Stored.Runs, func(r Run) bool { return began.Sub(r.Timestamp) > stoppedFrom/2 }) {
		return nil
	}
	found := crash.found(P3, "the process was started %s ago: as it should be if somebody did that, else it died before", ago(s.Up))
	found.figure("process up for", "%s", ago(s.Up))
	found.do("if nobody restarted it: find out why it ended", endOfLog)
	found.do("wait until it has lived for ten minutes", "whalegate runbook verify crash --watch")
	return found
}

const endOfLog = `journalctl -u whalegate -n 100; dmesg | grep -i -E 'killed process|out of memory' | tail`

func crashRecovery(f *Facts) []Criterion {
	const up, whole = "process up for at least 10 minutes", "no minute without a run in the last 10"
	first := unsure(up, "the service was not asked (--service-url)")
	switch s := f.Service; {
	case s.URL == "":
	case s.Trouble != "":
		first = holds(up, false, "it does not answer: %s", oneLine(s.Error))
	case s.Up == 0:
		first = unsure(up, "its metrics do not tell when it started")
	default:
		first = holds(up, s.Up >= longEnough, "%s", ago(s.Up))
	}
	if why := f.dark(partRuns); why != "" {
		return []Criterion{first, unsure(whole, why)}
	}
	missing := f.missing(longEnough)
	if len(f.Stored.Runs) == 0 {
		return []Criterion{first, holds(whole, false, "there is no run")}
	}
	age := f.at().Sub(f.Stored.Runs[0].Timestamp)
	return []Criterion{first, holds(whole, missing == 0 && age <= stoppedFrom, "%d missing, the newest run is of %s ago", missing, ago(age))}
}
