package hyperliquid

import (
	"context"
	"errors"
	"math"
	"sync"
	"time"

	"github.com/whalegate/whalegate/internal/clock"
)

// budget lets requests wait for room in the window. The exchange tells nobody
// what is left and answers 429 beyond it, so the count is kept here.
//
// Its time is monotonic: a clock that is set changes nothing.
type budget struct {
	clock clock.Clock
	began time.Time

	mu     sync.Mutex
	window window
	timer  *time.Timer // for the next that can go; nil when none is set
	wakeAt time.Duration
}

func newBudget(weightPerMinute int, c clock.Clock) *budget {
	return &budget{clock: c, began: time.Now(), window: window{limit: weightPerMinute}}
}

// now is the time of the window. It is only asked under the lock, so that it
// never goes back between two callers.
func (b *budget) now() time.Duration { return b.clock.Elapsed(time.Since(b.began)) }

// wait takes weight as soon as there is room and it is this request's turn. The
// claim that it returns must be answered. It fails as Throttled when ctx's
// deadline passes first, at once when that is certain, and when there can never
// be room; as Cancelled when ctx ends otherwise, or had ended before. Either way
// no weight is taken.
func (b *budget) wait(ctx context.Context, by class, weight int) (*claim, error) {
	if ctx.Err() != nil {
		return nil, failure(Cancelled, "wait for weight: %w", context.Cause(ctx))
	}
	c, err := b.claim(ctx, by, weight)
	if err != nil {
		return nil, err
	}
	select {
	case <-c.ready:
		if !c.granted {
			return nil, failure(Throttled, "the weight budget has no room for %d beside the reserve any more", weight)
		}
		return c, nil
	case <-ctx.Done():
		b.abandon(c)
	}
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return nil, failure(Throttled, "the weight budget had no room in time: %w", context.Cause(ctx))
	}
	return nil, failure(Cancelled, "wait for weight: %w", context.Cause(ctx))
}

// claim queues for weight and lets go whoever may.
func (b *budget) claim(ctx context.Context, by class, weight int) (*claim, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if most := b.window.most(by); weight > most {
		return nil, failure(Throttled, "a weight of %d is above the %d of a minute that may be spent on it", weight, most)
	}
	now := b.now()
	c := &claim{by: by, weight: weight, ready: make(chan struct{})}
	b.window.wait(c)
	b.admit(now)
	if deadline, ok := ctx.Deadline(); ok && !c.granted {
		delay := b.window.earliest(now, weight) - now
		if b.clock.Real(delay) > time.Until(deadline) {
			b.window.withdraw(c)
			b.admit(now)
			return nil, failure(Throttled, "the weight budget has no room for %s, after the deadline", delay.Round(time.Millisecond))
		}
	}
	return c, nil
}

// abandon ends a claim whose context ended before it was used.
func (b *budget) abandon(c *claim) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case c.granted: // at the same moment
		b.window.giveBack(c)
	case c.place != nil:
		b.window.withdraw(c)
	}
	b.admit(b.now())
}

// again takes the weight of a claim once more, for a request that the transport
// sends a second time. It is false when there is no room at once.
func (b *budget) again(c *claim) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.window.sendAgain(b.now(), c)
}

// answered tells that weight of a claim can no longer arrive at the exchange.
func (b *budget) answered(c *claim, weight int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := b.now()
	b.window.answered(now, c.by, weight)
	b.admit(now)
}

// reserve keeps weight free of the search from now on.
func (b *budget) reserve(weight int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, c := range b.window.keep(weight) {
		close(c.ready)
	}
	b.admit(b.now())
}

// inherit begins as if all but left had been spent now: the exchange counts
// what another program on the same address spent. What is not a number is
// nothing left.
func (b *budget) inherit(left float64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	limit := float64(b.window.limit)
	if math.IsNaN(left) {
		left = 0
	}
	b.window.spent(b.now(), int(math.Ceil(limit-min(max(0, left), limit))))
}

func (b *budget) tokens() float64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return float64(b.window.free(b.now()))
}

// admit lets go whoever may at now, and sees to it that the next is looked at
// in time.
func (b *budget) admit(now time.Duration) {
	for c := b.window.take(now); c != nil; c = b.window.take(now) {
		c.granted = true
		close(c.ready)
	}
	next, ok := b.window.next()
	if b.timer != nil && (!ok || next != b.wakeAt) {
		b.timer.Stop()
		b.timer = nil
	}
	if ok && b.timer == nil {
		b.wakeAt = next
		// A fast clock rounds: a nanosecond more, and it is not too early.
		b.timer = time.AfterFunc(b.clock.Real(next-now)+1, b.wake)
	}
}

func (b *budget) wake() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.timer = nil
	b.admit(b.now())
}
