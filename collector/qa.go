package collector

import (
	"context"
	"encoding/json"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"
)

// Event is a failed check: a row of qa_events, a log line and a count.
type Event struct {
	Check    string // U1 … S7
	Severity string // info, warning, error, critical
	Subject  string // what it is about, beside the stage: an asset; never a wallet
	Details  map[string]any
	Action   string // what was done about it
}

const stage = "ingestion"

// KeepEvents stores failed checks. The same failure of a day is one row with a
// count.
func (s *Store) KeepEvents(ctx context.Context, at time.Time, events []Event) error {
	ctx, cancel := writing(ctx)
	defer cancel()
	batch := &pgx.Batch{}
	for _, e := range events {
		details, err := json.Marshal(e.Details)
		if err != nil {
			return because(ctx, "keep failed checks", err)
		}
		batch.Queue(`
			INSERT INTO qa_events (day, check_id, stage, severity, subject, details, action_taken, first_ts, last_ts)
			VALUES (($1::timestamptz AT TIME ZONE 'UTC')::date, $2, $3, $4, $5, $6, $7, $1, $1)
			ON CONFLICT (day, check_id, stage, severity, subject, action_taken) DO UPDATE SET
				details = excluded.details, last_ts = excluded.last_ts, occurrences = qa_events.occurrences + 1`,
			at, e.Check, stage, e.Severity, e.Subject, details, e.Action)
	}
	return because(ctx, "keep failed checks", s.pool.SendBatch(ctx, batch).Close())
}

// report makes failed checks known everywhere: log, metric and table.
func (c *Collector) report(ctx context.Context, at time.Time, events []Event) {
	for _, e := range events {
		c.metrics.qaFailures.WithLabelValues(e.Check).Inc()
		level := slog.LevelWarn
		if e.Severity == "error" || e.Severity == "critical" {
			level = slog.LevelError
		}
		c.cfg.Logger.Log(ctx, level, "check failed", "check", e.Check, "subject", e.Subject, "details", e.Details, "action", e.Action)
	}
	if len(events) == 0 {
		return
	}
	if err := c.store.KeepEvents(ctx, at, events); err != nil {
		c.metrics.qaLost.Add(float64(len(events)))
		c.cfg.Logger.Error("keep failed checks", "error", err)
	}
}
