package runbook

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/whalegate/whalegate/internal/health"
	"github.com/whalegate/whalegate/internal/qa/check"
	"github.com/whalegate/whalegate/internal/threshold"
)

// cause is what broke the row of clean minutes last.
type cause string

const (
	nothing    cause = ""
	stopped    cause = "stopped"  // no run comes any longer
	gap        cause = "gap"      // minutes without a run, not even a failed one
	ofDatabase cause = "database" // what was fetched could not be written, or there was no room to
	ofClock    cause = "clock"    // the snapshot's time is not of the database's present, or runs do not count for a clock
	ofUniverse cause = "universe" // there is no universe to ask for
	ofExchange cause = "exchange" // what the exchange answered, or did not
	ofSizes    cause = "sizes"    // what the exchange answered cannot be true
	behind     cause = "standby"  // what is stored is not all here
	lookBack         = 15 * time.Minute
)

// cause of a run that is not clean.
func (r Run) cause() cause {
	switch r.Check {
	case "database", "S4", "S8", check.Lost:
		return ofDatabase
	case "S1":
		return ofClock
	case "S2":
		return ofUniverse
	case "S10", "S11":
		return ofSizes
	case "skipped":
		return gap
	default:
		return ofExchange
	}
}

// noRoom tells that the database had no room for the run.
func (r Run) noRoom() bool { return r.Check == "S8" }

const noRoomFor = "disk_full" // as the collector names it in its metrics

// broke is what broke the row of clean minutes last, within a quarter of an hour;
// at is the run, or the minute after which runs are missing.
func (f *Facts) broke() (c cause, at Run) {
	if f.Stored == nil {
		return nothing, Run{}
	}
	if _, unreadable := f.Database.Unreadable[PartRuns]; unreadable {
		return nothing, Run{}
	}
	switch {
	case f.because(health.ReasonClockSkew, health.ReasonClockBack):
		return ofClock, Run{}
	case f.because(health.ReasonReplicaLag):
		return behind, Run{}
	}
	runs, now := f.Stored.Runs, f.at()
	if len(runs) == 0 {
		return stopped, Run{}
	}
	if now.Sub(runs[0].Timestamp) > threshold.RunMissing {
		if len(f.clockIn(now.Add(-threshold.RunMissing), now)) > 0 {
			return ofClock, runs[0] // and the next minute is not in yet
		}
		return stopped, runs[0]
	}
	for i, r := range runs {
		if now.Sub(r.Timestamp) > lookBack {
			break
		}
		if !r.Clean {
			if r.Check == "skipped" && len(f.clockIn(r.Timestamp, r.Timestamp)) > 0 {
				return ofClock, r
			}
			return r.cause(), r
		}
		if i+1 < len(runs) && r.Timestamp.Sub(runs[i+1].Timestamp) > time.Minute {
			if len(f.clockIn(f.gapAfter(runs[i+1]))) > 0 {
				return ofClock, runs[i+1]
			}
			return gap, runs[i+1]
		}
	}
	return nothing, Run{}
}

// gapAfter is the first and the last minute without a run that counts after a run, up to
// the present after the newest, or that run's own minute when the next one has a run.
func (f *Facts) gapAfter(run Run) (from, to time.Time) {
	from, to = run.Timestamp, run.Timestamp
	if f.unfollowed(run) {
		return run.Timestamp.Add(time.Minute), f.at()
	}
	for i := 1; i < len(f.Stored.Runs); i++ {
		newer := f.Stored.Runs[i-1].Timestamp
		if f.Stored.Runs[i].Timestamp.Equal(run.Timestamp) && newer.Sub(run.Timestamp) > time.Minute {
			from, to = run.Timestamp.Add(time.Minute), newer.Add(-time.Minute)
		}
	}
	return from, to
}

// unfollowed tells that a run is the newest, and that the next ones do not come.
func (f *Facts) unfollowed(run Run) bool {
	return run.Timestamp.Equal(f.Stored.Runs[0].Timestamp) && f.at().Sub(run.Timestamp) > threshold.RunMissing
}

// over tells that what broke a run is past: the newest is clean, and the state not
// STALE for it any longer, but at most for a halt.
func (f *Facts) over() bool {
	h := f.health()
	return f.Stored.Runs[0].Clean && (!f.stale() || h != nil && slices.Equal(h.Reasons, []string{"halted"}))
}

// skipped counts the minutes within d that went without a cycle and have a failed
// run for it.
func (f *Facts) skipped(d time.Duration) (n int) {
	if f.Stored == nil {
		return 0
	}
	for _, r := range f.Stored.Runs {
		if r.Check == "skipped" && f.at().Sub(r.Timestamp) <= d {
			n++
		}
	}
	return n
}

// missing counts the minutes without a run between the newest run and the oldest
// one within d.
func (f *Facts) missing(d time.Duration) (n int) {
	if f.Stored == nil {
		return 0
	}
	for i := 1; i < len(f.Stored.Runs); i++ {
		newer, older := f.Stored.Runs[i-1].Timestamp, f.Stored.Runs[i].Timestamp
		if f.at().Sub(newer) > d {
			break
		}
		if since := f.at().Add(-d); older.Before(since) {
			older = since.Truncate(time.Minute)
		}
		n += max(0, int(newer.Sub(older)/time.Minute)-1)
	}
	return n
}

// text is the run in one line.
func (r Run) text() string {
	text := fmt.Sprintf("%s %s, coverage %.1f %%, %d of %d wallets failed", stamp(r.Timestamp), r.Status, r.CoveragePct, r.Failed, r.Expected)
	for _, reason := range slices.SortedFunc(maps.Keys(r.Failures), func(a, b string) int { return r.Failures[b] - r.Failures[a] }) {
		text += fmt.Sprintf(", %s %d", reason, r.Failures[reason])
	}
	if r.Error != "" {
		text += ": " + oneLine(r.Error)
	}
	return text
}

// mostly is the reason that failed most wallets, "" when none did. What the
// minute's budget left out only follows from what took so long.
func (r Run) mostly() (reason string) {
	for _, name := range slices.Sorted(maps.Keys(r.Failures)) {
		if reason == "" || reason == abandoned || name != abandoned && r.Failures[name] > r.Failures[reason] {
			reason = name
		}
	}
	return reason
}

const abandoned = "abandoned"

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

func ago(d time.Duration) string { return d.Round(time.Second).String() }

// oneLine is text without line breaks, as far as it matters.
func oneLine(text string) string {
	text = strings.Join(strings.Fields(text), " ")
	const most = 300
	if len(text) > most {
		text = strings.ToValidUTF8(text[:most], "") + "…"
	}
	return text
}
