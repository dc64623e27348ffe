package postgres_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/whalegate/whalegate/internal/postgres"
	"github.com/whalegate/whalegate/internal/postgres/pgtest"
	"github.com/whalegate/whalegate/internal/postgres/server"
)

// operatorQuery is a section of testdata/operator_queries.md.
type operatorQuery struct {
	name, sql string
	want      string // pattern of the answer
	refused   string // what the server objects; "" when it answers
}

var querySection = regexp.MustCompile("(?s)\n## ([a-z0-9-]+)\n\n.*?```sql\n(.*?)\n```\n\n```(text|error)\n(.*?)\n```")

func operatorQueries(t *testing.T) (queries []operatorQuery) {
	t.Helper()
	text, err := os.ReadFile("testdata/operator_queries.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range querySection.FindAllStringSubmatch(string(text), -1) {
		q := operatorQuery{name: m[1], sql: m[2]}
		if m[3] == "error" {
			q.refused = m[4]
		} else {
			q.want = m[4]
		}
		queries = append(queries, q)
	}
	if sections := strings.Count(string(text), "\n## "); len(queries) != sections || sections < 37 {
		t.Fatalf("%d of %d sections can be read, 37 are there at least", len(queries), sections)
	}
	return queries
}

const instant = `\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d+)?\+00`

// answerPattern is the whole answer as one expression.
func answerPattern(want string) *regexp.Regexp {
	pattern := strings.ReplaceAll(want, "<ts>", instant)
	pattern = strings.ReplaceAll(pattern, "\n…", `(\n[^\n]*)*`)
	return regexp.MustCompile(`^` + pattern + `\n*$`)
}

// TestWhatOperatorsTypeStillAnswers runs the queries as an operator: with a login
// of their own that is a member of the database's owner, as docs/runbooks tells.
func TestWhatOperatorsTypeStillAnswers(t *testing.T) {
	psql := findPsql(t)
	s, busy := operatorsDatabase(t)
	for _, q := range operatorQueries(t) {
		t.Run(q.name, func(t *testing.T) {
			sql := strings.ReplaceAll(q.sql, "<pid>", strconv.Itoa(int(busy)))
			cmd := exec.Command(psql, "--csv", "-X", "-d", "hyperliquid", "-c", sql)
			cmd.Env = append(os.Environ(), "PGHOST=127.0.0.1", "PGPORT="+strconv.Itoa(s.Port()), "PGUSER=ann", "PGTZ=UTC", "LC_ALL=C.UTF-8")
			var answer, objection bytes.Buffer
			cmd.Stdout, cmd.Stderr = &answer, &objection
			err := cmd.Run()
			if q.refused != "" {
				if err == nil || !strings.Contains(objection.String(), q.refused) {
					t.Errorf("it is not refused with %q: %v %s%s", q.refused, err, answer.String(), objection.String())
				}
				return
			}
			// VACUUM FULL and ANALYZE pass over the server's own shared catalogs, and say so.
			said := regexp.MustCompile(`(?m)^WARNING:  skipping "pg_\w+" --- only superuser can (vacuum|analyze) it\n`).ReplaceAllString(objection.String(), "")
			if err != nil || said != "" {
				t.Fatalf("%v: %s", err, said)
			}
			if !answerPattern(q.want).MatchString(answer.String()) {
				t.Errorf("it answers\n%s\nand\n%s\nis wanted", answer.String(), q.want)
			}
		})
	}
}

// findPsql returns the client of the server that the tests run.
func findPsql(t *testing.T) string {
	t.Helper()
	bin, err := server.Find()
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Join(bin, "psql")
}

// operatorsDatabase is a database named hyperliquid that belongs to an ordinary
// role, with an operator ann, some rows, and a session that is busy.
func operatorsDatabase(t *testing.T) (s *server.Server, busy uint32) {
	t.Helper()
	dir, err := os.MkdirTemp("", "whalegate-operator-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o711); err != nil { // the server's user has to pass through
		t.Fatal(err)
	}
	if s, err = server.Start(t.Context(), server.Config{Dir: dir + "/data", Settings: pgtest.Settings()}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Kill(); err != nil { // its data is thrown away
			t.Error(err)
		}
	})
	open := func(role, database string) *pgx.Conn {
		conn, err := pgx.Connect(t.Context(), s.URL(role, database))
		if err != nil {
			t.Fatal(err)
		}
		return conn
	}
	do := func(conn *pgx.Conn, statements ...string) {
		t.Helper()
		for _, sql := range statements {
			if _, err := conn.Exec(t.Context(), sql); err != nil {
				t.Fatal(fmt.Errorf("%.60s: %w", sql, err))
			}
		}
	}
	admin := open(server.Superuser, "postgres")
	do(admin, "CREATE ROLE keeper LOGIN CREATEROLE", "CREATE DATABASE hyperliquid OWNER keeper")
	keeper := open("keeper", "hyperliquid")
	if _, missing, err := postgres.Migrate(t.Context(), keeper, ""); err != nil || len(missing) > 0 {
		t.Fatal(missing, err)
	}
	do(keeper, operatorRows)
	do(admin, "CREATE ROLE ann LOGIN", "GRANT keeper, pg_monitor, pg_signal_backend TO ann", "ALTER ROLE whalegate_writer LOGIN")
	writer := open("whalegate_writer", "hyperliquid")
	t.Cleanup(func() { _ = writer.Close(context.Background()) }) // one of the queries ends it
	do(writer, "BEGIN", "SELECT 4242")
	for _, conn := range []*pgx.Conn{admin, keeper} {
		if err := conn.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	return s, writer.PgConn().PID()
}

