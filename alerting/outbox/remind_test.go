package outbox

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/whalegate/whalegate/alerting"
	"github.com/whalegate/whalegate/alerting/receiver"
)

// An Alertmanager forgets with its restart: it is told again of what is active
// every minute, and for a while of an event and of an end.
func TestWhoForgetsIsReminded(t *testing.T) {
	s := newScene(t)
	intent := Intent{[]receiver.Route{am, all}}
	exit := s.alert(0, "BTC", alerting.ExitCluster, am, all)
	s.alert(0, "ETH", alerting.RegimeChange, am, all)
	s.exec("INSERT INTO alert_state (asset, alert_type, is_active, active_alert_id) VALUES ('BTC', 'exit_cluster', true, $1)", exit)
	sender := s.sender(am, all)
	s.drain(sender, 0)
	s.drain(sender, 1)
	s.took()
	remind := func(d time.Duration) []string {
		t.Helper()
		s.clock(d)
		if _, err := sender.workers[0].remind(t.Context()); err != nil {
			t.Fatal(err)
		}
		return order(s.took())
	}
	both := []string{"BTC exit_cluster firing", "ETH regime_change firing"}
	for _, tt := range []struct {
		at   time.Duration
		want []string
	}{
		{59 * time.Second, nil},
		{time.Minute, both},
		{119 * time.Second, nil},
		{2 * time.Minute, both},
		{13*time.Minute + 59*time.Second, both},
		{15 * time.Minute, both[:1]},
		{20 * time.Hour, both[:1]},
	} {
		if diff := cmp.Diff(tt.want, remind(tt.at)); diff != "" {
			t.Errorf("after %s: %s", tt.at, diff)
		}
	}
	s.exec("UPDATE alerts SET resolved_at = whalegate_now() WHERE id = $1", exit)
	s.exec("UPDATE alert_state SET is_active = false, active_alert_id = NULL")
	s.in(func(tx pgx.Tx) error { return intent.Cleared(t.Context(), tx, exit) })
	s.drain(sender, 0)
	s.took()
	end := []string{"BTC exit_cluster resolved"}
	for _, tt := range []struct {
		at   time.Duration
		want []string
	}{{20*time.Hour + time.Minute, end}, {20*time.Hour + 13*time.Minute, end}, {20*time.Hour + 15*time.Minute, nil}, {30 * time.Hour, nil}} {
		if diff := cmp.Diff(tt.want, remind(tt.at)); diff != "" {
			t.Errorf("after %s: %s", tt.at, diff)
		}
	}
	if got := one[string](s, "SELECT string_agg(attempts::text, ' ') FROM alert_deliveries WHERE receiver = 'all' AND kind = 'firing'"); got != "1 1" {
		t.Errorf("who remembers is reminded: attempts %s", got)
	}
}

// What the dead man's switch said without the database is not said again.
func TestWhatWasSaidIsEntered(t *testing.T) {
	s := newScene(t)
	id := s.alert(0, "SYSTEM", alerting.SystemStale, all) // the service was quicker: a row waits
	key := "99999999-aaaa-4bbb-8ccc-dddddddddddd"
	said := map[string]string{"all": key, "high": key}
	for range 2 {
		s.in(func(tx pgx.Tx) error {
			return Intent{[]receiver.Route{all, high, am}}.Said(t.Context(), tx, id, alerting.Critical, said)
		})
	}
	got := one[[]string](s, "SELECT array_agg(receiver || ' ' || state ORDER BY receiver) FROM alert_deliveries")
	if diff := cmp.Diff([]string{"all delivered", "am pending", "high delivered"}, got); diff != "" {
		t.Error(diff)
	}
	if k := one[string](s, "SELECT idempotency_key::text FROM alert_deliveries WHERE receiver = 'high'"); k != key {
		t.Errorf("it is entered as %s", k)
	}
}
