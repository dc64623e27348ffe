package gather

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/whalegate/whalegate/internal/clock"
	"github.com/whalegate/whalegate/internal/postgres/pgtest"
	"github.com/whalegate/whalegate/internal/postgres/server"
	"github.com/whalegate/whalegate/internal/runbook"
)

func TestMain(m *testing.M) { os.Exit(pgtest.Main(m)) }

// verify judges a runbook's recovery.
func verify(t *testing.T, name string, f runbook.Facts) []runbook.Criterion {
	t.Helper()
	r, err := runbook.Find(name)
	if err != nil {
		t.Fatal(err)
	}
	return r.Verify(f)
}

// Each part that a diagnosis knows is read, and nothing else is.
func TestEveryPartIsRead(t *testing.T) {
	byThemselves := []string{runbook.PartSettings, runbook.PartHealth}
	for _, part := range runbook.Parts {
		if (readers[part] != nil) == slices.Contains(byThemselves, part) {
			t.Errorf("%s: is it read?", part)
		}
	}
	if len(readers)+len(byThemselves) != len(runbook.Parts) {
		t.Errorf("%d readers for %d parts", len(readers), len(runbook.Parts))
	}
}

func must(t *testing.T, db *pgxpool.Pool, sql string) {
	t.Helper()
	if _, err := db.Exec(t.Context(), sql); err != nil {
		t.Fatal(err)
	}
}

// address is the pool's, as another role or of another database; "" leaves it.
func address(t *testing.T, db *pgxpool.Pool, role, database string) string {
	t.Helper()
	u, err := url.Parse(db.Config().ConnString())
	if err != nil {
		t.Fatal(err)
	}
	if role != "" {
		u.User = url.User(role)
	}
	if database != "" {
		u.Path = "/" + database
	}
	return u.String()
}

func ask(t *testing.T, db *pgxpool.Pool, role string) runbook.Facts {
	t.Helper()
	return Ask(t.Context(), Source{DatabaseURL: address(t, db, role, "")})
}

// A whole hour of a system in which nothing is wrong, up to the present minute.
const wholeHour = `
	CREATE FUNCTION pg_temp.minute() RETURNS timestamptz LANGUAGE sql STABLE AS 'SELECT date_trunc(''minute'', now())';
	INSERT INTO ingest_runs (timestamp, status, wallets_expected, wallet_success_count, wallet_fail_count, rows_expected, rows_written,
		coverage_pct, hype_non_null_pct, btc_non_null_pct, eth_non_null_pct, duration_ms, finished_at)
	SELECT m, 'success', 200, 200, 0, 600, 60, 100, 100, 100, 100, 5000, least(m + interval '5 seconds', now())
	FROM generate_series(pg_temp.minute() - interval '1 hour', pg_temp.minute(), '1 minute') m;
	SELECT ensure_snapshot_partitions((now() - interval '1 day')::date, (now() + interval '1 day')::date);
	INSERT INTO wallet_snapshots (timestamp, wallet_id, asset, position_szi, ingest_run_id)
	SELECT m, 'wallet' || w, a, 5, 1
	FROM generate_series(pg_temp.minute() - interval '10 minutes', pg_temp.minute(), '1 minute') m, generate_series(1, 20) w, unnest('{HYPE,BTC,ETH}'::text[]) a;
	INSERT INTO wallet_universe_runs (as_of_ts, status, source, n_requested, n_received, duration_ms, changed_at) VALUES (now(), 'success', 's', 200, 200, 5, now());
	INSERT INTO wallet_universe_current (wallet_id, rank, month_pnl, as_of_ts) SELECT '0x' || lpad(to_hex(w), 40, '0'), w, 5, now() FROM generate_series(1, 200) w;
	INSERT INTO wallet_accounts (wallet_id, sub_accounts, checked_at) SELECT wallet_id, '{}', now() FROM wallet_universe_current;
	INSERT INTO exchange_meta VALUES ('HYPE', true, false, 2, now()), ('BTC', true, false, 5, now()), ('ETH', true, false, 4, now());
	INSERT INTO signal_cycles (timestamp, outcome, judged_at, health_state)
	SELECT b, 'computed', b, 'HEALTHY' FROM generate_series(date_bin('5 minutes', now(), 'epoch') - interval '1 hour', now(), '5 minutes') b;
	INSERT INTO signals SELECT timestamp, a, 50, 'flat', 30, 10, 'No-trade', 'Normal', false, false, 200, 0, 0, false, NULL, 1
	FROM signal_cycles, unnest('{HYPE,BTC,ETH}'::text[]) a`

