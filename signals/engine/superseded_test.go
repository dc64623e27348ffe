package engine

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/whalegate/whalegate/internal/asset"
	"github.com/whalegate/whalegate/internal/halt"
	"github.com/whalegate/whalegate/internal/health"
	"github.com/whalegate/whalegate/internal/health/watch"
	"github.com/whalegate/whalegate/internal/lead"
	"github.com/whalegate/whalegate/internal/postgres/pgtest"
	"github.com/whalegate/whalegate/internal/qa"
)

// A process whose lead is over writes no signal and no record of a cycle, whether it
// computed or was blocked.
func TestTheFenceRefusesTheSignalsOfACollectorThatDoesNotLead(t *testing.T) {
	t.Parallel()
	s := lifelike(t)
	fence := &lead.Fence{}
	holder := uuid.MustParse(pgtest.Holder)
	s.clock(2 * time.Second)
	for _, blocked := range []bool{false, true} {
		if blocked {
			s.wipe()
			s.exec("INSERT INTO halts (halted_at, halted_by, reason) VALUES (whalegate_now(), 'op', 'why')")
		}
		for _, term := range []lead.Term{{}, {Epoch: pgtest.Epoch - 1, Holder: holder}, {Epoch: pgtest.Epoch, Holder: uuid.New()}} {
			fence.Set(term)
			c := s.cycle(Now)
			c.Fence = fence
			if _, err := c.Run(t.Context(), noon); !errors.Is(err, lead.ErrNotLeading) {
				t.Errorf("blocked %t, term %+v: %v", blocked, term, err)
			}
			registry := prometheus.NewRegistry()
			clock := s.jobAt(2*time.Second, still).cfg.Clock
			j := New(Config{Pool: s.db, Fence: fence, Clock: clock, Logger: quiet, Registerer: registry, QA: qa.New(s.db, fence, quiet, registry), Judge: Now})
			if _, err := j.step(t.Context()); !errors.Is(err, lead.ErrNotLeading) {
				t.Errorf("blocked %t, the job in term %+v: %v", blocked, term, err)
			}
			if got := s.written(); got != nothing {
				t.Errorf("blocked %t, term %+v: %s rows", blocked, term, got)
			}
			same(t, "events", s.list("SELECT check_id FROM qa_events"))
		}
		fence.Set(lead.Term{Epoch: pgtest.Epoch, Holder: holder})
		c := s.cycle(Now)
		c.Fence = fence
		want := map[bool]string{false: complete, true: unsigned}[blocked]
		if _, err := c.Run(t.Context(), noon); err != nil || s.written() != want {
			t.Errorf("blocked %t, leading: %v, %s rows", blocked, err, s.written())
		}
	}
}

// A superseded run is in no window, also where memory has seen it before.
func TestG2SupersededRunsAreInNoWindow(t *testing.T) {
	t.Parallel()
	s := stage(t, 20)
	s.minutes(-9, -3)
	s.minute(-2, "99", "0", "NULL")
	s.minutes(-1, 0, "10", "10", "10")
	c := s.cycle(healthy)
	s.absorb(c.Memory, 2*time.Second)
	s.exec("UPDATE ingest_runs SET superseded = true WHERE timestamp = $1", at(-2))
	s.run(c, 0)
	for _, a := range asset.All {
		if got := s.row(0, a); got.DegradedReason == nil || *got.DegradedReason != "few_snapshots" || got.Contributors.CountFlat != 20 {
			t.Errorf("%+v", got)
		}
	}
	if in := c.Memory.Input(asset.BTC); in.Snapshots != 4 || in.Rows != 4*20 {
		t.Errorf("%d snapshots, %d rows", in.Snapshots, in.Rows)
	}
	s.wipe()
	s.minute(-2) // its time has come
	s.run(c, 0)
	if got := s.row(0, asset.BTC); got.IsDegraded {
		t.Errorf("replaced: %+v", got)
	}
}

// A superseded run of the boundary's minute does not let the boundary begin.
func TestASupersededMinuteDoesNotArrive(t *testing.T) {
	t.Parallel()
	s := lifelike(t)
	s.exec("UPDATE ingest_runs SET superseded = true WHERE timestamp = $1", noon)
	s.clock(3 * time.Second)
	if wait := s.work(s.job(), 1); wait != 42*time.Second || s.written() != nothing {
		t.Errorf("waits for %s, %s rows", wait, s.written())
	}
	s.clock(45 * time.Second)
	s.work(s.job(), 1)
	same(t, "reasons", s.list("SELECT degraded_reason FROM signals"), "few_snapshots", "few_snapshots", "few_snapshots")
}

