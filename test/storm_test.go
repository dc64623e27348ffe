package test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/whalegate/whalegate/internal/health"
)

// TestNothingLooksFlatInAStorm lets every state request fail in ways that a
// careless client takes for "no positions".
func TestNothingLooksFlatInAStorm(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.awaitHealth(health.Healthy, "")
	for _, tt := range []struct{ fault, reason, series string }{
		{`{"kind":"status","code":429,"endpoint":"state"}`, "rate_limited", "whalegate_rate_limited_total"},
		{`{"kind":"null","endpoint":"state"}`, "null", `whalegate_upstream_requests_total{endpoint="state",outcome="null"}`},
		{`{"kind":"html","endpoint":"state"}`, "malformed", `whalegate_upstream_requests_total{endpoint="state",outcome="malformed"}`},
		{`{"kind":"status","code":502,"endpoint":"state"}`, "server_error", `whalegate_upstream_requests_total{endpoint="state",outcome="server_error"}`},
		{`{"kind":"schema","variant":"positions"}`, "schema", `whalegate_upstream_requests_total{endpoint="state",outcome="schema"}`},
	} {
		t.Run(tt.reason, func(t *testing.T) {
			w := w.in(t)
			before, start := w.metric(tt.series), w.newest()
			w.fault("%s", tt.fault)
			failed := w.awaitRun(start, "status = 'failed' AND wallet_success_count = 0 AND failures ? '"+tt.reason+"'")
			w.awaitTrue("another failed run", "EXISTS (SELECT FROM ingest_runs WHERE timestamp > $1 AND status = 'failed')", failed)
			w.awaitHealth(health.Stale, "run_failed")
			if report := w.awaitStatus(health.Stale, "run_failed"); report.TradingAllowed != "NO" || report.LastRun == nil || report.LastRun.Status != "failed" {
				t.Errorf("status: %+v", report)
			}
			w.awaitMetric(tt.series, before+1)
			w.awaitMetric(`whalegate_health_reason{reason="run_failed"}`, 1)
			if n := get[int](w, "SELECT count(*) FROM wallet_snapshots WHERE timestamp >= $1", failed); n != 0 {
				t.Errorf("the storm left %d rows", n)
			}
			w.clear()
			w.checkRecovery(failed)
		})
	}
	w.checkWhole()
	w.checkTruth()
	if n := get[int](w, "SELECT count(*) FROM qa_events WHERE check_id = 'S3' AND severity = 'critical'"); n == 0 {
		t.Error("S3 is not in qa_events")
	}
	// The service kept what it saw, in order.
	seen := get[[]string](w, "SELECT array_agg(to_state ORDER BY id) FROM health_transitions")
	if path := strings.Join(seen, " "); !strings.Contains(path, "HEALTHY STALE HEALTHY") {
		t.Errorf("health_transitions: %s", path)
	}
}

// checkRecovery waits until the data is good again after a failed minute. One
// clean run is not enough, two in a row are.
func (w *world) checkRecovery(failed time.Time) {
	w.Helper()
	w.awaitTrue("recovery", "health_state = 'HEALTHY' AND last_success_snapshot_ts > $1 FROM ingest_health", failed)
	w.awaitStatus(health.Healthy, "")
	const pair = `FROM ingest_runs a JOIN ingest_runs b ON b.timestamp = a.timestamp + interval '1 minute' AND b.is_clean
		WHERE a.is_clean AND a.timestamp > $1 ORDER BY a.timestamp LIMIT 1`
	one := get[string](w, "SELECT h.health_state || ' ' || h.reasons::text || ' ' || h.clean_runs FROM (SELECT a.finished_at "+pair+") r, ingest_health_at(r.finished_at) h", failed)
	two := get[string](w, "SELECT h.health_state || ' ' || h.reasons::text || ' ' || h.clean_runs FROM (SELECT b.finished_at "+pair+") r, ingest_health_at(r.finished_at) h", failed)
	if got, want := one+", "+two, "STALE {recovering} 1, HEALTHY {} 2"; got != want {
		w.Errorf("after one clean run and after two: %s, want %s", got, want)
	}
}

// members are the wallets of the universe by rank.
func (w *world) members() []string {
	return get[[]string](w, "SELECT array_agg(wallet_id ORDER BY rank) FROM wallet_universe_current")
}

func TestFailingWalletsCloseTheGateByShare(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.awaitHealth(health.Healthy, "")
	members := w.members()
	for _, tt := range []struct {
		failing  int
		state    health.State
		reason   string
		status   string
		exitCode int
	}{
		{1, health.Healthy, "", "success", 0},
		{4, health.Degraded, "coverage", "partial", 1},
		{8, health.Stale, "run_failed", "failed", 2},
		{4, health.Stale, "recovering", "partial", 2}, // good enough for DEGRADED, not for a recovery
		{0, health.Healthy, "", "success", 0},
	} {
		t.Run(fmt.Sprintf("%d failing", tt.failing), func(t *testing.T) {
			w := w.in(t)
			w.clear()
			for _, wallet := range members[:tt.failing] {
				w.fault(`{"kind":"wallets","wallet":"%s"}`, wallet)
			}
			minute := w.awaitRun(w.newest(), fmt.Sprintf("wallet_fail_count = %d AND status = '%s'", tt.failing, tt.status))
			if rows := get[int](w, "SELECT count(*) FROM wallet_snapshots WHERE timestamp = $1", minute); rows != (wallets-tt.failing)*assets {
				t.Errorf("%d rows are kept", rows)
			}
			h := w.awaitHealth(tt.state, tt.reason)
			if want := 100 * float64(wallets-tt.failing) / wallets; h.CoveragePct == nil || *h.CoveragePct-want > 0.01 || want-*h.CoveragePct > 0.01 {
				t.Errorf("coverage: %v", h)
			}
			w.awaitStatus(tt.state, tt.reason)
			w.awaitMetric(fmt.Sprintf(`whalegate_health_state{state=%q}`, tt.state), 1)
			w.awaitExit(tt.exitCode)
		})
	}
	w.awaitMetric(`whalegate_wallet_failures_total{reason="server_error"}`, 13)
	w.awaitMetric(`whalegate_qa_failures_total{check_id="S3"}`, 2)
	w.awaitTrue("S3 in qa_events", "count(DISTINCT severity) = 2 FROM qa_events WHERE check_id = 'S3' AND severity IN ('warning', 'critical')")
	t.Run("by share of all", func(t *testing.T) {
		w := w.in(t)
		w.fault(`{"kind":"wallets","share":0.5}`)
		w.awaitRun(w.newest(), "wallet_fail_count > 0 AND coverage_pct < 80 AND status = 'failed'")
	})
	w.checkWhole()
	w.checkTruth()
}
