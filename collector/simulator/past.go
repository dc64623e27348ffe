package simulator

import "github.com/whalegate/whalegate/internal/asset"

// mostLag is how many minutes of the past are remembered, for nodes that lag.
const mostLag = 60

// change is what a wallet held in an asset until a minute.
type change struct {
	minute int64 // the first with the new size
	asset  asset.Asset
	held   asset.Size
}

// remember notes what the wallet held before the present minute changed it, and
// forgets what is out of reach.
func (w *wallet) remember(minute int64, a asset.Asset, held asset.Size) {
	if len(w.past) == cap(w.past) {
		gone := 0
		for gone < len(w.past) && w.past[gone].minute < minute-mostLag {
			gone++
		}
		w.past = append(w.past[:0], w.past[gone:]...)
	}
	w.past = append(w.past, change{minute, a, held})
}

// ago is what the wallet held at a minute up to mostLag before the market's.
func (w *wallet) ago(minute int64) [asset.Count]asset.Size {
	sizes := w.at(minute)
	for i := len(w.past) - 1; i >= 0 && w.past[i].minute > minute; i-- {
		sizes[w.past[i].asset] = w.past[i].held
	}
	return sizes
}
