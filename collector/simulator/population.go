package simulator

import (
	"fmt"
	"strings"

	"github.com/whalegate/whalegate/internal/asset"
)

// Population says what the leading wallets are.
type Population string

const (
	// SimplePopulation is the zero value: wallets that trade by themselves, one
	// in fifty with sub-accounts.
	SimplePopulation Population = ""
	// PublicPopulation is what the real exchange shows among its first 200: 30
	// wallets with sub-accounts, one of them with 50, and 70 that are flat while
	// the leaderboard says that they are worth much: 66 with spot only and 4
	// parent vaults. There are also unified accounts, ordinary vaults, and rows
	// that are a sub-account of another one. Each of the others has an agent.
	PublicPopulation Population = "public"
)

// How many of each kind a public population has, all among the first
// specialRanks at Origin. Their profit drifts too little to leave the first 200.
const (
	publicMasters = 30
	publicSpot    = 66
	publicParents = 4
	publicVaults  = 2
	publicUnified = 5
	publicRows    = 2
	specialRanks  = 150
	publicTop     = 200
)

// validate wants enough wallets that trade and are not recorded.
func (p Population) validate(trading int) error {
	switch {
	case p != SimplePopulation && p != PublicPopulation:
		return fmt.Errorf("population: %q is none of %s", clip(string(p)), PublicPopulation)
	case p == PublicPopulation && trading < publicTop:
		return fmt.Errorf("population: %s needs %d active wallets that are not recorded; there are %d", p, publicTop, trading)
	}
	return nil
}

// Makeup lists wallets of the leaderboard by what they are. A wallet is in one
// list at most; with SimplePopulation there are Masters only.
type Makeup struct {
	Masters        []string // with sub-accounts
	SpotHolders    []string // flat, though the leaderboard says that they are worth much
	ParentVaults   []string // flat, while their children hold
	Vaults         []string // without children
	Unified        []string // margin figures read zero
	SubAccountRows []string // sub-accounts of one of Masters
}

// Makeup is the same for as long as the exchange is open.
func (e *Exchange) Makeup() (m Makeup) {
	for rank := range e.wallets {
		w := &e.wallets[rank]
		var list *[]string
		switch {
		case w.row != nil:
			list = &m.SubAccountRows
		case w.vault && w.accounts != nil:
			list = &m.ParentVaults
		case w.vault:
			list = &m.Vaults
		case w.accounts != nil:
			list = &m.Masters
		case w.spot:
			list = &m.SpotHolders
		case w.unified:
			list = &m.Unified
		default:
			continue
		}
		*list = append(*list, w.address.String())
	}
	return m
}

// Agent is the address that acts for a wallet, empty where it has none.
func (e *Exchange) Agent(wallet string) string {
	for agent, user := range e.agents {
		if strings.EqualFold(user.String(), wallet) {
			return agent.String()
		}
	}
	return ""
}

// populate makes a public population of the wallets from rank first on.
func (e *Exchange) populate(c chance, first int) {
	seats := shuffled(c.of(0), first, specialRanks)
	take := func(n int) []int {
		taken := seats[:n]
		seats = seats[n:]
		return taken
	}
	masters := take(publicMasters)
	counts := subAccountCounts(c.of(1))
	for i, rank := range masters {
		e.wallets[rank].holdSomething(c.of(2).of(uint64(rank)))
		e.wallets[rank].split(counts[i])
	}
	e.unifySubAccounts(masters)
	for i, rank := range take(publicRows) {
		e.wallets[rank].becomeRow(&e.wallets[masters[i+3]], masters[i+3])
	}
	for i, rank := range take(publicParents) {
		e.wallets[rank].holdSomething(c.of(2).of(uint64(rank)))
		e.wallets[rank].divide(2+i, false)
		e.wallets[rank].vault = true
	}
	for _, rank := range take(publicVaults) {
		e.wallets[rank].holdSomething(c.of(2).of(uint64(rank)))
		e.wallets[rank].vault = true
	}
	for _, rank := range take(publicUnified) {
		e.wallets[rank].holdSomething(c.of(2).of(uint64(rank)))
		e.wallets[rank].unified = true
	}
	for _, rank := range take(publicSpot) {
		e.wallets[rank].holdNothing()
		e.wallets[rank].spot = true
	}
	e.agents = map[address]address{}
	for _, rank := range seats {
		w := &e.wallets[rank]
		e.agents[drawAddress(w.chance.of(13))] = w.address
	}
}

// shuffled are the n numbers from first on, in an order of chance.
func shuffled(c chance, first, n int) []int {
	all := make([]int, n)
	for i := range all {
		j := c.of(uint64(i)).below(i + 1)
		all[i], all[j] = all[j], first+i
	}
	return all
}

// subAccountCounts draws how many sub-accounts the masters have: 50 for one, for
// most of the others a handful, 200 to 400 in all.
func subAccountCounts(c chance) []int {
	for attempt := uint64(0); ; attempt++ {
		counts, sum := []int{50}, 50
		for i := range uint64(publicMasters - 1) {
			draw := c.of(attempt).of(i)
			n := draw.of(0).between(1, 8)
			if draw.hits(0.1) {
				n = draw.of(0).between(9, 50)
			}
			counts, sum = append(counts, n), sum+n
		}
		if sum >= 200 && sum <= 400 {
			return counts
		}
	}
}

// unifySubAccounts makes unified accounts of all sub-accounts of one master and
// of the first one of another.
func (e *Exchange) unifySubAccounts(masters []int) {
	all, one := &e.wallets[masters[1]], &e.wallets[masters[2]]
	for i := range all.accounts[1:] {
		all.accounts[i+1].unified = true
	}
	one.accounts[1].unified = true
}

// holdSomething draws the wallet anew until it trades and holds something.
func (w *wallet) holdSomething(c chance) {
	for i := uint64(0); w.temper == empty || w.size == [asset.Count]asset.Size{}; i++ {
		*w = newWallet(c.of(i), true)
	}
}

func (w *wallet) holdNothing() {
	w.temper = empty
	w.size, w.base = [asset.Count]asset.Size{}, [asset.Count]asset.Size{}
}

// becomeRow makes the row of the wallet one of the master's first sub-account.
func (w *wallet) becomeRow(master *wallet, rank int) {
	w.holdNothing()
	w.address = master.accounts[1].address
	w.row = &account{rank, 1}
}
