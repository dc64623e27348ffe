package test

import (
	"errors"
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
	// Every boundary that was decided is decided once, and none is left behind.
	await(t, "the newest boundary to be decided", func() error {
		if get[bool](w, "SELECT max(c.timestamp) = min(s.last_period) FROM signal_cycles c, alert_state s WHERE s.asset <> 'SYSTEM'") {
			return nil
		}
		return errors.New("not yet")
	})
}
