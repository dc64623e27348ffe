package hyperliquid

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/whalegate/whalegate/internal/asset"
)

// decoded decodes a body by the standard means: exact names, the last of
// several members.
func decoded(body []byte) map[string]any {
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.UseNumber()
	var value map[string]any
	if decoder.Decode(&value) != nil {
		return nil
	}
	if _, err := decoder.Token(); err != io.EOF {
		return nil
	}
	return value
}

func checkFailure(t *testing.T, err error) {
	var failed *Error
	if !errors.As(err, &failed) {
		t.Fatalf("%v is no *Error", err)
	}
	if failed.Failure != Null && failed.Failure != Malformed && failed.Failure != Schema && failed.Failure != TooLarge {
		t.Fatalf("a body failed as %s", failed.Failure)
	}
}

// checkState compares a state with what the standard decoder sees.
func checkState(t *testing.T, state State, seen map[string]any) {
	list, ok := seen["assetPositions"].([]any)
	if !ok {
		t.Fatalf("a state without a list of positions: %v", seen)
	}
	if year := state.Time.Year(); year < 2001 || year > 2286 {
		t.Fatalf("time %s", state.Time)
	}
	if margin, _ := seen["marginSummary"].(map[string]any); !isNumber(margin["accountValue"], state.AccountValue) {
		t.Fatalf("account value %g of %v", state.AccountValue, margin)
	}
	listed := map[asset.Asset]any{}
	for _, entry := range list {
		position := entry.(map[string]any)["position"].(map[string]any)
		if a, ours := asset.FromCoin(position["coin"].(string)); ours {
			listed[a] = position["szi"]
		}
	}
	for _, a := range asset.All {
		got := state.Positions[a]
		szi, here := listed[a]
		if !here {
			if got != (Position{Known: true}) {
				t.Fatalf("%s is not listed and %+v", a, got)
			}
			continue
		}
		var text string
		switch szi := szi.(type) {
		case string:
			text = szi
		case json.Number:
			text = szi.String()
		}
		want, err := asset.ParseSize(text, a)
		if got.Known && (err != nil || got.Size != want) || !got.Known && got.Size != 0 {
			t.Fatalf("%s with szi %v is %+v", a, szi, got)
		}
		for _, number := range []string{got.Entry, got.Liquidation, got.Leverage, got.Margin} {
			if number != "" && !isDecimal(number) {
				t.Fatalf("%s has %q", a, number)
			}
		}
	}
}

// isNumber says whether a finite number is what a value says, or zero because it
// cannot be read.
func isNumber(value any, got float64) bool {
	if got == 0 {
		return true
	}
	want, err := strconv.ParseFloat(strings.Trim(fmt.Sprint(value), `"`), 64)
	return err == nil && got == want && !math.IsInf(got, 0) // NaN is not equal to itself
}

func FuzzState(f *testing.F) {
	f.Add([]byte(testdata(f, "state.json")))
	for _, seed := range []string{
		"null", "", "<html>", listing(""), listing("null"), listing(holding(`"coin":"BTC"`)), listing(holding(`"coin":"ETH","szi":"NaN"`)),
		listing(holding(`"coin":"HYPE","szi":-1.5e2,"leverage":{"value":3}`)), `{"assetPositions":[],"assetPositions":[],"time":1767225600123}`,
		`{"marginSummary":{"accountValue":"1e30"},"assetPositions":[],"time":1767225600123}`,
		`{"assetpositions":[],"time":1767225600123}`, listing(holding(`"coin":"\u0042TC","SZI":"1","szi":"2"`)), listing("") + " x",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		state, err := decodeState(body)
		if err != nil {
			checkFailure(t, err)
			return
		}
		checkState(t, state, decoded(body))
		checkParts(t, body)
	})
}

func FuzzSubAccounts(f *testing.F) {
	f.Add([]byte(testdata(f, "sub_accounts.json")))
	for _, seed := range []string{"null", "[]", "[null]", `[{"subAccountUser":"` + subAddress + `"}]`, `[{"subAccountUser":"` + subAddress + `","clearinghouseState":` + listing("") + `}]`, "{}"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		accounts, err := decodeSubAccounts(body, account)
		if err != nil {
			checkFailure(t, err)
			return
		}
		seen, _ := decoded([]byte(`{"list":` + string(body) + `}`))["list"].([]any)
		if len(seen) != len(accounts) {
			t.Fatalf("%d accounts of %d", len(accounts), len(seen))
		}
		for i, account := range accounts {
			if readAddress([]byte(`"`+account.Address+`"`)) != account.Address {
				t.Fatalf("address %q", account.Address)
			}
			if !account.HasState {
				if account.State != (State{}) {
					t.Fatalf("no state, and %+v", account.State)
				}
				continue
			}
			checkState(t, account.State, seen[i].(map[string]any)["clearinghouseState"].(map[string]any))
		}
	})
}

