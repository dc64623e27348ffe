package halt

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/whalegate/whalegate/internal/health"
	"github.com/whalegate/whalegate/internal/health/watch"
	"github.com/whalegate/whalegate/internal/lead"
	"github.com/whalegate/whalegate/internal/postgres"
)

// Keeper remembers the halt in force, and puts it in force again when the database comes
// back without it. It is safe for concurrent use.
type Keeper struct {
	DB     watch.Database
	Fence  *lead.Fence // only the collector that leads writes
	Logger *slog.Logger

	halt atomic.Pointer[health.Halt] // as it was seen in force last, and not seen resumed since; nil: none
}

// Look takes in what health says now. It is for every look, and not for changes alone:
// what could not be put back is tried again.
func (k *Keeper) Look(ctx context.Context, h health.Health) {
	switch {
	case slices.Contains(h.Reasons, health.ReasonDatabase):
	case slices.Contains(h.Reasons, "halted"):
		halt, err := InForce(ctx, k.DB)
		if err != nil {
			k.Logger.Error("remember the halt", "error", err)
		}
		if halt != nil {
			k.halt.Store(halt)
		}
	case k.halt.Load() != nil:
		k.miss(ctx, *k.halt.Load())
	}
}

// Settle puts the halt back in the transaction that takes the lead, so that nobody sees
// that somebody leads without it. A database that was copied from one that this process
// has never seen may lack a halt that nobody alive knows of: it is halted until a person
// has looked.
func (k *Keeper) Settle(ctx context.Context, tx pgx.Tx, restored bool) error {
	known := k.halt.Load()
	if known == nil && !restored {
		return nil
	}
	// It is dated by the database's clock, as everything later than that is.
	h := health.Halt{HaltedAt: time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC), HaltedBy: "whalegate", Reason: Restored}
	if known != nil {
		h = *known
	}
	done, err := putBack(ctx, tx, h)
	switch {
	case err != nil:
		return err
	case done && known != nil:
		k.tell(h)
	case done:
		k.Logger.Error("halted: "+Restored, "runbook", 7)
	}
	return nil
}

// Restored is why a database is halted that was led last under another server or name.
const Restored = "this database is not the one that was led before: it was restored from a dump, copied or upgraded. Halts, pauses and accepted clocks of after the backup are missing in it. Look what they were before you resume"

// Watch remembers the halt that is in force in the database in which the lead is held.
func (k *Keeper) Watch(ctx context.Context, tx pgx.Tx) error {
	halt, err := InForce(ctx, tx)
	if halt != nil {
		k.halt.Store(halt)
	}
	return err
}

// miss looks where the halt has gone.
func (k *Keeper) miss(ctx context.Context, halt health.Halt) {
	done, err := PutBack(ctx, k.DB, k.Fence, halt)
	switch {
	case errors.Is(err, lead.ErrNotLeading):
		// Whoever leads puts it back, and this one may lead next.
		resumed, err := resumed(ctx, k.DB, halt)
		if err == nil && resumed {
			k.halt.Store(nil)
		}
	case err != nil:
		k.Logger.Error("put the halt back", "error", err)
	case done:
		k.tell(halt)
	default: // it was resumed
		k.halt.Store(nil)
	}
}

func (k *Keeper) tell(h health.Halt) {
	k.Logger.Error("the database came back without the halt that was in force: it is in force again", "halted_at", h.HaltedAt, "by", h.HaltedBy, "reason", h.Reason)
}

// resumed tells whether a halt is stored as one that was lifted.
func resumed(ctx context.Context, db watch.Querier, h health.Halt) (is bool, err error) {
	ctx, cancel := postgres.Reading(ctx)
	defer cancel()
	rows, err := db.Query(ctx, "SELECT FROM halts WHERE id = $1 AND halted_by = $2 AND reason = $3 AND resumed_at IS NOT NULL", h.ID, h.HaltedBy, h.Reason)
	if err == nil {
		is = rows.Next()
		rows.Close()
		err = rows.Err()
	}
	if err != nil {
		return false, fmt.Errorf("look for a halt: %w", postgres.Cause(err))
	}
	return is, nil
}
