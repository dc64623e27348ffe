package hyperliquid

import (
	"container/list"
	"time"
)

// class is who asks. The minute goes before the search.
type class int

const (
	ofMinute class = iota // snapshots, without which a minute is lost
	ofSearch              // what can as well be asked later
	classes
)

// countedFor is how long the exchange counts a request's weight, from the
// moment that the request reached it.
const countedFor = time.Minute

// slot is the step in which counted weight is forgotten. Weight of one slot is
// kept as one sum, so that memory does not grow with the number of requests.
const slot = 100 * time.Millisecond

// window is the weight that the exchange may count at a moment, and who waits
// for room in it. The exchange allows limit in any sliding minute and counts a
// request when it arrives, which may be at any moment from its sending to its
// answer. So a request counts from its sending until a minute after its answer
// or failure, rounded up to the next slot.
//
// It knows no clock: now is an argument, any monotonic time, and never goes
// back. It is not safe for concurrent use.
type window struct {
	limit   int
	reserve int // of the limit, kept free of the search

	counted [classes]int // sent, and not forgotten yet
	leaving []leaving    // of it what was answered, by when it is forgotten, ascending
	waiting [classes]list.List
}

// leaving is the weight that is forgotten when a slot begins.
type leaving struct {
	slot   int64 // since time 0
	weight [classes]int
}

// claim is one request's claim on the window.
type claim struct {
	by     class
	weight int
	place  *list.Element // in its queue; nil when it does not wait

	ready   chan struct{} // closed by whoever lets it go; unused here
	granted bool          // by the same
}

// start is when the slot begins.
func (l leaving) start() time.Duration { return time.Duration(l.slot) * slot }

// forgottenAt is the first slot that begins more than a minute after now. Later,
// not at the same moment: nobody knows which end of its minute the exchange
// counts.
func forgottenAt(now time.Duration) int64 { return int64((now+countedFor)/slot) + 1 }

// most is the heaviest request that a class can ever send.
func (w *window) most(by class) int {
	if by == ofSearch {
		return w.limit - w.reserve
	}
	return w.limit
}

// wait puts a claim, which must not be above most, at the end of its queue.
func (w *window) wait(c *claim) { c.place = w.waiting[c.by].PushBack(c) }

// take lets the next claim go, if one may at now, and counts it as sent. The
// first of the minute goes before everybody, the first of the search when
// nobody of the minute waits; nobody overtakes within a class, or the light
// would starve the heavy.
func (w *window) take(now time.Duration) *claim {
	w.forget(now)
	c := w.first()
	if c == nil || !w.room(c.by, c.weight, w.counted) {
		return nil
	}
	w.withdraw(c)
	w.counted[c.by] += c.weight
	return c
}

// sendAgain counts the weight of a claim once more, if there is room at once.
func (w *window) sendAgain(now time.Duration, c *claim) bool {
	w.forget(now)
	ok := w.room(c.by, c.weight, w.counted)
	if ok {
		w.counted[c.by] += c.weight
	}
	return ok
}

// withdraw takes a claim that waits out of its queue.
func (w *window) withdraw(c *claim) {
	w.waiting[c.by].Remove(c.place)
	c.place = nil
}

// giveBack ends a claim that was let go and never sent.
func (w *window) giveBack(c *claim) { w.counted[c.by] -= c.weight }

// answered begins the minute after which weight that was sent is forgotten.
func (w *window) answered(now time.Duration, by class, weight int) {
	at := forgottenAt(now)
	if last := len(w.leaving) - 1; last < 0 || w.leaving[last].slot != at {
		w.leaving = append(w.leaving, leaving{slot: at})
	}
	w.leaving[len(w.leaving)-1].weight[by] += weight
}

// spent counts weight that somebody else just spent. It takes from the share of
// the search, so that the reserve stays the minute's.
func (w *window) spent(now time.Duration, weight int) {
	w.counted[ofSearch] += weight
	w.answered(now, ofSearch, weight)
}

// keep sets the reserve and returns the claims of the search that can no longer
// be granted, taken out of their queue: they would wait for ever, and all behind
// them.
func (w *window) keep(reserve int) (refused []*claim) {
	w.reserve = min(max(0, reserve), w.limit)
	for e := w.waiting[ofSearch].Front(); e != nil; {
		c := e.Value.(*claim)
		e = e.Next()
		if c.weight > w.most(ofSearch) {
			w.withdraw(c)
			refused = append(refused, c)
		}
	}
	return refused
}

// free is the weight that could be sent at now if nobody waited.
func (w *window) free(now time.Duration) int {
	w.forget(now)
	return max(0, w.limit-w.counted[ofMinute]-w.counted[ofSearch])
}

// next is when take is worth another try although nothing else happens. It is
// false while nobody waits, and while answers must come first.
func (w *window) next() (time.Duration, bool) {
	c := w.first()
	if c == nil {
		return 0, false
	}
	counted := w.counted
	for _, l := range w.leaving {
		l.subtractFrom(&counted)
		if w.room(c.by, c.weight, counted) {
			return l.start(), true
		}
	}
	return 0, false
}

// earliest is the moment before which there is certainly no room for weight,
// whoever else gives up or is answered, and whatever becomes of the reserve.
func (w *window) earliest(now time.Duration, weight int) time.Duration {
	w.forget(now)
	counted := w.counted
	if w.room(ofMinute, weight, counted) {
		return now
	}
	for _, l := range w.leaving {
		l.subtractFrom(&counted)
		if w.room(ofMinute, weight, counted) {
			return l.start()
		}
	}
	return leaving{slot: forgottenAt(now)}.start() // were all the rest answered now
}

// first is whose turn it is.
func (w *window) first() *claim {
	for by := range w.waiting {
		if e := w.waiting[by].Front(); e != nil {
			return e.Value.(*claim)
		}
	}
	return nil
}

// room says whether weight fits beside what is counted.
func (w *window) room(by class, weight int, counted [classes]int) bool {
	if by == ofSearch && counted[ofSearch]+weight > w.most(ofSearch) {
		return false
	}
	return counted[ofMinute]+counted[ofSearch]+weight <= w.limit
}

func (w *window) forget(now time.Duration) {
	gone := 0
	for gone < len(w.leaving) && w.leaving[gone].start() <= now {
		w.leaving[gone].subtractFrom(&w.counted)
		gone++
	}
	w.leaving = w.leaving[gone:]
}

func (l leaving) subtractFrom(counted *[classes]int) {
	for by := range counted {
		counted[by] -= l.weight[by]
	}
}
