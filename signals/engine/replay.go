package engine

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/whalegate/whalegate/internal/asset"
	"github.com/whalegate/whalegate/internal/health"
	"github.com/whalegate/whalegate/internal/qa"
	"github.com/whalegate/whalegate/signals"
)

// Replayed is a boundary as the stored snapshots have it.
type Replayed struct {
	Boundary time.Time
	Outcome  Outcome
	Health   health.Health
	Reasons  []string // why it was blocked or failed
	Skipped  []string // assets without a row (G2)
	Rows     []Row
	Checks   []qa.Event // that failed
	Lost     int        // minutes of the history whose rows are gone
}

// Replay recomputes every boundary from one to another, both included, from the
// stored snapshots alone, and writes nothing. Health is judged as it stood when
// each boundary was due.
func Replay(ctx context.Context, pool *pgxpool.Pool, from, to time.Time, visit func(Replayed) error) error {
	return pgx.BeginTxFunc(ctx, pool, snapshotOf, func(tx pgx.Tx) error {
		memory := NewMemory()
		var past pasts
		// The trend of the first boundary needs the three before it.
		first := from.Truncate(signals.Period)
		if first.Before(from) {
			first = first.Add(signals.Period)
		}
		for t := first.Add(-3 * signals.Period); !t.After(to); t = t.Add(signals.Period) {
			r, scores, err := replayOne(ctx, tx, memory, t, past)
			if err != nil {
				return err
			}
			past.push(scores)
			if t.Before(first) {
				continue
			}
			if err := visit(r); err != nil {
				return err
			}
		}
		return nil
	})
}

func replayOne(ctx context.Context, tx pgx.Tx, memory *Memory, t time.Time, past pasts) (Replayed, [asset.Count]signals.Past, error) {
	var scores [asset.Count]signals.Past
	r := Replayed{Boundary: t}
	h, err := AsItStood(ctx, tx, t)
	if err != nil {
		return r, scores, err
	}
	if r.Health = h; h.State == health.Stale {
		r.Outcome, r.Reasons, r.Checks = Blocked, h.Reasons, []qa.Event{blockedEvent(h.Reasons)}
		return r, scores, nil
	}
	if err := memory.Advance(ctx, tx, t); err != nil {
		return r, scores, err
	}
	a, err := memory.assess(past, time.Time{}, func() error { return nil })
	r.Checks, r.Skipped, r.Lost = a.checks, a.skipped, memory.Lost()
	var refusal *signals.Refusal
	if errors.As(err, &refusal) {
		r.Outcome, r.Reasons = Failed, []string{refusal.Gate}
		r.Checks = append(r.Checks, refusedEvent(refusal))
		return r, scores, nil
	}
	r.Outcome = Computed
	for _, done := range degraded(a.signals, h) {
		r.Rows = append(r.Rows, rowOf(done.signal))
		scores[done.signal.Asset] = signals.Past{CAS: done.signal.AlignmentScore, Usable: len(done.signal.Degraded) == 0}
	}
	return r, scores, err
}

// push makes scores the newest of the past.
func (p *pasts) push(scores [asset.Count]signals.Past) {
	for a := range p {
		p[a] = [3]signals.Past{scores[a], p[a][0], p[a][1]}
	}
}
