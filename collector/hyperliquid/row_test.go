package hyperliquid

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// performing is a row with these windows.
func performing(windows string) string {
	return `{"ethAddress":"` + account + `","windowPerformances":` + windows + `}`
}

func TestMonthIsFoundByName(t *testing.T) {
	for windows, want := range map[string]Entry{
		`[]`:                    {account, "0", "", ""},
		`[["day",{"pnl":"1"}]]`: {account, "0", "", ""},
		`[["day",{"pnl":"1"}],["month",{"pnl":"2.5","roi":"3"}]]`:       {account, "2.5", "3", ""},
		`[["month",{"roi":"3","pnl":"2"}],["allTime",{"pnl":"1"}]]`:     {account, "2", "3", ""},
		`[["Month",{"pnl":"1"}],["m\u006fnth",{"pnl":-2,"PNL":"9"}]]`:   {account, "-2", "", ""},
		`[["month",{"pnl":1e3,"roi":"NaN"}],["day",null],["week",[7]]]`: {account, "1e3", "", ""},
		`[["month",{"pnl":"0","roi":"1","roi":"2"}]]`:                   {account, "0", "", ""},
	} {
		got, _, ok := readRow([]byte(performing(windows)))
		if diff := cmp.Diff(want, got); !ok || diff != "" {
			t.Errorf("%s: %t\n%s", windows, ok, diff)
		}
	}
}

func TestRowsWithoutWindowsCountAsZero(t *testing.T) {
	got, pnl, ok := readRow([]byte(`{"accountValue":7.5,"ethAddress":"` + account + `"}`))
	if want := (Entry{account, "0", "", "7.5"}); !ok || got != want || pnl != 0 {
		t.Errorf("%+v, %g, %t", got, pnl, ok)
	}
}

// A row that cannot be ranked is counted; it neither fails the leaderboard nor
// gets in with a guess.
func TestUnusableRowsAreSkippedAndCounted(t *testing.T) {
	bad := []string{
		`null`, `1`, `"row"`, `[]`, `[["ethAddress","` + account + `"]]`, `{}`, `true`,
		`{"ethAddress":null}`, `{"ethAddress":1}`, `{"ethAddress":""}`, `{"ethAddress":"0x12"}`, `{"EthAddress":"` + account + `"}`,
		`{"ethAddress":"` + account + `","ethAddress":"` + subAddress + `"}`,
		performing(`null`), performing(`{}`), performing(`"month"`), performing(`[null]`), performing(`[[]]`), performing(`[["month"]]`),
		performing(`[["month",{"pnl":"1"},1]]`), performing(`[[1,{"pnl":"1"}]]`), performing(`[{"month":{"pnl":"1"}}]`),
		performing(`[["month",null]]`), performing(`[["month",["pnl","1"]]]`), performing(`[["month",{}]]`), performing(`[["month",{"pnl":null}]]`),
		performing(`[["month",{"pnl":"NaN"}]]`), performing(`[["month",{"pnl":"Infinity"}]]`), performing(`[["month",{"pnl":""}]]`),
		performing(`[["month",{"PnL":"1"}]]`), performing(`[["month",{"pnl":"1","pnl":"2"}]]`), performing(`[["month",{"pnl":1e400}]]`),
		performing(`[["month",{"pnl":"1"}],["month",{"pnl":"1"}]]`), performing(`[["day"],["month",{"pnl":"1"}]]`),
		performing(`[]`)[:len(performing(`[]`))-1] + `,"windowPerformances":[]}`,
	}
	for _, text := range bad {
		if entry, _, ok := readRow([]byte(text)); ok {
			t.Errorf("%s is read as %+v", text, entry)
		}
	}
	got, err := decodeLeaderboard(strings.NewReader(rows(strings.Join(append(bad, row(1, `"1"`)), ","))), 10)
	if err != nil || got.RowsRead != len(bad)+1 || got.RowsSkipped != len(bad) || len(got.Entries) != 1 {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestDuplicateWalletsAreKept(t *testing.T) {
	got, err := decodeLeaderboard(strings.NewReader(rows(row(1, `"1"`)+","+row(2, `"1"`)+","+row(1, `"1"`))), 2)
	if err != nil || len(got.Entries) != 2 || got.Entries[0].Wallet != address(1) || got.Entries[1].Wallet != address(1) {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestTiesAreBrokenByAddress(t *testing.T) {
	for _, list := range []string{
		row(2, `"5"`) + "," + row(1, `"5.0"`) + "," + row(3, `"5e0"`),
		row(3, `"-0.0"`) + "," + row(2, `"0"`) + "," + row(1, `"0.00"`),
		// These differ beyond what a float can tell.
		row(3, `"123456789.000000000003"`) + "," + row(2, `"123456789.000000000002"`) + "," + row(1, `"123456789.000000000001"`),
	} {
		got, err := decodeLeaderboard(strings.NewReader(rows(list)), 2)
		if err != nil || len(got.Entries) != 2 || got.Entries[0].Wallet != address(1) || got.Entries[1].Wallet != address(2) {
			t.Errorf("%s: %+v, %v", list, got, err)
		}
	}
}

// The reference sorts everything.
func TestRankingEqualsASort(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		top := rapid.IntRange(-1, 12).Draw(t, "top")
		pnls := rapid.SliceOfN(rapid.IntRange(-3, 3), 0, 40).Draw(t, "pnls")
		first := newRanking(top)
		var all []ranked
		for i, pnl := range pnls {
			entry := Entry{Wallet: fmt.Sprint(rapid.IntRange(0, 5).Draw(t, "wallet")), AccountValue: fmt.Sprint(i)}
			first.add(entry, float64(pnl))
			if len(first.kept) > max(0, top) {
				t.Fatalf("%d are kept of a top %d", len(first.kept), top)
			}
			all = append(all, ranked{entry, float64(pnl), i})
		}
		slices.SortStableFunc(all, func(a, b ranked) int {
			if a.pnl != b.pnl {
				return int(b.pnl - a.pnl)
			}
			return strings.Compare(a.entry.Wallet, b.entry.Wallet)
		})
		want := []Entry{}
		for _, r := range all[:max(0, min(top, len(all)))] {
			want = append(want, r.entry)
		}
		if diff := cmp.Diff(want, first.entries()); diff != "" {
			t.Fatal(diff)
		}
	})
}
