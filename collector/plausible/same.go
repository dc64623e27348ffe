package plausible

import "github.com/whalegate/whalegate/internal/asset"

const (
	minSame    = 5    // wallets with another one's sizes: fewer prove nothing
	maxSamePct = 10.0 // of those that hold anything
)

// Same counts the wallets that have all three sizes equal to another wallet's.
type Same struct {
	Wallets int // that do
	Holders int // that hold anything in the three assets
}

// SameState is S10: the states are of different wallets. A size that could not be read
// equals another such size.
func SameState(now Level) Same {
	type state struct {
		size  [asset.Count]asset.Size
		known [asset.Count]bool
	}
	times := map[state]int{}
	var s Same
	for _, w := range now {
		if st := (state{w.Size, w.Known}); w.holds() {
			times[st]++
			s.Holders++
		}
	}
	for _, n := range times {
		if n > 1 {
			s.Wallets += n
		}
	}
	return s
}

// holds tells that a wallet has a position in at least one of the assets.
func (w *Wallet) holds() bool {
	for a := range w.Size {
		if w.Known[a] && w.Size[a] != 0 {
			return true
		}
	}
	return false
}

// Failed tells that so many cannot be a coincidence.
func (s Same) Failed() bool {
	return s.Wallets >= minSame && 100*float64(s.Wallets) > maxSamePct*float64(s.Holders)
}
