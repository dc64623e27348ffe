// Package qa makes a failed check known wherever somebody may look: in the log,
// as a metric and as a row of qa_events.
package qa

import (
	"context"
	"encoding/json"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"github.com/whalegate/whalegate/internal/lead"
	"github.com/whalegate/whalegate/internal/postgres"
	"github.com/whalegate/whalegate/internal/qa/check"
)

// Event is a failed check.
type Event struct {
	Check    string // U1 … U7, S1 … S12, G0 … G6
	Severity string // info, warning, error, critical
	Subject  string // what it is about, beside the stage: an asset; never a wallet
	Details  map[string]any
	Action   string // what was done about it
}

// Stages of a failed check.
const (
	Ingestion = "ingestion"
	Signals   = "signals"
)

// Database is what the recorder needs of a pool.
type Database = lead.Beginner

// Recorder records failed checks.
type Recorder struct {
	db       Database
	fence    *lead.Fence // nil: whoever records may
	logger   *slog.Logger
	failures *prometheus.CounterVec // by check
	lost     prometheus.Counter
}

// New records in db behind fence, in logger and in the metrics of registerer.
func New(db Database, fence *lead.Fence, logger *slog.Logger, registerer prometheus.Registerer) *Recorder {
	f := promauto.With(registerer)
	r := &Recorder{
		db: db, fence: fence, logger: logger,
		failures: f.NewCounterVec(prometheus.CounterOpts{Name: "whalegate_qa_failures_total", Help: "Failed checks by id."}, []string{"check_id"}),
		lost:     f.NewCounter(prometheus.CounterOpts{Name: "whalegate_qa_events_unsaved_total", Help: "Failed checks that could not be written to qa_events."}),
	}
	for _, id := range check.All {
		r.failures.WithLabelValues(id)
	}
	return r
}

// Report records the failed checks of a stage. That they could not be stored is
// itself logged and counted, and stops nothing.
func (r *Recorder) Report(ctx context.Context, stage string, at time.Time, events ...Event) {
	for _, e := range events {
		r.failures.WithLabelValues(e.Check).Inc()
		level := slog.LevelWarn
		if e.Severity == "error" || e.Severity == "critical" {
			level = slog.LevelError
		}
		r.logger.Log(ctx, level, "check failed", "check", e.Check, "subject", e.Subject, "details", e.Details, "action", e.Action)
	}
	if len(events) == 0 {
		return
	}
	if err := Keep(ctx, r.db, r.fence, stage, at, events...); err != nil {
		r.lost.Add(float64(len(events)))
		r.logger.Error("keep failed checks", "error", err)
	}
}

// Over records that what a check had found is not there any more: no failure.
func (r *Recorder) Over(ctx context.Context, stage string, at time.Time, e Event) {
	r.logger.InfoContext(ctx, "check holds again", "check", e.Check, "subject", e.Subject, "action", e.Action)
	if err := Keep(ctx, r.db, r.fence, stage, at, e); err != nil {
		r.lost.Inc()
		r.logger.Error("keep a check that holds again", "error", err)
	}
}

// Keep stores failed checks. The same failure of a day is one row with a count.
func Keep(ctx context.Context, db Database, fence *lead.Fence, stage string, at time.Time, events ...Event) error {
	ctx, cancel := postgres.Writing(ctx)
	defer cancel()
	batch := &pgx.Batch{}
	for _, e := range events {
		details, err := json.Marshal(e.Details)
		if err != nil {
			return postgres.Because(ctx, "keep failed checks", err)
		}
		batch.Queue(`
			INSERT INTO qa_events (day, check_id, stage, severity, subject, details, action_taken, first_ts, last_ts)
			VALUES (($1::timestamptz AT TIME ZONE 'UTC')::date, $2, $3, $4, $5, $6, $7, $1, $1)
			ON CONFLICT (day, check_id, stage, severity, subject, action_taken) DO UPDATE SET
				details = excluded.details, last_ts = excluded.last_ts, occurrences = qa_events.occurrences + 1`,
			at, e.Check, stage, e.Severity, e.Subject, details, e.Action)
	}
	return postgres.Because(ctx, "keep failed checks", fence.Send(ctx, db, batch))
}
