package alerting

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/whalegate/whalegate/signals"
)

// drawDays draws periods in order, most of them clean, with gaps and repeats.
func drawDays(t *rapid.T) (periods []Period) {
	n := 0
	playbook, score := none, 10.0
	for range rapid.IntRange(1, 700).Draw(t, "periods") {
		switch rapid.IntRange(0, 19).Draw(t, "time") {
		case 0:
			n += rapid.IntRange(2, 300).Draw(t, "gap")
		case 1: // the same again
		default:
			n++
		}
		if rapid.IntRange(0, 3).Draw(t, "new playbook") == 0 {
			playbook = rapid.SampledFrom(signals.Playbooks).Draw(t, "playbook")
		}
		if rapid.IntRange(0, 2).Draw(t, "new score") == 0 {
			score = rapid.SampledFrom([]float64{0, 18, 19.99, 20, 22, 25, 25.01, 27, 60}).Draw(t, "score")
		}
		p := period(n, playbook, score)
		switch rapid.IntRange(0, 24).Draw(t, "kind") {
		case 0:
			p.Blocked = rapid.SampledFrom([]Reason{Stale, Halted, Degraded}).Draw(t, "blocked")
		case 1:
			p.Signal = nil
		case 2:
			p.Signal.Degraded = []string{"few_snapshots"}
		case 3:
			p.Paused = true
		}
		periods = append(periods, p)
	}
	return periods
}

// What has to hold of any day.
func TestPropertiesOfTheEngine(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var s State
		var sent []Event
		active := false
		confirmed := signals.Playbook("")
		var run []Period // of clean periods, exactly one after the other
		for _, p := range drawDays(t) {
			before := s
			kept := slices.Clone(s.SentLately)
			var events []Event
			s, events, _ = s.Step(p)
			if !slices.Equal(kept, before.SentLately) {
				t.Fatalf("a step changes the state that it was given: %v, was %v", before.SentLately, kept)
			}
			if again, more, _ := s.Step(p); len(more) > 0 || cmp.Diff(s, again) != "" {
				t.Fatalf("evaluated twice at %s: %v\n%s", p.At, more, cmp.Diff(s, again))
			}
			if !p.At.After(before.LastPeriod) {
				if len(events) > 0 || cmp.Diff(before, s) != "" {
					t.Fatalf("a period that was seen changes something: %v", events)
				}
				continue
			}
			clean := p.Blocked == "" && p.Signal != nil && len(p.Signal.Degraded) == 0
			if !clean && len(events) > 0 {
				t.Fatalf("A1: %v on bad data", events)
			}
			if !clean || len(run) > 0 && !p.At.Equal(run[len(run)-1].At.Add(signals.Period)) {
				run = nil
			}
			if clean {
				run = append(run, p)
			}
			// The playbook changed if this clean period and the one right before it
			// say the same, and another than the last confirmed.
			changed := false
			if clean && confirmed == "" {
				confirmed = p.Signal.AllowedPlaybook
			} else if n := len(run); n > 1 && run[n-1].Signal.AllowedPlaybook == run[n-2].Signal.AllowedPlaybook && run[n-1].Signal.AllowedPlaybook != confirmed {
				confirmed, changed = run[n-1].Signal.AllowedPlaybook, true
			}
			fired := map[Type]int{}
			for _, e := range events {
				if e.Type == ExitCluster {
					if e.Resolved != active {
						t.Fatalf("A2: it fires and clears out of turn at %s", e.At)
					}
					active = !e.Resolved
				}
				if e.Resolved {
					continue
				}
				fired[e.Type]++
				if e.Suppressed == "" {
					sent = append(sent, e)
				} else if e.Suppressed == Paused && !p.Paused {
					t.Fatalf("suppressed as paused, and nobody paused")
				}
			}
			if (fired[RegimeChange] == 1) != changed || s.Confirmed != confirmed {
				t.Fatalf("A2: at %s the playbook %v changed %v, fired %v", p.At, confirmed, changed, events)
			}
			if clean && !before.ExitActive && p.Signal.ExitClusterScore > 25 && fired[ExitCluster] != 1 {
				t.Fatalf("A2: %v does not fire", p.Signal.ExitClusterScore)
			}
		}
		last := map[Type]time.Time{}
		for i, e := range sent {
			if before, ok := last[e.Type]; ok && e.At.Sub(before) < e.Type.Cooldown() {
				t.Fatalf("A3: %s sent at %s and %s", e.Type, before, e.At)
			}
			last[e.Type] = e.At
			if i >= DailyCap && e.At.Sub(sent[i-DailyCap].At) < CapWindow {
				t.Fatalf("A4: five sent between %s and %s", sent[i-DailyCap].At, e.At)
			}
		}
	})
}
