package test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/whalegate/whalegate/internal/postgres"
	"github.com/whalegate/whalegate/internal/postgres/pgtest"
	"github.com/whalegate/whalegate/internal/postgres/server"
)

// stepped moves to a world whose clocks can be set under everything that runs: the
// database's, and that of the service's machine, where the operator sits as well.
// The exchange's stays right.
func (g *gameday) stepped() (set func(off time.Duration)) {
	g.Helper()
	file := filepath.Join(openDir(g), "clock")
	g.moveTo(quietWorld(g.TB), "WHALEGATE_TEST_CLOCK_FILE="+file)
	return func(off time.Duration) {
		g.Helper()
		must(g, os.WriteFile(file+".new", []byte(off.String()), 0o600))
		g.exec("CREATE OR REPLACE FUNCTION whalegate_now() RETURNS timestamptz LANGUAGE sql VOLATILE AS " +
			postgres.Quote(fmt.Sprintf("SELECT (%s) + interval '%d seconds'", g.clock.SQL(), int(off.Seconds()))))
		must(g, os.Rename(file+".new", file))
	}
}

// An operator whose machine and whose database differ cannot say that the clock is
// right: whichever is wrong, what is stored would be judged by it.
func TestAClockIsNotAcceptedWhereClocksDiffer(t *testing.T) {
	t.Parallel()
	pg := startPostgres(t)
	must(t, pgtest.Prepare(t.Context(), pg, dbName))
	db, err := postgres.Open(t.Context(), pg.URL(server.Superuser, dbName), "test")
	must(t, err)
	t.Cleanup(db.Close)
	for _, tt := range []struct {
		off    string
		reason string
		code   int
	}{{"1 hour", "a watch", 1}, {"-31 seconds", "a watch", 1}, {"-1 year", "a watch", 1}, {"0", " \t", 1}, {"20 seconds", "a watch", 0}} {
		_, err := db.Exec(t.Context(), "CREATE OR REPLACE FUNCTION whalegate_now() RETURNS timestamptz LANGUAGE sql VOLATILE AS 'SELECT clock_timestamp() + interval ''"+tt.off+"'''")
		must(t, err)
		var before, after int
		const settled = "SELECT count(*) FROM clock_refusals WHERE settled_at IS NOT NULL"
		must(t, db.QueryRow(t.Context(), settled).Scan(&before))
		r := call(t, []string{"DATABASE_URL=" + pg.URL(server.Superuser, dbName)}, "clock", "accept", "--reason", tt.reason)
		must(t, db.QueryRow(t.Context(), settled).Scan(&after))
		if (r.code == 0) != (tt.code == 0) || after-before != 1-tt.code || tt.code != 0 && !strings.Contains(r.stderr, "clock accept: ") {
			t.Errorf("%s off, because of %q: %d recorded, %s", tt.off, tt.reason, after-before, r)
		}
	}
}

// elsewhere does something on a machine whose clock is right.
func (g *gameday) elsewhere(what func()) {
	g.Helper()
	before := g.env
	g.env = append(slices.Clone(before), "WHALEGATE_TEST_CLOCK_FILE=")
	what()
	g.env = before
}

// runsUpTo is every run up to a minute, as it is stored.
func (g *gameday) runsUpTo(minute time.Time) string {
	g.Helper()
	return get[string](g.world, "SELECT md5(string_agg(r::text, E'\\n' ORDER BY timestamp)) FROM ingest_runs r WHERE timestamp <= $1", minute)
}

// checkSignalsSince waits for signals of a boundary after a minute and looks whether
// all of them can be told again, but for those whose runs were superseded.
func (g *gameday) checkSignalsSince(minute time.Time) {
	g.Helper()
	g.awaitCycle(minute, "computed")
	g.checkSignals()
	superseded := get[int](g.world, "SELECT count(*) FROM superseded_boundaries WHERE signals <> '[]' AND timestamp <= whalegate_now()")
	r := g.cli("signals", "audit", "--json")
	var sum struct{ Rows, Boundaries, Unverifiable, Differences int }
	if err := json.Unmarshal([]byte(lastLine(r.stdout)), &sum); err != nil || r.code != 0 {
		g.Fatalf("audit: %s", r)
	}
	if sum.Rows < 3 || sum.Unverifiable != superseded || sum.Differences > 0 {
		g.Errorf("audit, with %d superseded boundaries: %+v", superseded, sum)
	}
}

// asking asks the service at another address meanwhile.
func (g *gameday) asking(address string, what func()) {
	g.Helper()
	before := g.address
	g.address = address
	what()
	g.address = before
}

// awaitLeader waits until another collector leads than in an epoch.
func (g *gameday) awaitLeader(after int64) {
	g.Helper()
	g.detected("another collector to lead", func() error {
		leads, err := value[bool](g.world, "SELECT epoch > $1 AND collector_leads() FROM collector_leader", after)
		if err == nil && !leads {
			err = errors.New("not yet")
		}
		return err
	})
}
