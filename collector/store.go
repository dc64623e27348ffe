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

// Tracked reads the universe with the accounts of each wallet, sorted by wallet
// as the snapshots' primary key is.
func (s *Store) Tracked(ctx context.Context) ([]Tracked, error) {
	ctx, cancel := postgres.Reading(ctx)
	defer cancel()
	rows, err := s.pool.Query(ctx, `
		SELECT u.wallet_id, coalesce(a.sub_accounts, '{}'), a.wallet_id IS NOT NULL
		FROM wallet_universe_current u
		LEFT JOIN wallet_accounts a USING (wallet_id)
		ORDER BY u.wallet_id COLLATE "C"`)
	if err != nil {
		return nil, postgres.Because(ctx, "read universe", err)
	}
	tracked, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Tracked])
	return tracked, postgres.Because(ctx, "read universe", err)
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
	Entered               int     `json:"entered_count"`
	Exited                int     `json:"exited_count"`
	ChurnWarnings         int     `json:"churn_warning_count"`
	DurationMS            int     `json:"duration_ms"`
	Error                 *string `json:"error"`
}

// LastUniverseRun reads the newest refresh; ok is false when there is none.
func (s *Store) LastUniverseRun(ctx context.Context) (run UniverseRun, ok bool, err error) {
	ctx, cancel := postgres.Reading(ctx)
	defer cancel()
	rows, err := s.pool.Query(ctx, `
		SELECT run_id, as_of_ts, status, source, n_requested, n_received, rows_read, rows_skipped,
		       entered_count, exited_count, churn_warning_count, duration_ms, error
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
				entered_count, exited_count, churn_warning_count, duration_ms, error)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) RETURNING run_id`,
			run.AsOf, run.Status, run.Source, run.Requested, run.Received, run.RowsRead, run.RowsSkipped,
			run.Entered, run.Exited, run.ChurnWarnings, run.DurationMS, run.Error).Scan(&id)
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

// AccountsToCheck lists the wallets whose sub-accounts are unknown or were last
// asked for before t: the unknown first, then by rank.
func (s *Store) AccountsToCheck(ctx context.Context, t time.Time) ([]string, error) {
	ctx, cancel := postgres.Reading(ctx)
	defer cancel()
	rows, err := s.pool.Query(ctx, `
		SELECT u.wallet_id FROM wallet_universe_current u
		LEFT JOIN wallet_accounts a USING (wallet_id)
		WHERE a.checked_at IS NULL OR a.checked_at < $1 OR a.checked_at > whalegate_now() + interval '1 minute' -- a clock was ahead
		ORDER BY a.checked_at IS NOT NULL, u.rank`, t)
	if err != nil {
		return nil, postgres.Because(ctx, "read accounts", err)
	}
	wallets, err := pgx.CollectRows(rows, pgx.RowTo[string])
	return wallets, postgres.Because(ctx, "read accounts", err)
}

// KeepAccounts stores the sub-accounts of a wallet. A sub-account cannot be
// closed upstream, so one that is known stays known whatever an answer lacks.
func (s *Store) KeepAccounts(ctx context.Context, wallet string, subAccounts []string, at time.Time) error {
	ctx, cancel := postgres.Writing(ctx)
	defer cancel()
	if subAccounts == nil {
		subAccounts = []string{} // none, which is not the same as not known
	}
	err := s.fence.Exec(ctx, s.pool, `
		INSERT INTO wallet_accounts (wallet_id, sub_accounts, checked_at) VALUES ($1, $2, $3)
		ON CONFLICT (wallet_id) DO UPDATE SET
			sub_accounts = ARRAY(SELECT unnest(wallet_accounts.sub_accounts) UNION SELECT unnest(excluded.sub_accounts) ORDER BY 1),
			checked_at = excluded.checked_at`, wallet, subAccounts, at)
	return postgres.Because(ctx, "keep accounts", err)
}
