package hyperliquid

import (
	"net/http"
	"strconv"
	"time"
)

// maxAge is the longest Age of an answer; RFC 9111 asks nobody to tell more
// seconds apart.
const maxAge = 1 << 31

// answeredAt is the present of whoever sent an answer: the Date that it was
// made, and the Age since then when a cache held it. It is zero when either is
// unreadable or there is no Date: half of the sum would be a wrong clock.
func answeredAt(header http.Header) time.Time {
	dates, ages := header.Values("Date"), header.Values("Age")
	if len(dates) != 1 || len(ages) > 1 {
		return time.Time{}
	}
	at, err := http.ParseTime(dates[0])
	if err != nil {
		return time.Time{}
	}
	if len(ages) == 1 {
		seconds, err := strconv.ParseUint(ages[0], 10, 64)
		if err != nil || seconds > maxAge {
			return time.Time{}
		}
		at = at.Add(time.Duration(seconds) * time.Second)
	}
	return at.UTC()
}
