package duration

import (
	"math"
	"testing"
	"time"
)

func TestSecondsNeverTurnAnAgeIntoNone(t *testing.T) {
	for seconds, want := range map[float64]time.Duration{
		0: 0, 1.5: 1500 * time.Millisecond, -90: -90 * time.Second, 1e9: 1e9 * time.Second,
		1e10: math.MaxInt64, 1e12: math.MaxInt64, -1e12: math.MinInt64, math.Inf(1): math.MaxInt64, math.Inf(-1): math.MinInt64,
	} {
		if got := Seconds(seconds); got != want {
			t.Errorf("%v s are %s, want %s", seconds, got, want)
		}
	}
	if got := Seconds(math.NaN()); got != math.MaxInt64 {
		t.Errorf("what is no number is %s", got)
	}
}
