package main

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"

	"github.com/whalegate/whalegate/signals"
)

// measureCore compares the loop over the wallets with one that reads the same
// three columns and does next to nothing with them, and with one that does all
// of it as one would first write it down.
func measureCore(_ context.Context, b *bench) error {
	const many, few = 50_000, 200
	bare, err := besideCore(many, func(w signals.Wallets) { kept.sum = bareLoop(w) })
	if err != nil {
		return err
	}
	b.add("signal core, per wallet (classify, count, deviation)", 2, bare.ratio(), "", perWallet(bare, many))
	if bare, err = besideCore(few, func(w signals.Wallets) { kept.sum = bareLoop(w) }); err != nil {
		return err
	}
	b.note("… with 200 wallets", bare.ratio(), "", perWallet(bare, few))
	plain, err := besideCore(many, func(w signals.Wallets) { kept.classes, kept.sum = plainLoop(w) })
	if want := signals.Count(busyWallets(many)).Classes; err == nil && kept.classes != want {
		err = fmt.Errorf("the plain loop counts %v, the core %v", kept.classes, want)
	}
	b.note("… against a plain loop of the same rules", plain.ratio(), "", perWallet(plain, many)+", with branches and sums of floats")
	return err
}

// kept is where results go, so that none is computed for nothing.
var kept struct {
	tally   signals.Tally
	classes signals.Classes
	sum     float64
}

// atOnce is how many wallets are gone through between two looks at the clock.
const atOnce = 1_000_000

// besideCore measures the core beside another loop over the same wallets.
func besideCore(wallets int, loop func(signals.Wallets)) (pairs, error) {
	w := busyWallets(wallets)
	repeated := func(do func()) func() (float64, error) {
		return func() (float64, error) {
			return timed(func() error {
				for range atOnce / wallets {
					do()
				}
				return nil
			})
		}
	}
	return alternate(200, repeated(func() { kept.tally = signals.Count(w) }), repeated(func() { loop(w) }))
}

func perWallet(p pairs, wallets int) string {
	const ns = 1e6 / atOnce
	return fmt.Sprintf("%.2f ns against %.2f ns, %d wallets, %d pairs", median(p.a)*ns, median(p.b)*ns, wallets, len(p.a))
}

// bareLoop sums |current − previous| − ε: every value is read once. What is
// missing makes the sum NaN, which costs nothing.
func bareLoop(w signals.Wallets) (sum float64) {
	previous, epsilons := w.Previous[:len(w.Current)], w.Epsilon[:len(w.Current)]
	for i, current := range w.Current {
		sum += math.Abs(current-previous[i]) - epsilons[i]
	}
	return sum
}

// plainLoop has the rules in the order in which they are told, and a deviation
// that depends in its last digits on the order of the wallets.
func plainLoop(w signals.Wallets) (c signals.Classes, deviation float64) {
	var n, sum, squares float64
	for i, current := range w.Current {
		previous, epsilon := w.Previous[i], w.Epsilon[i]
		if math.IsNaN(current) {
			continue
		}
		delta := current - previous
		switch {
		case math.IsNaN(previous):
			c.Flat++
			continue
		case delta > epsilon && current > 0:
			c.AddLong++
		case delta < -epsilon && current < 0:
			c.AddShort++
		case math.Abs(current) < math.Abs(previous)-epsilon:
			c.Reducers++
		default:
			c.Flat++
		}
		move := max(-2, min(2, delta/max(math.Abs(previous), epsilon)))
		n, sum, squares = n+1, sum+move, squares+move*move
	}
	return c, math.Sqrt((squares - sum*sum/n) / (n - 1))
}

// busyWallets is the hard case for a processor: every class, in an order that
// cannot be guessed. Of 100 wallets 55 stay within ε, 16 add to a long position,
// 12 to a short one, 8 reduce, 3 change sides, 3 hold nothing, 2 are missing and
// 1 is new.
func busyWallets(n int) signals.Wallets {
	random := rand.New(rand.NewPCG(1, 2))
	w := signals.Wallets{Current: make([]float64, n), Previous: make([]float64, n), Epsilon: make([]float64, n)}
	for i := range n {
		held := math.Trunc(1e6 * math.Exp(1.9*random.NormFloat64()))
		side := float64(1 - 2*random.IntN(2))
		moved := 0.03 + random.Float64()/10
		before, now := held*side, held*side
		switch of := random.IntN(100); {
		case of < 55:
			now *= 1 + (random.Float64()-0.5)/50
		case of < 71:
			before, now = held, held*(1+moved)
		case of < 83:
			before, now = -held, -held*(1+moved)
		case of < 91:
			now *= 1 - moved
		case of < 94:
			now = -before
		case of < 97:
			before, now = 0, 0
		case of < 99:
			now = math.NaN()
		default:
			before = math.NaN()
		}
		w.Current[i], w.Previous[i], w.Epsilon[i] = math.Trunc(now), math.Trunc(before), max(10, held/50)
	}
	return w
}
