package collector

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/whalegate/whalegate/collector/hyperliquid"
	"github.com/whalegate/whalegate/internal/asset"
	"github.com/whalegate/whalegate/internal/qa"
	"github.com/whalegate/whalegate/internal/threshold"
)

// Status is the verdict on a run.
type Status string

// The verdicts: at most 5 % of the rows missing, coverage of at least 80 %, or
// neither. A failed run's rows are kept for audit but never count as fresh.
const (
	Success Status = "success"
	Partial Status = "partial"
	Failed  Status = "failed"
)

// Statuses lists every verdict.
var Statuses = []Status{Success, Partial, Failed}

const (
	maxMissingPct  = 5.0
	minCoveragePct = float64(threshold.CoverageLow)
	// of a run that counts towards recovery
	cleanCoveragePct = float64(threshold.CoverageThin)
)

// Reading is what a wallet held at a minute, over all of its accounts.
type Reading struct {
	Wallet    string
	Positions [asset.Count]hyperliquid.Position // indexed by asset
	StateTime time.Time                         // the upstream's time of the oldest account state

	times []accountTime // of each account, to tell a stale replica next time
}

type accountTime struct {
	account string
	time    time.Time
}

// Run is the record of one minute's cycle: a row of ingest_runs.
type Run struct {
	Timestamp      time.Time
	Status         Status
	Expected       int // wallets of the universe
	Succeeded      int
	RowsExpected   int
	RowsWritten    int
	CoveragePct    float64
	NonNullPct     [asset.Count]float64 // of the rows of each asset
	Failures       map[string]int       // failed wallets by reason
	Duration       time.Duration
	Error          string
	failedRunCheck string     // the check that failed the run whole, for its event
	failedSubject  string     // what that was about: same_state, mass_close:BTC, …
	checks         []qa.Event // further checks that failed
}

// FailedSubject is what the failed check was about; "" where it has no subject.
func (r Run) FailedSubject() string {
	if r.Status != Failed {
		return ""
	}
	return r.failedSubject
}

// FailedCheck names the check that failed the run, "" when none did.
func (r Run) FailedCheck() string {
	switch {
	case r.Status != Failed:
		return ""
	case r.failedRunCheck == diskFull:
		return "S8"
	case r.failedRunCheck != "":
		return r.failedRunCheck
	default:
		return "S3"
	}
}

// IsClean tells whether the run counts towards recovery, as the column is_clean
// does.
func (r Run) IsClean() bool { return r.Status != Failed && r.CoveragePct >= cleanCoveragePct }

// Judge derives the run of a cycle from what it fetched. expected is the size
// of the universe; what it did not read is in failures.
func Judge(timestamp time.Time, expected int, readings []Reading, failures map[string]int) Run {
	run := Run{
		Timestamp: timestamp, Expected: expected, Succeeded: len(readings), Failures: failures,
		RowsExpected: expected * asset.Count, RowsWritten: len(readings) * asset.Count,
	}
	run.CoveragePct = percent(run.Succeeded, run.Expected)
	for _, a := range asset.All {
		known := 0
		for i := range readings {
			if readings[i].Positions[a].Known {
				known++
			}
		}
		run.NonNullPct[a] = percent(known, len(readings))
	}
	switch {
	case 100-percent(run.RowsWritten, run.RowsExpected) <= maxMissingPct && expected > 0:
		run.Status = Success
	case run.CoveragePct >= minCoveragePct:
		run.Status = Partial
	default:
		run.Status = Failed
		run.Error = fmt.Sprintf("S3: coverage %.1f %% is below %.0f %%: %d of %d wallets failed (%s)",
			run.CoveragePct, minCoveragePct, expected-len(readings), expected, reasons(failures))
		run.blame()
	}
	return run
}

// reasons lists why wallets failed, with how many.
func reasons(failures map[string]int) string {
	var parts []string
	for _, reason := range slices.Sorted(maps.Keys(failures)) {
		parts = append(parts, fmt.Sprintf("%d %s", failures[reason], reason))
	}
	return strings.Join(parts, ", ")
}

// blame names S9 as what failed a run, when most of its wallets failed for the age of
// their states.
func (r *Run) blame() {
	most, aged, failed := "", 0, 0
	for _, reason := range slices.Sorted(maps.Keys(r.Failures)) {
		n := r.Failures[reason]
		failed += n
		if !slices.Contains(ageReasons, reason) {
			continue
		}
		aged += n
		if most == "" || n > r.Failures[most] {
			most = reason
		}
	}
	if 2*aged > failed {
		r.failedRunCheck, r.failedSubject = "S9", most
	}
}

// failedRun is a cycle that came to nothing before anything could be judged.
func failedRun(timestamp time.Time, expected int, check, why string) Run {
	failures := map[string]int{}
	if expected > 0 {
		failures[check] = expected
	}
	return Run{
		Timestamp: timestamp, Status: Failed, Expected: expected, RowsExpected: expected * asset.Count,
		Failures: failures, Error: why, failedRunCheck: check,
	}
}

// CheckTimestamp is S1: a snapshot's timestamp lies on a 60 s boundary.
func CheckTimestamp(t time.Time) error {
	if !t.Equal(t.Truncate(time.Minute)) {
		return fmt.Errorf("S1: timestamp %s is not on a 60 s boundary", t.UTC().Format(time.RFC3339Nano))
	}
	return nil
}

// percent is part of whole, 0 when there is no whole.
func percent(part, whole int) float64 {
	if whole == 0 {
		return 0
	}
	return 100 * float64(part) / float64(whole)
}
