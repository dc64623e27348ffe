package hyperliquid

import (
	"context"
	"errors"
	"math"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/whalegate/whalegate/internal/clock"
)

func TestASnapshotOfTwoHundredWalletsGoesOutAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClient(t, answer(200, listing("")))
		started := time.Now()
		for range 200 {
			if _, err := c.State(t.Context(), account); err != nil {
				t.Fatal(err)
			}
		}
		if took := time.Since(started); took != 0 {
			t.Errorf("it took %s", took)
		}
		if left := c.Tokens(); left != 0 {
			t.Errorf("%g tokens are left, want none", left)
		}
		// The next waits for its weight of 2 at 800 a minute.
		if _, err := c.State(t.Context(), account); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(started).Round(time.Millisecond); took != 150*time.Millisecond {
			t.Errorf("one more took %s, want 150ms", took)
		}
	})
}

// The guarantee that the exchange asks for, over every sequence of requests
// and pauses, budgets small and large.
func TestNoMinuteSpendsMoreThanItsWeight(t *testing.T) {
	type request struct {
		pause  time.Duration
		weight int
		at     time.Time
	}
	requests := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) request {
		return request{
			pause:  time.Duration(rapid.SampledFrom([]int{0, 0, 0, 100, 30_000}).Draw(t, "pause")) * time.Millisecond,
			weight: rapid.SampledFrom([]int{StateWeight, SubAccountsWeight}).Draw(t, "weight"),
		}
	}), 1, 200)
	rapid.Check(t, func(r *rapid.T) {
		limit := rapid.IntRange(MinWeightPerMinute, 3000).Draw(r, "limit")
		sent := requests.Draw(r, "requests")
		synctest.Test(t, func(t *testing.T) {
			b := newBudget(limit, clock.Clock{})
			for i := range sent {
				time.Sleep(sent[i].pause) // the bubble's time, not ours
				if err := b.wait(t.Context(), sent[i].weight); err != nil {
					t.Error(err)
				}
				sent[i].at = time.Now()
			}
		})
		for i := range sent {
			sum := 0
			for _, later := range sent[i:] {
				if later.at.Sub(sent[i].at) < time.Minute {
					sum += later.weight
				}
			}
			if sum > limit {
				r.Fatalf("%d in the minute from request %d, the limit is %d", sum, i, limit)
			}
		}
	})
}

func TestTwoThirdsOfTheWeightCanBeKeptUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBudget(1200, clock.Clock{})
		started := time.Now()
		for range 200 + 5*400 { // the bucket, and five minutes of 800
			if err := b.wait(t.Context(), StateWeight); err != nil {
				t.Fatal(err)
			}
		}
		if took := time.Since(started); math.Abs(float64(took-5*time.Minute)) > float64(time.Second) {
			t.Errorf("it took %s, want five minutes", took)
		}
	})
}

func TestWaitBeyondTheDeadlineFailsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClient(t, answer(200, listing("")))
		if err := c.budget.wait(t.Context(), 400); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		started := time.Now()
		_, err := c.State(ctx, account)
		if failed := wantFailure(t, err, Throttled); failed.Status != 0 || failed.Temporary() {
			t.Errorf("%+v", failed)
		}
		if took := time.Since(started); took != 0 || c.Tokens() != 0 {
			t.Errorf("it took %s and left %g tokens", took, c.Tokens())
		}
	})
}

func TestCancelledWaitGivesItsWeightBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBudget(1200, clock.Clock{})
		if err := b.wait(t.Context(), 400); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancelCause(t.Context())
		enough := errors.New("enough")
		var waiting sync.WaitGroup
		waiting.Go(func() {
			if err := b.wait(ctx, SubAccountsWeight); FailureOf(err) != Cancelled || !errors.Is(err, enough) {
				t.Errorf("wait = %v", err)
			}
		})
		synctest.Wait()
		if left := b.tokens(); left != -SubAccountsWeight {
			t.Errorf("%g tokens while one waits, want %d", left, -SubAccountsWeight)
		}
		cancel(enough)
		waiting.Wait()
		if left := b.tokens(); left != 0 {
			t.Errorf("%g tokens after it gave up, want 0", left)
		}
		if err := b.wait(ctx, 1); FailureOf(err) != Cancelled || b.tokens() != 0 {
			t.Errorf("an ended context spends: %v, %g left", err, b.tokens())
		}
	})
}

// Waiting for weight is not the exchange's fault: the timeout starts after it.
func TestWaitingDoesNotCountIntoTheTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClient(t, answer(200, listing("")), func(cfg *Config) { cfg.Timeout = time.Second })
		if err := c.budget.wait(t.Context(), 400); err != nil {
			t.Fatal(err)
		}
		var waiting sync.WaitGroup
		for range 100 { // the last waits for 15 s
			waiting.Go(func() {
				if _, err := c.State(t.Context(), account); err != nil {
					t.Error(err)
				}
			})
		}
		waiting.Wait()
	})
}

func TestBudgetFollowsAnAcceleratedClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fast, err := clock.Parse(time.Now().Format(time.RFC3339Nano) + ",60")
		if err != nil {
			t.Fatal(err)
		}
		b := newBudget(1200, fast)
		for range 400 {
			if err := b.wait(t.Context(), StateWeight); err != nil {
				t.Fatal(err)
			}
		}
		if shown := time.Until(time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)).Abs(); shown < 490*time.Millisecond || shown > 510*time.Millisecond {
			t.Errorf("400 beyond the bucket took %s of real time, want half a second for half a minute", shown)
		}
		// A deadline is real time: 200 ms are 12 s of this clock.
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		defer cancel()
		if err := b.wait(ctx, 100); err != nil {
			t.Errorf("7.5 s do not fit into 12 s: %v", err)
		}
	})
}

func TestLeaderboardTakesNoWeight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClient(t, answer(200, `{"leaderboardRows":[]}`))
		if _, err := c.Leaderboard(t.Context(), 1, Validators{}); err != nil || c.Tokens() != 400 {
			t.Errorf("%v, %g tokens left", err, c.Tokens())
		}
		if _, err := c.SubAccounts(t.Context(), account); FailureOf(err) != Schema || c.Tokens() != 380 {
			t.Errorf("%v, %g tokens left; a failure's weight is spent", err, c.Tokens())
		}
	})
}
