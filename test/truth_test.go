package test

import (
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/whalegate/whalegate/collector/simulator"
	"github.com/whalegate/whalegate/internal/asset"
)

// checkWhole looks for half minutes: rows without a run, runs without their
// rows, minutes off the grid.
func (w *world) checkWhole() {
	w.Helper()
	for what, sql := range map[string]string{
		"runs whose rows are not those written": `SELECT count(*) FROM ingest_runs r WHERE rows_written <> (SELECT count(*) FROM wallet_snapshots s WHERE s.timestamp = r.timestamp AND s.ingest_run_id = r.run_id)`,
		"runs with rows for not every asset":    `SELECT count(*) FROM ingest_runs WHERE rows_written <> wallet_success_count * 3`,
		"rows without a run":                    `SELECT count(*) FROM wallet_snapshots s WHERE NOT EXISTS (SELECT FROM ingest_runs r WHERE r.run_id = s.ingest_run_id AND r.timestamp = s.timestamp)`,
		"runs off the grid":                     `SELECT count(*) FROM ingest_runs WHERE extract(epoch FROM timestamp)::bigint % 60 <> 0`,
		"dirty rows without evidence":           `SELECT count(*) FROM wallet_snapshots s WHERE is_dirty AND NOT EXISTS (SELECT FROM snapshot_anomalies a WHERE a.snapshot_ts = s.timestamp AND a.wallet_id = s.wallet_id AND a.asset = s.asset)`,
	} {
		if n := get[int](w, sql); n != 0 {
			w.Errorf("%d %s", n, what)
		}
	}
}

// checkTruth compares every stored size with a twin of the exchange that knows
// no faults: whatever went wrong, nothing looks flat that is not. Dirty rows are
// known to be wrong, and NULL says nothing. It returns how many rows were flat.
func (w *world) checkTruth() (flat int) {
	w.Helper()
	return w.checkRows("timestamp", "")
}

// checkCountedTruth leaves out the rows of failed runs, which are kept for audit.
func (w *world) checkCountedTruth() {
	w.Helper()
	w.checkRows("timestamp", "AND EXISTS (SELECT FROM ingest_runs r WHERE r.timestamp = wallet_snapshots.timestamp AND r.status <> 'failed' AND NOT r.superseded)")
}

// checkTruthOfStates holds each size against what was true when its state says that it was.
func (w *world) checkTruthOfStates() {
	w.Helper()
	w.checkRows("state_time", "")
}

func (w *world) checkRows(when, of string) (flat int) {
	w.Helper()
	twin, err := simulator.New(simulator.Config{Seed: seed, Rows: rows, Active: active, Origin: w.origin, Clock: w.clock})
	must(w, err)
	stored, err := w.db.Query(w.Context(), `SELECT `+when+`, wallet_id, asset, position_szi::text FROM wallet_snapshots
		WHERE NOT is_dirty AND position_szi IS NOT NULL `+of+` ORDER BY 1`)
	must(w, err)
	var at time.Time
	var wallet, name, text string
	_, err = pgx.ForEachRow(stored, []any{&at, &wallet, &name, &text}, func() error {
		a, err := asset.Parse(name)
		if err != nil {
			return err
		}
		got, err := asset.ParseSize(text, a)
		if err != nil {
			return err
		}
		twin.AdvanceTo(at)
		var want asset.Size
		for _, account := range append(twin.SubAccounts(wallet), wallet) {
			sizes, known := twin.Sizes(account)
			if !known {
				return fmt.Errorf("nobody has %s", account)
			}
			want += sizes[a]
		}
		if got != want {
			w.Errorf("%s %s at %s: %s is stored, %s is true", wallet, name, at.Format(time.TimeOnly), got.Text(a), want.Text(a))
		}
		if got == 0 {
			flat++
		}
		return nil
	})
	must(w, err)
	return flat
}
