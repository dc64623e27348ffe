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
	"github.com/whalegate/whalegate/internal/lead"
	"github.com/whalegate/whalegate/internal/postgres"
)

// Config is what the job is told.
type Config struct {
	Pool       *pgxpool.Pool
	Fence      *lead.Fence // nil: whoever decides may write
	Clock      clock.Clock
	Logger     *slog.Logger
	Registerer prometheus.Registerer
	Outbox     Outbox // who is told is written with what is told
	Told       func() // called when there is something to send; may be nil
}

// Job decides the alerts of each boundary once something has become of it, and
// the system alert whenever it is time.
type Job struct {
	cfg     Config
	rules   Rules
	metrics *metrics
	wake    chan struct{}
	started time.Time // by the clock of the database; zero until it was asked
	away    bool      // the database could not be asked, or told, last time, or, at the start, nobody knows
	back    time.Time // since when it can be again, by its own clock; zero once that has been dealt with
	until   time.Time // when that is dealt with, by ours
	wrong   *ClockTrouble
	quiet   map[asset.Asset]alerting.Reason // why nothing could be concluded last, said once
}

// New makes a job; nothing runs yet.
func New(cfg Config) *Job {
	return &Job{cfg: cfg, rules: Rules{cfg.Pool, cfg.Fence, cfg.Outbox}, metrics: newMetrics(cfg.Registerer), wake: make(chan struct{}, 1), wrong: &ClockTrouble{Clock: cfg.Clock}, away: true, quiet: map[asset.Asset]alerting.Reason{}}
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
	// Another collector may have led since: begin as at a start.
	j.started, j.away, j.back, j.wrong = time.Time{}, true, time.Time{}, &ClockTrouble{Clock: j.cfg.Clock}
	var said string
	for {
		err := j.look(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil && !errors.Is(err, errChanged) {
			j.metrics.errors.Inc()
			j.away = j.away || errors.Is(err, postgres.ErrUnreachable)
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
		now, err := j.ask(ctx)
		if err != nil {
			return err
		}
		j.started = now
	}
	if err := j.lookAtSystem(ctx); err != nil {
		return err
	}
	for {
		done, err := j.rules.Step(ctx)
		if err != nil || done == nil {
			return err
		}
		j.tell(*done)
		if len(done.Told) > 0 {
			j.tellSender()
		}
	}
}

// yield is how long, after an outage of the database, the dead man's switch has to
// enter what it said meanwhile. Who does not wait says it a second time.
const yield = 15 * time.Second

func (j *Job) lookAtSystem(ctx context.Context) error {
	if j.away {
		now, err := j.ask(ctx)
		if err != nil {
			return err
		}
		if err := j.rules.Rehearse(ctx, j.started, now); err != nil {
			return err
		}
		j.away, j.back, j.until = false, now, j.cfg.Clock.Now().Add(yield)
	}
	if !j.back.IsZero() && j.cfg.Clock.Now().Before(j.until) {
		return nil
	}
	told, err := j.rules.LookAtSystem(ctx, j.started, j.back, j.wrong)
	if err != nil {
		j.away = true // it could not be said, for whatever reason: somebody else may
		return err
	}
	j.back = time.Time{}
	if told != nil {
		j.tellSystem(*told)
		j.tellSender()
	}
	return nil
}

// ask reads the clock of the database.
func (j *Job) ask(ctx context.Context) (now time.Time, err error) {
	ctx, cancel := postgres.Reading(ctx)
	defer cancel()
	err = j.cfg.Pool.QueryRow(ctx, "SELECT whalegate_now()").Scan(&now)
	return now, postgres.Because(ctx, "ask for the time", err)
}

func (j *Job) tellSender() {
	if j.cfg.Told != nil {
		j.cfg.Told()
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