// operatorRows lie so that no answer depends on when within a minute or an hour
// the test runs.
const operatorRows = `
	CREATE FUNCTION pg_temp.minute() RETURNS timestamptz LANGUAGE sql STABLE AS 'SELECT date_trunc(''minute'', now())';
	CREATE FUNCTION pg_temp.boundary() RETURNS timestamptz LANGUAGE sql STABLE AS 'SELECT date_bin(''5 minutes'', now(), ''epoch'')';
	INSERT INTO ingest_runs (timestamp, status, wallets_expected, wallet_success_count, wallet_fail_count, rows_expected, rows_written,
		coverage_pct, hype_non_null_pct, btc_non_null_pct, eth_non_null_pct, duration_ms, error)
	SELECT pg_temp.minute() - n * interval '1 minute', CASE good WHEN 200 THEN 'success' WHEN 80 THEN 'failed' ELSE 'partial' END, 200, good, 200 - good, 600, 3 * good,
		good / 2.0, 100, 100, 100, 5000, CASE good WHEN 80 THEN 'S3: coverage 40.0 % is below 80 %' END
	FROM generate_series(0, 30) n, LATERAL (SELECT CASE n WHEN 1 THEN 179 WHEN 4 THEN 80 ELSE 200 END AS good) g;
	SELECT ensure_snapshot_partitions(current_date - 9, current_date + 1);
	INSERT INTO wallet_snapshots (timestamp, wallet_id, asset, position_szi, is_dirty, dirty_reason, ingest_run_id)
	SELECT pg_temp.minute() - n * interval '1 minute', w, a, CASE WHEN glitch THEN 0 ELSE 100 END, glitch, CASE WHEN glitch THEN 'transient_collapse' END, 1
	FROM unnest('{0,1,20,21,22,23,24,25,26,27,28,29,30,11520}'::integer[]) n, unnest('{HYPE,BTC,ETH}'::text[]) a, unnest(ARRAY['0x' || repeat('a', 40), '0x' || repeat('b', 40)]) w,
		LATERAL (SELECT n = 25 AND a = 'HYPE' AND w LIKE '0xa%' AS glitch) g;
	INSERT INTO wallet_universe_runs (as_of_ts, status, source, n_requested, n_received, entered_count, exited_count, churn_warning_count, duration_ms, error) VALUES
		(now() - interval '12 hours', 'success', 'stats-data', 200, 200, 40, 40, 1, 900, NULL),
		(now() - interval '6 hours', 'failed', 'stats-data', 200, 12, 0, 0, 1, 900, 'U2: the leaderboard gave 12 wallets, at least 180 of 200 are needed'),
		(now() - interval '10 minutes', 'success', 'stats-data', 200, 200, 3, 3, 0, 900, NULL);
	INSERT INTO wallet_universe_current (wallet_id, rank, month_pnl, as_of_ts)
	VALUES ('0x' || repeat('a', 40), 1, 5, now() - interval '10 minutes'), ('0x' || repeat('b', 40), 2, 4, now() - interval '10 minutes');
	INSERT INTO signals
	SELECT pg_temp.boundary() - n * interval '30 minutes', asset, alignment, 'flat', 30, CASE WHEN n = 1 AND asset = 'BTC' THEN 19 ELSE exit END, playbook, risk, false, true, 200, 0, 0,
		playbook = 'No-trade', CASE playbook WHEN 'No-trade' THEN 'high_dirty_rate' END, 1
	FROM generate_series(0, 1) n, (VALUES ('HYPE', 90, 5, 'Long-only', 'Normal'), ('BTC', 40, 26, 'Short-only', 'Reduced'), ('ETH', 50, 5, 'No-trade', 'Defensive')) v (asset, alignment, exit, playbook, risk);
	INSERT INTO alerts (timestamp, asset, alert_type, severity, message, signal_snapshot, health_state, cooldown_until, suppressed, suppress_reason, resolved_at) VALUES
		(pg_temp.boundary() - interval '30 minutes', 'BTC', 'exit_cluster', 'high', '[BTC] Smart Money De-risking', '{"is_degraded": false}', 'HEALTHY', pg_temp.boundary() + interval '30 minutes', false, NULL, NULL),
		(pg_temp.boundary(), 'BTC', 'exit_cluster', 'high', '[BTC] Smart Money De-risking', '{"is_degraded": false}', 'HEALTHY', NULL, true, 'cooldown', NULL),
		(now() - interval '40 minutes', 'SYSTEM', 'system_stale', 'critical', '[SYSTEM] Data Stale', NULL, 'STALE', NULL, false, NULL, now() - interval '30 minutes');
	INSERT INTO alert_state (asset, alert_type, is_active, last_triggered, cooldown_until) VALUES
		('BTC', 'exit_cluster', true, pg_temp.boundary() - interval '30 minutes', pg_temp.boundary() + interval '30 minutes'),
		('BTC', 'regime_change', false, NULL, NULL), ('SYSTEM', 'system_stale', false, now() - interval '40 minutes', NULL)`
