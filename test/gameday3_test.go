package test

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/whalegate/whalegate/internal/health"
)

// signalLockDays are the game days of runbook 3. A lock that works is a
// consequence: while what locked it lasts, its own runbook has to be named first,
// and signal-lock right behind it. Signal-lock itself is the first answer when the
// cause is over and the next boundary is not in yet, and when the job is dead.
var signalLockDays = []day{
	{3, "coverage under 80 %", func(g *gameday) {
		failing := func() {
			for _, wallet := range g.members()[:7] { // of 24
				g.fault(`{"kind":"wallets","wallet":"%s"}`, wallet)
			}
		}
		start := g.newest()
		g.inject(failing)
		g.detectedAs(health.Stale, "coverage")
		blocked := g.blocked(start, "coverage")
		g.awaitTrue("G0", "EXISTS (SELECT FROM qa_events WHERE check_id = 'G0' AND details->'reasons' ? 'coverage')")
		g.awaitMetric(`whalegate_signal_cycles_blocked_total{reason="coverage"}`, 1)
		g.service.logged(g, "signal computation blocked")
		d := g.diagnosedBehind("ingestion", 2)
		if f := d.findings[1]; f.Severity != "P2" || !strings.Contains(f.Summary, "as it should be") {
			g.Errorf("%+v", f)
		}
		g.act(d.findings[1], "whalegate status") // which tells what to mend, and nothing more is done
		g.repair(g.clear)
		for rounds := 0; !g.locksAlone(blocked); rounds++ {
			if rounds == 3 {
				g.Fatal("signal-lock was never the first answer")
			}
			blocked = g.blockedAgain(failing) // the next boundary came before anybody looked
			g.repair(g.clear)
		}
		g.recovered()
		g.act(d.findings[1], "whalegate runbook verify")
		if n := get[int](g.world, "SELECT count(*) FROM signals WHERE timestamp = $1", blocked); n != 0 {
			g.Errorf("%d signals of a blocked boundary came later", n)
		}
		g.checkSignals()
		g.checkAudit()
	}},
	{3, "state turning STALE in the middle of a computation", func(g *gameday) {
		g.slowSignals("0.8")
		var boundary time.Time
		g.awaitTrue("signals to be written", writingSignals)
		g.inject(func() {
			g.fault(`{"kind":"status","code":429,"endpoint":"state"}`)
			boundary = get[time.Time](g.world, "SELECT max(timestamp) FROM signal_cycles").UTC().Add(5 * time.Minute)
		})
		g.detectedAs(health.Stale, "run_failed")
		if blocked := g.blocked(boundary.Add(-time.Minute), "run_failed"); !blocked.Equal(boundary) {
			g.Errorf("blocked is %s, and %s was being computed", blocked, boundary)
		}
		g.diagnosedBehind("ingestion", 2)
		g.repair(func() {
			g.clear()
			_, err := g.db.Exec(g.Context(), "DROP TRIGGER slow_signals ON signals")
			must(g, err)
		})
		g.recovered()
		g.checkSignals()
		g.checkAudit()
	}},
	{3, "a computation whose signals cannot be written", func(g *gameday) {
		g.awaitTrue("signals of before", "EXISTS (SELECT FROM signals)")
		start := g.newest()
		g.inject(func() {
			_, err := g.db.Exec(g.Context(), "REVOKE INSERT ON signals FROM "+writer)
			must(g, err)
		})
		g.detected("a boundary without a signal", func() error {
			due, err := value[bool](g.world, "SELECT max(timestamp) < whalegate_now() - interval '7 minutes' FROM signals")
			if err == nil && !due {
				err = errors.New("the newest is not old enough")
			}
			return err
		})
		g.awaitHealth(health.Healthy, "") // which the data is: only the job is not
		d := g.diagnosed(1)
		if d.findings[0].Severity != "P2" || !strings.Contains(d.findings[0].Summary, "allows it") {
			g.Errorf("%+v", d.findings[0])
		}
		if out := g.act(d.findings[0], "whalegate signals replay"); !strings.Contains(out, "BTC") {
			g.Errorf("the computation itself does not fail, and replay says %s", out)
		}
		g.repair(func() {
			_, err := g.db.Exec(g.Context(), "GRANT INSERT ON signals TO "+writer)
			must(g, err)
			if code := g.service.end(g); code != 0 {
				g.Errorf("the service ended with %d", code)
			}
			g.run()
		})
		g.recovered()
		g.awaitRun(start, "is_clean")
		g.checkSignals()
		g.checkAudit()
	}},
}

// locksAlone waits for the moment in which the data is good again and the newest
// boundary is still blocked: then signal-lock is the first answer. It is false when
// the next boundary was computed before anybody looked.
func (g *gameday) locksAlone(blocked time.Time) (seen bool) {
	g.Helper()
	await(g, "signal-lock to be named alone", func() error {
		d := g.diagnose()
		if len(d.findings) > 0 && d.findings[0].Slug == "signal-lock" {
			if f := d.findings[0]; f.Severity != "P3" || d.code != 1 || d.summary.State == "STALE" {
				g.Errorf("%+v, exit %d", f, d.code)
			}
			seen = true
			return nil
		}
		next, err := value[bool](g.world, "SELECT EXISTS (SELECT FROM signal_cycles WHERE timestamp > $1 AND outcome = 'computed')", blocked)
		if err == nil && !next {
			err = fmt.Errorf("it names %v", d.summary.Matching)
		}
		return err
	})
	return seen
}

// blockedAgain lets the fault come back until another boundary is blocked.
func (g *gameday) blockedAgain(fault func()) time.Time {
	g.Helper()
	after := get[time.Time](g.world, "SELECT max(timestamp) FROM signal_cycles")
	fault()
	return g.awaitCycle(after, "blocked")
}
