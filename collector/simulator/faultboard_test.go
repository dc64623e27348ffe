package simulator

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestContentOfTheLeaderboard(t *testing.T) {
	t.Parallel()
	e := open(t, Config{Seed: 1, Origin: time.Now()})
	clean := getBoard(e)
	for _, tt := range []struct {
		fault string
		valid bool
		check func(body string) bool
	}{
		{`{"kind":"leaderboard","variant":"empty"}`, true, func(b string) bool { return strings.Count(b, "ethAddress") == 0 }},
		{`{"kind":"leaderboard","variant":"truncated"}`, false, func(b string) bool { n := strings.Count(b, "ethAddress"); return n > 400 && n < 600 }},
		{`{"kind":"leaderboard","variant":"duplicated"}`, true, func(b string) bool { return strings.Count(b, "ethAddress") == 2000 }},
		{`{"kind":"leaderboard","variant":"duplicated","share":0.1}`, true, func(b string) bool {
			n := strings.Count(b, "ethAddress")
			return n > 1050 && n < 1150
		}},
		{`{"kind":"leaderboard","variant":"non_json"}`, false, func(b string) bool { return strings.HasPrefix(b, "<html>") }},
		{`{"kind":"leaderboard","variant":"missing_month"}`, true, func(b string) bool { return !strings.Contains(b, `"month"`) && strings.Contains(b, `"week"`) }},
		{`{"kind":"leaderboard","variant":"bad_address"}`, true, func(b string) bool {
			var l leaders
			bad := 0
			json.Unmarshal([]byte(b), &l)
			for _, r := range l.LeaderboardRows {
				if _, err := parseAddress(r.EthAddress); err != nil {
					bad++
				}
			}
			return bad == 1000
		}},
		{`{"kind":"leaderboard","variant":"repeated"}`, true, func(b string) bool {
			var l leaders
			json.Unmarshal([]byte(b), &l)
			return len(l.LeaderboardRows) == 1000 && strings.Count(b, `"`+l.LeaderboardRows[0].EthAddress+`"`) == 1000
		}},
		{`{"kind":"leaderboard","variant":"no_pnl","top":100}`, true, func(b string) bool {
			var l leaders
			json.Unmarshal([]byte(b), &l)
			zero, absent := withoutProfit(l, e.Wallets()[:100])
			return zero > 30 && absent > 30 && zero+absent == 100
		}},
		{`{"kind":"leaderboard","variant":"no_pnl"}`, true, func(b string) bool {
			var l leaders
			json.Unmarshal([]byte(b), &l)
			zero, absent := withoutProfit(l, e.Wallets()[:200])
			return zero+absent == 200
		}},
		{`{"kind":"bad_number","endpoint":"leaderboard","value":"1e400"}`, true, func(b string) bool { return strings.Count(b, `"pnl": "1e400"`) > 3900 }},
		{`{"kind":"bad_number","endpoint":"state","value":"1e400"}`, true, func(b string) bool { return !strings.Contains(b, "1e400") }},
		{`{"kind":"churn","share":0.5}`, true, func(b string) bool {
			var l leaders
			json.Unmarshal([]byte(b), &l)
			changed := churned(e.Wallets()[:200], l.top(200))
			return changed > 0.9 && changed <= 1
		}},
	} {
		e.ClearFaults()
		set(t, e, tt.fault)
		w := getBoard(e, "If-None-Match", clean.Header().Get("ETag"))
		if strings.Contains(tt.fault, "state") {
			w = getBoard(e)
		}
		if body := w.Body.String(); w.Code != 200 || json.Valid([]byte(body)) != tt.valid || !tt.check(body) {
			t.Errorf("%s: %d %.200s", tt.fault, w.Code, body)
		}
	}
	e.ClearFaults()
	if w := getBoard(e, "If-None-Match", clean.Header().Get("ETag")); w.Code != 304 {
		t.Errorf("without faults it answers %d", w.Code)
	}
}

// withoutProfit counts the rows whose profit of the month is 0 or absent. A
// count is -1 where another wallet than these is among them.
func withoutProfit(l leaders, wallets []string) (zero, absent int) {
	missing := 0
	for _, r := range l.LeaderboardRows {
		month := "absent"
		for _, p := range r.WindowPerformances {
			if p.name == "month" {
				month = p.Pnl
			}
		}
		switch top := slices.Contains(wallets, strings.ToLower(r.EthAddress)); {
		case top && month == "0":
			zero++
		case top && month == "absent":
			absent++
		case month == "0":
			missing++
		}
	}
	if missing > 0 {
		return -1, -1
	}
	return zero, absent
}

func TestTheLeaderboardCanBeStuck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := open(t, Config{Seed: 1, Origin: time.Now()})
		time.Sleep(90 * time.Minute)
		before := getBoard(e)
		set(t, e, `{"kind":"leaderboard","variant":"unchanged"}`)
		time.Sleep(10 * time.Hour)
		after := getBoard(e)
		for _, name := range []string{"ETag", "Last-Modified"} {
			if is, was := after.Header().Get(name), before.Header().Get(name); is != was || is == "" {
				t.Errorf("%s was %s and is %s", name, was, is)
			}
		}
		if after.Body.String() != before.Body.String() {
			t.Error("the content changed")
		}
		if w := getBoard(e, "If-Modified-Since", before.Header().Get("Last-Modified")); w.Code != http.StatusNotModified {
			t.Errorf("asked for changes it answers %d", w.Code)
		}
		e.ClearFaults()
		if getBoard(e).Body.String() == before.Body.String() {
			t.Error("it is stuck without a fault")
		}
	})
}

func TestChurnGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := open(t, Config{Seed: 1, Origin: time.Now()})
		set(t, e, `{"kind":"churn","share":0.3,"top":100}`)
		previous := readBoard(t, e).top(100)
		for range 4 {
			time.Sleep(6 * time.Hour)
			next := readBoard(t, e).top(100)
			if got := churned(previous, next); got < 0.3 {
				t.Errorf("%.0f %% churn", 100*got)
			}
			previous = next
		}
	})
}

func TestLeaderboardBreaksOff(t *testing.T) {
	e := open(t, Config{Origin: time.Now()})
	server := httptest.NewServer(e.Handler())
	defer server.Close()
	for _, tt := range []struct {
		fault string
		err   error
	}{{`{"kind":"truncate"}`, io.ErrUnexpectedEOF}, {`{"kind":"truncate","variant":"clean"}`, nil}} {
		e.ClearFaults()
		set(t, e, tt.fault)
		response, err := http.Get(server.URL + "/Mainnet/leaderboard")
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(response.Body)
		response.Body.Close()
		if !errors.Is(err, tt.err) || json.Valid(body) || len(body) < 100_000 {
			t.Errorf("%s: %d bytes, %v", tt.fault, len(body), err)
		}
	}
	for _, code := range []string{"429", "500", "503"} {
		e.ClearFaults()
		set(t, e, `{"kind":"status","code":`+code+`,"endpoint":"leaderboard"}`)
		if w := getBoard(e); w.Code/100 == 2 || w.Header().Get("ETag") != "" {
			t.Errorf("%s: %d", code, w.Code)
		}
	}
}
