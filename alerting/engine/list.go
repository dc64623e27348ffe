package engine

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/whalegate/whalegate/internal/postgres"
)

// Alert is a stored alert.
type Alert struct {
	ID             int64      `json:"id"`
	Timestamp      time.Time  `json:"timestamp"`
	Asset          string     `json:"asset"`
	AlertType      string     `json:"alert_type"`
	Severity       string     `json:"severity"`
	Message        string     `json:"message"`
	CooldownUntil  *time.Time `json:"cooldown_until"`
	Suppressed     bool       `json:"suppressed"`
	SuppressReason *string    `json:"suppress_reason"`
	ResolvedAt     *time.Time `json:"resolved_at"`
}

// List returns the newest alerts, newest first; asset "" is every one.
func List(ctx context.Context, db *pgxpool.Pool, asset string, limit int) ([]Alert, error) {
	ctx, cancel := postgres.Reading(ctx)
	defer cancel()
	rows, err := db.Query(ctx, `
		SELECT id, timestamp, asset, alert_type, severity, message, cooldown_until, suppressed, suppress_reason, resolved_at
		FROM alerts WHERE $1 IN ('', asset) ORDER BY timestamp DESC, id DESC LIMIT $2`, asset, limit)
	if err != nil {
		return nil, postgres.Because(ctx, "read alerts", err)
	}
	list, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Alert])
	return list, postgres.Because(ctx, "read alerts", err)
}

// Remembered is a row of alert_state.
type Remembered struct {
	Asset             string     `json:"asset"`
	AlertType         string     `json:"alert_type"`
	IsActive          bool       `json:"is_active"`
	LastTriggered     *time.Time `json:"last_triggered"`
	CooldownUntil     *time.Time `json:"cooldown_until"`
	ConfirmedPlaybook *string    `json:"confirmed_playbook"`
	PendingPlaybook   *string    `json:"pending_playbook"`
	PendingPeriods    int        `json:"pending_periods"`
	LastPeriod        *time.Time `json:"last_period"`
}

// States returns what is remembered of every alert.
func States(ctx context.Context, db *pgxpool.Pool) ([]Remembered, error) {
	ctx, cancel := postgres.Reading(ctx)
	defer cancel()
	rows, err := db.Query(ctx, `
		SELECT asset, alert_type, is_active, last_triggered, cooldown_until, confirmed_playbook, pending_playbook, pending_periods, last_period
		FROM alert_state ORDER BY asset = 'SYSTEM', asset, alert_type`)
	if err != nil {
		return nil, postgres.Because(ctx, "read alert state", err)
	}
	list, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Remembered])
	return list, postgres.Because(ctx, "read alert state", err)
}
