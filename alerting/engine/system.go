package engine

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/whalegate/whalegate/alerting"
	"github.com/whalegate/whalegate/internal/clock"
	"github.com/whalegate/whalegate/internal/duration"
	"github.com/whalegate/whalegate/internal/postgres"
)

// SystemTold is a system alert that fired or cleared.
type SystemTold struct {
	ID       int64
	At       time.Time
	Resolved bool
	Message  string
}

// The recovery of health, on the runs alone: the alert itself holds the state
// down.
const selectOutlook = `
	SELECT whalegate_now(), last_success_snapshot_ts, coalesce(clean_runs >= 2 AND snapshot_age_seconds <= 120 AND NOT reasons && '{clock_skew,clock_back,replica_lag}', false),
		reasons && '{clock_skew,clock_back}', v.seconds,
		coalesce((SELECT announced_seconds FROM account_search WHERE ended_at IS NULL), 0)
	FROM ingest_health h LEFT JOIN vouched() v ON v.minute >= h.last_success_snapshot_ts`

// jumped is how much older a run must look than its leader counts for a clock to have
// jumped. A run may look older by up to two minutes: its age counts from its minute.
const jumped = 3 * time.Minute

const selectSystem = `
	SELECT s.is_active, s.active_alert_id, coalesce(a.message, '')
	FROM alert_state s LEFT JOIN alerts a ON a.id = s.active_alert_id
	WHERE s.alert_type = 'system_stale' FOR UPDATE OF s`

// The last success as it stood at an instant.
const selectSuccessBefore = "SELECT max(timestamp) FROM ingest_runs WHERE status <> 'failed' AND NOT superseded AND finished_at <= $1"

// LookAtSystem fires or clears the system alert, when it is time. started is
// since when somebody has been looking, by the clock of the database. asOf, when
// not zero, is an instant that nobody could look at: what would have fired then
// fires now, unless it has been dealt with. Several processes may look at once:
// the row is locked.
//
// A clock that is wrong cannot tell how long it has been: wrong counts that, on
// the caller's own monotonic clock.
func (r Rules) LookAtSystem(ctx context.Context, started, asOf time.Time, wrong *ClockTrouble) (told *SystemTold, err error) {
	ctx, cancel := postgres.Writing(ctx)
	defer cancel()
	err = r.Fence.InTx(ctx, r.Pool, func(tx pgx.Tx) error {
		told, err = r.lookAtSystem(ctx, tx, started, asOf, wrong)
		return err
	})
	if err != nil {
		return nil, postgres.Because(ctx, "look at the system alert", err)
	}
	return told, nil
}

// ClockTrouble counts for how long health has said that a clock is wrong, on the
// monotonic clock of whoever looks.
type ClockTrouble struct {
	Clock clock.Clock
	since time.Time // zero: no clock is wrong

	shown    time.Time // what the database's clock showed at the last look,
	shownAt  time.Time // and when that was
	jumpedAt time.Time // when it was seen to have gone ahead at once
}

// settling is for how long, in real time, nobody believes the age of a run after the
// clock of the database has gone ahead at once: the next beat tells how old it is.
const settling = 5 * time.Second

// settles takes in what the clock of the database shows, and tells whether it has just
// gone ahead at once.
func (c *ClockTrouble) settles(now time.Time) bool {
	if c == nil {
		return false
	}
	at := time.Now()
	if !c.shown.IsZero() && now.Sub(c.shown) > c.Clock.Elapsed(at.Sub(c.shownAt))+jumped {
		c.jumpedAt = at
	}
	c.shown, c.shownAt = now, at
	return !c.jumpedAt.IsZero() && at.Sub(c.jumpedAt) < settling
}

// lasts takes in a look and tells how long it has been so, in time of Clock.
func (c *ClockTrouble) lasts(wrong bool) time.Duration {
	switch {
	case c == nil:
		return 0
	case !wrong:
		c.since = time.Time{}
		return 0
	case c.since.IsZero():
		c.since = time.Now()
	}
	return c.Clock.Elapsed(time.Since(c.since))
}

// Rehearse does what LookAtSystem would, and takes it back: whether it could be
// written. A database may answer and have no room.
func (r Rules) Rehearse(ctx context.Context, started, asOf time.Time) error {
	ctx, cancel := postgres.Writing(ctx)
	defer cancel()
	err := r.Fence.InTx(ctx, r.Pool, func(tx pgx.Tx) error {
		if _, err := r.lookAtSystem(ctx, tx, started, asOf, nil); err != nil {
			return err
		}
		return errRehearsed
	})
	if errors.Is(err, errRehearsed) {
		return nil
	}
	return postgres.Because(ctx, "see whether the system alert can be written", err)
}

