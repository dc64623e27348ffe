package collector

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"pgregory.net/rapid"

	"github.com/whalegate/whalegate/internal/health"
	"github.com/whalegate/whalegate/internal/health/watch"
	"github.com/whalegate/whalegate/internal/lead"
	"github.com/whalegate/whalegate/internal/postgres/pgtest"
	"github.com/whalegate/whalegate/internal/qa/check"
)

// histories is how many random histories of clocks that lie are played: 500 in
// make test, 10,000 in make soak.
var histories = flag.Int("clocks.histories", 500, "random histories of clocks that lie")

// liars is a database, a collector and two clocks, seen by somebody who knows the
// true time. The collector does what the service does, minute by minute; the rules
// under test are those of the database.
type liars struct {
	t     testing.TB
	db    *pgxpool.Pool
	conn  *pgx.Conn // sets the database's clock
	fence *lead.Fence
	store *Store

	now        time.Duration // true time since the beginning
	database   time.Duration // how far its clock is ahead of the truth
	collector  time.Duration
	upstream   Status // what the exchange gives
	unwritable bool   // the database takes no run

	alive      bool
	session    *pgx.Conn // holds the leader's lock
	last       time.Time // the minute that the collector did last, by its clock
	good       *time.Duration
	goodMinute time.Time                   // of the run that it vouches for
	refusedFor time.Time                   // the minute that was refused for the clock last, by this collector
	refusedAt  time.Duration               // when, in true time
	beat       time.Duration               // true time of the last beat
	ahead      map[time.Time]time.Duration // how far each minute that this collector knows was ahead of the truth
	own        map[time.Time]bool          // which of them it stored itself

	model ledger
	wrong string // what a commit did that it should not
	log   []string
}

// ledger is a second implementation of what is stored and what may be: it knows the
// true time of each writing.
type ledger struct {
	runs    map[time.Time]*entry // by minute
	refused time.Time            // the first minute of the open stretch of refusals; zero: none is open
}

type entry struct {
	status     Status
	finished   time.Time     // by the database's clock
	written    time.Duration // true time
	superseded bool
}

// newest is the latest minute of which a run counts, good or not as asked.
func (m *ledger) newest(good bool) (at time.Time) {
	for ts, e := range m.runs {
		if !e.superseded && ts.After(at) && (!good || e.status != Failed) {
			at = ts
		}
	}
	return at
}

func (m *ledger) supersede(after, before time.Time) {
	for ts, e := range m.runs {
		if ts.After(after) && ts.Before(before) {
			e.superseded = true
		}
	}
}

var eternity = noon.AddDate(1000, 0, 0)

// commit is what becomes of a run of a minute by the rules of health.md: "" when it is
// stored, or the check that refuses it.
func (m *ledger) commit(minute time.Time, status Status, putRight, wentBack bool, now time.Time, truth time.Duration) string {
	if ahead := minute.Sub(now); ahead > 30*time.Second || ahead < -3*time.Minute {
		if at := now.Truncate(time.Minute); m.runs[at] == nil || m.runs[at].superseded {
			m.runs[at] = &entry{Failed, now, truth, false}
		}
		return "S1"
	}
	newest, stored := m.newest(false), m.runs[minute]
	later := newest.After(minute)
	there := stored != nil && !stored.superseded
	rank := map[Status]int{Failed: 0, Partial: 1, Success: 2}
	switch {
	case m.newest(true).After(minute.Add(24 * time.Hour)), there && later:
		if m.refused.IsZero() || minute.Before(m.refused) {
			m.refused = minute
		}
		return check.ClockBack
	case there && rank[status] <= rank[stored.status]:
		return check.Worse
	case later && (wentBack || !m.refused.IsZero() && !putRight):
		if m.refused.IsZero() || minute.Before(m.refused) {
			m.refused = minute
		}
		return check.ClockBack
	}
	if newest.Before(minute) || status != Failed {
		if !m.refused.IsZero() && !putRight && !minute.After(m.refused.Add(24*time.Hour)) {
			m.supersede(m.refused.Add(-1), minute)
		}
		m.supersede(minute, eternity)
		m.refused = time.Time{}
	}
	m.runs[minute] = &entry{status, now, truth, false}
	return ""
}

// accept is a person's word that the present clock is right.
func (m *ledger) accept(now time.Time) {
	after := now
	if !m.refused.IsZero() && !m.refused.After(now) && !now.After(m.refused.Add(24*time.Hour)) {
		after = m.refused.Add(-1)
	}
	m.supersede(after, eternity)
	for _, e := range m.runs {
		e.superseded = e.superseded || e.finished.After(now)
	}
	m.refused = time.Time{}
}

