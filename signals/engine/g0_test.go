package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/whalegate/whalegate/internal/asset"
	"github.com/whalegate/whalegate/internal/health"
	"github.com/whalegate/whalegate/internal/health/watch"
	"github.com/whalegate/whalegate/internal/qa"
)

// meddler is a Judge that lets something happen just before its k-th question,
// and then asks the real one.
type meddler struct {
	k      int
	happen func()
	asked  []watch.Querier
}

func (m *meddler) judge(ctx context.Context, db watch.Querier, t time.Time) (health.Health, error) {
	m.asked = append(m.asked, db)
	if len(m.asked) == m.k {
		m.happen()
	}
	return Now(ctx, db, t)
}

// questions is how often a cycle asks for health: before it, before each asset,
// and before its commit.
const questions = 1 + asset.Count + 1

func TestG0HealthIsAskedBeforeTheCycleEachAssetAndTheCommit(t *testing.T) {
	t.Parallel()
	s := lifelike(t)
	m := &meddler{}
	s.run(s.cycle(m.judge), 0)
	if len(m.asked) != questions {
		t.Fatalf("health was asked %d times, want %d", len(m.asked), questions)
	}
	for i, db := range m.asked {
		if _, inside := db.(pgx.Tx); inside != (i == questions-1) {
			t.Errorf("question %d inside the writing transaction: %t", i+1, inside)
		}
	}
}

// Whatever makes the state STALE, and whenever it does: no row is left.
func TestG0StaleAtAnyPointLeavesNoRow(t *testing.T) {
	for _, tt := range []struct {
		reason       string
		happen, undo string
	}{
		{"halted", "INSERT INTO halts (halted_at, halted_by, reason) VALUES (whalegate_now(), 'op', 'two boards disagree')", "DELETE FROM halts"},
		{"run_failed", "UPDATE ingest_runs SET status = 'failed', error = 'why' WHERE timestamp = $1", "UPDATE ingest_runs SET status = 'success', error = NULL"},
		{"coverage", "UPDATE ingest_runs SET status = 'partial', coverage_pct = 79.99 WHERE timestamp = $1", "UPDATE ingest_runs SET coverage_pct = 100"},
		{"null_szi:ETH", "UPDATE ingest_runs SET eth_non_null_pct = 59.99 WHERE timestamp = $1", "UPDATE ingest_runs SET eth_non_null_pct = 100"},
		{"system_stale", "INSERT INTO alert_state (asset, alert_type, is_active) VALUES ('SYSTEM', 'system_stale', true)", "DELETE FROM alert_state"},
		{"snapshot_age", "UPDATE ingest_runs SET status = 'partial', timestamp = timestamp - interval '1 day'", "UPDATE ingest_runs SET timestamp = timestamp + interval '1 day'"},
	} {
		t.Run(tt.reason, func(t *testing.T) {
			t.Parallel()
			s := lifelike(t)
			var newest []any
			if slices.Contains([]string{"run_failed", "coverage", "null_szi:ETH"}, tt.reason) {
				newest = []any{noon}
			}
			for k := 1; k <= questions+1; k++ {
				m := &meddler{k: k, happen: func() { s.exec(tt.happen, newest...) }}
				r := s.run(s.cycle(m.judge), 0)
				if k > questions {
					if r.Outcome != Computed || s.written() != complete {
						t.Fatalf("undisturbed: %s, %s rows; the case shows nothing", r.Outcome, s.written())
					}
					break
				}
				if r.Outcome != Blocked || !slices.Equal(r.Reasons, []string{tt.reason}) || len(r.Signals) > 0 || len(m.asked) != k {
					t.Errorf("before question %d: %s %v with %d signals after %d questions", k, r.Outcome, r.Reasons, len(r.Signals), len(m.asked))
				}
				if got := s.written(); got != unsigned {
					t.Errorf("before question %d: %s rows are left", k, got)
				}
				want := []string{fmt.Sprintf("12:00 blocked STALE {%s} {}", tt.reason)}
				if diff := cmp.Diff(want, s.cycles()); diff != "" {
					t.Errorf("before question %d: %s", k, diff)
				}
				if i := slices.IndexFunc(r.Checks, func(e qa.Event) bool { return e.Check == "G0" }); i < 0 {
					t.Errorf("before question %d: no event of G0 in %+v", k, r.Checks)
				}
				s.exec(tt.undo)
				s.wipe()
			}
		})
	}
}

