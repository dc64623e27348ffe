package collector

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/whalegate/whalegate/collector/hyperliquid"
	"github.com/whalegate/whalegate/internal/clock"
	"github.com/whalegate/whalegate/internal/postgres/pgtest"
)

// newSearch is a collector whose universe is the wallets 1 to n, of which nothing is
// known; the leaderboard says that each is worth 1,000 dollars.
func newSearch(t *testing.T, n int, up *upstream) (*Collector, *pgxpool.Pool) {
	t.Helper()
	db := pgtest.New(t)
	enrol(t, db, n)
	exec(t, db, "DELETE FROM wallet_accounts")
	exec(t, db, "UPDATE wallet_universe_current SET account_value = 1000")
	c := collecting(t, db, up, func(cfg *Config) { cfg.Clock = clock.Clock{} })
	c.search.wallets, c.search.credited = map[string]*searched{}, time.Now()
	return c, db
}

// stand makes the clocks stand just after noon.
func (c *Collector) stand(t *testing.T, db *pgxpool.Pool) {
	t.Helper()
	present(t, db, noon)
	c.cfg.Clock = frozen(t, noon.Add(5*time.Second))
	exec(t, db, "SELECT ensure_snapshot_partitions($1, $1)", noon)
}

// round searches once.
func (c *Collector) round(t *testing.T) {
	t.Helper()
	if err := c.searchRound(t.Context(), t.Context()); err != nil {
		t.Fatal(err)
	}
}

// pass lets d pass for the search.
func (s *search) pass(d time.Duration) {
	for _, w := range s.wallets {
		for _, at := range []*time.Time{&w.notUntil, &w.failed, &w.null, &w.doubtful.since} {
			if !at.IsZero() { // zero: never
				*at = at.Add(-d)
			}
		}
	}
	s.credited = s.credited.Add(-d)
}

const knownAccounts = "SELECT concat_ws(' ', ltrim(substr(wallet_id, 3), '0'), array_length(sub_accounts, 1), CASE WHEN listed THEN 'listed' END, CASE WHEN NOT explained THEN 'unexplained' END, role) FROM wallet_accounts ORDER BY wallet_id"

// worth makes the wallets' own accounts worth what they are given in dollars.
func worth(dollars map[string]float64) func(context.Context, string) (hyperliquid.State, error) {
	return func(_ context.Context, account string) (hyperliquid.State, error) {
		s := flat(noon)
		s.AccountValue = dollars[account]
		return s, nil
	}
}

func entries(n, from, to int, without ...int) (list []hyperliquid.SubAccount) {
	for k := from; k <= to; k++ {
		list = append(list, hyperliquid.SubAccount{Address: sub(n, k), HasState: !slices.Contains(without, k), State: flat(noon)})
	}
	return list
}

// One wallet's trouble is its own: the search goes on with the next one, and tries it
// again later, after ever longer pauses.
func TestOneUnreadableListDoesNotStopTheSearch(t *testing.T) {
	trouble := map[string]error{wallet(1): failing(hyperliquid.Schema), wallet(2): failing(hyperliquid.ServerError), wallet(3): failing(hyperliquid.TooLarge)}
	up := &upstream{}
	up.subs = func(_ context.Context, master string) ([]hyperliquid.SubAccount, error) {
		if err := trouble[master]; err != nil {
			return nil, err
		}
		return []hyperliquid.SubAccount{}, nil
	}
	c, db := newSearch(t, 20, up)
	c.round(t)
	if n := len(list(t, db, knownAccounts)); n != 17 {
		t.Errorf("the accounts of %d wallets are known, want 17", n)
	}
	asked := len(up.questions())
	c.round(t)
	if n := len(up.questions()) - asked; n != 0 {
		t.Errorf("%d questions at once after a failure", n)
	}
	times := 0
	for range 20 {
		c.search.pass(firstBackoff * 5 / 4)
		asked := len(up.questions())
		c.round(t)
		times += len(up.questions()) - asked
	}
	if times < 3*3 || times > 3*7 {
		t.Errorf("three wallets were asked for %d times in 20 rounds: the pauses do not double", times)
	}
	delete(trouble, wallet(1))
	c.search.pass(longestBackoff * 5 / 4)
	c.round(t)
	if n := len(list(t, db, knownAccounts)); n != 18 {
		t.Errorf("the accounts of %d wallets are known, want 18", n)
	}
}

