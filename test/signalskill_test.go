package test

import (
	"testing"
	"time"

	"github.com/whalegate/whalegate/internal/halt"
)

// slowSignals makes each insert of a signal take so many seconds, of real time.
func (w *world) slowSignals(seconds string) {
	w.Helper()
	_, err := w.db.Exec(w.Context(), `
		CREATE FUNCTION slow_signals() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(`+seconds+`); RETURN NEW; END';
		CREATE TRIGGER slow_signals BEFORE INSERT ON signals FOR EACH ROW EXECUTE FUNCTION slow_signals()`)
	must(w, err)
}

const writingSignals = `EXISTS (SELECT FROM pg_stat_activity WHERE application_name = 'whalegate run' AND query LIKE '%INSERT INTO signals%' AND state = 'active')`

// TestKilledInTheMiddleOfAComputation kills the service while it writes signals.
func TestKilledInTheMiddleOfAComputation(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.awaitCycle(time.Time{}, "computed")
	w.slowSignals("0.2")
	for range 4 {
		before := get[int](w, "SELECT count(*) FROM signals")
		w.awaitTrue("signals to be written", writingSignals)
		w.service.kill()
		w.awaitTrue("its sessions to end", "NOT EXISTS (SELECT FROM pg_stat_activity WHERE application_name LIKE 'whalegate %')")
		if n := get[int](w, "SELECT count(*) FROM signals"); n != before {
			t.Errorf("%d signals, %d before the kill: half a boundary was kept", n, before)
		}
		w.checkSignals()
		w.run()
	}
	after := w.newest()
	w.awaitCycle(after, "computed")
	w.checkSignals()
	w.checkAudit()
}

// TestAHaltInTheMiddleOfAComputation halts while signals are being written: the
// last look at health is inside their transaction.
func TestAHaltInTheMiddleOfAComputation(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.awaitCycle(time.Time{}, "computed")
	w.slowSignals("0.2")
	w.awaitTrue("signals to be written", writingSignals)
	boundary := w.clock.Now().Truncate(5 * time.Minute)
	if _, err := halt.Stop(t.Context(), w.db, "in the middle", "test"); err != nil {
		t.Fatal(err)
	}
	w.awaitTrue("the boundary to be done", "EXISTS (SELECT FROM signal_cycles WHERE timestamp = $1)", boundary)
	if outcome := get[string](w, "SELECT outcome || ' ' || reasons::text FROM signal_cycles WHERE timestamp = $1", boundary); outcome != "blocked {halted}" {
		t.Errorf("the boundary is %s", outcome)
	}
	if n := get[int](w, "SELECT count(*) FROM signals WHERE timestamp = $1", boundary); n != 0 {
		t.Errorf("%d signals", n)
	}
	w.checkSignals()
}

// TestSignalsOfRecordedPositions computes live from positions of real wallets.
func TestSignalsOfRecordedPositions(t *testing.T) {
	t.Parallel()
	w := quietWorld(t, recordedPositions(t)...)
	w.run()
	first := w.awaitCycle(time.Time{}, "computed")
	w.awaitTrue("five boundaries", "count(*) >= 5 FROM signal_cycles WHERE outcome = 'computed'")
	w.checkSignals()
	w.checkAudit()
	w.checkReplay(first, w.lastHeld())
}
