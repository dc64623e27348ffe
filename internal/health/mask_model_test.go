package health_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/whalegate/whalegate/internal/health"
	"github.com/whalegate/whalegate/internal/postgres"
	"github.com/whalegate/whalegate/internal/postgres/pgtest"
)

// maskModel judges as the tables of docs/health.md say, by going through time
// and remembering: STALE stays until recovery holds. It starts from the stored
// runs and halts each time, because a clock that goes back makes it forget what
// it had seen.
type maskModel struct {
	runs        []maskRun
	halts       []maskHalt
	systemStale bool
	leaderless  bool        // the session that held the leader's lock is gone
	settled     []time.Time // when runs were superseded
	refused     time.Time   // the earliest minute refused because the clock had shown it before; zero: none since the last good one
}

type maskRun struct {
	minute, finished time.Time
	status           string
	coverage         float64
	nonNull          [3]float64
	superseded       bool
}

type maskHalt struct{ from, to time.Time } // to is zero while it is in force

func (r maskRun) clean() bool { return r.status != "failed" && r.coverage >= 90 }

// since is from when a run's age counts: the earlier of its minute and its end.
func (r maskRun) since() time.Time {
	if r.finished.Before(r.minute) {
		return r.finished
	}
	return r.minute
}

// betterThan compares two readings of a minute: by status, then coverage, then NULLs.
func (r maskRun) betterThan(o maskRun) bool {
	rank := map[string]int{"partial": 1, "success": 2}
	if rank[r.status] != rank[o.status] {
		return rank[r.status] > rank[o.status]
	}
	if r.coverage != o.coverage {
		return r.coverage > o.coverage
	}
	return r.nonNull[0]+r.nonNull[1]+r.nonNull[2] > o.nonNull[0]+o.nonNull[1]+o.nonNull[2]
}

// current are the runs that are not superseded, by minute.
func (m *maskModel) current() (runs []maskRun) {
	for _, r := range m.runs {
		if !r.superseded {
			runs = append(runs, r)
		}
	}
	slices.SortFunc(runs, func(a, b maskRun) int { return a.minute.Compare(b.minute) })
	return runs
}

func (m *maskModel) supersede(at time.Time, which func(maskRun) bool) {
	marked := false
	for i := range m.runs {
		if !m.runs[i].superseded && which(m.runs[i]) {
			m.runs[i].superseded, marked = true, true
		}
	}
	if marked {
		m.pullBack(at)
		m.settled = append(m.settled, at)
	}
}

// pullBack gives what was dated later than the present the present.
func (m *maskModel) pullBack(at time.Time) {
	for i, t := range m.settled {
		if t.After(at) {
			m.settled[i] = at
		}
	}
	for i := range m.halts {
		if h := &m.halts[i]; h.from.After(at) {
			h.from = at
		}
		if h := &m.halts[i]; h.to.After(at) {
			h.to = at
		}
	}
}

// admit stores a run where it may be stored, and says why not: never over something
// as good, never over what is not the newest, never over what a signal has judged. A
// good minute supersedes whatever is stored with a later date.
func (m *maskModel) admit(r maskRun, judged bool) (refusal string) {
	runs := m.current()
	if n := len(runs); n > 0 && !runs[n-1].minute.Before(r.minute) {
		for _, o := range runs {
			switch {
			case o.status != "failed" && o.minute.Sub(r.minute) > 24*time.Hour:
				return "clock_back"
			case !o.minute.Equal(r.minute):
			case !runs[n-1].minute.Equal(r.minute):
				return "clock_back"
			case !r.betterThan(o) || judged:
				return "worse"
			}
		}
		if runs[n-1].minute.After(r.minute) && !m.refused.IsZero() {
			return "clock_back" // the clock is among minutes that it has shown, gap or not
		}
		if r.status != "failed" {
			m.supersede(r.minute, func(o maskRun) bool { return o.minute.After(r.minute) || m.wasRefused(o.minute) })
			m.refused = time.Time{}
		}
	} else {
		m.supersede(r.minute, func(o maskRun) bool { return m.wasRefused(o.minute) })
		m.refused = time.Time{}
	}
	m.runs = slices.DeleteFunc(m.runs, func(o maskRun) bool { return o.minute.Equal(r.minute) })
	m.runs = append(m.runs, r)
	return ""
}

// wasRefused tells that the clock has shown a minute twice, or any before it.
func (m *maskModel) wasRefused(minute time.Time) bool {
	return !m.refused.IsZero() && !minute.Before(m.refused)
}

