package simulator

import (
	"math"
	"strconv"
	"strings"
)

// decimal writes a number as the exchange does: at most ten places, at least
// one, and what floats make of them.
func decimal(f float64) string {
	return places(math.Round(f*1e6) / 1e6)
}

func places(f float64) string {
	text := strings.TrimRight(strconv.FormatFloat(f, 'f', 10, 64), "0")
	if strings.HasSuffix(text, ".") {
		text += "0"
	}
	return text
}

// brief writes a price: five significant digits.
func brief(f float64) string {
	rounded, _ := strconv.ParseFloat(strconv.FormatFloat(f, 'e', 4, 64), 64)
	text := strconv.FormatFloat(rounded, 'f', -1, 64)
	if !strings.Contains(text, ".") {
		text += ".0"
	}
	return text
}

// tremble gives a size the noise that sums of floats leave behind: 984.0
// becomes 984.0000000000001. Zero stays what it is.
func tremble(szi string) string {
	f, err := strconv.ParseFloat(szi, 64)
	if err != nil || f == 0 {
		return szi
	}
	return strconv.FormatFloat(math.Nextafter(f, f*2), 'f', -1, 64)
}
