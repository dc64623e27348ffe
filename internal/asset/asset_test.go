package asset

import (
	"errors"
	"math/big"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestParseSizeRoundsToTheAssetsPrecision(t *testing.T) {
	for _, tt := range []struct {
		text  string
		asset Asset
		want  string
	}{
		{"1064075.6000000001", HYPE, "1064075.60"},
		{"0.005", HYPE, "0.01"},
		{"0.0049999", HYPE, "0.00"},
		{"-0.005", HYPE, "-0.01"},
		{"-1.47472", BTC, "-1.47472"},
		{"0.000005", BTC, "0.00001"},
		{"99.999995", BTC, "100.00000"},
		{"45.7436", ETH, "45.7436"},
		{"0", ETH, "0.0000"},
		{"-0.0", ETH, "0.0000"},
		{"+7", ETH, "7.0000"},
		{".5", ETH, "0.5000"},
		{"1e3", HYPE, "1000.00"},
		{"1.25E-1", HYPE, "0.13"},
		{"5e-3", HYPE, "0.01"},
		{"9e-64", HYPE, "0.00"},
		{"1e-8", BTC, "0.00000"},
		{"1000000000000", BTC, "1000000000000.00000"},
		{"0e60", BTC, "0.00000"},
	} {
		got, err := ParseSize(tt.text, tt.asset)
		if err != nil || got.Text(tt.asset) != tt.want {
			t.Errorf("ParseSize(%q, %s) = %s, %v; want %s", tt.text, tt.asset, got.Text(tt.asset), err, tt.want)
		}
	}
}

func TestParseSizeRefusesWhatIsNoNumber(t *testing.T) {
	for _, text := range []string{
		"", "-", "+", ".", "NaN", "Inf", "-Infinity", "0x10", "1_000", "1,5", "1.2.3", " 1", "1 ", "--1", "1e",
		"1e999", "e5", "1e30", "99999999999999999999", strings.Repeat("9", 1000), "١", "null",
	} {
		if got, err := ParseSize(text, BTC); !errors.Is(err, ErrSize) {
			t.Errorf("ParseSize(%q) = %d, %v; want ErrSize", text, got, err)
		}
	}
}

// The reference rounds with rational arithmetic.
func TestParseSizeEqualsExactArithmetic(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := rapid.SampledFrom(All[:]).Draw(t, "asset")
		text := rapid.StringMatching(`-?[0-9]{1,10}(\.[0-9]{0,12})?(e-?[0-9])?`).Draw(t, "text")
		got, err := ParseSize(text, a)
		exact, ok := new(big.Rat).SetString(text)
		if !ok {
			t.Skip("the reference cannot read it")
		}
		want := exact.FloatString(a.Decimals()) // rounds half away from zero
		if rat, _ := new(big.Rat).SetString(want); rat.Sign() == 0 {
			want = strings.TrimPrefix(want, "-")
		}
		if err != nil {
			if len(want) < 18 {
				t.Fatalf("ParseSize(%q): %v", text, err)
			}
			return
		}
		if got.Text(a) != want {
			t.Fatalf("ParseSize(%q, %s) = %s, want %s", text, a, got.Text(a), want)
		}
		if again, err := ParseSize(got.Text(a), a); err != nil || again != got {
			t.Fatalf("ParseSize(Text(%d)) = %d, %v", got, again, err)
		}
	})
}

func TestAddRefusesOverflow(t *testing.T) {
	const most = Size(1<<63 - 1)
	if _, err := most.Add(1); !errors.Is(err, ErrSize) {
		t.Errorf("most + 1: %v", err)
	}
	if _, err := (-most).Add(-2); !errors.Is(err, ErrSize) {
		t.Errorf("-most - 2: %v", err)
	}
	if sum, err := most.Add(-most); sum != 0 || err != nil {
		t.Errorf("most - most = %d, %v", sum, err)
	}
}

func TestFromCoinKnowsOnlyTheMainDex(t *testing.T) {
	for _, coin := range []string{"hyna:BTC", "@107", "btc", "UBTC", ""} {
		if a, ok := FromCoin(coin); ok {
			t.Errorf("FromCoin(%q) = %s", coin, a)
		}
	}
	for _, a := range All {
		if got, ok := FromCoin(a.Coin()); !ok || got != a {
			t.Errorf("FromCoin(%q) = %v, %v", a.Coin(), got, ok)
		}
		if got, err := Parse(strings.ToLower(a.String())); err != nil || got != a {
			t.Errorf("Parse(%q) = %v, %v", a, got, err)
		}
		if a.Dust() <= 0 {
			t.Errorf("%s has no dust", a)
		}
	}
	if _, err := Parse("SOL"); err == nil {
		t.Error("Parse accepts SOL")
	}
}

func FuzzParseSize(f *testing.F) {
	for _, seed := range []string{"1064075.6000000001", "-0", "1e-9", "NaN", ".", "9223372036854775807", "1e64"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		for _, a := range All {
			size, err := ParseSize(text, a)
			if err != nil {
				if !errors.Is(err, ErrSize) {
					t.Fatalf("%v does not wrap ErrSize", err)
				}
				continue
			}
			if again, err := ParseSize(size.Text(a), a); err != nil || again != size {
				t.Fatalf("%q → %d → %d, %v", text, size, again, err)
			}
		}
	})
}
