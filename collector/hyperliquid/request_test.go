package hyperliquid

import (
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/whalegate/whalegate/internal/clock"
)

// questions are all the ways to ask, so that a rule can be checked on each.
var questions = map[string]func(context.Context, *Client) error{
	"state":         func(ctx context.Context, c *Client) error { _, err := c.State(ctx, account); return err },
	"sub_accounts":  func(ctx context.Context, c *Client) error { _, err := c.SubAccounts(ctx, account); return err },
	"meta":          func(ctx context.Context, c *Client) error { _, err := c.Meta(ctx); return err },
	"user_role":     func(ctx context.Context, c *Client) error { _, err := c.UserRole(ctx, account); return err },
	"vault_details": func(ctx context.Context, c *Client) error { _, err := c.VaultDetails(ctx, account); return err },
	"leaderboard": func(ctx context.Context, c *Client) error {
		_, err := c.Leaderboard(ctx, 10, Validators{})
		return err
	},
}

func TestTimeoutEndsARequestThatHangs(t *testing.T) {
	for endpoint, ask := range questions {
		synctest.Test(t, func(t *testing.T) {
			started := time.Now()
			failed := wantFailure(t, ask(t.Context(), newClient(t, canned(hung), func(c *Config) { c.Timeout = 3 * time.Second })), Timeout)
			want := 3 * time.Second
			if endpoint == "leaderboard" {
				want *= leaderboardPatience
			}
			if took := time.Since(started); took != want || failed.Endpoint != endpoint {
				t.Errorf("%s took %s, want %s", failed.Endpoint, took, want)
			}
		})
	}
}

// A body that stops in the middle counts against the same timeout.
func TestTimeoutCoversTheBody(t *testing.T) {
	for endpoint, ask := range questions {
		hangs := func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprint(w, `{"leaderboardRows":[`)
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
		}
		// A hundred times as fast, ten seconds are over in a tenth of one.
		fast := func(c *Config) {
			c.Clock, _ = clock.Parse(time.Now().Format(time.RFC3339Nano) + ",100")
		}
		failed := wantFailure(t, ask(t.Context(), serve(t, hangs, fast)), Timeout)
		if !errors.Is(failed, errSlow) {
			t.Errorf("%s: %v", endpoint, failed)
		}
	}
}

func TestCancelledIsNotATimeout(t *testing.T) {
	enough := errors.New("shutting down")
	for endpoint, ask := range questions {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithCancelCause(t.Context())
			time.AfterFunc(time.Second, func() { cancel(enough) })
			if failed := wantFailure(t, ask(ctx, newClient(t, canned(hung))), Cancelled); !errors.Is(failed, enough) {
				t.Errorf("%s: %v hides the cause", endpoint, failed)
			}
			wantFailure(t, ask(ctx, newClient(t, answer(200, "null"))), map[bool]Failure{true: Null, false: Cancelled}[endpoint == "leaderboard"])
		})
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			wantFailure(t, ask(ctx, newClient(t, canned(hung))), Cancelled)
		})
	}
}

func TestBrokenConnections(t *testing.T) {
	hangUp := func(w http.ResponseWriter, prefix string) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			panic(err)
		}
		_, _ = io.WriteString(conn, prefix)
		conn.Close()
	}
	for name, prefix := range map[string]string{
		"no answer":       "",
		"no HTTP":         "SSH-2.0-OpenSSH\r\n",
		"half a header":   "HTTP/1.1 200 OK\r\nContent-Le",
		"half a body":     "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{",
		"half a chunk":    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n20\r\n{",
		"no last chunk":   "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{\r\n",
		"bad gzip":        "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\nnull",
		"a long header":   "HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", 70<<10) + "\r\n\r\n",
		"a whole one cut": "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n" + listing(""),
	} {
		for endpoint, ask := range questions {
			t.Run(name+"/"+endpoint, func(t *testing.T) {
				c := serve(t, func(w http.ResponseWriter, _ *http.Request) { hangUp(w, prefix) })
				wantFailure(t, ask(t.Context(), c), Connection)
			})
		}
	}
}

func TestRedirectsAreNotFollowed(t *testing.T) {
	for _, location := range []string{"/elsewhere", "", "http://[broken", "https://user:SECRET@other.example/"} {
		for endpoint, ask := range questions {
			var asked atomic.Int32
			c := serve(t, func(w http.ResponseWriter, _ *http.Request) {
				asked.Add(1)
				w.Header().Set("Location", location)
				w.WriteHeader(http.StatusTemporaryRedirect)
			})
			err := ask(t.Context(), c)
			if failed := wantFailure(t, err, Rejected); failed.Status != 307 || asked.Load() != 1 || strings.Contains(err.Error(), "SECRET") {
				t.Errorf("%s to %q: %v after %d requests", endpoint, location, err, asked.Load())
			}
		}
	}
}

