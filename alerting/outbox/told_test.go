package outbox

import (
	"testing"
	"time"

	"github.com/whalegate/whalegate/alerting"
)

// A database that was restored lacks alerts that were told. Decided again, they are not
// told twice by the process that told them; what is new is.
func TestARestoredDatabaseTellsNothingTwice(t *testing.T) {
	s := newScene(t)
	sender := s.sender(all)
	s.alert(0, "BTC", alerting.ExitCluster, all)
	s.drain(sender, 0)
	if n := len(s.took()); n != 1 {
		t.Fatalf("%d messages", n)
	}
	s.exec("TRUNCATE alerts, alert_deliveries CASCADE") // as a backup of before has them
	again := s.alert(0, "BTC", alerting.ExitCluster, all)
	s.alert(5*time.Minute, "BTC", alerting.ExitCluster, all)
	s.alert(0, "ETH", alerting.ExitCluster, all)
	s.alert(0, "BTC", alerting.RegimeChange, all)
	s.drain(sender, 0)
	sent := s.took()
	for _, n := range sent {
		if n.Asset == "BTC" && n.Type == alerting.ExitCluster && n.StartsAt.Equal(noon) {
			t.Error("told twice")
		}
	}
	if len(sent) != 3 {
		t.Errorf("%d messages of the new ones, want 3", len(sent))
	}
	if state := one[string](s, "SELECT state FROM alert_deliveries WHERE alert_id = $1", again); state != "delivered" {
		t.Errorf("its delivery is %s", state)
	}
	// Another process cannot know.
	s.exec("TRUNCATE alerts, alert_deliveries CASCADE")
	s.alert(0, "BTC", alerting.ExitCluster, all)
	s.drain(s.sender(all), 0)
	if n := len(s.took()); n != 1 {
		t.Errorf("another process sends %d", n)
	}
}

// An alert whose boundary's runs were superseded may fire again at the same boundary: it
// is another one, and is told.
func TestAnAlertThatFiresAgainAfterItsRunsWereSupersededIsTold(t *testing.T) {
	s := newScene(t)
	sender := s.sender(all)
	s.alert(0, "BTC", alerting.ExitCluster, all)
	s.drain(sender, 0)
	s.exec("UPDATE alerts SET superseded = true")
	s.alert(0, "BTC", alerting.ExitCluster, all)
	s.drain(sender, 0)
	if sent := s.took(); len(sent) != 2 || sent[0].Key == sent[1].Key {
		t.Errorf("%d messages: %+v", len(sent), sent)
	}
}