// Where many wallets fail it is the exchange that fails, and its first good minutes are
// used: a start into an outage is not dark for an hour longer than that.
func TestAFailureOfManyIsNotWaitedOut(t *testing.T) {
	for _, failed := range []int{20, 2} {
		down := true
		up := &upstream{state: worth(nil)}
		up.subs = func(_ context.Context, master string) ([]hyperliquid.SubAccount, error) {
			if down && master > wallet(20-failed) {
				return nil, failing(hyperliquid.ServerError)
			}
			return []hyperliquid.SubAccount{}, nil
		}
		c, db := newSearch(t, 20, up)
		for range 60 {
			c.round(t)
			c.search.pass(time.Minute)
		}
		down = false
		for range 5 {
			c.round(t)
			c.search.pass(time.Minute)
		}
		if n := len(list(t, db, knownAccounts)); n < 19 { // one may be missing in a good run
			t.Errorf("after an hour in which %d of 20 lists failed, and five minutes: %d are known", failed, n)
		}
	}
}

// An answer that says none cannot be told from a failure.
func TestNoneIsBelievedWhereItExplainsTheLeaderboard(t *testing.T) {
	up := &upstream{state: worth(map[string]float64{wallet(1): 1000, wallet(2): 500, wallet(3): 499, wallet(4): 0})}
	c, db := newSearch(t, 5, up)
	exec(t, db, "UPDATE wallet_universe_current SET account_value = NULL WHERE rank = 5")
	c.round(t)
	same(t, "at once", list(t, db, knownAccounts), "1", "2")
	c.search.pass(secondAnswer - time.Second)
	c.round(t)
	same(t, "within a minute", list(t, db, knownAccounts), "1", "2")
	c.search.pass(time.Second)
	c.round(t)
	same(t, "a minute later", list(t, db, knownAccounts), "1", "2", "3 unexplained", "4 unexplained", "5 unexplained")
}

// A wallet that had sub-accounts keeps them, and "none" confirms nothing.
func TestAccountsAreNotForgottenForNone(t *testing.T) {
	answer := entries(1, 1, 3)
	up := &upstream{state: worth(map[string]float64{wallet(1): 1e6})}
	up.subs = func(context.Context, string) ([]hyperliquid.SubAccount, error) { return answer, nil }
	c, db := newSearch(t, 1, up)
	c.round(t)
	same(t, "named once", list(t, db, knownAccounts))
	c.search.pass(secondAnswer)
	c.round(t)
	same(t, "found", list(t, db, knownAccounts), "1 3 listed")
	answer = nil
	exec(t, db, "UPDATE wallet_accounts SET checked_at = checked_at - interval '25 hours'")
	c.round(t)
	same(t, "after none", list(t, db, knownAccounts), "1 3 listed")
	if got, _, err := c.store.Tracked(t.Context(), c.cfg.Clock.Now()); err != nil || got[0].Unreadable != reasonAccountsOld {
		t.Errorf("%+v, %v", got, err)
	}
	answer = entries(1, 3, 4, 4)
	for range 2 {
		c.search.pass(longestBackoff)
		c.round(t)
	}
	same(t, "after another list", list(t, db, knownAccounts), "1 4")

	// A list that lacks one has failed, unless that account says that it is another one's.
	of := map[string]string{sub(1, 1): wallet(1), sub(1, 2): wallet(7)}
	up.role = func(_ context.Context, account string) (hyperliquid.Role, error) {
		return hyperliquid.Role{Kind: hyperliquid.RoleSubAccount, Master: of[account]}, nil
	}
	c.healthy.Store(true)
	again := func() {
		for range 3 {
			exec(t, db, "UPDATE wallet_accounts SET checked_at = checked_at - interval '25 hours'")
			c.search.pass(longestBackoff)
			c.round(t)
		}
	}
	again()
	same(t, "one says that it is its own", list(t, db, knownAccounts), "1 4")
	// A minute that finds the list wrong all the time does not make it be asked for each minute.
	before := len(up.questions())
	for range 31 {
		c.search.readList(wallet(1), false)
		c.search.credit, c.search.credited = 0, time.Now() // no renewals
		c.round(t)
		c.search.pass(time.Minute)
	}
	if asked := len(up.questions()) - before; asked < 2*5 || asked > 2*9 { // the list, and whose the account is that it lacks
		t.Errorf("%d questions in half an hour", asked)
	}
	of[sub(1, 1)] = wallet(8)
	again()
	same(t, "none does", list(t, db, "SELECT unnest(sub_accounts) FROM wallet_accounts"), sub(1, 3), sub(1, 4))
}

