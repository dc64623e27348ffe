package engine

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/whalegate/whalegate/alerting"
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
	SELECT whalegate_now(), last_success_snapshot_ts, coalesce(clean_runs >= 2 AND snapshot_age_seconds <= 120, false)
	FROM ingest_health`

const selectSystem = `
	SELECT s.is_active, s.active_alert_id, coalesce(a.message, '')
	FROM alert_state s LEFT JOIN alerts a ON a.id = s.active_alert_id
	WHERE s.alert_type = 'system_stale' FOR UPDATE OF s`

// LookAtSystem fires or clears the system alert, when it is time. started is
// since when somebody has been looking, by the clock of the database. Several
// processes may look at once: the row is locked.
func LookAtSystem(ctx context.Context, db *pgxpool.Pool, started time.Time) (told *SystemTold, err error) {
	ctx, cancel := postgres.Writing(ctx)
	defer cancel()
	err = pgx.BeginFunc(ctx, db, func(tx pgx.Tx) error {
		told, err = lookAtSystem(ctx, tx, started)
		return err
	})
	if err != nil {
		return nil, postgres.Because(ctx, "look at the system alert", err)
	}
	return told, nil
}

func lookAtSystem(ctx context.Context, tx pgx.Tx, started time.Time) (*SystemTold, error) {
	if _, err := tx.Exec(ctx, makeStates); err != nil {
		return nil, err
	}
	var s alerting.System
	var id *int64
	var message string
	if err := tx.QueryRow(ctx, selectSystem).Scan(&s.Active, &id, &message); err != nil {
		return nil, err
	}
	o := alerting.Outlook{Started: started}
	var last *time.Time
	if err := tx.QueryRow(ctx, selectOutlook).Scan(&o.Now, &last, &o.Recovered); err != nil {
		return nil, err
	}
	if last != nil {
		o.LastSuccess = *last
	}
	_, fired, cleared := s.Step(o)
	switch {
	case fired:
		told := &SystemTold{At: o.Now.UTC(), Message: o.Message()}
		err := tx.QueryRow(ctx, insertAlert, o.Now, "SYSTEM", alerting.SystemStale, alerting.SystemStale.Severity(), told.Message, nil, "STALE", nil, false, "").Scan(&told.ID)
		if err != nil {
			return nil, err
		}
		_, err = tx.Exec(ctx, "UPDATE alert_state SET is_active = true, last_triggered = $1, active_alert_id = $2 WHERE alert_type = 'system_stale'", o.Now, told.ID)
		return told, err
	case cleared:
		told := &SystemTold{At: o.Now.UTC(), Resolved: true, Message: message}
		if id != nil {
			told.ID = *id
		}
		_, err := tx.Exec(ctx, "UPDATE alert_state SET is_active = false, active_alert_id = NULL WHERE alert_type = 'system_stale'")
		_, updateErr := tx.Exec(ctx, "UPDATE alerts SET resolved_at = $2 WHERE id = $1", id, o.Now)
		return told, errors.Join(err, updateErr)
	}
	return nil, nil
}
