package collector

import (
	"context"
	"fmt"
	"hash/fnv"
	"maps"
	"math"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/whalegate/whalegate/collector/hyperliquid"
	"github.com/whalegate/whalegate/internal/asset"
)

// venue is an exchange whose truth is known to the second, ahead of time too, and whose
// answers may be anything but that. What it does depends on its seed and on how often it
// was asked, so that a history can be played again.
type venue struct {
	asking   sync.Mutex
	seed     uint64
	now      time.Time // of the cycle that asks
	until    time.Time // trades are known up to then
	holders  []*holder
	accounts map[string]*account
	mishaps  []*mishap
	number   int // of the next mishap
	asked    map[string]int

	// What it said, which is all that a collector can know.
	inMinute bool                            // a minute asks, not the search
	hit      map[string]map[string]bool      // by wallet: kinds of mishap that bent this minute's answers
	factors  [asset.Count]map[float64]bool   // of this minute's rescaled sizes
	times    map[string]time.Time            // by account: of the newest state that this minute was given
	told     map[string]map[string]time.Time // by wallet: the accounts that a list named, and when first
	lists    map[string]answered             // by wallet: the newest list that the search was given
	agreed   map[string]bool                 // by wallet and account: two lists in a row named it and were the same, at least a minute apart
	nulls    map[string][]time.Time          // by wallet: when it said that there are none
	metaBad  string                          // the coin that the newest answer does not have as it should; "": all are right
	metaAt   time.Time                       // of the newest answer; zero: none
	metaAsks []time.Time
}

// answered is a list, and since when no other one was given.
type answered struct {
	list  string
	since time.Time
}

// holder is a wallet of the universe.
type holder struct {
	id     string
	subs   []string
	listed bool    // its list carries the states
	worth  float64 // of its own account; the leaderboard says 1,000 of each wallet
}

type account struct {
	owner  string
	trades [asset.Count][]trade // ascending
	temper float64
}

type trade struct {
	at   time.Time
	size asset.Size
}

// size is what an account really holds at an instant.
func (a *account) size(which asset.Asset, at time.Time) (size asset.Size) {
	for _, t := range slices.Backward(a.trades[which]) {
		if !t.at.After(at) {
			return t.size
		}
	}
	return 0
}

// mishap is something that goes wrong, for a share of the wallets, always the same, or of
// the requests.
type mishap struct {
	kind      string
	id        int
	share     float64
	byRequest bool
	asset     asset.Asset
	seconds   int
	factor    float64
	variant   string
	since     time.Time
}

func (m *mishap) String() string {
	text := fmt.Sprintf("%s of %.0f %%", m.kind, 100*m.share)
	if m.byRequest {
		text += " of the requests"
	}
	switch m.kind {
	case "lag", "future":
		text += fmt.Sprintf(", %d s", m.seconds)
	case "close", "open", "rename", "null szi":
		text += ", " + m.asset.String() + " " + m.variant
	case "rescale":
		text += fmt.Sprintf(", %s by %g", m.asset, m.factor)
	}
	return text
}

// chance is a number from 0 to 1 that belongs to what is named.
func (v *venue) chance(of ...any) float64 {
	h := fnv.New64a()
	_, _ = fmt.Fprint(h, v.seed)
	for _, part := range of {
		_, _ = fmt.Fprint(h, "/", part)
	}
	x := h.Sum64() // the high bits of FNV say little: mix them
	x ^= x >> 33
	x *= 0xff51afd7ed558ccd
	x ^= x >> 33
	x *= 0xc4ceb9fe1a85ec53
	x ^= x >> 33
	return float64(x>>11) / (1 << 53)
}

