package collector

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/whalegate/whalegate/collector/hyperliquid"
	"github.com/whalegate/whalegate/internal/clock"
	"github.com/whalegate/whalegate/internal/postgres/pgtest"
)

// accelerate starts a clock at the beginning of a minute, and lets the
// database's follow it.
func accelerate(t testing.TB, db *pgxpool.Pool, speed int) clock.Clock {
	t.Helper()
	now := time.Now()
	next := now.Truncate(time.Minute).Add(time.Minute)
	anchor := now.Add(-next.Sub(now) / time.Duration(speed-1)).Truncate(time.Microsecond).UTC()
	exec(t, db, fmt.Sprintf(`CREATE OR REPLACE FUNCTION whalegate_now() RETURNS timestamptz LANGUAGE sql VOLATILE AS
		$$SELECT timestamptz '%[1]s' + (clock_timestamp() - timestamptz '%[1]s') * %[2]d$$`, anchor.Format(time.RFC3339Nano), speed))
	exec(t, db, "UPDATE wallet_accounts SET checked_at = whalegate_now()")
	return parseClock(t, anchor, fmt.Sprint(speed))
}

// looping runs Snapshots until stop is called and hands out what it commits.
func looping(t *testing.T, db *pgxpool.Pool, up exchange, c clock.Clock) (committed <-chan time.Time, stop func()) {
	minutes := make(chan time.Time, 100)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	collector := collecting(t, db, up, func(cfg *Config) {
		cfg.Clock = c
		cfg.Committed = func(r Run) { minutes <- r.Timestamp }
	})
	go func() { ended <- collector.Snapshots(ctx) }()
	return minutes, func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Snapshots = %v", err)
		}
	}
}

func TestSnapshotsKeepTheGridThroughARestart(t *testing.T) {
	db := pgtest.New(t)
	enrol(t, db, 20)
	const speed = 150
	c := accelerate(t, db, speed)
	up := &upstream{state: func(context.Context, string) (hyperliquid.State, error) {
		return flat(c.Now().Truncate(time.Millisecond)), nil
	}}
	var seen []time.Time
	for range 2 { // the second is a restart in a minute that is committed
		committed, stop := looping(t, db, up, c)
		for range 3 {
			seen = append(seen, <-committed)
		}
		stop()
	}
	for i, m := range seen {
		if !m.Equal(m.Truncate(time.Minute)) || i > 0 && !m.After(seen[i-1]) {
			t.Errorf("committed %v: off the grid or repeated", seen)
		}
	}
	// A minute that a slow machine missed is a failed run, never a hole; only
	// around the restart there may be one.
	runs := list(t, db, `SELECT concat_ws(' ', extract(epoch FROM timestamp - lag(timestamp) OVER (ORDER BY timestamp))::int, status) FROM ingest_runs
		WHERE timestamp <= $1 ORDER BY timestamp`, seen[2])
	for i, run := range runs {
		if i > 0 && !strings.HasPrefix(run, "60 ") {
			t.Errorf("runs %q, want one for every minute", runs)
		}
	}
	if n := len(list(t, db, "SELECT status FROM ingest_runs WHERE status = 'success'")); n < 4 {
		t.Errorf("%d of 6 cycles succeeded", n)
	}
	asked := map[string]int{}
	for _, q := range up.questions() {
		asked[q]++
	}
	if n := asked[wallet(1)]; n < 6 || n > 9 {
		t.Errorf("wallet 1 was asked for %d times in 6 cycles", n)
	}
}

