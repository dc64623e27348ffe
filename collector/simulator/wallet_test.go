package simulator

import (
	"math"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/whalegate/whalegate/internal/asset"
)

func TestPartsAddUpWhateverIsHeld(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWallet(chance(rapid.Uint64().Draw(t, "wallet")), true)
		n := rapid.IntRange(1, 50).Draw(t, "accounts")
		w.split(n)
		var whole, sum [asset.Count]asset.Size
		for _, a := range asset.All {
			whole[a] = asset.Size(rapid.Int64Range(-1e12, 1e12).Draw(t, a.String()))
		}
		seen := map[address]bool{}
		for i := range w.accounts {
			part := w.part(i, whole)
			for _, a := range asset.All {
				sum[a] += part[a]
				if sign(part[a])*sign(whole[a]) < 0 {
					t.Errorf("account %d holds %d of %d", i, part[a], whole[a])
				}
			}
			seen[w.accounts[i].address] = true
		}
		if sum != whole || len(seen) != n+1 {
			t.Errorf("%d accounts of %d hold %v of %v", len(seen), n+1, sum, whole)
		}
		if n > 10 && w.part(0, whole) != [asset.Count]asset.Size{} {
			t.Error("the master of many holds something itself")
		}
	})
}

func TestTempersComeInTheirShares(t *testing.T) {
	seen := map[temper]float64{}
	const n = 20_000
	for i := range uint64(n) {
		seen[drawTemper(chance(3).of(i))] += 100.0 / n
	}
	sum := 0
	for _, s := range shares {
		sum += s.percent
		if got := seen[s.temper]; math.Abs(got-float64(s.percent)) > 1 {
			t.Errorf("temper %d: %.1f %%, want %d", s.temper, got, s.percent)
		}
	}
	if sum != 100 {
		t.Errorf("the shares add up to %d", sum)
	}
}

func TestSomeWhoDoNotTradeHoldSomething(t *testing.T) {
	holding := 0
	const n = 2000
	for i := range n {
		w := newWallet(chance(5).of(uint64(i)), false)
		if w.temper != empty {
			t.Fatalf("wallet %d has temper %d", i, w.temper)
		}
		if w.size != [asset.Count]asset.Size{} {
			holding++
		}
	}
	if holding < n/4 || holding > n/2 {
		t.Errorf("%d of %d hold something", holding, n)
	}
}

func TestChanceIsUniform(t *testing.T) {
	const n = 50_000
	buckets := make([]int, 10)
	sum, squares := 0.0, 0.0
	for i := range uint64(n) {
		c := chance(1).of(i)
		buckets[c.below(10)]++
		if f := c.float(); f < 0 || f >= 1 {
			t.Fatalf("float is %v", f)
		}
		if b := c.of(1).between(-3, 3); b < -3 || b > 3 {
			t.Fatalf("between -3 and 3 is %d", b)
		}
		x := c.of(2).normal()
		sum, squares = sum+x, squares+x*x
	}
	for i, got := range buckets {
		if math.Abs(float64(got)-n/10) > n/100 {
			t.Errorf("bucket %d has %d of %d", i, got, n)
		}
	}
	if mean, deviation := sum/n, math.Sqrt(squares/n); math.Abs(mean) > 0.02 || math.Abs(deviation-1) > 0.02 {
		t.Errorf("normal has mean %.3f and deviation %.3f", mean, deviation)
	}
}

func TestAddressesInAnyCase(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := drawAddress(chance(rapid.Uint64().Draw(t, "address")))
		for _, text := range []string{a.String(), a.mixedCase(), "0X" + strings.ToUpper(a.String()[2:])} {
			if got, err := parseAddress(text); err != nil || got != a {
				t.Errorf("%s is %s: %v", text, got, err)
			}
		}
	})
	for _, text := range []string{"", "0x", alice + "0", alice[:41], alice[2:], "0x" + strings.Repeat("g", 40), "0x" + strings.Repeat("é", 20), strings.Repeat("x", 1000)} {
		if _, err := parseAddress(text); err == nil || len(err.Error()) > 150 {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestNumbersAreWrittenAsUpstreamDoes(t *testing.T) {
	for f, want := range map[float64]string{0: "0.0", 984: "984.0", -1.5: "-1.5", 1820950.9027: "1820950.9027", 1e-9: "0.0", 2225318.223051: "2225318.2230509999"} {
		if got := decimal(f); got != want {
			t.Errorf("%v is %s, want %s", f, got, want)
		}
	}
	for f, want := range map[float64]string{95137.76: "95138.0", 3297.4712: "3297.5", 0.0931234567: "0.093123", 86419.5: "86420.0", 7: "7.0"} {
		if got := brief(f); got != want {
			t.Errorf("price %v is %s, want %s", f, got, want)
		}
	}
}

func TestCoinsAreThereOnce(t *testing.T) {
	if n := len(otherCoins); n < 150 {
		t.Errorf("%d coins", n)
	}
	sorted := slices.Sorted(slices.Values(otherCoins))
	if len(slices.Compact(sorted)) != len(otherCoins) {
		t.Error("a coin is there twice")
	}
	for _, coin := range otherCoins {
		if a, ours := asset.FromCoin(coin); ours {
			t.Errorf("%s is one of ours", a)
		}
	}
}

// Meant for the race detector: everything at once, as servers do it.
func TestExchangeIsSafeForConcurrentUse(t *testing.T) {
	t.Parallel()
	e := open(t, Config{Rows: 60, WeightPerMinute: 500, Origin: time.Now().Add(-time.Hour)})
	wallets := e.Wallets()
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			for n := range 10 {
				w := wallets[(i*10+n)%len(wallets)]
				ask(e, `{"type":"clearinghouseState","user":"`+w+`"}`)
				ask(e, `{"type":"subAccounts","user":"`+w+`"}`)
				getBoard(e)
				e.AdvanceTo(e.config.Origin.Add(time.Duration(i*n) * time.Hour))
				if err := e.Close(w, "BTC"); err != nil {
					t.Error(err)
				}
				for _, f := range []Fault{
					{Kind: FloatNoise, For: time.Millisecond}, {Kind: Frozen, Share: 0.2}, {Kind: HalfLag, Seconds: 600}, {Kind: SameState, Share: 0.2},
				} {
					if err := e.SetFault(f); err != nil {
						t.Error(err)
					}
				}
				ask(e, `{"type":"clearinghouseState","user":"`+w+`"}`)
				ask(e, `{"type":"userRole","user":"`+w+`"}`)
				ask(e, `{"type":"meta"}`)
				e.Faults()
				e.ClearFaults()
				e.report()
				e.Total(w)
				e.Wallets()
			}
		})
	}
	all.Wait()
	for _, w := range wallets {
		if sizes, _ := e.Sizes(w); sizes[asset.BTC] != 0 {
			t.Errorf("%s holds BTC after it closed", w)
		}
	}
}
