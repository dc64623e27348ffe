package engine

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/whalegate/whalegate/internal/asset"
)

// A mark by hand counts at once, for the boundary that comes and for those that
// are long computed, which then no longer stand on their inputs.
func TestAMarkByHandCounts(t *testing.T) {
	t.Parallel()
	s := stage(t, 1)
	for _, reason := range []string{byHand, ""} {
		s = s.again(t, 20)
		s.minutes(-9, -1)
		s.minute(0, "5", "5")
		c := s.cycle(Now)
		s.run(c, 0)
		same(t, "audit", s.audit())
		s.mark(reason, 0, 1)
		var differ []string
		for _, a := range asset.All {
			for _, column := range []string{"dispersion_index", "exit_cluster_score", "dirty_count", "signal_contributors", "signal_positioning"} {
				differ = append(differ, fmt.Sprint("12:00 ", a, " ", column))
			}
		}
		same(t, "audit with one mark", s.audit(), differ...)
		s.wipe()
		s.run(c, 0)
		if got := s.row(0, asset.BTC); got.DirtyCount != 1 || got.Contributors.CountReducers != 1 || got.Contributors.CountFlat != 19 {
			t.Errorf("with one mark: %+v %+v", got, got.Contributors)
		}
		same(t, "audit", s.audit())

		s.unmark(0, 1)
		s.wipe()
		s.run(c, 0)
		if got := s.row(0, asset.BTC); got.DirtyCount != 0 || got.Contributors.CountReducers != 2 {
			t.Errorf("with the mark taken back: %+v %+v", got, got.Contributors)
		}
		same(t, "audit", s.audit())
	}
}

// A minute that was written again is read again: in time for the boundary it
// counts as it is now.
func TestAMinuteWrittenAgainIsReadAgain(t *testing.T) {
	t.Parallel()
	s := lifelike(t)
	c := s.cycle(Now)
	s.absorb(c.Memory, 10*time.Second)
	s.mark(byHand, -1, 3)
	s.absorb(c.Memory, 11*time.Second)
	s.tell(told{n: -1, sizes: []string{"", "-", "NULL"}, finished: 80 * time.Second}, told{n: 0, sizes: append(repeat(4, "20"), "-"), finished: 30 * time.Second})
	s.clock(31 * time.Second)
	if _, err := c.Run(t.Context(), noon); err != nil {
		t.Fatal(err)
	}
	fresh := NewMemory()
	if diff := cmp.Diff(s.look(fresh, 0), s.look(c.Memory, 0), equalNaNs); diff != "" {
		t.Errorf("fresh and old memory differ: %s", diff)
	}
	if got := s.row(0, asset.HYPE); got.DirtyCount != 0 || got.Contributors.CountAddLong != 4 || got.Contributors.TotalWallets != 20 {
		t.Errorf("%+v %+v", got, got.Contributors)
	}
	if in := fresh.Input(asset.HYPE); in.Rows != 98 {
		t.Errorf("%d rows, want 98: two have gone", in.Rows)
	}
}

