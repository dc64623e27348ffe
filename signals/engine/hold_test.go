package engine

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/whalegate/whalegate/internal/asset"
	"github.com/whalegate/whalegate/signals"
)

// The story has 20 wallets, 10 long and 10 short; at noon 8 of them, 40 %, show
// something else.
const troubled = 8

func (s *scene) troubled(t testing.TB) *scene {
	s = s.again(t, 20)
	for i := range s.sizes {
		s.sizes[i] = []string{"10", "-10"}[i%2]
	}
	s.minutes(-9, -1)
	return s
}

// back is what the troubled wallets hold otherwise.
func back() []string {
	list := make([]string, troubled)
	for i := range list {
		list[i] = []string{"10", "-10"}[i%2]
	}
	return list
}

// expect compares the classes and the missing wallets of every asset.
func (s *scene) expect(n int, classes signals.Classes, missing int) {
	s.Helper()
	for _, a := range asset.All {
		r := s.row(n, a)
		c := r.Contributors
		got := signals.Classes{AddLong: c.CountAddLong, AddShort: c.CountAddShort, Reducers: c.CountReducers, Flat: c.CountFlat}
		if got != classes || r.MissingCount != missing {
			s.Errorf("minute %d, %s: %+v and %d missing, want %+v and %d", n, a, got, r.MissingCount, classes, missing)
		}
		if want := 100 * float64(classes.Reducers) / float64(classes.Total()); r.ExitClusterScore != want {
			s.Errorf("minute %d, %s: exit cluster %v, want %v", n, a, r.ExitClusterScore, want)
		}
	}
}

// play runs boundaries with the memory of a service that goes on, or of one that
// is started anew before each, and has them audited.
func (s *scene) play(restarts bool, tell map[int]func(), boundaries ...int) {
	s.Helper()
	c := s.cycle(Now)
	for _, b := range boundaries {
		tell[b]()
		if restarts {
			c = s.cycle(Now)
		}
		if r := s.run(c, b); r.Outcome != Computed {
			s.Fatalf("minute %d: %s %v", b, r.Outcome, r.Reasons)
		}
	}
	same(s, "audit", s.audit())
}

var calm = signals.Classes{Flat: 20}

func TestHoldAGlitchAtTheBoundaryIsNoExit(t *testing.T) {
	t.Parallel()
	stage := stage(t, 1)
	for _, glitch := range []string{"0", "NULL", "0.05|0.00001|0.0001"} {
		for _, restarts := range []bool{false, true} {
			t.Run(fmt.Sprint(glitch, " restarts ", restarts), func(t *testing.T) {
				s := stage.troubled(t)
				s.play(restarts, map[int]func(){
					0: func() { s.minute(0, repeat(troubled, glitch)...) },
					5: func() {
						s.minute(1, back()...)
						s.mark(collapse, 0, numbers(1, troubled)...)
						s.minutes(2, 5)
					},
					10: func() { s.minutes(6, 10) },
				}, 0, 5, 10)
				for _, b := range []int{0, 5, 10} { // no exit, no entry after it, nothing missing
					s.expect(b, calm, 0)
				}
				for _, r := range s.rows() {
					if p := r.Positioning; r.AlignmentScore != 50 || p.LongCount != 10 || p.ShortCount != 10 || p.FlatCount != 0 {
						t.Errorf("%+v %+v", r, p)
					}
				}
			})
		}
	}
}

// A real exit at the boundary minute is seen one period later, once, and not
// lost.
func TestHoldARealExitIsSeenOnceAPeriodLater(t *testing.T) {
	t.Parallel()
	s := stage(t, 1)
	for _, restarts := range []bool{false, true} {
		s = s.troubled(t)
		s.play(restarts, map[int]func(){
			0:  func() { s.minute(0, repeat(troubled, "0")...) },
			5:  func() { s.minutes(1, 5) },
			10: func() { s.minutes(6, 10) },
		}, 0, 5, 10)
		s.expect(0, calm, 0)
		s.expect(5, signals.Classes{Reducers: troubled, Flat: 12}, 0)
		s.expect(10, calm, 0)
		for _, a := range asset.All {
			r := s.row(5, a)
			if r.AllowedPlaybook != "No-trade" || r.RiskMode != "Defensive" || !r.TightenStops || r.AddExposure || r.Positioning.FlatCount != troubled {
				t.Errorf("the exit of 40 %%: %+v %+v", r, r.Positioning)
			}
			if r := s.row(0, a); r.Positioning.FlatCount != 0 {
				t.Errorf("held sizes are not what is held: %+v", r.Positioning)
			}
		}
	}
}

// An exit a minute earlier is confirmed by the boundary's own minute.
func TestHoldAConfirmedExitIsSeenAtOnce(t *testing.T) {
	t.Parallel()
	s := stage(t, 20)
	s.minutes(-9, -2)
	s.minutes(-1, 0, repeat(troubled, "0")...)
	s.run(s.cycle(Now), 0)
	s.expect(0, signals.Classes{Reducers: troubled, Flat: 12}, 0)
}

// Dirty rows are not compared: with the row before the newest out of the way, it
// is the one before that the newest collapses against.
func TestHoldCleanRowsAreCompared(t *testing.T) {
	t.Parallel()
	s := stage(t, 20)
	s.minutes(-9, -2)
	s.minute(-1, repeat(troubled, "3")...)
	s.mark(byHand, -1, 1, 2, 3, 4, 5, 6, 7, troubled)
	s.minute(0, repeat(troubled, "0")...)
	r := s.run(s.cycle(Now), 0)
	s.expect(0, calm, 0)
	for _, got := range r.Signals {
		if got.DirtyCount != troubled {
			t.Errorf("%d dirty, want %d", got.DirtyCount, troubled)
		}
	}
}

// A window's only row is taken as it is.
func TestHoldNeedsARowToHold(t *testing.T) {
	t.Parallel()
	s := stage(t, 20)
	s.minutes(-9, -5)
	s.minutes(-4, -1, "-", "-")
	s.minute(0, "0", "NULL")
	s.run(s.cycle(Now), 0)
	s.expect(0, signals.Classes{Reducers: 1, Flat: 18}, 1)
	if diff := cmp.Diff("3 3 3 1", s.written()); diff != "" {
		t.Error(diff)
	}
}
