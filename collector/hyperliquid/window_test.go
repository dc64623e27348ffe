package hyperliquid

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// traffic runs requests through a window in time that is only counted, and
// remembers what an exchange may have seen of them.
type traffic struct {
	window window
	now    time.Duration
	sent   []*sent
	flying []*sent // of sent, without an answer
	queues [classes][]*queued
}

// sent is a request on its way: it may arrive at any moment from sent to
// answered, both included.
type sent struct {
	by             class
	weight         int
	sent, answered time.Duration
	reserve        int  // when it was sent
	inherited      bool // from a predecessor, which kept no reserve
}

// queued is a request that waits, with the latency that it will have.
type queued struct {
	claim   *claim
	latency time.Duration
}

func newTraffic(limit, reserve int) *traffic {
	t := &traffic{window: window{limit: limit}}
	t.window.keep(reserve)
	return t
}

func (t *traffic) ask(by class, weight int, latency time.Duration) {
	q := &queued{&claim{by: by, weight: weight}, latency}
	t.window.wait(q.claim)
	t.queues[by] = append(t.queues[by], q)
	t.admit()
}

// admit sends whoever may go, which must be the first in line.
func (t *traffic) admit() {
	for c := t.window.take(t.now); c != nil; c = t.window.take(t.now) {
		if c.by == ofSearch && len(t.queues[ofMinute]) > 0 {
			panic("the search goes before the minute")
		}
		q := t.queues[c.by][0]
		if q.claim != c {
			panic("somebody was overtaken")
		}
		t.queues[c.by] = t.queues[c.by][1:]
		s := &sent{by: c.by, weight: c.weight, sent: t.now, answered: t.now + q.latency, reserve: t.window.reserve}
		t.sent, t.flying = append(t.sent, s), append(t.flying, s)
	}
}

// next is when something happens by itself: an answer, or room for who waits.
func (t *traffic) next() (time.Duration, bool) {
	next, ok := t.window.next()
	for _, s := range t.flying {
		if !ok || s.answered < next {
			next, ok = s.answered, true
		}
	}
	return next, ok
}

// advance lets time pass up to a moment, with all that happens by itself.
func (t *traffic) advance(to time.Duration, check func()) {
	for {
		next, ok := t.next()
		if !ok || next > to {
			break
		}
		t.now = next
		check()
		t.answer()
		t.admit()
	}
	t.now = to
	check()
	t.admit()
}

func (t *traffic) answer() {
	t.flying = slices.DeleteFunc(t.flying, func(s *sent) bool {
		if s.answered > t.now {
			return false
		}
		t.window.answered(t.now, s.by, s.weight)
		return true
	})
}

func (t *traffic) withdraw(by class, i int) {
	t.window.withdraw(t.queues[by][i].claim)
	t.queues[by] = slices.Delete(t.queues[by], i, i+1)
	t.admit()
}

func (t *traffic) keep(reserve int) {
	for _, c := range t.window.keep(reserve) {
		t.queues[ofSearch] = slices.DeleteFunc(t.queues[ofSearch], func(q *queued) bool { return q.claim == c })
	}
	t.admit()
}

// counted is what the exchange may count of the requests so far in the minute,
// both ends included, that ends at a moment, were each to arrive just then. A
// tolerance counts them for longer.
func (t *traffic) counted(end, tolerance time.Duration) (all, search int) {
	for _, s := range t.sent {
		if s.sent > end || s.answered < end-countedFor-tolerance {
			continue
		}
		all += s.weight
		if s.by == ofSearch {
			search += s.weight
		}
	}
	return all, search
}

// idle says what waits although the naive count has room for it. It is asked
// before what happens at this moment is done.
func (t *traffic) idle() string {
	all, search := t.counted(t.now, slot)
	for by, queue := range t.queues {
		if len(queue) == 0 {
			continue
		}
		weight := queue[0].claim.weight
		full := all+weight > t.window.limit || class(by) == ofSearch && search+weight > t.window.limit-t.window.reserve
		if !full {
			return fmt.Sprintf("at %s a weight of %d of class %d waits, %d are counted, %d of the search", t.now, weight, by, all, search)
		}
		return "" // the first in line is held up by the window, and nobody else counts
	}
	return ""
}

var someWeights = rapid.SampledFrom([]int{2, 2, 2, 20, 60})

