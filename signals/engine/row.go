package engine

import (
	"context"
	"fmt"
	"math/big"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/whalegate/whalegate/internal/asset"
	"github.com/whalegate/whalegate/internal/health/watch"
	"github.com/whalegate/whalegate/internal/postgres"
	"github.com/whalegate/whalegate/signals"
)

// Row is a signal as it is stored, with the contributors and the positioning
// that belong to it.
type Row struct {
	Timestamp        time.Time     `json:"timestamp"`
	Asset            string        `json:"asset"`
	AlignmentScore   float64       `json:"alignment_score"`
	AlignmentTrend   string        `json:"alignment_trend"`
	DispersionIndex  float64       `json:"dispersion_index"`
	ExitClusterScore float64       `json:"exit_cluster_score"`
	AllowedPlaybook  string        `json:"allowed_playbook"`
	RiskMode         string        `json:"risk_mode"`
	AddExposure      bool          `json:"add_exposure"`
	TightenStops     bool          `json:"tighten_stops"`
	WalletCount      int           `json:"wallet_count"`
	MissingCount     int           `json:"missing_count"`
	DirtyCount       int           `json:"dirty_count"`
	IsDegraded       bool          `json:"is_degraded"`
	DegradedReason   *string       `json:"degraded_reason"`
	ComputationMS    *float64      `json:"computation_ms"` // nil: it was recomputed, and how long that took says nothing
	Contributors     *Contributors `json:"contributors"`
	Positioning      *Positioning  `json:"positioning"`
}

// Contributors is a row of signal_contributors.
type Contributors struct {
	PctAddLong    float64 `json:"pct_add_long"`
	PctAddShort   float64 `json:"pct_add_short"`
	PctReducers   float64 `json:"pct_reducers"`
	PctFlat       float64 `json:"pct_flat"`
	CountAddLong  int     `json:"count_add_long"`
	CountAddShort int     `json:"count_add_short"`
	CountReducers int     `json:"count_reducers"`
	CountFlat     int     `json:"count_flat"`
	TotalWallets  int     `json:"total_wallets"`
}

// Positioning is a row of signal_positioning.
type Positioning struct {
	NetSzi        string  `json:"net_szi"` // decimal, in units of the asset
	LongCount     int     `json:"long_count"`
	ShortCount    int     `json:"short_count"`
	FlatCount     int     `json:"flat_count"`
	Top10SharePct float64 `json:"top10_share_pct"`
}

// rowOf is the row that a signal would be stored as.
func rowOf(s signals.Signal) Row {
	c, p := s.Classes, s.Positioning
	return Row{
		Timestamp: s.Timestamp, Asset: s.Asset.String(), AlignmentScore: s.AlignmentScore, AlignmentTrend: string(s.AlignmentTrend),
		DispersionIndex: s.DispersionIndex, ExitClusterScore: s.ExitClusterScore, AllowedPlaybook: string(s.AllowedPlaybook), RiskMode: string(s.RiskMode),
		AddExposure: s.AddExposure, TightenStops: s.TightenStops, WalletCount: s.WalletCount, MissingCount: s.MissingCount, DirtyCount: s.DirtyCount,
		IsDegraded: len(s.Degraded) > 0, DegradedReason: reasonText(s.Degraded),
		Contributors: &Contributors{
			c.Percent(c.AddLong), c.Percent(c.AddShort), c.Percent(c.Reducers), c.Percent(c.Flat),
			c.AddLong, c.AddShort, c.Reducers, c.Flat, c.Total(),
		},
		Positioning: &Positioning{decimal(p.NetSzi, s.Asset), p.Long, p.Short, p.Flat, p.Top10SharePct},
	}
}

// Decision is what alerts are decided by, of the signal.
func (r Row) Decision() (s signals.Signal, err error) {
	s = signals.Signal{Timestamp: r.Timestamp, ExitClusterScore: r.ExitClusterScore, AllowedPlaybook: signals.Playbook(r.AllowedPlaybook), RiskMode: signals.RiskMode(r.RiskMode)}
	if r.IsDegraded {
		s.Degraded = []string{*r.DegradedReason}
	}
	s.Asset, err = asset.Parse(r.Asset)
	return s, err
}

// decimal writes a number of the asset's smallest units in units of the asset.
func decimal(units *big.Int, a asset.Asset) string {
	scale := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(a.Decimals())), nil)
	return new(big.Rat).SetFrac(units, scale).FloatString(a.Decimals())
}

