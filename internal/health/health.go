// Package health is the answer to whether the data may be acted on, as values. The one
// definition of it is the SQL function ingest_health_at: nothing in Go judges health by
// itself. Package watch asks for it, and package halt stops by hand.
package health

import (
	"slices"
	"time"
)

// State is what may be done with the data.
type State string

// The states, most severe first.
const (
	Stale    State = "STALE"    // nothing may be shown or decided
	Degraded State = "DEGRADED" // shown with a warning, no behavioural alerts
	Healthy  State = "HEALTHY"
)

// States lists every state, most severe first.
var States = []State{Stale, Degraded, Healthy}

// Reasons lists every code that a Health can carry, so that each can be a
// metric from the start.
var Reasons = []string{
	"no_runs", "snapshot_age", ReasonClockSkew, "run_failed", "coverage",
	"null_szi:HYPE", "null_szi:BTC", "null_szi:ETH", "system_stale", "halted", "recovering", ReasonDatabase,
	ReasonClockBack, ReasonNoCollector, ReasonReplicaLag,
}

// Reasons that somebody decides by.
const (
	ReasonDatabase    = "database"     // the database could not be asked
	ReasonClockSkew   = "clock_skew"   // a stored run finished after the clock that judges
	ReasonClockBack   = "clock_back"   // minutes are refused because the clock has shown them before
	ReasonNoCollector = "no_collector" // no collector leads
	ReasonReplicaLag  = "replica_lag"  // a standby that is behind, or whose clock is not the primary's
)

// ByRuns is h as the stored runs and halts alone give it, which is what can be told
// again later: a reason that only the moment of reading shows is left out.
func (h Health) ByRuns() Health {
	h.Reasons = slices.DeleteFunc(slices.Clone(h.Reasons), func(r string) bool { return r == ReasonNoCollector })
	if h.State == Degraded && len(h.Reasons) == 0 {
		h.State = Healthy
	}
	return h
}

// ClockIsWrong tells that the state is STALE because of a clock.
func (h Health) ClockIsWrong() bool {
	return len(h.OfClocks()) > 0
}

// OfClocks are those of the reasons that a wrong clock is.
func (h Health) OfClocks() (reasons []string) {
	for _, reason := range h.Reasons {
		if reason == ReasonClockSkew || reason == ReasonClockBack {
			reasons = append(reasons, reason)
		}
	}
	return reasons
}

// Health is one answer, as the view ingest_health gives it.
type Health struct {
	State          State      `json:"health_state"`
	SnapshotStatus *string    `json:"snapshot_status"`          // of the newest run; nil: no run yet
	LastSuccess    *time.Time `json:"last_success_snapshot_ts"` // nil: no run ever succeeded
	AgeSeconds     *float64   `json:"snapshot_age_seconds"`     // of the last success
	CoveragePct    *float64   `json:"coverage_pct"`             // of the newest run
	CleanRuns      int        `json:"clean_runs"`               // unbroken clean minutes up to the newest run, 10 at most
	Reasons        []string   `json:"reasons"`                  // why it is not HEALTHY
	At             time.Time  `json:"-"`                        // the instant judged, by the database's clock; zero when it could not be asked
}

// Halt is a manual stop and its incident record.
type Halt struct {
	ID        int64      `json:"id"`
	HaltedAt  time.Time  `json:"halted_at"`
	HaltedBy  string     `json:"halted_by"`
	Reason    string     `json:"reason"`
	ResumedAt *time.Time `json:"resumed_at"`
	ResumedBy *string    `json:"resumed_by"`
	Cause     *string    `json:"cause"`
	Actions   *string    `json:"actions"`
}