func TestNothingIsFoundWhereNothingIsWrong(t *testing.T) {
	db := pgtest.New(t)
	must(t, db, wholeHour)
	for _, role := range []string{"", "whalegate_writer"} {
		f := ask(t, db, role)
		f.Stored.Storage.FreePct = nil // of whatever machine the test runs on
		if r := runbook.Diagnose(f); r.Exit != 0 || r.State != "HEALTHY" {
			t.Errorf("as %q: exit %d, %s, %v, %q: %+v", role, r.Exit, r.State, r.Matching, r.Unknown, r.Findings)
		}
		if !f.Database.WriteTried || f.Database.WriteError.Text != "" {
			t.Errorf("as %q: the write: %v %s", role, f.Database.WriteTried, f.Database.WriteError)
		}
		s := f.Stored
		if len(s.Runs) != 61 || s.Universe.Wallets != 200 || len(s.Universe.Refreshes) != 1 || len(s.Cycles) != 12 || len(s.Newest) != 3 || len(s.Rates) != 3 ||
			s.Rates[0].Rows != 300 || s.Board.Rows["board.gate"] != 3 || s.Board.HeaderState != "HEALTHY" || len(s.Board.Rows) < 8 || s.Board.AsRole != (role == "") || s.Storage.Database == 0 || s.Storage.Most != 200 {
			t.Errorf("as %q: %+v", role, s)
		}
	}
	var left int
	if err := db.QueryRow(t.Context(), "SELECT count(*) FROM qa_events").Scan(&left); err != nil || left != 0 {
		t.Errorf("%d rows are left of the write, %v", left, err)
	}
}

// A run that fails while everything is asked is in the facts, and not only in the
// state: otherwise the state would be explained by what was before it.
func TestFactsGoWithTheStateThatTheyExplain(t *testing.T) {
	db := pgtest.New(t)
	must(t, db, wholeHour)
	must(t, db, "DELETE FROM ingest_runs WHERE timestamp = (SELECT max(timestamp) FROM ingest_runs)")
	tx, err := db.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback(t.Context())
	if _, err := tx.Exec(t.Context(), "LOCK TABLE signal_cycles"); err != nil { // which is read after the runs
		t.Fatal(err)
	}
	facts := make(chan runbook.Facts, 1)
	go func() { facts <- ask(t, db, "") }()
	for waits := false; !waits; {
		if err := db.QueryRow(t.Context(), "SELECT EXISTS (SELECT FROM pg_locks WHERE relation = 'signal_cycles'::regclass AND NOT granted)").Scan(&waits); err != nil {
			t.Fatal(err)
		}
	}
	must(t, db, `
		INSERT INTO ingest_runs (timestamp, status, wallets_expected, wallet_success_count, wallet_fail_count, rows_expected, rows_written, coverage_pct, hype_non_null_pct, btc_non_null_pct, eth_non_null_pct, duration_ms, failures, error)
		VALUES (date_trunc('minute', now()), 'failed', 200, 0, 200, 600, 0, 0, 0, 0, 0, 5000, '{"rate_limited": 200}', 'no wallet answered')`)
	if err := tx.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	f := <-facts
	r := runbook.Diagnose(f)
	if s := f.Stored; s.Runs[0].Status != "failed" || s.Health.State != "STALE" || len(r.Findings) == 0 || !strings.Contains(r.Findings[0].Summary, "rate") {
		t.Errorf("%+v, newest run %+v, %+v", s.Health, s.Runs[0], r.Findings)
	}
}

