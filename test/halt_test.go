package test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/whalegate/whalegate/internal/health"
)

func TestHaltHoldsUntilADocumentedResume(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.awaitHealth(health.Healthy, "")
	refused := func(want string, args ...string) {
		t.Helper()
		if r := w.cli(args...); r.code != 1 || !strings.Contains(r.stderr, want) || strings.Count(r.stderr, "\n") != 1 {
			t.Errorf("%v: %s", args, r)
		}
	}
	resume := []string{"resume", "--cause=a wrong feed", "--actions=fixed it"}
	refused("no halt is in force", resume...)
	if r := w.cli("halt", "--reason=positions look wrong"); r.code != 0 {
		t.Fatalf("halt: %s", r)
	}
	w.awaitHealth(health.Stale, "halted")
	report := w.awaitStatus(health.Stale, "halted")
	if report.TradingAllowed != "NO" || report.Halt == nil || report.Halt.Reason != "positions look wrong" {
		t.Errorf("status: %+v", report)
	}
	w.awaitMetric(`whalegate_health_reason{reason="halted"}`, 1)
	if r := w.awaitExit(2); !strings.Contains(r.stdout, "positions look wrong") {
		t.Errorf("status: %s", r)
	}
	refused("already in force", "halt", "--reason=again")

	// Nothing clean can come while the exchange answers nonsense.
	w.fault(`{"kind":"null","endpoint":"state"}`)
	failed := w.awaitRun(w.newest(), "wallet_success_count = 0")
	if code := w.service.end(t); code != 0 {
		t.Errorf("exit code %d", code)
	}
	w.run()
	w.awaitStatus(health.Stale, "halted") // a restart forgets nothing
	refused("0 of 2 consecutive clean cycles", resume...)
	refused("the root cause is empty", "resume", "--cause= ", "--actions=fixed it")
	refused("the actions taken are empty", "resume", "--cause=a wrong feed", "--actions=")
	w.clear()
	w.awaitTrue("two clean cycles", "clean_runs >= 2 AND last_success_snapshot_ts > $1 FROM ingest_health", failed)
	if h := w.awaitHealth(health.Stale, "halted"); len(h.Reasons) != 1 {
		t.Errorf("only the halt is left: %v", h.Reasons)
	}
	r := w.cli(append(resume, "--json")...)
	var halt health.Halt
	if err := json.Unmarshal([]byte(r.stdout), &halt); err != nil || r.code != 0 || halt.ResumedAt == nil || *halt.Cause != "a wrong feed" {
		t.Fatalf("resume: %s", r)
	}
	w.awaitHealth(health.Healthy, "")
	w.awaitStatus(health.Healthy, "")
	w.awaitExit(0)
	refused("no halt is in force", resume...)
	if n := get[int](w, "SELECT count(*) FROM halts WHERE reason = 'positions look wrong' AND actions = 'fixed it' AND resumed_by <> '' AND resumed_at > halted_at"); n != 1 {
		t.Errorf("%d incident records", n)
	}
	w.checkWhole()
}

// Who waits for a lock is told that nothing is halted yet, and what to end.
func TestAHaltThatWaitsForALockSaysSo(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	tx, err := w.db.Begin(t.Context())
	must(t, err)
	defer tx.Rollback(context.Background())
	_, err = tx.Exec(t.Context(), "LOCK TABLE halts IN SHARE MODE") // everybody may still read
	must(t, err)
	halt := launch(t, w.environ(), "halt", "--reason=positions look wrong")
	await(t, "what it waits for", func() error {
		want := fmt.Sprintf("not halted yet, and the gate is as it was: it waits for a lock that session %d ", tx.Conn().PgConn().PID())
		if !strings.Contains(halt.log(), want) {
			return fmt.Errorf("it says %q", halt.log())
		}
		return nil
	})
	given := launch(t, w.environ(), "halt", "--reason=never mind")
	await(t, "the second one waits too", func() error {
		if !strings.Contains(given.log(), "not halted yet") {
			return fmt.Errorf("it says %q", given.log())
		}
		return nil
	})
	must(t, given.cmd.Process.Signal(os.Interrupt))
	<-given.exited
	if said := given.log(); !strings.Contains(said, "not halted yet, and the gate is as it was, as far as is known: interrupted") || strings.Contains(said, "unreachable") || given.cmd.ProcessState.ExitCode() != 1 {
		t.Errorf("an interrupted halt says %q", said)
	}
	must(t, tx.Rollback(t.Context()))
	<-halt.exited
	if code := halt.cmd.ProcessState.ExitCode(); code != 0 {
		t.Errorf("exit %d: %s", code, halt.log())
	}
	w.awaitHealth(health.Stale, "halted")
	if n := get[int](w, "SELECT count(*) FROM halts"); n != 1 {
		t.Errorf("%d halts are stored: the interrupted one must not be", n)
	}
}
