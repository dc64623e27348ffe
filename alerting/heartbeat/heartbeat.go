// Package heartbeat asks for a URL after every clean cycle, so that a monitor
// outside of this machine notices when there are none. Nothing waits for it.
package heartbeat

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"github.com/whalegate/whalegate/internal/clock"
)

// Heartbeat requests one URL.
type Heartbeat struct {
	url      string
	clock    clock.Clock
	logger   *slog.Logger
	client   *http.Client
	beat     chan struct{}
	requests *prometheus.CounterVec
	failing  bool // said once
}

// New makes a heartbeat; an empty address makes one that does nothing. The error
// does not repeat the address: it holds the monitor's key.
func New(address string, c clock.Clock, logger *slog.Logger, registerer prometheus.Registerer) (*Heartbeat, error) {
	h := &Heartbeat{
		url: address, clock: c, logger: logger, beat: make(chan struct{}, 1),
		client: &http.Client{Transport: &http.Transport{Proxy: http.ProxyFromEnvironment, DisableKeepAlives: true}},
		requests: promauto.With(registerer).NewCounterVec(prometheus.CounterOpts{
			Name: "whalegate_heartbeats_total", Help: "Requests of the heartbeat URL, one after each clean cycle, by outcome.",
		}, []string{"outcome"}),
	}
	h.requests.WithLabelValues("ok")
	h.requests.WithLabelValues("error")
	if address == "" {
		return h, nil
	}
	if u, err := url.Parse(address); err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, errors.New("heartbeat URL (WHALEGATE_HEARTBEAT_URL): an address such as https://monitor.example.org/KEY is right")
	}
	return h, nil
}

// Beat tells of a clean cycle. It does not wait.
func (h *Heartbeat) Beat() {
	select {
	case h.beat <- struct{}{}:
	default: // the last one is still under way
	}
}

// timeout bounds a request: the next cycle has one of its own.
const timeout = 10 * time.Second

var errTimeout = fmt.Errorf("no answer within %s", timeout)

// Run requests the URL after each beat until ctx ends.
func (h *Heartbeat) Run(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-h.beat:
		}
		if h.url == "" {
			continue
		}
		if err := h.request(ctx); ctx.Err() == nil { // else the shutdown cut it short, which says nothing
			h.tell(err)
		}
	}
}

func (h *Heartbeat) request(ctx context.Context) error {
	ctx, cancel := h.clock.WithTimeout(ctx, timeout, errTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, h.url, nil)
	if err != nil {
		return err
	}
	response, err := h.client.Do(request)
	if err != nil {
		var wrapped *url.Error
		if errors.As(err, &wrapped) {
			err = wrapped.Err // which does not name the URL
		}
		if cause := context.Cause(ctx); cause != nil {
			err = cause
		}
		return err
	}
	_ = response.Body.Close() // its status is all
	if response.StatusCode/100 != 2 {
		return fmt.Errorf("it answered %s", response.Status)
	}
	return nil
}

// tell counts a request, and logs when it begins to fail and when it ends to.
func (h *Heartbeat) tell(err error) {
	if err == nil {
		h.requests.WithLabelValues("ok").Inc()
		if h.failing {
			h.logger.Info("heartbeat again")
		}
		h.failing = false
		return
	}
	h.requests.WithLabelValues("error").Inc()
	if !h.failing {
		h.logger.Warn("heartbeat", "error", err)
	}
	h.failing = true
}
