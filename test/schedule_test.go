package test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/whalegate/whalegate/internal/clock"
	"github.com/whalegate/whalegate/internal/postgres"
	"github.com/whalegate/whalegate/internal/postgres/pgtest"
	"github.com/whalegate/whalegate/internal/postgres/server"
)

var (
	schedules    = flag.Int("schedules", 6, "random schedules of several collectors")
	scheduleSeed = flag.Uint64("schedules.seed", 0, "seed of the first schedule; 0: by chance")
)

// A minute is ten seconds here, and beats and take-over have their own pace: a
// schedule of under a minute sees several of each.
const slowly = 6

// troupe is a database and several collectors on it, each with a wire of its own.
type troupe struct {
	testing.TB
	chance   *rand.Rand
	clock    clock.Clock
	text     string
	pg       *server.Server
	db       *pgxpool.Pool
	exchange string
	mail     *mailbox
	offFile  string
	members  []*member
	script   []string
	began    time.Time
	shaken   bool // the test makes the signals go to and fro, so that there is something to tell

	mu       sync.Mutex
	broken   []string // what must not be
	healthy  int      // answers
	answered int
}

// member is one collector.
type member struct {
	*process
	wire    *wire
	stopped bool // SIGSTOP
	off     bool // its wire is cut or swallows
}

// chronicle writes down each change of a run, in the order of the writing, with the
// epoch that wrote it and the true time.
const chronicle = `
	CREATE TABLE chronicle (n bigint GENERATED ALWAYS AS IDENTITY, epoch bigint, timestamp timestamptz, was text, is_now text, was_counted boolean, counts boolean, was_pct numeric, pct numeric, really timestamptz DEFAULT clock_timestamp());
	CREATE FUNCTION write_down() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = public AS $$
	BEGIN
		INSERT INTO chronicle (epoch, timestamp, was, is_now, was_counted, counts, was_pct, pct)
		SELECT l.epoch, NEW.timestamp, OLD.status, NEW.status, NOT OLD.superseded, NOT NEW.superseded, OLD.coverage_pct, NEW.coverage_pct FROM collector_leader l;
		RETURN NEW;
	END $$;
	CREATE TRIGGER write_down AFTER INSERT OR UPDATE ON ingest_runs FOR EACH ROW EXECUTE FUNCTION write_down();
	CREATE TABLE signal_chronicle (n bigint GENERATED ALWAYS AS IDENTITY, epoch bigint, timestamp timestamptz);
	CREATE FUNCTION write_signal() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = public AS $$
	BEGIN
		INSERT INTO signal_chronicle (epoch, timestamp) SELECT l.epoch, NEW.timestamp FROM collector_leader l;
		RETURN NEW;
	END $$;
	CREATE TRIGGER write_signal AFTER INSERT ON signal_cycles FOR EACH ROW EXECUTE FUNCTION write_signal()`

func newTroupe(t testing.TB, seed uint64) *troupe {
	r := &troupe{TB: t, chance: rand.New(rand.NewPCG(seed, 0)), mail: newMailbox(t), offFile: filepath.Join(openDir(t), "clock")}
	r.text = fmt.Sprintf("%s,%d", time.Now().UTC().Truncate(time.Millisecond).Format(time.RFC3339Nano), slowly)
	var err error
	r.clock, err = clock.Parse(r.text)
	must(t, err)
	r.pg = startPostgres(t)
	must(t, pgtest.Prepare(t.Context(), r.pg, dbName))
	r.db, err = postgres.Open(t.Context(), r.pg.URL(server.Superuser, dbName), "test")
	must(t, err)
	t.Cleanup(r.db.Close)
	r.exec(chronicle)
	r.setClock(0)
	origin := r.clock.Now().Truncate(time.Minute).Add(-time.Hour)
	market := launch(t, nil, "simulate", "--test-clock", r.text, "--listen-address=127.0.0.1:0", "--origin", origin.Format(time.RFC3339),
		fmt.Sprintf("--seed=%d", seed%1000+1), fmt.Sprintf("--rows=%d", rows), fmt.Sprintf("--active=%d", active), "--weight=0", "--latency=0s")
	r.exchange = market.logged(t, "simulator started")["address"].(string)
	r.began = time.Now()
	return r
}

func (r *troupe) exec(sql string, args ...any) {
	r.Helper()
	_, err := r.db.Exec(r.Context(), sql, args...)
	must(r, err)
}