// skewed tells that a run that counts finished after the clock that judges.
func (m *ledger) skewed(now time.Time) bool {
	for ts, e := range m.runs {
		if !e.superseded && (e.finished.After(now.Add(5*time.Second)) || ts.Equal(m.newest(false)) && ts.After(now.Add(time.Minute))) {
			return true
		}
	}
	return false
}

const standingClocks = `
	CREATE TABLE IF NOT EXISTS lies (now timestamptz);
	INSERT INTO lies VALUES ('2026-03-01');
	CREATE OR REPLACE FUNCTION whalegate_now() RETURNS timestamptz LANGUAGE sql VOLATILE AS 'SELECT now FROM public.lies';
	CREATE OR REPLACE FUNCTION beat_now() RETURNS timestamptz LANGUAGE sql VOLATILE AS 'SELECT now FROM public.lies'`

func newLiars(t testing.TB) *liars {
	address := pgtest.Leaderless(t)
	pool, err := pgxpool.New(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	exec(t, pool, standingClocks)
	conn, err := pgx.Connect(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	fence := &lead.Fence{}
	return &liars{t: t, db: pool, conn: conn, fence: fence, store: NewStore(pool).Behind(fence)}
}

// begin forgets the history before.
func (l *liars) begin() {
	l.crash()
	exec(l.t, l.db, "TRUNCATE ingest_runs, clock_refusals, collector_leader, collector_beat, signals, signal_cycles, alerts, superseded_boundaries CASCADE; DELETE FROM alert_state")
	*l = liars{t: l.t, db: l.db, conn: l.conn, fence: l.fence, store: l.store, upstream: Success, model: ledger{runs: map[time.Time]*entry{}}}
	l.tick()
}

func (l *liars) note(format string, args ...any) {
	l.log = append(l.log, fmt.Sprintf("%8s  ", l.now)+fmt.Sprintf(format, args...))
}

// tick shows the database its time.
func (l *liars) tick() {
	if _, err := l.conn.Exec(l.t.Context(), "UPDATE lies SET now = $1", noon.Add(l.now+l.database)); err != nil {
		l.t.Fatal(err)
	}
}

// crash ends the collector: its session ends with it.
func (l *liars) crash() {
	if l.session != nil {
		pid := l.session.PgConn().PID()
		_ = l.session.Close(context.Background())
		l.session = nil
		for gone := false; !gone; { // the server gives the lock back a moment later
			if err := l.db.QueryRow(context.Background(), "SELECT NOT EXISTS (SELECT FROM pg_locks WHERE pid = $1)", pid).Scan(&gone); err != nil {
				l.t.Fatal(err)
			}
		}
	}
	l.alive = false
}

// start takes the lead. known tells that the successor knows for how long nobody led:
// it runs on the same machine, or has watched.
func (l *liars) start(known bool) {
	l.crash()
	ctx := l.t.Context()
	session, err := pgx.Connect(ctx, l.db.Config().ConnString())
	if err != nil {
		l.t.Fatal(err)
	}
	for _, sql := range []string{"BEGIN", "LOCK TABLE leader_lock IN SHARE UPDATE EXCLUSIVE MODE"} {
		if _, err := session.Exec(ctx, sql); err != nil {
			l.t.Fatal(err)
		}
	}
	term := lead.Term{Holder: uuid.New()}
	var age *float64
	var minute *time.Time
	err = l.db.QueryRow(ctx, `
		INSERT INTO collector_leader AS l (epoch, holder, pid) VALUES (1, $1, $2)
		ON CONFLICT (one) DO UPDATE SET epoch = l.epoch + 1, holder = excluded.holder, pid = excluded.pid
		RETURNING epoch, (SELECT run_age_seconds FROM collector_beat), (SELECT run_minute FROM collector_beat)`, term.Holder, session.PgConn().PID()).Scan(&term.Epoch, &age, &minute)
	if err != nil {
		l.t.Fatal(err)
	}
	l.session, l.alive = session, true
	l.fence.Set(term)
	l.good, l.refusedFor, l.ahead, l.own = nil, time.Time{}, map[time.Time]time.Duration{}, map[time.Time]bool{}
	if known && age != nil && minute != nil {
		l.goodMinute = minute.UTC()
		l.good = new(l.beat - time.Duration(*age*float64(time.Second)))
		l.ahead[l.goodMinute] = l.goodMinute.Sub(noon.Add(*l.good))
	}
	l.doBeat()
	l.last = time.Time{}
	present := l.clock().Truncate(time.Minute)
	if done, err := l.store.Committed(ctx, present); err != nil || done {
		l.last = present
	}
}

func (l *liars) clock() time.Time { return noon.Add(l.now + l.collector) }

func (l *liars) doBeat() {
	if !l.alive {
		return
	}
	var age *float64
	var minute *time.Time
	if l.good != nil {
		age, minute = new((l.now - *l.good).Seconds()), &l.goodMinute
	}
	l.beat = l.now
	exec(l.t, l.db, `
		INSERT INTO collector_beat AS b (epoch, beats, beat_at, run_age_seconds, run_minute) VALUES ($1, 1, beat_now(), $2, $3)
		ON CONFLICT (one) DO UPDATE SET epoch = excluded.epoch, beats = b.beats + 1, beat_at = excluded.beat_at, run_age_seconds = excluded.run_age_seconds,
			run_minute = excluded.run_minute`, l.fence.Term().Epoch, age, minute)
}

// pass lets true time pass; the collector works on.
func (l *liars) pass(d time.Duration) {
	const step = 10 * time.Second
	for d > 0 {
		by := min(step, d)
		d -= by
		l.now += by
		if !l.alive {
			continue
		}
		if minute := l.clock().Truncate(time.Minute); l.due(minute) {
			l.tick()
			l.cycle(minute)
			l.last = minute
		}
	}
	l.tick()
	l.doBeat()
}

// due is the loop of Snapshots: a minute that lies a little before the last one is
// rested through.
func (l *liars) due(minute time.Time) bool {
	ahead := l.last.Sub(minute)
	return ahead < 0 || ahead >= 2*time.Minute
}

// cycle is a minute's cycle, as the service commits it.
func (l *liars) cycle(minute time.Time) {
	if l.unwritable {
		return
	}
	ctx := l.t.Context()
	run := Run{Timestamp: minute, Status: l.upstream, Expected: 1, Succeeded: 1, RowsExpected: 3, CoveragePct: 100, NonNullPct: [3]float64{100, 100, 100}}
	if l.upstream == Failed {
		run = failedRun(minute, 1, "timeout", "S3: nobody answers")
	}
	putRight := !l.refusedFor.IsZero() && minute.Sub(l.refusedFor) > l.now-l.refusedAt+2*time.Minute
	back := l.wentBack(minute)
	want := l.model.commit(minute, run.Status, putRight, back, noon.Add(l.now+l.database), l.now)
	_, err := l.store.Commit(ctx, Minute{Run: run, PutRight: putRight, WentBack: back})
	if err == nil {
		l.refusedFor = time.Time{}
		maps.DeleteFunc(l.ahead, func(at time.Time, _ time.Duration) bool { return at.After(minute) })
		maps.DeleteFunc(l.own, func(at time.Time, _ bool) bool { return at.After(minute) })
		l.own[minute] = true
		l.ahead[minute] = minute.Sub(noon.Add(l.now))
	}
	var refused *RefusedError
	var skew *clockError
	got := ""
	switch {
	case err == nil && run.Status != Failed:
		l.good, l.goodMinute = new(l.now), minute
	case err == nil:
	case errors.As(err, &refused):
		if got, err = refused.Check, nil; got == check.ClockBack {
			l.refusedFor, l.refusedAt = minute, l.now
			err = l.store.KeepRefused(ctx, minute)
		}
	case errors.As(err, &skew):
		if got, err = "S1", l.store.KeepFailed(ctx, failedRun(minute, 1, "S1", skew.Error())); errors.Is(err, errNotYet) {
			err = nil // it waits
		}
	}
	if err != nil {
		l.t.Fatal(err)
	}
	if got != want && l.wrong == "" {
		l.wrong = fmt.Sprintf("the %s run of %s: %q, want %q", run.Status, minute.Format(time.DateTime), got, want)
	}
}

// wentBack tells what the collector can know of its clock: it has stored later minutes
// itself, and the clock is further behind than at the newest minute before, if it knows
// of any.
func (l *liars) wentBack(minute time.Time) bool {
	var before time.Time
	later := false
	for at := range l.ahead {
		later = later || at.After(minute) && l.own[at]
		if at.Before(minute) && at.After(before) {
			before = at
		}
	}
	return later && (before.IsZero() || l.ahead[before]-minute.Sub(noon.Add(l.now)) > 2*time.Minute)
}

// tooOld is the age, in true time, from which no data may be called HEALTHY: two
// minutes, plus a step and a slow minute that nothing can show.
const tooOld = 4 * time.Minute

// look asks for the state and holds it against the truth.
func (l *liars) look() (violation string, state health.State) {
	h, err := watch.Read(l.t.Context(), l.db)
	if err != nil {
		l.t.Fatal(err)
	}
	l.note("%s %v", h.State, h.Reasons)
	now, newest := noon.Add(l.now+l.database), l.model.newest(true)
	switch {
	case l.wrong != "":
		return l.wrong, h.State
	case newest.IsZero() != (h.LastSuccess == nil) || h.LastSuccess != nil && !h.LastSuccess.Equal(newest):
		return fmt.Sprintf("the last success is %v, want %s", h.LastSuccess, newest), h.State
	case h.State != health.Stale && l.model.skewed(now):
		return "not STALE, and a run finished after the clock that judges", h.State
	case h.State != health.Stale && !l.model.refused.IsZero():
		return "not STALE, and minutes are refused", h.State
	case h.State == health.Healthy && !l.alive:
		return "HEALTHY, and the collector is dead", h.State
	case h.State == health.Healthy && l.now-l.model.runs[newest].written > tooOld:
		return fmt.Sprintf("HEALTHY, and the newest clean run was written %s ago in true time", l.now-l.model.runs[newest].written), h.State
	}
	return "", h.State
}

// steps are by how much a clock is set.
var steps = []time.Duration{time.Second, 8 * time.Second, 30 * time.Second, 55 * time.Second, 61 * time.Second, 150 * time.Second, 5 * time.Minute, 20 * time.Minute, time.Hour, 24 * time.Hour, 365 * 24 * time.Hour}

// act is one random thing that happens.
func (l *liars) act(rt *rapid.T) {
	switch what := rapid.SampledFrom([]string{"pass", "pass", "pass", "pass", "wait", "outlast", "step", "step", "right", "crash", "start", "start", "upstream", "unwritable", "accept"}).Draw(rt, "what"); what {
	case "pass":
		d := time.Duration(rapid.IntRange(1, 15).Draw(rt, "tens of seconds")) * 10 * time.Second
		l.pass(d)
		l.note("%s pass", d)
	case "wait":
		d := time.Duration(rapid.IntRange(2, 8).Draw(rt, "minutes")) * time.Minute
		l.pass(d)
		l.note("%s pass", d)
	case "outlast": // until the clocks are where they have been
		d := rapid.SampledFrom([]time.Duration{20 * time.Minute, time.Hour}).Draw(rt, "for") + time.Duration(rapid.IntRange(-30, 30).Draw(rt, "and tens of seconds"))*10*time.Second
		l.pass(d)
		l.note("%s pass", d)
	case "step":
		by := rapid.SampledFrom(steps).Draw(rt, "by")
		if rapid.Bool().Draw(rt, "back") {
			by = -by
		}
		which := rapid.SampledFrom([]string{"both", "both", "the database's", "the collector's"}).Draw(rt, "which")
		if which != "the collector's" {
			l.database += by
		}
		if which != "the database's" {
			l.collector += by
		}
		l.tick()
		l.note("%s clock steps by %s", which, by)
	case "right":
		l.database, l.collector = 0, 0
		l.tick()
		l.note("the clocks are put right")
	case "crash":
		l.crash()
		l.note("the collector dies")
	case "start":
		known := rapid.Bool().Draw(rt, "known")
		l.start(known)
		l.note("a collector starts; it knows for how long nobody led: %v", known)
	case "upstream":
		l.upstream = rapid.SampledFrom([]Status{Success, Success, Partial, Failed}).Draw(rt, "status")
		l.note("the exchange gives %s", l.upstream)
	case "unwritable":
		l.unwritable = rapid.IntRange(0, 2).Draw(rt, "it is") == 0
		l.note("the database takes no run: %v", l.unwritable)
	case "accept": // only somebody who knows that the clock is right says so
		if l.database == 0 {
			exec(l.t, l.db, "SELECT accept_clock('op', 'the clocks agree')")
			l.model.accept(noon.Add(l.now + l.database))
			l.note("the clock is accepted")
		}
	}
}

// play plays a random history, and returns the first violation.
func (l *liars) play(rt *rapid.T) (violation string, healthy int) {
	l.begin()
	l.database = rapid.SampledFrom([]time.Duration{0, 0, 0, 7 * time.Minute, time.Hour}).Draw(rt, "ahead from the beginning")
	l.collector = l.database
	l.tick()
	l.start(false)
	l.pass(time.Duration(rapid.IntRange(0, 20).Draw(rt, "first minutes")) * time.Minute)
	for range rapid.IntRange(5, 25).Draw(rt, "events") {
		l.act(rt)
		v, state := l.look()
		if v != "" {
			return v, healthy
		}
		if state == health.Healthy {
			healthy++
		}
	}
	return "", healthy
}

// Whatever the clocks do, HEALTHY is answered only when the newest clean run was
// written within the last four true minutes (health.md, "Alive, without a clock").
func TestNoClockFoolsHealth(t *testing.T) {
	const workers = 2
	for worker := range workers {
		t.Run(fmt.Sprint(worker), func(t *testing.T) {
			t.Parallel()
			l := newLiars(t)
			healthy := 0
			checkProperty(t, *histories/workers, func(rt *rapid.T) {
				v, n := l.play(rt)
				healthy += n
				if v != "" {
					rt.Fatalf("%s\n%s", v, strings.Join(l.log, "\n"))
				}
			})
			if healthy < *histories/workers {
				t.Errorf("HEALTHY was answered %d times in %d histories: the property says little", healthy, *histories/workers)
			}
		})
	}
}

// check runs a property so many times.
func checkProperty(t *testing.T, times int, property func(*rapid.T)) {
	t.Helper()
	must := flag.Lookup("rapid.checks")
	before := must.Value.String()
	if err := must.Value.Set(fmt.Sprint(times)); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = must.Value.Set(before) }()
	rapid.Check(t, property)
}

// Each fault of before is found by the same histories.
func TestNoClockFoolsHealthFindsPlantedFaults(t *testing.T) {
	for name, fault := range map[string][2]string{
		"future runs are hidden":    {"upto          CONSTANT timestamptz := CASE WHEN live THEN 'infinity' ELSE at END", "upto          CONSTANT timestamptz := coalesce(at, whalegate_now())"},
		"liveness is judged by age": {"IF live AND NOT standby AND NOT collector_leads() THEN", "IF false THEN"},
		"superseding is left out":   {"", "CREATE OR REPLACE FUNCTION supersede_minutes(after timestamptz, before timestamptz) RETURNS bigint LANGUAGE sql AS 'SELECT 0::bigint'"},
		"refusals are not seen":     {"IF live AND EXISTS (SELECT FROM clock_refusals c WHERE c.settled_at IS NULL) THEN", "IF false THEN"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLiars(t)
			plant(t, l.db, fault[0], fault[1])
			for range 300 {
				v := ""
				_ = rapid.Custom(func(rt *rapid.T) int { v, _ = l.play(rt); return 0 }).Example()
				if v != "" {
					return
				}
			}
			t.Error("no history shows it")
		})
	}
}

