package retention

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/whalegate/whalegate/internal/postgres"
)

// Removed is what was old in one table.
type Removed struct {
	Table  string    `json:"table"`
	Before time.Time `json:"older_than"`
	Unit   string    `json:"unit"` // rows, or days of snapshots
	Count  int64     `json:"count"`
	Bytes  int64     `json:"bytes,omitempty"` // given back to the disk; rows leave room in their table
}

type querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

// countTimeout bounds the counting of one table.
const countTimeout = time.Minute

// Count tells what Run would remove, and changes nothing. olderThan is 0 for
// the times that are the least, or a longer time for every table.
func Count(ctx context.Context, db querier, olderThan time.Duration) ([]Removed, error) {
	now, err := present(ctx, db)
	if err != nil {
		return nil, err
	}
	days, err := oldDays(ctx, db, before(now, max(Snapshots, olderThan)))
	if err != nil {
		return nil, err
	}
	list := []Removed{ofDays(now, olderThan)}
	for _, d := range days {
		list[0].Count++
		list[0].Bytes += d.Bytes
	}
	for _, r := range rules {
		found := r.removed(now, olderThan)
		ctx, cancel := context.WithTimeout(ctx, countTimeout)
		err := db.QueryRow(ctx, "SELECT count(*) FROM "+r.table+" t WHERE "+r.old, found.Before).Scan(&found.Count)
		cancel()
		if err != nil {
			return nil, postgres.Because(ctx, "count old rows of "+r.table, err)
		}
		list = append(list, found)
	}
	return list, nil
}

func ofDays(now time.Time, olderThan time.Duration) Removed {
	return Removed{Table: snapshots, Before: before(now, max(Snapshots, olderThan)), Unit: "days"}
}

func (r rule) removed(now time.Time, olderThan time.Duration) Removed {
	return Removed{Table: r.table, Before: r.before(now, olderThan), Unit: "rows"}
}

// present is the database's clock.
func present(ctx context.Context, db querier) (now time.Time, err error) {
	ctx, cancel := postgres.Reading(ctx)
	defer cancel()
	err = db.QueryRow(ctx, "SELECT whalegate_now()").Scan(&now)
	return now.UTC(), postgres.Because(ctx, "ask for the time", err)
}
