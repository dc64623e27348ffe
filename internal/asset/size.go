package asset

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Size is a signed position size (szi): positive is long. It counts the
// smallest unit that the exchange keeps of the asset (0.01 HYPE, 0.00001 BTC,
// 0.0001 ETH), so that sums and comparisons are exact. A Size means nothing
// without its asset.
type Size int64

// ErrSize is wrapped by every error of ParseSize and of Add.
var ErrSize = errors.New("not a position size")

// maxExponent bounds what is read of an exponent: beyond it a number is out of
// range or zero whatever its digits are.
const maxExponent = 64

// ParseSize reads a decimal number ("-12.5", "1.0e-7") and rounds it, half
// away from zero, to the size precision of the asset. It never goes through a
// float. The error wraps ErrSize when text is not a finite decimal number or
// does not fit.
func ParseSize(text string, a Asset) (Size, error) {
	mantissa, exponent, err := splitExponent(text)
	if err != nil {
		return 0, err
	}
	negative := false
	switch {
	case strings.HasPrefix(mantissa, "-"):
		negative, mantissa = true, mantissa[1:]
	case strings.HasPrefix(mantissa, "+"):
		mantissa = mantissa[1:]
	}
	whole, fraction, _ := strings.Cut(mantissa, ".")
	digits := whole + fraction
	if digits == "" {
		return 0, fmt.Errorf("%w: %q has no digits", ErrSize, clip(text))
	}
	// keep is how many of digits stand before the last place that is kept.
	keep := len(whole) + exponent + a.Decimals()
	var units int64
	for i := range max(keep, len(digits)) {
		digit := byte('0')
		if i < len(digits) {
			digit = digits[i]
		}
		if digit < '0' || digit > '9' {
			return 0, fmt.Errorf("%w: %q has a character that is no digit", ErrSize, clip(text))
		}
		if i >= keep {
			continue // beyond the precision: only checked to be a digit
		}
		if units > (math.MaxInt64-9)/10 {
			return 0, fmt.Errorf("%w: %q is out of range", ErrSize, clip(text))
		}
		units = units*10 + int64(digit-'0')
	}
	if keep >= 0 && keep < len(digits) && digits[keep] >= '5' {
		units++
	}
	if negative {
		units = -units
	}
	return Size(units), nil
}

func splitExponent(text string) (mantissa string, exponent int, err error) {
	i := strings.IndexAny(text, "eE")
	if i < 0 {
		return text, 0, nil
	}
	exponent, err = strconv.Atoi(text[i+1:])
	if err != nil || exponent > maxExponent || exponent < -maxExponent {
		return "", 0, fmt.Errorf("%w: %q has an exponent that cannot be", ErrSize, clip(text))
	}
	return text[:i], exponent, nil
}

// clip keeps foreign text short in errors.
func clip(text string) string {
	const most = 40
	if len(text) > most {
		return text[:most] + "…"
	}
	return text
}

// Add sums two sizes of the same asset. The error wraps ErrSize when the sum
// does not fit.
func (s Size) Add(other Size) (Size, error) {
	sum := s + other
	if (other > 0 && sum < s) || (other < 0 && sum > s) {
		return 0, fmt.Errorf("%w: the sum is out of range", ErrSize)
	}
	return sum, nil
}

// Abs is the size without its side.
func (s Size) Abs() Size {
	if s < 0 {
		return -s
	}
	return s
}

// Text writes the size as a plain decimal in units of the asset, the form that
// the database takes.
func (s Size) Text(a Asset) string { return string(s.AppendText(nil, a)) }

// AppendText appends what Text returns.
func (s Size) AppendText(b []byte, a Asset) []byte {
	if s < 0 {
		b = append(b, '-')
	}
	// The magnitude is taken unsigned: the smallest int64 has no positive twin.
	magnitude := uint64(s)
	if s < 0 {
		magnitude = -magnitude
	}
	digits := strconv.FormatUint(magnitude, 10)
	if missing := a.Decimals() + 1 - len(digits); missing > 0 {
		digits = strings.Repeat("0", missing) + digits
	}
	point := len(digits) - a.Decimals()
	b = append(b, digits[:point]...)
	b = append(b, '.')
	return append(b, digits[point:]...)
}

// Float is the size in units of the asset, for arithmetic that needs no
// exactness.
func (s Size) Float(a Asset) float64 { return float64(s) / math.Pow10(a.Decimals()) }
