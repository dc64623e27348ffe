package collector

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/whalegate/whalegate/collector/hyperliquid"
	"github.com/whalegate/whalegate/internal/asset"
)

func fetching(up Upstream) *fetch {
	const ever = 100 * 365 * 24 * time.Hour // what the age of a state does is tested by itself
	return &fetch{
		upstream: up, attempts: DefaultAttempts, backoff: DefaultBackoff, lastTime: map[string]time.Time{}, maxAge: ever, maxLead: ever,
		limited: func() {}, listed: func(string, bool) {},
	}
}

// tracked are wallets 1 to n without sub-accounts.
func tracked(n int) []Tracked {
	list := make([]Tracked, n)
	for i := range list {
		list[i] = Tracked{Wallet: wallet(i + 1)}
	}
	return list
}

// withSubs is the wallet n with k sub-accounts.
func withSubs(n, k int) Tracked {
	t := Tracked{Wallet: wallet(n), Listed: true}
	for i := range k {
		t.SubAccounts = append(t.SubAccounts, sub(n, i+1))
	}
	return t
}

// temporary lists the failures that a moment may heal.
var temporary = []hyperliquid.Failure{
	hyperliquid.RateLimited, hyperliquid.ServerError, hyperliquid.Timeout, hyperliquid.Connection, hyperliquid.Null, hyperliquid.Malformed,
}

func TestOnlyTemporaryFailuresAreTriedAgainThreeTimesAtMost(t *testing.T) {
	for _, failure := range hyperliquid.Failures {
		for failures := range 5 {
			t.Run(string(failure)+strings.Repeat("!", failures), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					calls := 0
					f := fetching(&upstream{state: func(context.Context, string) (hyperliquid.State, error) {
						if calls++; calls <= failures {
							return hyperliquid.State{}, failing(failure)
						}
						return flat(noon), nil
					}})
					started := time.Now()
					got, failed := f.run(t.Context(), tracked(1), 1)
					most := 1
					if slices.Contains(temporary, failure) {
						most = 3
					}
					wantCalls, want := failures+1, map[string]int{}
					if failures >= most {
						wantCalls, want = most, map[string]int{string(failure): 1}
					}
					if calls != wantCalls || !maps.Equal(failed, want) || len(got)+total(want) != 1 {
						t.Errorf("%d calls, %d read, failures %v; want %d calls and %v", calls, len(got), failed, wantCalls, want)
					}
					// 0.5 s, then 1.5 s, each a quarter more or less.
					base := []time.Duration{0, 500 * time.Millisecond, 2 * time.Second}[wantCalls-1]
					if took := time.Since(started); took < base*3/4 || took > base*5/4 {
						t.Errorf("took %s, want %s and a quarter more or less", took, base)
					}
				})
			})
		}
	}
}

func TestRateLimitsHalveTheConcurrency(t *testing.T) {
	for _, tt := range []struct{ limits, want int }{{0, 8}, {1, 4}, {2, 2}, {3, 1}, {6, 1}} {
		synctest.Test(t, func(t *testing.T) {
			var mu sync.Mutex
			calls, running, most := 0, 0, 0
			started := time.Now()
			f := fetching(&upstream{state: func(context.Context, string) (hyperliquid.State, error) {
				mu.Lock()
				calls++
				refuse := calls <= tt.limits
				if !refuse {
					running++
				}
				if time.Since(started) > 25*time.Second { // longer than one wallet can wait that got all of them
					most = max(most, running)
				}
				mu.Unlock()
				if refuse {
					return hyperliquid.State{}, failing(hyperliquid.RateLimited)
				}
				time.Sleep(time.Second)
				mu.Lock()
				running--
				mu.Unlock()
				return flat(noon), nil
			}})
			f.attempts = tt.limits + 1 // one wallet may get them all
			limited := 0
			f.limited = func() {
				mu.Lock()
				defer mu.Unlock()
				limited++
			}
			got, failed := f.run(t.Context(), tracked(400), 8)
			if len(got) != 400 || len(failed) != 0 {
				t.Errorf("after %d × 429: %d read, %v failed", tt.limits, len(got), failed)
			}
			if most != tt.want || limited != tt.limits {
				t.Errorf("after %d × 429: %d at a time and %d counted, want %d and each", tt.limits, most, limited, tt.want)
			}
		})
	}
}

