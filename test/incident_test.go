package test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
)

const incidentPath = "/d/whalegate-incident"

// incidentPanel is one panel as the generated board has it.
type incidentPanel struct {
	ID          int
	Type, Title string
	Datasource  struct{ Type string }
}

// incidentPanels are the panels of the incident board by their ids.
func incidentPanels(t testing.TB) map[int]incidentPanel {
	t.Helper()
	body, err := os.ReadFile("../dashboards/generated/classic/whalegate-incident.json")
	must(t, err)
	var board struct{ Panels []incidentPanel }
	must(t, json.Unmarshal(body, &board))
	panels := map[int]incidentPanel{}
	for _, p := range board.Panels {
		if p.Type != "row" {
			panels[p.ID] = p
		}
	}
	if len(panels) < 50 {
		t.Fatalf("%d panels found", len(panels))
	}
	return panels
}

// openIncident opens the board and waits until no panel is left with nothing but
// its title: each is asked when it comes into sight.
func (b *browser) openIncident(address string) {
	b.Helper()
	b.open(address)
	await(b, "every panel to have something to show", func() error {
		for id, p := range incidentPanels(b) {
			if text := b.panel(id); text == "" || text == "NOT THERE" || text == p.Title && !b.draws(id) {
				return fmt.Errorf("panel %d shows %q", id, text)
			}
		}
		return nil
	})
	b.settle()
}

func (b *browser) draws(id int) bool {
	b.Helper()
	return b.eval(fmt.Sprintf(`String(document.querySelectorAll('[data-panelid="%d"] canvas').length)`, id)) != "0"
}

// tall makes the window show the whole incident board: a panel is asked when it
// is in sight.
func (b *browser) tall() {
	b.Helper()
	b.do(chromedp.EmulateViewport(1440, 5400))
}

// diskPanel is the panel that needs more than is here: a service that is told of its disk.
const diskPanel = 716

// checkIncident fails for a panel that says nothing or has an error, unless it
// has nobody to ask: then it has to say that, and not that there is nothing.
func (b *browser) checkIncident(deaf func(id int) bool) {
	b.Helper()
	for id, p := range incidentPanels(b) {
		text, kind := b.panel(id), p.Type
		failed := b.eval(fmt.Sprintf(`[...document.querySelectorAll('[data-panelid="%[1]d"] [data-testid*="Panel status"], [data-panelid="%[1]d"] [aria-label*="Panel status"]')].map(e => e.outerHTML.slice(0, 200)).join(' ')`, id))
		switch {
		case text == "" || text == "NOT THERE":
			b.Errorf("panel %d (%s) is empty", id, kind)
		case kind == "text":
			if !strings.Contains(text, "Runbook") {
				b.Errorf("panel %d leads to no runbook: %q", id, text)
			}
		case id == diskPanel:
			if !strings.Contains(text, "NOT MEASURED") && !deaf(id) {
				b.Errorf("the panel of the disk says %q", text)
			}
		case deaf(id):
			if !strings.Contains(text, "NO ANSWER") && (kind != "state-timeline" || !strings.Contains(text, "No data") && b.draws(id)) {
				b.Errorf("panel %d (%s) shows %q though nobody answers", id, kind, text)
			}
		case failed != "":
			b.Errorf("panel %d (%s) has an error: %s: %s", id, kind, text, failed)
		case strings.HasSuffix(text, "NO ANSWER") && !strings.Contains(text, "Nothing stored in this range"):
			b.Errorf("panel %d (%s) has no answer: %q", id, kind, text)
		case strings.Contains(text, "NO ANSWER from"):
			b.Errorf("panel %d (%s) has no answer from Prometheus: %q", id, kind, text)
		case (kind == "timeseries" || kind == "state-timeline") && !b.draws(id) && !strings.Contains(text, "Nothing stored") && !strings.Contains(text, "No data"):
			b.Errorf("panel %d (%s) neither draws nor says anything: %q", id, kind, text)
		}
	}
	b.checkNoSignal()
}

