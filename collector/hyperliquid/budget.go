package hyperliquid

import (
	"context"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/whalegate/whalegate/internal/clock"
)

// budget is the weight that may be spent. The exchange counts weight over a
// minute, tells nobody what is left and answers 429 beyond it, so the count is
// kept here.
//
// It is a bucket of a third of the minute's weight, refilled with the other
// two thirds over a minute: any 60 seconds spend at most the full bucket and
// what flows in, which is the minute's weight and no more. At the default of
// 1200, the 200 states of a snapshot (400) go out at once and 800 a minute can
// be kept up.
type budget struct {
	clock   clock.Clock
	mu      sync.Mutex // the limiter must not see time go back between two callers
	limiter *rate.Limiter
}

func newBudget(weightPerMinute int, c clock.Clock) *budget {
	burst := max(weightPerMinute/3, SubAccountsWeight)
	refill := rate.Limit(float64(weightPerMinute-burst) / time.Minute.Seconds())
	return &budget{clock: c, limiter: rate.NewLimiter(refill, burst)}
}

// wait spends weight as soon as there is room. It fails at once when the room
// comes after the deadline of ctx, and gives the weight back when ctx ends
// first. Weight that a failing request spent is gone: the exchange counted it.
func (b *budget) wait(ctx context.Context, weight int) error {
	if ctx.Err() != nil {
		return failure(Cancelled, "wait for weight: %w", context.Cause(ctx))
	}
	reserved, delay := b.reserve(weight)
	if deadline, ok := ctx.Deadline(); ok && delay > 0 && b.clock.Real(delay) > time.Until(deadline) {
		b.giveBack(reserved)
		return failure(Throttled, "the weight budget has room in %s, after the deadline", delay.Round(time.Millisecond))
	}
	if delay <= 0 {
		return nil
	}
	if err := b.clock.Sleep(ctx, delay); err != nil {
		b.giveBack(reserved)
		return failure(Cancelled, "wait for weight: %w", err)
	}
	return nil
}

func (b *budget) reserve(weight int) (*rate.Reservation, time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := b.clock.Now()
	reserved := b.limiter.ReserveN(now, weight)
	return reserved, reserved.DelayFrom(now)
}

func (b *budget) giveBack(reserved *rate.Reservation) {
	b.mu.Lock()
	defer b.mu.Unlock()
	reserved.CancelAt(b.clock.Now())
}

// inherit begins with what another program on the same address had left, if that is
// less: the exchange counts both together.
func (b *budget) inherit(left float64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := b.clock.Now()
	if spent := int(b.limiter.TokensAt(now) - left); spent > 0 {
		b.limiter.ReserveN(now, min(spent, b.limiter.Burst()))
	}
}

func (b *budget) tokens() float64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.limiter.TokensAt(b.clock.Now())
}
