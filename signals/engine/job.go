package engine

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/whalegate/whalegate/internal/clock"
	"github.com/whalegate/whalegate/internal/health"
	"github.com/whalegate/whalegate/internal/lead"
	"github.com/whalegate/whalegate/internal/postgres"
	"github.com/whalegate/whalegate/internal/qa"
	"github.com/whalegate/whalegate/signals"
)

// Config is what the job is told.
type Config struct {
	Pool       *pgxpool.Pool
	Fence      *lead.Fence // nil: whoever computes may write
	Clock      clock.Clock
	Logger     *slog.Logger
	Registerer prometheus.Registerer
	QA         *qa.Recorder
	Judge      Judge  // Now in the service
	Done       func() // told when something has become of a boundary; may be nil
}

// Job computes the signals of each boundary as soon as its snapshot is committed,
// or at the deadline if it never comes.
type Job struct {
	cfg     Config
	cycle   *Cycle
	metrics *metrics
	wake    chan struct{}

	recorded record

	// The last boundary of which the database knows what became, and the last one
	// that was blocked because it could not be asked.
	handled, unasked time.Time
}

// New makes a job; nothing runs yet.
func New(cfg Config) *Job {
	return &Job{
		cfg: cfg, metrics: newMetrics(cfg.Registerer), wake: make(chan struct{}, 1),
		cycle: &Cycle{Pool: cfg.Pool, Fence: cfg.Fence, Memory: NewMemory(), Judge: cfg.Judge},
	}
}

// Wake tells that a snapshot was committed. It is only a hint: what there is to
// do is read from the database.
func (j *Job) Wake() {
	select {
	case j.wake <- struct{}{}:
	default: // somebody is already told
	}
}

const (
	// retry is the pause after an error of the database.
	retry = 5 * time.Second
	// longest is the longest pause: a hint may be lost, a boundary must not be.
	longest = time.Minute
)

