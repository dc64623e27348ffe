package collector

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/whalegate/whalegate/collector/hyperliquid"
	"github.com/whalegate/whalegate/internal/lead"
)

// collected is a database with the minutes 0 to 4 of two wallets, of which the first
// had a glitch in minute 3, and the collector that wrote them.
func collected(t *testing.T) (*pgxpool.Pool, *Collector) {
	t.Helper()
	db, _ := database(t, noon)
	enrol(t, db, 2)
	size := "10"
	c := collecting(t, db, &upstream{state: func(_ context.Context, account string) (hyperliquid.State, error) {
		state := flat(noon)
		if account == wallet(1) {
			state.Positions = positions("0", size)
		}
		return state, nil
	}}, nil)
	for n := range 5 {
		if size = "10"; n == 3 {
			size = "0"
		}
		present(t, db, minute(n))
		c.cycle(t.Context(), minute(n))
	}
	size = "10"
	present(t, db, minute(5))
	return db, c
}

// lose makes the database one that never had the minutes since n.
func lose(t *testing.T, db *pgxpool.Pool, n int) {
	t.Helper()
	exec(t, db, "DELETE FROM ingest_runs WHERE timestamp >= $1", minute(n))
	exec(t, db, "DELETE FROM wallet_snapshots WHERE timestamp >= $1", minute(n))
	exec(t, db, "UPDATE wallet_snapshots SET is_dirty = false, dirty_reason = NULL WHERE timestamp >= $1", minute(n-1))
}

const (
	wholeRuns = "SELECT (to_jsonb(r) - 'run_id')::text FROM ingest_runs r ORDER BY timestamp"
	wholeRows = `SELECT (to_jsonb(s) - 'ingest_run_id')::text || r.run_id FROM wallet_snapshots s JOIN ingest_runs r USING (timestamp)
		WHERE s.ingest_run_id = r.run_id ORDER BY s.timestamp, wallet_id, asset`
	lostEvents = "SELECT concat_ws(' ', severity, details ->> 'minutes', to_char((details ->> 'since')::timestamptz AT TIME ZONE 'UTC', 'HH24:MI'), to_char((details ->> 'until')::timestamptz AT TIME ZONE 'UTC', 'HH24:MI'), details ->> 'written_again', 'x' || occurrences) FROM qa_events WHERE check_id = 'lost'"
)

// A promoted standby, or a restored backup, lacks the newest minutes: they are
// written again as they were, with their rows, marks and the time at which they ended.
func TestMinutesThatTheDatabaseLostAreWrittenAgain(t *testing.T) {
	db, c := collected(t)
	runs, rows := list(t, db, wholeRuns), list(t, db, storedRows)
	lose(t, db, 2)
	c.cycle(t.Context(), minute(5))
	same(t, "runs", list(t, db, wholeRuns)[:5], runs...)
	same(t, "rows", list(t, db, storedRows)[:len(rows)], rows...)
	if !slices.Contains(list(t, db, storedRows), "12:03 1 BTC 0 transient_collapse") {
		t.Error("the glitch is not marked again")
	}
	if n := len(list(t, db, wholeRows)); n != 6*6 {
		t.Errorf("%d rows belong to their run, want 36", n)
	}
	same(t, "events", list(t, db, lostEvents), "critical 3 12:02 12:04 3 x1")
	present(t, db, minute(6))
	c.cycle(t.Context(), minute(6))
	same(t, "events a minute later", list(t, db, lostEvents), "critical 3 12:02 12:04 3 x1")
}

