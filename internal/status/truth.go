package status

import (
	"context"
	"fmt"
	"strings"

	"github.com/whalegate/whalegate/internal/duration"
	"github.com/whalegate/whalegate/internal/facts"
	"github.com/whalegate/whalegate/internal/health/watch"
)

// ReadAccounts asks how well the accounts are known.
func ReadAccounts(ctx context.Context, db watch.Querier) (facts.Accounts, error) {
	rows, err := db.Query(ctx, "SELECT wallets, known, never_found, unconfirmed, shared, oldest_confirmed_seconds FROM facts.accounts")
	a, err := one[facts.Accounts](rows, err, "read accounts")
	if a == nil {
		return facts.Accounts{}, err
	}
	return *a, err
}

// ReadSearch asks how far the search for accounts is; nil when there was none yet.
func ReadSearch(ctx context.Context, db watch.Querier) (*facts.Search, error) {
	rows, err := db.Query(ctx, "SELECT started_at, announced_seconds, wallets, known, done_at, ended_at, running_seconds, is_late FROM facts.search")
	return one[facts.Search](rows, err, "read the search for accounts")
}

// ReadCoins asks what the exchange last said of each asset.
func ReadCoins(ctx context.Context, db watch.Querier) ([]facts.Coin, error) {
	coins, err := list[facts.Coin](ctx, db, "SELECT asset, listed, delisted, sz_decimals, answered_at, expected_decimals, age_seconds, wrong FROM facts.coins ORDER BY place")
	if err != nil {
		return nil, fmt.Errorf("read coins: %w", err)
	}
	return coins, nil
}

func readOpen(ctx context.Context, db watch.Querier) ([]facts.OpenFailure, error) {
	open, err := list[facts.OpenFailure](ctx, db, "SELECT asset, subject, opened_ts, affected, holders FROM baselines WHERE ended_ts IS NULL ORDER BY opened_ts, asset")
	if err != nil {
		return nil, fmt.Errorf("read open failures: %w", err)
	}
	return open, nil
}

func (r *Report) readTruth(ctx context.Context, db watch.Querier) error {
	accounts, err := ReadAccounts(ctx, db)
	if err != nil {
		return err
	}
	r.Accounts = &accounts
	if r.Search, err = ReadSearch(ctx, db); err != nil {
		return err
	}
	coins, err := ReadCoins(ctx, db)
	if err != nil {
		return err
	}
	open, err := readOpen(ctx, db)
	if err != nil {
		return err
	}
	r.Coins, r.Open = coins, open
	return nil
}

// coinsText says in one line whether all coins are what they should be.
func coinsText(coins []facts.Coin) string {
	var wrong []string
	var oldest float64
	for _, c := range coins {
		if c.Wrong != nil {
			wrong = append(wrong, c.Asset+" "+*c.Wrong)
		}
		if c.AgeSeconds != nil {
			oldest = max(oldest, *c.AgeSeconds)
		}
	}
	if len(wrong) == len(coins) && coins[0].AnsweredAt == nil {
		return "the exchange has never said which coins it has"
	}
	text := "answered " + duration.Since(duration.Seconds(oldest))
	if len(wrong) > 0 {
		return strings.Join(wrong, ", ") + "; " + text
	}
	return "as expected, " + text
}

// truth are the lines about the accounts, the coins and what cannot be true.
func (r Report) truth(line func(name, format string, args ...any)) {
	if a := r.Accounts; a != nil && a.Wallets > 0 {
		line("accounts", "%s", a.Text())
	}
	if s := r.Search; s != nil && s.EndedAt == nil {
		line("first start", "%s", s.Text())
	}
	if len(r.Coins) > 0 {
		line("coins", "%s", coinsText(r.Coins))
	}
	for _, o := range r.Open {
		line("S11", "%s", o.Text())
	}
}
