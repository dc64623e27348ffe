package test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/whalegate/whalegate/internal/health"
	"github.com/whalegate/whalegate/internal/runbook"
)

// diagnosis is what `whalegate runbook diagnose --json` prints.
type diagnosis struct {
	result
	findings []runbook.Finding
	summary  runbook.Report
}

// diagnose runs the command against the world as it is.
func (w *world) diagnose() (d diagnosis) {
	w.Helper()
	d.result = w.cli("runbook", "diagnose", "--json", "--service-url="+w.address)
	for line := range strings.Lines(d.stdout) {
		var f runbook.Finding
		if strings.HasPrefix(line, `{"summary"`) {
			must(w, json.Unmarshal([]byte(line), &d.summary))
			continue
		}
		must(w, json.Unmarshal([]byte(line), &f))
		d.findings = append(d.findings, f)
	}
	if d.summary.State == "" || d.summary.Exit != d.code {
		w.Fatalf("there is no summary, or another code: %s", d.result)
	}
	return d
}

// awaitDiagnosis waits until a runbook is named first, with an exit code; ""
// until none is.
func (w *world) awaitDiagnosis(first string, code int) (d diagnosis) {
	w.Helper()
	await(w, "diagnose to name "+first, func() error {
		d = w.diagnose()
		named := ""
		if len(d.findings) > 0 {
			named = d.findings[0].Slug
		}
		if named != first || d.code != code {
			return fmt.Errorf("it names %v, exit %d: %s", d.summary.Matching, d.code, d.stdout)
		}
		return nil
	})
	return d
}

// verify runs the command and tells its code.
func (w *world) verify(slug string) result {
	w.Helper()
	return w.cli("runbook", "verify", slug, "--service-url="+w.address)
}

// checkVerify wants a runbook's recovery not to hold, with the code of the state.
func (w *world) checkVerify(slug string, code int) {
	w.Helper()
	if r := w.verify(slug); r.code != code {
		w.Errorf("verify %s: exit %d is wanted: %s", slug, code, r)
	}
}

// awaitVerified waits until a runbook's recovery holds.
func (w *world) awaitVerified(slugs ...string) {
	w.Helper()
	for _, slug := range slugs {
		await(w, "verify "+slug, func() error {
			if r := w.verify(slug); r.code != 0 {
				return errors.New(r.String())
			}
			return nil
		})
	}
}

func TestDiagnoseNamesTheCauseAndVerifyItsEnd(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.awaitHealth(health.Healthy, "")
	w.awaitDiagnosis("", 0)
	slugs := []string{"ingestion", "universe", "signal-lock", "dirty-spike", "alert-spam", "board-truth", "database", "halt", "crash"}
	w.awaitVerified(slugs...)

	t.Run("429 storm", func(t *testing.T) {
		w := w.in(t)
		w.fault(`{"kind":"status","code":429,"endpoint":"state"}`)
		d := w.awaitDiagnosis("ingestion", 2)
		if f := d.findings[0]; f.Severity != runbook.P1 || f.Trading != "NO" || !strings.Contains(f.Summary, "rate_limited") || len(f.Actions) == 0 || len(f.DoNot) == 0 || len(f.Evidence) == 0 {
			t.Errorf("%+v", f)
		}
		w.checkVerify("ingestion", 2)
		w.clear()
		w.awaitVerified("ingestion")
		w.awaitDiagnosis("", 0)
	})
	t.Run("halt", func(t *testing.T) {
		w := w.in(t)
		if r := w.cli("halt", "--reason=a drill"); r.code != 0 {
			t.Fatal(r)
		}
		if d := w.awaitDiagnosis("halt", 2); !strings.Contains(d.stdout, "a drill") {
			t.Error(d.stdout)
		}
		w.checkVerify("halt", 2)
		await(t, "resume", func() error {
			if r := w.cli("resume", "--cause=a drill", "--actions=none"); r.code != 0 {
				return errors.New(r.String())
			}
			return nil
		})
		w.awaitVerified("halt")
	})
	t.Run("database stopped", func(t *testing.T) {
		w := w.in(t)
		must(t, w.pg.Stop())
		w.awaitCode("/-/ready", 503)
		d := w.awaitDiagnosis("database", 2)
		if d.summary.State != "STALE" || d.summary.Trading != "NO" || len(d.summary.Unknown) == 0 {
			t.Errorf("%+v", d.summary)
		}
		w.checkVerify("database", 2)
		w.checkVerify("ingestion", 3)
		must(t, w.pg.Restart(t.Context()))
		w.awaitVerified("database", "ingestion")
	})
	t.Run("wrong login", func(t *testing.T) {
		w := w.in(t)
		d := w.cli("runbook", "diagnose", "--service-url="+w.address, "--database-url="+w.pg.URL("nobody_here", dbName))
		if d.code != 3 || !strings.Contains(d.stdout, "login_refused") || !strings.Contains(d.stdout, "health HEALTHY") {
			t.Error(d)
		}
	})
	t.Run("paused", func(t *testing.T) {
		w := w.in(t)
		must(t, w.service.cmd.Process.Signal(syscall.SIGSTOP))
		d := w.awaitDiagnosis("ingestion", 2)
		if slices.Contains(d.summary.Matching, "crash") || !strings.Contains(d.stdout, "does not answer") {
			t.Error(d.stdout)
		}
		must(t, w.service.cmd.Process.Signal(syscall.SIGCONT))
		w.awaitVerified("ingestion")
	})
	t.Run("killed", func(t *testing.T) {
		w := w.in(t)
		w.service.kill()
		d := w.awaitDiagnosis("crash", 2)
		if !strings.Contains(d.stdout, "the process is gone") || d.findings[0].Severity != runbook.P1 {
			t.Error(d.stdout)
		}
		w.checkVerify("crash", 2)
		w.awaitVerified("board-truth") // what is left to look at is dark
		w.run()
		w.awaitVerified(slugs...)
	})
	w.checkWhole()
}

