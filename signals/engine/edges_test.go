package engine

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/whalegate/whalegate/internal/asset"
	"github.com/whalegate/whalegate/signals"
)

// Before there is anything to compute from, every asset is skipped; once health
// is asked, the cycle is blocked.
func TestNothingStoredIsADefinedSkip(t *testing.T) {
	t.Parallel()
	s := stage(t, 20)
	for _, tell := range []func(){
		func() { s.clear("wallet_universe_runs") },
		func() { s.universe(-100, numbers(1, 20)...) },
		func() { s.minutes(100, 109) }, // all of it is to come
	} {
		tell()
		r := s.run(s.cycle(healthy), 0)
		same(t, "checks", failures(r), each("G2 error")...)
		same(t, "cycles", s.cycles(), "12:00 computed HEALTHY {} {HYPE,BTC,ETH}")
		s.wipe()
		reason := "no_runs"
		if len(s.list("SELECT status FROM ingest_runs")) > 0 {
			reason = "clock_skew" // a run from the future is never hidden
		}
		s.clock(2 * time.Second)
		if r, err := s.cycle(Now).Run(t.Context(), noon); err != nil || r.Outcome != Blocked || !slices.Equal(r.Reasons, []string{reason}) {
			t.Errorf("%s %v", r.Outcome, r.Reasons)
		}
		s.wipe()
	}
	replayed := s.replay(at(-30), at(0))
	if len(replayed) != 7 {
		t.Fatalf("%d boundaries", len(replayed))
	}
	for _, r := range replayed {
		if r.Outcome != Blocked || !slices.Equal(r.Reasons, []string{"no_runs"}) || len(r.Rows) > 0 {
			t.Errorf("%+v", r)
		}
	}
	same(t, "audit", s.audit())
}

// Without a wallet that counts there is a row, which allows nothing.
func TestAnEmptyUniverseAllowsNothing(t *testing.T) {
	t.Parallel()
	s := lifelike(t)
	for name, tell := range map[string]func(){
		"a universe of nobody": func() { s.universe(-1) },
		"no universe":          func() { s.clear("wallet_universe_runs") },
		"one that is to come":  func() { s.clear("wallet_universe_runs"); s.universe(1, 1, 2, 3) },
	} {
		tell()
		r := s.run(s.cycle(Now), 0)
		if len(r.Signals) != 3 || s.written() != complete {
			t.Fatalf("%s: %d signals, %s rows", name, len(r.Signals), s.written())
		}
		for _, a := range asset.All {
			reason := "no_wallets"
			want := Row{
				Timestamp: noon, Asset: a.String(), AlignmentScore: 50, AlignmentTrend: "flat", DispersionIndex: 50, AllowedPlaybook: "No-trade", RiskMode: "Defensive",
				IsDegraded: true, DegradedReason: &reason, Contributors: &Contributors{}, Positioning: &Positioning{NetSzi: "0." + fmt.Sprintf("%0*d", a.Decimals(), 0)},
			}
			if diff := cmp.Diff(want, s.row(0, a)); diff != "" {
				t.Errorf("%s: %s", name, diff)
			}
		}
		same(t, "audit", s.audit())
		s.wipe()
	}
}

// The first boundary ever has nothing to compare with: everybody is flat.
func TestTheFirstBoundaryHasNoBefore(t *testing.T) {
	t.Parallel()
	s := stage(t, 20)
	s.minutes(-4, 0)
	r := s.run(s.cycle(Now), 0)
	for _, got := range r.Signals {
		if got.Classes != (signals.Classes{Flat: 20}) || got.DispersionIndex != 50 || got.AlignmentScore != 50 || len(got.Degraded) > 0 {
			t.Errorf("%+v", got)
		}
	}
}

