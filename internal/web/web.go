// Package web serves what the outside may ask of a running process: metrics,
// whether it lives, whether it can work, and the state of the system.
package web

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/prometheus/exporter-toolkit/web"

	"github.com/whalegate/whalegate/internal/postgres"
	"github.com/whalegate/whalegate/internal/status"
)

// Config is what a Server is told.
type Config struct {
	Address    string // host:port to listen on
	ConfigFile string // TLS and basic auth, in the format of all Prometheus exporters; may be empty
	// ExternalURL is where people reach the process, from ParseExternalURL. Empty: as the
	// address says.
	ExternalURL string
	Gatherer    prometheus.Gatherer
	Ready       func(context.Context) error // nil when the process can do its work
	Status      func(context.Context) (status.Report, error)
	Pages       http.Handler // everything that has no path of its own here; nil: nothing
	Logger      *slog.Logger
}

// Server is the HTTP server of a process.
type Server struct {
	cfg      Config
	listener net.Listener
	http     *http.Server
	external string
}

// Listen takes the address. The error names it. Everything is served at the root and at
// the path of the external URL as well: a proxy may take that path off or leave it.
func Listen(cfg Config) (*Server, error) {
	external, err := ParseExternalURL(cfg.ExternalURL)
	if err != nil {
		return nil, err
	}
	if err := web.Validate(cfg.ConfigFile); err != nil {
		return nil, fmt.Errorf("web config file %s: %w", cfg.ConfigFile, err)
	}
	listener, err := net.Listen("tcp", cfg.Address)
	if err != nil {
		return nil, fmt.Errorf("listen address %s: %w", cfg.Address, err)
	}
	switch external {
	case "":
		if external, err = defaultExternalURL(listener.Addr().String(), cfg.ConfigFile); err != nil {
			return nil, errors.Join(err, listener.Close())
		}
	case NoExternalURL:
		external = ""
	}
	s := &Server{cfg: cfg, listener: listener, external: external}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(cfg.Gatherer, promhttp.HandlerOpts{EnableOpenMetrics: true}))
	mux.HandleFunc("GET /-/healthy", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "alive") })
	mux.HandleFunc("GET /-/ready", s.ready)
	mux.HandleFunc("GET /api/v1/status", s.status)
	if cfg.Pages != nil {
		mux.Handle("GET /", cfg.Pages)
	}
	if u, err := url.Parse(external); err == nil && u.Path != "" {
		mux.Handle("GET "+u.Path+"/", http.StripPrefix(u.Path, mux))
	}
	s.http = &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second, ErrorLog: slog.NewLogLogger(cfg.Logger.Handler(), slog.LevelDebug)}
	return s, nil
}

// Address is where the server listens.
func (s *Server) Address() string { return s.listener.Addr().String() }

// ExternalURL is where people reach the process, without a slash at its end: as it was
// given, or as the address says. Empty: they cannot.
func (s *Server) ExternalURL() string { return s.external }

// Serve answers until Shutdown.
func (s *Server) Serve() error {
	no := false
	flags := &web.FlagConfig{WebListenAddresses: &[]string{s.Address()}, WebSystemdSocket: &no, WebConfigFile: &s.cfg.ConfigFile}
	err := web.Serve(s.listener, s.http, flags, s.cfg.Logger)
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return fmt.Errorf("serve http: %w", err)
}

// Shutdown lets requests in hand finish for a moment and closes the rest.
func (s *Server) Shutdown() {
	const moment = 2 * time.Second
	ctx, cancel := context.WithTimeout(context.Background(), moment)
	defer cancel()
	if s.http.Shutdown(ctx) != nil {
		_ = s.http.Close() // whatever is left hangs
	}
}

func (s *Server) ready(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := postgres.Looking(r.Context())
	defer cancel()
	if err := s.cfg.Ready(ctx); err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	fmt.Fprintln(w, "ready")
}

// status answers 200 whatever the state is: the state is in the body, and a
// monitor that wants a code has /-/ready and the metrics.
func (s *Server) status(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := postgres.Looking(r.Context())
	defer cancel()
	report, _ := s.cfg.Status(ctx) // the report carries the error
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	if err := json.NewEncoder(w).Encode(report); err != nil {
		s.cfg.Logger.Debug("answer status", "error", err)
	}
}