// Two requests under way are told to wait: the longer wait counts, whichever
// is told first, and whoever waits already waits on.
func TestRetryAfterPausesEverybody(t *testing.T) {
	for _, tt := range []struct {
		name        string
		took, waits [2]time.Duration
		until       time.Duration
	}{
		{"together", [2]time.Duration{time.Second, time.Second}, [2]time.Duration{20 * time.Second, 10 * time.Second}, 21 * time.Second},
		{"the longer one later", [2]time.Duration{time.Second, 8 * time.Second}, [2]time.Duration{10 * time.Second, 20 * time.Second}, 28 * time.Second},
		{"the shorter one later", [2]time.Duration{time.Second, 8 * time.Second}, [2]time.Duration{20 * time.Second, 5 * time.Second}, 21 * time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var mu sync.Mutex
				var starts []time.Duration
				started := time.Now()
				f := fetching(&upstream{state: func(context.Context, string) (hyperliquid.State, error) {
					mu.Lock()
					call := len(starts)
					starts = append(starts, time.Since(started))
					mu.Unlock()
					if call > 1 {
						return flat(noon), nil
					}
					time.Sleep(tt.took[call])
					return hyperliquid.State{}, &hyperliquid.Error{Failure: hyperliquid.RateLimited, RetryAfter: tt.waits[call]}
				}})
				if got, failed := f.run(t.Context(), tracked(20), 2); len(got) != 20 {
					t.Errorf("%d read, failures %v, want 20", len(got), failed)
				}
				for i, at := range starts {
					if i > 1 && (at < tt.until || at > tt.until+3*time.Second) {
						t.Fatalf("asked after %s, want a pause until %s and no more", at, tt.until)
					}
				}
			})
		})
	}
}

func TestTheBudgetsEndAbandonsTheRest(t *testing.T) {
	for _, stubborn := range []bool{false, true} { // what is under way when it ends: interrupted or waiting to try again
		synctest.Test(t, func(t *testing.T) {
			f := fetching(&upstream{state: func(ctx context.Context, account string) (hyperliquid.State, error) {
				select {
				case <-time.After(10 * time.Second):
					return flat(noon), nil
				case <-ctx.Done():
				}
				if stubborn {
					return hyperliquid.State{}, failing(hyperliquid.Timeout)
				}
				return hyperliquid.State{}, failing(hyperliquid.Cancelled)
			}})
			ctx, cancel := context.WithTimeoutCause(t.Context(), 55*time.Second, errBudget)
			defer cancel()
			started := time.Now()
			wallets := append(tracked(30), Tracked{Wallet: wallet(31), Unreadable: reasonAccountsUnknown})
			got, failed := f.run(ctx, wallets, 2)
			if took := time.Since(started); took != 55*time.Second {
				t.Errorf("took %s, want the budget", took)
			}
			want := map[string]int{"abandoned": 20, "accounts_unknown": 1}
			if len(got) != 10 || !maps.Equal(failed, want) {
				t.Errorf("%d read and failures %v, want 10 and %v", len(got), failed, want)
			}
		})
	}
}

// hanging lets the first wallets time out, always; the others answer at once.
func hanging(first int) func(context.Context, string) (hyperliquid.State, error) {
	return func(ctx context.Context, account string) (hyperliquid.State, error) {
		if account > wallet(first) {
			return flat(noon), nil
		}
		select {
		case <-time.After(10 * time.Second):
			return hyperliquid.State{}, failing(hyperliquid.Timeout)
		case <-ctx.Done():
			return hyperliquid.State{}, failing(hyperliquid.Cancelled)
		}
	}
}

