package test

import (
	"fmt"
	"slices"
	"strings"
	"syscall"
	"time"

	runbooks "github.com/whalegate/whalegate/docs/runbooks"
	"github.com/whalegate/whalegate/internal/health"
	"github.com/whalegate/whalegate/internal/health/watch"
)

// ingestionDays are the game days of runbook 1.
var ingestionDays = []day{
	{1, "states 30 minutes old", untrueStates(`{"kind":"lag","seconds":1800}`, "old_state")},
	{1, "states that stand still", untrueStates(`{"kind":"frozen"}`, "old_state")},
	{1, "states from the future", untrueStates(`{"kind":"future","seconds":600}`, "future_state")},
	{1, "one list of sub-accounts that is never readable", func(g *gameday) {
		master := get[string](g.world, "SELECT min(wallet_id) FROM wallet_accounts WHERE cardinality(sub_accounts) > 0")
		w := quietWorld(g.TB)
		start := w.clock.Now()
		w.fault(`{"kind":"subaccounts_unreadable","variant":"text","wallet":"%s"}`, master)
		g.moveTo(w) // the list is unreadable from the first start on
		g.injected = start
		g.detected("everybody else to be read", func() error {
			return differs(get[string](g.world, "SELECT wallet_success_count || ' ' || status || ' ' || failures FROM ingest_runs ORDER BY timestamp DESC LIMIT 1"), `23 success {"accounts_unknown": 1}`)
		})
		g.nothingDiagnosed()
		g.awaitTrue("the others' accounts to be confirmed", "count(*) = 23 FROM wallet_accounts WHERE checked_at IS NOT NULL")
		if n := get[int](g.world, "SELECT count(*) FROM wallet_snapshots WHERE wallet_id = $1", master); n != 0 {
			g.Errorf("%d rows of a wallet whose accounts nobody knows", n)
		}
		boundary := g.awaitCycle(g.newest(), "computed")
		if n := get[int](g.world, "SELECT count(*) FROM signals WHERE timestamp = $1 AND missing_count <> 1", boundary); n != 0 {
			g.Errorf("%d signals do not miss the wallet", n)
		}
		g.repair(g.clear)
		g.awaitRun(g.clock.Now(), "wallet_fail_count = 0")
		g.recovered()
		g.checkTruth()
	}},
	{1, "429 storm", func(g *gameday) {
		failed := g.fails("rate_limited", func() { g.fault(`{"kind":"status","code":429,"endpoint":"state"}`) })
		g.awaitMetric("whalegate_rate_limited_total", 1)
		d := g.diagnosed(2)
		g.says(d, "rate_limited")
		g.act(d.findings[0], "psql")
		g.repair(g.clear)
		g.recovers(failed)
	}},
	{1, "time-outs", func(g *gameday) {
		failed := g.fails("timeout", func() { g.fault(`{"kind":"hang","endpoint":"state"}`) })
		d := g.diagnosed(2)
		g.says(d, "timeout")
		g.repair(g.clear)
		g.recovers(failed)
		g.act(d.findings[0], "whalegate runbook verify")
	}},
	{1, "connection refused", func(g *gameday) {
		failed := g.fails("connection", func() { g.market.kill() })
		d := g.diagnosed(2)
		g.says(d, "connection")
		g.repair(func() { g.openExchangeAt(strings.TrimPrefix(g.exchange, "http://")) })
		g.recovers(failed)
		g.act(d.findings[0], "curl") // it answers again
		g.act(d.findings[0], "whalegate runbook verify")
	}},
	{1, "schema change: sizes under another name", func(g *gameday) {
		start := g.newest()
		g.inject(func() { g.fault(`{"kind":"schema","variant":"szi"}`) })
		g.detectedAs(health.Stale, "null_szi:BTC")
		g.awaitTrue("S5", "EXISTS (SELECT FROM qa_events WHERE check_id = 'S5' AND severity = 'critical')")
		failed := g.awaitRun(start, "btc_non_null_pct < 60")
		g.blocked(failed, "null_szi:BTC")
		g.formChanged(g.diagnosed(2))
		g.recovers(failed)
	}},
	{1, "schema change: positions as an object", func(g *gameday) {
		failed := g.fails("schema", func() { g.fault(`{"kind":"schema","variant":"positions"}`) })
		d := g.diagnosed(2)
		g.says(d, "schema")
		g.formChanged(d)
		g.recovers(failed)
	}},
	{1, "30 % of wallets failing", func(g *gameday) {
		failing := g.members()[:7] // of 24
		start := g.newest()
		g.inject(func() {
			for _, wallet := range failing {
				g.fault(`{"kind":"wallets","wallet":"%s"}`, wallet)
			}
		})
		g.detectedAs(health.Stale, "coverage")
		failed := g.awaitRun(start, "status = 'failed' AND wallet_fail_count = 7 AND failures = '{\"server_error\": 7}' AND coverage_pct BETWEEN 70 AND 71")
		g.awaitTrue("S3", "EXISTS (SELECT FROM qa_events WHERE check_id = 'S3' AND severity = 'critical')")
		if n := get[int](g.world, "SELECT count(*) FROM wallet_snapshots WHERE timestamp >= $1 AND wallet_id = ANY($2)", failed, failing); n != 0 {
			g.Errorf("%d rows of wallets that failed", n)
		}
		g.blocked(failed, "coverage")
		d := g.diagnosed(2)
		g.says(d, "server_error")
		g.repair(g.clear)
		g.recovers(failed)
		g.act(d.findings[0], "whalegate runbook verify")
	}},
	{1, "15 % of wallets failing", func(g *gameday) {
		start := g.newest()
		g.inject(func() {
			for _, wallet := range g.members()[:4] { // of 24
				g.fault(`{"kind":"wallets","wallet":"%s"}`, wallet)
			}
		})
		g.detectedAs(health.Degraded, "coverage")
		partial := g.awaitRun(start, "status = 'partial' AND wallet_fail_count = 4 AND coverage_pct BETWEEN 83 AND 84")
		d := g.diagnosed(1)
		g.says(d, "server_error")
		if d.findings[0].Severity != "P2" || d.summary.State != "DEGRADED" || d.summary.Trading == "NO" {
			g.Errorf("%+v", d.summary)
		}
		// Signals go on, and say that they are not to be taken for good.
		// The first one whose whole window is after the fault.
		boundary := g.awaitCycle(partial.Add(6*time.Minute), "computed")
		if n := get[int](g.world, "SELECT count(*) FROM signals WHERE timestamp = $1 AND missing_count > 0", boundary); n != assets {
			g.Errorf("%d signals miss a wallet", n)
		}
		g.repair(g.clear)
		g.recovered()
		g.act(d.findings[0], "whalegate runbook verify")
		g.checkTruth()
	}},
	{1, "collector paused past ten minutes", func(g *gameday) {
		g.watch()
		g.inject(func() { must(g, g.service.cmd.Process.Signal(syscall.SIGSTOP)) })
		g.detectedAs(health.Degraded, "snapshot_age")
		d := g.diagnosed(2)
		g.says(d, "does not answer")
		// The dead man's switch says so: at once, or, when the frozen process holds the alert's row,
		// as soon as the server has ended that session, after a minute.
		awaitFor(g, 3*patience, "the dead man's switch", func() error {
			h, err := watch.Read(g.Context(), g.db)
			if err == nil && (h.State != health.Stale || !slices.Contains(h.Reasons, "system_stale")) {
				err = fmt.Errorf("it is %s %v", h.State, h.Reasons)
			}
			return err
		})
		g.repair(func() { g.act(d.findings[0], "sudo pkill -CONT") })
		g.recovered()
		g.checkTruth()
	}},
}

