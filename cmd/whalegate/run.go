package main

import (
	"context"
	"log/slog"

	"github.com/whalegate/whalegate/internal/postgres"
)

// httpFlags say where a process answers.
type httpFlags struct {
	Listen    string `name:"listen-address" env:"WHALEGATE_LISTEN_ADDRESS" default:"127.0.0.1:9464" help:"Address of /metrics, /-/healthy, /-/ready, /api/v1/status and the documentation (/)."`
	WebConfig string `name:"web.config.file" env:"WHALEGATE_WEB_CONFIG_FILE" type:"path" help:"TLS and basic auth, in the format of Prometheus exporters."`
	External  string `name:"web.external-url" env:"WHALEGATE_WEB_EXTERNAL_URL" placeholder:"URL" help:"URL under which people reach this process, for the links in alerts; it may have a path. By default http://HOSTNAME:PORT/ of the listen address, or http://127.0.0.1:PORT/ when it is on loopback. none: nobody does, and links lead to the repository."`
}

type runCmd struct {
	databaseFlag
	exchangeFlags
	alertFlags
	storageFlags
	httpFlags
	clockFlag
	leadFlag
}

// Run runs the service until a signal.
func (c *runCmd) Run(ctx context.Context, logger *slog.Logger) error {
	clock, err := c.clock()
	if err != nil {
		return err
	}
	s, err := newService(ctx, c.DatabaseURL, c.httpFlags, c.exchangeFlags, c.alertFlags, c.storageFlags, c.leadFlag, clock, logger)
	if err != nil {
		return err
	}
	logger.Info("settings", "database", postgres.Redact(c.DatabaseURL), "universe_size", c.Universe, "api_weight", c.APIWeight, "concurrency", c.Concurrency, "receivers", s.receivers, "heartbeat", c.Heartbeat != "", "external_url", s.server.ExternalURL())
	if c.Disk == "" {
		logger.Warn("the room on the database's disk is not watched: --database-disk says where it is")
	}
	return s.run(ctx)
}