func TestWalletsThatHangTakeNobodysPlace(t *testing.T) {
	for _, workers := range []int{1, 8} {
		synctest.Test(t, func(t *testing.T) {
			up := &upstream{state: hanging(20)}
			got, failed := fetching(up).run(t.Context(), tracked(60), workers)
			if len(got) != 40 || !maps.Equal(failed, map[string]int{"timeout": 20}) {
				t.Errorf("%d workers: %d read and failures %v, want 40 and 20 timeouts", workers, len(got), failed)
			}
			asked, times := up.questions(), map[string]int{}
			for _, account := range asked {
				times[account]++
			}
			for n := range 60 {
				want := 1
				if n < 20 {
					want = DefaultAttempts
				}
				if times[wallet(n+1)] != want {
					t.Errorf("%d workers: wallet %d is asked for %d times, want %d", workers, n+1, times[wallet(n+1)], want)
				}
			}
			if workers > 1 {
				return // who of several asks first is not said
			}
			var order []string
			for i, last := range []int{60, 20, 20} {
				for n := range last {
					order = append(order, wallet(n+1))
				}
				if got := asked[:min(len(order), len(asked))]; !slices.Equal(got, order) {
					t.Fatalf("round %d: asked for %q, want each once before any one is asked for again", i+1, got)
				}
			}
		})
	}
}

func TestTheBudgetsEndTellsWhatHungFromWhatWasNotAsked(t *testing.T) {
	for _, tt := range []struct {
		name                  string
		hang, wallets, worker int
		budget                time.Duration
		want                  map[string]int
	}{
		{"a tenth of the wallets hangs", 20, 200, 8, 55 * time.Second, map[string]int{"timeout": 20}},
		{"before all were asked", 20, 25, 2, 55 * time.Second, map[string]int{"timeout": 10, "abandoned": 15}},
		{"one is asked for again", 3, 5, 1, 55 * time.Second, map[string]int{"timeout": 3}},
		{"one waits to be", 1, 5, 1, 10100 * time.Millisecond, map[string]int{"timeout": 1}},
		{"during the first question", 1, 5, 1, 9 * time.Second, map[string]int{"abandoned": 5}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeoutCause(t.Context(), tt.budget, errBudget)
				defer cancel()
				got, failed := fetching(&upstream{state: hanging(tt.hang)}).run(ctx, tracked(tt.wallets), tt.worker)
				if len(got) != tt.wallets-total(tt.want) || !maps.Equal(failed, tt.want) {
					t.Errorf("%d of %d read and failures %v, want %v", len(got), tt.wallets, failed, tt.want)
				}
			})
		})
	}
}

// The states of one minute lie within five seconds where an answer takes 50 ms, with a
// population like the public one; the greatest masters may come at the end.
func TestTheStatesOfAMinuteLieCloseTogether(t *testing.T) {
	for _, masters := range []string{"first", "last", "spread out"} {
		t.Run(masters, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				wallets := tracked(200)
				for i := range 30 {
					at := map[string]int{"first": i, "last": 170 + i, "spread out": 6 * i}[masters]
					wallets[at] = withSubs(at+1, []int{1, 2, 3, 5, 8, 12, 20, 30, 40, 50}[i%10])
					wallets[at].Listed = i < 15
				}
				answer := func() time.Time { time.Sleep(50 * time.Millisecond); return time.Now() }
				f := fetching(&upstream{state: func(context.Context, string) (hyperliquid.State, error) {
					return flat(answer()), nil
				}, subs: func(_ context.Context, master string) ([]hyperliquid.SubAccount, error) {
					at := answer()
					var list []hyperliquid.SubAccount
					for _, w := range wallets {
						if w.Wallet == master {
							for _, account := range w.SubAccounts {
								list = append(list, hyperliquid.SubAccount{Address: account, HasState: true, State: flat(at)})
							}
						}
					}
					return list, nil
				}})
				got, failed := f.run(t.Context(), wallets, 8)
				if len(got) != 200 || len(failed) > 0 {
					t.Fatalf("%d wallets, failures %v", len(got), failed)
				}
				var times []time.Time
				for _, r := range got {
					for _, state := range r.times {
						times = append(times, state.time)
					}
				}
				if spread := slices.MaxFunc(times, time.Time.Compare).Sub(slices.MinFunc(times, time.Time.Compare)); spread > 5*time.Second {
					t.Errorf("the states are of %s", spread)
				}
			})
		})
	}
}