// None is a failure as long as one of the accounts says that it is the wallet's own, also
// where that account is a row of the universe.
func TestNoneDoesNotPartARowFromItsMaster(t *testing.T) {
	for _, tt := range []struct {
		master string // as the account says
		want   []string
	}{{wallet(1), []string{wallet(2)}}, {"", nil}, {wallet(3), nil}, {"?", []string{wallet(2)}}} {
		up := &upstream{state: worth(map[string]float64{wallet(1): 1e6})}
		up.role = func(context.Context, string) (hyperliquid.Role, error) {
			if tt.master == "?" {
				return hyperliquid.Role{}, failing(hyperliquid.Schema) // what cannot be asked is kept
			}
			if tt.master == "" {
				return hyperliquid.Role{Kind: hyperliquid.RoleUser}, nil
			}
			return hyperliquid.Role{Kind: hyperliquid.RoleSubAccount, Master: tt.master}, nil
		}
		c, db := newSearch(t, 3, up)
		exec(t, db, "INSERT INTO wallet_accounts (wallet_id, sub_accounts, checked_at) SELECT wallet_id, CASE wallet_id WHEN $1 THEN ARRAY[$2] ELSE '{}' END, now() FROM wallet_universe_current", wallet(1), wallet(2))
		c.healthy.Store(true)
		for range 5 {
			c.search.pass(longestBackoff)
			c.round(t)
		}
		same(t, "accounts of "+tt.master, list(t, db, "SELECT unnest(sub_accounts) FROM wallet_accounts WHERE wallet_id = $1", wallet(1)), tt.want...)
	}
}

// Knowledge is renewed evenly, the longest unconfirmed first, and the unknown before.
func TestKnowledgeIsRenewedEvenly(t *testing.T) {
	up := &upstream{state: worth(nil)}
	up.subs = func(context.Context, string) ([]hyperliquid.SubAccount, error) {
		return []hyperliquid.SubAccount{}, nil
	}
	c, db := newSearch(t, 36, up)
	c.round(t) // all at once at first
	if n := len(up.questions()); n != 36 {
		t.Fatalf("%d questions", n)
	}
	for i := range 36 {
		exec(t, db, "UPDATE wallet_accounts SET checked_at = $2 WHERE wallet_id = $1", wallet(i+1), time.Now().Add(-time.Duration(i)*time.Second))
	}
	var renewed []string
	for range 36 { // six hours
		before := len(up.questions())
		c.search.pass(10 * time.Minute)
		c.round(t)
		asked := up.questions()[before:]
		if len(asked) != 1 {
			t.Fatalf("%d questions in ten minutes, want 1", len(asked))
		}
		renewed = append(renewed, strings.TrimPrefix(asked[0], "subs of "))
	}
	for i, got := range renewed {
		if want := wallet(36 - i); got != want {
			t.Fatalf("the %d. renewal is of %s, want %s", i+1, got, want)
		}
	}
}

