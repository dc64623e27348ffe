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
	Leaderboard(ctx context.Context, top int, known hyperliquid.Validators) (hyperliquid.Leaderboard, error)
}

// Tracked is a wallet of the universe with the accounts that its position is
// the sum of.
type Tracked struct {
	Wallet        string
	SubAccounts   []string
	AccountsKnown bool // false: its sub-accounts have not been asked for yet
}

// Reasons why a wallet failed, beside the failures of the client.
const (
	reasonAbandoned       = "abandoned"        // the minute's budget ended first
	reasonAccountsUnknown = "accounts_unknown" // its sub-accounts have not been asked for yet
	reasonStaleState      = "stale_state"      // older than the state stored last
	reasonAccountsChanged = "accounts_changed" // an answer lacked a known sub-account
	reasonOutOfRange      = "out_of_range"     // the sum over its accounts does not fit
)

// walletReasons lists every reason, so that each is a metric from the start.
var walletReasons = func() []string {
	reasons := []string{reasonAbandoned, reasonAccountsUnknown, reasonStaleState, reasonAccountsChanged, reasonOutOfRange}
	for _, f := range hyperliquid.Failures {
		reasons = append(reasons, string(f))
	}
	return reasons
}()

// reasonError is a failure of a wallet that is not one of the client.
type reasonError struct{ reason string }

func (e *reasonError) Error() string { return e.reason }

// These ask for another try: the next replica may know better.
var (
	errStaleState      = &reasonError{reasonStaleState}
	errAccountsChanged = &reasonError{reasonAccountsChanged}
)

// fetch is one cycle's asking: bounded in concurrency and in time.
type fetch struct {
	upstream Upstream
	clock    clock.Clock
	attempts int
	backoff  []time.Duration
	lastTime map[string]time.Time // newest state time stored, by account; only read here

	slowing sync.Mutex   // of slowDown: 429s come together, and each counts
	limit   atomic.Int64 // workers that may go on
	resume  atomic.Int64 // unix ns before which nobody asks, after a Retry-After
	limited func()       // called at each 429
}

// run asks for every wallet until ctx ends and returns what was read, sorted by
// wallet, and how many wallets failed for which reason.
func (f *fetch) run(ctx context.Context, wallets []Tracked, concurrency int) ([]Reading, map[string]int) {
	f.limit.Store(int64(concurrency))
	var (
		mu       sync.Mutex
		next     atomic.Int64
		readings = make([]Reading, 0, len(wallets))
		failures = map[string]int{}
		workers  sync.WaitGroup
	)
	for worker := range concurrency {
		workers.Go(func() {
			// The first worker never gives up its place, so somebody always goes on.
			for int64(worker) < max(1, f.limit.Load()) {
				i := int(next.Add(1)) - 1
				if i >= len(wallets) {
					return
				}
				reading, err := f.wallet(ctx, wallets[i])
				if err == nil && ended(ctx) {
					err = &reasonError{reasonAbandoned}
				}
				mu.Lock()
				if err == nil {
					readings = append(readings, reading)
				} else {
					failures[reasonOf(ctx, err)]++
				}
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

func reasonOf(ctx context.Context, err error) string {
	var reason *reasonError
	switch {
	case errors.As(err, &reason):
		return reason.reason
	case ctx.Err() != nil:
		return reasonAbandoned
	default:
		return string(hyperliquid.FailureOf(err))
	}
}

// oneRequestAccounts is the number of sub-accounts from which one request for
// all of them weighs no more than a request for each.
const oneRequestAccounts = hyperliquid.SubAccountsWeight / hyperliquid.StateWeight

// weight is what reading the wallet costs of the upstream's budget.
func (t Tracked) weight() int {
	if !t.AccountsKnown {
		return 0
	}
	return hyperliquid.StateWeight + min(len(t.SubAccounts)*hyperliquid.StateWeight, hyperliquid.SubAccountsWeight)
}

// wallet reads every account of a wallet; if one fails, the wallet failed.
func (f *fetch) wallet(ctx context.Context, t Tracked) (Reading, error) {
	if !t.AccountsKnown {
		return Reading{}, &reasonError{reasonAccountsUnknown}
	}
	sum := newAccountSum(t.Wallet)
	accounts := []string{t.Wallet}
	if len(t.SubAccounts) < oneRequestAccounts {
		accounts = append(accounts, t.SubAccounts...)
	} else if err := f.subAccounts(ctx, t, sum); err != nil {
		return Reading{}, err
	}
	for _, account := range accounts {
		err := f.retry(ctx, func() error {
			state, err := f.upstream.State(ctx, account)
			if err != nil {
				return err
			}
			return f.add(sum, account, state)
		})
		if err != nil {
			return Reading{}, err
		}
	}
	return sum.reading, nil
}

// subAccounts reads all sub-accounts at once. The answer for "none" cannot be
// told from one that failed, so every account that is known must be in it.
func (f *fetch) subAccounts(ctx context.Context, t Tracked, sum *accountSum) error {
	return f.retry(ctx, func() error {
		answers, err := f.upstream.SubAccounts(ctx, t.Wallet)
		if err != nil {
			return err
		}
		states := make(map[string]hyperliquid.State, len(answers))
		for _, answer := range answers {
			if !answer.HasState { // it is not flat, and no other request would tell more
				return &hyperliquid.Error{Endpoint: "sub_accounts", Failure: hyperliquid.Schema}
			}
			states[answer.Address] = answer.State
		}
		*sum = *newAccountSum(t.Wallet)
		for _, account := range t.SubAccounts {
			state, ok := states[account]
			if !ok {
				return errAccountsChanged
			}
			if err := f.add(sum, account, state); err != nil {
				return err
			}
			delete(states, account)
		}
		// A new sub-account counts from the moment that it is seen.
		for account, state := range states {
			if err := f.add(sum, account, state); err != nil {
				return err
			}
		}
		return nil
	})
}

func (f *fetch) add(sum *accountSum, account string, state hyperliquid.State) error {
	if state.Time.Before(f.lastTime[account]) {
		return errStaleState
	}
	return sum.add(account, state)
}

// retry asks up to attempts times. A 429 slows the whole cycle down.
func (f *fetch) retry(ctx context.Context, ask func() error) error {
	for attempt := 1; ; attempt++ {
		if err := f.pause(ctx); err != nil {
			return err
		}
		err := ask()
		if err == nil {
			return nil
		}
		var failed *hyperliquid.Error
		answered := errors.As(err, &failed)
		if answered && failed.Failure == hyperliquid.RateLimited {
			f.slowDown(failed.RetryAfter)
		}
		again := answered && failed.Temporary() || errors.Is(err, errStaleState) || errors.Is(err, errAccountsChanged)
		if !again || attempt >= f.attempts || ctx.Err() != nil {
			return err
		}
		if err := f.clock.Sleep(ctx, jitter(f.backoff[min(attempt, len(f.backoff))-1])); err != nil {
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
