package engine

import (
	"errors"
	"slices"
	"time"

	"github.com/whalegate/whalegate/internal/asset"
	"github.com/whalegate/whalegate/internal/health"
	"github.com/whalegate/whalegate/internal/qa"
	"github.com/whalegate/whalegate/signals"
)

// assessment is what the boundary looked at last says.
type assessment struct {
	signals []computed
	skipped []string   // assets without a row (G2)
	checks  []qa.Event // that failed
}

// computed is a signal and when, since the start of the cycle, it was there.
type computed struct {
	signal signals.Signal
	after  time.Duration
}

// assess computes every asset at the boundary looked at last. allowed is asked
// before each; its error ends the assessment, as does a signal that cannot be.
func (m *Memory) assess(past pasts, started time.Time, allowed func() error) (assessment, error) {
	var found assessment
	for _, a := range asset.All {
		if err := allowed(); err != nil {
			return found, err
		}
		in := m.Input(a)
		in.Past = past[a]
		s, closures, err := signals.Compute(in)
		for _, c := range closures {
			found.checks = append(found.checks, closureEvent(a, c))
		}
		var refusal *signals.Refusal
		switch {
		case errors.As(err, &refusal) && refusal.Gate == "G2":
			found.skipped = append(found.skipped, a.String())
			found.checks = append(found.checks, qa.Event{Check: "G2", Severity: "error", Subject: a.String(), Details: map[string]any{"reason": refusal.Reason}, Action: "asset skipped: no signal"})
		case err != nil:
			return found, err
		default:
			found.signals = append(found.signals, computed{s, time.Since(started)})
		}
	}
	return found, nil
}

// degraded is the list with what health says of it.
func degraded(list []computed, h health.Health) []computed {
	list = slices.Clone(list)
	if h.State == health.Healthy {
		return list
	}
	for i := range list {
		list[i].signal.Degraded = slices.Clone(list[i].signal.Degraded)
		list[i].signal.Degrade(h.Reasons...)
	}
	return list
}

func closureEvent(a asset.Asset, c signals.Closure) qa.Event {
	e := qa.Event{Check: c.Gate, Severity: "warning", Subject: a.String(), Details: map[string]any{"reason": c.Reason, "pct": c.Pct}, Action: "No-trade, signal degraded"}
	if c.Gate == "G2" {
		e.Action = "signal degraded"
	}
	if c.Severe {
		e.Severity = "error"
	}
	return e
}
