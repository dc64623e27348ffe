package collector

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/whalegate/whalegate/collector/hyperliquid"
	"github.com/whalegate/whalegate/internal/postgres/pgtest"
)

// board is a leaderboard of the wallets first to last.
func board(first, last int) hyperliquid.Leaderboard {
	b := hyperliquid.Leaderboard{RowsRead: 1000, RowsSkipped: 7}
	for i := first; i <= last; i++ {
		b.Entries = append(b.Entries, hyperliquid.Entry{Wallet: wallet(i), MonthPnL: fmt.Sprint(1000 - i), MonthROI: "0.5"})
	}
	return b
}

// refreshing plays one answer of the leaderboard after the other.
type refreshing struct {
	db    *pgxpool.Pool
	c     *Collector
	next  hyperliquid.Leaderboard
	err   error
	known []hyperliquid.Validators // what came with each request
}

func newRefreshing(t *testing.T) *refreshing {
	r := &refreshing{db: pgtest.New(t)}
	r.c = collecting(t, r.db, r.upstream(), nil)
	return r
}

func (r *refreshing) upstream() *upstream {
	return &upstream{board: func(_ context.Context, _ int, known hyperliquid.Validators) (hyperliquid.Leaderboard, error) {
		r.known = append(r.known, known)
		return r.next, r.err
	}}
}

