// Package halt stops everything by hand and lets it go on again, on the record, and keeps
// a halt that the database lost.
package halt

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/whalegate/whalegate/internal/health"
	"github.com/whalegate/whalegate/internal/health/watch"
	"github.com/whalegate/whalegate/internal/lead"
	"github.com/whalegate/whalegate/internal/postgres"
)

// Beginner begins transactions: a pool or a connection.
type Beginner interface {
	Begin(ctx context.Context) (pgx.Tx, error)
}

// ErrHalted means that a halt is in force already.
var ErrHalted = errors.New("a halt is already in force")

// RefusedError says why a resume was refused: everything that is missing.
type RefusedError struct{ Missing []string }

func (e *RefusedError) Error() string {
	return "resume refused: " + strings.Join(e.Missing, "; ")
}

// newestDecided is when the newest minute that is stored was, and just after the newest
// boundary was judged: nothing of that knew of a halt that is made now.
const newestDecided = `(SELECT max(finished_at) FROM ingest_runs WHERE NOT superseded), (SELECT max(judged_at) + interval '1 microsecond' FROM signal_cycles)`

const haltColumns = "id, halted_at, halted_by, reason, resumed_at, resumed_by, cause, actions"

// Stop puts a halt in force until Resume. It returns ErrHalted when one is.
func Stop(ctx context.Context, db Beginner, reason, by string) (halt health.Halt, err error) {
	if strings.TrimSpace(reason) == "" {
		return health.Halt{}, errors.New("halt: the reason is empty: say what made you halt")
	}
	err = pgx.BeginFunc(ctx, db, func(tx pgx.Tx) error {
		if err := lead.HoldJudging(ctx, tx); err != nil {
			return err
		}
		// A clock that went back would date it before what it does not concern.
		rows, err := tx.Query(ctx, `INSERT INTO halts (halted_at, halted_by, reason)
			VALUES (greatest(whalegate_now(), `+newestDecided+`), $1, $2) RETURNING `+haltColumns, by, reason)
		if err != nil {
			return err
		}
		halt, err = pgx.CollectExactlyOneRow(rows, pgx.RowToStructByPos[health.Halt])
		return err
	})
	var answer *pgconn.PgError
	if errors.As(err, &answer) && answer.ConstraintName == "halts_one_in_force" {
		return health.Halt{}, ErrHalted
	}
	if err != nil {
		return health.Halt{}, fmt.Errorf("halt: %w", postgres.Cause(err))
	}
	return halt, nil
}

// InForce returns the halt that is in force, or nil.
func InForce(ctx context.Context, db watch.Querier) (*health.Halt, error) {
	rows, err := db.Query(ctx, "SELECT "+haltColumns+" FROM halts WHERE resumed_at IS NULL")
	if err != nil {
		return nil, fmt.Errorf("look for a halt: %w", postgres.Cause(err))
	}
	halt, err := pgx.CollectExactlyOneRow(rows, pgx.RowToStructByPos[health.Halt])
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("look for a halt: %w", postgres.Cause(err))
	}
	return &halt, nil
}

// PutBack puts a halt in force again that the database has lost: one that was restored
// from before it, or promoted without it. Nothing but a resume lifts a halt. It does
// nothing where the halt is known, resumed or not, or another one is in force, and
// tells whether it did.
func PutBack(ctx context.Context, db lead.Beginner, fence *lead.Fence, h health.Halt) (done bool, err error) {
	ctx, cancel := postgres.Writing(ctx)
	defer cancel()
	err = fence.InTx(ctx, db, func(tx pgx.Tx) (err error) {
		done, err = putBack(ctx, tx, h)
		return err
	})
	return done, postgres.Because(ctx, "put a halt back", err)
}

func putBack(ctx context.Context, tx pgx.Tx, h health.Halt) (done bool, err error) {
	tag, err := tx.Exec(ctx, `
		INSERT INTO halts (halted_at, halted_by, reason)
		SELECT least($2, whalegate_now()), $3, $4
		WHERE NOT EXISTS (SELECT FROM halts WHERE resumed_at IS NULL OR id = $1 AND halted_by = $3 AND reason = $4)`, h.ID, h.HaltedAt, h.HaltedBy, h.Reason)
	return tag.RowsAffected() > 0, err
}

// needCleanRuns is how many consecutive clean minutes, written since the halt,
// a resume asks for.
const needCleanRuns = 2

// Resume ends the halt in force and completes its record. It returns a
// *RefusedError that names everything that is missing: the cause, the actions
// taken, a halt, or two recent consecutive clean cycles written since the halt.
func Resume(ctx context.Context, db Beginner, cause, actions, by string) (health.Halt, error) {
	var resumed health.Halt
	var refused *RefusedError
	err := pgx.BeginFunc(ctx, db, func(tx pgx.Tx) error {
		if err := lead.HoldJudging(ctx, tx); err != nil {
			return err
		}
		missing, err := missingForResume(ctx, tx, cause, actions)
		if err != nil {
			return err
		}
		if len(missing) > 0 {
			refused = &RefusedError{Missing: missing}
			return nil // that the halt counts from now on is kept
		}
		rows, err := tx.Query(ctx, `UPDATE halts SET resumed_at = whalegate_now(), resumed_by = $1, cause = $2, actions = $3
			WHERE resumed_at IS NULL RETURNING `+haltColumns, by, cause, actions)
		if err != nil {
			return err
		}
		resumed, err = pgx.CollectExactlyOneRow(rows, pgx.RowToStructByPos[health.Halt])
		return err
	})
	switch {
	case err != nil:
		return health.Halt{}, fmt.Errorf("resume: %w", postgres.Cause(err))
	case refused != nil:
		return health.Halt{}, refused
	}
	return resumed, nil
}

func missingForResume(ctx context.Context, tx pgx.Tx, cause, actions string) (missing []string, err error) {
	if strings.TrimSpace(cause) == "" {
		missing = append(missing, "the root cause is empty (--cause)")
	}
	if strings.TrimSpace(actions) == "" {
		missing = append(missing, "the actions taken are empty (--actions)")
	}
	var haltedAt time.Time
	// A halt that was dated by a clock that was ahead counts from now on; but never from
	// before what was decided without it, which a clock that went back would make of it.
	err = tx.QueryRow(ctx, `UPDATE halts SET halted_at = least(halted_at, greatest(whalegate_now(), `+newestDecided+`))
		WHERE resumed_at IS NULL RETURNING halted_at`).Scan(&haltedAt)
	if errors.Is(err, pgx.ErrNoRows) {
		return append(missing, "no halt is in force"), nil
	}
	if err != nil {
		return nil, err
	}
	h, err := watch.Read(ctx, tx)
	if err != nil {
		return nil, err
	}
	var since int
	if err := tx.QueryRow(ctx, "SELECT count(*) FROM ingest_runs WHERE is_clean AND NOT superseded AND finished_at > $1", haltedAt).Scan(&since); err != nil {
		return nil, err
	}
	if clean := min(h.CleanRuns, since); clean < needCleanRuns {
		missing = append(missing, fmt.Sprintf("%d of %d consecutive clean cycles since the halt (status success or partial, coverage at least 90 %%)", clean, needCleanRuns))
	}
	if h.ClockIsWrong() {
		missing = append(missing, "clocks that agree (clock_skew, clock_back)")
	}
	const recent = 120
	if h.AgeSeconds == nil || *h.AgeSeconds > recent {
		missing = append(missing, "a snapshot that is at most 2 minutes old")
	}
	return missing, nil
}
