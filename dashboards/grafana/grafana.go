// Package grafana runs a private Grafana from a program that is on the machine,
// provisioned with the boards: for the demo, and for tests.
package grafana

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"

	"github.com/whalegate/whalegate/dashboards"
	"github.com/whalegate/whalegate/internal/subprocess"
	"github.com/whalegate/whalegate/provisioning"
)

// ErrNotInstalled means that no Grafana was found.
var ErrNotInstalled = errors.New("no Grafana server found: install one from https://grafana.com/grafana/download, or set GRAFANA_HOME to where one is unpacked")

// packaged is where the distribution package puts Grafana.
const packaged = "/usr/share/grafana"

// Find returns the home folder of a Grafana: GRAFANA_HOME, or that of the
// installed package. The error is ErrNotInstalled when there is neither, and
// another one when GRAFANA_HOME names a folder without a Grafana.
func Find() (string, error) {
	if home := os.Getenv("GRAFANA_HOME"); home != "" {
		if _, err := program(home); err != nil {
			return "", fmt.Errorf("GRAFANA_HOME: %w", err)
		}
		return home, nil
	}
	if _, err := program(packaged); err != nil {
		return "", ErrNotInstalled
	}
	return packaged, nil
}

// program is the server in a home folder. A package puts it elsewhere.
func program(home string) (string, error) {
	for _, path := range []string{filepath.Join(home, "bin", "grafana"), "/usr/sbin/grafana"} {
		if _, err := os.Stat(filepath.Join(home, "public")); err != nil {
			return "", fmt.Errorf("%s holds no Grafana: %w", home, err)
		}
		if _, err := os.Stat(path); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("%s holds no Grafana: no bin/grafana", home)
}

// Config of a private Grafana.
type Config struct {
	Home string // from Find
	Dir  string // its data, provisioning and log; made when missing
	Port int    // on 127.0.0.1
	// Where the data of the boards is. Without a Prometheus at the URL the panels
	// that read it say so.
	PostgresAddress, Database  string
	BoardPassword, OpsPassword string
	PrometheusURL              string
	// ExternalURL is where people reach the pages of the service, as in dashboards.Files.
	ExternalURL string
	// AdminPassword is set at the first start with a Dir.
	AdminPassword string
}

// Server is a running Grafana.
type Server struct {
	*subprocess.Server
	URL string
}

// Start writes the provisioning and the boards into cfg.Dir and starts Grafana.
// It returns when the boards are there. Whoever reaches the port may look, as a
// Viewer, without a login.
func Start(ctx context.Context, cfg Config) (*Server, error) {
	path, err := program(cfg.Home)
	if err != nil {
		return nil, err
	}
	if err := prepare(cfg); err != nil {
		return nil, fmt.Errorf("prepare Grafana in %s: %w", cfg.Dir, err)
	}
	address := "http://" + subprocess.Address(cfg.Port)
	in := func(name string) string { return filepath.Join(cfg.Dir, name) }
	s, err := subprocess.Start(ctx, subprocess.Config{
		Name: "Grafana", Path: path, Dir: cfg.Home, LogFile: in("grafana.log"), Ready: address + "/api/dashboards/uid/" + dashboards.TradingUID,
		// Grafana 10 at times ends at its first start with "failed to create default
		// organization: UNIQUE constraint failed: org.id" (grafana/grafana#68644), and
		// never at the second.
		Again: 1,
		Args:  []string{"server", "--homepath", cfg.Home, "--config", in("grafana/whalegate.ini")},
		Env: []string{
			"HOME=" + cfg.Dir,
			"GF_SERVER_HTTP_ADDR=127.0.0.1", "GF_SERVER_HTTP_PORT=" + strconv.Itoa(cfg.Port),
			"GF_PATHS_DATA=" + in("data"), "GF_PATHS_LOGS=" + in("data"), "GF_PATHS_PLUGINS=" + in("data/plugins"), "GF_PATHS_PROVISIONING=" + in("grafana"),
			"GF_LOG_MODE=console", "GF_LOG_LEVEL=warn",
			"GF_SECURITY_ADMIN_PASSWORD=" + cfg.AdminPassword,
			"GF_AUTH_ANONYMOUS_ENABLED=true", "GF_AUTH_ANONYMOUS_ORG_ROLE=Viewer",
			"WHALEGATE_DASHBOARDS=" + in("boards"),
			"WHALEGATE_POSTGRES_ADDRESS=" + cfg.PostgresAddress, "WHALEGATE_POSTGRES_DATABASE=" + cfg.Database,
			"WHALEGATE_POSTGRES_SSLMODE=disable", "WHALEGATE_BOARD_PASSWORD=" + cfg.BoardPassword, "WHALEGATE_OPS_PASSWORD=" + cfg.OpsPassword,
			"WHALEGATE_PROMETHEUS_URL=" + cfg.PrometheusURL,
		},
	})
	if err != nil {
		return nil, err
	}
	return &Server{s, address}, nil
}

// prepare writes what Grafana reads: the provisioning, and the boards in the
// form that every version knows.
func prepare(cfg Config) error {
	dir := cfg.Dir
	for _, folder := range []string{"data/plugins", "boards"} {
		if err := os.MkdirAll(filepath.Join(dir, folder), 0o700); err != nil {
			return err
		}
	}
	err := fs.WalkDir(provisioning.Files, "grafana", func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			return os.MkdirAll(filepath.Join(dir, path), 0o700)
		}
		body, err := provisioning.Files.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(dir, path), body, 0o600)
	})
	if err != nil {
		return err
	}
	boards, err := dashboards.Files(cfg.ExternalURL)
	if err != nil {
		return err
	}
	for _, board := range boards {
		if board.V2 {
			continue
		}
		if err := os.WriteFile(filepath.Join(dir, "boards", board.UID+".json"), board.Body, 0o600); err != nil {
			return err
		}
	}
	return nil
}
