package signals

import (
	"fmt"
	"testing"
)

func TestTrendTable(t *testing.T) {
	usable := func(a, b, c float64) [3]Past { return [3]Past{{a, true}, {b, true}, {c, true}} }
	for _, tt := range []struct {
		name string
		cas  float64
		past [3]Past
		want Trend
	}{
		{"nothing moved", 50, steady(50), Flat},
		{"5 above exactly", 55, steady(50), Flat},
		{"hardly more than 5 above", 55.000001, steady(50), Rising},
		{"5 below exactly", 45, steady(50), Flat},
		{"hardly more than 5 below", 44.999999, steady(50), Falling},
		{"far above", 100, steady(0), Rising},
		{"far below", 0, steady(100), Falling},
		{"5 above at the bottom", 5, steady(0), Flat},
		{"5 below at the top", 95, steady(100), Flat},
		{"above the mean of three", 55.25, usable(40, 50, 60), Rising},
		{"5 above the mean of three", 55, usable(60, 40, 50), Flat},
		{"the oldest weighs as much as the newest", 35.25, usable(0, 0, 90), Rising},
		{"and no more", 35, usable(0, 0, 90), Flat},
		{"the newest weighs as much as the oldest", 24.75, usable(90, 0, 0), Falling},
		{"the middle one as well", 24.75, usable(0, 90, 0), Falling},
		{"by quarters, as 200 wallets have them", 60.25, usable(55.25, 55.5, 55), Flat},
		{"and a quarter more", 60.5, usable(55.25, 55.5, 55), Rising},
		{"no past at all", 100, [3]Past{}, Flat},
		{"the newest cannot be used", 100, [3]Past{{0, false}, {0, true}, {0, true}}, Flat},
		{"the middle one cannot be used", 0, [3]Past{{100, true}, {100, false}, {100, true}}, Flat},
		{"the oldest cannot be used", 100, [3]Past{{0, true}, {0, true}, {0, false}}, Flat},
		{"what cannot be used may be nonsense", 100, [3]Past{{nan, false}, {nan, false}, {nan, false}}, Flat},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := TrendOf(tt.cas, tt.past); got != tt.want {
				t.Errorf("%v after %v: %s, want %s", tt.cas, tt.past, got, tt.want)
			}
		})
	}
}

// A universe whose size does not divide 50 has scores that no float holds. A
// tenth of its wallets more or fewer is 5 exactly all the same.
func TestTrendByATenthOfTheWallets(t *testing.T) {
	for _, n := range []int{10, 20, 50, 60, 100, 180, 190, 200, 250, 300} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			for was := -n / 2; was <= n/2; was++ {
				before, _ := mustCompute(t, adding(was, n).input())
				for _, tt := range []struct {
					now  int
					want Trend
				}{
					{was + n/10, Flat}, {was - n/10, Flat},
					{was + n/10 + 1, Rising}, {was - n/10 - 1, Falling},
				} {
					in := adding(tt.now, n).input()
					in.Past = steady(before.AlignmentScore)
					if s, _ := mustCompute(t, in); s.AlignmentTrend != tt.want {
						t.Fatalf("%v after %v (%d, then %d more add long than short): %s, want %s",
							s.AlignmentScore, before.AlignmentScore, was, tt.now, s.AlignmentTrend, tt.want)
					}
				}
			}
		})
	}
}

// adding is a crowd of n in which so many more add long than short.
func adding(lead, n int) crowd {
	return crowd{long: max(lead, 0), short: max(-lead, 0), flat: n - max(lead, -lead)}
}

// The trend is that of the score in the row: after the cap of a High exit
// cluster, and after a closed gate has made it 50.
func TestTrendOfTheScoreInTheRow(t *testing.T) {
	for _, tt := range []struct {
		name  string
		crowd crowd
		past  float64
		want  Trend
	}{
		{"75, not capped", crowd{long: 75, short: 25}, 56, Rising},
		{"75 capped to 60", crowd{long: 70, short: 4, reducers: 26}, 56, Flat},
		{"75 capped to 60 after 54", crowd{long: 70, short: 4, reducers: 26}, 54, Rising},
		{"75 capped to 60 after 66", crowd{long: 70, short: 4, reducers: 26}, 66, Falling},
		{"100 with too many missing", crowd{long: 80, missing: 20}, 48, Flat},
		{"0 with too many missing", crowd{short: 80, missing: 20}, 44, Rising},
		{"100 with too many missing after 56", crowd{long: 80, missing: 20}, 56, Falling},
	} {
		t.Run(tt.name, func(t *testing.T) {
			in := tt.crowd.input()
			in.Past = steady(tt.past)
			if s, _ := mustCompute(t, in); s.AlignmentTrend != tt.want {
				t.Errorf("%v after %v: %s, want %s", s.AlignmentScore, tt.past, s.AlignmentTrend, tt.want)
			}
		})
	}
}
