package engine

import (
	"math"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/whalegate/whalegate/internal/asset"
)

// A memory that runs along, one that was started a moment ago and the rules
// applied to plain rows see the same, whatever happened: a restart changes no
// number. Hands reach into the windows of the boundaries before as well.
func TestMemoryEqualsTheDatabase(t *testing.T) {
	t.Parallel()
	few(t)
	scene := stage(t, cast)
	happened := map[string]int{}
	rapid.Check(t, func(rt *rapid.T) {
		s := &story{T: rt, scene: scene, happened: happened}
		s.begin()
		running := NewMemory()
		for b := -5; b <= 15; b += 5 {
			for n := b - 4; n <= b; n++ {
				s.minute(n)
				if s.upto(3, "hands") == 0 {
					s.reach(n - s.upto(12, "back"))
				}
				if s.upto(6, "refresh") == 0 {
					s.note("refresh")
					s.refresh(n)
				}
				if s.upto(2, "absorb") == 0 {
					s.note("absorb")
					scene.absorb(running, time.Duration(n*60+s.upto(400, "now"))*time.Second)
				}
			}
			if s.upto(5, "boundary") == 0 {
				s.note("boundary without a look") // as when it was blocked
				continue
			}
			want := scene.readNaive().look(b, s.universe(b))
			if diff := cmp.Diff(want, scene.look(NewMemory(), b), equalNaNs); diff != "" {
				rt.Fatalf("minute %d: the rules (-) and fresh memory (+) differ: %s", b, diff)
			}
			if diff := cmp.Diff(want, scene.look(running, b), equalNaNs); diff != "" {
				rt.Fatalf("minute %d: the rules (-) and running memory (+) differ: %s", b, diff)
			}
			if running.Lost() != 0 {
				rt.Fatalf("minute %d: %d minutes are lost of none", b, running.Lost())
			}
			s.observe(want)
			known := 0
			for i := range cast {
				if _, ok := running.book.Find(wallet(i + 1)); ok {
					known++
				}
			}
			if known < running.book.Slots() {
				s.note("wallet forgotten")
			}
		}
		// What the audit does: over all of it, when it is all there.
		plain, later := scene.readNaive(), NewMemory()
		for b := -5; b <= 15; b += 5 {
			if diff := cmp.Diff(plain.look(b, s.universe(b)), scene.look(later, b), equalNaNs); diff != "" {
				rt.Fatalf("minute %d, in hindsight: the rules (-) and memory (+) differ: %s", b, diff)
			}
		}
	})
	require(t, happened, "missing minute", "failed minute", "late minute", "mark", "verdict", "mark taken back", "written again", "superseded", "refresh", "absorb",
		"boundary without a look", "dirty row", "fewer snapshots", "missing wallet", "no size before", "change", "wallet forgotten", "ε of a history")
}

// observe notes what a look had in it.
func (s *story) observe(look map[asset.Asset]sight) {
	for _, sight := range look {
		if sight.Dirty > 0 {
			s.note("dirty row")
		}
		if sight.Snapshots < 5 {
			s.note("fewer snapshots")
		}
		for _, w := range sight.Wallets {
			switch {
			case math.IsNaN(w.Current):
				s.note("missing wallet")
			case math.IsNaN(w.Previous):
				s.note("no size before")
			case w.Current != w.Previous:
				s.note("change")
			}
			if w.Epsilon > 10 {
				s.note("ε of a history")
			}
		}
	}
}
