package plausible

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"github.com/whalegate/whalegate/internal/asset"
)

// MinHolders is how many wallets must hold an asset before anything can have happened to
// all of them at once.
const MinHolders = 10

const (
	goneBelow = 0.01 // of the size then
	sameRatio = 1e-6 // of a size: factors closer than that are one and the same
	// farRatio is by which factor most holders never change within minutes, each for itself:
	// where an asset is rescaled while they trade, no two factors are the same.
	farRatio = 5.0
)

// Kind is what happened to everybody at once.
type Kind string

// The kinds of S11.
const (
	MassClose Kind = "mass_close" // more than half of those that held it are gone
	MassOpen  Kind = "mass_open"  // more than half of those that hold it held nothing
	Rescaled  Kind = "rescaled"   // more than half of those that held it changed by one factor, or far in one direction
)

// Change is something that happened to more than half of the holders of an asset.
type Change struct {
	Kind     Kind
	Asset    asset.Asset
	Affected int
	Holders  int     // that were read: now, and for MassOpen those of the present
	Factor   float64 // of Rescaled; 0 of others
	Traded   bool    // of Rescaled: each changed by a factor of its own, and Factor is the median
}

// Subject is the change's stable code, such as mass_close:BTC.
func (c Change) Subject() string { return string(c.Kind) + ":" + c.Asset.String() }

// String gives the figures.
func (c Change) String() string {
	switch {
	case c.Kind == MassClose:
		return fmt.Sprintf("%d of the %d wallets that held %s are gone", c.Affected, c.Holders, c.Asset)
	case c.Kind == MassOpen:
		return fmt.Sprintf("%d of the %d wallets that hold %s held nothing before", c.Affected, c.Holders, c.Asset)
	case c.Traded:
		return fmt.Sprintf("%d of the %d wallets that held %s changed by factors around %.6g", c.Affected, c.Holders, c.Asset, c.Factor)
	default:
		return fmt.Sprintf("%d of the %d wallets that held %s changed by the same factor of %.6g", c.Affected, c.Holders, c.Asset, c.Factor)
	}
}

// Changes is S11 for one asset: nothing happened to everybody at once. minHolders is
// MinHolders, or 1 against the level of before a failure that is open. What could not be
// read is neither gone nor counted.
func Changes(then, now Level, a asset.Asset, minHolders int) []Change {
	both := pairs(then, now, a)
	var held, holding []pair
	for _, p := range both {
		if p.then != 0 {
			held = append(held, p)
		}
		if p.now != 0 {
			holding = append(holding, p)
		}
	}
	var found []Change
	add := func(kind Kind, affected, of int, factor float64) {
		if c := (Change{Kind: kind, Asset: a, Affected: affected, Holders: of, Factor: factor}); c.Most() {
			found = append(found, c)
		}
	}
	if then.Holders(a) >= minHolders {
		add(MassClose, count(held, gone), len(held), 0)
		factor, n := commonFactor(held)
		add(Rescaled, n, len(held), factor)
		if c := far(held, a); c.Most() && 2*n <= len(held) {
			found = append(found, c)
		}
	}
	if len(holding) >= minHolders {
		add(MassOpen, count(holding, opened), len(holding), 0)
	}
	return found
}

// NotBack is how many of those that held an asset, and were read, are nearer to the factor
// by which they were rescaled than to their size then, or gone. While a failure is open
// wallets trade, each by its own factor: that is no sign that the sizes are right again.
func NotBack(then, now Level, a asset.Asset, factor float64) Change {
	var held []pair
	for _, p := range pairs(then, now, a) {
		if p.then != 0 {
			held = append(held, p)
		}
	}
	away := func(p pair) bool {
		ratio, between := float64(p.now)/float64(p.then), math.Sqrt(math.Abs(factor))
		switch {
		case gone(p), factor < 0 && ratio < 0:
			return true
		case between < 1:
			return math.Abs(ratio) < between
		default:
			return between > 1 && math.Abs(ratio) > between
		}
	}
	return Change{Kind: Rescaled, Asset: a, Affected: count(held, away), Holders: len(held), Factor: factor}
}

const (
	// maxAwayPct is up to how many holders may be away from what they held before a failure
	// that is open, and the sizes are back: half as many as open one.
	maxAwayPct = 25.0
	// tradedBy is by which factor a wallet may have traded meanwhile, and is back.
	tradedBy = 2.0
)

