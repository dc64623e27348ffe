package engine

import (
	"errors"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/whalegate/whalegate/internal/postgres"
)

// A database that answers and takes no write is one in which nobody can say anything:
// the dead man's switch has spoken without it, and first enters that.
func TestTheSystemAlertYieldsAfterWritesWereRefused(t *testing.T) {
	s := newScene(t)
	j := New(Config{Pool: s.db, Logger: quiet, Registerer: prometheus.NewRegistry(), Outbox: s.rules.Outbox})
	look := func() error {
		t.Helper()
		return j.look(t.Context())
	}
	waited := func() { j.until = time.Time{} }
	fired := func() int { return s.count("SELECT count(*) FROM alerts WHERE alert_type = 'system_stale'") }
	s.clock(noon)
	s.runs(noon, 100)
	for range 2 { // the start yields as well
		if err := look(); err != nil {
			t.Fatal(err)
		}
		waited()
	}
	s.exec(`CREATE FUNCTION no_room() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE disk_full; END $$;
		CREATE TRIGGER no_room BEFORE INSERT ON alerts FOR EACH ROW EXECUTE FUNCTION no_room()`)
	s.clock(noon.Add(20 * time.Minute))
	j.wrong.shown = time.Time{} // they have passed
	for range 3 {
		if err := look(); !errors.Is(err, postgres.ErrDiskFull) {
			t.Fatalf("it can be written: %v", err)
		}
		waited()
	}
	s.exec("DROP TRIGGER no_room ON alerts")
	if err := look(); err != nil || fired() != 0 {
		t.Errorf("it does not yield: %v, %d fired", err, fired())
	}
	waited()
	if err := look(); err != nil || fired() != 1 {
		t.Errorf("after that: %v, %d fired", err, fired())
	}
}
