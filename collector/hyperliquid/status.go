package hyperliquid

import (
	"errors"
	"io"
	"net/http"
	"strconv"
	"time"
)

// MaxRetryAfter bounds what the exchange may ask us to wait: a mistake on the
// other side must not switch the collector off.
const MaxRetryAfter = 5 * time.Minute

// drained is how much of an error's body is read so that its connection can
// be used again. The real ones are "null", a line of text or an HTML page.
const drained = 64 << 10

// refused makes the error of a status that was not hoped for. The body is
// never quoted: it may repeat what was sent.
func (c *Client) refused(res *http.Response) error {
	// The outcome is known already; a body that breaks off changes nothing.
	_, _ = io.Copy(io.Discard, io.LimitReader(res.Body, drained))
	asked := retryAfter(res.Header.Get("Retry-After"), c.clock.Now())
	c.metrics.retryAfter.Set(asked.Seconds())
	return &Error{Failure: failureOfStatus(res.StatusCode), Status: res.StatusCode, RetryAfter: min(asked, MaxRetryAfter)}
}

// failureOfStatus classifies a status other than success. A redirect is not
// followed: the exchange has none, and it would carry headers elsewhere.
func failureOfStatus(status int) Failure {
	switch {
	case status == http.StatusTooManyRequests:
		return RateLimited
	case status >= http.StatusInternalServerError:
		return ServerError
	default:
		return Rejected
	}
}

// mostAsked bounds what is told of a Retry-After.
const mostAsked = 24 * time.Hour

// retryAfter reads a Retry-After header, seconds or a date, into a duration between 0 and
// mostAsked.
func retryAfter(text string, now time.Time) time.Duration {
	const most = uint64(mostAsked / time.Second)
	seconds, err := strconv.ParseUint(text, 10, 64)
	if err == nil || errors.Is(err, strconv.ErrRange) {
		return time.Duration(min(seconds, most)) * time.Second
	}
	if at, err := http.ParseTime(text); err == nil {
		return min(max(0, at.Sub(now)), mostAsked)
	}
	return 0
}
