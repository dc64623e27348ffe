package signals

import (
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/whalegate/whalegate/internal/threshold"
)

// Limits of the gates.
const (
	Snapshots         = 5                   // G2: in a window; one less degrades the signal, fewer skip the asset
	maxMissingPct     = 10                  // G3
	alarmMissingPct   = 25                  // G3: beyond this it is an error of its own
	maxDirtyPct       = threshold.DirtyHigh // G4
	neutralCAS        = 50                  // what says nothing
	unknownDispersion = 50                  // with too few wallets to tell
	minCompared       = 5                   // wallets that a deviation needs
)

// Gates lists the gates that a computation passes, G0 being health.
var Gates = []string{"G0", "G1", "G2", "G3", "G4", "G5", "G6"}

// Refusal is a gate that leaves no row. G1 and G2 refuse the asset; G5 and G6
// mean that the computation itself is wrong, and fail the whole cycle.
type Refusal struct {
	Gate   string
	Reason string
}

func (r *Refusal) Error() string { return r.Gate + ": " + r.Reason }

// Closure is a gate that failed and leaves a degraded row.
type Closure struct {
	Gate   string
	Reason string  // the code in degraded_reason
	Pct    float64 // of what the gate measures, in percent
	Severe bool    // an error, not a warning
}

// CheckBoundary is G1: a signal's time lies on a boundary.
func CheckBoundary(t time.Time) error {
	if !t.Equal(t.Truncate(Period)) {
		return &Refusal{"G1", fmt.Sprintf("%s is not on a 5 minute boundary", t.UTC().Format(time.RFC3339Nano))}
	}
	return nil
}

// Check is G5 and G6: what no signal may be, however it came about.
func Check(s Signal) error {
	refuse := func(gate, format string, args ...any) error {
		return &Refusal{gate, fmt.Sprintf("%s: ", s.Asset) + fmt.Sprintf(format, args...)}
	}
	for name, score := range map[string]float64{
		"alignment_score": s.AlignmentScore, "dispersion_index": s.DispersionIndex, "exit_cluster_score": s.ExitClusterScore,
		"top10_share_pct": s.Positioning.Top10SharePct,
	} {
		if math.IsNaN(score) || score < 0 || score > 100 {
			return refuse("G5", "%s %g is not within 0 to 100", name, score)
		}
	}
	c, p := s.Classes, s.Positioning
	for name, n := range map[string]int{
		"wallet_count": s.WalletCount, "missing_count": s.MissingCount, "dirty_count": s.DirtyCount,
		"count_add_long": c.AddLong, "count_add_short": c.AddShort, "count_reducers": c.Reducers, "count_flat": c.Flat,
		"long_count": p.Long, "short_count": p.Short, "flat_count": p.Flat,
	} {
		if n < 0 {
			return refuse("G5", "%s %d is negative", name, n)
		}
	}
	switch {
	case c.Total() != s.WalletCount:
		return refuse("G5", "%d wallets have a class, not %d", c.Total(), s.WalletCount)
	case p.NetSzi == nil:
		return refuse("G5", "no net size")
	case !slices.Contains([]Trend{Rising, Falling, Flat}, s.AlignmentTrend):
		return refuse("G5", "trend %q", s.AlignmentTrend)
	case !slices.Contains(Playbooks, s.AllowedPlaybook):
		return refuse("G5", "playbook %q", s.AllowedPlaybook)
	case !slices.Contains([]RiskMode{Normal, Reduced, Defensive}, s.RiskMode):
		return refuse("G5", "risk mode %q", s.RiskMode)
	case s.DispersionIndex >= dispersionHigh && s.AllowedPlaybook != NoTrade:
		return refuse("G6", "%s with dispersion %g", s.AllowedPlaybook, s.DispersionIndex)
	case s.ExitClusterScore > exitHigh && s.RiskMode == Normal:
		return refuse("G6", "risk mode Normal with exit cluster %g", s.ExitClusterScore)
	case s.ExitClusterScore > exitHigh && s.AlignmentScore > casNeutralTo:
		return refuse("G6", "alignment %g with exit cluster %g", s.AlignmentScore, s.ExitClusterScore)
	}
	return nil
}
