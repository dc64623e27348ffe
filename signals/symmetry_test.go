package signals

import (
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// scaled multiplies what every wallet holds, and its ε. NaN stays NaN.
func scaled(w Wallets, factor, epsilonFactor float64) Wallets {
	var out Wallets
	for i := range w.Current {
		out.add(1, w.Previous[i]*factor, w.Current[i]*factor, w.Epsilon[i]*epsilonFactor)
	}
	return out
}

// The unit in which sizes are counted is nobody's business.
func TestScaleChangesNothingAtAllByPowersOfTwo(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := drawInput(t)
		in.Holdings = nil
		s, _ := mustComputeRapid(t, in)
		factor := math.Ldexp(1, rapid.IntRange(-30, 30).Draw(t, "exponent"))
		tally := Count(in.Wallets)
		in.Wallets = scaled(in.Wallets, factor, factor)
		other, _ := mustComputeRapid(t, in)
		if diff := cmp.Diff(s, other, sameBig); diff != "" {
			t.Fatal(diff)
		}
		if Count(in.Wallets) != tally {
			t.Fatal("the tallies differ")
		}
	})
}

func TestScaleChangesNothingByWholeFactors(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := drawInput(t)
		in.Wallets, in.Holdings = drawEdges(t, 1<<36), nil // so that every product is exact
		s, _ := mustComputeRapid(t, in)
		factor := float64(rapid.IntRange(1, 1000).Draw(t, "factor"))
		in.Wallets = scaled(in.Wallets, factor, factor)
		other, _ := mustComputeRapid(t, in)
		if s.Classes != other.Classes || s.MissingCount != other.MissingCount {
			t.Fatalf("%+v and %d missing, then %+v and %d", s.Classes, s.MissingCount, other.Classes, other.MissingCount)
		}
		if s.AlignmentScore != other.AlignmentScore || s.ExitClusterScore != other.ExitClusterScore {
			t.Fatalf("alignment %v, then %v; exit cluster %v, then %v",
				s.AlignmentScore, other.AlignmentScore, s.ExitClusterScore, other.ExitClusterScore)
		}
		if !near(s.DispersionIndex, other.DispersionIndex) {
			t.Fatalf("dispersion %v, then %v", s.DispersionIndex, other.DispersionIndex)
		}
	})
}

// Long and short are treated alike: in the mirror, adders change sides, and what
// has no side stays.
func TestMirrorSwapsLongAndShort(t *testing.T) {
	leaning := 0
	rapid.Check(t, func(t *rapid.T) {
		in := drawInput(t)
		s, _ := mustComputeRapid(t, in)
		mirrored := in
		mirrored.Wallets = scaled(in.Wallets, -1, 1)
		mirrored.Holdings = nil
		for _, size := range in.Holdings {
			mirrored.Holdings = append(mirrored.Holdings, -size)
		}
		for i, p := range in.Past {
			mirrored.Past[i].CAS = 100 - p.CAS
		}
		m, _ := mustComputeRapid(t, mirrored)

		swapped := Classes{AddLong: s.Classes.AddShort, AddShort: s.Classes.AddLong, Reducers: s.Classes.Reducers, Flat: s.Classes.Flat}
		if diff := cmp.Diff(swapped, m.Classes); diff != "" {
			t.Fatal(diff)
		}
		if m.ExitClusterScore != s.ExitClusterScore || m.DispersionIndex != s.DispersionIndex || m.MissingCount != s.MissingCount {
			t.Fatalf("%+v in the mirror of %+v", m, s)
		}
		p := s.Positioning
		p.NetSzi = p.NetSzi.Neg(p.NetSzi)
		p.Long, p.Short = p.Short, p.Long
		if diff := cmp.Diff(p, m.Positioning, sameBig); diff != "" {
			t.Fatal(diff)
		}
		if s.ExitClusterScore > 25 {
			return // the cap has only one side
		}
		if !near(m.AlignmentScore, 100-s.AlignmentScore) {
			t.Fatalf("alignment %v in the mirror of %v", m.AlignmentScore, s.AlignmentScore)
		}
		if s.AlignmentScore != 50 {
			leaning++
		}
	})
	if leaning == 0 && !t.Failed() {
		t.Error("no case leaned to a side")
	}
}