// checkNoSignal fails for a signal value on the page or in an answer.
func (b *browser) checkNoSignal() {
	b.Helper()
	if err := leaked(b.text()); err != nil {
		b.Errorf("a signal value on the page: %v", err)
	}
	read := 0
	for _, body := range b.received() {
		address, content, _ := strings.Cut(body, "\n")
		if !strings.Contains(address, "/api/") {
			continue // programs
		}
		if strings.Contains(address, "/api/ds/query") {
			read++
		}
		if err := leaked(content); err != nil {
			b.Errorf("a signal value in an answer to %s: %v", address, err)
		}
	}
	if read < 30 {
		b.Errorf("only %d answers of the data sources could be read", read)
	}
}

// symptoms are the words in the header, by the number of the runbook.
func (b *browser) symptoms(want map[int]string) {
	b.Helper()
	for n := 1; n <= 9; n++ {
		word, ok := want[n]
		if !ok {
			word = "ok"
		}
		if text := b.panel(n + 1); !strings.HasSuffix(text, " "+word) {
			b.Errorf("runbook %d is shown as %q, want %q", n, text, word)
		}
	}
}

// Who has nobody to ask.
func nobody(int) bool { return false }

// who asks one kind of data source.
func who(t testing.TB, source string) func(id int) bool {
	t.Helper()
	panels := incidentPanels(t)
	return func(id int) bool { return panels[id].Datasource.Type == source }
}

