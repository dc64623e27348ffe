package alerting

import (
	"time"

	"github.com/whalegate/whalegate/internal/asset"
	"github.com/whalegate/whalegate/signals"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// at is the boundary n periods after noon.
func at(n int) time.Time { return noon.Add(time.Duration(n) * signals.Period) }

// period is a clean one.
func period(n int, playbook signals.Playbook, exit float64) Period {
	return Period{At: at(n), Signal: &signals.Signal{Timestamp: at(n), Asset: asset.HYPE, AllowedPlaybook: playbook, RiskMode: signals.Reduced, ExitClusterScore: exit}}
}

// told is what a day sends or suppresses, in words.
type told struct {
	n    int // periods after noon
	what string
}

// play steps through periods and returns what fired and cleared.
func play(s State, periods ...Period) (State, []told) {
	var list []told
	for _, p := range periods {
		var events []Event
		s, events, _ = s.Step(p)
		for _, e := range events {
			what := string(e.Type)
			switch {
			case e.Resolved:
				what += " cleared"
			case e.Suppressed != "":
				what += " suppressed: " + string(e.Suppressed)
			default:
				what += " sent"
			}
			list = append(list, told{int(e.At.Sub(noon) / signals.Period), what})
		}
	}
	return s, list
}
