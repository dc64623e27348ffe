package engine

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/whalegate/whalegate/alerting"
	"github.com/whalegate/whalegate/internal/asset"
	"github.com/whalegate/whalegate/internal/clock"
	"github.com/whalegate/whalegate/internal/postgres"
)

// Config is what the job is told.
type Config struct {
	Pool       *pgxpool.Pool
	Clock      clock.Clock
	Logger     *slog.Logger
	Registerer prometheus.Registerer
}

// Job decides the alerts of each boundary once something has become of it, and
// the system alert whenever it is time.
type Job struct {
	cfg     Config
	metrics *metrics
	wake    chan struct{}
	started time.Time                       // by the clock of the database; zero until it was asked
	quiet   map[asset.Asset]alerting.Reason // why nothing could be concluded last, said once
}

// New makes a job; nothing runs yet.
func New(cfg Config) *Job {
	return &Job{cfg: cfg, metrics: newMetrics(cfg.Registerer), wake: make(chan struct{}, 1), quiet: map[asset.Asset]alerting.Reason{}}
}

// Wake tells that something has become of a boundary. It is only a hint: what
// there is to do is read from the database.
func (j *Job) Wake() {
	select {
	case j.wake <- struct{}{}:
	default: // somebody is already told
	}
}

// every is the pause between two looks.
const every = 5 * time.Second

// Run works until ctx ends.
func (j *Job) Run(ctx context.Context) error {
	var said string
	for {
		err := j.look(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil && !errors.Is(err, errChanged) {
			j.metrics.errors.Inc()
			if text := err.Error(); text != said { // an outage says the same every few seconds
				j.cfg.Logger.Error("alerts", "error", err)
				said = text
			}
		} else {
			said = ""
		}
		timer := time.NewTimer(j.cfg.Clock.Real(every))
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-j.wake:
			timer.Stop()
		case <-timer.C:
		}
	}
}

// look decides what is due. The system alert comes first: it silences the rest.
func (j *Job) look(ctx context.Context) error {
	if j.started.IsZero() {
		ctx, cancel := postgres.Reading(ctx)
		defer cancel()
		if err := j.cfg.Pool.QueryRow(ctx, "SELECT whalegate_now()").Scan(&j.started); err != nil {
			return postgres.Because(ctx, "ask for the time", err)
		}
	}
	system, err := LookAtSystem(ctx, j.cfg.Pool, j.started)
	if err != nil {
		return err
	}
	if system != nil {
		j.tellSystem(*system)
	}
	for {
		done, err := Step(ctx, j.cfg.Pool)
		if err != nil || done == nil {
			return err
		}
		j.tell(*done)
	}
}

// tellSystem logs and counts a system alert.
func (j *Job) tellSystem(t SystemTold) {
	if t.Resolved {
		j.metrics.resolved.WithLabelValues(string(alerting.SystemStale)).Inc()
		j.cfg.Logger.Info("alert resolved", "id", t.ID, "asset", "SYSTEM", "type", alerting.SystemStale)
		return
	}
	j.metrics.fired.WithLabelValues(string(alerting.SystemStale)).Inc()
	j.cfg.Logger.Error("alert", "id", t.ID, "asset", "SYSTEM", "type", alerting.SystemStale, "severity", alerting.Critical, "message", t.Message)
}

// tell logs and counts what a period said. Why nothing could be concluded (A1)
// is said once per change of reason.
func (j *Job) tell(o Outcome) {
	for _, t := range o.Told {
		kind, name := string(t.Type), t.Signal.Asset.String()
		switch {
		case t.Resolved:
			j.metrics.resolved.WithLabelValues(kind).Inc()
			j.cfg.Logger.Info("alert resolved", "id", t.ID, "asset", name, "type", kind)
		case t.Suppressed != "":
			j.metrics.suppressed.WithLabelValues(kind, string(t.Suppressed)).Inc()
			j.cfg.Logger.Info("alert suppressed", "id", t.ID, "asset", name, "type", kind, "reason", t.Suppressed, "message", t.Message)
		default:
			j.metrics.fired.WithLabelValues(kind).Inc()
			j.cfg.Logger.Warn("alert", "id", t.ID, "asset", name, "type", kind, "severity", t.Type.Severity(), "message", t.Message)
		}
	}
	now := map[asset.Asset]alerting.Reason{}
	for a, reasons := range o.Quiet {
		if r := reasons[alerting.RegimeChange]; r != "" && r != alerting.Hysteresis {
			now[a] = r
			j.metrics.blocked.WithLabelValues(string(r)).Inc()
		}
	}
	if !maps.Equal(now, j.quiet) {
		for a, r := range now {
			j.cfg.Logger.Info("alerts not evaluated", "check", "A1", "boundary", o.Boundary, "asset", a.String(), "reason", r)
		}
		j.quiet = now
	}
}