// untrueStates is a day on which states are answered that are not of now: no wallet is
// read, by S9, and nothing of it is stored.
func untrueStates(fault, reason string) func(*gameday) {
	return func(g *gameday) {
		g.moveTo(slowWorld(g.TB))
		g.awaitOpen()
		start := g.newest()
		g.inject(func() { g.fault("%s", fault) })
		failed := g.disbelieved(start, "S9", reason)
		if n := get[int](g.world, "SELECT count(*) FROM wallet_snapshots WHERE timestamp >= $1", failed); n != 0 {
			g.Errorf("%d rows of states that are not of now", n)
		}
		g.awaitTrue("the reason", "failures = jsonb_build_object($2::text, 24) FROM ingest_runs WHERE timestamp > $1 ORDER BY timestamp LIMIT 1", failed, reason)
		g.repair(g.clear)
		g.believed(failed)
		g.recoveredInOrder(failed)
		g.checkTruthOfStates() // which may be two minutes old
	}
}

// fails injects what lets every wallet fail for a reason, and returns the minute
// of the first run that did: no row is left of it, and no signal is computed.
func (g *gameday) fails(reason string, what func()) (failed time.Time) {
	g.Helper()
	start := g.newest()
	g.inject(what)
	g.detectedAs(health.Stale, "run_failed")
	failed = g.awaitRun(start, fmt.Sprintf("status = 'failed' AND wallet_success_count = 0 AND failures ? '%s'", reason))
	if n := get[int](g.world, "SELECT count(*) FROM wallet_snapshots WHERE timestamp >= $1", failed); n != 0 {
		g.Errorf("%d rows of wallets that failed", n)
	}
	g.awaitTrue("S3", "EXISTS (SELECT FROM qa_events WHERE check_id = 'S3' AND severity = 'critical')")
	g.awaitMetric(`whalegate_health_state{state="STALE"}`, 1)
	g.awaitExit(2)
	g.blocked(failed, "run_failed")
	return failed
}