// What was not renewed for longer than the interval, because nobody collected, is renewed
// within an hour, and evenly too.
func TestWhatIsOverdueIsRenewedWithinAnHour(t *testing.T) {
	up := &upstream{state: worth(nil)}
	up.subs = func(context.Context, string) ([]hyperliquid.SubAccount, error) {
		return []hyperliquid.SubAccount{}, nil
	}
	c, db := newSearch(t, 30, up)
	c.round(t)
	exec(t, db, "UPDATE wallet_accounts SET checked_at = $1", time.Now().Add(-8*time.Hour))
	for range 61 {
		before := len(up.questions())
		c.search.pass(time.Minute)
		c.round(t)
		if n := len(up.questions()) - before; n > 1 {
			t.Fatalf("%d questions in a minute", n)
		}
	}
	same(t, "not renewed", list(t, db, "SELECT wallet_id FROM wallet_accounts WHERE checked_at < $1", time.Now().Add(-time.Hour)))
}

// What an address is is asked only after a good run, and only of wallets that nothing
// explains; a parent vault is the sum over its children.
func TestWhatIsUnexplainedIsAskedForItsRole(t *testing.T) {
	up := &upstream{state: worth(map[string]float64{wallet(1): 1000})}
	up.role = func(_ context.Context, account string) (hyperliquid.Role, error) {
		switch account {
		case wallet(2):
			return hyperliquid.Role{Kind: hyperliquid.RoleVault}, nil
		case wallet(3):
			return hyperliquid.Role{Kind: hyperliquid.RoleSubAccount, Master: wallet(1)}, nil
		case wallet(4):
			return hyperliquid.Role{}, failing(hyperliquid.Schema)
		}
		return hyperliquid.Role{Kind: hyperliquid.RoleUser}, nil
	}
	up.vault = func(_ context.Context, vault string) (hyperliquid.Vault, error) {
		return hyperliquid.Vault{Relationship: "parent", Children: []string{sub(2, 1), sub(2, 2)}}, nil
	}
	c, db := newSearch(t, 5, up)
	for range 2 {
		c.round(t)
		c.search.pass(secondAnswer)
	}
	c.search.credit = 5 // all may be renewed
	c.round(t)
	if slices.ContainsFunc(up.questions(), func(q string) bool { return strings.HasPrefix(q, "role of ") }) {
		t.Error("roles are asked before a run was good")
	}
	c.healthy.Store(true)
	c.round(t)
	same(t, "known", list(t, db, knownAccounts), "1", "2 unexplained", "3 unexplained subAccount", "4 unexplained", "5 unexplained user")
	c.search.pass(secondAnswer)
	c.round(t) // the children are believed when they are named again
	same(t, "known", list(t, db, knownAccounts), "1", "2 2 unexplained vault", "3 unexplained subAccount", "4 unexplained", "5 unexplained user")
	got, _, err := c.store.Tracked(t.Context(), c.cfg.Clock.Now())
	if err != nil || len(got) != 5 || len(got[0].SubAccounts) != 0 || len(got[1].SubAccounts) != 2 { // what an address says moves no row
		t.Errorf("%+v, %v", got, err)
	}
	for _, q := range up.questions() {
		if q == "role of "+wallet(1) {
			t.Error("a wallet that is explained is asked for its role")
		}
	}
}

