package heartbeat

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"go.uber.org/goleak"

	"github.com/whalegate/whalegate/internal/clock"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const key = "secret-0815"

// scene is a monitor and a heartbeat that runs.
type scene struct {
	*testing.T
	*Heartbeat
	asked chan string // method and path of each request, once it is answered
	log   *bytes.Buffer
	stop  func() // ends Run, and waits for it
}

// run starts a heartbeat for a monitor.
func run(t *testing.T, c clock.Clock, monitor http.HandlerFunc) *scene {
	t.Helper()
	s := &scene{T: t, asked: make(chan string, 100), log: &bytes.Buffer{}}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		monitor(w, r)
		s.asked <- r.Method + " " + r.URL.Path
	}))
	t.Cleanup(server.Close)
	return s.start(server.URL+"/ping/"+key, c)
}

func (s *scene) start(address string, c clock.Clock) *scene {
	s.Helper()
	h, err := New(address, c, slog.New(slog.NewTextHandler(s.log, nil)), prometheus.NewRegistry())
	if err != nil {
		s.Fatal(err)
	}
	s.Heartbeat = h
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		if err := h.Run(ctx); err != nil {
			s.Error(err)
		}
	})
	s.stop = func() { cancel(); running.Wait() }
	s.Cleanup(s.stop)
	return s
}

// beat tells of a clean cycle, and waits for what comes of it to be counted.
func (s *scene) beat(outcome string) {
	s.Helper()
	before := s.count(outcome)
	s.Beat()
	for deadline := time.Now().Add(10 * time.Second); s.count(outcome) == before; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			s.Fatalf("no request was counted as %s", outcome)
		}
	}
}

func (s *scene) count(outcome string) float64 {
	return testutil.ToFloat64(s.requests.WithLabelValues(outcome))
}

func TestOneRequestForEachBeat(t *testing.T) {
	s := run(t, clock.Clock{}, func(http.ResponseWriter, *http.Request) {})
	for range 3 {
		s.beat("ok")
	}
	s.stop()
	if len(s.asked) != 3 || s.count("ok") != 3 || s.count("error") != 0 {
		t.Errorf("%d requests, %v ok, %v failed", len(s.asked), s.count("ok"), s.count("error"))
	}
	if got := <-s.asked; got != "GET /ping/"+key {
		t.Errorf("it asks %q", got)
	}
	if s.log.Len() > 0 {
		t.Errorf("it says something: %s", s.log)
	}
}

func TestAFailureIsSaidOnce(t *testing.T) {
	answers := make(chan int, 10)
	s := run(t, clock.Clock{}, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(<-answers) })
	for _, code := range []int{500, 404, 503, 200, 204, 500, 200} {
		answers <- code
		if code < 300 {
			s.beat("ok")
		} else {
			s.beat("error")
		}
	}
	s.stop()
	said := s.log.String()
	if strings.Count(said, "msg=heartbeat ") != 2 || strings.Count(said, `msg="heartbeat again"`) != 2 || !strings.Contains(said, "it answered 500") {
		t.Errorf("it says:\n%s", said)
	}
	if s.count("ok") != 3 || s.count("error") != 4 {
		t.Errorf("%v ok, %v failed", s.count("ok"), s.count("error"))
	}
}

// Whoever tells of a cycle does not wait for a monitor that hangs, and what comes
// meanwhile is one request.
func TestNothingWaitsForAMonitorThatHangs(t *testing.T) {
	arrived, release := make(chan struct{}, 10), make(chan struct{})
	s := run(t, clock.Clock{}, func(http.ResponseWriter, *http.Request) { arrived <- struct{}{}; <-release })
	s.Beat()
	<-arrived
	for range 50 {
		s.Beat() // would hang here, and the test with it
	}
	close(release)
	<-arrived
	<-s.asked
	<-s.asked
	s.beat("ok")
	s.stop()
	if len(s.asked) != 1 {
		t.Errorf("%d more requests, one is wanted: what came while it hung is one", len(s.asked))
	}
}

func TestAMonitorThatHangsIsGivenUp(t *testing.T) {
	fast, err := clock.Parse(time.Now().UTC().Format(time.RFC3339Nano) + ",1000")
	if err != nil {
		t.Fatal(err)
	}
	s := run(t, fast, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	s.beat("error")
	s.stop()
	if said := s.log.String(); !strings.Contains(said, "no answer within 10s") || strings.Contains(said, key) {
		t.Errorf("it says: %s", said)
	}
}

func TestTheShutdownDoesNotWaitForAMonitor(t *testing.T) {
	arrived := make(chan struct{})
	s := run(t, clock.Clock{}, func(_ http.ResponseWriter, r *http.Request) { close(arrived); <-r.Context().Done() })
	s.Beat()
	<-arrived
	s.stop() // would take ten seconds, and goleak wants the request to be over
	if s.log.Len() > 0 || s.count("error") != 0 {
		t.Errorf("a request that the shutdown cut short counts as failed: %s", s.log)
	}
}

// The address holds the monitor's key: what goes wrong is said without it.
func TestTheKeyIsInNoLogAndNoError(t *testing.T) {
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	redirecting := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, r.URL.Path+"x", http.StatusFound) }))
	defer redirecting.Close()
	for _, address := range []string{gone.URL, redirecting.URL, "http://user:" + key + "@" + strings.TrimPrefix(gone.URL, "http://")} {
		s := (&scene{T: t, log: &bytes.Buffer{}}).start(address+"/"+key+"?k="+key, clock.Clock{})
		s.beat("error")
		s.stop()
		if said := s.log.String(); !strings.Contains(said, "msg=heartbeat") || strings.Contains(said, key) {
			t.Errorf("it says: %s", said)
		}
	}
}

func TestAWrongAddressIsRefusedInOneLine(t *testing.T) {
	for _, address := range []string{"monitor.example.org/" + key, "ftp://monitor.example.org/" + key, "https:///" + key, "http://[" + key, ":" + key, "http://a b/" + key, "\n" + key} {
		_, err := New(address, clock.Clock{}, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
		if err == nil {
			t.Errorf("%q is taken", address)
			continue
		}
		text := fmt.Sprint(err)
		if strings.Contains(text, key) || strings.Contains(text, "\n") || !strings.Contains(text, "WHALEGATE_HEARTBEAT_URL") || !strings.Contains(text, "is right") {
			t.Errorf("%q: %s", address, text)
		}
	}
}

func TestWithoutAnAddressNothingIsAsked(t *testing.T) {
	s := (&scene{T: t, log: &bytes.Buffer{}}).start("", clock.Clock{})
	for range 3 {
		s.Beat()
	}
	s.stop()
	if s.count("ok")+s.count("error") != 0 || s.log.Len() > 0 {
		t.Errorf("%v requests; %s", s.count("ok")+s.count("error"), s.log)
	}
}