// A clock that stands still shows what a start makes of its minute.
func TestAStartLeavesADoneMinuteAlone(t *testing.T) {
	db, s := database(t, noon)
	for _, tt := range []struct {
		name   string
		stored *Run
		second int
		done   bool
	}{
		{"nothing yet", nil, 5, false},
		{"committed", &Run{Status: Success}, 5, true},
		{"committed in part", &Run{Status: Partial}, 5, true},
		{"failed", &Run{Status: Failed, Error: "why"}, 5, false},
		{"enough of its budget is left", nil, 30, false},
		{"too little of its budget is left", nil, 40, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			exec(t, db, "DELETE FROM ingest_runs")
			if tt.stored != nil {
				tt.stored.Timestamp = noon
				commit(t, s, Minute{Run: *tt.stored})
			}
			c := collecting(t, db, &upstream{}, func(cfg *Config) { cfg.Clock = frozen(t, noon.Add(time.Duration(tt.second)*time.Second)) })
			if got := c.firstMinute(t.Context()); got.Equal(noon) != tt.done || !tt.done && !got.IsZero() {
				t.Errorf("done is %v, want %t", got, tt.done)
			}
		})
	}
}

// A minute that was under way when the collector that led was gone is asked for as
// far as its budget goes, or stored as failed, and those before it that nobody did are
// stored as failed: no gap is silent.
func TestATakeOverDoesTheMinuteThatWasUnderWay(t *testing.T) {
	db, s := database(t, noon)
	for _, tt := range []struct {
		name   string
		newest int // the newest stored minute
		second int
		done   bool
		runs   int // failed ones that wait to be stored
	}{
		{"early", -1, 5, false, 0},
		{"late", -1, 52, false, 0},
		{"too late", -1, 55, true, 1},
		{"nobody led for a minute", -2, 5, false, 1},
		{"nobody led for a minute, and this one is late", -2, 52, false, 1},
		{"nobody led for a minute, and this one is too late", -2, 55, true, 2},
		{"nobody led for nine minutes", -10, 5, false, 9},
		{"nobody led for longer than a state may be old", -11, 5, false, 0},
		{"the same, and late", -11, 54, true, 0},
		{"the newest is of a clock that was ahead", 3, 5, false, 0},
		{"it is stored", 0, 20, true, 0},
		{"it is stored, and this one is too late", 0, 56, true, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			exec(t, db, "DELETE FROM ingest_runs")
			commit(t, s, judged(noon, hold(1)))
			exec(t, db, "UPDATE ingest_runs SET timestamp = $1", minute(tt.newest)) // also one that no clock would let us store now
			c := collecting(t, db, &upstream{}, func(cfg *Config) { cfg.Clock = frozen(t, noon.Add(time.Duration(tt.second)*time.Second)) })
			if got := c.firstMinute(t.Context()); got.Equal(noon) != tt.done || !tt.done && !got.IsZero() {
				t.Errorf("done is %v, want %t", got, tt.done)
			}
			if n := metric(t, c, "whalegate_runs_unsaved", skippedMinute); len(c.unsaved) != tt.runs || n != float64(tt.runs) {
				t.Errorf("%d failed minutes wait, %v are counted; want %d", len(c.unsaved), n, tt.runs)
			}
			for i, run := range c.unsaved { // every minute after the newest, none twice
				if !run.Timestamp.Equal(minute(tt.newest+1+i)) || run.FailedCheck() != "skipped" {
					t.Errorf("%+v", run)
				}
			}
			if n := metric(t, c, "whalegate_cycles_missed_total", ""); n != float64(tt.runs) {
				t.Errorf("%v missed minutes are counted, want %d", n, tt.runs)
			}
		})
	}
}