// A boundary whose runs were superseded after it was judged cannot be verified, and
// is out of the way of the boundary that has its time.
func TestAuditCallsASupersededBoundaryUnverifiable(t *testing.T) {
	t.Parallel()
	s := quarter(t)
	s.exec("SELECT supersede_minutes($1, 'infinity')", at(7))
	audited := func() (list []string) {
		err := Audit(t.Context(), s.db, at(0), at(15), func(a Audited) error {
			list = append(list, fmt.Sprintf("%s %d rows, unverifiable %t, %d differences", a.Boundary.Format("15:04"), a.Rows, a.Unverifiable, len(a.Differences)))
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		return list
	}
	verified := []string{"12:00 3 rows, unverifiable false, 0 differences", "12:05 3 rows, unverifiable false, 0 differences"}
	same(t, "audit", audited(), append(verified, "12:10 3 rows, unverifiable true, 0 differences", "12:15 3 rows, unverifiable true, 0 differences")...)
	s.minutes(8, 15, "20", "20", "20")
	s.live(Now, 10, 15)
	same(t, "cycles", s.cycles(), "12:00 computed HEALTHY {} {}", "12:05 computed HEALTHY {} {}", "12:10 computed HEALTHY {} {}", "12:15 computed HEALTHY {} {}")
	same(t, "audit", audited(), append(verified,
		"12:10 3 rows, unverifiable false, 0 differences", "12:10 3 rows, unverifiable true, 0 differences",
		"12:15 3 rows, unverifiable false, 0 differences", "12:15 3 rows, unverifiable true, 0 differences")...)
	if got := s.row(10, asset.BTC).Contributors.CountAddLong; got != 3 {
		t.Errorf("%d adders at 12:10, want the 3 of the new minutes", got)
	}
	s.exec("UPDATE signals SET alignment_score = 51 WHERE timestamp = $1 AND asset = 'BTC'", at(10))
	same(t, "tampered", audited()[2:3], "12:10 3 rows, unverifiable false, 1 differences")
}

// Who leads is of the moment: it degrades no signal, because audit and replay could
// not tell it again. What the runs say still does.
func TestASignalFollowsRunsAndHaltsAlone(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, sql, cycle, reason string
	}{
		{"nobody leads", "UPDATE collector_leader SET pid = NULL", "12:00 computed HEALTHY {} {}", ""},
		{"nobody leads, and coverage is low", "UPDATE collector_leader SET pid = NULL; UPDATE ingest_runs SET coverage_pct = 85, status = 'partial' WHERE timestamp = '2026-03-01 12:00Z'",
			"12:00 computed DEGRADED {} {}", "coverage"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := lifelike(t)
			s.exec(tt.sql)
			s.clock(2 * time.Second)
			if h, err := watch.Read(t.Context(), s.db); err != nil || h.State != health.Degraded || h.Reasons[len(h.Reasons)-1] != health.ReasonNoCollector {
				t.Fatalf("the case shows nothing: %s %v, %v", h.State, h.Reasons, err)
			}
			s.work(s.job(), 1)
			same(t, "cycles", s.cycles(), tt.cycle)
			same(t, "reasons", s.list("SELECT coalesce(degraded_reason, '') FROM signals"), tt.reason, tt.reason, tt.reason)
			same(t, "audit", s.audit())
		})
	}
}

// What a person does counts for a boundary from when it is dated, also when its commit
// takes until after it: the boundary waits.
func TestAHaltUnderCommitCountsForTheBoundary(t *testing.T) {
	t.Parallel()
	s := lifelike(t)
	s.clock(-time.Second)
	tx, err := s.db.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback(t.Context())
	if _, err := halt.Stop(t.Context(), tx, "odd", "op"); err != nil { // and its commit takes a while
		t.Fatal(err)
	}
	s.clock(2 * time.Second)
	if r := s.waits(tx); r.Outcome != Blocked || s.written() != "0 0 0 1" { // the record of the cycle
		t.Errorf("%s, %v, %s rows", r.Outcome, r.Health, s.written())
	}
}

// A refresh that was under way while a boundary was read, and ended before it, counts
// for it: the boundary is read again once it is committed.
func TestARefreshUnderCommitCountsForTheBoundary(t *testing.T) {
	t.Parallel()
	s := lifelike(t)
	s.clock(2 * time.Second)
	tx, err := s.db.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback(t.Context())
	if err := lead.HoldJudging(t.Context(), tx); err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(t.Context(), `
		WITH run AS (
			INSERT INTO wallet_universe_runs (as_of_ts, status, source, n_requested, n_received, duration_ms)
			SELECT $1::timestamptz - interval '1 minute', 'success', 's', 200, 3, 5 RETURNING run_id)
		INSERT INTO wallet_universe_members (run_id, wallet_id, rank, month_pnl)
		SELECT run.run_id, m.wallet_id, m.rank, m.month_pnl FROM run, wallet_universe_members m WHERE m.run_id = (SELECT max(run_id) FROM wallet_universe_runs WHERE status = 'success') AND m.rank <= 3`, noon); err != nil {
		t.Fatal(err)
	}
	if r := s.waits(tx); r.Outcome != Computed {
		t.Fatalf("%s, %v", r.Outcome, r.Reasons)
	}
	same(t, "wallets", s.list("SELECT DISTINCT wallet_count::text FROM signals"), "3")
	same(t, "audit", s.audit())
}

// waits computes noon as the collector that leads while what a person does is under way,
// and lets that commit once the boundary waits for it.
func (s *scene) waits(tx pgx.Tx) Result {
	s.Helper()
	fence := &lead.Fence{}
	fence.Set(lead.Term{Epoch: pgtest.Epoch, Holder: uuid.MustParse(pgtest.Holder)})
	c := s.cycle(Now)
	c.Fence = fence
	results := make(chan Result, 1)
	go func() {
		r, err := c.Run(context.Background(), noon)
		if err != nil {
			s.Error(err)
		}
		results <- r
	}()
	s.until("EXISTS (SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database())")
	if err := tx.Commit(s.Context()); err != nil {
		s.Fatal(err)
	}
	return <-results
}
