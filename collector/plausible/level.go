// Package plausible judges whether the sizes that were read of many wallets can be
// true: an answer of 200 proves nothing. Its thresholds lie far outside what markets do
// in a minute (docs/ingestion.md, S10 and S11).
package plausible

import (
	"cmp"
	"slices"

	"github.com/whalegate/whalegate/internal/asset"
)

// Wallet is what one wallet holds, over all of its accounts.
type Wallet struct {
	ID    string
	Size  [asset.Count]asset.Size // means nothing unless Known
	Known [asset.Count]bool       // false: the size could not be read
}

// Level is what wallets hold at one time, sorted by ID, each wallet once.
type Level []Wallet

// Sorted makes a level of wallets in any order.
func Sorted(wallets []Wallet) Level {
	slices.SortFunc(wallets, func(a, b Wallet) int { return cmp.Compare(a.ID, b.ID) })
	return wallets
}

// pair is one wallet's size in one asset at two times, both of them known.
type pair struct{ then, now asset.Size }

// pairs are those of the wallets that are known at both times.
func pairs(then, now Level, a asset.Asset) []pair {
	var both []pair
	for len(then) > 0 && len(now) > 0 {
		switch t, n := &then[0], &now[0]; cmp.Compare(t.ID, n.ID) {
		case -1:
			then = then[1:]
		case 1:
			now = now[1:]
		default:
			if t.Known[a] && n.Known[a] {
				both = append(both, pair{t.Size[a], n.Size[a]})
			}
			then, now = then[1:], now[1:]
		}
	}
	return both
}
