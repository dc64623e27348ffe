package signals

import (
	"math"
	"math/big"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/whalegate/whalegate/internal/asset"
)

// repeated is a size n times.
func repeated(n int, size asset.Size) []asset.Size { return slices.Repeat([]asset.Size{size}, n) }

func TestHoldingsTable(t *testing.T) {
	const most = asset.Size(math.MaxInt64)
	huge, _ := new(big.Int).SetString("922337203685477580700", 10)
	for _, tt := range []struct {
		name              string
		sizes             []asset.Size
		net               *big.Int
		long, short, flat int
		share             float64
	}{
		{"nobody", nil, big.NewInt(0), 0, 0, 0, 0},
		{"all flat", repeated(4, 0), big.NewInt(0), 0, 0, 4, 0},
		{"one long", []asset.Size{7}, big.NewInt(7), 1, 0, 0, 100},
		{"one short", []asset.Size{-7}, big.NewInt(-7), 0, 1, 0, 100},
		{"sides cancel", []asset.Size{5, -5, 0}, big.NewInt(0), 1, 1, 1, 100},
		{"net short", []asset.Size{5, 3, -20, 0}, big.NewInt(-12), 2, 1, 1, 100},
		{"fewer than ten hold all", []asset.Size{1, -2, 3, -4, 5}, big.NewInt(3), 3, 2, 0, 100},
		{"ten hold all", slices.Concat(repeated(5, 3), repeated(5, -9)), big.NewInt(-30), 5, 5, 0, 100},
		{"ten and flat ones hold all", slices.Concat(repeated(90, 0), repeated(10, 3)), big.NewInt(30), 10, 0, 90, 100},
		{"ten of twenty alike", repeated(20, 7), big.NewInt(140), 20, 0, 0, 50},
		{"ten of eleven alike", repeated(11, -1), big.NewInt(-11), 0, 11, 0, 1000 / 11.0},
		{"the largest come first", slices.Concat(repeated(10, 9), repeated(10, 1)), big.NewInt(100), 20, 0, 0, 90},
		{"the largest come last", slices.Concat(repeated(10, 1), repeated(10, 9)), big.NewInt(100), 20, 0, 0, 90},
		{"shorts are as large as longs", slices.Concat(repeated(10, 1), repeated(10, -9)), big.NewInt(-80), 10, 10, 0, 90},
		{"a tie for the tenth place", slices.Concat([]asset.Size{50}, repeated(12, -10), repeated(3, 10)), big.NewInt(-40), 4, 12, 0, 70},
		{"one holds nearly all", slices.Concat(repeated(10, 1), []asset.Size{989}, repeated(1, -1)), big.NewInt(998), 11, 1, 0, 99.8},
		{"a net beyond 64 bits", repeated(100, most), huge, 100, 0, 0, 10},
		{"beyond 64 bits on the short side", repeated(100, -most), new(big.Int).Neg(huge), 0, 100, 0, 10},
		{"each side beyond 64 bits", slices.Concat(repeated(20, most), repeated(20, -most)), big.NewInt(0), 20, 20, 0, 25},
	} {
		t.Run(tt.name, func(t *testing.T) {
			want := Positioning{NetSzi: tt.net, Long: tt.long, Short: tt.short, Flat: tt.flat, Top10SharePct: tt.share}
			if diff := cmp.Diff(want, Holdings(tt.sizes), sameBig); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// naiveHoldings sorts them all.
func naiveHoldings(sizes []asset.Size) Positioning {
	p := Positioning{NetSzi: new(big.Int)}
	var held []uint64
	for _, size := range sizes {
		p.NetSzi.Add(p.NetSzi, big.NewInt(int64(size)))
		switch {
		case size > 0:
			p.Long++
			held = append(held, uint64(size))
		case size < 0:
			p.Short++
			held = append(held, uint64(-size))
		default:
			p.Flat++
		}
	}
	slices.Sort(held)
	slices.Reverse(held)
	ten, all := new(big.Int), new(big.Int)
	for i, h := range held {
		if i < 10 {
			ten.Add(ten, new(big.Int).SetUint64(h))
		}
		all.Add(all, new(big.Int).SetUint64(h))
	}
	if all.Sign() > 0 {
		p.Top10SharePct, _ = new(big.Rat).SetFrac(ten.Mul(ten, big.NewInt(100)), all).Float64()
	}
	return p
}

func drawHoldings(t *rapid.T) []asset.Size {
	size := rapid.OneOf(
		rapid.Int64Range(-5, 5),
		rapid.SampledFrom([]int64{0, 1000, 1001, -1000, 1e17, -1e17, math.MaxInt64, -math.MaxInt64}),
		rapid.Int64Range(-1e17, 1e17),
	)
	var sizes []asset.Size
	for _, s := range rapid.SliceOfN(size, 0, 40).Draw(t, "sizes") {
		sizes = append(sizes, asset.Size(s))
	}
	return sizes
}

func TestHoldingsEqualSorting(t *testing.T) {
	crowded := 0
	rapid.Check(t, func(t *rapid.T) {
		sizes := drawHoldings(t)
		got := Holdings(sizes)
		if diff := cmp.Diff(naiveHoldings(sizes), got, sameBig); diff != "" {
			t.Fatal(diff)
		}
		shuffled := rapid.Permutation(sizes).Draw(t, "shuffled")
		if diff := cmp.Diff(got, Holdings(shuffled), sameBig); diff != "" {
			t.Fatalf("the order matters: %s", diff)
		}
		if got.Long+got.Short > 10 {
			crowded++
		}
	})
	if crowded == 0 && !t.Failed() {
		t.Error("no case had more than ten holders")
	}
}

// Positioning is context: no other number of the row knows of it.
func TestHoldingsFeedNoPlaybook(t *testing.T) {
	in := crowd{long: 30, short: 5, reducers: 4, flat: 11}.input()
	in.Past = steady(60)
	s, _ := mustCompute(t, in)
	for _, holdings := range [][]asset.Size{nil, repeated(50, -1e17), {1}} {
		in.Holdings = holdings
		other, _ := mustCompute(t, in)
		if diff := cmp.Diff(naiveHoldings(holdings), other.Positioning, sameBig); diff != "" {
			t.Error(diff)
		}
		other.Positioning = s.Positioning
		if diff := cmp.Diff(s, other, sameBig); diff != "" {
			t.Error(diff)
		}
	}
}
