package alerting

import (
	"fmt"
	"time"

	"github.com/whalegate/whalegate/internal/threshold"
	"github.com/whalegate/whalegate/signals"
)

// Type is what an alert is about.
type Type string

// The alerts. The first two speak of the wallets' behaviour, the last of the
// system itself.
const (
	RegimeChange Type = "regime_change"
	ExitCluster  Type = "exit_cluster"
	SystemStale  Type = "system_stale"
)

// Behavioural lists the alerts that each asset has.
var Behavioural = []Type{RegimeChange, ExitCluster}

// Severity is how much an alert matters.
type Severity string

// The severities, mildest first.
const (
	Medium   Severity = "medium"
	High     Severity = "high"
	Critical Severity = "critical"
)

// Severity of an alert follows from its type.
func (t Type) Severity() Severity {
	switch t {
	case RegimeChange:
		return Medium
	case ExitCluster:
		return High
	default:
		return Critical
	}
}

// IsEvent tells whether an alert of the type never clears: it is over once it has
// been said.
func (t Type) IsEvent() bool { return t == RegimeChange }

// Cooldown is how long after an alert that was sent another of its type and
// asset is suppressed. The system alert has none: it is sent once until it
// clears.
func (t Type) Cooldown() time.Duration {
	switch t {
	case RegimeChange:
		return 30 * time.Minute
	case ExitCluster:
		return time.Hour
	default:
		return 0
	}
}

// The rules, which are not settings: widening them to stop noise is what the
// runbooks forbid.
const (
	ConfirmPeriods   = 2    // periods in a row before a playbook counts as changed
	FiresAbove       = 25.0 // exit cluster score, in percent
	ClearsBelow      = 20.0
	DailyCap         = threshold.AlertsOfADay // alerts of an asset that are sent in any 24 hours
	CapWindow        = 24 * time.Hour
	StaleAfter       = 10 * time.Minute
	FirstStartAtMost = 30 * time.Minute
)

// Reason is why an alert was not sent, or not even thought about.
type Reason string

// Why an alert that fired was suppressed: it is a row that says so.
const (
	InCooldown Reason = "cooldown"
	AtDailyCap Reason = "daily_cap"
	Paused     Reason = "paused"
)

// Why there was nothing to fire, or nobody looked (A1).
const (
	Hysteresis Reason = "hysteresis" // the condition is there, and not yet long or strong enough
	Degraded   Reason = "degraded"   // the health, or the signal
	Stale      Reason = "stale"
	Halted     Reason = "halted"
	NoSignal   Reason = "no_signal"
)

// Suppressions and Blocks list the reasons, so that each is a metric from the
// start.
var (
	Suppressions = []Reason{InCooldown, AtDailyCap, Paused}
	Blocks       = []Reason{Degraded, Stale, Halted, NoSignal}
)

// Message is what people read, with what to do in it.
func Message(t Type, s signals.Signal) string {
	switch t {
	case RegimeChange:
		return fmt.Sprintf("[%s] Regime Change: Playbook switched to %s. Risk Mode: %s.", s.Asset, s.AllowedPlaybook, s.RiskMode)
	default:
		return fmt.Sprintf("[%s] Smart Money De-risking: Exit Cluster elevated (%.1f%%). Stop adding exposure. Tighten stops.", s.Asset, s.ExitClusterScore)
	}
}

// Message is that of the alert, with how many were suppressed before it when it is
// sent.
func (e Event) Message() string {
	text := Message(e.Type, e.Signal)
	if e.Suppressed == "" && !e.Resolved && e.Before > 0 {
		alerts := "alerts"
		if e.Before == 1 {
			alerts = "alert"
		}
		text += fmt.Sprintf(" (%d %s of %s suppressed since the last one.)", e.Before, alerts, e.Signal.Asset)
	}
	return text
}
