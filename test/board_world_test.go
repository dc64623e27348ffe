package test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/whalegate/whalegate/dashboards"
	"github.com/whalegate/whalegate/dashboards/grafana"
	"github.com/whalegate/whalegate/internal/postgres"
	"github.com/whalegate/whalegate/internal/postgres/pgtest"
	"github.com/whalegate/whalegate/internal/postgres/server"
	"github.com/whalegate/whalegate/internal/subprocess"
)

// boardWorld is a database whose clock stands still, and a real Grafana that
// shows it to anonymous viewers.
type boardWorld struct {
	testing.TB
	now     time.Time // the database's clock: a minute and 30 s after the newest boundary
	pg      *server.Server
	db      *pgxpool.Pool // as the superuser
	grafana *grafana.Server
}

// required turns what would be skipped into a failure.
const required = "WHALEGATE_REQUIRE_ALL"

// missing skips a test whose program is not on this machine, or fails it where
// everything has to be tested.
func missing(t testing.TB, err error) {
	t.Helper()
	if os.Getenv(required) != "" {
		t.Fatal(err)
	}
	t.Skip("NOT TESTED:", err)
}

// grafanaHome returns the home folder of the Grafana to test with. Without one
// the test skips, even where nothing else may: CI does not require a Grafana.
func grafanaHome(t testing.TB) string {
	t.Helper()
	home, err := grafana.Find()
	if errors.Is(err, grafana.ErrNotInstalled) {
		t.Skip("NOT TESTED:", err)
	}
	must(t, err)
	return home
}

// newBoardWorld has no Prometheus.
func newBoardWorld(t testing.TB) *boardWorld {
	t.Helper()
	return newBoardWorldWith(t, noPrometheus)
}

func newBoardWorldWith(t testing.TB, prometheusURL string) *boardWorld {
	t.Helper()
	grafanaHome(t) // before anything is started
	w := &boardWorld{TB: t, now: time.Now().UTC().Truncate(5 * time.Minute).Add(90 * time.Second), pg: startPostgres(t)}
	must(t, pgtest.Prepare(t.Context(), w.pg, dbName))
	var err error
	w.db, err = postgres.Open(t.Context(), w.pg.URL(server.Superuser, dbName), "test")
	must(t, err)
	t.Cleanup(w.db.Close)
	w.setClock(w.now)
	standIn(t, w.pg)
	w.grafana = openGrafana(t, w.pg, prometheusURL)
	return w
}

// openGrafana starts a Grafana that shows a database to anonymous viewers.
func openGrafana(t testing.TB, pg *server.Server, prometheusURL string) *grafana.Server {
	t.Helper()
	home := grafanaHome(t)
	port, err := subprocess.FreePort()
	must(t, err)
	dir := filepath.Join(openDir(t), "grafana")
	t.Cleanup(func() {
		log, err := os.ReadFile(filepath.Join(dir, "grafana.log"))
		if err != nil || strings.Contains(string(log), "grafana.com") { // it complains when it cannot reach its home
			t.Errorf("Grafana asks for the outside: %v", err)
		}
		if t.Failed() {
			t.Logf("end of Grafana's log:\n%s", log[max(0, len(log)-4000):])
		}
	})
	g, err := grafana.Start(t.Context(), grafana.Config{
		Home: home, Dir: dir, Port: port,
		PostgresAddress: subprocess.Address(pg.Port()), Database: dbName, BoardPassword: boardPassword, OpsPassword: opsPassword, AdminPassword: adminPassword,
		PrometheusURL: prometheusURL,
	})
	must(t, err)
	t.Cleanup(func() { must(t, g.Stop()) })
	return g
}

// noPrometheus is where nobody answers.
const noPrometheus = "http://127.0.0.1:1"

const (
	adminPassword = "for-tests-only"
	boardPassword = "not-asked-for" // the tests' server trusts everybody
	opsPassword   = "nor-this-one"
)

func (w *boardWorld) exec(sql string, args ...any) {
	w.Helper()
	_, err := w.db.Exec(w.Context(), sql, args...)
	must(w, err)
}

func (w *boardWorld) setClock(now time.Time) {
	w.Helper()
	pgtest.SetClock(w, w.db, now.Format(time.RFC3339Nano))
}

// The newest minute that has a run, and the newest boundary.
func (w *boardWorld) minute() time.Time   { return w.now.Truncate(time.Minute) }
func (w *boardWorld) boundary() time.Time { return w.now.Truncate(5 * time.Minute) }

// runs stores minutes of clean runs up to the newest one.
func (w *boardWorld) runs(minutes int) {
	w.Helper()
	w.exec(`INSERT INTO ingest_runs (timestamp, status, wallets_expected, wallet_success_count, wallet_fail_count, rows_expected, rows_written, coverage_pct,
			hype_non_null_pct, btc_non_null_pct, eth_non_null_pct, duration_ms, finished_at)
		SELECT m, 'success', 200, 199, 1, 600, 597, 99.5, 100, 100, 100, 2000, m + interval '5 seconds'
		FROM generate_series($1::timestamptz - ($2 - 1) * interval '1 minute', $1, interval '1 minute') m`, w.minute(), minutes)
}

// newestRun changes the newest run: the state that follows from it.
func (w *boardWorld) newestRun(set string) {
	w.Helper()
	w.exec("UPDATE ingest_runs SET "+set+" WHERE timestamp = $1", w.minute())
}

