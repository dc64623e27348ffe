package test

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/whalegate/whalegate/internal/health"
)

// TestKilledServiceGoesOn kills the service without a warning, again and again,
// on a slow disk: a third of each minute is spent writing.
func TestKilledServiceGoesOn(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.awaitHealth(health.Healthy, "")
	_, err := w.db.Exec(t.Context(), `
		CREATE FUNCTION slow_disk() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(0.004); RETURN NEW; END';
		CREATE TRIGGER slow_disk BEFORE INSERT ON wallet_snapshots FOR EACH ROW EXECUTE FUNCTION slow_disk()`)
	must(t, err)
	const kills = 15
	inCommit := 0
	for range kills {
		w.awaitRun(w.newest(), "is_clean") // it goes on
		time.Sleep(time.Duration(rand.Int64N(int64(w.clock.Real(time.Minute)))))
		if get[bool](w, "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE application_name = 'whalegate run' AND query LIKE 'COPY%' AND state = 'active')") {
			inCommit++
		}
		w.service.kill()
		// What the dead left in the database ends by itself.
		w.awaitTrue("its sessions to end", "NOT EXISTS (SELECT FROM pg_stat_activity WHERE application_name LIKE 'whalegate %')")
		w.checkWhole()
		w.run()
	}
	t.Logf("%d of %d kills hit a commit", inCommit, kills)
	_, err = w.db.Exec(t.Context(), "CREATE OR REPLACE FUNCTION slow_disk() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'")
	must(t, err)
	w.awaitRun(w.newest(), "is_clean")
	w.awaitHealth(health.Healthy, "")
	w.checkWhole()
	w.checkTruth()
}
