package collector

import (
	"github.com/whalegate/whalegate/collector/hyperliquid"
	"github.com/whalegate/whalegate/internal/asset"
)

// accountSum adds up the accounts of a wallet.
type accountSum struct {
	reading Reading
	holders [asset.Count]int // accounts that list a position
}

func newAccountSum(wallet string) *accountSum {
	sum := &accountSum{reading: Reading{Wallet: wallet}}
	for a := range sum.reading.Positions {
		sum.reading.Positions[a].Known = true
	}
	return sum
}

func (s *accountSum) add(account string, state hyperliquid.State) error {
	r := &s.reading
	r.times = append(r.times, accountTime{account, state.Time})
	if r.StateTime.IsZero() || state.Time.Before(r.StateTime) {
		r.StateTime = state.Time
	}
	for a, p := range state.Positions {
		if p == (hyperliquid.Position{Known: true}) {
			continue // not held by this account
		}
		total := &r.Positions[a]
		size, err := total.Size.Add(p.Size)
		if err != nil {
			return &reasonError{reasonOutOfRange}
		}
		known := total.Known && p.Known
		s.holders[a]++
		if s.holders[a] == 1 {
			*total = p
		} else {
			// Prices and margin of several accounts have no common value.
			*total = hyperliquid.Position{}
		}
		total.Size, total.Known = size, known
	}
	return nil
}