// What was read of a wallet stays read when a later question hangs.
func TestAWalletThatHungGoesOnWhereItStood(t *testing.T) {
	for _, tt := range []struct {
		name  string
		subs  int
		hang  []string // once each
		asked []string // the other wallet comes before what was put aside
		want  asset.Size
	}{
		{"account by account", 3, []string{sub(1, 2)}, []string{
			wallet(1), sub(1, 1), sub(1, 2), wallet(2), sub(2, 1), sub(2, 2), sub(1, 2), sub(1, 3),
		}, 400},
		{"by list", 10, []string{"subs of " + wallet(1), sub(1, 5)}, []string{
			"subs of " + wallet(1), wallet(2), sub(2, 1), sub(2, 2),
			"subs of " + wallet(1), wallet(1), sub(1, 5), sub(1, 5), sub(1, 6),
		}, 1100},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				one := flat(noon)
				one.Positions[asset.HYPE].Size = 100
				answer := func(question string) error {
					if i := slices.Index(tt.hang, question); i >= 0 {
						tt.hang = slices.Delete(tt.hang, i, i+1)
						return failing(hyperliquid.Timeout)
					}
					return nil
				}
				target := withSubs(1, tt.subs)
				up := &upstream{state: func(_ context.Context, account string) (hyperliquid.State, error) {
					return one, answer(account)
				}, subs: func(_ context.Context, master string) ([]hyperliquid.SubAccount, error) {
					var list []hyperliquid.SubAccount
					for i, account := range target.SubAccounts {
						list = append(list, hyperliquid.SubAccount{Address: account, HasState: i != 4 && i != 5, State: one})
					}
					return list, answer("subs of " + master)
				}}
				got, failed := fetching(up).run(t.Context(), []Tracked{withSubs(2, 2), target}, 1)
				if len(failed) != 0 || len(got) != 2 || got[0].Positions[asset.HYPE].Size != tt.want || len(got[0].times) != tt.subs+1 {
					t.Errorf("%+v, failures %v, want %d", got, failed, tt.want)
				}
				if asked := up.questions(); !slices.Equal(asked, tt.asked) {
					t.Errorf("asked for %q, want %q", asked, tt.asked)
				}
			})
		})
	}
}

// Whoever puts a wallet aside may have lost its place by then, to the 429s of others.
func TestWhatWasPutAsideIsTakenUpBySomebody(t *testing.T) {
	for n := range 8 { // the workers share out the wallets by chance: most of these are not the first one's
		synctest.Test(t, func(t *testing.T) {
			var mu sync.Mutex
			times := map[string]int{}
			f := fetching(&upstream{state: func(ctx context.Context, account string) (hyperliquid.State, error) {
				mu.Lock()
				times[account]++
				first := times[account] == 1
				mu.Unlock()
				switch {
				case first && account == wallet(n+1):
					return hanging(8)(ctx, account)
				case first:
					return hyperliquid.State{}, failing(hyperliquid.RateLimited)
				}
				return flat(noon), nil
			}})
			if got, failed := f.run(t.Context(), tracked(8), 8); len(got) != 8 || f.limit.Load() != 1 {
				t.Errorf("%d read, failures %v, want 8; %d may go on, want 1", len(got), failed, f.limit.Load())
			}
		})
	}
}

func TestARetryAfterBeyondTheBudgetEndsWithIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := fetching(&upstream{state: func(context.Context, string) (hyperliquid.State, error) {
			return hyperliquid.State{}, &hyperliquid.Error{Failure: hyperliquid.RateLimited, RetryAfter: 5 * time.Minute}
		}})
		ctx, cancel := context.WithTimeoutCause(t.Context(), 55*time.Second, errBudget)
		defer cancel()
		started := time.Now()
		got, failed := f.run(ctx, tracked(50), 4)
		if took := time.Since(started); took != 55*time.Second || len(got) != 0 || !maps.Equal(failed, map[string]int{"rate_limited": 50}) {
			t.Errorf("after %s: %d read, failures %v", took, len(got), failed)
		}
	})
}

// A machine that is held up takes an answer that is of the next minute already.
func TestAnAnswerAfterTheBudgetIsNotTaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := fetching(&upstream{state: func(context.Context, string) (hyperliquid.State, error) {
			time.Sleep(20 * time.Second) // of the bubble; whoever ended ctx is not heard
			return flat(noon), nil
		}})
		ctx, cancel := context.WithTimeoutCause(t.Context(), 55*time.Second, errBudget)
		defer cancel()
		got, failed := f.run(ctx, tracked(3), 1)
		if len(got) != 2 || !maps.Equal(failed, map[string]int{"abandoned": 1}) {
			t.Errorf("%d read, failures %v; the third came after a minute", len(got), failed)
		}
	})
}