// A wallet that counts a row of the universe as its own is asked about it every ten minutes:
// until the next refresh that row is missing, by an answer that may have been wrong.
func TestWhoCountsARowIsAskedAgainSoon(t *testing.T) {
	up := &upstream{}
	c, db := newSearch(t, 3, up)
	exec(t, db, "INSERT INTO wallet_accounts (wallet_id, sub_accounts, checked_at) SELECT wallet_id, CASE wallet_id WHEN $1 THEN ARRAY[$2] ELSE '{}' END, now() FROM wallet_universe_current", wallet(1), wallet(2))
	up.subs = func(context.Context, string) ([]hyperliquid.SubAccount, error) {
		return []hyperliquid.SubAccount{{Address: wallet(2), HasState: true, State: flat(noon)}}, nil
	}
	var asked []int
	for minute := range 25 {
		before := len(up.questions())
		c.search.credit = 0 // no renewals
		c.search.credited = time.Now()
		c.round(t)
		if len(up.questions()) > before {
			asked = append(asked, minute)
		}
		c.search.pass(time.Minute)
	}
	if want := []int{0, 10, 20}; !slices.Equal(asked, want) {
		t.Errorf("asked in the minutes %d, want %d", asked, want)
	}
	if got := slices.Compact(slices.Clone(up.questions())); !slices.Equal(got, []string{"subs of " + wallet(1)}) {
		t.Errorf("asked: %q", got)
	}
}

// The children of a parent are a whole list: a new one is believed when it is named twice,
// a minute apart, and one is given up when it is lacking for ten. None at all is a failure.
func TestChildrenOfAParentAreAWholeList(t *testing.T) {
	c, db := newSearch(t, 2, &upstream{})
	exec(t, db, "INSERT INTO wallet_accounts (wallet_id, sub_accounts, checked_at, explained, role) VALUES ($1, '{}', now(), false, 'vault')", wallet(2))
	parent := func(k ...int) (accounts []string) {
		for _, i := range k {
			accounts = append(accounts, sub(2, i))
		}
		return accounts
	}
	for _, tt := range []struct {
		name   string
		said   []string
		passed time.Duration
		asked  bool // an answer, right or wrong, and no failure
		want   []string
	}{
		{"the first answer", parent(7, 8), 0, true, nil},
		{"another one", parent(1, 2), time.Hour, true, nil},
		{"the same, too soon", parent(1, 2), secondAnswer / 2, true, nil},
		{"the same, a minute later", parent(1, 2), secondAnswer / 2, true, parent(1, 2)},
		{"the same for ever", parent(1, 2), time.Hour, true, parent(1, 2)},
		{"one gone, one new", parent(2, 3), time.Hour, true, parent(1, 2)},
		{"as it was", parent(1, 2), time.Hour, true, parent(1, 2)},
		{"one gone, one new", parent(2, 3), time.Hour, true, parent(1, 2)},
		{"told again, within ten minutes", parent(2, 3), lackingFor - time.Second, true, parent(1, 2)},
		{"told again", parent(2, 3), time.Second, true, parent(2, 3)},
		{"none", nil, time.Hour, false, parent(2, 3)},
		{"none, again", nil, time.Hour, false, parent(2, 3)},
	} {
		up := &upstream{vault: func(context.Context, string) (hyperliquid.Vault, error) {
			return hyperliquid.Vault{Children: tt.said}, nil
		}}
		c.searching = up
		c.search.pass(tt.passed)
		tracked, _, err := c.store.Tracked(t.Context(), c.cfg.Clock.Now())
		if err != nil {
			t.Fatal(err)
		}
		found, err := c.findAccounts(t.Context(), tracked[1])
		if (err == nil) != tt.asked {
			t.Errorf("%s: %+v, %v", tt.name, found, err)
		}
		if found != nil {
			if err := c.store.KeepAccounts(t.Context(), wallet(2), *found, c.cfg.Clock.Now()); err != nil {
				t.Fatal(err)
			}
		}
		same(t, tt.name, list(t, db, "SELECT unnest(sub_accounts) FROM wallet_accounts WHERE wallet_id = $1 ORDER BY 1", wallet(2)), tt.want...)
	}
}

