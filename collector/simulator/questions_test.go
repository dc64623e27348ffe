package simulator

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/whalegate/whalegate/internal/clock"
)

func TestQuestionsAndTheirWeight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := open(t, Config{Seed: 1, Origin: time.Now()})
		master := largest50(e)
		sub := e.SubAccounts(master)[0]
		now := milliseconds(time.Now())
		for i, tt := range []struct {
			question string
			weight   int
			want     string // the whole body, or with … its beginning
		}{
			{`{"type":"clearinghouseState","user":"` + master + `"}`, 2, `{"marginSummary":{"accountValue":"…`},
			{`{"type":"subAccounts","user":"` + sub + `"}`, 20, `null`},
			{`{"type":"subAccounts","user":"` + alice + `"}`, 20, `null`},
			{`{"type":"subAccounts","user":"` + master + `"}`, 20,
				`[{"name":"F1","subAccountUser":"` + sub + `","master":"` + master + `","clearinghouseState":{"marginSummary":…`},
			{`{"type":"userRole","user":"` + alice + `"}`, 60, `{"role":"missing"}`},
			{`{"type":"userRole","user":"0x` + strings.ToUpper(master[2:]) + `"}`, 60, `{"role":"user"}`},
			{`{"type":"userRole","user":"` + sub + `"}`, 60, `{"role":"subAccount","data":{"master":"` + master + `"}}`},
			{`{"type":"vaultDetails","vaultAddress":"` + master + `"}`, 20, `null`},
			{`{"type":"vaultDetails","vaultAddress":"` + alice + `"}`, 20, `null`},
			{`{"type":"meta"}`, 20, `{"universe":[{"szDecimals":5,"name":"BTC","maxLeverage":40},{"szDecimals":4,"name":"ETH",…`},
			{`{"type":"exchangeStatus"}`, 2, `{"specialStatuses":null,"time":` + now + `}`},
			{`{"type":"l2Book","coin":"BTC"}`, 2,
				`{"coin":"BTC","time":` + now + `,"levels":[[{"px":"86313.0","sz":"1.0","n":1}],[{"px":"86330.0","sz":"1.0","n":1}]]}`},
			{`{"type":"l2Book","coin":"NONE"}`, 2, `null`},
		} {
			r := httptest.NewRequest("POST", "/info", strings.NewReader(tt.question))
			client := "192.0.2." + string(rune('a'+i))
			r.RemoteAddr = client + ":1"
			w := httptest.NewRecorder()
			e.Handler().ServeHTTP(w, r)
			beginning, open := strings.CutSuffix(tt.want, "…")
			got := w.Body.String()
			if w.Code != 200 || !json.Valid(w.Body.Bytes()) || !strings.HasPrefix(got, beginning) || !open && got != tt.want {
				t.Errorf("%s: %d %.200s, want %s", tt.question, w.Code, got, tt.want)
			}
			if got := e.Clients()[client]; got != (ClientStats{tt.weight, tt.weight, 0}) {
				t.Errorf("%s: %+v, want a weight of %d", tt.question, got, tt.weight)
			}
		}
	})
}

// coins is what a client reads of meta.
type coins struct {
	Universe []struct {
		Name        string
		SzDecimals  int
		MaxLeverage int
		IsDelisted  bool
	}
}

func askMeta(t *testing.T, e *Exchange) (c coins) {
	t.Helper()
	w := ask(e, `{"type":"meta"}`)
	if err := json.Unmarshal(w.Body.Bytes(), &c); err != nil || w.Code != 200 {
		t.Fatalf("%d %v", w.Code, err)
	}
	return c
}

// ours are the entries of the given names, as "decimals" or "delisted".
func (c coins) ours(names ...string) map[string][]string {
	found := map[string][]string{}
	for _, l := range c.Universe {
		for _, name := range names {
			switch {
			case l.Name == name && l.IsDelisted:
				found[name] = append(found[name], "delisted")
			case l.Name == name:
				found[name] = append(found[name], string(rune('0'+l.SzDecimals)))
			}
		}
	}
	return found
}

func TestMetaKnowsEveryCoinOnce(t *testing.T) {
	c := askMeta(t, open(t, Config{Origin: time.Now()}))
	seen := map[string]bool{}
	delisted := 0
	for _, l := range c.Universe {
		if seen[l.Name] || l.MaxLeverage < 1 || l.SzDecimals < 0 {
			t.Errorf("%+v", l)
		}
		seen[l.Name] = true
		if l.IsDelisted {
			delisted++
		}
	}
	if len(seen) < 150 || delisted < 5 {
		t.Errorf("%d coins, %d of them delisted", len(seen), delisted)
	}
	if diff := cmp.Diff(map[string][]string{"BTC": {"5"}, "ETH": {"4"}, "HYPE": {"2"}}, c.ours("BTC", "ETH", "HYPE")); diff != "" {
		t.Error(diff)
	}
}

