package hyperliquid

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/whalegate/whalegate/internal/asset"
)

const subAddress = "0x00000000000000000000000000000000000000a1"

func TestSubAccountsComeWithTheirStates(t *testing.T) {
	var asked string
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		asked = string(body)
		w.Header().Set("Date", answerDate)
		_, _ = io.WriteString(w, testdata(t, "sub_accounts.json"))
	})
	got, err := c.SubAccounts(t.Context(), account)
	if err != nil {
		t.Fatal(err)
	}
	if want := `{"type":"subAccounts","user":"` + account + `"}`; asked != want {
		t.Errorf("asked %s, want %s", asked, want)
	}
	at := time.Date(2026, 1, 1, 0, 0, 0, 123e6, time.UTC)
	flat := Position{Known: true}
	first := State{Time: at, Positions: [asset.Count]Position{flat, flat, flat}, Answered: answerTime, AccountValue: 10}
	first.Positions[asset.ETH] = Position{Size: -125000, Known: true, Entry: "3000.0", Leverage: "5", Margin: "7500.0"}
	want := []SubAccount{
		{Address: subAddress, HasState: true, State: first},
		{Address: "0x00000000000000000000000000000000000000a2", HasState: true, State: State{
			Time: at.Add(time.Millisecond), Positions: [asset.Count]Position{flat, flat, flat}, Answered: answerTime,
		}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestNoSubAccountsIsNoFailure(t *testing.T) {
	for _, body := range []string{"null", " null ", "[]", "[ ]\n"} {
		got, err := newClient(t, answer(200, body)).SubAccounts(t.Context(), account)
		if err != nil || len(got) != 0 || (got == nil) != strings.Contains(body, "null") {
			t.Errorf("%q: %#v, %v; want nil for null, an empty list for one without entries", body, got, err)
		}
	}
}

// A list whose addresses cannot all be told is no list: a sum without one of
// the accounts would be wrong.
func TestSubAccountsAreAllOrNothing(t *testing.T) {
	flat := listing("")
	sub := func(members string) string { return "[{" + members + "}]" }
	good := `{"subAccountUser":"` + subAddress + `","clearinghouseState":` + flat + `}`
	for name, tt := range map[string]struct {
		status int
		body   string
		want   Failure
	}{
		"rate limited":          {429, "null", RateLimited},
		"server error":          {500, "null", ServerError},
		"rejected":              {422, "text", Rejected},
		"nothing":               {200, "", Malformed},
		"html":                  {200, "<html>", Malformed},
		"cut short":             {200, "[" + good, Malformed},
		"trailing data":         {200, "[] []", Malformed},
		"deep":                  {200, strings.Repeat("[", 1e6), Malformed},
		"object":                {200, good, Schema},
		"string":                {200, `"none"`, Schema},
		"entry null":            {200, "[" + good + ",null]", Schema},
		"entry a list":          {200, "[" + good + ",[]]", Schema},
		"address absent":        {200, sub(`"clearinghouseState":` + flat), Schema},
		"address short":         {200, sub(`"subAccountUser":"0x1","clearinghouseState":` + flat), Schema},
		"address twice":         {200, sub(`"subAccountUser":"` + subAddress + `","subAccountUser":"` + subAddress + `","clearinghouseState":` + flat), Schema},
		"account twice":         {200, "[" + good + "," + strings.ToUpper(good[:60]) + good[60:] + "]", Schema},
		"the same account":      {200, "[" + good + "," + good + "]", Schema},
		"its own master":        {200, sub(`"subAccountUser":"` + account + `","clearinghouseState":` + flat), Schema},
		"another master":        {200, sub(`"subAccountUser":"` + subAddress + `","master":"` + subAddress + `","clearinghouseState":` + flat), Schema},
		"master a number":       {200, sub(`"subAccountUser":"` + subAddress + `","master":1,"clearinghouseState":` + flat), Schema},
		"stateless, no address": {200, "[" + good + `,{"name":"two"}]`, Schema},
		"stateless twice":       {200, "[" + good + `,{"subAccountUser":"` + subAddress + `"}]`, Schema},
		"stateless, own master": {200, sub(`"subAccountUser":"` + account + `"`), Schema},
		"stateless, another's":  {200, sub(`"subAccountUser":"` + subAddress + `","master":"` + subAddress + `"`), Schema},
		"the 501st":             {200, numbered(501), TooLarge},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := newClient(t, answer(tt.status, tt.body)).SubAccounts(t.Context(), strings.ToUpper(account))
			if failed := wantFailure(t, err, tt.want); failed.Endpoint != "sub_accounts" || failed.Status != tt.status {
				t.Errorf("endpoint %s, status %d", failed.Endpoint, failed.Status)
			}
			if got != nil {
				t.Errorf("a failure came with %+v", got)
			}
		})
	}
}