// patiently does what an administrator does, who gives up when it has to wait for long:
// a collector that was stopped in the middle of a transaction keeps its locks.
func (r *troupe) patiently(sql string) {
	r.Helper()
	err := r.db.AcquireFunc(r.Context(), func(c *pgxpool.Conn) error {
		if _, err := c.Exec(r.Context(), "SET lock_timeout = '5s'"); err != nil {
			return err
		}
		defer func() { _, _ = c.Exec(context.Background(), "RESET lock_timeout") }()
		_, err := c.Exec(r.Context(), sql)
		return err
	})
	var answer *pgconn.PgError
	if errors.As(err, &answer) && answer.Code == "55P03" {
		r.note("… which was given up: %s", answer.Message)
		return
	}
	must(r, err)
}

func (r *troupe) note(format string, args ...any) {
	r.script = append(r.script, fmt.Sprintf("%5.1f s  ", time.Since(r.began).Seconds())+fmt.Sprintf(format, args...))
}

func (r *troupe) violated(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.broken = append(r.broken, fmt.Sprintf("%5.1f s  ", time.Since(r.began).Seconds())+fmt.Sprintf(format, args...))
}

// setClock sets the clocks of the database and of all collectors off by so much. The
// exchange's stays right, and so do beats.
func (r *troupe) setClock(off time.Duration) {
	r.Helper()
	must(r, os.WriteFile(r.offFile+".new", []byte(off.String()), 0o644))
	r.exec("CREATE OR REPLACE FUNCTION whalegate_now() RETURNS timestamptz LANGUAGE sql VOLATILE AS " +
		postgres.Quote(fmt.Sprintf("SELECT (%s) + interval '%d milliseconds'", r.clock.SQL(), off.Milliseconds())))
	must(r, os.Rename(r.offFile+".new", r.offFile))
}

// join starts a collector.
func (r *troupe) join() *member {
	r.Helper()
	m := &member{wire: newWire(r, net.JoinHostPort("127.0.0.1", strconv.Itoa(r.pg.Port())))}
	r.members = append(r.members, m)
	r.start(m)
	return m
}

func (r *troupe) start(m *member) {
	r.Helper()
	through, err := url.Parse(r.pg.URL(writer, dbName))
	must(r, err)
	through.Host = m.wire.address()
	m.process = launch(r, []string{
		"DATABASE_URL=" + through.String(), "WHALEGATE_TEST_CLOCK=" + r.text, "WHALEGATE_TEST_CLOCK_FILE=" + r.offFile, "WHALEGATE_API_URL=" + r.exchange, "WHALEGATE_STATS_URL=" + r.exchange,
		"WHALEGATE_API_WEIGHT=1000000", fmt.Sprintf("WHALEGATE_UNIVERSE_SIZE=%d", wallets), "WHALEGATE_LISTEN_ADDRESS=127.0.0.1:0",
		"WHALEGATE_RECEIVERS_FILE=" + receiversFile(r, map[string]string{"mail": "webhook+" + r.mail.URL}),
	}, "run")
	m.logged(r, "service started")
	m.stopped = false
}

// leader is the member that the row names; nil: none of them.
func (r *troupe) leader() *member {
	var process *int
	err := r.db.QueryRow(r.Context(), "SELECT process FROM collector_leader WHERE pid IS NOT NULL").Scan(&process)
	if err != nil || process == nil {
		return nil
	}
	for _, m := range r.members {
		if m.cmd.Process.Pid == *process {
			return m
		}
	}
	return nil
}

func (m *member) dead() bool {
	select {
	case <-m.exited:
		return true
	default:
		return false
	}
}

// able tells that the member could lead.
func (m *member) able() bool { return !m.dead() && !m.stopped && !m.off }

// replaced holds the take-over to its time: somebody able leads within 15 s.
const replacedWithin = 15 * time.Second