func TestRename(t *testing.T) {
	for _, tt := range []struct {
		fault string
		state string // what BTC is called there
		meta  map[string][]string
	}{
		{`{"kind":"rename","asset":"BTC"}`, "kBTC", map[string][]string{"kBTC": {"5"}}},
		{`{"kind":"rename","asset":"BTC","value":"XBT"}`, "XBT", map[string][]string{"XBT": {"5"}}},
		{`{"kind":"rename","asset":"BTC","variant":"states"}`, "kBTC", map[string][]string{"BTC": {"5"}}},
		{`{"kind":"rename","asset":"BTC","variant":"meta"}`, "BTC", map[string][]string{"kBTC": {"5"}}},
		{`{"kind":"rename","asset":"BTC","variant":"delisted"}`, "", map[string][]string{"BTC": {"delisted"}}},
		{`{"kind":"rename","asset":"BTC","variant":"decimals"}`, "BTC", map[string][]string{"BTC": {"6"}}},
		{`{"kind":"rename","asset":"ETH"}`, "BTC", map[string][]string{"BTC": {"5"}}},
		{`{"kind":"rename","asset":"BTC","wallet":"` + alice + `"}`, "BTC", map[string][]string{"BTC": {"5"}}},
	} {
		e := open(t, Config{Seed: 1, Origin: time.Now()})
		set(t, e, tt.fault)
		c, _ := askState(t, e, holder3(e))
		name := ""
		for _, p := range c.AssetPositions {
			if p.Position.Coin == "BTC" || p.Position.Coin == "kBTC" || p.Position.Coin == "XBT" {
				name += p.Position.Coin
			}
		}
		if name != tt.state {
			t.Errorf("%s: states call it %q, want %q", tt.fault, name, tt.state)
		}
		if diff := cmp.Diff(tt.meta, askMeta(t, e).ours("BTC", "kBTC", "XBT")); diff != "" {
			t.Errorf("%s: %s", tt.fault, diff)
		}
	}
}

func TestMetaFaults(t *testing.T) {
	e := open(t, Config{Origin: time.Now()})
	set(t, e, `{"kind":"meta","variant":"empty"}`)
	if c := askMeta(t, e); c.Universe == nil || len(c.Universe) != 0 {
		t.Errorf("empty: %v", c)
	}
	e.ClearFaults()
	set(t, e, `{"kind":"meta","variant":"duplicate","share":0.5}`)
	for _, want := range []map[string][]string{{"BTC": {"5"}, "HYPE": {"2"}}, {"BTC": {"5", "delisted"}, "HYPE": {"2", "delisted"}}} {
		if diff := cmp.Diff(want, askMeta(t, e).ours("BTC", "HYPE")); diff != "" {
			t.Error(diff)
		}
	}
	e.ClearFaults()
	set(t, e, `{"kind":"meta","variant":"large"}`)
	if body := ask(e, `{"type":"meta"}`).Body; body.Len() != largeMeta || !json.Valid(body.Bytes()) {
		t.Errorf("large: %d bytes", body.Len())
	}
	if w := ask(e, `{"type":"clearinghouseState","user":"`+alice+`"}`); w.Body.Len() > 1000 {
		t.Error("a fault of meta hits a state")
	}
}

func TestFaultsOfOneEndpoint(t *testing.T) {
	asked := map[string]string{
		"state": `{"type":"clearinghouseState","user":"` + alice + `"}`, "sub_accounts": `{"type":"subAccounts","user":"` + alice + `"}`,
		"role": `{"type":"userRole","user":"` + alice + `"}`, "vault": `{"type":"vaultDetails","vaultAddress":"` + alice + `"}`,
		"meta": `{"type":"meta"}`,
	}
	e := open(t, Config{Origin: time.Now()})
	for hit := range asked {
		e.ClearFaults()
		set(t, e, `{"kind":"status","code":503,"endpoint":"`+hit+`"}`)
		for endpoint, question := range asked {
			if code := ask(e, question).Code; (code == 503) != (endpoint == hit) {
				t.Errorf("a fault of %s: %s answers %d", hit, endpoint, code)
			}
		}
	}
	e.ClearFaults()
	set(t, e, `{"kind":"wallets"}`)
	for endpoint, question := range asked {
		if code := ask(e, question).Code; (code == 500) != (endpoint != "meta") {
			t.Errorf("a fault of wallets: %s answers %d", endpoint, code)
		}
	}
	e.ClearFaults()
	set(t, e, `{"kind":"role","variant":"unknown"}`)
	if body := ask(e, asked["role"]).Body.String(); body != `{"role":"custodian"}` {
		t.Errorf("an unknown role is %s", body)
	}
}