// A wallet that has left the universe and claims another one's account is asked, as what it
// is, and its claim is not kept alive by that.
func TestAClaimFromOutsideIsAskedAbout(t *testing.T) {
	left := time.Now().Add(-20 * time.Hour).Truncate(time.Second)
	for _, tt := range []struct {
		name, role string
		named      bool     // it still names the account
		asked      string   // what it is asked
		want       []string // wallets that fail in the end
	}{
		{"it was wrong", "", false, "subs of ", nil},
		{"it is right", "", true, "subs of ", []string{wallet(1)}},
		{"a parent vault", "vault", true, "children of ", []string{wallet(1)}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			up := &upstream{state: worth(map[string]float64{wallet(1): 1e6})}
			up.subs = func(_ context.Context, master string) ([]hyperliquid.SubAccount, error) {
				if master == wallet(1) || tt.named {
					return entries(1, 1, 1), nil
				}
				return nil, nil
			}
			up.vault = func(context.Context, string) (hyperliquid.Vault, error) {
				return hyperliquid.Vault{Children: []string{sub(1, 1)}}, nil
			}
			c, db := newSearch(t, 3, up)
			c.healthy.Store(true)
			exec(t, db, `INSERT INTO wallet_accounts (wallet_id, sub_accounts, checked_at) SELECT wallet_id, CASE wallet_id WHEN $1 THEN ARRAY[$2] ELSE '{}' END, now() FROM wallet_universe_current`, wallet(1), sub(1, 1))
			exec(t, db, "INSERT INTO wallet_accounts (wallet_id, sub_accounts, checked_at, role) VALUES ($1, ARRAY[$2], $3, nullif($4, ''))", wallet(9), sub(1, 1), left, tt.role)
			for range 30 {
				c.search.credit, c.search.credited = 0, time.Now() // no renewals
				c.round(t)
				c.search.pass(time.Minute)
			}
			if asked := len(slices.DeleteFunc(slices.Clone(up.questions()), func(q string) bool { return q != tt.asked+wallet(9) })); asked < 2 || asked > 4 {
				t.Errorf("asked %d times in half an hour", asked)
			}
			same(t, "confirmed", list(t, db, "SELECT (checked_at = $1)::text FROM wallet_accounts WHERE wallet_id = $2", left, wallet(9)), "true")
			wallets, _, err := c.store.Tracked(t.Context(), c.cfg.Clock.Now())
			if err != nil {
				t.Fatal(err)
			}
			var failing []string
			for _, w := range wallets {
				if w.Unreadable == reasonAccountsShared {
					failing = append(failing, w.Wallet)
				}
			}
			same(t, "shared", failing, tt.want...)
		})
	}
}

// While no run can reach 80 % the search has the whole budget, and nobody asks for states
// that no run could use.
func TestTheSearchGoesFirstWhileNoRunCanBeGood(t *testing.T) {
	up := &upstream{}
	c, db := newSearch(t, 10, up)
	c.stand(t, db)
	for known := range 11 {
		exec(t, db, "DELETE FROM wallet_accounts")
		for i := range known {
			exec(t, db, "INSERT INTO wallet_accounts (wallet_id, sub_accounts, checked_at) VALUES ($1, '{}', $2)", wallet(i+1), noon)
		}
		before := len(up.questions())
		at := minute(known)
		present(t, db, at)
		m, err := c.collect(t.Context(), at)
		if err != nil {
			t.Fatal(err)
		}
		asked, want := len(up.questions())-before, known
		if known < 8 {
			want = 0
		}
		if asked != want || (up.reserved > 0) != (known >= 8) || (m.Run.Status == Failed) != (known < 8) {
			t.Errorf("%d of 10 known: %d states asked for, %d reserved, %s", known, asked, up.reserved, m.Run.Status)
		}
		if known < 8 && m.Run.Failures[reasonAccountsUnknown] != 10-known {
			t.Errorf("%d of 10 known: %v", known, m.Run.Failures)
		}
	}
}