// What is not known any more, or comes before what is stored, is a failed minute
// with its reason: no gap is silent.
func TestMinutesThatAreLostForGoodAreFailed(t *testing.T) {
	for _, tt := range []struct {
		name string
		lose func(t *testing.T, db *pgxpool.Pool, c *Collector)
		runs []string
		told string
	}{
		{"there was no room to keep them", func(t *testing.T, db *pgxpool.Pool, c *Collector) {
			lose(t, db, 3)
			c.kept[3].readings = nil
		}, []string{"12:03 failed lost", "12:04 success"}, "critical 2 12:03 12:04 1 x1"},
		{"a later one is stored", func(t *testing.T, db *pgxpool.Pool, c *Collector) {
			exec(t, db, "DELETE FROM ingest_runs WHERE timestamp IN ($1, $2)", minute(1), minute(3))
		}, []string{"12:01 failed lost", "12:03 failed lost"}, "critical 2 12:01 12:03 0 x1"},
		{"their day is gone as well", func(t *testing.T, db *pgxpool.Pool, c *Collector) {
			exec(t, db, "DELETE FROM ingest_runs; DROP TABLE wallet_snapshots_20260301")
		}, []string{"12:00 success", "12:01 success", "12:02 success", "12:03 success", "12:04 success"}, "critical 5 12:00 12:04 5 x1"},
		{"a superseded one is not lost", func(t *testing.T, db *pgxpool.Pool, c *Collector) {
			exec(t, db, "UPDATE ingest_runs SET superseded = true WHERE timestamp = $1", minute(4))
		}, nil, ""},
		{"minutes that had failed, and were told late", func(t *testing.T, db *pgxpool.Pool, c *Collector) {
			c.remember(failedRun(minute(-1), 2, "database", "not written: gone"))
			c.remember(failedRun(minute(5).Add(-30*time.Second).Truncate(time.Minute), 2, "database", "it has a run")) // minute 4
			c.saveUnsaved(t.Context())
			exec(t, db, "DELETE FROM ingest_runs WHERE timestamp <= $1", minute(0))
		}, []string{"11:59 failed database", "12:00 failed lost"}, "critical 2 11:59 12:00 0 x1"},
		{"nothing is lost", func(t *testing.T, db *pgxpool.Pool, c *Collector) {}, nil, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			db, c := collected(t)
			known := list(t, db, "SELECT run_id::text FROM ingest_runs")
			tt.lose(t, db, c)
			c.Recheck()
			c.cycle(t.Context(), minute(5))
			same(t, "written", list(t, db, "SELECT concat_ws(' ', to_char(timestamp AT TIME ZONE 'UTC', 'HH24:MI'), status, failed_check) FROM ingest_runs WHERE run_id <> ALL ($1::text[]::bigint[]) AND timestamp < $2 ORDER BY 1", known, minute(5)), tt.runs...)
			var events []string
			if tt.told != "" {
				events = []string{tt.told}
			}
			same(t, "events", list(t, db, lostEvents), events...)
			same(t, "the minute itself", list(t, db, "SELECT status FROM ingest_runs WHERE timestamp = $1", minute(5)), "success")
			if c.recheck.Load() {
				t.Error("it is compared again")
			}
		})
	}
}

// While it cannot be compared nothing newer is written: the minute waits, and the
// next one compares again.
func TestAComparisonThatFailsIsTriedAgain(t *testing.T) {
	db, c := collected(t)
	lose(t, db, 4)
	c.Recheck()
	exec(t, db, "ALTER TABLE ingest_runs RENAME TO away")
	c.cycle(t.Context(), minute(5))
	exec(t, db, "ALTER TABLE away RENAME TO ingest_runs")
	if len(c.unsaved) != 1 || !c.recheck.Load() {
		t.Fatalf("%d minutes wait; compare again: %t", len(c.unsaved), c.recheck.Load())
	}
	present(t, db, minute(6))
	c.cycle(t.Context(), minute(6))
	same(t, "runs", list(t, db, storedRuns)[4:], "12:04:00 success 2/2 {}", `12:05:00 failed 0/2 {"database": 2}`, "12:06:00 success 2/2 {}")
	same(t, "events", list(t, db, lostEvents), "critical 1 12:04 12:04 1 x1")
}

