package status

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/whalegate/whalegate/internal/halt"
	"github.com/whalegate/whalegate/internal/health"
	"github.com/whalegate/whalegate/internal/postgres/pgtest"
)

// alerted is a database with alerts of the day up to 12:00:30: one of HYPE that was
// sent and is active, one of BTC that is active and was suppressed, and others.
func alerted(t *testing.T) *pgxpool.Pool {
	t.Helper()
	db := decided(t)
	_, err := db.Exec(t.Context(), `
		INSERT INTO alerts (timestamp, asset, alert_type, severity, message, signal_snapshot, health_state, suppressed, suppress_reason)
		SELECT t::timestamptz, a, k, 'high', m, '{"is_degraded": false}', 'HEALTHY', r IS NOT NULL, r
		FROM (VALUES
			('2026-02-28 12:00:29Z', 'HYPE', 'regime_change', 'too old to count', NULL),
			('2026-02-28 12:05Z', 'ETH', 'regime_change', '[ETH] Regime Change: old', NULL),
			('2026-03-01 11:55Z', 'HYPE', 'exit_cluster', '[HYPE] Smart Money De-risking: new', NULL),
			('2026-03-01 11:55Z', 'BTC', 'exit_cluster', '[BTC] not sent', 'cooldown'),
			('2026-03-01 12:00Z', 'BTC', 'regime_change', '[BTC] not sent either', 'paused')) v (t, a, k, m, r);
		INSERT INTO alert_state (asset, alert_type, is_active, active_alert_id)
		SELECT asset, alert_type, true, id FROM alerts WHERE alert_type = 'exit_cluster';
		INSERT INTO alert_pauses (paused_at, paused_by, reason, until, unpaused_at) VALUES
			('2026-03-01 09:00Z', 'bob', 'ended', '2026-03-01 15:00Z', '2026-03-01 10:00Z'), ('2026-03-01 11:58Z', 'ann', 'too loud', '2026-03-01 14:00Z', NULL);
		INSERT INTO alert_deliveries (alert_id, receiver, kind, state, created_at, expires_at, delivered_at, last_error)
		SELECT id, r, k, s, c::timestamptz, c::timestamptz + interval '24 hours', CASE s WHEN 'delivered' THEN c::timestamptz END, CASE s WHEN 'failed' THEN 'refused' END
		FROM (SELECT id FROM alerts WHERE asset = 'HYPE' AND alert_type = 'exit_cluster') a, (VALUES
			('phone', 'firing', 'pending', '2026-03-01 11:56Z'), ('phone', 'resolved', 'unknown', '2026-03-01 11:55:30Z'),
			('mail', 'firing', 'failed', '2026-03-01 11:00Z'), ('mail', 'resolved', 'failed', '2026-02-27 11:00Z'), ('chat', 'firing', 'delivered', '2026-03-01 11:00Z')) v (r, k, s, c)`)
	if err != nil {
		t.Fatal(err)
	}
	return db
}

func TestStatusShowsAlertsAndDeliveries(t *testing.T) {
	report, text := show(t, alerted(t))
	at := func(clock string) time.Time {
		instant, err := time.Parse(time.RFC3339, "2026-03-01T"+clock+"Z")
		if err != nil {
			t.Fatal(err)
		}
		return instant
	}
	// The session's time zone is that of the machine: only instants are compared.
	instants := cmp.Comparer(func(a, b time.Time) bool { return a.Equal(b) })
	if diff := cmp.Diff(&Alerts{
		Active:  []ActiveAlert{{"HYPE", "exit_cluster", at("11:55:00"), false}, {"BTC", "exit_cluster", at("11:55:00"), true}},
		Newest:  &SentAlert{at("11:55:00"), "HYPE", "exit_cluster", "high", "[HYPE] Smart Money De-risking: new"},
		Sent24h: 2, Suppressed24h: 2, Pause: &Pause{at("11:58:00"), "ann", "too loud", at("14:00:00")},
	}, report.Alerts, instants); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(&Deliveries{
		Queue:     Queue{Pending: 1, Unknown: 1, Failed24h: 1, OldestSeconds: 300},
		Receivers: []ReceiverQueue{{"mail", Queue{Failed24h: 1}}, {"phone", Queue{Pending: 1, Unknown: 1, OldestSeconds: 300}}},
	}, report.Deliveries); diff != "" {
		t.Error(diff)
	}
	for _, want := range []string{
		"alerts         HYPE exit_cluster since 2026-03-01T11:55:00Z, BTC exit_cluster since 2026-03-01T11:55:00Z (suppressed); in 24 h 2 sent, 2 suppressed\n",
		"newest alert   2026-03-01T11:55:00Z [HYPE] Smart Money De-risking: new\n", "alerts paused  until 2026-03-01T14:00:00Z, since 2026-03-01T11:58:00Z by ann: too loud\n",
		"deliveries     1 pending, 1 unknown, 1 failed in 24 h, the oldest has waited 5m0s\n",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("text lacks %q:\n%s", want, text)
		}
	}
	for _, name := range []string{"phone", "mail", "chat"} {
		if strings.Contains(text, name) {
			t.Errorf("the text names the receiver %s:\n%s", name, text)
		}
	}
}

