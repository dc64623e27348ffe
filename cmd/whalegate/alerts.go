package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/whalegate/whalegate/alerting/engine"
	"github.com/whalegate/whalegate/internal/asset"
	"github.com/whalegate/whalegate/internal/postgres"
)

type alertsCmd struct {
	List       alertsList       `cmd:"" help:"Show the stored alerts, newest first, with those that were suppressed and why."`
	State      alertsState      `cmd:"" help:"Show what is remembered of each alert: active, pending, cooling down."`
	Deliveries alertsDeliveries `cmd:"" help:"Show the outbox, newest first: what is to be sent, was sent or could not be, and why."`
	Retry      alertsRetry      `cmd:"" help:"Make deliveries due now that failed or wait for their next attempt."`
	Test       alertsTest       `cmd:"" help:"Send a marked test to a receiver through the outbox. Exits 1 if it was not delivered."`
	Pause      alertsPause      `cmd:"" help:"For emergencies: suppress behavioural alerts for at most a day. The system alert cannot be paused."`
	Unpause    alertsUnpause    `cmd:"" help:"End the pause."`
}

// openAlerts opens the database and checks its schema.
func openAlerts(ctx context.Context, databaseURL string) (*pgxpool.Pool, error) {
	pool, err := postgres.Open(ctx, databaseURL, "whalegate alerts")
	if err != nil {
		return nil, err
	}
	if err := postgres.CheckSchema(ctx, pool); err != nil {
		pool.Close()
		return nil, err
	}
	return pool, nil
}

type alertsList struct {
	databaseFlag
	Asset string `help:"HYPE, BTC, ETH or SYSTEM; all of them by default."`
	Limit int    `default:"30" help:"Rows at most."`
	JSON  bool   `name:"json" help:"Print one JSON object a line."`
}

// Run prints the stored alerts.
func (c *alertsList) Run(ctx context.Context) error {
	name := strings.ToUpper(c.Asset)
	if name != "" && name != "SYSTEM" {
		a, err := asset.Parse(c.Asset)
		if err != nil {
			return err
		}
		name = a.String()
	}
	if c.Limit < 1 {
		return fmt.Errorf("--limit %d: at least 1", c.Limit)
	}
	pool, err := openAlerts(ctx, c.DatabaseURL)
	if err != nil {
		return err
	}
	defer pool.Close()
	list, err := engine.List(ctx, pool, name, c.Limit)
	if err != nil {
		return err
	}
	for _, a := range list {
		if c.JSON {
			if err := json.NewEncoder(os.Stdout).Encode(a); err != nil {
				return err
			}
			continue
		}
		note := ""
		switch {
		case a.SuppressReason != nil:
			note = "  (suppressed: " + *a.SuppressReason + ")"
		case a.ResolvedAt != nil:
			note = "  (resolved " + a.ResolvedAt.UTC().Format(time.RFC3339) + ")"
		}
		fmt.Printf("%s  %-8s  %s%s\n", a.Timestamp.UTC().Format(time.RFC3339), a.Severity, a.Message, note)
	}
	return nil
}

type alertsState struct {
	databaseFlag
	JSON bool `name:"json" help:"Print one JSON object a line."`
}

// Run prints what is remembered, and the pause in force.
func (c *alertsState) Run(ctx context.Context) error {
	pool, err := openAlerts(ctx, c.DatabaseURL)
	if err != nil {
		return err
	}
	defer pool.Close()
	list, err := engine.States(ctx, pool)
	if err != nil {
		return err
	}
	pause, err := engine.PauseInForce(ctx, pool)
	if err != nil {
		return err
	}
	if pause != nil && !c.JSON {
		fmt.Printf("paused until %s by %s: %s\n", pause.Until.UTC().Format(time.RFC3339), pause.PausedBy, pause.Reason)
	}
	for _, s := range list {
		if c.JSON {
			if err := json.NewEncoder(os.Stdout).Encode(s); err != nil {
				return err
			}
			continue
		}
		fmt.Printf("%-6s  %-13s  %s\n", s.Asset, s.AlertType, describe(s))
	}
	return nil
}

// describe is a state in words.
func describe(s engine.Remembered) string {
	words := []string{"quiet"}
	if s.IsActive {
		words[0] = "ACTIVE"
	}
	if s.ConfirmedPlaybook != nil {
		words = append(words, "confirmed "+*s.ConfirmedPlaybook)
	}
	if s.PendingPlaybook != nil {
		words = append(words, fmt.Sprintf("%s pending for %d of 2 periods", *s.PendingPlaybook, s.PendingPeriods))
	}
	for _, moment := range []struct {
		what string
		at   *time.Time
	}{{"last sent", s.LastTriggered}, {"cooldown until", s.CooldownUntil}, {"last period", s.LastPeriod}} {
		if moment.at != nil {
			words = append(words, moment.what+" "+moment.at.UTC().Format(time.RFC3339))
		}
	}
	return strings.Join(words, ", ")
}

type alertsPause struct {
	databaseFlag
	Reason string        `required:"" help:"Why; kept as the record."`
	For    time.Duration `default:"2h" help:"How long; at most 24h."`
	JSON   bool          `name:"json" help:"Print one JSON object."`
}

// Run puts a pause in force.
func (c *alertsPause) Run(ctx context.Context) error {
	pool, err := openAlerts(ctx, c.DatabaseURL)
	if err != nil {
		return err
	}
	defer pool.Close()
	pause, err := engine.StartPause(ctx, pool, c.Reason, operator(), c.For)
	if err != nil {
		return err
	}
	if c.JSON {
		return json.NewEncoder(os.Stdout).Encode(pause)
	}
	_, err = fmt.Printf("behavioural alerts are suppressed until %s; the system alert is not\n", pause.Until.UTC().Format(time.RFC3339))
	return err
}

type alertsUnpause struct {
	databaseFlag
	JSON bool `name:"json" help:"Print one JSON object."`
}

// Run ends the pause in force.
func (c *alertsUnpause) Run(ctx context.Context) error {
	pool, err := openAlerts(ctx, c.DatabaseURL)
	if err != nil {
		return err
	}
	defer pool.Close()
	pause, err := engine.EndPause(ctx, pool)
	if err != nil {
		return err
	}
	if c.JSON {
		return json.NewEncoder(os.Stdout).Encode(pause)
	}
	_, err = fmt.Printf("alerts are sent again; they were paused since %s\n", pause.PausedAt.UTC().Format(time.RFC3339))
	return err
}
