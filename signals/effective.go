package signals

import (
	"math"

	"github.com/whalegate/whalegate/internal/asset"
)

// Reading is the row of a wallet in an asset at one minute.
type Reading struct {
	Size  asset.Size
	Known bool // false: the stored size is NULL
}

// epsilonShare is the divisor that makes twice a median 2 % of the median.
const epsilonShare = 100

// Epsilon is the change of position that is too small to mean anything, in the
// asset's smallest unit: 2 % of the median size of the wallet's clean rows of the
// last 24 hours, and at least the asset's dust. twiceMedian is twice that median
// in the smallest unit (twice, so that the mean of two middle values is a whole
// number); 0 when there are no rows.
func Epsilon(a asset.Asset, twiceMedian uint64) float64 {
	return max(float64(a.Dust()), float64(twiceMedian)/epsilonShare)
}

// Effective is the size that a boundary uses of a wallet: that of the newest of
// its clean rows in the window, which are given in order of time. ok is false
// when there is none: the wallet is missing.
//
// A newest row that is a collapse against the one before it is not confirmed
// yet: it may be an upstream glitch, whose verdict comes a minute later. It is
// held: the row before it counts. So a glitch at the boundary minute is no exit,
// and a real exit is seen one period later, not lost.
func Effective(window []Reading, epsilon float64) (size asset.Size, ok bool) {
	if len(window) == 0 {
		return 0, false
	}
	newest := window[len(window)-1]
	if len(window) > 1 {
		if before := window[len(window)-2]; collapsed(before, newest, epsilon) {
			return before.Size, true
		}
	}
	return newest.Size, newest.Known
}

// collapsed tells whether now is a collapse against before: less than 1 % of
// what was, or nothing that can be read.
func collapsed(before, now Reading, epsilon float64) bool {
	const left = 100
	was := math.Abs(float64(before.Size))
	return before.Known && was > epsilon && (!now.Known || math.Abs(float64(now.Size)) < was/left)
}