// Clocks that were an hour ahead for five minutes, and a collector that died with
// them: an hour later its runs look new. Whoever starts then leads, beats, and has
// stored nothing: the gate waits for a run of its own.
func TestRunsOfAClockThatWasAheadDoNotComeTrue(t *testing.T) {
	for name, fault := range map[string]string{
		"": "",
		"the age of runs is a beat's": `
			CREATE FUNCTION no_age() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.run_age_seconds := 0; RETURN NEW; END';
			CREATE TRIGGER no_age BEFORE INSERT OR UPDATE ON collector_beat FOR EACH ROW EXECUTE FUNCTION no_age()`,
	} {
		l := newLiars(t)
		if fault != "" {
			exec(t, l.db, fault)
		}
		l.begin()
		l.start(false)
		l.pass(5 * time.Minute)
		l.database, l.collector = time.Hour, time.Hour
		l.pass(5 * time.Minute)
		l.crash()
		l.database, l.collector = 0, 0
		l.pass(time.Hour - 40*time.Second) // its last minute, again
		l.start(false)
		found := false
		for range 18 {
			l.pass(10 * time.Second)
			v, _ := l.look()
			found = found || v != ""
		}
		if found != (fault != "") {
			t.Errorf("%q: found %v\n%s", name, found, strings.Join(l.log, "\n"))
		}
	}
}

// plant replaces text of the health function, or runs a statement.
func plant(t testing.TB, db *pgxpool.Pool, was, is string) {
	t.Helper()
	if was == "" {
		exec(t, db, is)
		return
	}
	var body string
	if err := db.QueryRow(t.Context(), "SELECT pg_get_functiondef('ingest_health_at'::regproc)").Scan(&body); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(body, was) {
		t.Fatalf("the health function has no %q", was)
	}
	exec(t, db, strings.ReplaceAll(body, was, is))
}
