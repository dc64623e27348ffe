package collector

import (
	"context"
	"encoding/json"
	"time"

	"github.com/jackc/pgx/v5"
)

// markNewest marks what the newest minute shows of the one before it (S6). The
// two minutes before it come from memory, or else from the table.
func (s *Store) markNewest(ctx context.Context, tx session, m Minute) ([]Collapse, error) {
	ts := m.Run.Timestamp
	var before [2]Window
	for i, at := range []time.Time{ts.Add(-2 * time.Minute), ts.Add(-time.Minute)} {
		w, err := known(ctx, tx, m.Before, at)
		if err != nil {
			return nil, err
		}
		before[i] = w
	}
	found := Collapses(before[0].Readings, before[1].Readings, m.Readings)
	return found, mark(ctx, tx, before[1].At, found)
}

func known(ctx context.Context, tx session, windows []Window, at time.Time) (Window, error) {
	for _, w := range windows {
		if w.At.Equal(at) {
			return w, nil
		}
	}
	return window(ctx, tx, at)
}

// remark judges anew every row that a minute has a say in, after it was written
// again: itself and its neighbours.
func remark(ctx context.Context, tx session, ts time.Time) error {
	var w [5]Window
	for i := range w {
		var err error
		if w[i], err = window(ctx, tx, ts.Add(time.Duration(i-2)*time.Minute)); err != nil {
			return err
		}
	}
	const clear = "UPDATE wallet_snapshots SET is_dirty = false, dirty_reason = NULL WHERE timestamp IN ($1, $2) AND dirty_reason = $3"
	if _, err := tx.Exec(ctx, clear, w[1].At, w[3].At, transientCollapse); err != nil {
		return err
	}
	for i := 1; i <= 3; i++ {
		if err := mark(ctx, tx, w[i].At, Collapses(w[i-1].Readings, w[i].Readings, w[i+1].Readings)); err != nil {
			return err
		}
	}
	return nil
}

// mark makes the rows dirty and keeps the evidence. They are never deleted.
func mark(ctx context.Context, tx session, minute time.Time, found []Collapse) error {
	if len(found) == 0 {
		return nil
	}
	wallets, assets, details := make([]string, len(found)), make([]string, len(found)), make([]string, len(found))
	for i, c := range found {
		evidence := map[string]any{"before": c.Before.Text(c.Asset), "during": nil, "after": c.After.Text(c.Asset)}
		if c.During != nil {
			evidence["during"] = c.During.Text(c.Asset)
		}
		text, err := json.Marshal(evidence)
		if err != nil {
			return err
		}
		wallets[i], assets[i], details[i] = c.Wallet, c.Asset.String(), string(text)
	}
	batch := &pgx.Batch{}
	batch.Queue(`
		UPDATE wallet_snapshots s SET is_dirty = true, dirty_reason = $4
		FROM unnest($2::text[], $3::text[]) AS found (wallet_id, asset)
		WHERE s.timestamp = $1 AND s.wallet_id = found.wallet_id AND s.asset = found.asset`,
		minute, wallets, assets, transientCollapse)
	batch.Queue(`
		INSERT INTO snapshot_anomalies (snapshot_ts, wallet_id, asset, anomaly_type, details)
		SELECT $1, wallet_id, asset, $5, details::jsonb FROM unnest($2::text[], $3::text[], $4::text[]) AS found (wallet_id, asset, details)
		ON CONFLICT (snapshot_ts, wallet_id, asset, anomaly_type) DO UPDATE SET details = excluded.details`,
		minute, wallets, assets, details, transientCollapse)
	return tx.SendBatch(ctx, batch).Close()
}
