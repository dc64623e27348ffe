package collector

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/whalegate/whalegate/collector/hyperliquid"
	"github.com/whalegate/whalegate/internal/asset"
	"github.com/whalegate/whalegate/internal/health"
	"github.com/whalegate/whalegate/internal/health/watch"
	"github.com/whalegate/whalegate/internal/postgres/pgtest"
	"github.com/whalegate/whalegate/internal/qa"
	"github.com/whalegate/whalegate/internal/qa/check"
)

func same(t testing.TB, what string, got []string, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" && len(want)+len(got) > 0 {
		t.Errorf("%s: %s", what, diff)
	}
}

func TestCommitKeepsTheRunAndThreeRowsOfEachWallet(t *testing.T) {
	db, s := database(t, minute(1))
	held := hold(3, "-1064075.60", "0.00001", "45.7436")
	held.Positions[asset.HYPE].Entry, held.Positions[asset.HYPE].Liquidation = "2.5", "1e-7"
	held.Positions[asset.HYPE].Leverage, held.Positions[asset.HYPE].Margin = "20", "1234.5"
	held.StateTime = noon.Add(59*time.Second + 123*time.Millisecond)
	readings := []Reading{hold(1), hold(2, "NULL", "1", "NULL"), held}
	run := Judge(minute(1), 4, readings, map[string]int{"timeout": 1})
	run.Duration = 1500 * time.Millisecond
	commit(t, s, Minute{Run: run, Readings: readings})
	same(t, "rows", list(t, db, storedRows),
		"12:01 1 BTC 0", "12:01 1 ETH 0", "12:01 1 HYPE 0",
		"12:01 2 BTC 1", "12:01 2 ETH NULL", "12:01 2 HYPE NULL",
		"12:01 3 BTC 0.00001", "12:01 3 ETH 45.7436", "12:01 3 HYPE -1064075.6")
	same(t, "run", list(t, db, `SELECT concat_ws(' ', timestamp = $1, status, wallets_expected, wallet_success_count, wallet_fail_count, rows_expected, rows_written,
		coverage_pct, hype_non_null_pct, btc_non_null_pct, eth_non_null_pct, failures, duration_ms, error, finished_at = whalegate_now()) FROM ingest_runs`, minute(1)),
		`t failed 4 3 1 12 9 75.00 66.66 100.00 66.66 {"timeout": 1} 1500 `+run.Error+" t")
	same(t, "what else a row holds", list(t, db, `SELECT concat_ws(' ', entry_px, liq_px, leverage, margin_used, to_char(state_time AT TIME ZONE 'UTC', 'HH24:MI:SS.MS'), is_dirty,
		ingest_run_id = (SELECT run_id FROM ingest_runs)) FROM wallet_snapshots WHERE wallet_id = $1 AND asset = 'HYPE'`, wallet(3)),
		"2.5 0.0000001 20 1234.5 12:00:59.123 f t")
	w, err := s.Window(t.Context(), minute(1))
	if err != nil || len(w.Readings) > 0 {
		t.Errorf("the rows of a failed run feed %+v, %v", w.Readings, err)
	}
	commit(t, s, judged(minute(1), readings...)) // read whole, it replaces the failed one
	if w, err = s.Window(t.Context(), minute(1)); err != nil || len(w.Readings) != len(readings) {
		t.Fatal(w, err)
	}
	for i, r := range readings {
		if w.Readings[i].Wallet != r.Wallet || !w.Readings[i].StateTime.Equal(r.StateTime) || !slices.Equal(texts(w.Readings[i].Positions), texts(r.Positions)) {
			t.Errorf("read back %+v, want %+v", w.Readings[i], r)
		}
	}
}

