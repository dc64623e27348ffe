package engine

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/whalegate/whalegate/internal/postgres"
)

// universe is the wallets that count at a boundary.
type universe struct {
	run     int64 // of the refresh; 0: there is none
	wallets []string
}

// The universe at t is the newest one that a refresh had finished by then.
// Of the refreshes that had ended by then the one that was written last: a clock that
// was ahead dates an older one later.
const (
	selectUniverse = `
		SELECT run_id
		FROM wallet_universe_runs
		WHERE status = 'success' AND as_of_ts + duration_ms * interval '1 millisecond' <= $1
		ORDER BY run_id DESC
		LIMIT 1`
	selectMembers = `SELECT wallet_id FROM wallet_universe_members WHERE run_id = $1`
)

// follow reads the universe at t if it is another one.
func (u *universe) follow(ctx context.Context, tx pgx.Tx, t time.Time) error {
	ctx, cancel := postgres.Reading(ctx)
	defer cancel()
	var run int64
	err := tx.QueryRow(ctx, selectUniverse, t).Scan(&run)
	if errors.Is(err, pgx.ErrNoRows) {
		*u = universe{}
		return nil
	}
	if err != nil {
		return postgres.Because(ctx, "read universe", err)
	}
	if run == u.run {
		return nil
	}
	rows, err := tx.Query(ctx, selectMembers, run)
	if err != nil {
		return postgres.Because(ctx, "read universe", err)
	}
	wallets, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err == nil {
		*u = universe{run, wallets}
	}
	return postgres.Because(ctx, "read universe", err)
}