// A hole before later runs is no smaller a hole: a successor whose clock was wrong stored
// failures after it, and nobody looked back.
func TestATakeOverAccountsForEveryHole(t *testing.T) {
	db, s := database(t, noon)
	commit(t, s, judged(noon, hold(1)))
	for _, n := range []int{-30, -12, -8, -5, -4, -2} {
		exec(t, db, `INSERT INTO ingest_runs (timestamp, status, wallets_expected, wallet_success_count, wallet_fail_count, rows_expected, rows_written, coverage_pct, hype_non_null_pct, btc_non_null_pct, eth_non_null_pct, failures, duration_ms, finished_at, superseded)
			SELECT $1, status, wallets_expected, wallet_success_count, wallet_fail_count, rows_expected, rows_written, coverage_pct, hype_non_null_pct, btc_non_null_pct, eth_non_null_pct, failures, duration_ms, $1, $2 FROM ingest_runs WHERE timestamp = $3`, minute(n), n == -4, noon)
	}
	exec(t, db, "DELETE FROM ingest_runs WHERE timestamp = $1", noon)
	c := collecting(t, db, &upstream{}, func(cfg *Config) { cfg.Clock = frozen(t, noon.Add(5*time.Second)) })
	c.firstMinute(t.Context())
	var missed []time.Time
	for _, run := range c.unsaved {
		missed = append(missed, run.Timestamp)
	}
	if want := []time.Time{minute(-11), minute(-10), minute(-9), minute(-7), minute(-6), minute(-4), minute(-3), minute(-1)}; !slices.Equal(missed, want) {
		t.Errorf("stored as failed: %v, want %v", missed, want)
	}

	// A clock that is ahead has missed nothing of what has not been.
	c = collecting(t, db, &upstream{}, func(cfg *Config) { cfg.Clock = frozen(t, minute(5).Add(5*time.Second)) })
	c.firstMinute(t.Context())
	if last := c.unsaved[len(c.unsaved)-1].Timestamp; !last.Equal(minute(-1)) {
		t.Errorf("minutes up to %s are stored as failed, and it is noon", last)
	}
}

// Minutes that did not pass by the monotonic clock were not skipped: that the clock was
// set, or the machine slept, is noted, and those that did pass are accounted for.
func TestMinutesThatDidNotPassWereNotSkipped(t *testing.T) {
	for _, tt := range []struct {
		name    string
		to      int
		passed  time.Duration
		skipped int
		jumped  []string
	}{
		{"the next one", 1, time.Minute, 0, nil},
		{"ran over", 4, 4 * time.Minute, 3, nil},
		{"an hour ahead at once", 61, time.Minute, 0, []string{"clock_jump warning x1"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			db, _ := database(t, noon)
			c := collecting(t, db, &upstream{}, nil)
			c.skipped(t.Context(), noon, minute(tt.to), tt.passed)
			if len(c.unsaved) != tt.skipped {
				t.Errorf("%d minutes were skipped, want %d", len(c.unsaved), tt.skipped)
			}
			same(t, "failed checks", list(t, db, storedEvents), tt.jumped...)
		})
	}
}

// Who has lost the lead and gets it again knows nothing of the database any more: another
// collector has written since. What it committed it still knows: the lead may be lost
// because the database became an older one.
func TestAFreshTermBeginsWithoutMemory(t *testing.T) {
	db, _ := database(t, noon)
	enrol(t, db, 2)
	c := collecting(t, db, &upstream{}, nil)
	c.cycle(t.Context(), noon)
	c.remember(failedRun(minute(-1), 2, ofDatabase, "away"))
	c.Recheck()
	c.forget()
	if len(c.lastTime)+len(c.recent)+len(c.unsaved) > 0 || len(c.kept) != 1 {
		t.Errorf("%+v", c)
	}
	if n := metric(t, c, "whalegate_runs_unsaved", ofDatabase); n != 0 {
		t.Errorf("%v runs wait", n)
	}
}