// newVenue has n wallets: some with a few accounts, one with many, some that hold
// nothing. Of asset rare only a few hold something.
func newVenue(seed uint64, n int, start time.Time) *venue {
	v := &venue{
		seed: seed, now: start, until: start.Add(-time.Hour), accounts: map[string]*account{}, asked: map[string]int{},
		told: map[string]map[string]time.Time{}, lists: map[string]answered{}, agreed: map[string]bool{}, nulls: map[string][]time.Time{},
	}
	rare := asset.All[int(3*v.chance("rare"))]
	for i := 1; i <= n; i++ {
		w := &holder{id: wallet(i), worth: 1000}
		kind := v.chance("kind", i)
		subs := 0
		switch {
		case i == 2:
			subs, w.listed = 12, true
		case kind < 0.12:
			subs = 1 + int(3*v.chance("subs", i))
			w.listed = v.chance("listed", i) < 0.7
		}
		if subs > 0 {
			w.worth = 20
		}
		for k := range subs {
			w.subs = append(w.subs, sub(i, k+1))
		}
		empty := kind > 0.85
		if empty {
			w.worth = 0
		}
		for k, id := range append([]string{w.id}, w.subs...) {
			a := &account{owner: w.id, temper: 0.02 + 0.1*v.chance("temper", i)}
			v.accounts[id] = a
			if empty || k == 0 && subs > 5 {
				a.temper = 0
				continue
			}
			for _, which := range asset.All {
				if limit := 0.75; v.chance("holds", id, which) < limit && (which != rare || v.chance("rare", i) < 0.2) {
					a.trades[which] = []trade{{start.Add(-time.Hour), v.draw(id, which)}}
				}
			}
		}
		v.holders = append(v.holders, w)
	}
	v.play(start.Add(20 * time.Minute))
	return v
}

// draw is a size to open with: no two are equal.
func (v *venue) draw(of ...any) asset.Size {
	size := asset.Size(1000 + 1e7*math.Pow(v.chance(append(of, "size")...), 3))
	if v.chance(append(of, "side")...) < 0.4 {
		return -size
	}
	return size
}

// play lets accounts trade until an instant.
func (v *venue) play(until time.Time) {
	for ; v.until.Before(until); v.until = v.until.Add(time.Minute) {
		for _, id := range slices.Sorted(maps.Keys(v.accounts)) {
			a := v.accounts[id]
			for _, which := range asset.All {
				if v.chance("trades", id, which, v.until.Unix()) >= a.temper {
					continue
				}
				at := v.until.Add(time.Duration(v.chance("second", id, which, v.until.Unix()) * float64(time.Minute)))
				size, what := a.size(which, at), v.chance("what", id, which, v.until.Unix())
				switch {
				case size == 0 && len(a.trades[which]) == 0:
					continue // not its market
				case size == 0:
					size = v.draw(id, which, v.until.Unix())
				case what < 0.12:
					size = 0
				case what < 0.2:
					size = -size
				default:
					size = asset.Size(float64(size)*(0.6+0.9*v.chance("by", id, which, v.until.Unix()))) + 1
				}
				a.trades[which] = append(a.trades[which], trade{at, size})
			}
		}
	}
}

// turn begins a minute's cycle.
func (v *venue) turn(at time.Time) {
	v.now = at
	v.play(at.Add(20 * time.Minute))
	v.hit, v.times = map[string]map[string]bool{}, map[string]time.Time{}
	for a := range v.factors {
		v.factors[a] = map[float64]bool{}
	}
}

// begin and end a mishap.
func (v *venue) begin(m *mishap) {
	v.number++
	m.id, m.since = v.number, v.now
	v.mishaps = append(v.mishaps, m)
}

// each calls do for the mishaps of some kinds that hit a question of a wallet.
func (v *venue) each(wallet string, n int, do func(*mishap), kinds ...string) {
	for _, m := range v.mishaps {
		if !slices.Contains(kinds, m.kind) {
			continue
		}
		hit := v.chance("hit", m.id, wallet) < m.share
		if m.byRequest {
			hit = v.chance("request", m.id, wallet, n) < m.share
		}
		if hit {
			do(m)
			if v.inMinute {
				if v.hit[wallet] == nil {
					v.hit[wallet] = map[string]bool{}
				}
				v.hit[wallet][m.kind] = true
			}
		}
	}
}

