package collector

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/whalegate/whalegate/collector/hyperliquid"
	"github.com/whalegate/whalegate/internal/asset"
	"github.com/whalegate/whalegate/internal/health"
	"github.com/whalegate/whalegate/internal/health/watch"
	"github.com/whalegate/whalegate/internal/postgres/pgtest"
	"github.com/whalegate/whalegate/internal/qa/check"
)

// present makes the database's clock stand 20 seconds after a minute.
func present(t testing.TB, db *pgxpool.Pool, at time.Time) {
	t.Helper()
	pgtest.SetClock(t, db, at.Add(20*time.Second).Format(time.RFC3339))
}

// reading is a run of 100 wallets as a cycle could judge it, without its rows.
// nonNull is the share of sizes that could be read, the same in each asset.
func reading(at time.Time, status Status, coverage, nonNull float64) Minute {
	r := Run{
		Timestamp: at, Status: status, Expected: 100, Succeeded: int(coverage), CoveragePct: coverage,
		NonNullPct: [asset.Count]float64{nonNull, nonNull, nonNull},
	}
	if status == Failed {
		r.Error = "why"
	}
	return Minute{Run: r}
}

// decided stores what was decided at a boundary: signals, their cycle, and an alert
// of each kind.
func decided(t testing.TB, db *pgxpool.Pool, boundary time.Time) {
	t.Helper()
	exec(t, db, `INSERT INTO signals SELECT $1, a, 50, 'flat', 30, 10, 'No-trade', 'Reduced', false, false, 100, 0, 0, false, NULL, 1 FROM unnest('{HYPE,BTC,ETH}'::text[]) a`, boundary)
	exec(t, db, `INSERT INTO signal_contributors SELECT timestamp, asset, 0, 0, 0, 100, 0, 0, 0, 100, 100 FROM signals WHERE timestamp = $1`, boundary)
	exec(t, db, `INSERT INTO signal_positioning SELECT timestamp, asset, 0, 0, 0, 100, 0 FROM signals WHERE timestamp = $1`, boundary)
	exec(t, db, `INSERT INTO signal_cycles (timestamp, outcome, judged_at, health_state) VALUES ($1, 'computed', $1, 'HEALTHY')`, boundary)
	exec(t, db, `INSERT INTO alerts (timestamp, asset, alert_type, severity, message, signal_snapshot, health_state) VALUES
		($1, 'BTC', 'exit_cluster', 'high', 'm', '{"is_degraded": false}', 'HEALTHY'), ($1, 'SYSTEM', 'system_stale', 'critical', 'm', NULL, 'STALE')`, boundary)
}

const superseded = "SELECT to_char(timestamp AT TIME ZONE 'UTC', 'HH24:MI') FROM ingest_runs WHERE superseded ORDER BY timestamp"

