package collector

import (
	"context"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/whalegate/whalegate/collector/hyperliquid"
	"github.com/whalegate/whalegate/internal/asset"
)

// truth is a collector whose exchange answers what the test says, minute by minute.
type truth struct {
	*testing.T
	db    *pgxpool.Pool
	c     *Collector
	up    *upstream
	now   int                         // minutes after noon
	sizes map[string][asset.Count]int // of wallets, in whole units
}

// tellTruth has n wallets that hold different sizes of every asset.
func tellTruth(t *testing.T, n int) *truth {
	t.Helper()
	db, _ := database(t, noon)
	exec(t, db, "SELECT ensure_snapshot_partitions($1::date, ($1::timestamptz + interval '3 days')::date)", noon)
	enrol(t, db, n)
	w := &truth{T: t, db: db, now: -1, sizes: map[string][asset.Count]int{}}
	for i := 1; i <= n; i++ {
		w.sizes[wallet(i)] = [asset.Count]int{1000 * i, 10 + i, 100 + 3*i}
	}
	w.up = &upstream{state: func(_ context.Context, account string) (hyperliquid.State, error) {
		s := hyperliquid.State{Time: minute(w.now)}
		held, ok := w.sizes[account]
		if !ok {
			return s, failing(hyperliquid.ServerError)
		}
		s.Positions = positions(fmt.Sprint(held[0]), fmt.Sprint(held[1]), fmt.Sprint(held[2]))
		return s, nil
	}}
	w.c = collecting(t, db, w.up, nil)
	return w
}

// minute runs the next cycle and tells what became of it.
func (w *truth) minute() string {
	w.Helper()
	return w.minuteAfter(1)
}

// minuteAfter runs a cycle some minutes later.
func (w *truth) minuteAfter(minutes int) string {
	w.Helper()
	w.now += minutes
	present(w, w.db, minute(w.now))
	w.c.cfg.Clock = frozen(w, minute(w.now).Add(5*time.Second))
	w.c.cycle(w.Context(), minute(w.now))
	return list(w, w.db, "SELECT concat_ws(' ', status, failed_check, failed_subject) FROM ingest_runs WHERE timestamp = $1", minute(w.now))[0]
}

func (w *truth) want(got, want string) {
	w.Helper()
	if got != want {
		w.Errorf("minute %d: %q, want %q: %v", w.now, got, want, list(w, w.db, "SELECT error FROM ingest_runs ORDER BY timestamp DESC LIMIT 1"))
	}
}

// change changes the size that n wallets hold of an asset.
func (w *truth) change(n int, a asset.Asset, to func(int) int) {
	for i := 1; i <= n; i++ {
		held := w.sizes[wallet(i)]
		held[a] = to(held[a])
		w.sizes[wallet(i)] = held
	}
}

func zero(int) int { return 0 }

const baselineRows = "SELECT concat_ws(' ', subject, affected || '/' || holders, to_char(opened_ts AT TIME ZONE 'UTC', 'HH24:MI'), to_char(ended_ts AT TIME ZONE 'UTC', 'HH24:MI'), accepted_by) FROM baselines ORDER BY id"

func TestS10ARunOfOneStateForAllFails(t *testing.T) {
	w := tellTruth(t, 30)
	w.want(w.minute(), "success")
	for i := 1; i <= 30; i++ {
		w.sizes[wallet(i)] = [asset.Count]int{1000, 11, 103}
	}
	w.want(w.minute(), "failed S10 same_state")
	same(t, "failed checks", list(t, w.db, "SELECT DISTINCT check_id || ' ' || subject FROM qa_events WHERE check_id = 'S10'"), "S10 same_state")
}