var errAway = errors.New("connection refused")

// A database that cannot be asked is STALE too; but as nothing can be recorded
// then, the boundary stays open and is tried again.
func TestG0ADatabaseThatDoesNotAnswerLeavesTheBoundaryOpen(t *testing.T) {
	t.Parallel()
	s := lifelike(t)
	for k := 1; k <= questions; k++ {
		asked := 0
		c := s.cycle(func(ctx context.Context, db watch.Querier, b time.Time) (health.Health, error) {
			if asked++; asked == k {
				return health.Health{State: health.Stale, Reasons: []string{health.ReasonDatabase}}, errAway
			}
			return Now(ctx, db, b)
		})
		s.clock(2 * time.Second)
		r, err := c.Run(t.Context(), noon)
		if !errors.Is(err, errAway) || r.Outcome != Blocked || !slices.Equal(r.Reasons, []string{"database"}) {
			t.Errorf("question %d unanswered: %s %v, %v", k, r.Outcome, r.Reasons, err)
		}
		if got := s.written(); got != nothing {
			t.Errorf("question %d unanswered: %s rows are left", k, got)
		}
		if r := s.run(c, 0); r.Outcome != Computed || s.written() != complete {
			t.Errorf("tried again after question %d: %s, %s rows", k, r.Outcome, s.written())
		}
		s.wipe()
	}
}

// Health that gets worse without forbidding anything is what the rows say, at
// whatever point of the cycle it does.
func TestG0DegradedAtAnyPointMarksEveryRow(t *testing.T) {
	t.Parallel()
	s := lifelike(t)
	worse := "UPDATE ingest_runs SET status = 'partial', coverage_pct = 89.5, btc_non_null_pct = 79 WHERE timestamp = $1"
	better := "UPDATE ingest_runs SET status = 'success', coverage_pct = 100, btc_non_null_pct = 100 WHERE timestamp = $1"
	for k := 1; k <= questions; k++ {
		m := &meddler{k: k, happen: func() { s.exec(worse, noon) }}
		r := s.run(s.cycle(m.judge), 0)
		if r.Outcome != Computed || s.written() != complete {
			t.Fatalf("before question %d: %s, %s rows", k, r.Outcome, s.written())
		}
		for i, row := range s.rows() {
			if !row.IsDegraded || row.DegradedReason == nil || *row.DegradedReason != "coverage, null_szi:BTC" {
				t.Errorf("before question %d: %+v", k, row)
			}
			if !slices.Equal(r.Signals[i].Degraded, []string{"coverage", "null_szi:BTC"}) {
				t.Errorf("before question %d: %q", k, r.Signals[i].Degraded)
			}
		}
		if diff := cmp.Diff([]string{"12:00 computed DEGRADED {} {}"}, s.cycles()); diff != "" {
			t.Errorf("before question %d: %s", k, diff)
		}
		s.wipe()

		// And the other way round: it recovers before question k.
		m = &meddler{k: k, happen: func() { s.exec(better, noon) }}
		s.run(s.cycle(m.judge), 0)
		for _, row := range s.rows() {
			if row.IsDegraded {
				t.Errorf("recovered before question %d: %s", k, *row.DegradedReason)
			}
		}
		if diff := cmp.Diff([]string{"12:00 computed HEALTHY {} {}"}, s.cycles()); diff != "" {
			t.Errorf("recovered before question %d: %s", k, diff)
		}
		s.wipe()
	}
}
