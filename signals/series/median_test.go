package series

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

func TestTwiceMedianTable(t *testing.T) {
	const none, null, dirty = None, Null, Dirty
	for _, tt := range []struct {
		name        string
		values      []Value // of the minutes from start on
		after, upto int     // minutes from start
		want        uint64
	}{
		{"nothing", nil, -1, 10, 0},
		{"one", []Value{7}, -1, 10, 14},
		{"a short counts by its size", []Value{-7}, -1, 10, 14},
		{"two", []Value{3, 8}, -1, 10, 11},
		{"three", []Value{8, 3, 5}, -1, 10, 10},
		{"four", []Value{8, 1, 3, 100}, -1, 10, 11},
		{"both sides", []Value{-8, 3, -5, 1}, -1, 10, 8},
		{"flat minutes count", []Value{0, 0, 9}, -1, 10, 0},
		{"half of them flat", []Value{0, 0, 9, 9}, -1, 10, 9},
		{"ties around the middle", []Value{1, 5, 5, 9}, -1, 10, 10},
		{"NULL, dirty and absent minutes do not count", []Value{null, 4, dirty, 6, none, null}, -1, 10, 10},
		{"only such", []Value{null, dirty, none}, -1, 10, 0},
		{"after leaves its minute out", []Value{100, 4, 6}, 0, 2, 10},
		{"upto takes its minute in", []Value{2, 4, 100}, -1, 1, 6},
		{"one minute in the middle", []Value{2, 4, 100}, 0, 1, 8},
		{"a part of a run", []Value{1, 1, 1, 1, 9}, 2, 4, 10},
		{"an empty stretch", []Value{2, 4, 6}, 1, 1, 0},
		{"a stretch turned round", []Value{2, 4, 6}, 2, 0, 0},
		{"before it all", []Value{2, 4, 6}, -10, -1, 0},
		{"after it all", []Value{2, 4, 6}, 2, 50, 0},
		{"the largest sizes", []Value{math.MaxInt64, -math.MaxInt64 + 2}, -1, 10, 2*math.MaxInt64 - 2},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var s Series
			for i, v := range tt.values {
				s.Set(start+Minute(i), v)
			}
			minute := func(i int) Minute { return Minute(int(start) + i) }
			if got := s.TwiceMedian(minute(tt.after), minute(tt.upto), new(Scratch)); got != tt.want {
				t.Errorf("twice the median is %d, want %d", got, tt.want)
			}
		})
	}
}

// shapes are days that are hard on one way or another to search for a middle.
var shapes = map[string]func(i, n int, random *rand.Rand) int64{
	"rising":         func(i, _ int, _ *rand.Rand) int64 { return int64(i) },
	"falling":        func(i, n int, _ *rand.Rand) int64 { return int64(n - i) },
	"up and down":    func(i, n int, _ *rand.Rand) int64 { return int64(min(i, n-i)) },
	"a saw":          func(i, _ int, _ *rand.Rand) int64 { return int64(i % 17) },
	"distinct":       func(i, _ int, _ *rand.Rand) int64 { return int64(i) * 7919 % 100_003 },
	"random":         func(_, _ int, random *rand.Rand) int64 { return random.Int64N(1e17) },
	"either side":    func(_, _ int, random *rand.Rand) int64 { return random.Int64N(2e17) - 1e17 },
	"two values":     func(_, _ int, random *rand.Rand) int64 { return random.Int64N(2) },
	"four values":    func(_, _ int, random *rand.Rand) int64 { return random.Int64N(4) * 1000 },
	"one value":      func(_, _ int, _ *rand.Rand) int64 { return 42 },
	"a step halfway": func(i, n int, _ *rand.Rand) int64 { return int64(2 * i / n) },
	"every quarter":  func(i, _ int, _ *rand.Rand) int64 { return int64(i/15) * 7919 % 1009 },
	"mostly flat":    func(_, _ int, random *rand.Rand) int64 { return max(0, random.Int64N(100)-60) },
}

func TestTwiceMedianEqualsSorting(t *testing.T) {
	var scratch Scratch // one for all: nothing of one question may reach the next
	for name, shape := range shapes {
		for _, n := range []int{1, 2, 15, 16, 17, 18, 33, 100, 101, 1439, 1440} {
			t.Run(fmt.Sprintf("%s %d", name, n), func(t *testing.T) {
				random := rand.New(rand.NewPCG(uint64(n), 5))
				var s Series
				var sizes []uint64
				for i := range n {
					v := shape(i, n, random)
					s.Set(start+Minute(i), Value(v))
					sizes = append(sizes, uint64(max(v, -v)))
				}
				want := twiceMedianOf(slices.Clone(sizes))
				if got := s.TwiceMedian(start-1, start+Minute(n), &scratch); got != want {
					t.Errorf("%d, want %d", got, want)
				}
				from, to := random.IntN(n), random.IntN(n)
				want = twiceMedianOf(slices.Clone(sizes[min(from, to) : max(from, to)+1]))
				if got := s.TwiceMedian(start+Minute(min(from, to))-1, start+Minute(max(from, to)), &scratch); got != want {
					t.Errorf("from %d to %d: %d, want %d", min(from, to), max(from, to), got, want)
				}
			})
		}
	}
}

// A day in runs of any length, with holes in it.
func TestTwiceMedianOfRunsEqualsSorting(t *testing.T) {
	var scratch Scratch
	rapid.Check(t, func(t *rapid.T) {
		random := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 1))
		longest := rapid.SampledFrom([]int{1, 2, 3, 15, 60, 600}).Draw(t, "longest run")
		values := rapid.SampledFrom([]int64{1, 2, 3, 10, 1000, 1e17}).Draw(t, "values")
		holes := rapid.IntRange(0, 3).Draw(t, "holes")
		n := rapid.IntRange(1, 1440).Draw(t, "minutes")
		var s Series
		var sizes []uint64
		for m := 0; m < n; {
			v := Value(random.Int64N(2*values+1) - values)
			if random.IntN(10) < holes {
				v = []Value{None, Null, Dirty}[random.IntN(3)]
			}
			for range min(1+random.IntN(longest), n-m) {
				s.Set(start+Minute(m), v)
				if v.IsSize() {
					sizes = append(sizes, uint64(max(v, -v)))
				}
				m++
			}
		}
		if got, want := s.TwiceMedian(start-1, start+1440, &scratch), twiceMedianOf(sizes); got != want {
			t.Fatalf("%d, want %d", got, want)
		}
	})
}

// Two camps of nearly the same weight, each tied within: the two middle minutes
// lie on either side of a tie's end, or just within it.
func TestTwiceMedianBetweenTwoCamps(t *testing.T) {
	var scratch Scratch
	rapid.Check(t, func(t *rapid.T) {
		random := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 2))
		n := rapid.IntRange(34, 120).Draw(t, "minutes")
		low := n/2 + rapid.IntRange(-2, 2).Draw(t, "more of the low camp")
		var s Series
		var sizes []uint64
		for m, place := range random.Perm(n) {
			camp := []int64{9, 9, 9, 10}
			if place < low {
				camp = []int64{4, 5, 5, 5}
			}
			v := camp[random.IntN(len(camp))]
			s.Set(start+Minute(m), Value(v))
			sizes = append(sizes, uint64(v))
		}
		if got, want := s.TwiceMedian(start-1, start+Minute(n), &scratch), twiceMedianOf(sizes); got != want {
			t.Fatalf("%d, want %d", got, want)
		}
	})
}
