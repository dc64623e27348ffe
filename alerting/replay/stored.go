package replay

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/whalegate/whalegate/alerting"
	"github.com/whalegate/whalegate/internal/postgres"
)

// The system alert is looked at whenever something can change: right after each
// minute, when the age has grown, and when a run has ended.
const selectOutlooks = `
	SELECT looks.at, h.last_success_snapshot_ts, coalesce(h.clean_runs >= 2 AND h.snapshot_age_seconds <= 120, false)
	FROM (
		SELECT m + interval '1 second' AS at FROM generate_series(date_trunc('minute', $1::timestamptz), $2, '1 minute') m
		UNION SELECT finished_at FROM ingest_runs
	) looks, ingest_health_at(looks.at) h
	WHERE looks.at >= $1 AND looks.at <= $2
	ORDER BY looks.at`

const selectPauses = `
	SELECT paused_at, least(until, unpaused_at) FROM alert_pauses
	WHERE paused_at <= $2 AND least(until, unpaused_at) > $1`

// New reads what is stored of a range beside the signals: the pauses, and the runs
// by which the system alert is decided. Before the range nothing is known.
func New(ctx context.Context, db *pgxpool.Pool, from, to time.Time) (*Player, error) {
	pauses, err := readPauses(ctx, db, from, to)
	if err != nil {
		return nil, err
	}
	p := newPlayer(pauses)
	// A week of minutes takes longer than one read may: only the caller ends it.
	rows, err := db.Query(ctx, selectOutlooks, from, to)
	if err != nil {
		return nil, fmt.Errorf("read runs for the system alert: %w", postgres.Cause(err))
	}
	var s system
	o := alerting.Outlook{Started: from}
	var last *time.Time
	_, err = pgx.ForEachRow(rows, []any{&o.Now, &last, &o.Recovered}, func() error {
		if o.LastSuccess = (time.Time{}); last != nil {
			o.LastSuccess = *last
		}
		s.look(p, o)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read runs for the system alert: %w", postgres.Cause(err))
	}
	return p, nil
}

func readPauses(ctx context.Context, db *pgxpool.Pool, from, to time.Time) ([]pause, error) {
	ctx, cancel := postgres.Reading(ctx)
	defer cancel()
	rows, err := db.Query(ctx, selectPauses, from, to)
	if err != nil {
		return nil, postgres.Because(ctx, "read pauses", err)
	}
	list, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (one pause, err error) {
		return one, row.Scan(&one.from, &one.until)
	})
	return list, postgres.Because(ctx, "read pauses", err)
}
