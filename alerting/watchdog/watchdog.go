// Package watchdog is the dead man's switch: a second process that fires the
// system alert when the service is dead, through the same rules and the same
// outbox, and that has the last word when the database itself is gone.
package watchdog

import (
	"context"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/whalegate/whalegate/alerting"
	"github.com/whalegate/whalegate/alerting/engine"
	"github.com/whalegate/whalegate/alerting/outbox"
	"github.com/whalegate/whalegate/alerting/receiver"
	"github.com/whalegate/whalegate/internal/clock"
	"github.com/whalegate/whalegate/internal/postgres"
)

// Config is what a watchdog is told.
type Config struct {
	Pool       *pgxpool.Pool
	Clock      clock.Clock
	Logger     *slog.Logger
	Registerer prometheus.Registerer
	Receivers  []receiver.Receiver
	Told       func() // called when there is something to send; may be nil
	// ExternalURL is where people reach the pages of this process: see receiver.Notification.
	ExternalURL string
}

// Watchdog looks at the system alert, and at nothing else.
type Watchdog struct {
	cfg      Config
	intent   outbox.Intent
	rules    engine.Rules
	wrong    *engine.ClockTrouble
	metrics  *metrics
	started  time.Time // by the clock of the database; zero until it was asked
	answered time.Time // when the database last answered, by ours
	known    bool      // whether the outage had been announced then, and no recovery was under way
	speech   *speech   // what was said without the database; nil: nothing
	said     string    // the last error, said once
}

// New makes a watchdog; nothing runs yet.
func New(cfg Config) *Watchdog {
	intent := outbox.For(cfg.Receivers)
	w := &Watchdog{cfg: cfg, intent: intent, rules: engine.Rules{Pool: cfg.Pool, Outbox: intent}, wrong: &engine.ClockTrouble{Clock: cfg.Clock}, answered: cfg.Clock.Now()}
	w.metrics = newMetrics(cfg.Registerer)
	return w
}

// every is the pause between two looks.
const every = 5 * time.Second

// Run looks until ctx ends.
func (w *Watchdog) Run(ctx context.Context) error {
	for {
		err := w.look(ctx)
		if ctx.Err() != nil {
			return nil
		}
		now := w.cfg.Clock.Now()
		if err != nil {
			w.dark(ctx, now, err)
		} else {
			w.answered, w.said = now, ""
		}
		w.metrics.answered.Set(float64(w.answered.Unix()))
		if w.cfg.Clock.Sleep(ctx, every) != nil {
			return nil
		}
	}
}

// look decides by the database.
func (w *Watchdog) look(ctx context.Context) error {
	if w.started.IsZero() {
		now, err := w.ask(ctx)
		if err != nil {
			return err
		}
		w.started = now
	}
	if w.speech != nil {
		if err := w.adopt(ctx); err != nil {
			return err
		}
	}
	told, err := w.rules.LookAtSystem(ctx, w.started, time.Time{}, w.wrong)
	if err != nil {
		return err
	}
	if told != nil {
		w.tell(*told)
	}
	return w.remember(ctx)
}

func (w *Watchdog) ask(ctx context.Context) (now time.Time, err error) {
	ctx, cancel := postgres.Reading(ctx)
	defer cancel()
	err = w.cfg.Pool.QueryRow(ctx, "SELECT whalegate_now()").Scan(&now)
	return now, postgres.Because(ctx, "ask for the time", err)
}

// Two clean minutes end an outage: without a recent one, nothing is under way that
// could.
const selectKnown = `
	SELECT EXISTS (SELECT FROM alert_state WHERE alert_type = 'system_stale' AND is_active) AND (clean_runs > 0 AND snapshot_age_seconds < 180) IS NOT TRUE
	FROM ingest_health`

// remember keeps whether the outage has been announced: should the database go
// away in the middle of it, it is not announced again. In doubt it is: the end may
// have been told after we looked.
func (w *Watchdog) remember(ctx context.Context) error {
	ctx, cancel := postgres.Reading(ctx)
	defer cancel()
	err := w.cfg.Pool.QueryRow(ctx, selectKnown).Scan(&w.known)
	return postgres.Because(ctx, "read the system alert", err)
}

// tell logs and counts what the rules said, and has it sent.
func (w *Watchdog) tell(t engine.SystemTold) {
	if t.Resolved {
		w.metrics.resolved.Inc()
		w.cfg.Logger.Info("alert resolved", "id", t.ID, "asset", "SYSTEM", "type", alerting.SystemStale)
	} else {
		w.metrics.fired.Inc()
		w.cfg.Logger.Error("alert", "id", t.ID, "asset", "SYSTEM", "type", alerting.SystemStale, "severity", alerting.Critical, "message", t.Message)
	}
	w.wake()
}

func (w *Watchdog) wake() {
	if w.cfg.Told != nil {
		w.cfg.Told()
	}
}

// dark is a look at which the database could not be asked.
func (w *Watchdog) dark(ctx context.Context, now time.Time, err error) {
	if text := err.Error(); text != w.said { // an outage says the same every few seconds
		w.cfg.Logger.Error("the database cannot be asked", "error", err)
		w.said = text
	}
	silent := now.Sub(w.answered)
	if w.speech == nil && !w.known && silent > alerting.StaleAfter {
		w.speech = newSpeech(now, alerting.DatabaseMessage(silent))
		w.metrics.spoken.Set(1)
		w.cfg.Logger.Error("alert", "asset", "SYSTEM", "type", alerting.SystemStale, "severity", alerting.Critical, "message", w.speech.message, "without", "database")
	}
	if w.speech != nil {
		w.speak(ctx, now)
	}
}

// adopt enters what was said as an alert, so that its end will be told.
func (w *Watchdog) adopt(ctx context.Context) error {
	told := w.speech.told()
	err := w.rules.Adopt(ctx, w.speech.at, w.speech.message, func(ctx context.Context, tx pgx.Tx, alert int64) error {
		return w.intent.Said(ctx, tx, alert, alerting.SystemStale.Severity(), told)
	})
	if err != nil {
		return err
	}
	w.cfg.Logger.Info("the database answers again; what was said without it is entered", "receivers", len(told))
	w.speech = nil
	w.metrics.spoken.Set(0)
	w.wake()
	return nil
}
