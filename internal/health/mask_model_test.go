package health_test

import (
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

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
}

type maskRun struct {
	minute, finished time.Time
	status           string
	coverage         float64
	nonNull          [3]float64
}

type maskHalt struct{ from, to time.Time } // to is zero while it is in force

func (r maskRun) clean() bool { return r.status != "failed" && r.coverage >= 90 }

// at is the state at now. The system alert counts only while it is active, for it
// has no history, and a halt that is in force is so whatever the clock says.
func (m *maskModel) at(now time.Time) health.State {
	var seen []maskRun // by minute
	next := slices.Clone(m.runs)
	slices.SortFunc(next, func(a, b maskRun) int { return a.finished.Compare(b.finished) })
	latched := true // a new database has to earn its first state too
	var stale, degraded, recovery bool
	for _, instant := range m.instants(now) {
		for len(next) > 0 && !next[0].finished.After(instant) {
			i, _ := slices.BinarySearchFunc(seen, next[0].minute, func(r maskRun, t time.Time) int { return r.minute.Compare(t) })
			seen = slices.Insert(seen, i, next[0])
			next = next[1:]
		}
		stale, degraded, recovery = judge(seen, instant)
		stale = stale || slices.ContainsFunc(m.halts, func(h maskHalt) bool {
			return !h.from.After(instant) && (h.to.IsZero() || h.to.After(instant))
		})
		latched = stale || latched && !recovery
	}
	switch {
	case latched, m.systemStale, m.halted():
		return health.Stale
	case degraded:
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
	for _, r := range m.runs {
		instants = append(instants, r.finished,
			r.minute.Add(10*time.Minute+time.Microsecond), // too old
			r.minute.Add(-time.Minute))                    // no longer from the future
	}
	for _, h := range m.halts {
		instants = append(instants, h.from)
		if !h.to.IsZero() {
			instants = append(instants, h.to)
		}
	}
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
			lastGood = r.minute
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

// run stores the run of the minute that begins next, ended some time after.
func (w *walk) run(status string, coverage float64, nonNull [3]float64, after time.Duration) error {
	minute := w.now.Truncate(time.Minute)
	if w.has(minute) {
		minute = minute.Add(time.Minute)
	}
	if ended := minute.Add(after); ended.After(w.now) {
		w.now = ended
	}
	return w.store(maskRun{minute, w.now, status, coverage, nonNull})
}

func (w *walk) fromTheFuture() error {
	minute := w.now.Truncate(time.Minute).Add(time.Duration(1+w.rng.IntN(4)) * time.Minute)
	return w.store(maskRun{minute, w.now, "success", 100, full})
}

func (w *walk) has(minute time.Time) bool {
	return slices.ContainsFunc(w.model.runs, func(r maskRun) bool { return r.minute.Equal(minute) })
}

func (w *walk) store(r maskRun) error {
	if w.has(r.minute) {
		w.note("the minute is there already")
		return nil
	}
	// No two runs end at once: of such a pair the rules could not say which was the newest.
	for slices.ContainsFunc(w.model.runs, func(o maskRun) bool { return o.finished.Equal(r.finished) }) {
		w.now = w.now.Add(time.Second)
		r.finished = w.now
	}
	w.note("run %s %s %v %v", r.minute.Format(time.TimeOnly), r.status, r.coverage, r.nonNull)
	w.model.runs = append(w.model.runs, r)
	store(w.t, w.db, run{r.minute.Sub(noon).String(), r.status, r.coverage, r.nonNull, r.finished.Sub(noon).String()})
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

// restart ends every session, once in a while from the server's side.
func (w *walk) restart() error {
	w.note("restart")
	if w.rng.IntN(2) == 0 {
		if err := w.exec("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"); err != nil {
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
		WHERE NOT EXISTS (SELECT FROM alerts e WHERE e.timestamp = b AND e.asset = a)`, w.now)
	batch.Queue(`INSERT INTO alert_state (asset, alert_type, is_active) VALUES ('BTC', 'exit_cluster', true) ON CONFLICT DO NOTHING`)
	return w.db.SendBatch(w.t.Context(), batch).Close()
}

func (w *walk) exec(sql string, args ...any) error {
	_, err := w.db.Exec(w.t.Context(), sql, args...)
	return err
}
