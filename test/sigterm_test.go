package test

import (
	"testing"
	"time"

	"github.com/whalegate/whalegate/internal/health"
	"github.com/whalegate/whalegate/internal/postgres"
	"github.com/whalegate/whalegate/internal/postgres/server"
)

// TestSigtermLeavesNothingHalf ends the service in the middle of a cycle that
// hangs, and while it is idle.
func TestSigtermLeavesNothingHalf(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, hang := range []bool{true, false} {
		w.awaitHealth(health.Healthy, "")
		if hang {
			w.fault(`{"kind":"hang","endpoint":"state"}`)
			w.awaitRun(w.newest(), "status = 'failed'") // so the next one is being asked for
		}
		start := time.Now()
		if code := w.service.end(t); code != 0 {
			t.Errorf("exit code %d", code)
		}
		t.Logf("ended after %s", time.Since(start))
		w.clear()
		w.checkWhole()
		pool, err := postgres.Open(t.Context(), w.pg.URL(server.Superuser, "postgres"), "test")
		must(t, err)
		var sessions int
		must(t, pool.QueryRow(t.Context(), "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'whalegate run'").Scan(&sessions))
		pool.Close()
		if sessions != 0 {
			t.Errorf("%d sessions are left", sessions)
		}
		w.run()
	}
	w.awaitRun(w.newest(), "is_clean")
	w.awaitHealth(health.Healthy, "")
	w.checkTruth()

	must(t, w.pg.Stop())
	w.awaitMetric("whalegate_runs_unsaved", 1)
	if code := w.service.end(t); code != 0 {
		t.Errorf("exit code %d without a database", code)
	}
}
