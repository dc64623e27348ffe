package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"strconv"

	"github.com/whalegate/whalegate/dashboards"
	"github.com/whalegate/whalegate/dashboards/grafana"
	"github.com/whalegate/whalegate/internal/prometheus"
	"github.com/whalegate/whalegate/internal/web"
)

// demoBoards are the Grafana and the Prometheus that a demo starts when their
// programs are on the machine. What is missing, or does not start, is said in
// its place: the demo goes on without.
type demoBoards struct {
	grafana    *grafana.Server
	prometheus *prometheus.Server
	lines      []string // for the announcement
}

// startBoards starts what is there. data is where Grafana finds PostgreSQL.
func (c *demoCmd) startBoards(ctx context.Context, state demoState, data string, service *web.Server, logger *slog.Logger) *demoBoards {
	b := &demoBoards{}
	if !c.Boards {
		b.lines = []string{"  boards      not started (--no-boards)"}
		return b
	}
	// Prometheus first: Grafana is told where it is.
	metrics, line, err := "http://"+c.Prometheus, "", error(nil)
	if b.prometheus, err = c.startPrometheus(ctx, service.Address(), logger); err != nil {
		line = "  Prometheus  " + err.Error()
	} else {
		metrics = b.prometheus.URL
		logger.Info("Prometheus started", "address", metrics)
		line = fmt.Sprintf("  Prometheus  %s   scrapes the service", metrics)
	}
	if b.grafana, err = c.startGrafana(ctx, state, data, metrics, service.ExternalURL(), logger); err != nil {
		b.lines = append(b.lines, "  Grafana     "+err.Error())
	} else {
		logger.Info("Grafana started", "address", b.grafana.URL)
		b.lines = append(b.lines,
			fmt.Sprintf("  board       %s   no login needed to look; user admin, password in the file env", b.grafana.URL),
			fmt.Sprintf("  incidents   %s/d/%s   what is wrong, and which runbook applies", b.grafana.URL, dashboards.IncidentUID))
	}
	b.lines = append(b.lines, line)
	return b
}

func (c *demoCmd) startGrafana(ctx context.Context, state demoState, data, metrics, external string, logger *slog.Logger) (*grafana.Server, error) {
	home, err := grafana.Find()
	if err != nil {
		return nil, err
	}
	port, err := portOf(c.Grafana)
	if err != nil {
		return nil, fmt.Errorf("grafana address: %w", err)
	}
	dir := filepath.Join(c.DataDir, "grafana")
	logger.Info("starting Grafana", "home", home, "data", dir)
	return grafana.Start(ctx, grafana.Config{
		Home: home, Dir: dir, Port: port, PostgresAddress: data, Database: database, PrometheusURL: metrics,
		BoardPassword: state.BoardPassword, OpsPassword: state.OpsPassword, AdminPassword: state.GrafanaPassword, ExternalURL: external,
	})
}

func (c *demoCmd) startPrometheus(ctx context.Context, service string, logger *slog.Logger) (*prometheus.Server, error) {
	program, err := prometheus.Find()
	if err != nil {
		return nil, err
	}
	port, err := portOf(c.Prometheus)
	if err != nil {
		return nil, fmt.Errorf("prometheus address: %w", err)
	}
	dir := filepath.Join(c.DataDir, "prometheus")
	logger.Info("starting Prometheus", "program", program, "data", dir)
	return prometheus.Start(ctx, prometheus.Config{Program: program, Dir: dir, Port: port, Target: service})
}

// stop ends what was started.
func (b *demoBoards) stop() error {
	var errs []error
	if b.grafana != nil {
		errs = append(errs, b.grafana.Stop())
	}
	if b.prometheus != nil {
		errs = append(errs, b.prometheus.Stop())
	}
	return errors.Join(errs...)
}

// portOf is the port of an address of this machine, or a free one when it is
// taken.
func portOf(address string) (int, error) {
	l, err := net.Listen("tcp", freeOrAddress(address))
	if err != nil {
		return 0, err
	}
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(port)
}
