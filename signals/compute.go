package signals

import (
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/whalegate/whalegate/internal/asset"
)

// Input is everything that the signal of one asset at one boundary depends on.
type Input struct {
	Boundary  time.Time
	Asset     asset.Asset
	Snapshots int          // of the asset in the window (t − 5 min, t]
	Rows      int          // of the universe's wallets in the window
	Dirty     int          // of those
	Wallets   Wallets      // of the universe
	Holdings  []asset.Size // the effective sizes of those that are not missing
	Past      [3]Past      // the boundaries 5, 10 and 15 minutes before, in this order
}

// Compute is the signal of one asset at one boundary. The same input always
// gives the same signal, whatever the order of the wallets. Closures are the
// gates that failed and left a row; the error is a *Refusal: there is no row.
func Compute(in Input) (Signal, []Closure, error) {
	if err := CheckBoundary(in.Boundary); err != nil {
		return Signal{}, nil, err
	}
	if in.Snapshots < Snapshots-1 {
		return Signal{}, nil, &Refusal{"G2", fmt.Sprintf("%s: %d of %d snapshots in the window", in.Asset, in.Snapshots, Snapshots)}
	}
	tally := Count(in.Wallets)
	closures := in.closures(tally)
	s := tally.score()
	s.Timestamp, s.Asset = in.Boundary.UTC(), in.Asset
	s.DirtyCount = in.Dirty
	s.Positioning = Holdings(in.Holdings)

	// closed: the numbers stand on too little to open any gate.
	closed := s.WalletCount == 0
	for _, c := range closures {
		s.Degrade(c.Reason)
		switch c.Gate {
		case "G3":
			s.AlignmentScore, closed = neutralCAS, true
		case "G4":
			closed = true
		}
	}
	if s.WalletCount == 0 {
		s.Degrade(ReasonNoWallets)
	}
	s.AlignmentTrend = TrendOf(s.AlignmentScore, in.Past)
	s.AllowedPlaybook, s.RiskMode = Decide(s.AlignmentScore, s.AlignmentTrend, s.DispersionIndex, s.ExitClusterScore)
	exit, spread := ExitBand(s.ExitClusterScore), DispersionBand(s.DispersionIndex)
	s.AddExposure = s.AlignmentTrend == Rising && exit == Low && spread != High && !closed
	s.TightenStops = exit == High || s.AlignmentTrend == Falling || spread == High
	if closed {
		s.AllowedPlaybook, s.RiskMode = NoTrade, Defensive
	}
	if err := Check(s); err != nil {
		return Signal{}, closures, err
	}
	return s, closures, nil
}

// dispersionDigits keeps nine digits behind the point: fewer than a move is exact
// to, so that a deviation of just 0.6 is High, and not a hair below.
const dispersionDigits = 1e9

// score turns a tally into the three numbers that need no history.
func (t Tally) score() Signal {
	n := t.Total()
	s := Signal{
		AlignmentScore: neutralCAS, DispersionIndex: unknownDispersion, ExitClusterScore: t.Percent(t.Reducers),
		WalletCount: n, MissingCount: t.Missing, Classes: t.Classes,
	}
	if n > 0 {
		s.AlignmentScore = 50 + 50*float64(t.AddLong-t.AddShort)/float64(n)
	}
	if ExitBand(s.ExitClusterScore) == High {
		s.AlignmentScore = min(s.AlignmentScore, casNeutralTo)
	}
	if t.compared >= minCompared {
		s.DispersionIndex = min(100, math.Round(100*t.deviation()*dispersionDigits)/dispersionDigits)
	}
	return s
}

// closures are the gates G2, G3 and G4 as far as they leave a row.
func (in Input) closures(t Tally) []Closure {
	var failed []Closure
	if in.Snapshots < Snapshots {
		failed = append(failed, Closure{"G2", ReasonFewSnapshots, percent(in.Snapshots, Snapshots), false})
	}
	if len(in.Wallets.Current) == 0 { // nobody is there, which is worse than many missing
		failed = append(failed, Closure{"G3", ReasonNoWallets, 100, true})
	} else if missing := percent(t.Missing, len(in.Wallets.Current)); missing > maxMissingPct {
		failed = append(failed, Closure{"G3", ReasonMissingWallets, missing, missing > alarmMissingPct})
	}
	if dirty := percent(in.Dirty, in.Rows); dirty > maxDirtyPct {
		failed = append(failed, Closure{"G4", ReasonDirtyRate, dirty, false})
	}
	return failed
}

// Degrade adds a reason why the signal is degraded, once.
func (s *Signal) Degrade(reasons ...string) {
	for _, reason := range reasons {
		if !slices.Contains(s.Degraded, reason) {
			s.Degraded = append(s.Degraded, reason)
		}
	}
}
