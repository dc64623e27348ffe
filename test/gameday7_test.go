package test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/whalegate/whalegate/internal/health"
	"github.com/whalegate/whalegate/internal/postgres/pgtest"
	"github.com/whalegate/whalegate/internal/postgres/server"
	"github.com/whalegate/whalegate/internal/runbook"
)

// databaseDays are the game days of runbook 7.
var databaseDays = []day{
	{7, "a trigger that somebody put on a table of the service", func(g *gameday) {
		g.inject(func() {
			g.exec("CREATE FUNCTION more() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN NEW.action_taken := 'more'; RETURN NEW; END$$; CREATE TRIGGER more BEFORE INSERT ON qa_events FOR EACH ROW EXECUTE FUNCTION more()")
		})
		d := g.diagnosed(1)
		g.repair(func() { must(g, g.carryOut(d, `psql "$DATABASE_URL" -c "DROP TRIGGER more ON qa_events"`)) })
		g.recovered()
	}},
	{7, "PostgreSQL stopped for more than ten minutes", func(g *gameday) {
		g.watch()
		last := g.newest()
		g.inject(func() { must(g, g.pg.Stop()) })
		g.detected("the service to say that it cannot", g.notReady)
		d := g.diagnosed(2)
		if d.summary.State != "STALE" || d.summary.Trading != "NO" {
			g.Errorf("the summary: %+v", d.summary)
		}
		g.awaitStatus(health.Stale, "database")
		g.awaitAnnounced(1)
		g.awaitMetric("whalegate_runs_unsaved", 3)
		g.repair(func() { must(g, g.pg.Restart(g.Context())) })
		g.guard.logged(g, "the database answers again; what was said without it is entered")
		g.recovered()
		g.awaitAnnounced(1)
		g.awaitLostMinutes(last)
	}},
	{7, "PostgreSQL crashes while a snapshot is written, and is started again", func(g *gameday) {
		g.slowly("wallet_snapshots", 0.005)
		g.awaitTrue("a snapshot to be written", "EXISTS (SELECT FROM pg_stat_activity WHERE application_name = 'whalegate run' AND query LIKE 'COPY%' AND state = 'active')")
		last := g.newest()
		g.inject(func() { must(g, g.pg.Kill()) })
		g.detected("the service to say that it cannot", g.notReady)
		g.diagnosed(2)
		g.awaitMetric("whalegate_runs_unsaved", 1)
		g.repair(func() { must(g, g.pg.Restart(g.Context())) })
		g.awaitTrue("the database to take things", "true")
		g.normally("wallet_snapshots")
		g.recovered()
		g.awaitLostMinutes(last)
	}},
	{7, "PostgreSQL lets nobody in", func(g *gameday) {
		last := g.newest()
		file := filepath.Join(filepath.Dir(g.pg.LogFile()), "pg_hba.conf")
		before, err := os.ReadFile(file)
		must(g, err)
		g.inject(func() { g.rule(file, "host all all all reject\n") })
		g.detected("the service to say that it cannot", g.notReady)
		g.awaitStatus(health.Stale, "database")
		d := g.diagnosed(2)
		if !strings.Contains(d.stdout, "login_refused") || d.summary.Trading != "NO" {
			g.Errorf("the finding: %s", d.stdout)
		}
		g.awaitMetric("whalegate_runs_unsaved", 2)
		g.repair(func() { g.rule(file, string(before)) })
		g.recovered()
		g.awaitLostMinutes(last)
	}},
	{7, "the service's role has no connection left", func(g *gameday) {
		last := g.newest()
		g.inject(func() {
			g.exec("ALTER ROLE " + writer + " CONNECTION LIMIT 0")
			g.exec("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '" + writer + "'")
		})
		g.detected("the service to say that it cannot", g.notReady)
		d := g.diagnosed(2)
		if !strings.Contains(d.stdout, "too_many_sessions") {
			g.Errorf("the finding: %s", d.stdout)
		}
		must(g, g.carryOut(d, `psql "$DATABASE_URL" -c "SELECT usename`))
		// An operator whom the database lets in is told that the service is not.
		g.asAdministrator(func() {
			d = g.diagnosed(2)
			if !strings.Contains(d.findings[0].Summary, "the service cannot use the database") {
				g.Errorf("the finding: %s", d.stdout)
			}
			g.checkVerify("database", 2)
		})
		must(g, g.carryOut(d, `psql "$DATABASE_URL" -c "SELECT rolname`))
		g.awaitMetric("whalegate_runs_unsaved", 2)
		g.repair(func() { must(g, g.carryOut(d, `psql "$DATABASE_URL" -c "ALTER ROLE `+writer+` CONNECTION LIMIT -1"`)) })
		g.recovered()
		g.awaitLostMinutes(last)
	}},
	{7, "a locked table", func(g *gameday) {
		locker := g.session()
		g.inject(func() {
			_, err := locker.Exec(g.Context(), "BEGIN; LOCK TABLE wallet_snapshots IN ACCESS EXCLUSIVE MODE")
			must(g, err)
		})
		g.endTheSession(locker)
	}},
	{7, "a slow statement that the service waits for", func(g *gameday) {
		locker := g.session()
		g.exec(`CREATE FUNCTION slow(n integer) RETURNS integer LANGUAGE plpgsql IMMUTABLE AS 'BEGIN PERFORM pg_sleep(60); RETURN n; END'`)
		done := make(chan error, 1)
		g.inject(func() { // an index of a large table, with nobody allowed to write meanwhile
			go func() {
				_, err := locker.Exec(context.WithoutCancel(g.Context()), "CREATE INDEX ON ingest_runs (slow(wallets_expected))")
				done <- err
			}()
		})
		g.endTheSession(locker)
		if err := <-done; err == nil || !strings.Contains(err.Error(), "57P01") {
			g.Errorf("the statement ended with %v", err)
		}
	}},
	{7, "the disk is short of room", func(g *gameday) {
		w, dir := crowdedWorld(g.TB)
		g.moveTo(w, "WHALEGATE_DATABASE_DISK="+dir, "WHALEGATE_DATABASE_DISK_RESERVE=64MiB")
		last, alive := g.newest(), g.witness()
		var ballast string
		g.inject(func() { ballast = fill(g, dir, 40*mib) })
		g.detectedAs(health.Stale, "run_failed")
		d := g.diagnosed(2)
		if !strings.Contains(d.stdout, "disk_full") {
			g.Errorf("the finding: %s", d.stdout)
		}
		must(g, g.carryOut(d, "df -h"))
		must(g, g.carryOut(d, "whalegate prune --dry-run"))
		g.repair(func() { must(g, os.Remove(ballast)) })
		g.recovered()
		g.checkNoGap(last)
		alive()
	}},
	{7, "the disk is full to the last byte", func(g *gameday) {
		w, dir := crowdedWorld(g.TB)
		g.moveTo(w)
		g.watch()
		alive := g.witness()
		// The server ends itself when its log cannot grow: it gets a file of it to write in.
		g.exec("SELECT pg_switch_wal()")
		g.exec("CHECKPOINT")
		last := g.newest()
		var ballast string
		g.inject(func() { ballast = fill(g, dir, 0) })
		g.detectedAs(health.Stale, "")
		g.awaitMetric("whalegate_runs_unsaved", 2)
		d := g.diagnosed(2)
		// At first perhaps only that the service cannot write; then also why.
		await(g, "the disk to be named", func() error {
			if d = g.awaitDiagnosis("database", 2); !strings.Contains(d.stdout, "df -h") {
				return errors.New(d.stdout)
			}
			return nil
		})
		must(g, g.carryOut(d, "df -h"))
		g.awaitAnnounced(1)
		g.repair(func() { must(g, os.Remove(ballast)) })
		g.recovered()
		g.awaitAnnounced(1)
		g.checkNoGap(last)
		alive()
	}},
	{7, "today's partition dropped", goneDay("DROP TABLE %s")},
	{7, "today's partition detached", goneDay("ALTER TABLE wallet_snapshots DETACH PARTITION %s")},
	{7, "the universe emptied by hand", func(g *gameday) {
		members, start := g.members(), g.newest()
		g.inject(func() { g.exec("DELETE FROM wallet_universe_current") })
		g.detected("another universe", func() error {
			return differs(get[int](g.world, "SELECT count(*) FROM wallet_universe_current"), wallets)
		})
		if diff := cmp.Diff(members, g.members()); diff != "" {
			g.Errorf("the universe is another one: %s", diff)
		}
		g.awaitRun(start.Add(time.Minute), "status = 'success' AND wallet_fail_count = 0")
		if n := get[int](g.world, "SELECT count(*) FROM ingest_runs WHERE timestamp > $1 AND status = 'failed'", start); n > 2 {
			g.Errorf("%d minutes were lost", n)
		}
		g.played.diagnosed = "nothing"
		g.repair(func() {})
		g.recovered()
		g.checkNoGap(start)
		g.checkTruth()
	}},
	{7, "the database made anew under the service", func(g *gameday) {
		g.awaitOpen()
		g.inject(func() {
			administrator, err := pgx.Connect(g.Context(), g.pg.URL(server.Superuser, "postgres"))
			must(g, err)
			_, err = administrator.Exec(g.Context(), "DROP DATABASE "+dbName+" WITH (FORCE)")
			must(g, err)
			must(g, administrator.Close(g.Context()))
		})
		g.detected("the service to say that it cannot", g.notReady)
		g.diagnosed(2)
		g.repair(func() {
			must(g, pgtest.Prepare(g.Context(), g.pg, dbName))
			g.db.Reset() // its sessions were of the database that is gone
			g.moveTime(g.db)
		})
		first := g.awaitRun(time.Time{}, "status = 'success' AND wallet_fail_count = 0")
		g.recovered()
		g.awaitCycle(first, "computed")
		g.checkTruth()
	}},
	{7, "the clocks of the database and of the collector set back by 20 minutes", func(g *gameday) {
		set := g.stepped()
		g.awaitTrue("more than twenty minutes", "count(*) > 23 FROM ingest_runs")
		last := g.newest()
		stored := g.runsUpTo(last)
		g.inject(func() { set(-20 * time.Minute) })
		g.detectedAs(health.Stale, "clock_skew")
		g.awaitHealth(health.Stale, "clock_back")
		d := g.diagnosed(2)
		if said := d.findings[0].Summary; !regexp.MustCompile(`^every clock that could be asked agrees, .* set back since, by about (19|20)m`).MatchString(said) {
			g.Errorf("the finding: %s", said)
		}
		g.actionOf(d, "whalegate clock accept")
		g.elsewhere(func() { // the wrong clocks are named
			d := g.diagnosed(2)
			if said := d.findings[0].Summary; !regexp.MustCompile(`the database's (and the service's agree, and are|is) (19m5\ds|20m0s) behind this machine's`).MatchString(said) {
				g.Errorf("the finding: %s", said)
			}
		})
		g.awaitMetric(`whalegate_runs_refused_total{reason="clock_back"}`, 3)
		g.awaitTrue("the failed check", "EXISTS (SELECT FROM qa_events WHERE check_id = 'clock_back')")
		g.awaitAnnounced(1) // no clock can tell the age: its length is counted
		if g.runsUpTo(last) != stored || !g.newest().Equal(last) {
			g.Error("what was stored is another now, or more")
		}
		if n := g.open(); n != 0 {
			g.Errorf("%d rows can be read", n)
		}
		g.diagnosed(2)
		g.repair(func() { set(0) })
		g.recovered()
		g.awaitAnnounced(1)
		g.checkSignalsSince(last)
	}},
	{7, "the clocks of the database and of the collector an hour ahead for five minutes, then right", func(g *gameday) {
		last := g.ahead(time.Hour)
		// The next good minute shows that what is stored of later ones is wrong.
		g.recovered()
		g.checkFuture(last)
	}},
	{7, "the clocks of the database and of the collector two days ahead for five minutes, then right", func(g *gameday) {
		last := g.ahead(48 * time.Hour)
		// No run of theirs is good, and the collector that lived through both steps knows
		// which clock is right: nobody has to say so, however far apart they are.
		g.recovered()
		if n := get[int](g.world, "SELECT count(*) FROM clock_refusals WHERE settled_by = 'an earlier minute' AND times = 0 AND runs >= 5"); n != 1 {
			g.Error("what was set aside is not recorded")
		}
		g.checkFuture(last)
	}},
}

