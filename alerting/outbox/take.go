package outbox

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/whalegate/whalegate/alerting"
	"github.com/whalegate/whalegate/alerting/receiver"
	"github.com/whalegate/whalegate/internal/postgres"
)

// item is a row that was taken to be sent.
type item struct {
	ID       int64
	Before   string // its state before it was taken: pending, or unknown
	Attempts int    // with this one
	receiver.Notification
}

// lease is how long a taken row is nobody else's: longer than an attempt, so that
// only the row of a process that died is taken again.
const lease = time.Minute

// What a notification is made of.
const notificationColumns = `d.id, d.kind, d.idempotency_key, coalesce(a.alert_type, ''), coalesce(a.asset, 'SYSTEM'), coalesce(a.severity, 'medium'),
	coalesce(a.message, 'This is a test of the receiver ' || d.receiver || '.'), coalesce(a.timestamp, d.created_at), a.resolved_at, whalegate_now()`

// Rows that are due. An end is not told before its beginning. A row of a process
// that died while sending is due when its lease has run out.
const isDue = `d.receiver = $1 AND d.state IN ('pending', 'unknown') AND d.next_attempt_at <= whalegate_now() AND d.expires_at > whalegate_now()
	AND NOT (d.kind = 'resolved' AND EXISTS (
		SELECT FROM alert_deliveries f
		WHERE f.alert_id = d.alert_id AND f.receiver = d.receiver AND f.kind = 'firing' AND f.state IN ('pending', 'unknown') AND f.expires_at > whalegate_now()))`

// What matters most first: what is critical, then what was never tried, then what
// waits longest.
const selectDue = `
	SELECT d.id
	FROM alert_deliveries d LEFT JOIN alerts a ON a.id = d.alert_id
	WHERE ` + isDue + `
	ORDER BY (a.severity = 'critical') IS TRUE DESC, d.attempts = 0 DESC, d.next_attempt_at, d.id
	LIMIT $2`

// batch is how many rows are looked up at once: a long queue is not sorted for each
// of its rows, and what is critical does not wait for many others.
const batch = 50

// due lists the next rows of a receiver. Somebody else may take them first.
func due(ctx context.Context, db *pgxpool.Pool, name string) ([]int64, error) {
	ctx, cancel := postgres.Reading(ctx)
	defer cancel()
	rows, err := db.Query(ctx, selectDue, name, batch)
	if err != nil {
		return nil, postgres.Because(ctx, "look for deliveries", err)
	}
	list, err := pgx.CollectRows(rows, pgx.RowTo[int64])
	return list, postgres.Because(ctx, "look for deliveries", err)
}

const takeRow = `
	WITH due AS (
		SELECT d.id, d.state FROM alert_deliveries d WHERE d.id = $2 AND ` + isDue + ` FOR UPDATE OF d SKIP LOCKED
	), taken AS (
		UPDATE alert_deliveries d
		SET state = 'unknown', attempts = d.attempts + 1, last_attempt_at = whalegate_now(), next_attempt_at = whalegate_now() + $3::interval
		FROM due WHERE d.id = due.id
		RETURNING d.*, due.state AS before
	)
	SELECT d.before, d.attempts, ` + notificationColumns + `
	FROM taken d LEFT JOIN alerts a ON a.id = d.alert_id`

// take takes a row, or returns nil when it is not due any more.
func (c Config) take(ctx context.Context, name string, id int64) (*item, error) {
	ctx, cancel := postgres.Writing(ctx)
	defer cancel()
	i := &item{}
	err := c.Fence.InTx(ctx, c.Pool, func(tx pgx.Tx) error {
		return scanItem(tx.QueryRow(ctx, takeRow, name, id, lease), i, &i.Before, &i.Attempts)
	})
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, nil
	}
	return i, postgres.Because(ctx, "take a delivery", err)
}

// scanItem reads the columns of a notification after others.
func scanItem(row pgx.Row, i *item, others ...any) error {
	var ends *time.Time
	var key [16]byte
	var kind, name string
	err := row.Scan(append(others, &i.ID, &kind, &key, &name, &i.Asset, (*string)(&i.Severity), &i.Message, &i.StartsAt, &ends, &i.Now)...)
	i.Kind, i.Key, i.Type = receiver.Kind(kind), uuid.UUID(key), alerting.Type(name)
	if ends != nil {
		i.EndsAt = *ends
	}
	return err
}

// A receiver that forgets is told again what is active, and for a while what is
// over: an event that has been said, and an end.
const selectReminders = `
	SELECT d.delivered_at, ` + notificationColumns + `
	FROM alert_deliveries d JOIN alerts a ON a.id = d.alert_id
	WHERE d.receiver = $1 AND d.state = 'delivered' AND coalesce(d.reminded_at, d.delivered_at) <= whalegate_now() - $2::interval
		AND CASE
			WHEN d.kind = 'resolved' OR a.alert_type = 'regime_change' THEN d.delivered_at > whalegate_now() - $3::interval
			ELSE EXISTS (SELECT FROM alert_state s WHERE s.active_alert_id = a.id AND s.is_active)
		END
	ORDER BY d.id`

// remindEvery is the pause between two reminders of the same alert.
const remindEvery = time.Minute

// reminders lists what a receiver has to be reminded of.
func reminders(ctx context.Context, db *pgxpool.Pool, name string) ([]item, error) {
	ctx, cancel := postgres.Reading(ctx)
	defer cancel()
	rows, err := db.Query(ctx, selectReminders, name, remindEvery, receiver.RemindFor)
	if err != nil {
		return nil, postgres.Because(ctx, "look for reminders", err)
	}
	list, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (i item, err error) {
		return i, scanItem(row, &i, &i.First)
	})
	return list, postgres.Because(ctx, "look for reminders", err)
}

func (c Config) reminded(ctx context.Context, id int64) error {
	ctx, cancel := postgres.Writing(ctx)
	defer cancel()
	err := c.Fence.Exec(ctx, c.Pool, "UPDATE alert_deliveries SET reminded_at = whalegate_now() WHERE id = $1", id)
	return postgres.Because(ctx, "record a reminder", err)
}
