package runbook

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/whalegate/whalegate/internal/facts"
	"github.com/whalegate/whalegate/internal/health"
)

var noon = time.Date(2026, 3, 1, 12, 3, 10, 0, time.UTC)

// minute is the start of the minute n before the present one.
func minute(n int) time.Time { return noon.Truncate(time.Minute).Add(-time.Duration(n) * time.Minute) }

// calm is a system in which nothing is wrong.
func calm() Facts {
	age, coverage := 10.0, 100.0
	h := health.Health{State: health.Healthy, AgeSeconds: &age, CoveragePct: &coverage, CleanRuns: 10, Reasons: []string{}, At: noon}
	again := h
	free := 60.0
	s := &Stored{
		At: noon, Health: &h, Again: &again,
		Universe: Universe{Wallets: 200, Refreshes: []Refresh{{AsOf: noon.Add(-time.Hour), Status: "success", Requested: 200, Received: 200, Entered: 3, Exited: 3, Changed: new(noon.Add(-2 * time.Hour))}}},
		Accounts: &facts.Accounts{Wallets: 200, Known: 200, OldestSeconds: new(5 * time.Hour.Seconds())},
		Search:   &facts.Search{StartedAt: noon.Add(-48 * time.Hour), Announced: 480, Wallets: 200, Known: 200, DoneAt: noon.Add(-48 * time.Hour), EndedAt: new(noon.Add(-47 * time.Hour)), RunningSeconds: 420, Late: true},
		Coins:    []facts.Coin{coin("HYPE", 2), coin("BTC", 5), coin("ETH", 4)},
		Storage:  Storage{Database: 1 << 30, FreePct: &free, Connections: 5, Most: 100},
		Board:    Board{HeaderState: "HEALTHY", Rows: map[string]int{"board.gate": 3, "board.signals": 6}, AsRole: true},
		Alerts:   Alerts{Assets: []AlertCount{{Asset: "BTC", Sent: 1}}},
		Leader:   leading("db1", 4711), Led: 48 * time.Hour,
	}
	for n := range 60 {
		s.Runs = append(s.Runs, good(n))
	}
	for n := range 12 {
		s.Cycles = append(s.Cycles, Cycle{Timestamp: noon.Truncate(period).Add(-time.Duration(n) * period), Outcome: "computed"})
	}
	for _, a := range []string{"BTC", "ETH", "HYPE"} {
		s.Newest = append(s.Newest, SignalTime{Asset: a, At: noon.Truncate(period)})
		s.Rates = append(s.Rates, DirtyRate{Asset: a, Dirty: 1, Rows: 3000})
	}
	return Facts{
		Now: noon, Stored: s,
		Database: Database{Address: "postgres://db/hyperliquid", Unreadable: map[string]Failure{}, RoundTrip: 5 * time.Millisecond, WriteTried: true},
		Service: Service{
			URL: "http://127.0.0.1:9464", Ready: true, Up: 48 * time.Hour,
			Metrics: map[string]float64{`whalegate_health_state{state="HEALTHY"}`: 1, `whalegate_runs_unsaved{reason="database"}`: 0, "whalegate_leader": 1}, Named: []string{"whalegate_health_state", "state"},
			Told: &Told{Health: h}, ClockAhead: new(time.Duration(0)),
		},
	}
}

func good(n int) Run {
	return Run{Timestamp: minute(n), Status: "success", Expected: 200, CoveragePct: 100, Failures: map[string]int{}, Clean: true, Finished: minute(n).Add(5 * time.Second)}
}

// leading is a collector that leads as it should.
func leading(host string, process int) *facts.Leader {
	epoch, session, taken, beat, own := int64(7), 99, noon.Add(-48*time.Hour), 1.0, 10.0
	return &facts.Leader{Leads: true, Epoch: &epoch, Host: &host, Process: &process, Session: &session, Present: true, TakenAt: &taken, BeatSeconds: &beat, RunAgeSeconds: &own, Waiting: []string{}}
}

// gone leaves nobody in the lead, as the server knows it at once.
func (f *Facts) gone(silent time.Duration) {
	w := f.Stored.Leader
	*w.BeatSeconds = silent.Seconds()
	w.Leads, w.Present = false, false
	if h := f.Stored.Health; h.State != health.Stale {
		f.state(health.Degraded, append(slices.Clone(h.Reasons), health.ReasonNoCollector)...)
	}
}

