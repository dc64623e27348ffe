package test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/whalegate/whalegate/internal/postgres"
	"github.com/whalegate/whalegate/internal/postgres/pgtest"
	"github.com/whalegate/whalegate/internal/postgres/server"
	"github.com/whalegate/whalegate/internal/subprocess"
)

// bareGrafana is somebody's Grafana that knows nothing of us.
func bareGrafana(t testing.TB) (address string, env []string) {
	t.Helper()
	home := grafanaHome(t)
	port, err := subprocess.FreePort()
	must(t, err)
	dir := filepath.Join(openDir(t), "grafana")
	must(t, os.MkdirAll(dir, 0o700))
	path := filepath.Join(home, "bin", "grafana")
	if _, err := os.Stat(path); err != nil {
		path = "/usr/sbin/grafana"
	}
	address = "http://" + subprocess.Address(port)
	g, err := subprocess.Start(t.Context(), subprocess.Config{
		Name: "Grafana", Path: path, Dir: home, LogFile: filepath.Join(dir, "log"), Ready: address + "/api/health", Args: []string{"server", "--homepath", home},
		Env: []string{
			"GF_SERVER_HTTP_ADDR=127.0.0.1", "GF_SERVER_HTTP_PORT=" + strconv.Itoa(port), "GF_PATHS_DATA=" + dir, "GF_PATHS_LOGS=" + dir, "GF_PATHS_PLUGINS=" + filepath.Join(dir, "plugins"),
			"GF_LOG_MODE=console", "GF_SECURITY_ADMIN_PASSWORD=" + adminPassword, "GF_ANALYTICS_REPORTING_ENABLED=false", "GF_ANALYTICS_CHECK_FOR_UPDATES=false", "GF_ANALYTICS_CHECK_FOR_PLUGIN_UPDATES=false",
		},
	})
	must(t, err)
	t.Cleanup(func() { must(t, g.Stop()) })
	return address, []string{"WHALEGATE_GRAFANA_URL=" + address, "WHALEGATE_GRAFANA_USER=admin", "WHALEGATE_GRAFANA_PASSWORD=" + adminPassword}
}

