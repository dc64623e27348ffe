package simulator

import (
	"math"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/whalegate/whalegate/internal/asset"
)

// faultSet holds the faults of the present.
type faultSet struct {
	mu      sync.Mutex
	active  []*activeFault
	cleared chan struct{} // closed when the present faults are; nil while nobody waits
}

type activeFault struct {
	Fault
	from, until time.Time                 // until is zero while it holds until cleared
	seen        float64                   // requests that it could have hit
	held        [][asset.Count]asset.Size // Frozen: by all wallets at from
}

// SetFault adds a fault from now on. The error is that of Validate.
func (e *Exchange) SetFault(f Fault) error {
	if err := f.Validate(); err != nil {
		return err
	}
	active := &activeFault{Fault: f, from: e.config.Clock.Now()}
	switch f.Kind {
	case Collapse, MassClose, MassOpen, Rescale:
		// A snapshot asks for its wallets over a part of its minute: a fault
		// that began in the middle would hit some of them only.
		active.from = active.from.Add(time.Minute - 1).Truncate(time.Minute)
	case Frozen:
		active.held = e.freeze(active.from)
	}
	if f.Kind == Collapse {
		f.For = max(f.For, time.Minute)
	}
	if f.For > 0 {
		active.until = active.from.Add(f.For)
	}
	e.faults.mu.Lock()
	defer e.faults.mu.Unlock()
	e.faults.active = append(e.faults.active, active)
	e.config.Logger.Info("fault set", "fault", active.Fault)
	return nil
}

// ClearFaults ends all faults at once, and the requests that hang on one.
func (e *Exchange) ClearFaults() {
	e.faults.mu.Lock()
	defer e.faults.mu.Unlock()
	e.faults.active = nil
	if e.faults.cleared != nil {
		close(e.faults.cleared)
		e.faults.cleared = nil
	}
	e.config.Logger.Info("faults cleared")
}

// Faults lists those that hold or will, in the order in which they were set.
func (e *Exchange) Faults() []Fault {
	e.faults.mu.Lock()
	defer e.faults.mu.Unlock()
	e.faults.prune(e.config.Clock.Now())
	all := []Fault{}
	for _, f := range e.faults.active {
		all = append(all, f.Fault)
	}
	return all
}

func (s *faultSet) prune(now time.Time) {
	s.active = slices.DeleteFunc(s.active, func(f *activeFault) bool { return !f.until.IsZero() && !now.Before(f.until) })
}

// now lists the faults that hold.
func (s *faultSet) now(now time.Time) []*activeFault {
	s.prune(now)
	var all []*activeFault
	for _, f := range s.active {
		if !now.Before(f.from) {
			all = append(all, f)
		}
	}
	return all
}

// target is what a request is about. Accounts are zero for the leaderboard and
// for what is of no account.
type target struct {
	endpoint        Endpoint
	account, master address
	seat            account // of the account, where it is known
	known           bool
	coin            string
	now             time.Time     // at which it is answered
	behind          time.Duration // that the node lags that answers
}

func (f Fault) reaches(t target) bool {
	if f.Endpoint != "" && f.Endpoint != t.endpoint {
		return false
	}
	if hit := kinds[f.Kind].endpoints; hit != nil && !slices.Contains(hit, t.endpoint) {
		return false
	}
	return f.Wallet == "" || strings.EqualFold(f.Wallet, t.account.String()) || strings.EqualFold(f.Wallet, t.master.String())
}

// picks is true where a fault of wallets hits the one of a request.
func (f Fault) picks(t target) bool {
	return f.bound() == byWallet && f.reaches(t) && t.master.chance().hits(f.share())
}

// counts a request that the fault could hit and is true when it does.
func (f *activeFault) counts() bool {
	f.seen++
	return math.Floor(f.seen*f.share()) > math.Floor((f.seen-1)*f.share())
}

// request counts a request and returns how long it is delayed, the first fault
// that spoils it, if any, and what is closed when that one is cleared.
func (s *faultSet) request(t target, now time.Time) (delay time.Duration, spoiled *Fault, cleared <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range s.now(now) {
		switch f.bound() {
		case byRequest:
			if !f.reaches(t) || !f.counts() {
				continue
			}
			if f.Kind == Latency {
				delay += time.Duration(f.Milliseconds) * time.Millisecond
				continue
			}
		case byWallet:
			if !f.Kind.replaces() || !f.picks(t) {
				continue
			}
		default:
			continue
		}
		if spoiled == nil {
			fault := f.Fault
			spoiled = &fault
		}
	}
	if spoiled != nil && s.cleared == nil {
		s.cleared = make(chan struct{})
	}
	return delay, spoiled, s.cleared
}
