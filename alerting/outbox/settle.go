package outbox

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/whalegate/whalegate/alerting/receiver"
	"github.com/whalegate/whalegate/internal/postgres"
)

// Pauses between two attempts: doubled each time, up to a few a quarter of an hour
// for the rest of the day.
const (
	firstPause   = 5 * time.Second
	longestPause = 10 * time.Minute
)

// Pause is how long to wait after so many attempts. chance in [0, 1) spreads it by a
// fifth either way, so that what failed together does not come back together.
func Pause(attempts int, chance float64) time.Duration {
	d := longestPause
	if shift := attempts - 1; shift < 8 {
		d = min(firstPause<<max(shift, 0), longestPause)
	}
	return time.Duration(float64(d) * (0.8 + 0.4*chance))
}

const settleRow = `
	UPDATE alert_deliveries
	SET state = $2, last_error = $3, delivered_at = CASE WHEN $2 = 'delivered' THEN whalegate_now() END, next_attempt_at = whalegate_now() + $4::interval
	WHERE id = $1 AND state <> 'delivered'
	RETURNING coalesce(extract(epoch FROM delivered_at - created_at), 0)::float8`

// settle records what came of an attempt. A row of which it was once unknown
// whether it arrived stays so until it is delivered: a later refusal says nothing
// of the earlier request. seconds is how long a delivery took since its intent.
func (c Config) settle(ctx context.Context, i *item, r receiver.Result) (seconds float64, err error) {
	ctx, cancel := postgres.Writing(ctx)
	defer cancel()
	state := map[receiver.Outcome]string{receiver.Delivered: "delivered", receiver.Retry: i.Before, receiver.Unknown: "unknown", receiver.Failed: "failed"}[r.Outcome]
	var why *string
	if r.Err != nil {
		why = new(r.Err.Error())
	}
	err = c.Fence.InTx(ctx, c.Pool, func(tx pgx.Tx) error {
		return tx.QueryRow(ctx, settleRow, i.ID, state, why, max(Pause(i.Attempts, rand.Float64()), r.After)).Scan(&seconds)
	})
	if errors.Is(err, pgx.ErrNoRows) { // delivered by another process meanwhile, or deleted
		return 0, nil
	}
	return seconds, postgres.Because(ctx, "record a delivery", err)
}

// Once a receiver answers again, what waits for it waits no longer. A row that
// somebody is sending is left to them.
const hastenRows = `
	UPDATE alert_deliveries SET next_attempt_at = whalegate_now()
	WHERE receiver = $1 AND state IN ('pending', 'unknown') AND next_attempt_at > whalegate_now() AND (last_attempt_at IS NULL OR last_attempt_at <= whalegate_now() - $2::interval)`

func (c Config) hasten(ctx context.Context, name string) error {
	ctx, cancel := postgres.Writing(ctx)
	defer cancel()
	err := c.Fence.Exec(ctx, c.Pool, hastenRows, name, lease)
	return postgres.Because(ctx, "hasten deliveries", err)
}

// What has not been delivered within its time is given up, and says so. A row that
// somebody is sending is left to them.
const expireRows = `
	UPDATE alert_deliveries
	SET state = 'failed', last_error = 'not delivered within ' || date_trunc('second', expires_at - created_at) || ', after ' || attempts || ' attempts' || coalesce(': ' || last_error, '')
	WHERE state IN ('pending', 'unknown') AND expires_at <= whalegate_now() AND (last_attempt_at IS NULL OR last_attempt_at <= whalegate_now() - $1::interval)
	RETURNING id, receiver, last_error`

// expired is a delivery that was given up.
type expired struct {
	ID            int64
	Receiver, Why string
}

// expire gives up what has waited too long, for whatever receiver: also for one
// that is not in the file any more.
func (c Config) expire(ctx context.Context) (list []expired, err error) {
	ctx, cancel := postgres.Writing(ctx)
	defer cancel()
	err = c.Fence.InTx(ctx, c.Pool, func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, expireRows, lease)
		if err == nil {
			list, err = pgx.CollectRows(rows, pgx.RowToStructByPos[expired])
		}
		return err
	})
	return list, postgres.Because(ctx, "give up deliveries", err)
}
