package runbook

import (
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgerrcode"

	"github.com/whalegate/whalegate/internal/facts"
	"github.com/whalegate/whalegate/internal/health"
)

// Each criterion fails by its own figure, and only by that.
func TestEachRecoveryCriterionIsHeldByItsFigure(t *testing.T) {
	for _, tt := range []struct {
		runbook *Runbook
		name    string
		fault   func(*Facts)
		failing []int // criteria that must not hold, from 0
	}{
		{ingestion, "one clean cycle", func(f *Facts) { f.Stored.Health.CleanRuns = 1 }, []int{0}},
		{ingestion, "coverage 89.9 %", func(f *Facts) { *f.Stored.Health.CoveragePct = 89.9 }, []int{1}},
		{ingestion, "121 s old", func(f *Facts) { *f.Stored.Health.AgeSeconds = 121 }, []int{2}},
		{ingestion, "dated later than now", func(f *Facts) { *f.Stored.Health.AgeSeconds, f.Stored.Health.Reasons = -60, []string{"clock_skew"} }, []int{2}},
		{ingestion, "sizes that nobody can read", func(f *Facts) { f.Stored.Health.Reasons = []string{"null_szi:BTC"} }, []int{3}},
		{ingestion, "11 of 200 states are old", func(f *Facts) { f.Stored.Runs[0].Failures = map[string]int{"old_state": 7, "clock_skew": 4} }, []int{4}},
		{ingestion, "a coin is delisted", func(f *Facts) { f.wrong("ETH", "delisted") }, []int{5}},
		{ingestion, "coins that nobody could read", func(f *Facts) {
			f.Database.Unreadable[PartCoins] = Failure{pgerrcode.InsufficientPrivilege, "permission denied"}
		}, []int{5}},
		{ingestion, "the exchange has never answered", func(f *Facts) { f.Stored.Coins = nil }, []int{5}},
		{ingestion, "one wallet's accounts unknown", func(f *Facts) { f.Stored.Accounts.Known = 199 }, []int{6}},
		{ingestion, "a first start", func(f *Facts) { f.Stored.Accounts.Known, f.Stored.Search.EndedAt = 199, nil }, []int{6}},
		{ingestion, "accounts that nobody could read", func(f *Facts) {
			f.Database.Unreadable[PartAccounts] = Failure{pgerrcode.InsufficientPrivilege, "permission denied"}
		}, []int{6}},
		{universe, "a leaderboard that stands still", func(f *Facts) { f.Stored.Universe.Refreshes[0].Changed = new(noon.Add(-50 * time.Hour)) }, []int{3}},
		{universe, "nobody knows when it changed", func(f *Facts) { f.Stored.Universe.Refreshes[0].Changed = nil }, []int{3}},
		{dirtySpike, "a failure of S11 is open", func(f *Facts) { f.Stored.Open = []OpenFailure{{Subject: "mass_close:BTC"}} }, []int{2}},
		{dirtySpike, "open failures that nobody could read", func(f *Facts) {
			f.Database.Unreadable[PartOpen] = Failure{pgerrcode.InsufficientPrivilege, "permission denied"}
		}, []int{2}},
		{dirtySpike, "one state for many", func(f *Facts) { f.Stored.Runs[0].Check, f.Stored.Runs[0].Error = "S10", "S10: same_state" }, []int{3}},
		{universe, "failed", func(f *Facts) { f.refresh("failed", 190, 0, "U3") }, []int{0}},
		{universe, "179 of 200", func(f *Facts) { f.refresh("success", 179, 0, "") }, []int{1}},
		{universe, "one warning", func(f *Facts) { f.refresh("success", 200, 1, "") }, []int{2}},
		{signalLock, "STALE", func(f *Facts) { f.Stored.Health.State = health.Stale }, []int{0}},
		{signalLock, "an old signal", func(f *Facts) {
			for i := range f.Stored.Newest {
				f.Stored.Newest[i].At = f.Stored.Newest[i].At.Add(-period)
			}
		}, []int{1}},
		{dirtySpike, "10 %", func(f *Facts) { f.Stored.Rates[2].Dirty = 300 }, []int{0}},
		{dirtySpike, "no rows", func(f *Facts) { f.Stored.Rates = nil }, []int{0}},
		{dirtySpike, "a spike nine minutes ago", func(f *Facts) { f.Stored.Dirty = []DirtyMinute{{minute(9), 30, 200}} }, []int{1}},
		{alertSpam, "five sent", func(f *Facts) { f.Stored.Alerts.Assets[0].Sent = 5 }, []int{0}},
		{alertSpam, "within a cooldown", func(f *Facts) { f.Stored.Alerts.Broken = []string{"x"} }, []int{1}},
		{alertSpam, "one given up", func(f *Facts) { f.Stored.Alerts.Failed = 1 }, []int{2}},
		{alertSpam, "one late", func(f *Facts) { f.Stored.Alerts.Oldest = 6 * time.Minute }, []int{2}},
		{boardTruth, "rows while STALE", func(f *Facts) {
			f.state(health.Stale, "halted")
			f.Stored.Board.Rows["board.gate"] = 1
		}, []int{0}},
		{boardTruth, "the header says better", func(f *Facts) {
			f.state(health.Stale, "halted")
			f.Stored.Board.HeaderState = "HEALTHY"
		}, []int{1}},
		{boardTruth, "metrics that do not come", func(f *Facts) { f.Service = Service{URL: f.Service.URL, Trouble: Hanging, Error: "no answer"} }, []int{1}},
		{boardTruth, "a view was changed", func(f *Facts) { f.Stored.Tampered = changes("board.gate was changed") }, []int{3}},
		{boardTruth, "a role may read signals", func(f *Facts) { f.Stored.Board.Open = changes("whalegate_ops may read signals") }, []int{2}},
		{database, "gone", func(f *Facts) { f.unreached(Unreachable, "refused") }, []int{0, 1, 2, 3, 4, 5, 6, 7}},
		{database, "an old schema", func(f *Facts) { f.Database.Trouble = SchemaPending }, []int{0, 1, 2, 3, 4, 5, 6, 7}},
		{database, "the service is not let in", func(f *Facts) {
			f.Service.Ready, f.Service.NotReady = false, "too many connections for role (SQLSTATE 53300)"
		}, []int{0}},
		{database, "slow", func(f *Facts) { f.Database.RoundTrip = 3 * time.Second }, []int{1}},
		{database, "a lock", func(f *Facts) { f.Stored.Sessions = []Session{{For: time.Minute, BlockedBy: []int{1}}} }, []int{1}},
		{database, "no write", func(f *Facts) { f.Database.WriteError = Failure{Text: "disk full"} }, []int{2}},
		{database, "no write by this role, and no run", func(f *Facts) { f.Database.WriteTried = false; f.silent(5) }, []int{2}},
		{database, "read-only by a setting, as a role that may not write sees it", func(f *Facts) { f.Database.ReadOnly, f.Database.WriteTried = "database", false }, []int{2}},
		{database, "minutes wait", func(f *Facts) { f.Service.Metrics[`whalegate_runs_unsaved{reason="database"}`] = 1 }, []int{2}},
		{universe, "none for nine hours", func(f *Facts) { f.Stored.Universe.Refreshes[0].AsOf = noon.Add(-9 * time.Hour) }, []int{0}},
		{database, "room for a row, and none for a minute", func(f *Facts) { f.Stored.Runs[0] = bad(0, 200, "disk_full") }, []int{2}},
		{database, "an hour ahead", func(f *Facts) { f.Database.ClockAhead = time.Hour }, []int{3}},
		{database, "an hour behind", func(f *Facts) { f.Database.ClockAhead = -time.Hour }, []int{3}},
		{database, "20 % free", func(f *Facts) { *f.Stored.Storage.FreePct = 20 }, []int{4}},
		{database, "stored runs are later than now", func(f *Facts) { f.Stored.Health.Reasons = []string{"clock_skew"} }, []int{3}},
		{database, "minutes are refused", func(f *Facts) { f.Stored.Clocks.Refused = &Refusal{Times: 1} }, []int{5}},
		{database, "minutes are refused, by health", func(f *Facts) { f.Stored.Health.Reasons = []string{"clock_back"} }, []int{5}},
		{database, "refusals that cannot be read", func(f *Facts) {
			f.Database.Unreadable[PartClocks] = Failure{pgerrcode.InsufficientPrivilege, "permission denied"}
		}, []int{1, 5}},
		{database, "a trigger of somebody's", func(f *Facts) { f.Stored.Hindered = changes("signals: trigger t was added") }, []int{7}},
		{database, "somebody writes", func(f *Facts) { f.Stored.Sessions = []Session{{Writes: true}} }, []int{7}},
		{boardTruth, "the audit finds something", func(f *Facts) { f.audited("deleted") }, []int{4}},
		{boardTruth, "an audit that cannot be read", func(f *Facts) { f.Database.Unreadable[PartAudit] = Failure{Text: "permission denied"} }, []int{4}},
		{database, "no collector leads", func(f *Facts) { f.gone(time.Minute) }, []int{6}},
		{database, "a beat that stands still", func(f *Facts) { *f.Stored.Leader.BeatSeconds = 31 }, []int{6}},
		{database, "a leader without a minute of its own", func(f *Facts) { f.Stored.Health.Reasons = []string{"no_collector"} }, []int{6}},
		{database, "nobody ever led", func(f *Facts) { f.Stored.Leader = &facts.Leader{} }, []int{6}},
		{database, "a leader that cannot be read", func(f *Facts) {
			f.Stored.Leader, f.Database.Unreadable[PartLeader] = nil, Failure{pgerrcode.InsufficientPrivilege, "permission denied"}
		}, []int{1, 6}},
		{database, "a standby that is behind", func(f *Facts) {
			f.Stored.Standby = &Standby{Beat: new(time.Minute)}
			f.Stored.Health.Reasons = []string{"replica_lag"}
		}, []int{6}},
		{halt, "worse at the second look", func(f *Facts) { f.Stored.Again.State = health.Stale }, []int{1}},
		{halt, "in force", func(f *Facts) { f.Stored.Halt = &health.Halt{} }, []int{0}},
		{halt, "DEGRADED", func(f *Facts) { f.Stored.Health.State = health.Degraded }, []int{1}},
		{halt, "one clean cycle", func(f *Facts) { f.Stored.Health.CleanRuns = 1 }, []int{2}},
		{crash, "up for 9 minutes", func(f *Facts) { f.Service.Up = 9 * time.Minute }, []int{0}},
		{crash, "gone", func(f *Facts) { f.died() }, []int{0}},
		{crash, "not asked", func(f *Facts) { f.Service = Service{} }, []int{0}},
		{crash, "a gap five minutes ago", func(f *Facts) { f.Stored.Runs = slices.Delete(f.Stored.Runs, 4, 6) }, []int{1}},
		{crash, "no run lately", func(f *Facts) { f.silent(4) }, []int{1}},
	} {
		t.Run(tt.runbook.Slug+", "+tt.name, func(t *testing.T) {
			f := calm()
			before := tt.runbook.Verify(f)
			if code := ExitCode(f, before); code != 0 {
				t.Fatalf("it does not hold when nothing is wrong: %+v", before)
			}
			tt.fault(&f)
			after := tt.runbook.Verify(f)
			if len(after) != len(before) {
				t.Fatalf("%d criteria, then %d", len(before), len(after))
			}
			for i, c := range after {
				if c.Holds == slices.Contains(tt.failing, i) || c.Name != before[i].Name || c.Figure == "" {
					t.Errorf("criterion %d: %+v", i, c)
				}
			}
			if ExitCode(f, after) == 0 {
				t.Error("exit code 0")
			}
		})
	}
}

func TestExitCodesOfVerify(t *testing.T) {
	calmly, stale := calm(), calm()
	stale.Stored.Health.State = health.Stale
	lying := calm()
	lying.Stored.Board.Open = changes("whalegate_ops may read signals")
	yes, no, dark := Criterion{Holds: true}, Criterion{}, Criterion{Unknown: true}
	for _, tt := range []struct {
		name     string
		facts    Facts
		criteria []Criterion
		want     int
	}{
		{"all hold", calmly, []Criterion{yes, yes}, 0},
		{"one does not", calmly, []Criterion{yes, no}, 1},
		{"one does not, while STALE", stale, []Criterion{no, yes}, 2},
		{"one does not, and a board shows what it must not", lying, []Criterion{no, yes}, 2},
		{"one is not known", calmly, []Criterion{yes, dark}, 3},
		{"one is not known, while STALE", stale, []Criterion{dark, yes}, 3},
		{"both", calmly, []Criterion{dark, no}, 1},
		{"both, the other way round", calmly, []Criterion{no, dark}, 1},
	} {
		if got := ExitCode(tt.facts, tt.criteria); got != tt.want {
			t.Errorf("%s: exit %d, want %d", tt.name, got, tt.want)
		}
	}
}
