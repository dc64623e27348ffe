package main

import (
	"context"
	"log/slog"

	"github.com/oklog/run"

	"github.com/whalegate/whalegate/alerting/outbox"
	"github.com/whalegate/whalegate/alerting/receiver"
	"github.com/whalegate/whalegate/alerting/watchdog"
	"github.com/whalegate/whalegate/internal/health/watch"
	"github.com/whalegate/whalegate/internal/pages"
	"github.com/whalegate/whalegate/internal/postgres"
	"github.com/whalegate/whalegate/internal/status"
	"github.com/whalegate/whalegate/internal/web"
)

type watchdogCmd struct {
	databaseFlag
	receiversFlag
	httpFlags
	clockFlag
}

// Run watches until a signal.
//
// The order of shutdown is the order of adding: the signal, then who makes new
// work, then who sends it, and last HTTP.
func (c *watchdogCmd) Run(ctx context.Context, logger *slog.Logger) error {
	clock, err := c.clock()
	if err != nil {
		return err
	}
	receivers, err := c.load(logger)
	if err != nil {
		return err
	}
	pool, err := postgres.Open(ctx, c.DatabaseURL, "whalegate watchdog")
	if err != nil {
		return err
	}
	defer pool.Close()
	receiver.RefuseRedirects()
	registry := newRegistry()
	registry.MustRegister(watch.NewCollector(pool), postgres.NewCollector(pool), outbox.NewCollector(pool, receivers))
	documentation, err := pages.Handler()
	if err != nil {
		return err
	}
	server, err := web.Listen(web.Config{
		Address: c.Listen, ConfigFile: c.WebConfig, ExternalURL: c.External, Gatherer: registry, Pages: documentation, Logger: logger,
		Ready: func(ctx context.Context) error { return postgres.CheckSchema(ctx, pool) },
		Status: func(ctx context.Context) (status.Report, error) {
			h, err := watch.Read(ctx, pool) // all that its role may read
			return status.OfHealth(h, err, clock.Now()), err
		},
	})
	if err != nil {
		return err
	}
	exportExternalURL(registry, server.ExternalURL())
	sender := outbox.NewSender(outbox.Config{Pool: pool, Clock: clock, Logger: logger, Registerer: registry, Receivers: receivers, ExternalURL: server.ExternalURL()})
	dog := watchdog.New(watchdog.Config{Pool: pool, Clock: clock, Logger: logger, Registerer: registry, Receivers: receivers, Told: sender.Wake, ExternalURL: server.ExternalURL()})
	var g run.Group
	addContext(&g, ctx)
	for _, work := range []func(context.Context) error{dog.Run, sender.Run} {
		ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
		g.Add(func() error { return work(ctx) }, func(error) { cancel() })
	}
	g.Add(server.Serve, func(error) { server.Shutdown() })
	warnOfNobody(outbox.For(receivers).Names(), logger)
	logger.Info("watchdog started", "address", "http://"+server.Address(), "external_url", server.ExternalURL(), "database", postgres.Redact(c.DatabaseURL), "receivers", outbox.For(receivers).Names(), "version", build().Version)
	return g.Run()
}
