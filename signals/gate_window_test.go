package signals

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/whalegate/whalegate/internal/asset"
)

// refusal is the gate that left no row.
func refusal(t *testing.T, err error) string {
	t.Helper()
	var r *Refusal
	if !errors.As(err, &r) {
		t.Fatalf("%v is no refusal", err)
	}
	if r.Reason == "" {
		t.Error("a refusal without a reason")
	}
	return r.Gate
}

func TestG1OnlyOnABoundary(t *testing.T) {
	kathmandu := time.FixedZone("five hours and three quarters", 5*3600+45*60)
	odd := time.FixedZone("with seconds", 3600+7)
	for _, tt := range []struct {
		at time.Time
		ok bool
	}{
		{onTheGrid, true},
		{onTheGrid.Add(5 * time.Minute), true},
		{time.Date(2026, time.December, 31, 23, 55, 0, 0, time.UTC), true},
		{time.Date(2024, time.February, 29, 0, 0, 0, 0, time.UTC), true},
		{time.Unix(0, 0), true},
		{onTheGrid.In(kathmandu), true},
		{onTheGrid.In(odd), true},
		{onTheGrid.Add(time.Nanosecond), false},
		{onTheGrid.Add(-time.Nanosecond), false},
		{onTheGrid.Add(time.Millisecond), false},
		{onTheGrid.Add(time.Second), false},
		{onTheGrid.Add(-time.Second), false},
		{onTheGrid.Add(time.Minute), false},
		{onTheGrid.Add(4 * time.Minute), false},
		{onTheGrid.Add(150 * time.Second), false},
		{time.Date(2026, time.March, 4, 12, 35, 0, 0, odd), false},
	} {
		in := crowd{flat: 10}.input()
		in.Boundary = tt.at
		s, closures, err := Compute(in)
		if tt.ok {
			if err != nil || CheckBoundary(tt.at) != nil {
				t.Errorf("%s: %v, %v", tt.at, err, CheckBoundary(tt.at))
			}
			if !s.Timestamp.Equal(tt.at) || s.Timestamp.Location() != time.UTC {
				t.Errorf("%s became %s", tt.at, s.Timestamp)
			}
			continue
		}
		if got := refusal(t, err); got != "G1" {
			t.Errorf("%s: refused by %s", tt.at, got)
		}
		if got := refusal(t, CheckBoundary(tt.at)); got != "G1" {
			t.Errorf("%s: refused by %s", tt.at, got)
		}
		if diff := cmp.Diff(Signal{}, s); diff != "" || closures != nil {
			t.Errorf("%s left %s %+v", tt.at, diff, closures)
		}
	}
}

func TestG2Snapshots(t *testing.T) {
	in := crowd{long: 30, flat: 70}.input()
	in.Past = steady(50)
	whole, closures := mustCompute(t, in)
	if len(closures) > 0 || len(whole.Degraded) > 0 || whole.AllowedPlaybook != LongOnly {
		t.Errorf("5 snapshots: %+v, %+v", whole, closures)
	}

	// One fewer degrades the row, and changes nothing else.
	in.Snapshots = 4
	s, closures := mustCompute(t, in)
	if diff := cmp.Diff([]Closure{{Gate: "G2", Reason: "few_snapshots", Pct: 80}}, closures); diff != "" {
		t.Error(diff)
	}
	whole.Degraded = []string{"few_snapshots"}
	if diff := cmp.Diff(whole, s, sameBig); diff != "" {
		t.Error(diff)
	}

	for _, snapshots := range []int{3, 2, 1, 0, -1} {
		in.Snapshots = snapshots
		s, closures, err := Compute(in)
		if got := refusal(t, err); got != "G2" {
			t.Errorf("%d snapshots: refused by %s", snapshots, got)
		}
		if diff := cmp.Diff(Signal{}, s); diff != "" || closures != nil {
			t.Errorf("%d snapshots left %s %+v", snapshots, diff, closures)
		}
	}
}

