package collector

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/whalegate/whalegate/collector/hyperliquid"
)

// members are the wallets first to last, ranked in that order.
func members(first, last int) []Member {
	var list []Member
	for i := first; i <= last; i++ {
		list = append(list, Member{Wallet: wallet(i), Rank: i - first + 1, MonthPnL: "1"})
	}
	return list
}

// refusal is the check that an error comes from, "" when there is none.
func refusal(t testing.TB, err error) string {
	t.Helper()
	var refused *CheckError
	switch {
	case err == nil:
		return ""
	case !errors.As(err, &refused):
		t.Fatalf("%v is not a CheckError", err)
	}
	return refused.Check
}

type memberCases = map[string]struct {
	members   []Member
	requested int
	refused   bool
}

// checkMembers applies cases to CheckMembers that only the check named, or
// none, may refuse.
func checkMembers(t *testing.T, check string, cases memberCases) {
	t.Helper()
	for name, tt := range cases {
		want := ""
		if tt.refused {
			want = check
		}
		if got := refusal(t, CheckMembers(tt.members, tt.requested)); got != want {
			t.Errorf("%s: refused by %q, want %q", name, got, want)
		}
	}
}

func TestU1AnEmptyLeaderboardIsRefused(t *testing.T) {
	checkMembers(t, "U1", memberCases{
		"nothing":         {nil, 200, true},
		"an empty list":   {[]Member{}, 1, true},
		"one that is all": {members(1, 1), 1, false},
	})
}

func TestU2NineTenthsOfTheSizeAreNeeded(t *testing.T) {
	checkMembers(t, "U2", memberCases{
		"all of 200":          {members(1, 200), 200, false},
		"exactly 90 % of 200": {members(1, 180), 200, false},
		"one fewer":           {members(1, 179), 200, true},
		"exactly 90 % of 10":  {members(1, 9), 10, false},
		"80 % of 10":          {members(1, 8), 10, true},
		"5 of 6":              {members(1, 5), 6, true},
		"14 of 15":            {members(1, 14), 15, false},
		"13 of 15":            {members(1, 13), 15, true},
		"90 % of 50,000":      {members(1, 45_000), 50_000, false},
		"one of 1":            {members(1, 1), 1, false},
	})
}

func TestU3RanksAreUniqueWithoutHoles(t *testing.T) {
	ranked := func(ranks ...int) []Member {
		list := members(1, len(ranks))
		for i, rank := range ranks {
			list[i].Rank = rank
		}
		return list
	}
	checkMembers(t, "U3", memberCases{
		"in order":     {ranked(1, 2, 3), 3, false},
		"out of order": {ranked(3, 1, 2), 3, false},
		"twice":        {ranked(1, 2, 2), 3, true},
		"a hole":       {ranked(1, 2, 4), 3, true},
		"from zero":    {ranked(0, 1, 2), 3, true},
		"negative":     {ranked(1, -2, 3), 3, true},
	})
}

func TestU4WalletIDsAreValidAndUnique(t *testing.T) {
	named := func(id string) []Member {
		list := members(1, 3)
		list[1].Wallet = id
		return list
	}
	hex := strings.Repeat("a", 39)
	checkMembers(t, "U4", memberCases{
		"valid":             {named("0x" + hex + "f"), 3, false},
		"empty":             {named(""), 3, true},
		"twice":             {named(wallet(3)), 3, true},
		"upper case":        {named("0x" + hex + "F"), 3, true},
		"too short":         {named("0x" + hex), 3, true},
		"too long":          {named("0x" + hex + "ab"), 3, true},
		"no prefix":         {named(hex + "aaa"), 3, true},
		"no hex":            {named("0x" + hex + "g"), 3, true},
		"a newline behind":  {named("0x" + hex + "a\n"), 3, true},
		"a tab for a digit": {named("0x" + hex + "\t"), 3, true},
	})
}