// Run works until ctx ends.
func (j *Job) Run(ctx context.Context) error {
	var said string
	for {
		wait, err := j.step(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			j.metrics.errors.Inc()
			if text := err.Error(); text != said { // an outage says the same every few seconds
				j.cfg.Logger.Error("signals", "error", err)
				said = text
			}
			wait = retry
		} else {
			said = ""
		}
		timer := time.NewTimer(j.cfg.Clock.Real(wait))
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

// due is the boundary that the present belongs to, as the database knows it.
type due struct {
	Now      time.Time
	Boundary time.Time
	Done     bool // something became of it already
	Arrived  bool // its own minute has a run
}

const selectDue = `
	SELECT now, boundary,
		EXISTS (SELECT FROM signal_cycles c WHERE c.timestamp = boundary),
		EXISTS (SELECT FROM ingest_runs r WHERE r.timestamp = boundary AND NOT r.superseded)
	FROM (SELECT whalegate_now() AS now) n, LATERAL (SELECT date_bin('5 minutes', now, 'epoch') AS boundary) b`

// step does what is due and tells how long nothing else will be.
func (j *Job) step(ctx context.Context) (time.Duration, error) {
	d, err := j.due(ctx)
	if err != nil {
		j.dark(ctx)
		return 0, err
	}
	deadline := d.Boundary.Add(Deadline)
	if !d.Done && !d.Arrived && d.Now.Before(deadline) {
		return min(deadline.Sub(d.Now), longest), nil
	}
	if !d.Done {
		if !d.Arrived {
			if err := j.settle(ctx); err != nil {
				return 0, err
			}
		}
		return 0, j.compute(ctx, d.Boundary)
	}
	j.handled = d.Boundary
	if err := j.absorb(ctx, d.Now); err != nil {
		return 0, err
	}
	return min(d.Boundary.Add(signals.Period+Deadline).Sub(d.Now), longest), nil
}

func (j *Job) due(ctx context.Context) (due, error) {
	ctx, cancel := postgres.Reading(ctx)
	defer cancel()
	rows, err := j.cfg.Pool.Query(ctx, selectDue)
	if err != nil {
		return due{}, postgres.Because(ctx, "look for the boundary", err)
	}
	d, err := pgx.CollectExactlyOneRow(rows, pgx.RowToStructByPos[due])
	d.Now, d.Boundary = d.Now.UTC(), d.Boundary.UTC()
	return d, postgres.Because(ctx, "look for the boundary", err)
}

// settle waits for a commit of the boundary's minute that is under way: it may
// have ended its run before the deadline, and then the boundary must see it. Every
// transaction of the leader holds its row from the beginning to the commit.
func (j *Job) settle(ctx context.Context) error {
	ctx, cancel := postgres.Writing(ctx)
	defer cancel()
	_, err := j.cfg.Pool.Exec(ctx, "SELECT FROM collector_leader FOR UPDATE")
	return postgres.Because(ctx, "wait for the minute's commit", err)
}

// absorb reads what is new, so that the next boundary finds little to read.
func (j *Job) absorb(ctx context.Context, now time.Time) error {
	err := pgx.BeginTxFunc(ctx, j.cfg.Pool, snapshotOf, func(tx pgx.Tx) error {
		return j.cycle.Memory.Absorb(ctx, tx, now)
	})
	return postgres.Because(ctx, "read new snapshots", err)
}

// compute runs a cycle and makes known what became of it.
func (j *Job) compute(ctx context.Context, boundary time.Time) error {
	r, err := j.cycle.Run(ctx, boundary)
	if ctx.Err() != nil {
		return err // the shutdown cut it short: the next start goes on
	}
	if err != nil && r.Outcome == Blocked {
		j.dark(ctx)
		return err
	}
	if err != nil {
		return err
	}
	j.recorded.add(boundary)
	j.tell(ctx, r)
	if j.cfg.Done != nil {
		j.cfg.Done()
	}
	return nil
}

// record remembers the boundaries that this process has recorded, so that one that was
// deleted as a whole is missed. It is safe for concurrent use.
type record struct {
	mu   sync.Mutex
	list []time.Time // oldest first
}

// add remembers a boundary, and forgets those of more than a day before.
func (r *record) add(t time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	const most = int(24 * time.Hour / signals.Period)
	r.list = append(r.list[max(0, len(r.list)-most):], t)
}

// Recorded lists the boundaries of the last day that this process has recorded.
func (j *Job) Recorded() []time.Time {
	j.recorded.mu.Lock()
	defer j.recorded.mu.Unlock()
	return slices.Clone(j.recorded.list)
}

// dark counts the boundary whose time has come while the database cannot be
// asked: its cycle is blocked, for as long as that lasts.
func (j *Job) dark(ctx context.Context) {
	now := j.cfg.Clock.Now()
	boundary := now.Truncate(signals.Period)
	if ctx.Err() != nil || now.Before(boundary.Add(Deadline)) || boundary.Equal(j.handled) || boundary.Equal(j.unasked) {
		return
	}
	j.unasked = boundary
	reasons := []string{health.ReasonDatabase}
	j.tell(ctx, Result{Boundary: boundary, Outcome: Blocked, Health: health.Health{State: health.Stale}, Reasons: reasons, Checks: []qa.Event{blockedEvent(reasons)}})
}

// tell makes a result known: log, metrics, checks.
func (j *Job) tell(ctx context.Context, r Result) {
	j.metrics.observe(r)
	attrs := []any{"boundary", r.Boundary, "health", r.Health.State, "duration_ms", r.Took.Milliseconds()}
	switch r.Outcome {
	case Blocked:
		j.cfg.Logger.Warn("signal computation blocked", append(attrs, "reasons", r.Reasons)...)
	case Failed:
		j.cfg.Logger.Error("signal computation failed", append(attrs, "reasons", r.Reasons)...)
	default:
		degraded := []string{}
		for _, s := range r.Signals {
			if len(s.Degraded) > 0 {
				degraded = append(degraded, s.Asset.String())
			}
		}
		j.cfg.Logger.Info("signals", append(attrs, "written", len(r.Signals), "degraded", degraded, "skipped", notNil(r.Skipped))...)
	}
	j.cfg.QA.Report(ctx, qa.Signals, r.Boundary, r.Checks...)
}
