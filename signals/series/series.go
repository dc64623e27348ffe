// Package series keeps a day of positions in memory, minute by minute, as runs
// of equal values: most positions stand still for hours, and 50,000 wallets
// would not fit otherwise. It knows no clock and no database.
package series

import (
	"math"
	"slices"
	"sort"
)

// Minute counts the minutes since 1970.
type Minute uint32

// Value is what is stored of a wallet and asset at a minute: a size in the
// asset's smallest unit, or one of the constants.
type Value int64

// What a minute can hold instead of a size.
const (
	None  Value = math.MinInt64 + iota // no row
	Null                               // a row whose size is NULL
	Dirty                              // a dirty row
	lowest
)

// IsSize tells whether the value is a size.
func (v Value) IsSize() bool { return v >= lowest }

// run is a value from a minute on, until the next run begins. The value is kept
// in halves: whole, it would make a run a third larger for the sake of alignment,
// and runs are nearly all that 50,000 wallets need.
type run struct {
	from Minute
	high int32
	low  uint32
}

func newRun(v Value, from Minute) run { return run{from, int32(v >> 32), uint32(v)} }

func (r run) value() Value { return Value(r.high)<<32 | Value(r.low) }

// Series is the history of one wallet in one asset. The zero Series is empty.
type Series struct {
	runs []run
	end  Minute // the first minute after the last run
}

// Set stores the value of a minute. Minutes in order are cheap; any other order
// is right as well.
func (s *Series) Set(m Minute, v Value) {
	switch {
	case len(s.runs) == 0:
		if v == None {
			return
		}
		s.runs = append(s.runs, newRun(v, m))
		s.end = m + 1
		return
	case m >= s.end:
		if v == None {
			return
		}
		if m > s.end {
			s.append(None, s.end)
		}
		s.append(v, m)
		s.end = m + 1
		return
	case m < s.runs[0].from:
		if v == None {
			return
		}
		s.runs = slices.Insert(s.runs, 0, newRun(v, m), newRun(None, m+1))
		s.merge(0, 3)
		return
	}
	i := s.find(m)
	old, next := s.runs[i], s.until(i)
	if old.value() == v {
		return
	}
	var parts []run
	if old.from < m {
		parts = append(parts, old)
	}
	parts = append(parts, newRun(v, m))
	if m+1 < next {
		parts = append(parts, newRun(old.value(), m+1))
	}
	s.runs = slices.Replace(s.runs, i, i+1, parts...)
	s.merge(max(0, i-1), i+len(parts)+1)
}

// append starts a run at the end, unless it goes on with the last one's value.
func (s *Series) append(v Value, m Minute) {
	if s.runs[len(s.runs)-1].value() == v {
		return
	}
	if len(s.runs) == cap(s.runs) {
		s.runs = roomy(s.runs)
	}
	s.runs = append(s.runs, newRun(v, m))
}

// roomy is a copy with room for an eighth more: doubling, or keeping the room of
// what was forgotten, would leave a third of all memory unused.
func roomy(runs []run) []run {
	return append(make([]run, 0, len(runs)+len(runs)/8+4), runs...)
}

// merge joins neighbours of one value, and drops runs of no length, among the
// runs from first to before last.
func (s *Series) merge(first, last int) {
	last = min(last, len(s.runs))
	kept := first
	for i := first; i < last; i++ {
		r := s.runs[i]
		if i+1 < len(s.runs) && s.runs[i+1].from == r.from {
			continue
		}
		if kept > first && s.runs[kept-1].value() == r.value() {
			continue
		}
		s.runs[kept] = r
		kept++
	}
	s.runs = slices.Delete(s.runs, kept, last)
}

// find is the run that holds m, which is not before the first run. It looks from
// the end, where nearly every question is.
func (s *Series) find(m Minute) int {
	const near = 8
	for i := len(s.runs) - 1; i >= max(0, len(s.runs)-near); i-- {
		if s.runs[i].from <= m {
			return i
		}
	}
	return sort.Search(len(s.runs), func(i int) bool { return s.runs[i].from > m }) - 1
}

// until is the first minute after run i.
func (s *Series) until(i int) Minute {
	if i+1 < len(s.runs) {
		return s.runs[i+1].from
	}
	return s.end
}

// At is the value of a minute.
func (s *Series) At(m Minute) Value {
	if len(s.runs) == 0 || m < s.runs[0].from || m >= s.end {
		return None
	}
	return s.runs[s.find(m)].value()
}

// Window fills values with those of the minutes from first on.
func (s *Series) Window(first Minute, values []Value) {
	for i := range values {
		values[i] = s.At(first + Minute(i))
	}
}

// Forget drops what is before m, and gives back its room. It waits until enough
// can be dropped for the copy of the rest to pay; TwiceMedian leaves out what it
// is not asked for anyway.
func (s *Series) Forget(m Minute) {
	if s.end <= m {
		*s = Series{}
		return
	}
	gone := 0
	for gone+1 < len(s.runs) && s.runs[gone+1].from <= m {
		gone++
	}
	if gone > len(s.runs)/8 {
		s.runs = roomy(s.runs[gone:])
	}
}

// Empty tells whether nothing is remembered; a minute that was cleared is until
// it is forgotten.
func (s *Series) Empty() bool { return len(s.runs) == 0 }