func TestS1OnlyMinutesAreWritten(t *testing.T) {
	db, s := database(t, noon)
	for _, offset := range []time.Duration{time.Millisecond, 400 * time.Millisecond, time.Second, 20 * time.Second, -time.Second} {
		if _, err := s.Commit(t.Context(), judged(noon.Add(offset), hold(1, "1"))); err == nil {
			t.Errorf("rows of noon + %s are taken", offset)
		}
	}
	same(t, "rows", list(t, db, storedRows))
	same(t, "runs", list(t, db, storedRuns))
}

func TestS1AClockThatIsWrongWritesNothing(t *testing.T) {
	db, s := database(t, noon)
	for _, tt := range []struct {
		name string
		now  time.Time // of the database, when noon is committed
		ok   bool
	}{
		{"at once", noon, true},
		{"30 s ahead", noon.Add(-30 * time.Second), true},
		{"31 s ahead", noon.Add(-31 * time.Second), false},
		{"3 min behind", noon.Add(3 * time.Minute), true},
		{"3 min 1 s behind", noon.Add(3*time.Minute + time.Second), false},
		{"an hour ahead", noon.Add(-time.Hour), false},
		{"an hour behind", noon.Add(time.Hour), false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			exec(t, db, "TRUNCATE wallet_snapshots, ingest_runs")
			pgtest.SetClock(t, db, tt.now.Format(time.RFC3339))
			_, err := s.Commit(t.Context(), judged(noon, hold(1, "1")))
			var skew *clockError
			if (err == nil) != tt.ok || errors.As(err, &skew) == tt.ok {
				t.Fatalf("Commit: %v, want ok %t", err, tt.ok)
			}
			if rows := list(t, db, storedRows); (len(rows) == 3) != tt.ok || !tt.ok && len(rows) > 0 {
				t.Errorf("rows %q", rows)
			}
			if tt.ok {
				return
			}
			same(t, "runs", list(t, db, storedRuns))
			past := judged(noon, hold(1, "1"))
			past.Backfill = true
			if commit(t, s, past); len(list(t, db, storedRows)) != 3 {
				t.Error("history is not taken")
			}
		})
	}
}

// A minute that fails while the database's clock is a minute back does not vanish: it is
// stored once the clock has come so far, and two clean minutes are needed after it.
func TestS1AFailureDoesNotVanishWhileTheClockIsBack(t *testing.T) {
	for _, again := range []string{"at rest", "with the next minute"} {
		t.Run(again, func(t *testing.T) {
			db, s := database(t, minute(-1))
			enrol(t, db, 1)
			commit(t, s, judged(minute(-1), hold(1, "7")))
			c := collecting(t, db, &upstream{}, nil)
			pgtest.SetClock(t, db, minute(-1).Add(5*time.Second).Format(time.RFC3339))
			c.cycle(t.Context(), noon)
			same(t, "runs", list(t, db, storedRuns), "11:59:00 success 1/1 {}")
			c.saveUnsaved(t.Context()) // too early
			same(t, "runs", list(t, db, storedRuns), "11:59:00 success 1/1 {}")
			if again == "at rest" {
				pgtest.SetClock(t, db, noon.Add(50*time.Second).Format(time.RFC3339))
				c.saveUnsaved(t.Context())
				same(t, "runs", list(t, db, storedRuns), "11:59:00 success 1/1 {}", `12:00:00 failed 0/1 {"S1": 1}`)
			}
			pgtest.SetClock(t, db, minute(1).Add(5*time.Second).Format(time.RFC3339))
			c.cycle(t.Context(), minute(1))
			same(t, "runs", list(t, db, storedRuns), "11:59:00 success 1/1 {}", `12:00:00 failed 0/1 {"S1": 1}`, "12:01:00 success 1/1 {}")
			same(t, "state", list(t, db, "SELECT health_state || ' ' || array_to_string(reasons, ',') FROM ingest_health"), "STALE recovering")
			if n := len(c.unsaved); n > 0 {
				t.Errorf("%d runs wait", n)
			}
		})
	}
}

