package engine

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/whalegate/whalegate/internal/lead"
	"github.com/whalegate/whalegate/internal/postgres"
)

// MaxPause is how long behavioural alerts can be paused at most.
const MaxPause = 24 * time.Hour

// Pause is a time in which behavioural alerts are suppressed: for emergencies. The
// system alert cannot be paused.
type Pause struct {
	PausedAt time.Time `json:"paused_at"`
	PausedBy string    `json:"paused_by"`
	Reason   string    `json:"reason"`
	Until    time.Time `json:"until"`
}

// Errors of pausing.
var (
	ErrPaused    = errors.New("alerts are paused already: whalegate alerts unpause ends it")
	ErrNotPaused = errors.New("alerts are not paused")
)

const inForce = "unpaused_at IS NULL AND until > whalegate_now()"

// StartPause pauses for a time. The error is ErrPaused when a pause is in force.
func StartPause(ctx context.Context, db *pgxpool.Pool, reason, by string, length time.Duration) (p Pause, err error) {
	if strings.TrimSpace(reason) == "" {
		return p, errors.New("a pause needs a reason")
	}
	if length <= 0 || length > MaxPause {
		return p, fmt.Errorf("a pause of %s: at most %s", length, MaxPause)
	}
	ctx, cancel := postgres.Writing(ctx)
	defer cancel()
	err = pgx.BeginFunc(ctx, db, func(tx pgx.Tx) error {
		if err := lead.HoldWriting(ctx, tx); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, "LOCK TABLE alert_pauses IN SHARE ROW EXCLUSIVE MODE"); err != nil { // two at once
			return err
		}
		rows, err := tx.Query(ctx, `INSERT INTO alert_pauses (paused_at, paused_by, reason, until)
			SELECT now, $1, $2, now + $3::interval FROM (SELECT whalegate_now() AS now) n
			WHERE NOT EXISTS (SELECT FROM alert_pauses WHERE `+inForce+`)
			RETURNING paused_at, paused_by, reason, until`, by, reason, length)
		if err != nil {
			return err
		}
		p, err = pgx.CollectExactlyOneRow(rows, pgx.RowToStructByPos[Pause])
		return err
	})
	if errors.Is(err, pgx.ErrNoRows) {
		return p, ErrPaused
	}
	return p, postgres.Because(ctx, "pause alerts", err)
}

// EndPause ends the pause in force. The error is ErrNotPaused when there is none.
func EndPause(ctx context.Context, db *pgxpool.Pool) (p Pause, err error) {
	ctx, cancel := postgres.Writing(ctx)
	defer cancel()
	err = pgx.BeginFunc(ctx, db, func(tx pgx.Tx) error {
		if err := lead.HoldWriting(ctx, tx); err != nil {
			return err
		}
		rows, err := tx.Query(ctx, "UPDATE alert_pauses SET unpaused_at = whalegate_now() WHERE "+inForce+" RETURNING paused_at, paused_by, reason, until")
		if err != nil {
			return err
		}
		p, err = pgx.CollectExactlyOneRow(rows, pgx.RowToStructByPos[Pause])
		return err
	})
	if errors.Is(err, pgx.ErrNoRows) {
		return p, ErrNotPaused
	}
	return p, postgres.Because(ctx, "unpause alerts", err)
}

// PauseInForce is the pause in force, or nil.
func PauseInForce(ctx context.Context, db *pgxpool.Pool) (*Pause, error) {
	ctx, cancel := postgres.Reading(ctx)
	defer cancel()
	rows, err := db.Query(ctx, "SELECT paused_at, paused_by, reason, until FROM alert_pauses WHERE "+inForce)
	if err != nil {
		return nil, postgres.Because(ctx, "look for a pause", err)
	}
	p, err := pgx.CollectExactlyOneRow(rows, pgx.RowToAddrOfStructByPos[Pause])
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, nil
	}
	return p, postgres.Because(ctx, "look for a pause", err)
}
