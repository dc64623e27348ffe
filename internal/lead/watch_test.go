package lead

import (
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"
)

// What a waiting collector concludes from its looks, look by look.
func TestWatchFindsTheLeadVacant(t *testing.T) {
	a, b := uuid.New(), uuid.New()
	lives := func(beats int64) seen {
		return seen{Term: Term{1, a}, Named: true, PID: 7, Present: true, Beats: beats}
	}
	gone := func(beats int64) seen { return seen{Term: Term{1, a}, Named: true, PID: 7, Beats: beats} }
	type step struct {
		after  time.Duration // since the look before
		v      *seen         // nil: no answer
		vacant bool
	}
	is := func(after time.Duration, v seen, vacant bool) step { return step{after, &v, vacant} }
	const s = time.Second
	for name, steps := range map[string][]step{
		"nobody was ever named":               {is(0, seen{}, true)},
		"the lead was released":               {is(0, seen{Term: Term{1, a}, Named: true}, true)},
		"it beats":                            {is(0, lives(1), false), is(5*s, lives(2), false), is(9*s, lives(3), false), is(9*s, lives(4), false)},
		"it is silent for ten seconds":        {is(0, lives(1), false), is(5*s, lives(1), false), is(4900*time.Millisecond, lives(1), false), is(100*time.Millisecond, lives(1), true)},
		"silence counts from the last beat":   {is(0, lives(1), false), is(9*s, lives(1), false), is(s/2, lives(2), false), is(9*s, lives(2), false), is(s, lives(2), true)},
		"what was not answered is no silence": {is(0, lives(1), false), is(5*s, lives(1), false), {2 * s, nil, false}, is(60*s, lives(1), false), is(4*s, lives(1), false), is(s, lives(1), true)},
		"its session is gone twice":           {is(0, gone(1), false), is(s, gone(1), false), is(s, gone(1), true)},
		"its session was gone for a moment":   {is(0, gone(1), false), is(s, lives(1), false), is(s, gone(1), false), is(s, gone(1), false), is(s, gone(1), true)},
		"gone, with no answer in between":     {is(0, gone(1), false), {s, nil, false}, is(s, gone(1), false), is(2*s, gone(1), true)},
		"another one took over":               {is(0, lives(1), false), is(9*s, lives(1), false), is(s, seen{Term: Term{2, b}, Named: true, PID: 8, Present: true, Beats: 1}, false), is(9*s, seen{Term: Term{2, b}, Named: true, PID: 8, Present: true, Beats: 1}, false)},
		"another one took over, and is gone":  {is(0, gone(1), false), is(s, seen{Term: Term{2, b}, Named: true, PID: 8, Beats: 1}, false), is(s, seen{Term: Term{2, b}, Named: true, PID: 8, Beats: 1}, false), is(s, seen{Term: Term{2, b}, Named: true, PID: 8, Beats: 1}, true)},
	} {
		t.Run(name, func(t *testing.T) {
			var w watch
			now := time.Now()
			for i, step := range steps {
				now = now.Add(step.after)
				if step.v == nil {
					w.unanswered()
					continue
				}
				if got := w.look(now, *step.v, DefaultPace); got != step.vacant {
					t.Fatalf("look %d: vacant %v, want %v", i, got, step.vacant)
				}
			}
		})
	}
}

