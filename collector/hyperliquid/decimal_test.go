package hyperliquid

import (
	"math/big"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestDecimalAcceptsPlainNumbers(t *testing.T) {
	for value, want := range map[string]string{
		`"0"`: "0", `0`: "0", `"-0.0"`: "-0.0", `"62426218.3606450111"`: "62426218.3606450111", `-12.5`: "-12.5",
		`"1e3"`: "1e3", `1.5E-30`: "1.5E-30", `"1e+30"`: "1e+30", `"007"`: "007", `"\u0031\u002e5"`: "1.5",
		`"` + strings.Repeat("9", 40) + `"`: strings.Repeat("9", 40),
	} {
		if got := decimal([]byte(value)); got != want {
			t.Errorf("decimal(%s) = %q, want %q", value, got, want)
		}
	}
}

func TestDecimalRefusesTheRest(t *testing.T) {
	for _, value := range []string{
		``, `null`, `true`, `[]`, `{}`, `[1]`, `""`, `"-"`, `"."`, `"NaN"`, `"nan"`, `"Infinity"`, `"-inf"`, `"0x1F"`, `"1_000"`, `"1,5"`,
		`" 1"`, `"1 "`, `"1\n"`, `"+1"`, `"--1"`, `"1."`, `".5"`, `"1..2"`, `"1.2.3"`, `"1e"`, `"1e+"`, `"e5"`, `"1e31"`, `"1e-31"`,
		`"1e031"`, `"1e5.0"`, `"1e5e5"`, `1e400`, `"１"`, `"1'; drop table x"`, `"\u0000"`, "\"1\xff\"",
		`"` + strings.Repeat("9", 41) + `"`, strings.Repeat("9", 1<<20), `"` + strings.Repeat(`\u0031`, 41) + `"`,
	} {
		if got := decimal([]byte(value)); got != "" {
			t.Errorf("decimal(%.50s) = %q, want none", value, got)
		}
	}
}

// What a decimal text says is a finite number that exact arithmetic can read.
func TestDecimalIsANumber(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringMatching(`[-+]?[0-9.]{0,12}([eE][-+]?[0-9]{0,3})?`).Draw(t, "text")
		if !isDecimal(text) {
			return
		}
		if _, ok := new(big.Rat).SetString(text); !ok {
			t.Fatalf("%q is no number", text)
		}
	})
}
