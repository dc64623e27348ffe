// Package clock is the source of the present for everything that waits or
// stamps. The zero Clock is the machine's own; an accelerated one lets an
// end-to-end test see ten minutes of outage in seconds.
package clock

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/whalegate/whalegate/internal/duration"
)

// Clock tells the time and waits. It is a value and safe for concurrent use.
type Clock struct {
	anchor time.Time // where accelerated time and real time agree
	speed  float64   // simulated seconds a real second; 0 is the machine's clock
	file   string    // holds how far the clock is off, for tests that set it under a running process; "": it is not
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

// OffBy is c, wrong by the duration that file holds at each moment, such as -20m.
// It is right while there is no such file. Sleeps under way do not notice, as none
// does when somebody sets the clock of a machine. An empty name changes nothing.
func (c Clock) OffBy(file string) Clock {
	c.file = file
	return c
}

// off is how far the clock is off now.
func (c Clock) off() time.Duration {
	if c.file == "" {
		return 0
	}
	text, err := os.ReadFile(c.file)
	if err != nil {
		return 0 // not written yet
	}
	d, err := time.ParseDuration(strings.TrimSpace(string(text)))
	if err != nil {
		return 0
	}
	return d
}

// Now is the present, in UTC.
func (c Clock) Now() time.Time {
	now := time.Now()
	if c.speed != 0 {
		now = c.anchor.Add(time.Duration(float64(now.Sub(c.anchor)) * c.speed))
	}
	return now.Add(c.off()).UTC()
}

// SQL is the statement by which a database on this machine shows the same clock.
func (c Clock) SQL() string {
	if c.speed == 0 {
		return "SELECT clock_timestamp()"
	}
	anchor := c.anchor.UTC().Format(time.RFC3339Nano)
	return fmt.Sprintf("SELECT timestamptz '%s' + (clock_timestamp() - timestamptz '%s') * %s", anchor, anchor, strconv.FormatFloat(c.speed, 'f', -1, 64))
}

// Real is how long d of this clock takes on the machine's.
func (c Clock) Real(d time.Duration) time.Duration {
	if c.speed == 0 {
		return d
	}
	return time.Duration(float64(d) / c.speed)
}

// Elapsed is how much of this clock passes while d passes on the machine's.
func (c Clock) Elapsed(d time.Duration) time.Duration {
	if c.speed == 0 {
		return d
	}
	return duration.Seconds(d.Seconds() * c.speed)
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
