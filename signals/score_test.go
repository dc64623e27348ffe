package signals

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/whalegate/whalegate/internal/asset"
)

func TestExitClusterTable(t *testing.T) {
	for _, tt := range []struct {
		name  string
		crowd crowd
		score float64
		band  Band
	}{
		{"nobody reduces", crowd{flat: 10}, 0, Low},
		{"15 of 100", crowd{flat: 85, reducers: 15}, 15, Low},
		{"just below 16 %", crowd{flat: 8401, reducers: 1599}, 15.99, Low},
		{"4 of 25 are 16 % exactly", crowd{flat: 21, reducers: 4}, 16, Medium},
		{"just above 16 %", crowd{flat: 8399, reducers: 1601}, 16.01, Medium},
		{"1 of 4 is 25 % exactly", crowd{flat: 3, reducers: 1}, 25, Medium},
		{"50 of 200", crowd{flat: 150, reducers: 50}, 25, Medium},
		{"just above 25 %", crowd{flat: 7499, reducers: 2501}, 25.01, High},
		{"26 of 100", crowd{flat: 74, reducers: 26}, 26, High},
		{"all", crowd{reducers: 7}, 100, High},
		{"adders are no reducers", crowd{long: 10, short: 10, reducers: 5}, 20, Medium},
		{"of those that are not missing", crowd{flat: 13, reducers: 5, missing: 2}, 100 * 5 / 18.0, High},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, _ := mustCompute(t, tt.crowd.input())
			if s.ExitClusterScore != tt.score {
				t.Errorf("exit cluster %v, want %v", s.ExitClusterScore, tt.score)
			}
			if got := ExitBand(s.ExitClusterScore); got != tt.band {
				t.Errorf("band %d, want %d", got, tt.band)
			}
		})
	}
}

func TestExitBandEdges(t *testing.T) {
	for _, tt := range []struct {
		score float64
		want  Band
	}{
		{0, Low}, {below(16), Low}, {16, Medium}, {above(16), Medium},
		{below(25), Medium}, {25, Medium}, {above(25), High}, {100, High},
	} {
		if got := ExitBand(tt.score); got != tt.want {
			t.Errorf("ExitBand(%v) = %d, want %d", tt.score, got, tt.want)
		}
	}
}

func TestAlignmentTable(t *testing.T) {
	for _, tt := range []struct {
		name  string
		crowd crowd
		want  float64
	}{
		{"nobody adds", crowd{flat: 10}, 50},
		{"both sides alike", crowd{long: 5, short: 5, flat: 3}, 50},
		{"all add long", crowd{long: 7}, 100},
		{"a universe of one", crowd{long: 1}, 100},
		{"all add short", crowd{short: 7}, 0},
		{"25 exactly", crowd{short: 5, flat: 5}, 25},
		{"40 exactly", crowd{short: 2, flat: 8}, 40},
		{"60 exactly", crowd{long: 2, flat: 8}, 60},
		{"75 exactly", crowd{long: 5, flat: 5}, 75},
		{"25 of many", crowd{short: 25_000, flat: 25_000}, 25},
		{"the difference of the sides counts", crowd{long: 30, short: 10, flat: 60}, 60},
		{"the other way", crowd{long: 10, short: 30, flat: 60}, 40},
		{"just above 60", crowd{long: 2_001, flat: 7_999}, 60.005},
		{"just below 40", crowd{short: 2_001, flat: 7_999}, 39.995},
		{"just above 75", crowd{long: 5_001, flat: 4_999}, 75.005},
		{"just below 25", crowd{short: 5_001, flat: 4_999}, 24.995},
		{"of those that are not missing", crowd{long: 9, flat: 9, missing: 2}, 75},

		{"an exit cluster of 25 % caps nothing", crowd{long: 75, reducers: 25}, 87.5},
		{"one above 25 % caps", crowd{long: 74, reducers: 26}, 60},
		{"to 60, not below", crowd{long: 10, reducers: 30, flat: 60}, 55},
		{"60 stays", crowd{long: 20, reducers: 30, flat: 50}, 60},
		{"and raises nothing", crowd{short: 50, reducers: 50}, 25},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, _ := mustCompute(t, tt.crowd.input())
			if s.AlignmentScore != tt.want {
				t.Errorf("alignment %v, want %v", s.AlignmentScore, tt.want)
			}
		})
	}
}

// Nobody to judge by must not look like calm: whatever the past was, the gate
// is shut and the row says why.
func TestScoresWithoutWallets(t *testing.T) {
	for _, tt := range []struct {
		name     string
		crowd    crowd
		degraded []string
	}{
		{"an empty universe", crowd{}, []string{"no_wallets"}},
		{"all missing", crowd{missing: 10}, []string{"missing_wallets", "no_wallets"}},
	} {
		for _, past := range []float64{0, 50, 100} {
			t.Run(tt.name, func(t *testing.T) {
				in := tt.crowd.input()
				in.Past = steady(past)
				s, _ := mustCompute(t, in)
				if s.ExitClusterScore != 0 || s.AlignmentScore != 50 || s.DispersionIndex != 50 {
					t.Errorf("exit cluster %v, alignment %v, dispersion %v; want 0, 50, 50",
						s.ExitClusterScore, s.AlignmentScore, s.DispersionIndex)
				}
				if s.AllowedPlaybook != NoTrade || s.RiskMode != Defensive || s.AddExposure {
					t.Errorf("%s %s, add exposure %t", s.AllowedPlaybook, s.RiskMode, s.AddExposure)
				}
				if diff := cmp.Diff(tt.degraded, s.Degraded); diff != "" {
					t.Error(diff)
				}
				if s.WalletCount != 0 || s.MissingCount != tt.crowd.missing || s.Classes != (Classes{}) {
					t.Errorf("%d wallets, %d missing, %+v", s.WalletCount, s.MissingCount, s.Classes)
				}
			})
		}
	}
}

// What the row says of itself.
func TestComputeFillsTheRow(t *testing.T) {
	in := crowd{long: 8, short: 1, reducers: 2, flat: 7, missing: 1, restless: 1}.input()
	in.Asset, in.Dirty = asset.ETH, 3
	s, closures := mustCompute(t, in)
	if len(closures) > 0 || len(s.Degraded) > 0 {
		t.Errorf("closures %+v, degraded %q; want none", closures, s.Degraded)
	}
	s.DispersionIndex, s.Positioning = 0, Positioning{}
	if diff := cmp.Diff(Signal{
		Timestamp: onTheGrid, Asset: asset.ETH,
		AlignmentScore: 67.5, AlignmentTrend: Flat, ExitClusterScore: 10,
		AllowedPlaybook: NoTrade, RiskMode: Reduced,
		WalletCount: 20, MissingCount: 1, DirtyCount: 3,
		Classes: Classes{AddLong: 8, AddShort: 1, Reducers: 2, Flat: 9},
	}, s); diff != "" {
		t.Error(diff)
	}
}
