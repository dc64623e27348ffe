package outbox

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/whalegate/whalegate/internal/postgres"
)

// Delivery is a row of alert_deliveries, with the alert it is of.
type Delivery struct {
	ID            int64      `json:"id"`
	AlertID       *int64     `json:"alert_id"` // nil: a test
	Asset         *string    `json:"asset"`
	AlertType     *string    `json:"alert_type"`
	Receiver      string     `json:"receiver"`
	Kind          string     `json:"kind"`
	State         string     `json:"state"`
	Attempts      int        `json:"attempts"`
	CreatedAt     time.Time  `json:"created_at"`
	NextAttemptAt *time.Time `json:"next_attempt_at"` // nil: it is not tried any more
	ExpiresAt     time.Time  `json:"expires_at"`
	DeliveredAt   *time.Time `json:"delivered_at"`
	LastError     *string    `json:"last_error"`
}

const selectDeliveries = `
	SELECT d.id, d.alert_id, a.asset, a.alert_type, d.receiver, d.kind, d.state, d.attempts, d.created_at,
		CASE WHEN d.state IN ('pending', 'unknown') THEN d.next_attempt_at END, d.expires_at, d.delivered_at, d.last_error
	FROM alert_deliveries d LEFT JOIN alerts a ON a.id = d.alert_id `

// Filter chooses deliveries; what is zero does not choose.
type Filter struct {
	ID              int64
	Receiver, State string
}

// List returns the newest deliveries, newest first.
func List(ctx context.Context, db *pgxpool.Pool, f Filter, limit int) ([]Delivery, error) {
	ctx, cancel := postgres.Reading(ctx)
	defer cancel()
	rows, err := db.Query(ctx, selectDeliveries+`WHERE $1::bigint IN (0, d.id) AND $2 IN ('', d.receiver) AND $3 IN ('', d.state) ORDER BY d.id DESC LIMIT $4`, f.ID, f.Receiver, f.State, limit)
	if err != nil {
		return nil, postgres.Because(ctx, "read deliveries", err)
	}
	list, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Delivery])
	return list, postgres.Because(ctx, "read deliveries", err)
}

const retryRows = `
	UPDATE alert_deliveries
	SET state = CASE state WHEN 'failed' THEN 'pending' ELSE state END, next_attempt_at = whalegate_now(),
		expires_at = greatest(expires_at, whalegate_now() + interval '24 hours')
	WHERE state <> 'delivered' AND $1::bigint IN (0, id) AND $2 IN ('', receiver) AND ($1 <> 0 OR state = 'failed' OR next_attempt_at > whalegate_now())
		AND (state = 'failed' OR last_attempt_at IS NULL OR last_attempt_at <= whalegate_now() - $3::interval)`

// Retry makes deliveries due now, with another day to arrive: those that failed, and
// those that wait for their next attempt. It returns how many.
func Retry(ctx context.Context, db *pgxpool.Pool, f Filter) (int64, error) {
	ctx, cancel := postgres.Writing(ctx)
	defer cancel()
	tag, err := db.Exec(ctx, retryRows, f.ID, f.Receiver, lease)
	return tag.RowsAffected(), postgres.Because(ctx, "retry deliveries", err)
}

// Depth is how much waits for a receiver.
type Depth struct {
	Receiver      string
	State         string // pending, unknown, or failed within the last day
	Rows          int
	OldestSeconds float64 // how long the oldest of the receiver that still waits has done so
}

const selectDepths = `
	SELECT receiver, state, rows, coalesce(oldest_seconds, 0)
	FROM facts.deliveries
	CROSS JOIN LATERAL (VALUES ('pending', pending), ('unknown', unknown), ('failed', failed)) AS of (state, rows)
	WHERE rows > 0
	ORDER BY receiver, state`

// Depths tells how much waits, and how much failed lately.
func Depths(ctx context.Context, db *pgxpool.Pool) ([]Depth, error) {
	ctx, cancel := postgres.Reading(ctx)
	defer cancel()
	rows, err := db.Query(ctx, selectDepths)
	if err != nil {
		return nil, postgres.Because(ctx, "count deliveries", err)
	}
	list, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Depth])
	return list, postgres.Because(ctx, "count deliveries", err)
}
