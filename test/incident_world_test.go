package test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/whalegate/whalegate/internal/prometheus"
	"github.com/whalegate/whalegate/internal/subprocess"
)

// incidentWorld is a board's world with a real Prometheus, which knows the last
// hours and scrapes what the test says that the service tells.
type incidentWorld struct {
	*boardWorld
	prometheus *prometheus.Server
	metrics    string // what the service tells, one sample a line, in no state
	exported   atomic.Pointer[string]
}

// hours is how much Prometheus knows at the start.
const hours = 6

func newIncidentWorld(t testing.TB) *incidentWorld {
	t.Helper()
	grafanaHome(t) // before anything is started
	program, err := prometheus.Find()
	if err != nil {
		missing(t, err)
	}
	body, err := os.ReadFile(filepath.Join("testdata", "metrics.txt"))
	must(t, err)
	w := &incidentWorld{metrics: string(body)}
	service := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
		if text := w.exported.Load(); text != nil {
			_, _ = io.WriteString(rw, *text) // whoever asked may have gone
			return
		}
		rw.WriteHeader(http.StatusServiceUnavailable)
	}))
	t.Cleanup(service.Close)
	target := strings.TrimPrefix(service.URL, "http://")
	dir := filepath.Join(openDir(t), "prometheus")
	w.remember(filepath.Join(dir, "data"), target, t)
	port, err := subprocess.FreePort()
	must(t, err)
	w.prometheus, err = prometheus.Start(t.Context(), prometheus.Config{Program: program, Dir: dir, Port: port, Target: target})
	must(t, err)
	t.Cleanup(func() { must(t, w.prometheus.Stop()) })
	w.boardWorld = newBoardWorldWith(t, w.prometheus.URL)
	return w
}

// sample is a name, its labels and its value.
var sample = regexp.MustCompile(`^(\w+)(?:\{(.*)\})? (\S+)$`)

// at is what the service told, or tells, in the minute n of the hours: counters
// grow, and nothing else moves but the state.
func (w *incidentWorld) at(n int, state string) (list [][3]string) {
	for line := range strings.Lines(w.metrics) {
		m := sample.FindStringSubmatch(strings.TrimSpace(line))
		if m == nil {
			continue
		}
		name, labels, text := m[1], m[2], m[3]
		if value, err := strconv.ParseFloat(text, 64); err == nil && regexp.MustCompile(`_(total|bucket|sum|count)$`).MatchString(name) {
			text = fmt.Sprintf("%g", value*float64(n))
		}
		if name == "whalegate_health_state" && strings.Contains(labels, state) {
			text = "1"
		}
		list = append(list, [3]string{name, labels, text})
	}
	return list
}

// remember gives a Prometheus a past, a sample a minute.
func (w *incidentWorld) remember(data, target string, t testing.TB) {
	t.Helper()
	promtool, err := exec.LookPath("promtool")
	if err != nil {
		missing(t, err)
	}
	must(t, os.MkdirAll(data, 0o700))
	var past strings.Builder
	start := time.Now().Truncate(time.Minute).Add(-hours * time.Hour)
	for n := range hours*60 - 1 {
		state := "HEALTHY"
		switch left := hours*60 - n; {
		case left <= 94 && left > 86:
			state = "DEGRADED"
		case left <= 86 && left > 78:
			state = "STALE"
		}
		for _, s := range append(w.at(n+1, state), [3]string{"up", "", "1"}) {
			labels := fmt.Sprintf(`instance=%q,job="whalegate"`, target)
			if s[1] != "" {
				labels += "," + s[1]
			}
			fmt.Fprintf(&past, "%s{%s} %s %d\n", s[0], labels, s[2], start.Add(time.Duration(n)*time.Minute).Unix())
		}
	}
	past.WriteString("# EOF\n")
	file := filepath.Join(data, "past.txt")
	must(t, os.WriteFile(file, []byte(past.String()), 0o600))
	out, err := exec.Command(promtool, "tsdb", "create-blocks-from", "openmetrics", file, data).CombinedOutput()
	if err != nil {
		t.Fatalf("give Prometheus a past: %v: %s", err, out)
	}
	must(t, os.Remove(file))
}

// measured makes the service tell a state, and waits until Prometheus has heard
// it.
func (w *incidentWorld) measured(state string) {
	w.Helper()
	var now strings.Builder
	for _, s := range w.at(hours*60, state) {
		fmt.Fprintf(&now, "%s{%s} %s\n", s[0], s[1], s[2])
	}
	text := now.String()
	w.exported.Store(&text)
	await(w, "Prometheus to have scraped it", func() error {
		answer, err := http.Get(w.prometheus.URL + "/api/v1/query?query=" + url.QueryEscape(`max(whalegate_health_state{state="`+state+`"}) == 1 and max(up) == 1`))
		if err != nil {
			return err
		}
		defer answer.Body.Close()
		said, err := io.ReadAll(answer.Body)
		if err == nil && !strings.Contains(string(said), `"1"]`) {
			err = fmt.Errorf("%s", said)
		}
		return err
	})
}

