package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/whalegate/whalegate/collector"
	"github.com/whalegate/whalegate/collector/hyperliquid"
	"github.com/whalegate/whalegate/collector/simulator"
	"github.com/whalegate/whalegate/internal/asset"
	"github.com/whalegate/whalegate/internal/clock"
	"github.com/whalegate/whalegate/signals"
	"github.com/whalegate/whalegate/signals/engine"
)

// history loads the past of a simulated exchange.
type history struct {
	service  *service
	exchange *simulator.Exchange // one of its own, moved through the past
	logger   *slog.Logger
}

// load stores every minute from origin up to the present one, which is the
// service's.
func (h *history) load(ctx context.Context, origin time.Time, c clock.Clock) error {
	store := collector.NewStore(h.service.pool)
	if tracked, _, err := store.Tracked(ctx, c.Now()); err != nil {
		return err
	} else if len(tracked) == 0 {
		if err := h.universe(ctx, store, origin); err != nil {
			return err
		}
	}
	wallets, err := h.accounts(ctx, store, c.Now())
	if err != nil {
		return err
	}
	from, err := h.next(ctx, origin)
	if err != nil {
		return err
	}
	if err := store.EnsurePartitions(ctx, from, c.Now()); err != nil {
		return err
	}
	cycle := &engine.Cycle{Pool: h.service.pool, Memory: engine.NewMemory(), Judge: engine.AsItStood}
	if err := h.signals(ctx, cycle, from.Add(-time.Minute)); err != nil {
		return err // of the minute at which a load was cut off
	}
	progress := newProgress(os.Stderr, h.logger, "loading history")
	var recent []collector.Window
	for minute := from; ; minute = minute.Add(time.Minute) {
		// The end moves while the past is being written.
		end := c.Now().Truncate(time.Minute)
		if minute.After(end) {
			progress.done("minutes", int(minute.Sub(from)/time.Minute))
			return nil
		}
		h.exchange.AdvanceTo(minute)
		readings := h.readings(wallets, minute)
		run := collector.Judge(minute, len(wallets), readings, map[string]int{})
		run.Duration = historyDuration
		if _, err := store.Commit(ctx, collector.Minute{Run: run, Readings: readings, Before: recent, Backfill: true}); err != nil {
			return err
		}
		recent = append(recent, collector.Window{At: minute, Readings: readings})
		recent = recent[max(0, len(recent)-2):]
		if err := h.signals(ctx, cycle, minute); err != nil {
			return err
		}
		progress.report(int(minute.Sub(from)/time.Minute), int(end.Sub(from)/time.Minute))
	}
}

// signals computes the boundary that a minute is, if it is one and nothing came of
// it yet.
func (h *history) signals(ctx context.Context, cycle *engine.Cycle, minute time.Time) error {
	if signals.CheckBoundary(minute) != nil {
		return nil
	}
	var done bool
	err := h.service.pool.QueryRow(ctx, `
		SELECT EXISTS (SELECT FROM signal_cycles WHERE timestamp = $1) OR NOT EXISTS (SELECT FROM ingest_runs WHERE timestamp = $1)`, minute).Scan(&done)
	if err != nil {
		return fmt.Errorf("look for the signals of %s: %w", minute.Format(time.RFC3339), err)
	}
	if done {
		return nil
	}
	_, err = cycle.Run(ctx, minute)
	return err
}

// universe makes the wallets that lead now the ones that led at the origin.
func (h *history) universe(ctx context.Context, store *collector.Store, origin time.Time) error {
	size := h.service.universe
	board, err := h.service.client.Leaderboard(ctx, size, hyperliquid.Validators{})
	if err != nil {
		return err
	}
	members := collector.Members(board.Entries)
	if err := collector.CheckMembers(members, size); err != nil {
		return err
	}
	return store.KeepUniverseRun(ctx, collector.UniverseRun{
		AsOf: origin, Status: collector.Success, Source: collector.Source, Requested: size, Received: len(members), RowsRead: board.RowsRead, RowsSkipped: board.RowsSkipped,
	}, members)
}

// historyDuration is how long a simulated cycle of the past took.
const historyDuration = 2 * time.Second

// accounts makes the sub-accounts of every tracked wallet known.
func (h *history) accounts(ctx context.Context, store *collector.Store, now time.Time) ([]collector.Tracked, error) {
	wallets, _, err := store.Tracked(ctx, now)
	if err != nil {
		return nil, err
	}
	for _, w := range wallets {
		if w.Unreadable == "" {
			continue
		}
		subs := h.exchange.SubAccounts(w.Wallet)
		if err := store.KeepAccounts(ctx, w.Wallet, collector.Accounts{Sub: subs, Listed: len(subs) > 0, Explained: true}, now); err != nil {
			return nil, err
		}
	}
	wallets, _, err = store.Tracked(ctx, now)
	return wallets, err
}

// next is the first minute that is missing.
func (h *history) next(ctx context.Context, origin time.Time) (time.Time, error) {
	var newest time.Time
	err := h.service.pool.QueryRow(ctx, "SELECT timestamp FROM ingest_runs WHERE status <> 'failed' ORDER BY timestamp DESC LIMIT 1").Scan(&newest)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return origin, nil
	case err != nil:
		return origin, fmt.Errorf("look for the newest run: %w", err)
	}
	return newest.UTC().Add(time.Minute), nil
}

func (h *history) readings(wallets []collector.Tracked, minute time.Time) []collector.Reading {
	readings := make([]collector.Reading, len(wallets))
	for i, w := range wallets {
		r := collector.Reading{Wallet: w.Wallet, StateTime: minute}
		var total [asset.Count]asset.Size
		for _, account := range append([]string{w.Wallet}, w.SubAccounts...) {
			sizes, _ := h.exchange.Sizes(account) // an account that the exchange does not know is flat
			for a, size := range sizes {
				total[a] += size
			}
		}
		for a, size := range total {
			r.Positions[a] = hyperliquid.Position{Size: size, Known: true}
		}
		readings[i] = r
	}
	return readings
}
