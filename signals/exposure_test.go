package signals

import "testing"

// What a row says beside its playbook.
const (
	addsExposure = '+'
	tightens     = '!'
	neither      = '.'
)

// Three lines a trend: exit cluster Low, Medium, High; in each, dispersion Low,
// Medium, High.
var exposure = map[Trend][3]string{
	Rising:  {"++!", "..!", "!!!"},
	Flat:    {"..!", "..!", "!!!"},
	Falling: {"!!!", "!!!", "!!!"},
}

func checkExposure(t *testing.T, s Signal, want byte) {
	t.Helper()
	if s.AddExposure != (want == addsExposure) || s.TightenStops != (want == tightens) {
		t.Errorf("%s, exit cluster %v, dispersion %v: add exposure %t, tighten stops %t; want %c",
			s.AlignmentTrend, s.ExitClusterScore, s.DispersionIndex, s.AddExposure, s.TightenStops, want)
	}
}

func TestExposureTruthTable(t *testing.T) {
	reducers := [3]int{10, 20, 30} // of 100
	restless := [3]int{0, 10, 20}  // pairs of 100
	pasts := map[Trend]float64{Rising: 40, Flat: 62, Falling: 80}
	for trend, lines := range exposure {
		for exit, line := range lines {
			for spread := range line {
				c := crowd{long: 30, reducers: reducers[exit], restless: restless[spread]}
				c.flat = 100 - c.long - c.reducers - 2*c.restless
				in := c.input()
				in.Past = steady(pasts[trend])
				s, _ := mustCompute(t, in)
				if s.AlignmentTrend != trend || ExitBand(s.ExitClusterScore) != Band(exit) || DispersionBand(s.DispersionIndex) != Band(spread) {
					t.Fatalf("the crowd is another one: %+v", s)
				}
				checkExposure(t, s, line[spread])
			}
		}
	}
}

func TestExposureAtTheEdges(t *testing.T) {
	for _, tt := range []struct {
		name  string
		crowd crowd
		past  float64
		want  byte
	}{
		{"16 % leave exactly", crowd{long: 10, flat: 11, reducers: 4}, 40, neither},
		{"just below", crowd{long: 10, flat: 12, reducers: 4}, 40, addsExposure},
		{"25 % leave exactly", crowd{long: 10, flat: 5, reducers: 5}, 40, neither},
		{"just above", crowd{long: 10, flat: 4, reducers: 5}, 40, tightens},
		{"rising by 5 exactly", crowd{long: 20, flat: 80}, 55, neither},
		{"rising by more", crowd{long: 20, flat: 80}, 54.75, addsExposure},
		{"falling by 5 exactly", crowd{long: 20, flat: 80}, 65, neither},
		{"falling by more", crowd{long: 20, flat: 80}, 65.25, tightens},
		{"rising on the short side", crowd{short: 20, flat: 80}, 20, addsExposure},
	} {
		t.Run(tt.name, func(t *testing.T) {
			in := tt.crowd.input()
			in.Past = steady(tt.past)
			s, _ := mustCompute(t, in)
			checkExposure(t, s, tt.want)
		})
	}
}

// More exposure is never advised on numbers that a gate has called too thin,
// however they rise. Tighter stops are: that is the safe side.
func TestExposureBehindAClosedGate(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(*Input)
		crowd  crowd
		closed bool
	}{
		{"no gate", func(*Input) {}, crowd{long: 10, flat: 10}, false},
		{"G2 leaves a row that counts", func(in *Input) { in.Snapshots = 4 }, crowd{long: 10, flat: 10}, false},
		{"G3", func(*Input) {}, crowd{long: 10, flat: 10, missing: 3}, true},
		{"G3, severe", func(*Input) {}, crowd{long: 10, flat: 10, missing: 30}, true},
		{"G4", func(in *Input) { in.Dirty = 11 }, crowd{long: 10, flat: 10}, true},
		{"G3 and G4", func(in *Input) { in.Dirty = 50 }, crowd{long: 10, flat: 10, missing: 3}, true},
		{"nobody", func(*Input) {}, crowd{}, true},
		{"nobody, all missing", func(*Input) {}, crowd{missing: 3}, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			in := tt.crowd.input()
			tt.change(&in)
			in.Past = steady(30)
			s, _ := mustCompute(t, in)
			if s.AlignmentTrend != Rising || s.AddExposure == tt.closed || s.TightenStops {
				t.Errorf("%s: add exposure %t, tighten stops %t", s.AlignmentTrend, s.AddExposure, s.TightenStops)
			}
			in.Past = steady(90)
			s, _ = mustCompute(t, in)
			if s.AlignmentTrend != Falling || s.AddExposure || !s.TightenStops {
				t.Errorf("%s: add exposure %t, tighten stops %t", s.AlignmentTrend, s.AddExposure, s.TightenStops)
			}
		})
	}
}
