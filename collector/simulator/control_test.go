package simulator

import (
	"encoding/json"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/whalegate/whalegate/internal/asset"
)

func control(e *Exchange, from, method, path, body string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	r.RemoteAddr = from
	w := httptest.NewRecorder()
	e.Handler().ServeHTTP(w, r)
	return w
}

const local = "127.0.0.1:40000"

func TestControlIsForThisMachineOnly(t *testing.T) {
	e := open(t, Config{Origin: time.Now()})
	for from, want := range map[string]int{local: 200, "[::1]:5": 200, "[::ffff:127.0.0.1]:5": 200, "192.0.2.1:5": 403, "10.0.0.1:5": 403, "somewhere": 403} {
		for _, path := range []string{"/control/faults", "/control/stats"} {
			if w := control(e, from, "GET", path, ""); w.Code != want {
				t.Errorf("%s from %s: %d", path, from, w.Code)
			}
		}
	}
	control(e, "192.0.2.1:5", "POST", "/control/faults", `{"kind":"null"}`)
	if len(e.Faults()) != 0 {
		t.Error("a stranger set a fault")
	}
}

func TestFaultsComeAndGoByControl(t *testing.T) {
	e := open(t, Config{Origin: time.Now()})
	if w := control(e, local, "GET", "/control/faults", ""); w.Body.String() != "[]\n" {
		t.Errorf("at first: %s", w.Body)
	}
	w := control(e, local, "POST", "/control/faults", `{"kind":"status","code":503,"share":0.5,"for":"10m"}`)
	if want := `[{"kind":"status","share":0.5,"code":503,"for":"10m0s"}]` + "\n"; w.Code != 200 || w.Body.String() != want {
		t.Errorf("%d %s, want %s", w.Code, w.Body, want)
	}
	for _, tt := range badFaults {
		w := control(e, local, "POST", "/control/faults", tt.text)
		if w.Code != 400 || !strings.HasPrefix(w.Body.String(), "fault: "+tt.want) || strings.Count(w.Body.String(), "\n") != 1 {
			t.Errorf("%s: %d %s", tt.text, w.Code, w.Body)
		}
	}
	if w := control(e, local, "DELETE", "/control/faults", ""); w.Code != 200 || len(e.Faults()) != 0 {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

func TestClosedIsClosedForGood(t *testing.T) {
	e := open(t, Config{Seed: 1, Origin: time.Now()})
	var large *wallet
	for i := range e.wallets {
		if len(e.wallets[i].accounts) == 51 {
			large = &e.wallets[i]
		}
	}
	master := large.address.String()
	sub := e.SubAccounts(master)[0]
	for _, tt := range []struct{ body, want string }{
		{`{"wallet":"x"}`, `close: wallet: "x" is no address: 0x and 40 hex digits are`},
		{`{"wallet":"` + alice + `"}`, "close: wallet: " + alice + " is not on the leaderboard"},
		{`{"wallet":"` + sub + `"}`, "close: wallet: " + sub + " is not on the leaderboard; the address of a master is needed"},
		{`{"wallet":"` + master + `","asset":"DOGE"}`, `close: asset: asset "DOGE" is none of`},
		{`{"walet":"x"}`, `close: unknown field "walet"; the fields are wallet, asset`},
		{`null null`, "close: there is more"},
		{``, "close: not a JSON object"},
	} {
		if w := control(e, local, "POST", "/control/close", tt.body); w.Code != 400 || !strings.HasPrefix(w.Body.String(), tt.want) {
			t.Errorf("%s: %d %s", tt.body, w.Code, w.Body)
		}
	}
	if w := control(e, local, "POST", "/control/close", `{"wallet":"`+master+`","asset":"btc"}`); w.Code != 200 {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	e.AdvanceTo(e.config.Origin.Add(48 * time.Hour))
	if got, _ := e.Sizes(sub); got[asset.BTC] != 0 || got[asset.HYPE] == 0 && got[asset.ETH] == 0 {
		t.Errorf("two days later: %v", got)
	}
	if err := e.Close(master, ""); err != nil || large.at(e.minute) != [asset.Count]asset.Size{} {
		t.Errorf("closed in all: %v, %v", large.size, err)
	}
}

func TestStatsCount(t *testing.T) {
	e := open(t, Config{Origin: time.Now()})
	ask(e, `{"type":"leaderboard"}`)
	ask(e, `{"type":"clearinghouseState","user":"`+alice+`"}`)
	ask(e, `{"type":"subAccounts","user":"`+alice+`"}`)
	getBoard(e)
	var got Stats
	if err := json.Unmarshal(control(e, local, "GET", "/control/stats", "").Body.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	for endpoint, outcome := range map[string]string{"info": "422", "state": "200", "sub_accounts": "200", "leaderboard": "200"} {
		if got[endpoint][outcome] != 1 || len(got[endpoint]) != 1 {
			t.Errorf("%s: %v", endpoint, got[endpoint])
		}
	}
}