// A clock that was an hour ahead wrote four minutes, of which one failed, and a
// boundary was decided on them. The next good minute of a clock that is right takes
// all of that out of the way, and nothing else.
func TestAGoodMinuteSupersedesWhatIsStoredWithALaterDate(t *testing.T) {
	db, s := database(t, noon)
	for n := range 2 {
		present(t, db, minute(n))
		commit(t, s, judged(minute(n), hold(1, "1", "10"), hold(2)))
	}
	decided(t, db, noon)
	for n := 58; n <= 61; n++ {
		present(t, db, minute(n))
		m := judged(minute(n), hold(1, "2", "20"), hold(2, "5"))
		if n == 59 {
			m.Run.Status, m.Run.Error = Failed, "why"
		}
		commit(t, s, m)
	}
	decided(t, db, minute(60))
	exec(t, db, "INSERT INTO signal_cycles (timestamp, outcome, judged_at, health_state, reasons) VALUES ($1, 'blocked', $1, 'STALE', '{halted}')", minute(65))
	exec(t, db, `INSERT INTO alert_state (asset, alert_type, is_active, last_triggered, cooldown_until, confirmed_playbook, pending_playbook, pending_periods, last_period) VALUES
		('BTC', 'exit_cluster', true, $1, $1::timestamptz + interval '1 hour', NULL, NULL, 0, $1),
		('BTC', 'regime_change', false, $2, $2, 'Long-only', 'No-trade', 1, $1),
		('ETH', 'regime_change', false, $2, $2, 'Long-only', 'No-trade', 1, $2),
		('SYSTEM', 'system_stale', true, $1, NULL, NULL, NULL, 0, NULL)`, minute(60), noon)
	rows := list(t, db, storedRows)
	exec(t, db, `INSERT INTO alert_deliveries (alert_id, receiver, kind, state, attempts, delivered_at)
		SELECT id, to_char(timestamp AT TIME ZONE 'UTC', 'HH24:MI ') || r, 'firing', state, attempts, CASE state WHEN 'delivered' THEN timestamp END
		FROM alerts, (VALUES ('waits', 'pending', 0), ('tried', 'pending', 1), ('lost', 'unknown', 1), ('has', 'delivered', 1)) d (r, state, attempts) WHERE asset = 'BTC'`)

	present(t, db, minute(2))
	commit(t, s, judged(minute(2), hold(1, "1", "11"), hold(2)))

	same(t, "superseded", list(t, db, superseded), "12:58", "12:59", "13:00", "13:01")
	if got := list(t, db, storedRows); len(got) != len(rows)+6 {
		t.Errorf("%d rows, want the %d of before kept for audit", len(got), len(rows))
	}
	for table, want := range map[string]string{"signals": "3 12:00", "signal_contributors": "3 12:00", "signal_positioning": "3 12:00", "signal_cycles": "1 12:00"} {
		same(t, table, list(t, db, "SELECT concat_ws(' ', count(*), to_char(max(timestamp) AT TIME ZONE 'UTC', 'HH24:MI')) FROM "+table), want)
	}
	same(t, "kept of the boundaries", list(t, db, `SELECT concat_ws(' ', to_char(timestamp AT TIME ZONE 'UTC', 'HH24:MI'), cycle ->> 'outcome', jsonb_array_length(signals), signals -> 0 ->> 'allowed_playbook', superseded_at = whalegate_now())
		FROM superseded_boundaries ORDER BY 1`), "13:00 computed 3 No-trade t", "13:05 blocked 0 t")
	same(t, "alerts", list(t, db, "SELECT concat_ws(' ', to_char(timestamp AT TIME ZONE 'UTC', 'HH24:MI'), asset, superseded) FROM alerts ORDER BY 1"),
		"12:00 BTC f", "12:00 SYSTEM f", "12:02 SYSTEM f", "13:00 BTC t")
	// Nobody is told of it who has not been yet.
	same(t, "deliveries", list(t, db, "SELECT receiver FROM alert_deliveries ORDER BY 1"), "12:00 has", "12:00 lost", "12:00 tried", "12:00 waits", "13:00 has", "13:00 lost", "13:00 tried")
	// What people were told stays so, but nothing of it reaches beyond the present.
	same(t, "state", list(t, db, `SELECT concat_ws(' ', asset, alert_type, is_active, to_char(last_triggered AT TIME ZONE 'UTC', 'HH24:MI:SS'), to_char(cooldown_until AT TIME ZONE 'UTC', 'HH24:MI:SS'),
		confirmed_playbook, pending_playbook, pending_periods, to_char(last_period AT TIME ZONE 'UTC', 'HH24:MI')) FROM alert_state ORDER BY asset, alert_type`),
		"BTC exit_cluster t 12:02:20 13:02:20 0 12:00",
		"BTC regime_change f 12:00:00 12:00:00 Long-only 0 12:00",
		"ETH regime_change f 12:00:00 12:00:00 Long-only No-trade 1 12:00",
		"SYSTEM system_stale t 12:02:20 0")

	// It feeds nothing.
	if w, err := s.Window(t.Context(), minute(60)); err != nil || len(w.Readings) > 0 {
		t.Errorf("a superseded minute feeds %v, %v", w, err)
	}
	if done, err := s.Committed(t.Context(), minute(60)); err != nil || done {
		t.Errorf("a superseded minute counts as committed: %v", err)
	}
	if newest, err := s.Newest(t.Context()); err != nil || !newest.Equal(minute(2)) {
		t.Errorf("the newest minute is %s, %v", newest, err)
	}
}

// It may be replaced, by whatever comes, and is then a minute as any other.
func TestASupersededMinuteIsReplacedWhenItsTimeComes(t *testing.T) {
	db, s := database(t, noon)
	commit(t, s, judged(minute(0), hold(1, "0", "10")))
	for n := 3; n <= 6; n++ {
		present(t, db, minute(n))
		commit(t, s, judged(minute(n), hold(1, "0", "99"), hold(7)))
	}
	present(t, db, minute(1))
	commit(t, s, judged(minute(1), hold(1, "0", "10")))
	same(t, "superseded", list(t, db, superseded), "12:03", "12:04", "12:05", "12:06")
	present(t, db, minute(2))
	commit(t, s, judged(minute(2), hold(1, "0", "0"))) // a collapse, as the next minute will show
	present(t, db, minute(3))
	if dirty := commit(t, s, judged(minute(3), hold(1, "0", "10"))); len(dirty) > 0 {
		t.Errorf("%+v is told as new", dirty)
	}
	present(t, db, minute(4))
	worse := reading(minute(4), Failed, 50, 50)
	commit(t, s, worse)
	if err := s.KeepFailed(t.Context(), failedRun(minute(5), 3, ofDatabase, "away")); err != nil {
		t.Fatal(err)
	}
	present(t, db, minute(6))
	m := judged(minute(7), hold(1, "0", "10"))
	m.Unsaved = []Run{failedRun(minute(6), 3, skippedMinute, "held up")}
	present(t, db, minute(7))
	commit(t, s, m)
	same(t, "superseded", list(t, db, superseded))
	same(t, "runs", list(t, db, storedRuns), "12:00:00 success 1/1 {}", "12:01:00 success 1/1 {}", "12:02:00 success 1/1 {}", "12:03:00 success 1/1 {}", "12:04:00 failed 50/100 {}",
		`12:05:00 failed 0/3 {"database": 3}`, `12:06:00 failed 0/3 {"skipped": 3}`, "12:07:00 success 1/1 {}")
	same(t, "rows of BTC", list(t, db, strings.Replace(storedRows, "ORDER", "WHERE asset = 'BTC' AND timestamp BETWEEN '2026-03-01 12:01Z' AND '2026-03-01 12:04Z' ORDER", 1)),
		"12:01 1 BTC 10", "12:02 1 BTC 0 transient_collapse", "12:03 1 BTC 10")
}

