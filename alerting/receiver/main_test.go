package receiver

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/whalegate/whalegate/alerting"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// exit is an alert that fired at noon and is sent at once.
func exit() Notification {
	return Notification{
		Key: uuid.MustParse("11111111-2222-3333-4444-555555555555"), Kind: Firing, Type: alerting.ExitCluster, Asset: "BTC", Severity: alerting.High,
		Message:  "[BTC] Smart Money De-risking: Exit Cluster elevated (28.3%). Stop adding exposure. Tighten stops.",
		StartsAt: noon, Now: noon.Add(3 * time.Second),
	}
}

func cleared(n Notification) Notification {
	n.Kind, n.EndsAt, n.Now = Resolved, noon.Add(30*time.Minute), noon.Add(30*time.Minute+3*time.Second)
	return n
}

// request is what a receiver was asked.
type request struct {
	path   string
	header http.Header
	body   []byte
}

// post is a receiver's end: it answers and remembers.
type post struct {
	*httptest.Server
	mu       sync.Mutex
	requests []request
}

func listen(t testing.TB, answer http.HandlerFunc) *post {
	p := &post{}
	p.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		p.mu.Lock()
		p.requests = append(p.requests, request{r.URL.Path, r.Header, body})
		p.mu.Unlock()
		answer(w, r)
	}))
	t.Cleanup(p.Close)
	return p
}

func (p *post) got() []request {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]request{}, p.requests...)
}

// deaf is an address that nobody listens on.
func deaf(t testing.TB) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// make makes the receiver of a URL.
func makeReceiver(t testing.TB, url string) Receiver {
	r, err := connect(Route{Name: "one", MinSeverity: alerting.Medium, SendResolved: true}, url, "", "")
	if err != nil {
		t.Fatal(err)
	}
	return r
}