func TestACycleThatRunsOverNeverShiftsTheGrid(t *testing.T) {
	db := pgtest.New(t)
	enrol(t, db, 2)
	c := accelerate(t, db, 60)
	var slowed atomic.Bool
	up := &upstream{state: func(ctx context.Context, account string) (hyperliquid.State, error) {
		if account == wallet(2) && !slowed.Swap(true) { // ignores the end of its budget, once
			if err := c.Sleep(context.WithoutCancel(ctx), 130*time.Second); err != nil {
				return hyperliquid.State{}, err
			}
		}
		return flat(c.Now().Truncate(time.Millisecond)), nil
	}}
	committed, stop := looping(t, db, up, c)
	first := <-committed
	second := <-committed
	stop()
	if gap := second.Sub(first); gap%time.Minute != 0 || gap < 2*time.Minute {
		t.Errorf("the next cycle is %s later, want whole minutes, and not the ones that passed", gap)
	}
	same(t, "minutes between", list(t, db, "SELECT DISTINCT status || ' ' || error FROM ingest_runs WHERE timestamp > $1 AND timestamp < $2", first, second),
		"failed no cycle in this minute: the one before ran over, or the process was held up")
	if n := len(list(t, db, "SELECT status FROM ingest_runs WHERE timestamp BETWEEN $1 AND $2", first, second)); n != int(second.Sub(first)/time.Minute)+1 {
		t.Errorf("%d runs from %s to %s, want one a minute", n, first, second)
	}
}

func TestNewNamesTheSettingThatIsWrong(t *testing.T) {
	good := Config{UniverseSize: 200, Concurrency: 8, WeightPerMinute: 1200}
	for want, change := range map[string]func(*Config){
		"universe size":     func(c *Config) { c.UniverseSize = 0 },
		"concurrency":       func(c *Config) { c.Concurrency = 0 },
		"weight per minute": func(c *Config) { c.WeightPerMinute = 19 },
	} {
		cfg := good
		change(&cfg)
		if _, err := New(cfg, &upstream{}, &upstream{}, nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("New = %v, want an error about %s", err, want)
		}
	}
}

// Health cannot know of a minute that was lost with the database until it is
// stored: it goes in as soon as the database is back, not with the next minute.
func TestAMinuteLostWithTheDatabaseIsStoredBeforeTheNext(t *testing.T) {
	db, _ := database(t, noon)
	c := collecting(t, db, &upstream{}, func(cfg *Config) { cfg.Clock = accelerate(t, db, 600) })
	now := c.cfg.Clock.Now().Truncate(time.Minute)
	exec(t, db, "ALTER TABLE ingest_runs RENAME TO ingest_runs_away")
	c.remember(failedRun(now.Add(-2*time.Minute), 3, "database", "not written: gone"))
	c.remember(failedRun(now.Add(-time.Minute), 3, "database", "not written: gone"))
	if c.saveUnsaved(t.Context()); len(c.unsaved) != 2 {
		t.Fatalf("%d minutes left without a table to keep them, want 2", len(c.unsaved))
	}
	exec(t, db, "ALTER TABLE ingest_runs_away RENAME TO ingest_runs")
	if err := c.rest(t.Context(), c.cfg.Clock.Now().Add(2*time.Minute)); err != nil {
		t.Fatal(err)
	}
	if got := list(t, db, "SELECT status || ' ' || error FROM ingest_runs ORDER BY timestamp"); len(got) != 2 || got[0] != "failed not written: gone" || len(c.unsaved) != 0 {
		t.Errorf("stored %q, %d left", got, len(c.unsaved))
	}
}

// A clock that is put right, or a day whose partition somebody detached, finds the days
// that are needed: what was made for other days is no reason to make none.
func TestPartitionsAreMadeForTheDayThatTheClockShows(t *testing.T) {
	db, _ := database(t, noon)
	enrol(t, db, 1)
	earlier := noon.AddDate(0, 0, -5) // which has no partition
	exec(t, db, "UPDATE wallet_accounts SET checked_at = $1", earlier)
	up := &upstream{state: func(context.Context, string) (hyperliquid.State, error) { return flat(earlier), nil }}
	c := collecting(t, db, up, func(cfg *Config) { cfg.Clock = frozen(t, earlier) })
	ahead := noon.AddDate(0, 0, 30)
	present(t, db, ahead)
	c.cycle(t.Context(), ahead)
	exec(t, db, "SELECT accept_clock('op', 'a watch')")
	present(t, db, earlier)
	exec(t, db, "SELECT accept_clock('op', 'a watch')")
	c.cycle(t.Context(), earlier)
	same(t, "status", list(t, db, "SELECT status FROM ingest_runs WHERE NOT superseded"), "success")

	name := list(t, db, "SELECT tableoid::regclass::text FROM wallet_snapshots WHERE timestamp = '"+earlier.Format(time.RFC3339)+"' LIMIT 1")[0]
	exec(t, db, "ALTER TABLE wallet_snapshots DETACH PARTITION "+name)
	exec(t, db, "ALTER TABLE "+name+" RENAME TO put_away")
	for n := 1; n <= 2; n++ {
		present(t, db, earlier.Add(time.Duration(n)*time.Minute))
		c.cycle(t.Context(), earlier.Add(time.Duration(n)*time.Minute))
	}
	same(t, "status", list(t, db, "SELECT status FROM ingest_runs WHERE NOT superseded ORDER BY timestamp"), "success", "success", "success")
}

