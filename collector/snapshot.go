package collector

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/whalegate/whalegate/collector/hyperliquid"
	"github.com/whalegate/whalegate/internal/asset"
	"github.com/whalegate/whalegate/internal/postgres"
)

// maxClockLead and maxClockLag bound how far a snapshot's timestamp may be from
// the database's clock when it is committed: a minute's cycle, its late end and
// a little drift. Beyond, one of the two clocks is wrong, and the age of every
// snapshot with it.
const (
	maxClockLead = 30 * time.Second
	maxClockLag  = 3 * time.Minute
)

// clockError is S1 as the database sees it: the timestamp is not of its present.
type clockError struct{ lead time.Duration }

func (e *clockError) Error() string {
	return fmt.Sprintf("S1: the snapshot's timestamp is %s ahead of the database's clock (at most %s ahead or %s behind): one of the clocks is wrong", e.lead.Round(time.Second), maxClockLead, maxClockLag)
}

// Minute is what one cycle commits.
type Minute struct {
	Run      Run
	Readings []Reading // sorted by wallet
	Unsaved  []Run     // failed minutes before it that could not be written at their time
	Before   []Window  // the two minutes before it, newest last, where they are known
	Backfill bool      // history: the run's end is its timestamp plus its duration, whatever the clock says
}

// Window is a stored minute as far as the next ones need it.
type Window struct {
	At       time.Time
	Readings []Reading
}

// Commit writes a minute in one transaction and returns the rows that turned
// out to be dirty. It is idempotent: writing a minute again leaves the rows of
// the last writing. Rows go in by COPY after a delete, which is within a few
// per cent of COPY alone, where an upsert takes twice the time.
func (s *Store) Commit(ctx context.Context, m Minute) (dirty []Collapse, err error) {
	if err := CheckTimestamp(m.Run.Timestamp); err != nil && len(m.Readings) > 0 {
		return nil, err
	}
	ctx, cancel := postgres.Writing(ctx)
	defer cancel()
	err = pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		id, replaced, err := keepRun(ctx, tx, m)
		if err != nil {
			return err
		}
		_, err = tx.Conn().PgConn().CopyFrom(ctx, newCopyRows(m.Run.Timestamp, id, m.Readings), `COPY wallet_snapshots
			(timestamp, wallet_id, asset, position_szi, entry_px, liq_px, leverage, margin_used, ingest_run_id, state_time) FROM STDIN`)
		if err != nil {
			return err
		}
		if replaced {
			return remark(ctx, tx, m.Run.Timestamp)
		}
		dirty, err = s.markNewest(ctx, tx, m)
		return err
	})
	var skew *clockError
	if errors.As(err, &skew) { // nothing is wrong with the connection
		return nil, skew
	}
	return dirty, postgres.Because(ctx, "commit snapshot", err)
}

const insertRun = `
	INSERT INTO ingest_runs (timestamp, status, wallets_expected, wallet_success_count, wallet_fail_count, rows_expected, rows_written,
		coverage_pct, hype_non_null_pct, btc_non_null_pct, eth_non_null_pct, failures, duration_ms, error, finished_at)
	VALUES ($1, $2, $3::integer, $4::integer, $3::integer - $4::integer, $5, $6, $7, $8, $9, $10, $11, $12, nullif($13::text, ''), coalesce($14::timestamptz, whalegate_now()))`

func runArgs(r Run, finished *time.Time) []any {
	failures, _ := json.Marshal(r.Failures) // a map of strings to integers always marshals
	if r.Failures == nil {
		failures = []byte("{}")
	}
	return []any{
		r.Timestamp, r.Status, r.Expected, r.Succeeded, r.RowsExpected, r.RowsWritten, roundDown(r.CoveragePct),
		roundDown(r.NonNullPct[asset.HYPE]), roundDown(r.NonNullPct[asset.BTC]), roundDown(r.NonNullPct[asset.ETH]), failures, r.Duration.Milliseconds(), r.Error, finished,
	}
}