func FuzzLeaderboard(f *testing.F) {
	f.Add([]byte(testdata(f, "leaderboard.json")))
	for _, seed := range []string{
		"null", "{}", rows(""), rows("null"), rows(row(1, `"5"`) + "," + row(1, `-5e3`)), rows(performing(`[["month",{}]]`)),
		`{"x":[{}],"leaderboardRows":[1]}`, `{"leaderboardRows":[],"leaderboardRows":[]}`, rows("") + "]", `{"leaderboardRows":[}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		board, err := decodeLeaderboard(bytes.NewReader(body), 3)
		if err != nil {
			checkFailure(t, err)
			return
		}
		list, ok := decoded(body)["leaderboardRows"].([]any)
		if !ok || len(list) != board.RowsRead {
			t.Fatalf("%d rows read of %d", board.RowsRead, len(list))
		}
		if len(board.Entries) != min(3, board.RowsRead-board.RowsSkipped) {
			t.Fatalf("%d entries of %d rows, %d skipped", len(board.Entries), board.RowsRead, board.RowsSkipped)
		}
		for _, entry := range board.Entries {
			if readAddress([]byte(`"`+entry.Wallet+`"`)) != entry.Wallet || !isDecimal(entry.MonthPnL) {
				t.Fatalf("%+v", entry)
			}
		}
	})
}

func FuzzMeta(f *testing.F) {
	f.Add([]byte(testdata(f, "meta.json")))
	for _, seed := range []string{
		"null", "{}", universe(""), universe("null"), universe(`{"name":"BTC","szDecimals":5,"isDelisted":true},{"name":"X"}`), universe(`{"name":"\u0042TC","szDecimals":5}`),
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		meta, err := decodeMeta(body)
		if err != nil {
			checkFailure(t, err)
			return
		}
		listed := map[asset.Asset]Coin{}
		for _, entry := range decoded(body)["universe"].([]any) {
			coin := entry.(map[string]any)
			if a, ours := asset.FromCoin(coin["name"].(string)); ours {
				decimals, _ := coin["szDecimals"].(json.Number).Int64()
				delisted, _ := coin["isDelisted"].(bool)
				listed[a] = Coin{Listed: true, Delisted: delisted, SizeDecimals: int(decimals)}
			}
		}
		for _, a := range asset.All {
			if meta.Coins[a] != listed[a] {
				t.Fatalf("%s is %+v, want %+v", a, meta.Coins[a], listed[a])
			}
		}
	})
}

func FuzzRole(f *testing.F) {
	for _, seed := range []string{
		"null", "{}", `{"role":"missing"}`, `{"role":"user"}`, `{"role":"vault"}`, `{"role":"agent","data":{"user":"` + subAddress + `"}}`,
		`{"role":"subAccount","data":{"master":"` + subAddress + `"}}`, `{"role":"subAccount","data":{"master":"` + account + `"}}`, `{"role":"\u0075ser","Role":"vault"}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		role, err := decodeRole(body, account)
		if err != nil {
			checkFailure(t, err)
			return
		}
		seen := decoded(body)
		master := ""
		if role.Kind == RoleSubAccount {
			master = strings.ToLower(seen["data"].(map[string]any)["master"].(string))
		}
		known := []RoleKind{RoleMissing, RoleUser, RoleVault, RoleAgent, RoleSubAccount}
		if seen["role"] != string(role.Kind) || role.Master != master || master == account || !slices.Contains(known, role.Kind) {
			t.Fatalf("%+v of %v", role, seen)
		}
		if master != "" && readAddress([]byte(`"`+master+`"`)) != master {
			t.Fatalf("master %q", master)
		}
	})
}

func FuzzVault(f *testing.F) {
	f.Add([]byte(testdata(f, "vault.json")))
	for _, seed := range []string{
		"null", "{}", related("null"), related(`{"type":"normal"}`), related(`{"type":"child","data":{"parentAddress":"` + subAddress + `"}}`),
		parenting(""), parenting(offspring(2)), parenting(`"` + account + `"`), `{"vaultAddress":"` + account + `","relationship":{"type":"\u006eormal"}}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		vault, err := decodeVault(body, account)
		if err != nil {
			checkFailure(t, err)
			return
		}
		relationship := decoded(body)["relationship"].(map[string]any)
		if relationship["type"] != vault.Relationship || !slices.Contains([]string{VaultNormal, VaultChild, VaultParent}, vault.Relationship) {
			t.Fatalf("%+v of %v", vault, relationship)
		}
		if vault.Relationship != VaultParent {
			if vault.Children != nil {
				t.Fatalf("%+v", vault)
			}
			return
		}
		listed := relationship["data"].(map[string]any)["childAddresses"].([]any)
		if len(listed) != len(vault.Children) {
			t.Fatalf("%d children of %d", len(vault.Children), len(listed))
		}
		counted := map[string]bool{account: true}
		for i, child := range vault.Children {
			if strings.ToLower(listed[i].(string)) != child || readAddress([]byte(`"`+child+`"`)) != child || counted[child] {
				t.Fatalf("child %d is %q of %v", i, child, listed)
			}
			counted[child] = true
		}
	})
}