// goneDay is a day of which the partition of today is lost to the table.
func goneDay(how string) func(*gameday) {
	return func(g *gameday) {
		g.rowless = strings.HasPrefix(how, "DROP") // its rows are gone
		g.awaitOpen()
		start := g.newest()
		day := "wallet_snapshots_" + start.Format("20060102")
		g.inject(func() { g.exec(fmt.Sprintf(how, day)) })
		g.detected("the day to be there again", func() error {
			return differs(get[bool](g.world, "SELECT EXISTS (SELECT FROM pg_inherits WHERE inhrelid = to_regclass($1) AND inhparent = 'wallet_snapshots'::regclass)", day), true)
		})
		minute := g.awaitRun(start.Add(2*time.Minute), "status = 'success' AND wallet_fail_count = 0")
		if n := get[int](g.world, "SELECT count(*) FROM wallet_snapshots WHERE timestamp = $1", minute); n != fullRows {
			g.Errorf("%d rows of a minute", n)
		}
		if n := get[int](g.world, "SELECT count(*) FROM ingest_runs WHERE timestamp > $1 AND status = 'failed'", start); n > 1 {
			g.Errorf("%d minutes were lost", n)
		}
		g.played.diagnosed = "nothing"
		g.repair(func() {})
		g.recovered()
		g.checkNoGap(start)
		g.checkTruth()
	}
}

