package collector

import (
	"strings"

	"github.com/whalegate/whalegate/collector/hyperliquid"
	"github.com/whalegate/whalegate/internal/asset"
)

// transientCollapse is the reason of a dirty row and the type of its anomaly.
const transientCollapse = "transient_collapse"

// Collapse is a size that all but vanished for one minute and came back: the
// middle one of three consecutive rows, which a later one showed to be an
// upstream glitch (S6).
type Collapse struct {
	Wallet string
	Asset  asset.Asset
	Before asset.Size
	During *asset.Size // nil: the row's size is NULL
	After  asset.Size
}

// Collapses compares three consecutive minutes, each sorted by wallet. A
// collapse is |before| > ε with a middle row that is NULL or below 1 % of it; a
// recovery is |after| > 50 % of before. ε is the asset's dust: what a signal
// calls too small to count depends on a day of history, and a fact must not.
func Collapses(before, during, after []Reading) []Collapse {
	var found []Collapse
	for i := range during {
		wallet := during[i].Wallet
		b, ok := seek(&before, wallet)
		if !ok {
			continue
		}
		c, ok := seek(&after, wallet)
		if !ok {
			continue
		}
		for _, a := range asset.All {
			if collapse, ok := collapsed(a, &b.Positions[a], &during[i].Positions[a], &c.Positions[a]); ok {
				collapse.Wallet = wallet
				found = append(found, collapse)
			}
		}
	}
	return found
}

func collapsed(a asset.Asset, before, during, after *hyperliquid.Position) (Collapse, bool) {
	was := before.Size.Abs()
	if !before.Known || was <= a.Dust() {
		return Collapse{}, false
	}
	// Divided, not multiplied: a size near the limit must not overflow.
	gone := !during.Known || float64(during.Size.Abs()) < float64(was)/100
	back := after.Known && float64(after.Size.Abs()) > float64(was)/2
	if !gone || !back {
		return Collapse{}, false
	}
	c := Collapse{Asset: a, Before: before.Size, After: after.Size}
	if during.Known {
		c.During = &during.Size
	}
	return c, true
}

// seek drops readings up to wallet and returns the wallet's own, if it is there.
func seek(readings *[]Reading, wallet string) (*Reading, bool) {
	for len(*readings) > 0 {
		switch r := &(*readings)[0]; strings.Compare(r.Wallet, wallet) {
		case -1:
			*readings = (*readings)[1:]
		case 0:
			return r, true
		default:
			return nil, false
		}
	}
	return nil, false
}
