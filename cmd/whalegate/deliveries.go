package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/whalegate/whalegate/alerting/outbox"
	"github.com/whalegate/whalegate/alerting/receiver"
	"github.com/whalegate/whalegate/internal/clock"
)

type alertsDeliveries struct {
	databaseFlag
	Receiver string `help:"Of this receiver only."`
	State    string `help:"In this state only: pending, unknown, delivered or failed."`
	Limit    int    `default:"30" help:"Rows at most."`
	JSON     bool   `name:"json" help:"Print one JSON object a line."`
}

var deliveryStates = []string{"pending", "unknown", "delivered", "failed"}

// Run prints the outbox.
func (c *alertsDeliveries) Run(ctx context.Context) error {
	switch {
	case c.Limit < 1:
		return fmt.Errorf("--limit %d: at least 1", c.Limit)
	case c.State != "" && !slices.Contains(deliveryStates, c.State):
		return fmt.Errorf("--state %s: one of %s is right", c.State, strings.Join(deliveryStates, ", "))
	}
	pool, err := openAlerts(ctx, c.DatabaseURL)
	if err != nil {
		return err
	}
	defer pool.Close()
	list, err := outbox.List(ctx, pool, outbox.Filter{Receiver: c.Receiver, State: c.State}, c.Limit)
	if err != nil {
		return err
	}
	for _, d := range list {
		if err := printDelivery(d, c.JSON); err != nil {
			return err
		}
	}
	return nil
}

// printDelivery prints a row for people or for programs.
func printDelivery(d outbox.Delivery, asJSON bool) error {
	if asJSON {
		return json.NewEncoder(os.Stdout).Encode(d)
	}
	what := "test"
	if d.AlertType != nil {
		what = *d.Asset + " " + *d.AlertType + " " + d.Kind
	}
	moment := func(what string, at *time.Time) string {
		if at == nil {
			return ""
		}
		return ", " + what + " " + at.UTC().Format(time.RFC3339)
	}
	note := ""
	if d.LastError != nil {
		note = ": " + *d.LastError
	}
	_, err := fmt.Printf("%d  %s  %-16s  %-28s  %-9s  attempts %d%s%s%s\n", d.ID, d.CreatedAt.UTC().Format(time.RFC3339), d.Receiver, what, d.State, d.Attempts,
		moment("delivered", d.DeliveredAt), moment("next", d.NextAttemptAt), note)
	return err
}

type alertsRetry struct {
	databaseFlag
	ID       int64  `arg:"" optional:"" help:"One delivery; by default all that failed or wait for their next attempt."`
	Receiver string `help:"Of this receiver only."`
	JSON     bool   `name:"json" help:"Print one JSON object."`
}

// Run makes deliveries due now.
func (c *alertsRetry) Run(ctx context.Context) error {
	pool, err := openAlerts(ctx, c.DatabaseURL)
	if err != nil {
		return err
	}
	defer pool.Close()
	n, err := outbox.Retry(ctx, pool, outbox.Filter{ID: c.ID, Receiver: c.Receiver})
	if err != nil {
		return err
	}
	if c.JSON {
		return json.NewEncoder(os.Stdout).Encode(map[string]int64{"retried": n})
	}
	if n == 0 && c.ID != 0 {
		return fmt.Errorf("delivery %d: there is none, it is delivered, or it is being sent just now", c.ID)
	}
	_, err = fmt.Printf("%d deliveries are due now and have another day; the service or the watchdog sends them\n", n)
	return err
}

type alertsTest struct {
	databaseFlag
	receiversFlag
	linksFlag
	Receiver string `required:"" help:"Name of the receiver, as in the receivers file."`
	JSON     bool   `name:"json" help:"Print one JSON object."`
}

// testPatience is how long a test waits for its outcome.
const testPatience = 30 * time.Second

// Run sends a test and prints what came of it.
func (c *alertsTest) Run(ctx context.Context, logger *slog.Logger) error {
	receivers, err := receiver.Load(c.Receivers, logger)
	if err != nil {
		return err
	}
	external, err := c.externalURL()
	if err != nil {
		return err
	}
	pool, err := openAlerts(ctx, c.DatabaseURL)
	if err != nil {
		return err
	}
	defer pool.Close()
	receiver.RefuseRedirects()
	sender := outbox.NewSender(outbox.Config{Pool: pool, Clock: clock.Clock{}, Logger: logger, Registerer: prometheus.NewRegistry(), Receivers: receivers, ExternalURL: external})
	ctx, cancel := context.WithTimeoutCause(ctx, testPatience, fmt.Errorf("no outcome within %s: whalegate alerts deliveries shows it", testPatience))
	defer cancel()
	d, err := sender.Test(ctx, c.Receiver)
	if errors.Is(err, outbox.ErrNoReceiver) {
		return fmt.Errorf("%w: one of %s is right", err, strings.Join(outbox.For(receivers).Names(), ", "))
	}
	if err != nil {
		return err
	}
	if err := printDelivery(d, c.JSON); err != nil {
		return err
	}
	if d.State != "delivered" {
		return &exitError{code: 1}
	}
	return nil
}
