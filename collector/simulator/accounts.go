package simulator

import (
	"fmt"
	"strings"

	"github.com/whalegate/whalegate/internal/asset"
)

// account finds a wallet and which of its accounts is meant; 0 is the master.
type account struct{ wallet, part int }

// split gives sub-accounts to a few of the trading wallets from rank first on:
// fifty to one near the top, one to four to 2 % of the others.
func (e *Exchange) split(c chance, first int) {
	large := first + 3
	for rank := first; rank < e.trading; rank++ {
		w := &e.wallets[rank]
		switch {
		case rank == large || rank == first && e.trading <= large:
			if w.temper == empty { // of all wallets it is this one that has to hold something
				*w = newWallet(c.of(0), true)
				w.temper = follower
				w.size, w.base = largest()
			}
			w.split(50)
		case w.temper != empty && c.of(uint64(rank)).hits(0.02):
			w.split(c.of(uint64(rank)).of(0).between(1, 4))
		}
	}
}

func largest() (size, base [asset.Count]asset.Size) {
	for _, a := range asset.All {
		most, err := asset.ParseSize(fmt.Sprint(int64(spread[a].most)), a)
		if err != nil {
			panic(err) // a constant of this package is malformed
		}
		size[a], base[a] = most/2, most/2
	}
	return size, base
}

// Sizes is what one account holds at the minute that the market stands at,
// whatever faults say. It is false for an address that nobody has.
func (e *Exchange) Sizes(text string) ([asset.Count]asset.Size, bool) {
	a, err := parseAddress(text)
	if err != nil {
		return [asset.Count]asset.Size{}, false
	}
	found, ok := e.accounts[a]
	if !ok {
		return [asset.Count]asset.Size{}, false
	}
	return e.at(found, moment{}), true
}

// Total is what a wallet holds over all its accounts, a parent vault over its
// children, at the minute that the market stands at, whatever faults say. Of a
// sub-account it is what that one holds. It is false for an address that nobody
// has.
func (e *Exchange) Total(text string) ([asset.Count]asset.Size, bool) {
	a, err := parseAddress(text)
	if err != nil {
		return [asset.Count]asset.Size{}, false
	}
	found, ok := e.accounts[a]
	switch {
	case !ok:
		return [asset.Count]asset.Size{}, false
	case found.part > 0:
		return e.at(found, moment{}), true
	}
	return e.whole(found.wallet, moment{}), true
}

// SubAccounts lists the sub-accounts of a master in the order in which the
// exchange does; nil when it has none.
func (e *Exchange) SubAccounts(master string) []string { return e.belonging(master, false) }

// Children lists the child vaults of a parent vault; nil for any other address.
func (e *Exchange) Children(parent string) []string { return e.belonging(parent, true) }

func (e *Exchange) belonging(text string, vault bool) []string {
	a, err := parseAddress(text)
	if err != nil {
		return nil
	}
	found, ok := e.accounts[a]
	if !ok || found.part != 0 || e.wallets[found.wallet].accounts == nil || e.wallets[found.wallet].vault != vault {
		return nil
	}
	var all []string
	for _, s := range e.wallets[found.wallet].accounts[1:] {
		all = append(all, s.address.String())
	}
	return all
}

// Close takes a master's position in the named asset to 0 and keeps it there
// for good, over all its accounts; without a name it does so in all assets.
// The error says which argument is wrong.
func (e *Exchange) Close(master, name string) error {
	a, err := parseAddress(master)
	if err != nil {
		return fmt.Errorf("wallet: %w", err)
	}
	closing := asset.All[:]
	if name != "" {
		one, err := asset.Parse(name)
		if err != nil {
			return fmt.Errorf("asset: %w", err)
		}
		closing = []asset.Asset{one}
	}
	found, ok := e.accounts[a]
	if !ok || found.part != 0 {
		return fmt.Errorf("wallet: %s is not on the leaderboard; the address of a master is needed", strings.ToLower(master))
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	w := &e.wallets[found.wallet]
	if w.body != nil {
		return fmt.Errorf("wallet: %s is answered from a recorded body; one with a simulated market is needed", a)
	}
	held := w.at(e.minute)
	for _, one := range closing {
		if held[one] != 0 {
			w.remember(e.minute, one, held[one])
		}
		w.closed[one] = true
		w.size[one] = 0
	}
	return nil
}
