package engine

import (
	"context"
	"math/big"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/whalegate/whalegate/internal/asset"
	"github.com/whalegate/whalegate/internal/health"
	"github.com/whalegate/whalegate/internal/health/watch"
	"github.com/whalegate/whalegate/internal/postgres"
	"github.com/whalegate/whalegate/signals"
)

// Outcome is what became of a boundary.
type Outcome string

// The outcomes.
const (
	Computed Outcome = "computed"
	Blocked  Outcome = "blocked" // health forbade it (G0)
	Failed   Outcome = "failed"  // a signal was not possible (G5, G6)
)

// Outcomes lists every outcome.
var Outcomes = []Outcome{Computed, Blocked, Failed}

// pasts are the scores of the three boundaries before, by asset.
type pasts [asset.Count][3]signals.Past

const selectPast = `
	SELECT timestamp, asset, alignment_score, is_degraded
	FROM signals
	WHERE timestamp IN ($1, $2, $3)`

// readPast reads the scores that the trend at t is measured against.
func readPast(ctx context.Context, db watch.Querier, t time.Time) (past pasts, err error) {
	ctx, cancel := postgres.Reading(ctx)
	defer cancel()
	rows, err := db.Query(ctx, selectPast, t.Add(-signals.Period), t.Add(-2*signals.Period), t.Add(-3*signals.Period))
	if err != nil {
		return past, postgres.Because(ctx, "read past signals", err)
	}
	var at time.Time
	var name string
	var cas float64
	var degraded bool
	_, err = pgx.ForEachRow(rows, []any{&at, &name, &cas, &degraded}, func() error {
		a, err := asset.Parse(name)
		if err != nil {
			return err
		}
		past[a][int(t.Sub(at)/signals.Period)-1] = signals.Past{CAS: cas, Usable: !degraded}
		return nil
	})
	return past, postgres.Because(ctx, "read past signals", err)
}

const (
	insertSignal = `
		INSERT INTO signals (timestamp, asset, alignment_score, alignment_trend, dispersion_index, exit_cluster_score, allowed_playbook, risk_mode,
			add_exposure, tighten_stops, wallet_count, missing_count, dirty_count, is_degraded, degraded_reason, computation_ms)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14::text IS NOT NULL, $14::text, $15)`
	insertContributors = `
		INSERT INTO signal_contributors (timestamp, asset, pct_add_long, pct_add_short, pct_reducers, pct_flat,
			count_add_long, count_add_short, count_reducers, count_flat, total_wallets)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)`
	insertPositioning = `
		INSERT INTO signal_positioning (timestamp, asset, net_szi, long_count, short_count, flat_count, top10_share_pct)
		VALUES ($1, $2, $3, $4, $5, $6, $7)`
	insertCycle = `
		INSERT INTO signal_cycles (timestamp, outcome, judged_at, health_state, reasons, skipped)
		VALUES ($1, $2, greatest(coalesce($3, whalegate_now()), ` + ofNewestRun + `), $4, $5, $6)`

	// Health is judged later by what had been stored by then: a clock that went back
	// for less than it makes the state STALE must not hide the newest run.
	ofNewestRun = "(SELECT r.finished_at FROM ingest_runs r WHERE NOT r.superseded AND r.finished_at <= $3 + interval '5 seconds' ORDER BY r.timestamp DESC LIMIT 1)"
)

// queueSignal adds the three rows of a signal to a batch.
func queueSignal(batch *pgx.Batch, s signals.Signal, took time.Duration) {
	c, p := s.Classes, s.Positioning
	batch.Queue(insertSignal, s.Timestamp, s.Asset.String(), s.AlignmentScore, s.AlignmentTrend, s.DispersionIndex, s.ExitClusterScore, s.AllowedPlaybook, s.RiskMode,
		s.AddExposure, s.TightenStops, s.WalletCount, s.MissingCount, s.DirtyCount, reasonText(s.Degraded), took.Seconds()*1000)
	batch.Queue(insertContributors, s.Timestamp, s.Asset.String(), c.Percent(c.AddLong), c.Percent(c.AddShort), c.Percent(c.Reducers), c.Percent(c.Flat),
		c.AddLong, c.AddShort, c.Reducers, c.Flat, c.Total())
	batch.Queue(insertPositioning, s.Timestamp, s.Asset.String(), numeric(p.NetSzi, s.Asset), p.Long, p.Short, p.Flat, p.Top10SharePct)
}

// reasonText is degraded_reason: nil when it is not degraded.
func reasonText(reasons []string) *string {
	if len(reasons) == 0 {
		return nil
	}
	text := strings.Join(reasons, ", ")
	return &text
}

// numeric is a number of the asset's smallest units in units of the asset.
func numeric(units *big.Int, a asset.Asset) pgtype.Numeric {
	return pgtype.Numeric{Int: units, Exp: int32(-a.Decimals()), Valid: true}
}

// queueCycle adds the record of a boundary to a batch.
func queueCycle(batch *pgx.Batch, t time.Time, outcome Outcome, h health.Health, reasons, skipped []string) {
	var judged *time.Time
	if !h.At.IsZero() {
		judged = &h.At
	}
	sql := insertCycle
	if outcome != Computed { // where signals come with it, a second record must fail them
		sql += " ON CONFLICT (timestamp) DO NOTHING"
	}
	batch.Queue(sql, t, outcome, judged, h.State, notNil(reasons), notNil(skipped))
}

// notNil is an empty list in place of none: the columns take no NULL.
func notNil(list []string) []string {
	if list == nil {
		return []string{}
	}
	return list
}