// A clock that was ahead has judged the boundary of the minute that is committed now,
// without that minute. A blocked boundary of a minute that is only read better stays.
func TestTheBoundaryOfAMinuteThatSupersedesIsJudgedAnew(t *testing.T) {
	db, s := database(t, minute(4))
	commit(t, s, judged(minute(4), hold(1)))
	present(t, db, minute(7))
	commit(t, s, judged(minute(7), hold(1)))
	decided(t, db, minute(5))
	exec(t, db, "INSERT INTO alert_state (asset, alert_type, last_period) VALUES ('BTC', 'exit_cluster', $1)", minute(5))
	present(t, db, minute(5))
	commit(t, s, reading(minute(5), Partial, 80, 100))
	same(t, "cycles", list(t, db, "SELECT timestamp::text FROM signal_cycles"))
	same(t, "boundaries", list(t, db, "SELECT to_char(timestamp AT TIME ZONE 'UTC', 'HH24:MI') FROM superseded_boundaries"), "12:05")
	same(t, "the last period", list(t, db, "SELECT to_char(last_period AT TIME ZONE 'UTC', 'HH24:MI') FROM alert_state"), "12:00")

	exec(t, db, "INSERT INTO signal_cycles (timestamp, outcome, judged_at, health_state, reasons) VALUES ($1, 'blocked', $1, 'STALE', '{recovering}')", minute(5))
	commit(t, s, judged(minute(5), hold(1)))
	same(t, "cycles", list(t, db, "SELECT outcome FROM signal_cycles"), "blocked")
}

// A failed minute proves nothing about a clock.
func TestAFailedMinuteSupersedesNothing(t *testing.T) {
	db, s := database(t, minute(30))
	commit(t, s, judged(minute(30), hold(1)))
	present(t, db, minute(2))
	commit(t, s, reading(minute(2), Failed, 79, 100))
	if err := s.KeepFailed(t.Context(), failedRun(minute(3), 3, ofDatabase, "away")); err != nil {
		t.Fatal(err)
	}
	same(t, "superseded", list(t, db, superseded))
	same(t, "runs", list(t, db, storedRuns), "12:02:00 failed 79/100 {}", `12:03:00 failed 0/3 {"database": 3}`, "12:30:00 success 1/1 {}")
}

// Rows cannot tell a clock that was a year ahead from one that is a year back.
func TestAMinuteMoreThanADayBeforeTheNewestGoodOneIsRefused(t *testing.T) {
	for _, tt := range []struct {
		name    string
		newest  Minute
		refused bool
	}{
		{"a year", reading(noon.AddDate(1, 0, 0), Success, 100, 100), true},
		{"a day and a minute", reading(minute(24*60+1), Partial, 85, 100), true},
		{"a day", reading(minute(24*60), Success, 100, 100), false},
		{"a year, but failed", reading(noon.AddDate(1, 0, 0), Failed, 79, 100), false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			db, s := database(t, minute(-1))
			if err := s.EnsurePartitions(t.Context(), tt.newest.Run.Timestamp, tt.newest.Run.Timestamp); err != nil {
				t.Fatal(err)
			}
			commit(t, s, judged(minute(-1), hold(1)))
			present(t, db, tt.newest.Run.Timestamp)
			commit(t, s, tt.newest)
			decided(t, db, noon.AddDate(0, 0, 1))
			present(t, db, noon)
			if tt.refused {
				for _, m := range []Minute{judged(noon, hold(1)), reading(noon, Failed, 0, 0)} {
					refuses(t, s, m, check.ClockBack)
				}
				same(t, "superseded", list(t, db, superseded))
				same(t, "boundaries", list(t, db, "SELECT timestamp::text FROM superseded_boundaries"))
				if n := len(list(t, db, "SELECT status FROM ingest_runs")); n != 2 {
					t.Errorf("%d runs", n)
				}
				return
			}
			commit(t, s, judged(noon, hold(1)))
			if n := len(list(t, db, superseded)); n != 1 {
				t.Errorf("%d runs are superseded", n)
			}
			same(t, "signals", list(t, db, "SELECT timestamp::text FROM signals"))
		})
	}
}

