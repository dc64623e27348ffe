package simulator

import (
	"math"

	"github.com/whalegate/whalegate/internal/asset"
)

// temper is how a wallet trades.
type temper uint8

const (
	follower   temper = iota // trades with the crowd
	holder                   // keeps what it has; joins a strong trend
	contrarian               // trades against a weak trend
	maker                    // quotes both sides: its inventory trembles
	flipper                  // changes sides on its own
	empty                    // no perpetual in the three assets
)

// shares of the trading wallets, in percent. Of the real leaders some 30 %
// hold no perpetual at all; here it is 12 %, because the rules only call a
// trend strong when more than half of all wallets, the empty ones included,
// add to the same side within five minutes.
var shares = [...]struct {
	temper  temper
	percent int
}{{follower, 72}, {holder, 5}, {contrarian, 2}, {maker, 5}, {flipper, 4}, {empty, 12}}

func drawTemper(c chance) temper {
	at := c.below(100)
	for _, s := range shares {
		if at -= s.percent; at < 0 {
			return s.temper
		}
	}
	return empty
}

// spread is the distribution of the sizes that leading wallets held in an
// asset in February 2026, in units of it: log-normal around a median, cut off
// where the largest stood and where a change would drown in dust.
var spread = [asset.Count]struct{ median, deviation, least, most float64 }{
	asset.HYPE: {15_500, 1.9, 5, 1_500_000},
	asset.BTC:  {17.3, 1.7, 0.02, 1_000},
	asset.ETH:  {388, 1.9, 0.4, 50_000},
}

// drawBase is the size around which a wallet's position in an asset moves;
// 0 for the few that never trade it.
func drawBase(c chance, a asset.Asset) asset.Size {
	if c.of(0).hits(0.03) {
		return 0
	}
	s := spread[a]
	units := s.median * math.Exp(s.deviation*c.of(1).normal())
	for i := uint64(2); units > s.most; i++ { // redrawn: a pile of wallets at the limit would show
		units = s.median * math.Exp(s.deviation*c.of(i).normal())
	}
	return asset.Size(math.Round(max(units, s.least) * math.Pow10(a.Decimals())))
}

// drawStart is the position at the market's start.
func drawStart(c chance, base asset.Size) asset.Size {
	if c.of(0).hits(0.08) {
		return 0
	}
	size := scale(base, c.of(1).between(6_000, 14_000))
	if c.of(2).hits(0.5) {
		return -size
	}
	return size
}

// scale is size times parts of ten thousand: in whole numbers, so that the
// market is the same on every machine.
func scale(size asset.Size, parts int) asset.Size {
	return size/10_000*asset.Size(parts) + size%10_000*asset.Size(parts)/10_000
}
