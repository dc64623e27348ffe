package simulator

import (
	"time"

	"github.com/whalegate/whalegate/internal/asset"
)

// moment is the market that a node of the exchange answers from: that of the
// present, of a while ago, or of when it froze.
type moment struct {
	at     time.Time
	back   int64                     // minutes before the one that the market stands at
	frozen [][asset.Count]asset.Size // what all wallets held at, by rank at Origin; nil unless frozen
}

// moment of the node that answers for a wallet.
func (e *Exchange) moment(t target) moment {
	at, frozen := e.faults.moment(t)
	return moment{at, e.minuteOf(t.now) - e.minuteOf(at), frozen}
}

// minuteOf is the minute since Origin that t is in.
func (e *Exchange) minuteOf(t time.Time) int64 {
	return int64(t.Truncate(time.Minute).Sub(e.config.Origin) / time.Minute)
}

func (s *faultSet) moment(t target) (at time.Time, frozen [][asset.Count]asset.Size) {
	s.mu.Lock()
	defer s.mu.Unlock()
	at = t.now.Add(-t.behind)
	for _, f := range s.now(t.now) {
		if !f.picks(t) {
			continue
		}
		switch f.Kind {
		case Lag:
			if lagging := t.now.Add(-time.Duration(f.Seconds) * time.Second); lagging.Before(at) {
				at = lagging
			}
		case Frozen:
			return f.from, f.held
		}
	}
	return at, nil
}

// behind is how far the node lags that the balancer gives this request to.
func (s *faultSet) behind(t target) (lag time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range s.now(t.now) {
		if f.bound() == byNode && f.reaches(t) && f.counts() {
			lag = max(lag, time.Duration(f.Seconds)*time.Second)
		}
	}
	return lag
}

// at is what an account held at a moment.
func (e *Exchange) at(a account, m moment) [asset.Count]asset.Size {
	w := &e.wallets[a.wallet]
	return w.part(a.part, e.whole(a.wallet, m))
}

// whole is what a wallet held at a moment, over all its accounts.
func (e *Exchange) whole(rank int, m moment) [asset.Count]asset.Size {
	if m.frozen != nil {
		return m.frozen[rank]
	}
	e.mu.RLock()
	defer e.mu.RUnlock()
	return e.wallets[rank].ago(max(0, e.minute-m.back))
}

// freeze copies what all wallets hold at now.
func (e *Exchange) freeze(now time.Time) [][asset.Count]asset.Size {
	e.AdvanceTo(now)
	all := make([][asset.Count]asset.Size, len(e.wallets))
	for rank := range all {
		all[rank] = e.whole(rank, moment{})
	}
	return all
}

// sample is an account of a wallet that holds all three assets at a moment, the
// first by rank. It is false when there is none.
func (e *Exchange) sample(m moment) (account, bool) {
	for rank := range e.wallets {
		if w := &e.wallets[rank]; w.accounts != nil || w.body != nil {
			continue
		}
		held := e.whole(rank, m)
		if held[asset.HYPE] != 0 && held[asset.BTC] != 0 && held[asset.ETH] != 0 {
			return account{wallet: rank}, true
		}
	}
	return account{}, false
}
