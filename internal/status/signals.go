package status

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/whalegate/whalegate/internal/health"
	"github.com/whalegate/whalegate/internal/health/watch"
	"github.com/whalegate/whalegate/internal/postgres"
)

// Signal is what may be done in one asset.
type Signal struct {
	Asset           string     `json:"asset"`
	Timestamp       *time.Time `json:"timestamp"` // nil: there is no signal younger than ten minutes, and the gate is closed
	AllowedPlaybook string     `json:"allowed_playbook"`
	RiskMode        string     `json:"risk_mode"`
	AlignmentScore  *float64   `json:"alignment_score"`
	AlignmentTrend  *string    `json:"alignment_trend"`
	Dispersion      *float64   `json:"dispersion_index"`
	ExitCluster     *float64   `json:"exit_cluster_score"`
	AddExposure     *bool      `json:"add_exposure"`
	TightenStops    *bool      `json:"tighten_stops"`
	IsDegraded      *bool      `json:"is_degraded"`
	DegradedReason  *string    `json:"degraded_reason"`
}

// Cycle is what became of the newest boundary.
type Cycle struct {
	Timestamp time.Time `json:"timestamp"`
	Outcome   string    `json:"outcome"` // computed, blocked or failed
	Reasons   []string  `json:"reasons"`
	Skipped   []string  `json:"skipped"` // assets without a signal
}

// What may be shown is decided in the statement that reads it: while the state
// is STALE there is nothing to read.
const selectSignals = `
	SELECT a.name, s.timestamp, coalesce(s.allowed_playbook, 'No-trade'), coalesce(s.risk_mode, 'Defensive'),
		s.alignment_score, s.alignment_trend, s.dispersion_index, s.exit_cluster_score, s.add_exposure, s.tighten_stops, s.is_degraded, s.degraded_reason
	FROM ingest_health h, unnest('{HYPE,BTC,ETH}'::text[]) WITH ORDINALITY AS a (name, place)
	LEFT JOIN LATERAL (
		SELECT * FROM signals
		WHERE asset = a.name AND timestamp > whalegate_now() - interval '10 minutes' AND timestamp <= whalegate_now()
		ORDER BY timestamp DESC LIMIT 1
	) s ON true
	WHERE h.health_state <> 'STALE'
	ORDER BY a.place`

func readSignals(ctx context.Context, db watch.Querier) ([]Signal, error) {
	rows, err := db.Query(ctx, selectSignals)
	if err != nil {
		return nil, fmt.Errorf("read signals: %w", postgres.Cause(err))
	}
	list, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Signal])
	if err != nil {
		return nil, fmt.Errorf("read signals: %w", postgres.Cause(err))
	}
	return list, nil
}

func readCycle(ctx context.Context, db watch.Querier) (*Cycle, error) {
	rows, err := db.Query(ctx, "SELECT timestamp, outcome, reasons, skipped FROM signal_cycles ORDER BY timestamp DESC LIMIT 1")
	return one[Cycle](rows, err, "read newest signal cycle")
}

// text is the signal in one line, as the trader would want it read out.
func (s Signal) text(state health.State) string {
	if s.Timestamp == nil {
		return s.AllowedPlaybook + " / " + s.RiskMode + ", no signal"
	}
	text := s.AllowedPlaybook
	if state == health.Degraded || *s.IsDegraded {
		text += " (degraded)"
	}
	text += fmt.Sprintf(" / %s at %s, CAS %.1f %s, dispersion %.1f, exit cluster %.1f %%", s.RiskMode, s.Timestamp.UTC().Format("15:04Z"),
		*s.AlignmentScore, *s.AlignmentTrend, *s.Dispersion, *s.ExitCluster)
	if *s.AddExposure {
		text += ", add exposure"
	}
	if *s.TightenStops {
		text += ", tighten stops"
	}
	if s.DegradedReason != nil {
		text += parenthesis(*s.DegradedReason)
	}
	return text
}

// text is what an operator needs of the cycle.
func (c Cycle) text() string {
	text := c.Timestamp.UTC().Format(time.RFC3339) + " " + c.Outcome + parenthesis(strings.Join(c.Reasons, ", "))
	if len(c.Skipped) > 0 {
		text += ", skipped " + strings.Join(c.Skipped, ", ")
	}
	return text
}
