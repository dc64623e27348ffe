package engine

import (
	"fmt"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/whalegate/whalegate/internal/clock"
	"github.com/whalegate/whalegate/internal/qa"
)

// still is the speed of a clock that all but stands still: a pause of a minute is
// one of two centuries, and still fits into a Duration.
const still = "1e-8"

// job makes one with a clock that all but stands still 50 seconds after noon.
func (s *scene) job() *Job {
	s.Helper()
	return s.jobAt(50*time.Second, still)
}

func (s *scene) jobAt(after time.Duration, speed string) *Job {
	s.Helper()
	c, err := clock.Parse(noon.Add(after).Format(time.RFC3339) + "," + speed)
	if err != nil {
		s.Fatal(err)
	}
	registry := prometheus.NewRegistry()
	return New(Config{Pool: s.db, Clock: c, Logger: quiet, Registerer: registry, QA: qa.New(s.db, nil, quiet, registry), Judge: Now})
}

// work lets the job do so many steps and gives what the last one says to wait.
func (s *scene) work(j *Job, steps int) (wait time.Duration) {
	s.Helper()
	for range steps {
		var err error
		if wait, err = j.step(s.Context()); err != nil {
			s.Fatal(err)
		}
	}
	return wait
}

// A day at the job, step by step.
func TestStepDoesWhatIsDue(t *testing.T) {
	t.Parallel()
	s := stage(t, 20)
	s.minutes(-9, -1)
	j := s.job()
	for _, step := range []struct {
		what   string
		after  time.Duration // the database's clock, since noon
		before func()
		wait   time.Duration
		cycles []string
	}{
		{"the boundary's run is not there yet", 0, nil, 45 * time.Second, nil},
		{"nor is it at 10 s", 10 * time.Second, nil, 35 * time.Second, nil},
		{"nor just before the deadline", 45*time.Second - time.Millisecond, nil, time.Millisecond, nil},
		{"the deadline", 45 * time.Second, nil, 0, []string{"12:00 computed HEALTHY {} {}"}},
		{"it is done", 46 * time.Second, nil, time.Minute, nil},
		{"and stays done when the minute comes late", 50 * time.Second, func() { s.tell(told{n: 0, finished: 49 * time.Second}) }, time.Minute, nil},
		{"nothing is due", 4 * time.Minute, func() { s.minutes(1, 4) }, time.Minute, nil},
		{"nothing yet", 5*time.Minute + time.Second, nil, 44 * time.Second, nil},
		{"the run is there", 5*time.Minute + 2*time.Second, func() { s.minute(5) }, 0, []string{"12:05 computed HEALTHY {} {}"}},
		{"long before the next", 5*time.Minute + 3*time.Second, nil, time.Minute, nil},
		{"the run failed", 10*time.Minute + 3*time.Second, func() { s.minutes(6, 9); s.tell(told{n: 10, status: "failed"}) }, 0, []string{"12:10 blocked STALE {run_failed} {}"}},
		{"blocked is done too", 10*time.Minute + 3*time.Second, nil, time.Minute, nil},
		{"though health recovers", 12*time.Minute + 3*time.Second, func() { s.minutes(11, 12) }, time.Minute, nil},
		{"the next one is open again", 15*time.Minute + 3*time.Second, func() { s.minutes(13, 15) }, 0, []string{"12:15 computed HEALTHY {} {}"}},
		{"the service slept through one", 27 * time.Minute, func() { s.minutes(16, 27) }, 0, []string{"12:25 computed HEALTHY {} {}"}},
	} {
		before := s.cycles()
		if step.before != nil {
			step.before()
		}
		s.clock(step.after)
		if got := s.work(j, 1); got != step.wait {
			t.Errorf("%s: waits %s, want %s", step.what, got, step.wait)
		}
		same(t, step.what, s.cycles()[len(before):], step.cycles...)
	}
	same(t, "rows", s.list("SELECT concat_ws(' ', to_char(timestamp AT TIME ZONE 'UTC', 'HH24:MI'), count(*), min(degraded_reason)) FROM signals GROUP BY timestamp ORDER BY 1"),
		"12:00 3 few_snapshots", "12:05 3", "12:15 3", "12:25 3")
	for outcome, want := range map[string]float64{"computed": 4, "blocked": 1, "failed": 0} {
		if got := j.metric(t, "whalegate_signal_cycles_total", outcome); got != want {
			t.Errorf("%v cycles %s, want %v", got, outcome, want)
		}
	}
	same(t, "events", s.list("SELECT concat_ws(' ', check_id, stage, severity, subject, 'x' || occurrences) FROM qa_events ORDER BY id"),
		"G2 signals warning HYPE x1", "G2 signals warning BTC x1", "G2 signals warning ETH x1", "G0 signals warning  x1")
}

