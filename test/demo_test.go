package test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/whalegate/whalegate/dashboards"
	"github.com/whalegate/whalegate/dashboards/grafana"
	"github.com/whalegate/whalegate/internal/fixtures"
	"github.com/whalegate/whalegate/internal/health"
	"github.com/whalegate/whalegate/internal/postgres"
	"github.com/whalegate/whalegate/internal/prometheus"
)

// TestDemoGoesOnWhereItStopped starts the demo twice on one data directory.
func TestDemoGoesOnWhereItStopped(t *testing.T) {
	t.Parallel()
	w := emptyWorld(t)
	dir := filepath.Join(openDir(t), "demo")
	args := []string{
		"demo", "--data-dir", dir, "--database-port=0", "--simulator-address=127.0.0.1:0", "--listen-address=127.0.0.1:0", "--test-clock", w.clockText(),
		"--history=30m", fmt.Sprintf("--rows=%d", rows), fmt.Sprintf("--universe-size=%d", wallets), "--latency=0s",
		"--grafana-address=127.0.0.1:0", "--prometheus-address=127.0.0.1:0",
	}
	start := func() (*process, []string) { return w.startDemo(dir, args...) }

	demo, found := start()
	for _, name := range []string{"env", "demo.json"} {
		info, err := os.Stat(filepath.Join(dir, name))
		must(t, err)
		if info.Mode().Perm() != 0o600 {
			t.Errorf("%s can be read by others: %s", name, info.Mode())
		}
	}
	w.awaitHealth(health.Healthy, "")
	w.awaitStatus(health.Healthy, "")
	w.awaitCode("/-/ready", 200)
	if n := get[int](w, "SELECT count(*) FROM ingest_runs WHERE status = 'success'"); n < 30 {
		t.Errorf("%d minutes of history", n)
	}
	await(t, "status to exit 0", func() error {
		if r := call(t, found, "status"); r.code != 0 {
			return fmt.Errorf("%s", r)
		}
		return nil
	})
	w.awaitRun(w.newest(), "is_clean")
	w.checkWhole()
	w.checkMetricsExist()
	t.Run("Prometheus", func(t *testing.T) { w.in(t).checkDemoPrometheus(demo) })
	t.Run("Grafana", func(t *testing.T) { w.in(t).checkDemoGrafana(demo, dir) })
	if code := demo.end(t); code != 0 {
		t.Errorf("exit code %d", code)
	}

	second, _ := start()
	if strings.Contains(second.log(), "loading history") {
		t.Error("history is loaded a second time")
	}
	stopped := get[int](w, "SELECT count(*) FROM ingest_runs")
	if stopped < 31 {
		t.Errorf("the second start has %d minutes", stopped)
	}
	w.awaitRun(w.newest(), "is_clean")
	w.awaitHealth(health.Healthy, "")
	if n := get[int](w, "SELECT count(*) FROM ingest_runs"); n <= stopped {
		t.Errorf("%d minutes, %d before", n, stopped)
	}
	w.checkWhole()
	if code := second.end(t); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

// startDemo starts a demo and waits until it runs, with its database on the
// world's clock. It also returns how commands find it.
func (w *world) startDemo(dir string, args ...string) (*process, []string) {
	w.Helper()
	env := filepath.Join(dir, "env")
	_ = os.Remove(env) // of the start before: the port may be another
	demo := launch(w, []string{"GRAFANA_HOME=" + os.Getenv("GRAFANA_HOME"), faster}, args...)
	var address string
	await(w, "the file env", func() error {
		body, err := os.ReadFile(env)
		address = exported(string(body), "DATABASE_URL")
		return err
	})
	db, err := postgres.Open(w.Context(), address, "test")
	must(w, err)
	w.Cleanup(db.Close)
	w.db = db
	w.moveTime(db)
	w.address = demo.logged(w, "service started")["address"].(string)
	return demo, []string{"DATABASE_URL=" + address}
}

// exported is a variable of the file env.
func exported(body, name string) string {
	for line := range strings.Lines(body) {
		if value, ok := strings.CutPrefix(strings.TrimSpace(line), "export "+name+"="); ok {
			return strings.Trim(value, "'")
		}
	}
	return ""
}

// checkDemoGrafana looks at the demo's Grafana as a viewer and as its
// administrator.
func (w *world) checkDemoGrafana(demo *process, dir string) {
	w.Helper()
	grafanaHome(w)
	if _, err := prometheus.Find(); err != nil {
		missing(w, err)
	}
	address := demo.logged(w, "Grafana started")["address"].(string)
	await(w, "the file env to name it", func() error {
		body, err := os.ReadFile(filepath.Join(dir, "env"))
		if err == nil && exported(string(body), "WHALEGATE_GRAFANA_URL") != address {
			err = errors.New(string(body))
		}
		return err
	})
	viewer := &boardWorld{TB: w, grafana: &grafana.Server{URL: address}}
	rows, err := viewer.values("SELECT current_user, health_state FROM board.header")
	if text := fmt.Sprint(rows, err); !strings.HasPrefix(text, "[[whalegate_board ") {
		w.Errorf("the demo's board reads %s", text)
	}
	if rows, err := viewer.operates("SELECT current_user, count(*) > 30 FROM ops.runs"); fmt.Sprint(rows, err) != "[[whalegate_ops true]] <nil>" {
		w.Errorf("the demo's incident board reads %v, %v", rows, err)
	}
	await(w, "Grafana to be told by Prometheus", func() error {
		up, err := (&dashboards.Client{URL: address}).Series(w.Context(), `up{job="whalegate"} == 1`)
		if err == nil && len(up) != 1 {
			err = fmt.Errorf("%v", up)
		}
		return err
	})
}

// checkDemoPrometheus checks what the demo's Prometheus scrapes, and its rules.
func (w *world) checkDemoPrometheus(demo *process) {
	w.Helper()
	if _, err := prometheus.Find(); err != nil {
		missing(w, err)
	}
	p := &scraper{w, demo.logged(w, "Prometheus started")["address"].(string)}
	p.await(fmt.Sprintf(`up{job="whalegate", instance=%q} == 1`, strings.TrimPrefix(w.address, "http://")))
	var rules struct{ Groups []struct{ File string } }
	must(w, p.get("/api/v1/rules", &rules))
	if len(rules.Groups) < 5 {
		w.Errorf("the demo's Prometheus has %d groups of rules", len(rules.Groups))
	}
	for _, g := range rules.Groups {
		if !strings.HasSuffix(g.File, "/service.yml") { // no watchdog runs here
			w.Errorf("the demo's Prometheus has the rules of %s", g.File)
		}
	}
}

// checkMetricsExist fails for a metric that the incident board asks for and the
// service does not have.
func (w *world) checkMetricsExist() {
	w.Helper()
	board, err := os.ReadFile("../dashboards/generated/classic/whalegate-incident.json")
	must(w, err)
	_, body := w.ask("GET", w.address+"/metrics", "")
	asked := 0
	for _, expr := range regexp.MustCompile(`"expr": "(.*)"`).FindAllStringSubmatch(string(board), -1) {
		for _, name := range regexp.MustCompile(`\b(?:whalegate|process|go)_\w+`).FindAllString(expr[1], -1) {
			asked++
			if !strings.Contains(body, "\n"+name) {
				w.Errorf("the incident board asks for %s, which the service does not have", name)
			}
		}
	}
	if asked < 15 {
		w.Errorf("only %d metrics are asked for", asked)
	}
}

// TestADayOfHistoryCanBeAudited loads a day into a demo, of the market and of
// recorded positions, and computes and replays all of it again.
func TestADayOfHistoryCanBeAudited(t *testing.T) {
	t.Parallel()
	for name, args := range map[string]func(*testing.T) []string{
		"market":   func(*testing.T) []string { return []string{fmt.Sprintf("--rows=%d", rows)} },
		"recorded": recordedPositions,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			further := args(t)
			w := emptyWorld(t)
			dir := filepath.Join(openDir(t), "demo")
			_, w.env = w.startDemo(dir, append([]string{
				"demo", "--data-dir", dir, "--database-port=0", "--simulator-address=127.0.0.1:0", "--listen-address=127.0.0.1:0", "--test-clock", w.clockText(),
				"--history=24h", "--no-boards", fmt.Sprintf("--universe-size=%d", wallets), "--latency=0s",
			}, further...)...)
			w.awaitHealth(health.Healthy, "")
			from, to := get[time.Time](w, "SELECT min(timestamp) FROM signals"), w.lastHeld()
			if to.Sub(from) < 23*time.Hour {
				t.Errorf("signals from %s to %s", from, to)
			}
			w.checkSignals()
			w.checkAudit()
			w.checkReplay(from, to)
		})
	}
}

// recordedPositions are the arguments that make an exchange play what real
// wallets held.
func recordedPositions(t *testing.T) []string {
	t.Helper()
	return []string{"--rows=1000", "--positions", filepath.Join(fixtures.Dir(t), "hyperliquid", "positions", "leading_wallets_2026-02a.csv.gz")}
}
