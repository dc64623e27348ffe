package runbook

import (
	"fmt"
	"time"

	"github.com/whalegate/whalegate/internal/duration"
	"github.com/whalegate/whalegate/internal/health"
	"github.com/whalegate/whalegate/internal/threshold"
)

func judgeCrash(f Facts) *Finding {
	c, at := f.broke()
	dead := f.Service.Trouble == Refused
	var found *Finding
	switch {
	case dead && f.runsUnknown() && !f.vacant():
		found = crash.found(P2, "nobody answers at %s: the process is gone; whether runs come cannot be read", f.Service.URL)
	case dead && (c == stopped || c == behind):
		found = crash.found(f.worst(P2), "nobody answers at %s, and no run comes: the process is gone", f.Service.URL)
	case dead && f.vacant():
		found = crash.found(f.worst(P2), "nobody answers at %s, and no collector leads: the process is gone", f.Service.URL)
	case dead && f.led():
		found = crash.found(P3, "nobody answers at %s, and a collector leads: the process there ended and another one goes on, or that one listens elsewhere (--service-url)", f.Service.URL)
	case dead:
		found = crash.found(P3, "nobody answers at %s, though runs came until a moment ago: it died just now, or listens elsewhere (--service-url)", f.Service.URL)
	case f.replaced():
		return f.replacement()
	case f.Service.URL == "" && f.vacant():
		found = crash.found(f.worst(P2), "no collector leads, and the service was not asked: the process may be gone")
	case f.Service.URL == "" && c == stopped:
		found = crash.found(f.worst(P2), "no run comes, and the service was not asked: the process may be gone")
	case f.Service.Trouble == Answered && f.vacant():
		found = crash.found(f.worst(P2), "no collector leads, and something else answers at %s: the process may be gone", f.Service.URL)
	case f.Service.Trouble == Answered && c == stopped:
		found = crash.found(f.worst(P2), "no run comes, and something else answers at %s: the process may be gone", f.Service.URL)
	case c == gap && !f.outlived(at):
		found = crash.found(f.worst(P3), "the process was away: minutes are missing from the runs")
		if f.tookOver() {
			found.Summary = fmt.Sprintf("the collector that led fell silent, and minutes are missing from the runs: another one took the lead %s; the one before may have ended, or hung", duration.Since(f.Stored.Led))
		}
		found.figure("missing", "%d minutes within the last hour", f.missing(time.Hour)+f.skipped(time.Hour))
		if up := f.Service.Up; up > 0 {
			found.figure("process up for", "%s", ago(up))
		}
		found.whoLeads(&f)
		found.whyAway(&f)
		found.do("wait until it has lived for "+threshold.Span(threshold.ProcessNew), "whalegate runbook verify crash --watch")
		return found
	case f.led() && f.because(health.ReasonNoCollector) && f.starting() == nil:
		return f.unproven()
	default:
		return f.unwatched()
	}
	if f.Service.Error != "" {
		found.figure("service", "%s", oneLine(f.Service.Error))
	}
	found.whoLeads(&f)
	found.lastRun(&f)
	found.do("see whether it is there", "pgrep -ax whalegate")
	found.do("keep the end of its log, and see whether the kernel killed it", endOfLog)
	found.do("start it again: nothing that was committed is lost", "sudo systemctl start whalegate")
	found.do("wait until it has recovered", "whalegate runbook verify crash --watch")
	return found
}

// unwatched is the finding for a dead man's switch that does not answer: nothing is wrong
// yet, and nobody would be told if the service died.
func (f *Facts) unwatched() *Finding {
	if f.Watchdog.Error == "" {
		return nil
	}
	found := crash.found(P3, "the dead man's switch at %s does not do its work: if the service, or the database, dies, nobody is told", f.Watchdog.URL)
	found.figure("it says", "%s", oneLine(f.Watchdog.Error))
	found.refusedLogin(f.Watchdog.Error, "whalegate_watchdog")
	found.do("read why it ended, or what it waits for", "journalctl -u whalegate-watchdog -n 50")
	found.do("start it again", "sudo systemctl restart whalegate-watchdog")
	return found
}

// replaced tells that the process that was asked hangs, while another one took the
// lead not long ago and beats, as far as can be known: the one that hangs cannot say
// who it is.
func (f *Facts) replaced() bool {
	if f.Service.Trouble != Hanging || f.Stored == nil || !f.led() {
		return false
	}
	c, _ := f.broke()
	return c != stopped && f.Stored.Led < time.Hour && f.Stored.Later > f.Stored.Beats
}

func (f *Facts) replacement() *Finding {
	found := crash.found(P3, "the process at %s is there and does not answer, and a collector took the lead %s: it replaced the one that hangs, which writes nothing more; or it is that one itself, and only its port hangs, as without a file descriptor left", f.Service.URL, duration.Since(f.Stored.Led))
	found.figure("service", "%s: %s", f.Service.URL, f.Service.Error)
	found.whoLeads(f)
	found.lastRun(f)
	found.do("see whether it was paused (state T), or waits for a disk (D)", showProcess)
	found.do("see whether it has file descriptors left: how many it has open, of how many", showDescriptors)
	found.do("let a paused one go on, on its machine: it notices that it does not lead any more, and waits", "sudo pkill -CONT -x whalegate")
	found.do("if it still hangs after two minutes, keep the end of its log and restart it", "sudo systemctl restart whalegate")
	found.do("wait until it has recovered", "whalegate runbook verify crash --watch")
	return found
}