func TestAStaleReplicaIsRejected(t *testing.T) {
	older, newer := noon.Add(-time.Millisecond), noon.Add(time.Millisecond)
	for _, tt := range []struct {
		name    string
		answers []time.Time
		want    string
	}{
		{"older", []time.Time{older, older, older, noon}, "stale_state"},
		{"equal", []time.Time{noon}, ""},
		{"newer", []time.Time{newer}, ""},
		{"another replica is up to date", []time.Time{older, newer}, ""},
		{"the third one is", []time.Time{older, older, noon}, ""},
	} {
		for _, stale := range []string{"the wallet", "a sub-account", "one of many sub-accounts"} {
			t.Run(tt.name+" of "+stale, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					target, victim := withSubs(1, 0), wallet(1)
					switch stale {
					case "a sub-account":
						target = withSubs(1, 2)
						victim = sub(1, 2)
					case "one of many sub-accounts":
						target = withSubs(1, 12)
						victim = sub(1, 7)
					}
					calls := 0
					state := func(_ context.Context, account string) (hyperliquid.State, error) {
						if account != victim {
							return flat(noon), nil
						}
						calls++
						return flat(tt.answers[calls-1]), nil
					}
					f := fetching(&upstream{state: state, subs: func(ctx context.Context, _ string) ([]hyperliquid.SubAccount, error) {
						var list []hyperliquid.SubAccount
						for _, account := range target.SubAccounts {
							s, _ := state(ctx, account)
							list = append(list, hyperliquid.SubAccount{Address: account, HasState: true, State: s})
						}
						return list, nil
					}})
					f.lastTime[victim] = noon
					got, failed := f.run(t.Context(), []Tracked{target}, 1)
					want := map[string]int{}
					if tt.want != "" {
						want[tt.want] = 1
					}
					if !maps.Equal(failed, want) || len(got)+len(want) != 1 {
						t.Errorf("%d read, failures %v, want %v", len(got), failed, want)
					}
				})
			})
		}
	}
}

func TestAWalletIsTheSumOfItsAccounts(t *testing.T) {
	full := hyperliquid.Position{Size: 100, Known: true, Entry: "2.5", Liquidation: "1", Leverage: "3", Margin: "4"}
	with := func(at time.Time, p hyperliquid.Position) hyperliquid.State {
		s := flat(at)
		s.Positions[asset.BTC] = p
		return s
	}
	alone, unknown := full, full
	unknown.Known, unknown.Size = false, 0
	for _, tt := range []struct {
		name             string
		master, one, two hyperliquid.State
		want             hyperliquid.Position
	}{
		{"all flat", flat(noon), flat(noon), flat(noon), hyperliquid.Position{Known: true}},
		{"one holder keeps its prices", flat(noon), with(noon, full), flat(noon), alone},
		{"two holders have none in common", with(noon, full), with(noon, full), flat(noon), hyperliquid.Position{Size: 200, Known: true}},
		{"long and short", with(noon, full), with(noon, hyperliquid.Position{Size: -100, Known: true, Entry: "3"}), flat(noon), hyperliquid.Position{Known: true}},
		{"three of them", with(noon, full), with(noon, full), with(noon, full), hyperliquid.Position{Size: 300, Known: true}},
		{"one unknown makes the sum unknown", with(noon, full), with(noon, unknown), with(noon, full), hyperliquid.Position{}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.one.Time = noon.Add(-3 * time.Second)
			states := map[string]hyperliquid.State{wallet(1): tt.master, sub(1, 1): tt.one, sub(1, 2): tt.two}
			f := fetching(&upstream{state: func(_ context.Context, account string) (hyperliquid.State, error) { return states[account], nil }})
			got, failed := f.run(t.Context(), []Tracked{withSubs(1, 2)}, 1)
			if len(got) != 1 || len(failed) != 0 {
				t.Fatalf("%d read, failures %v", len(got), failed)
			}
			p := got[0].Positions[asset.BTC]
			if !tt.want.Known {
				p.Size = 0 // means nothing
			}
			if diff := cmp.Diff(tt.want, p); diff != "" {
				t.Error(diff)
			}
			if !got[0].StateTime.Equal(tt.one.Time) {
				t.Errorf("state time %s, want the oldest %s", got[0].StateTime, tt.one.Time)
			}
			if got[0].Positions[asset.ETH] != (hyperliquid.Position{Known: true}) {
				t.Errorf("ETH is %+v, want flat", got[0].Positions[asset.ETH])
			}
		})
	}
}

