package engine

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// eventually asks again and again until the answer is yes. What never comes is
// given up after a minute.
func (s *scene) eventually(what string, is func() bool) {
	s.Helper()
	for giveUp := time.Now().Add(time.Minute); !is(); {
		if time.Now().After(giveUp) {
			s.Fatalf("never: %s", what)
		}
	}
}

// until waits for the database to answer yes.
func (s *scene) until(question string) {
	s.Helper()
	s.eventually(question, func() bool { return s.list("SELECT (" + question + ")::text")[0] == "true" })
}

// start runs a job and gives what stops it and waits for its end.
func (s *scene) start(j *Job) (stop func()) { return s.runs(j.Run) }

// runs runs anything of the kind.
func (s *scene) runs(run func(context.Context) error) (stop func()) {
	s.Helper()
	ctx, cancel := context.WithCancel(s.Context())
	ended := make(chan error, 1)
	go func() { ended <- run(ctx) }()
	return func() {
		s.Helper()
		cancel()
		if err := <-ended; err != nil {
			s.Errorf("Run: %v", err)
		}
	}
}

// With a clock that stands still a pause never ends: what is done was done
// because of Wake.
func TestRunWakesUpAndLeavesNothingBehind(t *testing.T) {
	s := stage(t, 20)
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	s.minutes(-9, -1)
	s.clock(time.Second)
	j := s.jobAt(0, still)
	stop := s.start(j)
	for n := 0; n <= 10; n += 5 {
		for range 3 { // a hint too many does no harm
			j.Wake()
		}
		s.minutes(n-4, n)
		s.clock(time.Duration(n)*time.Minute + 2*time.Second)
		j.Wake()
		s.until(fmt.Sprintf("SELECT count(*) > %d FROM signal_cycles", n/5))
	}
	stop()
	if got := s.written(); got != "9 9 9 3" {
		t.Errorf("%s rows", got)
	}
	s.db.Close()
}

// With a clock that runs fast it comes to its deadlines by itself, and gets over
// a database that is away.
func TestRunComesToItsDeadlinesByItself(t *testing.T) {
	s := stage(t, 20)
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	s.minutes(-9, -1)
	s.clock(44 * time.Second)
	j := s.jobAt(0, "2000")
	var said lines
	j.cfg.Logger = slog.New(slog.NewTextHandler(&said, nil))
	stop := s.start(j)
	s.clock(45 * time.Second)
	s.until("EXISTS (SELECT FROM signal_cycles WHERE timestamp = '2026-03-01 12:00Z')")
	s.exec("ALTER TABLE signal_cycles RENAME TO away")
	s.minutes(1, 5)
	s.clock(5*time.Minute + 3*time.Second)
	j.Wake()
	s.eventually("three attempts in vain", func() bool { return j.metric(t, "whalegate_signal_errors_total", "") >= 3 })
	s.exec("ALTER TABLE away RENAME TO signal_cycles")
	s.until("EXISTS (SELECT FROM signal_cycles WHERE timestamp = '2026-03-01 12:05Z' AND outcome = 'computed')")
	stop()
	if got := s.written(); got != "6 6 6 2" {
		t.Errorf("%s rows", got)
	}
	if n := strings.Count(said.String(), "level=ERROR"); n != 1 {
		t.Errorf("the outage was logged %d times, want once: %s", n, said.String())
	}
	s.db.Close()
}

// A shutdown in the middle of a cycle is no error and no blocked cycle: the next
// start goes on with the boundary.
func TestRunAShutdownIsNoError(t *testing.T) {
	t.Parallel()
	s := lifelike(t)
	s.clock(3 * time.Second)
	for k := 1; k <= questions; k++ {
		ctx, cancel := context.WithCancel(t.Context())
		j := s.job()
		var said lines
		j.cfg.Logger = slog.New(slog.NewTextHandler(&said, nil))
		j.cycle.Judge = (&meddler{k: k, happen: cancel}).judge
		if err := j.Run(ctx); err != nil {
			t.Errorf("before question %d: %v", k, err)
		}
		if said.String() != "" || j.metric(t, "whalegate_signal_errors_total", "") != 0 || j.metric(t, "whalegate_signal_cycles_total", "blocked") != 0 {
			t.Errorf("before question %d: said %q, counted %v errors", k, said.String(), j.metric(t, "whalegate_signal_errors_total", ""))
		}
		if got := s.written(); got != nothing {
			t.Errorf("before question %d: %s rows", k, got)
		}
	}
	s.work(s.job(), 1)
	same(t, "cycles", s.cycles(), "12:00 computed HEALTHY {} {}")
}

// lines is a log that can be read while it is written.
type lines struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}
