package alerting

import (
	"slices"
	"time"

	"github.com/whalegate/whalegate/signals"
)

// State is what is remembered of one asset: its rows of alert_state, and what
// was sent lately.
type State struct {
	LastPeriod time.Time // the last period looked at; zero before the first

	Confirmed      signals.Playbook // "" before the first one seen
	Pending        signals.Playbook // "" when there is none
	PendingPeriods int              // periods in a row that Pending has been seen

	ExitActive bool // fired, and not yet cleared

	Sent       map[Type]time.Time // when each type was last sent
	SentLately []time.Time        // what was sent within CapWindow, oldest first
	Suppressed int                // alerts suppressed since one was last sent
}

// Period is what is known at one boundary.
type Period struct {
	At     time.Time
	Signal *signals.Signal // nil: there is none of this asset
	// Blocked says why nothing may be concluded (A1): Stale, Halted or Degraded;
	// "" when the health is HEALTHY.
	Blocked Reason
	Paused  bool
}

// Event is an alert that fired or cleared.
type Event struct {
	Type       Type
	At         time.Time
	Signal     signals.Signal
	Suppressed Reason // "" when it is sent
	Resolved   bool   // it clears the one that fired before
	Before     int    // alerts of the asset suppressed since one was last sent
}

// Step is the state after a period, what fired or cleared in it, and why each
// type that did not, did not. A period that was looked at before, or lies before
// it, changes nothing.
func (s State) Step(p Period) (State, []Event, map[Type]Reason) {
	if !p.At.After(s.LastPeriod) {
		return s, nil, nil
	}
	consecutive := p.At.Equal(s.LastPeriod.Add(signals.Period))
	s.LastPeriod = p.At
	if reason := p.blocked(); reason != "" {
		// A period that was not looked at breaks the run of consecutive ones.
		s.Pending, s.PendingPeriods = "", 0
		return s, nil, map[Type]Reason{RegimeChange: reason, ExitCluster: reason}
	}
	s.SentLately = slices.DeleteFunc(slices.Clone(s.SentLately), func(at time.Time) bool { return !at.After(p.At.Add(-CapWindow)) })

	var events []Event
	quiet := map[Type]Reason{}
	switch fired, pending := s.regime(p.Signal.AllowedPlaybook, consecutive); {
	case fired:
		events = append(events, s.fire(RegimeChange, p))
	case pending:
		quiet[RegimeChange] = Hysteresis
	}
	switch score := p.Signal.ExitClusterScore; {
	case !s.ExitActive && score > FiresAbove:
		s.ExitActive = true
		events = append(events, s.fire(ExitCluster, p))
	case s.ExitActive && score < ClearsBelow:
		s.ExitActive = false
		events = append(events, Event{Type: ExitCluster, At: p.At, Signal: *p.Signal, Resolved: true})
	case score >= ClearsBelow && score <= FiresAbove:
		quiet[ExitCluster] = Hysteresis
	}
	return s, events, quiet
}

// blocked is why nothing may be concluded from the period.
func (p Period) blocked() Reason {
	switch {
	case p.Blocked != "":
		return p.Blocked
	case p.Signal == nil:
		return NoSignal
	case len(p.Signal.Degraded) > 0:
		return Degraded
	default:
		return ""
	}
}

// regime follows the playbook: whether it has just been confirmed as changed,
// and whether it is on the way there. The first one ever seen is confirmed
// without a word.
func (s *State) regime(playbook signals.Playbook, consecutive bool) (fired, pending bool) {
	if s.Confirmed == "" {
		s.Confirmed = playbook
	}
	if playbook == s.Confirmed {
		s.Pending, s.PendingPeriods = "", 0
		return false, false
	}
	if playbook == s.Pending && consecutive {
		s.PendingPeriods++
	} else {
		s.Pending, s.PendingPeriods = playbook, 1
	}
	if s.PendingPeriods < ConfirmPeriods {
		return false, true
	}
	s.Confirmed, s.Pending, s.PendingPeriods = playbook, "", 0
	return true, false
}

// fire decides whether an alert that has fired is sent. The state moves on
// either way.
func (s *State) fire(t Type, p Period) Event {
	e := Event{Type: t, At: p.At, Signal: *p.Signal, Before: s.Suppressed}
	last, sent := s.Sent[t]
	switch {
	case p.Paused:
		e.Suppressed = Paused
	case sent && p.At.Before(last.Add(t.Cooldown())):
		e.Suppressed = InCooldown
	case len(s.SentLately) >= DailyCap:
		e.Suppressed = AtDailyCap
	}
	if e.Suppressed != "" {
		s.Suppressed++
		return e
	}
	s.Suppressed = 0
	sentAt := map[Type]time.Time{t: p.At}
	for other, at := range s.Sent {
		if other != t {
			sentAt[other] = at
		}
	}
	s.Sent, s.SentLately = sentAt, append(s.SentLately, p.At)
	return e
}