// at is the state at now. The system alert counts only while it is active, for it
// has no history, and a halt that is in force is so whatever the clock says. Who
// leads is seen now, and a run from the future is never hidden.
func (m *maskModel) at(now time.Time) health.State {
	current := m.current()
	var seen []maskRun // by minute
	next := slices.Clone(current)
	slices.SortFunc(next, func(a, b maskRun) int { return a.finished.Compare(b.finished) })
	latched := true // a new database has to earn its first state too
	var stale, degraded, recovery bool
	for _, instant := range m.instants(now) {
		for len(next) > 0 && (!next[0].finished.After(instant) || instant.Equal(now)) {
			i, _ := slices.BinarySearchFunc(seen, next[0].minute, func(r maskRun, t time.Time) int { return r.minute.Compare(t) })
			seen = slices.Insert(seen, i, next[0])
			next = next[1:]
		}
		stale, degraded, recovery = judge(seen, instant)
		stale = stale || slices.ContainsFunc(m.halts, func(h maskHalt) bool {
			return !h.from.After(instant) && (h.to.IsZero() || h.to.After(instant) && !instant.Equal(now))
		})
		// A resume that is dated later than now is one all the same, and has to be recovered from.
		latched = latched || slices.ContainsFunc(m.halts, func(h maskHalt) bool { return !h.from.After(instant) && h.to.After(instant) })
		// Of a clock that was wrong only minutes stored since help to recover.
		for _, t := range m.settled {
			if !t.After(instant) && recovery {
				recovery = !seen[len(seen)-2].finished.Before(t)
			}
			stale = stale || t.Equal(instant) && !recovery
		}
		latched = stale || latched && !recovery
	}
	skewed := slices.ContainsFunc(current, func(r maskRun) bool { return r.finished.After(now.Add(5 * time.Second)) })
	switch {
	case latched, m.systemStale, m.halted(), skewed, !m.refused.IsZero():
		return health.Stale
	case degraded, m.leaderless:
		return health.Degraded
	}
	return health.Healthy
}

func (m *maskModel) halted() bool {
	return slices.ContainsFunc(m.halts, func(h maskHalt) bool { return h.to.IsZero() })
}

// instants are those up to now at which anything may begin to be true.
func (m *maskModel) instants(now time.Time) []time.Time {
	instants := []time.Time{now}
	for _, r := range m.current() {
		instants = append(instants, r.finished,
			r.since().Add(10*time.Minute+time.Microsecond), // too old
			r.minute.Add(-time.Minute))                     // no longer from the future
	}
	for _, h := range m.halts {
		instants = append(instants, h.from)
		if !h.to.IsZero() {
			instants = append(instants, h.to)
		}
	}
	instants = append(instants, m.settled...)
	instants = slices.DeleteFunc(instants, func(t time.Time) bool { return t.After(now) })
	slices.SortFunc(instants, time.Time.Compare)
	return slices.CompactFunc(instants, time.Time.Equal)
}

// judge looks at one instant alone: what makes it STALE, what DEGRADED, and
// whether recovery holds if nothing makes it STALE.
func judge(seen []maskRun, now time.Time) (stale, degraded, recovery bool) {
	if len(seen) == 0 {
		return true, false, false
	}
	newest := seen[len(seen)-1]
	var lastGood time.Time
	for _, r := range slices.Backward(seen) {
		if r.status != "failed" {
			lastGood = r.since()
			break
		}
	}
	age, least := now.Sub(lastGood), slices.Min(newest.nonNull[:])
	stale = age > 10*time.Minute || newest.status == "failed" || newest.coverage < 80 || least < 60 || newest.minute.After(now.Add(time.Minute))
	degraded = age > 2*time.Minute || newest.coverage < 90 || least < 80
	if len(seen) > 1 {
		before := seen[len(seen)-2]
		recovery = newest.clean() && before.clean() && newest.minute.Sub(before.minute) == time.Minute && age <= 2*time.Minute
	}
	return stale, degraded, recovery
}

// What follows is done to the database and to the model alike.

