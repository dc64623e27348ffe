package main

import (
	"slices"
	"sync"
	"time"

	"github.com/whalegate/whalegate/collector"
	"github.com/whalegate/whalegate/collector/hyperliquid"
	"github.com/whalegate/whalegate/collector/simulator"
	"github.com/whalegate/whalegate/internal/asset"
)

// crowd is the leading wallets of a simulated exchange, read without the client:
// a day of minutes takes too long through HTTP, and only the sizes are needed.
type crowd struct {
	exchange *simulator.Exchange
	wallets  []string   // sorted
	accounts [][]string // of each wallet, itself first
}

// newCrowd tracks two thirds of the wallets that trade, as the demo does.
func newCrowd(wallets int, origin time.Time) (*crowd, error) {
	trading := wallets * 3 / 2
	exchange, err := simulator.New(simulator.Config{Seed: 1, Rows: max(1000, trading), Active: trading, Origin: origin})
	if err != nil {
		return nil, err
	}
	c := &crowd{exchange: exchange, wallets: exchange.Wallets()[:wallets]}
	slices.Sort(c.wallets)
	for _, wallet := range c.wallets {
		c.accounts = append(c.accounts, append([]string{wallet}, exchange.SubAccounts(wallet)...))
	}
	return c, nil
}

// at gives what each wallet holds at a minute. Time must not go back.
func (c *crowd) at(minute time.Time) [][asset.Count]asset.Size {
	c.exchange.AdvanceTo(minute)
	list := make([][asset.Count]asset.Size, len(c.wallets))
	var group sync.WaitGroup
	for part := range 2 {
		group.Go(func() {
			for i := part * len(list) / 2; i < (part+1)*len(list)/2; i++ {
				for _, account := range c.accounts[i] {
					sizes, _ := c.exchange.Sizes(account) // the exchange has named it
					for a, size := range sizes {
						list[i][a] += size
					}
				}
			}
		})
	}
	group.Wait()
	return list
}

// readings are what the collector makes of the sizes at a minute.
func (c *crowd) readings(minute time.Time, sizes [][asset.Count]asset.Size) []collector.Reading {
	list := make([]collector.Reading, len(c.wallets))
	for i := range list {
		list[i] = collector.Reading{Wallet: c.wallets[i], StateTime: minute}
		for a, size := range sizes[i] {
			list[i].Positions[a] = hyperliquid.Position{Size: size, Known: true}
		}
	}
	return list
}

// members is the crowd as a universe.
func (c *crowd) members() []collector.Member {
	list := make([]collector.Member, len(c.wallets))
	for i, wallet := range c.wallets {
		list[i] = collector.Member{Wallet: wallet, Rank: i + 1, MonthPnL: "1"}
	}
	return list
}
