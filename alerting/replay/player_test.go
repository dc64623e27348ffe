package replay

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/whalegate/whalegate/alerting"
	"github.com/whalegate/whalegate/internal/asset"
	"github.com/whalegate/whalegate/internal/health"
	"github.com/whalegate/whalegate/signals"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func at(n int) time.Time { return noon.Add(time.Duration(n) * time.Minute) }

// boundary is a healthy one with a signal of BTC, two seconds late.
func boundary(n int, playbook signals.Playbook, exit float64) Boundary {
	return Boundary{
		At: at(n), Computed: true, Health: health.Health{State: health.Healthy, At: at(n).Add(2 * time.Second)},
		Signals: []signals.Signal{{Timestamp: at(n), Asset: asset.BTC, AllowedPlaybook: playbook, RiskMode: signals.Defensive, ExitClusterScore: exit}},
	}
}

// lines are the alerts in words.
func lines(t Tally) (text []string) {
	for _, a := range t.Alerts {
		what := "sent"
		if a.Suppressed {
			what = string(*a.SuppressReason)
		}
		if a.Resolved {
			what += ", cleared"
		}
		text = append(text, fmt.Sprintf("%s %s %s %s", a.Timestamp.Format("15:04:05"), a.Asset, a.AlertType, what))
	}
	return text
}

func TestAReplaySaysWhatFiresAndWhyNot(t *testing.T) {
	p := newPlayer([]pause{{at(20), at(25).Add(2 * time.Second)}})
	p.Step(boundary(0, signals.NoTrade, 30))
	p.Step(boundary(5, signals.NoTrade, 18))
	p.Step(boundary(10, signals.LongOnly, 28))
	p.Step(boundary(15, signals.LongOnly, 10))
	p.Step(boundary(20, signals.LongOnly, 50)) // paused
	p.Step(boundary(25, signals.LongOnly, 22)) // the pause has just ended
	stale := boundary(30, signals.LongOnly, 0)
	stale.Computed, stale.Signals, stale.Health.State = false, nil, health.Stale
	p.Step(stale)
	halted := stale
	halted.At, halted.Health.Reasons = at(35), []string{"snapshot_age", "halted"}
	p.Step(halted)
	degraded := boundary(40, signals.LongOnly, 0)
	degraded.Signals[0].Degraded = []string{"few_snapshots"}
	p.Step(degraded)
	p.Step(boundary(45, signals.LongOnly, 0))
	p.Step(boundary(60, signals.LongOnly, 26))
	want := []string{
		"12:00:00 BTC exit_cluster sent", "12:05:00 BTC exit_cluster sent, cleared",
		"12:10:00 BTC exit_cluster cooldown", "12:15:00 BTC regime_change sent", "12:15:00 BTC exit_cluster cooldown, cleared",
		"12:20:00 BTC exit_cluster paused", "12:45:00 BTC exit_cluster paused, cleared", "13:00:00 BTC exit_cluster sent",
	}
	got := p.Tally()
	if diff := cmp.Diff(want, lines(got)); diff != "" {
		t.Error(diff)
	}
	last := got.Alerts[len(got.Alerts)-1].Message
	if want := "[BTC] Smart Money De-risking: Exit Cluster elevated (26.0%). Stop adding exposure. Tighten stops. (1 alert of BTC suppressed since the last one.)"; last != want {
		t.Errorf("%s", last)
	}
	got.Alerts = nil
	if diff := cmp.Diff(Tally{
		Sent:       map[alerting.Type]int{"regime_change": 1, "exit_cluster": 2, "system_stale": 0},
		Suppressed: map[alerting.Type]map[alerting.Reason]int{"regime_change": {"cooldown": 0, "daily_cap": 0, "paused": 0}, "exit_cluster": {"cooldown": 1, "daily_cap": 0, "paused": 1}},
		Resolved:   map[alerting.Type]int{"exit_cluster": 3, "system_stale": 0},
		// Of BTC, and of the two assets without a signal in nine boundaries and in two that
		// were STALE.
		NotEvaluated: map[alerting.Reason]int{"degraded": 1, "stale": 3, "halted": 3, "no_signal": 18},
	}, got); diff != "" {
		t.Error(diff)
	}
}

// What a day would have sent is what the rules send of each asset alone, in order of
// time, and every period is counted once.
func TestAReplayCountsEverythingOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := newPlayer(nil)
		var states [asset.Count]alerting.State
		var fired, quiet, periods int
		for n := range rapid.IntRange(0, 60).Draw(t, "boundaries") {
			b := boundary(5*n, signals.NoTrade, 0)
			b.Signals = nil
			b.Health.State = rapid.SampledFrom([]health.State{health.Healthy, health.Healthy, health.Healthy, health.Degraded, health.Stale}).Draw(t, "health")
			for _, a := range asset.All {
				if rapid.IntRange(0, 9).Draw(t, "present") == 0 {
					continue
				}
				b.Signals = append(b.Signals, signals.Signal{
					Asset: a, AllowedPlaybook: rapid.SampledFrom(signals.Playbooks).Draw(t, "playbook"), ExitClusterScore: rapid.SampledFrom([]float64{5, 22, 27}).Draw(t, "exit"),
				})
			}
			p.Step(b)
			for _, a := range asset.All {
				periods++
				period := alerting.Period{At: b.At}
				switch b.Health.State {
				case health.Degraded:
					period.Blocked = alerting.Degraded
				case health.Stale:
					period.Blocked = alerting.Stale
				}
				for i := range b.Signals {
					if b.Signals[i].Asset == a {
						period.Signal = &b.Signals[i]
					}
				}
				var events []alerting.Event
				states[a], events, _ = states[a].Step(period)
				fired += len(events)
				if period.Blocked != "" || period.Signal == nil {
					quiet++
				}
			}
		}
		got := p.Tally()
		counted := 0
		for _, n := range got.Sent {
			counted += n
		}
		for _, n := range got.Resolved {
			counted += n
		}
		for _, reasons := range got.Suppressed {
			for _, n := range reasons {
				counted += n
			}
		}
		unseen := 0
		for _, n := range got.NotEvaluated {
			unseen += n
		}
		if len(got.Alerts) != fired || counted != fired || unseen != quiet || quiet > periods {
			t.Fatalf("%d alerts, %d counted, the rules say %d; %d periods not evaluated, want %d", len(got.Alerts), counted, fired, unseen, quiet)
		}
		for i := 1; i < len(got.Alerts); i++ {
			if got.Alerts[i].Timestamp.Before(got.Alerts[i-1].Timestamp) {
				t.Fatalf("out of order: %v", lines(got))
			}
		}
	})
}