// A stored minute is replaced only while it is the newest, only by a better reading,
// and only if no signal has judged it.
func TestAStoredMinuteIsReplacedOnlyByABetterReading(t *testing.T) {
	at := minute(4)
	got := func(status Status, coverage, nonNull float64) Minute { return reading(at, status, coverage, nonNull) }
	newest := func(*Store) {}
	judgedAt := func(n int) func(*Store) { return func(s *Store) { decided(t, s.pool, minute(n)) } }
	followed := func(m Minute) func(*Store) { return func(s *Store) { commit(t, s, m) } }
	db, s := database(t, at)
	for _, tt := range []struct {
		name          string
		then          func(*Store) // what comes between the two
		stored, again Minute
		refused       string // "": the second replaces the first
	}{
		{"the same", newest, got(Success, 100, 100), got(Success, 100, 100), check.Worse},
		{"fewer NULLs", newest, got(Success, 100, 99.66), got(Success, 100, 100), ""},
		{"more NULLs", newest, got(Success, 100, 100), got(Success, 100, 99.66), check.Worse},
		{"more coverage", newest, got(Success, 96, 100), got(Success, 97, 100), ""},
		{"less coverage", newest, got(Success, 97, 100), got(Success, 96, 100), check.Worse},
		{"more coverage, more NULLs", newest, got(Partial, 80, 100), got(Partial, 81, 10), ""},
		{"less coverage, fewer NULLs", newest, got(Partial, 81, 10), got(Partial, 80, 100), check.Worse},
		{"success after partial", newest, got(Partial, 94, 100), got(Success, 95, 10), ""},
		{"partial after success", newest, got(Success, 95, 10), got(Partial, 94, 100), check.Worse},
		{"success after failed", newest, got(Failed, 79, 100), got(Success, 100, 100), ""},
		{"partial after failed", newest, got(Failed, 79, 100), got(Partial, 80, 10), ""},
		{"failed after partial", newest, got(Partial, 80, 10), got(Failed, 79, 100), check.Worse},
		{"failed after success", newest, got(Success, 100, 100), got(Failed, 79, 100), check.Worse},
		{"failed after failed", newest, got(Failed, 50, 100), got(Failed, 50, 100), check.Worse},
		{"failed less", newest, got(Failed, 50, 100), got(Failed, 60, 100), ""},
		{"better, a signal of the boundary before", judgedAt(0), got(Failed, 79, 100), got(Success, 100, 100), ""},
		{"better, judged by a signal", judgedAt(5), got(Failed, 79, 100), got(Success, 100, 100), check.Worse},
		{"better, judged by a later signal", judgedAt(60), got(Partial, 90, 100), got(Success, 100, 100), check.Worse},
		{"worse, judged by a signal", judgedAt(5), got(Success, 100, 100), got(Partial, 90, 100), check.Worse},
		{"better, not the newest", followed(judged(minute(5), hold(3))), got(Failed, 79, 100), got(Success, 100, 100), check.ClockBack},
		{"better, before a failed one", followed(reading(minute(5), Failed, 0, 0)), got(Partial, 90, 100), got(Success, 100, 100), check.ClockBack},
		{"worse, not the newest", followed(judged(minute(5), hold(3))), got(Success, 100, 100), got(Failed, 79, 100), check.ClockBack},
	} {
		t.Run(tt.name, func(t *testing.T) {
			exec(t, db, "TRUNCATE ingest_runs, wallet_snapshots, signals, signal_cycles, alerts CASCADE")
			tt.stored.Readings, tt.again.Readings = []Reading{hold(1, "1")}, []Reading{hold(2, "2")}
			present(t, db, at)
			commit(t, s, tt.stored)
			present(t, db, minute(5))
			tt.then(s)
			const run = "SELECT (to_jsonb(r) - 'run_id')::text FROM ingest_runs r WHERE timestamp = '2026-03-01 12:04Z'"
			const wallets = "SELECT DISTINCT ltrim(substr(wallet_id, 3), '0') FROM wallet_snapshots WHERE timestamp = '2026-03-01 12:04Z'"
			before := list(t, db, run)
			if tt.refused != "" {
				refuses(t, s, tt.again, tt.refused)
				same(t, "run", list(t, db, run), before...)
				same(t, "wallets", list(t, db, wallets), "1")
				return
			}
			commit(t, s, tt.again)
			same(t, "run", list(t, db, "SELECT concat_ws(' ', status, trim_scale(coverage_pct), trim_scale(btc_non_null_pct)) FROM ingest_runs WHERE timestamp = $1", at),
				fmt.Sprint(tt.again.Run.Status, " ", tt.again.Run.CoveragePct, " ", tt.again.Run.NonNullPct[asset.BTC]))
			same(t, "wallets", list(t, db, wallets), "2")
		})
	}
}

const storedRefusals = `SELECT concat_ws(' ', to_char(first_minute AT TIME ZONE 'UTC', 'HH24:MI'), to_char(last_minute AT TIME ZONE 'UTC', 'HH24:MI'), to_char(newest AT TIME ZONE 'UTC', 'HH24:MI'),
	'x' || times, settled_by, reason, runs) FROM clock_refusals ORDER BY id`

