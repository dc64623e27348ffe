package simulator

import (
	"github.com/whalegate/whalegate/internal/asset"
)

// wallet is a row of the leaderboard: a master with its sub-accounts.
type wallet struct {
	address  address
	chance   chance
	temper   temper
	base     [asset.Count]asset.Size
	size     [asset.Count]asset.Size // the sum over its accounts
	closed   [asset.Count]bool       // for good
	recorded *recorded               // nil, or what replaces the market
	body     *body                   // nil, or what is answered word for word
	accounts []share                 // the master first; without sub-accounts nil
	past     []change                // of size, oldest first
	vault    bool                    // accounts are the children of a parent vault
	spot     bool                    // holds spot only, which no state shows
	unified  bool                    // its margin figures read zero
	row      *account                // nil, or whose sub-account this row of the leaderboard is
}

// share is an account's part of its wallet: what lies between its until and
// that of the account before it.
type share struct {
	address address
	until   int // of wholes
	unified bool
}

// wholes is what the shares of a wallet add up to.
const wholes = 10_000

// newWallet draws the wallet of a rank. Those that do not trade hold nothing,
// or never change what they hold.
func newWallet(c chance, trades bool) wallet {
	w := wallet{address: drawAddress(c.of(0)), chance: c.of(1), temper: drawTemper(c.of(2))}
	if !trades {
		w.temper = empty
	}
	if w.temper == empty && (trades || c.of(3).hits(0.6)) {
		return w
	}
	for _, a := range asset.All {
		draw := c.of(4).of(uint64(a))
		w.base[a] = drawBase(draw.of(0), a)
		w.size[a] = drawStart(draw.of(1), w.base[a])
	}
	return w
}

// split gives the wallet n sub-accounts. With many of them the master itself
// holds nothing, as the exchange's largest ones do it.
func (w *wallet) split(n int) { w.divide(n, n <= 10) }

// divide gives it n accounts besides its own, which holds a part itself or
// nothing.
func (w *wallet) divide(n int, itself bool) {
	draw := w.chance.of(1)
	weights := make([]int, n+1)
	sum := 0
	for i := range weights {
		weights[i] = draw.of(uint64(i)).between(10, 100)
		if i == 0 && !itself {
			weights[i] = 0
		}
		sum += weights[i]
	}
	w.accounts = make([]share, n+1)
	until := 0
	for i, weight := range weights {
		until += weight
		w.accounts[i] = share{address: drawAddress(draw.of(uint64(1<<20 + i))), until: until * wholes / sum}
	}
	w.accounts[0].address = w.address
}

// part is what account number i of the wallet holds. The parts add up to the
// whole exactly.
func (w *wallet) part(i int, sizes [asset.Count]asset.Size) [asset.Count]asset.Size {
	if w.accounts == nil {
		return sizes
	}
	from := 0
	if i > 0 {
		from = w.accounts[i-1].until
	}
	for _, a := range asset.All {
		sizes[a] = scale(sizes[a], w.accounts[i].until) - scale(sizes[a], from)
	}
	return sizes
}

// step plays one minute.
func (w *wallet) step(minute int64, moods *[asset.Count]mood) {
	if w.temper == empty || w.recorded != nil || w.body != nil {
		return
	}
	for _, a := range asset.All {
		if w.closed[a] || w.base[a] == 0 {
			continue
		}
		draw := w.chance.of(uint64(minute)*asset.Count + uint64(a))
		size := trade(w.temper, w.size[a], w.base[a], moods[a], draw)
		if size != w.size[a] {
			w.remember(minute, a, w.size[a])
			w.size[a] = size
		}
	}
}

// at is what the wallet holds at a minute, which must be the market's.
func (w *wallet) at(minute int64) [asset.Count]asset.Size {
	sizes := w.size
	switch {
	case w.recorded != nil:
		sizes = w.recorded.at(minute)
	case w.body != nil:
		return w.body.sizes
	}
	for _, a := range asset.All {
		if w.closed[a] {
			sizes[a] = 0
		}
	}
	return sizes
}
