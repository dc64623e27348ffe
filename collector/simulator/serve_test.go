package simulator

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestFailureHasTheBodyOfItsStatus(t *testing.T) {
	for code, want := range map[int]struct{ kind, body string }{
		429: {typeJSON, "null"},
		500: {typeJSON, "null"},
		418: {typeJSON, "null"},
		422: {typeText, "Failed to deserialize the JSON body into the target type"},
		502: {typeHTML, "<h1>502 Bad Gateway</h1>"},
		503: {typeHTML, "<h1>503 Service Unavailable</h1>"},
		504: {typeHTML, "<h1>504 Gateway Timeout</h1>"},
	} {
		got := failure(code)
		if got.code != code || got.kind != want.kind || !strings.Contains(string(got.body), want.body) || got.abort {
			t.Errorf("%d: %+v", code, got)
		}
		if want.kind != typeHTML && string(got.body) != want.body {
			t.Errorf("%d: %s", code, got.body)
		}
	}
}

// leave asks with a client that goes away after some time.
func leave(t *testing.T, e *Exchange, method, path, body string, after time.Duration) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), after)
	defer cancel()
	w := httptest.NewRecorder()
	start := time.Now()
	e.Handler().ServeHTTP(w, httptest.NewRequestWithContext(ctx, method, path, strings.NewReader(body)))
	if got := time.Since(start); got != after || w.Body.Len() > 0 {
		t.Errorf("%s answers %q after %s", path, w.Body, got)
	}
}

func TestNothingIsDoneForClientsThatLeft(t *testing.T) {
	const question = `{"type":"clearinghouseState","user":"` + alice + `"}`
	for fault, latency := range map[string]time.Duration{
		`{"kind":"hang"}`:                 0,
		`{"kind":"latency","ms":60000}`:   0,
		`{"kind":"float_noise"}`:          time.Minute,
		`{"kind":"hang","share":1}`:       time.Second,
		`{"kind":"hang","for":"1h"}`:      0,
		`{"kind":"latency","ms":3600000}`: time.Second,
	} {
		synctest.Test(t, func(t *testing.T) {
			e := open(t, Config{Origin: time.Now(), Latency: latency})
			set(t, e, fault)
			leave(t, e, "POST", "/info", question, 10*time.Second)
			left := e.Stats()["state"]["left"] + e.Stats()["info"]["left"]
			if left != 1 {
				t.Errorf("%s: stats are %v", fault, e.Stats())
			}
			if !strings.Contains(fault, "noise") {
				leave(t, e, "GET", "/Mainnet/leaderboard", "", 10*time.Second)
			}
		})
	}
}

func TestSeveralFaultsHoldAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := open(t, Config{Origin: time.Now(), Latency: time.Second})
		set(t, e, `{"kind":"latency","ms":2000}`)
		set(t, e, `{"kind":"latency","ms":3000,"endpoint":"state"}`)
		set(t, e, `{"kind":"stale_time","seconds":60}`)
		set(t, e, `{"kind":"schema","variant":"szi"}`)
		wallet := e.wallets[0].address.String()
		start := time.Now()
		c, body := askState(t, e, wallet)
		if got := time.Since(start); got != 6*time.Second {
			t.Errorf("answered after %s", got)
		}
		if age := time.Since(time.UnixMilli(c.Time)); age != time.Minute || strings.Contains(body, `"szi"`) {
			t.Errorf("%s old: %s", age, body)
		}
		// Of two that spoil the answer, the one that was set first does.
		set(t, e, `{"kind":"status","code":503}`)
		set(t, e, `{"kind":"null"}`)
		if got := ask(e, `{"type":"clearinghouseState","user":"`+wallet+`"}`).Code; got != 503 {
			t.Errorf("answered %d", got)
		}
		want := []Kind{Latency, Latency, StaleTime, Schema, Status, Null}
		var kinds []Kind
		for _, f := range e.Faults() {
			kinds = append(kinds, f.Kind)
		}
		if diff := cmp.Diff(want, kinds); diff != "" {
			t.Error(diff)
		}
	})
}

