package collector

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/whalegate/whalegate/collector/hyperliquid"
	"github.com/whalegate/whalegate/internal/asset"
	"github.com/whalegate/whalegate/internal/duration"
	"github.com/whalegate/whalegate/internal/postgres"
	"github.com/whalegate/whalegate/internal/qa/check"
	"github.com/whalegate/whalegate/internal/threshold"
)

// maxClockLead and maxClockLag bound how far a snapshot's timestamp may be from
// the database's clock when it is committed: a minute's cycle, its late end and
// a little drift. Beyond, one of the two clocks is wrong, and the age of every
// snapshot with it. The function admit_minute has the same figures.
const (
	maxClockLead = threshold.ClockSkew
	maxClockLag  = 3 * time.Minute
)

// clockError is S1 as the database sees it: the timestamp is not of its present.
type clockError struct{ lead time.Duration }

func (e *clockError) Error() string {
	way := "ahead of"
	if e.lead < 0 {
		way = "behind"
	}
	return fmt.Sprintf("S1: the snapshot's timestamp is %s %s the database's clock (at most %s ahead or %s behind): one of the clocks is wrong", e.lead.Abs().Round(time.Second), way, maxClockLead, maxClockLag)
}

// RefusedError is a minute that may not be stored, because something at least as
// good is.
type RefusedError struct {
	Check string // check.ClockBack or check.Worse
	Why   string
}

func (e *RefusedError) Error() string { return e.Check + ": " + e.Why }

// Minute is what one cycle commits.
type Minute struct {
	Run      Run
	Readings []Reading // sorted by wallet
	Unsaved  []Run     // failed minutes before it that could not be written at their time
	Before   []Window  // the two minutes before it, newest last, where they are known
	PutRight bool      // the clock jumped since the last minute that was refused
	Opened   []failure // failures of S11 that begin with it
	Ended    []int64   // failures of S11 whose sizes are back, by id
	WentBack bool      // the clock went back, and is not right again
	Backfill bool      // history: the run's end is Finished, and no clock is asked
	Finished time.Time // of a backfill; zero: the timestamp plus the duration
}

// Window is a stored minute as far as the next ones need it.
type Window struct {
	At       time.Time
	Readings []Reading
}

// Stored is what a commit came to.
type Stored struct {
	Finished   time.Time  // when the run ended, by the database's clock
	Dirty      []Collapse // rows that turned out to be dirty
	Superseded int64      // runs that a clock that was wrong had stored
}

// Commit writes a minute in one transaction behind the fence. A minute that is
// stored already is replaced only by a better reading of the newest one: the error
// is a *RefusedError when not. It wraps lead.ErrNotLeading when another collector
// leads. Rows go in by COPY after a delete, which is within a few per cent of COPY
// alone, where an upsert takes twice the time.
func (s *Store) Commit(ctx context.Context, m Minute) (done Stored, err error) {
	if err := CheckTimestamp(m.Run.Timestamp); err != nil && len(m.Readings) > 0 {
		return done, err
	}
	ctx, cancel := postgres.Writing(ctx)
	defer cancel()
	held, err := s.pool.Acquire(ctx)
	if err != nil {
		return done, postgres.Because(ctx, "commit snapshot", err)
	}
	defer held.Release() // a session that is still in its transaction is not used again
	done, err = s.commit(ctx, held.Conn(), m)
	if err == nil {
		return done, nil
	}
	if !held.Conn().IsClosed() {
		ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), rollbackTimeout)
		_, _ = held.Exec(ending, "ROLLBACK") // the end of the session does it too
		cancel()
	}
	if refused := asRefusal(err); refused != nil {
		return done, refused
	}
	return done, s.fence.Refused(postgres.Because(ctx, "commit snapshot", err))
}

// rollbackTimeout bounds how long a server is waited for that may have gone meanwhile.
const rollbackTimeout = 5 * time.Second

// asRefusal is what admit_minute said, nil when it was something else.
func asRefusal(err error) error {
	var answer *pgconn.PgError
	if !errors.As(err, &answer) {
		return nil
	}
	switch answer.Code {
	case "WG002":
		seconds, _ := strconv.ParseFloat(answer.Detail, 64) // of our own making
		return &clockError{duration.Seconds(seconds)}
	case "WG003":
		return &RefusedError{check.ClockBack, answer.Message}
	case "WG004":
		return &RefusedError{check.Worse, answer.Message}
	default:
		return nil
	}
}