// Back tells whether the sizes are what they were before a failure, but for what wallets
// trade meanwhile: of those that held the asset at most a quarter are gone, on the other
// side, or off by more than a factor of two, and of those that hold it at most a quarter
// held nothing. That nothing looks like S11 any more is not enough: another wrong answer
// looks like nothing, too. away is the greater of the two.
func Back(then, now Level, a asset.Asset) (away Change, back bool) {
	var held, holding []pair
	for _, p := range pairs(then, now, a) {
		if p.then != 0 {
			held = append(held, p)
		}
		if p.now != 0 {
			holding = append(holding, p)
		}
	}
	off := func(p pair) bool {
		ratio := float64(p.now) / float64(p.then)
		return ratio < 1/tradedBy || ratio > tradedBy
	}
	away = Change{Kind: MassClose, Asset: a, Affected: count(held, off), Holders: len(held)}
	if fresh := (Change{Kind: MassOpen, Asset: a, Affected: count(holding, opened), Holders: len(holding)}); fresh.pct() > away.pct() {
		away = fresh
	}
	return away, away.pct() <= maxAwayPct
}

// pct is the share of the holders to which it happened.
func (c Change) pct() float64 {
	if c.Holders == 0 {
		return 0
	}
	return 100 * float64(c.Affected) / float64(c.Holders)
}

// Most tells that it happened to more than half.
func (c Change) Most() bool { return 2*c.Affected > c.Holders }

// Holders counts the wallets that have a position in an asset.
func (l Level) Holders(a asset.Asset) (n int) {
	for i := range l {
		if l[i].Known[a] && l[i].Size[a] != 0 {
			n++
		}
	}
	return n
}

func gone(p pair) bool {
	return math.Abs(float64(p.now)) < goneBelow*math.Abs(float64(p.then))
}

func opened(p pair) bool { return p.then == 0 }

func count(of []pair, what func(pair) bool) (n int) {
	for _, p := range of {
		if what(p) {
			n++
		}
	}
	return n
}

// far is how many holders changed far in one direction, the one in which most did: to more
// than five times, to less than a fifth, or to the other side. Who is gone is another matter.
func far(held []pair, a asset.Asset) Change {
	var directions [3][]float64
	for _, p := range held {
		ratio := float64(p.now) / float64(p.then)
		switch {
		case gone(p):
		case ratio < 0:
			directions[0] = append(directions[0], ratio)
		case ratio > farRatio:
			directions[1] = append(directions[1], ratio)
		case ratio < 1/farRatio:
			directions[2] = append(directions[2], ratio)
		}
	}
	most := slices.MaxFunc(directions[:], func(a, b []float64) int { return cmp.Compare(len(a), len(b)) })
	c := Change{Kind: Rescaled, Asset: a, Affected: len(most), Holders: len(held), Traded: true}
	if len(most) > 0 {
		slices.Sort(most)
		c.Factor = most[len(most)/2]
	}
	return c
}

// commonFactor finds the factor by which the most sizes changed, and how many did. A
// factor of 1 is no change. Each size fits every factor between two: its own, less or more
// by what is one and the same.
func commonFactor(held []pair) (factor float64, wallets int) {
	type end struct {
		at    float64
		opens bool
	}
	var ends []end
	for _, p := range held {
		then, now := float64(p.then), float64(p.now)
		tolerance := max(sameRatio*math.Abs(now), 1) // 1: a unit of the asset's precision
		low, high := (now-tolerance)/then, (now+tolerance)/then
		if low > high {
			low, high = high, low
		}
		if p.now == 0 || low <= 1 && 1 <= high {
			continue
		}
		ends = append(ends, end{low, true}, end{high, false})
	}
	slices.SortFunc(ends, func(a, b end) int {
		if c := cmp.Compare(a.at, b.at); c != 0 || a.opens == b.opens {
			return c
		}
		if a.opens { // intervals that touch overlap
			return -1
		}
		return 1
	})
	open := 0
	for i, e := range ends {
		if !e.opens {
			open--
			continue
		}
		open++
		if open > wallets {
			factor, wallets = (e.at+ends[i+1].at)/2, open
		}
	}
	return factor, wallets
}