func TestASumThatDoesNotFitFailsTheWallet(t *testing.T) {
	huge := flat(noon)
	huge.Positions[asset.ETH].Size = 1 << 62
	f := fetching(&upstream{state: func(context.Context, string) (hyperliquid.State, error) { return huge, nil }})
	if got, failed := f.run(t.Context(), []Tracked{withSubs(1, 1)}, 1); len(got) != 0 || failed["out_of_range"] != 1 {
		t.Errorf("%+v, failures %v", got, failed)
	}
}

func TestManySubAccountsAreReadInOneRequest(t *testing.T) {
	one := flat(noon)
	one.Positions[asset.HYPE].Size = 100
	for _, tt := range []struct {
		name     string
		subs     int
		answered func(list []hyperliquid.SubAccount) []hyperliquid.SubAccount
		asked    int
		want     string // sum of HYPE; "" when the wallet fails
	}{
		{"nine are asked one by one", 9, nil, 10, "10.00"},
		{"ten in one request", 10, nil, 2, "11.00"},
		{"fifty in one request", 50, nil, 2, "51.00"},
		// Neither believed nor passed over, and asked only once: a list costs as much as ten states.
		{"a new one", 10, func(l []hyperliquid.SubAccount) []hyperliquid.SubAccount {
			return append(l, hyperliquid.SubAccount{Address: sub(1, 99), HasState: true, State: one})
		}, 1, ""},
		{"a known one is missing", 10, func(l []hyperliquid.SubAccount) []hyperliquid.SubAccount { return l[1:] }, 1, ""},
		{"a new one does not make up for it", 10, func(l []hyperliquid.SubAccount) []hyperliquid.SubAccount {
			l[3].Address = sub(1, 99)
			return l
		}, 1, ""},
		// That is how a failure looks: the next replica may know better.
		{"none", 10, func([]hyperliquid.SubAccount) []hyperliquid.SubAccount { return nil }, 3, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			target := withSubs(1, tt.subs)
			up := &upstream{
				state: func(context.Context, string) (hyperliquid.State, error) { return one, nil },
				subs: func(context.Context, string) ([]hyperliquid.SubAccount, error) {
					var list []hyperliquid.SubAccount
					for _, account := range target.SubAccounts {
						list = append(list, hyperliquid.SubAccount{Address: account, HasState: true, State: one})
					}
					if tt.answered != nil {
						list = tt.answered(list)
					}
					return list, nil
				},
			}
			var got []Reading
			var failed map[string]int
			synctest.Test(t, func(t *testing.T) { // the pauses between attempts take no time
				got, failed = fetching(up).run(t.Context(), []Tracked{target}, 1)
			})
			if asked := up.questions(); len(asked) != tt.asked {
				t.Errorf("asked %d times, want %d: %q", len(asked), tt.asked, asked)
			}
			if tt.want == "" {
				if len(got) != 0 || failed["accounts_changed"] != 1 {
					t.Errorf("%d read, failures %v, want accounts_changed", len(got), failed)
				}
				return
			}
			if len(got) != 1 || got[0].Positions[asset.HYPE].Size.Text(asset.HYPE) != tt.want {
				t.Errorf("%+v, failures %v, want %s", got, failed, tt.want)
			}
		})
	}
}

