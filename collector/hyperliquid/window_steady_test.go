package hyperliquid

import (
	"testing"
	"time"
)

// A minute on the public limit whose states are many: how long it lasts at 50 ms a
// request, when the search had the whole window before it, and after a minute in which
// the exchange was slow. Within a few minutes it is short again, although the search takes
// all that is left over.
func TestAMinuteIsShortAgainSoonAfterItWasLong(t *testing.T) {
	const concurrency, minutes, firstOwn, slowOne = 8, 40, 3, 20
	for _, requests := range []int{200, 300, 400} { // a third, a half, two thirds of the limit
		weight := requests * StateWeight
		tr := newTraffic(1200, 0)
		var lasted []time.Duration
		for minute := range minutes {
			began, asked, done := time.Duration(minute)*time.Minute, 0, false
			tr.advance(began, func() {})
			if minute == firstOwn {
				tr.window.keep(weight + weight/20 + 2*StateWeight*concurrency + MetaWeight)
			}
			latency := 50 * time.Millisecond
			if minute == slowOne {
				latency = 600 * time.Millisecond
			}
			tr.pump(began+time.Minute, func() {
				under := len(tr.queues[ofMinute])
				for _, s := range tr.flying {
					if s.by == ofMinute {
						under++
					}
				}
				for ; minute >= firstOwn && under < concurrency && asked < requests; under++ {
					tr.ask(ofMinute, StateWeight, latency)
					asked++
				}
				if asked == requests && under == 0 && !done {
					lasted, done = append(lasted, (tr.now-began).Round(100*time.Millisecond)), true
				}
				for len(tr.queues[ofSearch]) < 2 {
					tr.ask(ofSearch, SubAccountsWeight, 50*time.Millisecond)
				}
			})
			if minute >= firstOwn && !done {
				t.Fatalf("%d states: minute %d was not read", requests, minute)
			}
		}
		for i, d := range lasted {
			if since := i + firstOwn - slowOne; d > 5*time.Second && (since < 0 || since >= 8) {
				t.Errorf("%d states: minute %d lasts %s: %v", requests, i+firstOwn, d, lasted)
				break
			}
		}
	}
}
