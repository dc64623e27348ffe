package simulator

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/whalegate/whalegate/internal/asset"
)

func set(t *testing.T, e *Exchange, text string) {
	t.Helper()
	var f Fault
	if err := json.Unmarshal([]byte(text), &f); err != nil {
		t.Fatal(err)
	}
	if err := e.SetFault(f); err != nil {
		t.Fatal(err)
	}
}

// Over a real connection, because some faults are what happens to it.
func TestRequestsFailAsTheyDoUpstream(t *testing.T) {
	e := open(t, Config{Seed: 1, Origin: time.Now()})
	server := httptest.NewServer(e.Handler())
	defer server.Close()
	wallet := e.Wallets()[0]
	for _, tt := range []struct {
		fault  string
		code   int
		body   string // a part of it
		header string // content type
		err    error
	}{
		{`{"kind":"status","code":429,"retry_after":"1500ms"}`, 429, "null", "application/json", nil},
		{`{"kind":"status","code":500}`, 500, "null", "application/json", nil},
		{`{"kind":"status","code":422}`, 422, "Failed to deserialize the JSON body", "text/plain; charset=utf-8", nil},
		{`{"kind":"status","code":502}`, 502, "<h1>502 Bad Gateway</h1>", "text/html", nil},
		{`{"kind":"status","code":503}`, 503, "<h1>503 Service Unavailable</h1>", "text/html", nil},
		{`{"kind":"status","code":504}`, 504, "<h1>504 Gateway Timeout</h1>", "text/html", nil},
		{`{"kind":"null"}`, 200, "null", "application/json", nil},
		{`{"kind":"html"}`, 200, "<html>", "text/html", nil},
		{`{"kind":"wallets","endpoint":"state"}`, 500, "null", "application/json", nil},
		{`{"kind":"latency","ms":1}`, 200, `{"marginSummary"`, "application/json", nil},
		{`{"kind":"drop"}`, 0, "", "", io.EOF},
		{`{"kind":"truncate"}`, 200, `{"marginSummary"`, "application/json", io.ErrUnexpectedEOF},
		{`{"kind":"truncate","variant":"clean"}`, 200, `{"marginSummary"`, "application/json", nil},
	} {
		e.ClearFaults()
		set(t, e, tt.fault)
		response, err := http.Post(server.URL+"/info", "application/json", strings.NewReader(`{"type":"clearinghouseState","user":"`+wallet+`"}`))
		if tt.code == 0 {
			if !errors.Is(err, tt.err) {
				t.Errorf("%s: %v", tt.fault, err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", tt.fault, err)
			continue
		}
		body, err := io.ReadAll(response.Body)
		response.Body.Close()
		exact := tt.body == "null" && string(body) != tt.body
		if response.StatusCode != tt.code || exact || !strings.Contains(string(body), tt.body) || response.Header.Get("Content-Type") != tt.header || !errors.Is(err, tt.err) {
			t.Errorf("%s: %d %s %s %v", tt.fault, response.StatusCode, response.Header, body, err)
		}
		if got := response.Header.Get("Retry-After"); (got == "2") != strings.Contains(tt.fault, "retry_after") {
			t.Errorf("%s: Retry-After is %q", tt.fault, got)
		}
		if strings.Contains(tt.fault, "truncate") && json.Valid(body) {
			t.Errorf("%s: the body is whole", tt.fault)
		}
	}
	want := map[string]int{"200": 3, "429": 1, "500": 2, "422": 1, "502": 1, "503": 1, "504": 1, "dropped": 1, "truncated": 2}
	if diff := cmp.Diff(want, e.Stats()["state"]); diff != "" {
		t.Errorf("stats: %s", diff)
	}
}

func TestHangEndsWithTheClientOrTheFault(t *testing.T) {
	e := open(t, Config{Origin: time.Now()})
	server := httptest.NewServer(e.Handler())
	defer server.Close()
	set(t, e, `{"kind":"hang","endpoint":"leaderboard"}`)
	client := http.Client{Timeout: 20 * time.Millisecond}
	if _, err := client.Get(server.URL + "/Mainnet/leaderboard"); err == nil {
		t.Error("there was an answer")
	}
	if w := ask(e, `{"type":"clearinghouseState","user":"`+alice+`"}`); w.Code != 200 {
		t.Errorf("the other endpoint answers %d", w.Code)
	}
	done := make(chan error)
	go func() {
		_, err := http.Get(server.URL + "/Mainnet/leaderboard")
		done <- err
	}()
	for { // until the request hangs
		e.faults.mu.Lock()
		hanging := e.faults.active[0].seen == 2
		e.faults.mu.Unlock()
		if hanging {
			break
		}
		runtime.Gosched()
	}
	e.ClearFaults()
	if err := <-done; err == nil {
		t.Error("whoever hung got an answer")
	}
}

func TestShareOfRequestsIsExact(t *testing.T) {
	e := open(t, Config{Origin: time.Now()})
	set(t, e, `{"kind":"status","code":503,"share":0.3}`)
	set(t, e, `{"kind":"status","code":500,"endpoint":"sub_accounts"}`)
	failed := 0
	for range 100 {
		if ask(e, `{"type":"clearinghouseState","user":"`+alice+`"}`).Code == 503 {
			failed++
		}
	}
	if failed != 30 {
		t.Errorf("%d of 100 failed", failed)
	}
	codes := map[int]int{}
	for range 10 {
		codes[ask(e, `{"type":"subAccounts","user":"`+alice+`"}`).Code]++
	}
	if codes[503] != 3 || codes[500] != 7 {
		t.Errorf("both faults: %v", codes)
	}
}

func TestShareOfWalletsIsAlwaysTheSame(t *testing.T) {
	e := open(t, Config{Seed: 1, Origin: time.Now()})
	set(t, e, `{"kind":"wallets","share":0.25}`)
	var failed, again []string
	for _, list := range []*[]string{&failed, &again} {
		for _, wallet := range e.Wallets() {
			code := ask(e, `{"type":"clearinghouseState","user":"`+wallet+`"}`).Code
			if code == 500 {
				*list = append(*list, wallet)
			}
			for _, sub := range e.SubAccounts(wallet) {
				if got := ask(e, `{"type":"clearinghouseState","user":"`+sub+`"}`).Code; got != code {
					t.Errorf("the sub-account %s answers %d, its master %d", sub, got, code)
				}
			}
		}
	}
	if diff := cmp.Diff(failed, again); diff != "" || len(failed) < 200 || len(failed) > 300 {
		t.Errorf("%d of 1000 fail, then others: %s", len(failed), diff)
	}
}

func TestContentOfStates(t *testing.T) {
	e := open(t, Config{Seed: 1, Origin: time.Now()})
	var wallet string
	for _, wallet = range e.Wallets() {
		if sizes, _ := e.Sizes(wallet); sizes[asset.BTC] != 0 && sizes[asset.ETH] != 0 && sizes[asset.HYPE] != 0 {
			break
		}
	}
	truth, _ := e.Sizes(wallet)
	btc := truth[asset.BTC].Text(asset.BTC)
	for _, tt := range []struct {
		fault string
		check func(body string) bool
	}{
		{`{"kind":"schema","variant":"szi"}`, func(b string) bool {
			return !strings.Contains(b, `"szi"`) && strings.Contains(b, `"coin":"BTC","size":"`)
		}},
		{`{"kind":"schema","variant":"positions"}`, func(b string) bool { return strings.Contains(b, `"assetPositions":{"BTC":{`) }},
		{`{"kind":"null_szi","asset":"BTC"}`, func(b string) bool {
			return strings.Contains(b, `"coin":"BTC","leverage"`) && strings.Contains(b, `"coin":"ETH","szi"`)
		}},
		{`{"kind":"bad_number","asset":"eth","value":"1e400"}`, func(b string) bool { return strings.Contains(b, `"coin":"ETH","szi":"1e400"`) }},
		{`{"kind":"bad_number","value":"NaN","wallet":"` + wallet + `"}`, func(b string) bool { return strings.Count(b, `"szi":"NaN"`) == 3 && strings.Count(b, "NaN") == 3 }},
		{`{"kind":"bad_number","value":"NaN","wallet":"` + alice + `"}`, func(b string) bool { return !strings.Contains(b, "NaN") }},
		{`{"kind":"float_noise"}`, func(b string) bool { return !strings.Contains(b, `"BTC","szi":"`+strings.TrimRight(btc, "0")+`"`) }},
		{`{"kind":"float_noise","endpoint":"sub_accounts"}`, func(b string) bool { return strings.Contains(b, `"BTC","szi":"`+strings.TrimRight(btc, "0")) }},
	} {
		e.ClearFaults()
		set(t, e, tt.fault)
		body := ask(e, `{"type":"clearinghouseState","user":"`+wallet+`"}`).Body.String()
		if !json.Valid([]byte(body)) || !tt.check(body) {
			t.Errorf("%s: %s", tt.fault, body)
		}
	}
	if now, _ := e.Sizes(wallet); now != truth {
		t.Error("faults changed the truth")
	}
}

func TestFaultsInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // starts on a full minute
		e := open(t, Config{Seed: 1, Origin: time.Now()})
		var wallet string
		for _, wallet = range e.Wallets() {
			if sizes, _ := e.Sizes(wallet); sizes[asset.BTC] != 0 && sizes[asset.ETH] != 0 {
				break
			}
		}
		time.Sleep(20 * time.Second)
		set(t, e, `{"kind":"collapse","asset":"BTC"}`)
		set(t, e, `{"kind":"stale_time","seconds":600,"for":"90s"}`)
		set(t, e, `{"kind":"latency","ms":2000,"for":"10s"}`)
		for _, tt := range []struct {
			at        time.Duration
			collapsed bool
			stale     bool
		}{{30 * time.Second, false, true}, {time.Minute, true, true}, {109 * time.Second, true, true}, {110 * time.Second, true, false}, {2 * time.Minute, false, false}} {
			time.Sleep(tt.at - time.Since(e.config.Origin))
			c, _ := askState(t, e, wallet)
			truth, _ := e.Sizes(wallet)
			got := c.sizes(t)
			if tt.collapsed != (got[asset.BTC] == 0) || got[asset.ETH] != truth[asset.ETH] {
				t.Errorf("at %s: %v of %v", tt.at, got, truth)
			}
			if age := time.Since(time.UnixMilli(c.Time)); age != 0 && age != 10*time.Minute || (age > 0) != tt.stale {
				t.Errorf("at %s: the state is %s old", tt.at, age)
			}
		}
		if left := e.Faults(); len(left) != 0 {
			t.Errorf("left: %v", left)
		}
		set(t, e, `{"kind":"latency","ms":2000}`)
		before := time.Now()
		if askState(t, e, wallet); time.Since(before) != 2*time.Second {
			t.Errorf("answered after %s", time.Since(before))
		}
	})
}