// A minute that reads a list confirms it, and what it tells of is kept.
func TestAMinuteConfirmsTheListsThatItReads(t *testing.T) {
	up := &upstream{state: worth(nil)}
	named := 11
	up.subs = func(context.Context, string) ([]hyperliquid.SubAccount, error) { return entries(1, 1, named), nil }
	c, db := newSearch(t, 1, up)
	c.stand(t, db)
	exec(t, db, "INSERT INTO wallet_accounts (wallet_id, sub_accounts, checked_at, listed) SELECT $1, array_agg(format('0x5b%s%s', lpad('1', 34, '0'), lpad(to_hex(k), 4, '0'))), $2, true FROM generate_series(1, 11) k", wallet(1), noon.Add(-2*time.Hour))
	c.search.credited = time.Now()
	c.cycle(t.Context(), noon)
	same(t, "runs", list(t, db, storedRuns), "12:00:00 success 1/1 {}")
	c.round(t)
	known := func(want string) {
		t.Helper()
		same(t, "known", list(t, db, "SELECT concat_ws(' ', array_length(sub_accounts, 1), checked_at > $1) FROM wallet_accounts", noon.Add(-time.Minute)), want)
	}
	known("11 t")

	// A new one is neither added nor passed over: it is asked about at once, and believed
	// when it is named again a minute later.
	named = 12
	for _, want := range []string{"11 t", "12 t"} {
		m, err := c.collect(t.Context(), noon)
		if err != nil || m.Run.Failures[reasonAccountsChanged] != 1 {
			t.Errorf("%v, %v", m.Run.Failures, err)
		}
		stands := c.cfg.Clock
		c.cfg.Clock = clock.Clock{}                        // the search goes by the time that passes
		c.search.credit, c.search.credited = 0, time.Now() // no renewals
		c.round(t)
		c.cfg.Clock = stands
		known(want)
		exec(t, db, "UPDATE wallet_accounts SET checked_at = $1", noon)
		c.search.pass(secondAnswer)
	}
	if m, err := c.collect(t.Context(), noon); err != nil || len(m.Run.Failures) > 0 {
		t.Errorf("%v, %v", m.Run.Failures, err)
	}
}

// The announcement is made once, and what is left is said each minute.
func TestAFirstStartSaysHowLongItTakes(t *testing.T) {
	up := &upstream{state: worth(map[string]float64{wallet(1): 1000})}
	c, db := newSearch(t, 200, up)
	up.subs = func(context.Context, string) ([]hyperliquid.SubAccount, error) {
		return nil, failing(hyperliquid.ServerError)
	}
	c.round(t)
	announced := list(t, db, "SELECT announced_seconds::text FROM account_search")[0]
	var seconds float64
	if _, err := fmt.Sscan(announced, &seconds); err != nil || seconds < 6*60 || seconds > 9*60 {
		t.Errorf("a first start of 200 wallets is said to take %s s, %v", announced, err)
	}
	same(t, "progress", list(t, db, "SELECT known || ' of ' || wallets || CASE WHEN ended_at IS NULL THEN '' ELSE ' ended' END FROM account_search"), "0 of 200")
	exec(t, db, "INSERT INTO wallet_accounts (wallet_id, sub_accounts, checked_at) SELECT wallet_id, '{}', now() FROM wallet_universe_current")
	c.round(t)
	c.firstGood(t.Context())
	same(t, "progress", list(t, db, "SELECT known || ' of ' || wallets || CASE WHEN ended_at IS NULL THEN '' ELSE ' ended' END || (announced_seconds = $1::float8) FROM account_search", seconds), "200 of 200 endedtrue")
}

