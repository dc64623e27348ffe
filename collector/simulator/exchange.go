package simulator

import (
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/whalegate/whalegate/internal/asset"
)

// Exchange is a simulated exchange. It is safe for concurrent use.
type Exchange struct {
	config   Config
	wallets  []wallet // by rank at Origin; only sizes and closed ever change
	trading  int      // the first so many of wallets have a market
	order    []int32  // of wallets on the leaderboard
	accounts map[address]account
	agents   map[address]address // and whom they act for
	faults   faultSet
	budget   budget
	stats    stats

	mu     sync.RWMutex // guards what follows and the sizes of wallets
	minute int64        // since Origin
	tapes  [asset.Count]*tape
}

// New opens an exchange at its Origin. The error names the setting that cannot
// be.
func New(config Config) (*Exchange, error) {
	config, err := config.withDefaults()
	if err != nil {
		return nil, err
	}
	e := &Exchange{config: config, trading: config.Active, accounts: make(map[address]account, config.Rows)}
	seed := chance(config.Seed).of(0)
	for _, a := range asset.All {
		e.tapes[a] = newTape(seed.of(1).of(uint64(a)), 12+25*int64(a))
	}
	e.wallets = make([]wallet, config.Rows)
	for rank := range e.wallets {
		e.wallets[rank] = newWallet(seed.of(2).of(uint64(rank)), rank < config.Active)
	}
	seat := 0
	if config.Recording != nil {
		for i := range config.Recording.wallets {
			r := &config.Recording.wallets[i]
			e.wallets[seat].address, e.wallets[seat].recorded = r.address, r
			seat++
		}
	}
	for _, key := range slices.Sorted(maps.Keys(config.Bodies)) {
		a, err := parseAddress(key)
		if err != nil {
			return nil, fmt.Errorf("bodies: %w", err)
		}
		recorded, err := parseBody(config.Bodies[key])
		if err != nil {
			return nil, fmt.Errorf("body of %s: %w", key, err)
		}
		e.wallets[seat].address, e.wallets[seat].body = a, recorded
		seat++
	}
	if config.Population == PublicPopulation {
		e.populate(seed.of(4), seat)
	} else {
		e.split(seed.of(3), seat)
	}
	if err := e.index(); err != nil {
		return nil, err
	}
	e.order = boardOrder(e.wallets)
	return e, nil
}

func (e *Exchange) index() error {
	for rank := range e.wallets {
		w := &e.wallets[rank]
		if w.row != nil {
			continue // its master has it
		}
		shares := w.accounts
		if shares == nil {
			shares = []share{{address: w.address}}
		}
		for part, s := range shares {
			if _, twice := e.accounts[s.address]; twice {
				return fmt.Errorf("address %s is there twice", s.address)
			}
			e.accounts[s.address] = account{rank, part}
		}
	}
	return nil
}

// AdvanceTo plays the market up to the minute of t. It never goes back: an
// earlier t changes nothing. Handler advances by itself to Clock's present.
func (e *Exchange) AdvanceTo(t time.Time) {
	minute := int64(t.Sub(e.config.Origin) / time.Minute)
	e.mu.RLock()
	done := e.minute >= minute
	e.mu.RUnlock()
	if done {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	for e.minute < minute {
		e.minute++
		var moods [asset.Count]mood
		for _, a := range asset.All {
			moods[a] = e.tapes[a].at(e.minute)
		}
		for i := range e.wallets[:e.trading] {
			e.wallets[i].step(e.minute, &moods)
		}
	}
}
