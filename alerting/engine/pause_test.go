package engine

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/whalegate/whalegate/signals"
)

func TestAPauseSuppressesUntilItEnds(t *testing.T) {
	s := newScene(t)
	now := noon.Add(30 * time.Second)
	period := func(n int, exit float64) []string {
		t.Helper()
		b := noon.Add(time.Duration(n) * signals.Period)
		s.clock(b.Add(30 * time.Second))
		s.runs(b, 100)
		s.cycle(b, "computed", "HEALTHY")
		s.signal(b, "BTC", signals.NoTrade, exit, false)
		return words(s.step().Told)
	}
	s.clock(now)
	for _, wrong := range []struct {
		reason string
		length time.Duration
	}{{" ", time.Hour}, {"why", 0}, {"why", -time.Hour}, {"why", MaxPause + time.Second}} {
		if p, err := StartPause(t.Context(), s.db, wrong.reason, "op", wrong.length); err == nil {
			t.Errorf("%+v is accepted: %+v", wrong, p)
		}
	}
	if _, err := EndPause(t.Context(), s.db); !errors.Is(err, ErrNotPaused) {
		t.Errorf("ending nothing: %v", err)
	}
	// Several people at once: one pause.
	var pausing sync.WaitGroup
	var mu sync.Mutex
	paused := 0
	for range 4 {
		pausing.Go(func() {
			_, err := StartPause(context.Background(), s.db, "why", "op", 12*time.Minute)
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				paused++
			} else if !errors.Is(err, ErrPaused) {
				t.Error(err)
			}
		})
	}
	pausing.Wait()
	if p, err := PauseInForce(t.Context(), s.db); paused != 1 || err != nil || p == nil || !p.Until.Equal(now.Add(12*time.Minute)) {
		t.Errorf("%d pauses, in force %+v, %v", paused, p, err)
	}
	if got := period(0, 30); len(got) != 1 || got[0] != "BTC exit_cluster paused" {
		t.Errorf("during the pause: %v", got)
	}
	period(1, 10)
	period(2, 10)
	if got := period(3, 30); len(got) != 1 || got[0] != "BTC exit_cluster sent" {
		t.Errorf("after it has run out: %v", got)
	}
	if p, err := PauseInForce(t.Context(), s.db); err != nil || p != nil {
		t.Errorf("it is still in force: %+v, %v", p, err)
	}
	if _, err := StartPause(t.Context(), s.db, "again", "op", time.Hour); err != nil {
		t.Error(err)
	}
	if _, err := EndPause(t.Context(), s.db); err != nil {
		t.Error(err)
	}
	if n := s.count("SELECT count(*) FROM alerts WHERE message LIKE '%(1 alert of BTC suppressed since the last one.)'"); n != 1 {
		t.Error("the alert that was sent does not tell of the suppressed one")
	}
}
