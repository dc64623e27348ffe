// Package roles runs parts of the program as the roles that they run as in an
// installation: what a role may not do must not be needed.
package roles

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/whalegate/whalegate/alerting"
	"github.com/whalegate/whalegate/alerting/engine"
	"github.com/whalegate/whalegate/alerting/outbox"
	"github.com/whalegate/whalegate/alerting/receiver"
	"github.com/whalegate/whalegate/alerting/watchdog"
	"github.com/whalegate/whalegate/internal/clock"
	"github.com/whalegate/whalegate/internal/health/watch"
	"github.com/whalegate/whalegate/internal/postgres"
	"github.com/whalegate/whalegate/internal/postgres/pgtest"
)

func TestMain(m *testing.M) { os.Exit(pgtest.Main(m)) }

const role = "whalegate_watchdog"

// noon is when the last success was.
var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// inbox is a server that both kinds of receivers can tell.
type inbox struct {
	mu   sync.Mutex
	got  []string // path and body
	down bool
}

func (i *inbox) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	i.mu.Lock()
	defer i.mu.Unlock()
	if err != nil || i.down {
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	i.got = append(i.got, r.URL.Path+" "+string(body))
}

func (i *inbox) fail(down bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.down = down
}

// count is how many requests to a path had a text in them.
func (i *inbox) count(path, text string) (n int) {
	i.mu.Lock()
	defer i.mu.Unlock()
	for _, one := range i.got {
		if strings.HasPrefix(one, path+" ") && strings.Contains(one, text) {
			n++
		}
	}
	return n
}