// unproven is the finding for a collector that leads and has stored no good minute of
// its own lately, by its own count.
func (f *Facts) unproven() *Finding {
	found := crash.found(P2, "a collector leads, and has stored no good minute of its own yet: it took over, and how long nobody led is not known")
	if own := duration.Optional(f.leader().RunAgeSeconds); own != nil && *own > threshold.OwnRunOld {
		found.Summary = fmt.Sprintf("a collector leads, and has stored no good minute for %s by its own count: it is stuck, or what it stores is refused", ago(*own))
		if f.younger(*own) {
			found.Summary = fmt.Sprintf("a collector leads, and has stored no good minute for %s by its own count, though the runs look younger: it is stuck, or a clock went back", ago(*own))
		}
	}
	found.whoLeads(f)
	found.lastRun(f)
	found.do("wait for its first minute", "whalegate runbook verify crash --watch")
	found.do("if none comes: read why", "journalctl -u whalegate -n 100")
	return found
}

// younger tells that the newest good run is more than a minute younger by the
// database's clock than the collector counts itself.
func (f *Facts) younger(own time.Duration) bool {
	for _, r := range f.Stored.Runs {
		if r.Status != "failed" {
			return f.at().Sub(r.Timestamp) < own-time.Minute
		}
	}
	return false
}

// tookOver tells that whoever leads took the lead from another one, rather than being
// the process that was asked and started with it.
func (f *Facts) tookOver() bool {
	if f.Stored == nil || f.Stored.Led == 0 || !f.led() {
		return false
	}
	return f.Service.waits() || f.Service.Up <= 0 || f.Service.Up-f.Stored.Led > 2*time.Minute
}

// whyAway adds how to find out what became of a collector that was away: one that was
// replaced may still be there.
func (f *Finding) whyAway(facts *Facts) {
	if !facts.tookOver() {
		f.do("find out why it ended: its last lines, and whether the kernel killed it", endOfLog)
		return
	}
	f.do("on the machine of the one before: see whether it is still there, and was paused (state T) or waits for a disk (D)", showProcess)
	f.do("if it is gone, find out why it ended: its last lines, and whether the kernel killed it", endOfLog)
}

// restarted is the finding for a process that has not been at work for long and took
// over from another one; nil when it has, or is the first. It is looked for last:
// what else applies says more.
func (f *Facts) restarted() *Finding {
	s, up := f.Service, f.working()
	if up <= 0 || up >= threshold.ProcessNew || f.Stored == nil || !f.begun(up) {
		return nil
	}
	found := crash.found(P3, "the process was started %s ago: as it should be if somebody did that, else it died before", ago(s.Up))
	if f.tookOver() {
		found = crash.found(P3, "a collector took the lead from another one %s ago: as it should be if somebody ended that, else it died or hung", ago(up))
	}
	if s.Up > 0 {
		found.figure("process up for", "%s", ago(s.Up))
	}
	found.whoLeads(f)
	found.whyAway(f)
	found.do("wait until it has lived for "+threshold.Span(threshold.ProcessNew), "whalegate runbook verify crash --watch")
	return found
}

const showDescriptors = `for pid in $(pgrep -x whalegate); do echo "$pid: $(ls /proc/$pid/fd | wc -l) of $(awk '/open files/ {print $4}' /proc/$pid/limits)"; done`

const showProcess = "ps -o pid,stat,etime,args -C whalegate"

const endOfLog = `journalctl -u whalegate -n 100; dmesg | grep -i -E 'killed process|out of memory' | tail`

func crashRecovery(f Facts) []Criterion {
	up := "process up for at least " + threshold.Span(threshold.ProcessNew)
	whole := "no minute without a run within the last " + threshold.Span(threshold.ProcessNew)
	first := unsure(up, "the service was not asked (--service-url)")
	switch s := f.Service; {
	case s.URL == "":
	case s.Trouble != "":
		first = holds(up, false, "it does not answer: %s", oneLine(s.Error))
	case s.Up == 0:
		first = unsure(up, "its metrics do not tell when it started")
	case s.Up < 0:
		first = unsure(up, "its start is "+duration.Since(s.Up)+" of this machine's clock")
	default:
		first = holds(up, s.Up >= threshold.ProcessNew, "%s", ago(s.Up))
	}
	if why := f.dark(PartRuns); why != "" {
		return []Criterion{first, unsure(whole, why)}
	}
	missing := f.missing(threshold.ProcessNew) + f.skipped(threshold.ProcessNew)
	if len(f.Stored.Runs) == 0 {
		return []Criterion{first, holds(whole, false, "there is no run")}
	}
	age := f.at().Sub(f.Stored.Runs[0].Timestamp)
	return []Criterion{first, holds(whole, missing == 0 && age <= threshold.RunMissing, "%d missing, the newest run %s", missing, duration.Since(age))}
}