// TestTheBoardInAnExistingGrafana goes the way of the documentation: a data
// source, push, check; and check finds what is wrong there.
func TestTheBoardInAnExistingGrafana(t *testing.T) {
	address, env := bareGrafana(t)
	pg := startPostgres(t)
	must(t, pgtest.Prepare(t.Context(), pg, dbName))
	db, err := postgres.Open(t.Context(), pg.URL(server.Superuser, dbName), "test")
	must(t, err)
	t.Cleanup(db.Close)
	w := &boardWorld{TB: t, pg: pg, db: db, now: time.Now().UTC().Truncate(5 * time.Minute).Add(90 * time.Second)}
	w.setClock(w.now)
	standIn(t, pg)

	scraped := standInForPrometheus(t)
	r := call(t, env, "dashboards", "check")
	if r.code != 1 || !strings.Contains(r.stdout, "it is not there: whalegate dashboards push") {
		t.Errorf("check of a bare Grafana: %s", r)
	}
	if r := call(t, env, "dashboards", "push", "--dry-run"); r.code != 0 || !strings.Contains(r.stdout, "would save whalegate-trading\nwould save whalegate-incident\nboards saved: 0") {
		t.Errorf("push --dry-run: %s", r)
	}
	for range 2 { // the second time over the first
		if r := call(t, env, "dashboards", "push"); r.code != 0 || !strings.Contains(r.stdout, "saved whalegate-trading\nsaved whalegate-incident\nboards saved: 2") {
			t.Errorf("push: %s", r)
		}
	}
	send := func(method, path, body string) {
		t.Helper()
		request, err := http.NewRequest(method, address+path, strings.NewReader(body))
		must(t, err)
		request.SetBasicAuth("admin", adminPassword)
		request.Header.Set("Content-Type", "application/json")
		response, err := http.DefaultClient.Do(request)
		must(t, err)
		must(t, response.Body.Close())
		if response.StatusCode != 200 {
			t.Fatalf("set the data source: %s", response.Status)
		}
	}
	setSource := func(method, path, uid, user string) {
		t.Helper()
		send(method, path, fmt.Sprintf(`{"name": %[1]q, "uid": %[1]q, "type": "postgres", "access": "proxy", "url": %[2]q, "user": %[3]q, "jsonData": {"database": %[4]q, "sslmode": "disable"}}`, uid, subprocess.Address(pg.Port()), user, dbName))
	}
	setSource(http.MethodPost, "/api/datasources", "whalegate-board", "whalegate_board")
	r = call(t, env, "dashboards", "check")
	for _, want := range []string{"WRONG   the data source logs in as whalegate_ops", "WRONG   the incident board answers for runbook 7-database", "WRONG   Prometheus scrapes the service"} {
		if r.code != 1 || !strings.Contains(r.stdout, want) {
			t.Errorf("check without the sources of the incident board has no %q: %s", want, r)
		}
	}
	setSource(http.MethodPost, "/api/datasources", "whalegate-ops", "whalegate_ops")
	send(http.MethodPost, "/api/datasources", fmt.Sprintf(`{"name": "metrics", "uid": "whalegate-prometheus", "type": "prometheus", "access": "proxy", "url": %q}`, scraped.URL))
	if r := call(t, env, "dashboards", "check"); r.code != 0 || !strings.Contains(r.stdout, "board.gate is masked: 0 rows") {
		t.Errorf("check of an empty database: %s", r)
	}
	w.runs(10)
	w.signals(1)
	if r := call(t, env, "dashboards", "check"); r.code != 0 || !strings.Contains(r.stdout, "HEALTHY") || !strings.Contains(r.stdout, "halt, check again, and resume") {
		t.Errorf("check of a healthy database: %s", r)
	}
	halted := call(t, []string{"DATABASE_URL=" + pg.URL(writer, dbName)}, "halt", "--reason", "to see the mask closed")
	masked := w.decisionViews()
	if r := call(t, env, "dashboards", "check", "--json"); halted.code != 0 || r.code != 0 || strings.Count(r.stdout, "is masked") != len(masked) {
		t.Errorf("check after a halt: %s %s", halted, r)
	}
	// The mistake that undoes everything: a data source with an owner's login.
	await(t, "check to find it, once Grafana has forgotten the old login", func() error {
		setSource(http.MethodPut, "/api/datasources/uid/whalegate-board", "whalegate-board", "postgres") // a change within the same second is not noticed
		r := call(t, env, "dashboards", "check")
		for _, want := range []string{"WRONG   the data source logs in as whalegate_board", "WRONG   whalegate_board: it cannot read public.signals", "WRONG   whalegate_board: it cannot make temporary tables"} {
			if r.code != 1 || !strings.Contains(r.stdout, want) {
				return fmt.Errorf("%s", r)
			}
		}
		return nil
	})
	await(t, "check to find it in the operators' source as well", func() error {
		setSource(http.MethodPut, "/api/datasources/uid/whalegate-ops", "whalegate-ops", "postgres")
		if r := call(t, env, "dashboards", "check"); !strings.Contains(r.stdout, "WRONG   whalegate_ops: it cannot read board.gate") || !strings.Contains(r.stdout, "WRONG   whalegate_ops: it cannot read public.alerts") {
			return fmt.Errorf("%s", r)
		}
		return nil
	})
	for name, tt := range map[string]struct {
		env  []string
		want string
	}{
		"nobody there":     {[]string{"WHALEGATE_GRAFANA_URL=http://127.0.0.1:1"}, "connection refused"},
		"a wrong password": {append(env[:2:2], "WHALEGATE_GRAFANA_PASSWORD=s3cret"), "Grafana answered 401"},
		"no address":       {[]string{"WHALEGATE_GRAFANA_URL=grafana.example.org"}, "not an address such as https://"},
		"a login in it":    {[]string{"WHALEGATE_GRAFANA_URL=http://admin:s3cret@127.0.0.1:1"}, "without a login in it"},
	} {
		for _, command := range []string{"push", "check"} {
			if r := call(t, tt.env, "dashboards", command); r.code != 1 || !strings.Contains(r.stderr, tt.want) || strings.Contains(r.String(), "s3cret") || strings.Count(r.stderr, "\n") != 1 {
				t.Errorf("%s with %s: %s", command, name, r)
			}
		}
	}
}