// What no exchange says but a hand can store: a size that is none counts as not
// known, one too small to be kept as 0, and the largest as it is.
func TestStrangeSizesGiveADefinedRow(t *testing.T) {
	t.Parallel()
	stage := stage(t, 1)
	for _, tt := range []struct {
		size           string
		missing        bool
		long, flat     int // of the 2 wallets that hold it
		adder, reducer int
	}{
		{size: "NaN", missing: true},
		{size: "Infinity", missing: true},
		{size: "-Infinity", missing: true},
		{size: "1e30", missing: true}, // more units than a size can count
		{size: "-9223372036854775807", missing: true},
		{size: "0.00000001", flat: 2, reducer: 2},
		{size: "-1e-8", flat: 2, reducer: 2},
		{size: "1e12", long: 2, adder: 2},
		{size: "1000000000000.123456789", long: 2, adder: 2},
	} {
		t.Run(tt.size, func(t *testing.T) {
			s := stage.again(t, 20)
			s.minutes(-9, -5)
			s.minutes(-4, 0, tt.size, tt.size)
			r := s.run(s.cycle(Now), 0)
			if len(r.Signals) != 3 || s.written() != complete {
				t.Fatalf("%s %v: %s rows", r.Outcome, r.Reasons, s.written())
			}
			for _, got := range r.Signals {
				missing := 0
				if tt.missing {
					missing = 2
				}
				want := signals.Classes{AddLong: tt.adder, Reducers: tt.reducer, Flat: 20 - missing - tt.adder - tt.reducer}
				if got.MissingCount != missing || got.Classes != want || got.Positioning.Long != 18+tt.long || got.Positioning.Flat != tt.flat {
					t.Errorf("%s: %d missing, %+v, %+v; want %d and %+v", got.Asset, got.MissingCount, got.Classes, got.Positioning, missing, want)
				}
			}
			same(t, "audit", s.audit())
		})
	}
}

// A wallet leaves the universe, is not fetched for a while, and comes back with
// another size: it is news when it is compared with what the boundary before saw
// of it, and nothing before that.
func TestAWalletThatComesBackHasNoBefore(t *testing.T) {
	t.Parallel()
	s := stage(t, 20)
	s.minutes(-9, 0)
	c := s.cycle(Now)
	universes := map[int][]int{0: numbers(1, 20), 5: numbers(2, 20), 10: numbers(2, 20), 15: numbers(1, 20), 20: numbers(1, 20)}
	s.universe(1, universes[5]...)
	s.minutes(1, 10, "-")
	s.universe(11, universes[15]...)
	s.minutes(11, 15, "50")
	s.minutes(16, 20, "90")
	for _, tt := range []struct {
		b       int
		classes signals.Classes
	}{
		{0, signals.Classes{Flat: 20}}, {5, signals.Classes{Flat: 19}}, {10, signals.Classes{Flat: 19}},
		{15, signals.Classes{Flat: 20}}, {20, signals.Classes{AddLong: 1, Flat: 19}},
	} {
		s.run(c, tt.b)
		s.expect(tt.b, tt.classes, 0)
		if diff := cmp.Diff(s.readNaive().look(tt.b, ids(universes[tt.b])), s.look(NewMemory(), tt.b), equalNaNs); diff != "" {
			t.Errorf("minute %d: the rules (-) and memory (+) differ: %s", tt.b, diff)
		}
	}
	same(t, "audit", s.audit())
}

// A wallet without a row for a day is forgotten, and its place in memory is
// another's, who inherits nothing.
func TestAPlaceInMemoryIsUsedAgain(t *testing.T) {
	t.Parallel()
	s := stage(t, 3)
	s.minutes(-1460, -1456, "1000", "-", "-")
	s.minutes(-9, 0, "-", "10", "-")
	running := NewMemory()
	s.look(running, -5)
	old, known := running.book.Find(wallet(1))
	s.look(running, 0)
	if _, still := running.book.Find(wallet(1)); !known || still {
		t.Fatalf("wallet 1 was known: %t, and still is: %t", known, still)
	}
	s.minutes(1, 5, "-", "10", "10")
	for n := 5; n <= 10; n += 5 {
		if diff := cmp.Diff(s.look(NewMemory(), n), s.look(running, n), equalNaNs); diff != "" {
			t.Errorf("minute %d: fresh (-) and old (+) memory differ: %s", n, diff)
		}
		if diff := cmp.Diff(s.readNaive().look(n, ids(numbers(1, 3))), s.look(running, n), equalNaNs); diff != "" {
			t.Errorf("minute %d: the rules (-) and memory (+) differ: %s", n, diff)
		}
		if slot, _ := running.book.Find(wallet(3)); slot != old {
			t.Errorf("wallet 3 has place %d, not %d: the case shows nothing", slot, old)
		}
		s.minutes(6, 10, "7", "10", "10") // and wallet 1 comes back
	}
}