// signals stores hours of signals of all assets that move through their ranges,
// with the last ones as a trader would meet them.
func (w *boardWorld) signals(hours int) {
	w.Helper()
	w.exec(`INSERT INTO signals SELECT b, a, 50 + 22 * sin(n / 17.0 + i), 'flat', 30 + 20 * sin(n / 23.0 + 2 * i), 12 + 9 * sin(n / 11.0 + i),
			'No-trade', 'Reduced', false, false, 200, 0, 0, false, NULL, 3
		FROM generate_series(0, $2 * 12) n, LATERAL (SELECT $1::timestamptz - n * interval '5 minutes') t (b), unnest('{HYPE,BTC,ETH}'::text[]) WITH ORDINALITY x (a, i)`,
		w.boundary(), hours)
	for _, last := range []struct{ asset, set string }{
		{"HYPE", "allowed_playbook = 'Long-only', risk_mode = 'Normal', alignment_score = 78.4, alignment_trend = 'rising', dispersion_index = 31.2, exit_cluster_score = 9.5, add_exposure = true"},
		{"BTC", "allowed_playbook = 'Short-only', risk_mode = 'Reduced', alignment_score = 21.7, alignment_trend = 'flat', dispersion_index = 27.9, exit_cluster_score = 12.1"},
		{"ETH", "allowed_playbook = 'No-trade', risk_mode = 'Defensive', alignment_score = 53.1, alignment_trend = 'falling', dispersion_index = 66.6, exit_cluster_score = 28.3, tighten_stops = true"},
	} {
		w.exec("UPDATE signals SET "+last.set+" WHERE asset = $1 AND timestamp = $2", last.asset, w.boundary())
	}
	w.exec(`INSERT INTO signal_contributors SELECT timestamp, asset, 31.5, 12.5, 9.5, 46.5, 63, 25, 19, 93, 200 FROM signals`)
	w.exec(`INSERT INTO signal_positioning SELECT timestamp, asset, 1234567.8, 87, 41, 72, 61.3 FROM signals`)
}

// alerts stores alerts as the rules word them, newest last, and makes the exit
// cluster of ETH active.
func (w *boardWorld) alerts() {
	w.Helper()
	for i, a := range []struct{ asset, kind, severity, message string }{
		{"HYPE", "regime_change", "medium", "[HYPE] Regime Change: Playbook switched to No-trade. Risk Mode: Defensive."},
		{"BTC", "exit_cluster", "high", "[BTC] Smart Money De-risking: Exit Cluster elevated (28.3%). Stop adding exposure. Tighten stops."},
		{"BTC", "regime_change", "medium", "[BTC] Regime Change: Playbook switched to Short-only. Risk Mode: Reduced."},
		{"SYSTEM", "system_stale", "critical", "[SYSTEM] Data Stale: Ingestion has not succeeded for 12 minutes. All behavioral alerts suppressed. Do not trade until resolved."},
		{"HYPE", "regime_change", "medium", "[HYPE] Regime Change: Playbook switched to Long-only. Risk Mode: Normal."},
		{"ETH", "exit_cluster", "high", "[ETH] Smart Money De-risking: Exit Cluster elevated (28.3%). Stop adding exposure. Tighten stops."},
	} {
		w.exec(`INSERT INTO alerts (timestamp, asset, alert_type, severity, message, signal_snapshot, health_state) VALUES ($1, $2, $3, $4, $5, '{"is_degraded": false}', 'HEALTHY')`,
			w.boundary().Add(-time.Duration(6-i)*45*time.Minute+40*time.Minute), a.asset, a.kind, a.severity, a.message)
	}
	w.exec("INSERT INTO alert_state (asset, alert_type, is_active) VALUES ('ETH', 'exit_cluster', true)")
}

// decisionViews are the views that are masked, as the database has them.
func (w *boardWorld) decisionViews() []string {
	w.Helper()
	rows, err := w.db.Query(w.Context(), "SELECT viewname FROM pg_views WHERE schemaname = 'board' AND viewname NOT IN ('health', 'header', 'header_lines', 'system_alert')")
	must(w, err)
	list, err := pgx.CollectRows(rows, pgx.RowTo[string])
	must(w, err)
	return list
}

// values are the rows that a query of the trading board returns to an anonymous
// viewer.
func (w *boardWorld) values(sql string) ([][]any, error) {
	return (&dashboards.Client{URL: w.grafana.URL}).Query(w.Context(), dashboards.BoardSource, sql)
}

// operates are those of the incident board.
func (w *boardWorld) operates(sql string) ([][]any, error) {
	return (&dashboards.Client{URL: w.grafana.URL}).Query(w.Context(), dashboards.OpsSource, sql)
}

// artifact is where a test leaves something for people to look at.
func artifact(t testing.TB, name string) string {
	t.Helper()
	dir := filepath.Join("..", "artifacts", "boards")
	must(t, os.MkdirAll(dir, 0o755))
	return filepath.Join(dir, name)
}

// lastKnown are the values that must not be seen while the state is STALE: as
// the database stores them, and as the board words them.
func lastKnown() []string {
	list := strings.Fields("Long-only Short-only No-trade Defensive DE-RISKING Regime 78.4 31.2 21.7 27.9 53.1 66.6 28.3 1234567.8 61.3")
	return append(list, "De-risking:")
}

// leaked names what of the last known values is in a text.
func leaked(text string) error {
	for _, value := range lastKnown() {
		if i := strings.Index(text, value); i >= 0 {
			return fmt.Errorf("%q is in %q", value, text[max(0, i-60):min(len(text), i+60)])
		}
	}
	return nil
}