// TestTheIncidentBoard walks a night of the operator's board in a real Grafana
// and a real browser.
func TestTheIncidentBoard(t *testing.T) {
	w := newIncidentWorld(t)
	b := openBrowser(t)
	b.tall()
	board := w.grafana.URL + incidentPath

	// An empty database: every panel says so, and none that it is fine.
	w.measured("STALE")
	b.openIncident(board)
	b.screenshot(artifact(t, "incident-empty.png"))
	b.shows(1, "STALE", "DO NOT TRADE")
	b.shows(11, "no_runs")
	b.shows(12, "nothing has run yet")
	b.symptoms(map[int]string{1: "no run yet", 2: "no refresh yet", 3: "no cycle yet", 4: "no rows", 9: "no run yet"})
	b.shows(810, "none ever")
	b.shows(513, "no delivery in a week")
	b.checkIncident(nobody)

	// Healthy, after a bad week.
	w.runs(7 * 24 * 60)
	w.incidents()
	w.measured("HEALTHY")
	b.forget()
	b.openIncident(board)
	b.screenshot(artifact(t, "incident-healthy.png"))
	b.shows(1, "HEALTHY", "trade by playbook")
	b.symptoms(map[int]string{4: "was above", 5: "undelivered"})
	b.shows(101, "Newest run", "success", "10 or more")
	b.shows(117, "S3", "critical", "rows marked dirty")
	b.shows(118, "failed", "S3: coverage 40.0 %")
	b.shows(213, "200 of 200", "33 in, 32 out", "U4: wallet 0x…")
	b.shows(301, "Blocked in a day 2 of 288", "HYPE signal 90 s old")
	b.shows(313, "G3", "BTC", "G0")
	b.shows(401, "Worst of 60 min 12.56 %", "ETH, last hour 0.00 %")
	b.shows(411, "Worst minute", "12.56")
	b.shows(501, "Sent in a day 5", "Suppressed 2", "until")
	b.shows(511, "inside its cooldown 0 0 yes")
	b.shows(512, "regime change 2", "exit cluster 1", "not told")
	b.shows(513, "desk-webhook 5 0 1 0", "answered 400", "trader-phone 0 0 0 6")
	b.shows(601, "State HEALTHY", "Trading board 3 assets")
	b.shows(611, "HEALTHY")
	b.shows(613, "HEALTHY")
	b.shows(710, "wallet_snapshots")
	b.shows(711, "whalegate_ops")
	b.shows(810, "night operator", "the exchange had renamed a field", "47 min")
	b.shows(811, "IN FORCE", "flapping while the exchange recovers")
	b.shows(12, "nothing is wrong")
	b.shows(717, "Symptom ok", "not ahead of it", "primary")
	b.shows(914, "UNKNOWN HEALTHY", "run_failed, coverage")
	b.shows(915, "Symptom ok", "stand-in/0", "Waiting none")
	b.checkIncident(nobody)
	if cut := b.cutFigures(); cut != "" {
		t.Errorf("figures that do not fit:\n%s", cut)
	}
	for id, page := range map[int]string{2: "1-ingestion", 4: "3-signal-lock", 10: "9-crash", 100: "1-ingestion", 600: "6-board-truth", 900: "9-crash"} {
		if href := b.eval(fmt.Sprintf(`(document.querySelector('[data-panelid="%d"] a[href*="runbooks"]') || {href: 'no link'}).href`, id)); !strings.HasSuffix(href, "/docs/runbooks/"+page+".md") {
			t.Errorf("panel %d leads to %s", id, href)
		}
	}

	b.do(chromedp.EmulateViewport(1440, 900)) // how long that takes is logged
	b.open(board)
	b.refresh()
	b.tall()

	// Degraded, then stale and halted: it still shows everything.
	w.newestRun(degradedRun)
	w.measured("DEGRADED")
	b.openIncident(board)
	b.screenshot(artifact(t, "incident-degraded.png"))
	b.shows(1, "DEGRADED", "trade with caution")
	b.symptoms(map[int]string{1: "partial", 4: "was above", 5: "undelivered"})
	b.shows(613, "DEGRADED")
	b.checkIncident(nobody)

	w.newestRun(failedRun + `, failures = '{"timeout": 80}'`)
	w.exec("INSERT INTO halts (halted_at, halted_by, reason) VALUES ($1, 'night operator', 'nothing adds up')", w.now.Add(-10))
	w.measured("STALE")
	b.openIncident(board)
	b.screenshot(artifact(t, "incident-stale.png"))
	b.shows(1, "STALE", "DO NOT TRADE")
	b.shows(11, "run_failed, coverage, halted")
	b.shows(12, "the newest run failed; too few wallets could be read; a halt is in force")
	b.symptoms(map[int]string{1: "runs fail", 4: "was above", 5: "undelivered", 8: "HALTED"})
	b.shows(101, "failed", "timeout 80")
	b.shows(601, "State STALE", "Trading board SYSTEM HALT", "Should show SYSTEM HALT")
	b.shows(801, "Clean runs 0, 2 needed")
	b.shows(810, "IN FORCE", "nothing adds up")
	b.checkIncident(nobody)
	b.openIncident(board + "?from=now-7d&to=now")
	b.screenshot(artifact(t, "incident-week.png"))
	b.checkIncident(nobody)

	// The health function fails: the rows stand.
	w.exec("ALTER FUNCTION ingest_health_at(timestamptz) RENAME TO away")
	b.forget()
	b.refresh()
	b.shows(11, "health_unknown")
	b.symptoms(map[int]string{1: "runs fail", 4: "was above", 5: "undelivered", 8: "HALTED"})
	b.checkIncident(nobody)
	w.exec("ALTER FUNCTION away(timestamptz) RENAME TO ingest_health_at")

	checkLockedTable(b, w)
	checkDeaf(b, w)
	b.checkOffline()
}