// standInForPrometheus answers Grafana as a Prometheus that scrapes one service.
func standInForPrometheus(t testing.TB) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		result := "[]"
		if r.FormValue("query") == "whalegate_build_info" {
			result = `[{"metric": {"__name__": "whalegate_build_info"}, "value": [1767225600, "1"]}]`
		}
		_, _ = fmt.Fprintf(w, `{"status": "success", "data": {"resultType": "vector", "result": %s}}`, result) // Grafana may have gone
	}))
	t.Cleanup(s.Close)
	return s
}

// TestPushOfSchemaV2 pushes to a stand-in for Grafana 13, which is not to be had
// here: it holds the calls of its API, not its behaviour.
func TestPushOfSchemaV2(t *testing.T) {
	t.Parallel()
	const collection = "/apis/dashboard.grafana.app/v2/namespaces/default/dashboards"
	var calls []string
	present := map[string]bool{}
	stand := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		calls = append(calls, r.Method+" "+strings.TrimPrefix(r.URL.Path, collection))
		if r.Header.Get("Authorization") != "Bearer token-for-tests" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		name := strings.TrimPrefix(strings.TrimPrefix(r.URL.Path, collection), "/")
		switch {
		case r.Method == http.MethodGet && !present[name]:
			w.WriteHeader(http.StatusNotFound)
			fmt.Fprint(w, `{"message": "not found"}`)
		case r.Method == http.MethodGet:
			fmt.Fprint(w, `{"metadata": {"resourceVersion": "7"}}`)
		case r.Method == http.MethodPut && !bytes.Contains(body, []byte(`"resourceVersion":"7"`)):
			w.WriteHeader(http.StatusConflict)
		default:
			var manifest struct {
				Kind     string
				Metadata map[string]any
				Spec     map[string]any
			}
			err := json.Unmarshal(body, &manifest)
			saved := fmt.Sprint(manifest.Metadata["name"])
			if err != nil || manifest.Kind != "Dashboard" || r.Method == http.MethodPut && saved != name || saved != "whalegate-trading" && saved != "whalegate-incident" || manifest.Spec["elements"] == nil {
				w.WriteHeader(http.StatusBadRequest)
				return
			}
			present[saved] = true
		}
	}))
	defer stand.Close()
	env := []string{"WHALEGATE_GRAFANA_URL=" + stand.URL, "WHALEGATE_GRAFANA_TOKEN=token-for-tests"}
	for range 2 {
		if r := call(t, env, "dashboards", "push", "--schema=v2", "--folder=boards"); r.code != 0 || !strings.Contains(r.stdout, "boards saved: 2") {
			t.Errorf("push: %s", r)
		}
	}
	if got := strings.Join(calls, ", "); got != "GET /whalegate-trading, POST , GET /whalegate-incident, POST , GET /whalegate-trading, PUT /whalegate-trading, GET /whalegate-incident, PUT /whalegate-incident" {
		t.Errorf("the calls were %s", got)
	}
}

// TestDashboardsGenerate writes the files, and finds one that was changed.
func TestDashboardsGenerate(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	generate := func(args ...string) result {
		return call(t, nil, append([]string{"dashboards", "generate", "--dir", dir}, args...)...)
	}
	if r := generate("--check"); r.code != 1 || !strings.Contains(r.stderr, "run whalegate dashboards generate") {
		t.Errorf("a folder without the files: %s", r)
	}
	if r := generate(); r.code != 0 || strings.Count(r.stdout, "written") != 4 {
		t.Errorf("generate: %s", r)
	}
	if r := generate("--check"); r.code != 0 || strings.Count(r.stdout, "unchanged") != 4 {
		t.Errorf("right after it: %s", r)
	}
	must(t, os.WriteFile(filepath.Join(dir, "classic", "whalegate-trading.json"), []byte("{}"), 0o600))
	if r := generate("--check"); r.code != 1 || !strings.Contains(r.stderr, "whalegate-trading.json is not what") {
		t.Errorf("a changed file: %s", r)
	}
}