func (s *Store) commit(ctx context.Context, conn *pgx.Conn, m Minute) (done Stored, err error) {
	id, replaced, err := s.keepRun(ctx, conn, m, &done)
	if err != nil {
		return done, err
	}
	_, err = conn.PgConn().CopyFrom(ctx, newCopyRows(m.Run.Timestamp, id, m.Readings), `COPY wallet_snapshots
		(timestamp, wallet_id, asset, position_szi, entry_px, liq_px, leverage, margin_used, ingest_run_id, state_time) FROM STDIN`)
	if err != nil {
		return done, err
	}
	switch {
	case replaced:
		err = remark(ctx, conn, m.Run.Timestamp)
	case m.Run.Status != Failed: // a failed run's rows feed nothing
		if done.Superseded > 0 {
			m.Before = nil // they may be among those
		}
		done.Dirty, err = s.markNewest(ctx, conn, m)
	}
	if err == nil {
		err = keepOpened(ctx, conn, m)
	}
	if err == nil {
		_, err = conn.Exec(ctx, "COMMIT")
	}
	return done, err
}

const insertRun = `
	INSERT INTO ingest_runs (timestamp, status, wallets_expected, wallet_success_count, wallet_fail_count, rows_expected, rows_written,
		coverage_pct, hype_non_null_pct, btc_non_null_pct, eth_non_null_pct, failures, duration_ms, error, finished_at, failed_check, failed_subject)
	VALUES ($1, $2, $3::integer, $4::integer, $3::integer - $4::integer, $5, $6, $7, $8, $9, $10, $11, $12, nullif($13::text, ''), coalesce($14::timestamptz, whalegate_now()), nullif($15::text, ''), nullif($16::text, ''))
	ON CONFLICT (timestamp) DO UPDATE SET
		status = excluded.status, wallets_expected = excluded.wallets_expected, wallet_success_count = excluded.wallet_success_count,
		wallet_fail_count = excluded.wallet_fail_count, rows_expected = excluded.rows_expected, rows_written = excluded.rows_written,
		coverage_pct = excluded.coverage_pct, hype_non_null_pct = excluded.hype_non_null_pct, btc_non_null_pct = excluded.btc_non_null_pct,
		eth_non_null_pct = excluded.eth_non_null_pct, failures = excluded.failures, duration_ms = excluded.duration_ms,
		error = excluded.error, finished_at = excluded.finished_at, failed_check = excluded.failed_check, failed_subject = excluded.failed_subject, superseded = false`

// insertMissing stores a run only where none is, or one that is superseded.
const insertMissing = insertRun + " WHERE ingest_runs.superseded"

// deleteSuperseded removes the rows of the run that insertMissing replaces.
const deleteSuperseded = `
	DELETE FROM wallet_snapshots WHERE timestamp = $1 AND EXISTS (SELECT FROM ingest_runs r WHERE r.timestamp = $1 AND r.superseded)`

func runArgs(r Run, finished *time.Time) []any {
	failures, _ := json.Marshal(r.Failures) // a map of strings to integers always marshals
	if r.Failures == nil {
		failures = []byte("{}")
	}
	return []any{
		r.Timestamp, r.Status, r.Expected, r.Succeeded, r.RowsExpected, r.RowsWritten, roundDown(r.CoveragePct),
		roundDown(r.NonNullPct[asset.HYPE]), roundDown(r.NonNullPct[asset.BTC]), roundDown(r.NonNullPct[asset.ETH]), failures, r.Duration.Milliseconds(), r.Error, finished,
		r.FailedCheck(), r.FailedSubject(),
	}
}

// roundDown keeps two decimals. Rounding up could lift a share over a threshold
// that it did not reach.
func roundDown(pct float64) float64 { return math.Floor(pct*100+1e-9) / 100 }

// keepRun begins the transaction, checks the fence, has the minute admitted, stores
// its run and clears its rows, in one round trip. replaced tells that the minute had
// been written before.
func (s *Store) keepRun(ctx context.Context, conn *pgx.Conn, m Minute, done *Stored) (id int64, replaced bool, err error) {
	r := m.Run
	batch := &pgx.Batch{}
	batch.Queue("BEGIN")
	s.fence.Queue(batch)
	var ended *time.Time
	if m.Backfill {
		ended = new(r.Timestamp.Add(r.Duration))
		if !m.Finished.IsZero() {
			ended = &m.Finished
		}
	} else {
		nonNull := roundDown(r.NonNullPct[asset.HYPE]) + roundDown(r.NonNullPct[asset.BTC]) + roundDown(r.NonNullPct[asset.ETH])
		batch.Queue("SELECT admit_minute($1, $2, $3, $4, $5, $6)", r.Timestamp, r.Status, roundDown(r.CoveragePct), nonNull, m.PutRight, m.WentBack).QueryRow(func(row pgx.Row) error { return row.Scan(&done.Superseded) })
	}
	for _, missed := range m.Unsaved {
		batch.Queue(deleteSuperseded, missed.Timestamp)
		batch.Queue(insertMissing, runArgs(missed, nil)...)
	}
	batch.Queue("DELETE FROM wallet_snapshots WHERE timestamp = $1", r.Timestamp)
	batch.Queue(insertRun+" RETURNING run_id, xmax <> 0, finished_at", runArgs(r, ended)...).QueryRow(func(row pgx.Row) error {
		return row.Scan(&id, &replaced, &done.Finished)
	})
	err = conn.SendBatch(ctx, batch).Close()
	done.Finished = done.Finished.UTC()
	return id, replaced, err
}