func TestDiagnoseOfWhatLeavesTheStateAlone(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.awaitHealth(health.Healthy, "")
	w.awaitDiagnosis("", 0)
	t.Run("leaderboard", func(t *testing.T) {
		w := w.in(t)
		w.fault(`{"kind":"status","code":500,"endpoint":"leaderboard"}`)
		w.cli("--log.level=error", "universe", "refresh")
		if d := w.awaitDiagnosis("universe", 1); d.findings[0].Severity != runbook.P3 || !strings.Contains(d.stdout, "500") {
			t.Error(d.stdout)
		}
		w.cli("--log.level=error", "universe", "refresh")
		if d := w.awaitDiagnosis("universe", 1); d.findings[0].Severity != runbook.P2 {
			t.Error(d.stdout)
		}
		w.checkVerify("universe", 1)
		w.clear()
		if r := w.cli("universe", "refresh"); r.code != 0 {
			t.Fatal(r)
		}
		w.awaitVerified("universe")
		w.awaitDiagnosis("", 0)
	})
	t.Run("a locked table", func(t *testing.T) {
		w := w.in(t)
		tx, err := w.db.Begin(t.Context())
		must(t, err)
		defer tx.Rollback(context.Background())
		_, err = tx.Exec(t.Context(), "LOCK TABLE wallet_snapshots IN ACCESS EXCLUSIVE MODE")
		must(t, err)
		// One that is younger is no suspect, and a machine that was held up may be STALE already.
		w.awaitTrue("the lock to be a second old", "clock_timestamp() - xact_start > interval '1 second' FROM pg_stat_activity WHERE pid = $1", tx.Conn().PgConn().PID())
		d := w.awaitDiagnosis("database", 2)
		if !strings.Contains(d.findings[0].Summary, "lock") || !strings.Contains(d.stdout, fmt.Sprintf("pg_terminate_backend(%d)", tx.Conn().PgConn().PID())) {
			t.Error(d.stdout)
		}
		w.checkVerify("database", 2)
		// What the finding says to do.
		if end := get[bool](w, "SELECT pg_terminate_backend($1)", tx.Conn().PgConn().PID()); !end {
			t.Error("the session cannot be ended")
		}
		w.awaitVerified("database", "ingestion")
	})
	t.Run("many wallets collapse for a minute", func(t *testing.T) {
		w := w.in(t)
		w.awaitDiagnosis("", 0)
		w.fault(`{"kind":"collapse","share":0.3}`)
		d := w.awaitDiagnosis("dirty-spike", 1)
		if !strings.Contains(d.stdout, "wallets (") {
			t.Error(d.stdout)
		}
		w.checkVerify("dirty-spike", 1)
		w.clear()
		w.awaitVerified("dirty-spike")
	})
	w.checkWhole()
}
