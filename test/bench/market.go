package main

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"net/http/httptest"
	"slices"
	"sync"
	"time"

	"github.com/whalegate/whalegate/collector"
	"github.com/whalegate/whalegate/collector/hyperliquid"
	"github.com/whalegate/whalegate/collector/simulator"
)

// market reads the simulated exchange through the client, so that the rows have
// the sizes, prices and gaps that the service would store.
type market struct {
	exchange *simulator.Exchange
	server   *httptest.Server
	client   *hyperliquid.Client
	wallets  []string
}

func openMarket(ctx context.Context, wallets int, origin time.Time) (*market, error) {
	exchange, err := simulator.New(simulator.Config{Seed: 1, Rows: 1000, Origin: origin})
	if err != nil {
		return nil, err
	}
	m := &market{exchange: exchange, server: httptest.NewServer(exchange.Handler())}
	m.client, err = hyperliquid.New(hyperliquid.Config{APIURL: m.server.URL, StatsURL: m.server.URL, WeightPerMinute: 1e9})
	if err != nil {
		m.server.Close()
		return nil, err
	}
	board, err := m.client.Leaderboard(ctx, wallets, hyperliquid.Validators{})
	if err != nil {
		m.close()
		return nil, err
	}
	for _, member := range collector.Members(board.Entries) {
		m.wallets = append(m.wallets, member.Wallet)
	}
	slices.Sort(m.wallets)
	return m, nil
}

func (m *market) close() {
	m.client.Close()
	m.server.Close()
}

// at reads every wallet's own account at a minute, sorted by wallet. Time must
// not go back.
func (m *market) at(ctx context.Context, minute time.Time) ([]collector.Reading, error) {
	m.exchange.AdvanceTo(minute)
	readings := make([]collector.Reading, len(m.wallets))
	errs := make([]error, len(m.wallets))
	var group sync.WaitGroup
	for worker := range 4 {
		group.Go(func() {
			for i := worker; i < len(m.wallets); i += 4 {
				state, err := m.client.State(ctx, m.wallets[i])
				readings[i] = collector.Reading{Wallet: m.wallets[i], Positions: state.Positions, StateTime: minute.Add(time.Duration(i) * 7 * time.Millisecond)}
				errs[i] = err
			}
		})
	}
	group.Wait()
	for _, err := range errs {
		if err != nil {
			return nil, err
		}
	}
	return readings, nil
}

// many repeats readings under other addresses until there are n.
func many(readings []collector.Reading, n int) []collector.Reading {
	source := rand.New(rand.NewPCG(1, 2))
	list := make([]collector.Reading, n)
	for i := range list {
		list[i] = readings[i%len(readings)]
		list[i].Wallet = fmt.Sprintf("0x%016x%016x%08x", source.Uint64(), source.Uint64(), source.Uint32())
	}
	slices.SortFunc(list, func(a, b collector.Reading) int { return cmp.Compare(a.Wallet, b.Wallet) })
	return list
}

// minuteOf is what the service commits of readings, with the windows before it.
func minuteOf(at time.Time, readings []collector.Reading, before ...collector.Window) collector.Minute {
	run := collector.Judge(at, len(readings), readings, map[string]int{})
	run.Duration = 2 * time.Second
	return collector.Minute{Run: run, Readings: readings, Before: before, Backfill: true}
}