// run stores the run of the minute that begins next, ended some time after. Only a
// collector that leads does.
func (w *walk) run(status string, coverage float64, nonNull [3]float64, after time.Duration) error {
	if err := w.lead(); err != nil {
		return err
	}
	minute := w.now.Truncate(time.Minute)
	if runs := w.model.current(); len(runs) > 0 && runs[len(runs)-1].minute.Equal(minute) && w.rng.IntN(8) > 0 {
		minute = minute.Add(time.Minute)
	}
	if ended := minute.Add(after); ended.After(w.now) {
		w.now = ended
	}
	return w.store(maskRun{minute, w.now, status, coverage, nonNull, false})
}

func (w *walk) fromTheFuture() error {
	minute := w.now.Truncate(time.Minute).Add(time.Duration(1+w.rng.IntN(4)) * time.Minute)
	return w.store(maskRun{minute, w.now, "success", 100, full, false})
}

// refusals are the codes of admit_minute.
var refusals = map[string]string{"WG003": "clock_back", "WG004": "worse"}

// store has a run admitted, by a clock that shows its minute, and stores it.
func (w *walk) store(r maskRun) error {
	// No two runs end at once: of such a pair the rules could not say which was the newest.
	for slices.ContainsFunc(w.model.runs, func(o maskRun) bool { return o.finished.Equal(r.finished) }) {
		w.now = w.now.Add(time.Second)
		r.finished = w.now
	}
	var judged bool
	if err := w.db.QueryRow(w.t.Context(), "SELECT EXISTS (SELECT FROM signals WHERE timestamp >= $1)", r.minute).Scan(&judged); err != nil {
		return err
	}
	pgtest.SetClock(w.t, w.db, r.minute.Format(time.RFC3339))
	var answer *pgconn.PgError
	err := w.exec("SELECT admit_minute($1, $2, $3, $4, false, false)", r.minute, r.status, r.coverage, r.nonNull[0]+r.nonNull[1]+r.nonNull[2])
	refusal := ""
	if errors.As(err, &answer) && refusals[answer.Code] != "" {
		refusal, err = refusals[answer.Code], nil
	}
	if err != nil {
		return err
	}
	want := w.model.admit(r, judged)
	w.note("run %s %s %v %v: %s", r.minute.Format(time.TimeOnly), r.status, r.coverage, r.nonNull, cmp.Or(want, "stored"))
	switch {
	case refusal != want:
		return fmt.Errorf("the database refuses the minute with %q, the model with %q", refusal, want)
	case refusal == "clock_back":
		if w.refused++; w.model.refused.IsZero() || r.minute.Before(w.model.refused) {
			w.model.refused = r.minute
		}
		return w.exec("SELECT refuse_minute($1)", r.minute)
	case refusal != "":
		return nil
	}
	if err := w.exec("DELETE FROM ingest_runs WHERE timestamp = $1", r.minute); err != nil {
		return err
	}
	store(w.t, w.db, run{r.minute.Sub(noon).String(), r.status, r.coverage, r.nonNull, r.finished.Sub(noon).String()})
	return nil
}

// accept is an operator's word that the present clock is right.
func (w *walk) accept() error {
	w.note("the clock is accepted")
	w.model.pullBack(w.now)
	w.model.supersede(w.now, func(r maskRun) bool {
		return r.minute.After(w.now) || r.finished.After(w.now) || w.model.wasRefused(r.minute)
	})
	w.model.refused = time.Time{}
	pgtest.SetClock(w.t, w.db, w.now.Format(time.RFC3339))
	return w.exec("SELECT accept_clock('op', 'looked at a watch')")
}

// lead takes the leader's lock where nobody holds it.
func (w *walk) lead() error {
	if !w.model.leaderless {
		return nil
	}
	conn, err := pgx.Connect(w.t.Context(), w.db.Config().ConnString())
	for _, sql := range []string{"UPDATE collector_leader SET pid = pg_backend_pid()", "BEGIN", "LOCK TABLE leader_lock IN SHARE UPDATE EXCLUSIVE MODE"} {
		if err == nil {
			_, err = conn.Exec(w.t.Context(), sql)
		}
	}
	if err != nil {
		return err
	}
	w.t.Cleanup(func() { _ = conn.Close(context.Background()) })
	w.model.leaderless = false
	return nil
}

func (w *walk) halt() error {
	if w.model.halted() {
		return nil
	}
	w.note("halt")
	w.model.halts = append(w.model.halts, maskHalt{from: w.now})
	return w.exec("INSERT INTO halts (halted_at, halted_by, reason) VALUES ($1, 'a', 'b')", w.now)
}

