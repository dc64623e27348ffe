package test

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/whalegate/whalegate/internal/health"
)

// boardTruthDays are the game days of runbook 6. A board that is dark because the
// collector died tells the truth: what is named is the crash.
var boardTruthDays = []day{
	{6, "collector killed, and the board read as its role", func(g *gameday) {
		g.awaitOpen()
		g.inject(g.service.kill)
		g.detectedAs(health.Stale, "snapshot_age")
		g.checkTruthfulBoard()
		if n := g.open(); n != 0 {
			g.Errorf("%d rows can be read", n)
		}
		g.repair(g.run)
		g.recovered()
		g.awaitTrue("S7, by the next collector", "EXISTS (SELECT FROM qa_events WHERE check_id = 'S7')")
		g.awaitOpen()
	}},
	{6, "collector killed, and the board read in a browser", func(g *gameday) {
		grafana := openGrafana(g.TB, g.pg, noPrometheus)
		b := openBrowser(g.TB)
		g.awaitOpen()
		b.open(grafana.URL + boardPath)
		b.shows(stateID, "HEALTHY")
		g.inject(g.service.kill)
		g.detectedAs(health.Stale, "snapshot_age")
		b.forget()
		b.refresh() // the page that has shown everything
		b.shows(stateID, "SYSTEM HALT")
		b.shows(factsID, "snapshot_age", "9-crash")
		b.checkHalted(every)
		g.checkTruthfulBoard()
		g.repair(g.run)
		g.recovered()
		g.awaitOpen()
		b.open(grafana.URL + boardPath)
		b.shows(stateID, "HEALTHY")
	}},
	{6, "a signal edited by hand", func(g *gameday) {
		g.awaitOpen()
		boundary := g.awaitCycle(g.newest(), "computed") // it is looked at three minutes later
		edit := func(by int) {
			g.exec(fmt.Sprintf("UPDATE signals SET wallet_count = wallet_count + %d WHERE asset = 'BTC' AND timestamp = '%s'", by, boundary.Format(time.RFC3339)))
		}
		g.inject(func() { edit(1) })
		d := g.diagnosed(2)
		must(g, g.carryOut(d, "whalegate halt"))
		if err := g.carryOut(d, "whalegate signals audit"); err == nil {
			g.Error("the audit finds nothing")
		}
		g.repair(func() { edit(-1) })
		must(g, g.carryOut(d, "whalegate signals audit"))
		g.awaitVerified("board-truth")
		await(g, "resume", func() error {
			if r := g.cli("resume", "--cause=a signal was edited by hand", "--actions=put it back"); r.code != 0 {
				return errors.New(r.String())
			}
			return nil
		})
		g.recovered()
		g.awaitOpen()
	}},
	{6, "the mask replaced by hand, so that it never closes (what is read until the repair is the fault itself)", func(g *gameday) {
		g.awaitOpen()
		g.exec(`CREATE OR REPLACE FUNCTION decision_surface() RETURNS TABLE (health_state text, judged_at timestamptz) LANGUAGE sql VOLATILE SECURITY DEFINER ROWS 1
			SET search_path = public, pg_temp AS $$SELECT 'HEALTHY', whalegate_now()$$`)
		g.inject(func() { g.fault(`{"kind":"status","code":500,"endpoint":"state"}`) })
		g.detected("rows to be read while STALE", func() error {
			g.reading.Lock()
			defer g.reading.Unlock()
			if g.played.leaked == 0 {
				return errors.New("none yet")
			}
			return nil
		})
		d := g.diagnosed(2)
		must(g, g.carryOut(d, "whalegate halt"))
		if g.open() == 0 {
			g.Error("a halt closes a mask that never closes?")
		}
		d = g.diagnosed(2) // before the halt
		must(g, g.carryOut(d, `psql "$DATABASE_URL" -c "ALTER ROLE whalegate_board NOLOGIN"`))
		if conn, err := pgx.Connect(g.Context(), g.pg.URL("whalegate_board", dbName)); err == nil {
			_ = conn.Close(g.Context()) // it should not be there
			g.Error("the board is not locked out")
		}
		d = g.diagnosed(2) // it is dark, and not mended
		g.reading.Lock()   // nobody reads any more
		g.played.leaked = 0
		g.reading.Unlock()
		g.repair(func() { must(g, g.carryOut(d, "whalegate migrate")) })
		g.awaitVerified("board-truth")
		must(g, g.carryOut(d, `psql "$DATABASE_URL" -c "ALTER ROLE whalegate_board LOGIN"`))
		if n := g.open(); n != 0 {
			g.Errorf("%d rows can be read", n)
		}
		g.clear()
		await(g, "resume", func() error {
			if r := g.cli("resume", "--cause=the mask was replaced by hand", "--actions=put it back"); r.code != 0 {
				return errors.New(r.String())
			}
			return nil
		})
		g.recovered()
		g.awaitOpen()
	}},
}

// checkTruthfulBoard waits until diagnose names the crash, and no board; and verify
// says that what is shown is right.
func (g *gameday) checkTruthfulBoard() {
	g.Helper()
	d := g.awaitDiagnosis("crash", 2)
	g.played.diagnosed = "crash (" + string(d.findings[0].Severity) + ")"
	if slices.Contains(d.summary.Matching, "board-truth") {
		g.Errorf("the board is blamed: %s", d.stdout)
	}
	g.checkVerify("board-truth", 0)
	g.checkVerify("crash", 2)
}