// ahead puts the clocks ahead until five minutes of the wrong time are stored, and
// right again. It returns the last minute of before.
func (g *gameday) ahead(by time.Duration) (last time.Time) {
	g.Helper()
	set := g.stepped()
	g.awaitOpen()
	last = g.newest()
	g.inject(func() { set(by) })
	g.detectedAs(health.Stale, "")
	// The exchange's answers carry its own time: no minute of the wrong one counts.
	g.awaitTrue("five minutes of the wrong time", "count(*) >= 5 FROM ingest_runs WHERE timestamp > $1 AND failed_check = 'S9' AND failed_subject = 'clock_skew'", last.Add(by/2))
	g.awaitHealth(health.Stale, "run_failed")
	if n := get[int](g.world, "SELECT count(*) FROM ingest_runs WHERE timestamp > $1 AND status <> 'failed'", last.Add(by/2)); n != 0 {
		g.Errorf("%d minutes of the wrong time count", n)
	}
	if n := get[int](g.world, "SELECT count(*) FROM qa_events WHERE check_id = 'clock_jump'"); n != 1 {
		g.Error("that the clock went ahead at once is noted nowhere")
	}
	g.elsewhere(func() { // nothing on the same machine shows it
		d := g.diagnosed(2)
		if said := d.findings[0].Summary; !regexp.MustCompile(`the database's (and the service's agree, and are|is) \S+ ahead of this machine's`).MatchString(said) {
			g.Errorf("the finding: %s", said)
		}
		g.actionOf(d, "timedatectl")
	})
	g.repair(func() { set(0) })
	g.awaitHealth(health.Stale, "clock_skew")
	return last
}

