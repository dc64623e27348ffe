package test

import (
	"strings"
	"testing"
	"time"

	"github.com/whalegate/whalegate/internal/health"
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
		_, last, _ := strings.Cut(w.service.log(), `"msg":"shutting down"`)
		if strings.Contains(last, `"level":"ERROR"`) || strings.Contains(last, `"level":"WARN"`) || !strings.Contains(last, `"msg":"lead released"`) {
			t.Errorf("the shutdown says: %s", last)
		}
		w.clear()
		w.checkWhole()
		// The server takes a moment to see that a session has ended.
		sessions := []string{"not asked"}
		for deadline := time.Now().Add(time.Second); len(sessions) > 0 && time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
			sessions = get[[]string](w, "SELECT coalesce(array_agg(concat_ws(' ', application_name, state, query)), '{}') FROM pg_stat_activity WHERE application_name LIKE 'whalegate %'")
		}
		if len(sessions) != 0 {
			t.Errorf("sessions are left: %q", sessions)
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
