package test

import (
	"strings"
	"testing"

	"github.com/whalegate/whalegate/internal/health"
)

// TestOldThingsGo prunes by hand beside the running service, which has pruned at
// its start.
func TestOldThingsGo(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.service.logged(t, "pruned")
	w.awaitTrue("the first prune", "count(*) = 1 FROM prune_runs WHERE pruned_by = 'the service' AND status = 'success'")
	w.awaitHealth(health.Healthy, "")
	w.awaitMetric("whalegate_prune_last_success_timestamp_seconds", 1)
	if n := w.metric("whalegate_prune_failures_total"); n != 0 {
		t.Errorf("%v prunes failed", n)
	}
	for _, sql := range []string{
		"SELECT ensure_snapshot_partitions(current_date - 40, current_date - 39)",
		`INSERT INTO wallet_snapshots (timestamp, wallet_id, asset, ingest_run_id)
			SELECT date_trunc('day', now(), 'UTC') - days * interval '1 day', '0x' || days, 'BTC', 1 FROM generate_series(39, 40) days`,
		`INSERT INTO signal_cycles (timestamp, outcome, judged_at, health_state, reasons)
			SELECT m, 'blocked', m, 'STALE', '{run_failed}' FROM generate_series(date_trunc('day', now()) - interval '40 days', date_trunc('day', now()) - interval '39 days', '5 minutes') m`,
	} {
		_, err := w.db.Exec(t.Context(), sql)
		must(t, err)
	}
	rows := func() int {
		return get[int](w, "SELECT (SELECT count(*) FROM wallet_snapshots WHERE timestamp < now() - interval '8 days') + (SELECT count(*) FROM signal_cycles WHERE timestamp < now() - interval '31 days')")
	}
	const all = 2 + 289
	lines := func(wanted int, args ...string) string {
		t.Helper()
		r := w.cli(append([]string{"prune"}, args...)...)
		if r.code != 0 || strings.Count(r.stdout, "\n") != 15 {
			t.Errorf("prune %v, a line a table is wanted: %s", args, r)
		}
		if got := rows(); got != wanted {
			t.Errorf("prune %v leaves %d old rows, %d are wanted", args, got, wanted)
		}
		return r.stdout
	}
	if text := lines(all, "--dry-run"); !strings.Contains(text, "would remove  wallet_snapshots         2 days") || !strings.Contains(text, "would remove  signal_cycles            289 rows") {
		t.Errorf("a dry run: %s", text)
	}
	lines(all, "--older-than=60d")
	told := lines(all, "--dry-run", "--json")
	if done := lines(0, "--json"); done != strings.ReplaceAll(told, `"dry_run":true`, `"dry_run":false`) || !strings.Contains(done, `"table":"wallet_snapshots"`) || !strings.Contains(done, `"unit":"days","count":2,`) {
		t.Errorf("it said that it would remove: %s and removed: %s", told, done)
	}
	if text := lines(0, "--older-than=720h"); strings.Contains(text, "289") {
		t.Errorf("again: %s", text)
	}
	w.awaitRun(w.newest(), "status = 'success'")
	w.awaitHealth(health.Healthy, "")
	w.checkWhole()
}
