package collector

import (
	"math"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/whalegate/whalegate/collector/hyperliquid"
	"github.com/whalegate/whalegate/internal/asset"
)

func TestS6Collapses(t *testing.T) {
	const absent = "absent"
	for _, tt := range []struct {
		name                  string
		asset                 asset.Asset
		before, during, after string
		want                  bool
	}{
		{"gone and back", asset.BTC, "10", "0", "10", true},
		{"a short position", asset.ETH, "-10", "0", "-10", true},
		{"below 1 %", asset.BTC, "10", "0.09999", "10", true},
		{"1 % exactly is no collapse", asset.BTC, "10", "0.1", "10", false},
		{"above 1 %", asset.BTC, "10", "0.10001", "10", false},
		{"below 1 % on the other side", asset.BTC, "10", "-0.09999", "10", true},
		{"1 % on the other side", asset.BTC, "10", "-0.1", "10", false},
		{"a NULL middle", asset.HYPE, "10", "NULL", "10", true},
		{"back to more than half", asset.BTC, "10", "0", "5.00001", true},
		{"half exactly is no recovery", asset.BTC, "10", "0", "5", false},
		{"back to more than it was", asset.BTC, "10", "0", "1000", true},
		{"a real exit", asset.BTC, "10", "0", "0", false},
		{"a NULL after is no recovery", asset.BTC, "10", "0", "NULL", false},
		{"a NULL before is no size", asset.BTC, "NULL", "0", "10", false},
		{"all NULL", asset.BTC, "NULL", "NULL", "NULL", false},
		{"back on the other side", asset.BTC, "10", "0", "-10", true},
		{"a flip without a collapse", asset.BTC, "10", "-10", "10", false},
		{"an entry for one minute", asset.BTC, "0", "10", "0", false},
		{"dust of BTC exactly", asset.BTC, "0.0001", "0", "0.0001", false},
		{"above the dust of BTC", asset.BTC, "0.00011", "0", "0.00011", true},
		{"dust of HYPE exactly", asset.HYPE, "0.01", "0", "0.01", false},
		{"above the dust of HYPE", asset.HYPE, "0.02", "0", "0.02", true},
		{"dust of ETH exactly", asset.ETH, "-0.001", "NULL", "-0.001", false},
		{"above the dust of ETH", asset.ETH, "-0.0011", "NULL", "-0.0011", true},
		{"no row before", asset.BTC, absent, "0", "10", false},
		{"no row in the middle: the wallet failed", asset.BTC, "10", absent, "10", false},
		{"no row after", asset.BTC, "10", "0", absent, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			row := func(text string) []Reading {
				// Neighbours that a search by wallet has to tell apart.
				list := []Reading{hold(1), hold(9, "5", "5", "5")}
				if text == absent {
					return list
				}
				sizes := []string{"0", "0", "0"}
				sizes[tt.asset] = text
				return slices.Insert(list, 1, hold(5, sizes...))
			}
			got := Collapses(row(tt.before), row(tt.during), row(tt.after))
			if !tt.want {
				if len(got) > 0 {
					t.Errorf("%+v, want none", got)
				}
				return
			}
			size := func(text string) asset.Size {
				s, err := asset.ParseSize(text, tt.asset)
				if err != nil {
					t.Fatal(err)
				}
				return s
			}
			want := Collapse{Wallet: wallet(5), Asset: tt.asset, Before: size(tt.before), After: size(tt.after)}
			if tt.during != "NULL" {
				during := size(tt.during)
				want.During = &during
			}
			if diff := cmp.Diff([]Collapse{want}, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestS6SizesNearTheLimitDoNotOverflow(t *testing.T) {
	const most = math.MaxInt64
	at := func(size asset.Size) []Reading {
		r := hold(1)
		r.Positions[asset.BTC].Size = size
		return []Reading{r}
	}
	if got := Collapses(at(most), at(most/1000), at(-most)); len(got) != 1 {
		t.Errorf("found %+v, want one collapse", got)
	}
	if got := Collapses(at(most), at(most/10), at(most)); len(got) != 0 {
		t.Errorf("a tenth is no collapse: %+v", got)
	}
}

// naiveCollapses is the rule in whole numbers over maps.
func naiveCollapses(before, during, after []Reading) []string {
	type key struct {
		wallet string
		asset  asset.Asset
	}
	index := func(readings []Reading) map[key]hyperliquid.Position {
		m := map[key]hyperliquid.Position{}
		for _, r := range readings {
			for _, a := range asset.All {
				m[key{r.Wallet, a}] = r.Positions[a]
			}
		}
		return m
	}
	abs := func(s asset.Size) int64 { return max(int64(s), -int64(s)) }
	dust := map[asset.Asset]int64{asset.HYPE: 1, asset.BTC: 10, asset.ETH: 10}
	b, a := index(before), index(after)
	var found []string
	for k, middle := range index(during) {
		was, hadRow := b[k]
		is, hasRow := a[k]
		if !hadRow || !hasRow || !was.Known || !is.Known || abs(was.Size) <= dust[k.asset] {
			continue
		}
		if middle.Known && abs(middle.Size)*100 >= abs(was.Size) {
			continue
		}
		if abs(is.Size)*2 > abs(was.Size) {
			found = append(found, k.wallet+" "+k.asset.String())
		}
	}
	slices.Sort(found)
	return found
}

// drawReadings draws rows whose sizes stand close to each other's thresholds.
func drawReadings(t *rapid.T, label string) []Reading {
	var list []Reading
	for n := range 4 {
		if rapid.IntRange(0, 5).Draw(t, label+"absent") == 0 {
			continue
		}
		r := hold(n)
		for _, a := range asset.All {
			size := rapid.SampledFrom([]asset.Size{0, 1, 2, 9, 10, 11, 49, 50, 51, 99, 100, 101, 500, 501, 999, 1000, 1001, 1100, 5000, 5001, 9999, 10000}).Draw(t, label)
			if rapid.Bool().Draw(t, label+"side") {
				size = -size
			}
			known := rapid.IntRange(0, 5).Draw(t, label+"null") > 0
			if !known {
				size = 0
			}
			r.Positions[a] = hyperliquid.Position{Size: size, Known: known}
		}
		list = append(list, r)
	}
	return list
}

func TestS6CollapsesEqualTheNaiveRule(t *testing.T) {
	seen := 0
	rapid.Check(t, func(t *rapid.T) {
		before, during, after := drawReadings(t, "before"), drawReadings(t, "during"), drawReadings(t, "after")
		var got []string
		for _, c := range Collapses(before, during, after) {
			got = append(got, c.Wallet+" "+c.Asset.String())
		}
		slices.Sort(got)
		if diff := cmp.Diff(naiveCollapses(before, during, after), got); diff != "" {
			t.Fatal(diff)
		}
		seen += len(got)
	})
	if seen == 0 && !t.Failed() {
		t.Error("no case had a collapse")
	}
}
