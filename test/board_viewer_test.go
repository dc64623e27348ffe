package test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/whalegate/whalegate/dashboards/grafana"
	"github.com/whalegate/whalegate/internal/health"
	"github.com/whalegate/whalegate/internal/subprocess"
)

// What a viewer may type in place of the board's own queries.
var handMade = []string{
	"SELECT * FROM board.signals", "SELECT * FROM board.gate", "SELECT * FROM board.gate_lines", "SELECT * FROM board.playbook", "SELECT * FROM board.alerts",
	"SELECT * FROM board.recent_alerts", "SELECT * FROM board.contributors", "SELECT * FROM board.positioning", "SELECT * FROM board.header",
	"SELECT row_to_json(s) FROM board.signals s", "SELECT string_agg(s::text, ';') FROM board.signals s", "SELECT count(*) FROM board.signals WHERE allowed_playbook = 'Long-only' HAVING count(*) > 0",
	"SELECT 1 FROM board.signals WHERE allowed_playbook::int = 1", "SELECT 1 / (alignment_score - 78.4) FROM board.signals",
	"DO $$ DECLARE s record; BEGIN FOR s IN SELECT * FROM board.signals LOOP RAISE EXCEPTION '%', s; END LOOP; END $$",
	"SELECT * FROM public.signals", "SELECT * FROM signals", "SELECT * FROM public.alerts", "SELECT * FROM public.wallet_snapshots", "TABLE signals",
	"SELECT most_common_vals FROM pg_stats WHERE tablename = 'signals'", "SELECT query FROM pg_stat_activity WHERE usename <> 'whalegate_board'",
	"SET ROLE whalegate_writer; SELECT * FROM public.signals", "SET SESSION AUTHORIZATION postgres; SELECT * FROM public.signals", "RESET ROLE; SELECT * FROM public.signals",
	"CREATE TEMP TABLE gate AS SELECT 'HYPE' AS asset; SELECT * FROM gate", "CREATE FUNCTION pg_temp.decision_surface() RETURNS int LANGUAGE sql AS 'SELECT 1'; SELECT pg_temp.decision_surface()",
	"CREATE VIEW board.mine AS SELECT 1", "CREATE SCHEMA mine", "SELECT * FROM ingest_health_at('2026-01-01')", "SELECT whalegate_now()",
	"BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT * FROM board.gate", "SELECT * FROM board.gate; SELECT * FROM board.signals", "EXPLAIN (ANALYZE, VERBOSE) SELECT * FROM board.signals",
	"COPY (SELECT * FROM board.signals) TO STDOUT", "COPY (SELECT 1) TO PROGRAM 'id'", "SELECT pg_read_file('/etc/passwd')", "DELETE FROM board.signals", "UPDATE board.signals SET allowed_playbook = 'Long-only'",
}