// checkFuture looks for what is believed of the time that a wrong clock showed.
func (g *gameday) checkFuture(last time.Time) {
	g.Helper()
	if n := get[int](g.world, "SELECT count(*) FROM ingest_runs WHERE timestamp > whalegate_now() AND NOT superseded"); n != 0 {
		g.Errorf("%d runs from the future count", n)
	}
	if n := get[int](g.world, "SELECT count(*) FROM ingest_runs WHERE timestamp > whalegate_now() AND superseded"); n < 5 {
		g.Errorf("%d runs from the future are kept", n)
	}
	g.checkSignalsSince(last)
}

// actionOf is the action of the first finding whose command begins so.
func (g *gameday) actionOf(d diagnosis, command string) runbook.Action {
	g.Helper()
	i := slices.IndexFunc(d.findings[0].Actions, func(a runbook.Action) bool { return strings.HasPrefix(a.Command, command) })
	if i < 0 {
		g.Fatalf("the finding tells of no %q: %+v", command, d.findings[0].Actions)
	}
	return d.findings[0].Actions[i]
}

func (g *gameday) exec(sql string) {
	g.Helper()
	_, err := g.db.Exec(g.Context(), sql)
	must(g, err)
}

// notReady objects unless the service lives, and says that it cannot work.
func (g *gameday) notReady() error {
	alive, _ := g.ask("GET", g.address+"/-/healthy", "")
	ready, said := g.ask("GET", g.address+"/-/ready", "")
	if alive != 200 || ready != 503 {
		return fmt.Errorf("it answers %d, %d %s", alive, ready, said)
	}
	return nil
}

