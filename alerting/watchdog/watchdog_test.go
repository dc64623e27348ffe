package watchdog

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/whalegate/whalegate/alerting"
	"github.com/whalegate/whalegate/alerting/receiver"
	"github.com/whalegate/whalegate/internal/clock"
)

var (
	noon    = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	errGone = errors.New("gone")
)

// ear is a receiver that answers as it is told.
type ear struct {
	mu     sync.Mutex
	heard  []receiver.Notification
	answer func(ctx context.Context) receiver.Outcome
}

func (e *ear) Send(ctx context.Context, n receiver.Notification) receiver.Result {
	e.mu.Lock()
	e.heard = append(e.heard, n)
	e.mu.Unlock()
	if e.answer == nil {
		return receiver.Result{Outcome: receiver.Delivered}
	}
	return receiver.Result{Outcome: e.answer(ctx), Err: errGone}
}

func (e *ear) times() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return len(e.heard)
}

// alone is a watchdog whose database answered last at noon.
func alone(receivers ...receiver.Receiver) *Watchdog {
	w := New(Config{Clock: clock.Clock{}, Logger: slog.New(slog.DiscardHandler), Registerer: prometheus.NewRegistry(), Receivers: receivers})
	w.answered = noon
	return w
}

func to(name string, e *ear, least alerting.Severity, reminded bool) receiver.Receiver {
	return receiver.Receiver{Route: receiver.Route{Name: name, MinSeverity: least, Reminded: reminded}, Sender: e}
}

func TestA5WithoutTheDatabaseItSpeaksOnce(t *testing.T) {
	var all, critical, am, busy ear
	busy.answer = func(context.Context) receiver.Outcome { return receiver.Retry }
	w := alone(to("all", &all, alerting.Medium, false), to("critical", &critical, alerting.Critical, false), to("am", &am, alerting.Medium, true), to("busy", &busy, alerting.Medium, false))
	counts := func() []int { return []int{all.times(), critical.times(), am.times(), busy.times()} }
	for _, tt := range []struct {
		after time.Duration
		want  []int
	}{
		{time.Second, []int{0, 0, 0, 0}},
		{10 * time.Minute, []int{0, 0, 0, 0}},
		{10*time.Minute + time.Second, []int{1, 1, 1, 1}},
		{10*time.Minute + 2*time.Second, []int{1, 1, 1, 1}},  // who was busy is left alone for a moment
		{10*time.Minute + 20*time.Second, []int{1, 1, 1, 2}}, // and asked again
		{11*time.Minute + 2*time.Second, []int{1, 1, 2, 3}},  // who forgets is reminded
	} {
		w.dark(t.Context(), noon.Add(tt.after), errGone)
		if diff := cmp.Diff(tt.want, counts()); diff != "" {
			t.Errorf("after %s: %s", tt.after, diff)
		}
	}
	busy.answer = nil
	w.dark(t.Context(), noon.Add(time.Hour), errGone)
	w.dark(t.Context(), noon.Add(2*time.Hour), errGone)
	if n := busy.times(); n != 4 {
		t.Errorf("who was busy is told %d times", n)
	}
	for i := range busy.heard {
		if a, b := busy.heard[0], busy.heard[i]; a.Key != b.Key || !a.StartsAt.Equal(b.StartsAt) || a.Fingerprint() != b.Fingerprint() {
			t.Errorf("attempt %d has another identity", i+1)
		}
	}
	if got := all.heard[0]; got.Message != "[SYSTEM] Data Stale: The database could not be asked for 10 minutes. All behavioral alerts suppressed. Do not trade until resolved." || !got.StartsAt.Equal(noon.Add(10*time.Minute+time.Second)) {
		t.Errorf("%+v", got)
	}
	if told := w.speech.told(); len(told) != 4 || told["all"] != all.heard[0].Key.String() {
		t.Errorf("told %v", told)
	}
}

func TestWhatWasAnnouncedIsNotAnnouncedAgain(t *testing.T) {
	var e ear
	w := alone(to("all", &e, alerting.Medium, false))
	w.known = true
	w.dark(t.Context(), noon.Add(time.Hour), errGone)
	if e.times() != 0 {
		t.Error("an outage that was known is announced again when the database goes away in the middle of it")
	}
}

func TestAReceiverThatHangsDelaysNoOther(t *testing.T) {
	var quick, hanging ear
	heard := make(chan struct{})
	quick.answer = func(context.Context) receiver.Outcome { close(heard); return receiver.Delivered }
	hanging.answer = func(ctx context.Context) receiver.Outcome {
		select {
		case <-heard: // the other one has been told meanwhile
		case <-ctx.Done():
		}
		return receiver.Unknown
	}
	w := alone(to("hanging", &hanging, alerting.Medium, false), to("quick", &quick, alerting.Medium, false))
	w.dark(t.Context(), noon.Add(11*time.Minute), errGone)
	select {
	case <-heard:
	default:
		t.Error("the other one was not told")
	}
	if told := w.speech.told(); len(told) != 1 {
		t.Errorf("told %v", told)
	}
}

func TestItsMessageLeadsToItsOwnPages(t *testing.T) {
	var e ear
	w := alone(to("all", &e, alerting.Medium, false))
	w.cfg.ExternalURL = "https://example.org/watchdog"
	w.dark(t.Context(), noon.Add(11*time.Minute), errGone)
	if len(e.heard) != 1 || e.heard[0].RunbookURL() != "https://example.org/watchdog/runbooks/1-ingestion" {
		t.Errorf("%+v", e.heard)
	}
}