func (v *venue) count(what string) int {
	v.asked[what]++
	return v.asked[what]
}

func (v *venue) State(_ context.Context, id string) (hyperliquid.State, error) {
	v.asking.Lock()
	defer v.asking.Unlock()
	a, ok := v.accounts[id]
	if !ok {
		return flat(v.now), nil
	}
	n := v.count("state " + id)
	var err error
	v.each(a.owner, n, func(*mishap) { err = failing(hyperliquid.ServerError) }, "failing", "outage")
	if err != nil {
		return hyperliquid.State{}, err
	}
	s := v.state(id, n)
	return s, nil
}

// state is what a node says of an account.
func (v *venue) state(id string, n int) hyperliquid.State {
	a := v.accounts[id]
	owner, at := a.owner, v.now
	v.each(owner, n, func(m *mishap) { at = v.now.Add(-time.Duration(m.seconds) * time.Second) }, "lag")
	v.each(owner, n, func(m *mishap) { at = v.now.Add(time.Duration(m.seconds) * time.Second) }, "future")
	v.each(owner, n, func(m *mishap) { at = m.since }, "frozen")
	v.each(owner, n, func(*mishap) { a = v.accounts[v.holders[0].id] }, "same")
	s := hyperliquid.State{Time: at, Answered: v.now}
	if id == owner {
		s.AccountValue = v.holderOf(owner).worth
	}
	for which := range s.Positions {
		s.Positions[which] = hyperliquid.Position{Size: a.size(asset.Asset(which), at), Known: true}
	}
	v.each(owner, n, func(m *mishap) { s.Positions[m.asset].Size = 0 }, "close")
	v.each(owner, n, func(m *mishap) {
		if p := &s.Positions[m.asset]; p.Size == 0 && id == owner {
			p.Size = v.draw("opened", id, m.id)
		}
	}, "open")
	v.each(owner, n, func(m *mishap) {
		p := &s.Positions[m.asset]
		p.Size = asset.Size(math.Round(float64(p.Size) * m.factor))
		v.factors[m.asset][m.factor] = true
	}, "rescale")
	v.each(owner, n, func(m *mishap) {
		if m.variant != "meta" && m.variant != "decimals" {
			s.Positions[m.asset].Size = 0
		}
	}, "rename")
	v.each(owner, n, func(m *mishap) {
		if p := &s.Positions[m.asset]; p.Size != 0 {
			*p = hyperliquid.Position{}
		}
	}, "null szi")
	if v.inMinute {
		v.times[id] = at
	}
	return s
}

// said tells that a list named an account in a way that may be believed: as one of the
// wallet's own, or twice.
func (v *venue) said(id, account string) bool {
	return v.agreed[id+account] || slices.Contains(v.holderOf(id).subs, account)
}

func (v *venue) holderOf(id string) *holder {
	return v.holders[slices.IndexFunc(v.holders, func(h *holder) bool { return h.id == id })]
}

