package engine

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/whalegate/whalegate/internal/health"
	"github.com/whalegate/whalegate/internal/health/watch"
	"github.com/whalegate/whalegate/internal/postgres"
)

// Judge says whether the data allows the signals of a boundary (G0).
type Judge func(ctx context.Context, db watch.Querier, boundary time.Time) (health.Health, error)

// Now judges the present, whatever the boundary. What only the moment of reading
// shows does not degrade a signal: audit and replay could not tell it again.
func Now(ctx context.Context, db watch.Querier, _ time.Time) (health.Health, error) {
	h, err := watch.Read(ctx, db)
	return h.ByRuns(), err
}

// AsItStood judges the moment at which the boundary was due, from the runs and
// halts as they stood then: the end of its own minute's run, or the deadline if
// that came first.
func AsItStood(ctx context.Context, db watch.Querier, boundary time.Time) (health.Health, error) {
	rows, err := db.Query(ctx, `SELECT coalesce((SELECT finished_at FROM ingest_runs WHERE timestamp = $1 AND NOT superseded AND finished_at <= $2), $2)`,
		boundary, boundary.Add(Deadline))
	var due time.Time
	if err == nil {
		due, err = pgx.CollectExactlyOneRow(rows, pgx.RowTo[time.Time])
	}
	if err != nil {
		return health.Health{State: health.Stale, Reasons: []string{health.ReasonDatabase}}, postgres.Because(ctx, "read the boundary's run", err)
	}
	return watch.ReadAt(ctx, db, due)
}
