package hyperliquid

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/whalegate/whalegate/internal/clock"
)

// full is how long a window is full after requests that took no time: a minute,
// and the rest of the slot.
const full = countedFor + slot

// spend takes weight that is answered at once.
func spend(t *testing.T, b *budget, by class, weight int) {
	t.Helper()
	c, err := b.wait(t.Context(), by, weight)
	if err != nil {
		t.Error(err)
		return
	}
	b.answered(c, weight)
}

func TestTheWholeWeightGoesOutAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClient(t, answer(200, listing("")))
		started := time.Now()
		for range 600 {
			if _, err := c.State(t.Context(), account); err != nil {
				t.Fatal(err)
			}
		}
		if took := time.Since(started); took != 0 || c.Tokens() != 0 {
			t.Errorf("it took %s and left %g", took, c.Tokens())
		}
		if _, err := c.State(t.Context(), account); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(started).Round(time.Millisecond); took != full || c.Tokens() != 1198 {
			t.Errorf("one more took %s, want %s, and left %g", took, full, c.Tokens())
		}
	})
}

// A request may have arrived at any moment until its answer came.
func TestWeightCountsFromTheAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := canned(func(req *http.Request) (*http.Response, error) {
			time.Sleep(5 * time.Second)
			return answer(200, listing(""))(req)
		})
		c := newClient(t, slow, func(cfg *Config) { cfg.WeightPerMinute = MinWeightPerMinute })
		var asked sync.WaitGroup
		for range MinWeightPerMinute / StateWeight {
			asked.Go(func() { _, _ = c.State(t.Context(), account) })
		}
		asked.Wait()
		time.Sleep(countedFor - time.Millisecond)
		if left := c.Tokens(); left != 0 {
			t.Errorf("%g are left before a minute after the answers is over", left)
		}
		time.Sleep(slot + time.Millisecond)
		if left := c.Tokens(); left != MinWeightPerMinute {
			t.Errorf("%g are left after it", left)
		}
	})
}

// Whatever an answer is, the exchange may have counted its request.
func TestAFailedRequestSpendsItsWeight(t *testing.T) {
	for name, with := range map[string]transport{
		"ok": answer(200, listing("")), "null": answer(200, "null"), "rate limited": answer(429, "null"), "too large": answer(200, string(make([]byte, maxStateBody+1))),
		"hung": canned(hung), "broken": canned(func(*http.Request) (*http.Response, error) { return nil, io.ErrUnexpectedEOF }),
	} {
		synctest.Test(t, func(t *testing.T) {
			c := newClient(t, with)
			_, _ = c.State(t.Context(), account)
			if left := c.Tokens(); left != 1198 {
				t.Errorf("%s: %g are left, want 1198", name, left)
			}
			time.Sleep(full)
			if left := c.Tokens(); left != 1200 {
				t.Errorf("%s: %g are left a minute later", name, left)
			}
		})
	}
}

func TestEveryQuestionTakesItsWeight(t *testing.T) {
	weights := map[string]float64{"state": 2, "sub_accounts": 20, "leaderboard": 0, "meta": 20, "user_role": 60, "vault_details": 20}
	for endpoint, ask := range questions {
		synctest.Test(t, func(t *testing.T) {
			c := newClient(t, answer(200, "{}"))
			wantFailure(t, ask(t.Context(), c), Schema)
			if want, known := weights[endpoint]; !known || c.Tokens() != 1200-want {
				t.Errorf("%s leaves %g, want %g less than 1200", endpoint, c.Tokens(), want)
			}
		})
	}
}

// The transport sends a request again when the server closed the connection
// under it; the exchange has counted it by then.
func TestARequestThatIsSentTwiceSpendsTwice(t *testing.T) {
	var asked atomic.Int32
	c := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		if asked.Add(1)%2 == 0 { // each second one, on the connection of the first
			conn, _, err := http.NewResponseController(w).Hijack()
			if err != nil {
				panic(err)
			}
			conn.Close()
			return
		}
		fmt.Fprint(w, listing(""))
	}, func(cfg *Config) { cfg.WeightPerMinute = MinWeightPerMinute })
	for i := range 2 {
		if _, err := c.State(t.Context(), account); err != nil {
			t.Fatalf("request %d: %v", i, err)
		}
	}
	if asked.Load() != 3 || c.Tokens() != MinWeightPerMinute-3*StateWeight {
		t.Errorf("%d requests arrived and left %g", asked.Load(), c.Tokens())
	}
	// The last that fits is not sent twice.
	spend(t, c.budget, ofMinute, MinWeightPerMinute-4*StateWeight)
	_, err := c.State(t.Context(), account)
	wantFailure(t, err, Connection)
	if asked.Load() != 4 || c.Tokens() != 0 {
		t.Errorf("%d requests arrived and left %g", asked.Load(), c.Tokens())
	}
}

func TestAWeightThatNeverFitsFailsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		started := time.Now()
		b := newBudget(59, clock.Clock{})
		for by := range classes {
			_, err := b.wait(t.Context(), by, 60)
			wantFailure(t, err, Throttled)
		}
		b.reserve(40)
		_, err := b.wait(t.Context(), ofSearch, 20)
		wantFailure(t, err, Throttled)
		if b.reserve(1000); b.window.most(ofSearch) != 0 {
			t.Error("a reserve above the limit")
		}
		_, err = b.wait(t.Context(), ofSearch, 1)
		wantFailure(t, err, Throttled)
		b.reserve(-5)
		spend(t, b, ofSearch, 59)
		if took := time.Since(started); took != 0 || b.tokens() != 0 {
			t.Errorf("it took %s and left %g", took, b.tokens())
		}
	})
}

func TestANewReserveRefusesWhoCanNoLongerBeServed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBudget(1200, clock.Clock{})
		spend(t, b, ofMinute, 1200)
		started := time.Now()
		var waiting sync.WaitGroup
		waiting.Go(func() {
			_, err := b.wait(t.Context(), ofSearch, 60)
			if FailureOf(err) != Throttled || time.Since(started) != time.Second {
				t.Errorf("the heavy one: %v after %s", err, time.Since(started))
			}
		})
		waiting.Go(func() {
			spend(t, b, ofSearch, 20)
			if took := time.Since(started).Round(time.Millisecond); took != full {
				t.Errorf("the light one took %s", took)
			}
		})
		time.Sleep(time.Second)
		b.reserve(1150)
		waiting.Wait()
	})
}

func TestWaitBeyondTheDeadlineFailsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClient(t, answer(200, listing("")))
		spend(t, c.budget, ofMinute, 1200)
		for _, tt := range []struct {
			deadline, want time.Duration
			failure        Failure
		}{
			{100 * time.Millisecond, 0, Throttled},
			{countedFor, 0, Throttled},
			{full + time.Second, full, ""},
		} {
			started := time.Now()
			ctx, cancel := context.WithTimeout(t.Context(), tt.deadline)
			_, err := c.State(ctx, account)
			cancel()
			if took := time.Since(started).Round(time.Millisecond); FailureOf(err) != tt.failure || took != tt.want {
				t.Errorf("deadline %s: %v after %s, want %s after %s", tt.deadline, err, took, tt.failure, tt.want)
			}
		}
		if left := c.Tokens(); left != 1198 {
			t.Errorf("%g are left", left)
		}
	})
}

// What has no answer yet counts for a minute at the least.
func TestRequestsUnderWayLeaveNoRoomForAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, started := newBudget(1200, clock.Clock{}), time.Now()
		under, err := b.wait(t.Context(), ofMinute, 1200)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), countedFor)
		defer cancel()
		_, err = b.wait(ctx, ofMinute, 2)
		if wantFailure(t, err, Throttled); time.Since(started) != 0 {
			t.Errorf("it took %s to find out", time.Since(started))
		}
		time.AfterFunc(time.Second, func() { b.answered(under, 1200) })
		spend(t, b, ofMinute, 2)
		if took := time.Since(started).Round(time.Millisecond); took != time.Second+full {
			t.Errorf("there was room after %s", took)
		}
	})
}

// Whoever stands before us may give up, so nothing is certain: the deadline
// itself decides.
func TestADeadlineThatPassesInTheQueueIsThrottled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBudget(1200, clock.Clock{})
		spend(t, b, ofMinute, 1190)
		heavy, giveUp := context.WithCancelCause(t.Context())
		defer giveUp(nil)
		var waiting sync.WaitGroup
		waiting.Go(func() { _, _ = b.wait(heavy, ofMinute, 20) })
		synctest.Wait()
		started := time.Now()
		for name, by := range map[string]class{"its own class": ofMinute, "the search": ofSearch} {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			_, err := b.wait(ctx, by, 2)
			cancel()
			wantFailure(t, err, Throttled)
			if !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%s: %v", name, err)
			}
		}
		if took := time.Since(started); took != 2*time.Second {
			t.Errorf("it took %s", took)
		}
		time.AfterFunc(time.Second, func() { giveUp(nil) })
		spend(t, b, ofMinute, 2)
		if took := time.Since(started); took != 3*time.Second {
			t.Errorf("who stood behind went after %s", took)
		}
		waiting.Wait()
	})
}

func TestCancelledWaitGivesItsWeightBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBudget(1200, clock.Clock{})
		spend(t, b, ofMinute, 1190)
		ctx, cancel := context.WithCancelCause(t.Context())
		enough := errors.New("enough")
		var waiting sync.WaitGroup
		waiting.Go(func() {
			if _, err := b.wait(ctx, ofMinute, SubAccountsWeight); FailureOf(err) != Cancelled || !errors.Is(err, enough) {
				t.Errorf("wait = %v", err)
			}
		})
		synctest.Wait()
		cancel(enough)
		waiting.Wait()
		if left := b.tokens(); left != 10 {
			t.Errorf("%g are left after it gave up, want 10", left)
		}
		if _, err := b.wait(ctx, ofMinute, 1); FailureOf(err) != Cancelled || b.tokens() != 10 {
			t.Errorf("an ended context spends: %v, %g left", err, b.tokens())
		}
	})
}

