package runbook

import (
	"fmt"
	"time"

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
		Universe: Universe{Wallets: 200, Refreshes: []Refresh{{AsOf: noon.Add(-time.Hour), Status: "success", Requested: 200, Received: 200, Entered: 3, Exited: 3}}},
		Storage:  Storage{Database: 1 << 30, FreePct: &free, Connections: 5, Most: 100},
		Board:    Board{HeaderState: "HEALTHY", Rows: map[string]int{"board.gate": 3, "board.signals": 6}, AsRole: true},
		Alerts:   Alerts{Assets: []AlertCount{{Asset: "BTC", Sent: 1}}},
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
		Database: Database{Address: "postgres://db/hyperliquid", Unreadable: map[string]string{}, RoundTrip: 5 * time.Millisecond, WriteTried: true},
		Service: Service{
			URL: "http://127.0.0.1:9464", Ready: true, Up: 48 * time.Hour,
			Metrics: map[string]float64{`whalegate_health_state{state="HEALTHY"}`: 1, `whalegate_runs_unsaved{reason="database"}`: 0}, Named: []string{"whalegate_health_state", "state"},
		},
	}
}

func good(n int) Run {
	return Run{Timestamp: minute(n), Status: "success", Expected: 200, CoveragePct: 100, Failures: map[string]int{}, Clean: true, Finished: minute(n).Add(5 * time.Second)}
}

// bad is a run in which so many wallets failed for a reason.
func bad(n, failed int, reason string) Run {
	r := Run{Timestamp: minute(n), Status: "failed", Expected: 200, Failed: failed, CoveragePct: percent(200-failed, 200), Failures: map[string]int{reason: failed}}
	if r.CoveragePct >= 80 {
		r.Status = "partial"
	} else {
		r.Error = fmt.Sprintf("S3: coverage %.1f %% is below 80 %%", r.CoveragePct)
	}
	return r
}

// state makes the state what it is, with all that follows from it.
func (f *Facts) state(to health.State, reasons ...string) {
	for _, h := range []*health.Health{f.Stored.Health, f.Stored.Again} {
		h.State, h.Reasons, h.CleanRuns = to, reasons, 0
	}
	f.Stored.Board.HeaderState = string(to)
	f.Service.Metrics = map[string]float64{fmt.Sprintf(`whalegate_health_state{state=%q}`, to): 1}
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

// died is a process that is gone.
func (f *Facts) died() {
	f.Service = Service{URL: f.Service.URL, Trouble: Refused, Error: "connection refused"}
}
