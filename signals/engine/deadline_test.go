package engine

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/whalegate/whalegate/internal/postgres"
)

// A commit of the boundary's minute that is under way at the deadline, and ended
// its run before, is waited for; one that is still at it long after is not there.
func TestTheDeadlineWaitsForTheCommitUnderWay(t *testing.T) {
	t.Parallel()
	const lock = "SELECT FROM collector_leader FOR SHARE" // as the fence begins each transaction of the leader
	for _, tt := range []struct {
		name      string
		commits   bool
		snapshots string
	}{{"committed", true, ""}, {"rolled back", false, "few_snapshots"}} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := stage(t, 20)
			s.minutes(-9, -1)
			conn, err := s.db.Acquire(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Release()
			tx, err := conn.Begin(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if _, err := tx.Exec(t.Context(), lock); err != nil {
				t.Fatal(err)
			}
			if err := s.put(tx.Conn(), told{n: 0, finished: 44 * time.Second}); err != nil {
				t.Fatal(err)
			}
			s.clock(46 * time.Second)
			done := make(chan error, 1)
			go func() {
				_, err := s.job().step(context.Background())
				done <- err
			}()
			s.until("EXISTS (SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database())")
			if got := s.written(); got != nothing {
				t.Errorf("%s rows while the commit is under way", got)
			}
			if tt.commits {
				err = tx.Commit(t.Context())
			} else {
				err = tx.Rollback(t.Context())
			}
			if err != nil {
				t.Fatal(err)
			}
			if err := <-done; err != nil {
				t.Fatal(err)
			}
			same(t, "rows", s.list("SELECT coalesce(degraded_reason, '') FROM signals"), tt.snapshots, tt.snapshots, tt.snapshots)
		})
	}

	s := stage(t, 20)
	s.minutes(-9, -1)
	err := pgx.BeginFunc(t.Context(), s.db, func(tx pgx.Tx) error {
		if _, err := tx.Exec(t.Context(), "SELECT FROM collector_leader, ingest_runs"); err != nil {
			return err
		}
		s.clock(46 * time.Second)
		s.work(s.job(), 1) // what nobody may commit as the leader is not waited for
		return nil
	})
	if err != nil || s.written() != complete {
		t.Errorf("%v, %s rows", err, s.written())
	}
}

// A boundary that comes due while the database cannot be asked is blocked, which
// is counted once, and computed when it can be asked in time.
func TestG0ADarkDatabaseBlocksTheBoundaryOnce(t *testing.T) {
	t.Parallel()
	s := lifelike(t)
	s.clock(3 * time.Second)
	away, err := postgres.Open(t.Context(), "postgres://127.0.0.1:1/none", "test")
	if err != nil {
		t.Fatal(err)
	}
	defer away.Close()
	early, late := s.jobAt(40*time.Second, still), s.jobAt(50*time.Second, still)
	for _, j := range []*Job{early, late} {
		j.cfg.Pool, j.cycle.Pool = away, away
		for range 3 {
			if _, err := j.step(t.Context()); err == nil {
				t.Fatal("a database that is away does not matter")
			}
		}
		want := map[*Job]float64{early: 0, late: 1}[j]
		if got := j.metric(t, "whalegate_signal_cycles_blocked_total", "database"); got != want || j.metric(t, "whalegate_signal_cycles_total", "blocked") != want {
			t.Errorf("blocked %v times, want %v", got, want)
		}
		if got := j.metric(t, "whalegate_qa_failures_total", "G0"); got != want {
			t.Errorf("G0 failed %v times, want %v", got, want)
		}
	}
	same(t, "events", s.list("SELECT concat_ws(' ', check_id, stage, severity, details) FROM qa_events"), `G0 signals warning {"reasons": ["database"]}`)
	late.cfg.Pool, late.cycle.Pool = s.db, s.db
	s.work(late, 1)
	same(t, "cycles", s.cycles(), "12:00 computed HEALTHY {} {}")
}