// The guarantee that the exchange asks for, over random requests, latencies,
// cancellations and reserves: whenever requests arrive between their sending
// and their answer, no minute counts more than the limit. And what waits, waits
// for that alone.
func TestNoMinuteEverCountsMoreThanTheLimit(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		limit := rapid.IntRange(60, 400).Draw(r, "limit")
		tr := newTraffic(limit, 0)
		if left := rapid.IntRange(0, limit).Draw(r, "inherited"); left < limit {
			tr.window.spent(0, limit-left)
			tr.sent = append(tr.sent, &sent{by: ofSearch, weight: limit - left, inherited: true})
		}
		check := func() {
			if problem := tr.idle(); problem != "" {
				r.Fatal(problem)
			}
		}
		millis := func(most int, label string) time.Duration {
			return time.Duration(rapid.IntRange(0, most).Draw(r, label)) * time.Millisecond
		}
		r.Repeat(map[string]func(*rapid.T){
			"": func(*rapid.T) { check() },
			"ask": func(r *rapid.T) {
				by := class(rapid.IntRange(0, 1).Draw(r, "class"))
				for range rapid.IntRange(1, 20).Draw(r, "requests") {
					if weight := someWeights.Draw(r, "weight"); weight <= tr.window.most(by) {
						tr.ask(by, weight, millis(rapid.SampledFrom([]int{0, 100, 2_000, 90_000}).Draw(r, "slowest"), "latency"))
					}
				}
			},
			"wait": func(r *rapid.T) {
				tr.advance(tr.now+millis(rapid.SampledFrom([]int{1, 100, 1_000, 61_000}).Draw(r, "longest"), "pause"), check)
			},
			"give up": func(r *rapid.T) {
				by := rapid.IntRange(0, 1).Draw(r, "class")
				if n := len(tr.queues[by]); n > 0 {
					tr.withdraw(class(by), rapid.IntRange(0, n-1).Draw(r, "which"))
				}
			},
			"reserve": func(r *rapid.T) { tr.keep(rapid.IntRange(-10, limit+10).Draw(r, "reserve")) },
			"abandon as it is granted": func(*rapid.T) {
				c := &claim{by: ofMinute, weight: 2}
				if all := len(tr.queues[ofMinute]); all > 0 {
					return
				}
				tr.window.wait(c)
				if tr.window.take(tr.now) == c {
					tr.window.giveBack(c)
				} else {
					tr.window.withdraw(c)
				}
			},
		})
		// Nobody waits for ever.
		tr.advance(tr.now+time.Duration(len(tr.sent)+len(tr.queues[0])+len(tr.queues[1])+1)*3*time.Minute, check)
		if left := len(tr.queues[ofMinute]) + len(tr.queues[ofSearch]) + len(tr.flying); left > 0 {
			r.Fatalf("%d wait in the end", left)
		}
		if free := tr.window.free(tr.now + time.Hour); free != limit || len(tr.window.leaving) != 0 {
			r.Fatalf("an hour later %d of %d are free, %d slots kept", free, limit, len(tr.window.leaving))
		}
		for _, s := range tr.sent { // the count only grows where something is sent
			all, _ := tr.counted(s.sent, 0)
			if all > limit {
				r.Fatalf("%d in the minute to %s, the limit is %d", all, s.sent, limit)
			}
		}
		searched(r, tr)
	})
}

// searched checks that the search, as it went, left the reserve of that moment.
func searched(r *rapid.T, tr *traffic) {
	for i, s := range tr.sent {
		if s.by != ofSearch || s.inherited {
			continue
		}
		sum := 0
		for _, before := range tr.sent[:i+1] { // in the order of sending
			if before.by == ofSearch && before.answered >= s.sent-countedFor {
				sum += before.weight
			}
		}
		if sum > tr.window.limit-s.reserve {
			r.Fatalf("the search has %d at %s beside a reserve of %d of %d", sum, s.sent, s.reserve, tr.window.limit)
		}
	}
}

// pump lets time pass until a moment, asking for more whenever something
// happened, and gives the weight that was sent.
func (t *traffic) pump(until time.Duration, demand func()) int {
	for demand(); ; demand() {
		next, ok := t.next()
		if !ok || next >= until {
			break
		}
		t.advance(next, func() {})
	}
	sum := 0
	for _, s := range t.sent {
		sum += s.weight
	}
	return sum
}