// What is wrong with the database, or with how it is asked, has its own name.
func TestTheTroubleIsNamedAsWhatItIs(t *testing.T) {
	guarded := passwordServer(t)
	silent, err := net.Listen("tcp", "127.0.0.1:0") // nobody accepts
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	for _, tt := range []struct {
		name  string
		url   func(*testing.T, *pgxpool.Pool) string
		spoil string // SQL as the superuser
		want  runbook.Trouble
		says  string
	}{
		{"nobody listens", func(*testing.T, *pgxpool.Pool) string { return "postgres://ann:s3cret@127.0.0.1:1/hyperliquid" }, "", runbook.Unreachable, "refused"},
		{"no such host", func(*testing.T, *pgxpool.Pool) string { return "postgres://ann:s3cret@host.invalid/hyperliquid" }, "", runbook.NameUnknown, "host.invalid"},
		{"somebody listens, and does not answer", func(*testing.T, *pgxpool.Pool) string {
			return "postgres://ann:s3cret@" + silent.Addr().String() + "/hyperliquid"
		}, "", runbook.Unreachable, "timeout"},
		{"no address", func(*testing.T, *pgxpool.Pool) string { return "hyperliquid" }, "", runbook.BadURL, "not a PostgreSQL URL"},
		{"wrong password", func(*testing.T, *pgxpool.Pool) string {
			return strings.Replace(guarded.URL(server.Superuser, "postgres"), ":right@", ":s3cret@", 1)
		}, "", runbook.LoginRefused, "password authentication failed"},
		{"no such role", func(t *testing.T, db *pgxpool.Pool) string { return address(t, db, "nobody_here", "") }, "", runbook.LoginRefused, "does not exist"},
		{"no such database", func(t *testing.T, db *pgxpool.Pool) string { return address(t, db, "", "elsewhere") }, "", runbook.NoDatabase, "does not exist"},
		{"no schema at all", func(t *testing.T, db *pgxpool.Pool) string { return address(t, db, "", "postgres") }, "", runbook.SchemaPending, "migration 1 "},
		{"an old schema", nil, "DELETE FROM schema_migrations WHERE version = (SELECT max(version) FROM schema_migrations)", runbook.SchemaPending, "is pending"},
		{"a schema from the future", nil, "INSERT INTO schema_migrations (version, name, checksum) VALUES (999, 'later', 'x')", runbook.SchemaNewer, "use the newer program"},
		{"an altered migration", nil, "UPDATE schema_migrations SET checksum = 'x' WHERE version = 1", runbook.SchemaBroken, "another text"},
		{"functions of another version", nil, "UPDATE schema_definitions SET checksum = 'x'", runbook.SchemaPending, "functions and views are those of another version"},
		{"a role that may not read", func(t *testing.T, db *pgxpool.Pool) string { return address(t, db, "whalegate_board", "") }, "", runbook.Denied, "permission denied"},
		{"a role that may read some", func(t *testing.T, db *pgxpool.Pool) string { return address(t, db, "whalegate_watchdog", "") }, "", runbook.Denied, "permission denied"},
		{"the health function is gone", nil, "DROP FUNCTION ingest_health_at CASCADE", runbook.ReadFailed, "does not exist"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			db := pgtest.New(t)
			if tt.spoil != "" {
				must(t, db, tt.spoil)
			}
			where := address(t, db, "", "")
			if tt.url != nil {
				where = tt.url(t, db)
			}
			f := Ask(t.Context(), Source{DatabaseURL: where})
			if f.Database.Trouble != tt.want || !strings.Contains(f.Database.Error, tt.says) {
				t.Errorf("%s: %s", f.Database.Trouble, f.Database.Error)
			}
			r := runbook.Diagnose(f)
			if r.Exit != 2 && r.Exit != 3 || !slices.Contains(r.Matching, "database") || r.Trading != "NO" {
				t.Errorf("exit %d, %v, trading %s", r.Exit, r.Matching, r.Trading)
			}
			var text strings.Builder
			if err := r.WriteText(&text); err != nil || !strings.Contains(text.String(), string(tt.want)) || strings.Contains(text.String(), "s3cret") {
				t.Errorf("%v %s", err, text.String())
			}
			if tt.want != runbook.Denied && runbook.ExitCode(f, verify(t, "database", f)) == 0 {
				t.Error("verify holds")
			}
		})
	}
}

