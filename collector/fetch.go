package collector

import (
	"cmp"
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/whalegate/whalegate/collector/hyperliquid"
	"github.com/whalegate/whalegate/internal/clock"
)

// Upstream is what the collector asks of the exchange.
type Upstream interface {
	State(ctx context.Context, account string) (hyperliquid.State, error)
	SubAccounts(ctx context.Context, master string) ([]hyperliquid.SubAccount, error)
	Reserve(weight int) // of the budget, for a minute
	Meta(ctx context.Context) (hyperliquid.Meta, error)
	Leaderboard(ctx context.Context, top int, known hyperliquid.Validators) (hyperliquid.Leaderboard, error)
}

// Reasons why a wallet failed, beside the failures of the client.
const (
	reasonAbandoned       = "abandoned"        // the minute's budget ended first
	reasonAccountsUnknown = "accounts_unknown" // its accounts were never found
	reasonAccountsOld     = "accounts_old"     // its accounts were not confirmed for a day
	reasonAccountsShared  = "accounts_shared"  // another wallet claims one of its accounts
	reasonAccountsFirst   = "accounts_first"   // not asked: the search for accounts has the whole budget
	reasonStaleState      = "stale_state"      // older than the state stored last
	reasonOldState        = "old_state"        // S9: older than a state may be
	reasonFutureState     = "future_state"     // S9: later than our clock
	reasonClockSkew       = "clock_skew"       // S9: right by the exchange's clock, and not by ours
	reasonAccountsChanged = "accounts_changed" // its list named other sub-accounts than are known
	reasonOutOfRange      = "out_of_range"     // the sum over its accounts does not fit
)

// walletReasons lists every reason, so that each is a metric from the start.
var walletReasons = func() []string {
	reasons := []string{reasonAbandoned, reasonAccountsUnknown, reasonAccountsOld, reasonAccountsShared, reasonAccountsFirst, reasonStaleState, reasonOldState, reasonFutureState, reasonClockSkew, reasonAccountsChanged, reasonOutOfRange}
	for _, f := range hyperliquid.Failures {
		reasons = append(reasons, string(f))
	}
	return reasons
}()

// ageReasons are those of S9.
var ageReasons = []string{reasonOldState, reasonFutureState, reasonClockSkew}

// reasonError is a failure of a wallet that is not one of the client.
type reasonError struct{ reason string }

func (e *reasonError) Error() string { return e.reason }

// These ask for another try: the next replica may know better.
var (
	errStaleState  = &reasonError{reasonStaleState}
	errOldState    = &reasonError{reasonOldState}
	errFutureState = &reasonError{reasonFutureState}
)

// errAccountsChanged asks for none: a list costs as much as ten states, and the search
// asks whether it is true. errListedNone does, as that is how a failure looks.
var (
	errAccountsChanged = &reasonError{reasonAccountsChanged}
	errListedNone      = &reasonError{reasonAccountsChanged}
)

var askAgain = []error{errStaleState, errOldState, errFutureState, errListedNone}

// fetch is one cycle's asking: bounded in concurrency and in time.
type fetch struct {
	upstream Upstream
	clock    clock.Clock
	attempts int
	backoff  []time.Duration
	lastTime map[string]time.Time // newest state time stored, by account; only read here
	maxAge   time.Duration        // of a state
	maxLead  time.Duration        // of a state's time before our clock

	slowing sync.Mutex                     // of slowDown: 429s come together, and each counts
	limit   atomic.Int64                   // workers that may go on
	resume  atomic.Int64                   // unix ns before which nobody asks, after a Retry-After
	limited func()                         // called at each 429
	listed  func(wallet string, same bool) // called with each list that was read: whether it names the accounts that are known

	oldest atomic.Int64 // unix ns of the oldest state that was answered, believed or not; 0: none was
}

// inquiry is the asking for one wallet. It belongs to the worker that took it.
type inquiry struct {
	Tracked
	list     bool     // the list of its sub-accounts is still to be asked for
	accounts []string // whose states are still to be asked for
	sum      *accountSum
	attempts int                 // at the question that is next
	slow     hyperliquid.Failure // for which it was put aside the last time; "": it never was
	due      time.Time           // of the machine's clock: when it may go on
}

func newInquiry(t Tracked) *inquiry {
	q := &inquiry{Tracked: t, list: t.byList(), accounts: []string{t.Wallet}, sum: newAccountSum(t.Wallet)}
	if !q.list {
		q.accounts = append(q.accounts, t.SubAccounts...)
	}
	return q
}

// errPutAside ends no inquiry: it goes on when it comes up again.
var errPutAside = errors.New("put aside")

