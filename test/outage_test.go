package test

import (
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/whalegate/whalegate/internal/health"
	"github.com/whalegate/whalegate/internal/postgres/server"
)

func TestDatabaseOutageNeedsNobody(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for name, end := range map[string]func() error{"stopped": w.pg.Stop, "crashed": w.pg.Kill} {
		t.Run(name, func(t *testing.T) {
			w := w.in(t)
			w.awaitTrue("HEALTHY to be seen", "to_state = 'HEALTHY' FROM health_transitions ORDER BY id DESC LIMIT 1")
			last, seen, ended := w.newest(), get[int](w, "SELECT max(id) FROM health_transitions"), w.clock.Now()
			must(t, end())
			w.awaitCode("/-/ready", 503)
			w.awaitCode("/-/healthy", 200)
			if report := w.awaitStatus(health.Stale, "database"); report.Error == "" || report.TradingAllowed != "NO" {
				t.Errorf("status: %+v", report)
			}
			w.awaitMetric(`whalegate_health_state{state="STALE"}`, 1)
			w.awaitMetric(`whalegate_health_reason{reason="database"}`, 1)
			w.awaitExit(3)
			w.awaitMetric("whalegate_runs_unsaved", 3)

			must(t, w.pg.Restart(t.Context()))
			w.awaitCode("/-/ready", 200)
			w.awaitTrue("the lost minutes", "count(*) >= 3 FROM ingest_runs WHERE timestamp > $1 AND status = 'failed' AND error LIKE 'not written: %' AND rows_written = 0", last)
			w.awaitHealth(health.Healthy, "")
			w.awaitExit(0)
			if unsaved := w.metric("whalegate_runs_unsaved"); unsaved != 0 {
				t.Errorf("%v runs are still unsaved", unsaved)
			}
			// Unless a machine that was held up had made it STALE just before.
			w.awaitTrue("the change that was seen while the database was away", "EXISTS (SELECT FROM health_transitions WHERE id > $1 AND to_state = 'STALE' AND ('database' = ANY (reasons) OR ts <= $2))", seen, ended)
			w.checkNoGap(last)
		})
	}
	w.checkWhole()
	w.checkTruth()
}

// TestServiceWaitsForItsDatabase starts the service first, then the database,
// then the schema.
func TestServiceWaitsForItsDatabase(t *testing.T) {
	t.Parallel()
	w := emptyWorld(t)
	w.openExchange()
	w.pg = startPostgres(t)
	must(t, w.pg.Stop())
	w.run()
	w.service.logged(t, "waiting for the database")
	w.awaitCode("/-/ready", 503)
	w.awaitCode("/-/healthy", 200)
	w.awaitStatus(health.Stale, "database")

	must(t, w.pg.Restart(t.Context()))
	admin, err := pgx.Connect(t.Context(), w.pg.URL(server.Superuser, "postgres"))
	must(t, err)
	defer admin.Close(t.Context())
	for _, sql := range []string{"CREATE ROLE " + writer + " LOGIN", "CREATE DATABASE " + dbName} {
		_, err := admin.Exec(t.Context(), sql)
		must(t, err)
	}
	// Reachable, and empty.
	w.awaitCode("/-/ready", 503)
	if r := w.cli("status"); r.code != 3 {
		t.Errorf("status of an empty database: %s", r)
	}
	if r := call(t, []string{"DATABASE_URL=" + w.pg.URL(server.Superuser, dbName)}, "migrate"); r.code != 0 {
		t.Fatalf("migrate: %s", r)
	}
	w.connect()
	w.moveTime(w.db)
	w.awaitCode("/-/ready", 200)
	w.awaitHealth(health.Healthy, "")
	w.awaitExit(0)
	w.checkTruth()
}
