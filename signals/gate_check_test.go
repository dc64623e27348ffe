package signals

import (
	"math"
	"math/big"
	"testing"

	"github.com/whalegate/whalegate/internal/asset"
)

// sound is a signal that passes every gate.
func sound() Signal {
	return Signal{
		Timestamp: onTheGrid, Asset: asset.HYPE,
		AlignmentScore: 55, AlignmentTrend: Flat, DispersionIndex: 30, ExitClusterScore: 10,
		AllowedPlaybook: NoTrade, RiskMode: Defensive,
		WalletCount: 10, MissingCount: 1, DirtyCount: 2,
		Classes:     Classes{AddLong: 3, AddShort: 2, Reducers: 1, Flat: 4},
		Positioning: Positioning{NetSzi: big.NewInt(-5), Long: 4, Short: 5, Flat: 1, Top10SharePct: 100},
	}
}

// gateOf is the gate that a change to a sound signal fails, "" when none.
func gateOf(t *testing.T, change func(*Signal)) string {
	t.Helper()
	s := sound()
	change(&s)
	err := Check(s)
	if err == nil {
		return ""
	}
	return refusal(t, err)
}

func TestG5Numbers(t *testing.T) {
	for name, number := range map[string]func(*Signal) *float64{
		"alignment":    func(s *Signal) *float64 { return &s.AlignmentScore },
		"dispersion":   func(s *Signal) *float64 { return &s.DispersionIndex },
		"exit cluster": func(s *Signal) *float64 { return &s.ExitClusterScore },
		"top 10 share": func(s *Signal) *float64 { return &s.Positioning.Top10SharePct },
	} {
		for _, v := range []float64{nan, math.Inf(1), math.Inf(-1), -1, below(0), above(100), 101, -math.MaxFloat64, math.MaxFloat64} {
			if got := gateOf(t, func(s *Signal) { *number(s) = v }); got != "G5" {
				t.Errorf("%s %v: refused by %q, want G5", name, v, got)
			}
		}
		for _, v := range []float64{0, math.Copysign(0, -1), above(0), 25, below(60)} {
			if got := gateOf(t, func(s *Signal) { *number(s) = v }); got != "" {
				t.Errorf("%s %v: refused by %s", name, v, got)
			}
		}
		if got := gateOf(t, func(s *Signal) { *number(s), s.AllowedPlaybook = 100, NoTrade }); got == "G5" {
			t.Errorf("%s 100 is out of range", name)
		}
	}
}

func TestG5Labels(t *testing.T) {
	for name, change := range map[string]func(*Signal){
		"no trend":              func(s *Signal) { s.AlignmentTrend = "" },
		"an unknown trend":      func(s *Signal) { s.AlignmentTrend = "sideways" },
		"a trend in capitals":   func(s *Signal) { s.AlignmentTrend = "Rising" },
		"no playbook":           func(s *Signal) { s.AllowedPlaybook = "" },
		"an unknown playbook":   func(s *Signal) { s.AllowedPlaybook = "Both" },
		"a playbook misspelled": func(s *Signal) { s.AllowedPlaybook = "No-Trade" },
		"no risk mode":          func(s *Signal) { s.RiskMode = "" },
		"an unknown risk mode":  func(s *Signal) { s.RiskMode = "Bold" },
		"a risk mode in lower":  func(s *Signal) { s.RiskMode = "normal" },
		"no net size":           func(s *Signal) { s.Positioning.NetSzi = nil },
	} {
		if got := gateOf(t, change); got != "G5" {
			t.Errorf("%s: refused by %q, want G5", name, got)
		}
	}
	for _, trend := range []Trend{"rising", "falling", "flat"} {
		for _, playbook := range []Playbook{"Long-only", "Short-only", "No-trade"} {
			for _, risk := range []RiskMode{"Normal", "Reduced", "Defensive"} {
				if got := gateOf(t, func(s *Signal) { s.AlignmentTrend, s.AllowedPlaybook, s.RiskMode = trend, playbook, risk }); got != "" {
					t.Errorf("%s %s %s: refused by %s", trend, playbook, risk, got)
				}
			}
		}
	}
}

