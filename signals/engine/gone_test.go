package engine

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/whalegate/whalegate/internal/asset"
)

// presently leaves out what the boundary before saw, of which
// TestARestartAfterAMarkByHandChangesNothing tells.
var presently = cmpopts.IgnoreFields(sizes{}, "Previous")

// What has gone from the day before a boundary can be told of, and nothing can
// be said about the boundary any more. Memory that knew the rows agrees with
// memory that never did.
func TestRowsThatHaveGoneAreCounted(t *testing.T) {
	t.Parallel()
	stage := stage(t, 1)
	for _, tt := range []struct {
		name string
		sql  string
		arg  any
		lost int
		rows int // of the window, an asset
	}{
		{"older than the history", "DELETE FROM wallet_snapshots WHERE timestamp <= $1", at(-1445), 0, 100},
		{"the oldest of the history", "DELETE FROM wallet_snapshots WHERE timestamp <= $1", at(-1444), 1, 100},
		{"all of the day before", "DELETE FROM wallet_snapshots WHERE timestamp < $1", at(-60), 4, 100},
		{"half a window", "DELETE FROM wallet_snapshots WHERE timestamp < $1", at(-2), 11, 60},
		{"all but the boundary's minute", "DELETE FROM wallet_snapshots WHERE timestamp < $1", at(0), 13, 20},
		{"everything", "DELETE FROM wallet_snapshots WHERE timestamp <= $1", at(0), 14, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := stage.again(t, 20)
			s.minutes(-1446, -1441)
			s.minutes(-9, 0)
			c := s.cycle(Now)
			s.run(c, 0)
			same(t, "audit before", s.audit())
			s.exec(tt.sql, tt.arg)
			fresh := NewMemory()
			if diff := cmp.Diff(s.look(fresh, 0), s.look(c.Memory, 0), equalNaNs, presently); diff != "" {
				t.Errorf("fresh and old memory differ: %s", diff)
			}
			if fresh.Lost() != tt.lost || c.Memory.Lost() != tt.lost {
				t.Errorf("fresh memory counts %d minutes as lost, the old one %d; want %d", fresh.Lost(), c.Memory.Lost(), tt.lost)
			}
			if in := fresh.Input(asset.BTC); in.Rows != tt.rows || in.Snapshots != tt.rows/20 {
				t.Errorf("%d rows of %d snapshots, want %d", in.Rows, in.Snapshots, tt.rows)
			}
			if tt.lost > 0 {
				same(t, "audit", s.audit(), "12:00 unverifiable")
			} else {
				same(t, "audit", s.audit())
			}
			err := Replay(t.Context(), s.db, noon, noon, func(r Replayed) error {
				if r.Lost != tt.lost {
					t.Errorf("the replay counts %d minutes as lost, want %d", r.Lost, tt.lost)
				}
				return nil
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
}

// Runs go on though every row was dropped: the next boundary has its five
// snapshots again, and the day before stays lost.
func TestTruncatedSnapshotsDoNotComeBack(t *testing.T) {
	t.Parallel()
	s := lifelike(t)
	c := s.cycle(Now)
	s.run(c, 0)
	s.exec("TRUNCATE wallet_snapshots")
	s.wipe()
	r := s.run(c, 0)
	same(t, "skipped at noon", r.Skipped, "HYPE", "BTC", "ETH")
	s.minutes(1, 5, "20")
	s.absorb(c.Memory, 5*time.Minute)
	r = s.run(c, 5)
	if len(r.Signals) != 3 || c.Memory.Lost() != 10 {
		t.Fatalf("%d signals, %d minutes lost; want 3 and 10", len(r.Signals), c.Memory.Lost())
	}
	for _, got := range r.Signals { // nobody has a position of before to compare with
		if got.Classes.Flat != 20 || got.DispersionIndex != 50 {
			t.Errorf("%+v", got)
		}
	}
	fresh := NewMemory()
	if diff := cmp.Diff(s.look(fresh, 5), s.look(c.Memory, 5), equalNaNs, presently); diff != "" || fresh.Lost() != 10 {
		t.Errorf("%d minutes lost; fresh and old memory differ: %s", fresh.Lost(), diff)
	}
	same(t, "audit", s.audit(), "12:00 unverifiable", "12:05 unverifiable")
}

// Runs that never wrote a row lose none.
func TestARunWithoutRowsLosesNothing(t *testing.T) {
	t.Parallel()
	s := stage(t, 5)
	s.minutes(-9, -8)
	s.tell(told{n: -7, sizes: repeat(5, "-"), status: "failed"}, told{n: -6, sizes: repeat(5, "-"), status: "partial"})
	s.minutes(-5, 0)
	m := NewMemory()
	s.look(m, 0)
	if m.Lost() != 0 {
		t.Errorf("%d minutes are lost", m.Lost())
	}
}

// A boundary is looked at again after later ones, as when a clock goes back.
func TestMemoryCanGoBack(t *testing.T) {
	t.Parallel()
	s := stage(t, 20)
	s.minutes(-1460, -1420, "7")
	s.minutes(-9, 0, "5")
	s.minute(1, "NULL", "3")
	s.mark(collapse, 0, 1)
	s.mark(byHand, -1, 2)
	for n := 2; n <= 30; n++ {
		s.minute(n, fmt.Sprint(n), "5", "5")
	}
	// A minute of a day before that came fifteen minutes after noon, and says something else.
	s.tell(told{n: -1430, sizes: []string{"900", "NULL", "-", "900"}, finished: 1445 * time.Minute})
	m := NewMemory()
	for _, n := range []int{0, 30, 0, 5, -5, 10, 15, 20, 25, 30, 5, 30, 0} {
		if diff := cmp.Diff(s.look(NewMemory(), n), s.look(m, n), equalNaNs); diff != "" {
			t.Errorf("minute %d: fresh (-) and old (+) memory differ: %s", n, diff)
		}
	}
}

// A wallet that was silent for a day, but for a minute that came a day late: what
// later boundaries saw and forgot must not be left over for an earlier one.
func TestMemoryGoneBackKnowsNothingOfWhatCameLater(t *testing.T) {
	t.Parallel()
	s := stage(t, 1)
	s.tell(told{n: -1430, sizes: []string{"900"}, finished: 1445 * time.Minute})
	for n := 1; n <= 30; n++ {
		s.minute(n, fmt.Sprint(n))
	}
	m := NewMemory()
	for _, n := range []int{5, 20, 30, 5} {
		if diff := cmp.Diff(s.look(NewMemory(), n), s.look(m, n), equalNaNs); diff != "" {
			t.Errorf("minute %d: fresh (-) and old (+) memory differ: %s", n, diff)
		}
	}
}