// A cycle whose machine is an hour ahead of the database fails at the
// database's minute, and never over a run that is there.
func TestS1AWrongClockFailsTheRunAtTheDatabasesMinute(t *testing.T) {
	db, s := database(t, minute(-60))
	enrol(t, db, 2)
	commit(t, s, judged(minute(-61), hold(1, "7")))
	c := collecting(t, db, &upstream{}, nil)
	c.cycle(t.Context(), noon)
	same(t, "runs", list(t, db, storedRuns), "10:59:00 success 1/1 {}", `11:00:00 failed 0/2 {"S1": 2}`)
	same(t, "rows", list(t, db, storedRows), "10:59 1 BTC 0", "10:59 1 ETH 0", "10:59 1 HYPE 7")
	same(t, "events", list(t, db, storedEvents), "S1 critical x1")
	contains(t, "error", list(t, db, "SELECT error FROM ingest_runs WHERE status = 'failed'")[0], "S1", "clock")
	pgtest.SetClock(t, db, minute(-61).Add(time.Second).Format(time.RFC3339))
	c.cycle(t.Context(), noon)
	same(t, "runs", list(t, db, storedRuns), "10:59:00 success 1/1 {}", `11:00:00 failed 0/2 {"S1": 2}`)
	same(t, "events", list(t, db, storedEvents), "S1 critical x2")
	if n := len(c.unsaved); n > 0 {
		t.Errorf("%d runs wait to be written to an hour that is not theirs", n)
	}
}

func TestS2WithoutAUniverseTheRunFails(t *testing.T) {
	db, _ := database(t, noon)
	up := &upstream{}
	c := collecting(t, db, up, nil)
	c.cycle(t.Context(), noon)
	same(t, "runs", list(t, db, storedRuns), "12:00:00 failed 0/0 {}")
	same(t, "events", list(t, db, storedEvents), "S2 critical x1")
	contains(t, "error", list(t, db, "SELECT error FROM ingest_runs")[0], "S2", "no universe")
	same(t, "questions", up.questions())
	same(t, "rows", list(t, db, storedRows))
}

// Written again, as it is or as history, no minute changes: as it is it is refused,
// because it is no better, or because later ones are stored.
func TestS4TheSameMinuteTwiceLeavesTheSameRows(t *testing.T) {
	db, s := database(t, minute(2))
	minutes := []Minute{
		judged(minute(0), hold(1, "1", "10", "0"), hold(2, "1", "10", "0")),
		judged(minute(1), hold(1, "1", "0", "0"), hold(2, "1", "NULL", "0")),
		judged(minute(2), hold(1, "1", "10", "0"), hold(2, "1", "10", "0")),
	}
	for _, m := range minutes {
		commit(t, s, m)
	}
	rows, anomalies := list(t, db, storedRows), list(t, db, "SELECT details::text FROM snapshot_anomalies ORDER BY wallet_id")
	if got := list(t, db, "SELECT ltrim(substr(wallet_id, 3), '0') FROM wallet_snapshots WHERE is_dirty ORDER BY 1"); !slices.Equal(got, []string{"1", "2"}) {
		t.Fatalf("dirty wallets %q, want both", got)
	}
	for _, order := range [][]int{{2}, {1}, {0}, {0, 1, 2}, {2, 1, 0}, {1, 1}} {
		for _, i := range order {
			refuses(t, s, minutes[i], map[bool]string{true: check.Worse, false: check.ClockBack}[i == 2])
			history := minutes[i]
			history.Backfill = true
			commit(t, s, history)
		}
		same(t, fmt.Sprintf("rows after %v again", order), list(t, db, storedRows), rows...)
		same(t, "anomalies", list(t, db, "SELECT details::text FROM snapshot_anomalies ORDER BY wallet_id"), anomalies...)
		same(t, "runs", list(t, db, storedRuns), "12:00:00 success 2/2 {}", "12:01:00 success 2/2 {}", "12:02:00 success 2/2 {}")
	}
	same(t, "runs without rows", list(t, db, "SELECT timestamp::text FROM ingest_runs r WHERE NOT EXISTS (SELECT FROM wallet_snapshots WHERE ingest_run_id = r.run_id)"))
}

