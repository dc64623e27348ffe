package main

import (
	"context"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/whalegate/whalegate/collector"
	"github.com/whalegate/whalegate/internal/asset"
	"github.com/whalegate/whalegate/internal/health"
	"github.com/whalegate/whalegate/internal/health/watch"
	"github.com/whalegate/whalegate/internal/postgres"
	"github.com/whalegate/whalegate/internal/postgres/server"
	"github.com/whalegate/whalegate/signals"
	"github.com/whalegate/whalegate/signals/engine"
)

// stage is where boundaries are played: a crowd that moves, a store that commits
// its minutes and the cycle that computes them.
type stage struct {
	pool   *pgxpool.Pool
	store  *collector.Store
	cycle  *engine.Cycle
	crowd  *crowd
	recent []collector.Window
	asked  []time.Time // when health was asked since the cycle began, and when it answered
	book   *book       // where the minutes go as well; nil: nowhere
}

// openStage makes the crowd the universe, from a time on.
func openStage(ctx context.Context, url string, c *crowd, from time.Time) (*stage, error) {
	pool, err := postgres.Open(ctx, url, "bench")
	if err != nil {
		return nil, err
	}
	s := &stage{pool: pool, store: collector.NewStore(pool), crowd: c}
	s.cycle = &engine.Cycle{Pool: pool, Memory: engine.NewMemory(), Judge: s.judge}
	universe := collector.UniverseRun{AsOf: from, Status: collector.Success, Source: collector.Source, Requested: len(c.wallets), Received: len(c.wallets)}
	if err = s.store.KeepUniverseRun(ctx, universe, c.members()); err == nil {
		err = s.store.EnsurePartitions(ctx, from, from.AddDate(0, 0, 1))
	}
	if err != nil {
		pool.Close()
	}
	return s, err
}

func (s *stage) judge(ctx context.Context, db watch.Querier, boundary time.Time) (health.Health, error) {
	s.asked = append(s.asked, time.Now())
	h, err := engine.AsItStood(ctx, db, boundary)
	s.asked = append(s.asked, time.Now())
	return h, err
}

func (s *stage) commit(ctx context.Context, at time.Time) error {
	sizes := s.crowd.at(at)
	if s.book != nil {
		s.book.keep(at, sizes)
	}
	readings := s.crowd.readings(at, sizes)
	if _, err := s.store.Commit(ctx, minuteOf(at, readings, s.recent...)); err != nil {
		return err
	}
	s.recent = append(s.recent, collector.Window{At: at, Readings: readings})
	s.recent = s.recent[max(0, len(s.recent)-2):]
	return nil
}

// absorb reads what is new, as the job does between boundaries.
func (s *stage) absorb(ctx context.Context, at time.Time) error {
	options := pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}
	return pgx.BeginTxFunc(ctx, s.pool, options, func(tx pgx.Tx) error {
		return s.cycle.Memory.Absorb(ctx, tx, at.Add(3*time.Second)) // the minute's run took two
	})
}

// approach commits the minutes up to a boundary, and absorbs those before its own.
func (s *stage) approach(ctx context.Context, boundary time.Time) error {
	for at := boundary.Add(time.Minute - signals.Period); at.Before(boundary); at = at.Add(time.Minute) {
		if err := s.commit(ctx, at); err != nil {
			return err
		}
		if err := s.absorb(ctx, at); err != nil {
			return err
		}
	}
	return s.commit(ctx, boundary)
}

// compute gives the milliseconds of a boundary's cycle.
func (s *stage) compute(ctx context.Context, boundary time.Time) (float64, error) {
	s.asked = s.asked[:0]
	return timed(func() error {
		r, err := s.cycle.Run(ctx, boundary)
		if err == nil && (r.Outcome != engine.Computed || len(r.Signals) != asset.Count) {
			err = fmt.Errorf("%s: %s with %d signals: %v", boundary.Format(time.RFC3339), r.Outcome, len(r.Signals), r.Reasons)
		}
		return err
	})
}

// p95 of a list that is not empty.
func p95(list []float64) float64 { return quantile(list, 0.95) }

// quantile is the smallest value that a share of a list does not exceed.
func quantile(list []float64, share float64) float64 {
	sorted := slices.Sorted(slices.Values(list))
	return sorted[int(math.Ceil(share*float64(len(sorted))))-1]
}

func spread(list []float64) string {
	return fmt.Sprintf("median %.1f ms, most %.1f ms", median(list), slices.Max(list))
}

// measureSignals plays boundaries in a database that holds a day: first cycle by
// cycle, then as the job of the service does it; at last with 50,000 wallets.
func measureSignals(ctx context.Context, b *bench) error {
	if err := b.database(ctx, "signals"); err != nil {
		return err
	}
	c, err := newCrowd(200, someDay)
	if err != nil {
		return err
	}
	s, err := openStage(ctx, b.server.URL(server.Superuser, "signals"), c, someDay)
	if err != nil {
		return err
	}
	defer s.pool.Close()
	boundary := someDay.Add(signals.History)
	first := boundary.Add(time.Minute - signals.Period) // that the boundary has to itself
	for at := someDay; at.Before(first); at = at.Add(time.Minute) {
		if err := s.commit(ctx, at); err != nil {
			return err
		}
	}
	loading, err := timed(func() error { return s.absorb(ctx, first.Add(-time.Minute)) })
	if err != nil {
		return err
	}
	const warm, count = 3, 100
	var list []float64
	for i := range warm + count {
		if err := s.approach(ctx, boundary); err != nil {
			return err
		}
		ms, err := s.compute(ctx, boundary)
		if err != nil {
			return err
		}
		if i >= warm {
			list = append(list, ms)
		}
		boundary = boundary.Add(signals.Period)
	}
	b.add("snapshot committed → three signals committed, 200 wallets", 50, p95(list), " ms", fmt.Sprintf("p95 of %d boundaries; %s", count, spread(list)))
	b.note("… before the first one: reading the day", loading, " ms", fmt.Sprintf("once, %d rows", len(c.wallets)*asset.Count*int(dayMinutes-4)))
	if err := s.measureJob(ctx, b, boundary); err != nil {
		return err
	}
	return b.measureLarge(ctx)
}