// Universes in which everybody else adds long while the alignment rises: only a
// closed gate keeps Long-only from them.
func TestG3AndG4Table(t *testing.T) {
	const missing, dirty = "missing_wallets", "high_dirty_rate"
	for _, tt := range []struct {
		name        string
		crowd       crowd
		dirty, rows int
		closed      []string
		severe      bool
		alignment   float64
		missingPct  float64 // Pct of G3
		dirtyPct    float64 // Pct of G4
	}{
		{name: "all is well", crowd: crowd{long: 10}, rows: 50, alignment: 100},
		{name: "no rows at all", crowd: crowd{long: 10}, alignment: 100},

		{name: "10 % missing exactly", crowd: crowd{long: 9, missing: 1}, rows: 50, alignment: 100},
		{name: "20 of 200 missing", crowd: crowd{long: 180, missing: 20}, rows: 1000, alignment: 100},
		{name: "21 of 200 missing", crowd: crowd{long: 179, missing: 21}, rows: 1000,
			closed: []string{missing}, alignment: 50, missingPct: 10.5},
		{name: "just above 10 %", crowd: crowd{long: 8_999, missing: 1_001}, rows: 50_000,
			closed: []string{missing}, alignment: 50, missingPct: 10.01},
		{name: "25 % missing exactly", crowd: crowd{long: 3, missing: 1}, rows: 20,
			closed: []string{missing}, alignment: 50, missingPct: 25},
		{name: "just above 25 %", crowd: crowd{long: 7_499, missing: 2_501}, rows: 50_000,
			closed: []string{missing}, severe: true, alignment: 50, missingPct: 25.01},
		{name: "half missing", crowd: crowd{long: 5, missing: 5}, rows: 50,
			closed: []string{missing}, severe: true, alignment: 50, missingPct: 50},

		{name: "10 % dirty exactly", crowd: crowd{long: 10}, dirty: 5, rows: 50, alignment: 100},
		{name: "just above 10 %, dirty", crowd: crowd{long: 10}, dirty: 1_001, rows: 10_000,
			closed: []string{dirty}, alignment: 100, dirtyPct: 10.01},
		{name: "6 of 50 dirty", crowd: crowd{long: 10}, dirty: 6, rows: 50,
			closed: []string{dirty}, alignment: 100, dirtyPct: 12},
		{name: "all dirty is still no error of its own", crowd: crowd{long: 10}, dirty: 50, rows: 50,
			closed: []string{dirty}, alignment: 100, dirtyPct: 100},

		{name: "both", crowd: crowd{long: 17, missing: 3}, dirty: 20, rows: 100,
			closed: []string{missing, dirty}, alignment: 50, missingPct: 15, dirtyPct: 20},
		{name: "both, and too many missing", crowd: crowd{long: 6, missing: 4}, dirty: 15, rows: 50,
			closed: []string{missing, dirty}, severe: true, alignment: 50, missingPct: 40, dirtyPct: 30},
		{name: "both at their edge", crowd: crowd{long: 9, missing: 1}, dirty: 5, rows: 50, alignment: 100},
	} {
		t.Run(tt.name, func(t *testing.T) {
			in := tt.crowd.input()
			in.Dirty, in.Rows, in.Past = tt.dirty, tt.rows, steady(40)
			s, closures := mustCompute(t, in)
			var want []Closure
			if slices.Contains(tt.closed, missing) {
				want = append(want, Closure{"G3", missing, tt.missingPct, tt.severe})
			}
			if slices.Contains(tt.closed, dirty) {
				want = append(want, Closure{"G4", dirty, tt.dirtyPct, false})
			}
			if diff := cmp.Diff(want, closures); diff != "" {
				t.Error(diff)
			}
			if diff := cmp.Diff(tt.closed, s.Degraded); diff != "" {
				t.Error(diff)
			}
			playbook, risk := LongOnly, Normal
			if len(tt.closed) > 0 {
				playbook, risk = NoTrade, Defensive
			}
			if s.AllowedPlaybook != playbook || s.RiskMode != risk || s.AddExposure != (playbook == LongOnly) {
				t.Errorf("%s %s, add exposure %t", s.AllowedPlaybook, s.RiskMode, s.AddExposure)
			}
			if s.AlignmentScore != tt.alignment || s.AlignmentTrend != Rising {
				t.Errorf("alignment %v %s, want %v", s.AlignmentScore, s.AlignmentTrend, tt.alignment)
			}
			if s.MissingCount != tt.crowd.missing || s.DirtyCount != tt.dirty || s.Classes.AddLong != tt.crowd.long {
				t.Errorf("%d missing, %d dirty, %+v", s.MissingCount, s.DirtyCount, s.Classes)
			}
		})
	}
}

// A closed gate hides no alarm: what the other numbers say stays in the row.
func TestG3KeepsTheOtherNumbers(t *testing.T) {
	in := crowd{long: 40, reducers: 40, missing: 20}.input()
	s, _ := mustCompute(t, in)
	if s.ExitClusterScore != 50 || !s.TightenStops || s.RiskMode != Defensive || s.Classes != (Classes{AddLong: 40, Reducers: 40}) {
		t.Errorf("%+v", s)
	}
}

func TestG2WithG3AndG4(t *testing.T) {
	in := crowd{long: 8, missing: 2}.input()
	in.Snapshots, in.Dirty, in.Rows = 4, 8, 40
	s, closures := mustCompute(t, in)
	if diff := cmp.Diff([]string{"few_snapshots", "missing_wallets", "high_dirty_rate"}, s.Degraded); diff != "" {
		t.Error(diff)
	}
	if len(closures) != 3 || s.AllowedPlaybook != NoTrade || s.RiskMode != Defensive {
		t.Errorf("%+v, %s %s", closures, s.AllowedPlaybook, s.RiskMode)
	}
}

// A universe without a wallet has no share that is missing, and says nothing all
// the same: that must be seen.
func TestG3AnEmptyUniverseIsAnError(t *testing.T) {
	s, closures := mustCompute(t, Input{Boundary: time.Unix(300, 0), Asset: asset.ETH, Snapshots: 5, Past: steady(10)})
	if len(closures) != 1 || closures[0].Gate != "G3" || !closures[0].Severe || closures[0].Reason != "no_wallets" {
		t.Errorf("closures %+v", closures)
	}
	if s.AllowedPlaybook != "No-trade" || s.RiskMode != "Defensive" || s.AddExposure || s.AlignmentScore != 50 {
		t.Errorf("%+v", s)
	}
}
