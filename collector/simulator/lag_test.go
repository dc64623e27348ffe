package simulator

import (
	"encoding/json"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/whalegate/whalegate/internal/asset"
	"github.com/whalegate/whalegate/internal/clock"
)

// The past is checked against markets that were stopped there.
func TestThePastIsWhatTheMarketWas(t *testing.T) {
	const hours = 5
	stopped := map[int]*Exchange{}
	for m := range hours*60 + 1 {
		stopped[m] = open(t, Config{Seed: 3, Rows: 40})
		stopped[m].AdvanceTo(origin.Add(time.Duration(m) * time.Minute))
	}
	rapid.Check(t, func(t *rapid.T) {
		present := rapid.IntRange(0, hours*60).Draw(t, "present")
		back := rapid.IntRange(0, min(present, mostLag)).Draw(t, "back")
		for rank := range stopped[0].wallets {
			got := stopped[present].whole(rank, moment{back: int64(back)})
			if want := stopped[present-back].whole(rank, moment{}); got != want {
				t.Fatalf("wallet %d at minute %d, %d back: %v, want %v", rank, present, back, got, want)
			}
		}
	})
	if got := len(stopped[hours*60].wallets[0].past); got > 8*mostLag {
		t.Errorf("%d changes are remembered", got)
	}
}

func TestThePastBeforeAClose(t *testing.T) {
	e := open(t, Config{Seed: 1})
	e.AdvanceTo(origin.Add(10 * time.Minute))
	wallet := holder3(e)
	before, _ := e.Total(wallet)
	if err := e.Close(wallet, ""); err != nil {
		t.Fatal(err)
	}
	e.AdvanceTo(origin.Add(12 * time.Minute))
	rank := e.accounts[mustAddress(wallet)].wallet
	if got := e.whole(rank, moment{back: 3}); before == [asset.Count]asset.Size{} || got != e.wallets[rank].ago(9) || got[asset.BTC] == 0 {
		t.Errorf("before the close it held %v, at the close %v", got, before)
	}
	if got := e.whole(rank, moment{back: 1}); got != [asset.Count]asset.Size{} {
		t.Errorf("after the close it held %v", got)
	}
}

func mustAddress(text string) address {
	a, err := parseAddress(text)
	if err != nil {
		panic(err)
	}
	return a
}

// holder3 is a wallet without sub-accounts that holds all three assets.
func holder3(e *Exchange) string {
	a, ok := e.sample(moment{})
	if !ok {
		panic("nobody holds all three assets")
	}
	return e.wallets[a.wallet].address.String()
}

// fleeting is a wallet whose sizes differ at every one of these ages.
func fleeting(e *Exchange, ages ...int64) string {
	for rank := range e.wallets[:e.trading] {
		w := &e.wallets[rank]
		seen := map[[asset.Count]asset.Size]bool{}
		for _, age := range ages {
			seen[w.ago(e.minute-age)] = true
		}
		if w.accounts == nil && len(seen) == len(ages) {
			return w.address.String()
		}
	}
	panic("no wallet moves that much")
}

func TestStatesThatAreNotOfThePresent(t *testing.T) {
	for _, tt := range []struct {
		fault string
		age   time.Duration // of the state's time
		back  int64         // minutes, of its sizes
	}{
		{`{"kind":"lag","seconds":1200}`, 20 * time.Minute, 20},
		{`{"kind":"lag","seconds":3600,"endpoint":"state"}`, time.Hour, 60},
		{`{"kind":"lag","seconds":40}`, 40 * time.Second, 1},
		{`{"kind":"lag","seconds":1200,"endpoint":"sub_accounts"}`, 0, 0},
		{`{"kind":"lag","seconds":1200,"variant":"requests"}`, 20 * time.Minute, 20},
		{`{"kind":"half_lag","seconds":1200,"share":1}`, 20 * time.Minute, 20},
		{`{"kind":"future","seconds":90}`, -90 * time.Second, 0},
		{`{"kind":"stale_time","seconds":600}`, 10 * time.Minute, 0},
		{`{"kind":"frozen"}`, 0, 0},
	} {
		synctest.Test(t, func(t *testing.T) {
			e := open(t, Config{Seed: 1, Origin: time.Now()})
			time.Sleep(2*time.Hour + 30*time.Second)
			e.AdvanceTo(time.Now())
			wallet := fleeting(e, 0, 1, 20, 60)
			want := e.wallets[e.accounts[mustAddress(wallet)].wallet].ago(e.minute - tt.back)
			set(t, e, tt.fault)
			c, _ := askState(t, e, wallet)
			if age := time.Since(time.UnixMilli(c.Time)); age != tt.age || c.sizes(t) != want {
				t.Errorf("%s: %s old, %v; want %s, %v", tt.fault, age, c.sizes(t), tt.age, want)
			}
		})
	}
}

func TestFrozenIsTheSameForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := open(t, Config{Seed: 1, Origin: time.Now()})
		time.Sleep(30*time.Minute + 20*time.Second)
		e.AdvanceTo(time.Now())
		wallet := fleeting(e, 0, 5, 20)
		_, before := askState(t, e, wallet)
		set(t, e, `{"kind":"frozen","wallet":"`+wallet+`"}`)
		set(t, e, `{"kind":"mass_close"}`) // later than the freeze, which must not see it
		for range 5 {
			time.Sleep(7 * time.Hour)
			if _, after := askState(t, e, wallet); after != before {
				t.Fatalf("frozen: %s, now %s", before, after)
			}
			if c, _ := askState(t, e, e.Wallets()[5]); time.Since(time.UnixMilli(c.Time)) != 0 {
				t.Error("another wallet is frozen")
			}
		}
		e.ClearFaults()
		if _, after := askState(t, e, wallet); after == before {
			t.Error("it is frozen without a fault")
		}
	})
}

func TestEverySecondNodeLags(t *testing.T) {
	for fault, want := range map[string]int{
		`{"kind":"half_lag","seconds":1200}`:                               10,
		`{"kind":"half_lag","seconds":1200,"share":0.25}`:                  5,
		`{"kind":"lag","seconds":1200,"variant":"requests","share":0.2}`:   4,
		`{"kind":"half_lag","seconds":1200,"wallet":"` + alice + `"}`:      0,
		`{"kind":"half_lag","seconds":1200,"endpoint":"sub_accounts"}`:     0,
		`{"kind":"lag","seconds":1200,"endpoint":"state","share":0.00001}`: 0,
	} {
		synctest.Test(t, func(t *testing.T) {
			e := open(t, Config{Seed: 1, Origin: time.Now()})
			set(t, e, fault)
			lagging := 0
			for _, wallet := range e.Wallets()[:20] {
				if c, _ := askState(t, e, wallet); time.Since(time.UnixMilli(c.Time)) == 20*time.Minute {
					lagging++
				}
			}
			if lagging != want {
				t.Errorf("%s: %d of 20 states lag, want %d", fault, lagging, want)
			}
		})
	}
}

func TestAListIsAnsweredByOneNode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := open(t, Config{Seed: 1, Origin: time.Now()})
		set(t, e, `{"kind":"half_lag","seconds":600}`)
		master := largest50(e)
		for _, want := range []time.Duration{0, 10 * time.Minute, 0} {
			var list []struct{ ClearinghouseState clearinghouse }
			if err := json.Unmarshal(ask(e, `{"type":"subAccounts","user":"`+master+`"}`).Body.Bytes(), &list); err != nil || len(list) != 50 {
				t.Fatalf("%d entries: %v", len(list), err)
			}
			for _, entry := range list {
				if age := time.Since(time.UnixMilli(entry.ClearinghouseState.Time)); age != want {
					t.Fatalf("a state is %s old, want %s", age, want)
				}
			}
		}
	})
}

// As recorded: the states of a list carry one time to the millisecond.
func TestAListHasOneTime(t *testing.T) {
	fast, err := clock.Parse(time.Now().Format(time.RFC3339) + ",100000")
	if err != nil {
		t.Fatal(err)
	}
	e := open(t, Config{Seed: 1, Clock: fast, Origin: fast.Now()})
	var list []struct{ ClearinghouseState clearinghouse }
	if err := json.Unmarshal(ask(e, `{"type":"subAccounts","user":"`+largest50(e)+`"}`).Body.Bytes(), &list); err != nil {
		t.Fatal(err)
	}
	for _, entry := range list {
		if entry.ClearinghouseState.Time != list[0].ClearinghouseState.Time {
			t.Fatalf("times are %d and %d", list[0].ClearinghouseState.Time, entry.ClearinghouseState.Time)
		}
	}
}

func largest50(e *Exchange) string {
	for i := range e.wallets[:e.trading] {
		if w := &e.wallets[i]; len(w.accounts) == 51 {
			return w.address.String()
		}
	}
	panic("no master of 50")
}

func TestSameStateForAShareOfWallets(t *testing.T) {
	e := open(t, Config{Seed: 1, Origin: time.Now()})
	set(t, e, `{"kind":"same_state","share":0.4}`)
	seen := map[string]int{}
	most := ""
	for _, wallet := range e.Wallets()[:200] {
		c, body := askState(t, e, wallet)
		key := body[:strings.LastIndex(body, `"time"`)]
		if seen[key]++; c.sizes(t) != [asset.Count]asset.Size{} && seen[key] > seen[most] {
			most = key
		}
		if time.Since(time.UnixMilli(c.Time)) > time.Minute {
			t.Error("a repeated state has an old time")
		}
	}
	if seen[most] < 60 || seen[most] > 100 {
		t.Errorf("%d of 200 are answered with one state", seen[most])
	}
}
