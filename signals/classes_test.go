package signals

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

const (
	addsLong  = "adder long"
	addsShort = "adder short"
	reduces   = "reducer"
	isFlat    = "flat"
	isMissing = "missing"
)

// classOf is the class of a single wallet.
func classOf(t *testing.T, previous, current, epsilon float64) string {
	t.Helper()
	var w Wallets
	w.add(1, previous, current, epsilon)
	tally := Count(w)
	for name, want := range map[string]Tally{
		addsLong:  {Classes: Classes{AddLong: 1}},
		addsShort: {Classes: Classes{AddShort: 1}},
		reduces:   {Classes: Classes{Reducers: 1}},
		isFlat:    {Classes: Classes{Flat: 1}},
		isMissing: {Missing: 1},
	} {
		if tally.Classes == want.Classes && tally.Missing == want.Missing {
			return name
		}
	}
	t.Fatalf("%g → %g: %+v is not one wallet in one class", previous, current, tally)
	return ""
}

func TestClassesTable(t *testing.T) {
	for _, tt := range []struct {
		name              string
		previous, current float64
		want              string
	}{
		{"a long grows", 1000, 1021, addsLong},
		{"a long grows by ε exactly", 1000, 1020, isFlat},
		{"a long grows by a hair more than ε", 1000, above(1020), addsLong},
		{"a short grows", -1000, -1021, addsShort},
		{"a short grows by ε exactly", -1000, -1020, isFlat},
		{"a short grows by a hair more than ε", -1000, below(-1020), addsShort},

		{"a long reduces", 1000, 979, reduces},
		{"a long reduces by ε exactly", 1000, 980, isFlat},
		{"a long reduces by a hair more than ε", 1000, below(980), reduces},
		{"a long falls far and stays long", 1000, 1, reduces},
		{"a short reduces: Δ is positive, yet it is no adder long", -1000, -979, reduces},
		{"a short reduces by ε exactly", -1000, -980, isFlat},
		{"a short reduces by a hair more than ε", -1000, above(-980), reduces},
		{"a short falls far and stays short", -1000, -1, reduces},

		{"nothing happens to a long", 1000, 1000, isFlat},
		{"nothing happens to a short", -1000, -1000, isFlat},
		{"nothing happens to nothing", 0, 0, isFlat},

		{"a long flips", 1000, -1000, addsShort},
		{"a short flips", -1000, 1000, addsLong},
		{"a long flips to much less than it was", 1000, -1, addsShort},
		{"a short flips to much less than it was", -1000, 1, addsLong},
		{"a flip of ε in all", 10, -10, isFlat},
		{"a flip of ε in all, the other way", -10, 10, isFlat},
		{"a flip of more than ε in all", 10, -11, addsShort},
		{"a flip of more than ε in all, the other way", -10, 11, addsLong},

		{"a long is opened", 0, 21, addsLong},
		{"a short is opened", 0, -21, addsShort},
		{"a long of ε is opened", 0, 20, isFlat},
		{"a short of ε is opened", 0, -20, isFlat},
		{"a long is closed", 1000, 0, reduces},
		{"a short is closed", -1000, 0, reduces},
		{"a long of ε is closed", 20, 0, isFlat},
		{"a short of ε is closed", -20, 0, isFlat},
		{"a long of a little more than ε is closed", 21, 0, reduces},
		{"a short of a little more than ε is closed", -21, 0, reduces},
		{"a long below ε stays below it", 3, 5, isFlat},

		{"no current", 1000, nan, isMissing},
		{"no current of a wallet that was flat", 0, nan, isMissing},
		{"neither", nan, nan, isMissing},
		{"no previous", nan, 1000, isFlat},
		{"no previous of a short", nan, -1000, isFlat},
		{"no previous and no position", nan, 0, isFlat},

		{"the largest long grows", 1e17, 1.1e17, addsLong},
		{"the largest flip", 1e17, -1e17, addsShort},
		{"the largest exit", -1e17, 0, reduces},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := classOf(t, tt.previous, tt.current, 20); got != tt.want {
				t.Errorf("%g → %g with ε 20: %s, want %s", tt.previous, tt.current, got, tt.want)
			}
		})
	}
}

// ε is a wallet's own: the same move means something to one and nothing to
// another.
func TestClassesByTheWalletsOwnEpsilon(t *testing.T) {
	for _, tt := range []struct {
		epsilon float64
		up      string
		down    string
	}{
		{20, addsLong, reduces},
		{20.99, addsLong, reduces},
		{21, isFlat, isFlat},
		{21.01, isFlat, isFlat},
		{5000, isFlat, isFlat},
	} {
		if got := classOf(t, 1000, 1021, tt.epsilon); got != tt.up {
			t.Errorf("1000 → 1021 with ε %g: %s, want %s", tt.epsilon, got, tt.up)
		}
		if got := classOf(t, 1000, 979, tt.epsilon); got != tt.down {
			t.Errorf("1000 → 979 with ε %g: %s, want %s", tt.epsilon, got, tt.down)
		}
	}
	var w Wallets
	w.add(1, 1000, 1021, 21)
	w.add(1, 1000, 1021, 20)
	w.add(1, 1000, 979, 20)
	w.add(1, 1000, 979, 21)
	if got, want := Count(w).Classes, (Classes{AddLong: 1, Reducers: 1, Flat: 2}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
}

// N_total is all that is not missing, whatever class it has.
func TestClassesOfAUniverse(t *testing.T) {
	w := crowd{long: 7, short: 5, reducers: 3, flat: 11, missing: 2, restless: 4}.wallets()
	w.add(6, nan, 500, 100)
	w.add(1, nan, nan, 100)
	got := Count(w)
	if diff := cmp.Diff(Classes{AddLong: 7, AddShort: 5, Reducers: 3, Flat: 11 + 8 + 6}, got.Classes); diff != "" {
		t.Error(diff)
	}
	if got.Missing != 3 || got.Total() != 40 {
		t.Errorf("%d missing and N_total %d, want 3 and 40", got.Missing, got.Total())
	}
	if share := got.Percent(got.AddLong); share != 17.5 {
		t.Errorf("7 of 40 are %g %%", share)
	}
	if empty := Count(Wallets{}); empty != (Tally{}) || empty.Percent(0) != 0 {
		t.Errorf("nobody: %+v", empty)
	}
}
