package simulator

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/whalegate/whalegate/internal/asset"
)

// clearinghouse is what a client reads of a state.
type clearinghouse struct {
	MarginSummary, CrossMarginSummary        *struct{ AccountValue, TotalNtlPos, TotalRawUsd, TotalMarginUsed string }
	CrossMaintenanceMarginUsed, Withdrawable string
	AssetPositions                           []struct {
		Type     string
		Position struct {
			Coin, Szi, EntryPx, PositionValue, UnrealizedPnl, ReturnOnEquity, MarginUsed string
			LiquidationPx                                                                *string
			MaxLeverage                                                                  int
			Leverage                                                                     struct {
				Type  string
				Value int
			}
			CumFunding struct{ AllTime, SinceOpen, SinceChange string }
		}
	}
	Time int64
}

func (c clearinghouse) sizes(t *testing.T) (all [asset.Count]asset.Size) {
	t.Helper()
	seen := map[string]bool{}
	for _, p := range c.AssetPositions {
		if seen[p.Position.Coin] {
			t.Errorf("%s is listed twice", p.Position.Coin)
		}
		seen[p.Position.Coin] = true
		a, ours := asset.FromCoin(p.Position.Coin)
		if !ours {
			continue
		}
		var err error
		if all[a], err = asset.ParseSize(p.Position.Szi, a); err != nil {
			t.Error(err)
		}
	}
	return all
}

// ask sends a question to the handler, from another machine.
func ask(e *Exchange, body string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	e.Handler().ServeHTTP(w, httptest.NewRequest("POST", "/info", strings.NewReader(body)))
	return w
}

func askState(t *testing.T, e *Exchange, user string) (clearinghouse, string) {
	t.Helper()
	w := ask(e, `{"type":"clearinghouseState","user":"`+user+`"}`)
	var c clearinghouse
	if err := json.Unmarshal(w.Body.Bytes(), &c); err != nil || w.Code != 200 || c.AssetPositions == nil {
		t.Fatalf("%d %s: %v", w.Code, w.Body, err)
	}
	return c, w.Body.String()
}

func TestStatesAreTheTruthInEveryShape(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := open(t, Config{Seed: 1, Rows: 1500, Active: 1000, Origin: time.Now()})
		time.Sleep(90 * time.Minute)
		seen := map[string]int{}
		smallest, largest := 1<<30, 0
		for _, wallet := range e.Wallets() {
			for _, account := range append(e.SubAccounts(wallet), wallet) {
				c, body := askState(t, e, account)
				want, _ := e.Sizes(account)
				if got := c.sizes(t); got != want {
					t.Errorf("%s answers %v and holds %v", account, got, want)
				}
				if c.Time != time.Now().UnixMilli() {
					t.Errorf("time is %d", c.Time)
				}
				smallest, largest = min(smallest, len(body)), max(largest, len(body))
				if len(c.AssetPositions) == 0 {
					seen["nothing"]++
				}
				if len(c.AssetPositions) > 16 {
					seen["more than 16"]++
				}
				for _, p := range c.AssetPositions {
					a, ours := asset.FromCoin(p.Position.Coin)
					switch {
					case ours && p.Position.Szi == "0.0":
						seen["listed at 0"]++
					case ours && len(p.Position.Szi)-strings.Index(p.Position.Szi, ".") > a.Decimals()+3:
						seen["float noise"]++
					case !ours:
						seen["other coins"]++
					}
					seen[p.Position.Leverage.Type]++
				}
			}
		}
		for _, what := range []string{"nothing", "more than 16", "listed at 0", "float noise", "other coins", "cross", "isolated"} {
			if seen[what] < 5 {
				t.Errorf("%s: %d times", what, seen[what])
			}
		}
		t.Logf("bodies of %d to %d bytes", smallest, largest)
		if smallest > 450 || largest < 60_000 || largest > 120_000 {
			t.Errorf("bodies have %d to %d bytes, want 300 to 80,000", smallest, largest)
		}
	})
}