func TestStatusOfNoAlertsSaysSo(t *testing.T) {
	report, text := show(t, decided(t))
	if !strings.Contains(text, "none active; in 24 h 0 sent, 0 suppressed\n") || !strings.Contains(text, "0 pending, 0 unknown, 0 failed in 24 h\n") || strings.Contains(text, "newest alert") || strings.Contains(text, "paused") {
		t.Errorf("%s", text)
	}
	var line bytes.Buffer
	if err := report.WriteJSON(&line); err != nil || !strings.Contains(line.String(), `"alerts":{"active":[],"newest":null,"sent_24h":0,"suppressed_24h":0,"pause":null}`) ||
		!strings.Contains(line.String(), `"deliveries":{"pending":0,"unknown":0,"failed_24h":0,"oldest_waiting_seconds":0,"receivers":[]}`) {
		t.Errorf("%s, %v", line.String(), err)
	}
}

// While STALE nothing behavioural is shown: no message, no active exit cluster, only
// how many alerts there were, and the system alert.
func TestStatusShowsNoBehaviouralAlertWhileStale(t *testing.T) {
	for what, breakIt := range map[string]func(*testing.T, *pgxpool.Pool){
		"halted": func(t *testing.T, db *pgxpool.Pool) {
			if _, err := halt.Stop(t.Context(), db, "looks odd", "ann"); err != nil {
				t.Fatal(err)
			}
		},
		"the system alert is active": func(t *testing.T, db *pgxpool.Pool) {
			_, err := db.Exec(t.Context(), `WITH a AS (
					INSERT INTO alerts (timestamp, asset, alert_type, severity, message, health_state) VALUES ('2026-03-01 12:00:10Z', 'SYSTEM', 'system_stale', 'critical', '[SYSTEM] Data Stale', 'STALE') RETURNING id)
				INSERT INTO alert_state (asset, alert_type, is_active, active_alert_id) SELECT 'SYSTEM', 'system_stale', true, id FROM a`)
			if err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(what, func(t *testing.T) {
			db := alerted(t)
			breakIt(t, db)
			report, text := show(t, db)
			var line bytes.Buffer
			if err := report.WriteJSON(&line); err != nil {
				t.Fatal(err)
			}
			if report.State != health.Stale || report.Alerts == nil || report.Alerts.Suppressed24h != 2 || report.Deliveries == nil || report.Deliveries.Pending != 1 {
				t.Errorf("%+v", report)
			}
			for _, value := range []string{"exit_cluster", "regime_change", "De-risking", "Regime Change", "HYPE since", "BTC since"} {
				if strings.Contains(text+line.String(), value) {
					t.Errorf("%s is shown:\n%s%s", value, text, line.String())
				}
			}
			system := what == "the system alert is active"
			if got := strings.Contains(text, "SYSTEM system_stale since 2026-03-01T12:00:10Z") && strings.Contains(text, "[SYSTEM] Data Stale\n"); got != system {
				t.Errorf("the system alert is shown: %v\n%s", got, text)
			}
			if system != (report.Alerts.Newest != nil) || system != (len(report.Alerts.Active) == 1) {
				t.Errorf("%+v", report.Alerts)
			}
		})
	}
}

// TestStatusReadsNoAlertWhenItTurnsStaleMeanwhile asks for the alerts alone, as
// happens when the state changes between two statements of one report.
func TestStatusReadsNoAlertWhenItTurnsStaleMeanwhile(t *testing.T) {
	db := alerted(t)
	pgtest.SetClock(t, db, "2026-03-01T12:30:00Z")
	if a, err := readAlerts(t.Context(), db); err != nil || len(a.Active) != 0 || a.Newest != nil {
		t.Errorf("%+v, %v", a, err)
	}
}