// numbered is a list of n sub-accounts without states.
func numbered(n int) string {
	entries := make([]string, n)
	for i := range entries {
		entries[i] = fmt.Sprintf(`{"subAccountUser":"0x%040x"}`, i+0x1000)
	}
	return "[" + strings.Join(entries, ",") + "]"
}

func TestTheLongestListOfSubAccounts(t *testing.T) {
	got, err := newClient(t, answer(200, numbered(500))).SubAccounts(t.Context(), account)
	if err != nil || len(got) != 500 || got[499].Address != "0x00000000000000000000000000000000000011f3" {
		t.Errorf("%d sub-accounts, %v", len(got), err)
	}
}

// An entry of a unified account lacks the state, and one state that cannot be
// read says nothing about who the accounts are. It never looks flat.
func TestAnEntryWithoutAStateStillNamesAnAccount(t *testing.T) {
	const other = "0x00000000000000000000000000000000000000b2"
	for name, held := range map[string]string{
		"absent":          ``,
		"null":            `,"clearinghouseState":null`,
		"a list":          `,"clearinghouseState":[]`,
		"a string":        `,"clearinghouseState":"flat"`,
		"empty":           `,"clearinghouseState":{}`,
		"without list":    `,"clearinghouseState":{"time":1767225600123}`,
		"without time":    `,"clearinghouseState":{"assetPositions":[]}`,
		"in seconds":      `,"clearinghouseState":{"assetPositions":[],"time":1767225600}`,
		"entry unnamed":   `,"clearinghouseState":` + listing(holding(`"szi":"1"`)),
		"twice":           `,"clearinghouseState":` + listing("") + `,"clearinghouseState":` + listing(""),
		"in another case": `,"ClearinghouseState":` + listing(""),
		"by dex":          `,"dexToClearinghouseState":[["",` + listing("") + `]]`,
	} {
		body := `[{"subAccountUser":"` + other + `","master":"` + account + `"` + held + `},{"subAccountUser":"` + subAddress + `","clearinghouseState":` + listing("") + `}]`
		got, err := newClient(t, dated(body, "Date: "+answerDate)).SubAccounts(t.Context(), account)
		want := []SubAccount{{Address: other}, {Address: subAddress, HasState: true, State: State{
			Time: time.UnixMilli(1767225600123).UTC(), Positions: [asset.Count]Position{flat, flat, flat}, Answered: answerTime,
		}}}
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("%s: %v\n%s", name, err, diff)
		}
	}
}

// The exchange answers in lower case whatever case it was asked in.
func TestSubAccountsMatchTheirMasterInAnyCase(t *testing.T) {
	body := `[{"subAccountUser":"0x00000000000000000000000000000000000000A1","master":"` + account + `","clearinghouseState":` + listing("") + `}]`
	got, err := newClient(t, answer(200, body)).SubAccounts(t.Context(), "0x00000000000000000000000000000000000000AA")
	if err != nil || len(got) != 1 || got[0].Address != subAddress {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestAddresses(t *testing.T) {
	digits := strings.Repeat("0123456789", 4)
	for text, want := range map[string]string{
		`"0x` + digits + `"`:                        "0x" + digits,
		`"0x` + strings.Repeat("AbCdEf01", 5) + `"`: "0x" + strings.Repeat("abcdef01", 5),
		`"0X` + digits + `"`:                        "",
		`"0x` + digits[1:] + `"`:                    "",
		`"0x` + digits + `0"`:                       "",
		`"0x` + digits[1:] + `g"`:                   "",
		`" 0x` + digits[1:] + `"`:                   "",
		`"0x` + digits[3:] + "\u212a" + `"`:         "", // folds to an ASCII letter
		`"` + digits + `01"`:                        "",
		`1`:                                         "", `null`: "", `""`: "", ``: "",
	} {
		if got := readAddress([]byte(text)); got != want {
			t.Errorf("readAddress(%s) = %q, want %q", text, got, want)
		}
	}
}