// awaitLostMinutes waits until what could not be written stands there as failed, and
// no minute is without a run.
func (g *gameday) awaitLostMinutes(since time.Time) {
	g.Helper()
	g.awaitTrue("the lost minutes", "EXISTS (SELECT FROM ingest_runs WHERE timestamp > $1 AND status = 'failed' AND error LIKE 'not written: %' AND rows_written = 0)", since)
	g.checkNoGap(since)
}

// slowly makes each insert into a table take a while, in seconds of real time.
func (g *gameday) slowly(table string, seconds float64) {
	g.Helper()
	g.exec(fmt.Sprintf(`CREATE FUNCTION slow_%[1]s() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(%[2]f); RETURN NEW; END';
		CREATE TRIGGER slow_%[1]s BEFORE INSERT ON %[1]s FOR EACH ROW EXECUTE FUNCTION slow_%[1]s()`, table, seconds))
}

// normally makes them quick again, and takes the trigger away as soon as no minute is being
// written: to drop it needs every partition to itself, and is not to stand in the way.
func (g *gameday) normally(table string) {
	g.Helper()
	g.exec(fmt.Sprintf("CREATE OR REPLACE FUNCTION slow_%s() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'", table))
	await(g, "the trigger to be dropped", func() error {
		_, err := g.db.Exec(g.Context(), fmt.Sprintf("BEGIN; SET LOCAL lock_timeout = '20ms'; DROP TRIGGER slow_%[1]s ON %[1]s; COMMIT", table))
		return err
	})
}

// rule writes the server's rules of who may come in, and ends who is in already.
func (g *gameday) rule(file, text string) {
	g.Helper()
	must(g, os.WriteFile(file, []byte(text), 0o600))
	g.exec("SELECT pg_reload_conf()")
	g.exec("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()")
}

// session is somebody at work in the database, who may be thrown out.
func (g *gameday) session() *pgx.Conn {
	g.Helper()
	conn, err := pgx.Connect(g.Context(), g.pg.URL(server.Superuser, dbName))
	must(g, err)
	g.Cleanup(func() { _ = conn.Close(context.Background()) }) // it has been
	return conn
}

// endTheSession waits until the session in the way is found, ends it as the finding
// says, and waits for the recovery.
func (g *gameday) endTheSession(locker *pgx.Conn) {
	g.Helper()
	pid := locker.PgConn().PID()
	g.detected("a session to wait", func() error {
		return differs(get[bool](g.world, "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE $1 = ANY (pg_blocking_pids(pid)))", int(pid)), true)
	})
	command := fmt.Sprintf(`psql "$DATABASE_URL" -c "SELECT pg_terminate_backend(%d)"`, pid)
	var d diagnosis
	await(g, "diagnose to name the session", func() error {
		if d = g.diagnosed(2); !strings.Contains(d.stdout, fmt.Sprintf("pg_terminate_backend(%d)", pid)) {
			return fmt.Errorf("%s", d.stdout)
		}
		return nil
	})
	g.repair(func() { must(g, g.carryOut(d, command)) })
	g.recovered()
}

// asAdministrator does something with the login of the database's owner.
func (g *gameday) asAdministrator(what func()) {
	g.Helper()
	before := g.env
	g.env = append(append([]string{}, before...), "DATABASE_URL="+g.pg.URL(server.Superuser, dbName))
	what()
	g.env = before
}
