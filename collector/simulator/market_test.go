package simulator

import (
	"maps"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/whalegate/whalegate/internal/asset"
)

var origin = time.Date(2026, 10, 5, 0, 0, 0, 0, time.UTC)

func open(t testing.TB, c Config) *Exchange {
	t.Helper()
	if c.Origin.IsZero() {
		c.Origin = origin
	}
	e, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func TestADayShowsEverythingThatTheProductTellsApart(t *testing.T) {
	t.Parallel()
	want := []string{
		"class adder long", "class adder short", "class flat", "class flip", "class reducer",
		"dispersion High", "dispersion Low", "dispersion Medium", "exit High", "exit Low", "exit Medium",
		"playbook Long-only Normal", "playbook Long-only Reduced", "playbook No-trade Defensive", "playbook No-trade Reduced",
		"playbook Short-only Normal", "playbook Short-only Reduced", "trend falling", "trend flat", "trend rising",
	}
	for _, seed := range []uint64{1, 2, 3} {
		e := open(t, Config{Seed: seed})
		seen := map[string]int{}
		total := 0
		days := watch(e, 200).day(origin, 288)
		for _, a := range asset.All {
			for _, s := range days[a] {
				total++
				seen["playbook "+s.playbook+" "+s.risk]++
				seen["exit "+s.exitBand]++
				seen["dispersion "+s.dispersionBand]++
				seen["trend "+s.trend]++
				for class, n := range s.classes {
					if n > 0 {
						seen["class "+class]++
					}
				}
			}
		}
		for _, what := range want {
			if seen[what] < 2 {
				t.Errorf("seed %d: %s was there %d times in a day", seed, what, seen[what])
			}
		}
		for _, what := range slices.Sorted(maps.Keys(seen)) {
			if seed > 1 {
				break
			}
			t.Logf("seed %d: %-32s %5.1f %%", seed, what, 100*float64(seen[what])/float64(total))
		}
		no := float64(seen["playbook No-trade Defensive"]+seen["playbook No-trade Reduced"]) / float64(total)
		if no < 0.6 || no > 0.85 {
			t.Errorf("seed %d: No-trade held %.0f %% of the time", seed, 100*no)
		}
	}
}

func TestPositionsAreAFunctionOfSeedAndMinute(t *testing.T) {
	at := origin.Add(7 * time.Hour)
	once := open(t, Config{Seed: 7})
	once.AdvanceTo(at)
	stepwise := open(t, Config{Seed: 7})
	for m := range 7 * 60 {
		stepwise.AdvanceTo(origin.Add(time.Duration(m) * time.Minute))
		stepwise.AdvanceTo(origin) // the past changes nothing
	}
	stepwise.AdvanceTo(at.Add(59 * time.Second))
	other := open(t, Config{Seed: 8})
	same := 0
	if diff := cmp.Diff(once.Wallets(), stepwise.Wallets()); diff != "" {
		t.Fatalf("the leaderboard differs: %s", diff)
	}
	for _, wallet := range once.Wallets() {
		a, ok := once.Sizes(wallet)
		b, _ := stepwise.Sizes("0x" + strings.ToUpper(wallet[2:]))
		if !ok || a != b {
			t.Errorf("%s: %v in one go, %v by the minute", wallet, a, b)
		}
		if _, known := other.Sizes(wallet); known {
			same++
		}
	}
	if same > 0 {
		t.Errorf("%d wallets are there under another seed", same)
	}
}

func TestOnlyTheTopTrades(t *testing.T) {
	e := open(t, Config{Rows: 900, Active: 50})
	all := e.Wallets()
	before := map[string][asset.Count]asset.Size{}
	for _, w := range all {
		before[w], _ = e.Sizes(w)
	}
	e.AdvanceTo(origin.Add(3 * time.Hour))
	moved := 0
	for rank, w := range e.wallets {
		if after, _ := e.Sizes(w.address.String()); after != before[w.address.String()] {
			moved++
			if rank >= 50 {
				t.Errorf("the wallet of rank %d moved", rank)
			}
		}
	}
	if moved < 30 {
		t.Errorf("%d of 50 wallets moved in three hours", moved)
	}
}

func TestSizesStayPlausibleForWeeks(t *testing.T) {
	t.Parallel()
	e := open(t, Config{Seed: 1, Rows: 300})
	e.AdvanceTo(origin.Add(15 * 24 * time.Hour))
	for _, a := range asset.All {
		var units []float64
		for i := range e.wallets[:e.trading] {
			w := &e.wallets[i]
			size := w.size[a].Abs()
			if size > 4*w.base[a] {
				t.Errorf("wallet %d holds %s %s around a base of %s", i, size.Text(a), a, w.base[a].Text(a))
			}
			if size > 0 {
				units = append(units, size.Float(a))
			}
		}
		slices.Sort(units)
		median := units[len(units)/2]
		t.Logf("%s: %d of %d hold, median %.1f, largest %.0f", a, len(units), e.trading, median, units[len(units)-1])
		if ratio := median / spread[a].median; ratio < 0.3 || ratio > 3 {
			t.Errorf("%s: the median is %.2f after two weeks, %.2f at the start", a, median, spread[a].median)
		}
	}
}

func TestSizesAreShapedLikeRecordedOnes(t *testing.T) {
	recording := recorded2026(t)
	e := open(t, Config{Seed: 1, Active: 1000})
	e.AdvanceTo(origin.Add(6 * time.Hour))
	for _, a := range asset.All {
		var ours, theirs []float64
		for i := range e.wallets {
			if size := e.wallets[i].size[a].Abs(); size > 0 {
				ours = append(ours, math.Log(size.Float(a)))
			}
		}
		for i := range recording.wallets {
			steps := recording.wallets[i].steps
			if size := steps[len(steps)-1].sizes[a].Abs(); size > 0 {
				theirs = append(theirs, math.Log(size.Float(a)))
			}
		}
		slices.Sort(ours)
		slices.Sort(theirs)
		for _, q := range []float64{0.25, 0.5, 0.75, 0.95} {
			mine, real := ours[int(q*float64(len(ours)))], theirs[int(q*float64(len(theirs)))]
			t.Logf("%s at %.0f %%: %.2f, recorded %.2f", a, 100*q, math.Exp(mine), math.Exp(real))
			if math.Abs(mine-real) > math.Log(3) {
				t.Errorf("%s at %.0f %%: %.2f is far from the recorded %.2f", a, 100*q, math.Exp(mine), math.Exp(real))
			}
		}
	}
}

func TestTensOfThousandsTrade(t *testing.T) {
	t.Parallel()
	e := open(t, Config{Rows: 60_000, Active: 60_000})
	e.AdvanceTo(origin.Add(10 * time.Minute))
	if n := len(e.Wallets()); n != 60_000 {
		t.Errorf("%d wallets", n)
	}
}

func BenchmarkDayOf200(b *testing.B) {
	for b.Loop() {
		open(b, Config{Rows: 200, Active: 200}).AdvanceTo(origin.Add(24 * time.Hour))
	}
}
