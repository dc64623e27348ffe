package test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/whalegate/whalegate/internal/health"
)

// TestTheHeartbeatFollowsCleanCyclesOnly counts the requests of a monitor outside.
func TestTheHeartbeatFollowsCleanCyclesOnly(t *testing.T) {
	t.Parallel()
	const key = "secret-0815"
	var beats atomic.Int64
	monitor := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/"+key {
			t.Errorf("it asks for %s", r.URL)
		}
		beats.Add(1)
	}))
	t.Cleanup(monitor.Close)
	w := quietWorld(t)
	w.env = append(w.environ(), "WHALEGATE_HEARTBEAT_URL="+monitor.URL+"/"+key)
	w.run()
	atLeast := func(n int64) {
		t.Helper()
		await(t, "heartbeats", func() error {
			if got := beats.Load(); got < n {
				return fmt.Errorf("%d, %d are wanted", got, n)
			}
			return nil
		})
	}
	w.awaitHealth(health.Healthy, "")
	atLeast(3)
	w.fault(`{"kind":"status","code":500,"endpoint":"state"}`)
	failed := w.awaitRun(w.newest(), "status = 'failed'")
	// The last clean cycle's request may still be under way when it is stored, not a
	// minute later.
	failed = w.awaitRun(failed, "status = 'failed'")
	before := beats.Load()
	for range 3 {
		failed = w.awaitRun(failed, "status = 'failed'")
	}
	if got := beats.Load(); got != before {
		t.Errorf("%d heartbeats while nothing succeeds", got-before)
	}
	w.clear()
	atLeast(before + 2)
	// The request follows the commit: never more of them than clean cycles.
	got := beats.Load()
	if clean := get[int64](w, "SELECT count(*) FROM ingest_runs WHERE is_clean"); got > clean {
		t.Errorf("%d heartbeats of %d clean cycles", got, clean)
	}
	w.awaitMetric(`whalegate_heartbeats_total{outcome="ok"}`, float64(before)+2)
	if failures := w.metric(`whalegate_heartbeats_total{outcome="error"}`); failures != 0 {
		t.Errorf("%v heartbeats failed", failures)
	}
	if strings.Contains(w.service.log(), key) {
		t.Error("the key of the monitor is in the log")
	}
	if r := w.cli("run", "--heartbeat-url=monitor/"+key); r.code != 1 || strings.Contains(r.stderr, key) || !strings.Contains(r.stderr, "is right") {
		t.Errorf("a wrong address: %s", r)
	}
}
