package simulator

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestFaultSurvivesJSON(t *testing.T) {
	for _, want := range []Fault{
		{Kind: Status, Code: 429, RetryAfter: 3 * time.Second, Endpoint: StateEndpoint, Share: 0.5, For: 90 * time.Second},
		{Kind: Collapse, Asset: "BTC", Share: 0.1},
		{Kind: Churn, Share: 0.4, Top: 50},
		{Kind: StaleTime, Seconds: 90, Wallet: alice},
	} {
		text, err := json.Marshal(want)
		if err != nil {
			t.Fatal(err)
		}
		var got Fault
		if err := json.Unmarshal(text, &got); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", text, diff)
		}
	}
}

// badFaults and what the error says.
var badFaults = []struct{ text, want string }{
	{``, "not JSON; an object like"},
	{`[]`, "not a JSON object with the fields kind"},
	{`{}`, `kind: "" is none of bad_number, churn, collapse`},
	{`{"kind":"fire"}`, `kind: "fire" is none of`},
	{`{"kind":7}`, "kind: number where a text is needed"},
	{`{"kind":"status"}`, "code: missing; kind status needs it"},
	{`{"kind":"status","code":200}`, "code: 200 is not between 400 and 599"},
	{`{"kind":"status","code":"503"}`, "code: string where a whole number is needed"},
	{`{"kind":"status","cod":503}`, `unknown field "cod"; the fields are kind, endpoint`},
	{`{"kind":"null","ms":5}`, "ms: kind null does not read it; it reads endpoint, wallet, share, for"},
	{`{"kind":"latency","ms":-5}`, "ms: -5 is not between"},
	{`{"kind":"null","share":1.5}`, "share: 1.5 is not between 0 and 1"},
	{`{"kind":"null","share":"1"}`, "share: string where a number is needed"},
	{`{"kind":"null","share":0}`, "share: 0 hits nothing; leave it out to hit all"},
	{`{"kind":"null","for":"soon"}`, `for: "soon" is no duration above 0, like 90s or 10m`},
	{`{"kind":"null","for":"-5s"}`, `for: "-5s" is no duration above 0`},
	{`{"kind":"status","code":429,"retry_after":"x"}`, `retry_after: "x" is no duration`},
	{`{"kind":"null","endpoint":"info"}`, `endpoint: "info" is none of state, sub_accounts, leaderboard`},
	{`{"kind":"wallets","endpoint":"leaderboard"}`, `endpoint: "leaderboard" is none of state, sub_accounts`},
	{`{"kind":"wallets","wallet":"bob"}`, `wallet: "bob" is no address`},
	{`{"kind":"collapse","asset":"SOL"}`, `asset: asset "SOL" is none of HYPE, BTC, ETH`},
	{`{"kind":"stale_time","seconds":-1}`, "seconds: -1 is below 0"},
	{`{"kind":"churn"}`, "share: missing; kind churn needs it"},
	{`{"kind":"churn","share":0.1,"top":-1}`, "top: -1 is below 0"},
	{`{"kind":"leaderboard"}`, "variant: missing"},
	{`{"kind":"leaderboard","variant":"odd"}`, `variant: "odd" is none of empty, truncated`},
	{`{"kind":"schema","variant":"x"}`, `variant: "x" is none of szi, positions`},
	{`{"kind":"bad_number","value":"\""}`, "value: "},
	{`{"kind":"null","endpoint":"x"}`, `endpoint: "x" is none of state, sub_accounts, leaderboard, meta, role, vault`},
	{`{"kind":"lag"}`, "seconds: missing; kind lag needs it"},
	{`{"kind":"lag","seconds":3601}`, "seconds: 3601 is above 3600, which is how much of the past is remembered"},
	{`{"kind":"lag","seconds":60,"variant":"wallets"}`, `variant: "wallets" is none of requests`},
	{`{"kind":"half_lag","seconds":3601}`, "seconds: 3601 is above 3600"},
	{`{"kind":"half_lag","seconds":60,"variant":"requests"}`, "variant: kind half_lag does not read it"},
	{`{"kind":"half_lag","seconds":60,"endpoint":"meta"}`, `endpoint: "meta" is none of state, sub_accounts`},
	{`{"kind":"frozen","seconds":5}`, "seconds: kind frozen does not read it"},
	{`{"kind":"future"}`, "seconds: missing"},
	{`{"kind":"same_state","endpoint":"role"}`, `endpoint: "role" is none of state, sub_accounts`},
	{`{"kind":"rename"}`, "asset: missing; kind rename needs it"},
	{`{"kind":"rename","asset":"BTC","variant":"all"}`, `variant: "all" is none of states, meta, delisted, decimals`},
	{`{"kind":"rescale"}`, "value: missing; kind rescale needs it"},
	{`{"kind":"rescale","value":"-2"}`, `value: "-2" is no factor above 0 and up to 1e6`},
	{`{"kind":"rescale","value":"NaN"}`, `value: "NaN" is no factor`},
	{`{"kind":"rescale","value":"1e7"}`, `value: "1e7" is no factor`},
	{`{"kind":"mass_close","value":"2"}`, "value: kind mass_close does not read it"},
	{`{"kind":"meta"}`, "variant: missing; kind meta needs it"},
	{`{"kind":"meta","variant":"odd"}`, `variant: "odd" is none of duplicate, large, empty`},
	{`{"kind":"role","variant":"odd"}`, `variant: "odd" is none of unknown`},
	{`{"kind":"subaccounts_unreadable","variant":"odd"}`, `variant: "odd" is none of text, no_address, self, long, null, twice`},
	{`{"kind":"leaderboard","variant":"no_pnl","value":"0"}`, "value: kind leaderboard does not read it"},
}

func TestFaultSaysWhatIsWrong(t *testing.T) {
	for _, tt := range badFaults {
		_, err := readFault([]byte(tt.text))
		if err == nil || !strings.HasPrefix(err.Error(), tt.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v, want %q", tt.text, err, tt.want)
		}
	}
}

func TestFaultsSetInGoAreValidated(t *testing.T) {
	e := open(t, Config{})
	for _, f := range []Fault{{}, {Kind: Status}, {Kind: Null, For: -1}, {Kind: Status, Code: 429, RetryAfter: -1}} {
		if e.SetFault(f) == nil {
			t.Errorf("%+v is set", f)
		}
	}
	if got := e.Faults(); len(got) != 0 {
		t.Errorf("%v", got)
	}
}

func FuzzFault(f *testing.F) {
	for _, tt := range badFaults {
		f.Add([]byte(tt.text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		fault, err := readFault(text)
		if err != nil {
			return
		}
		again, err := json.Marshal(fault)
		if err != nil {
			t.Fatal(err)
		}
		if second, err := readFault(again); err != nil || second != fault {
			t.Fatalf("%s → %s: %v", text, again, err)
		}
	})
}