// checkLockedTable locks a table that half of the board reads, and lets somebody
// wait for it: the row of the database says who holds it.
func checkLockedTable(b *browser, w *incidentWorld) {
	b.Helper()
	tx, err := w.db.Begin(b.Context())
	must(b, err)
	_, err = tx.Exec(b.Context(), "LOCK TABLE alerts IN ACCESS EXCLUSIVE MODE")
	must(b, err)
	waited := make(chan error, 1)
	go func() {
		_, err := w.db.Exec(context.WithoutCancel(b.Context()), "SELECT count(*) FROM alerts")
		waited <- err
	}()
	await(b, "somebody to wait", func() error {
		rows, err := w.operates("SELECT role FROM ops.locks WHERE role = 'postgres'")
		if err == nil && len(rows) != 1 {
			err = fmt.Errorf("%v", rows)
		}
		return err
	})
	b.forget()
	b.refresh()
	await(b, "the panels of the alerts to give up", func() error {
		if text := b.panel(6); !strings.Contains(text, "NO ANSWER") {
			return errors.New(text)
		}
		return nil
	})
	b.screenshot(artifact(b, "incident-locked.png"))
	b.shows(8, "locks")
	b.shows(710, "alerts", "LOCKED")
	b.shows(713, "AccessShareLock", "alerts", "postgres")
	b.shows(101, "Newest run")
	must(b, tx.Rollback(b.Context()))
	must(b, <-waited)
}

// checkDeaf takes Prometheus away, and then the database.
func checkDeaf(b *browser, w *incidentWorld) {
	b.Helper()
	must(b, w.prometheus.Stop())
	b.forget()
	b.openIncident(w.grafana.URL + incidentPath)
	b.screenshot(artifact(b, "incident-no-prometheus.png"))
	b.shows(1, "STALE")
	b.checkIncident(who(b, "prometheus"))

	must(b, w.pg.Kill())
	b.forget()
	b.openIncident(w.grafana.URL + incidentPath)
	b.screenshot(artifact(b, "incident-no-database.png"))
	b.shows(1, "NO ANSWER")
	prometheus, postgres := who(b, "prometheus"), who(b, "postgres")
	b.checkIncident(func(id int) bool { return prometheus(id) || postgres(id) })
	for n := range 9 {
		b.shows(100*(n+1), "Runbook") // the way to the page needs nobody
	}
}

// cutFigures names what does not fit in its place, but for free texts, which end
// with an ellipsis, and what a table can be scrolled to.
func (b *browser) cutFigures() string {
	b.Helper()
	return b.eval(`[...document.querySelectorAll('[data-panelid] *')].filter(e => e.children.length === 0 && e.innerText && e.innerText.trim() !== '')
		.filter(e => !['118', '213', '810', '811', '914'].includes(e.closest('[data-panelid]').dataset.panelid))
		.filter(e => e.scrollWidth > e.clientWidth + 1 && e.clientWidth > 0)
		.map(e => e.closest('[data-panelid]').dataset.panelid + ': ' + e.innerText).join('\n')`)
}

// TestD2AViewerOfTheIncidentBoardGetsNoSignal sends what a viewer may type, with
// the role of the operators' data source, healthy and stale.
func TestD2AViewerOfTheIncidentBoardGetsNoSignal(t *testing.T) {
	w := newIncidentWorld(t)
	w.runs(30)
	w.incidents()
	rows, err := w.operates("SELECT viewname FROM pg_views WHERE schemaname = 'ops'")
	must(t, err)
	attempts := append([]string{
		"SELECT * FROM board.gate", "SELECT * FROM public.alert_deliveries", "SELECT * FROM public.qa_events", "SELECT * FROM public.alert_state",
		"SELECT last_error FROM ops.deliveries", "SELECT * FROM public.ops_sessions()", "SELECT * FROM pg_stat_activity", "SELECT * FROM public.ops_truth()",
	}, handMade...)
	for _, row := range rows {
		attempts = append(attempts, fmt.Sprintf("SELECT * FROM ops.%s", row[0]), fmt.Sprintf("SELECT row_to_json(v) FROM ops.%s v", row[0]))
	}
	if len(attempts) < 100 {
		t.Errorf("only %d attempts", len(attempts))
	}
	for _, state := range []string{cleanRun, failedRun} {
		w.newestRun(state)
		for _, sql := range attempts {
			rows, err := w.operates(sql)
			if leak := leaked(strings.ReplaceAll(fmt.Sprint(rows, err), sql, "")); leak != nil {
				t.Errorf("%s: %v", sql, leak)
			}
		}
	}
}