// errNotYet is a minute that the database's clock has not reached.
var errNotYet = errors.New("the database's clock has not reached this minute, and its own has a run")

// KeepFailed stores a run that has no rows at all. It never replaces what is there. One
// whose timestamp cannot be by the database's clock is stored at its own minute; where
// that one has a run, it has to wait until the clock has come so far (errNotYet): a
// failure must not vanish because a clock went back by a minute.
func (s *Store) KeepFailed(ctx context.Context, r Run) error {
	ctx, cancel := postgres.Writing(ctx)
	defer cancel()
	args := runArgs(r, nil)
	err := s.fence.InTx(ctx, s.pool, func(tx pgx.Tx) error {
		if r.failedRunCheck == "S1" {
			var present time.Time
			var taken bool
			err := tx.QueryRow(ctx, `SELECT m, EXISTS (SELECT FROM ingest_runs r WHERE r.timestamp = m AND NOT r.superseded)
				FROM date_trunc('minute', whalegate_now()) m`).Scan(&present, &taken)
			switch {
			case err != nil:
				return err
			case !taken:
				args[0] = present
			case r.Timestamp.After(present.Add(2 * interval)):
				return nil // of an hour that is not this one's; what is stored is of the future meanwhile, or the minutes are missing
			case r.Timestamp.After(present):
				return errNotYet
			}
		}
		if _, err := tx.Exec(ctx, deleteSuperseded, args[0]); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, insertMissing, args...)
		return err
	})
	return postgres.Because(ctx, "keep failed run", err)
}

// KeepRefused records that a minute was refused because the clock had shown it
// before: until a later one is taken the state is STALE (clock_back).
func (s *Store) KeepRefused(ctx context.Context, minute time.Time) error {
	ctx, cancel := postgres.Writing(ctx)
	defer cancel()
	return postgres.Because(ctx, "keep refused minute", s.fence.Exec(ctx, s.pool, "SELECT refuse_minute($1)", minute))
}

// Window reads a stored minute's sizes, sorted by wallet.
func (s *Store) Window(ctx context.Context, minute time.Time) (Window, error) {
	ctx, cancel := postgres.Reading(ctx)
	defer cancel()
	w, err := window(ctx, s.pool, minute)
	return w, postgres.Because(ctx, "read snapshot", err)
}

type querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
}

// session is a connection or a transaction.
type session interface {
	querier
	postgres.Executor
	SendBatch(ctx context.Context, batch *pgx.Batch) pgx.BatchResults
}

// Rows of failed or superseded runs are kept for audit and feed nothing.
const selectWindow = `
	SELECT wallet_id, asset, coalesce(position_szi::text, ''), state_time
	FROM wallet_snapshots
	WHERE timestamp = $1 AND EXISTS (SELECT FROM ingest_runs r WHERE r.timestamp = $1 AND r.status <> 'failed' AND NOT r.superseded)
	ORDER BY wallet_id COLLATE "C"`

func window(ctx context.Context, db querier, minute time.Time) (Window, error) {
	w := Window{At: minute}
	rows, err := db.Query(ctx, selectWindow, minute)
	if err != nil {
		return w, err
	}
	defer rows.Close()
	for rows.Next() {
		var wallet, name, size string
		var state *time.Time
		if err := rows.Scan(&wallet, &name, &size, &state); err != nil {
			return w, err
		}
		if n := len(w.Readings); n == 0 || w.Readings[n-1].Wallet != wallet {
			w.Readings = append(w.Readings, Reading{Wallet: wallet})
		}
		r := &w.Readings[len(w.Readings)-1]
		if state != nil {
			r.StateTime = state.UTC()
		}
		a, err := asset.Parse(name)
		if err != nil {
			return w, err
		}
		if size == "" {
			continue
		}
		parsed, err := asset.ParseSize(size, a)
		if err != nil {
			return w, fmt.Errorf("size of %s at %s: %w", name, minute.Format(time.RFC3339), err)
		}
		r.Positions[a] = hyperliquid.Position{Size: parsed, Known: true}
	}
	return w, rows.Err()
}
