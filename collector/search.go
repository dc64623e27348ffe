package collector

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/whalegate/whalegate/collector/hyperliquid"
	"github.com/whalegate/whalegate/internal/postgres"
)

// Searching is what the search for accounts asks of the exchange: from what the minutes
// leave of the budget.
type Searching interface {
	State(ctx context.Context, account string) (hyperliquid.State, error)
	SubAccounts(ctx context.Context, master string) ([]hyperliquid.SubAccount, error)
	UserRole(ctx context.Context, account string) (hyperliquid.Role, error)
	VaultDetails(ctx context.Context, vault string) (hyperliquid.Vault, error)
}

const (
	lookAgain      = time.Minute      // a round of the search
	secondAnswer   = time.Minute      // between two answers that are believed only when they agree
	lackingFor     = 10 * time.Minute // … when a parent vault no longer names a child that nobody else claims
	lookForLacking = 2 * time.Minute  // between two questions meanwhile
	disputeAgain   = 10 * time.Minute // how often a wallet is asked whose accounts are disputed
	firstBackoff   = time.Minute      // after a failure, doubled with each further one
	longestBackoff = time.Hour        // …
	overdueAfter   = time.Hour        // after the interval of renewals; from then on all are renewed within
	catchUp        = time.Hour        // …
	urgentBackoff  = 4 * time.Minute  // … at the longest while so many fail that runs miss too much
	explainedPct   = 50.0             // of the leaderboard's account value
	searchers      = 8                // questions at a time
)

// search is what the search for accounts remembers. Times are of the monotonic clock.
type search struct {
	mu       sync.Mutex
	wallets  map[string]*searched
	credit   float64 // of renewals
	credited time.Time
	listed   map[string]bool // wallets whose lists a minute has read, and whether they named the accounts that are known
}

// searched is one wallet's part of it.
type searched struct {
	failures int
	failed   time.Time // when it failed last
	notUntil time.Time
	null     time.Time // when it said none for the first time; zero: it did not
	doubtful doubtful
	changed  bool // a minute has read a list that names other accounts
}

// doubtful is an answer that names other accounts than are known: it is believed when it
// is given again.
type doubtful struct {
	answer string // the accounts in question
	since  time.Time
}

// Accounts keeps the accounts of the universe's wallets known, until ctx ends. One
// wallet's trouble is its own: it is tried again later, and the search goes on.
func (c *Collector) Accounts(ctx context.Context) error {
	c.search.mu.Lock()
	c.search.wallets, c.search.credit, c.search.credited = map[string]*searched{}, 0, time.Now()
	c.search.mu.Unlock()
	if ended, err := c.store.searchEnded(ctx); err == nil {
		c.healthy.Store(ended) // it may be another database than the last time
	}
	for ctx.Err() == nil {
		round, cancel := c.cfg.Clock.WithTimeout(ctx, lookAgain, errRound)
		if err := c.searchRound(ctx, round); err != nil && ctx.Err() == nil {
			c.cfg.Logger.Error("search for accounts", "error", err)
		}
		select {
		case <-round.Done():
		case <-c.refreshed:
		}
		cancel()
	}
	return nil
}

var errRound = errors.New("the round of the search is over")

// searchRound asks for what is due, until the round is over; what is under way then is
// finished.
func (c *Collector) searchRound(ctx, round context.Context) error {
	now := c.cfg.Clock.Now()
	universe, claimants, err := c.store.Tracked(ctx, now)
	if err != nil {
		return err
	}
	if err := c.confirmListed(ctx, universe, now); err != nil {
		return err
	}
	if err := c.tellProgress(ctx, universe, now); err != nil {
		return err
	}
	longest := longestBackoff
	if 100-percent(readable(universe), len(universe)) > maxMissingPct {
		longest = urgentBackoff // many at once: it was the exchange, and may be over
	}
	queue := c.search.due(universe, claimants, now, c.cfg.Clock.Elapsed(time.Since(c.search.credited)), c.cfg.RefreshEvery, c.cfg.Clock.Real(longest), c.healthy.Load())
	c.search.credited = time.Now()
	var next sync.Mutex
	var workers sync.WaitGroup
	for range min(searchers, len(queue)) {
		workers.Go(func() {
			for round.Err() == nil {
				next.Lock()
				if len(queue) == 0 {
					next.Unlock()
					return
				}
				t := queue[0]
				queue = queue[1:]
				next.Unlock()
				c.searchWallet(ctx, t)
			}
		})
	}
	workers.Wait()
	return nil
}

