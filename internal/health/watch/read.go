// Package watch asks the database for the state, keeps its changes and shows it as metrics.
package watch

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/whalegate/whalegate/internal/health"
	"github.com/whalegate/whalegate/internal/postgres"
)

// askTimeout bounds one question: no answer is an answer (STALE).
const askTimeout = 5 * time.Second

var errAskTimeout = fmt.Errorf("the database did not answer within %s", askTimeout)

// Querier is a pool, a connection or a transaction.
type Querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
}

// Read asks for the present state. When the database cannot be asked the answer
// is STALE with the reason "database", together with the error.
func Read(ctx context.Context, db Querier) (health.Health, error) {
	return read(ctx, db, "SELECT h.*, whalegate_now() FROM ingest_health h")
}

// ReadAt asks what the state was at t, from the runs and halts as they stood.
func ReadAt(ctx context.Context, db Querier, t time.Time) (health.Health, error) {
	return read(ctx, db, "SELECT h.*, $1::timestamptz FROM ingest_health_at($1) h", t)
}

func read(ctx context.Context, db Querier, sql string, args ...any) (health.Health, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, askTimeout, errAskTimeout)
	defer cancel()
	rows, err := db.Query(ctx, sql, args...)
	if err == nil {
		var h health.Health
		if h, err = pgx.CollectExactlyOneRow(rows, scan); err == nil {
			return h, nil
		}
	}
	if cause := context.Cause(ctx); cause != nil {
		err = errors.Join(cause, err)
	}
	unknown := health.Health{State: health.Stale, Reasons: []string{health.ReasonDatabase}}
	return unknown, fmt.Errorf("ask for health: %w", postgres.Cause(err))
}

func scan(row pgx.CollectableRow) (health.Health, error) {
	var h health.Health
	err := row.Scan(&h.State, &h.SnapshotStatus, &h.LastSuccess, &h.AgeSeconds, &h.CoveragePct, &h.CleanRuns, &h.Reasons, &h.At)
	h.At = h.At.UTC()
	if h.LastSuccess != nil {
		utc := h.LastSuccess.UTC()
		h.LastSuccess = &utc
	}
	return h, err
}