func passwordServer(t *testing.T) *server.Server {
	t.Helper()
	s, err := server.Start(t.Context(), server.Config{Dir: filepath.Join(serverDir(t), "data"), Password: "right", Settings: pgtest.Settings()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Kill() }) // its data is thrown away
	return s
}

// serverDir is a folder for the data of servers.
func serverDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "whalegate-runbook-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o711); err != nil { // the server's user has to pass through
		t.Fatal(err)
	}
	return dir
}

func TestAClockAnHourOffIsNamed(t *testing.T) {
	for _, off := range []string{"1 hour", "-1 hour"} {
		db := pgtest.New(t)
		must(t, db, wholeHour+"; CREATE OR REPLACE FUNCTION whalegate_now() RETURNS timestamptz LANGUAGE sql VOLATILE AS $$SELECT clock_timestamp() + interval '"+off+"'$$")
		f := ask(t, db, "")
		if got := f.Database.ClockAhead.Abs().Round(time.Minute); got != time.Hour {
			t.Errorf("%s off: %s", off, f.Database.ClockAhead)
		}
		if r := runbook.Diagnose(f); r.Matching[0] != "database" || r.Exit != 2 {
			t.Errorf("%s off: %v, exit %d", off, r.Matching, r.Exit)
		}
	}
}

