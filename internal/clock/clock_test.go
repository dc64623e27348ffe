package clock

import (
	"errors"
	"math"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"
)

func TestAcceleratedClockRunsFasterFromItsAnchor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		anchor := time.Now()
		c, err := Parse(anchor.Format(time.RFC3339Nano) + ",60")
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Sleep(t.Context(), 10*time.Minute); err != nil {
			t.Fatal(err)
		}
		if got := time.Since(anchor); got != 10*time.Second {
			t.Errorf("ten minutes took %s of real time, want 10s", got)
		}
		if got := c.Now().Sub(anchor); got != 10*time.Minute {
			t.Errorf("the clock moved by %s, want 10m", got)
		}
	})
}

func TestZeroClockIsTheMachines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c Clock
		start := c.Now()
		if err := c.SleepUntil(t.Context(), start.Add(time.Minute)); err != nil {
			t.Fatal(err)
		}
		if got := c.Now().Sub(start); got != time.Minute || c.Now().Location() != time.UTC {
			t.Errorf("moved by %s in %s", got, c.Now().Location())
		}
	})
}

// A file sets the clock under a running process, forwards and back; durations do
// not follow it.
func TestTheFileSetsTheClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fast, err := Parse(time.Now().Format(time.RFC3339Nano) + ",60")
		if err != nil {
			t.Fatal(err)
		}
		for name, right := range map[string]Clock{"the machine's": {}, "accelerated": fast} {
			if right.OffBy("") != right {
				t.Errorf("%s: another clock without a file", name)
			}
			file := filepath.Join(t.TempDir(), "clock")
			c := right.OffBy(file)
			for _, step := range []struct {
				text string
				want time.Duration
			}{{"", 0}, {"-20m\n", -20 * time.Minute}, {"1h", time.Hour}, {"nonsense", 0}, {"0s", 0}} {
				if step.text != "" {
					if err := os.WriteFile(file, []byte(step.text), 0o600); err != nil {
						t.Fatal(err)
					}
				}
				if got := c.Now().Sub(right.Now()); got != step.want {
					t.Errorf("%s, %q: off by %s, want %s", name, step.text, got, step.want)
				}
				start := time.Now()
				if err := c.SleepUntil(t.Context(), c.Now().Add(time.Minute)); err != nil {
					t.Fatal(err)
				}
				if got := time.Since(start); got != right.Real(time.Minute) {
					t.Errorf("%s, %q: a minute took %s", name, step.text, got)
				}
			}
		}
	})
}

func TestSleepEndsWithTheCause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cause := errors.New("enough")
		ctx, cancel := Clock{}.WithTimeout(t.Context(), time.Second, cause)
		defer cancel()
		if err := (Clock{}).Sleep(ctx, time.Hour); !errors.Is(err, cause) {
			t.Errorf("Sleep = %v, want the cause", err)
		}
		if err := (Clock{}).Sleep(ctx, -1); !errors.Is(err, cause) {
			t.Errorf("Sleep of nothing = %v, want the cause", err)
		}
	})
}

func TestALongTimeStaysLongWhenItRunsFaster(t *testing.T) {
	fast, err := Parse("2026-01-01T00:00:00Z,60")
	if err != nil || fast.Elapsed(math.MaxInt64) != math.MaxInt64 || fast.Elapsed(time.Second) != time.Minute {
		t.Errorf("%s, %s, %v", fast.Elapsed(math.MaxInt64), fast.Elapsed(time.Second), err)
	}
}

func TestParseNamesWhatIsWrong(t *testing.T) {
	for _, text := range []string{"x", "2026-01-01T00:00:00Z", "noon,2", "2026-01-01T00:00:00Z,0", "2026-01-01T00:00:00Z,-1", "2026-01-01T00:00:00Z,NaN", "2026-01-01T00:00:00Z,1e9"} {
		if _, err := Parse(text); err == nil {
			t.Errorf("Parse(%q) succeeds", text)
		}
	}
	if c, err := Parse(""); err != nil || c != (Clock{}) {
		t.Errorf("Parse of nothing = %v, %v", c, err)
	}
}