// What happened to everybody at once fails every run until the sizes are back, whatever
// happens meanwhile.
func TestS11StaysOpenUntilTheSizesAreBack(t *testing.T) {
	for _, meanwhile := range []struct {
		name string
		do   func(w *truth)
	}{
		{"nothing", func(*truth) {}},
		{"a restart", func(w *truth) { w.c.forget() }},
		{"an hour", func(w *truth) { w.want(w.minuteAfter(60), "failed S11 mass_close:BTC") }},
		{"a day and a half", func(w *truth) {
			exec(w, w.db, "UPDATE wallet_accounts SET checked_at = checked_at + interval '1 day'")
			w.want(w.minuteAfter(36*60), "failed S11 mass_close:BTC")
		}},
		{"the rows of before are pruned", func(w *truth) {
			exec(w, w.db, "DELETE FROM wallet_snapshots WHERE timestamp < $1", minute(w.now))
			w.c.forget()
		}},
	} {
		t.Run(meanwhile.name, func(t *testing.T) {
			w := tellTruth(t, 30)
			for range 3 {
				w.want(w.minute(), "success")
			}
			old := maps.Clone(w.sizes)
			w.change(16, asset.BTC, zero)
			w.want(w.minute(), "failed S11 mass_close:BTC")
			w.want(w.minute(), "failed S11 mass_close:BTC")
			same(t, "baselines", list(t, w.db, baselineRows), "mass_close:BTC 16/30 12:03")
			meanwhile.do(w)
			w.want(w.minute(), "failed S11 mass_close:BTC")
			w.sizes = old
			w.want(w.minute(), "success")
			if got := list(t, w.db, baselineRows); len(got) != 1 || !strings.HasPrefix(got[0], "mass_close:BTC 16/30 12:03 ") {
				t.Errorf("%q", got)
			}
			w.want(w.minute(), "success")
		})
	}
}

// Another wrong answer that shows nothing of S11 ends no failure: the sizes have to be back.
func TestS11IsNotEndedByAnotherLie(t *testing.T) {
	flat := func(w *truth) { w.change(30, asset.BTC, zero) }
	twice := func(w *truth) { w.change(30, asset.BTC, func(n int) int { return 2 * n }) }
	for name, lie := range map[string]struct {
		first func(w *truth)
		kind  string
		then  func(i, n int) int // of the wallet i that really holds n
	}{
		"crumbs, after all were flat":            {flat, "mass_close", func(i, n int) int { return n*(12+i%20)/1000 + 1 }},
		"half of them flat, after all were":      {flat, "mass_close", func(i, n int) int { return n * (i % 2) }},
		"crumbs, after twice the sizes":          {twice, "rescaled", func(i, n int) int { return n*(12+i%20)/1000 + 1 }},
		"the next one's, after twice the sizes":  {twice, "rescaled", func(i, n int) int { return 1 + n*(1+i%7)*(1+i%5)/4 }},
		"a third of each, after twice the sizes": {twice, "rescaled", func(i, n int) int { return n * (30 + i) / 100 }},
		"the other side, each by its own, later": {flat, "mass_close", func(i, n int) int { return -n * (60 + i) / 100 }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := tellTruth(t, 30)
			for range 3 {
				w.want(w.minute(), "success")
			}
			old := maps.Clone(w.sizes)
			lie.first(w)
			w.want(w.minute(), "failed S11 "+lie.kind+":BTC")
			for i := 1; i <= 30; i++ {
				held := old[wallet(i)]
				held[asset.BTC] = lie.then(i, held[asset.BTC])
				w.sizes[wallet(i)] = held
			}
			for range 3 {
				w.want(w.minute(), "failed S11 "+lie.kind+":BTC")
			}
			w.sizes = old
			w.want(w.minute(), "success")
		})
	}
}