func TestS4ABetterReadingOfTheNewestMinuteReplacesTheFirst(t *testing.T) {
	db, s := database(t, minute(2))
	commit(t, s, judged(minute(0), hold(1, "0", "10"), hold(2)))
	commit(t, s, judged(minute(1), hold(1, "0", "0"), hold(2)))
	commit(t, s, judged(minute(2), hold(1, "0", "10"), hold(2, "NULL")))
	dirty := "SELECT to_char(timestamp AT TIME ZONE 'UTC', 'HH24:MI') || ' ' || asset FROM wallet_snapshots WHERE is_dirty"
	same(t, "dirty", list(t, db, dirty), "12:01 BTC")
	commit(t, s, judged(minute(2), hold(1, "0", "0"), hold(3))) // fewer NULLs, and it was an exit after all
	same(t, "dirty", list(t, db, dirty))
	same(t, "rows of the minute", list(t, db, strings.Replace(storedRows, "ORDER", "WHERE timestamp = '2026-03-01 12:02Z' ORDER", 1)),
		"12:02 1 BTC 0", "12:02 1 ETH 0", "12:02 1 HYPE 0", "12:02 3 BTC 0", "12:02 3 ETH 0", "12:02 3 HYPE 0")
	if n := len(list(t, db, "SELECT wallet_id FROM snapshot_anomalies")); n != 1 {
		t.Errorf("%d anomalies, want the evidence kept", n)
	}
}

func TestS6TheMiddleRowIsMarkedWithItsEvidence(t *testing.T) {
	db, s := database(t, minute(2))
	commit(t, s, judged(minute(0), hold(1, "0", "10", "-2"), hold(2, "0", "10")))
	commit(t, s, judged(minute(1), hold(1, "0", "0.05", "NULL"), hold(2, "0", "0")))
	dirty := commit(t, s, judged(minute(2), hold(1, "0", "9", "-2"), hold(2, "0", "0")))
	if len(dirty) != 2 {
		t.Errorf("Commit tells of %+v, want two rows", dirty)
	}
	same(t, "rows", list(t, db, strings.Replace(storedRows, "ORDER", "WHERE is_dirty ORDER", 1)),
		"12:01 1 BTC 0.05 transient_collapse", "12:01 1 ETH NULL transient_collapse")
	type evidence struct {
		Before, After string
		During        *string
	}
	var got []evidence
	for _, text := range list(t, db, "SELECT details::text FROM snapshot_anomalies WHERE anomaly_type = 'transient_collapse' AND snapshot_ts = '2026-03-01 12:01Z' ORDER BY asset") {
		var e evidence
		if err := json.Unmarshal([]byte(text), &e); err != nil {
			t.Fatal(err)
		}
		got = append(got, e)
	}
	during := "0.05000"
	if diff := cmp.Diff([]evidence{{"10.00000", "9.00000", &during}, {"-2.0000", "-2.0000", nil}}, got); diff != "" {
		t.Error(diff)
	}
}

func TestS6ThreeMinutesMustBeConsecutive(t *testing.T) {
	for _, fromMemory := range []bool{false, true} {
		db, s := database(t, minute(3))
		minutes := []Minute{judged(minute(0), hold(1, "0", "10")), judged(minute(1), hold(1, "0", "0")), judged(minute(3), hold(1, "0", "10"))}
		for i, m := range minutes {
			m.Backfill = true
			if fromMemory {
				for _, b := range minutes[:i] {
					m.Before = append(m.Before, Window{b.Run.Timestamp, b.Readings})
				}
			}
			if dirty := commit(t, s, m); len(dirty) > 0 {
				t.Errorf("%+v over a gap", dirty)
			}
		}
		same(t, "dirty", list(t, db, "SELECT asset FROM wallet_snapshots WHERE is_dirty"))
	}
}

