package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/oklog/run"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promauto"

	alerts "github.com/whalegate/whalegate/alerting/engine"
	"github.com/whalegate/whalegate/alerting/heartbeat"
	"github.com/whalegate/whalegate/alerting/outbox"
	"github.com/whalegate/whalegate/alerting/receiver"
	"github.com/whalegate/whalegate/collector"
	"github.com/whalegate/whalegate/collector/hyperliquid"
	"github.com/whalegate/whalegate/internal/clock"
	"github.com/whalegate/whalegate/internal/duration"
	"github.com/whalegate/whalegate/internal/facts"
	"github.com/whalegate/whalegate/internal/halt"
	"github.com/whalegate/whalegate/internal/health"
	"github.com/whalegate/whalegate/internal/health/watch"
	"github.com/whalegate/whalegate/internal/lead"
	"github.com/whalegate/whalegate/internal/pages"
	"github.com/whalegate/whalegate/internal/postgres"
	"github.com/whalegate/whalegate/internal/postgres/disk"
	"github.com/whalegate/whalegate/internal/qa"
	"github.com/whalegate/whalegate/internal/retention"
	"github.com/whalegate/whalegate/internal/status"
	"github.com/whalegate/whalegate/internal/web"
	"github.com/whalegate/whalegate/signals/engine"
)

// service is what `run` and `demo` both run.
type service struct {
	clock     clock.Clock
	logger    *slog.Logger
	pool      *pgxpool.Pool
	registry  *prometheus.Registry
	collector *collector.Collector
	signals   *engine.Job
	auditor   *engine.Auditor
	alerts    *alerts.Job
	sender    *outbox.Sender
	receivers []string // who is told of alerts
	heartbeat *heartbeat.Heartbeat
	retention *retention.Job
	client    *hyperliquid.Client
	halts     *halt.Keeper
	fence     *lead.Fence
	candidate *lead.Candidate
	server    *web.Server
	universe  int // wallets to track
}

// newRegistry makes a registry that knows the process and the build.
func newRegistry() *prometheus.Registry {
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	b := build()
	promauto.With(registry).NewGaugeVec(prometheus.GaugeOpts{Name: "whalegate_build_info", Help: "Always 1; the labels say what was built."},
		[]string{"version", "revision", "goversion"}).WithLabelValues(b.Version, b.Revision, b.Go).Set(1)
	return registry
}

// exportExternalURL exports where people reach this process, so that the links of
// Prometheus's rules need no setting of their own. Nothing is exported when they cannot.
func exportExternalURL(registerer prometheus.Registerer, external string) {
	info := promauto.With(registerer).NewGaugeVec(prometheus.GaugeOpts{Name: "whalegate_external_url_info", Help: "Always 1; the label is where people reach this process."}, []string{"url"})
	if external != "" {
		info.WithLabelValues(external).Set(1)
	}
}

