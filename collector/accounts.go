package collector

import (
	"context"
	"math"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/whalegate/whalegate/collector/hyperliquid"
	"github.com/whalegate/whalegate/internal/postgres"
	"github.com/whalegate/whalegate/internal/threshold"
)

// accountsFor is how long a list of accounts is believed without being confirmed.
const accountsFor = threshold.AccountsOld

// Tracked is a wallet of the universe with the accounts that its position is the sum of.
type Tracked struct {
	Wallet      string
	SubAccounts []string // or the children of a parent vault
	Listed      bool     // every entry of its last list carried a state: one question may read them all
	Unreadable  string   // why it cannot be read whatever is asked: a reason; "": it can

	// What the search for accounts goes by.
	Rank      int
	Value     float64   // its account value on the leaderboard, in dollars; below 0 when unknown
	Confirmed time.Time // when its accounts were confirmed last; zero: never found
	Explained bool      // its own account is worth what the leaderboard says, or it has sub-accounts
	Role      string    // what its address is, as the exchange says; "": not asked
	Disputed  []string  // those of SubAccounts that are rows of the universe themselves, or claimed by another wallet too
	Left      bool      // it has left the universe, and its accounts still count
}

// owners are the wallets of the universe that an account is known to belong to, each row
// to itself. More than one cannot be right.
type owners map[string][]string

// ofAnother tells that an account is known to belong to another wallet.
func (o owners) ofAnother(wallet, account string) bool {
	return slices.ContainsFunc(o[account], func(owner string) bool { return owner != wallet })
}

// claimants are those of outside that claim an account of a wallet of the universe, with
// the accounts in question.
func (o owners) claimants(outside []Tracked) (claimants []Tracked) {
	for _, t := range outside {
		for _, account := range t.SubAccounts {
			if slices.ContainsFunc(o[account], func(owner string) bool { return owner != t.Wallet && owner != account }) {
				t.Disputed = append(t.Disputed, account)
			}
		}
		if len(t.Disputed) > 0 {
			claimants = append(claimants, t)
		}
	}
	return claimants
}

// maxDoublePct is how many rows of the universe may be accounts of others. A refresh
// keeps a quarter more candidates than the universe has rows, in place of them.
const (
	maxDoublePct = 20.0
	fewDoubles   = 2 // … however small it is
)

// oneRequestAccounts is the number of sub-accounts from which one request for all of
// them weighs no more than a request for each.
const oneRequestAccounts = hyperliquid.SubAccountsWeight / hyperliquid.StateWeight

// byList tells that one question for all of the sub-accounts is the cheaper way, and
// allowed.
func (t Tracked) byList() bool { return t.Listed && len(t.SubAccounts) >= oneRequestAccounts }

// weight is what reading the wallet costs of the upstream's budget.
func (t Tracked) weight() int {
	switch {
	case t.Unreadable != "":
		return 0
	case t.byList():
		return hyperliquid.StateWeight + hyperliquid.SubAccountsWeight
	default:
		return hyperliquid.StateWeight * (1 + len(t.SubAccounts))
	}
}

// resolve decides which wallets of the universe are read, and which of them can be. A
// row that another wallet's list names counts there, and no row is expected of it; what
// an address says that it is itself moves nothing, as nobody would count it. An account
// that two wallets claim cannot be counted right for either, also when one of them has
// left the universe: outside is what those claim. Nor are more than a fifth of the rows
// believed to be accounts of others: wrong lists must not make a few wallets of the
// universe.
func resolve(universe, outside []Tracked, now time.Time) ([]Tracked, owners) {
	index, known := make(map[string]int, len(universe)), owners{}
	for i := range universe {
		index[universe[i].Wallet] = i
		known[universe[i].Wallet] = []string{universe[i].Wallet}
	}
	for _, t := range slices.Concat(outside, universe) {
		for _, account := range t.SubAccounts {
			known[account] = append(known[account], t.Wallet)
		}
	}
	shared, double := map[int]bool{}, map[int]bool{}
	for i := range universe {
		for _, account := range universe[i].SubAccounts {
			if slices.ContainsFunc(known[account], func(owner string) bool { return owner != universe[i].Wallet && owner != account }) {
				shared[i] = true
			}
			if row, ok := index[account]; ok {
				double[row] = true
				if len(universe[row].SubAccounts) > 0 || row == i {
					shared[i], shared[row] = true, true // whose are its own?
				}
			}
		}
	}
	if len(double) > fewDoubles && percent(len(double), len(universe)) > maxDoublePct {
		for i := range universe {
			if slices.ContainsFunc(universe[i].SubAccounts, func(a string) bool { _, row := index[a]; return row }) {
				shared[i] = true
			}
		}
		for row := range double {
			shared[row] = true
		}
	}
	read := make([]Tracked, 0, len(universe))
	for i, t := range universe {
		age := now.Sub(t.Confirmed)
		switch {
		case shared[i]:
			t.Unreadable = reasonAccountsShared
		case double[i]:
			continue
		case t.Confirmed.IsZero():
			t.Unreadable = reasonAccountsUnknown
		case age.Abs() > accountsFor: // a date that lies ahead is of no known age
			t.Unreadable = reasonAccountsOld
		}
		for _, account := range t.SubAccounts {
			if known.ofAnother(t.Wallet, account) {
				t.Disputed = append(t.Disputed, account)
			}
		}
		read = append(read, t)
	}
	return read, known
}

// readable counts the wallets that can be read.
func readable(wallets []Tracked) (n int) {
	for i := range wallets {
		if wallets[i].Unreadable == "" {
			n++
		}
	}
	return n
}