// Rows of failed or superseded runs are kept for audit and feed nothing: neither as
// the size before, nor as the glitch, nor as what shows it to be one.
func TestS6FailedAndSupersededRunsFeedNothing(t *testing.T) {
	for name, tt := range map[string]struct {
		which int // of the three minutes
		spoil func(*Minute)
		sql   string
	}{
		"the size before failed":        {0, func(m *Minute) { m.Run.Status, m.Run.Error = Failed, "why" }, ""},
		"the glitch failed":             {1, func(m *Minute) { m.Run.Status, m.Run.Error = Failed, "why" }, ""},
		"the minute after it failed":    {2, func(m *Minute) { m.Run.Status, m.Run.Error = Failed, "why" }, ""},
		"the size before is superseded": {0, nil, "UPDATE ingest_runs SET superseded = true WHERE timestamp = $1"},
		"the glitch is superseded":      {1, nil, "UPDATE ingest_runs SET superseded = true WHERE timestamp = $1"},
	} {
		t.Run(name, func(t *testing.T) {
			db, s := database(t, minute(2))
			minutes := []Minute{judged(minute(0), hold(1, "0", "10")), judged(minute(1), hold(1, "0", "0")), judged(minute(2), hold(1, "0", "10"))}
			for i, m := range minutes {
				if i == tt.which && tt.spoil != nil {
					tt.spoil(&m)
				}
				if dirty := commit(t, s, m); len(dirty) > 0 {
					t.Errorf("Commit tells of %+v", dirty)
				}
				if i == tt.which && tt.sql != "" {
					exec(t, db, tt.sql, m.Run.Timestamp)
				}
			}
			same(t, "dirty", list(t, db, "SELECT asset FROM wallet_snapshots WHERE is_dirty"))
			if rows := list(t, db, storedRows); len(rows) != 9 {
				t.Errorf("%d rows are kept, want all", len(rows))
			}
		})
	}
}

// The same minutes are committed with the two before from memory and from the
// table, on two days, and both equal the naive rule.
func TestS6MemoryAndTableMarkTheSameRows(t *testing.T) {
	db, s := database(t, noon)
	if err := s.EnsurePartitions(t.Context(), noon, noon.AddDate(0, 0, 1)); err != nil {
		t.Fatal(err)
	}
	const count, wallets = 7, 40
	random := rand.New(rand.NewPCG(1, 2))
	sizes := []asset.Size{0, 0, 9, 10, 11, 999, 1000, 1001, 500_000, 1_000_000, -1_000_000}
	var minutes [][]Reading
	for range count {
		var list []Reading
		for n := range wallets {
			if random.IntN(12) == 0 {
				continue
			}
			r := hold(n + 1)
			for _, a := range asset.All {
				if random.IntN(10) == 0 {
					r.Positions[a].Known = false
					continue
				}
				r.Positions[a].Size = sizes[random.IntN(len(sizes))]
			}
			list = append(list, r)
		}
		minutes = append(minutes, list)
	}
	var before []Window
	var told [2]int
	for i, readings := range minutes {
		m := judged(minute(i), readings...)
		m.Backfill = true
		told[0] += len(commit(t, s, m))
		m = judged(minute(i).AddDate(0, 0, 1), readings...)
		m.Backfill, m.Before = true, before
		told[1] += len(commit(t, s, m))
		before = append(before, Window{m.Run.Timestamp, readings})
		before = before[max(0, len(before)-2):]
	}
	const dirty = `SELECT concat_ws(' ', to_char(timestamp AT TIME ZONE 'UTC', 'HH24:MI'), wallet_id, asset) FROM wallet_snapshots
		WHERE is_dirty AND timestamp BETWEEN $1 AND $1 + interval '1 hour' ORDER BY 1`
	table, memory := list(t, db, dirty, noon), list(t, db, dirty, noon.AddDate(0, 0, 1))
	var want []string
	for i := 1; i+1 < count; i++ {
		for _, key := range naiveCollapses(minutes[i-1], minutes[i], minutes[i+1]) {
			want = append(want, minute(i).Format("15:04 ")+key)
		}
	}
	slices.Sort(want)
	if len(want) < 20 {
		t.Fatalf("only %d collapses: the case is poor", len(want))
	}
	same(t, "from the table", table, want...)
	same(t, "from memory", memory, want...)
	if told != [2]int{len(want), len(want)} {
		t.Errorf("Commit told of %v rows, want %d", told, len(want))
	}
	if n := len(list(t, db, "SELECT wallet_id FROM snapshot_anomalies")); n != 2*len(want) {
		t.Errorf("%d anomalies, want one for each of %d", n, 2*len(want))
	}
}