// act does one random thing, and then checks that somebody leads who can.
func (r *troupe) act() {
	m := r.members[r.chance.IntN(len(r.members))]
	if l := r.leader(); l != nil && r.chance.IntN(3) > 0 {
		m = l // mostly the one that matters
	}
	i := slices.Index(r.members, m)
	if r.chance.IntN(4) == 0 {
		r.meddle()
		return
	}
	switch what := r.chance.IntN(8); {
	case m.dead():
		r.note("%d starts again", i)
		m.wire.heal()
		m.wire.cut(false)
		m.off = false
		r.start(m)
	case m.stopped:
		r.note("%d goes on (SIGCONT)", i)
		must(r, m.cmd.Process.Signal(syscall.SIGCONT))
		m.stopped = false
	case m.off:
		r.note("%d can reach the database again", i)
		m.wire.heal()
		m.wire.cut(false)
		m.off = false
	case what < 2:
		r.note("%d is killed", i)
		m.kill()
	case what < 4:
		r.note("%d is stopped (SIGSTOP)", i)
		must(r, m.cmd.Process.Signal(syscall.SIGSTOP))
		m.stopped = true
	case what < 5:
		r.note("%d is cut from the database", i)
		m.wire.cut(true)
		m.off = true
	case what < 6:
		r.note("%d hears nothing from the database", i)
		m.wire.swallow()
		m.off = true
	case what < 7:
		off := time.Duration(0)
		if r.chance.IntN(3) > 0 {
			off = time.Duration(r.chance.IntN(600)-300) * time.Second
		}
		r.note("the clocks are off by %s", off)
		r.setClock(off)
	default:
		r.note("%d ends in order", i)
		if code := m.end(r); code != 0 {
			r.violated("%d ended with %d", i, code)
		}
	}
	if slices.ContainsFunc(r.members, (*member).able) && r.chance.IntN(2) == 0 {
		r.awaitLeader()
	}
}

// meddle is what an administrator does.
func (r *troupe) meddle() {
	switch r.chance.IntN(5) {
	case 0:
		r.note("the leader's session is ended by an administrator")
		r.exec("SELECT pg_terminate_backend(pid) FROM collector_leader WHERE pid IS NOT NULL")
	case 1:
		r.note("every session of the collectors is ended")
		r.exec("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '" + writer + "'")
	case 2:
		r.note("collector_leader is emptied by hand")
		r.patiently("DELETE FROM collector_leader")
	case 3:
		r.note("VACUUM FULL")
		r.patiently("VACUUM FULL")
	default:
		length := time.Duration(1+r.chance.IntN(4)) * time.Second
		r.note("no snapshot is taken for %s", length)
		r.patiently(fmt.Sprintf("BEGIN; LOCK TABLE wallet_snapshots IN SHARE MODE; SELECT pg_sleep(%d); COMMIT", length/time.Second))
	}
}