// incidents stores what an operator meets in a bad week: everything that the
// incident board shows, beside signals that it must not.
func (w *incidentWorld) incidents() {
	w.Helper()
	w.signals(30)
	w.alerts()
	for _, s := range []struct {
		sql  string
		args []any
	}{
		{`UPDATE ingest_runs SET status = 'partial', coverage_pct = 86, wallet_success_count = 172, wallet_fail_count = 28, rows_written = 516, failures = '{"rate_limited": 25, "timeout": 3}'
			WHERE timestamp BETWEEN $1::timestamptz - interval '95 minutes' AND $1::timestamptz - interval '88 minutes'`, []any{w.minute()}},
		{`UPDATE ingest_runs SET status = 'failed', coverage_pct = 40, wallet_success_count = 80, wallet_fail_count = 120, rows_written = 240, failures = '{"rate_limited": 101, "timeout": 19}', error = 'S3: coverage 40.0 % is below 80 %: 120 of 200 wallets failed'
			WHERE timestamp BETWEEN $1::timestamptz - interval '87 minutes' AND $1::timestamptz - interval '80 minutes'`, []any{w.minute()}},
		{`DELETE FROM ingest_runs WHERE timestamp BETWEEN $1::timestamptz - interval '200 minutes' AND $1::timestamptz - interval '185 minutes'`, []any{w.minute()}},
		{`INSERT INTO wallet_universe_runs (as_of_ts, status, source, n_requested, n_received, rows_read, entered_count, exited_count, churn_warning_count, duration_ms, error) VALUES
			($1::timestamptz - interval '1 hour', 'success', 'stats-data', 200, 200, 30000, 4, 4, 0, 1200, NULL),
			($1::timestamptz - interval '5 hours', 'failed', 'stats-data', 200, 0, 0, 0, 0, 1, 900, 'U4: wallet 0x1234567890123456789012345678901234567890 stands on the leaderboard twice'),
			($1::timestamptz - interval '7 hours', 'success', 'stats-data', 200, 198, 30000, 33, 32, 1, 1300, NULL)`, []any{w.minute()}},
		{`INSERT INTO wallet_universe_current SELECT '0x' || lpad(to_hex(n), 40, '0'), n, 1000 - n, 1, 1, $1 FROM generate_series(1, 200) n`, []any{w.minute()}},
		{`INSERT INTO signal_cycles (timestamp, outcome, judged_at, health_state, reasons, skipped)
			SELECT b, CASE WHEN n BETWEEN 16 AND 17 THEN 'blocked' ELSE 'computed' END, b + interval '8 seconds', CASE WHEN n BETWEEN 16 AND 17 THEN 'STALE' ELSE 'HEALTHY' END,
				CASE WHEN n BETWEEN 16 AND 17 THEN '{run_failed,coverage}' ELSE '{}' END::text[], CASE WHEN n = 18 THEN '{ETH}' ELSE '{}' END::text[]
			FROM generate_series(0, 288) n, LATERAL (SELECT $1::timestamptz - n * interval '5 minutes') x (b)`, []any{w.boundary()}},
		{`SELECT ensure_snapshot_partitions(($1::timestamptz - interval '1 day')::date, $1::timestamptz::date)`, []any{w.now}},
		{`INSERT INTO wallet_snapshots (timestamp, wallet_id, asset, position_szi, is_dirty, dirty_reason, ingest_run_id)
			SELECT m, '0x' || lpad(to_hex(x), 40, '0'), a, 1234567.8, x < 26 AND m > $1::timestamptz - interval '42 minutes' AND m < $1::timestamptz - interval '40 minutes' AND a <> 'ETH', CASE WHEN x < 26 AND m > $1::timestamptz - interval '42 minutes' AND m < $1::timestamptz - interval '40 minutes' AND a <> 'ETH' THEN 'transient_collapse' END, 1
			FROM generate_series($1::timestamptz - interval '2 hours', $1, interval '1 minute') m, generate_series(1, 200) x, unnest('{HYPE,BTC,ETH}'::text[]) a`, []any{w.minute()}},
		{`INSERT INTO qa_events (day, check_id, stage, severity, subject, details, action_taken, occurrences, first_ts, last_ts) VALUES
			(current_date, 'S3', 'ingestion', 'critical', '', '{"coverage_pct": 40}', 'stale', 8, $1::timestamptz - interval '87 minutes', $1::timestamptz - interval '80 minutes'),
			(current_date, 'S6', 'ingestion', 'warning', 'BTC', '{"rows": 25}', 'rows marked dirty', 1, $1::timestamptz - interval '41 minutes', $1::timestamptz - interval '41 minutes'),
			(current_date, 'U4', 'ingestion', 'error', 'universe', '{}', 'run failed, universe kept', 1, $1::timestamptz - interval '5 hours', $1::timestamptz - interval '5 hours'),
			(current_date, 'G0', 'signals', 'warning', '', '{}', 'cycle dropped, nothing written', 2, $1::timestamptz - interval '87 minutes', $1::timestamptz - interval '82 minutes'),
			(current_date, 'G3', 'signals', 'warning', 'BTC', '{"reason": "dirty", "pct": 12.5}', 'No-trade, signal degraded', 1, $1::timestamptz - interval '40 minutes', $1::timestamptz - interval '40 minutes')`, []any{w.minute()}},
		{`INSERT INTO alerts (timestamp, asset, alert_type, severity, message, signal_snapshot, health_state, suppressed, suppress_reason) VALUES
			($1::timestamptz - interval '25 minutes', 'HYPE', 'regime_change', 'medium', '[HYPE] Regime Change: Playbook switched to No-trade. Risk Mode: Defensive.', '{"is_degraded": false}', 'HEALTHY', true, 'cooldown'),
			($1::timestamptz - interval '20 minutes', 'BTC', 'exit_cluster', 'high', '[BTC] Smart Money De-risking: Exit Cluster elevated (28.3%).', '{"is_degraded": false}', 'HEALTHY', true, 'paused')`, []any{w.boundary()}},
		{`UPDATE alert_state SET pending_periods = 0, cooldown_until = $1::timestamptz + interval '20 minutes', last_period = $1 WHERE asset = 'ETH'`, []any{w.boundary()}},
		{`INSERT INTO alert_state (asset, alert_type, confirmed_playbook, pending_playbook, pending_periods, cooldown_until, last_period) VALUES
			('HYPE', 'regime_change', 'Long-only', 'No-trade', 1, $1::timestamptz + interval '10 minutes', $1), ('BTC', 'regime_change', 'Short-only', NULL, 0, NULL, $1)`, []any{w.boundary()}},
		{`INSERT INTO alert_deliveries (alert_id, receiver, kind, state, attempts, created_at, delivered_at, last_error, last_attempt_at)
			SELECT a.id, r, 'firing', s, 3, a.timestamp + interval '2 seconds', CASE WHEN s = 'delivered' THEN a.timestamp + interval '3 seconds' END,
				CASE WHEN s <> 'delivered' THEN 'status 400: cannot parse [HYPE] Regime Change: Playbook switched to No-trade. Risk Mode: Defensive.' END, a.timestamp + interval '9 minutes'
			FROM alerts a, (VALUES ('trader-phone', 'delivered'), ('desk-webhook', 'pending')) x (r, s) WHERE NOT a.suppressed`, nil},
		{`UPDATE alert_deliveries SET state = 'failed', last_error = 'not delivered within 24:00:00' WHERE id = (SELECT min(id) FROM alert_deliveries WHERE receiver = 'desk-webhook')`, nil},
		{`INSERT INTO halts (halted_at, halted_by, reason, resumed_at, resumed_by, cause, actions) VALUES
			($1::timestamptz - interval '3 days', 'night operator', 'positions look wrong after the upgrade of the exchange', $1::timestamptz - interval '3 days' + interval '47 minutes', 'day operator', 'the exchange had renamed a field', 'upgraded, audited a day')`, []any{w.minute()}},
		{`INSERT INTO alert_pauses (paused_at, paused_by, reason, until) VALUES ($1::timestamptz - interval '22 minutes', 'night operator', 'flapping while the exchange recovers', $1::timestamptz + interval '90 minutes')`, []any{w.minute()}},
		{`INSERT INTO health_transitions (ts, from_state, to_state, reasons) VALUES
			($1::timestamptz - interval '5 hours', 'UNKNOWN', 'HEALTHY', '{}'), ($1::timestamptz - interval '94 minutes', 'HEALTHY', 'DEGRADED', '{coverage}'),
			($1::timestamptz - interval '86 minutes', 'DEGRADED', 'STALE', '{run_failed,coverage}'), ($1::timestamptz - interval '78 minutes', 'STALE', 'HEALTHY', '{}')`, []any{w.minute()}},
	} {
		w.exec(s.sql, s.args...)
	}
	w.exec("ANALYZE")
}