// searchFirst tells that no run can be good anyway, and that wallets are left to be asked
// for: then the search for accounts has the whole budget.
func searchFirst(wallets []Tracked) bool {
	return percent(readable(wallets), len(wallets)) < minCoveragePct && slices.ContainsFunc(wallets, Tracked.unfound)
}

// disputed tells that somebody else may be the owner of an account of the wallet's: whose
// it is is asked again soon.
func (t Tracked) disputed() bool {
	return t.Unreadable == reasonAccountsShared || len(t.Disputed) > 0
}

// unfound tells that the wallet's accounts are to be found.
func (t Tracked) unfound() bool {
	return t.Unreadable == reasonAccountsUnknown || t.Unreadable == reasonAccountsOld
}

// Tracked reads the universe with the accounts of each wallet, sorted by wallet as the
// snapshots' primary key is, and the wallets outside of it that claim one of them.
func (s *Store) Tracked(ctx context.Context, now time.Time) (wallets, claimants []Tracked, err error) {
	ctx, cancel := postgres.Reading(ctx)
	defer cancel()
	rows, err := s.pool.Query(ctx, `
		SELECT u.wallet_id, coalesce(a.sub_accounts, '{}'), coalesce(a.listed, false), u.rank,
			CASE WHEN u.account_value BETWEEN 0 AND 1e15 THEN u.account_value ELSE -1 END::double precision,
			a.checked_at, coalesce(a.explained, true), coalesce(a.role, '')
		FROM wallet_universe_current u
		LEFT JOIN wallet_accounts a USING (wallet_id)
		ORDER BY u.wallet_id COLLATE "C"`)
	if err != nil {
		return nil, nil, postgres.Because(ctx, "read universe", err)
	}
	universe, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (t Tracked, err error) {
		var confirmed *time.Time
		err = row.Scan(&t.Wallet, &t.SubAccounts, &t.Listed, &t.Rank, &t.Value, &confirmed, &t.Explained, &t.Role)
		if confirmed != nil {
			t.Confirmed = confirmed.UTC()
		}
		return t, err
	})
	if err != nil {
		return nil, nil, postgres.Because(ctx, "read universe", err)
	}
	outside, err := s.outside(ctx, now)
	if err != nil {
		return nil, nil, err
	}
	wallets, known := resolve(universe, outside, now)
	return wallets, known.claimants(outside), nil
}

// outside reads the wallets that have left the universe, and whose accounts still count.
func (s *Store) outside(ctx context.Context, now time.Time) ([]Tracked, error) {
	ctx, cancel := postgres.Reading(ctx)
	defer cancel()
	rows, err := s.pool.Query(ctx, `
		SELECT wallet_id, sub_accounts, checked_at, listed, explained, coalesce(role, '') FROM wallet_accounts
		WHERE sub_accounts <> '{}' AND checked_at BETWEEN $1::timestamptz - interval '24 hours' AND $1::timestamptz + interval '24 hours'
			AND wallet_id NOT IN (SELECT wallet_id FROM wallet_universe_current)`, now)
	if err != nil {
		return nil, postgres.Because(ctx, "read accounts", err)
	}
	outside, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (t Tracked, err error) {
		t.Rank, t.Value, t.Left = math.MaxInt, -1, true
		err = row.Scan(&t.Wallet, &t.SubAccounts, &t.Confirmed, &t.Listed, &t.Explained, &t.Role)
		t.Confirmed = t.Confirmed.UTC()
		return t, err
	})
	return outside, postgres.Because(ctx, "read accounts", err)
}

// Accounts is what was found out about a wallet's accounts.
type Accounts struct {
	Sub       []string // they are added to those that are known
	Dropped   []string // known ones that the wallet does not name any more
	Listed    bool
	Explained bool
	Role      string // "": not asked now, what is known stays
	unsettled bool   // the answer lacked known ones of which nobody knows yet whose they are
}

// KeepAccounts stores what was found out about a wallet, as confirmed at an instant.
func (s *Store) KeepAccounts(ctx context.Context, wallet string, found Accounts, at time.Time) error {
	ctx, cancel := postgres.Writing(ctx)
	defer cancel()
	subs := found.Sub
	if subs == nil {
		subs = []string{} // none, which is not the same as not known
	}
	err := s.fence.Exec(ctx, s.pool, `
		INSERT INTO wallet_accounts AS w (wallet_id, sub_accounts, checked_at, listed, explained, role, role_at)
		VALUES ($1, $2, $3::timestamptz, $4, $5, nullif($6::text, ''), CASE WHEN $6::text <> '' THEN $3::timestamptz END)
		ON CONFLICT (wallet_id) DO UPDATE SET
			sub_accounts = ARRAY(SELECT unnest(w.sub_accounts) EXCEPT SELECT unnest($7::text[]) UNION SELECT unnest(excluded.sub_accounts) ORDER BY 1),
			checked_at = excluded.checked_at, listed = excluded.listed, explained = excluded.explained,
			role = coalesce(excluded.role, w.role), role_at = coalesce(excluded.role_at, w.role_at)`,
		wallet, subs, at, found.Listed, found.Explained, found.Role, found.Dropped)
	return postgres.Because(ctx, "keep accounts", err)
}

// ConfirmAccounts notes that a minute read the lists of wallets, and that they named the
// accounts that are known.
func (s *Store) ConfirmAccounts(ctx context.Context, wallets []string, at time.Time) error {
	if len(wallets) == 0 {
		return nil
	}
	ctx, cancel := postgres.Writing(ctx)
	defer cancel()
	err := s.fence.Exec(ctx, s.pool, "UPDATE wallet_accounts SET checked_at = $2 WHERE wallet_id = ANY ($1)", wallets, at)
	return postgres.Because(ctx, "confirm accounts", err)
}
