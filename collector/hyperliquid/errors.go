package hyperliquid

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Failure is why a request gave nothing. It is a stable code for metrics,
// tables and decisions.
type Failure string

// The failures of a request.
const (
	RateLimited Failure = "rate_limited" // status 429
	ServerError Failure = "server_error" // any status from 500 on
	Rejected    Failure = "rejected"     // any other status that is not the one asked for: a redirect, 422, …
	Timeout     Failure = "timeout"      // no complete answer within the timeout
	Connection  Failure = "connection"   // no answer, or one that broke off
	Null        Failure = "null"         // 200 with the literal null where an object is due
	Malformed   Failure = "malformed"    // 200 with a body that is not one JSON value: cut short, HTML, text
	Schema      Failure = "schema"       // 200 with JSON that cannot be what was asked for
	TooLarge    Failure = "too_large"    // a body, or one row of it, beyond its limit
	Throttled   Failure = "throttled"    // never sent: the weight budget has no room before the deadline, or never
	Cancelled   Failure = "cancelled"    // the caller's context ended
)

// Failures lists every Failure, so that metrics can exist before they count.
var Failures = []Failure{
	RateLimited, ServerError, Rejected, Timeout, Connection, Null, Malformed, Schema, TooLarge, Throttled, Cancelled,
}

// Error is every error of a request. Its text holds neither the URL nor a
// header, which may carry a provider's token.
type Error struct {
	Endpoint   string        // what was asked, as in the metrics: state, sub_accounts, …
	Failure    Failure       // what happened
	Status     int           // HTTP status; 0 when there was no complete answer
	RetryAfter time.Duration // how long the exchange asks to wait, at most MaxRetryAfter; 0 when it does not say
	Err        error         // the detail; may be nil
}

// Error names the endpoint, the failure and what is known beyond it.
func (e *Error) Error() string {
	var text strings.Builder
	fmt.Fprintf(&text, "request %s: %s", e.Endpoint, e.Failure)
	if e.Status != 0 {
		fmt.Fprintf(&text, " (status %d)", e.Status)
	}
	if e.RetryAfter != 0 {
		fmt.Fprintf(&text, ", retry after %s", e.RetryAfter)
	}
	if e.Err != nil {
		fmt.Fprintf(&text, ": %v", e.Err)
	}
	return text.String()
}

// Unwrap gives the detail.
func (e *Error) Unwrap() error { return e.Err }

// Temporary says whether the same request may succeed in a moment. An answer
// that was understood and is wrong will be wrong again.
func (e *Error) Temporary() bool {
	switch e.Failure {
	case RateLimited, ServerError, Timeout, Connection, Null, Malformed:
		return true
	default:
		return false
	}
}

// FailureOf finds the Failure in err. It is Cancelled for a bare context
// error and empty for nil and for errors that are not of this package.
func FailureOf(err error) Failure {
	var failed *Error
	switch {
	case errors.As(err, &failed):
		return failed.Failure
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return Cancelled
	default:
		return ""
	}
}

// failure makes an Error whose endpoint and status are filled in on its way
// out.
func failure(kind Failure, format string, args ...any) error {
	return &Error{Failure: kind, Err: fmt.Errorf(format, args...)}
}