func TestALockedTableIsSeenAndWhoHoldsIt(t *testing.T) {
	for _, table := range []string{"signal_cycles", "ingest_runs", "qa_events"} {
		t.Run(table, func(t *testing.T) {
			db := pgtest.New(t)
			must(t, db, wholeHour)
			tx, err := db.Begin(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			defer tx.Rollback(context.Background())
			if _, err := tx.Exec(t.Context(), "LOCK TABLE "+table+" IN ACCESS EXCLUSIVE MODE"); err != nil {
				t.Fatal(err)
			}
			f := ask(t, db, "")
			r := runbook.Diagnose(f)
			if r.Matching[0] != "database" || r.Exit == 0 || !strings.Contains(r.Findings[0].Summary, "lock") {
				t.Errorf("%v, exit %d, %q: %+v", r.Matching, r.Exit, f.Database.Unreadable, r.Findings)
			}
			if runbook.ExitCode(f, verify(t, "database", f)) == 0 {
				t.Error("verify holds while a table is locked")
			}
			// Its holder is shown once it has been there for a second, also to the service's
			// login, which may not see what an administrator's session does.
			holder := int(tx.Conn().PgConn().PID())
			for _, role := range []string{"", "whalegate_writer"} {
				await(t, func() bool {
					f := ask(t, db, role)
					pid, may := f.InTheWay()
					return pid == holder && may == (role == "") && slices.ContainsFunc(f.Stored.Sessions, func(s runbook.Session) bool {
						return slices.Contains(s.Locks, table) && s.PID == holder
					})
				})
			}
			conn, err := pgtest.As(t, db, "whalegate_writer").Acquire(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Release()
			if seen := sessionsShown(t, conn.Conn()); !slices.Contains(seen, holder) {
				t.Errorf("the command shows %v, not %d", seen, holder)
			}
			if err := tx.Rollback(t.Context()); err != nil {
				t.Fatal(err)
			}
			f = ask(t, db, "")
			f.Stored.Storage.FreePct = nil
			if code := runbook.ExitCode(f, verify(t, "database", f)); code != 0 {
				t.Errorf("verify does not hold afterwards: %+v", verify(t, "database", f))
			}
		})
	}
}

// Commands that need only catalogs answer while somebody holds every table that they
// are asked about, the leader's above all.
func TestNoCommandForALockWaitsForIt(t *testing.T) {
	db := pgtest.New(t)
	must(t, db, wholeHour)
	tx, err := db.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback(context.Background())
	if _, err := tx.Exec(t.Context(), "LOCK TABLE collector_leader, collector_beat, ingest_runs, qa_events, wallet_snapshots, clock_refusals IN ACCESS EXCLUSIVE MODE"); err != nil {
		t.Fatal(err)
	}
	conn, err := db.Acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Release()
	if _, err := conn.Exec(t.Context(), "SET lock_timeout = '500ms'"); err != nil {
		t.Fatal(err)
	}
	for _, command := range []string{runbook.ShowSessions, runbook.ShowSizes, runbook.ShowLead, runbook.ShowReadOnly, runbook.ConnectionLimits} {
		for _, sql := range regexp.MustCompile(`-c "([^"]*)"`).FindAllStringSubmatch(command, -1) {
			if _, err := conn.Exec(t.Context(), sql[1]); err != nil {
				t.Errorf("%s: %v", sql[1], err)
			}
		}
	}
	shown := sessionsShown(t, conn.Conn())
	var leader int
	if err := tx.QueryRow(t.Context(), "SELECT pid FROM collector_leader").Scan(&leader); err != nil {
		t.Fatal(err)
	}
	if !slices.Contains(shown, int(tx.Conn().PgConn().PID())) || slices.Contains(shown, leader) {
		t.Errorf("shown: %d; holder %d, leader %d", shown, tx.Conn().PgConn().PID(), leader)
	}
	f := ask(t, db, "")
	if found := runbook.Diagnose(f).Findings[0]; found.Slug != "database" || found.Actions[0].Command != runbook.ShowSessions {
		t.Errorf("%s: %s", found.Slug, found.Summary)
	}
}

// sessionsShown are those that the command of the runbook shows.
func sessionsShown(t *testing.T, conn *pgx.Conn) []int {
	t.Helper()
	_, sql, _ := strings.Cut(runbook.ShowSessions, ` -c "`)
	rows, err := conn.Query(t.Context(), "SELECT pid FROM ("+strings.TrimSuffix(sql, `"`)+") s")
	if err != nil {
		t.Fatal(err)
	}
	shown, err := pgx.CollectRows(rows, pgx.RowTo[int])
	if err != nil {
		t.Fatal(err)
	}
	return shown
}

// A write is tried as the service writes: where a setting makes transactions
// read-only it is refused, and where that was set is named.
func TestAReadOnlySettingIsNamed(t *testing.T) {
	for _, tt := range []struct {
		name, sql, role, says string
		severity              runbook.Severity
	}{
		{"for the database", "ALTER DATABASE %s SET default_transaction_read_only = on", "", "for this database (ALTER DATABASE)", runbook.P1},
		{"for the database, as the service's login", "ALTER DATABASE %s SET default_transaction_read_only = on", "whalegate_writer", "for this database (ALTER DATABASE)", runbook.P1},
		{"for the login", "ALTER ROLE whalegate_writer IN DATABASE %s SET default_transaction_read_only = on", "whalegate_writer", "it is this login alone", runbook.P3},
	} {
		t.Run(tt.name, func(t *testing.T) {
			db := pgtest.New(t)
			must(t, db, wholeHour)
			must(t, db, fmt.Sprintf(tt.sql, db.Config().ConnConfig.Database))
			f := ask(t, db, tt.role)
			r := runbook.Diagnose(f)
			if found := r.Findings[0]; found.Slug != "database" || found.Severity != tt.severity || !strings.Contains(found.Summary, tt.says) || !strings.Contains(f.Database.WriteError.Text, "SQLSTATE 25006") {
				t.Errorf("%s %s: %s (%s)", found.Slug, found.Severity, found.Summary, f.Database.WriteError)
			}
			if c := verify(t, "database", f)[2]; c.Holds || c.Unknown {
				t.Errorf("verify: %+v", c)
			}
		})
	}
}

// What the finding says takes the setting of a whole server away, in a session that is
// read-only by it.
func TestAReadOnlyServerIsMadeToWriteAgain(t *testing.T) {
	s := startServer(t, filepath.Join(serverDir(t), "data"))
	if err := pgtest.Prepare(t.Context(), s, followed); err != nil {
		t.Fatal(err)
	}
	db := pool(t, s)
	must(t, db, wholeHour)
	ask := func() runbook.Facts { return Ask(t.Context(), Source{DatabaseURL: s.URL(server.Superuser, followed)}) }
	must(t, db, "ALTER SYSTEM SET default_transaction_read_only = on")
	must(t, db, "SELECT pg_reload_conf()")
	await(t, func() bool { return ask().Database.ReadOnly != "" })
	r := runbook.Diagnose(ask())
	found := r.Findings[0]
	if found.Slug != "database" || !strings.Contains(found.Summary, "for the whole server") || found.Actions[0].Command != runbook.ShowReadOnly || found.Actions[1].Command != runbook.ResetServer {
		t.Errorf("%v: %s %+v", r.Matching, found.Summary, found.Actions)
	}
	for _, sql := range regexp.MustCompile(`-c "([^"]*)"`).FindAllStringSubmatch(runbook.ResetServer, -1) {
		must(t, db, sql[1])
	}
	await(t, func() bool {
		f := ask()
		return f.Database.ReadOnly == "" && f.Database.WriteTried && f.Database.WriteError.Text == ""
	})
}

func await(t *testing.T, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !ok(); {
		if time.Now().After(deadline) {
			t.Fatal("waited for 20 s")
		}
	}
}

// What is stored is read as the rules take it.
func TestWhatIsStoredIsFound(t *testing.T) {
	for _, tt := range []struct{ name, sql, want string }{
		{"a failed run", "UPDATE ingest_runs SET status = 'failed', coverage_pct = 0, error = 'S3', failures = '{\"rate_limited\": 200}' WHERE timestamp = (SELECT max(timestamp) FROM ingest_runs)", "ingestion"},
		{"a halt", "INSERT INTO halts (halted_at, halted_by, reason) VALUES (now(), 'ann', 'odd')", "halt"},
		{"a failed refresh", "INSERT INTO wallet_universe_runs (as_of_ts, status, source, n_requested, n_received, duration_ms, error) VALUES (now() + interval '1 s', 'failed', 's', 200, 0, 5, 'U1')", "universe"},
		{"three wallets of twenty collapse", "UPDATE wallet_snapshots SET is_dirty = true WHERE wallet_id IN ('wallet1', 'wallet2', 'wallet3') AND asset = 'BTC' AND timestamp = (SELECT max(timestamp) FROM wallet_snapshots);" +
			"UPDATE ingest_runs SET wallets_expected = 20, wallet_success_count = 20", "dirty-spike"},
		{"dirt over the limit", "UPDATE wallet_snapshots SET is_dirty = true WHERE asset = 'BTC'", "dirty-spike"},
		{"the cap", "INSERT INTO alerts (timestamp, asset, alert_type, severity, message, signal_snapshot, health_state, suppressed, suppress_reason) VALUES (now(), 'BTC', 'regime_change', 'medium', 'm', '{\"is_degraded\": false}', 'HEALTHY', true, 'daily_cap')", "alert-spam"},
		{"two within a cooldown", "INSERT INTO alerts (timestamp, asset, alert_type, severity, message, signal_snapshot, health_state, cooldown_until) SELECT now() - n * interval '5 minutes', 'BTC', 'regime_change', 'medium', 'm', '{\"is_degraded\": false}', 'HEALTHY', now() + interval '1 hour' FROM generate_series(1, 2) n", "alert-spam"},
		{"a pause", "INSERT INTO alert_pauses (paused_at, paused_by, reason, until) VALUES (now(), 'ann', 'noise', now() + interval '1 hour')", "alert-spam"},
		{"a score to and fro", "UPDATE signals SET exit_cluster_score = CASE WHEN extract(minute FROM timestamp)::int % 10 = 0 THEN 26 ELSE 18 END, alignment_score = 50, risk_mode = 'Reduced' WHERE asset = 'ETH'", "alert-spam"},
		{"a delivery given up", "INSERT INTO alerts (timestamp, asset, alert_type, severity, message, health_state) VALUES (now(), 'SYSTEM', 'system_stale', 'critical', 'm', 'STALE');" +
			"INSERT INTO alert_deliveries (alert_id, receiver, kind, state, last_error) SELECT id, 'r', 'firing', 'failed', 'no' FROM alerts", "alert-spam"},
		{"a delivery given up after its day", "INSERT INTO alerts (timestamp, asset, alert_type, severity, message, health_state) VALUES (now(), 'SYSTEM', 'system_stale', 'critical', 'm', 'STALE');" +
			"INSERT INTO alert_deliveries (alert_id, receiver, kind, state, last_error, created_at, expires_at) SELECT id, 'r', 'firing', 'failed', 'no', now() - interval '25 hours', now() - interval '1 hour' FROM alerts", "alert-spam"},
		{"no boundary since", "DELETE FROM signal_cycles WHERE timestamp > now() - interval '12 minutes'", "signal-lock"},
		{"a hole in the mask", "CREATE VIEW board.extra AS SELECT * FROM public.signals; GRANT SELECT ON board.extra TO whalegate_board; INSERT INTO halts (halted_at, halted_by, reason) VALUES (now(), 'ann', 'odd')", "board-truth"},
		{"a function that was changed", "ALTER FUNCTION decision_surface() SECURITY INVOKER", "board-truth"},
		{"a function beside ours", "CREATE FUNCTION null_share_reasons(ingest_runs, integer) RETURNS text[] LANGUAGE sql AS $$SELECT '{}'::text[]$$", "board-truth"},
		{"a right too many", "GRANT SELECT (allowed_playbook) ON signals TO whalegate_ops", "board-truth"},
		{"a run that was stored later than now", "UPDATE ingest_runs SET finished_at = now() + interval '1 hour' WHERE timestamp = (SELECT max(timestamp) FROM ingest_runs)", "database"},
		{"minutes that are refused", "SELECT refuse_minute(pg_temp.minute() - interval '5 minutes')", "database"},
		{"minutes that were lost", `INSERT INTO qa_events (day, check_id, stage, severity, details, action_taken, first_ts, last_ts)
			VALUES (now(), 'lost', 'ingestion', 'critical', '{"minutes": 3, "since": "2026-03-01T11:00:00Z", "until": "2026-03-01T11:02:00Z", "written_again": 2}', 'written again where still known, else failed', now(), now())`, "database"},
		{"minutes that a clock cost", `DELETE FROM ingest_runs WHERE timestamp BETWEEN pg_temp.minute() - interval '6 minutes' AND pg_temp.minute() - interval '3 minutes';
			INSERT INTO qa_events (day, check_id, stage, severity, details, action_taken, first_ts, last_ts)
			VALUES (now(), 'S1', 'ingestion', 'critical', '{"error": "S1: the snapshot''s timestamp is of another time"}', 'nothing written, run failed', pg_temp.minute() - interval '6 minutes', pg_temp.minute() - interval '175 seconds')`, "database"},
		{"nobody who leads", "UPDATE collector_leader SET pid = NULL", "crash"},
		{"minutes without a run", "DELETE FROM ingest_runs WHERE timestamp BETWEEN now() - interval '6 minutes' AND now() - interval '3 minutes'", "crash"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			db := pgtest.New(t)
			must(t, db, wholeHour)
			must(t, db, tt.sql)
			r := runbook.Diagnose(ask(t, db, ""))
			if len(r.Matching) == 0 || r.Matching[0] != tt.want {
				t.Errorf("%v (%q)", r.Matching, r.Unknown)
			}
		})
	}
}

// What is known of clocks, of who leads and of what was lost is read as it is stored.
func TestClocksLeadersAndLossesAreRead(t *testing.T) {
	db := pgtest.New(t)
	must(t, db, wholeHour)
	f := ask(t, db, "")
	if s := f.Stored; s.Leader == nil || !s.Leader.Leads || *s.Leader.Host != "test" || s.Standby != nil || s.Clocks.Refused != nil || s.Clocks.Settled != nil || s.Clocks.Newest == nil || s.Clocks.Ahead > 0 || len(s.Lost) != 0 {
		t.Errorf("%+v %+v", s.Leader, s.Clocks)
	}
	if slices.ContainsFunc(f.Stored.Sessions, func(s runbook.Session) bool { return s.PID == *f.Stored.Leader.Session }) {
		t.Errorf("the leader's session is a long transaction: %+v", f.Stored.Sessions)
	}

	must(t, db, `
		UPDATE ingest_runs SET superseded = true WHERE timestamp BETWEEN pg_temp.minute() - interval '20 minutes' AND pg_temp.minute() - interval '18 minutes';
		UPDATE ingest_runs SET finished_at = now() + interval '1 hour', status = 'failed', failed_check = 'S8', error = 'no room' WHERE timestamp = pg_temp.minute();
		SELECT refuse_minute(pg_temp.minute() - interval '5 minutes');
		SELECT refuse_minute(pg_temp.minute() - interval '4 minutes');
		INSERT INTO clock_refusals (first_minute, last_minute, newest, times, settled_at, settled_by, reason, runs)
		VALUES (now(), now(), now(), 3, now(), 'ann', 'compared', 3)`)
	f = ask(t, db, "")
	c := f.Stored.Clocks
	if len(f.Stored.Runs) != 58 || f.Stored.Runs[0].Check != "S8" || len(c.Superseded) != 3 || c.Ahead.Round(time.Minute) != time.Hour {
		t.Errorf("%d runs, %+v", len(f.Stored.Runs), c)
	}
	if r := c.Refused; r == nil || r.Times != 2 || r.Last.Sub(r.First) != time.Minute || r.SettledAt != nil || !r.Newest.Equal(*c.Newest) {
		t.Errorf("refused: %+v", r)
	}
	if r := c.Settled; r == nil || r.SettledBy != "ann" || r.Reason != "compared" || r.Runs != 3 {
		t.Errorf("settled: %+v", r)
	}
}

func TestTheServiceIsAsked(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0") // takes connections, and nobody accepts them
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	answering := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/-/healthy":
		case "/-/ready":
			http.Error(w, "schema not current", http.StatusServiceUnavailable)
		case "/api/v1/status":
			at := time.Now().UTC().Add(-time.Hour).Format(time.RFC3339Nano)
			_, _ = w.Write([]byte(`{"at":"` + at + `","health_state":"STALE","reasons":["halted"],"halt":{"halted_by":"ann"}}`))
		case "/metrics":
			fmt.Fprintf(w, "# TYPE whalegate_runs_unsaved gauge\nwhalegate_runs_unsaved{reason=\"database\"} 0\n# TYPE whalegate_health_state gauge\nwhalegate_health_state{state=\"STALE\"} 1\n# TYPE process_start_time_seconds gauge\nprocess_start_time_seconds %d\n", time.Now().Unix()-60)
		}
	}))
	defer answering.Close()
	// The dead man's switch answers all of it, and is not the service.
	watchdog := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/api/v1/status":
			_, _ = w.Write([]byte(`{"health_state":"STALE","reasons":["snapshot_age"]}`))
		case "/metrics":
			_, _ = w.Write([]byte("# TYPE process_start_time_seconds gauge\nprocess_start_time_seconds 1\n"))
		}
	}))
	defer watchdog.Close()
	other := httptest.NewServer(http.NotFoundHandler())
	defer other.Close()
	speedy, err := clock.Parse(time.Now().UTC().Format(time.RFC3339) + ",60")
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name, url string
		want      runbook.ServiceTrouble
	}{
		{"nobody", "http://127.0.0.1:1", runbook.Refused},
		{"somebody who does not answer", "http://" + silent.Addr().String(), runbook.Hanging},
		{"somebody else", other.URL, runbook.Answered},
		{"the watchdog", watchdog.URL, runbook.Answered},
		{"no address", "nonsense", runbook.Answered},
		{"not asked", "", ""},
		{"it", answering.URL + "/", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := askService(t.Context(), Source{ServiceURL: tt.url, Clock: speedy})
			if s.Trouble != tt.want || (tt.want != "") != (s.Error != "") {
				t.Fatalf("%s: %s", s.Trouble, s.Error)
			}
			if tt.name != "it" {
				return
			}
			if s.Ready || s.NotReady != "schema not current" || s.Told == nil || s.Told.Halt.HaltedBy != "ann" || s.Metrics[`whalegate_health_state{state="STALE"}`] != 1 ||
				!slices.Contains(s.Named, "state") || s.Up < time.Hour || s.ClockAhead == nil || *s.ClockAhead > -30*time.Minute {
				t.Errorf("%+v", s)
			}
		})
	}
}
