// Package prometheus runs a private Prometheus from the program that is on the
// machine, scraping one service and judging it by the shipped rules: for the
// demo, and for tests.
package prometheus

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/whalegate/whalegate/internal/subprocess"
)

// ErrNotInstalled means that no Prometheus was found.
var ErrNotInstalled = errors.New("no prometheus in PATH: install the package prometheus")

// Find returns the program.
func Find() (string, error) {
	path, err := exec.LookPath("prometheus")
	if err != nil {
		return "", ErrNotInstalled
	}
	return path, nil
}

// Config of a private Prometheus.
type Config struct {
	Program  string        // from Find
	Dir      string        // its data, configuration and log; made when missing
	Port     int           // on 127.0.0.1
	Target   string        // host:port of the service to scrape
	Watchdog string        // host:port of the watchdog; empty: there is none, nor rules about it
	Every    time.Duration // between two scrapes and two evaluations; 0: as shipped
}

// Server is a running Prometheus.
type Server struct {
	*subprocess.Server
	URL string
}

// Start writes the shipped configuration and rules, pointed at the service, into
// cfg.Dir and starts Prometheus. Nobody is told of its alerts.
func Start(ctx context.Context, cfg Config) (*Server, error) {
	if err := prepare(cfg); err != nil {
		return nil, fmt.Errorf("prepare Prometheus in %s: %w", cfg.Dir, err)
	}
	address := subprocess.Address(cfg.Port)
	s, err := subprocess.Start(ctx, subprocess.Config{
		Name: "Prometheus", Path: cfg.Program, Dir: cfg.Dir, LogFile: filepath.Join(cfg.Dir, "prometheus.log"), Ready: "http://" + address + "/-/ready",
		Args: []string{
			"--config.file=" + filepath.Join(cfg.Dir, "prometheus.yml"), "--storage.tsdb.path=" + filepath.Join(cfg.Dir, "data"),
			"--storage.tsdb.retention.time=7d", "--web.listen-address=" + address, "--log.level=warn",
		},
	})
	if err != nil {
		return nil, err
	}
	return &Server{s, "http://" + address}, nil
}