// Each kind, in one minute and gradually within ten; and what markets do is no failure.
func TestS11InAMinuteAndGradually(t *testing.T) {
	t.Run("rescaled", func(t *testing.T) {
		w := tellTruth(t, 30)
		w.want(w.minute(), "success")
		w.change(30, asset.ETH, func(n int) int { return 10 * n })
		w.want(w.minute(), "failed S11 rescaled:ETH")
	})
	t.Run("rescaled, while wallets trade on", func(t *testing.T) {
		for _, restart := range []bool{false, true} {
			w := tellTruth(t, 30)
			w.want(w.minute(), "success")
			old := maps.Clone(w.sizes)
			w.change(30, asset.ETH, func(n int) int { return 10 * n })
			w.want(w.minute(), "failed S11 rescaled:ETH")
			for i := 1; i <= 30; i += 5 { // each by its own factor
				for k := range 5 {
					held := w.sizes[wallet(i+k)]
					held[asset.ETH] = held[asset.ETH]*(20+i+k)/30 + 1
					w.sizes[wallet(i+k)] = held
				}
				if restart {
					w.c.forget()
				}
				w.want(w.minute(), "failed S11 rescaled:ETH")
			}
			for id, held := range w.sizes {
				held[asset.ETH] = old[id][asset.ETH] * 4 / 3
				w.sizes[id] = held
			}
			for i := 1; i <= 16; i++ {
				w.sizes[wallet(i)] = old[wallet(i)]
			}
			w.want(w.minute(), "success")
		}
	})
	t.Run("mass open", func(t *testing.T) {
		w := tellTruth(t, 30)
		w.change(20, asset.HYPE, zero)
		w.want(w.minute(), "success")
		for i := 1; i <= 20; i++ {
			w.sizes[wallet(i)] = [asset.Count]int{17 * i, w.sizes[wallet(i)][1], w.sizes[wallet(i)][2]}
		}
		w.want(w.minute(), "failed S11 mass_open:HYPE")
	})
	t.Run("gradually", func(t *testing.T) {
		w := tellTruth(t, 30)
		w.want(w.minute(), "success")
		for n := 4; n <= 12; n += 4 { // 4, 8, 12 of 30
			w.change(n, asset.BTC, zero)
			w.want(w.minute(), "success")
		}
		w.change(16, asset.BTC, zero)
		w.want(w.minute(), "failed S11 mass_close:BTC")
		for range 12 { // the ten minutes pass
			w.want(w.minute(), "failed S11 mass_close:BTC")
		}
	})
	t.Run("over an hour", func(t *testing.T) {
		w := tellTruth(t, 30)
		w.want(w.minute(), "success")
		for n := 1; n <= 30; n++ {
			w.change(n, asset.BTC, zero)
			for range 2 {
				w.want(w.minute(), "success")
			}
		}
	})
	t.Run("what markets do", func(t *testing.T) {
		w := tellTruth(t, 30)
		for n := range 20 {
			w.want(w.minute(), "success")
			w.change(14, asset.BTC, func(size int) int { return (size + 3 + n) * 2 / 3 })
		}
	})
	t.Run("after an outage of a day the level of before counts", func(t *testing.T) {
		w := tellTruth(t, 30)
		w.want(w.minute(), "success")
		exec(t, w.db, "UPDATE wallet_accounts SET checked_at = checked_at + interval '1 day'")
		w.change(16, asset.BTC, zero)
		w.c.forget()
		w.want(w.minuteAfter(30*60), "failed S11 mass_close:BTC")
	})
}

// Nobody but a person accepts a level: the present sizes, and no others.
func TestS11AnAcceptedLevelIsTheBaseline(t *testing.T) {
	w := tellTruth(t, 30)
	w.want(w.minute(), "success")
	if _, err := w.db.Exec(t.Context(), "SELECT accept_baseline('BTC', 'ann', 'why')"); err == nil || !strings.Contains(err.Error(), "nothing to accept") {
		t.Errorf("a level was accepted while no failure is open: %v", err)
	}
	w.change(30, asset.BTC, zero)
	w.change(20, asset.ETH, zero)
	w.want(w.minute(), "failed S11 mass_close:BTC")
	same(t, "baselines", list(t, w.db, baselineRows), "mass_close:BTC 30/30 12:01", "mass_close:ETH 20/30 12:01")
	// Sizes that another check has just refuted are no level.
	held := maps.Clone(w.sizes)
	for i := 1; i <= 30; i++ {
		w.sizes[wallet(i)] = [asset.Count]int{6000, 11, 103}
	}
	w.want(w.minute(), "failed S10 same_state")
	if _, err := w.db.Exec(t.Context(), "SELECT accept_baseline('BTC', 'ann', 'why')"); err == nil || !strings.Contains(err.Error(), "failed by S10") {
		t.Errorf("a level was accepted of one state for all: %v", err)
	}
	w.sizes = held
	w.want(w.minute(), "failed S11 mass_close:BTC")
	exec(t, w.db, "SELECT accept_baseline('BTC', 'ann', 'a cascade, as three exchanges say')")
	w.want(w.minute(), "failed S11 mass_close:ETH")
	exec(t, w.db, "SELECT accept_baseline('ETH', 'ann', 'the same')")
	w.want(w.minute(), "success")
	w.c.forget()
	w.want(w.minute(), "success")
	same(t, "baselines", list(t, w.db, baselineRows), "mass_close:BTC 30/30 12:01 12:03 ann", "mass_close:ETH 20/30 12:01 12:04 ann")
	// The level is that of then: what happens next is held against it.
	w.change(10, asset.ETH, func(n int) int { return 50 })
	for i := 1; i <= 20; i++ {
		held := w.sizes[wallet(i)]
		held[asset.ETH] = 31 * i
		w.sizes[wallet(i)] = held
	}
	w.want(w.minute(), "failed S11 mass_open:ETH")
}