// A day that somebody renamed is still the day of the table: no other can be made for it.
func TestADayThatWasRenamedGetsItsNameBack(t *testing.T) {
	for _, inTheWay := range []string{"", "CREATE TABLE %s (n integer)"} {
		db, _ := database(t, noon)
		enrol(t, db, 1)
		c := collecting(t, db, &upstream{}, nil)
		c.cycle(t.Context(), noon)
		name := list(t, db, "SELECT tableoid::regclass::text FROM wallet_snapshots LIMIT 1")[0]
		exec(t, db, "ALTER TABLE "+name+" RENAME TO put_away")
		if inTheWay != "" {
			exec(t, db, fmt.Sprintf(inTheWay, name))
		}
		exec(t, db, "SET TimeZone = 'Asia/Tokyo'")
		present(t, db, minute(1))
		c.cycle(t.Context(), minute(1))
		same(t, "rows", list(t, db, "SELECT tableoid::regclass || ' ' || count(*) FROM wallet_snapshots GROUP BY tableoid"), name+" 6")
		same(t, "status", list(t, db, "SELECT status FROM ingest_runs ORDER BY timestamp"), "success", "success")
	}
}

// Today's partition that is missing is there again with the next minute, and that it was
// gone is told, with how many minutes have no rows any more.
func TestADayThatWasGoneIsTold(t *testing.T) {
	for name, tt := range map[string]struct{ take, told string }{
		"detached":             {"ALTER TABLE wallet_snapshots DETACH PARTITION %s", "2026-03-01 2 0"},
		"detached and renamed": {"ALTER TABLE wallet_snapshots DETACH PARTITION %[1]s; ALTER TABLE %[1]s RENAME TO put_away", "2026-03-01 2 2"},
		"dropped":              {"DROP TABLE %s", "2026-03-01 2 2"},
		"tomorrow's, dropped":  {"DROP TABLE wallet_snapshots_20260302", ""},
	} {
		t.Run(name, func(t *testing.T) {
			db, _ := database(t, noon)
			enrol(t, db, 1)
			c := collecting(t, db, &upstream{}, nil)
			for n := range 2 {
				present(t, db, minute(n))
				c.cycle(t.Context(), minute(n))
			}
			told := "SELECT concat_ws(' ', details->>'day', details->>'minutes_stored', details->>'minutes_without_rows') FROM qa_events WHERE check_id = 'day_gone'"
			same(t, "told at the start", list(t, db, told))
			sql := tt.take
			if strings.Contains(sql, "%") {
				sql = fmt.Sprintf(sql, list(t, db, "SELECT tableoid::regclass::text FROM wallet_snapshots LIMIT 1")[0])
			}
			exec(t, db, sql)
			for n := 2; n <= 3; n++ {
				present(t, db, minute(n))
				c.cycle(t.Context(), minute(n))
			}
			same(t, "status", list(t, db, "SELECT DISTINCT status FROM ingest_runs"), "success")
			want := []string{tt.told}
			if tt.told == "" {
				want = nil
			}
			same(t, "told", list(t, db, told), want...)
		})
	}
}
