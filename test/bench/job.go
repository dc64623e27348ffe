package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/whalegate/whalegate/internal/qa"
	"github.com/whalegate/whalegate/signals"
	"github.com/whalegate/whalegate/signals/engine"
)

// standingClock makes the database's clock stand where it is put.
const standingClock = `
	CREATE TABLE bench_clock (now timestamptz);
	INSERT INTO bench_clock VALUES ('epoch');
	CREATE OR REPLACE FUNCTION whalegate_now() RETURNS timestamptz LANGUAGE sql VOLATILE AS 'SELECT now FROM bench_clock'`

// listener is a log that hears of computed boundaries, and of everything that
// went wrong.
type listener struct{ said chan slog.Record }

func (l listener) Enabled(context.Context, slog.Level) bool { return true }
func (l listener) WithAttrs([]slog.Attr) slog.Handler       { return l }
func (l listener) WithGroup(string) slog.Handler            { return l }
func (l listener) Handle(_ context.Context, r slog.Record) error {
	l.said <- r
	return nil
}

// pause is what the job gets of each minute, to absorb the one before.
const pause = 20 * time.Millisecond

// measureJob plays boundaries through the job of the service, from the wake-up
// after a commit to its message that the signals are written.
func (s *stage) measureJob(ctx context.Context, b *bench, boundary time.Time) (err error) {
	if _, err := s.pool.Exec(ctx, standingClock); err != nil {
		return err
	}
	log := listener{make(chan slog.Record, 100)}
	logger, registry := slog.New(log), prometheus.NewRegistry()
	job := engine.New(engine.Config{Pool: s.pool, Logger: logger, Registerer: registry, QA: qa.New(s.pool, nil, logger, registry), Judge: engine.Now})
	ctx, cancel := context.WithTimeoutCause(ctx, 5*time.Minute, errors.New("the job did not come to an end"))
	ended := make(chan error, 1)
	go func() { ended <- job.Run(ctx) }()
	defer func() { cancel(); err = errors.Join(err, <-ended) }()
	const warm, count = 3, 100
	var list []float64
	for i := range warm + count {
		var committed time.Time
		for at := boundary.Add(time.Minute - signals.Period); !at.After(boundary); at = at.Add(time.Minute) {
			time.Sleep(pause)
			if _, err := s.pool.Exec(ctx, "UPDATE bench_clock SET now = $1", at.Add(3*time.Second)); err != nil {
				return err
			}
			if err := s.commit(ctx, at); err != nil {
				return err
			}
			committed = time.Now()
			job.Wake()
		}
		select {
		case r := <-log.said:
			if r.Level != slog.LevelInfo {
				return fmt.Errorf("the job said: %s", r.Message)
			}
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		if i >= warm {
			list = append(list, float64(time.Since(committed))/float64(time.Millisecond))
		}
		boundary = boundary.Add(signals.Period)
	}
	b.note("… by the job, woken by the commit", p95(list), " ms", fmt.Sprintf("p95 of %d boundaries; %s", count, spread(list)))
	return nil
}