func TestErrorsHoldNoSecret(t *testing.T) {
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed.Close()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusUnprocessableEntity)
		fmt.Fprint(w, r.URL, r.Header) // an error page may repeat the question
	}))
	defer server.Close()
	for name, tt := range map[string]struct {
		at   string
		with transport
		want Failure
	}{
		"refused":  {closed.Addr().String(), nil, Connection},
		"rejected": {server.Listener.Addr().String(), nil, Rejected},
		"a URL error": {"h", canned(func(r *http.Request) (*http.Response, error) {
			return nil, &url.Error{Op: "Post", URL: "http://SECRET@h/", Err: io.EOF}
		}), Connection},
		"timed out": {"h", canned(func(*http.Request) (*http.Response, error) { return nil, &net.DNSError{IsTimeout: true} }), Timeout},
		"html":      {"h", answer(200, "<SECRET>"), Malformed},
		"schema":    {"h", answer(200, `{"SECRET":"SECRET"}`), Schema},
	} {
		for endpoint, ask := range questions {
			c := newClient(t, tt.with, func(cfg *Config) {
				cfg.APIURL = "http://SECRET:SECRET@" + tt.at + "/SECRET"
				cfg.StatsURL = cfg.APIURL
				cfg.Header = http.Header{"X-Api-Key": {"SECRET"}}
			})
			err := ask(t.Context(), c)
			wantFailure(t, err, tt.want)
			for err := err; err != nil; err = errors.Unwrap(err) {
				if strings.Contains(err.Error(), "SECRET") {
					t.Errorf("%s of %s: %q", name, endpoint, err)
				}
			}
		}
	}
}

func TestHeadersGoToTheAPIOnly(t *testing.T) {
	seen := map[string]http.Header{}
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		seen[r.URL.Path] = r.Header.Clone()
		fmt.Fprint(w, "null")
	}, func(cfg *Config) {
		cfg.APIURL = strings.Replace(cfg.APIURL, "http://", "http://me:word@", 1) + "/token"
		cfg.Header = http.Header{"x-api-key": {"k"}, "User-Agent": {"mine"}}
	})
	for _, ask := range questions {
		_ = ask(t.Context(), c)
	}
	info, board := seen["/token/info"], seen["/Mainnet/leaderboard"]
	if info.Get("X-Api-Key") != "k" || info.Get("User-Agent") != "mine" || info.Get("Authorization") != "Basic bWU6d29yZA==" {
		t.Errorf("the API got %v", info)
	}
	if board == nil || board.Get("X-Api-Key") != "" || board.Get("Authorization") != "" || board.Get("User-Agent") != "whalegate" {
		t.Errorf("the leaderboard got %v", board)
	}
}

// Limits count what a body unpacks to, not what travels.
func TestLimitsHoldAfterDecompression(t *testing.T) {
	for endpoint, ask := range questions {
		sent := make(chan int64, 1)
		c := serve(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			packed, _ := gzip.NewWriterLevel(w, gzip.BestSpeed)
			n, _ := io.CopyBuffer(struct{ io.Writer }{packed}, io.LimitReader(blanksForever{}, 2<<30), make([]byte, 1<<20))
			sent <- n
		})
		wantFailure(t, ask(t.Context(), c), TooLarge)
		if n := <-sent; n > 1<<30 {
			t.Errorf("%s: the server could send %d bytes", endpoint, n)
		}
	}
}

type blanksForever struct{}

func (blanksForever) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = ' '
	}
	return len(p), nil
}

func TestAnnouncedBodiesBeyondTheLimitAreNotRead(t *testing.T) {
	for endpoint, ask := range questions {
		c := newClient(t, canned(func(*http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: 200, ContentLength: 2 << 30, Body: unread{t}}, nil
		}))
		if failed := wantFailure(t, ask(t.Context(), c), TooLarge); failed.Status != 200 {
			t.Errorf("%s: %v", endpoint, failed)
		}
	}
}

type unread struct{ t *testing.T }

func (u unread) Read([]byte) (int, error) { u.t.Error("the body is read"); return 0, io.EOF }
func (unread) Close() error               { return nil }

// A connection serves again after answers of every kind.
func TestConnectionsAreReused(t *testing.T) {
	var opened, asked atomic.Int32
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		switch asked.Add(1) % 4 {
		case 0:
			http.Error(w, "null", http.StatusTooManyRequests)
		case 1:
			http.Error(w, strings.Repeat("<p>", 10<<10), http.StatusBadGateway)
		case 2:
			fmt.Fprint(w, listing(""))
		default:
			fmt.Fprint(w, "null")
		}
	}))
	server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			opened.Add(1)
		}
	}
	server.Start()
	defer server.Close()
	c := newClient(t, nil, func(cfg *Config) { cfg.APIURL = server.URL })
	for range 20 {
		_, _ = c.State(t.Context(), account)
	}
	if opened.Load() != 1 || asked.Load() != 20 {
		t.Errorf("%d connections for %d requests", opened.Load(), asked.Load())
	}
}
