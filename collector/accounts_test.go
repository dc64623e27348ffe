package collector

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/whalegate/whalegate/collector/hyperliquid"
)

// Which rows of the leaderboard are read, and which cannot be.
func TestEachAccountCountsOnce(t *testing.T) {
	found := func(n int, subs ...string) Tracked {
		return Tracked{Wallet: wallet(n), SubAccounts: subs, Confirmed: noon.Add(-time.Hour), Listed: true}
	}
	aged := func(age time.Duration) Tracked {
		return Tracked{Wallet: wallet(1), Confirmed: noon.Add(-age)}
	}
	tenOf := func(claimed int) []Tracked {
		all := []Tracked{found(1)}
		for n := 2; n <= 10; n++ {
			if all = append(all, found(n)); n <= 1+claimed {
				all[0].SubAccounts = append(all[0].SubAccounts, wallet(n))
			}
		}
		return all
	}
	for _, tt := range []struct {
		name     string
		universe []Tracked
		want     []string
	}{
		{"nobody", nil, nil},
		{"a fifth of the rows are accounts of one", tenOf(2), []string{"1+2", "4", "5", "6", "7", "8", "9", "10"}},
		{"more than a fifth", tenOf(3), []string{"1 accounts_shared", "2 accounts_shared", "3 accounts_shared", "4 accounts_shared", "5", "6", "7", "8", "9", "10"}},
		{"wallets by themselves", []Tracked{found(1), found(2, sub(2, 1))}, []string{"1", "2+1"}},
		{"never asked", []Tracked{{Wallet: wallet(1)}, found(2)}, []string{"1 accounts_unknown", "2"}},
		{"a day old", []Tracked{aged(24 * time.Hour)}, []string{"1"}},
		{"older", []Tracked{aged(24*time.Hour + time.Second)}, []string{"1 accounts_old"}},
		{"confirmed by a clock that was ahead", []Tracked{aged(-25 * time.Hour)}, []string{"1 accounts_old"}},
		{"a row is the sub-account of another", []Tracked{found(1, sub(1, 1), wallet(2)), found(2)}, []string{"1+2"}},
		{"… and was not asked itself", []Tracked{found(1, wallet(2)), {Wallet: wallet(2)}}, []string{"1+1"}},
		{"… and has accounts itself", []Tracked{found(1, wallet(2)), found(2, sub(2, 1))}, []string{"1 accounts_shared", "2 accounts_shared"}},
		{"one account of two", []Tracked{found(1, sub(1, 1)), found(2, sub(1, 1)), found(3)}, []string{"1 accounts_shared", "2 accounts_shared", "3"}},
		{"one account of three", []Tracked{found(1, sub(1, 1)), found(2, sub(1, 1)), found(3, sub(1, 1))}, []string{"1 accounts_shared", "2 accounts_shared", "3 accounts_shared"}},
		{"one of a wallet that has left", []Tracked{found(1, sub(99, 1)), found(2)}, []string{"1 accounts_shared", "2"}},
		{"a row that one which has left claims", []Tracked{found(1), found(8)}, []string{"1", "8"}},
		{"one that is its own", []Tracked{found(1, wallet(1))}, []string{"1 accounts_shared"}},
		{"two that are each other's", []Tracked{found(1, wallet(2)), found(2, wallet(1))}, []string{"1 accounts_shared", "2 accounts_shared"}},
	} {
		var got []string
		read, _ := resolve(tt.universe, []Tracked{{Wallet: wallet(99), SubAccounts: []string{sub(99, 1), wallet(8)}}}, noon)
		for _, r := range read {
			var n int
			if _, err := fmt.Sscanf(r.Wallet, "0x%x", &n); err != nil {
				t.Fatal(err)
			}
			text := fmt.Sprint(n)
			if r.Unreadable != "" {
				text += " " + r.Unreadable
			} else if len(r.SubAccounts) > 0 {
				text += fmt.Sprintf("+%d", len(r.SubAccounts))
			}
			got = append(got, text)
		}
		if !slices.Equal(got, tt.want) {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
}

// A wallet's minute costs the cheaper of what its last list allows.
func TestAWalletIsReadTheCheaperWay(t *testing.T) {
	for subs := range 60 {
		for _, listed := range []bool{false, true} {
			w := withSubs(1, subs)
			w.Listed = listed
			each, list := hyperliquid.StateWeight*(1+subs), hyperliquid.StateWeight+hyperliquid.SubAccountsWeight
			want := each
			if listed && list < each {
				want = list
			}
			if got := w.weight(); got != want {
				t.Errorf("%d sub-accounts, listed %t: %d, want %d", subs, listed, got, want)
			}
		}
	}
}

func TestS9OldNeverLooksLikeNow(t *testing.T) {
	for _, tt := range []struct {
		name     string
		age      time.Duration // of the state, by our clock
		answered time.Duration // the answer's own date, by our clock; zero: it has none
		want     string
	}{
		{"now", 0, 0, ""},
		{"two minutes", 2 * time.Minute, 0, ""},
		{"more", 2*time.Minute + time.Millisecond, 0, "old_state"},
		{"half an hour", 30 * time.Minute, 0, "old_state"},
		{"half an hour, and the answer is of now", 30 * time.Minute, time.Millisecond, "old_state"},
		{"half an hour, as the answer is", 30 * time.Minute, -30 * time.Minute, "clock_skew"},
		{"a little more, and the answer's date is cut to the second", 2*time.Minute + 300*time.Millisecond, -400 * time.Millisecond, "old_state"},
		{"half a minute ahead", -30 * time.Second, 0, ""},
		{"more ahead", -30*time.Second - time.Millisecond, 0, "future_state"},
		{"an hour ahead, and the answer is of now", -time.Hour, time.Millisecond, "future_state"},
		{"an hour ahead, as the answer is", -time.Hour, time.Hour, "clock_skew"},
		{"right, and the answer's date is wrong", 0, time.Hour, ""},
	} {
		f := fetching(&upstream{})
		f.clock, f.maxAge, f.maxLead = frozen(t, noon), DefaultMaxStateAge, maxStateLead
		state := flat(f.clock.Now().Add(-tt.age))
		if tt.answered != 0 {
			state.Answered = f.clock.Now().Add(tt.answered)
		}
		got := ""
		if err := f.add(newAccountSum(wallet(1)), wallet(1), state); err != nil {
			got = err.Error()
		}
		if got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
		if time.Unix(0, f.oldest.Load()).After(state.Time.Add(time.Microsecond)) {
			t.Errorf("%s: the lag does not know of it", tt.name)
		}
	}
}
