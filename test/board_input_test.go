package test

import (
	"strings"
	"testing"
	"time"
)

// TestTheBoardWithBadInput shows the board what it should not be given: never a
// value that should not be there, never a raw error where the halt belongs.
func TestTheBoardWithBadInput(t *testing.T) {
	w := newBoardWorld(t)
	b := openBrowser(t)
	board := w.grafana.URL + boardPath

	b.open(board) // an empty database
	b.shows(stateID, "SYSTEM HALT")
	b.shows(factsID, "Last good snapshot (UTC) none", "Gap unknown", "no_runs", "9-crash")
	b.checkHalted(every)
	b.screenshot(artifact(t, "empty.png"))

	w.runs(30) // healthy, and no signal at all
	b.open(board)
	b.shows(stateID, "HEALTHY")
	b.shows(factsID, "Last signal (UTC) none")
	for _, id := range []int{10, 11, 12} {
		b.shows(id, "No-trade")
		b.shows(id+3, "Risk mode Defensive", "no signal")
		b.shows(id+6, "CAS –", "Add exposure –")
	}
	b.shows(20, "No recent alerts")
	if text := b.text(); strings.Contains(text, "HALT") || strings.Contains(text, "No data") {
		t.Errorf("a healthy board without signals says %s", text)
	}
	if cut := b.cut(); cut != "" {
		t.Errorf("texts that do not fit:\n%s", cut)
	}

	w.signals(30 * 24) // a month of them, but none of ETH for ten minutes
	w.alerts()
	w.exec("DELETE FROM signals WHERE asset = 'ETH' AND timestamp > $1", w.now.Add(-10*time.Minute))
	b.open(board + "?var-asset=ETH&from=now-30d&to=now")
	b.shows(10, "Long-only")
	b.shows(12, "No-trade")
	b.shows(15, "Risk mode Defensive", "no signal")
	b.shows(18, "CAS –")
	b.shows(31, "ETH –")
	if text := b.text(); strings.Contains(text, "HALT") || strings.Contains(text, "No data") {
		t.Errorf("a month of the board says %s", text)
	}
	b.screenshot(artifact(t, "month.png"))

	// Every reason at once, and alerts that never end.
	w.newestRun("coverage_pct = 12, wallet_success_count = 24, wallet_fail_count = 176, rows_written = 72, status = 'failed', error = 'S3', hype_non_null_pct = 1, btc_non_null_pct = 1, eth_non_null_pct = 1")
	w.exec("INSERT INTO halts (halted_at, halted_by, reason) VALUES ($1, 'operator', 'everything at once')", w.now.Add(-time.Second))
	w.exec(`WITH a AS (INSERT INTO alerts (timestamp, asset, alert_type, severity, message, health_state)
			VALUES ($1, 'SYSTEM', 'system_stale', 'critical', '[SYSTEM] ' || repeat('An endless message <b>with</b> ${health_state} in it. ', 40), 'STALE') RETURNING id)
		INSERT INTO alert_state (asset, alert_type, is_active, active_alert_id) SELECT 'SYSTEM', 'system_stale', true, id FROM a`, w.minute())
	b.forget()
	b.open(board)
	b.screenshot(artifact(t, "every-reason.png"))
	b.shows(stateID, "SYSTEM HALT")
	b.shows(factsID, "run_failed, coverage, null_szi:HYPE,BTC,ETH, system_stale, halted", "8-halt")
	b.shows(20, "■ critical", "An endless message <b>with</b> ${health_state} in it.", "SYSTEM HALT") // the system alert is pinned, and says so itself
	if err := leaked(b.text()); err != nil {
		t.Error(err)
	}
	for _, overflow := range strings.Split(b.cut(), "\n") {
		if overflow != "" && !strings.HasPrefix(overflow, "20: [SYSTEM] An endless") { // ends with an ellipsis
			t.Errorf("does not fit: %s", overflow)
		}
	}
	w.exec("DELETE FROM halts; DELETE FROM alert_state WHERE alert_type = 'system_stale'; DELETE FROM alerts WHERE alert_type = 'system_stale'")
	w.newestRun(cleanRun + ", hype_non_null_pct = 100, btc_non_null_pct = 100, eth_non_null_pct = 100")
	b.open(board)
	b.shows(10, "Long-only")

	// The health function fails.
	w.exec("ALTER FUNCTION ingest_health_at(timestamptz) RENAME TO away")
	b.forget()
	b.refresh()
	b.shows(stateID, "SYSTEM HALT")
	b.shows(factsID, "health_unknown", "7-database")
	b.checkHalted(every)
	checkNoRawError(b)
	w.exec("ALTER FUNCTION away(timestamptz) RENAME TO ingest_health_at")
	b.refresh()
	b.shows(10, "Long-only")

	// The views are gone, as with an old schema.
	w.exec("ALTER SCHEMA board RENAME TO away")
	b.forget()
	b.refresh()
	b.shows(stateID, "SYSTEM HALT")
	b.shows(factsID, "SYSTEM HALT")
	b.checkHalted(every)
	checkNoRawError(b)
	w.exec("ALTER SCHEMA away RENAME TO board")
	b.refresh()
	b.shows(10, "Long-only")

	// The database is gone.
	b.forget()
	must(t, w.pg.Kill())
	b.refresh()
	b.screenshot(artifact(t, "no-database.png"))
	b.shows(stateID, "SYSTEM HALT")
	b.shows(factsID, "SYSTEM HALT")
	b.checkHalted(every)
	checkNoRawError(b)

	// Grafana itself is gone: the page is still open.
	must(t, w.pg.Restart(t.Context()))
	b.open(board)
	b.shows(10, "Long-only")
	b.forget()
	must(t, w.grafana.Stop())
	b.refresh()
	b.screenshot(artifact(t, "no-grafana.png"))
	b.shows(stateID, "SYSTEM HALT")
	b.shows(factsID, "SYSTEM HALT")
	b.checkHalted(0)
	b.checkOffline()
}

// checkNoRawError fails when the page shows what a driver or a server said.
func checkNoRawError(b *browser) {
	b.Helper()
	text := b.text()
	for _, raw := range []string{"pq:", "SQLSTATE", "does not exist", "connection refused", "dial tcp", "No data", "failed", "error"} {
		if strings.Contains(strings.ReplaceAll(text, "run_failed", ""), raw) {
			b.Errorf("the page says %q: %s", raw, text)
		}
	}
}