func TestOneFailedRequestForSubAccountsIsNotCountedTwice(t *testing.T) {
	one := flat(noon)
	one.Positions[asset.HYPE].Size = 100
	target, calls := withSubs(1, 10), 0
	f := fetching(&upstream{subs: func(context.Context, string) ([]hyperliquid.SubAccount, error) {
		var list []hyperliquid.SubAccount
		for _, account := range target.SubAccounts {
			list = append(list, hyperliquid.SubAccount{Address: account, HasState: true, State: one})
		}
		if calls++; calls == 1 { // half of it is added before a stale one is seen
			list[5].State.Time = noon.Add(-time.Hour)
		}
		return list, nil
	}})
	f.backoff = []time.Duration{0}
	f.lastTime[sub(1, 6)] = noon
	got, failed := f.run(t.Context(), []Tracked{target}, 1)
	if len(got) != 1 || got[0].Positions[asset.HYPE].Size != 1000 || len(got[0].times) != 11 {
		t.Errorf("%+v, failures %v; want ten accounts of 1.00 and the master", got, failed)
	}
}

// An entry without a state is not flat: the sum would lack what it holds. It is asked for
// on its own.
func TestAnAccountThatIsListedWithoutAStateIsAskedFor(t *testing.T) {
	target := withSubs(1, 10)
	f := fetching(&upstream{state: func(_ context.Context, account string) (hyperliquid.State, error) {
		state := flat(noon)
		if account == sub(1, 5) {
			state.Positions = positions("7")
		}
		return state, nil
	}, subs: func(context.Context, string) ([]hyperliquid.SubAccount, error) {
		var list []hyperliquid.SubAccount
		for i, account := range target.SubAccounts {
			list = append(list, hyperliquid.SubAccount{Address: account, HasState: i != 4, State: flat(noon)})
		}
		return list, nil
	}})
	if got, failed := f.run(t.Context(), []Tracked{target}, 1); len(got) != 1 || got[0].Positions[asset.HYPE].Size != 700 {
		t.Errorf("%+v, failures %v, want 7.00", got, failed)
	}
}

// One wallet's trouble is its own: hundreds of accounts that nobody knew of are not asked
// for within the minute, and a wallet that costs much comes last.
func TestAWalletOfManyAccountsTakesNoOthersPlace(t *testing.T) {
	target := withSubs(1, 10)
	up := &upstream{subs: func(context.Context, string) ([]hyperliquid.SubAccount, error) {
		var list []hyperliquid.SubAccount
		for k := range 500 {
			list = append(list, hyperliquid.SubAccount{Address: sub(1, k+1)})
		}
		return list, nil
	}}
	f, told := fetching(up), []bool{}
	f.listed = func(_ string, same bool) { told = append(told, same) }
	got, failed := f.run(t.Context(), []Tracked{target, {Wallet: wallet(2)}}, 1)
	if len(got) != 1 || got[0].Wallet != wallet(2) || !maps.Equal(failed, map[string]int{"accounts_changed": 1}) || !slices.Equal(told, []bool{false}) {
		t.Errorf("%+v, failures %v, told %t", got, failed, told)
	}
	if asked := up.questions(); slices.Contains(asked, sub(1, 1)) {
		t.Errorf("asked for %q", asked)
	}
	// Known by now, and not listed with states, they are asked for at the end.
	heavy := withSubs(1, 500)
	heavy.Listed = false
	up = &upstream{}
	if _, failed := fetching(up).run(t.Context(), []Tracked{heavy, {Wallet: wallet(2)}, withSubs(3, 4)}, 1); len(failed) > 0 {
		t.Errorf("failures %v", failed)
	}
	if asked := up.questions(); asked[0] != wallet(3) || asked[5] != wallet(2) || asked[6] != wallet(1) {
		t.Errorf("asked for %q", asked[:7])
	}
}

func TestUnknownAccountsAreNotAskedFor(t *testing.T) {
	up := &upstream{}
	got, failed := fetching(up).run(t.Context(), []Tracked{{Wallet: wallet(1), Unreadable: reasonAccountsUnknown}, {Wallet: wallet(2)}}, 2)
	if len(got) != 1 || got[0].Wallet != wallet(2) || !maps.Equal(failed, map[string]int{"accounts_unknown": 1}) {
		t.Errorf("%+v, failures %v", got, failed)
	}
	if asked := up.questions(); !slices.Equal(asked, []string{wallet(2)}) {
		t.Errorf("asked for %q", asked)
	}
}

