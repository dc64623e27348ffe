package hyperliquid

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"
)

// errSlow is the cause with which a request's own timeout ends it.
var errSlow = errors.New("no complete answer within the timeout")

// errNotAgain ends a request whose connection broke and that cannot be sent
// again at once.
var errNotAgain = errors.New("the connection was closed, and the weight budget has no room to ask again")

// question is one request to the info endpoint.
type question struct {
	endpoint    string // as a label and in errors
	kind        string // as the exchange calls it
	user, vault string // the account that it is about; at most one is set
	weight      int    // of the budget
	limit       int64  // of the answer's body, in bytes
}

// askFor asks a question and decodes what the exchange says, which comes with the
// time by the clock of whoever sent it. With an error there is none of it.
func askFor[T any](ctx context.Context, c *Client, q question, decode func(body []byte, answered time.Time) (T, error)) (T, error) {
	var said, none T
	err := c.ask(ctx, q, func(body []byte, answered time.Time) (err error) {
		said, err = decode(body, answered)
		return err
	})
	if err != nil {
		return none, err
	}
	return said, nil
}

// ask posts a question, inside the weight budget, and hands the body to read,
// with the time of the answer by the clock of whoever sent it.
func (c *Client) ask(ctx context.Context, q question, read func(body []byte, answered time.Time) error) error {
	claimed, err := c.budget.wait(ctx, c.class, q.weight)
	if err == nil {
		err = c.post(ctx, q, claimed, read)
	}
	return c.finish(q.endpoint, outcomeOK, err)
}

// post sends a question whose weight was claimed.
func (c *Client) post(ctx context.Context, q question, claimed *claim, read func(body []byte, answered time.Time) error) error {
	weight := q.weight
	// What was spent is gone also when the request fails: it may have arrived.
	defer func() { c.budget.answered(claimed, weight) }()
	req := c.infoRequest(q, func() bool {
		ok := c.budget.again(claimed)
		if ok {
			weight += q.weight
		}
		return ok
	})
	return c.exchange(ctx, q.endpoint, c.timeout, req, func(res *http.Response) error {
		if res.StatusCode != http.StatusOK {
			return c.refused(res)
		}
		body, err := readBody(res, q.limit)
		if err != nil {
			return err
		}
		return read(body, answeredAt(res.Header))
	})
}

// infoRequest makes the request of a question. The transport may send it a
// second time, on a new connection, when the server hung up on an idle one;
// again is asked before, since the exchange may have counted the first.
func (c *Client) infoRequest(q question, again func() bool) *http.Request {
	// Marshalling strings cannot fail.
	body, _ := json.Marshal(struct {
		Type  string `json:"type"`
		User  string `json:"user,omitempty"`
		Vault string `json:"vaultAddress,omitempty"`
	}{q.kind, q.user, q.vault})
	req := newRequest(http.MethodPost, c.infoURL, c.infoUser)
	req.Body, req.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	req.GetBody = func() (io.ReadCloser, error) {
		if !again() {
			return nil, errNotAgain
		}
		return io.NopCloser(bytes.NewReader(body)), nil
	}
	req.Header.Set("Content-Type", "application/json")
	// Never sent: it tells the transport that a question may be asked again
	// when the server hung up on an idle connection.
	req.Header["Idempotency-Key"] = nil
	for name, values := range c.infoExtra {
		req.Header[name] = values
	}
	return req
}

// newRequest needs no parsing that could fail with the URL in its error.
func newRequest(method string, at *url.URL, user *url.Userinfo) *http.Request {
	req := &http.Request{Method: method, URL: at, Header: http.Header{
		"Accept":     {"application/json"},
		"User-Agent": {"whalegate"},
	}}
	if user != nil {
		password, _ := user.Password()
		req.SetBasicAuth(user.Username(), password)
	}
	return req
}

// exchange sends a request and hands the answer to use, all within timeout.
func (c *Client) exchange(ctx context.Context, endpoint string, timeout time.Duration, req *http.Request, use func(*http.Response) error) error {
	limited, cancel := c.clock.WithTimeout(ctx, timeout, errSlow)
	defer cancel()
	started := time.Now()
	defer func() { c.metrics.took(endpoint, c.clock.Elapsed(time.Since(started))) }()

	res, err := c.transport.RoundTrip(req.WithContext(limited))
	if err != nil {
		return interrupted(ctx, limited, err)
	}
	defer res.Body.Close()
	err = use(res)
	var failed *Error
	if errors.As(err, &failed) {
		failed.Status = res.StatusCode
		return err
	}
	return interrupted(ctx, limited, err)
}

// interrupted tells apart why sending or reading broke off. A context that
// ended shows up as many different errors, so the contexts are asked first.
func interrupted(caller, limited context.Context, err error) error {
	var wrapped *url.Error
	if errors.As(err, &wrapped) {
		err = wrapped.Err // its text would print the URL
	}
	var network net.Error
	switch {
	case err == nil:
		return nil
	case caller.Err() != nil:
		return failure(Cancelled, "%w", context.Cause(caller))
	case errors.Is(context.Cause(limited), errSlow):
		return failure(Timeout, "%w", errSlow)
	case errors.As(err, &network) && network.Timeout():
		return failure(Timeout, "%w", err)
	default:
		return failure(Connection, "%w", err)
	}
}

// finish counts the outcome of a request and completes its error.
func (c *Client) finish(endpoint, success string, err error) error {
	if err == nil {
		c.metrics.count(endpoint, success)
		return nil
	}
	failed := &Error{Failure: Connection, Err: err}
	errors.As(err, &failed)
	failed.Endpoint = endpoint
	c.metrics.count(endpoint, string(failed.Failure))
	c.remember(failed)
	return failed
}

// readBody reads at most limit bytes, counted after decompression.
func readBody(res *http.Response, limit int64) ([]byte, error) {
	if res.ContentLength > limit {
		return nil, failure(TooLarge, "the body of %d bytes is over the limit of %d", res.ContentLength, limit)
	}
	body, err := io.ReadAll(io.LimitReader(res.Body, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(body)) > limit {
		return nil, failure(TooLarge, "the body is over the limit of %d bytes", limit)
	}
	return body, nil
}