func TestU5ChurnAboveThirtyPerCentWarns(t *testing.T) {
	for _, tt := range []struct {
		name            string
		before, after   []Member
		requested       int
		warnings        int // of the run before
		entered, exited int
		pct             float64
		wantWarnings    int
		refused         bool
	}{
		{"the first universe has none", nil, members(1, 200), 200, 0, 0, 0, 0, 0, false},
		{"nobody moved", members(1, 200), members(1, 200), 200, 0, 0, 0, 0, 0, false},
		{"30 % exactly is fine", members(1, 200), members(31, 230), 200, 0, 30, 30, 30, 0, false},
		{"30 % exactly resets", members(1, 200), members(31, 230), 200, 2, 30, 30, 30, 0, false},
		{"a quiet one resets", members(1, 200), members(2, 201), 200, 2, 1, 1, 1, 0, false},
		{"above is the first warning", members(1, 200), members(32, 231), 200, 0, 31, 31, 31, 1, false},
		{"and the second", members(1, 200), members(32, 231), 200, 1, 31, 31, 31, 2, false},
		{"the third is refused", members(1, 200), members(32, 231), 200, 2, 31, 31, 31, 3, true},
		{"and so is the fourth", members(1, 200), members(32, 231), 200, 3, 31, 31, 31, 4, true},
		{"one side alone counts too", members(1, 200), members(1, 139), 200, 0, 0, 61, 30.5, 1, false},
		{"everybody changed", members(1, 10), members(11, 20), 10, 0, 10, 10, 200, 1, false},
		{"of the size asked for, not received", members(1, 9), members(2, 10), 10, 0, 1, 1, 20, 0, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			churn, err := CheckChurn(tt.before, tt.after, tt.requested, tt.warnings)
			if want := (Churn{tt.entered, tt.exited, tt.pct, tt.wantWarnings}); churn != want {
				t.Errorf("churn %+v, want %+v", churn, want)
			}
			if got := refusal(t, err); (got == "U5") != tt.refused {
				t.Errorf("refused by %q, want refused %t", got, tt.refused)
			}
		})
	}
}

// Churn counts the symmetric difference of two sets.
func TestU5ChurnEqualsTheSymmetricDifference(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ids := rapid.SliceOfNDistinct(rapid.IntRange(1, 60), 1, 40, rapid.ID[int])
		var sides [2][]Member
		var has [2]map[string]bool
		for i := range sides {
			has[i] = map[string]bool{}
			for rank, id := range ids.Draw(t, fmt.Sprint("side", i)) {
				sides[i] = append(sides[i], Member{Wallet: wallet(id), Rank: rank + 1})
				has[i][wallet(id)] = true
			}
		}
		different := 0
		for id := range 61 {
			if has[0][wallet(id)] != has[1][wallet(id)] {
				different++
			}
		}
		requested := rapid.IntRange(1, 60).Draw(t, "requested")
		warnings := rapid.IntRange(0, 4).Draw(t, "warnings")
		churn, err := CheckChurn(sides[0], sides[1], requested, warnings)
		if churn.Entered+churn.Exited != different || churn.Entered-churn.Exited != len(sides[1])-len(sides[0]) {
			t.Fatalf("entered %d, exited %d, of %d differences", churn.Entered, churn.Exited, different)
		}
		want := 0
		if 100*different > 30*requested {
			want = warnings + 1
		}
		if churn.Warnings != want || (err != nil) != (want >= 3) {
			t.Fatalf("warnings %d, %v; want %d", churn.Warnings, err, want)
		}
	})
}

func TestMembersAreRankedInTheOrderOfTheLeaderboard(t *testing.T) {
	got := Members([]hyperliquid.Entry{
		{Wallet: wallet(7), MonthPnL: "12.5", MonthROI: "0.1", AccountValue: "3"},
		{Wallet: wallet(3), MonthPnL: "-1"},
	})
	want := []Member{
		{Wallet: wallet(7), Rank: 1, MonthPnL: "12.5", MonthROI: "0.1", AccountValue: "3"},
		{Wallet: wallet(3), Rank: 2, MonthPnL: "-1"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