func TestS7OnlyRunsThatDidNotFailAreFresh(t *testing.T) {
	db, s := database(t, noon)
	for i := range 15 {
		m := judged(minute(i), hold(1), hold(2), hold(3), hold(4))
		if i > 1 { // rows come in, but too few
			m.Run = Judge(minute(i), 8, m.Readings, map[string]int{"timeout": 4})
		}
		m.Backfill = true
		commit(t, s, m)
	}
	if rows := list(t, db, storedRows); len(rows) != 15*4*3 {
		t.Errorf("%d rows, want those of failed runs kept", len(rows))
	}
	for _, tt := range []struct {
		now   time.Duration
		age   float64
		stale bool
	}{
		{11 * time.Minute, 600, false}, // since minute 1
		{11*time.Minute + time.Second, 601, true},
	} {
		h, err := watch.ReadAt(t.Context(), db, noon.Add(tt.now))
		if err != nil {
			t.Fatal(err)
		}
		if h.AgeSeconds == nil || *h.AgeSeconds != tt.age || h.State != health.Stale {
			t.Errorf("at %s: %+v, want an age of %v s", tt.now, h, tt.age)
		}
	}
	exec(t, db, "DELETE FROM ingest_runs WHERE status = 'failed'")
	for _, tt := range []struct {
		now  time.Duration
		want health.State
	}{{11 * time.Minute, health.Degraded}, {11*time.Minute + time.Second, health.Stale}} {
		if h, err := watch.ReadAt(t.Context(), db, noon.Add(tt.now)); err != nil || h.State != tt.want || !slices.Equal(h.Reasons, []string{"snapshot_age"}) {
			t.Errorf("at %s: %s %v, %v; want %s", tt.now, h.State, h.Reasons, err, tt.want)
		}
	}
}

func TestFailedMinutesAreCaughtUpBeforeTheNewest(t *testing.T) {
	db, s := database(t, minute(3))
	commit(t, s, judged(minute(1), hold(1, "1")))
	m := judged(minute(3), hold(1, "3"))
	for i := range 3 {
		m.Unsaved = append(m.Unsaved, failedRun(minute(i), 5, "database", "it was away"))
	}
	commit(t, s, m)
	same(t, "runs", list(t, db, storedRuns),
		`12:00:00 failed 0/5 {"database": 5}`, "12:01:00 success 1/1 {}", `12:02:00 failed 0/5 {"database": 5}`, "12:03:00 success 1/1 {}")
	same(t, "newest run", list(t, db, "SELECT to_char(timestamp AT TIME ZONE 'UTC', 'HH24:MI') FROM ingest_runs ORDER BY run_id DESC LIMIT 1"), "12:03")
	same(t, "rows of minute 1", list(t, db, "SELECT position_szi::int::text FROM wallet_snapshots WHERE asset = 'HYPE' ORDER BY timestamp"), "1", "3")
}

