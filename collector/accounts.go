package collector

import (
	"context"
	"time"

	"github.com/whalegate/whalegate/collector/hyperliquid"
)

// lookAgain is how long the search for sub-accounts rests when it has nothing
// to do, or could do nothing.
const lookAgain = time.Minute

// Accounts keeps the sub-accounts of the universe's wallets known, until ctx
// ends. It uses what snapshots leave of the upstream's budget: a request for
// sub-accounts weighs as much as the states of ten wallets.
func (c *Collector) Accounts(ctx context.Context) error {
	for ctx.Err() == nil {
		c.checkAccounts(ctx)
		rest, cancel := context.WithTimeout(ctx, c.cfg.Clock.Real(lookAgain))
		select {
		case <-rest.Done():
		case <-c.refreshed:
		}
		cancel()
	}
	return nil
}

func (c *Collector) checkAccounts(ctx context.Context) {
	due := c.cfg.Clock.Now().Add(-c.cfg.RefreshEvery)
	wallets, err := c.store.AccountsToCheck(ctx, due)
	if err != nil {
		if ctx.Err() == nil {
			c.cfg.Logger.Error("look for unknown sub-accounts", "error", err)
		}
		return
	}
	for _, wallet := range wallets {
		if c.pace(ctx) != nil {
			return
		}
		if err := c.checkWallet(ctx, wallet); err != nil {
			if ctx.Err() == nil {
				c.cfg.Logger.Warn("ask for sub-accounts", "error", err)
			}
			return // the rest is asked for after a pause
		}
	}
}

func (c *Collector) checkWallet(ctx context.Context, wallet string) error {
	answers, err := c.upstream.SubAccounts(ctx, wallet)
	if err != nil {
		return err
	}
	subs := make([]string, len(answers))
	for i, a := range answers {
		subs[i] = a.Address
	}
	return c.store.KeepAccounts(ctx, wallet, subs, c.cfg.Clock.Now())
}

// pace waits for one request's share of the budget that snapshots leave, and at
// least a quarter of the whole: a universe whose accounts never become known
// would never be read.
func (c *Collector) pace(ctx context.Context) error {
	wallets, err := c.store.Tracked(ctx)
	if err != nil {
		return err
	}
	left := c.cfg.WeightPerMinute * 2 / 3 // the rest is for retries and for a minute that begins early
	for _, w := range wallets {
		left -= w.weight()
	}
	left = max(left, c.cfg.WeightPerMinute/4)
	return c.cfg.Clock.Sleep(ctx, time.Minute*hyperliquid.SubAccountsWeight/time.Duration(left))
}
