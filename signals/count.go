package signals

import (
	"cmp"
	"math"
	"math/big"
	"math/bits"
	"slices"

	"github.com/whalegate/whalegate/internal/asset"
)

// Wallets are the wallets of a universe at a boundary, one element a wallet in
// each column, in any order. Sizes are in the asset's smallest unit.
type Wallets struct {
	Current  []float64 // effective size at the boundary; NaN: the wallet is missing
	Previous []float64 // effective size as the boundary before saw it; NaN: there is none
	Epsilon  []float64 // above 0
}

// Tally is what Count finds.
type Tally struct {
	Classes
	Missing  int
	compared int    // wallets with both sizes
	sum      int64  // of their relative moves, in units of 2^-moveBits
	hi, lo   uint64 // of the squares of these, 128 bits
}

// A relative move is kept as a whole number of 2^-42, so that sums are exact and
// the order of the wallets cannot change a digit: ±2 needs 44 bits, 100,000 of
// them 61, and a square 86.
const (
	moveBits = 42
	maxMove  = 2
)

// Count puts every wallet into its class and sums the relative moves. The loop
// has no branch that a wallet's behaviour decides: with 50,000 of them, guessing
// wrong would cost more than all of the arithmetic.
func Count(w Wallets) Tally {
	var t Tally
	previous, epsilons := w.Previous[:len(w.Current)], w.Epsilon[:len(w.Current)]
	for i, current := range w.Current {
		if math.IsNaN(current) {
			t.Missing++
			continue
		}
		before, epsilon := previous[i], epsilons[i]
		if math.IsNaN(before) {
			t.Flat++
			continue
		}
		delta, was := current-before, math.Abs(before)
		scale := was
		if scale < epsilon {
			scale = epsilon
		}
		move := delta / scale
		if move > maxMove {
			move = maxMove
		}
		if move < -maxMove {
			move = -maxMove
		}
		long := one(delta > epsilon) & one(current > 0)
		short := one(delta < -epsilon) & one(current < 0)
		reduced := one(math.Abs(current) < was-epsilon) &^ (long | short)
		t.AddLong += long
		t.AddShort += short
		t.Reducers += reduced
		t.compared++

		units := nearest(move * (1 << moveBits))
		t.sum += units
		square := uint64(max(units, -units))
		hi, lo := bits.Mul64(square, square)
		var carry uint64
		t.lo, carry = bits.Add64(t.lo, lo, 0)
		t.hi += hi + carry
	}
	t.Flat += t.compared - t.AddLong - t.AddShort - t.Reducers
	return t
}

// nearest rounds to the nearest whole number, a tie to the even one, of numbers up
// to 2^51: where a float has no room for a fraction any more, adding rounds, and
// the bits count. It is a third of the cost of a conversion with a sign to mind.
func nearest(x float64) int64 {
	const room = 3 << 51
	return int64(math.Float64bits(x+room)) - int64(math.Float64bits(room))
}

// one is 1 for true; the compiler makes no branch of it.
func one(b bool) int {
	if b {
		return 1
	}
	return 0
}

// deviation is the sample standard deviation of the relative moves of at least
// two wallets: (nΣx² − (Σx)²) / n(n−1), exact up to the division.
func (t Tally) deviation() float64 {
	n := uint64(t.compared)
	square := uint64(max(t.sum, -t.sum))
	hi, lo := bits.Mul64(t.lo, n)
	hi += t.hi * n
	squareHi, squareLo := bits.Mul64(square, square)
	lo, borrow := bits.Sub64(lo, squareLo, 0)
	hi -= squareHi + borrow
	variance := (math.Ldexp(float64(hi), 64) + float64(lo)) / (float64(n) * float64(n-1))
	return math.Ldexp(math.Sqrt(variance), -moveBits)
}

// top is how many of the largest holdings Positioning gives the share of.
const top = 10

// Holdings sums up what the wallets hold, given the effective sizes of those
// that are not missing.
func Holdings(sizes []asset.Size) Positioning {
	p := Positioning{NetSzi: new(big.Int)}
	gross, term := new(big.Int), new(big.Int)
	var largest []asset.Size // descending, top at most
	for _, size := range sizes {
		switch {
		case size > 0:
			p.Long++
		case size < 0:
			p.Short++
		default:
			p.Flat++
			continue
		}
		p.NetSzi.Add(p.NetSzi, term.SetInt64(int64(size)))
		held := size.Abs()
		gross.Add(gross, term.SetInt64(int64(held)))
		if len(largest) == top && held <= largest[top-1] {
			continue
		}
		at, _ := slices.BinarySearchFunc(largest, held, func(a, b asset.Size) int { return cmp.Compare(b, a) })
		largest = slices.Insert(largest, at, held)
		largest = largest[:min(len(largest), top)]
	}
	if gross.Sign() == 0 {
		return p
	}
	leading := new(big.Int)
	for _, held := range largest {
		leading.Add(leading, term.SetInt64(int64(held)))
	}
	share, _ := new(big.Rat).SetFrac(leading.Mul(leading, big.NewInt(100)), gross).Float64()
	p.Top10SharePct = share
	return p
}