// The database is lost for two cycles: the third one writes all three.
func TestAnOutageOfTheDatabaseIsWrittenDownAfterwards(t *testing.T) {
	db, _ := database(t, minute(2))
	enrol(t, db, 3)
	var told []time.Time
	c := collecting(t, db, &upstream{}, func(cfg *Config) { cfg.Committed = func(r Run) { told = append(told, r.Timestamp) } })
	exec(t, db, "ALTER TABLE wallet_universe_current RENAME TO away")
	c.cycle(t.Context(), minute(0))
	exec(t, db, "ALTER TABLE away RENAME TO wallet_universe_current")
	exec(t, db, "ALTER TABLE ingest_runs RENAME TO away")
	c.cycle(t.Context(), minute(1))
	if n := metric(t, c, "whalegate_runs_unsaved", "database"); n != 2 {
		t.Errorf("%v runs wait, want 2", n)
	}
	exec(t, db, "ALTER TABLE away RENAME TO ingest_runs")
	if len(told) > 0 {
		t.Errorf("told of %v, and nothing is committed", told)
	}
	c.cycle(t.Context(), minute(2))
	runs := list(t, db, storedRuns)
	if len(runs) != 3 || !strings.HasPrefix(runs[0], "12:00:00 failed") || !strings.HasPrefix(runs[1], "12:01:00 failed") || runs[2] != "12:02:00 success 3/3 {}" {
		t.Errorf("runs %q", runs)
	}
	if n := metric(t, c, "whalegate_runs_unsaved", "database"); n != 0 {
		t.Errorf("%v runs still wait", n)
	}
	if n := metric(t, c, "whalegate_cycles_total", "failed"); n != 2 {
		t.Errorf("%v failed cycles counted, want 2", n)
	}
	if !slices.Equal(told, []time.Time{minute(2)}) {
		t.Errorf("told of %v, want minute 2", told)
	}
}

// A transaction is held up among its rows and then cut off.
func TestACutOffCommitLeavesNothing(t *testing.T) {
	db, s := database(t, noon)
	exec(t, db, `CREATE FUNCTION hold_up() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN
		IF NEW.wallet_id = '`+wallet(2)+`' THEN PERFORM pg_advisory_xact_lock(4711); END IF; RETURN NEW; END$$`)
	exec(t, db, "CREATE TRIGGER hold_up BEFORE INSERT ON wallet_snapshots FOR EACH ROW EXECUTE FUNCTION hold_up()")
	lock, err := db.Acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Release()
	if _, err := lock.Exec(t.Context(), "SELECT pg_advisory_lock(4711)"); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	m := judged(noon, hold(1, "1"), hold(2, "2"), hold(3, "3"))
	m.Unsaved = []Run{failedRun(minute(-1), 3, "database", "away")}
	go func() {
		_, err := s.Commit(ctx, m)
		ended <- err
	}()
	for waiting := 0; waiting == 0; {
		if err := lock.QueryRow(t.Context(), "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = 4711 AND NOT granted").Scan(&waiting); err != nil {
			t.Fatal(err)
		}
		select {
		case err := <-ended:
			t.Fatalf("Commit ended before it was held up: %v", err)
		default:
		}
	}
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("Commit = %v, want it cancelled", err)
	}
	if _, err := lock.Exec(t.Context(), "SELECT pg_advisory_unlock(4711)"); err != nil {
		t.Fatal(err)
	}
	exec(t, db, "DO $$BEGIN LOCK TABLE wallet_snapshots IN ACCESS EXCLUSIVE MODE; END$$") // until the transaction is over
	same(t, "rows", list(t, db, storedRows))
	same(t, "runs", list(t, db, storedRuns))
	commit(t, s, m)
	if rows := list(t, db, storedRows); len(rows) != 9 {
		t.Errorf("the second try leaves %d rows, want 9", len(rows))
	}
}

