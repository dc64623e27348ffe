package runbook

import (
	"testing"
	"time"

	"github.com/jackc/pgerrcode"

	"github.com/whalegate/whalegate/internal/health"
)

// What is found does not get weaker while its fault lasts, and its cause stays first:
// each fault is looked at as it stands after so many minutes.
func TestAFindingNeverGetsWeakerWhileItsFaultLasts(t *testing.T) {
	readOnly := func(f *Facts) {
		f.Database.ReadOnly, f.Database.WriteError = "configuration file", Failure{pgerrcode.ReadOnlySQLTransaction, "cannot execute INSERT in a read-only transaction"}
	}
	for _, tt := range []struct {
		name  string
		slug  string
		fault func(f *Facts, minutes int)
	}{
		{"a storm of 429", "ingestion", func(f *Facts, n int) { f.storm(n, 200, "rate_limited") }},
		{"half of the wallets time out", "ingestion", func(f *Facts, n int) { f.storm(n, 100, "timeout") }},
		{"states that are too old", "ingestion", func(f *Facts, n int) { f.storm(n, 200, "old_state") }},
		{"a coin that is gone", "ingestion", func(f *Facts, n int) { f.refused(n, "S12", "meta:BTC"); f.wrong("BTC", "no such coin") }},
		{"one state for all", "dirty-spike", func(f *Facts, n int) { f.refused(n, "S10", "same_state") }},
		{"everybody closed", "dirty-spike", func(f *Facts, n int) { f.open("mass_close:BTC"); f.refused(max(n, 3), "S11", "mass_close:BTC") }},
		{"a process that is gone", "crash", func(f *Facts, n int) { f.silent(n); f.died() }},
		{"a process that hangs", "ingestion", func(f *Facts, n int) {
			f.silent(n + 2)
			f.Service.Trouble, f.Service.Told, f.Service.Metrics = Hanging, nil, nil
		}},
		{"a server that only reads", "database", func(f *Facts, n int) { f.silent(n); readOnly(f) }},
		{"a full disk", "database", func(f *Facts, n int) {
			f.silent(n)
			f.Database.WriteError = Failure{pgerrcode.DiskFull, "could not extend file"}
			f.Service.Metrics[`whalegate_runs_unsaved{reason="disk_full"}`] = float64(n)
		}},
		{"a database that is gone", "database", func(f *Facts, n int) { f.unreached(Unreachable, "connection refused") }},
		{"a locked table", "database", func(f *Facts, n int) {
			f.Database.Unreadable[PartRuns] = Failure{pgerrcode.LockNotAvailable, "lock timeout"}
			f.Stored.Runs = nil
			if n > 10 {
				f.state(health.Stale, "health_unknown")
			}
		}},
		{"a clock that was set back", "database", func(f *Facts, n int) { f.back(time.Duration(n) * time.Minute) }},
		{"a standby whose replay is paused", "database", func(f *Facts, n int) { f.standby(Standby{Paused: true, Beat: new(time.Duration(n) * time.Minute)}) }},
		{"a refresh that fails", "universe", func(f *Facts, n int) {
			for range 1 + n/20 {
				f.refresh("failed", 0, 0, "500")
			}
		}},
		{"a delivery that is not made", "alert-spam", func(f *Facts, n int) {
			f.Stored.Alerts.Waiting, f.Stored.Alerts.Oldest = 1, 5*time.Minute+time.Duration(n)*time.Minute
		}},
		{"a boundary that is not computed", "signal-lock", func(f *Facts, n int) {
			f.Stored.Cycles = f.Stored.Cycles[1+n/5:]
		}},
		{"signals that were edited", "board-truth", func(f *Facts, n int) { f.audited("edited") }},
		{"a trigger on a table of ours", "database", func(f *Facts, n int) { f.Stored.Hindered = changes("signals: trigger t was added") }},
	} {
		worst := P4
		for _, n := range []int{3, 4, 5, 8, 10, 11, 12, 15, 20, 30, 45} {
			f := calm()
			tt.fault(&f, n)
			r := Diagnose(f)
			checkReport(t, r)
			if len(r.Findings) == 0 || r.Findings[0].Slug != tt.slug {
				t.Errorf("%s, %d minutes: %v", tt.name, n, r.Matching)
				continue
			}
			if r.Findings[0].Severity > worst {
				t.Errorf("%s, %d minutes: %s, after %s: %s", tt.name, n, r.Findings[0].Severity, worst, r.Findings[0].Summary)
			}
			worst = r.Findings[0].Severity
		}
	}
}