func TestG5Counts(t *testing.T) {
	for name, change := range map[string]func(*Signal){
		"wallets":      func(s *Signal) { s.WalletCount, s.Classes = -1, Classes{Flat: -1} },
		"missing":      func(s *Signal) { s.MissingCount = -1 },
		"dirty":        func(s *Signal) { s.DirtyCount = -1 },
		"adders long":  func(s *Signal) { s.Classes.AddLong, s.Classes.Flat = -1, 8 },
		"adders short": func(s *Signal) { s.Classes.AddShort, s.Classes.Flat = -1, 7 },
		"reducers":     func(s *Signal) { s.Classes.Reducers, s.Classes.Flat = -1, 6 },
		"flat":         func(s *Signal) { s.Classes.Flat, s.Classes.AddLong = -1, 8 },

		"one class too few":    func(s *Signal) { s.Classes.Flat-- },
		"one class too many":   func(s *Signal) { s.Classes.AddShort++ },
		"one wallet too few":   func(s *Signal) { s.WalletCount-- },
		"one wallet too many":  func(s *Signal) { s.WalletCount++ },
		"classes of nobody":    func(s *Signal) { s.WalletCount = 0 },
		"wallets of no class":  func(s *Signal) { s.Classes = Classes{} },
		"missing among wallet": func(s *Signal) { s.WalletCount += s.MissingCount },
	} {
		if got := gateOf(t, change); got != "G5" {
			t.Errorf("%s: refused by %q, want G5", name, got)
		}
	}
	for name, change := range map[string]func(*Signal){
		"nothing counted":             func(s *Signal) { s.WalletCount, s.MissingCount, s.DirtyCount, s.Classes = 0, 0, 0, Classes{} },
		"more missing than there are": func(s *Signal) { s.MissingCount = 1000 },
	} {
		if got := gateOf(t, change); got != "" {
			t.Errorf("%s: refused by %s", name, got)
		}
	}
}

// The wallets by side are numbers of the row too.
func TestG5CountsOfHoldings(t *testing.T) {
	for name, change := range map[string]func(*Signal){
		"long":  func(s *Signal) { s.Positioning.Long = -1 },
		"short": func(s *Signal) { s.Positioning.Short = -1 },
		"flat":  func(s *Signal) { s.Positioning.Flat = -1 },
	} {
		if got := gateOf(t, change); got != "G5" {
			t.Errorf("%s: refused by %q, want G5", name, got)
		}
	}
}

func TestG6Table(t *testing.T) {
	for _, tt := range []struct {
		name                        string
		alignment, dispersion, exit float64
		playbook                    Playbook
		risk                        RiskMode
		want                        string
	}{
		{"dispersion just below 60", 90, below(60), 0, LongOnly, Normal, ""},
		{"dispersion 60, long", 90, 60, 0, LongOnly, Reduced, "G6"},
		{"dispersion 60, short", 10, 60, 0, ShortOnly, Reduced, "G6"},
		{"dispersion 100, long", 90, 100, 0, LongOnly, Defensive, "G6"},
		{"dispersion 60, no trade", 90, 60, 0, NoTrade, Normal, ""},
		{"dispersion 100, no trade", 90, 100, 0, NoTrade, Defensive, ""},

		{"exit cluster 25 exactly, Normal", 50, 0, 25, NoTrade, Normal, ""},
		{"exit cluster above 25, Normal", 50, 0, above(25), NoTrade, Normal, "G6"},
		{"exit cluster 100, Normal", 50, 0, 100, ShortOnly, Normal, "G6"},
		{"exit cluster above 25, Reduced", 50, 0, above(25), NoTrade, Reduced, ""},
		{"exit cluster above 25, Defensive", 50, 0, 100, NoTrade, Defensive, ""},

		{"exit cluster 25 exactly, alignment 100", 100, 0, 25, LongOnly, Reduced, ""},
		{"exit cluster above 25, alignment 60", 60, 0, above(25), NoTrade, Defensive, ""},
		{"exit cluster above 25, alignment above 60", above(60), 0, above(25), NoTrade, Defensive, "G6"},
		{"exit cluster above 25, alignment 0", 0, 0, above(25), NoTrade, Defensive, ""},
		{"exit cluster 100, alignment 100", 100, 0, 100, NoTrade, Reduced, "G6"},

		{"all at once", 100, 100, 100, LongOnly, Normal, "G6"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := gateOf(t, func(s *Signal) {
				s.AlignmentScore, s.DispersionIndex, s.ExitClusterScore = tt.alignment, tt.dispersion, tt.exit
				s.AllowedPlaybook, s.RiskMode = tt.playbook, tt.risk
			})
			if got != tt.want {
				t.Errorf("refused by %q, want %q", got, tt.want)
			}
		})
	}
}

// A count that cannot be fails the row, not the other way round.
func TestG5ThroughCompute(t *testing.T) {
	in := crowd{flat: 10}.input()
	in.Dirty = -1
	s, _, err := Compute(in)
	if got := refusal(t, err); got != "G5" || s.Asset != 0 || s.Positioning.NetSzi != nil {
		t.Errorf("refused by %s, left %+v", got, s)
	}
}
