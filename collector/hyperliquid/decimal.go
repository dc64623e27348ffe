package hyperliquid

import "strings"

// Limits of a decimal text. The longest real ones have 23 characters; a
// database that takes the text as numeric stores every digit it spells out.
const (
	maxDecimalLength   = 40
	maxDecimalExponent = 30
)

// number reads the text of a number that is written as a JSON number or as a
// JSON string.
func number(value []byte) (string, bool) {
	if len(value) > 0 && (value[0] == '-' || value[0] >= '0' && value[0] <= '9') {
		return string(value), true
	}
	return text(value)
}

// decimal reads a number whose text is safe to hand to a database: a finite
// decimal such as "-12.5" or "1e-7", of bounded length and exponent. Anything
// else, and no value at all, is "".
func decimal(value []byte) string {
	if len(value) > 6*maxDecimalLength+2 { // even were every character escaped
		return ""
	}
	text, ok := number(value)
	if !ok || !isDecimal(text) {
		return ""
	}
	return text
}

// isDecimal accepts -?digits[.digits][e[±]digits], within the limits.
func isDecimal(text string) bool {
	if len(text) > maxDecimalLength {
		return false
	}
	mantissa, exponent := text, ""
	if i := strings.IndexAny(text, "eE"); i >= 0 {
		mantissa, exponent = text[:i], text[i+1:]
		if !isExponent(exponent) {
			return false
		}
	}
	whole, fraction, pointed := strings.Cut(strings.TrimPrefix(mantissa, "-"), ".")
	return isDigits(whole) && (!pointed || isDigits(fraction))
}

func isExponent(text string) bool {
	if text != "" && (text[0] == '-' || text[0] == '+') {
		text = text[1:]
	}
	if !isDigits(text) || len(text) > 2 {
		return false
	}
	value := 0
	for _, digit := range []byte(text) {
		value = value*10 + int(digit-'0')
	}
	return value <= maxDecimalExponent
}

func isDigits(text string) bool {
	for i := range len(text) {
		if text[i] < '0' || text[i] > '9' {
			return false
		}
	}
	return text != ""
}
