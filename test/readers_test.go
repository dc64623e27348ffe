package test

import (
	"maps"
	"path/filepath"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/whalegate/whalegate/internal/health"
	"github.com/whalegate/whalegate/internal/postgres/pgtest"
	"github.com/whalegate/whalegate/internal/postgres/server"
)

// Whoever reads may take every session that his roles have: somebody can halt all the
// same, and a collector that dies is replaced. The server has PostgreSQL's default of
// 100 connections.
func TestReadersLeaveRoomForAHaltAndTheNextCollector(t *testing.T) {
	t.Parallel()
	settings := maps.Clone(pgtest.Settings())
	settings["max_connections"] = "100"
	pg, err := server.Start(t.Context(), server.Config{Dir: filepath.Join(openDir(t), "data"), Settings: settings})
	must(t, err)
	t.Cleanup(func() { must(t, pg.Kill()) }) // its data is thrown away
	w := worldOn(t, pg)
	w.run()
	w.awaitHealth(health.Healthy, "")
	second := launch(w, w.environ(), "run")
	second.logged(w, "waiting for the lead")
	taken := 0
	for _, role := range []string{"whalegate_board", "whalegate_ops", "whalegate_watchdog"} {
		for {
			conn, err := pgx.Connect(t.Context(), pg.URL(role, dbName))
			if err != nil {
				break // the role may have no more
			}
			t.Cleanup(func() { _ = conn.Close(t.Context()) }) // the server is gone
			taken++
		}
	}
	if taken < 50 {
		t.Fatalf("only %d sessions could be taken", taken)
	}
	if r := w.cli("halt", "--reason", "to see whether one can"); r.code != 0 {
		t.Errorf("halt: %s", r)
	}
	epoch := get[int64](w, "SELECT epoch FROM collector_leader")
	killed := time.Now()
	w.service.kill()
	w.awaitTrue("the other collector to lead", "collector_leads() AND epoch > $1 FROM collector_leader", epoch)
	if took := time.Since(killed); took > 15*time.Second {
		t.Errorf("nobody led for %s", took)
	}
	w.awaitRun(w.newest(), "is_clean")
}