const selectSignals = `
	SELECT s.timestamp, s.asset, alignment_score, alignment_trend, dispersion_index, exit_cluster_score, allowed_playbook, risk_mode,
		add_exposure, tighten_stops, wallet_count, missing_count, dirty_count, is_degraded, degraded_reason, computation_ms,
		c.pct_add_long, c.pct_add_short, c.pct_reducers, c.pct_flat, c.count_add_long, c.count_add_short, c.count_reducers, c.count_flat, c.total_wallets,
		p.net_szi::text, p.long_count, p.short_count, p.flat_count, p.top10_share_pct
	FROM signals s
	LEFT JOIN signal_contributors c ON c.timestamp = s.timestamp AND c.asset = s.asset
	LEFT JOIN signal_positioning p ON p.timestamp = s.timestamp AND p.asset = s.asset
	WHERE s.timestamp >= $1 AND s.timestamp <= $2 AND ($3 = '' OR s.asset = $3)
	ORDER BY s.timestamp DESC, array_position('{HYPE,BTC,ETH}', s.asset)
	LIMIT $4`

// List gives the stored signals from one instant to another, newest first, limit
// at most; name is an asset, or empty for all.
func List(ctx context.Context, db watch.Querier, from, to time.Time, name string, limit int, visit func(Row) error) error {
	rows, err := db.Query(ctx, selectSignals, from, to, name, limit)
	if err != nil {
		return postgres.Because(ctx, "read signals", err)
	}
	defer rows.Close()
	for rows.Next() {
		row, err := scanRow(rows)
		if err != nil {
			return postgres.Because(ctx, "read signals", err)
		}
		if err := visit(row); err != nil {
			return err
		}
	}
	return postgres.Because(ctx, "read signals", rows.Err())
}

func scanRow(rows pgx.Rows) (Row, error) {
	var r Row
	var pct [4]*float64
	var count [5]*int
	var net *string
	var side [3]*int
	var share *float64
	err := rows.Scan(&r.Timestamp, &r.Asset, &r.AlignmentScore, &r.AlignmentTrend, &r.DispersionIndex, &r.ExitClusterScore, &r.AllowedPlaybook, &r.RiskMode,
		&r.AddExposure, &r.TightenStops, &r.WalletCount, &r.MissingCount, &r.DirtyCount, &r.IsDegraded, &r.DegradedReason, &r.ComputationMS,
		&pct[0], &pct[1], &pct[2], &pct[3], &count[0], &count[1], &count[2], &count[3], &count[4], &net, &side[0], &side[1], &side[2], &share)
	r.Timestamp = r.Timestamp.UTC()
	if pct[0] != nil {
		r.Contributors = &Contributors{*pct[0], *pct[1], *pct[2], *pct[3], *count[0], *count[1], *count[2], *count[3], *count[4]}
	}
	if net != nil {
		r.Positioning = &Positioning{*net, *side[0], *side[1], *side[2], *share}
	}
	return r, err
}

// columns lists what a recomputation has to give again, by name.
func (r Row) columns() [][2]string {
	number := func(f float64) string { return strconv.FormatFloat(f, 'g', -1, 64) }
	reason := ""
	if r.DegradedReason != nil {
		reason = *r.DegradedReason
	}
	list := [][2]string{
		{"alignment_score", number(r.AlignmentScore)}, {"alignment_trend", r.AlignmentTrend}, {"dispersion_index", number(r.DispersionIndex)},
		{"exit_cluster_score", number(r.ExitClusterScore)}, {"allowed_playbook", r.AllowedPlaybook}, {"risk_mode", r.RiskMode},
		{"add_exposure", strconv.FormatBool(r.AddExposure)}, {"tighten_stops", strconv.FormatBool(r.TightenStops)},
		{"wallet_count", strconv.Itoa(r.WalletCount)}, {"missing_count", strconv.Itoa(r.MissingCount)}, {"dirty_count", strconv.Itoa(r.DirtyCount)},
		{"is_degraded", strconv.FormatBool(r.IsDegraded)}, {"degraded_reason", reason},
	}
	contributors, positioning := "none", "none"
	if c := r.Contributors; c != nil {
		contributors = fmt.Sprintf("%+v", *c)
	}
	if p := r.Positioning; p != nil {
		positioning = fmt.Sprintf("%+v", *p)
	}
	return append(list, [2]string{"signal_contributors", contributors}, [2]string{"signal_positioning", positioning})
}
