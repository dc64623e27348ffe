package series

import (
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

const (
	firstMinute = Minute(29_000_000)
	start       = firstMinute + 100
)

// history is a series beside its reference. What is before the horizon was
// forgotten, and may not be asked for.
type history struct {
	series  Series
	plain   reference
	horizon Minute
	last    Minute // the newest minute that was set
	scratch Scratch
}

func newHistory() *history {
	return &history{plain: reference{}, horizon: firstMinute, last: start}
}

func (h *history) set(m Minute, v Value) {
	h.series.Set(m, v)
	h.plain.set(m, v)
	h.last = max(h.last, m)
}

func (h *history) actions() map[string]func(*rapid.T) {
	return map[string]func(*rapid.T){
		"next": func(t *rapid.T) { h.set(h.last+1, drawValue(t)) },
		"stand still": func(t *rapid.T) {
			v := drawValue(t)
			for range rapid.IntRange(1, 40).Draw(t, "minutes") {
				h.set(h.last+1, v)
			}
		},
		"gap": func(t *rapid.T) {
			h.set(h.last+Minute(rapid.IntRange(2, 20).Draw(t, "gap")), drawValue(t))
		},
		"again": func(t *rapid.T) { h.set(h.last, drawValue(t)) },
		"late": func(t *rapid.T) {
			h.set(h.last-Minute(rapid.IntRange(1, 10).Draw(t, "minutes")), drawValue(t))
		},
		"any": func(t *rapid.T) {
			h.set(Minute(rapid.Uint32Range(uint32(firstMinute), uint32(h.last)).Draw(t, "minute")), drawValue(t))
		},
		"forget": func(t *rapid.T) {
			m := Minute(rapid.Uint32Range(uint32(h.horizon), uint32(h.last)+2).Draw(t, "minute"))
			h.series.Forget(m)
			h.plain.forget(m)
			h.horizon = m
			if m > h.last && !h.series.Empty() {
				t.Fatal("all is forgotten, yet something is stored")
			}
		},
		"": h.check,
	}
}

func (h *history) check(t *rapid.T) {
	for m := h.horizon; m <= h.last+2; m++ {
		if got, want := h.series.At(m), h.plain.at(m); got != want {
			t.Fatalf("At(%d) = %d, want %d", m, got, want)
		}
	}
	if len(h.plain) > 0 && h.series.Empty() {
		for m, v := range h.plain {
			if m >= h.horizon {
				t.Fatalf("empty, yet %d holds %d", m, v)
			}
		}
	}
	ask := rapid.Uint32Range(uint32(h.horizon), uint32(max(h.last, h.horizon))+5)

	first := Minute(ask.Draw(t, "first"))
	values := slices.Repeat([]Value{12345}, rapid.IntRange(0, 12).Draw(t, "length"))
	h.series.Window(first, values)
	for i, got := range values {
		if want := h.plain.at(first + Minute(i)); got != want {
			t.Fatalf("Window(%d)[%d] = %d, want %d", first, i, got, want)
		}
	}

	after, upto := Minute(ask.Draw(t, "after"))-1, Minute(ask.Draw(t, "upto"))
	if got, want := h.series.TwiceMedian(after, upto, &h.scratch), h.plain.twiceMedian(after, upto); got != want {
		t.Fatalf("TwiceMedian(%d, %d) = %d, want %d", after, upto, got, want)
	}
	h.checkRuns(t)
}

// checkRuns: a value that stands still is one run. 50,000 wallets would not fit
// in memory otherwise.
func (h *history) checkRuns(t *rapid.T) {
	runs := h.series.runs
	for i := 1; i < len(runs); i++ {
		if runs[i-1].from >= runs[i].from || runs[i-1].value() == runs[i].value() {
			t.Fatalf("runs %d and %d: %+v, %+v", i-1, i, runs[i-1], runs[i])
		}
	}
	if n := len(runs); n > 0 && runs[n-1].from >= h.series.end {
		t.Fatalf("the last run %+v ends at %d", runs[n-1], h.series.end)
	}
}

func TestSeriesEqualsAPlainMap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := newHistory()
		t.Repeat(h.actions())
	})
}

func TestAPositionThatStandsStillIsOneRun(t *testing.T) {
	var s Series
	for m := range Minute(1440) {
		s.Set(start+m, 500)
	}
	if len(s.runs) != 1 {
		t.Errorf("%d runs", len(s.runs))
	}
	// A correction splits it, and its withdrawal joins it again.
	s.Set(start+700, Dirty)
	if len(s.runs) != 3 {
		t.Errorf("%d runs with a dirty row in between", len(s.runs))
	}
	s.Set(start+700, 500)
	if len(s.runs) != 1 {
		t.Errorf("%d runs without it", len(s.runs))
	}
}

// A day that rolls on must not grow: Forget may keep a part of what is gone, but
// only a part.
func TestForgetKeepsMemoryBounded(t *testing.T) {
	const day = 1440
	var s Series
	for m := range Minute(10 * day) {
		s.Set(start+m, Value(m))
		if m >= day {
			s.Forget(start + m - day)
		}
		if len(s.runs) > 2*day {
			t.Fatalf("%d runs after %d minutes", len(s.runs), m)
		}
	}
}

func TestIsSize(t *testing.T) {
	for _, v := range []Value{None, Null, Dirty} {
		if v.IsSize() {
			t.Errorf("%d is a size", v)
		}
	}
	for _, v := range []Value{0, 1, -1, 1e17, -1e17, math.MaxInt64, -math.MaxInt64 + 2} {
		if !v.IsSize() {
			t.Errorf("%d is no size", v)
		}
	}
}

func TestTheZeroSeriesIsEmpty(t *testing.T) {
	var s Series
	var scratch Scratch
	s.Forget(start)
	s.Set(start, None)
	if !s.Empty() || s.At(start) != None || s.TwiceMedian(0, start, &scratch) != 0 {
		t.Errorf("%+v", s)
	}
	s.Set(start, Null)
	if s.Empty() || s.At(start) != Null {
		t.Errorf("a NULL row is a row: %+v", s)
	}
}