// TestD2AViewerGetsNothing lets a viewer of a real Grafana try what a viewer
// can: hand-made queries, other people's sessions, the rest of the API.
func TestD2AViewerGetsNothing(t *testing.T) {
	w := newBoardWorld(t)
	w.runs(30)
	w.signals(30)
	w.alerts()
	if rows, err := w.values("SELECT playbook FROM board.playbook ORDER BY place"); err != nil || fmt.Sprint(rows) != "[[Long-only] [Short-only] [No-trade]]" {
		t.Fatalf("a healthy board reads %v, %v", rows, err)
	}
	// While there is something to see, the viewer leaves transactions open in
	// sessions of the pool, and bends others: at the same time, or it would always
	// be the same session.
	var bending sync.WaitGroup
	for _, sql := range []string{
		"BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT pg_sleep(0.5) FROM board.gate", "BEGIN; DECLARE c CURSOR FOR SELECT * FROM board.signals; SELECT pg_sleep(0.5)",
		"SET search_path = pg_temp, public, board; SELECT pg_sleep(0.5)", "SET timezone = 'Asia/Tokyo'; SELECT pg_sleep(0.5)", "SET statement_timeout = 0; SELECT pg_sleep(0.5)",
		"SET default_transaction_isolation = 'serializable'; SELECT pg_sleep(0.5)", "SET standard_conforming_strings = off; SELECT pg_sleep(0.5)", "SET whalegate.health = 'HEALTHY'; SELECT pg_sleep(0.5)",
	} {
		bending.Go(func() { _, _ = w.values(sql) }) // what it answers does not matter
	}
	bending.Wait()
	w.newestRun(failedRun)
	attempts := append([]string{"FETCH ALL FROM c"}, handMade...)
	for _, view := range w.decisionViews() {
		attempts = append(attempts, "SELECT * FROM board."+view)
	}
	// In the sessions that were bent, and in clean ones.
	for _, before := range []string{"", "ROLLBACK; DISCARD ALL"} {
		for _, sql := range attempts {
			if before != "" {
				_, _ = w.values(before)
				if rows, err := w.values("SELECT health_state FROM board.health"); fmt.Sprint(rows) != "[[STALE]]" {
					t.Fatalf("a clean session says %v, %v", rows, err)
				}
			}
			var asking sync.WaitGroup
			for range 4 { // so that several sessions are met
				asking.Go(func() {
					rows, err := w.values(sql)
					if leak := leaked(fmt.Sprint(rows, err)); leak != nil {
						t.Errorf("D2: %s: %v", sql, leak)
					}
				})
			}
			asking.Wait()
		}
	}
	for _, view := range w.decisionViews() {
		_, _ = w.values("ROLLBACK; DISCARD ALL")
		if rows, err := w.values("SELECT count(*) FROM board." + view); err != nil || fmt.Sprint(rows) != "[[0]]" {
			t.Errorf("D2: board.%s has %v rows, %v", view, rows, err)
		}
	}
	for _, path := range []string{
		"/api/datasources", "/api/datasources/uid/whalegate-board", "/api/annotations", "/api/search", "/api/dashboards/uid/whalegate-trading", "/api/dashboards/home", "/api/snapshots/any",
		"/api/dashboard/snapshots", "/api/frontend/settings", "/api/admin/settings", "/api/live/list", "/public/build/runtime.js.map",
	} {
		response, err := http.Get(w.grafana.URL + path)
		must(t, err)
		body, err := io.ReadAll(response.Body)
		must(t, err)
		must(t, response.Body.Close())
		// The board's own colours name playbooks; values are what counts here.
		if path != "/api/dashboards/uid/whalegate-trading" && path != "/api/dashboards/home" {
			if err := leaked(string(body)); err != nil {
				t.Errorf("D2: %s: %v", path, err)
			}
		}
		if strings.Contains(string(body), boardPassword) {
			t.Errorf("%s tells the password: %s", path, body)
		}
	}
	response, err := http.Post(w.grafana.URL+"/api/snapshots", "application/json", strings.NewReader(`{"dashboard": {}, "external": true}`))
	must(t, err)
	must(t, response.Body.Close())
	if response.StatusCode < 400 {
		t.Errorf("a viewer can make a snapshot: %s", response.Status)
	}
	w.newestRun(cleanRun)
	_, _ = w.values("ROLLBACK; DISCARD ALL")
	if rows, err := w.values("SELECT playbook FROM board.playbook ORDER BY place"); fmt.Sprint(rows) != "[[Long-only] [Short-only] [No-trade]]" {
		t.Errorf("after it all the board reads %v, %v", rows, err)
	}
}