func TestAddressesWithoutCaseAndStrangers(t *testing.T) {
	e := open(t, Config{Origin: time.Now()})
	wallet := e.Wallets()[0]
	askState(t, e, "0x"+strings.ToUpper(wallet[2:]))
	if c, body := askState(t, e, alice); len(c.AssetPositions) != 0 || c.MarginSummary.AccountValue != "0.0" {
		t.Errorf("a stranger holds %s", body)
	}
	if w := ask(e, `{"type":"subAccounts","user":"`+alice+`"}`); w.Body.String() != "null" || w.Code != 200 {
		t.Errorf("a stranger has sub-accounts: %s", w.Body)
	}
	if _, ok := e.Sizes("0x12"); ok {
		t.Error("half an address has sizes")
	}
}

func TestQuestionsThatAreNone(t *testing.T) {
	e := open(t, Config{Origin: time.Now()})
	for _, body := range []string{
		`{"type":"leaderboard"}`, `{"type":"batchClearinghouseStates"}`, `{}`, ``, `null`, `[`, `{"type":7}`,
		`{"type":"clearinghouseState"}`, `{"type":"clearinghouseState","user":"0x12"}`, `{"type":"subAccounts","user":"bob"}`,
		`{"type":"` + strings.Repeat("x", mostBody) + `"}`,
	} {
		w := ask(e, body)
		if got := w.Body.String(); w.Code != 422 || got != "Failed to deserialize the JSON body into the target type" || !strings.HasPrefix(w.Header().Get("Content-Type"), "text/plain") {
			t.Errorf("%.40s: %d %s", body, w.Code, got)
		}
	}
	w := httptest.NewRecorder()
	e.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/info", nil))
	if w.Code != http.StatusMethodNotAllowed {
		t.Errorf("GET /info answers %d", w.Code)
	}
}

func TestSubAccountsAddUpToTheirMaster(t *testing.T) {
	e := open(t, Config{Seed: 1, Origin: time.Now()})
	masters, most := 0, 0
	for i := range e.wallets[:e.trading] {
		w := &e.wallets[i]
		subs := e.SubAccounts(w.address.String())
		if subs == nil {
			continue
		}
		masters++
		most = max(most, len(subs))
		sum, _ := e.Sizes(w.address.String())
		if len(subs) == 50 && sum != [asset.Count]asset.Size{} {
			t.Errorf("the master of 50 holds %v itself", sum)
		}
		for _, sub := range subs {
			sizes, _ := e.Sizes(sub)
			for _, a := range asset.All {
				sum[a] += sizes[a]
			}
		}
		if sum != w.size {
			t.Errorf("the accounts of %s add up to %v, want %v", w.address, sum, w.size)
		}
		if len(subs) == 50 && sum == [asset.Count]asset.Size{} {
			t.Error("the 50 hold nothing")
		}
		var list []struct {
			Name, SubAccountUser, Master string
			ClearinghouseState           clearinghouse
			SpotState                    struct{ Balances []any }
		}
		if err := json.Unmarshal(ask(e, `{"type":"subAccounts","user":"`+w.address.String()+`"}`).Body.Bytes(), &list); err != nil {
			t.Fatal(err)
		}
		var listed []string
		for _, sub := range list {
			listed = append(listed, sub.SubAccountUser)
			if want, _ := e.Sizes(sub.SubAccountUser); sub.ClearinghouseState.sizes(t) != want || sub.Master != w.address.String() {
				t.Errorf("sub-account %s of %s: %v", sub.SubAccountUser, sub.Master, sub.ClearinghouseState)
			}
		}
		if diff := cmp.Diff(subs, listed); diff != "" {
			t.Error(diff)
		}
		if e.SubAccounts(subs[0]) != nil {
			t.Error("a sub-account has sub-accounts")
		}
	}
	if masters < 3 || masters > 30 || most != 50 {
		t.Errorf("%d masters with at most %d sub-accounts", masters, most)
	}
}

func TestTrembleLooksLikeFloats(t *testing.T) {
	noise := regexp.MustCompile(`^-?[0-9]+\.[0-9]{9,}$`)
	for _, szi := range []string{"1064075.6", "984.0", "-0.0008", "-116.7339"} {
		got := tremble(szi)
		if !noise.MatchString(got) {
			t.Errorf("%s trembles to %s", szi, got)
		}
		want, _ := asset.ParseSize(szi, asset.BTC)
		if size, err := asset.ParseSize(got, asset.BTC); err != nil || size != want {
			t.Errorf("%s is not %s any more: %v", got, szi, err)
		}
	}
	if tremble("0.0") != "0.0" || tremble("x") != "x" {
		t.Error("what is no number trembles")
	}
}