func (r *refreshing) refresh(t *testing.T, b hyperliquid.Leaderboard, failure error) UniverseRun {
	t.Helper()
	r.next, r.err = b, failure
	run, err := r.c.Refresh(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	stored, ok, err := r.c.store.LastUniverseRun(t.Context())
	if err != nil || !ok || stored.Status != run.Status || stored.ChurnWarnings != run.ChurnWarnings {
		t.Fatalf("the newest stored run is %+v, %v; want %+v", stored, err, run)
	}
	return stored
}

// universe lists the universe by rank.
func (r *refreshing) universe(t *testing.T) []string {
	return list(t, r.db, "SELECT rank || ':' || ltrim(substr(wallet_id, 3), '0') FROM wallet_universe_current ORDER BY rank")
}

func ranked(first, last int) (ids []string) {
	for i := first; i <= last; i++ {
		ids = append(ids, fmt.Sprintf("%d:%x", i-first+1, i))
	}
	return ids
}

func TestARefreshReplacesTheUniverseAndKeepsItsHistory(t *testing.T) {
	r := newRefreshing(t)
	first := r.refresh(t, board(1, 10), nil)
	same(t, "universe", r.universe(t), ranked(1, 10)...)
	if first.Entered != 0 || first.Exited != 0 || first.RowsRead != 1000 || first.RowsSkipped != 7 || first.Requested != 10 || first.Received != 10 || first.Source != "stats-data" {
		t.Errorf("the first run is %+v", first)
	}
	select {
	case <-r.c.refreshed:
	default:
		t.Error("the search for sub-accounts is not told")
	}
	second := r.refresh(t, board(2, 11), nil)
	same(t, "universe", r.universe(t), ranked(2, 11)...)
	if second.Entered != 1 || second.Exited != 1 || second.Status != Success || second.Error != nil {
		t.Errorf("the second run is %+v", second)
	}
	same(t, "history", list(t, r.db, `SELECT concat_ws(' ', row_number() OVER (ORDER BY run_id), count(*), min(rank), max(rank), min(wallet_id) = $1)
		FROM wallet_universe_members GROUP BY run_id ORDER BY run_id`, wallet(1)), "1 10 1 10 t", "2 10 1 10 f")
	same(t, "numbers", list(t, r.db, "SELECT concat_ws(' ', month_pnl, month_roi, account_value IS NULL, as_of_ts = $2) FROM wallet_universe_current WHERE wallet_id = $1", wallet(2), second.AsOf), "998 0.5 t t")
}

// refused plays an answer that has to leave the universe alone.
func refused(t *testing.T, check string, b hyperliquid.Leaderboard, failure error) {
	t.Helper()
	r := newRefreshing(t)
	r.refresh(t, board(1, 10), nil)
	run := r.refresh(t, b, failure)
	if run.Status != Failed || run.Error == nil {
		t.Fatalf("the run is %+v, want it failed with its error", run)
	}
	contains(t, "error", *run.Error, check)
	same(t, "universe", r.universe(t), ranked(1, 10)...)
	same(t, "history", list(t, r.db, "SELECT DISTINCT status FROM wallet_universe_members JOIN wallet_universe_runs USING (run_id)"), "success")
	if check[0] == 'U' {
		same(t, "events", list(t, r.db, storedEvents), check+" error universe x1")
	}
	if next := r.refresh(t, board(2, 11), nil); next.Status != Success {
		t.Errorf("the refresh after it is %+v", next)
	}
}

func TestU1AnEmptyAnswerKeepsTheUniverse(t *testing.T) {
	refused(t, "U1", hyperliquid.Leaderboard{RowsRead: 50, RowsSkipped: 50}, nil)
}

func TestU2AShortAnswerKeepsTheUniverse(t *testing.T) { refused(t, "U2", board(1, 8), nil) }

func TestU4ADoubtfulAnswerKeepsTheUniverse(t *testing.T) {
	twice := board(1, 10)
	twice.Entries[9].Wallet = wallet(1)
	refused(t, "U4", twice, nil)
	hostile := board(1, 10)
	hostile.Entries[3].Wallet = "0x'; DROP TABLE wallet_universe_current; --"
	refused(t, "U4", hostile, nil)
}

func TestAFailedLeaderboardKeepsTheUniverse(t *testing.T) {
	refused(t, "server_error", hyperliquid.Leaderboard{}, failing(hyperliquid.ServerError))
	refused(t, "schema", hyperliquid.Leaderboard{}, failing(hyperliquid.Schema))
}

func TestTheLeaderboardIsTriedThreeTimes(t *testing.T) {
	r := newRefreshing(t)
	for failure, want := range map[hyperliquid.Failure]int{hyperliquid.ServerError: 3, hyperliquid.RateLimited: 3, hyperliquid.Schema: 1, hyperliquid.Rejected: 1} {
		r.known = nil
		r.refresh(t, hyperliquid.Leaderboard{}, failing(failure))
		if len(r.known) != want {
			t.Errorf("%s: asked %d times, want %d", failure, len(r.known), want)
		}
	}
}

// Each refresh is followed through its count of warnings, and what failed
// before the churn was known neither adds to it nor resets it.
func TestU5TheThirdChurnInARowKeepsTheUniverse(t *testing.T) {
	r := newRefreshing(t)
	for i, tt := range []struct {
		first, last int // 0: the leaderboard fails
		status      Status
		warnings    int
	}{
		{1, 10, Success, 0},
		{3, 12, Success, 1}, // 40 %
		{0, 0, Failed, 1},
		{5, 14, Success, 2},
		{1, 3, Failed, 2}, // too few: U2
		{7, 16, Failed, 3},
		{7, 16, Failed, 4},
		{6, 15, Success, 0}, // 20 % of the universe that stayed
		{8, 17, Success, 1},
	} {
		before := r.universe(t)
		b, failure := hyperliquid.Leaderboard{}, failing(hyperliquid.ServerError)
		if tt.first > 0 {
			b, failure = board(tt.first, tt.last), nil
		}
		run := r.refresh(t, b, failure)
		if run.Status != tt.status || run.ChurnWarnings != tt.warnings {
			t.Fatalf("step %d: %+v, want %s with %d warnings", i, run, tt.status, tt.warnings)
		}
		if tt.status == Success {
			same(t, "universe", r.universe(t), ranked(tt.first, tt.last)...)
		} else {
			same(t, "universe", r.universe(t), before...)
		}
	}
	same(t, "events", list(t, r.db, storedEvents), "U2 error universe x1", "U5 error universe x2", "U5 warning universe x3")
}

// A change of the size is not churn, not even when the first refresh of the new
// size fails.
func TestU5AnotherSizeIsNoChurn(t *testing.T) {
	r := newRefreshing(t)
	r.refresh(t, board(1, 10), nil)
	for _, size := range []int{20, 5, 10} {
		for _, failFirst := range []bool{false, true} {
			r.c = collecting(t, r.db, r.upstream(), func(cfg *Config) { cfg.UniverseSize = size })
			if failFirst {
				size += 2
				r.c = collecting(t, r.db, r.upstream(), func(cfg *Config) { cfg.UniverseSize = size })
				r.refresh(t, hyperliquid.Leaderboard{}, failing(hyperliquid.ServerError))
			}
			if run := r.refresh(t, board(1, size), nil); run.Status != Success || run.ChurnWarnings != 0 || run.Entered+run.Exited != 0 {
				t.Errorf("size %d, after a failure %t: %+v", size, failFirst, run)
			}
			same(t, "universe", r.universe(t), ranked(1, size)...)
		}
	}
}

func TestAnUnchangedLeaderboardKeepsTheUniverse(t *testing.T) {
	r := newRefreshing(t)
	v := hyperliquid.Validators{ETag: `"one"`, LastModified: "yesterday"}
	b := board(1, 10)
	b.Validators = v
	r.refresh(t, b, nil)
	unchanged := hyperliquid.Leaderboard{NotModified: true, Validators: v}
	for range 2 {
		run := r.refresh(t, unchanged, nil)
		if run.Status != Success || run.Received != 10 || run.Entered+run.Exited != 0 {
			t.Errorf("%+v, want a success of all ten", run)
		}
		same(t, "universe", r.universe(t), ranked(1, 10)...)
	}
	same(t, "as of the newest", list(t, r.db, "SELECT DISTINCT (as_of_ts = (SELECT max(as_of_ts) FROM wallet_universe_runs))::text FROM wallet_universe_current"), "true")
	// A refused body is not what the universe was made from.
	short := board(1, 3)
	short.Validators = hyperliquid.Validators{ETag: `"short"`}
	r.refresh(t, short, nil)
	r.refresh(t, unchanged, nil)
	// Without a universe there is nothing to be unchanged.
	exec(t, r.db, "DELETE FROM wallet_universe_current")
	r.refresh(t, b, nil)
	if want := []hyperliquid.Validators{{}, v, v, v, v, {}}; !slices.Equal(r.known, want) {
		t.Errorf("asked with %v, want %v", r.known, want)
	}
}

// The refresh that a clock which was ahead has dated is of no known age, and whatever
// was written after it is newer.
func TestARefreshFromTheFutureIsFollowedByOneAtOnce(t *testing.T) {
	db, s := database(t, noon)
	enrol(t, db, 2)
	keep := func(asOf time.Time, requested int) {
		t.Helper()
		run := UniverseRun{AsOf: asOf, Status: Success, Source: Source, Requested: requested, Received: 2, ChurnWarnings: requested}
		if err := s.KeepUniverseRun(t.Context(), run, members(1, 2)); err != nil {
			t.Fatal(err)
		}
	}
	c := collecting(t, db, &upstream{}, nil)
	for _, tt := range []struct {
		asOf time.Time
		want time.Duration // from some seconds after noon
	}{
		{minute(-60), 5 * time.Hour},
		{minute(1), 6*time.Hour + time.Minute},
		{minute(2), 0},
		{noon.AddDate(1, 0, 0), 0},
		{minute(-1), 6*time.Hour - time.Minute}, // the newest is the one that was written last
	} {
		keep(tt.asOf, 2)
		if got, err := c.untilRefresh(t.Context()); err != nil || got.Round(time.Minute) != tt.want {
			t.Errorf("a refresh as of %s: the next in %s, %v; want %s", tt.asOf, got, err, tt.want)
		}
	}
	keep(minute(-30), 3)
	if last, _, err := s.LastUniverseRun(t.Context()); err != nil || last.ChurnWarnings != 3 {
		t.Errorf("%+v, %v", last, err)
	}
	if size, err := s.universeSize(t.Context()); err != nil || size != 3 {
		t.Errorf("the universe was made for %d, %v", size, err)
	}
}

func TestKnownSubAccountsNeverShrink(t *testing.T) {
	db, s := database(t, minute(2))
	keep := func(at time.Time, subs ...string) {
		t.Helper()
		if err := s.KeepAccounts(t.Context(), wallet(1), Accounts{Sub: subs, Listed: true, Explained: true}, at); err != nil {
			t.Fatal(err)
		}
	}
	exec(t, db, "INSERT INTO wallet_universe_current (wallet_id, rank, month_pnl, as_of_ts) VALUES ($1, 2, 0, $3), ($2, 1, 0, $3)", wallet(1), wallet(2), noon)
	expect := func(why string, subs ...string) {
		t.Helper()
		got, _, err := s.Tracked(t.Context(), noon)
		if err != nil || len(got) != 2 || got[0].Wallet != wallet(1) || got[0].Unreadable != why || !slices.Equal(got[0].SubAccounts, subs) || got[1].Unreadable != reasonAccountsUnknown {
			t.Errorf("Tracked = %+v, %v; want %q %v", got, err, why, subs)
		}
	}
	expect(reasonAccountsUnknown)
	keep(minute(0), sub(1, 1), sub(1, 2))
	expect("", sub(1, 1), sub(1, 2))
	keep(minute(1), sub(1, 3), sub(1, 2))
	expect("", sub(1, 1), sub(1, 2), sub(1, 3))
	keep(minute(2))
	expect("", sub(1, 1), sub(1, 2), sub(1, 3))
}
