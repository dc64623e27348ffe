package engine

import (
	"fmt"
	"strings"
	"testing"

	"github.com/whalegate/whalegate/signals"
)

// crowd is the scene again, of 20 wallets of which 12 add long in the window of noon; the
// first n show something else in it.
func (s *scene) crowd(t testing.TB, n int, show string) *scene {
	t.Helper()
	s = s.again(t, 20)
	s.minutes(-9, -5)
	sizes := append(repeat(8, "10"), repeat(12, "20")...)
	copy(sizes, repeat(max(1, n), show)[:n])
	s.minutes(-4, 0, sizes...)
	return s
}

// G3: missing ≤ 10 % of the universe; above 25 % it is an error of its own.
func TestG3MissingWalletsThroughTheDatabase(t *testing.T) {
	t.Parallel()
	stage := stage(t, 1)
	for _, show := range []string{"-", "NULL", "NaN"} {
		for _, tt := range []struct {
			missing  int
			severity string
		}{{0, ""}, {2, ""}, {3, "warning"}, {5, "warning"}, {6, "error"}, {20, "error"}} {
			t.Run(fmt.Sprint(show, " ", tt.missing), func(t *testing.T) {
				s := stage.crowd(t, tt.missing, show)
				if tt.missing == 20 && show == "-" { // with no row at all there is no snapshot: a stranger has some
					s.sizes = append(s.sizes, "1")
					s.minutes(-4, 0, append(repeat(20, "-"), "1")...)
				}
				r := s.run(s.cycle(healthy), 0)
				if tt.severity == "" {
					same(t, "checks", failures(r))
				} else {
					same(t, "checks", failures(r), each("G3 "+tt.severity)...)
				}
				for _, got := range r.Signals {
					if got.MissingCount != tt.missing || got.WalletCount != 20-tt.missing {
						t.Errorf("%d missing and %d counted of 20, want %d missing", got.MissingCount, got.WalletCount, tt.missing)
					}
				}
				if got := s.written(); got != complete {
					t.Errorf("%s rows", got)
				}
				for _, row := range s.rows() {
					closed := row.AlignmentScore == 50 && row.AllowedPlaybook == "No-trade" && row.RiskMode == "Defensive" && !row.AddExposure
					because := row.DegradedReason != nil && strings.Contains(*row.DegradedReason, signals.ReasonMissingWallets)
					if want := tt.severity != ""; closed != want || because != want || row.IsDegraded != want {
						t.Errorf("closed %t, degraded %t for %v, want %t", closed, row.IsDegraded, row.DegradedReason, want)
					}
				}
			})
		}
	}
}

// A wallet of the universe of which nothing was ever stored is missing, and so
// is one whose rows are all dirty.
func TestG3WalletsWithoutAUsableRowAreMissing(t *testing.T) {
	t.Parallel()
	s := stage(t, 20)
	s.universe(-1000, numbers(1, 23)...)
	s.minutes(-9, 0)
	for n := -4; n <= 0; n++ {
		s.mark(byHand, n, 7)
	}
	r := s.run(s.cycle(healthy), 0)
	same(t, "checks", failures(r), each("G3 warning")...)
	for _, got := range r.Signals {
		if got.MissingCount != 4 || got.WalletCount != 19 || got.DirtyCount != 5 {
			t.Errorf("%d missing, %d counted, %d dirty; want 4, 19 and 5", got.MissingCount, got.WalletCount, got.DirtyCount)
		}
	}
}

// G4: dirty ≤ 10 % of the window's rows, which are 100 an asset.
func TestG4DirtyRowsThroughTheDatabase(t *testing.T) {
	t.Parallel()
	stage := stage(t, 1)
	for _, tt := range []struct {
		dirty  int
		closed bool
	}{{0, false}, {10, false}, {11, true}, {40, true}} {
		t.Run(fmt.Sprint(tt.dirty), func(t *testing.T) {
			s := stage.crowd(t, 0, "")
			for n, left := -4, tt.dirty; left > 0; n, left = n+1, left-20 {
				s.mark(byHand, n, numbers(1, min(20, left))...)
			}
			s.mark(byHand, -5, numbers(1, 20)...) // of the window before
			r := s.run(s.cycle(healthy), 0)
			if tt.closed {
				same(t, "checks", failures(r), each("G4 warning")...)
			} else {
				same(t, "checks", failures(r))
			}
			for _, row := range s.rows() {
				closed := row.AllowedPlaybook == "No-trade" && row.RiskMode == "Defensive" && row.IsDegraded && *row.DegradedReason == "high_dirty_rate"
				if row.DirtyCount != tt.dirty || closed != tt.closed || row.AlignmentScore != 80 || row.IsDegraded != tt.closed {
					t.Errorf("%d dirty: %+v", tt.dirty, row)
				}
			}
			if got := s.written(); got != complete {
				t.Errorf("%s rows", got)
			}
		})
	}
}

// Rows of wallets outside the universe are nobody's: they neither count nor
// make the window dirty.
func TestStrangersDoNotCount(t *testing.T) {
	t.Parallel()
	s := stage(t, 40)
	s.universe(-100, numbers(1, 20)...)
	s.minutes(-9, -5)
	s.minutes(-4, 0, append(repeat(20, ""), repeat(20, "0")...)...)
	for n := -4; n <= 0; n++ {
		s.mark(byHand, n, numbers(31, 40)...)
	}
	r := s.run(s.cycle(healthy), 0)
	same(t, "checks", failures(r))
	for _, got := range r.Signals {
		if got.WalletCount != 20 || got.DirtyCount != 0 || got.Classes.Reducers != 0 || got.Positioning.Flat != 0 {
			t.Errorf("%+v", got)
		}
	}
}