// The clock goes back ten minutes: its minutes are refused, counted and recorded,
// the state is STALE, and nothing is overwritten.
func clockBack(t *testing.T) (*pgxpool.Pool, *Collector) {
	t.Helper()
	db, s := database(t, noon)
	enrol(t, db, 2)
	for n := range 13 {
		present(t, db, minute(n))
		commit(t, s, judged(minute(n), hold(1, "1"), hold(2)))
	}
	runs, rows := list(t, db, storedRuns), list(t, db, storedRows)
	c := collecting(t, db, &upstream{}, nil)
	for n := 2; n <= 4; n++ {
		present(t, db, minute(n))
		c.cycle(t.Context(), minute(n))
	}
	same(t, "runs", list(t, db, storedRuns), runs...)
	same(t, "rows", list(t, db, storedRows), rows...)
	same(t, "events", list(t, db, storedEvents), "clock_back critical x3")
	same(t, "refusals", list(t, db, storedRefusals), "12:02 12:04 12:12 x3")
	for reason, want := range map[string]float64{check.ClockBack: 3, check.Worse: 0} {
		if n := metric(t, c, "whalegate_runs_refused_total", reason); n != want {
			t.Errorf("%v refused by %s, want %v", n, reason, want)
		}
	}
	if n := metric(t, c, "whalegate_cycles_total", "failed"); n != 3 {
		t.Errorf("%v failed cycles are counted", n)
	}
	if len(c.unsaved) > 0 {
		t.Errorf("%+v waits to be written over what is stored", c.unsaved)
	}
	present(t, db, minute(12))
	if h, err := watch.Read(t.Context(), db); err != nil || h.State != health.Stale || strings.Join(h.Reasons, " ") != health.ReasonClockBack {
		t.Errorf("when the clock has come there again: %s %v, %v", h.State, h.Reasons, err)
	}
	return db, c
}

func TestAClockThatGoesBackOverwritesNothing(t *testing.T) {
	db, c := clockBack(t)
	present(t, db, minute(13))
	c.refusedFor = minute(12) // every minute since has really passed
	c.cycle(t.Context(), minute(13))
	// What the clock showed twice is believed no more.
	same(t, "refusals", list(t, db, storedRefusals), "12:02 12:04 12:12 x3 a later minute 11")
	same(t, "superseded", list(t, db, superseded), "12:02", "12:03", "12:04", "12:05", "12:06", "12:07", "12:08", "12:09", "12:10", "12:11", "12:12")
	for i, want := range []health.State{health.Stale, health.Healthy} {
		if i > 0 {
			present(t, db, minute(14))
			c.cycle(t.Context(), minute(14))
		}
		if h, err := watch.Read(t.Context(), db); err != nil || h.State != want {
			t.Errorf("after %d minutes: %s %v, %v; want %s", i+1, h.State, h.Reasons, err, want)
		}
	}
	same(t, "refusals", list(t, db, storedRefusals), "12:02 12:04 12:12 x3 a later minute 11")
	present(t, db, minute(1))
	c.cycle(t.Context(), minute(1))
	same(t, "the next time", list(t, db, storedRefusals), "12:02 12:04 12:12 x3 a later minute 11", "12:01 12:01 12:14 x1")
}

// Minutes that are set aside feed no verdict on a collapse, also not those that the
// collector remembers.
func TestS6MinutesThatAreSetAsideAreNotRemembered(t *testing.T) {
	db, _ := database(t, noon)
	enrol(t, db, 1)
	size := "10"
	c := collecting(t, db, &upstream{state: func(context.Context, string) (hyperliquid.State, error) {
		state := flat(noon)
		state.Positions = positions(size)
		return state, nil
	}}, nil)
	for n := range 5 {
		present(t, db, minute(n))
		c.cycle(t.Context(), minute(n))
	}
	present(t, db, minute(2)) // the clock goes back, and catches up
	c.cycle(t.Context(), minute(2))
	c.refusedAt = time.Time{} // the collector no longer knows: it has shown them twice
	for n := 5; n <= 6; n++ {
		if size = "10"; n == 5 {
			size = "0"
		}
		present(t, db, minute(n))
		c.cycle(t.Context(), minute(n))
	}
	same(t, "superseded", list(t, db, superseded), "12:02", "12:03", "12:04")
	same(t, "dirty", list(t, db, "SELECT timestamp::text FROM wallet_snapshots WHERE is_dirty"))
}

