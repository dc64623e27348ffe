package signals

import (
	"math"
	"testing"

	"pgregory.net/rapid"
)

// moved makes wallets that moved by these shares of what they held, which their
// ε is far below.
func moved(w *Wallets, n int, move float64) {
	const held = 1 << 20
	w.add(n, held, held+held*move, 1)
}

func dispersionOf(t *testing.T, w Wallets) float64 {
	t.Helper()
	in := crowd{}.input()
	in.Wallets = w
	s, _ := mustCompute(t, in)
	return s.DispersionIndex
}

func TestDispersionByHand(t *testing.T) {
	var w Wallets
	w.add(1, 1000, 1500, 100) // 0.5
	w.add(1, 0, -50, 100)     // −0.5: of ε, because nothing was held
	w.add(1, -1000, -750, 20) // 0.25: towards the long side
	w.add(1, 700, 700, 100)   // 0
	w.add(1, 100, 200, 20)    // 1
	// The mean is 0.25; the squares of what is left are 0.0625, 0.5625, 0, 0.0625
	// and 0.5625: 1.25, over 4.
	if got, want := dispersionOf(t, w), 100*math.Sqrt(0.3125); !near(got, want) {
		t.Errorf("dispersion %v, want %v", got, want)
	}
}

func TestDispersionDividesByTheLargerOfPreviousAndEpsilon(t *testing.T) {
	for _, tt := range []struct {
		previous, current, epsilon float64
		move                       float64
	}{
		{1000, 1500, 100, 0.5},
		{-1000, -1500, 100, -0.5},
		{1000, 1500, 1000, 0.5},
		{1000, 1500, 2000, 0.25},
		{-1000, -1500, 2000, -0.25},
		{0, 1500, 2000, 0.75},
		{1000, 0, 1, -1},
		{1000, -1000, 1, -2},
	} {
		var w Wallets
		w.add(1, tt.previous, tt.current, tt.epsilon)
		moved(&w, 99, 0)
		// One move m among 99 wallets that stand still: s² = (100m² − m²) / (100 · 99).
		if got, want := dispersionOf(t, w), 10*math.Abs(tt.move); !near(got, want) {
			t.Errorf("%g → %g with ε %g: dispersion %v, want %v", tt.previous, tt.current, tt.epsilon, got, want)
		}
	}
}

func TestDispersionClampsAMoveToTwo(t *testing.T) {
	for _, tt := range []struct{ move, want float64 }{
		{1.5, 15}, {2, 20}, {2.5, 20}, {1e9, 20}, {-1.5, 15}, {-2, 20}, {-2.5, 20}, {-1e9, 20},
	} {
		var w Wallets
		moved(&w, 1, tt.move)
		moved(&w, 99, 0)
		if got := dispersionOf(t, w); !near(got, tt.want) {
			t.Errorf("one of 100 moves by %g: dispersion %v, want %v", tt.move, got, tt.want)
		}
	}
}

func TestDispersionNeedsFiveComparedWallets(t *testing.T) {
	others := func(w *Wallets) {
		w.add(30, nan, 1000, 10)
		w.add(2, 1000, nan, 10)
		w.add(1, nan, nan, 10)
	}
	for n := range 8 {
		var w Wallets
		others(&w)
		for i := range n {
			moved(&w, 1, float64(i%2)) // 0, 1, 0, 1, …
		}
		// k of n moves are 1: s² = (k − k²/n) / (n − 1).
		k := float64(n / 2)
		want := 100 * math.Sqrt((k-k*k/float64(n))/float64(n-1))
		if n < 5 {
			want = 50
		}
		if got := dispersionOf(t, w); !near(got, want) {
			t.Errorf("%d compared wallets: dispersion %v, want %v", n, got, want)
		}
	}
}

func TestDispersionIsZeroWhenAllMoveAlike(t *testing.T) {
	for _, n := range []int{5, 7, 200, 1000, 50_000} {
		for _, w := range []struct{ previous, current float64 }{{3, 4}, {-7, 3}, {9, -100}, {5, 5}, {1e17, 1e17 / 3}} {
			var all Wallets
			all.add(n, w.previous, w.current, 1)
			if got := dispersionOf(t, all); got != 0 {
				t.Errorf("%d times %g → %g: dispersion %v", n, w.previous, w.current, got)
			}
		}
	}
}

// Moves of a thousandth still have six digits. They are small enough for their
// squares to need every bit of the sums.
func TestDispersionOfSmallMoves(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var w Wallets
		const held = 1e12
		for _, change := range rapid.SliceOfN(rapid.Int64Range(0, 4e9), 5, 50).Draw(t, "changes") {
			w.add(1, held, held+float64(change), 1)
		}
		_, _, _, deviation := naiveTally(w)
		if got, want := Count(w).deviation(), deviation; math.Abs(got-want) > 1e-6*want+math.Ldexp(1, -41) {
			t.Fatalf("deviation %v, want %v", got, want)
		}
	})
}

func TestDispersionEndsAt100(t *testing.T) {
	var w Wallets
	moved(&w, 3, 2)
	moved(&w, 3, -2)
	if got := dispersionOf(t, w); got != 100 {
		t.Errorf("dispersion %v, want 100", got)
	}
}

func TestDispersionBandEdges(t *testing.T) {
	for _, tt := range []struct {
		index float64
		want  Band
	}{
		{0, Low}, {below(40), Low}, {40, Medium}, {above(40), Medium},
		{below(60), Medium}, {60, High}, {above(60), High}, {100, High},
	} {
		if got := DispersionBand(tt.index); got != tt.want {
			t.Errorf("DispersionBand(%v) = %d, want %d", tt.index, got, tt.want)
		}
	}
}

// Universes of which the index is 40 or 60 exactly: the first two by moves of 1
// among 25 wallets, where s² = (25·4 − 2²) / (25·24) and (25·9 − 3²) / (25·24);
// the others by moves that are tenths, s² = 4m² / 4.
func TestDispersionOnTheEdgesOfTheBands(t *testing.T) {
	for _, tt := range []struct {
		name  string
		moves map[float64]int // how many wallets move by tenths
		index float64
		band  Band
	}{
		{"40 by whole moves", map[float64]int{10: 3, -10: 1, 0: 21}, 40, Medium},
		{"60 by whole moves", map[float64]int{10: 6, -10: 3, 0: 16}, 60, High},
		{"40 by tenths", map[float64]int{4: 2, -4: 2, 0: 1}, 40, Medium},
		{"60 by tenths", map[float64]int{6: 2, -6: 2, 0: 1}, 60, High},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var w Wallets
			for tenths, n := range tt.moves {
				w.add(n, 1000, 1000+100*tenths, 20)
			}
			got := dispersionOf(t, w)
			if !near(got, tt.index) {
				t.Errorf("dispersion %v, want %v", got, tt.index)
			}
			if band := DispersionBand(got); band != tt.band {
				t.Errorf("band of %v is %d, want %d", got, band, tt.band)
			}
		})
	}
}