// taken makes another collector lead for a while.
func (f *Facts) taken(host string, led time.Duration) {
	f.Stored.Leader, f.Stored.Led = leading(host, 12), led
}

// waiting makes the service one that waits while another one leads.
func (f *Facts) waiting() {
	f.Service.Metrics["whalegate_leader"] = 0
	f.Stored.Leader.Waiting = []string{"db2/12"}
}

// back sets the clocks of the database and of the service back from a time at which
// all was well. Minutes are refused since five minutes ago.
func (f *Facts) back(by time.Duration) {
	newest := minute(0).Add(by - 5*time.Minute)
	f.Stored.Runs = nil
	for n := range 60 {
		r := good(n)
		r.Timestamp = newest.Add(-time.Duration(n) * time.Minute)
		f.Stored.Runs = append(f.Stored.Runs, r)
	}
	f.Stored.Clocks = Clocks{
		Refused: &Refusal{First: minute(5), Last: minute(1), Newest: newest, At: minute(5).Add(5 * time.Second), Times: 5},
		Newest:  &newest, Ahead: newest.Add(5 * time.Second).Sub(noon),
	}
	for i := range f.Stored.Cycles {
		f.Stored.Cycles[i].Timestamp = newest.Truncate(period).Add(-time.Duration(i) * period)
	}
	f.state(health.Stale, "clock_skew", "clock_back")
	f.Stored.Cycles[0].Outcome, f.Stored.Cycles[0].Reasons = "computed", nil
}

// settled leaves n minutes, up to the last but one, whose runs were superseded.
func (f *Facts) settled(n int) {
	first, last := minute(n+1), minute(2)
	for i := 2; i <= n+1; i++ {
		f.Stored.Clocks.Superseded = append(f.Stored.Clocks.Superseded, minute(i))
	}
	f.Stored.Runs = slices.Delete(f.Stored.Runs, 2, n+2)
	f.Stored.Clocks.Settled = &Refusal{First: first, Last: last, Newest: last, At: first, Times: 3, SettledAt: new(minute(1)), SettledBy: "a later minute", Runs: n}
}

// standby is a server that follows another one, too far behind.
func (f *Facts) standby(s Standby) {
	f.Stored.Standby, f.Stored.Leader.Present, f.Stored.Leader.Leads = &s, false, false
	f.Stored.Runs = f.Stored.Runs[12:]
	f.Database.WriteTried = false
	f.state(health.Stale, "snapshot_age", "replica_lag")
}

// bad is a run in which so many wallets failed for a reason.
func bad(n, failed int, reason string) Run {
	r := Run{Timestamp: minute(n), Status: "failed", Expected: 200, Failed: failed, CoveragePct: percent(200-failed, 200), Failures: map[string]int{reason: failed}}
	if r.CoveragePct >= 80 {
		r.Status = "partial"
	} else {
		r.Error, r.Check = fmt.Sprintf("S3: coverage %.1f %% is below 80 %%", r.CoveragePct), "S3"
		switch reason {
		case "database":
			r.Check = reason
		case "disk_full":
			r.Check = "S8"
		}
	}
	return r
}

// state makes the state what it is, with all that follows from it.
func (f *Facts) state(to health.State, reasons ...string) {
	for _, h := range []*health.Health{f.Stored.Health, f.Stored.Again} {
		h.State, h.Reasons, h.CleanRuns = to, reasons, 0
	}
	f.Stored.Board.HeaderState = string(to)
	for _, s := range health.States {
		delete(f.Service.Metrics, fmt.Sprintf(`whalegate_health_state{state=%q}`, s))
	}
	if f.Service.Metrics != nil {
		f.Service.Metrics[fmt.Sprintf(`whalegate_health_state{state=%q}`, to)] = 1
	}
	if to == health.Stale {
		f.Stored.Board.Rows = map[string]int{"board.gate": 0, "board.signals": 0}
		f.Stored.Cycles[0].Outcome, f.Stored.Cycles[0].Reasons = "blocked", reasons
	}
}

// storm lets the newest n runs fail.
func (f *Facts) storm(n, failed int, reason string) {
	for i := range n {
		f.Stored.Runs[i] = bad(i, failed, reason)
	}
	f.state(health.Stale, "run_failed", "coverage")
}