// newService makes the parts and takes the listen address; nothing runs yet.
func newService(ctx context.Context, databaseURL string, http httpFlags, exchange exchangeFlags, alerting alertFlags, storage storageFlags, pace leadFlag, c clock.Clock, logger *slog.Logger) (*service, error) {
	registry := newRegistry()
	receivers, err := alerting.load(logger)
	if err != nil {
		return nil, err
	}
	beat, err := heartbeat.New(alerting.Heartbeat, c, logger, registry)
	if err != nil {
		return nil, err
	}
	client, err := exchange.client(c, registry)
	if err != nil {
		return nil, err
	}
	kept, err := storage.OlderThan.duration()
	if err != nil {
		return nil, err
	}
	guard, err := storage.guard(logger)
	if err != nil {
		return nil, err
	}
	pool, err := postgres.Open(ctx, databaseURL, "whalegate run")
	if err != nil {
		return nil, err
	}
	receiver.RefuseRedirects()
	intent := outbox.For(receivers)
	s := &service{receivers: intent.Names(), heartbeat: beat, clock: c, logger: logger, pool: pool, registry: registry, client: client, universe: exchange.Universe}
	s.fence = &lead.Fence{}
	s.halts = &halt.Keeper{DB: pool, Fence: s.fence, Logger: logger}
	s.candidate = lead.New(lead.Config{
		DatabaseURL: databaseURL, Fence: s.fence, Clock: c, Logger: logger, Registerer: registry, Pace: lead.DefaultPace.Faster(pace.Faster),
		Weight: client.Tokens, Inherit: s.inherit, Settle: s.halts.Settle, Watch: s.halts.Watch,
		Reconnected: func() {
			pool.Reset() // some sessions may be on the server of before
			s.collector.Recheck()
		},
	})
	checks := qa.New(pool, s.fence, logger, registry)
	collecting := exchange.collectorConfig(c, logger, registry, checks)
	collecting.Room = guard.Room
	collecting.Committed = func(run collector.Run) {
		if run.Status != collector.Failed {
			s.candidate.Stored(run.Timestamp)
		}
		s.signals.Wake()
		if run.IsClean() {
			beat.Beat()
		}
	}
	s.collector, err = collector.New(collecting, client, client.Sparing(), collector.NewStore(pool).Behind(s.fence))
	if err != nil {
		pool.Close()
		return nil, err
	}
	documentation, err := pages.Handler()
	if err != nil {
		pool.Close()
		return nil, err
	}
	s.server, err = web.Listen(web.Config{
		Address: http.Listen, ConfigFile: http.WebConfig, ExternalURL: http.External, Gatherer: registry, Pages: documentation, Logger: logger,
		Ready: func(ctx context.Context) error {
			if err := postgres.CheckSchema(ctx, pool); err != nil {
				return err
			}
			return lead.CheckPrimary(ctx, pool)
		},
		Status: func(ctx context.Context) (status.Report, error) {
			report, err := status.Read(ctx, pool, c.Now())
			if t, ok := client.LastTrouble(); ok {
				report.Exchange = &facts.Exchange{At: t.At, Endpoint: t.Endpoint, Failure: string(t.Failure), Status: t.Status, Cause: t.Cause, Text: t.Text}
			}
			return report, err
		},
	})
	if err != nil {
		pool.Close()
		return nil, err
	}
	// Only now: the default external URL, which goes into messages, holds the port.
	exportExternalURL(registry, s.server.ExternalURL())
	s.sender = outbox.NewSender(outbox.Config{Pool: pool, Fence: s.fence, Clock: c, Logger: logger, Registerer: registry, Receivers: receivers, ExternalURL: s.server.ExternalURL()})
	s.alerts = alerts.New(alerts.Config{Pool: pool, Fence: s.fence, Clock: c, Logger: logger, Registerer: registry, Outbox: intent, Told: s.sender.Wake})
	s.signals = engine.New(engine.Config{Pool: pool, Fence: s.fence, Clock: c, Logger: logger, Registerer: registry, QA: checks, Judge: engine.Now, Done: s.alerts.Wake})
	s.auditor = engine.NewAuditor(engine.AuditorConfig{Pool: pool, Clock: c, Logger: logger, Registerer: registry, QA: checks, Recorded: s.signals.Recorded})
	registry.MustRegister(watch.NewCollector(pool), postgres.NewCollector(pool), engine.NewAgeCollector(pool), outbox.NewCollector(pool, receivers), disk.NewCollector(guard, pool), status.NewCollector(pool))
	s.retention = retention.New(retention.Config{Pool: pool, Fence: s.fence, Clock: c, Logger: logger, Registerer: registry, OlderThan: kept})
	return s, nil
}

// lookEvery is the pause between two looks at health, and at a schema that is
// not current.
const lookEvery = 5 * time.Second

