package engine

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/whalegate/whalegate/internal/asset"
	"github.com/whalegate/whalegate/signals"
)

// absorb lets memory read what there is at an instant after noon, as the job
// does between two boundaries.
func (s *scene) absorb(m *Memory, after time.Duration) {
	s.Helper()
	err := pgx.BeginTxFunc(s.Context(), s.db, snapshotOf, func(tx pgx.Tx) error { return m.Absorb(s.Context(), tx, noon.Add(after)) })
	if err != nil {
		s.Fatal(err)
	}
}

// audit gives "12:00 BTC dirty_count" for every difference, and the boundaries
// that cannot be verified.
func (s *scene) audit() (differences []string) {
	s.Helper()
	err := Audit(s.Context(), s.db, at(-5000), at(5000), func(a Audited) error {
		if a.Unverifiable {
			differences = append(differences, a.Boundary.Format("15:04")+" unverifiable")
		}
		for _, d := range a.Differences {
			differences = append(differences, fmt.Sprint(d.Timestamp.Format("15:04"), " ", d.Asset, " ", d.Column))
		}
		return nil
	})
	if err != nil {
		s.Fatal(err)
	}
	return differences
}

// With the minute of a boundary comes the news that everybody has doubled.
func TestAMinuteIsSeenByTheBoundariesItWasInTimeFor(t *testing.T) {
	t.Parallel()
	stage := stage(t, 1)
	for _, tt := range []struct {
		minute    int
		finished  time.Duration // after noon
		seen      bool
		snapshots int
	}{
		{0, 2 * time.Second, true, 5},
		{0, 45 * time.Second, true, 5},
		{0, 45*time.Second + time.Microsecond, false, 4},
		{0, 3 * time.Minute, false, 4},
		{-1, 44 * time.Second, true, 5},
		{-1, 46 * time.Second, false, 4},
	} {
		t.Run(fmt.Sprint(tt.minute, " finished at ", tt.finished), func(t *testing.T) {
			s := stage.again(t, 10)
			s.minutes(-9, tt.minute-1)
			s.tell(told{n: tt.minute, sizes: repeat(10, "20"), finished: tt.finished - time.Duration(tt.minute)*time.Minute})
			if tt.minute == -1 {
				s.minute(0, repeat(10, "10")...)
			}
			c := s.cycle(Now)
			s.clock(50 * time.Second)
			s.absorb(c.Memory, 4*time.Minute) // memory knows the late minute already
			var r Result
			var err error
			s.yetToCome(0, func() { r, err = c.Run(t.Context(), noon) })
			if err != nil {
				t.Fatal(err)
			}
			adders := 0
			if tt.minute == 0 && tt.seen {
				adders = 10
			}
			for _, got := range r.Signals {
				if got.Classes.AddLong != adders || got.WalletCount != 10 {
					t.Errorf("at noon: %+v, want %d adders", got.Classes, adders)
				}
			}
			if in := c.Memory.Input(asset.BTC); in.Snapshots != tt.snapshots || in.Rows != 10*tt.snapshots {
				t.Errorf("%d snapshots with %d rows, want %d", in.Snapshots, in.Rows, tt.snapshots)
			}
			s.minutes(1, 5, repeat(10, "20")...)
			s.absorb(c.Memory, 4*time.Minute+10*time.Second)
			r = s.run(c, 5)
			for _, got := range r.Signals { // what one boundary could not see is news to the next, and no news twice
				if got.Classes.AddLong != 10-adders {
					t.Errorf("at 12:05: %+v, want %d adders", got.Classes, 10-adders)
				}
			}
			s.exec("UPDATE signal_cycles SET judged_at = '2026-03-01 12:00:50Z' WHERE timestamp = $1", noon)
			same(t, "audit", s.audit())
		})
	}
}

// The verdict on the boundary's own minute comes a minute later, and is none of
// the boundary's business: what it computed stays what it would compute.
func TestTheCollapseMarkOfTheNextMinuteChangesNothing(t *testing.T) {
	t.Parallel()
	s := stage(t, 20)
	s.minutes(-9, -1)
	s.minute(0, repeat(8, "0")...)
	c := s.cycle(Now)
	s.run(c, 0)
	before := s.rows()
	s.minute(1, repeat(8, "10")...)
	s.mark(collapse, 0, numbers(1, 8)...)
	same(t, "audit", s.audit())
	s.absorb(c.Memory, time.Minute+10*time.Second) // memory learns of the marks, and forgets them again
	s.wipe()
	s.clock(time.Minute + 10*time.Second)
	if _, err := c.Run(t.Context(), noon); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(before, s.rows()); diff != "" {
		t.Errorf("computed once more: %s", diff)
	}
	if got := s.row(0, asset.ETH); got.DirtyCount != 0 || got.Contributors.CountReducers != 0 {
		t.Errorf("%+v", got)
	}
	s.minutes(2, 5)
	s.run(c, 5)
	if got := s.row(5, asset.ETH); got.DirtyCount != 0 || got.Contributors.CountFlat != 20 || got.IsDegraded {
		t.Errorf("at 12:05: %+v", got)
	}
	same(t, "audit", s.audit())
}

// A mark that the boundary's own minute brought is known to it.
func TestTheCollapseMarkOfTheBoundarysMinuteCounts(t *testing.T) {
	t.Parallel()
	s := stage(t, 20)
	s.minutes(-9, -2)
	s.minute(-1, "0", "NULL")
	s.minute(0, "10", "10")
	s.mark(collapse, -1, 1, 2)
	for _, late := range []bool{false, true} {
		if late { // then the boundary sees neither the minute nor what it brought
			s.tell(told{n: 0, finished: 50 * time.Second})
		}
		s.clock(51 * time.Second)
		if _, err := s.cycle(Now).Run(t.Context(), noon); err != nil {
			t.Fatal(err)
		}
		want := map[bool]int{false: 2, true: 0}[late]
		for _, a := range asset.All {
			if got := s.row(0, a); got.DirtyCount != want || got.WalletCount+got.MissingCount != 20 {
				t.Errorf("late %t: %d dirty, want %d", late, got.DirtyCount, want)
			}
		}
		same(t, "audit", s.audit())
		s.wipe()
	}
}

// A dirty row is never used, whatever became of the run that showed it to be
// one: here the minute after the glitch failed, and three clean ones followed.
// Wallet 1 has no other row in the window.
func TestS6ADirtyRowIsNotUsedWhenTheMinuteAfterItFailed(t *testing.T) {
	t.Parallel()
	s := stage(t, 20)
	s.minutes(-9, -5)
	s.minute(-4, repeat(4, "0")...)
	s.tell(told{n: -3, sizes: append(repeat(4, "10"), repeat(5, "-")...), status: "failed"})
	s.mark(collapse, -4, 1, 2, 3, 4)
	s.minutes(-2, 0, "-", "10", "10", "10")
	r := s.run(s.cycle(Now), 0)
	if r.Outcome != Computed {
		t.Fatalf("%s %v", r.Outcome, r.Reasons)
	}
	for _, got := range r.Signals {
		if want := (signals.Classes{Flat: 19}); got.DirtyCount != 4 || got.MissingCount != 1 || got.Classes != want {
			t.Errorf("%s: %d dirty, %d missing, %+v; want 4, 1 and %+v", got.Asset, got.DirtyCount, got.MissingCount, got.Classes, want)
		}
	}
}