// unheardOf is the weight of a wallet with twice the accounts of the greatest that is known.
const unheardOf = 2 * hyperliquid.StateWeight * (1 + 50)

// run asks for every wallet until ctx ends and returns what was read, sorted by
// wallet, and how many wallets failed for which reason. Those with the most accounts
// come first, so that nobody waits for one of them at the end, and the states lie close
// together. But one that has hundreds all of a sudden comes last, and takes no other
// one's place. Nor does one that hangs: it is put aside, behind all that were not asked
// yet.
func (f *fetch) run(ctx context.Context, wallets []Tracked, concurrency int) ([]Reading, map[string]int) {
	f.limit.Store(int64(concurrency))
	first := func(t Tracked) int {
		if weight := t.weight(); weight <= unheardOf {
			return weight
		}
		return -1
	}
	wallets = slices.SortedStableFunc(slices.Values(wallets), func(a, b Tracked) int { return cmp.Compare(first(b), first(a)) })
	var (
		mu       sync.Mutex
		waiting  = make([]*inquiry, 0, len(wallets)) // in the order of asking
		underWay int
		back     = sync.NewCond(&mu) // one that was under way
		readings = make([]Reading, 0, len(wallets))
		failures = map[string]int{}
		workers  sync.WaitGroup
	)
	for _, t := range wallets {
		waiting = append(waiting, newInquiry(t))
	}
	take := func(worker int) *inquiry {
		mu.Lock()
		defer mu.Unlock()
		// What is under way may be put aside by a worker that then gives up its place.
		// The first one never gives up its own, so somebody always goes on.
		for int64(worker) < max(1, f.limit.Load()) && len(waiting)+underWay > 0 {
			if len(waiting) > 0 {
				q := waiting[0]
				waiting = waiting[1:]
				underWay++
				return q
			}
			back.Wait()
		}
		return nil
	}
	for worker := range concurrency {
		workers.Go(func() {
			for q := take(worker); q != nil; q = take(worker) {
				err := f.wallet(ctx, q)
				mu.Lock()
				switch {
				case errors.Is(err, errPutAside):
					waiting = append(waiting, q)
				case err == nil && !ended(ctx):
					readings = append(readings, q.sum.reading)
				default:
					failures[f.why(ctx, q, err)]++
				}
				underWay--
				back.Broadcast()
				mu.Unlock()
			}
		})
	}
	workers.Wait()
	slices.SortFunc(readings, func(a, b Reading) int { return cmp.Compare(a.Wallet, b.Wallet) })
	return readings, failures
}

// ended tells that the budget is over, also when nobody was awake to end it: an
// answer that came later may be of the next minute.
func ended(ctx context.Context) bool {
	deadline, limited := ctx.Deadline()
	return ctx.Err() != nil || limited && time.Now().After(deadline)
}

// why is the reason of a wallet. One for which a Retry-After left no time failed for that.
func (f *fetch) why(ctx context.Context, q *inquiry, err error) string {
	reason := q.reason(ctx, err)
	if reason == reasonAbandoned && f.clock.Now().UnixNano() < f.resume.Load() {
		return string(hyperliquid.RateLimited)
	}
	return reason
}

// reason is why the wallet failed; without err, the answer came after the budget. Where
// the wallet had been put aside, it is not the budget's end: it had its place, and hung.
func (q *inquiry) reason(ctx context.Context, err error) string {
	var reason *reasonError
	switch {
	case errors.As(err, &reason):
		return reason.reason
	case err != nil && ctx.Err() == nil:
		return string(hyperliquid.FailureOf(err))
	case q.slow != "":
		return string(q.slow)
	default:
		return reasonAbandoned
	}
}

