package simulator

import (
	"math"
	"math/bits"
)

// chance is a random number that others are derived from by name rather than
// by order, so that what is drawn for one wallet and minute never depends on
// which wallets and minutes were drawn before.
type chance uint64

// of derives the n-th independent number (the finalizer of splitmix64).
func (c chance) of(n uint64) chance {
	x := uint64(c) + (n+1)*0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return chance(x ^ x>>31)
}

// float is uniform in [0, 1).
func (c chance) float() float64 { return float64(c>>11) / (1 << 53) }

// below is uniform in [0, n).
func (c chance) below(n int) int {
	hi, _ := bits.Mul64(uint64(c), uint64(n))
	return int(hi)
}

// between is uniform in [low, high].
func (c chance) between(low, high int) int { return low + c.below(high-low+1) }

// hits is true for a share p of all numbers.
func (c chance) hits(p float64) bool { return c.float() < p }

// normal has mean 0 and deviation 1.
func (c chance) normal() float64 {
	u := 1 - c.of(0).float() // never 0, whose logarithm is infinite
	return math.Sqrt(-2*math.Log(u)) * math.Cos(2*math.Pi*c.of(1).float())
}
