package engine

import (
	"context"
	"math"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/whalegate/whalegate/internal/asset"
	"github.com/whalegate/whalegate/internal/health"
	"github.com/whalegate/whalegate/internal/health/watch"
	"github.com/whalegate/whalegate/internal/postgres"
)

// Difference is a stored value that the stored inputs do not give.
type Difference struct {
	Timestamp time.Time `json:"timestamp"`
	Asset     string    `json:"asset"`
	Column    string    `json:"column"`
	Stored    string    `json:"stored"`
	Computed  string    `json:"computed"`
}

// Audited is a boundary whose stored signals were computed again.
type Audited struct {
	Boundary     time.Time
	Rows         int  // stored
	Unverifiable bool // its inputs are gone: nothing was compared
	Differences  []Difference
}

// Audit computes the stored signals of the boundaries from one to another, both
// included, again: from the stored snapshots, the stored signals before them and
// health as it was when they were committed.
func Audit(ctx context.Context, pool *pgxpool.Pool, from, to time.Time, visit func(Audited) error) error {
	return pgx.BeginTxFunc(ctx, pool, snapshotOf, func(tx pgx.Tx) error {
		memory := NewMemory()
		todo, err := recorded(ctx, tx, from, to)
		if err != nil {
			return err
		}
		for _, cycle := range todo {
			found, err := examine(ctx, tx, memory, cycle)
			if err != nil {
				return err
			}
			if err := visit(found.Audited); err != nil {
				return err
			}
		}
		return nil
	})
}

// recordedCycle is a boundary that something is stored of.
type recordedCycle struct {
	Boundary   time.Time
	JudgedAt   *time.Time // nil: there are signals without the record of a cycle
	Superseded int        // signals whose runs were superseded after it was judged
}

// recorded lists the boundaries with signals, or with a cycle that computed.
func recorded(ctx context.Context, tx pgx.Tx, from, to time.Time) ([]recordedCycle, error) {
	ctx, cancel := postgres.Reading(ctx)
	defer cancel()
	rows, err := tx.Query(ctx, `
		SELECT timestamp, c.judged_at, 0
		FROM (SELECT timestamp, judged_at FROM signal_cycles WHERE outcome = 'computed') c
		FULL JOIN (SELECT DISTINCT timestamp FROM signals) s USING (timestamp)
		WHERE timestamp >= $1 AND timestamp <= $2
		UNION ALL
		SELECT timestamp, NULL, jsonb_array_length(signals)
		FROM superseded_boundaries
		WHERE timestamp >= $1 AND timestamp <= $2 AND signals <> '[]'
		ORDER BY 1, 3`, from, to)
	if err != nil {
		return nil, postgres.Because(ctx, "read signal cycles", err)
	}
	list, err := pgx.CollectRows(rows, pgx.RowToStructByPos[recordedCycle])
	return list, postgres.Because(ctx, "read signal cycles", err)
}

// examined is an audited boundary with what was compared.
type examined struct {
	Audited
	stored, computed []Row
}

func examine(ctx context.Context, tx pgx.Tx, memory *Memory, cycle recordedCycle) (examined, error) {
	t := cycle.Boundary.UTC()
	result := examined{Audited: Audited{Boundary: t}}
	if cycle.Superseded > 0 {
		result.Rows, result.Unverifiable = cycle.Superseded, true
		return result, nil
	}
	err := List(ctx, tx, t, t, "", math.MaxInt32, func(r Row) error { result.stored = append(result.stored, r); return nil })
	if err != nil {
		return result, err
	}
	result.Rows = len(result.stored)
	if err := memory.Advance(ctx, tx, t); err != nil {
		return result, err
	}
	if result.Unverifiable = memory.Lost() > 0; result.Unverifiable {
		return result, nil
	}
	past, err := readPast(ctx, tx, t)
	if err != nil {
		return result, err
	}
	result.computed, err = recompute(ctx, tx, memory, t, cycle.JudgedAt, past)
	result.Differences = result.differences()
	return result, err
}

// differences lists how the stored rows differ from the computed ones.
func (e examined) differences() (list []Difference) {
	for _, a := range asset.All {
		list = append(list, compare(e.Boundary, a.String(), find(e.stored, a), find(e.computed, a))...)
	}
	return list
}

// recompute gives the rows that the stored inputs of t and the scores before it give,
// none if health forbade them.
func recompute(ctx context.Context, tx pgx.Tx, memory *Memory, t time.Time, judgedAt *time.Time, past pasts) ([]Row, error) {
	var h health.Health
	var err error
	if judgedAt != nil {
		h, err = watch.ReadAt(ctx, tx, *judgedAt)
	} else {
		h, err = AsItStood(ctx, tx, t)
	}
	if err != nil || h.State == health.Stale {
		return nil, err
	}
	a, err := memory.assess(past, time.Time{}, func() error { return nil })
	var rows []Row
	if err != nil { // a signal that cannot be is no row, as the audit will say
		return rows, nil
	}
	for _, done := range degraded(a.signals, h) {
		rows = append(rows, rowOf(done.signal))
	}
	return rows, nil
}

func find(rows []Row, a asset.Asset) *Row {
	i := slices.IndexFunc(rows, func(r Row) bool { return r.Asset == a.String() })
	if i < 0 {
		return nil
	}
	return &rows[i]
}

// compare lists what differs between a stored row and the computed one.
func compare(t time.Time, name string, stored, computed *Row) []Difference {
	switch {
	case stored == nil && computed == nil:
		return nil
	case stored == nil:
		return []Difference{{t, name, "(row)", "none", computed.AllowedPlaybook + " / " + computed.RiskMode}}
	case computed == nil:
		return []Difference{{t, name, "(row)", stored.AllowedPlaybook + " / " + stored.RiskMode, "none"}}
	}
	var list []Difference
	is := computed.columns()
	for i, was := range stored.columns() {
		if was != is[i] {
			list = append(list, Difference{t, name, was[0], was[1], is[i][1]})
		}
	}
	return list
}
