package collector

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/whalegate/whalegate/internal/lead"
	"github.com/whalegate/whalegate/internal/postgres"
)

// Store is what the collector keeps in the database.
type Store struct {
	pool  *pgxpool.Pool
	fence *lead.Fence // nil: whoever writes may
}

// NewStore keeps in pool.
func NewStore(pool *pgxpool.Pool) *Store { return &Store{pool: pool} }

// Behind is the store of a collector that may write only while it leads.
func (s *Store) Behind(fence *lead.Fence) *Store { return &Store{s.pool, fence} }

// Wallets counts those of the universe.
func (s *Store) Wallets(ctx context.Context) (n int, err error) {
	ctx, cancel := postgres.Reading(ctx)
	defer cancel()
	err = s.pool.QueryRow(ctx, "SELECT count(*) FROM wallet_universe_current").Scan(&n)
	return n, postgres.Because(ctx, "count the universe", err)
}

// Members reads the universe by rank.
func (s *Store) Members(ctx context.Context) ([]Member, error) {
	ctx, cancel := postgres.Reading(ctx)
	defer cancel()
	rows, err := s.pool.Query(ctx, `
		SELECT wallet_id, rank, month_pnl::text, coalesce(month_roi::text, ''), coalesce(account_value::text, '')
		FROM wallet_universe_current ORDER BY rank`)
	if err != nil {
		return nil, postgres.Because(ctx, "read universe", err)
	}
	members, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Member])
	return members, postgres.Because(ctx, "read universe", err)
}

// UniverseRun is the record of a refresh: a row of wallet_universe_runs.
type UniverseRun struct {
	ID                    int64     `json:"run_id"`
	AsOf                  time.Time `json:"as_of_ts"`
	Status                Status    `json:"status"` // Success or Failed
	Source                string    `json:"source"`
	Requested             int       `json:"n_requested"`
	Received              int       `json:"n_received"`
	RowsRead, RowsSkipped int
	Entered               int        `json:"entered_count"`
	Exited                int        `json:"exited_count"`
	ChurnWarnings         int        `json:"churn_warning_count"`
	DurationMS            int        `json:"duration_ms"`
	Error                 *string    `json:"error"`
	ChangedAt             *time.Time `json:"changed_at"` // when the leaderboard was last seen to differ; nil of a failed run
}

// LastUniverseRun reads the newest refresh; ok is false when there is none.
func (s *Store) LastUniverseRun(ctx context.Context) (run UniverseRun, ok bool, err error) {
	ctx, cancel := postgres.Reading(ctx)
	defer cancel()
	rows, err := s.pool.Query(ctx, `
		SELECT run_id, as_of_ts, status, source, n_requested, n_received, rows_read, rows_skipped,
		       entered_count, exited_count, churn_warning_count, duration_ms, error,
		       coalesce(changed_at, (SELECT max(changed_at) FROM wallet_universe_runs))
		FROM wallet_universe_runs ORDER BY run_id DESC LIMIT 1`) // as written: a clock may have been ahead
	if err != nil {
		return run, false, postgres.Because(ctx, "read universe runs", err)
	}
	run, err = pgx.CollectExactlyOneRow(rows, pgx.RowToStructByPos[UniverseRun])
	if errors.Is(err, pgx.ErrNoRows) {
		return run, false, nil
	}
	return run, err == nil, postgres.Because(ctx, "read universe runs", err)
}

// KeepUniverseRun stores a refresh; one that succeeded replaces the universe in
// the same transaction.
func (s *Store) KeepUniverseRun(ctx context.Context, run UniverseRun, members []Member) error {
	ctx, cancel := postgres.Writing(ctx)
	defer cancel()
	err := s.fence.InTx(ctx, s.pool, func(tx pgx.Tx) error {
		var id int64
		err := tx.QueryRow(ctx, `
			INSERT INTO wallet_universe_runs (as_of_ts, status, source, n_requested, n_received, rows_read, rows_skipped,
				entered_count, exited_count, churn_warning_count, duration_ms, error, changed_at)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13) RETURNING run_id`,
			run.AsOf, run.Status, run.Source, run.Requested, run.Received, run.RowsRead, run.RowsSkipped,
			run.Entered, run.Exited, run.ChurnWarnings, run.DurationMS, run.Error, run.ChangedAt).Scan(&id)
		if err != nil || run.Status == Failed {
			return err
		}
		list, err := json.Marshal(members)
		if err != nil {
			return err
		}
		batch := &pgx.Batch{}
		batch.Queue("DELETE FROM wallet_universe_current")
		batch.Queue(`
			INSERT INTO wallet_universe_current (wallet_id, rank, month_pnl, month_roi, account_value, as_of_ts)
			SELECT wallet_id, rank, month_pnl::numeric, nullif(month_roi, '')::numeric, nullif(account_value, '')::numeric, $2
			FROM json_to_recordset($1) AS m (wallet_id text, rank integer, month_pnl text, month_roi text, account_value text)`, list, run.AsOf)
		batch.Queue(`
			INSERT INTO wallet_universe_members (run_id, wallet_id, rank, month_pnl, month_roi, account_value)
			SELECT $1, wallet_id, rank, month_pnl, month_roi, account_value FROM wallet_universe_current`, id)
		return tx.SendBatch(ctx, batch).Close()
	})
	return postgres.Because(ctx, "keep universe run", err)
}