// TestTheBoardAfterTheCollectorWasKilled runs the real service, kills it, and
// watches the board go dark by itself.
func TestTheBoardAfterTheCollectorWasKilled(t *testing.T) {
	t.Parallel()
	home := grafanaHome(t)
	w := newWorld(t)
	port, err := subprocess.FreePort()
	must(t, err)
	g, err := grafana.Start(t.Context(), grafana.Config{
		Home: home, Dir: filepath.Join(openDir(t), "grafana"), Port: port, PostgresAddress: subprocess.Address(w.pg.Port()), Database: dbName, BoardPassword: boardPassword,
		OpsPassword: opsPassword, AdminPassword: adminPassword,
	})
	must(t, err)
	t.Cleanup(func() { must(t, g.Stop()) })
	viewer := &boardWorld{TB: t, grafana: g}
	w.awaitHealth(health.Healthy, "")
	var shown [][]any
	await(t, "the board to show a signal", func() error {
		if shown, err = viewer.values("SELECT asset, playbook FROM board.playbook JOIN board.gate USING (asset) WHERE NOT no_signal"); err != nil {
			return err
		}
		if len(shown) != assets {
			return fmt.Errorf("it shows %v", shown)
		}
		return nil
	})
	w.service.kill()
	await(t, "the board to go dark", func() error {
		rows, err := viewer.values("SELECT * FROM board.gate")
		if err == nil && len(rows) > 0 {
			err = fmt.Errorf("it shows %v", rows)
		}
		return err
	})
	rows, err := viewer.values("SELECT health_state, reasons, runbook FROM board.header")
	if text := fmt.Sprint(rows, err); !strings.Contains(text, "STALE") || !strings.Contains(text, "snapshot_age") || !strings.Contains(text, "9-crash") {
		t.Errorf("the header says %s", text)
	}
	b := openBrowser(t)
	b.open(g.URL + boardPath)
	b.shows(stateID, "SYSTEM HALT")
	b.shows(factsID, "9-crash")
	ids, _ := decisionPanels(t)
	for _, id := range ids {
		if text := b.panel(id); !haltedPanel.MatchString(text) {
			t.Errorf("D1: panel %d shows %q", id, text)
		}
	}
	for end := time.Now().Add(2 * time.Second); time.Now().Before(end); { // two minutes of the tests' clock: it stays dark
		if rows, err := viewer.values("SELECT * FROM board.gate"); err != nil || len(rows) > 0 {
			t.Fatalf("the dark board shows %v, %v", rows, err)
		}
	}
	w.run()
	w.awaitHealth(health.Healthy, "")
	await(t, "the board to come back", func() error {
		rows, err := viewer.values("SELECT * FROM board.gate")
		if err == nil && len(rows) != assets {
			err = fmt.Errorf("it shows %v", rows)
		}
		return err
	})
}

// TestGrafanaIsProvisioned asks as an administrator what Grafana made of the
// files.
func TestGrafanaIsProvisioned(t *testing.T) {
	w := newBoardWorld(t)
	ask := func(path string, into any) {
		t.Helper()
		request, err := http.NewRequest(http.MethodGet, w.grafana.URL+path, nil)
		must(t, err)
		request.SetBasicAuth("admin", adminPassword)
		response, err := http.DefaultClient.Do(request)
		must(t, err)
		defer response.Body.Close()
		must(t, json.NewDecoder(response.Body).Decode(into))
	}
	var source struct {
		Type, User, URL string
		ReadOnly        bool
		JSONData        map[string]any
	}
	ask("/api/datasources/uid/whalegate-board", &source)
	if source.Type != "postgres" || source.User != "whalegate_board" || source.URL != subprocess.Address(w.pg.Port()) || !source.ReadOnly || source.JSONData["database"] != dbName || source.JSONData["maxOpenConns"] != 100.0 {
		t.Errorf("the data source is %+v", source)
	}
	source.User, source.JSONData = "", nil
	ask("/api/datasources/uid/whalegate-ops", &source)
	if source.Type != "postgres" || source.User != "whalegate_ops" || source.URL != subprocess.Address(w.pg.Port()) || !source.ReadOnly || source.JSONData["database"] != dbName {
		t.Errorf("the data source of the operators is %+v", source)
	}
	source.User = ""
	ask("/api/datasources/uid/whalegate-prometheus", &source)
	if source.Type != "prometheus" || source.URL != noPrometheus || !source.ReadOnly {
		t.Errorf("the data source of the metrics is %+v", source)
	}
	var board struct {
		Meta struct {
			Provisioned  bool
			FolderTitle  string
			CanAdmin     bool
			ProvisionExt string `json:"provisionedExternalId"`
		}
		Dashboard struct{ Title, UID, Refresh string }
	}
	ask("/api/dashboards/uid/whalegate-trading", &board)
	if !board.Meta.Provisioned || board.Meta.FolderTitle != "Whalegate" || board.Dashboard.Refresh != "30s" {
		t.Errorf("the board is %+v", board)
	}
	ask("/api/dashboards/uid/whalegate-incident", &board)
	if !board.Meta.Provisioned || board.Dashboard.Title != "Incident" {
		t.Errorf("the incident board is %+v", board)
	}
	var home struct{ Dashboard struct{ UID string } }
	ask("/api/dashboards/home", &home)
	if home.Dashboard.UID != "whalegate-trading" {
		t.Errorf("the home page is %q", home.Dashboard.UID)
	}
}