// Memory that has seen the boundary before and one that has not must agree,
// also when a hand reached into the window of that boundary after it was
// computed: else a restart changes numbers.
func TestARestartAfterAMarkByHandChangesNothing(t *testing.T) {
	t.Parallel()
	stage := stage(t, 1)
	for _, tt := range []struct {
		name          string
		before, reach func(s *scene)
	}{
		{"marked", nil, func(s *scene) { s.mark(byHand, 0, 1) }},
		{"marked without a reason", nil, func(s *scene) { s.mark("", 0, 1) }},
		{"a mark taken back", func(s *scene) { s.mark(byHand, 0, 1) }, func(s *scene) { s.unmark(0, 1) }},
		{"the check's mark of the boundary before", nil, func(s *scene) { s.mark(collapse, 0, 1) }},
		{"a mark of the check made one by hand", nil, func(s *scene) {
			s.mark(collapse, 0, 1)
			s.absorb(s.running, 4*time.Minute)
			s.mark(byHand, 0, 1)
		}},
		{"a mark by hand made one of the check", func(s *scene) { s.mark(byHand, 0, 1) }, func(s *scene) { s.mark(collapse, 0, 1) }},
		{"written again", nil, func(s *scene) { s.tell(told{n: 0, sizes: repeat(20, "10"), finished: 44 * time.Second}) }},
		{"written again late", nil, func(s *scene) { s.tell(told{n: 0, sizes: repeat(20, "10"), finished: 4 * time.Minute}) }},
		{"late, then written again in time", func(s *scene) { s.tell(told{n: 0, finished: 50 * time.Second}) }, func(s *scene) {
			s.absorb(s.running, 4*time.Minute)
			s.tell(told{n: 0, finished: 40 * time.Second})
		}},
		{"found failed", nil, func(s *scene) {
			s.exec("UPDATE ingest_runs SET status = 'failed', error = 'why' WHERE timestamp = $1", noon)
		}},
		{"found not to have failed", func(s *scene) { s.tell(told{n: 0, status: "failed"}) }, func(s *scene) {
			s.absorb(s.running, 4*time.Minute)
			s.exec("UPDATE ingest_runs SET status = 'success', error = NULL WHERE timestamp = $1", noon)
		}},
		{"the run deleted", nil, func(s *scene) { s.exec("DELETE FROM ingest_runs WHERE timestamp = $1", noon) }},
		{"the rows deleted", nil, func(s *scene) { s.exec("DELETE FROM wallet_snapshots WHERE timestamp <= $1", noon) }},
		{"the failed run that brought a mark written again late", func(s *scene) {
			s.minute(-1, "5")
			s.mark(collapse, -1, 1)
			s.tell(told{n: 0, status: "failed"})
		}, func(s *scene) { s.tell(told{n: 0, finished: 4 * time.Minute}) }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := stage.again(t, 20)
			s.minutes(-9, -1)
			s.minute(0, "5", "5")
			if tt.before != nil {
				tt.before(s)
			}
			s.running = NewMemory()
			s.look(s.running, 0)
			s.minutes(1, 5)
			tt.reach(s)
			fresh, old := s.look(NewMemory(), 5), s.look(s.running, 5)
			for _, a := range asset.All { // of wallet 1, as of all of them the story is long
				if fresh, old := fresh[a].Wallets[wallet(1)], old[a].Wallets[wallet(1)]; !cmp.Equal(fresh, old, equalNaNs) {
					t.Errorf("%s: fresh memory sees %+v, the running one %+v", a, fresh, old)
				}
			}
			if diff := cmp.Diff(s.readNaive().look(5, ids(numbers(1, 20))), fresh, equalNaNs); diff != "" {
				t.Errorf("the rules (-) and fresh memory (+) differ: %s", diff)
			}
		})
	}
}

// The universe at a boundary is the newest that a refresh had finished by then.
func TestTheUniverseIsTheNewestFinishedOne(t *testing.T) {
	t.Parallel()
	s := lifelike(t)
	c := s.cycle(Now)
	s.universe(0, numbers(1, 19)...) // finished at noon, to the second
	s.exec(`INSERT INTO wallet_universe_runs (as_of_ts, status, source, n_requested, n_received, duration_ms, error) VALUES ($1, 'failed', 'test', 20, 0, 0, 'why')`, at(-1))
	s.exec(`UPDATE wallet_universe_runs SET as_of_ts = as_of_ts + interval '1 second' WHERE as_of_ts = $1`, at(0).Add(-1500*time.Millisecond))
	s.run(c, 0)
	if got := s.row(0, asset.BTC); got.WalletCount != 20 {
		t.Errorf("at noon: %d wallets, want the 20 of the universe before, as the next was not finished", got.WalletCount)
	}
	s.minutes(1, 5)
	s.run(c, 5)
	if got := s.row(5, asset.BTC); got.WalletCount != 19 || got.MissingCount != 0 {
		t.Errorf("at 12:05: %d wallets, want the 19 of the new universe", got.WalletCount)
	}
	s.universe(6, append(numbers(1, 19), 21, 22)...)
	s.minutes(6, 10)
	s.run(c, 10)
	if got := s.row(10, asset.BTC); got.WalletCount != 19 || got.MissingCount != 2 {
		t.Errorf("at 12:10: %d wallets and %d missing, want 19 and 2", got.WalletCount, got.MissingCount)
	}
	same(t, "audit", s.audit())
}
