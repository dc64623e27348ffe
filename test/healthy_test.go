package test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/whalegate/whalegate/internal/health"
	"github.com/whalegate/whalegate/internal/status"
)

func TestHealthyAfterTwoCleanMinutes(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.awaitHealth(health.Healthy, "")
	w.awaitTrue("five full minutes", "count(*) >= 5 FROM ingest_runs WHERE status = 'success' AND wallet_fail_count = 0 AND rows_written = $1", fullRows)

	report := w.awaitStatus(health.Healthy, "")
	if report.Universe == nil || report.Universe.Wallets != wallets || report.Universe.AccountsKnown != wallets || report.TradingAllowed == "NO" {
		t.Errorf("status: %+v", report)
	}
	for series, want := range map[string]float64{
		`whalegate_health_state{state="HEALTHY"}`:                    1,
		`whalegate_health_state{state="STALE"}`:                      0,
		`whalegate_snapshot_coverage_ratio`:                          1,
		`whalegate_universe_received_wallets`:                        wallets,
		`whalegate_universe_refreshes_total{status="success"}`:       1,
		`whalegate_dirty_rows_total{asset="BTC"}`:                    0,
		`whalegate_wallet_failures_total{reason="accounts_changed"}`: 0,
	} {
		await(t, series, func() error { return differs(w.metric(series), want) })
	}
	w.awaitMetric("whalegate_snapshot_rows_written_total", 5*fullRows)
	if _, body := w.ask("GET", w.address+"/metrics", ""); strings.Contains(body, "0x") {
		t.Error("/metrics shows a wallet")
	}
	w.awaitCode("/-/healthy", 200)
	w.awaitCode("/-/ready", 200)

	// HEALTHY is what two clean runs in a row make, and nothing less.
	first := get[[]string](w, `SELECT array_agg(h.health_state ORDER BY r.timestamp) FROM
		(SELECT * FROM ingest_runs WHERE is_clean ORDER BY timestamp LIMIT 2) r, ingest_health_at(r.finished_at) h`)
	if strings.Join(first, " ") != "STALE HEALTHY" {
		t.Errorf("after the first two clean runs: %v", first)
	}
	if n := get[int](w, "SELECT count(*) FROM wallet_accounts WHERE cardinality(sub_accounts) > 0"); n == 0 {
		t.Error("no wallet has sub-accounts: nothing is summed up")
	}
	w.checkWhole()
	if w.checkTruth() == 0 {
		t.Error("no row is flat")
	}

	printed := w.awaitExit(0)
	if !strings.Contains(printed.stdout, "HEALTHY") || printed.stderr != "" {
		t.Errorf("status: %s", printed)
	}
	var fromJSON status.Report
	if r := w.cli("status", "--json"); json.Unmarshal([]byte(r.stdout), &fromJSON) != nil || strings.Count(r.stdout, "\n") != 1 || fromJSON.Universe == nil {
		t.Errorf("status --json: %s", r)
	}
	w.changeUniverse(t)
}

// changeUniverse shows the universe, replaces a part of it and shows what changed.
func (w *world) changeUniverse(t *testing.T) {
	shown := w.cli("universe", "show")
	if shown.code != 0 || strings.Count(shown.stdout, "\n") != wallets {
		t.Errorf("universe show: %s", shown)
	}
	if r := w.cli("universe", "diff"); r.code != 0 || !strings.Contains(r.stdout, "nobody entered or left") {
		t.Errorf("universe diff of the first universe: %s", r)
	}
	w.fault(`{"kind":"churn","share":0.1,"top":%d}`, wallets)
	if r := w.cli("universe", "refresh"); r.code != 0 || !strings.Contains(r.stdout, "24 of 24 wallets") {
		t.Errorf("universe refresh: %s", r)
	}
	w.clear()
	changed := w.cli("universe", "diff", "--json")
	entered, exited := strings.Count(changed.stdout, `"entered"`), strings.Count(changed.stdout, `"exited"`)
	if changed.code != 0 || entered == 0 || entered != exited {
		t.Errorf("universe diff: %s", changed)
	}
	if n := get[int](w, "SELECT entered_count FROM wallet_universe_runs ORDER BY as_of_ts DESC LIMIT 1"); n != entered {
		t.Errorf("%d entered are stored, %d shown", n, entered)
	}
	// A newcomer's accounts become known, and it is read like everybody.
	w.awaitRun(w.newest(), "wallet_fail_count = 0")
	w.awaitHealth(health.Healthy, "")
	w.checkTruth()
}
