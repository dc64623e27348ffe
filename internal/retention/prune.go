package retention

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/whalegate/whalegate/internal/lead"
	"github.com/whalegate/whalegate/internal/postgres"
)

// ErrRunning says that somebody else is at it.
var ErrRunning = errors.New("another prune is running: it does the same, wait until it has ended")

// Options say what to remove.
type Options struct {
	Fence     *lead.Fence   // of a collector; nil: whoever prunes may
	OlderThan time.Duration // keep everything at least so long; 0: each table's own time
	By        string        // who asks, for prune_runs
	Progress  func(n int64) // told of rows and days as they go; may be nil

	patience patience
}

// Run removes what is old and tells what that was, also when it could not remove
// all of it. What cannot be removed from one table keeps no other waiting. It is
// kept in prune_runs. The error is ErrRunning when another one is at work, and
// wraps ErrHeld when days of snapshots were always being read.
func Run(ctx context.Context, pool *pgxpool.Pool, o Options) (list []Removed, err error) {
	if o.Progress == nil {
		o.Progress = func(int64) {}
	}
	if o.patience == (patience{}) {
		o.patience = patient
	}
	held, err := pool.Acquire(ctx)
	if err != nil {
		return nil, postgres.Because(ctx, "prune", err)
	}
	defer held.Release()
	conn := held.Conn()
	unlock, err := lock(ctx, conn)
	if err != nil {
		return nil, err
	}
	defer unlock()
	now, err := present(ctx, conn)
	if err != nil {
		return nil, err
	}
	// The days come first: they give the most room back, and need the least to go.
	found, err := removeDays(ctx, conn, now, o)
	list = append(list, found)
	for _, r := range rules {
		if conn.IsClosed() {
			break // it was cut, or the caller ended it
		}
		found, rowsErr := removeRows(ctx, conn, r, r.removed(now, o.OlderThan), o)
		list, err = append(list, found), errors.Join(err, rowsErr)
	}
	return list, errors.Join(err, keep(context.WithoutCancel(ctx), pool, now, o, list, err))
}

const key = "hashtext('whalegate.prune')"

// lock makes sure that one prune runs at a time.
func lock(ctx context.Context, conn *pgx.Conn) (unlock func(), err error) {
	asking, cancel := postgres.Reading(ctx)
	defer cancel()
	var free bool
	if err := conn.QueryRow(asking, "SELECT pg_try_advisory_lock("+key+")").Scan(&free); err != nil {
		return nil, postgres.Because(asking, "take the lock of pruning", err)
	}
	if !free {
		return nil, ErrRunning
	}
	return func() {
		ctx, cancel := postgres.Writing(context.WithoutCancel(ctx))
		defer cancel()
		if _, err := conn.Exec(ctx, "SELECT pg_advisory_unlock("+key+")"); err != nil {
			_ = conn.Close(ctx) // the lock ends with the session
		}
	}, nil
}

func removeDays(ctx context.Context, conn *pgx.Conn, now time.Time, o Options) (Removed, error) {
	found := ofDays(now, o.OlderThan)
	days, err := oldDays(ctx, conn, found.Before)
	if err != nil {
		return found, err
	}
	for _, d := range days {
		if err := dropDay(ctx, conn, d, o); err != nil {
			return found, err // whoever holds this day's table holds the others'
		}
		found.Count++
		found.Bytes += d.Bytes
		o.Progress(1)
	}
	return found, nil
}

// batch is how many rows go in one transaction: a fraction of a second of work.
const batch = 5000

func removeRows(ctx context.Context, conn *pgx.Conn, r rule, found Removed, o Options) (Removed, error) {
	sql := "DELETE FROM " + r.table + " WHERE ctid = ANY (ARRAY(SELECT t.ctid FROM " + r.table + " t WHERE " + r.old + " LIMIT $2))"
	for {
		n, err := removeBatch(ctx, conn, o.Fence, sql, found.Before, cmp.Or(r.batch, batch))
		if err != nil {
			return found, postgres.Because(ctx, "remove old rows of "+r.table, err)
		}
		if n == 0 {
			return found, nil
		}
		found.Count += n
		o.Progress(n)
	}
}

func removeBatch(ctx context.Context, conn *pgx.Conn, fence *lead.Fence, sql string, before time.Time, most int) (n int64, err error) {
	err = briefly(ctx, conn, fence, func(ctx context.Context, tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, sql, before, most)
		n = tag.RowsAffected()
		return err
	})
	return n, err
}

// lockTimeout bounds how long a prune stands in the queue of a lock: whoever
// comes after it, the collector's minute above all, waits behind it.
const lockTimeout = 100 * time.Millisecond

// briefly runs a transaction that waits for no lock longer than lockTimeout.
func briefly(ctx context.Context, conn *pgx.Conn, fence *lead.Fence, do func(context.Context, pgx.Tx) error) error {
	ctx, cancel := postgres.Writing(ctx)
	defer cancel()
	return fence.InTx(ctx, conn, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, fmt.Sprintf("SET LOCAL lock_timeout = '%dms'", lockTimeout.Milliseconds())); err != nil {
			return err
		}
		return do(ctx, tx)
	})
}

// keep stores what became of a prune.
func keep(ctx context.Context, pool *pgxpool.Pool, started time.Time, o Options, list []Removed, failure error) error {
	ctx, cancel := postgres.Writing(ctx)
	defer cancel()
	status, text := "success", ""
	if failure != nil {
		status, text = "failed", failure.Error()
	}
	counts := map[string]int64{}
	for _, r := range list {
		counts[r.Table] = r.Count
	}
	removed, err := json.Marshal(counts)
	if err != nil {
		return postgres.Because(ctx, "keep the prune", err)
	}
	err = o.Fence.Exec(ctx, pool, "INSERT INTO prune_runs (started_at, status, pruned_by, removed, error) VALUES ($1, $2, $3, $4, nullif($5, ''))", started, status, o.By, removed, text)
	return postgres.Because(ctx, "keep the prune", err)
}
