package alerting

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/whalegate/whalegate/internal/asset"
	"github.com/whalegate/whalegate/signals"
)

const (
	long  = signals.LongOnly
	short = signals.ShortOnly
	none  = signals.NoTrade
)

// playbooks are clean periods from noon on, one a playbook, with nobody leaving.
func playbooks(list ...signals.Playbook) (periods []Period) {
	for i, p := range list {
		periods = append(periods, period(i, p, 0))
	}
	return periods
}

// scores are clean periods from noon on with one playbook.
func scores(list ...float64) (periods []Period) {
	for i, s := range list {
		periods = append(periods, period(i, none, s))
	}
	return periods
}

func without(periods []Period, n int) []Period {
	return append(append([]Period{}, periods[:n]...), periods[n+1:]...)
}

func with(periods []Period, n int, change func(*Period)) []Period {
	list := append([]Period{}, periods...)
	s := *list[n].Signal
	list[n].Signal = &s
	change(&list[n])
	return list
}

func TestA2Hysteresis(t *testing.T) {
	for _, tt := range []struct {
		name    string
		periods []Period
		want    []told
	}{
		{"the first playbook is confirmed silently", playbooks(long, long, long), nil},
		{"one period of another is not enough", playbooks(none, long, none, long, none), nil},
		{"two in a row are", playbooks(none, long, long, long), []told{{2, "regime_change sent"}}},
		{"two of different kinds are not", playbooks(none, long, short, long), nil},
		{"the second of two others counts from its own beginning", playbooks(none, long, short, short), []told{{3, "regime_change sent"}}},
		{"a missing period breaks the row", without(playbooks(none, long, long, none, none), 2), nil},
		{"and the row begins again after it", without(playbooks(none, long, none, long, long), 2), []told{{4, "regime_change sent"}}},
		{"so does a degraded signal", with(playbooks(none, long, long, long), 2, func(p *Period) { p.Signal.Degraded = []string{"x"} }), nil},
		{"and a period in which the health was not good", with(playbooks(none, long, long, long), 2, func(p *Period) { p.Blocked = Stale }), nil},
		{"and a period without a signal", with(playbooks(none, long, long, long), 2, func(p *Period) { p.Signal = nil }), nil},
		{"exactly 25 does not fire", scores(0, 25, 25), nil},
		{"above 25 does", scores(0, 25.01), []told{{1, "exit_cluster sent"}}},
		{"at the first period too", scores(30), []told{{0, "exit_cluster sent"}}},
		{"it fires once", scores(30, 40, 26, 99), []told{{0, "exit_cluster sent"}}},
		{"between 20 and 25 nothing changes", scores(30, 24, 20, 25, 21), []told{{0, "exit_cluster sent"}}},
		{"below 20 clears", scores(30, 19.99), []told{{0, "exit_cluster sent"}, {1, "exit_cluster cleared"}}},
		{"clearing happens once", scores(30, 10, 5, 0), []told{{0, "exit_cluster sent"}, {1, "exit_cluster cleared"}}},
		{"low without an alert clears nothing", scores(10, 5), nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if _, got := play(State{}, tt.periods...); cmp.Diff(tt.want, got, cmp.AllowUnexported(told{})) != "" {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
}

func TestA1NothingIsConcludedFromBadData(t *testing.T) {
	confirmed, _ := play(State{}, playbooks(none, none)...)
	for _, tt := range []struct {
		name   string
		period Period
		want   Reason
	}{
		{"stale", Period{At: at(2), Blocked: Stale, Signal: period(2, long, 99).Signal}, Stale},
		{"degraded health", Period{At: at(2), Blocked: Degraded, Signal: period(2, long, 99).Signal}, Degraded},
		{"halted", Period{At: at(2), Blocked: Halted, Signal: period(2, long, 99).Signal}, Halted},
		{"no signal", Period{At: at(2)}, NoSignal},
		{"a degraded signal", with([]Period{period(2, long, 99)}, 0, func(p *Period) { p.Signal.Degraded = []string{"few_snapshots"} })[0], Degraded},
	} {
		s, events, quiet := confirmed.Step(tt.period)
		if len(events) != 0 || quiet[RegimeChange] != tt.want || quiet[ExitCluster] != tt.want {
			t.Errorf("%s: %v, %v", tt.name, events, quiet)
		}
		if s.ExitActive || s.Confirmed != none || s.Pending != "" || !s.LastPeriod.Equal(at(2)) {
			t.Errorf("%s leaves %+v", tt.name, s)
		}
	}
	active, _ := play(State{}, scores(30)...)
	if s, events, _ := active.Step(Period{At: at(1), Blocked: Stale, Signal: period(1, none, 0).Signal}); !s.ExitActive || len(events) != 0 {
		t.Errorf("an active alert is cleared by stale data: %+v %v", s, events)
	}
}

func TestA3Cooldown(t *testing.T) {
	for _, tt := range []struct {
		name    string
		periods []Period
		want    []told
	}{
		{"30 minutes for a playbook", playbooks(none, long, long, none, none, long, long, none, none), []told{
			{2, "regime_change sent"}, {4, "regime_change suppressed: cooldown"}, {6, "regime_change suppressed: cooldown"}, {8, "regime_change sent"}}},
		{"an hour for the exit cluster", scores(30, 0, 30, 0, 0, 0, 0, 0, 0, 0, 0, 30, 30, 0, 30), []told{
			{0, "exit_cluster sent"}, {1, "exit_cluster cleared"}, {2, "exit_cluster suppressed: cooldown"}, {3, "exit_cluster cleared"},
			{11, "exit_cluster suppressed: cooldown"}, {13, "exit_cluster cleared"}, {14, "exit_cluster sent"}}},
		{"the types do not share one", []Period{period(0, none, 0), period(1, long, 0), period(2, long, 30)}, []told{{2, "regime_change sent"}, {2, "exit_cluster sent"}}},
		{"what was suppressed is not sent later", playbooks(none, long, long, none, none, none, none, none, none, none, none, none), []told{
			{2, "regime_change sent"}, {4, "regime_change suppressed: cooldown"}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if _, got := play(State{}, tt.periods...); cmp.Diff(tt.want, got, cmp.AllowUnexported(told{})) != "" {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
}

// A score that swings between 18 and 27 for two days: four a day, and no more.
func TestA4AnOscillationGivesFourADay(t *testing.T) {
	var swing []float64
	for range 2 * 24 * 6 {
		swing = append(swing, 27, 18)
	}
	_, got := play(State{}, scores(swing...)...)
	var sent, capped, cooled, cleared int
	var first []int
	for _, e := range got {
		switch e.what {
		case "exit_cluster sent":
			sent++
			first = append(first, e.n)
		case "exit_cluster suppressed: daily_cap":
			capped++
		case "exit_cluster suppressed: cooldown":
			cooled++
		case "exit_cluster cleared":
			cleared++
		}
	}
	if want := []int{0, 12, 24, 36, 288, 300, 312, 324}; cmp.Diff(want, first) != "" {
		t.Errorf("sent at %v, want %v", first, want)
	}
	if sent+capped+cooled != 2*24*6 || cleared != 2*24*6 || cooled != 8*5 {
		t.Errorf("%d sent, %d over the cap, %d in cooldown, %d cleared", sent, capped, cooled, cleared)
	}
}

func TestPausedAlertsAreSuppressedAndCounted(t *testing.T) {
	pause := func(p *Period) { p.Paused = true }
	periods := with(with(scores(30, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 30, 0, 30), 13, pause), 0, pause)
	s := State{}
	var before []int
	for _, p := range periods {
		var events []Event
		s, events, _ = s.Step(p)
		for _, e := range events {
			if !e.Resolved && e.Suppressed == "" {
				before = append(before, e.Before)
			}
		}
	}
	if diff := cmp.Diff([]int{2}, before); diff != "" || s.Suppressed != 0 {
		t.Errorf("the next one sent tells of %v suppressed ones, and leaves %d", before, s.Suppressed)
	}
}

func TestA5TheSystemAlertFiresOncePerOutage(t *testing.T) {
	minutes := func(n float64) time.Time { return noon.Add(time.Duration(n * float64(time.Minute))) }
	for _, tt := range []struct {
		name           string
		active         bool
		o              Outlook
		fired, cleared bool
	}{
		{"exactly ten minutes", false, Outlook{Now: minutes(10), LastSuccess: noon}, false, false},
		{"more", false, Outlook{Now: minutes(10.01), LastSuccess: noon}, true, false},
		{"more, and active", true, Outlook{Now: minutes(99), LastSuccess: noon}, false, false},
		{"a success is not a recovery", true, Outlook{Now: minutes(99), LastSuccess: minutes(98.5)}, false, false},
		{"a recovery", true, Outlook{Now: minutes(99), LastSuccess: minutes(98.5), Recovered: true}, false, true},
		{"a recovery of nothing", false, Outlook{Now: minutes(99), LastSuccess: minutes(98.5), Recovered: true}, false, false},
		{"never, ten minutes after the start", false, Outlook{Now: minutes(10), Started: noon}, false, false},
		{"never, later", false, Outlook{Now: minutes(11), Started: noon}, true, false},
		{"a first start that was said to take nine minutes", false, Outlook{Now: minutes(11.6), Started: noon, Announced: 9 * time.Minute}, false, false},
		{"… and takes a third more", false, Outlook{Now: minutes(11.8), Started: noon, Announced: 9 * time.Minute}, true, false},
		{"a first start that was said to take a minute", false, Outlook{Now: minutes(9.9), Started: noon, Announced: time.Minute}, false, false},
		{"a first start that was said to take hours", false, Outlook{Now: minutes(30), Started: noon, Announced: 9 * time.Hour}, false, false},
		{"… is waited for half an hour", false, Outlook{Now: minutes(30.1), Started: noon, Announced: 9 * time.Hour}, true, false},
		{"what was announced is of the first start", false, Outlook{Now: minutes(11), LastSuccess: noon, Announced: 9 * time.Hour}, true, false},
		{"a start after an outage does not wait", false, Outlook{Now: minutes(60), Started: minutes(59.9), LastSuccess: noon}, true, false},
	} {
		next, fired, cleared := System{Active: tt.active}.Step(tt.o)
		if fired != tt.fired || cleared != tt.cleared || next.Active != (tt.active && !tt.cleared || tt.fired) {
			t.Errorf("%s: %+v fired %v cleared %v", tt.name, next, fired, cleared)
		}
	}
}

func TestMessages(t *testing.T) {
	s := signals.Signal{Asset: asset.BTC, AllowedPlaybook: none, RiskMode: signals.Defensive, ExitClusterScore: 28.26}
	for got, want := range map[string]string{
		Message(RegimeChange, s): "[BTC] Regime Change: Playbook switched to No-trade. Risk Mode: Defensive.",
		Message(ExitCluster, s):  "[BTC] Smart Money De-risking: Exit Cluster elevated (28.3%). Stop adding exposure. Tighten stops.",
		Outlook{Now: noon.Add(12*time.Minute + 59*time.Second), LastSuccess: noon}.Message(): "[SYSTEM] Data Stale: Ingestion has not succeeded for 12 minutes. All behavioral alerts suppressed. Do not trade until resolved.",
		Outlook{Now: noon, Started: noon.Add(-time.Hour)}.Message():                          "[SYSTEM] Data Stale: Ingestion has never succeeded. All behavioral alerts suppressed. Do not trade until resolved.",
	} {
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