// A database that was restored, or promoted without its newest transactions, has beats
// of before: what the last one told of is remembered for the successor.
func TestWatchRemembersWhatAnOlderDatabaseLacks(t *testing.T) {
	a, b := uuid.New(), uuid.New()
	noon := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	beat := func(epoch, beats int64, minute int) seen {
		at := noon.Add(time.Duration(minute) * time.Minute)
		return seen{Term: Term{epoch, map[int64]uuid.UUID{1: a, 2: b}[epoch]}, Named: true, PID: 7, Present: true, Beats: beats, Run: &at}
	}
	unknown := beat(1, 9, 0)
	unknown.Run = nil
	for name, tt := range map[string]struct {
		looks []seen
		want  int // minute; -1: none
	}{
		"beats that go on":             {[]seen{beat(1, 1, 1), beat(1, 2, 1), beat(1, 22, 2)}, -1},
		"another one took over":        {[]seen{beat(1, 20, 1), beat(2, 1, 1), beat(2, 2, 2)}, -1},
		"beats of before":              {[]seen{beat(1, 1, 1), beat(1, 22, 5), beat(1, 20, 4), beat(1, 20, 4)}, 5},
		"an epoch of before":           {[]seen{beat(1, 40, 4), beat(2, 2, 5), beat(1, 40, 4)}, 5},
		"emptied":                      {[]seen{beat(2, 2, 5), {}}, 5},
		"a clock that was put right":   {[]seen{beat(1, 1, 60), beat(1, 2, 3), beat(1, 3, 4)}, -1},
		"nothing was known":            {[]seen{unknown, beat(1, 8, 1)}, -1},
		"twice, the second time later": {[]seen{beat(1, 9, 5), beat(1, 8, 4), beat(1, 20, 9), beat(1, 10, 7)}, 9},
	} {
		var w watch
		for _, v := range tt.looks {
			w.look(time.Now(), v, DefaultPace)
		}
		want := noon.Add(time.Duration(tt.want) * time.Minute)
		if tt.want < 0 {
			want = time.Time{}
		}
		if !w.lost.Equal(want) {
			t.Errorf("%s: %s, want %s", name, w.lost, want)
		}
	}
}

// A beat may have been written at any time since the look before the one that saw it, and
// a spare that was cut off, stopped or suspended looks late: the age of the newest run
// must not come out too low for it.
func TestWatchTakesABeatForAsOldAsItMayBe(t *testing.T) {
	a := uuid.New()
	beat := func(n int64) seen { return seen{Term: Term{1, a}, Named: true, PID: 7, Present: true, Beats: n} }
	began := time.Now()
	for name, tt := range map[string]struct {
		looks []any // beats, nil without an answer
		boot  []float64
		want  *float64
	}{
		"never":                                {[]any{int64(1), int64(1)}, []float64{10, 11}, nil},
		"with the next look":                   {[]any{int64(1), int64(2)}, []float64{10, 11}, new(10.0)},
		"and none since":                       {[]any{int64(1), int64(2), int64(2), int64(2)}, []float64{10, 11, 12, 13}, new(10.0)},
		"stopped or suspended for ten minutes": {[]any{int64(1), int64(2), int64(9)}, []float64{10, 11, 611}, new(11.0)},
		"cut off for ten minutes":              {[]any{int64(1), int64(2), nil, int64(9)}, []float64{10, 11, 12, 611}, nil},
		"and then another beat":                {[]any{int64(1), int64(2), nil, int64(9), int64(10)}, []float64{10, 11, 12, 611, 612}, new(611.0)},
	} {
		var w watch
		for i, n := range tt.looks {
			w.boot = tt.boot[i]
			if n == nil {
				w.unanswered()
				continue
			}
			w.look(began, beat(n.(int64)), DefaultPace)
		}
		if (w.moved == nil) != (tt.want == nil) || w.moved != nil && *w.moved != *tt.want {
			t.Errorf("%s: %v, want %v", name, w.moved, tt.want)
		}
	}
}

// A collector that waits keeps the minutes that its own clock showed when they were
// stored, and none that it did not show.
func TestWatchWitnessesMinutes(t *testing.T) {
	noon := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	a := uuid.New()
	var w watch
	for i, tt := range []struct{ run, clock int }{{0, 0}, {0, 0}, {1, 1}, {2, 62}, {63, 63}, {64, 64}, {5, 5}, {6, 6}} {
		run := noon.Add(time.Duration(tt.run) * time.Minute)
		w.boot, w.clock = float64(i), noon.Add(time.Duration(tt.clock)*time.Minute+10*time.Second)
		w.look(time.Now(), seen{Term: Term{1, a}, Named: true, PID: 7, Present: true, Beats: int64(i), Run: &run}, DefaultPace)
	}
	var got []int
	for _, s := range w.seen {
		got = append(got, int(s.minute.Sub(noon)/time.Minute), int(s.boot))
	}
	if want := []int{0, 0, 1, 2, 5, 6, 6, 7}; !slices.Equal(got, want) {
		t.Errorf("minutes and when: %v, want %v", got, want)
	}
}