// silent leaves nothing of the last n minutes.
func (f *Facts) silent(n int) {
	f.Stored.Runs = f.Stored.Runs[n:]
	for len(f.Stored.Cycles) > 0 && f.Stored.Cycles[0].Timestamp.After(minute(n)) {
		f.Stored.Cycles = f.Stored.Cycles[1:]
	}
	age := noon.Sub(f.Stored.Runs[0].Timestamp).Seconds()
	for _, h := range []*health.Health{f.Stored.Health, f.Stored.Again} {
		h.AgeSeconds = &age
	}
	switch {
	case n > 10:
		f.state(health.Stale, "snapshot_age")
	case n > 2:
		f.state(health.Degraded, "snapshot_age")
	}
}

// unreached is a database that could not be asked.
func (f *Facts) unreached(t Trouble, said string) {
	f.Stored, f.Database.Trouble, f.Database.Error = nil, t, said
}

// died is a process that is gone, the only one.
func (f *Facts) died() {
	if f.Stored != nil {
		f.gone(time.Minute)
	}
	f.Service = Service{URL: f.Service.URL, Trouble: Refused, Error: "connection refused"}
}

// coin is what the exchange last said of an asset that is as it should be.
func coin(asset string, decimals int) facts.Coin {
	return facts.Coin{Asset: asset, Listed: new(true), Delisted: new(false), Decimals: new(decimals), AnsweredAt: new(noon.Add(-time.Minute)), Expected: decimals, AgeSeconds: new(60.0)}
}

// wrong makes what the exchange says of a coin wrong.
func (f *Facts) wrong(asset, why string) {
	f.Stored.Coins = slices.Clone(f.Stored.Coins)
	for i := range f.Stored.Coins {
		if f.Stored.Coins[i].Asset == asset {
			f.Stored.Coins[i].Wrong = &why
		}
	}
}

// refused lets the newest n runs fail by a check that looks at what was read.
func (f *Facts) refused(n int, check, subject string) {
	for i := range n {
		r := good(i)
		r.Status, r.Clean, r.Check, r.Subject, r.Error = "failed", false, check, subject, check+": "+subject
		f.Stored.Runs[i] = r
	}
	f.state(health.Stale, "run_failed")
}

// open opens a failure of S11 three minutes ago.
func (f *Facts) open(subject string) {
	_, asset, _ := strings.Cut(subject, ":")
	o := OpenFailure{Asset: asset, Subject: subject, Opened: minute(2), Affected: 40, Holders: 45, Before: Level{Holders: 45, Net: "1234.5"}, Present: &Level{Holders: 5, Net: "-7", At: minute(0)}}
	if strings.HasPrefix(subject, "rescaled") {
		o.Factor = new(10.0)
	}
	f.Stored.Open = append(f.Stored.Open, o)
	f.refused(3, "S11", f.Stored.Open[0].Subject)
}

// search puts a first start so far back, whose runs cannot be good yet.
func (f *Facts) search(running time.Duration, known int) {
	f.Stored.Search = &facts.Search{
		StartedAt: noon.Add(-running), Announced: 480, Wallets: 200, Known: known, DoneAt: noon.Add(5 * time.Minute), RunningSeconds: running.Seconds(), Late: running > 624*time.Second,
	}
	f.Stored.Accounts.Known, f.Stored.Accounts.NeverFound = known, 200-known
	f.Service.Up = running
	f.Stored.Runs = f.Stored.Runs[:min(int(running/time.Minute), 60)]
	f.storm(len(f.Stored.Runs), 200-known, "accounts_unknown")
}

// changes are what somebody did, of which some are taken back by a statement.
func changes(of ...string) (list []facts.Change) {
	undone := []struct{ what, undo string }{
		{" trigger ", "DROP TRIGGER t ON signals"}, {" rule ", "DROP RULE r ON alerts"}, {" policy ", "DROP POLICY p ON halts"}, {"row security is on", "ALTER TABLE halts DISABLE ROW LEVEL SECURITY"},
		{"row security is forced", "ALTER TABLE halts NO FORCE ROW LEVEL SECURITY"}, {"are disabled", "ALTER TABLE alerts ENABLE TRIGGER ALL"}, {"ann can SELECT", "REVOKE SELECT ON TABLE signals FROM ann"},
		{"beside ours", "DROP FUNCTION public.board_health(integer)"}, {"as a member of pg_read_all_data", "REVOKE pg_read_all_data FROM whalegate_board"}, {"is a superuser", "ALTER ROLE whalegate_board NOSUPERUSER"},
	}
	for _, text := range of {
		c := facts.Change{Text: text}
		for _, u := range undone {
			if strings.Contains(text, u.what) {
				c.Undo = u.undo
			}
		}
		list = append(list, c)
	}
	return list
}
