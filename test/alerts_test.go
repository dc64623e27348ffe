package test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/whalegate/whalegate/internal/health"
)

// TestTheSystemAlertOfAnOutage keeps the exchange away for more than ten minutes
// and lets it come back, with the service killed in between.
func TestTheSystemAlertOfAnOutage(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.awaitCycle(time.Time{}, "computed")
	w.awaitTrue("the boundary's alerts to be decided", "count(*) = 6 FROM alert_state WHERE last_period IS NOT NULL")
	w.fault(`{"kind":"status","code":429,"endpoint":"state"}`)
	w.awaitTrue("the system alert", "EXISTS (SELECT FROM alerts WHERE alert_type = 'system_stale' AND resolved_at IS NULL)")
	w.awaitHealth(health.Stale, "system_stale")
	w.service.logged(t, "alert")
	w.awaitMetric(`whalegate_alerts_fired_total{type="system_stale"}`, 1)
	if n := get[int](w, "SELECT count(*) FROM board.system_alert WHERE message LIKE '[SYSTEM] Data Stale: Ingestion has not succeeded for 1% minutes.%'"); n != 1 {
		t.Errorf("the board shows %d system alerts", n)
	}
	w.service.kill()
	w.run()
	w.awaitTrue("a boundary that says nothing", "EXISTS (SELECT FROM signal_cycles c JOIN alert_state s ON s.last_period = c.timestamp WHERE c.outcome = 'blocked')")
	w.clear()
	w.awaitHealth(health.Healthy, "")
	w.service.logged(t, "alert resolved")
	if n := get[int](w, "SELECT count(*) FROM alerts WHERE alert_type = 'system_stale'"); n != 1 {
		t.Errorf("%d system alerts of one outage", n)
	}
	if n := get[int](w, "SELECT count(*) FROM alerts WHERE alert_type <> 'system_stale' AND health_state <> 'HEALTHY'"); n != 0 {
		t.Errorf("%d alerts on bad data", n)
	}
	if r := w.cli("alerts", "list", "--asset=system"); r.code != 0 || strings.Count(r.stdout, "\n") != 1 || !strings.Contains(r.stdout, "critical  [SYSTEM] Data Stale") || !strings.Contains(r.stdout, "(resolved ") {
		t.Errorf("list: %s", r)
	}
	if r := w.cli("alerts", "list", "--asset=DOGE"); r.code != 1 || strings.Count(r.stderr, "\n") != 1 {
		t.Errorf("list of no asset: %s", r)
	}
	if r := w.cli("alerts", "pause", "--reason", "test", "--for=25h"); r.code != 1 || !strings.Contains(r.stderr, "at most 24h") {
		t.Errorf("a pause of 25 h: %s", r)
	}
	if r := w.cli("alerts", "pause", "--reason", "test"); r.code != 0 || !strings.Contains(r.stdout, "suppressed until") {
		t.Errorf("pause: %s", r)
	}
	if r := w.cli("alerts", "state"); r.code != 0 || !strings.HasPrefix(r.stdout, "paused until ") || strings.Count(r.stdout, "last period") != 6 {
		t.Errorf("state: %s", r)
	}
	if r := w.cli("alerts", "unpause"); r.code != 0 {
		t.Errorf("unpause: %s", r)
	}
	if r := w.cli("alerts", "state", "--json"); r.code != 0 || strings.Count(r.stdout, `"alert_type"`) != 7 || strings.Contains(r.stdout, "paused") {
		t.Errorf("state as JSON: %s", r)
	}
	// Every boundary that was decided is decided once, and none is left behind.
	await(t, "the newest boundary to be decided", func() error {
		if get[bool](w, "SELECT max(c.timestamp) = min(s.last_period) FROM signal_cycles c, alert_state s WHERE s.asset <> 'SYSTEM'") {
			return nil
		}
		return errors.New("not yet")
	})
	w.checkReplayedAlerts()
}