// Who is let go and cancelled at one moment has not sent anything.
func TestAClaimAbandonedAsItIsGrantedIsGivenBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBudget(1200, clock.Clock{})
		c, err := b.claim(t.Context(), ofMinute, 1000)
		if err != nil || !c.granted {
			t.Fatal(err)
		}
		if b.abandon(c); b.tokens() != 1200 {
			t.Errorf("%g are left", b.tokens())
		}
	})
}

// Waiting for weight is not the exchange's fault: the timeout starts after it.
func TestWaitingDoesNotCountIntoTheTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClient(t, answer(200, listing("")), func(cfg *Config) { cfg.Timeout = time.Second })
		spend(t, c.budget, ofMinute, 1200)
		var waiting sync.WaitGroup
		for range 100 {
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
		b, started := newBudget(1200, fast), time.Now()
		spend(t, b, ofMinute, 1200)
		spend(t, b, ofMinute, 1200)
		if took := time.Since(started).Round(time.Millisecond); took != 1002*time.Millisecond {
			t.Errorf("a minute of it took %s of real time", took)
		}
		// A deadline is real time: 2 s are two minutes of this clock.
		for deadline, want := range map[time.Duration]Failure{2 * time.Second: "", 500 * time.Millisecond: Throttled} {
			ctx, cancel := context.WithTimeout(t.Context(), deadline)
			_, err := b.wait(ctx, ofMinute, 1200)
			if cancel(); FailureOf(err) != want {
				t.Errorf("%s: %v", deadline, err)
			}
		}
	})
}

func TestAClockThatIsSetChangesNothing(t *testing.T) {
	for _, off := range []string{"-20m", "20m", "-8760h", "8760h"} {
		synctest.Test(t, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "clock")
			b, started := newBudget(1200, clock.Clock{}.OffBy(file)), time.Now()
			spend(t, b, ofMinute, 1200)
			if err := os.WriteFile(file, []byte(off), 0o600); err != nil {
				t.Fatal(err)
			}
			if left := b.tokens(); left != 0 {
				t.Errorf("set by %s: %g are left", off, left)
			}
			spend(t, b, ofMinute, 1)
			if took := time.Since(started).Round(time.Millisecond); took != full {
				t.Errorf("set by %s: it took %s", off, took)
			}
		})
	}
}

func TestASuccessorCountsWhatThePredecessorSpent(t *testing.T) {
	for left, want := range map[float64]float64{
		0: 0, 800: 800, 799.5: 799, 1200: 1200, 1e9: 1200, -400: 0, math.Inf(1): 1200, math.Inf(-1): 0, math.NaN(): 0,
	} {
		synctest.Test(t, func(t *testing.T) {
			c := newClient(t, nil)
			c.Inherit(left)
			if got := c.Tokens(); got != want {
				t.Errorf("with %g left, %g are left, want %g", left, got, want)
			}
			time.Sleep(full)
			if got := c.Tokens(); got != 1200 {
				t.Errorf("with %g left, %g are left a minute later", left, got)
			}
		})
	}
	// What we spent ourselves counts beside it.
	synctest.Test(t, func(t *testing.T) {
		b := newBudget(1200, clock.Clock{})
		spend(t, b, ofMinute, 900)
		if b.inherit(700); b.tokens() != 0 {
			t.Errorf("%g are left", b.tokens())
		}
	})
}

// The search finds nothing of the reserve, whoever spent what it was before.
func TestTheReserveStaysTheMinutes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClient(t, answer(200, listing("")))
		c.Reserve(400)
		c.Inherit(1000)
		search, started := c.Sparing(), time.Now()
		for range 300 { // 600 beside the 200 that were inherited
			if _, err := search.State(t.Context(), account); err != nil {
				t.Fatal(err)
			}
		}
		var waiting sync.WaitGroup
		waiting.Go(func() {
			if _, err := search.State(t.Context(), account); err != nil || time.Since(started) != time.Second {
				t.Errorf("the search goes on after %s: %v", time.Since(started), err)
			}
		})
		synctest.Wait()
		for range 199 {
			if _, err := c.State(t.Context(), account); err != nil {
				t.Fatal(err)
			}
		}
		if took := time.Since(started); took != 0 || c.Tokens() != 2 || search.Tokens() != 2 {
			t.Errorf("the minute took %s and left %g", took, c.Tokens())
		}
		time.Sleep(time.Second)
		c.Reserve(2) // the search may use more now, and what is left
		waiting.Wait()
	})
}

// A thousand requests at a time through a generous provider's limit.
func BenchmarkBudget(b *testing.B) {
	budget := newBudget(math.MaxInt32, clock.Clock{})
	b.SetParallelism(500)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			c, err := budget.wait(b.Context(), ofMinute, StateWeight)
			if err != nil {
				b.Error(err)
				return
			}
			budget.answered(c, StateWeight)
		}
	})
}
