package test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/whalegate/whalegate/internal/health"
)

func TestUniverseSurvivesABadLeaderboard(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.awaitHealth(health.Healthy, "")
	members := w.members()
	start := w.newest()
	for _, tt := range []struct{ fault, why string }{
		{`{"kind":"status","code":500,"endpoint":"leaderboard"}`, "500"},
		{`{"kind":"drop","endpoint":"leaderboard"}`, "leaderboard"},
		{`{"kind":"leaderboard","variant":"empty"}`, "U1"},
		{`{"kind":"leaderboard","variant":"truncated"}`, "leaderboard"},
		{`{"kind":"leaderboard","variant":"duplicated"}`, "U4"},
		{`{"kind":"leaderboard","variant":"non_json"}`, "leaderboard"},
		{`{"kind":"leaderboard","variant":"bad_address"}`, "U1"},
	} {
		t.Run(tt.fault, func(t *testing.T) {
			w := w.in(t)
			w.fault("%s", tt.fault)
			r := w.cli("--log.level=error", "universe", "refresh")
			w.clear()
			line := lastLine(r.stderr)
			if r.code != 1 || !strings.HasPrefix(line, "whalegate: refresh failed, the universe is kept: ") || !strings.Contains(line, tt.why) {
				t.Errorf("universe refresh: %s", r)
			}
			stored := get[string](w, "SELECT status || ': ' || coalesce(error, '') FROM wallet_universe_runs ORDER BY as_of_ts DESC LIMIT 1")
			if !strings.HasPrefix(stored, "failed: ") || !strings.HasSuffix(line, strings.TrimPrefix(stored, "failed: ")) {
				t.Errorf("stored: %s; printed: %s", stored, line)
			}
			if diff := cmp.Diff(members, w.members()); diff != "" {
				t.Errorf("the universe changed: %s", diff)
			}
		})
	}
	// Snapshots do not need the leaderboard.
	w.awaitRun(w.newest(), "status = 'success'")
	w.awaitHealth(health.Healthy, "")
	if n := get[int](w, "SELECT count(*) FROM ingest_runs WHERE timestamp > $1 AND status = 'failed'", start); n != 0 {
		t.Errorf("%d snapshots failed", n)
	}
	report := w.awaitStatus(health.Healthy, "")
	if report.Universe == nil || report.Universe.LastStatus != "failed" || report.Universe.Wallets != wallets {
		t.Errorf("status: %+v", report.Universe)
	}
	w.awaitTrue("U1 and U4 in qa_events", "count(DISTINCT check_id) = 2 FROM qa_events WHERE check_id IN ('U1', 'U4')")
	if r := w.cli("universe", "refresh"); r.code != 0 {
		t.Errorf("refresh from the leaderboard as it should be: %s", r)
	}
	w.checkWhole()
}

// TestServiceWaitsForItsExchange starts the service while the exchange gives
// neither a leaderboard nor, later, sub-accounts.
func TestServiceWaitsForItsExchange(t *testing.T) {
	t.Parallel()
	w := quietWorld(t)
	w.fault(`{"kind":"status","code":503,"endpoint":"leaderboard","for":"5m"}`)
	w.fault(`{"kind":"status","code":500,"endpoint":"sub_accounts"}`)
	w.run()
	w.awaitRun(w.newest(), "status = 'failed' AND error LIKE 'S2:%'")
	w.awaitTrue("a failed refresh", "EXISTS (SELECT FROM wallet_universe_runs WHERE status = 'failed')")
	w.awaitStatus(health.Stale, "run_failed")
	w.awaitTrue("S2 in qa_events", "EXISTS (SELECT FROM qa_events WHERE check_id = 'S2')")

	w.awaitTrue("a universe", "count(*) = $1 FROM wallet_universe_current", wallets)
	// A position whose accounts are not known is not known.
	w.awaitRun(w.newest(), "wallets_expected > 0 AND wallet_success_count = 0 AND failures ? 'accounts_unknown'")
	w.awaitStatus(health.Stale, "run_failed")
	w.clear()
	w.awaitHealth(health.Healthy, "")
	w.checkWhole()
	w.checkTruth()
}

func lastLine(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return lines[len(lines)-1]
}