// due lists the wallets to ask for, the most urgent first: those that cannot be read, or
// whose accounts are disputed or have changed, by rank, and those outside of the universe
// that claim some of them; then renewals, the longest unconfirmed first, evenly over the
// interval; then, once a run was good, what an address is.
// No failure is waited out for longer than longest, of real time.
func (s *search) due(universe, claimants []Tracked, at time.Time, passed, every, longest time.Duration, healthy bool) []Tracked {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	var unknown, known, roles []Tracked
	for _, t := range slices.Concat(universe, claimants) {
		w := s.wallets[t.Wallet]
		if w != nil && now.Before(w.notUntil) && (w.failed.IsZero() || now.Sub(w.failed) < longest) {
			continue
		}
		switch {
		case t.unfound(), t.disputed(), w != nil && w.changed:
			unknown = append(unknown, t)
		case !t.Explained && t.Role == "" && healthy:
			roles = append(roles, t)
		default:
			known = append(known, t)
		}
	}
	slices.SortFunc(unknown, func(a, b Tracked) int { return cmp.Compare(a.Rank, b.Rank) })
	slices.SortFunc(known, func(a, b Tracked) int { return a.Confirmed.Compare(b.Confirmed) })
	slices.SortFunc(roles, func(a, b Tracked) int { return cmp.Compare(a.Rank, b.Rank) })
	share := passed.Seconds() / every.Seconds()
	if len(known) > 0 && at.Sub(known[0].Confirmed) > every+overdueAfter { // nobody asked for a while
		share = passed.Seconds() / catchUp.Seconds()
	}
	s.credit = min(s.credit+share*float64(len(universe)), float64(len(universe)))
	renew := min(int(s.credit), len(known))
	s.credit -= float64(renew)
	return slices.Concat(unknown, known[:renew], roles)
}

// searchWallet finds out about one wallet's accounts.
func (c *Collector) searchWallet(ctx context.Context, t Tracked) {
	found, err := c.findAccounts(ctx, t)
	if err == nil && found != nil {
		at := c.cfg.Clock.Now()
		if t.Left || found.unsettled {
			at = t.Confirmed // what one that left claims counts for a day and no longer, and a list that lacks something confirms nothing
		}
		if err = c.store.KeepAccounts(ctx, t.Wallet, *found, at); err == nil {
			c.tellChange(t, found)
		}
	}
	if ctx.Err() != nil {
		return
	}
	c.search.mu.Lock()
	defer c.search.mu.Unlock()
	w := c.search.wallet(t.Wallet)
	switch {
	case err != nil:
		wait := min(firstBackoff<<min(w.failures, 10), longestBackoff)
		w.failures++
		w.failed = time.Now()
		w.notUntil = time.Now().Add(c.cfg.Clock.Real(jitter(wait)))
		c.metrics.searches.WithLabelValues("failed").Inc()
		c.cfg.Logger.Warn("the accounts of a wallet could not be found", "rank", t.Rank, "failures", w.failures, "error", err)
	case found == nil:
		w.failures, w.failed = 0, time.Time{} // it was answered
		c.metrics.searches.WithLabelValues("asked_again").Inc()
	default:
		*w = searched{}
		if (t.disputed() || found.unsettled) && len(found.Dropped) == 0 { // otherwise what is left is asked next
			w.notUntil = time.Now().Add(c.cfg.Clock.Real(disputeAgain))
		}
		c.metrics.searches.WithLabelValues("found").Inc()
	}
}

// tellChange logs that other accounts are counted for a wallet that had been known.
func (c *Collector) tellChange(t Tracked, found *Accounts) {
	added := without(found.Sub, t.SubAccounts)
	if !t.Confirmed.IsZero() && len(added)+len(found.Dropped) > 0 {
		c.cfg.Logger.Warn("the accounts of a wallet have changed", "rank", t.Rank, "added", len(added), "given_up", len(found.Dropped), "of_these", some(added, found.Dropped))
	}
}

func (s *search) wallet(id string) *searched {
	if s.wallets == nil {
		s.wallets = map[string]*searched{}
	}
	w := s.wallets[id]
	if w == nil {
		w = &searched{}
		s.wallets[id] = w
	}
	return w
}