func (v *venue) SubAccounts(_ context.Context, id string) ([]hyperliquid.SubAccount, error) {
	v.asking.Lock()
	defer v.asking.Unlock()
	n := v.count("subs " + id)
	w := v.holderOf(id)
	var err error
	v.each(id, n, func(*mishap) { err = failing(hyperliquid.ServerError) }, "failing", "outage")
	v.each(id, n, func(*mishap) { err = failing(hyperliquid.Schema) }, "unreadable list")
	if err != nil {
		return nil, err
	}
	null := len(w.subs) == 0
	v.each(id, n, func(*mishap) { null = true }, "null list")
	subs, foreign := w.subs, ""
	v.each(id, n, func(*mishap) { subs = subs[:max(0, len(subs)-1)] }, "short list")
	v.each(id, n, func(*mishap) {
		if other := v.holders[1]; other.id != id {
			foreign, null = other.subs[0], false
		}
	}, "shared list")
	if foreign != "" {
		subs = append(slices.Clone(subs), foreign)
	}
	if null {
		subs = nil
	}
	switch list := fmt.Sprint(subs); {
	case v.lists[id].list != list && v.inMinute:
		delete(v.lists, id) // that may be what is known
	case v.lists[id].list != list:
		v.lists[id] = answered{list, v.now}
	case !v.inMinute && v.now.Sub(v.lists[id].since) >= time.Minute:
		for account := range v.accounts { // a stranger's is given up again
			v.agreed[id+account] = slices.Contains(subs, account) || v.agreed[id+account] && slices.Contains(w.subs, account)
		}
	}
	if len(subs) == 0 {
		v.nulls[id] = append(v.nulls[id], v.now)
		return nil, nil
	}
	if v.told[id] == nil {
		v.told[id] = map[string]time.Time{}
	}
	bare := !w.listed
	v.each(id, n, func(*mishap) { bare = true }, "bare list")
	list := make([]hyperliquid.SubAccount, 0, len(subs))
	for i, s := range subs {
		entry := hyperliquid.SubAccount{Address: s, HasState: !bare || i > 0 && w.listed}
		if entry.HasState {
			entry.State = v.state(s, n)
		}
		list = append(list, entry)
		if _, known := v.told[id][s]; !known {
			v.told[id][s] = v.now
		}
	}
	return list, nil
}

func (v *venue) Meta(context.Context) (hyperliquid.Meta, error) {
	v.asking.Lock()
	defer v.asking.Unlock()
	v.metaAsks = append(v.metaAsks, v.now)
	coins, bad := listed(), ""
	failed := false
	for _, m := range v.mishaps {
		switch m.kind {
		case "outage", "no meta":
			failed = true
		case "rename":
			switch m.variant {
			case "states":
				continue
			case "delisted":
				coins[m.asset].Delisted = true
			case "decimals":
				coins[m.asset].SizeDecimals++
			default:
				coins[m.asset] = hyperliquid.Coin{}
			}
			bad = m.asset.String()
		}
	}
	if failed {
		return hyperliquid.Meta{}, failing(hyperliquid.Timeout)
	}
	v.metaBad, v.metaAt = bad, v.now
	return hyperliquid.Meta{Coins: coins}, nil
}

// UserRole is right wherever it is answered: what a list lacks is held against it.
func (v *venue) UserRole(_ context.Context, id string) (hyperliquid.Role, error) {
	v.asking.Lock()
	defer v.asking.Unlock()
	a, ok := v.accounts[id]
	if !ok {
		return hyperliquid.Role{Kind: hyperliquid.RoleMissing}, nil
	}
	var err error
	v.each(a.owner, v.count("role "+id), func(*mishap) { err = failing(hyperliquid.ServerError) }, "failing", "outage")
	switch {
	case err != nil:
		return hyperliquid.Role{}, err
	case id != a.owner:
		return hyperliquid.Role{Kind: hyperliquid.RoleSubAccount, Master: a.owner}, nil
	}
	return hyperliquid.Role{Kind: hyperliquid.RoleUser}, nil
}

func (v *venue) VaultDetails(context.Context, string) (hyperliquid.Vault, error) {
	return hyperliquid.Vault{}, failing(hyperliquid.Schema)
}

func (v *venue) Leaderboard(context.Context, int, hyperliquid.Validators) (hyperliquid.Leaderboard, error) {
	return hyperliquid.Leaderboard{}, failing(hyperliquid.ServerError)
}

func (v *venue) Reserve(int) {}

// wrong lists what is wrong at present.
func (v *venue) wrong() string {
	if len(v.mishaps) == 0 {
		return "nothing"
	}
	texts := make([]string, len(v.mishaps))
	for i, m := range v.mishaps {
		texts[i] = m.String()
	}
	return strings.Join(texts, "; ")
}