func TestAtLeast95PercentAreUsed(t *testing.T) {
	for name, weights := range map[string][]int{"states": {2}, "lists": {20}, "a mixture": {2, 2, 2, 2, 20, 60}, "mostly heavy": {2, 20, 60, 60}} {
		for _, slowest := range []time.Duration{0, 200 * time.Millisecond, 2 * time.Second} {
			for by := range classes {
				for _, minutes := range []int{10, 100} { // the first ten begin with an empty window
					random := rand.New(rand.NewPCG(1, uint64(minutes)))
					tr := newTraffic(1200, 0)
					sum := tr.pump(time.Duration(minutes)*time.Minute, func() {
						for len(tr.queues[by]) < 2 {
							tr.ask(by, weights[random.IntN(len(weights))], time.Duration(random.Int64N(int64(slowest)+1)))
						}
					})
					if share := float64(sum) / float64(1200*minutes); share < 0.95 || share > 1 {
						t.Errorf("%s with latencies up to %s: %.2f %% used in %d minutes", name, slowest, 100*share, minutes)
					}
				}
			}
		}
	}
}

// A minute's own requests of the minute before count until a little after a
// minute is over. With a reserve that has room for what is in flight beside
// them, a minute begins and ends as if there were no search, for hours, while
// the search uses all the rest.
func TestASearchThatUsesAllTheRestDelaysNoMinute(t *testing.T) {
	const wallets, concurrency, minutes = 200, 8, 120
	for _, slowest := range []time.Duration{100 * time.Millisecond, time.Second, 2 * time.Second} {
		run := func(searching bool) (lasted time.Duration, sum int) {
			random := rand.New(rand.NewPCG(2, 3))
			latency := func() time.Duration { return time.Duration(random.Int64N(int64(slowest))) }
			tr := newTraffic(1200, wallets*StateWeight+2*concurrency*StateWeight)
			for minute := range minutes {
				began, asked := time.Duration(minute)*time.Minute, 0
				tr.advance(began, func() {})
				sum = tr.pump(began+time.Minute, func() {
					under := len(tr.queues[ofMinute])
					for _, s := range tr.flying {
						if s.by == ofMinute {
							under++
						}
					}
					for ; under < concurrency && asked < wallets; under++ {
						tr.ask(ofMinute, StateWeight, latency())
						asked++
					}
					if asked == wallets && under == 0 {
						lasted = max(lasted, tr.now-began)
						asked++
					}
					for searching && len(tr.queues[ofSearch]) < 2 {
						tr.ask(ofSearch, SubAccountsWeight, latency())
					}
				})
				if asked <= wallets {
					t.Fatalf("minute %d with latencies up to %s was not read", minute, slowest)
				}
			}
			return lasted, sum
		}
		alone, _ := run(false)
		beside, sum := run(true)
		if beside > alone+alone/4 {
			t.Errorf("latencies up to %s: a minute lasts %s alone and %s beside the search", slowest, alone, beside)
		}
		if share := float64(sum) / (1200 * minutes); share < 0.95 {
			t.Errorf("latencies up to %s: %.2f %% used", slowest, 100*share)
		}
	}
}

func TestTheHeavyAreNotStarved(t *testing.T) {
	for by := range classes {
		tr := newTraffic(1200, 0)
		tr.ask(by, 1199, 0)
		tr.ask(by, 60, 0)
		tr.pump(5*time.Minute, func() {
			for len(tr.queues[by]) < 3 {
				tr.ask(by, 1, 0) // would fit at once
			}
		})
		if len(tr.sent) < 2 || tr.sent[1].weight != 60 || tr.sent[1].sent != countedFor+slot {
			t.Errorf("class %d: the second to go is %+v", by, tr.sent[1])
		}
	}
}

// Memory depends on the number of slots in a minute, not on that of requests.
func TestAGenerousLimitTakesNoMoreMemory(t *testing.T) {
	w := window{limit: 201_000}   // a slot more than a minute is counted
	for i := range 10 * 100_000 { // ten minutes of states
		w.wait(&claim{by: ofMinute, weight: StateWeight})
		now := time.Duration(i) * 10 * time.Minute / 1_000_000
		if w.take(now) == nil {
			t.Fatalf("no room at %s", now)
		}
		w.answered(now, ofMinute, StateWeight)
	}
	if most := int(countedFor/slot) + 2; len(w.leaving) > most || cap(w.leaving) > 4*most {
		t.Errorf("%d slots are kept in room for %d, want at most %d", len(w.leaving), cap(w.leaving), most)
	}
}