// wallet reads every account of a wallet that was not read yet; if one fails, the wallet
// failed.
func (f *fetch) wallet(ctx context.Context, q *inquiry) error {
	if q.Unreadable != "" {
		return &reasonError{q.Unreadable}
	}
	if err := f.clock.Sleep(ctx, f.clock.Elapsed(time.Until(q.due))); err != nil {
		return err
	}
	if q.list {
		without, err := f.subAccounts(ctx, q)
		if err != nil {
			return err
		}
		q.list, q.accounts = false, append(q.accounts, without...)
	}
	for ; len(q.accounts) > 0; q.accounts = q.accounts[1:] {
		account := q.accounts[0]
		err := f.retry(ctx, q, func() error {
			state, err := f.upstream.State(ctx, account)
			if err != nil {
				return err
			}
			return f.add(q.sum, account, state)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// subAccounts reads all sub-accounts at once and returns those whose states the list
// lacks. It has to name those that are known, and no other: one wrong answer must add
// nothing to a wallet, and one that lacks something must not make it smaller.
func (f *fetch) subAccounts(ctx context.Context, q *inquiry) (without []string, err error) {
	err = f.retry(ctx, q, func() error {
		answers, err := f.upstream.SubAccounts(ctx, q.Wallet)
		if err != nil {
			return err
		}
		if len(answers) == 0 {
			return errListedNone
		}
		q.sum = newAccountSum(q.Wallet)
		without = nil
		same := len(answers) == len(q.SubAccounts) // none is named twice
		for _, answer := range answers {
			same = same && slices.Contains(q.SubAccounts, answer.Address)
		}
		if f.listed(q.Wallet, same); !same {
			return errAccountsChanged
		}
		for _, answer := range answers {
			if !answer.HasState {
				without = append(without, answer.Address)
			} else if err := f.add(q.sum, answer.Address, answer.State); err != nil {
				return err
			}
		}
		return nil
	})
	return without, err
}

// leastSkew is by how much our clock must differ from an answer's date before the clock
// is blamed for a state's age: less is the answer's way, and the second that it is cut to.
const leastSkew = 5 * time.Second

// maxStateLead is how far the time of a state may lie ahead of our clock (S9).
const maxStateLead = 30 * time.Second

// age is S9: old never looks like now. The time of a state is the clock of the node that
// answers, so it is held against ours in both directions. Where it agrees with the date
// of the answer, and not with ours, the fault is ours. That date is cut to the second.
func (f *fetch) age(state hyperliquid.State) error {
	within := func(age time.Duration) bool { return age >= -f.maxLead && age <= f.maxAge }
	now := f.clock.Now()
	age := now.Sub(state.Time)
	switch {
	case within(age):
		return nil
	case !state.Answered.IsZero() && within(state.Answered.Sub(state.Time)) && now.Sub(state.Answered).Abs() > leastSkew:
		return &reasonError{reasonClockSkew}
	case age > 0:
		return errOldState
	default:
		return errFutureState
	}
}

// answered notes the oldest time that the exchange answered with.
func (f *fetch) answered(at time.Time) {
	for {
		oldest := f.oldest.Load()
		if oldest != 0 && oldest <= at.UnixNano() || f.oldest.CompareAndSwap(oldest, at.UnixNano()) {
			return
		}
	}
}

func (f *fetch) add(sum *accountSum, account string, state hyperliquid.State) error {
	f.answered(state.Time)
	if err := f.age(state); err != nil {
		return err
	}
	if state.Time.Before(f.lastTime[account]) {
		return errStaleState
	}
	return sum.add(account, state)
}

// retry asks the next question of q, up to attempts times. A 429 slows the whole cycle
// down. A request that hung holds up nobody else: q is put aside before it is sent again.
func (f *fetch) retry(ctx context.Context, q *inquiry, ask func() error) error {
	for {
		if err := f.pause(ctx); err != nil {
			return err
		}
		q.attempts++
		err := ask()
		if err == nil {
			q.attempts = 0
			return nil
		}
		var failed *hyperliquid.Error
		answered := errors.As(err, &failed)
		if answered && failed.Failure == hyperliquid.RateLimited {
			f.slowDown(failed.RetryAfter)
		}
		again := answered && failed.Temporary() || slices.ContainsFunc(askAgain, func(e error) bool { return errors.Is(err, e) })
		if !again || q.attempts >= f.attempts || ctx.Err() != nil {
			return err
		}
		wait := jitter(f.backoff[min(q.attempts, len(f.backoff))-1])
		if answered && failed.Failure == hyperliquid.Timeout {
			q.slow, q.due = failed.Failure, time.Now().Add(f.clock.Real(wait))
			return errPutAside
		}
		if err := f.clock.Sleep(ctx, wait); err != nil {
			return err
		}
	}
}

// pause waits for the end of the longest Retry-After, which a late answer may
// have moved in the meantime.
func (f *fetch) pause(ctx context.Context) error {
	for {
		until := f.resume.Load()
		if err := f.clock.SleepUntil(ctx, time.Unix(0, until)); err != nil || f.resume.Load() == until {
			return err
		}
	}
}

func (f *fetch) slowDown(retryAfter time.Duration) {
	f.slowing.Lock()
	defer f.slowing.Unlock()
	f.limited()
	f.limit.Store(max(1, f.limit.Load()/2))
	if retryAfter > 0 {
		f.resume.Store(max(f.resume.Load(), f.clock.Now().Add(retryAfter).UnixNano()))
	}
}

// jitter spreads retries over 75 % to 125 % of d, so that wallets that failed
// together do not come back together.
func jitter(d time.Duration) time.Duration {
	return time.Duration(float64(d) * (0.75 + rand.Float64()/2))
}