var errRehearsed = errors.New("rehearsed")

// remembered is the system alert as it stands, locked.
type remembered struct {
	active  bool
	id      *int64 // of the alert
	message string
}

func lockSystem(ctx context.Context, tx pgx.Tx) (m remembered, err error) {
	if _, err := tx.Exec(ctx, makeStates); err != nil {
		return m, err
	}
	err = tx.QueryRow(ctx, selectSystem).Scan(&m.active, &m.id, &m.message)
	return m, err
}

func (r Rules) lookAtSystem(ctx context.Context, tx pgx.Tx, started, asOf time.Time, wrong *ClockTrouble) (*SystemTold, error) {
	m, err := lockSystem(ctx, tx)
	if err != nil {
		return nil, err
	}
	o := alerting.Outlook{Started: started}
	var last *time.Time
	var clockWrong bool
	var vouched *float64
	var announced float64
	if err := tx.QueryRow(ctx, selectOutlook).Scan(&o.Now, &last, &o.Recovered, &clockWrong, &vouched, &announced); err != nil {
		return nil, err
	}
	o.Announced = duration.Seconds(announced)
	if vouched != nil {
		// A clock that jumped makes a run look old that the leader stored just now.
		if by := o.Now.Add(-duration.Seconds(*vouched)); last.Before(by.Add(-jumped)) {
			last, clockWrong = &by, true
		}
	}
	o.ClockWrong = wrong.lasts(clockWrong)
	if wrong.settles(o.Now) && !m.active {
		return nil, nil
	}
	if !asOf.IsZero() && !m.active && !o.Recovered {
		o.Now = asOf
		if err := tx.QueryRow(ctx, selectSuccessBefore, asOf).Scan(&last); err != nil {
			return nil, err
		}
	}
	if last != nil {
		o.LastSuccess = *last
	}
	s := alerting.System{Active: m.active}
	_, fired, cleared := s.Step(o)
	switch {
	case fired:
		told := &SystemTold{At: o.Now.UTC(), Message: o.Message()}
		if told.ID, err = activate(ctx, tx, o.Now, told.Message); err != nil {
			return nil, err
		}
		return told, r.Outbox.Fired(ctx, tx, told.ID, alerting.SystemStale.Severity())
	case cleared:
		told := &SystemTold{At: o.Now.UTC(), Resolved: true, Message: m.message}
		if _, err := tx.Exec(ctx, "UPDATE alert_state SET is_active = false, active_alert_id = NULL WHERE alert_type = 'system_stale'"); err != nil || m.id == nil {
			return told, err // an active state without its alert: somebody deleted it, and there is nobody to tell
		}
		told.ID = *m.id
		if _, err := tx.Exec(ctx, "UPDATE alerts SET resolved_at = $2 WHERE id = $1", m.id, o.Now); err != nil {
			return nil, err
		}
		return told, r.Outbox.Cleared(ctx, tx, told.ID)
	}
	return nil, nil
}

// activate stores the system alert as active.
func activate(ctx context.Context, tx pgx.Tx, at time.Time, message string) (id int64, err error) {
	err = tx.QueryRow(ctx, insertAlert, at, "SYSTEM", alerting.SystemStale, alerting.SystemStale.Severity(), message, nil, "STALE", nil, false, "").Scan(&id)
	if err == nil {
		_, err = tx.Exec(ctx, "UPDATE alert_state SET is_active = true, last_triggered = $1, active_alert_id = $2 WHERE alert_type = 'system_stale'", at, id)
	}
	return id, err
}

// Adopt makes what was said without the database a stored alert: active since at,
// unless one is active already. record is called in the same transaction with the
// alert that is active then.
func (r Rules) Adopt(ctx context.Context, at time.Time, message string, record func(ctx context.Context, tx pgx.Tx, alert int64) error) error {
	ctx, cancel := postgres.Writing(ctx)
	defer cancel()
	err := pgx.BeginFunc(ctx, r.Pool, func(tx pgx.Tx) error {
		m, err := lockSystem(ctx, tx)
		if err != nil {
			return err
		}
		if m.id == nil || !m.active {
			id, err := activate(ctx, tx, at, message)
			if err != nil {
				return err
			}
			m.id = &id
		}
		return record(ctx, tx, *m.id)
	})
	return postgres.Because(ctx, "adopt the system alert", err)
}
