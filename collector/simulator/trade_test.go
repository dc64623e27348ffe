package simulator

import (
	"math"
	"testing"

	"pgregory.net/rapid"

	"github.com/whalegate/whalegate/internal/asset"
)

// allMoods are regimes at a minute of theirs that says most.
var allMoods = map[string]mood{
	"quiet":     regime{phase: quiet, end: 30}.mood(10),
	"mixed":     regime{phase: mixed, end: 30}.mood(10),
	"turning":   regime{phase: turning, end: 30, side: 1}.mood(10),
	"up":        regime{phase: trending, end: 60, side: 1, peak: 0.6}.mood(40),
	"up strong": regime{phase: trending, end: 60, side: 1, peak: 0.97, strong: true}.mood(40),
	"down":      regime{phase: trending, end: 60, side: -1, peak: 0.97, strong: true}.mood(40),
	"derisking": regime{phase: derisking, end: 30, cut: 0.1}.mood(10),
}

func TestPositionsStayAroundTheirBase(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		temper := temper(rapid.IntRange(0, int(empty)).Draw(t, "temper"))
		base := asset.Size(rapid.Int64Range(40, 150_000_000).Draw(t, "base"))
		size := asset.Size(rapid.Int64Range(-3*int64(base), 3*int64(base)).Draw(t, "size"))
		c := chance(rapid.Uint64().Draw(t, "chance"))
		for name, m := range allMoods {
			at := size
			for minute := range uint64(60) {
				at = trade(temper, at, base, m, c.of(minute))
				if at.Abs() > (limit+1)*base {
					t.Fatalf("%s: %d around a base of %d", name, at, base)
				}
			}
		}
	})
}

// moves counts what a temper does within a window of five minutes, over many
// wallets that start with a base of 1000 on one side.
func moves(kind temper, m mood, side asset.Size) (added, reduced, flipped float64) {
	const wallets = 2000
	const base = 100_000
	for i := range uint64(wallets) {
		start := side * base
		size := start
		for minute := range uint64(5) {
			size = trade(kind, size, base, m, chance(i).of(minute))
		}
		switch {
		case sign(size) == -sign(start):
			flipped++
		case size.Abs() > start.Abs()+base/50:
			added++
		case size.Abs() < start.Abs()-base/50:
			reduced++
		}
	}
	return added / wallets, reduced / wallets, flipped / wallets
}

func TestTempersDifferByRegime(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		temper                  temper
		mood                    string
		side                    asset.Size
		added, reduced, flipped [2]float64 // least and most
	}{
		{follower, "quiet", 1, [2]float64{0.01, 0.06}, [2]float64{0.01, 0.06}, [2]float64{0, 0}},
		{follower, "mixed", -1, [2]float64{0, 0.05}, [2]float64{0, 0.05}, [2]float64{0.12, 0.22}},
		{follower, "turning", -1, [2]float64{0, 0.05}, [2]float64{0, 0.05}, [2]float64{0.2, 0.3}},
		{follower, "up", 1, [2]float64{0.5, 0.7}, [2]float64{0, 0.05}, [2]float64{0, 0}},
		{follower, "up strong", 1, [2]float64{0.93, 1}, [2]float64{0, 0.03}, [2]float64{0, 0}},
		{follower, "down", -1, [2]float64{0.93, 1}, [2]float64{0, 0.03}, [2]float64{0, 0}},
		{follower, "derisking", 1, [2]float64{0, 0.03}, [2]float64{0.35, 0.5}, [2]float64{0, 0}},
		{holder, "up", 1, [2]float64{0, 0}, [2]float64{0, 0}, [2]float64{0, 0}},
		{holder, "up strong", 1, [2]float64{0.5, 0.9}, [2]float64{0, 0}, [2]float64{0, 0}},
		{contrarian, "up", -1, [2]float64{0.2, 0.5}, [2]float64{0, 0.05}, [2]float64{0, 0}},
		{contrarian, "up strong", -1, [2]float64{0, 0.02}, [2]float64{0, 0.05}, [2]float64{0, 0}},
		{maker, "up strong", 1, [2]float64{0, 0}, [2]float64{0, 0}, [2]float64{0, 0.03}},
		{flipper, "up strong", 1, [2]float64{0, 0.02}, [2]float64{0, 0.02}, [2]float64{0.08, 0.16}},
		{flipper, "quiet", -1, [2]float64{0, 0.05}, [2]float64{0, 0.05}, [2]float64{0.08, 0.16}},
	} {
		added, reduced, flipped := moves(tt.temper, allMoods[tt.mood], tt.side)
		for _, share := range []struct {
			name string
			got  float64
			want [2]float64
		}{{"add", added, tt.added}, {"reduce", reduced, tt.reduced}, {"flip", flipped, tt.flipped}} {
			if share.got < share.want[0] || share.got > share.want[1] {
				t.Errorf("temper %d in %q: %.3f %s, want %v", tt.temper, tt.mood, share.got, share.name, share.want)
			}
		}
	}
}

func TestEmptyStaysEmpty(t *testing.T) {
	for name, m := range allMoods {
		for i := range uint64(500) {
			if got := trade(empty, 0, 1000, m, chance(i)); got != 0 {
				t.Fatalf("%s: %d", name, got)
			}
		}
	}
}

func TestAddsAreAlikeAndAboveTheThreshold(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		base := asset.Size(rapid.Int64Range(100_000, 1e9).Draw(t, "base"))
		size := scale(base, rapid.IntRange(5_000, 20_000).Draw(t, "parts"))
		if rapid.Bool().Draw(t, "short") {
			size = -size
		}
		next := grow(size, base, chance(rapid.Uint64().Draw(t, "chance")))
		share := float64(next.Abs()-size.Abs()) / float64(max(size.Abs(), base))
		if share < 0.0255 || share > 0.0385 {
			t.Errorf("%d grows to %d", size, next)
		}
	})
}

func TestScaleIsExactAtWholes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		size := asset.Size(rapid.Int64Range(-1e13, 1e13).Draw(t, "size"))
		parts := rapid.IntRange(0, 50_000).Draw(t, "parts")
		if got := scale(size, wholes); got != size {
			t.Errorf("the whole of %d is %d", size, got)
		}
		want := float64(size) * float64(parts) / wholes
		if got := scale(size, parts); math.Abs(float64(got)-want) > 1+math.Abs(want)*1e-12 {
			t.Errorf("%d parts of %d are %d", parts, size, got)
		}
	})
}
