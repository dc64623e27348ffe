package test

import (
	"strings"
	"time"

	"github.com/whalegate/whalegate/internal/health"
)

// haltDays are the game days of runbook 8.
var haltDays = []day{
	{8, "halt during healthy operation", func(g *gameday) {
		g.awaitOpen()
		halted := g.halt()
		if n := g.open(); n != 0 {
			g.Errorf("%d rows can be read right after the halt", n)
		}
		g.detectedAs(health.Stale, "halted")
		d := g.diagnosed(2)
		if f := d.findings[0]; f.Trading != "NO" || !strings.Contains(d.stdout, "positions look wrong") {
			g.Errorf("the finding: %s", d.stdout)
		}
		// Signals stand still, ingestion goes on.
		g.awaitTrue("a blocked boundary", "EXISTS (SELECT FROM signal_cycles WHERE timestamp > $1 AND outcome = 'blocked' AND 'halted' = ANY (reasons))", halted)
		g.awaitTrue("clean minutes", "count(*) >= 10 FROM ingest_runs WHERE timestamp > $1 AND is_clean", halted)
		g.checkStill(halted)
		g.repair(func() { g.resume(d) })
		g.recovered()
		g.awaitTrue("signals again", "EXISTS (SELECT FROM signals WHERE timestamp > $1)", halted)
		g.awaitOpen()
	}},
	{8, "halt across a restart", func(g *gameday) {
		g.watch()
		g.awaitOpen()
		halted := g.halt()
		g.detectedAs(health.Stale, "halted")
		if code := g.service.end(g); code != 0 {
			g.Errorf("exit code %d", code)
		}
		g.run()
		g.awaitStatus(health.Stale, "halted")
		g.service.kill()
		must(g, g.pg.Kill()) // nor does a crash of everything lift it
		must(g, g.pg.Restart(g.Context()))
		g.run()
		g.awaitStatus(health.Stale, "halted")
		d := g.diagnosed(2)
		g.awaitTrue("clean minutes", "clean_runs >= 2 FROM ingest_health")
		g.awaitTrue("a blocked boundary", "EXISTS (SELECT FROM signal_cycles WHERE timestamp > $1 AND outcome = 'blocked')", halted)
		g.checkStill(halted)
		g.diagnosed(2)
		g.repair(func() { g.resume(d) })
		g.recovered()
	}},
	{8, "resume refused, then accepted", func(g *gameday) {
		g.awaitOpen()
		g.fault(`{"kind":"null","endpoint":"state"}`) // nothing clean can come
		g.awaitRun(g.newest(), "wallet_success_count = 0")
		halted := g.halt()
		g.detectedAs(health.Stale, "halted")
		d := g.diagnosed(2)
		g.awaitRun(halted, "wallet_success_count = 0")
		for _, c := range []struct{ cause, actions, want string }{
			{"a wrong feed", "fixed it", "0 of 2 consecutive clean cycles"},
			{" ", "fixed it", "the root cause is empty"},
			{"a wrong feed", "", "the actions taken are empty"},
		} {
			if r := g.cli("resume", "--cause="+c.cause, "--actions="+c.actions); r.code != 1 || !strings.Contains(r.stderr, c.want) {
				g.Errorf("resume: %q is wanted: %s", c.want, r)
			}
		}
		if err := g.carryOut(d, "whalegate runbook verify halt"); err == nil {
			g.Error("verify halt tells that nothing is missing")
		}
		g.diagnosed(2)
		g.checkStill(halted)
		g.repair(func() {
			g.clear()
			g.resume(d)
		})
		g.recovered()
		if r := g.cli("resume", "--cause=again", "--actions=none"); r.code != 1 || !strings.Contains(r.stderr, "no halt is in force") {
			g.Errorf("a second resume: %s", r)
		}
	}},
}

// halt injects a halt, and returns when it began.
func (g *gameday) halt() (at time.Time) {
	g.Helper()
	g.inject(func() {
		if r := g.cli("halt", "--reason=positions look wrong"); r.code != 0 {
			g.Fatalf("halt: %s", r)
		}
	})
	return get[time.Time](g.world, "SELECT halted_at FROM halts WHERE resumed_at IS NULL")
}

// resume does it as the finding says, until it is accepted, and looks for the record.
func (g *gameday) resume(d diagnosis) {
	g.Helper()
	await(g, "resume", func() error {
		return g.carryOut(d, "whalegate resume", `--cause "…"`, `--cause "a wrong feed"`, `--actions "…"`, `--actions "changed it"`)
	})
	if n := get[int](g.world, "SELECT count(*) FROM halts WHERE reason = 'positions look wrong' AND cause = 'a wrong feed' AND actions = 'changed it' AND halted_by <> '' AND resumed_by <> '' AND resumed_at > halted_at"); n != 1 {
		g.Error("the incident is not recorded")
	}
}

// checkStill looks for a signal, or an alert, of the time since a halt began.
func (g *gameday) checkStill(halted time.Time) {
	g.Helper()
	if n := get[int](g.world, "SELECT (SELECT count(*) FROM signals WHERE timestamp > $1) + (SELECT count(*) FROM alerts WHERE timestamp > $1)", halted); n != 0 {
		g.Errorf("%d signals and alerts during the halt", n)
	}
	if n := g.open(); n != 0 {
		g.Errorf("%d rows can be read during the halt", n)
	}
}