// Ten of those that tell must be left in the universe for an open failure to end.
func TestS11AnOpenFailureDoesNotEndForLackOfWallets(t *testing.T) {
	w := tellTruth(t, 20)
	for i := 13; i <= 20; i++ { // 12 hold BTC
		w.sizes[wallet(i)] = [asset.Count]int{1000 * i, 0, 100 + 3*i}
	}
	w.want(w.minute(), "success")
	held := maps.Clone(w.sizes)
	w.change(12, asset.BTC, zero)
	w.want(w.minute(), "failed S11 mass_close:BTC")
	exec(t, w.db, "DELETE FROM wallet_universe_current WHERE rank <= 3")
	w.sizes = held // those that are left are back
	w.want(w.minute(), "failed S11 mass_close:BTC")
	exec(t, w.db, "SELECT accept_baseline('BTC', 'ann', 'looked at')")
	w.want(w.minute(), "success")
}

// A wallet that comes back into the universe is held against what it held, also when
// another process led when it left.
func TestS11WalletsThatComeBackHaveABaseline(t *testing.T) {
	w := tellTruth(t, 30)
	for i := 1; i <= 20; i++ {
		w.sizes[wallet(i)] = [asset.Count]int{1000 * i, 0, 100 + 3*i}
	}
	w.want(w.minute(), "success")
	exec(t, w.db, "DELETE FROM wallet_universe_current WHERE rank <= 20")
	w.c.forget()
	for range 12 {
		w.want(w.minute(), "success")
	}
	exec(t, w.db, "INSERT INTO wallet_universe_current (wallet_id, rank, month_pnl, as_of_ts) SELECT wallet_id, row_number() OVER (ORDER BY wallet_id), 0, $1 FROM wallet_accounts WHERE wallet_id NOT IN (SELECT wallet_id FROM wallet_universe_current)", noon)
	for i := 1; i <= 20; i++ {
		w.sizes[wallet(i)] = [asset.Count]int{1000 * i, 31 * i, 100 + 3*i}
	}
	w.want(w.minute(), "failed S11 mass_open:BTC")
}

func TestS12TheExchangeKnowsOurCoins(t *testing.T) {
	w := tellTruth(t, 12)
	answer, failure := listed(), error(nil)
	w.up.meta = func(context.Context) (hyperliquid.Meta, error) { return hyperliquid.Meta{Coins: answer}, failure }
	failure = failing(hyperliquid.Timeout)
	w.want(w.minute(), "failed S12 meta:unanswered")
	failure = nil
	w.want(w.minute(), "failed S12 meta:unanswered") // it is asked every five minutes
	w.want(w.minuteAfter(4), "success")
	answer[asset.BTC] = hyperliquid.Coin{}
	w.want(w.minute(), "success")
	w.want(w.minuteAfter(4), "failed S12 meta:BTC")
	answer = listed()
	answer[asset.ETH].Delisted = true
	w.want(w.minuteAfter(5), "failed S12 meta:ETH")
	answer = listed()
	answer[asset.HYPE].SizeDecimals = 3
	w.want(w.minuteAfter(5), "failed S12 meta:HYPE")
	answer = listed()
	answer[asset.HYPE].Twice = true
	w.want(w.minuteAfter(5), "failed S12 meta:HYPE")
	w.c.forget()
	w.want(w.minute(), "failed S12 meta:HYPE")
	same(t, "said", list(t, w.db, "SELECT asset || ': ' || wrong FROM facts.coins WHERE wrong IS NOT NULL"), "HYPE: listed twice")
	answer = listed()
	w.want(w.minuteAfter(5), "success")
	failure = failing(hyperliquid.Timeout)
	exec(t, w.db, "UPDATE wallet_accounts SET checked_at = checked_at + interval '1 day'")
	w.want(w.minuteAfter(24*60), "success") // what it said last counts for a day
	w.c.forget()                            // … also after a restart
	w.want(w.minute(), "failed S12 meta:unanswered")
}

// A coin that was renamed looks as if everybody had closed: the cause is named.
func TestS12IsAskedWhenS11Fails(t *testing.T) {
	w := tellTruth(t, 12)
	answer := listed()
	w.up.meta = func(context.Context) (hyperliquid.Meta, error) { return hyperliquid.Meta{Coins: answer}, nil }
	w.want(w.minute(), "success")
	answer[asset.BTC] = hyperliquid.Coin{}
	w.change(12, asset.BTC, zero)
	w.want(w.minute(), "failed S12 meta:BTC")
	same(t, "baselines", list(t, w.db, baselineRows), "mass_close:BTC 12/12 12:01")
}