// One wrong list takes no wallet out of the universe, and one that was given twice is
// taken back by two right ones: nobody has to mend anything by hand.
func TestAWrongListMovesNothingForGood(t *testing.T) {
	own := func(n, k int) hyperliquid.SubAccount {
		return hyperliquid.SubAccount{Address: sub(n, k), HasState: true, State: flat(noon)}
	}
	row := func(n int) hyperliquid.SubAccount {
		return hyperliquid.SubAccount{Address: wallet(n), HasState: true, State: flat(noon)}
	}
	right := map[string][]hyperliquid.SubAccount{wallet(1): {own(1, 1), own(1, 2)}, wallet(2): {own(2, 1)}, wallet(3): entries(3, 1, 2*mostAsked+1)}
	for name, lies := range map[string]map[string][]hyperliquid.SubAccount{
		"a row of the universe":             {wallet(5): {row(9)}},
		"half of the universe":              {wallet(5): {row(6), row(7), row(8), row(9), row(10)}},
		"another one's account":             {wallet(5): {own(1, 1)}},
		"its own, and another one's":        {wallet(2): {own(2, 1), own(1, 2)}},
		"two that name each other":          {wallet(5): {row(6)}, wallet(6): {row(5)}},
		"many, in all of these ways":        {wallet(5): {own(1, 1)}, wallet(2): {own(2, 1), own(1, 2)}, wallet(7): {row(8)}, wallet(8): {row(7)}},
		"another one's, of one that has it": {wallet(1): {own(1, 1), own(1, 2), own(2, 1)}},
		"its own, and many of nobody's":     {wallet(2): append(entries(11, 1, 2*mostAsked+1), own(2, 1))}, // given up in parts
		"many of another one's":             {wallet(5): right[wallet(3)]},                                 // … also by one that has none
	} {
		for _, times := range []int{1, 4, -4} { // below 0: before the first good run
			t.Run(fmt.Sprintf("%s, %d times", name, times), func(t *testing.T) {
				healthy := times > 0
				times := max(times, -times)
				lying := map[string]int{}
				var asking sync.Mutex // for several at a time
				up := &upstream{state: worth(nil)}
				up.subs = func(_ context.Context, master string) ([]hyperliquid.SubAccount, error) {
					asking.Lock()
					defer asking.Unlock()
					if list := lies[master]; list != nil && lying[master] > 0 {
						lying[master]--
						return list, nil
					}
					return right[master], nil
				}
				up.role = func(_ context.Context, account string) (hyperliquid.Role, error) {
					for master, list := range right {
						if slices.ContainsFunc(list, func(a hyperliquid.SubAccount) bool { return a.Address == account }) {
							return hyperliquid.Role{Kind: hyperliquid.RoleSubAccount, Master: master}, nil
						}
					}
					return hyperliquid.Role{Kind: hyperliquid.RoleUser}, nil
				}
				c, db := newSearch(t, 10, up)
				c.healthy.Store(healthy)
				round := func(n int) {
					for range n {
						c.round(t)
						c.search.pass(secondAnswer)
					}
				}
				known := "SELECT wallet_id || ' ' || array_to_string(sub_accounts, ' ') FROM wallet_accounts ORDER BY wallet_id"
				round(3)
				want := list(t, db, known)
				if len(want) != 10 {
					t.Fatalf("%q", want)
				}
				for master := range lies {
					lying[master] = times
				}
				due := func() {
					exec(t, db, "UPDATE wallet_accounts SET checked_at = checked_at - interval '12 hours'")
					c.search.credit = 10
				}
				for range max(times, 3) {
					due()
					round(1)
				}
				if times == 1 {
					same(t, "after a lie", list(t, db, known), want...)
				} else if got := list(t, db, known); slices.Equal(got, want) {
					t.Error("what was said again and again is not believed")
				}
				count := func() (all, read int) {
					wallets, _, err := c.store.Tracked(t.Context(), c.cfg.Clock.Now())
					if err != nil {
						t.Fatal(err)
					}
					return len(wallets), readable(wallets)
				}
				for range 30 {
					exec(t, db, "UPDATE wallet_accounts SET checked_at = greatest(checked_at, whalegate_now() - interval '7 hours')")
					c.search.credit = 10
					round(1)
					if _, read := count(); read == 10 {
						c.healthy.Store(true) // a minute can be good
					}
				}
				same(t, "after the truth", list(t, db, known), want...)
				if all, read := count(); all != 10 || read != 10 {
					t.Errorf("%d wallets, %d of them can be read", all, read)
				}
			})
		}
	}
}
