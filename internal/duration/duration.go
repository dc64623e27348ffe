// Package duration makes durations of figures that somebody else measured.
package duration

import (
	"math"
	"time"
)

// Seconds is a number of seconds as a Duration, or the longest one there is: a figure
// that somebody stored must not turn from an age of ages into none.
func Seconds(s float64) time.Duration {
	const most = float64(math.MaxInt64) / float64(time.Second)
	switch {
	case math.IsNaN(s) || s >= most:
		return math.MaxInt64
	case s <= -most:
		return math.MinInt64
	}
	return time.Duration(s * float64(time.Second))
}

// Since says how long ago something was, to the second, or by how much it is dated later
// than the clock that judges.
func Since(d time.Duration) string {
	if d = d.Round(time.Second); d < 0 {
		return "dated " + (-d).String() + " ahead"
	}
	return d.String() + " ago"
}

// Optional is what Seconds says of a figure that may be missing.
func Optional(s *float64) *time.Duration {
	if s == nil {
		return nil
	}
	return new(Seconds(*s))
}
