package collector

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/whalegate/whalegate/collector/hyperliquid"
)

// findAccounts asks for one wallet's accounts. Neither accounts nor an error means that
// what it said is not believed yet.
func (c *Collector) findAccounts(ctx context.Context, t Tracked) (*Accounts, error) {
	switch {
	case t.Role == string(hyperliquid.RoleVault):
		return c.findChildren(ctx, t, Accounts{Explained: t.Explained})
	case !t.Explained && t.Role == "" && t.Unreadable == "" && c.healthy.Load():
		return c.findRole(ctx, t)
	}
	list, err := c.searching.SubAccounts(ctx, t.Wallet)
	if err != nil {
		return nil, err
	}
	found := &Accounts{Listed: len(list) > 0, Explained: true}
	for _, account := range list {
		found.Sub = append(found.Sub, account.Address)
		found.Listed = found.Listed && account.HasState
	}
	saysNone := len(list) == 0 && (list == nil || len(t.SubAccounts) > 0) // or a failure
	var gone []string
	if lacking := without(t.SubAccounts, found.Sub); !saysNone || len(lacking) == len(t.Disputed) {
		// Where it says none, accounts that nobody disputes are kept without a question.
		if gone, err = c.disowned(ctx, t, lacking); err != nil {
			return nil, err
		}
		found.unsettled = len(gone) < len(lacking)
	}
	if !c.believed(t, found, gone, secondAnswer) {
		return nil, nil
	}
	switch {
	case !saysNone:
		return found, nil
	case found.unsettled && len(gone) > 0: // what they are that are left is asked next
		found.Listed, found.Explained = t.Listed, t.Explained
		return found, nil
	}
	t.SubAccounts = without(t.SubAccounts, gone)
	none, err := c.believeNone(ctx, t)
	if none != nil {
		none.Dropped = gone
	}
	return none, err
}

// mostAsked is how many accounts of a wallet are asked at a time whose they are.
const mostAsked = 5

// errLacksItsOwn is a list that lacks an account which says that it is the wallet's.
var errLacksItsOwn = errors.New("its list lacks an account that says that it is this wallet's")

// disowned are those of some known accounts of a wallet that do not say that they are its
// own, a few at a time. Sub-accounts are never closed: an answer that lacks one has failed,
// or an earlier one was wrong, and nobody else can tell which. One that says that it is the
// wallet's own proves the failure. What cannot be asked is kept.
func (c *Collector) disowned(ctx context.Context, t Tracked, accounts []string) (disowned []string, err error) {
	if !c.healthy.Load() && !t.disputed() { // as every question for a role, but where a dispute may be what keeps the first good run away
		return nil, nil
	}
	for _, account := range accounts[:min(mostAsked, len(accounts))] {
		role, err := c.searching.UserRole(ctx, account)
		switch {
		case ctx.Err() != nil:
			return nil, err
		case err != nil:
			continue
		case role.Kind == hyperliquid.RoleSubAccount && role.Master == t.Wallet:
			return nil, errLacksItsOwn
		}
		disowned = append(disowned, account)
	}
	return disowned, nil
}

// believed tells whether an answer may be believed that names accounts which are not
// known, or gives up known ones: when it was given before, so long ago. One wrong answer
// must not change a wallet, and what wrong ones have done must end with right ones.
func (c *Collector) believed(t Tracked, found *Accounts, gone []string, again time.Duration) bool {
	found.Dropped = gone
	strange := without(found.Sub, t.SubAccounts)
	c.search.mu.Lock()
	defer c.search.mu.Unlock()
	w := c.search.wallet(t.Wallet)
	if len(strange)+len(gone) == 0 {
		w.doubtful = doubtful{} // what was said before is not said again
		return true
	}
	slices.Sort(strange)
	answer := fmt.Sprint(strange, gone)
	if w.doubtful.answer != answer {
		w.doubtful = doubtful{answer, time.Now()}
		if !t.Confirmed.IsZero() {
			c.cfg.Logger.Info("a wallet names other accounts than are known: it is asked again", "rank", t.Rank, "new", len(strange), "lacking", len(gone), "of_these", some(strange, gone))
		}
	}
	left := again - c.cfg.Clock.Elapsed(time.Since(w.doubtful.since))
	if left <= 0 {
		return true
	}
	w.notUntil = time.Now().Add(c.cfg.Clock.Real(min(left, lookForLacking)))
	return false
}

// without are the accounts that are not among others.
func without(accounts, others []string) []string {
	return slices.DeleteFunc(slices.Clone(accounts), func(account string) bool { return slices.Contains(others, account) })
}

// some are a few accounts of each list: a log line must not grow with what is answered.
func some(lists ...[]string) (few []string) {
	for _, accounts := range lists {
		few = append(few, accounts[:min(3, len(accounts))]...)
	}
	return few
}

// errNoneAnyMore is an answer that says none for a wallet that has some: none is ever
// closed upstream, so it was a failure.
var errNoneAnyMore = errors.New("it says that there are none, and there were")

// believeNone decides about an answer that says none, which cannot be told from a
// failure: it is believed at once where the wallet's own account explains what the
// leaderboard says of it, and elsewhere when it was given twice.
func (c *Collector) believeNone(ctx context.Context, t Tracked) (*Accounts, error) {
	if len(t.SubAccounts) > 0 {
		return nil, errNoneAnyMore
	}
	own, err := c.searching.State(ctx, t.Wallet)
	if err != nil {
		return nil, err
	}
	if t.Value >= 0 && own.AccountValue >= explainedPct/100*t.Value {
		return &Accounts{Explained: true}, nil
	}
	c.search.mu.Lock()
	defer c.search.mu.Unlock()
	w := c.search.wallet(t.Wallet)
	if !w.null.IsZero() && c.cfg.Clock.Elapsed(time.Since(w.null)) >= secondAnswer || t.Unreadable == "" {
		return &Accounts{Explained: false}, nil
	}
	if w.null.IsZero() {
		w.null = time.Now()
	}
	w.notUntil = w.null.Add(c.cfg.Clock.Real(secondAnswer))
	return nil, nil
}

// findRole asks what the address of a wallet is whose account explains nothing.
func (c *Collector) findRole(ctx context.Context, t Tracked) (*Accounts, error) {
	role, err := c.searching.UserRole(ctx, t.Wallet)
	if err != nil {
		return nil, err
	}
	found := Accounts{Listed: t.Listed, Role: string(role.Kind)}
	if role.Kind == hyperliquid.RoleVault {
		return c.findChildren(ctx, t, found)
	}
	return &found, nil
}

// findChildren asks for the children of a vault: a parent answers flat while they hold.
func (c *Collector) findChildren(ctx context.Context, t Tracked, found Accounts) (*Accounts, error) {
	vault, err := c.searching.VaultDetails(ctx, t.Wallet)
	if err != nil {
		return nil, err
	}
	if len(vault.Children) == 0 && len(t.SubAccounts) > len(t.Disputed) {
		return nil, errNoneAnyMore
	}
	found.Sub = vault.Children
	gone, again := without(t.SubAccounts, vault.Children), secondAnswer
	if len(without(gone, t.Disputed)) > 0 {
		again = lackingFor
	}
	if !c.believed(t, &found, gone, again) {
		return nil, nil
	}
	return &found, nil
}