// Whoever decides alerts locks their state before the alerts. So does what sets
// boundaries aside: neither waits for the other with what that one needs.
func TestSettingAsideTakesLocksInTheOrderOfTheAlerts(t *testing.T) {
	db, s := database(t, noon)
	commit(t, s, judged(minute(0), hold(1)))
	present(t, db, minute(60))
	commit(t, s, judged(minute(60), hold(1)))
	decided(t, db, minute(60))
	exec(t, db, "INSERT INTO alert_state (asset, alert_type, is_active, last_period) VALUES ('BTC', 'exit_cluster', true, $1)", minute(60))
	tx, err := db.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback(t.Context())
	if _, err := tx.Exec(t.Context(), "SELECT FROM alert_state FOR UPDATE"); err != nil {
		t.Fatal(err)
	}
	present(t, db, minute(1))
	ended := make(chan error, 1)
	go func() {
		_, err := s.Commit(context.Background(), judged(minute(1), hold(1)))
		ended <- err
	}()
	for waits := false; !waits; {
		if err := db.QueryRow(t.Context(), "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database())").Scan(&waits); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := tx.Exec(t.Context(), "SELECT FROM alerts FOR UPDATE NOWAIT"); err != nil {
		t.Error(err)
	}
	if err := tx.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
	same(t, "superseded", list(t, db, superseded), "13:00")
}

// A gap in the history does not tell whether the clock was ahead after it, or went back
// into it. The collector that lived through both knows: by the newest minute before, the
// clock is as late as it should be, or it is behind.
func TestAClockThatGoesBackIntoAGapSupersedesNothing(t *testing.T) {
	t.Parallel()
	c := &Collector{}
	for name, tt := range map[string]struct {
		shown []int // minutes, and
		ago   []int // how long ago the clock showed them
		at    int   // the minute now
		want  bool
	}{
		"nothing is known": {nil, nil, 12, false},
		"nothing later":    {[]int{0, 1}, []int{2, 1}, 2, false},
		"nothing before":   {[]int{20, 21}, []int{2, 1}, 5, true},
		"a gap of ten minutes, then back into it":      {[]int{0, 11, 12, 13}, []int{14, 3, 2, 1}, 3, true},
		"an hour ahead for three minutes, then right":  {[]int{0, 61, 62, 63}, []int{4, 3, 2, 1}, 4, false},
		"right again, as far as minutes can tell":      {[]int{0, 61, 62, 63}, []int{4, 3, 2, 1}, 3, false},
		"two days ahead for three minutes, then right": {[]int{0, 2881, 2882, 2883}, []int{4, 3, 2, 1}, 4, false},
		"two days ahead, then two days and three back": {[]int{0, 2881, 2882, 2883}, []int{4, 3, 2, 1}, 1, true},
		"an hour ahead, then an hour and three back":   {[]int{0, 61, 62, 63}, []int{4, 3, 2, 1}, 1, true},
		"a restart that knows of the minute before":    {[]int{0, 8}, []int{9, 1}, 3, true},
		"back among minutes without a gap":             {[]int{0, 1, 2, 3, 4, 5}, []int{6, 5, 4, 3, 2, 1}, 2, true},
	} {
		c.shown = nil
		for i, n := range tt.shown {
			c.show(shown{minute(n), time.Now().Add(-time.Duration(tt.ago[i]) * time.Minute), true})
		}
		if got := c.wentBack(minute(tt.at)); got != tt.want {
			t.Errorf("%s: %t", name, got)
		}
	}

	db, s := database(t, noon)
	for _, n := range []int{0, 1, 6, 7} {
		present(t, db, minute(n))
		commit(t, s, judged(minute(n), hold(1)))
	}
	present(t, db, minute(3))
	for _, m := range []Minute{judged(minute(3), hold(1)), reading(minute(3), Failed, 0, 0)} {
		m.WentBack = true
		var refused *RefusedError
		if _, err := s.Commit(t.Context(), m); !errors.As(err, &refused) || refused.Check != check.ClockBack {
			t.Errorf("a %s minute: %v", m.Run.Status, err)
		}
	}
	if err := s.KeepRefused(t.Context(), minute(3)); err != nil {
		t.Fatal(err)
	}
	// Nor does a later minute of the same gap, as long as the clock is not right again.
	present(t, db, minute(4))
	var refused *RefusedError
	if _, err := s.Commit(t.Context(), judged(minute(4), hold(1))); !errors.As(err, &refused) {
		t.Errorf("the minute after it: %v", err)
	}
	same(t, "superseded", list(t, db, superseded))
	same(t, "runs", list(t, db, "SELECT to_char(timestamp AT TIME ZONE 'UTC', 'HH24:MI') FROM ingest_runs ORDER BY 1"), "12:00", "12:01", "12:06", "12:07")
}

// A clock that went back for a moment and was put right has shown nothing twice but what
// it refused: no history is set aside for it.
func TestAClockThatIsPutRightSetsNothingAside(t *testing.T) {
	db, c := clockBack(t)
	present(t, db, minute(13))
	c.cycle(t.Context(), minute(13)) // a moment later
	same(t, "refusals", list(t, db, storedRefusals), "12:02 12:04 12:12 x3 a later minute 0")
	same(t, "superseded", list(t, db, superseded))

	// Two days back, by a collector of which nobody knows when it refused.
	db, c = clockBack(t)
	exec(t, db, "UPDATE clock_refusals SET first_minute = first_minute - interval '2 days'")
	c.refusedAt, c.refusedFor = time.Time{}, time.Time{}
	present(t, db, minute(13))
	c.cycle(t.Context(), minute(13))
	same(t, "superseded", list(t, db, superseded))
}

// An operator who knows that the clock is right says so, and is recorded.
func TestAClockThatIsAcceptedEndsTheRefusals(t *testing.T) {
	db, c := clockBack(t)
	present(t, db, minute(5))
	same(t, "superseded", list(t, db, "SELECT accept_clock('op', 'looked at a watch')::text"), "11")
	same(t, "refusals", list(t, db, storedRefusals), "12:02 12:04 12:12 x3 op looked at a watch 11")
	for n := 5; n <= 6; n++ {
		present(t, db, minute(n))
		c.cycle(t.Context(), minute(n))
	}
	same(t, "runs", list(t, db, "SELECT to_char(timestamp AT TIME ZONE 'UTC', 'HH24:MI') FROM ingest_runs WHERE NOT superseded ORDER BY timestamp"), "12:00", "12:01", "12:05", "12:06")
	if h, err := watch.Read(t.Context(), db); err != nil || h.State != health.Healthy {
		t.Errorf("%s %v, %v", h.State, h.Reasons, err)
	}
}

// A year ahead is what only an operator can settle: until then minutes are refused.
func TestAClockThatWasAYearAheadIsSettledByAnOperator(t *testing.T) {
	db, s := database(t, noon)
	year := noon.AddDate(1, 0, 0)
	if err := s.EnsurePartitions(t.Context(), year, year); err != nil {
		t.Fatal(err)
	}
	enrol(t, db, 2)
	present(t, db, minute(-1))
	commit(t, s, judged(minute(-1), hold(1), hold(2)))
	present(t, db, year)
	commit(t, s, judged(year, hold(1), hold(2)))
	c := collecting(t, db, &upstream{}, nil)
	present(t, db, minute(0))
	c.cycle(t.Context(), minute(0))
	same(t, "events", list(t, db, storedEvents), "clock_back critical x1")
	if h, err := watch.Read(t.Context(), db); err != nil || h.State != health.Stale || !h.ClockIsWrong() {
		t.Errorf("%s %v, %v", h.State, h.Reasons, err)
	}
	same(t, "superseded", list(t, db, "SELECT accept_clock('op', 'looked at a watch')::text"), "1")
	for n := 1; n <= 2; n++ {
		present(t, db, minute(n))
		c.cycle(t.Context(), minute(n))
	}
	if h, err := watch.Read(t.Context(), db); err != nil || h.State != health.Healthy {
		t.Errorf("%s %v, %v", h.State, h.Reasons, err)
	}
}

// Where nothing was refused, the word is recorded all the same, and takes what ended
// in the future with it.
func TestAClockThatIsAcceptedWithoutARefusal(t *testing.T) {
	db, s := database(t, minute(10))
	commit(t, s, judged(minute(10), hold(1)))
	pgtest.SetClock(t, db, minute(10).Add(time.Second).Format(time.RFC3339)) // its run ended 19 s later
	if h, err := watch.Read(t.Context(), db); err != nil || strings.Join(h.Reasons, " ") != health.ReasonClockSkew {
		t.Errorf("%s %v, %v", h.State, h.Reasons, err)
	}
	same(t, "superseded", list(t, db, "SELECT accept_clock('op', 'looked at a watch')::text"), "1")
	same(t, "refusals", list(t, db, "SELECT concat_ws(' ', times, settled_by, reason, runs, settled_at = whalegate_now()) FROM clock_refusals"), "0 op looked at a watch 1 t")
	same(t, "superseded", list(t, db, superseded), "12:10")
	if h, err := watch.Read(t.Context(), db); err != nil || strings.Join(h.Reasons, " ") != "no_runs" {
		t.Errorf("%s %v, %v", h.State, h.Reasons, err)
	}
}

// What people and senders dated by a clock that was ahead gets the present: a halt
// could not be resumed, a pause would last on, a message would wait for that time. What
// has no date gets none.
func TestWhatWasDatedAheadIsPulledBack(t *testing.T) {
	db, s := database(t, noon)
	for n := range 2 {
		present(t, db, minute(n))
		commit(t, s, judged(minute(n), hold(1)))
	}
	present(t, db, minute(60))
	commit(t, s, judged(minute(60), hold(1)))
	exec(t, db, `INSERT INTO halts (halted_at, halted_by, reason, resumed_at, resumed_by, cause, actions) VALUES
		($1, 'op', 'then', $1, 'op', 'c', 'a'), ($1, 'op', 'across', $2, 'op', 'c', 'a'), ($2, 'op', 'now', NULL, NULL, NULL, NULL)`, minute(1), minute(60))
	exec(t, db, "INSERT INTO alert_pauses (paused_at, paused_by, reason, until) VALUES ($1, 'op', 'then', $1::timestamptz + interval '2 hours'), ($2, 'op', 'ahead', $2::timestamptz + interval '2 hours')", minute(1), minute(60))
	exec(t, db, `WITH a AS (INSERT INTO alerts (timestamp, asset, alert_type, severity, message, health_state) VALUES ($1, 'SYSTEM', 'system_stale', 'critical', 'm', 'STALE') RETURNING id)
		INSERT INTO alert_deliveries (alert_id, receiver, kind, state, created_at, next_attempt_at, last_attempt_at, expires_at, delivered_at)
		SELECT id, r, 'firing', state, made, made + interval '1 minute', tried, made + interval '1 day', CASE WHEN state = 'delivered' THEN made END
		FROM a, (VALUES ('then', 'pending', $1::timestamptz, NULL::timestamptz), ('new', 'pending', $2, NULL), ('tried', 'unknown', $1, $2), ('done', 'delivered', $2, $2)) d (r, state, made, tried)`, minute(1), minute(60))
	// Two outages of that time, of which one is not over.
	exec(t, db, `INSERT INTO alerts (timestamp, asset, alert_type, severity, message, health_state, resolved_at) VALUES
		($1, 'SYSTEM', 'system_stale', 'critical', 'ahead, over', 'STALE', $1::timestamptz + interval '5 minutes'),
		($1::timestamptz + interval '30 minutes', 'SYSTEM', 'system_stale', 'critical', 'ahead', 'STALE', NULL)`, minute(60))
	exec(t, db, `INSERT INTO alert_state (asset, alert_type, is_active, last_triggered, cooldown_until) VALUES
		('BTC', 'exit_cluster', true, $1, $1::timestamptz + interval '1 hour'), ('BTC', 'regime_change', false, NULL, NULL), ('ETH', 'exit_cluster', true, $2, NULL)`, minute(60), minute(60))

	present(t, db, minute(2)) // 12:02:20
	commit(t, s, judged(minute(2), hold(1)))

	at := func(column string) string {
		return "coalesce(to_char(" + column + " AT TIME ZONE 'UTC', 'DD HH24:MI:SS'), '-')"
	}
	same(t, "halts", list(t, db, "SELECT concat_ws(' ', reason, "+at("halted_at")+", "+at("resumed_at")+") FROM halts ORDER BY id"),
		"then 01 12:01:00 01 12:01:00", "across 01 12:01:00 01 12:02:20", "now 01 12:02:20 -")
	same(t, "pauses", list(t, db, "SELECT concat_ws(' ', reason, "+at("paused_at")+", "+at("until")+") FROM alert_pauses ORDER BY id"),
		"then 01 12:01:00 01 14:01:00", "ahead 01 12:02:20 01 14:02:20")
	same(t, "deliveries", list(t, db, "SELECT concat_ws(' ', receiver, "+at("created_at")+", "+at("next_attempt_at")+", "+at("last_attempt_at")+", "+at("expires_at")+") FROM alert_deliveries ORDER BY id"),
		"then 01 12:01:00 01 12:02:00 - 02 12:01:00", "new 01 12:02:20 01 12:02:20 - 02 12:02:20",
		"tried 01 12:01:00 01 12:02:00 01 11:02:20 02 12:01:00", "done 01 13:00:00 01 13:01:00 01 13:00:00 02 13:00:00")
	same(t, "alerts", list(t, db, "SELECT concat_ws(' ', message, "+at("timestamp")+", "+at("resolved_at")+") FROM alerts WHERE message <> 'm' ORDER BY timestamp"),
		"ahead, over 01 12:02:19 01 12:02:20", "ahead 01 12:02:20 -")
	same(t, "state of the alerts", list(t, db, "SELECT concat_ws(' ', asset, alert_type, "+at("last_triggered")+", "+at("cooldown_until")+") FROM alert_state ORDER BY asset, alert_type"),
		"BTC exit_cluster 01 12:02:20 01 13:02:20", "BTC regime_change - -", "ETH exit_cluster 01 12:02:20 -")
}

// A reading of the newest minute that is no better is a failed check, and no sign of
// a clock.
func TestAWorseReadingIsAFailedCheck(t *testing.T) {
	db, s := database(t, noon)
	enrol(t, db, 2)
	commit(t, s, judged(noon, hold(1, "7"), hold(2)))
	c := collecting(t, db, &upstream{}, nil)
	c.cycle(t.Context(), noon)
	same(t, "events", list(t, db, storedEvents), "worse critical x1")
	same(t, "refusals", list(t, db, storedRefusals))
	same(t, "rows of wallet 1", list(t, db, "SELECT trim_scale(position_szi)::text FROM wallet_snapshots WHERE wallet_id = $1 AND asset = 'HYPE'", wallet(1)), "7")
	if n := metric(t, c, "whalegate_runs_refused_total", check.Worse); n != 1 || len(c.unsaved) > 0 {
		t.Errorf("%v refused, %d wait", n, len(c.unsaved))
	}
}

// Which check failed a run is a column.
func TestTheFailedCheckIsAColumn(t *testing.T) {
	db, s := database(t, noon)
	for check, store := range map[string]func() error{
		"S3":       func() error { _, err := s.Commit(t.Context(), Minute{Run: Judge(noon, 2, nil, nil)}); return err },
		"S2":       func() error { return s.KeepFailed(t.Context(), failedRun(noon, 0, "S2", "why")) },
		"S1":       func() error { return s.KeepFailed(t.Context(), failedRun(minute(99), 2, "S1", "why")) },
		"S4":       func() error { return s.KeepFailed(t.Context(), failedRun(noon, 2, "S4", "why")) },
		"S8":       func() error { return s.KeepFailed(t.Context(), failedRun(noon, 2, diskFull, "why")) },
		"database": func() error { return s.KeepFailed(t.Context(), failedRun(noon, 2, ofDatabase, "why")) },
		"skipped":  func() error { return s.KeepFailed(t.Context(), failedRun(noon, 2, skippedMinute, "why")) },
		"lost":     func() error { return s.KeepFailed(t.Context(), failedRun(noon, 2, check.Lost, "why")) },
		"":         func() error { _, err := s.Commit(t.Context(), judged(noon, hold(1))); return err },
	} {
		exec(t, db, "DELETE FROM ingest_runs")
		if err := store(); err != nil {
			t.Fatalf("%s: %v", check, err)
		}
		same(t, "failed by "+check, list(t, db, "SELECT coalesce(failed_check, '') FROM ingest_runs WHERE timestamp = $1", noon), check)
	}
	exec(t, db, "DELETE FROM ingest_runs")
	commit(t, s, judged(noon, hold(1)))
	if _, err := db.Exec(t.Context(), "UPDATE ingest_runs SET failed_check = 'S3'"); err == nil {
		t.Error("a run that did not fail names a check")
	}
}