// awaitLeader waits until somebody able leads.
func (r *troupe) awaitLeader() {
	began := time.Now()
	for {
		if l := r.leader(); l != nil && l.able() && r.locked() {
			r.note("%d leads, after %.1f s", slices.Index(r.members, l), time.Since(began).Seconds())
			return
		}
		if time.Since(began) > replacedWithin {
			r.violated("nobody leads within %s", replacedWithin)
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
}

func (r *troupe) locked() bool {
	var locked bool
	_ = r.db.QueryRow(r.Context(), "SELECT present FROM collector_who()").Scan(&locked)
	return locked
}

// watch asks for the state all the time, and holds it against what is known.
func (r *troupe) watch(ctx context.Context) {
	conn, err := pgx.Connect(ctx, r.pg.URL(server.Superuser, dbName))
	if err != nil {
		r.violated("watch: %v", err)
		return
	}
	defer conn.Close(context.Background())
	// HEALTHY only when the newest run that counts was written within four minutes of
	// true time, which run six times as fast here.
	const ask = `
		SELECT h.health_state, h.reasons,
			(SELECT max(finished_at) FROM ingest_runs WHERE NOT superseded) > whalegate_now() + interval '6 seconds',
			coalesce((SELECT clock_timestamp() - max(c.really) FROM chronicle c WHERE c.timestamp = h.last_success_snapshot_ts AND c.counts) > interval '40 seconds', true)
		FROM ingest_health h`
	before := false // the look before saw the same: a step in the middle of one is no news
	for ctx.Err() == nil {
		var state string
		var reasons []string
		var skewed *bool
		var old bool
		err := conn.QueryRow(ctx, ask).Scan(&state, &reasons, &skewed, &old)
		open := state != "STALE" && skewed != nil && *skewed
		again := open && before
		before = open
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			r.violated("watch: %v", err)
			return
		case again:
			r.violated("%s %v, and a run finished after the clock that judges", state, reasons)
		case state == "HEALTHY" && old:
			r.violated("HEALTHY, and the newest run was written more than four minutes ago")
		}
		r.mu.Lock()
		r.answered++
		if state == "HEALTHY" {
			r.healthy++
		}
		r.mu.Unlock()
		select {
		case <-ctx.Done():
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// awaitHealthy waits until whoever watches has seen it HEALTHY.
func (r *troupe) awaitHealthy() {
	r.Helper()
	seen := func() int {
		r.mu.Lock()
		defer r.mu.Unlock()
		return r.healthy
	}
	before := seen()
	// A clock that was a minute or two ahead is rested through, then two clean minutes are
	// needed, of ten seconds each, after whichever is under way.
	awaitFor(r, time.Minute, "a healthy end", func() error {
		if seen() > before {
			return nil
		}
		var state string
		var reasons []string
		err := r.db.QueryRow(r.Context(), "SELECT health_state, reasons FROM ingest_health").Scan(&state, &reasons)
		return errors.Join(err, fmt.Errorf("%s %v", state, reasons))
	})
}

// judge looks at what was written down.
func (r *troupe) judge() {
	r.Helper()
	for what, count := range map[string]string{
		"minutes were stored twice":            "SELECT count(*) FROM (SELECT FROM chronicle WHERE was IS NULL GROUP BY timestamp HAVING count(*) > 1) c",
		"minutes were replaced by worse ones":  "SELECT count(*) FROM chronicle WHERE was IS NOT NULL AND was_counted AND counts AND (array_position('{failed,partial,success}', is_now), pct) <= (array_position('{failed,partial,success}', was), was_pct)",
		"writings of an epoch that was over":   "SELECT count(*) FROM (SELECT epoch, max(epoch) OVER (ORDER BY n) AS newest FROM chronicle) c WHERE epoch < newest",
		"boundaries of an epoch that was over": "SELECT count(*) FROM (SELECT epoch, max(epoch) OVER (ORDER BY n) AS newest FROM signal_chronicle) c WHERE epoch < newest",
		"writings without a leader":            "SELECT count(*) FROM chronicle WHERE epoch IS NULL",
		"alerts of one period twice":           "SELECT count(*) FROM (SELECT FROM alerts WHERE NOT superseded GROUP BY timestamp, asset, alert_type HAVING count(*) > 1) a",
		"system alerts at once":                "SELECT greatest(0, count(*) - 1) FROM alerts WHERE asset = 'SYSTEM' AND resolved_at IS NULL",
		"rows of a minute that its run does not tell of": `SELECT count(*) FROM ingest_runs r WHERE NOT superseded AND status <> 'failed'
			AND rows_written <> (SELECT count(*) FROM wallet_snapshots s WHERE s.timestamp = r.timestamp AND s.ingest_run_id = r.run_id)`,
	} {
		if n := r.count(count); n != 0 {
			r.violated("%d %s", n, what)
		}
	}
	if n := r.count("SELECT coalesce(sum(greatest(0, attempts - 1)), 0)::int FROM alert_deliveries"); r.mail.repeats() > n {
		r.violated("%d messages came more than once, and %d were tried again", r.mail.repeats(), n)
	}
	if r.shaken {
		return // the audit would find what the test did to the signals
	}
	audit := call(r, []string{"DATABASE_URL=" + r.pg.URL(server.Superuser, dbName), "WHALEGATE_TEST_CLOCK=" + r.text}, "signals", "audit")
	if audit.code != 0 {
		r.violated("audit: %s", audit)
	}
}

func (r *troupe) count(sql string) (n int) {
	r.Helper()
	must(r, r.db.QueryRow(r.Context(), sql).Scan(&n))
	return n
}

// Several collectors on one database, whatever becomes of each: one writes at a time,
// nothing is stored twice or made worse, the gate is dark when it has to be, and who
// is gone is replaced.
func TestSchedulesOfSeveralCollectors(t *testing.T) {
	for n := range *schedules {
		seed := *scheduleSeed + uint64(n)
		if *scheduleSeed == 0 {
			seed = rand.Uint64()
		}
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			t.Parallel()
			r := newTroupe(t, seed)
			if r.shaken = r.chance.IntN(2) == 0; r.shaken {
				r.restless()
			}
			ctx, cancel := context.WithCancel(t.Context())
			var watching sync.WaitGroup
			watching.Go(func() { r.watch(ctx) })
			for range 2 + r.chance.IntN(2) {
				r.join()
			}
			r.awaitLeader()
			r.past()
			const lasts = 45 * time.Second
			for end := time.Now().Add(lasts); time.Now().Before(end); {
				time.Sleep(time.Duration(1000+r.chance.IntN(4000)) * time.Millisecond)
				r.act()
			}
			// Everything is put right: one leads, and it becomes HEALTHY.
			r.note("everything is put right")
			r.setClock(0)
			for _, m := range r.members {
				m.wire.heal()
				m.wire.cut(false)
				m.off = false
				if m.stopped {
					must(r, m.cmd.Process.Signal(syscall.SIGCONT))
					m.stopped = false
				}
				if m.dead() {
					r.start(m)
				}
			}
			r.awaitLeader()
			r.exec("SELECT accept_clock('test', 'it is right')")
			r.awaitHealthy()
			cancel()
			watching.Wait()
			r.judge()
			if len(r.broken) > 0 {
				t.Errorf("%s\nthe script:\n%s", strings.Join(r.broken, "\n"), strings.Join(r.script, "\n"))
			}
			t.Logf("%d of %d answers were HEALTHY; %d epochs, %d runs, %d signals, %d alerts, %d messages", r.healthy, r.answered, r.count("SELECT epoch::int FROM collector_leader"),
				r.count("SELECT count(*) FROM ingest_runs"), r.count("SELECT count(*) FROM signals"), r.count("SELECT count(*) FROM alerts"), len(r.mail.got()))
		})
	}
}

// past stores the quarter of an hour before the first clean minute as that minute is,
// so that boundaries have something to stand on.
func (r *troupe) past() {
	r.Helper()
	await(r, "a clean run", func() error {
		if r.count("SELECT count(*) FROM ingest_runs WHERE is_clean") == 0 {
			return errors.New("none yet")
		}
		return nil
	})
	r.exec(`
		SELECT ensure_snapshot_partitions((whalegate_now() - interval '1 day')::date, whalegate_now()::date);
		WITH clean AS (SELECT * FROM ingest_runs WHERE is_clean ORDER BY timestamp LIMIT 1), first AS (
			SELECT (SELECT min(timestamp) FROM ingest_runs) AS timestamp, clean.timestamp AS like_that, status, wallets_expected, wallet_success_count, wallet_fail_count, rows_expected, rows_written,
				coverage_pct, hype_non_null_pct, btc_non_null_pct, eth_non_null_pct, duration_ms
			FROM clean
		), runs AS (
			INSERT INTO ingest_runs (timestamp, status, wallets_expected, wallet_success_count, wallet_fail_count, rows_expected, rows_written, coverage_pct,
				hype_non_null_pct, btc_non_null_pct, eth_non_null_pct, duration_ms, finished_at)
			SELECT timestamp - n * interval '1 minute', status, wallets_expected, wallet_success_count, wallet_fail_count, rows_expected, rows_written, coverage_pct,
				hype_non_null_pct, btc_non_null_pct, eth_non_null_pct, duration_ms, timestamp - n * interval '1 minute' + interval '2 seconds'
			FROM first, generate_series(15, 1, -1) n
			RETURNING run_id, timestamp
		)
		INSERT INTO wallet_snapshots (timestamp, wallet_id, asset, position_szi, ingest_run_id)
		SELECT r.timestamp, s.wallet_id, s.asset, s.position_szi, r.run_id
		FROM runs r, first f JOIN wallet_snapshots s ON s.timestamp = f.like_that`)
}

// restless gives every boundary something to tell.
func (r *troupe) restless() {
	r.exec(`CREATE FUNCTION restless() RETURNS trigger LANGUAGE plpgsql AS $$
		BEGIN
			NEW.alignment_score := least(NEW.alignment_score, 60);
			NEW.risk_mode := 'Reduced';
			NEW.exit_cluster_score := CASE WHEN extract(epoch FROM NEW.timestamp)::bigint / 300 % 2 = 0 THEN 10 ELSE 30 END;
			RETURN NEW;
		END $$;
		CREATE TRIGGER restless BEFORE INSERT ON signals FOR EACH ROW EXECUTE FUNCTION restless()`)
}
