package test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/whalegate/whalegate/alerting"
	"github.com/whalegate/whalegate/alerting/outbox"
	"github.com/whalegate/whalegate/alerting/receiver"
	"github.com/whalegate/whalegate/internal/postgres"
	"github.com/whalegate/whalegate/internal/postgres/pgtest"
	"github.com/whalegate/whalegate/internal/postgres/server"
	"github.com/whalegate/whalegate/internal/subprocess"
)

// manager is a real Alertmanager that tells a webhook of ours.
type manager struct {
	testing.TB
	dir     string
	port    int
	process *subprocess.Server
	mu      sync.Mutex
	bodies  []map[string]any // that its webhook got
}

// findAlertmanager returns the program: Debian's has another name than upstream's.
func findAlertmanager() (string, error) {
	for _, name := range []string{"prometheus-alertmanager", "alertmanager"} {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("no alertmanager in PATH: install the package prometheus-alertmanager")
}

func newManager(t testing.TB) *manager {
	t.Helper()
	if _, err := findAlertmanager(); err != nil {
		missing(t, err)
	}
	m := &manager{TB: t, dir: t.TempDir()}
	hook := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		var body map[string]any
		if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
			t.Error(err)
		}
		m.mu.Lock()
		defer m.mu.Unlock()
		m.bodies = append(m.bodies, body)
	}))
	t.Cleanup(hook.Close)
	must(t, os.WriteFile(filepath.Join(m.dir, "alertmanager.yml"), []byte(`
route: {receiver: hook, group_by: [alertname, asset], group_wait: 100ms, group_interval: 300ms, repeat_interval: 1h}
receivers: [{name: hook, webhook_configs: [{url: "`+hook.URL+`", send_resolved: true}]}]
`), 0o600))
	var err error
	m.port, err = subprocess.FreePort()
	must(t, err)
	m.start()
	t.Cleanup(func() { must(t, m.process.Stop()) })
	return m
}

func (m *manager) start() {
	m.Helper()
	path, err := findAlertmanager()
	must(m, err)
	address := subprocess.Address(m.port)
	m.process, err = subprocess.Start(m.Context(), subprocess.Config{
		Name: "Alertmanager", Path: path, Dir: m.dir, LogFile: filepath.Join(m.dir, "log"), Ready: "http://" + address + "/-/ready",
		Args: []string{"--config.file=" + filepath.Join(m.dir, "alertmanager.yml"), "--storage.path=" + filepath.Join(m.dir, "data"), "--web.listen-address=" + address, "--cluster.listen-address="},
	})
	must(m, err)
}

// shown are the alerts that it shows as active, in words.
func (m *manager) shown() (words []string, err error) {
	response, err := http.Get("http://" + subprocess.Address(m.port) + "/api/v2/alerts?active=true")
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	var list []struct {
		Labels      map[string]string
		Fingerprint string
		StartsAt    time.Time
	}
	text, err := io.ReadAll(response.Body)
	if err == nil {
		err = json.Unmarshal(text, &list)
	}
	for _, a := range list {
		words = append(words, a.Labels["asset"]+" "+a.Labels["alertname"]+" "+a.Fingerprint)
	}
	slices.Sort(words)
	return words, err
}

func (m *manager) awaitShown(want ...string) {
	m.Helper()
	await(m, fmt.Sprint("Alertmanager to show ", want), func() error {
		got, err := m.shown()
		if err == nil && !slices.Equal(got, want) {
			err = fmt.Errorf("it shows %v", got)
		}
		return err
	})
}

// awaitTold waits until its own webhook was told of an alert, and returns the body.
func (m *manager) awaitTold(status, name string) (body map[string]any) {
	m.Helper()
	await(m, "Alertmanager to tell of "+name+" "+status, func() error {
		m.mu.Lock()
		defer m.mu.Unlock()
		for _, b := range m.bodies {
			if labels, ok := b["commonLabels"].(map[string]any); ok && b["status"] == status && labels["asset"].(string)+" "+labels["alertname"].(string) == name {
				body = b
				return nil
			}
		}
		return fmt.Errorf("it told %d times", len(m.bodies))
	})
	return body
}

// shape is the structure of a JSON value: names and kinds, no contents. The labels
// and annotations that are there belong to it.
func shape(v any) any {
	switch v := v.(type) {
	case map[string]any:
		out := map[string]any{}
		for key, value := range v {
			out[key] = shape(value)
		}
		return out
	case []any:
		if len(v) == 0 {
			return []any{}
		}
		return []any{shape(v[0])}
	default:
		return fmt.Sprintf("%T", v)
	}
}

// told is a database whose alerts go to an Alertmanager and to a webhook of ours.
type told struct {
	testing.TB
	db     *pgxpool.Pool
	intent outbox.Intent
	sender *outbox.Sender
}

func (d *told) in(do func(tx pgx.Tx) error) {
	d.Helper()
	must(d, pgx.BeginFunc(d.Context(), d.db, do))
	d.sender.Wake()
}

// fire stores an alert that fires now.
func (d *told) fire(asset string, kind alerting.Type) (id int64) {
	d.Helper()
	d.in(func(tx pgx.Tx) error {
		err := tx.QueryRow(d.Context(), `INSERT INTO alerts (timestamp, asset, alert_type, severity, message, signal_snapshot, health_state)
			VALUES (now(), $1, $2, $3, $4, '{"is_degraded": false}', 'HEALTHY') RETURNING id`, asset, kind, kind.Severity(), "["+asset+"] \"odd\" <&> 鯨 \u2028 "+string(kind)).Scan(&id)
		if err == nil && !kind.IsEvent() {
			_, err = tx.Exec(d.Context(), "INSERT INTO alert_state (asset, alert_type, is_active, active_alert_id) VALUES ($1, $2, true, $3)", asset, kind, id)
		}
		if err != nil {
			return err
		}
		return d.intent.Fired(d.Context(), tx, id, kind.Severity())
	})
	return id
}

