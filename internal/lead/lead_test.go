package lead

import (
	"context"
	"errors"
	"log/slog"
	"math"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgerrcode"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/whalegate/whalegate/internal/postgres/pgtest"
	"github.com/whalegate/whalegate/internal/postgres/server"
)

func TestMain(m *testing.M) { os.Exit(pgtest.Main(m)) }

// quick is ten times the service's pace.
var quick = DefaultPace.Faster(10)

// contender is a candidate at work.
type contender struct {
	*Candidate
	fence       *Fence
	leads       atomic.Int64 // how often its work began
	working     atomic.Bool
	reconnected atomic.Int64
	stop        func() // as a signal would, and waits for its end
}

// contend starts a candidate; it ends with the test.
func contend(t testing.TB, address string) *contender {
	t.Helper()
	return contendWith(t, address, func(*Config) {})
}

// contendWith is the same with settings of its own.
func contendWith(t testing.TB, address string, change func(*Config)) *contender {
	t.Helper()
	c := &contender{fence: &Fence{}}
	cfg := Config{
		DatabaseURL: address, Fence: c.fence, Logger: slog.New(slog.DiscardHandler), Registerer: prometheus.NewRegistry(), Pace: quick,
		Reconnected: func() { c.reconnected.Add(1) },
	}
	change(&cfg)
	c.Candidate = New(cfg)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		err := c.Run(ctx, func(ctx context.Context) error {
			c.leads.Add(1)
			c.working.Store(true)
			defer c.working.Store(false)
			<-ctx.Done()
			return nil
		})
		if err != nil {
			t.Errorf("Run: %v", err)
		}
	}()
	c.stop = sync.OnceFunc(func() { cancel(); <-done })
	t.Cleanup(c.stop)
	return c
}

// await asks until it is so.
func await(t testing.TB, what string, so func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !so(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited for %s", what)
		}
	}
}

