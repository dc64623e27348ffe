package retention

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/whalegate/whalegate/internal/clock"
	"github.com/whalegate/whalegate/internal/lead"
	"github.com/whalegate/whalegate/internal/postgres"
)

// Config is what the job is told.
type Config struct {
	Pool       *pgxpool.Pool
	Fence      *lead.Fence // nil: whoever prunes may
	Clock      clock.Clock
	Logger     *slog.Logger
	Registerer prometheus.Registerer
	OlderThan  time.Duration // as in Options
}

// Job prunes once a day, and at once when the last day's was missed.
type Job struct {
	cfg       Config
	metrics   *metrics
	postponed bool // for a clock that may have jumped; said once
}

// New makes a job; nothing runs yet.
func New(cfg Config) *Job { return &Job{cfg: cfg, metrics: newMetrics(cfg.Registerer)} }

const (
	// atMinute is when the job runs, after midnight UTC: soon after a day has
	// become too old, between two boundaries, and in the second half of a minute,
	// when most cycles are over.
	atMinute = 12*time.Minute + 40*time.Second
	// look is the longest pause, and the one after a failure: somebody may have
	// pruned by hand, and a clock may have been put right.
	look = time.Hour
)

// due is the first time after the last prune at which the job runs. The zero
// time is always due.
func due(last time.Time) time.Time {
	if last.IsZero() {
		return last
	}
	next := last.UTC().Truncate(Day).Add(atMinute)
	if !next.After(last) {
		next = next.Add(Day)
	}
	return next
}

// Run works until ctx ends. Nothing that goes wrong here stops anything else.
func (j *Job) Run(ctx context.Context) error {
	for {
		wait := j.step(ctx)
		if j.cfg.Clock.Sleep(ctx, wait) != nil {
			return nil
		}
	}
}

// step prunes when it is time and tells how long nothing else is to be done.
func (j *Job) step(ctx context.Context) time.Duration {
	now, last, err := j.last(ctx)
	if err != nil {
		j.failed(ctx, err)
		return look
	}
	if !last.IsZero() {
		j.metrics.last.Set(float64(last.Unix()))
	}
	if next := due(last); next.After(now) {
		return min(next.Sub(now), look)
	}
	if steady, err := j.steady(ctx); err != nil || !steady {
		j.failed(ctx, err)
		return look
	}
	list, err := Run(ctx, j.cfg.Pool, Options{Fence: j.cfg.Fence, OlderThan: j.cfg.OlderThan, By: "the service"})
	j.metrics.removed(list)
	if err != nil {
		j.failed(ctx, err)
		return look
	}
	var attrs []any
	for _, r := range list {
		if r.Count > 0 {
			attrs = append(attrs, r.Table, r.Count)
		}
	}
	j.cfg.Logger.Info("pruned", attrs...)
	j.metrics.last.Set(float64(now.Unix()))
	return look
}

func (j *Job) failed(ctx context.Context, err error) {
	switch {
	case err == nil:
	case ctx.Err() != nil: // the shutdown came in between: the next start goes on
	case errors.Is(err, ErrRunning):
		j.cfg.Logger.Info("prune", "error", err)
	default:
		j.metrics.failures.Inc()
		j.cfg.Logger.Error("prune", "error", err)
	}
}

// A clock that was set ahead makes everything old at once. So nothing is removed
// before good runs have been stored by the present clock for half a day.
const selectSteady = `
	SELECT NOT EXISTS (SELECT FROM ingest_runs WHERE status <> 'failed' AND NOT superseded)
		OR EXISTS (
			SELECT FROM ingest_runs
			WHERE status <> 'failed' AND NOT superseded AND timestamp BETWEEN n.now - interval '36 hours' AND n.now - interval '12 hours')
	FROM (SELECT whalegate_now() AS now) n`

// steady tells whether the clock has been where it is for long enough to remove
// anything by it.
func (j *Job) steady(ctx context.Context) (steady bool, err error) {
	ctx, cancel := postgres.Reading(ctx)
	defer cancel()
	if err := j.cfg.Pool.QueryRow(ctx, selectSteady).Scan(&steady); err != nil {
		return false, postgres.Because(ctx, "look for runs of half a day ago", err)
	}
	if !steady && !j.postponed {
		j.cfg.Logger.Info("prune postponed: no good run is between 12 and 36 hours old, so the clock may have jumped")
	}
	j.postponed = !steady
	return steady, nil
}

// last reads when the last prune that removed everything ended, zero when there
// is none. One from the future, of a clock that was wrong, does not count.
func (j *Job) last(ctx context.Context) (now, last time.Time, err error) {
	ctx, cancel := postgres.Reading(ctx)
	defer cancel()
	var ended *time.Time
	err = j.cfg.Pool.QueryRow(ctx, `
		SELECT n.now, (SELECT max(finished_at) FROM prune_runs WHERE status = 'success' AND finished_at <= n.now)
		FROM (SELECT whalegate_now() AS now) n`).Scan(&now, &ended)
	if ended != nil {
		last = ended.UTC()
	}
	return now.UTC(), last, postgres.Because(ctx, "look for the last prune", err)
}