// readList notes that a minute has read the list of a wallet, and whether it names the
// accounts that are known: that confirms them. Otherwise it is asked for again soon.
func (s *search) readList(wallet string, same bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.listed == nil {
		s.listed = map[string]bool{}
	}
	s.listed[wallet] = same
	w := s.wallet(wallet)
	if w.changed = !same; same {
		w.doubtful = doubtful{} // what was said before is not said again
	}
}

// confirmedEvery is how often the confirmation by the minutes is written down.
const confirmedEvery = time.Hour

// confirmListed writes down which lists the minutes have confirmed, where that is news.
func (c *Collector) confirmListed(ctx context.Context, universe []Tracked, now time.Time) error {
	c.search.mu.Lock()
	listed := c.search.listed
	c.search.listed = nil
	c.search.mu.Unlock()
	var news []string
	for _, t := range universe {
		if listed[t.Wallet] && now.Sub(t.Confirmed).Abs() > confirmedEvery {
			news = append(news, t.Wallet)
		}
	}
	return c.store.ConfirmAccounts(ctx, news, now)
}

// tellProgress says how far the search is at a first start, and when it will be done.
func (c *Collector) tellProgress(ctx context.Context, universe []Tracked, now time.Time) error {
	if c.healthy.Load() || len(universe) == 0 {
		return nil
	}
	known := readable(universe)
	left := c.search.left(universe, c.cfg.WeightPerMinute)
	done := now.Add(left)
	if known < len(universe) {
		c.cfg.Logger.Info("searching for the accounts of the wallets", "known", known, "wallets", len(universe), "healthy_about", done.Format("15:04"))
	}
	return c.store.KeepProgress(ctx, known, len(universe), now, done)
}

// Shares that are expected before anything was answered.
const (
	expectedAgain = 0.55 // of the wallets say none without an explanation, or name accounts: they are asked twice
	usedPct       = 95   // of the stated weight
)

// left estimates how long it is until the first good state: the weight that must be
// spent, and two clean minutes after the one under way.
func (s *search) left(universe []Tracked, perMinute int) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	weight := 0.0
	for _, t := range universe {
		if !t.unfound() {
			continue
		}
		if w := s.wallets[t.Wallet]; w == nil || w.null.IsZero() && w.doubtful.answer == "" {
			weight += expectedAgain * hyperliquid.SubAccountsWeight
		}
		weight += hyperliquid.SubAccountsWeight + hyperliquid.StateWeight
	}
	minutes := weight / (usedPct / 100.0 * float64(perMinute))
	return time.Duration(minutes*float64(time.Minute)) + 3*time.Minute
}

// KeepProgress stores how far the search for accounts is, and what was announced first.
func (s *Store) KeepProgress(ctx context.Context, known, wallets int, now, done time.Time) error {
	ctx, cancel := postgres.Writing(ctx)
	defer cancel()
	err := s.fence.Exec(ctx, s.pool, `
		INSERT INTO account_search AS a (started_at, announced_seconds, wallets, known, done_at)
		VALUES ($1::timestamptz, greatest(extract(epoch FROM $2::timestamptz - $1::timestamptz), 0), $3, $4, $2)
		ON CONFLICT (one) DO UPDATE SET wallets = excluded.wallets, known = excluded.known, done_at = excluded.done_at`,
		now, done, wallets, known)
	return postgres.Because(ctx, "keep the progress of the search", err)
}

// searchEnded tells that the first start of this database is over.
func (s *Store) searchEnded(ctx context.Context) (ended bool, err error) {
	ctx, cancel := postgres.Reading(ctx)
	defer cancel()
	err = s.pool.QueryRow(ctx, "SELECT EXISTS (SELECT FROM account_search WHERE ended_at IS NOT NULL)").Scan(&ended)
	return ended, postgres.Because(ctx, "look for the first start", err)
}

// EndProgress notes that a run was good.
func (s *Store) EndProgress(ctx context.Context, now time.Time) error {
	ctx, cancel := postgres.Writing(ctx)
	defer cancel()
	err := s.fence.Exec(ctx, s.pool, "UPDATE account_search SET ended_at = $1, known = f.known, wallets = f.wallets FROM facts.accounts f WHERE ended_at IS NULL", now)
	return postgres.Because(ctx, "end the progress of the search", err)
}