// load makes a webhook and an Alertmanager of the inbox.
func load(t *testing.T, address string) []receiver.Receiver {
	t.Helper()
	file := filepath.Join(t.TempDir(), "receivers.yml")
	text := fmt.Sprintf("receivers:\n  - {name: hook, url: webhook+%[1]s/hook}\n  - {name: manager, url: alertmanager+%[1]s}\n", address)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	list, err := receiver.Load(file, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func await(t *testing.T, what string, objection func() error) {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for {
		err := objection()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("waited for %s: %v", what, err)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// TestTheWatchdogsRoleSuffices lets the watchdog fire, deliver, remind, give up and
// clear as its own role, and looks for an error.
func TestTheWatchdogsRoleSuffices(t *testing.T) {
	t.Parallel()
	owner := pgtest.New(t)
	db := pgtest.As(t, owner, role)
	exec := func(sql string, args ...any) {
		t.Helper()
		if _, err := owner.Exec(t.Context(), sql, args...); err != nil {
			t.Fatal(err)
		}
	}
	run := func(n int) {
		t.Helper()
		exec(`INSERT INTO ingest_runs (timestamp, status, wallets_expected, wallet_success_count, wallet_fail_count, rows_expected, rows_written, coverage_pct,
			hype_non_null_pct, btc_non_null_pct, eth_non_null_pct, duration_ms, finished_at)
			SELECT t, 'success', 10, 10, 0, 30, 30, 100, 100, 100, 100, 2000, t + interval '2 seconds' FROM (SELECT $1::timestamptz + $2 * interval '1 minute' AS t) n`, noon, n)
	}
	at := func(d time.Duration) { t.Helper(); pgtest.SetClock(t, owner, noon.Add(d).Format(time.RFC3339Nano)) }
	var log lines
	logger := slog.New(slog.NewTextHandler(&log, nil))
	fast, err := clock.Parse(time.Now().UTC().Format(time.RFC3339Nano) + ",100")
	if err != nil {
		t.Fatal(err)
	}
	box := &inbox{}
	server := httptest.NewServer(box)
	t.Cleanup(server.Close)
	receivers := load(t, server.URL)
	registry := prometheus.NewRegistry()
	registry.MustRegister(watch.NewCollector(db), postgres.NewCollector(db), outbox.NewCollector(db, receivers))
	sender := outbox.NewSender(outbox.Config{Pool: db, Clock: fast, Logger: logger, Registerer: registry, Receivers: receivers})
	dog := watchdog.New(watchdog.Config{Pool: db, Clock: fast, Logger: logger, Registerer: registry, Receivers: receivers, Told: sender.Wake})
	if err := postgres.CheckSchema(t.Context(), db); err != nil {
		t.Fatal(err)
	}

	run(-1)
	run(0)
	at(time.Minute)
	ctx, stop := context.WithCancel(t.Context())
	var running sync.WaitGroup
	defer running.Wait()
	defer stop()
	running.Go(func() { _ = sender.Run(ctx) })
	running.Go(func() { _ = dog.Run(ctx) })

	told := func(path, text string, least int) {
		t.Helper()
		await(t, path+" to hear "+text, func() error {
			if n := box.count(path, text); n < least {
				return fmt.Errorf("heard %d times, %d are wanted\n%s", n, least, log.text())
			}
			return nil
		})
	}
	at(10*time.Minute + time.Second)
	told("/hook", `"status":"firing"`, 1)
	told("/api/v2/alerts", "Data Stale", 1)
	at(11*time.Minute + 2*time.Second)
	told("/api/v2/alerts", "Data Stale", 2) // reminded
	run(12)
	run(13)
	at(13*time.Minute + 3*time.Second)
	told("/hook", `"status":"resolved"`, 1)

	// A receiver that fails, and answers again; and a delivery that is given up.
	box.fail(true)
	exec(`INSERT INTO alert_deliveries (receiver, kind, expires_at) VALUES ('gone', 'test', whalegate_now()), ('hook', 'test', whalegate_now() + interval '1 day'), ('hook', 'test', whalegate_now() + interval '1 day')`)
	sender.Wake()
	await(t, "a failed attempt", func() error {
		var n int
		if err := owner.QueryRow(t.Context(), "SELECT count(*) FROM alert_deliveries WHERE last_error IS NOT NULL").Scan(&n); err != nil || n < 2 {
			return fmt.Errorf("%d: %w", n, errors.Join(err, errors.New("not yet")))
		}
		return nil
	})
	box.fail(false)
	at(40 * time.Minute) // another outage, too
	await(t, "everything to be delivered or given up", func() error {
		var n int
		if err := owner.QueryRow(t.Context(), "SELECT count(*) FROM alert_deliveries WHERE state NOT IN ('delivered', 'failed')").Scan(&n); err != nil || n > 0 {
			return fmt.Errorf("%d wait: %w", n, errors.Join(err, errors.New("not yet")))
		}
		return nil
	})
	if d, err := sender.Test(t.Context(), "hook"); err != nil || d.State != "delivered" {
		t.Errorf("a test: %+v, %v", d, err)
	}
	if list, err := outbox.List(t.Context(), db, outbox.Filter{}, 100); err != nil || len(list) < 8 {
		t.Errorf("list: %d, %v", len(list), err)
	}
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	shown := map[string]bool{}
	for _, f := range families {
		shown[f.GetName()] = true
	}
	if !shown["whalegate_delivery_queue"] || !shown["whalegate_health_state"] {
		t.Errorf("metrics: %v", slices.Sorted(maps.Keys(shown)))
	}
	if text := log.text(); strings.Contains(text, "permission denied") || strings.Contains(text, "SQLSTATE") {
		t.Errorf("something is not allowed, or wrong:\n%s", text)
	}
}

// TestTheWatchdogMayEnterWhatItSaid is what happens when the database comes back.
func TestTheWatchdogMayEnterWhatItSaid(t *testing.T) {
	t.Parallel()
	db := pgtest.As(t, pgtest.New(t), role)
	rules := engine.Rules{Pool: db, Outbox: outbox.Intent{}}
	intent := outbox.Intent{Routes: []receiver.Route{{Name: "told", MinSeverity: alerting.Medium}, {Name: "deaf", MinSeverity: alerting.Medium}}}
	for range 2 { // the second finds it active
		err := rules.Adopt(t.Context(), noon, "[SYSTEM] said", func(ctx context.Context, tx pgx.Tx, alert int64) error {
			return intent.Said(ctx, tx, alert, alerting.Critical, map[string]string{"told": "2f1e4fc0-81fd-4e37-8a35-000000000001"})
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	rows, err := outbox.List(t.Context(), db, outbox.Filter{}, 10)
	states := map[string]string{}
	for _, d := range rows {
		states[d.Receiver] = d.State
	}
	if err != nil || !maps.Equal(states, map[string]string{"told": "delivered", "deaf": "pending"}) {
		t.Errorf("%v, %v", states, err)
	}
}

// TestTheWatchdogMayDoNothingElse lists every right that the role has on a table or
// view, and on a function of ours.
func TestTheWatchdogMayDoNothingElse(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	list := func(sql string) (found []string) {
		t.Helper()
		rows, err := db.Query(t.Context(), sql, role)
		if err == nil {
			found, err = pgx.CollectRows(rows, pgx.RowTo[string])
		}
		if err != nil {
			t.Fatal(err)
		}
		return found
	}
	tables := list(`SELECT c.relname || ': ' || string_agg(p, ' ' ORDER BY p)
		FROM pg_class c, unnest('{SELECT,INSERT,UPDATE,DELETE,TRUNCATE,REFERENCES,TRIGGER}'::text[]) p
		WHERE relnamespace IN (SELECT oid FROM pg_namespace WHERE nspname IN ('public', 'board', 'ops')) AND relkind IN ('r', 'v', 'p', 'm') AND has_table_privilege($1, c.oid, p)
		GROUP BY c.oid ORDER BY 1`)
	if want := []string{
		"account_search: SELECT", "alert_deliveries: INSERT SELECT UPDATE", "alert_state: INSERT SELECT UPDATE", "alerts: INSERT SELECT UPDATE", "ingest_health: SELECT", "schema_definitions: SELECT", "schema_migrations: SELECT",
	}; !slices.Equal(tables, want) {
		t.Errorf("rights on tables:\n%s\nwanted:\n%s", strings.Join(tables, "\n"), strings.Join(want, "\n"))
	}
	functions := list(`SELECT proname::text FROM pg_proc WHERE pronamespace IN (SELECT oid FROM pg_namespace WHERE nspname IN ('public', 'board', 'ops'))
		AND has_function_privilege($1, oid, 'EXECUTE') ORDER BY 1`)
	if want := []string{"ingest_health_at", "vouched", "whalegate_now"}; !slices.Equal(functions, want) {
		t.Errorf("functions: %v, %v are wanted", functions, want)
	}
}

// lines is a log that can be read while it is written.
type lines struct {
	mu   sync.Mutex
	said strings.Builder
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.said.Write(b)
}

func (l *lines) text() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.said.String()
}
