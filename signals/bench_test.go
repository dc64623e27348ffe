package signals

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
)

// benchWallets is a busy universe: every class in an order that cannot be
// guessed, which is the hard case for a processor.
func benchWallets(n int) Wallets {
	random := rand.New(rand.NewPCG(1, 2))
	var w Wallets
	for range n {
		previous := math.Trunc(random.NormFloat64() * 1e7)
		current := math.Trunc(previous * (1 + random.NormFloat64()/10))
		switch random.IntN(50) {
		case 0:
			current = nan
		case 1:
			previous = nan
		case 2:
			current = -previous
		}
		w.add(1, previous, current, max(10, math.Abs(previous)/50))
	}
	return w
}

var benchSizes = []int{200, 50_000}

var sink float64

func BenchmarkCount(b *testing.B) {
	for _, n := range benchSizes {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			w := benchWallets(n)
			b.SetBytes(int64(n) * 24)
			for b.Loop() {
				t := Count(w)
				sink = float64(t.AddLong)
			}
		})
	}
}

// BenchmarkBareLoop reads the same columns and does next to nothing: what Count
// is measured against.
func BenchmarkBareLoop(b *testing.B) {
	for _, n := range benchSizes {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			w := benchWallets(n)
			b.SetBytes(int64(n) * 24)
			for b.Loop() {
				sink = bareLoop(w)
			}
		})
	}
}

// bareLoop is a function of its own: inside b.Loop its sum would be kept in
// memory, and take four times as long.
func bareLoop(w Wallets) (sum float64) {
	previous, epsilons := w.Previous[:len(w.Current)], w.Epsilon[:len(w.Current)]
	for i, current := range w.Current {
		sum += math.Abs(current-previous[i]) - epsilons[i]
	}
	return sum
}
