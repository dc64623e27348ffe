package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgerrcode"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/whalegate/whalegate/internal/health"
	"github.com/whalegate/whalegate/internal/health/watch"
	"github.com/whalegate/whalegate/internal/lead"
	"github.com/whalegate/whalegate/internal/postgres"
	"github.com/whalegate/whalegate/internal/qa"
	"github.com/whalegate/whalegate/signals"
)

// Result is what a cycle came to.
type Result struct {
	Boundary time.Time
	Outcome  Outcome
	Health   health.Health
	Reasons  []string // why it was blocked or failed
	Skipped  []string // assets without a row (G2)
	Signals  []signals.Signal
	Checks   []qa.Event // checks that failed
	Took     time.Duration

	started time.Time
	inputs  inputs // as they were read
}

// inputs tells one state of what a boundary stands on from another, as far as it can
// change while the boundary is computed: a commit that was under way counts from when it
// ended, and the audit sees it.
type inputs struct {
	universe int64 // the refresh
	runs     int
	ended    time.Time // of the run that ended last
}

const selectInputs = `
	SELECT coalesce((` + selectUniverse + `), 0), count(*), coalesce(max(finished_at), 'epoch')
	FROM ingest_runs
	WHERE timestamp > $1::timestamptz - interval '15 minutes' AND timestamp <= $1 AND finished_at <= $2 AND NOT superseded`

func readInputs(ctx context.Context, tx pgx.Tx, t time.Time) (in inputs, err error) {
	err = tx.QueryRow(ctx, selectInputs, t, t.Add(Deadline)).Scan(&in.universe, &in.runs, &in.ended)
	in.ended = in.ended.UTC()
	return in, err
}

func (r *Result) elapsed() time.Duration { return time.Since(r.started) }

// Cycle computes and writes one boundary.
type Cycle struct {
	Pool   *pgxpool.Pool
	Fence  *lead.Fence // nil: whoever computes may write
	Memory *Memory
	Judge  Judge
}

// snapshotOf is how the inputs are read: all from one state of the database.
var snapshotOf = pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}

// Run computes boundary t. Whatever way it ends, either everything of it is
// written or nothing: all assets and the record of the cycle in one transaction,
// in which health has the last word. The error means that the database failed;
// it may be tried again.
func (c *Cycle) Run(ctx context.Context, t time.Time) (Result, error) {
	r := Result{Boundary: t, started: time.Now()}
	if err := signals.CheckBoundary(t); err != nil {
		return c.refuse(ctx, r, err)
	}
	if stop, err := c.judge(ctx, c.Pool, &r); stop {
		return c.block(ctx, r, err)
	}
	for range maxChanges {
		done, err := c.compute(ctx, r)
		if !errors.Is(err, errInputs) {
			return done, err
		}
	}
	return r, fmt.Errorf("%w, %d times in a row", errInputs, maxChanges)
}

// compute reads, computes and writes once. The error wraps errInputs when something else
// was stored meanwhile.
func (c *Cycle) compute(ctx context.Context, r Result) (Result, error) {
	past, seen, err := c.read(ctx, r.Boundary)
	if err != nil {
		return r, err
	}
	r.inputs = seen
	a, err := c.Memory.assess(past, r.started, func() error {
		if stop, err := c.judge(ctx, c.Pool, &r); stop {
			return errors.Join(errStale, err)
		}
		return nil
	})
	r.Checks, r.Skipped = append(r.Checks, a.checks...), a.skipped
	switch {
	case errors.Is(err, errStale):
		return c.block(ctx, r, err)
	case err != nil:
		return c.refuse(ctx, r, err)
	}
	return c.write(ctx, r, a.signals)
}

// judge asks for health (G0). stop: the cycle must not go on.
func (c *Cycle) judge(ctx context.Context, db watch.Querier, r *Result) (stop bool, err error) {
	r.Health, err = c.Judge(ctx, db, r.Boundary)
	return err != nil || r.Health.State == health.Stale, err
}

// read brings memory to t and reads the past scores, from one state of the
// database.
func (c *Cycle) read(ctx context.Context, t time.Time) (past pasts, seen inputs, err error) {
	err = pgx.BeginTxFunc(ctx, c.Pool, snapshotOf, func(tx pgx.Tx) error {
		if err := c.Memory.Advance(ctx, tx, t); err != nil {
			return err
		}
		if past, err = readPast(ctx, tx, t); err != nil {
			return err
		}
		seen, err = readInputs(ctx, tx, t)
		return err
	})
	return past, seen, postgres.Because(ctx, "read inputs", err)
}

var (
	errStale   = errors.New("health is STALE")
	errChanged = errors.New("health changed before the commit")
	errInputs  = errors.New("what the boundary stands on changed before the commit")
)