func TestSubAccountsThatCannotBeRead(t *testing.T) {
	e := open(t, Config{Seed: 1, Origin: time.Now()})
	master := largest50(e)
	type entry struct{ SubAccountUser, Master string }
	twice := func(list []entry) (n int) {
		seen := map[string]bool{}
		for _, e := range list {
			if seen[e.SubAccountUser] {
				n++
			}
			seen[e.SubAccountUser] = true
		}
		return n
	}
	count := func(list []entry, who string) (n int) {
		for _, e := range list {
			if e.SubAccountUser == who {
				n++
			}
		}
		return n
	}
	for who, many := range map[string]int{master: 50, alice: 1} {
		for variant, check := range map[string]func(list []entry) bool{
			"text":       func(list []entry) bool { return false },
			"null":       func(list []entry) bool { return list == nil },
			"no_address": func(list []entry) bool { return len(list) == many+1 && count(list, "") == 1 },
			"self":       func(list []entry) bool { return len(list) == many+1 && count(list, who) == 1 },
			"twice":      func(list []entry) bool { return len(list) == many+1 && twice(list) == 1 },
			"long":       func(list []entry) bool { return len(list) == 10_000 && twice(list) == 0 },
		} {
			e.ClearFaults()
			set(t, e, `{"kind":"subaccounts_unreadable","variant":"`+variant+`"}`)
			w := ask(e, `{"type":"subAccounts","user":"`+who+`"}`)
			var list []entry
			err := json.Unmarshal(w.Body.Bytes(), &list)
			if w.Code != 200 || (err != nil) != (variant == "text") || err == nil && !check(list) {
				t.Errorf("%s of %s: %d, %d entries, %v", variant, who, w.Code, len(list), err)
			}
		}
	}
	e.ClearFaults()
	set(t, e, `{"kind":"subaccounts_unreadable","variant":"text","share":0.3}`)
	hit := 0
	for _, wallet := range e.Wallets() {
		if strings.HasPrefix(ask(e, `{"type":"subAccounts","user":"`+wallet+`"}`).Body.String(), `"`) {
			hit++
		}
	}
	if hit < 250 || hit > 350 {
		t.Errorf("%d of 1000 are hit", hit)
	}
}

func TestDateIsOfTheSimulatedClock(t *testing.T) {
	fast, err := clock.Parse("2026-01-01T00:00:00Z,1000")
	if err != nil {
		t.Fatal(err)
	}
	e := open(t, Config{Clock: fast, Origin: fast.Now()})
	for method, path := range map[string]string{"POST": "/info", "GET": "/Mainnet/leaderboard", "PUT": "/nowhere"} {
		before := fast.Now().Truncate(time.Second)
		w := control(e, local, method, path, `{"type":"meta"}`)
		date, err := http.ParseTime(w.Header().Get("Date"))
		if err != nil || date.Before(before) || date.After(fast.Now()) {
			t.Errorf("%s: Date is %s, asked at %s: %v", path, w.Header().Get("Date"), before, err)
		}
	}
}

func TestDateIsOfTheAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := open(t, Config{Origin: time.Now(), Latency: 3 * time.Second})
		set(t, e, `{"kind":"latency","ms":4000}`)
		if got, want := ask(e, `{"type":"meta"}`).Header().Get("Date"), time.Now().UTC().Format(http.TimeFormat); got != want {
			t.Errorf("Date is %s at %s", got, want)
		}
		if got, want := getBoard(e).Header().Get("Date"), time.Now().UTC().Format(http.TimeFormat); got != want {
			t.Errorf("Date of the leaderboard is %s at %s", got, want)
		}
	})
}

// explained is the share of what the leaderboard says that the states of these
// accounts say as well.
func explained(t *testing.T, e *Exchange, rows map[string]float64, wallet string, accounts ...string) float64 {
	t.Helper()
	sum := 0.0
	for _, account := range accounts {
		c, _ := askState(t, e, account)
		sum += number(t, c.MarginSummary.AccountValue)
	}
	return sum / rows[wallet]
}

func TestAccountValueExplainsTheLeaderboard(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := open(t, Config{Seed: 1, Origin: time.Now()})
		time.Sleep(90 * time.Minute)
		rows := values(t, e)
		for _, wallet := range e.Wallets() {
			subs := e.SubAccounts(wallet)
			alone, all := explained(t, e, rows, wallet, wallet), explained(t, e, rows, wallet, append(subs, wallet)...)
			if (alone > 0.5) != (subs == nil) || all < 0.96 || all > 1.04 {
				t.Errorf("%s with %d sub-accounts: its state explains %.2f of its row, all of them %.2f", wallet, len(subs), alone, all)
			}
		}
	})
}

// values are the account values of the leaderboard.
func values(t *testing.T, e *Exchange) map[string]float64 {
	t.Helper()
	rows := map[string]float64{}
	for _, r := range readBoard(t, e).LeaderboardRows {
		rows[strings.ToLower(r.EthAddress)] = number(t, r.AccountValue)
	}
	return rows
}

func number(t *testing.T, text string) float64 {
	t.Helper()
	var f float64
	if err := json.Unmarshal([]byte(text), &f); err != nil {
		t.Fatal(err)
	}
	return f
}
