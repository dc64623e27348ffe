package health

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"

	"github.com/whalegate/whalegate/internal/lead"
	"github.com/whalegate/whalegate/internal/postgres"
)

// Keeper remembers the halt in force, and puts it in force again when the database comes
// back without it. It is safe for concurrent use.
type Keeper struct {
	DB     Database
	Fence  *lead.Fence // only the collector that leads writes
	Logger *slog.Logger

	mu   sync.Mutex
	halt *Halt // as it was seen in force last, and not seen resumed since; nil: none
}

// Look takes in what health says now. It is for every look, and not for changes alone:
// what could not be put back is tried again.
func (k *Keeper) Look(ctx context.Context, h Health) {
	k.mu.Lock()
	defer k.mu.Unlock()
	switch {
	case slices.Contains(h.Reasons, ReasonDatabase):
	case slices.Contains(h.Reasons, "halted"):
		halt, err := InForce(ctx, k.DB)
		if err != nil {
			k.Logger.Error("remember the halt", "error", err)
		}
		if halt != nil {
			k.halt = halt
		}
	case k.halt != nil:
		k.miss(ctx)
	}
}

// miss looks where the halt has gone.
func (k *Keeper) miss(ctx context.Context) {
	done, err := PutBack(ctx, k.DB, k.Fence, *k.halt)
	switch {
	case errors.Is(err, lead.ErrNotLeading):
		// Whoever leads puts it back, and this one may lead next.
		resumed, err := resumed(ctx, k.DB, *k.halt)
		if err == nil && resumed {
			k.halt = nil
		}
	case err != nil:
		k.Logger.Error("put the halt back", "error", err)
	case done:
		k.Logger.Error("the database came back without the halt that was in force: it is in force again", "halted_at", k.halt.HaltedAt, "by", k.halt.HaltedBy, "reason", k.halt.Reason)
	default: // it was resumed
		k.halt = nil
	}
}

// resumed tells whether a halt is stored as one that was lifted.
func resumed(ctx context.Context, db Querier, h Halt) (is bool, err error) {
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
