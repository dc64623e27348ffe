package collector

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/whalegate/whalegate/collector/hyperliquid"
	"github.com/whalegate/whalegate/internal/postgres"
	"github.com/whalegate/whalegate/internal/postgres/pgtest"
)

const storedErrors = `SELECT error FROM ingest_runs WHERE error IS NOT NULL ORDER BY timestamp`

// A minute without room is a failed run: nothing is asked for, and the next one
// with room is a minute as any other.
func TestS8AMinuteWithoutRoomIsAFailedRun(t *testing.T) {
	db, _ := database(t, noon)
	enrol(t, db, 2)
	full := fmt.Errorf("%w: 1 MiB is free", postgres.ErrDiskFull)
	up := &upstream{}
	c := collecting(t, db, up, func(cfg *Config) { cfg.Room = func() error { return full } })
	c.cycle(t.Context(), noon)
	same(t, "questions", up.questions())
	same(t, "runs", list(t, db, storedRuns), `12:00:00 failed 0/2 {"disk_full": 2}`)
	same(t, "errors", list(t, db, storedErrors), "S8: nothing was asked for: disk_full: 1 MiB is free")
	same(t, "events", list(t, db, storedEvents), "S8 critical x1")
	full = nil
	pgtest.SetClock(t, db, minute(1).Format(time.RFC3339))
	c.cycle(t.Context(), minute(1))
	same(t, "runs", list(t, db, storedRuns), `12:00:00 failed 0/2 {"disk_full": 2}`, "12:01:00 success 2/2 {}")
}

// The server's own refusal has the same name, and is no outage of the server.
func TestS8ARefusalOfTheServerIsAFailedRun(t *testing.T) {
	db, _ := database(t, noon)
	enrol(t, db, 2)
	exec(t, db, `CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'could not extend file' USING ERRCODE = '53100'; END $$`)
	exec(t, db, "CREATE TRIGGER refuse BEFORE INSERT ON wallet_snapshots FOR EACH ROW EXECUTE FUNCTION refuse()")
	c := collecting(t, db, &upstream{}, nil)
	c.cycle(t.Context(), noon)
	same(t, "runs before the database takes it", list(t, db, storedRuns))
	same(t, "events", list(t, db, storedEvents), "S8 critical x1")
	c.saveUnsaved(t.Context())
	same(t, "runs", list(t, db, storedRuns), `12:00:00 failed 0/2 {"disk_full": 2}`)
	contains(t, "error", list(t, db, storedErrors)[0], "S8: not written: commit snapshot: disk_full: ", "could not extend file")
	exec(t, db, "DROP TRIGGER refuse ON wallet_snapshots")
	pgtest.SetClock(t, db, minute(1).Format(time.RFC3339))
	c.cycle(t.Context(), minute(1))
	same(t, "runs", list(t, db, storedRuns), `12:00:00 failed 0/2 {"disk_full": 2}`, "12:01:00 success 2/2 {}")
}

func TestS8ARefreshWithoutRoomKeepsTheUniverse(t *testing.T) {
	db, _ := database(t, noon)
	enrol(t, db, 2)
	up := &upstream{board: func(context.Context, int, hyperliquid.Validators) (hyperliquid.Leaderboard, error) {
		return hyperliquid.Leaderboard{}, errors.New("nobody was to ask")
	}}
	c := collecting(t, db, up, func(cfg *Config) { cfg.Room = func() error { return postgres.ErrDiskFull } })
	run, err := c.Refresh(t.Context())
	if err != nil || run.Status != Failed || *run.Error != "disk_full" {
		t.Errorf("Refresh = %+v, %v", run, err)
	}
	same(t, "questions", up.questions())
	same(t, "events", list(t, db, storedEvents), "S8 critical universe x1")
	same(t, "universe", list(t, db, "SELECT count(*)::text FROM wallet_universe_current"), "2")
}