func (w *walk) resume() error {
	if !w.model.halted() {
		return nil
	}
	last := &w.model.halts[len(w.model.halts)-1]
	last.to = w.now
	if !w.now.After(last.from) { // the clock went back; a resume is never before its halt
		last.to = last.from.Add(time.Second)
	}
	w.note("resume at %s", last.to.Format(time.TimeOnly))
	return w.exec("UPDATE halts SET resumed_at = $1, resumed_by = 'c', cause = 'd', actions = 'e' WHERE resumed_at IS NULL", last.to)
}

func (w *walk) systemAlert(active bool) error {
	w.note("system alert: %t", active)
	w.model.systemStale = active
	return w.exec(`INSERT INTO alert_state (asset, alert_type, is_active) VALUES ('SYSTEM', 'system_stale', $1)
		ON CONFLICT (asset, alert_type) DO UPDATE SET is_active = excluded.is_active`, active)
}

// restart ends every session, once in a while from the server's side, and waits until
// they are gone.
func (w *walk) restart() error {
	w.note("restart")
	if w.rng.IntN(2) == 0 {
		w.model.leaderless = true
		if err := w.exec("SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"); err != nil {
			return err
		}
	}
	address := w.db.Config().ConnString()
	w.board.Close()
	w.db.Close()
	db, err := postgres.Open(w.t.Context(), address, "test")
	if err != nil {
		return err
	}
	w.t.Cleanup(db.Close)
	w.db, w.board = db, pgtest.As(w.t, db, "whalegate_board")
	return nil
}

// forget drops what ended three hours ago, for a walk that does not become
// slower with every step.
func (w *walk) forget() error {
	before := w.now.Add(-3 * time.Hour)
	w.model.runs = slices.DeleteFunc(w.model.runs, func(r maskRun) bool { return r.minute.Before(before) })
	w.model.halts = slices.DeleteFunc(w.model.halts, func(h maskHalt) bool { return !h.to.IsZero() && h.to.Before(before) })
	if err := w.exec("DELETE FROM ingest_runs WHERE timestamp < $1", before); err != nil {
		return err
	}
	return w.exec("DELETE FROM halts WHERE resumed_at < $1", before)
}

// refill keeps signals and alerts of the last boundaries in the database,
// whatever the state: that they are there must not be enough to be seen.
func (w *walk) refill() error {
	batch := &pgx.Batch{}
	const boundaries = `(SELECT b, a FROM generate_series(date_bin('5 minutes', $1::timestamptz, 'epoch') - interval '10 minutes', $1, '5 minutes') b,
		unnest('{HYPE,BTC,ETH}'::text[]) a) AS n (b, a)`
	batch.Queue("DELETE FROM signals WHERE timestamp NOT BETWEEN $1::timestamptz - interval '20 minutes' AND $1::timestamptz + interval '10 minutes'", w.now)
	batch.Queue("DELETE FROM alerts WHERE timestamp NOT BETWEEN $1::timestamptz - interval '20 minutes' AND $1::timestamptz + interval '10 minutes'", w.now)
	batch.Queue("INSERT INTO signals SELECT b, a, 77.25, 'rising', 30, 10, 'Long-only', 'Normal', true, false, 200, 0, 0, false, NULL, 1 FROM "+boundaries+" ON CONFLICT DO NOTHING", w.now)
	batch.Queue("INSERT INTO signal_contributors SELECT b, a, 50, 0, 50, 0, 100, 0, 100, 0, 200 FROM "+boundaries+" ON CONFLICT DO NOTHING", w.now)
	batch.Queue("INSERT INTO signal_positioning SELECT b, a, 5, 100, 50, 50, 20 FROM "+boundaries+" ON CONFLICT DO NOTHING", w.now)
	batch.Queue(`INSERT INTO alerts (timestamp, asset, alert_type, severity, message, signal_snapshot, health_state)
		SELECT b, a, 'exit_cluster', 'high', 'exit cluster', '{"is_degraded": false}', 'HEALTHY' FROM `+boundaries+`
		WHERE NOT EXISTS (SELECT FROM alerts e WHERE e.timestamp = b AND e.asset = a AND NOT e.superseded)`, w.now)
	batch.Queue(`INSERT INTO alert_state (asset, alert_type, is_active) VALUES ('BTC', 'exit_cluster', true) ON CONFLICT DO NOTHING`)
	return w.db.SendBatch(w.t.Context(), batch).Close()
}

func (w *walk) exec(sql string, args ...any) error {
	_, err := w.db.Exec(w.t.Context(), sql, args...)
	return err
}
