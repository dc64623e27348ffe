package engine

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// tripwire does something just before the n-th statement that goes to the
// database.
type tripwire struct {
	n    int
	trip func()
}

func (w *tripwire) step() {
	if w.n--; w.n == 0 {
		w.trip()
	}
}

func (w *tripwire) TraceQueryStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceQueryStartData) context.Context {
	w.step()
	return ctx
}

func (w *tripwire) TraceBatchStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceBatchStartData) context.Context {
	w.step()
	return ctx
}

func (w *tripwire) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}
func (w *tripwire) TraceBatchEnd(context.Context, *pgx.Conn, pgx.TraceBatchEndData) {}

func (w *tripwire) TraceBatchQuery(context.Context, *pgx.Conn, pgx.TraceBatchQueryData) {}

// wired is a pool of one connection on the scene's database that has a tripwire.
func (s *scene) wired() (*pgxpool.Pool, *tripwire) {
	s.Helper()
	config := s.db.Config()
	config.MaxConns = 1
	config.ConnConfig.RuntimeParams["application_name"] = "wired"
	w := &tripwire{}
	config.ConnConfig.Tracer = w
	pool, err := pgxpool.NewWithConfig(s.Context(), config)
	if err != nil {
		s.Fatal(err)
	}
	s.Cleanup(pool.Close)
	return pool, w
}

// A shutdown may come before any statement of a cycle. All of the boundary is
// there afterwards or nothing, and the same job can go on.
func TestACancelledCycleLeavesAllOrNothing(t *testing.T) {
	t.Parallel()
	s := lifelike(t)
	s.run(s.cycle(Now), 0)
	want := s.rows()
	s.wipe()
	pool, wire := s.wired()
	errStop := errors.New("shutdown")
	statements := 0
	for n := 1; ; n++ {
		ctx, cancel := context.WithCancelCause(t.Context())
		c := &Cycle{Pool: pool, Memory: NewMemory(), Judge: Now}
		wire.n, wire.trip = n, func() { cancel(errStop) }
		s.clock(2 * time.Second)
		_, err := c.Run(ctx, noon)
		cut := ctx.Err() != nil
		cancel(nil)
		got := s.written()
		if cut != (err != nil) || got != nothing && got != complete || !cut && got != complete {
			t.Fatalf("cancelled before statement %d (%t): %v, %s rows", n, cut, err, got)
		}
		if cut && !errors.Is(err, errStop) && !errors.Is(err, context.Canceled) {
			t.Errorf("cancelled before statement %d: %v does not say so", n, err)
		}
		if got == nothing {
			if _, err := c.Run(t.Context(), noon); err != nil {
				t.Fatalf("once more after statement %d: %v", n, err)
			}
		}
		if diff := cmp.Diff(want, s.rows()); diff != "" {
			t.Fatalf("after a shutdown before statement %d: %s", n, diff)
		}
		s.wipe()
		if !cut {
			break
		}
		statements = n
	}
	if least := questions + 2*3; statements < least { // each look asks three things at least
		t.Errorf("%d statements were cancelled, want %d or more: the wire does not see them all", statements, least)
	}
}

// The connection is lost before any statement, as when the server is restarted.
func TestALostConnectionLeavesAllOrNothing(t *testing.T) {
	t.Parallel()
	s := lifelike(t)
	s.run(s.cycle(Now), 0)
	want := s.rows()
	s.wipe()
	pool, wire := s.wired()
	s.clock(2 * time.Second)
	const kill = "SELECT count(pg_terminate_backend(pid, 5000))::text FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND datname = current_database() AND application_name = 'wired'"
	failed := 0
	for n := 1; ; n++ {
		tripped := false
		c := &Cycle{Pool: pool, Memory: NewMemory(), Judge: Now}
		wire.n, wire.trip = n, func() { tripped = true; s.list(kill) }
		_, err := c.Run(t.Context(), noon)
		got := s.written()
		if got != nothing && got != complete || err == nil && got == nothing || !tripped && err != nil {
			t.Fatalf("killed before statement %d (%t): %v, %s rows", n, tripped, err, got)
		}
		if got == nothing {
			failed++
			if _, err := c.Run(t.Context(), noon); err != nil {
				t.Fatalf("once more after statement %d: %v", n, err)
			}
		}
		if diff := cmp.Diff(want, s.rows()); diff != "" {
			t.Fatalf("after a loss before statement %d: %s", n, diff)
		}
		s.wipe()
		if !tripped {
			break
		}
	}
	if failed < questions {
		t.Errorf("%d cycles failed: the connections were not lost", failed)
	}
}
