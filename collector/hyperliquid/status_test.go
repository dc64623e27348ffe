package hyperliquid

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
)

// Every status an exchange or a proxy before it may answer with.
func TestEveryStatusHasItsFailure(t *testing.T) {
	for status := 201; status < 600; status++ {
		want := Rejected
		switch {
		case status == 429:
			want = RateLimited
		case status >= 500:
			want = ServerError
		}
		if got := failureOfStatus(status); got != want {
			t.Errorf("status %d is %s, want %s", status, got, want)
		}
	}
}

func TestRetryAfterIsHonouredWithinBounds(t *testing.T) {
	now := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	for text, want := range map[string]time.Duration{
		"":                              0,
		"0":                             0,
		"7":                             7 * time.Second,
		"3600":                          time.Hour,
		"86400":                         24 * time.Hour,
		"99999999999999999999999999":    24 * time.Hour,
		"9223372036854775807":           24 * time.Hour,
		"-5":                            0,
		"1.5":                           0,
		"soon":                          0,
		"Thu, 01 Jan 2026 12:00:42 GMT": 42 * time.Second,
		"Thu, 01 Jan 2026 11:00:00 GMT": 0,
		"Fri, 01 Jan 2027 12:00:00 GMT": 24 * time.Hour,
		"Thu Jan  1 12:00:01 2026":      time.Second,
	} {
		if got := retryAfter(text, now); got != want {
			t.Errorf("retryAfter(%q) = %s, want %s", text, got, want)
		}
	}
}

// It may ask for an hour: that is told, and it is asked again after five minutes.
func TestALongRetryAfterIsToldAndNotObeyed(t *testing.T) {
	code := http.StatusTooManyRequests
	c := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "3600")
		w.WriteHeader(code)
		fmt.Fprint(w, `{"universe":[]}`)
	})
	if _, err := c.Meta(t.Context()); wantFailure(t, err, RateLimited).RetryAfter != MaxRetryAfter {
		t.Error(err)
	}
	if told := testutil.ToFloat64(c.metrics.retryAfter); told != 3600 {
		t.Errorf("%v s are told", told)
	}
	code = http.StatusOK
	if _, err := c.Meta(t.Context()); err != nil {
		t.Fatal(err)
	}
	if told := testutil.ToFloat64(c.metrics.retryAfter); told != 0 {
		t.Errorf("%v s are told after an answer", told)
	}
}

func TestRefusalsCarryRetryAfter(t *testing.T) {
	for _, status := range []int{429, 503} {
		c := serve(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", "3")
			w.WriteHeader(status)
			fmt.Fprint(w, "null")
		})
		for endpoint, ask := range questions {
			failed := wantFailure(t, ask(t.Context(), c), failureOfStatus(status))
			if failed.RetryAfter != 3*time.Second || failed.Endpoint != endpoint || failed.Status != status {
				t.Errorf("%s: %+v", endpoint, failed)
			}
			if !strings.Contains(failed.Error(), "retry after 3s") {
				t.Errorf("%s: %q does not say when to retry", endpoint, failed)
			}
		}
	}
}

func TestOnlyWhatMayPassIsTemporary(t *testing.T) {
	temporary := []Failure{RateLimited, ServerError, Timeout, Connection, Null, Malformed}
	for _, kind := range Failures {
		if got, want := (&Error{Failure: kind}).Temporary(), slices.Contains(temporary, kind); got != want {
			t.Errorf("%s is temporary: %t, want %t", kind, got, want)
		}
	}
}

func TestFailureOfSeesThroughWrapping(t *testing.T) {
	for _, tt := range []struct {
		err  error
		want Failure
	}{
		{nil, ""},
		{errors.New("else"), ""},
		{fmt.Errorf("fetch: %w", &Error{Failure: Null}), Null},
		{fmt.Errorf("fetch: %w", context.Canceled), Cancelled},
		{context.DeadlineExceeded, Cancelled},
		{failure(Timeout, "%w", context.DeadlineExceeded), Timeout},
	} {
		if got := FailureOf(tt.err); got != tt.want {
			t.Errorf("FailureOf(%v) = %q, want %q", tt.err, got, tt.want)
		}
	}
	if !errors.Is(failure(Cancelled, "wait: %w", context.Canceled), context.Canceled) {
		t.Error("an Error hides its detail")
	}
}

// Codes end up in tables and dashboards: they are told apart and plain.
func TestFailureCodesAreStable(t *testing.T) {
	want := []Failure{
		"rate_limited", "server_error", "rejected", "timeout", "connection", "null",
		"malformed", "schema", "too_large", "throttled", "cancelled",
	}
	if !slices.Equal(Failures, want) {
		t.Errorf("Failures = %v, want %v", Failures, want)
	}
}
