package engine

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/whalegate/whalegate/internal/asset"
	"github.com/whalegate/whalegate/internal/health"
	"github.com/whalegate/whalegate/internal/health/watch"
	"github.com/whalegate/whalegate/internal/postgres/pgtest"
)

// everything is what is stored of a boundary, to the last digit.
func (s *scene) everything() []string {
	s.Helper()
	return s.list(`SELECT concat_ws(' ', s.ctid, c.ctid, p.ctid, s::text, c::text, p::text, y::text) FROM signals s
		LEFT JOIN signal_contributors c USING (timestamp, asset) LEFT JOIN signal_positioning p USING (timestamp, asset) LEFT JOIN signal_cycles y USING (timestamp) ORDER BY s.asset`)
}

func TestASecondRunOfABoundaryChangesNothing(t *testing.T) {
	t.Parallel()
	s := lifelike(t)
	c := s.cycle(Now)
	s.run(c, 0)
	before, cycles := s.everything(), s.cycles()
	s.minute(0, repeat(20, "50")...)
	for name, again := range map[string]*Cycle{"the same": c, "another": s.cycle(Now)} {
		r, err := again.Run(t.Context(), noon)
		if err == nil || !strings.Contains(err.Error(), "another process has written this boundary") || r.Outcome == Computed || len(r.Signals) > 0 {
			t.Errorf("%s: %s with %d signals, %v", name, r.Outcome, len(r.Signals), err)
		}
		if diff := cmp.Diff(before, s.everything()); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
		same(t, "cycles", s.cycles(), cycles...)
	}
	// Nor does one that is blocked.
	s.exec("INSERT INTO halts (halted_at, halted_by, reason) VALUES (whalegate_now(), 'op', 'why')")
	if r, err := c.Run(t.Context(), noon); err != nil || r.Outcome != Blocked {
		t.Errorf("blocked: %s, %v", r.Outcome, err)
	}
	if diff := cmp.Diff(before, s.everything()); diff != "" {
		t.Errorf("blocked: %s", diff)
	}
	same(t, "cycles", s.cycles(), cycles...)
}

// A boundary that was blocked stays blocked: nothing is written over its record.
func TestABlockedBoundaryIsNotComputedLater(t *testing.T) {
	t.Parallel()
	s := lifelike(t)
	s.exec("INSERT INTO halts (halted_at, halted_by, reason) VALUES (whalegate_now(), 'op', 'why')")
	c := s.cycle(Now)
	s.run(c, 0)
	s.exec("DELETE FROM halts")
	if r, err := c.Run(t.Context(), noon); err == nil || r.Outcome == Computed {
		t.Errorf("%s, %v", r.Outcome, err)
	}
	same(t, "cycles", s.cycles(), "12:00 blocked STALE {halted} {}")
	if got := s.written(); got != unsigned {
		t.Errorf("%s rows", got)
	}
}

// Two services compute the same boundaries at once: one of them writes each,
// also where there is no signal but only the record of the cycle.
func TestTwoCyclesAtOnceLeaveOneSetOfRows(t *testing.T) {
	t.Parallel()
	s := stage(t, 20)
	s.minutes(-9, 5)
	s.minutes(9, 10) // three minutes too few for 12:10
	for i, n := range []int{0, 5, 10} {
		var ready, done sync.WaitGroup
		ready.Add(2)
		var results [2]Result
		var errs [2]error
		for k := range results {
			asked := 0
			c := s.cycle(func(ctx context.Context, db watch.Querier, b time.Time) (health.Health, error) {
				if asked++; asked == questions-1 { // then the rows are computed and not written
					ready.Done()
					ready.Wait()
				}
				return healthy(ctx, db, b)
			})
			done.Go(func() { results[k], errs[k] = c.Run(context.Background(), at(n)) })
		}
		done.Wait()
		winner := 0
		if errs[0] != nil {
			winner = 1
		}
		if errs[winner] != nil || results[winner].Outcome != Computed || errs[1-winner] == nil || results[1-winner].Outcome == Computed {
			t.Fatalf("minute %d: %s %v and %s %v, want one of them computed", n, results[0].Outcome, errs[0], results[1].Outcome, errs[1])
		}
		if got, want := s.written(), fmt.Sprintf("%[1]d %[1]d %[1]d %d", min(6, 3*(i+1)), i+1); got != want {
			t.Errorf("minute %d: %s rows, want %s", n, got, want)
		}
	}
}

// The service's own role may do all of it.
func TestTheServicesRoleIsEnough(t *testing.T) {
	t.Parallel()
	s := stage(t, 20)
	s.minutes(-14, -5)
	owner := s.db
	s.db = pgtest.As(t, owner, "whalegate_writer")
	s.exec("INSERT INTO halts (halted_at, halted_by, reason) VALUES ('2026-03-01 11:00Z', 'op', 'why')")
	c := s.cycle(Now)
	for _, step := range []struct {
		n    int
		want Outcome
		then string
	}{
		{-5, Blocked, "DELETE FROM halts"},
		{0, Computed, "SELECT"},
	} {
		pgtest.SetClock(t, owner, at(step.n).Add(2*time.Second).Format(time.RFC3339))
		s.minutes(-4, step.n)
		if r, err := c.Run(t.Context(), at(step.n)); err != nil || r.Outcome != step.want {
			t.Errorf("minute %d: %s %v, want %s", step.n, r.Outcome, err, step.want)
		}
		s.exec(step.then)
	}
	pgtest.SetClock(t, owner, at(5).Add(Deadline).Format(time.RFC3339))
	s.minutes(1, 4)
	s.work(s.job(), 3) // waits for the lock, computes, absorbs
	same(t, "cycles", s.cycles(), "11:55 blocked STALE {halted} {}", "12:00 computed HEALTHY {} {}", "12:05 computed HEALTHY {} {}")
	if rows := s.rows(); len(rows) != 6 || rows[0].Asset != asset.HYPE.String() {
		t.Errorf("%d rows: %+v", len(rows), rows)
	}
	same(t, "audit", s.audit())
	if err := Replay(t.Context(), s.db, noon, at(5), func(Replayed) error { return nil }); err != nil {
		t.Error(err)
	}
	if ages, err := NewAgeCollector(s.db).ages(t.Context()); err != nil || ages["BTC"] != 45 {
		t.Errorf("ages %v, %v", ages, err)
	}
}
