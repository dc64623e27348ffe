package status

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/whalegate/whalegate/internal/health/watch"
	"github.com/whalegate/whalegate/internal/postgres"
)

// Alerts are what was told lately. While STALE only the system alert is in them,
// and counts.
type Alerts struct {
	Active        []ActiveAlert `json:"active"`
	Newest        *SentAlert    `json:"newest"` // that was sent; nil: none, or none that may be shown
	Sent24h       int           `json:"sent_24h"`
	Suppressed24h int           `json:"suppressed_24h"`
	Pause         *Pause        `json:"pause"` // of behavioural alerts; nil: none in force
}

// ActiveAlert has fired and not cleared.
type ActiveAlert struct {
	Asset      string    `json:"asset"`
	AlertType  string    `json:"alert_type"`
	Since      time.Time `json:"since"`
	Suppressed bool      `json:"suppressed"` // it fired, and nobody was told
}

// SentAlert is one that was to be sent.
type SentAlert struct {
	Timestamp time.Time `json:"timestamp"`
	Asset     string    `json:"asset"`
	AlertType string    `json:"alert_type"`
	Severity  string    `json:"severity"`
	Message   string    `json:"message"`
}

// Pause is a time in which behavioural alerts are suppressed.
type Pause struct {
	PausedAt time.Time `json:"paused_at"`
	PausedBy string    `json:"paused_by"`
	Reason   string    `json:"reason"`
	Until    time.Time `json:"until"`
}

// As with the signals, what may be shown is decided in the statement that reads it.
const (
	selectActive = `
		SELECT s.asset, s.alert_type, coalesce(a.timestamp, s.last_triggered, whalegate_now()), coalesce(a.suppressed, false)
		FROM ingest_health h, alert_state s LEFT JOIN alerts a ON a.id = s.active_alert_id
		WHERE s.is_active AND (s.asset = 'SYSTEM' OR h.health_state <> 'STALE')
		ORDER BY s.asset = 'SYSTEM' DESC, array_position('{HYPE,BTC,ETH}', s.asset)`

	selectNewest = `
		SELECT a.timestamp, a.asset, a.alert_type, a.severity, a.message
		FROM ingest_health h, alerts a
		WHERE NOT a.suppressed AND NOT a.superseded AND (a.asset = 'SYSTEM' OR h.health_state <> 'STALE')
		ORDER BY a.timestamp DESC, a.id DESC LIMIT 1`

	countAlerts = `
		SELECT count(*) FILTER (WHERE NOT suppressed), count(*) FILTER (WHERE suppressed)
		FROM alerts WHERE timestamp > whalegate_now() - interval '24 hours'`

	selectPause = "SELECT paused_at, paused_by, reason, until FROM alert_pauses WHERE unpaused_at IS NULL AND until > whalegate_now()"
)

func readAlerts(ctx context.Context, db watch.Querier) (*Alerts, error) {
	a := &Alerts{}
	var err error
	if a.Active, err = list[ActiveAlert](ctx, db, selectActive); err != nil {
		return nil, fmt.Errorf("read active alerts: %w", err)
	}
	rows, err := db.Query(ctx, selectNewest)
	if a.Newest, err = one[SentAlert](rows, err, "read newest alert"); err != nil {
		return nil, err
	}
	rows, err = db.Query(ctx, countAlerts)
	if err == nil {
		_, err = pgx.ForEachRow(rows, []any{&a.Sent24h, &a.Suppressed24h}, func() error { return nil })
	}
	if err != nil {
		return nil, fmt.Errorf("count alerts: %w", postgres.Cause(err))
	}
	rows, err = db.Query(ctx, selectPause)
	a.Pause, err = one[Pause](rows, err, "look for a pause")
	return a, err
}

func list[T any](ctx context.Context, db watch.Querier, sql string) ([]T, error) {
	rows, err := db.Query(ctx, sql)
	if err != nil {
		return nil, postgres.Cause(err)
	}
	values, err := pgx.CollectRows(rows, pgx.RowToStructByPos[T])
	if err != nil {
		return nil, postgres.Cause(err)
	}
	return values, nil
}

// lines are what a person needs of the alerts.
func (a Alerts) lines(line func(name, format string, args ...any)) {
	active := []string{}
	for _, one := range a.Active {
		text := one.Asset + " " + one.AlertType + " since " + one.Since.UTC().Format(time.RFC3339)
		if one.Suppressed {
			text += " (suppressed)"
		}
		active = append(active, text)
	}
	if len(active) == 0 {
		active = append(active, "none active")
	}
	line("alerts", "%s; in 24 h %d sent, %d suppressed", strings.Join(active, ", "), a.Sent24h, a.Suppressed24h)
	if n := a.Newest; n != nil {
		line("newest alert", "%s %s", n.Timestamp.UTC().Format(time.RFC3339), n.Message)
	}
	if p := a.Pause; p != nil {
		line("alerts paused", "until %s, since %s by %s: %s", p.Until.UTC().Format(time.RFC3339), p.PausedAt.UTC().Format(time.RFC3339), p.PausedBy, p.Reason)
	}
}