// The answers to each account are drawn; a wallet is read exactly when each of
// its accounts answers within three attempts and before a permanent failure,
// and what is read is the sum.
func TestAFailedWalletNeverYieldsAReading(t *testing.T) {
	var read, lost int
	rapid.Check(t, func(t *rapid.T) {
		scripts := map[string][]string{} // by account; "ok" or a failure
		sizes := map[string]asset.Size{}
		outcome := rapid.SampledFrom(append([]string{"ok", "ok", "ok", "ok", "ok", "stale"}, func() (list []string) {
			for _, f := range hyperliquid.Failures {
				list = append(list, string(f))
			}
			return list
		}()...))
		var wallets []Tracked
		want := map[string]asset.Size{}
		for n := range rapid.IntRange(1, 12).Draw(t, "wallets") {
			w := withSubs(n, rapid.IntRange(0, 3).Draw(t, "subs"))
			known := rapid.IntRange(0, 9).Draw(t, "known") > 0
			if !known {
				w.Unreadable = reasonAccountsUnknown
			}
			wallets = append(wallets, w)
			good, sum := known, asset.Size(0)
			for _, account := range append([]string{w.Wallet}, w.SubAccounts...) {
				script := rapid.SliceOfN(outcome, 3, 3).Draw(t, "script")
				scripts[account] = script
				sizes[account] = asset.Size(rapid.IntRange(-1000, 1000).Draw(t, "size"))
				answered := false
				for _, o := range script {
					if answered = o == "ok"; answered || o != "stale" && !slices.Contains(temporary, hyperliquid.Failure(o)) {
						break
					}
				}
				good = good && answered
				sum += sizes[account]
			}
			if good {
				want[w.Wallet] = sum
			}
		}
		var mu sync.Mutex
		attempts := map[string]int{}
		f := fetching(&upstream{state: func(_ context.Context, account string) (hyperliquid.State, error) {
			mu.Lock()
			attempts[account]++
			n := attempts[account]
			mu.Unlock()
			state := flat(noon)
			state.Positions[asset.ETH].Size = sizes[account]
			if n > 3 {
				return state, errors.New("a fourth attempt")
			}
			switch o := scripts[account][n-1]; o {
			case "ok":
			case "stale":
				state.Time = noon.Add(-time.Minute)
			default:
				return hyperliquid.State{}, failing(hyperliquid.Failure(o))
			}
			return state, nil
		}})
		f.backoff = []time.Duration{0}
		for account := range scripts {
			f.lastTime[account] = noon
		}
		readings, failed := f.run(context.Background(), wallets, rapid.IntRange(1, 8).Draw(t, "concurrency"))
		got := map[string]asset.Size{}
		for _, r := range readings {
			if _, twice := got[r.Wallet]; twice {
				t.Fatalf("%s is read twice", r.Wallet)
			}
			got[r.Wallet] = r.Positions[asset.ETH].Size
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatal(diff)
		}
		if len(readings)+total(failed) != len(wallets) {
			t.Fatalf("%d read and failures %v of %d wallets", len(readings), failed, len(wallets))
		}
		for reason := range failed {
			if !slices.Contains(walletReasons, reason) {
				t.Fatalf("%q is no known reason", reason)
			}
		}
		if !slices.IsSortedFunc(readings, func(a, b Reading) int { return strings.Compare(a.Wallet, b.Wallet) }) {
			t.Fatal("the readings are not sorted")
		}
		read, lost = read+len(readings), lost+total(failed)
	})
	if !t.Failed() && (read == 0 || lost == 0) {
		t.Errorf("%d read and %d failed in all: the property saw one side only", read, lost)
	}
}

func TestConcurrencyIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		running, most := 0, 0
		f := fetching(&upstream{state: func(context.Context, string) (hyperliquid.State, error) {
			mu.Lock()
			running++
			most = max(most, running)
			mu.Unlock()
			time.Sleep(time.Second)
			mu.Lock()
			running--
			mu.Unlock()
			return flat(noon), nil
		}})
		started := time.Now()
		if got, _ := f.run(t.Context(), tracked(40), 8); len(got) != 40 || most != 8 || time.Since(started) != 5*time.Second {
			t.Errorf("%d read, %d at a time, in %s; want 40, 8 and 5s", len(got), most, time.Since(started))
		}
	})
}
