package retention

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgerrcode"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/whalegate/whalegate/internal/postgres"
)

// ErrHeld is wrapped by the error of a day that could not be dropped because
// somebody always read.
var ErrHeld = errors.New("wallet_snapshots is being read all the time")

// day is a partition of snapshots.
type day struct {
	Date  time.Time
	Bytes int64 // with its indexes
}

const selectDays = `
	SELECT to_date(right(c.relname, 8), 'YYYYMMDD'), pg_total_relation_size(c.oid)
	FROM pg_inherits i
	JOIN pg_class c ON c.oid = i.inhrelid
	WHERE i.inhparent = 'wallet_snapshots'::regclass
		AND c.relname ~ '^wallet_snapshots_[0-9]{8}$'
		AND (to_date(right(c.relname, 8), 'YYYYMMDD') + 1)::timestamp AT TIME ZONE 'UTC' <= $1
	ORDER BY 1`

// oldDays lists the days that ended at or before an instant, oldest first.
func oldDays(ctx context.Context, db querier, before time.Time) ([]day, error) {
	ctx, cancel := postgres.Reading(ctx)
	defer cancel()
	rows, err := db.Query(ctx, selectDays, before)
	if err != nil {
		return nil, postgres.Because(ctx, "list days of snapshots", err)
	}
	days, err := pgx.CollectRows(rows, pgx.RowToStructByPos[day])
	return days, postgres.Because(ctx, "list days of snapshots", err)
}

// patience is how a drop tries again when somebody reads.
type patience struct {
	attempts int
	pause    time.Duration
}

// Half a minute a day: an ordinary query has ended by then. What reads longer is
// tried again by the next prune.
var patient = patience{attempts: 60, pause: 400 * time.Millisecond}

// dropDay detaches and drops one day. It stands in front of others for
// lockTimeout at a time.
func dropDay(ctx context.Context, conn *pgx.Conn, d day, o Options) error {
	name := d.Date.Format(time.DateOnly)
	for attempt := 1; ; attempt++ {
		err := briefly(ctx, conn, o.Fence, func(ctx context.Context, tx pgx.Tx) error {
			_, err := tx.Exec(ctx, "SELECT drop_snapshot_partitions($1)", d.Date.Add(Day))
			return err
		})
		var answer *pgconn.PgError
		if err == nil || !errors.As(err, &answer) || !held[answer.Code] {
			return postgres.Because(ctx, "drop snapshots of "+name, err)
		}
		if attempt >= o.patience.attempts {
			return fmt.Errorf("drop snapshots of %s: %w: tried %d times", name, ErrHeld, attempt)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("drop snapshots of %s: %w", name, context.Cause(ctx))
		case <-time.After(o.patience.pause):
		}
	}
}

// held are the server's answers to a lock that was not to be had: lock_timeout,
// and a deadlock with who reads.
var held = map[string]bool{pgerrcode.LockNotAvailable: true, pgerrcode.DeadlockDetected: true}