// A collector that does not lead repairs nothing: whoever leads has other minutes.
func TestAComparisonOfACollectorThatDoesNotLeadWritesNothing(t *testing.T) {
	db, c := collected(t)
	lose(t, db, 3)
	c.Recheck()
	c.store = c.store.Behind(&lead.Fence{})
	before := list(t, db, everything)
	if err := c.compare(t.Context(), minute(90)); !errors.Is(err, lead.ErrNotLeading) {
		t.Errorf("compare: %v", err)
	}
	same(t, "what is stored", list(t, db, everything), before...)
}

// An hour of minutes is kept, and readings of the newest as far as there is room.
func TestWhatIsKeptOfCommittedMinutes(t *testing.T) {
	c := &Collector{}
	large := make([]Reading, keptReadings/4)
	for n := range 90 {
		c.keep(Judge(minute(n), len(large), large, nil), large, minute(n).Add(time.Second))
	}
	if first, last := c.kept[0].run.Timestamp, c.kept[len(c.kept)-1].run.Timestamp; len(c.kept) != 61 || !first.Equal(minute(29)) || !last.Equal(minute(89)) {
		t.Errorf("%d minutes from %s to %s", len(c.kept), first, last)
	}
	for i, k := range c.kept {
		if with := k.readings != nil; with != (i >= len(c.kept)-4) {
			t.Errorf("minute %d of %d with readings: %t", i, len(c.kept), with)
		}
	}
}

// A leader that died with its database takes what it knew with it. Who waited has seen
// its beats: the minutes that the database lost are failed, and not passed over.
func TestASuccessorKnowsWhatWasLostWithItsPredecessor(t *testing.T) {
	db, _ := collected(t)
	lose(t, db, 3)
	c := collecting(t, db, &upstream{}, nil)
	c.Inherit(lead.Legacy{Lost: minute(4)})
	c.cycle(t.Context(), minute(5))
	same(t, "lost", list(t, db, lostEvents), "critical 2 12:03 12:04 0 x1")
	same(t, "runs", list(t, db, "SELECT concat_ws(' ', to_char(timestamp AT TIME ZONE 'UTC', 'HH24:MI'), failed_check) FROM ingest_runs ORDER BY 1"),
		"12:00", "12:01", "12:02", "12:03 lost", "12:04 lost", "12:05")
	same(t, "again", list(t, db, lostEvents), "critical 2 12:03 12:04 0 x1")

	// A database that has lost nothing is none of that.
	db, _ = collected(t)
	c = collecting(t, db, &upstream{}, nil)
	c.Inherit(lead.Legacy{Lost: minute(4)})
	c.cycle(t.Context(), minute(5))
	same(t, "lost", list(t, db, lostEvents))
}

// A lead can be lost to a database that came back as one of an older epoch: whoever gets
// it again still knows what it had committed.
func TestALeadThatIsLostWithTheDatabaseForgetsNoMinute(t *testing.T) {
	db, c := collected(t)
	lose(t, db, 3)
	c.forget()
	c.cycle(t.Context(), minute(5))
	same(t, "lost", list(t, db, lostEvents), "critical 2 12:03 12:04 2 x1")
}

// Minutes that a collector committed, and that a restored backup lacks, are lost ones also
// where it takes the lead of it again before it has compared: not holes that nobody led in.
func TestALostMinuteIsNoHole(t *testing.T) {
	db, c := collected(t)
	runs := list(t, db, wholeRuns)
	lose(t, db, 2)
	c.forget() // the lead was lost with the database
	c.cfg.Clock = frozen(t, minute(5).Add(50*time.Second))
	c.firstMinute(t.Context())
	c.saveUnsaved(t.Context())
	same(t, "runs", list(t, db, wholeRuns)[:5], runs...)
	same(t, "told", list(t, db, lostEvents), "critical 3 12:02 12:04 3 x1")
}
