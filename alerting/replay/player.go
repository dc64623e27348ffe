// Package replay tells which alerts a range of time would have made: the rules of
// alerting on what a replay of the signals says, with nothing remembered at its
// beginning and nothing written at its end.
package replay

import (
	"slices"
	"time"

	"github.com/whalegate/whalegate/alerting"
	"github.com/whalegate/whalegate/alerting/engine"
	"github.com/whalegate/whalegate/internal/asset"
	"github.com/whalegate/whalegate/internal/health"
	"github.com/whalegate/whalegate/signals"
)

// Boundary is what a replay of the signals says of one.
type Boundary struct {
	At       time.Time
	Computed bool             // neither blocked nor failed
	Health   health.Health    // as it stood when the boundary was due, with the instant
	Signals  []signals.Signal // of the assets that have one
}

// Alert is one that would have fired, or cleared.
type Alert struct {
	Timestamp      time.Time         `json:"timestamp"`
	Asset          string            `json:"asset"`
	AlertType      alerting.Type     `json:"alert_type"`
	Severity       alerting.Severity `json:"severity"`
	Message        string            `json:"message"`
	Suppressed     bool              `json:"suppressed"`
	SuppressReason *alerting.Reason  `json:"suppress_reason"`
	Resolved       bool              `json:"resolved"` // it cleared at the timestamp; the rest is that of the alert
}

// Tally is what a range would have made.
type Tally struct {
	Alerts       []Alert                                   `json:"alerts"` // oldest first
	Sent         map[alerting.Type]int                     `json:"alerts_sent"`
	Suppressed   map[alerting.Type]map[alerting.Reason]int `json:"alerts_suppressed"`
	Resolved     map[alerting.Type]int                     `json:"alerts_resolved"`
	NotEvaluated map[alerting.Reason]int                   `json:"alerts_not_evaluated"` // periods of an asset (A1)
}

// pause is a time in which behavioural alerts were suppressed.
type pause struct{ from, until time.Time }

// Player plays the rules over boundaries.
type Player struct {
	pauses []pause
	states [asset.Count]alerting.State
	active [asset.Count]Alert // of the exit cluster that has not cleared
	tally  Tally
}

func newPlayer(pauses []pause) *Player {
	p := &Player{pauses: pauses, tally: Tally{
		Alerts: []Alert{}, Sent: map[alerting.Type]int{}, Suppressed: map[alerting.Type]map[alerting.Reason]int{}, Resolved: map[alerting.Type]int{},
		NotEvaluated: map[alerting.Reason]int{},
	}}
	for _, t := range append(slices.Clone(alerting.Behavioural), alerting.SystemStale) {
		p.tally.Sent[t] = 0
		if !t.IsEvent() {
			p.tally.Resolved[t] = 0
		}
	}
	for _, t := range alerting.Behavioural {
		p.tally.Suppressed[t] = map[alerting.Reason]int{}
		for _, r := range alerting.Suppressions {
			p.tally.Suppressed[t][r] = 0
		}
	}
	for _, r := range alerting.Blocks {
		p.tally.NotEvaluated[r] = 0
	}
	return p
}

// Step decides a boundary. They come in order.
func (p *Player) Step(b Boundary) {
	for _, a := range asset.All {
		period := alerting.Period{At: b.At, Blocked: engine.Blocked(b.Computed, b.Health), Paused: p.paused(b.Health.At)}
		if i := slices.IndexFunc(b.Signals, func(s signals.Signal) bool { return s.Asset == a }); i >= 0 {
			period.Signal = &b.Signals[i]
		}
		var events []alerting.Event
		var quiet map[alerting.Type]alerting.Reason
		p.states[a], events, quiet = p.states[a].Step(period)
		for _, e := range events {
			p.tell(a, e)
		}
		// Whatever blocks, blocks every type; hysteresis was evaluated.
		if r := quiet[alerting.RegimeChange]; r != "" && r != alerting.Hysteresis {
			p.tally.NotEvaluated[r]++
		}
	}
}

func (p *Player) paused(at time.Time) bool {
	return slices.ContainsFunc(p.pauses, func(one pause) bool { return !at.Before(one.from) && at.Before(one.until) })
}

func (p *Player) tell(a asset.Asset, e alerting.Event) {
	if e.Resolved {
		p.add(p.active[a].resolved(e.At))
		return
	}
	alert := Alert{Timestamp: e.At, Asset: a.String(), AlertType: e.Type, Severity: e.Type.Severity(), Message: e.Message(), Suppressed: e.Suppressed != ""}
	if alert.Suppressed {
		alert.SuppressReason = &e.Suppressed
	}
	if !e.Type.IsEvent() {
		p.active[a] = alert
	}
	p.add(alert)
}

// resolved is the end of an alert.
func (a Alert) resolved(at time.Time) Alert {
	a.Timestamp, a.Resolved = at, true
	return a
}

// add takes an alert, in whatever order.
func (p *Player) add(a Alert) {
	p.tally.Alerts = append(p.tally.Alerts, a)
	switch {
	case a.Resolved:
		p.tally.Resolved[a.AlertType]++
	case a.Suppressed:
		p.tally.Suppressed[a.AlertType][*a.SuppressReason]++
	default:
		p.tally.Sent[a.AlertType]++
	}
}

// look decides the system alert at one instant; looks come in order.
func (s *system) look(p *Player, o alerting.Outlook) {
	next, fired, cleared := s.state.Step(o)
	s.state = next
	switch {
	case fired:
		s.active = Alert{
			Timestamp: o.Now.UTC(), Asset: "SYSTEM", AlertType: alerting.SystemStale, Severity: alerting.SystemStale.Severity(), Message: o.Message(),
		}
		p.add(s.active)
	case cleared:
		p.add(s.active.resolved(o.Now.UTC()))
	}
}

// system is the system alert as a replay has it.
type system struct {
	state  alerting.System
	active Alert
}

// Tally is what all boundaries so far, and the whole range of the system alert,
// have made.
func (p *Player) Tally() Tally {
	slices.SortStableFunc(p.tally.Alerts, func(a, b Alert) int { return a.Timestamp.Compare(b.Timestamp) })
	return p.tally
}
