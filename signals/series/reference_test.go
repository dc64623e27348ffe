package series

import (
	"slices"

	"pgregory.net/rapid"
)

// reference is a series that keeps every minute for itself.
type reference map[Minute]Value

func (r reference) set(m Minute, v Value) {
	if v == None {
		delete(r, m)
		return
	}
	r[m] = v
}

func (r reference) at(m Minute) Value {
	if v, ok := r[m]; ok {
		return v
	}
	return None
}

func (r reference) forget(m Minute) {
	for at := range r {
		if at < m {
			delete(r, at)
		}
	}
}

func (r reference) twiceMedian(after, upto Minute) uint64 {
	var sizes []uint64
	for m := after + 1; m <= upto; m++ {
		switch v := r.at(m); {
		case v == None, v == Null, v == Dirty:
		case v < 0:
			sizes = append(sizes, uint64(-v))
		default:
			sizes = append(sizes, uint64(v))
		}
	}
	return twiceMedianOf(sizes)
}

// twiceMedianOf sorts.
func twiceMedianOf(sizes []uint64) uint64 {
	if len(sizes) == 0 {
		return 0
	}
	slices.Sort(sizes)
	n := len(sizes)
	return sizes[(n-1)/2] + sizes[n/2]
}

// drawValue draws from so few values that neighbours are often equal.
func drawValue(t *rapid.T) Value {
	return rapid.SampledFrom([]Value{7, 7, 7, -7, 0, 5, 1_000_000, -1_000_001, Null, Dirty, None}).Draw(t, "value")
}