func TestACycleThatIsShutDownWritesNothing(t *testing.T) {
	db, _ := database(t, noon)
	enrol(t, db, 3)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	c := collecting(t, db, &upstream{state: func(ctx context.Context, _ string) (hyperliquid.State, error) {
		cancel()
		return hyperliquid.State{}, failing(hyperliquid.Cancelled)
	}}, nil)
	c.cycle(ctx, noon)
	same(t, "runs", list(t, db, storedRuns))
	if len(c.unsaved) > 0 {
		t.Errorf("%+v is remembered", c.unsaved)
	}
}

func TestRepeatedFailuresAreOneRowWithACount(t *testing.T) {
	db, s := database(t, noon)
	event := func(change func(*qa.Event)) qa.Event {
		e := qa.Event{Check: "S3", Severity: "warning", Details: map[string]any{"coverage_pct": 85}, Action: "degraded"}
		if change != nil {
			change(&e)
		}
		return e
	}
	keep := func(at time.Time, events ...qa.Event) {
		if err := qa.Keep(t.Context(), s.pool, nil, qa.Ingestion, at, events...); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 50 {
		keep(minute(i), event(func(e *qa.Event) { e.Details = map[string]any{"coverage_pct": i} }))
	}
	same(t, "events", list(t, db, "SELECT concat_ws(' ', check_id, stage, occurrences, first_ts = $1, last_ts = $2, details) FROM qa_events", noon, minute(49)),
		`S3 ingestion 50 t t {"coverage_pct": 49}`)
	keep(minute(50), event(func(e *qa.Event) { e.Severity, e.Action = "critical", "stale" }), event(func(e *qa.Event) { e.Check = "S5" }), event(func(e *qa.Event) { e.Subject = "BTC" }))
	keep(noon.Add(12*time.Hour), event(nil)) // the next day
	same(t, "events", list(t, db, storedEvents), "S3 critical x1", "S3 warning x50", "S3 warning x1", "S3 warning BTC x1", "S5 warning x1")
}

func TestStateTimesSurviveARestart(t *testing.T) {
	db, s := database(t, minute(20))
	store := func(n int, status func(Run) Run, readings ...Reading) {
		m := judged(minute(n), readings...)
		m.Backfill = true
		if status != nil {
			m.Run = status(m.Run)
		}
		commit(t, s, m)
	}
	stamped := func(n int, at time.Time) Reading {
		r := hold(n)
		r.StateTime = at
		return r
	}
	if got, err := s.StateTimes(t.Context()); err != nil || len(got) != 0 {
		t.Fatalf("StateTimes of nothing = %v, %v", got, err)
	}
	if err := s.KeepAccounts(t.Context(), wallet(2), Accounts{Sub: []string{sub(2, 1)}, Explained: true}, noon); err != nil {
		t.Fatal(err)
	}
	store(18, nil, stamped(1, minute(18)), stamped(2, minute(17)))
	store(19, nil, stamped(1, minute(19)))
	got, err := s.StateTimes(t.Context())
	want := map[string]time.Time{wallet(1): minute(19), wallet(2): minute(17), sub(2, 1): minute(17)}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("%v %s", err, diff)
	}
	// A new process refuses what is older than that, and takes the equal.
	enrol(t, db, 2)
	c := collecting(t, db, &upstream{state: func(context.Context, string) (hyperliquid.State, error) { return flat(minute(17)), nil }}, func(cfg *Config) {
		cfg.Clock = frozen(t, minute(20).Add(5*time.Second))
		cfg.MaxStateAge = 5 * time.Minute
	})
	c.cycle(t.Context(), minute(20))
	same(t, "newest run", list(t, db, storedRuns)[2:], `12:20:00 failed 1/2 {"stale_state": 1}`)
	same(t, "rows", list(t, db, "SELECT DISTINCT ltrim(substr(wallet_id, 3), '0') FROM wallet_snapshots WHERE timestamp = '2026-03-01 12:20Z'"), "2")
}