func TestSubAccountsFailLikeStates(t *testing.T) {
	e := open(t, Config{Seed: 1, Origin: time.Now()})
	master, sub := "", ""
	for i := range e.wallets[:e.trading] {
		if w := &e.wallets[i]; len(w.accounts) == 51 {
			master, sub = w.address.String(), w.accounts[1].address.String()
		}
	}
	question := `{"type":"subAccounts","user":"` + master + `"}`
	for _, tt := range []struct {
		fault string
		code  int
		check func(body string) bool
	}{
		{`{"kind":"status","code":500,"endpoint":"sub_accounts"}`, 500, func(b string) bool { return b == "null" }},
		{`{"kind":"null","wallet":"` + master + `"}`, 200, func(b string) bool { return b == "null" }},
		{`{"kind":"html","wallet":"` + sub + `"}`, 200, func(b string) bool { return json.Valid([]byte(b)) }},
		{`{"kind":"status","code":503,"endpoint":"state"}`, 200, func(b string) bool { return json.Valid([]byte(b)) }},
		{`{"kind":"truncate","variant":"clean"}`, 200, func(b string) bool { return !json.Valid([]byte(b)) }},
		{`{"kind":"schema","variant":"szi","wallet":"` + master + `"}`, 200, func(b string) bool { return !strings.Contains(b, `"szi"`) }},
		{`{"kind":"bad_number","value":"NaN","wallet":"` + sub + `"}`, 200, func(b string) bool { return strings.Count(b, `"NaN"`) == 3 }},
		{`{"kind":"stale_time","seconds":99999999}`, 200, func(b string) bool {
			var list []struct{ ClearinghouseState clearinghouse }
			return json.Unmarshal([]byte(b), &list) == nil && time.Since(time.UnixMilli(list[49].ClearinghouseState.Time)) > 99_999_990*time.Second
		}},
	} {
		e.ClearFaults()
		set(t, e, tt.fault)
		w := ask(e, question)
		if w.Code != tt.code || !tt.check(w.Body.String()) {
			t.Errorf("%s: %d %.300s", tt.fault, w.Code, w.Body)
		}
	}
	// A master that fails takes its accounts along, by whichever it is asked.
	e.ClearFaults()
	set(t, e, `{"kind":"wallets","wallet":"`+master+`"}`)
	for _, account := range []string{master, sub} {
		if got := ask(e, `{"type":"clearinghouseState","user":"`+account+`"}`).Code; got != 500 {
			t.Errorf("%s answers %d", account, got)
		}
	}
}

func TestOtherPathsAreNotThere(t *testing.T) {
	e := open(t, Config{Origin: time.Now()})
	for _, path := range []string{"/", "/info/", "/Testnet/leaderboard", "/control", "/control/other"} {
		if w := control(e, local, "GET", path, ""); w.Code != http.StatusNotFound {
			t.Errorf("%s answers %d", path, w.Code)
		}
	}
}

func TestLongControlBodyIsRefused(t *testing.T) {
	e := open(t, Config{Origin: time.Now()})
	w := control(e, local, "POST", "/control/faults", strings.Repeat(" ", mostBody+1))
	if w.Code != 400 || strings.Count(w.Body.String(), "\n") != 1 {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

// broken is a connection that takes a little and then no more.
type broken struct {
	*httptest.ResponseRecorder
	left int
}

func (b *broken) Write(p []byte) (int, error) {
	if b.left -= len(p); b.left < 0 {
		return 0, errors.New("the client has left")
	}
	return b.ResponseRecorder.Write(p)
}

func TestLeaderboardStopsWhenTheClientLeaves(t *testing.T) {
	e := open(t, Config{Origin: time.Now()})
	w := &broken{httptest.NewRecorder(), 100_000}
	e.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/Mainnet/leaderboard", nil))
	if got := w.Body.Len(); got == 0 || got > 100_000 {
		t.Errorf("%d bytes", got)
	}
}
