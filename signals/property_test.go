package signals

import (
	"math"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"
)

// seen counts what the drawn cases had, so that a property cannot hold for want
// of cases.
type seen map[string]int

func (s seen) require(t *testing.T, what ...string) {
	t.Helper()
	for _, w := range what {
		if s[w] == 0 && !t.Failed() {
			t.Errorf("no case had: %s", w)
		}
	}
}

func (s seen) note(what string, n int) {
	if n > 0 {
		s[what]++
	}
}

func TestCountEqualsTheNaiveRule(t *testing.T) {
	cases := seen{}
	rapid.Check(t, func(t *rapid.T) {
		w := drawInput(t).Wallets
		got := Count(w)
		classes, missing, compared, deviation := naiveTally(w)
		if diff := cmp.Diff(classes, got.Classes); diff != "" {
			t.Fatal(diff)
		}
		if got.Missing != missing || got.compared != compared {
			t.Fatalf("%d missing and %d compared, want %d and %d", got.Missing, got.compared, missing, compared)
		}
		// Moves are kept to 2^-42: a deviation that is hardly more has no six digits.
		if compared >= 2 && math.Abs(got.deviation()-deviation) > 1e-6*deviation+math.Ldexp(1, -41) {
			t.Fatalf("deviation %v, want %v", got.deviation(), deviation)
		}
		cases.note("long", classes.AddLong)
		cases.note("short", classes.AddShort)
		cases.note("reducer", classes.Reducers)
		cases.note("flat", classes.Flat)
		cases.note("missing", missing)
		cases.note("deviation", int(1000*deviation))
	})
	cases.require(t, "long", "short", "reducer", "flat", "missing", "deviation")
}

// Whatever comes in, G5 and G6 hold for what goes out: these are the bounds
// themselves, not the code that checks them.
func TestG5AndG6HoldForEveryRow(t *testing.T) {
	cases := seen{}
	rapid.Check(t, func(t *rapid.T) {
		in := drawInput(t)
		s, closures, err := Compute(in)
		if err != nil {
			t.Fatal(err)
		}
		if err := Check(s); err != nil {
			t.Fatal(err)
		}
		for _, score := range []float64{s.AlignmentScore, s.DispersionIndex, s.ExitClusterScore, s.Positioning.Top10SharePct} {
			if !(0 <= score && score <= 100) {
				t.Fatalf("%v in %+v", score, s)
			}
		}
		if c := s.Classes; min(c.AddLong, c.AddShort, c.Reducers, c.Flat) < 0 || c.AddLong+c.AddShort+c.Reducers+c.Flat != s.WalletCount {
			t.Fatalf("%+v of %d wallets", c, s.WalletCount)
		}
		if s.WalletCount+s.MissingCount != len(in.Wallets.Current) {
			t.Fatalf("%d wallets and %d missing of %d", s.WalletCount, s.MissingCount, len(in.Wallets.Current))
		}
		if p := s.Positioning; p.Long+p.Short+p.Flat != s.WalletCount {
			t.Fatalf("%+v of %d wallets", p, s.WalletCount)
		}
		if s.DispersionIndex >= 60 && s.AllowedPlaybook != "No-trade" {
			t.Fatalf("%s with dispersion %v", s.AllowedPlaybook, s.DispersionIndex)
		}
		if s.ExitClusterScore > 25 && (s.RiskMode == "Normal" || s.AlignmentScore > 60) {
			t.Fatalf("%s, alignment %v with exit cluster %v", s.RiskMode, s.AlignmentScore, s.ExitClusterScore)
		}
		shut := s.WalletCount == 0
		for _, c := range closures {
			shut = shut || c.Gate == "G3" || c.Gate == "G4"
			if !slices.Contains(s.Degraded, c.Reason) {
				t.Fatalf("%s closed, yet the row says %q", c.Gate, s.Degraded)
			}
			cases.note(c.Gate, 1)
		}
		if shut && (s.AllowedPlaybook != "No-trade" || s.RiskMode != "Defensive" || s.AddExposure) {
			t.Fatalf("a closed gate lets %+v through", s)
		}
		if s.AddExposure && s.TightenStops {
			t.Fatalf("more exposure and tighter stops: %+v", s)
		}
		cases.note(string(s.AllowedPlaybook), 1)
		cases.note(string(s.AlignmentTrend), 1)
	})
	cases.require(t, "G2", "G3", "G4", "No-trade", "rising", "falling", "flat")
}

func TestTheSameInputGivesTheSameRow(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := drawInput(t)
		before := in
		before.Wallets = Wallets{slices.Clone(in.Wallets.Current), slices.Clone(in.Wallets.Previous), slices.Clone(in.Wallets.Epsilon)}
		before.Holdings = slices.Clone(in.Holdings)
		s, closures := mustComputeRapid(t, in)
		again, closuresAgain := mustComputeRapid(t, in)
		if diff := cmp.Diff(s, again, sameBig) + cmp.Diff(closures, closuresAgain); diff != "" {
			t.Fatal(diff)
		}
		if diff := cmp.Diff(before, in, cmpopts.EquateNaNs()); diff != "" {
			t.Fatalf("the input has changed: %s", diff)
		}
	})
}

// Not a digit may depend on the order in which a map or a query gave the wallets.
func TestTheOrderOfTheWalletsChangesNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := drawInput(t)
		s, closures := mustComputeRapid(t, in)
		shuffled := in
		shuffled.Wallets = Wallets{}
		order := make([]int, len(in.Wallets.Current))
		for i := range order {
			order[i] = i
		}
		for _, i := range rapid.Permutation(order).Draw(t, "order") {
			shuffled.Wallets.add(1, in.Wallets.Previous[i], in.Wallets.Current[i], in.Wallets.Epsilon[i])
		}
		shuffled.Holdings = rapid.Permutation(in.Holdings).Draw(t, "holdings")
		other, closuresOther := mustComputeRapid(t, shuffled)
		if diff := cmp.Diff(s, other, sameBig) + cmp.Diff(closures, closuresOther); diff != "" {
			t.Fatal(diff)
		}
		if Count(in.Wallets) != Count(shuffled.Wallets) {
			t.Fatal("the tallies differ")
		}
	})
}

func mustComputeRapid(t *rapid.T, in Input) (Signal, []Closure) {
	s, closures, err := Compute(in)
	if err != nil {
		t.Fatal(err)
	}
	return s, closures
}
