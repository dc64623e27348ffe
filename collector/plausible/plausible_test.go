package plausible

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/whalegate/whalegate/internal/asset"
)

// level makes wallets that hold the given sizes of BTC, the n-th of each list being the
// same wallet; null is one that could not be read.
func level(sizes ...asset.Size) Level {
	wallets := make([]Wallet, len(sizes))
	for i, size := range sizes {
		wallets[i] = Wallet{ID: fmt.Sprintf("0x%040d", i), Known: [asset.Count]bool{true, size != null, true}}
		wallets[i].Size[asset.BTC] = size
	}
	return Sorted(wallets)
}

const null = asset.Size(math.MinInt64)

// each makes n sizes by their number.
func each(n int, size func(i int) asset.Size) []asset.Size {
	sizes := make([]asset.Size, n)
	for i := range sizes {
		sizes[i] = size(i)
	}
	return sizes
}

func steady(i int) asset.Size { return asset.Size(1_000_000_000 + 37_000_000*i) }

// first makes n sizes of which the first k are changed.
func first(n, k int, changed func(i int) asset.Size) Level {
	return level(each(n, func(i int) asset.Size {
		if i < k {
			return changed(i)
		}
		return steady(i)
	})...)
}

func TestS10StatesAreOfDifferentWallets(t *testing.T) {
	for _, tt := range []struct {
		name        string
		now         Level
		same, holds int
		failed      bool
	}{
		{"nobody", nil, 0, 0, false},
		{"all differ", first(200, 0, nil), 0, 200, false},
		{"all flat", level(make([]asset.Size, 200)...), 0, 0, false},
		{"one for all", first(200, 200, func(int) asset.Size { return 7 }), 200, 200, true},
		{"four of nine", first(9, 4, func(int) asset.Size { return 7 }), 4, 9, false},
		{"five of nine", first(9, 5, func(int) asset.Size { return 7 }), 5, 9, true},
		{"a tenth", first(200, 20, func(int) asset.Size { return 7 }), 20, 200, false},
		{"more than a tenth", first(200, 21, func(int) asset.Size { return 7 }), 21, 200, true},
		{"more than a tenth, in pairs", first(200, 22, func(i int) asset.Size { return asset.Size(7 + i/2) }), 22, 200, true},
		{"one that cannot be read, for all", level(each(8, func(int) asset.Size { return null })...), 0, 0, false},
	} {
		got := SameState(tt.now)
		if got != (Same{tt.same, tt.holds}) || got.Failed() != tt.failed {
			t.Errorf("%s: %+v, failed %t", tt.name, got, got.Failed())
		}
	}
}

// All three sizes count, not one.
func TestS10OneSizeInCommonIsNoSameState(t *testing.T) {
	now := level(each(50, func(int) asset.Size { return 7 })...)
	for i := range now {
		now[i].Size[asset.ETH] = asset.Size(i)
	}
	if got := SameState(now); got.Wallets != 0 {
		t.Errorf("%+v", got)
	}
}

func TestS11NothingHappenedToEverybody(t *testing.T) {
	zero := func(int) asset.Size { return 0 }
	unread := func(int) asset.Size { return null }
	for _, tt := range []struct {
		name      string
		then, now Level
		want      []string
	}{
		{"nothing before", nil, first(50, 0, nil), nil},
		{"nothing now", first(50, 0, nil), nil, nil},
		{"the same", first(50, 0, nil), first(50, 0, nil), nil},
		{"half are gone", first(50, 0, nil), first(50, 25, zero), nil},
		{"more than half are gone", first(50, 0, nil), first(50, 26, zero), []string{"mass_close:BTC 26/50"}},
		{"all are gone", first(50, 0, nil), first(50, 50, zero), []string{"mass_close:BTC 50/50"}},
		{"down to a hundredth", first(50, 0, nil), first(50, 50, func(i int) asset.Size { return steady(i) / asset.Size(20+i) }), []string{"rescaled:BTC 50/50 by 0.023, each by its own"}},
		{"nine held it", first(9, 0, nil), first(9, 9, zero), nil},
		{"ten held it", first(10, 0, nil), first(10, 10, zero), []string{"mass_close:BTC 10/10"}},
		{"ten held it, and four were read", first(10, 0, nil), first(10, 10, zero)[:4], []string{"mass_close:BTC 4/4"}},
		{"half cannot be read, and the rest is there", first(50, 0, nil), first(50, 25, unread), nil},
		{"what cannot be read is not gone", first(50, 0, nil), first(50, 50, unread), nil},
		{"what was not read does not dilute", first(60, 30, unread), first(60, 60, zero), []string{"mass_close:BTC 30/30"}},
		{"half are new", first(50, 25, zero), first(50, 0, nil), nil},
		{"more than half are new", first(50, 26, zero), first(50, 0, nil), []string{"mass_open:BTC 26/50"}},
		{"nine are new", first(9, 9, zero), first(9, 0, nil), nil},
		{"all times ten", first(50, 0, nil), first(50, 50, func(i int) asset.Size { return 10 * steady(i) }), []string{"rescaled:BTC 50/50 by 10"}},
		{"half times ten", first(50, 0, nil), first(50, 25, func(i int) asset.Size { return 10 * steady(i) }), nil},
		{"more than half by a thousandth", first(50, 0, nil), first(50, 26, func(i int) asset.Size { return steady(i) / 1000 }), []string{"mass_close:BTC 26/50", "rescaled:BTC 26/50 by 0.001"}},
		{"all on the other side", first(50, 0, nil), first(50, 50, func(i int) asset.Size { return -steady(i) }), []string{"rescaled:BTC 50/50 by -1"}},
		{"each by its own factor, up to five", first(50, 0, nil), first(50, 50, func(i int) asset.Size { return steady(i) * asset.Size(1000+80*i) / 1000 }), nil},
		{"half times ten, and traded", first(50, 0, nil), first(50, 25, func(i int) asset.Size { return 10*steady(i) + asset.Size(i*i) }), nil},
		{"more than half times ten, and traded", first(50, 0, nil), first(50, 26, func(i int) asset.Size { return steady(i) * asset.Size(9000+77*i) / 1000 }), []string{"rescaled:BTC 26/50 by 10, each by its own"}},
		{"more than half by a tenth, and traded", first(50, 0, nil), first(50, 26, func(i int) asset.Size { return steady(i) * asset.Size(90+i) / 1000 }), []string{"rescaled:BTC 26/50 by 0.1, each by its own"}},
		{"more than half on the other side, and traded", first(50, 0, nil), first(50, 26, func(i int) asset.Size { return -steady(i) * asset.Size(900+7*i) / 1000 }), []string{"rescaled:BTC 26/50 by -0.98, each by its own"}},
		{"each by a unit", first(50, 0, nil), first(50, 50, func(i int) asset.Size { return steady(i) + 1 }), nil},
	} {
		var got []string
		for _, c := range Changes(tt.then, tt.now, asset.BTC, MinHolders) {
			text := fmt.Sprintf("%s %d/%d", c.Subject(), c.Affected, c.Holders)
			if c.Factor != 0 {
				text += fmt.Sprintf(" by %.2g", c.Factor)
			}
			if c.Traded {
				text += ", each by its own"
			}
			got = append(got, text)
		}
		slices.Sort(got)
		if !slices.Equal(got, tt.want) {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
}

// Trading while a failure is open brings no size back, and a size that is back is so
// whoever has traded meanwhile.
func TestS11RescaledSizesAreNotBackByTrading(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 1))
		factor := rapid.SampledFrom([]float64{10, 0.1, 100, -10, -1, -0.1}).Draw(t, "factor")
		n := rapid.IntRange(10, 60).Draw(t, "wallets")
		back := rapid.IntRange(0, n).Draw(t, "of which are back")
		then := first(n, 0, nil)
		now := first(n, n, func(i int) asset.Size {
			size := float64(steady(i)) * (0.5 + 1.5*r.Float64()) // what it really holds by now
			if i >= back {
				size *= factor
			}
			return asset.Size(size)
		})
		got := NotBack(then, now, asset.BTC, factor)
		if got.Affected != n-back || got.Holders != n || got.Most() != (2*(n-back) > n) {
			t.Fatalf("%d of %d are back: %+v", back, n, got)
		}
	})
}