// write commits the signals if health still allows. Health that changed without
// forbidding it changes what the rows say: they are written anew.
func (c *Cycle) write(ctx context.Context, r Result, batch []computed) (Result, error) {
	for range maxChanges {
		using := r.Health
		list := degraded(batch, using)
		err := c.commit(ctx, &r, list, using)
		switch {
		case errors.Is(err, errChanged):
			continue
		case errors.Is(err, errStale):
			return c.block(ctx, r, err)
		case err != nil:
			return r, err
		}
		r.Outcome, r.Took = Computed, r.elapsed()
		for _, done := range list {
			r.Signals = append(r.Signals, done.signal)
		}
		return r, nil
	}
	return r, fmt.Errorf("%w, %d times in a row", errChanged, maxChanges)
}

// maxChanges bounds how often a cycle is written anew: health that changes at
// every look is not one to write signals on.
const maxChanges = 5

// commit writes the rows, asks for health a last time, and only then lets the
// transaction end well.
func (c *Cycle) commit(ctx context.Context, r *Result, list []computed, using health.Health) error {
	ctx, cancel := postgres.Writing(ctx)
	defer cancel()
	err := c.Fence.InTx(ctx, c.Pool, func(tx pgx.Tx) error {
		rows := &pgx.Batch{}
		for _, done := range list {
			queueSignal(rows, done.signal, done.after)
		}
		if rows.Len() > 0 {
			if err := tx.SendBatch(ctx, rows).Close(); err != nil {
				return err
			}
		}
		// A run that is being committed has ended, and is not seen yet: the audit would
		// see it at this instant.
		if err := c.Fence.Alone(ctx, tx); err != nil {
			return err
		}
		switch now, err := readInputs(ctx, tx, r.Boundary); {
		case err != nil:
			return err
		case now != r.inputs:
			return errInputs
		}
		if stop, err := c.judge(ctx, tx, r); stop {
			return errors.Join(errStale, err)
		}
		if r.Health.State != using.State || !slices.Equal(r.Health.Reasons, using.Reasons) {
			return errChanged
		}
		record := &pgx.Batch{}
		queueCycle(record, r.Boundary, Computed, r.Health, nil, r.Skipped)
		return tx.SendBatch(ctx, record).Close()
	})
	if errors.Is(err, errStale) || errors.Is(err, errChanged) || errors.Is(err, errInputs) {
		return err
	}
	var answer *pgconn.PgError
	if errors.As(err, &answer) && answer.Code == pgerrcode.UniqueViolation {
		err = fmt.Errorf("another process has written this boundary: %w", err)
	}
	return postgres.Because(ctx, "commit signals", err)
}

// pgerrcode.UniqueViolation is how the primary key refuses a second row for an asset and
// boundary.
// block drops the whole cycle (G0) and records that it did; or returns the cause
// when health could not be asked, as nothing can be recorded then either.
func (c *Cycle) block(ctx context.Context, r Result, cause error) (Result, error) {
	r.Outcome, r.Reasons, r.Took = Blocked, r.Health.Reasons, r.elapsed()
	r.Checks = append(r.Checks, blockedEvent(r.Reasons))
	if slices.Contains(r.Reasons, health.ReasonDatabase) {
		return r, cause
	}
	return r, c.record(ctx, r)
}

func blockedEvent(reasons []string) qa.Event {
	return qa.Event{Check: "G0", Severity: "warning", Details: map[string]any{"reasons": reasons}, Action: "cycle dropped, nothing written"}
}

// refuse fails the cycle: a signal came out that cannot be (G1, G5, G6).
func (c *Cycle) refuse(ctx context.Context, r Result, err error) (Result, error) {
	var refusal *signals.Refusal
	if !errors.As(err, &refusal) {
		return r, err
	}
	r.Outcome, r.Reasons, r.Took = Failed, []string{refusal.Gate}, r.elapsed()
	r.Checks = append(r.Checks, refusedEvent(refusal))
	if refusal.Gate == "G1" {
		return r, nil // there is no such boundary to record
	}
	return r, c.record(ctx, r)
}

func refusedEvent(r *signals.Refusal) qa.Event {
	return qa.Event{Check: r.Gate, Severity: "critical", Details: map[string]any{"error": r.Error()}, Action: "cycle failed, nothing written"}
}

// record stores a cycle that wrote no signals.
func (c *Cycle) record(ctx context.Context, r Result) error {
	ctx, cancel := postgres.Writing(ctx)
	defer cancel()
	batch := &pgx.Batch{}
	queueCycle(batch, r.Boundary, r.Outcome, r.Health, r.Reasons, nil)
	return postgres.Because(ctx, "record cycle", c.Fence.Send(ctx, c.Pool, batch))
}