func TestARestartDoesNothingToADoneBoundary(t *testing.T) {
	t.Parallel()
	s := lifelike(t)
	s.clock(3 * time.Second)
	s.work(s.job(), 1)
	before, cycles := s.everything(), s.cycles()
	s.tell(told{n: 0, sizes: repeat(20, "70")})
	for range 3 {
		s.work(s.job(), 3)
	}
	same(t, "rows", s.everything(), before...)
	same(t, "cycles", s.cycles(), cycles...)

	s.exec("INSERT INTO halts (halted_at, halted_by, reason) VALUES (whalegate_now(), 'op', 'why')")
	s.minutes(1, 5)
	s.clock(5*time.Minute + 3*time.Second)
	s.work(s.job(), 1)
	s.exec("DELETE FROM halts")
	s.work(s.job(), 3)
	same(t, "cycles", s.cycles(), cycles[0], "12:05 blocked STALE {halted} {}")
}

// Whatever the clock does, a boundary gets one set of rows, and it is one of the
// clock's own presents. Where the clock went back behind what is stored, there are
// none: a clock is wrong.
func TestAClockThatJumpsWritesNothingTwice(t *testing.T) {
	t.Parallel()
	s := stage(t, 20)
	s.minutes(-20, -1)
	stored := -1
	j := s.job()
	allowed := map[string]bool{}
	first := map[string]string{}
	for i, after := range []time.Duration{
		3 * time.Second, -5*time.Minute + 50*time.Second, 4 * time.Second, 20*time.Minute + 3*time.Second, 5*time.Minute + time.Second, 0, 72*time.Hour + time.Minute,
		20*time.Minute + 4*time.Second, -72*time.Hour + time.Minute, 10*time.Minute + 45*time.Second, 25*time.Minute + 2*time.Second, 299 * time.Second, 24*time.Minute + 59999*time.Millisecond,
	} {
		s.clock(after)
		if n := int(after / time.Minute); n > stored && n < 60 { // what the collector stores stays
			s.minutes(stored+1, n)
			stored = n
		}
		allowed[noon.Add(after).Truncate(5*time.Minute).Format("01-02 15:04")] = true
		s.work(j, 2)
		if i%4 == 3 {
			j = s.job()
		}
		for _, row := range s.list("SELECT to_char(timestamp AT TIME ZONE 'UTC', 'MM-DD HH24:MI') || asset || s::text FROM signals s") {
			at := row[:11]
			if !allowed[at] {
				t.Errorf("the clock was never in the period of %s", row)
			}
			if key := row[:15]; first[key] == "" {
				first[key] = row
			} else if first[key] != row {
				t.Errorf("%s has changed to %s", first[key], row)
			}
		}
	}
	if len(first) != 3*3 { // 12:00, 12:20 and 12:25; not 11:55, 12:05 and 12:10
		t.Errorf("%d rows: %v", len(first), s.cycles())
	}
	if got := fmt.Sprint(len(s.cycles())); got != "8" { // and two days on which there was nothing to compute from
		t.Errorf("%s cycles: %q", got, s.cycles())
	}
}
