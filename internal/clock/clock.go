// Package clock is the source of the present for everything that waits or
// stamps. The zero Clock is the machine's own; an accelerated one lets an
// end-to-end test see ten minutes of outage in seconds.
package clock

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Clock tells the time and waits. It is a value and safe for concurrent use.
type Clock struct {
	anchor time.Time // where accelerated time and real time agree
	speed  float64   // simulated seconds a real second; 0 is the machine's clock
}

// Parse reads "ANCHOR,SPEED", an RFC 3339 instant at which the accelerated and
// the real clock agree and a positive factor. Empty text is the real clock.
func Parse(text string) (Clock, error) {
	if text == "" {
		return Clock{}, nil
	}
	anchor, factor, ok := strings.Cut(text, ",")
	if !ok {
		return Clock{}, fmt.Errorf("clock %q is not ANCHOR,SPEED", text)
	}
	at, err := time.Parse(time.RFC3339Nano, anchor)
	if err != nil {
		return Clock{}, fmt.Errorf("clock %q: the anchor is not an RFC 3339 time", text)
	}
	speed, err := strconv.ParseFloat(factor, 64)
	if err != nil || !(speed > 0) || speed > 1e6 {
		return Clock{}, fmt.Errorf("clock %q: the speed is not between 0 and 1e6", text)
	}
	return Clock{anchor: at, speed: speed}, nil
}

// Now is the present, in UTC.
func (c Clock) Now() time.Time {
	now := time.Now()
	if c.speed == 0 {
		return now.UTC()
	}
	return c.anchor.Add(time.Duration(float64(now.Sub(c.anchor)) * c.speed)).UTC()
}

// Real is how long d of this clock takes on the machine's.
func (c Clock) Real(d time.Duration) time.Duration {
	if c.speed == 0 {
		return d
	}
	return time.Duration(float64(d) / c.speed)
}

// Sleep waits for d or until ctx ends, and then returns its cause.
func (c Clock) Sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return context.Cause(ctx)
	}
	timer := time.NewTimer(c.Real(d))
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		return nil
	}
}

// SleepUntil waits until the clock shows t or ctx ends.
func (c Clock) SleepUntil(ctx context.Context, t time.Time) error {
	return c.Sleep(ctx, t.Sub(c.Now()))
}

// WithTimeout derives a context that ends with cause after d of this clock.
func (c Clock) WithTimeout(ctx context.Context, d time.Duration, cause error) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, c.Real(d), cause)
}
