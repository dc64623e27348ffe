package series

import "slices"

// Scratch is the working space of Median, to be used again and again, by one
// goroutine at a time.
type Scratch struct{ weights []weight }

// weight is a size without its side, and for how many minutes it stood.
type weight struct {
	size uint64
	n    uint64
}

// TwiceMedian is twice the median of the sizes, without their sides, of the
// minutes after one and up to another; 0 when there are none. Twice, so that the
// mean of the two middle ones is a whole number. Minutes without a size do not
// count.
func (s *Series) TwiceMedian(after, upto Minute, scratch *Scratch) uint64 {
	list := scratch.weights[:0]
	var total uint64
	for i := len(s.runs) - 1; i >= 0; i-- {
		r := s.runs[i]
		until := min(s.until(i), upto+1)
		from := max(r.from, after+1)
		if v := r.value(); from < until && v.IsSize() {
			n := uint64(until - from)
			list = append(list, weight{uint64(max(v, -v)), n})
			total += n
		}
		if r.from <= after {
			break
		}
	}
	scratch.weights = list
	if total == 0 {
		return 0
	}
	lower, upper := middle(list, (total-1)/2)
	if total%2 == 1 {
		return 2 * lower
	}
	return lower + upper
}

// middle finds the size of rank k, counted from 0 over all weights, and that of
// rank k + 1 if there is one. It reorders the list.
func middle(list []weight, k uint64) (at, next uint64) {
	const few = 16
	above := uint64(0) // the least size that is greater than all of list
	for len(list) > few {
		pivot := medianOfThree(list[0].size, list[len(list)/2].size, list[len(list)-1].size)
		less, equal, nLess, nEqual := partition(list, pivot)
		switch {
		case k < nLess:
			list, above = list[:less], pivot
		case k >= nLess+nEqual:
			list, k = list[equal:], k-nLess-nEqual
		case k+1 < nLess+nEqual:
			return pivot, pivot
		default:
			return pivot, least(list[equal:], above)
		}
	}
	slices.SortFunc(list, func(a, b weight) int {
		if a.size < b.size {
			return -1
		}
		if a.size > b.size {
			return 1
		}
		return 0
	})
	for i, w := range list {
		if k >= w.n {
			k -= w.n
			continue
		}
		if k+1 < w.n {
			return w.size, w.size
		}
		return w.size, least(list[i+1:], above)
	}
	return above, above // not reached: k is below the sum of the weights
}

// least is the least size of a list, or otherwise when it is empty.
func least(list []weight, otherwise uint64) uint64 {
	if len(list) == 0 {
		return otherwise
	}
	found := list[0].size
	for _, w := range list[1:] {
		found = min(found, w.size)
	}
	return found
}

// partition puts what is less than pivot first, then what is equal, then the
// rest, and tells where the second and the third part begin and what the first
// two weigh.
func partition(list []weight, pivot uint64) (less, equal int, nLess, nEqual uint64) {
	greater := len(list)
	for equal < greater {
		switch w := list[equal]; {
		case w.size < pivot:
			nLess += w.n
			list[less], list[equal] = w, list[less]
			less++
			equal++
		case w.size > pivot:
			greater--
			list[equal], list[greater] = list[greater], w
		default:
			nEqual += w.n
			equal++
		}
	}
	return less, equal, nLess, nEqual
}

func medianOfThree(a, b, c uint64) uint64 { return max(min(a, b), min(max(a, b), c)) }