// clear ends an alert now.
func (d *told) clear(id int64) {
	d.Helper()
	d.in(func(tx pgx.Tx) error {
		_, err := tx.Exec(d.Context(), "UPDATE alerts SET resolved_at = now() WHERE id = $1", id)
		if err == nil {
			_, err = tx.Exec(d.Context(), "DELETE FROM alert_state WHERE active_alert_id = $1", id)
		}
		if err != nil {
			return err
		}
		return d.intent.Cleared(d.Context(), tx, id)
	})
}

// TestARealAlertmanager receives, shows, resolves, and loses nothing over its own
// restart; and what its webhook says has the shape of what ours says.
func TestARealAlertmanager(t *testing.T) {
	t.Parallel()
	m := newManager(t)
	var mu sync.Mutex
	var ours []map[string]any
	hook := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		var body map[string]any
		if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
			t.Error(err)
		}
		mu.Lock()
		defer mu.Unlock()
		ours = append(ours, body)
	}))
	defer hook.Close()
	pg := startPostgres(t)
	must(t, pgtest.Prepare(t.Context(), pg, dbName))
	d := &told{TB: t}
	var err error
	d.db, err = postgres.Open(t.Context(), pg.URL(server.Superuser, dbName), "test")
	must(t, err)
	defer d.db.Close()
	list, err := receiver.Load(receiversFile(t, map[string]string{"am": "alertmanager+http://" + subprocess.Address(m.port), "hook": "webhook+" + hook.URL}), nil)
	must(t, err)
	d.intent = outbox.For(list)
	d.sender = outbox.NewSender(outbox.Config{Pool: d.db, Logger: slog.New(slog.DiscardHandler), Registerer: prometheus.NewRegistry(), Receivers: list})
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { _ = d.sender.Run(ctx) }) // it only ends with its context
	defer running.Wait()
	defer cancel()

	exit, regime, stale := d.fire("BTC", alerting.ExitCluster), d.fire("ETH", alerting.RegimeChange), d.fire("SYSTEM", alerting.SystemStale)
	_ = regime // an event: nobody clears it
	name := func(asset string, kind alerting.Type) string {
		n := receiver.Notification{Type: kind, Asset: asset, Severity: kind.Severity()}
		return asset + " " + string(kind) + " " + n.Fingerprint() // as ours: Alertmanager's has to be the same
	}
	all := []string{name("BTC", alerting.ExitCluster), name("ETH", alerting.RegimeChange), name("SYSTEM", alerting.SystemStale)}
	m.awaitShown(all...)
	firing := m.awaitTold("firing", "BTC exit_cluster")
	m.awaitTold("firing", "ETH regime_change")
	m.awaitTold("firing", "SYSTEM system_stale")

	// It is restarted, and has forgotten everything.
	must(t, m.process.Stop())
	m.start()
	if got, err := m.shown(); err != nil || len(got) != 0 {
		t.Fatalf("after a restart it shows %v, %v: the test shows nothing", got, err)
	}
	// A minute passes.
	_, err = d.db.Exec(t.Context(), "UPDATE alert_deliveries SET delivered_at = delivered_at - interval '1 minute' WHERE receiver = 'am'")
	must(t, err)
	d.sender.Wake()
	m.awaitShown(all...)

	d.clear(exit)
	m.awaitShown(all[1:]...)
	resolved := m.awaitTold("resolved", "BTC exit_cluster")
	d.clear(stale)
	m.awaitShown(all[1:2]...)
	m.awaitTold("resolved", "SYSTEM system_stale")

	await(t, "our own webhook", func() error {
		mu.Lock()
		defer mu.Unlock()
		return differs(len(ours), 5)
	})
	for _, b := range ours {
		theirs := map[string]any{"firing": firing, "resolved": resolved}[b["status"].(string)].(map[string]any)
		// Where it leads to is ours to say, and was not said here.
		for _, alert := range append(slices.Clone(theirs["alerts"].([]any)), b["alerts"].([]any)...) {
			delete(alert.(map[string]any), "generatorURL")
		}
		if diff := cmp.Diff(shape(theirs), shape(b)); diff != "" {
			t.Errorf("their body (-) and ours (+): %s", diff)
		}
		if labels := b["commonLabels"].(map[string]any); labels["asset"] == "BTC" {
			for _, key := range []string{"status", "commonLabels", "commonAnnotations", "groupLabels", "groupKey", "version"} {
				if key == "commonAnnotations" && b["status"] == "firing" {
					continue // the reminder's description may tell that it is late
				}
				if diff := cmp.Diff(theirs[key], b[key]); diff != "" {
					t.Errorf("%s: theirs (-) and ours (+): %s", key, diff)
				}
			}
			if a, b := theirs["alerts"].([]any)[0].(map[string]any), b["alerts"].([]any)[0].(map[string]any); a["fingerprint"] != b["fingerprint"] {
				t.Errorf("fingerprint %v, ours %v", a["fingerprint"], b["fingerprint"])
			}
		}
	}

	// The tool that its users have sees them too.
	out, err := exec.Command("amtool", "alert", "query", "--alertmanager.url=http://"+subprocess.Address(m.port), "--output=simple").CombinedOutput()
	if err != nil || !strings.Contains(string(out), "regime_change") {
		t.Errorf("amtool: %v %s", err, out)
	}
}