func pool(t testing.TB, address string) *pgxpool.Pool {
	t.Helper()
	db, err := pgxpool.New(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(db.Close)
	return db
}

func run(t testing.TB, db *pgxpool.Pool, sql string, args ...any) {
	t.Helper()
	if _, err := db.Exec(t.Context(), sql, args...); err != nil {
		t.Fatal(err)
	}
}

func get[T any](t testing.TB, db *pgxpool.Pool, sql string, args ...any) (v T) {
	t.Helper()
	if err := db.QueryRow(t.Context(), sql, args...).Scan(&v); err != nil {
		t.Fatal(err)
	}
	return v
}

// may tells whether the fence lets a term write.
func may(t testing.TB, db *pgxpool.Pool, term Term) bool {
	t.Helper()
	f := &Fence{}
	f.Set(term)
	err := f.InTx(t.Context(), db, func(pgx.Tx) error { return nil })
	if err != nil && !errors.Is(err, ErrNotLeading) {
		t.Fatal(err)
	}
	return err == nil
}

// world is a database with the machine's own clock of beats.
func world(t testing.TB) (address string, db *pgxpool.Pool) {
	t.Helper()
	address = pgtest.Leaderless(t)
	db = pool(t, address)
	run(t, db, "CREATE OR REPLACE FUNCTION beat_now() RETURNS timestamptz LANGUAGE sql VOLATILE AS 'SELECT clock_timestamp()'")
	run(t, db, "DELETE FROM collector_leader")
	run(t, db, "DELETE FROM collector_beat")
	return address, db
}

func TestOfThreeThatStartAtOnceOneLeads(t *testing.T) {
	t.Parallel()
	address, db := world(t)
	three := []*contender{contend(t, address), contend(t, address), contend(t, address)}
	working := func() (n int, who *contender) {
		for _, c := range three {
			if c.working.Load() {
				n, who = n+1, c
			}
		}
		return n, who
	}
	await(t, "a leader", func() bool { n, _ := working(); return n > 0 })
	for range 100 {
		if n, _ := working(); n > 1 {
			t.Fatalf("%d lead at once", n)
		}
		time.Sleep(5 * time.Millisecond)
	}
	await(t, "two to wait", func() bool { return get[int](t, db, "SELECT cardinality(waiting) FROM collector_who()") == 2 })

	// An orderly end hands the lead over, and closes the fence.
	_, first := working()
	before := first.fence.Term()
	first.stop()
	if may(t, db, before) {
		t.Error("a collector that ended may still write")
	}
	await(t, "the next one", func() bool { n, _ := working(); return n == 1 })
	_, second := working()
	if got := second.fence.Term().Epoch; got != before.Epoch+1 {
		t.Errorf("epoch %d after %d", got, before.Epoch)
	}
}

// Whoever ends the session of the lock ends no leadership: the row still names its
// holder, who sits down again in the same epoch, and its work goes on.
func TestALeaderWhoseSessionsAreEndedSitsDownAgain(t *testing.T) {
	t.Parallel()
	address, db := world(t)
	c := contend(t, address)
	await(t, "the lead", c.working.Load)
	before := c.fence.Term()
	for round := range int64(3) {
		pid := get[int](t, db, "SELECT pid FROM collector_leader")
		run(t, db, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND application_name LIKE 'whalegate %' AND ($1 OR pid = $2)", round > 0, pid)
		await(t, "another session", func() bool {
			return c.reconnected.Load() > round && get[bool](t, db, "SELECT present AND session <> $1 FROM collector_who()", pid)
		})
	}
	if !may(t, db, before) || c.leads.Load() != 1 || !c.working.Load() {
		t.Errorf("term %v of %v, work began %d times", c.fence.Term(), before, c.leads.Load())
	}
}

func TestARowThatWasEmptiedByHandEndsTheEpoch(t *testing.T) {
	t.Parallel()
	address, db := world(t)
	c := contend(t, address)
	await(t, "the lead", c.working.Load)
	before := c.fence.Term()
	run(t, db, "DELETE FROM collector_leader")
	await(t, "a new epoch", func() bool { return c.leads.Load() == 2 && c.working.Load() })
	if after := c.fence.Term(); after.Epoch <= before.Epoch || may(t, db, before) || !may(t, db, after) {
		t.Errorf("%v after %v", after, before)
	}
	run(t, db, "DELETE FROM collector_beat")
	await(t, "a beat", func() bool {
		return get[bool](t, db, "SELECT coalesce(beat_seconds < 5, false) FROM collector_who()")
	})
	// The highest epochs that the rows can hold stop nobody either.
	for _, sql := range []string{"UPDATE collector_beat SET epoch = 1000000000000000", "UPDATE collector_leader SET epoch = 1000000000000000", "UPDATE collector_leader SET epoch = 1000000000000000, pid = NULL"} {
		before, led := c.fence.Term(), c.leads.Load()
		run(t, db, sql)
		await(t, "the lead again", func() bool { return c.leads.Load() > led && c.working.Load() && c.fence.Term() != Term{} })
		if after := c.fence.Term(); may(t, db, before) || !may(t, db, after) {
			t.Errorf("%s: %v after %v", sql, after, before)
		}
		await(t, "a beat", func() bool {
			return get[bool](t, db, "SELECT epoch = (SELECT epoch FROM collector_leader) FROM collector_beat")
		})
	}
}

// A leader that hangs holds its lock, and perhaps the row, in the middle of a
// transaction. Its successor ends both, and what it wakes up with is refused.
func TestALeaderThatHangsIsReplaced(t *testing.T) {
	t.Parallel()
	address, db := world(t)
	frozen := Term{Epoch: 5, Holder: uuid.New()}
	var sessions []*pgx.Conn
	for range 2 {
		conn, err := pgx.Connect(t.Context(), address)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close(context.Background())
		sessions = append(sessions, conn)
	}
	run(t, db, "INSERT INTO collector_leader (epoch, holder, pid, host) VALUES ($1, $2, $3, 'elsewhere')", frozen.Epoch, frozen.Holder, sessions[0].PgConn().PID())
	run(t, db, "INSERT INTO collector_beat (epoch, beats, beat_at) VALUES ($1, 1, beat_now())", frozen.Epoch)
	for i, sql := range []string{"LOCK TABLE leader_lock IN SHARE UPDATE EXCLUSIVE MODE", "SELECT check_lead(5, '" + frozen.Holder.String() + "')"} {
		for _, sql := range []string{"BEGIN", sql} {
			if _, err := sessions[i].Exec(t.Context(), sql); err != nil {
				t.Fatal(err)
			}
		}
	}
	c := contend(t, address)
	await(t, "the lead", c.working.Load)
	if got := c.fence.Term().Epoch; got != 6 {
		t.Errorf("epoch %d, want 6", got)
	}
	if may(t, db, frozen) {
		t.Error("the one that hung may write")
	}
	for i, conn := range sessions {
		if _, err := conn.Exec(t.Context(), "SELECT 1"); err == nil {
			t.Errorf("session %d of the one that hung lives", i)
		}
	}
	if tag, err := db.Exec(t.Context(), writeBeat, frozen.Epoch, frozen.Holder, nil, "", 0.0, nil, nil, 0); err != nil || tag.RowsAffected() != 0 {
		t.Errorf("its beat: %v %v", tag, err)
	}
}

// The lead passes from one to another while transactions behind the fence come and
// go: each is of one epoch, and none of an epoch that is over.
func TestFenceKeepsEpochsApart(t *testing.T) {
	t.Parallel()
	address, db := world(t)
	run(t, db, "CREATE TABLE written (n bigint GENERATED ALWAYS AS IDENTITY, epoch bigint)")
	two := []*contender{contend(t, address), contend(t, address)}
	stop := make(chan struct{})
	var writing sync.WaitGroup
	for _, c := range two {
		for range 2 {
			writing.Go(func() {
				for {
					select {
					case <-stop:
						return
					default:
					}
					term, own := c.fence.Term(), &Fence{}
					own.Set(term)
					err := own.Exec(t.Context(), db, "INSERT INTO written (epoch) SELECT epoch FROM (SELECT $1::bigint AS epoch, pg_sleep(0.002)) s", term.Epoch)
					if err != nil && !errors.Is(err, ErrNotLeading) {
						t.Error(err)
						return
					}
				}
			})
		}
	}
	for i := range 6 {
		await(t, "a leader", func() bool { return two[0].working.Load() || two[1].working.Load() })
		before := get[int64](t, db, "SELECT coalesce(max(epoch), 0) FROM written")
		await(t, "its writing", func() bool { return get[int64](t, db, "SELECT coalesce(max(epoch), 0) FROM written") > 0 })
		if i%2 == 0 {
			run(t, db, "DELETE FROM collector_leader")
		} else {
			run(t, db, "UPDATE collector_leader SET pid = NULL, holder = gen_random_uuid()")
		}
		await(t, "the next epoch", func() bool { return get[int64](t, db, "SELECT coalesce(max(epoch), 0) FROM written") > before })
	}
	close(stop)
	writing.Wait()
	if mixed := get[int](t, db, "SELECT count(*) FROM (SELECT epoch, lag(epoch) OVER (ORDER BY n) AS before FROM written) w WHERE epoch < before"); mixed != 0 {
		t.Errorf("%d rows of an epoch come after rows of a later one", mixed)
	}
	if n := get[int](t, db, "SELECT count(DISTINCT epoch) FROM written"); n < 6 {
		t.Errorf("%d epochs", n)
	}
}

// What a person set for the database ends no session that holds still on purpose, and
// makes no transaction of the lead fail.
func TestTheLeadSurvivesHostileDefaults(t *testing.T) {
	t.Parallel()
	address, _ := world(t)
	db := pool(t, address+"?search_path=public&statement_timeout=0&lock_timeout=0&default_transaction_read_only=off&idle_session_timeout=0")
	name := get[string](t, db, "SELECT current_database()")
	for _, setting := range []string{
		"idle_in_transaction_session_timeout = '50ms'", "idle_session_timeout = '50ms'", "statement_timeout = '100ms'", "lock_timeout = '10ms'",
		"default_transaction_isolation = 'serializable'", "default_transaction_read_only = on", "search_path = nowhere", "timezone = 'Asia/Kathmandu'", "DateStyle = 'German'",
	} {
		run(t, db, "ALTER DATABASE "+name+" SET "+setting)
	}
	c := contend(t, address)
	await(t, "the lead", c.working.Load)
	before := get[int64](t, db, "SELECT beats FROM collector_beat")
	await(t, "beats", func() bool { return get[int64](t, db, "SELECT beats FROM collector_beat") > before+3 })
	if c.leads.Load() != 1 || c.reconnected.Load() != 0 {
		t.Errorf("led %d times, sat down again %d times", c.leads.Load(), c.reconnected.Load())
	}
}

// Maintenance passes the lock, and the lock holds back nothing.
func TestTheLockStandsInNobodysWay(t *testing.T) {
	t.Parallel()
	address, db := world(t)
	c := contend(t, address)
	await(t, "the lead", c.working.Load)
	if held := get[bool](t, db, "SELECT backend_xmin IS NOT NULL OR backend_xid IS NOT NULL FROM pg_stat_activity WHERE pid = (SELECT pid FROM collector_leader)"); held {
		t.Error("the session of the lock holds a snapshot or a transaction id")
	}
	for _, sql := range []string{"VACUUM FULL", "VACUUM ANALYZE", "REINDEX DATABASE " + get[string](t, db, "SELECT current_database()")} {
		run(t, db, sql)
	}
	bin, err := server.Find()
	if err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(bin+"/pg_dump", "--file=/dev/null", address).CombinedOutput(); err != nil {
		t.Errorf("pg_dump: %v %s", err, out)
	}
	if c.leads.Load() != 1 || !c.working.Load() {
		t.Errorf("led %d times", c.leads.Load())
	}
}

// Nobody but the service's role can take the lock, or see or write the row.
func TestOnlyTheServicesRoleCanLead(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	for _, role := range []string{"whalegate_board", "whalegate_ops", "whalegate_watchdog"} {
		as := pgtest.As(t, db, role)
		for _, sql := range []string{
			"LOCK TABLE public.leader_lock IN SHARE UPDATE EXCLUSIVE MODE", "LOCK TABLE public.leader_lock IN ACCESS EXCLUSIVE MODE", "LOCK TABLE public.collector_leader IN ROW SHARE MODE",
			"SELECT FROM public.collector_leader FOR SHARE", "UPDATE public.collector_leader SET epoch = epoch + 1", "UPDATE public.collector_beat SET beats = beats + 1",
			"SELECT public.check_lead(1, '" + pgtest.Holder + "')", "SELECT pg_terminate_backend(l.pid) FROM pg_locks l WHERE l.relation = 'public.leader_lock'::regclass",
		} {
			err := pgx.BeginFunc(t.Context(), as, func(tx pgx.Tx) error {
				if _, err := tx.Exec(t.Context(), "SET LOCAL default_transaction_read_only = off; SET TRANSACTION READ WRITE; SET LOCAL lock_timeout = '1s'"); err != nil {
					t.Fatal(err)
				}
				_, err := tx.Exec(t.Context(), sql)
				return err
			})
			if err == nil || !strings.Contains(err.Error(), "42501") {
				t.Errorf("%s: %s: %v", role, sql, err)
			}
		}
	}
	writer := pgtest.As(t, db, "whalegate_writer")
	if _, err := writer.Exec(t.Context(), "SELECT check_lead(1, $1)", pgtest.Holder); err != nil {
		t.Error(err)
	}
}

// No function that the leader calls waits for a lock that every role may take: whoever
// knows the name of an advisory lock could keep a successor from its first minute.
func TestNoLockOfTheLeadersIsForEverybody(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	rows, err := db.Query(t.Context(), "SELECT proname::text FROM pg_proc WHERE pronamespace = 'public'::regnamespace AND prosrc ~ 'advisory'")
	if err != nil {
		t.Fatal(err)
	}
	if names, err := pgx.CollectRows(rows, pgx.RowTo[string]); err != nil || len(names) > 0 {
		t.Errorf("%v take an advisory lock, %v", names, err)
	}
	for _, role := range []string{"whalegate_board", "whalegate_ops", "whalegate_watchdog"} {
		_, err := pgtest.As(t, db, role).Exec(t.Context(), "BEGIN; SET LOCAL lock_timeout = '1s'; LOCK TABLE public.partition_lock IN ACCESS SHARE MODE; COMMIT")
		if err == nil || !strings.Contains(err.Error(), "42501") {
			t.Errorf("%s may lock what partitions are made under: %v", role, err)
		}
	}
}

// What somebody writes into the rows by hand cannot stop whoever leads next: no epoch
// or count that cannot grow, no date or age that cannot be reckoned with.
func TestRowsHoldNothingThatASuccessorCannotReckonWith(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	for table, columns := range map[string]map[string][]string{
		"collector_leader": {"epoch": {"0", "-1", "9223372036854775807", "1000000000000001", "NULL"}, "holder": {"NULL"}, "one": {"false", "NULL"}, "taken_at": {"'infinity'", "'-infinity'", "NULL"}, "backend_start": {"'infinity'"}},
		"collector_beat": {
			"epoch": {"0", "9223372036854775807", "NULL"}, "beats": {"-1", "9223372036854775807", "NULL"}, "beat_at": {"'infinity'", "'-infinity'", "NULL"},
			"run_age_seconds": {"-1", "'NaN'", "'Infinity'", "1e13"}, "one": {"false"}, "run_minute": {"'infinity'", "'-infinity'"},
			"boot_seconds": {"-1", "'-Infinity'", "'Infinity'", "'NaN'"}, "weight_left": {"'NaN'", "'Infinity'", "'-Infinity'"},
		},
	} {
		for column, values := range columns {
			for _, value := range values {
				if _, err := db.Exec(t.Context(), "UPDATE "+table+" SET "+column+" = "+value); err == nil {
					t.Errorf("%s.%s can be %s", table, column, value)
				}
			}
		}
	}
	// What they may hold at the most leads on.
	if _, err := db.Exec(t.Context(), "UPDATE collector_beat SET beats = 1000000000000000, beat_at = '200000-01-01', run_age_seconds = 1e12, boot_seconds = 1e12, weight_left = 1e12, run_minute = '200000-01-01'"); err != nil {
		t.Fatal(err)
	}
	if who, err := Read(t.Context(), db); err != nil || who.Leads {
		t.Errorf("%+v, %v", who, err)
	}
}

// A successor knows for how long nobody led: by the boot clock on the same machine, by
// having watched on another one, and else not at all.
func TestASuccessorKnowsTheAgeOfTheNewestRun(t *testing.T) {
	t.Parallel()
	age, absurd := 40.0, 1e12
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	last := seen{RunAge: &age, Run: &at, BootID: "this boot", BootTime: 100}
	for name, tt := range map[string]struct {
		boot  string
		now   float64
		found seen
		moved time.Duration // ago; 0: never seen
		want  float64       // seconds; -1: not known
	}{
		"restarted on the same machine":     {"this boot", 103, last, 0, 43},
		"an hour later":                     {"this boot", 3700, last, 0, 3640},
		"watched from another machine":      {"another", 70, last, 12 * time.Second, 52},
		"a figure that nobody can reckon":   {"this boot", 103, seen{RunAge: &absurd, Run: &at, BootID: "this boot", BootTime: 100}, 0, math.MaxInt64 / 1e9},
		"not watched":                       {"another", 7, last, 0, -1},
		"the boot clock went back":          {"this boot", 99, last, 0, -1},
		"its predecessor stored nothing":    {"this boot", 103, seen{BootID: "this boot", BootTime: 100}, 0, -1},
		"no predecessor":                    {"this boot", 103, seen{}, 0, -1},
		"a machine whose boot is not known": {"", 103, seen{RunAge: &age, Run: &at}, 0, -1},
	} {
		t.Run(name, func(t *testing.T) {
			c := New(Config{Fence: &Fence{}, Registerer: prometheus.NewRegistry()})
			c.boot = func() (string, float64) { return tt.boot, tt.now }
			w := &watch{}
			if tt.moved > 0 {
				w.moved = new(tt.now - tt.moved.Seconds())
			}
			c.inherit(tt.found, w)
			got := -1.0
			if a, minute := c.newest(); a != nil {
				if got = *a; !minute.Equal(at) {
					t.Errorf("of %s", minute)
				}
			}
			if diff := got - tt.want; diff > 1 || diff < -1 {
				t.Errorf("%v s, want %v", got, tt.want)
			}
		})
	}
}

// While a command of a person is under way, whoever leads judges nothing, and writes
// nothing if that is what the command asks for.
func TestCommandsOfPeopleHoldTheLeader(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	free := func(strength string) bool {
		t.Helper()
		_, err := db.Exec(t.Context(), "SELECT FROM collector_leader "+strength+" NOWAIT")
		var answer *pgconn.PgError
		if err != nil && (!errors.As(err, &answer) || answer.Code != pgerrcode.LockNotAvailable) {
			t.Fatal(err)
		}
		return err == nil
	}
	for name, tt := range map[string]struct {
		hold         func(context.Context, pgx.Tx) error
		judges, jobs bool
	}{"nil": {(*Fence)(nil).Check, true, true}, "by hand": {ByHand.Check, false, true}, "judging": {HoldJudging, false, true}, "writing": {HoldWriting, false, false}} {
		err := pgx.BeginFunc(t.Context(), db, func(tx pgx.Tx) error {
			if err := tt.hold(t.Context(), tx); err != nil {
				return err
			}
			if judges, jobs := free("FOR UPDATE"), free("FOR SHARE"); judges != tt.judges || jobs != tt.jobs {
				t.Errorf("%s: the leader may judge %t, write %t", name, judges, jobs)
			}
			return nil
		})
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
