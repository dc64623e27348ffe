package series

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
)

var sink uint64

// BenchmarkMedian compares the runs with a day that is kept minute by minute and
// sorted, for positions that never stand still and for ones that do.
func BenchmarkMedian(b *testing.B) {
	const day = 1440
	for _, every := range []int{1, 15} {
		random := rand.New(rand.NewPCG(1, uint64(every)))
		var s Series
		minutes := make([]uint64, day)
		size := int64(1e9)
		for m := range minutes {
			if m%every == 0 {
				size += random.Int64N(2e6) - 1e6
			}
			minutes[m] = uint64(size)
			s.Set(start+Minute(m), Value(size))
		}
		b.Run(fmt.Sprintf("changes every %d min/runs", every), func(b *testing.B) {
			var scratch Scratch
			b.ReportAllocs()
			for b.Loop() {
				sink = s.TwiceMedian(start-1, start+day-1, &scratch)
			}
		})
		b.Run(fmt.Sprintf("changes every %d min/sorted", every), func(b *testing.B) {
			list := make([]uint64, day)
			b.ReportAllocs()
			for b.Loop() {
				copy(list, minutes)
				slices.Sort(list)
				sink = list[(day-1)/2] + list[day/2]
			}
		})
	}
}

// BenchmarkSet is a minute of a day that is full.
func BenchmarkSet(b *testing.B) {
	for _, every := range []int{1, 15} {
		b.Run(fmt.Sprintf("changes every %d min", every), func(b *testing.B) {
			var s Series
			b.ReportAllocs()
			m := start
			for b.Loop() {
				s.Set(m, Value(int(m)/every))
				s.Forget(m - 1440)
				m++
			}
		})
	}
}
