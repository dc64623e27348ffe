package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
)

// stopwatch measures every statement and batch of a pool, in real time. It is
// the pool's tracer, so that whoever uses the pool is measured.
type stopwatch struct {
	seconds prometheus.Histogram
}

func newStopwatch() *stopwatch {
	return &stopwatch{prometheus.NewHistogram(prometheus.HistogramOpts{
		Name:    "whalegate_database_round_trip_seconds",
		Help:    "Time from sending a statement or a batch to having read its answer, locks waited for and failures included; COPY is not in it.",
		Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10},
	})}
}

// stopwatchOf is the one that Open gave the pool.
func stopwatchOf(pool *pgxpool.Pool) *stopwatch {
	s, ok := pool.Config().ConnConfig.Tracer.(*stopwatch)
	if !ok {
		return newStopwatch() // not a pool of ours: nothing is measured
	}
	return s
}

type startKey struct{}

func start(ctx context.Context) context.Context {
	return context.WithValue(ctx, startKey{}, time.Now())
}

func (s *stopwatch) stop(ctx context.Context) {
	if started, ok := ctx.Value(startKey{}).(time.Time); ok {
		s.seconds.Observe(time.Since(started).Seconds())
	}
}

// TraceQueryStart implements pgx.QueryTracer.
func (s *stopwatch) TraceQueryStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceQueryStartData) context.Context {
	return start(ctx)
}

// TraceQueryEnd implements pgx.QueryTracer.
func (s *stopwatch) TraceQueryEnd(ctx context.Context, _ *pgx.Conn, _ pgx.TraceQueryEndData) {
	s.stop(ctx)
}

// TraceBatchStart implements pgx.BatchTracer.
func (s *stopwatch) TraceBatchStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceBatchStartData) context.Context {
	return start(ctx)
}

// TraceBatchQuery implements pgx.BatchTracer.
func (s *stopwatch) TraceBatchQuery(context.Context, *pgx.Conn, pgx.TraceBatchQueryData) {}

// TraceBatchEnd implements pgx.BatchTracer.
func (s *stopwatch) TraceBatchEnd(ctx context.Context, _ *pgx.Conn, _ pgx.TraceBatchEndData) {
	s.stop(ctx)
}
