package test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/whalegate/whalegate/internal/postgres"
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
