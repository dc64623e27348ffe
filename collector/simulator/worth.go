package simulator

import (
	"time"

	"github.com/whalegate/whalegate/internal/asset"
)

// value is what the leaderboard says all accounts of a wallet are worth, in
// dollars.
func (e *Exchange) value(rank int, edition int64) float64 {
	w := &e.wallets[rank]
	if w.row != nil {
		return e.value(w.row.wallet, edition) * e.wallets[w.row.wallet].worthShare(w.row.part)
	}
	if w.body != nil && w.body.worth > 0 {
		return w.body.worth
	}
	month := e.profit(rank, edition)
	return 5_000 + max(month, -month)*(1+10*w.chance.of(6).of(0).float())
}

// worth is what the state of an account says it is worth itself, in dollars: a
// few percent beside what the leaderboard says of it, and next to nothing where
// that counts spot or other accounts.
func (e *Exchange) worth(a account, t time.Time) float64 {
	w := &e.wallets[a.wallet]
	draw := w.chance.of(11).of(uint64(a.part))
	if w.holdsNothing(a.part) {
		return float64(draw.between(0, 50_000_000)) / 1e6
	}
	return e.value(a.wallet, e.edition(t)) * w.worthShare(a.part) * (0.97 + 0.06*draw.float())
}

// worthShare is account number part's share of what the wallet is worth. A
// master keeps little of it, whatever it holds of the positions.
func (w *wallet) worthShare(part int) float64 {
	if w.accounts == nil {
		return 1
	}
	own := float64(w.accounts[0].until) / wholes
	if part == 0 {
		return own / 10
	}
	share := float64(w.accounts[part].until-w.accounts[part-1].until) / wholes
	return (1 - own/10) * share / (1 - own)
}

// isUnified is true for accounts whose margin figures read zero.
func (w *wallet) isUnified(part int) bool {
	return w.unified || w.accounts != nil && w.accounts[part].unified
}

// opening is what the wallet would hold in each asset if it held something.
func (w *wallet) opening() (sizes [asset.Count]asset.Size) {
	if w.spot {
		return sizes
	}
	for _, a := range asset.All {
		sizes[a] = w.base[a]
		if sizes[a] == 0 {
			sizes[a] = drawBase(w.chance.of(12).of(uint64(a)).of(1), a)
		}
	}
	return sizes
}
