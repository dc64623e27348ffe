package signals

import (
	"math"
	"math/big"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/whalegate/whalegate/internal/asset"
)

// onTheGrid is a time at which a signal may be.
var onTheGrid = time.Date(2026, time.March, 4, 12, 35, 0, 0, time.UTC)

var nan = math.NaN()

// above and below are the neighbours of a number.
func above(x float64) float64 { return math.Nextafter(x, math.Inf(1)) }
func below(x float64) float64 { return math.Nextafter(x, math.Inf(-1)) }

// add appends n wallets that all moved alike.
func (w *Wallets) add(n int, previous, current, epsilon float64) {
	for range n {
		w.Previous = append(w.Previous, previous)
		w.Current = append(w.Current, current)
		w.Epsilon = append(w.Epsilon, epsilon)
	}
}

// crowd is a universe by what its wallets do. They move by 1 % at most, so that
// only restless ones spread them.
type crowd struct {
	long, short, reducers, flat, missing int
	restless                             int // pairs of flat wallets that take up a position of ±ε, a move of ±1
}

func (c crowd) wallets() Wallets {
	var w Wallets
	w.add(c.long, 100_000, 101_000, 100)
	w.add(c.short, -100_000, -101_000, 100)
	w.add(c.reducers, 100_000, 99_000, 100)
	w.add(c.flat, 100_000, 100_000, 100)
	w.add(c.missing, 100_000, nan, 100)
	w.add(c.restless, 0, 100, 100)
	w.add(c.restless, 0, -100, 100)
	return w
}

// input is the crowd at a boundary that nothing else troubles.
func (c crowd) input() Input {
	in := Input{Boundary: onTheGrid, Asset: asset.BTC, Snapshots: 5, Wallets: c.wallets()}
	in.Rows = 5 * len(in.Wallets.Current)
	for _, size := range in.Wallets.Current {
		if !math.IsNaN(size) {
			in.Holdings = append(in.Holdings, asset.Size(size))
		}
	}
	return in
}

// steady is a past in which the alignment stood still.
func steady(cas float64) [3]Past { return [3]Past{{cas, true}, {cas, true}, {cas, true}} }

// mustCompute is Compute where no gate may refuse the row.
func mustCompute(t testing.TB, in Input) (Signal, []Closure) {
	t.Helper()
	s, closures, err := Compute(in)
	if err != nil {
		t.Fatalf("Compute: %v", err)
	}
	return s, closures
}

// sameBig lets cmp compare sums.
var sameBig = cmp.Comparer(func(a, b *big.Int) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a.Cmp(b) == 0
})

// near tells whether two numbers differ by no more than rounding.
func near(a, b float64) bool { return math.Abs(a-b) <= 1e-9 }
