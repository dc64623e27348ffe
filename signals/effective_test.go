package signals

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"testing"

	"github.com/whalegate/whalegate/internal/asset"
)

func TestEpsilonTable(t *testing.T) {
	for _, tt := range []struct {
		name        string
		asset       asset.Asset
		twiceMedian uint64
		want        float64 // in the smallest unit
	}{
		{"dust of HYPE without a history", asset.HYPE, 0, 1},
		{"dust of BTC without a history", asset.BTC, 0, 10},
		{"dust of ETH without a history", asset.ETH, 0, 10},
		{"a median of 0.01 BTC", asset.BTC, 2 * 1_000, 20},
		{"a median of 100 BTC is 2 BTC", asset.BTC, 2 * 100_00000, 2_00000},
		{"a median of 50 ETH is 1 ETH", asset.ETH, 2 * 50_0000, 1_0000},
		{"a median of 7 HYPE is 0.14 HYPE", asset.HYPE, 2 * 7_00, 14},
		{"2 % of the median meet the dust of BTC", asset.BTC, 2 * 500, 10},
		{"just below, dust counts", asset.BTC, 2*500 - 1, 10},
		{"just above, the median counts", asset.BTC, 2*500 + 1, 10.01},
		{"2 % of the median meet the dust of HYPE", asset.HYPE, 2 * 50, 1},
		{"a median between two rows", asset.HYPE, 101, 1.01},
		{"a median of half a unit", asset.HYPE, 1, 1},
		{"another between two rows", asset.ETH, 2*12_345 + 1, 246.91},
		{"the largest", asset.HYPE, 2 * math.MaxInt64, 0.02 * (1 << 63)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := Epsilon(tt.asset, tt.twiceMedian); got != tt.want {
				t.Errorf("ε = %v, want %v", got, tt.want)
			}
		})
	}
}

// windowOf reads a window such as "1000 NULL 0".
func windowOf(t *testing.T, text string) []Reading {
	t.Helper()
	var window []Reading
	for _, field := range strings.Fields(text) {
		if field == "NULL" {
			window = append(window, Reading{})
			continue
		}
		size, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		window = append(window, Reading{Size: asset.Size(size), Known: true})
	}
	return window
}

func TestCollapseHoldTable(t *testing.T) {
	for _, tt := range []struct {
		name   string
		window string // clean rows, in order of time
		want   string
	}{
		{"no rows", "", isMissing},
		{"the only row is taken as it is", "1000", "1000"},
		{"even 0", "0", "0"},
		{"even NULL", "NULL", isMissing},
		{"a steady long", "1000 1000 1000 1000 1000", "1000"},
		{"the newest of a growing short", "-1000 -1100 -1200 -1300 -1400", "-1400"},
		{"a fall that is no collapse", "1000 1000 1000 1000 500", "500"},

		{"gone at the boundary", "1000 1000 1000 1000 0", "1000"},
		{"a short gone at the boundary", "-1000 -1000 -1000 -1000 0", "-1000"},
		{"the row before is held, not an older one", "1000 2000 3000 0", "3000"},
		{"1 % exactly is no collapse", "1000 10", "10"},
		{"below 1 %", "1000 9", "1000"},
		{"a hair below 1 %", "1000000 9999", "1000000"},
		{"1 % exactly of much", "1000000 10000", "10000"},
		{"1 % exactly of a short", "-1000 -10", "-10"},
		{"below 1 % of a short", "-1000 -9", "-1000"},
		{"flip below 1 % on the other side", "1000 -9", "1000"},
		{"flip of a short below 1 %", "-1000 9", "-1000"},
		{"flip to 1 % on the other side", "1000 -10", "-10"},
		{"flip in full", "1000 -1000", "-1000"},
		{"a position of 1 % is opened", "0 9", "9"},

		{"before = ε is no size that could collapse", "20 0", "0"},
		{"before just above ε", "21 0", "21"},
		{"a short of ε", "-20 0", "0"},
		{"a short just above ε", "-21 0", "-21"},
		{"nothing before", "0 0", "0"},

		{"newest NULL, held", "1000 1000 NULL", "1000"},
		{"newest NULL of a short, held", "-1000 NULL", "-1000"},
		{"newest NULL after a size of ε, not held", "20 NULL", isMissing},
		{"newest NULL after just above ε, held", "21 NULL", "21"},
		{"newest NULL after nothing, not held", "0 NULL", isMissing},
		{"two NULLs in a row", "1000 NULL NULL", isMissing},
		{"all NULL", "NULL NULL NULL NULL NULL", isMissing},
		{"NULL before is no size that could collapse", "1000 NULL 0", "0"},
		{"back from NULL", "1000 NULL 900", "900"},

		{"an exit is confirmed by a second row", "1000 1000 1000 0 0", "0"},
		{"by a second row with a remainder", "1000 1000 1000 9 8", "8"},
		{"a glitch within the window", "1000 1000 0 1000 1000", "1000"},
		{"the newest NULL after an exit, not held", "1000 0 NULL", isMissing},
		{"a collapse after a collapse that a row has confirmed", "100000 900 0", "900"},
		{"back on the other side", "1000 0 -1000", "-1000"},

		{"a gap before the collapse: what is there is compared", "1000 0", "1000"},
		{"a gap in the steady part", "1000 1000 0", "1000"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			window := windowOf(t, tt.window)
			size, ok := Effective(window, 20)
			got := fmt.Sprint(size)
			if !ok {
				got = isMissing
			}
			if got != tt.want {
				t.Errorf("%q: %s, want %s", tt.window, got, tt.want)
			}
		})
	}
}

// ε decides what could collapse at all, and it is that of the boundary.
func TestCollapseHoldByEpsilon(t *testing.T) {
	for _, tt := range []struct {
		epsilon float64
		want    asset.Size
	}{
		{10, 1000}, {999.99, 1000}, {1000, 0}, {1000.01, 0}, {1e9, 0},
	} {
		if got, ok := Effective(windowOf(t, "1000 0"), tt.epsilon); got != tt.want || !ok {
			t.Errorf("1000 → 0 with ε %g: %d, %t; want %d", tt.epsilon, got, ok, tt.want)
		}
	}
}