// That nothing looks like S11 any more is not enough: the sizes have to be back, but for
// what wallets trade meanwhile.
func TestS11SizesAreBackWhenMostAreWhatTheyWere(t *testing.T) {
	by := func(factor float64) func(int) asset.Size {
		return func(i int) asset.Size { return asset.Size(float64(steady(i)) * factor) }
	}
	none := first(40, 40, func(int) asset.Size { return 0 })
	for _, tt := range []struct {
		name      string
		then, now Level
		back      bool
	}{
		{"as they were", first(40, 0, nil), first(40, 0, nil), true},
		{"a quarter gone", first(40, 0, nil), first(40, 10, by(0)), true},
		{"more than a quarter gone", first(40, 0, nil), first(40, 11, by(0)), false},
		{"all traded, by up to two", first(40, 0, nil), first(40, 40, by(1.9)), true},
		{"more than a quarter traded by more", first(40, 0, nil), first(40, 11, by(2.1)), false},
		{"… or less than a half is left", first(40, 0, nil), first(40, 11, by(0.4)), false},
		{"on the other side", first(40, 0, nil), first(40, 11, by(-1)), false},
		{"another wallet's", first(40, 0, nil), first(40, 40, func(i int) asset.Size { return steady((i + 20) % 40 * 4) }), false},
		{"what cannot be read does not count", first(40, 0, nil), first(40, 30, func(int) asset.Size { return null }), true},
		{"nobody held it, and nobody does", none, none, true},
		{"nobody held it, and somebody does", none, first(40, 39, by(0)), false},
	} {
		if away, back := Back(tt.then, tt.now, asset.BTC); back != tt.back {
			t.Errorf("%s: %+v", tt.name, away)
		}
	}
}

// A common factor is found whatever else goes on, by a search that knows no intervals.
func TestS11TheCommonFactorIsTheMostCommonOne(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var held []pair
		r := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 1))
		factor := rapid.SampledFrom([]float64{10, 0.1, 1e-3, 1e8, -1, 3, 1.01}).Draw(t, "factor")
		for range rapid.IntRange(1, 60).Draw(t, "wallets") {
			then := asset.Size(1e6 + r.Int64N(1e12))
			now := asset.Size(math.Round(float64(then) * factor))
			if rapid.Bool().Draw(t, "other") {
				now = asset.Size(float64(then) * (0.2 + r.Float64()))
			}
			held = append(held, pair{then, now})
		}
		// Each wallet's own factor, held against all of them.
		want := 0
		for _, p := range held {
			own, n := float64(p.now)/float64(p.then), 0
			for _, q := range held {
				tolerance := max(sameRatio*math.Abs(float64(q.now)), 1)
				if d := float64(q.now) - own*float64(q.then); math.Abs(d) <= tolerance && math.Abs(float64(q.now-q.then)) > tolerance {
					n++
				}
			}
			want = max(want, n)
		}
		if _, got := commonFactor(held); got < want {
			t.Fatalf("%d wallets changed by one factor, found %d: %v", want, got, held)
		}
	})
}
