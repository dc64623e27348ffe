package hyperliquid

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const account = "0x00000000000000000000000000000000000000aa"

// canned answers requests without a network, so that a test may run on
// synthetic time.
type canned func(*http.Request) (*http.Response, error)

func (c canned) RoundTrip(req *http.Request) (*http.Response, error) { return c(req) }
func (canned) CloseIdleConnections()                                 {}

func answer(status int, body string) canned {
	return func(*http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: status, Header: http.Header{}, ContentLength: -1, Body: io.NopCloser(strings.NewReader(body))}, nil
	}
}

// hung never answers.
func hung(req *http.Request) (*http.Response, error) {
	<-req.Context().Done()
	return nil, req.Context().Err()
}

func newClient(t testing.TB, with transport, changes ...func(*Config)) *Client {
	t.Helper()
	cfg := Config{APIURL: "http://api.example", StatsURL: "http://stats.example"}
	for _, change := range changes {
		change(&cfg)
	}
	c, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if with != nil {
		c.transport = with
	}
	t.Cleanup(c.Close)
	return c
}

// serve is a client of a real server.
func serve(t testing.TB, handler http.HandlerFunc, changes ...func(*Config)) *Client {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	at := func(cfg *Config) { cfg.APIURL, cfg.StatsURL = server.URL, server.URL }
	return newClient(t, nil, append([]func(*Config){at}, changes...)...)
}

func testdata(t testing.TB, name string) string {
	t.Helper()
	body, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

// wantFailure checks that err is an *Error of this kind.
func wantFailure(t testing.TB, err error, want Failure) *Error {
	t.Helper()
	var failed *Error
	if !errors.As(err, &failed) {
		t.Fatalf("error = %v, want an *Error of %s", err, want)
	}
	if failed.Failure != want || FailureOf(err) != want {
		t.Errorf("failure = %s (%v), want %s", failed.Failure, err, want)
	}
	return failed
}
