package receiver

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"strconv"
	"sync/atomic"
	"time"
)

// poster posts JSON and judges the answer.
type poster struct {
	client *http.Client
	url    string
	secret secrets // of the URL and of what else must not be told
}

func newPoster(url string, hidden secrets) poster {
	return poster{url: url, secret: hidden, client: &http.Client{
		// A few messages a day: a kept connection would mostly be a dead one, of which
		// nobody can tell whether the message still arrived.
		Transport: &http.Transport{Proxy: http.ProxyFromEnvironment, DisableKeepAlives: true, TLSHandshakeTimeout: 10 * time.Second},
		// A redirected POST becomes a GET without a body: whoever answers that 200 has
		// not been told.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// answerLimit is how much of an answer is read: enough for an error's text.
const answerLimit = 4 << 10

func (p poster) post(ctx context.Context, body []byte, header http.Header) Result {
	// Once there is a connection the receiver may have the message, whatever happens
	// then; before, it cannot.
	var connected atomic.Bool
	traced := httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { connected.Store(true) }})
	request, err := http.NewRequestWithContext(traced, http.MethodPost, p.url, bytes.NewReader(body))
	if err != nil {
		return Result{Outcome: Failed, Err: p.secret.hide(err)}
	}
	request.GetBody = nil // once: the outbox decides what is sent again
	for name, values := range header {
		request.Header[name] = values
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("User-Agent", "whalegate")
	response, err := p.client.Do(request)
	if err != nil {
		if cause := context.Cause(ctx); cause != nil {
			err = errors.Join(cause, err)
		}
		if connected.Load() {
			return Result{Outcome: Unknown, Err: p.secret.hide(err)}
		}
		return Result{Outcome: Retry, Err: p.secret.hide(err)}
	}
	defer response.Body.Close()
	text, _ := io.ReadAll(io.LimitReader(response.Body, answerLimit)) // the status has said it; the text is only for people
	return p.judge(response, string(text))
}

// judge is the one place where a status is judged. A refusal that an operator or
// the receiver can mend within a day is tried again: a wrong password or path, an
// overload, an error of the server. One that says that this very request can
// never be right is not.
func (p poster) judge(response *http.Response, text string) Result {
	code := response.StatusCode
	if code/100 == 2 {
		return Result{Outcome: Delivered}
	}
	err := p.secret.hide(fmt.Errorf("it answered %s%s", response.Status, excerpt(text)))
	if code/100 == 3 {
		return Result{Outcome: Failed, Err: fmt.Errorf("%w: a redirect, which is not followed: the receiver's URL has to be the final one", err)}
	}
	switch code {
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound, http.StatusRequestTimeout, http.StatusConflict,
		http.StatusMisdirectedRequest, http.StatusLocked, http.StatusTooEarly, http.StatusTooManyRequests:
		return Result{Outcome: Retry, Err: err, After: retryAfter(response.Header.Get("Retry-After"))}
	}
	if code >= 500 {
		return Result{Outcome: Retry, Err: err, After: retryAfter(response.Header.Get("Retry-After"))}
	}
	return Result{Outcome: Failed, Err: err}
}

// maxRetryAfter bounds what a receiver may ask for: what is critical has to get out.
const maxRetryAfter = 10 * time.Minute

// retryAfter reads the header in seconds; a date or anything else is not taken.
func retryAfter(text string) time.Duration {
	seconds, err := strconv.Atoi(text)
	if err != nil || seconds < 0 {
		return 0
	}
	return min(time.Duration(seconds)*time.Second, maxRetryAfter)
}
