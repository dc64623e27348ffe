package signals

import (
	"math/big"
	"time"

	"github.com/whalegate/whalegate/internal/asset"
)

// Period is the time between two boundaries; every boundary is a multiple of it.
const Period = 5 * time.Minute

// History is how far ε looks back.
const History = 24 * time.Hour

// Trend is where the alignment score has gone since the last three boundaries.
type Trend string

// The trends.
const (
	Rising  Trend = "rising"
	Falling Trend = "falling"
	Flat    Trend = "flat"
)

// Playbook is the kind of trade that is allowed.
type Playbook string

// The playbooks.
const (
	LongOnly  Playbook = "Long-only"
	ShortOnly Playbook = "Short-only"
	NoTrade   Playbook = "No-trade"
)

// Playbooks lists every playbook.
var Playbooks = []Playbook{LongOnly, ShortOnly, NoTrade}

// RiskMode is how much of the usual risk may be taken.
type RiskMode string

// The risk modes, boldest first.
const (
	Normal    RiskMode = "Normal"
	Reduced   RiskMode = "Reduced"
	Defensive RiskMode = "Defensive"
)

// Signal is one asset at one boundary: a row of signals with the rows of
// signal_contributors and signal_positioning that belong to it.
type Signal struct {
	Timestamp        time.Time
	Asset            asset.Asset
	AlignmentScore   float64 // CAS, 0 to 100; above 50 more wallets add long than short
	AlignmentTrend   Trend
	DispersionIndex  float64 // 0 to 100; high when the wallets do not move alike
	ExitClusterScore float64 // 0 to 100; share of wallets that reduce, in percent
	AllowedPlaybook  Playbook
	RiskMode         RiskMode
	AddExposure      bool
	TightenStops     bool
	WalletCount      int      // N_total: wallets of the universe that are not missing
	MissingCount     int      // wallets of the universe without a current size
	DirtyCount       int      // dirty rows in the window
	Degraded         []string // why it is degraded, as stable codes; empty when it is not
	Classes          Classes
	Positioning      Positioning
}

// Why a signal is degraded, beside the reasons of health.
const (
	ReasonFewSnapshots   = "few_snapshots"   // G2: 4 of 5 snapshots
	ReasonMissingWallets = "missing_wallets" // G3
	ReasonDirtyRate      = "high_dirty_rate" // G4
	ReasonNoWallets      = "no_wallets"      // N_total is 0
)

// Classes counts what the wallets did since the boundary before.
type Classes struct {
	AddLong, AddShort, Reducers, Flat int
}

// Total is N_total.
func (c Classes) Total() int { return c.AddLong + c.AddShort + c.Reducers + c.Flat }

// Percent is n as a share of N_total, 0 to 100; 0 when there are no wallets.
func (c Classes) Percent(n int) float64 { return percent(n, c.Total()) }

// Positioning is what the wallets hold: context for people, which no playbook
// ever uses.
type Positioning struct {
	NetSzi            *big.Int // sum of the sizes, in the asset's smallest unit
	Long, Short, Flat int      // wallets by side
	Top10SharePct     float64  // share of the ten largest holdings in all, by absolute size, 0 to 100
}

// percent is part of whole in percent, 0 when there is no whole. Multiplied
// first, so that a share that a float can hold is exact.
func percent(part, whole int) float64 {
	if whole == 0 {
		return 0
	}
	return 100 * float64(part) / float64(whole)
}