// says looks for the cause in the words of the first finding.
func (g *gameday) says(d diagnosis, cause string) {
	g.Helper()
	if !strings.Contains(d.findings[0].Summary, cause) {
		g.Errorf("%q does not say %s", d.findings[0].Summary, cause)
	}
}

// formChanged does what the page says of answers in another form: halt until there
// is a version that reads them, and write down what it was.
func (g *gameday) formChanged(d diagnosis) {
	g.Helper()
	g.act(d.findings[0], "whalegate halt")
	d = g.awaitDiagnosis("halt", 2)
	if !slices.Contains(d.summary.Matching, g.played.slug) {
		g.Errorf("the halt hides its cause: %v", d.summary.Matching)
	}
	g.repair(g.clear)
	const resume = `whalegate resume --cause "the exchange changed the form of its answers" --actions "a new version"`
	page, err := runbooks.Pages.ReadFile("1-ingestion.md")
	must(g, err)
	if !strings.Contains(string(page), resume) {
		g.Error("the page does not tell how to resume")
	}
	g.operator().line(g, "the page", resume)
}

// recovers waits for the end of an outage in which a run failed. One clean minute
// does not end it, two in a row do; and what failed did not look flat.
func (g *gameday) recovers(failed time.Time) {
	g.Helper()
	g.recoveredInOrder(failed)
	g.checkTruth()
}

func (g *gameday) recoveredInOrder(failed time.Time) {
	g.Helper()
	g.recovered()
	early := get[int](g.world, `SELECT count(*) FROM ingest_runs r, ingest_health_at(r.finished_at) h
		WHERE r.timestamp >= $1 AND h.health_state <> 'STALE' AND r.timestamp < (SELECT min(b.timestamp) FROM ingest_runs a
			JOIN ingest_runs b ON b.timestamp = a.timestamp + interval '1 minute' AND b.is_clean WHERE a.is_clean AND a.timestamp > $1)`, failed)
	if early != 0 {
		g.Errorf("%d runs ended in another state than STALE before two were clean", early)
	}
}