// roundDown keeps two decimals. Rounding up could lift a share over a threshold
// that it did not reach.
func roundDown(pct float64) float64 { return math.Floor(pct*100+1e-9) / 100 }

// keepRun locks the minute, stores its run and clears its rows, in one round
// trip. replaced tells that the minute had been written before.
func keepRun(ctx context.Context, tx pgx.Tx, m Minute) (id int64, replaced bool, err error) {
	ts := m.Run.Timestamp
	var finished *time.Time
	if m.Backfill {
		at := ts.Add(m.Run.Duration)
		finished = &at
	}
	batch := &pgx.Batch{}
	batch.Queue("SELECT pg_advisory_xact_lock(hashtext('whalegate.minute'), $1)", int32(ts.Unix()/60))
	batch.Queue("SELECT extract(epoch FROM $1::timestamptz - whalegate_now())::double precision", ts)
	for _, r := range m.Unsaved {
		batch.Queue(insertRun+" ON CONFLICT (timestamp) DO NOTHING", runArgs(r, nil)...)
	}
	batch.Queue("DELETE FROM wallet_snapshots WHERE timestamp = $1", ts)
	batch.Queue(insertRun+`
		ON CONFLICT (timestamp) DO UPDATE SET
			status = excluded.status, wallets_expected = excluded.wallets_expected, wallet_success_count = excluded.wallet_success_count,
			wallet_fail_count = excluded.wallet_fail_count, rows_expected = excluded.rows_expected, rows_written = excluded.rows_written,
			coverage_pct = excluded.coverage_pct, hype_non_null_pct = excluded.hype_non_null_pct, btc_non_null_pct = excluded.btc_non_null_pct,
			eth_non_null_pct = excluded.eth_non_null_pct, failures = excluded.failures, duration_ms = excluded.duration_ms,
			error = excluded.error, finished_at = excluded.finished_at
		RETURNING run_id, xmax <> 0`, runArgs(m.Run, finished)...)
	results := tx.SendBatch(ctx, batch)
	defer func() {
		if closeErr := results.Close(); err == nil {
			err = closeErr
		}
	}()
	if _, err := results.Exec(); err != nil {
		return 0, false, err
	}
	var lead float64
	if err := results.QueryRow().Scan(&lead); err != nil {
		return 0, false, err
	}
	if ahead := time.Duration(lead * float64(time.Second)); !m.Backfill && (ahead > maxClockLead || ahead < -maxClockLag) {
		return 0, false, &clockError{ahead}
	}
	for range len(m.Unsaved) + 1 {
		if _, err := results.Exec(); err != nil {
			return 0, false, err
		}
	}
	err = results.QueryRow().Scan(&id, &replaced)
	return id, replaced, err
}

// KeepFailed stores a run that has no rows at all, at the database's own minute
// if the run's timestamp cannot be. It never replaces what is there.
func (s *Store) KeepFailed(ctx context.Context, r Run) error {
	ctx, cancel := postgres.Writing(ctx)
	defer cancel()
	args := runArgs(r, nil)
	if r.failedRunCheck == "S1" {
		if err := s.pool.QueryRow(ctx, "SELECT date_trunc('minute', whalegate_now())").Scan(&args[0]); err != nil {
			return postgres.Because(ctx, "ask the database for its minute", err)
		}
	}
	_, err := s.pool.Exec(ctx, insertRun+" ON CONFLICT (timestamp) DO NOTHING", args...)
	return postgres.Because(ctx, "keep failed run", err)
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

func window(ctx context.Context, db querier, minute time.Time) (Window, error) {
	w := Window{At: minute}
	rows, err := db.Query(ctx, `SELECT wallet_id, asset, coalesce(position_szi::text, ''), state_time FROM wallet_snapshots WHERE timestamp = $1 ORDER BY wallet_id COLLATE "C"`, minute)
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
