package gather

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/whalegate/whalegate/internal/postgres/pgtest"
	"github.com/whalegate/whalegate/internal/runbook"
	"github.com/whalegate/whalegate/internal/status"
	"github.com/whalegate/whalegate/internal/threshold"
)

// The incident board, diagnose and verify call the same thing broken: just inside of a
// threshold none of them does, just outside all of them do. status shows the same figure.
func TestTheReadersAgreeOnWhatIsBroken(t *testing.T) {
	const moment = 20 * time.Second
	alert := func(n int) (sql string) {
		for i := range n {
			sql += fmt.Sprintf(`INSERT INTO alerts (timestamp, asset, alert_type, severity, message, health_state, signal_snapshot)
				VALUES (now() - interval '%d hours', 'BTC', 'regime_change', 'high', 'm', 'HEALTHY', '{"is_degraded": false}');`, 3*i+1)
		}
		return sql
	}
	waiting := func(kind string, age time.Duration) string {
		return alert(1) + fmt.Sprintf("INSERT INTO alert_deliveries (alert_id, receiver, kind, created_at, expires_at) SELECT min(id), 'phone', '%s', now() - interval '%d s', now() + interval '1 day' FROM alerts", kind, int(age.Seconds()))
	}
	refreshed := func(set string) string { return "UPDATE wallet_universe_runs SET " + set }
	ago := func(d time.Duration) string { return fmt.Sprintf("now() - interval '%d s'", int(d.Seconds())) }
	dirty := func(pct int) string {
		return fmt.Sprintf("UPDATE wallet_snapshots SET is_dirty = true WHERE asset = 'BTC' AND substr(wallet_id, 7)::integer <= %d AND timestamp > now() - interval '15 minutes'", pct*20/100)
	}
	for _, tt := range []struct {
		name, view, runbook string
		inside, outside     string
	}{
		{"a delivery that waits", "ops.alert_spam", "alert-spam", waiting("firing", threshold.DeliveryLate-moment), waiting("firing", threshold.DeliveryLate+moment)},
		{"a delivery that was given up", "ops.alert_spam", "alert-spam", waiting("firing", 0) + "; UPDATE alert_deliveries SET state = 'failed', last_error = 'x', created_at = now() - interval '49 hours', expires_at = now() - interval '25 hours'",
			waiting("firing", 0) + "; UPDATE alert_deliveries SET state = 'failed', last_error = 'x', created_at = now() - interval '47 hours', expires_at = now() - interval '23 hours'"},
		{"a test that waits", "ops.alert_spam", "alert-spam", "INSERT INTO alert_deliveries (receiver, kind, created_at) VALUES ('phone', 'test', now() - interval '1 hour')", ""},
		{"the cap of a day", "ops.alert_spam", "alert-spam", alert(threshold.AlertsOfADay - 1), alert(threshold.AlertsOfADay)},
		{"an old refresh", "ops.universe", "universe", refreshed("as_of_ts = " + ago(threshold.RefreshOld-moment) + ", changed_at = as_of_ts - interval '8 hours'"), refreshed("as_of_ts = " + ago(threshold.RefreshOld+moment) + ", changed_at = as_of_ts - interval '8 hours'")},
		{"a leaderboard that stands still", "ops.universe", "universe", refreshed("changed_at = as_of_ts - interval '47 hours 59 minutes'"), refreshed("changed_at = as_of_ts - interval '48 hours 1 minute'")},
		{"too few wallets", "ops.universe", "universe", refreshed("n_received = 180"), refreshed("n_received = 179")},
		{"wallets that somebody deleted", "ops.universe", "universe", "DELETE FROM wallet_universe_current WHERE rank > 180", "DELETE FROM wallet_universe_current WHERE rank > 179"},
		{"a boundary that is missing", "ops.signal_lock", "signal-lock", "", "DELETE FROM signals WHERE timestamp > now() - interval '8 minutes'; DELETE FROM signal_cycles WHERE timestamp > now() - interval '8 minutes'"},
		{"rows that vanished", "ops.dirty_spike", "dirty-spike", dirty(0), dirty(15)},
		{"minutes in which several vanished", "ops.dirty_spike", "dirty-spike", "", dirty(60) + " AND timestamp = date_trunc('minute', now()) - interval '3 minutes'"},
		{"no run any longer", "ops.crash", "crash", "DELETE FROM ingest_runs WHERE timestamp > now() - interval '1 minute'", "DELETE FROM ingest_runs WHERE timestamp > now() - interval '3 minutes'"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			for broken, sql := range map[bool]string{false: tt.inside, true: tt.outside} {
				if broken && sql == "" {
					continue // it never is
				}
				db := pgtest.New(t)
				must(t, db, wholeHour+";"+strings.TrimSuffix(sql, ";"))
				var symptom string
				if err := db.QueryRow(t.Context(), "SELECT value FROM "+tt.view+" WHERE place = 0").Scan(&symptom); err != nil {
					t.Fatal(err)
				}
				f := ask(t, db, "")
				report := runbook.Diagnose(f)
				named := slices.Contains(report.Matching, tt.runbook)
				if (symptom != "ok") != broken || named != broken {
					t.Errorf("broken %v: the board says %q, diagnose %v", broken, symptom, report.Matching)
				}
				if tt.runbook == "alert-spam" {
					r, err := status.Read(t.Context(), db, time.Now())
					if a := f.Stored.Alerts; err != nil || r.Deliveries == nil || r.Deliveries.Failed24h != a.Failed || r.Deliveries.Pending+r.Deliveries.Unknown != a.Waiting {
						t.Errorf("broken %v: status has %+v, diagnose %+v, %v", broken, r.Deliveries, a, err)
					}
				}
				if broken && tt.runbook != "signal-lock" && tt.name != "the cap of a day" && runbook.ExitCode(f, verify(t, tt.runbook, f)) == 0 {
					t.Errorf("verify holds: %+v", verify(t, tt.runbook, f))
				}
			}
		})
	}
}