// run runs until ctx ends or a part fails.
//
// The order of shutdown is the order of adding: first the signal, then what only
// the leader does, then the watcher of health, and last HTTP, so that metrics and
// probes answer while the rest ends.
// An interrupt only cancels: the waiting is in execute. The pool is closed when
// nobody is left who could use it.
func (s *service) run(ctx context.Context) error {
	defer s.pool.Close()
	defer s.client.Close()
	var g run.Group
	{ // The signal, or whatever else ends the caller's context.
		done := make(chan struct{})
		g.Add(func() error {
			select {
			case <-ctx.Done():
				s.logger.Info("shutting down")
			case <-done:
			}
			return nil
		}, func(error) { close(done) })
	}
	{ // The lead: waits for it, and does the leader's work while it lasts.
		ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
		g.Add(func() error {
			if err := s.awaitSchema(ctx); err != nil {
				return nil // only the shutdown ends the wait
			}
			return s.candidate.Run(ctx, s.lead)
		}, func(error) { cancel() })
	}
	{ // Health, watched whatever the schema is: it cannot be asked, so it is STALE.
		ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
		watcher := &watch.Watcher{DB: s.pool, Fence: s.fence, Clock: s.clock, Logger: s.logger, Every: lookEvery, Looked: s.halts.Look, Changed: s.healthChanged}
		g.Add(func() error { return watcher.Run(ctx) }, func(error) { cancel() })
	}
	{ // HTTP.
		g.Add(s.server.Serve, func(error) { s.server.Shutdown() })
	}
	warnOfNobody(s.receivers, s.logger)
	s.logger.Info("service started", "address", "http://"+s.server.Address(), "version", build().Version)
	return g.Run()
}

// lead does what only the leader may, until ctx ends: with the shutdown, or because
// another collector leads.
//
// The order of ending is the order of adding: first whoever makes new work (the
// refresh, the search for accounts), then the snapshot cycle, which abandons its
// minute and writes nothing of it; then the signals, which stand on what the cycle
// committed, and the alerts, which stand on them; then the senders, which record
// what became of the attempt in hand, the heartbeat, and the daily prune and the audit,
// which the next start goes on with.
func (s *service) lead(ctx context.Context) error {
	if h, err := watch.Read(ctx, s.pool); err == nil { // an outage in which nobody led has not been reported
		s.halts.Look(ctx, h)
		s.healthChanged(ctx, h)
	}
	var g run.Group
	addContext(&g, ctx)
	for _, work := range []func(context.Context) error{
		s.collector.Universe, s.collector.Accounts, s.collector.Snapshots, s.signals.Run, s.alerts.Run, s.sender.Run, s.heartbeat.Run, s.retention.Run, s.auditor.Run,
	} {
		ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
		g.Add(func() error { return work(ctx) }, func(error) { cancel() })
	}
	return g.Run()
}

// awaitSchema waits until the database is reachable and its schema current. A
// start before the database, or before `migrate`, needs nobody to start again.
func (s *service) awaitSchema(ctx context.Context) error {
	var said string
	for {
		err := postgres.CheckSchema(ctx, s.pool)
		if err == nil {
			err = lead.MayLead(ctx, s.pool)
		}
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if text := err.Error(); text != said && !errors.Is(err, context.Canceled) {
			s.logger.Warn("waiting for the database", "error", text)
			said = text
		}
		if err := s.clock.Sleep(ctx, lookEvery); err != nil {
			return fmt.Errorf("wait for the database: %w", err)
		}
	}
}

// inherit takes what the collector that led before leaves.
func (s *service) inherit(l lead.Legacy) {
	if l.Weight != nil {
		s.client.Inherit(*l.Weight)
	}
	s.collector.Inherit(l)
}

// healthChanged turns an outage of ten minutes into a failed check.
func (s *service) healthChanged(ctx context.Context, h health.Health) {
	if s.fence.Term() == (lead.Term{}) {
		return // whoever leads reports it
	}
	if h.State == health.Stale && h.AgeSeconds != nil && slices.Contains(h.Reasons, "snapshot_age") {
		s.collector.ReportAge(ctx, duration.Seconds(*h.AgeSeconds))
	}
}
