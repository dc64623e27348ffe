// Package asset holds the three assets that Whalegate watches and the exact
// numbers that their position sizes are kept in.
package asset

import (
	"fmt"
	"strings"
)

// Asset is one of the three assets. The zero value is HYPE; range over All
// rather than counting.
type Asset uint8

// The assets, in the order in which boards and tables show them.
const (
	HYPE Asset = iota
	BTC
	ETH
)

// Count is the number of assets: a snapshot holds Count rows a wallet.
const Count = 3

// All lists every asset in display order.
var All = [Count]Asset{HYPE, BTC, ETH}

// traits is the one map from our assets to what the upstream and the rules
// know of them.
var traits = [Count]struct {
	name     string
	coin     string // the upstream's name of the perpetual on its main dex
	decimals int    // size precision
	dust     string // ε_abs of the rules, in units of the asset
}{
	HYPE: {"HYPE", "HYPE", 2, "0.01"},
	BTC:  {"BTC", "BTC", 5, "0.0001"},
	ETH:  {"ETH", "ETH", 4, "0.001"},
}

// String is the name used in tables, metrics and messages.
func (a Asset) String() string { return traits[a].name }

// Coin is the upstream's name of the asset.
func (a Asset) Coin() string { return traits[a].coin }

// Decimals is the number of decimal places that the exchange keeps of a size
// in this asset: HYPE 2, BTC 5, ETH 4.
func (a Asset) Decimals() int { return traits[a].decimals }

// Dust is the size at or below which a change of position means nothing
// (ε_abs): 0.01 HYPE, 0.0001 BTC, 0.001 ETH.
func (a Asset) Dust() Size {
	size, err := ParseSize(traits[a].dust, a)
	if err != nil {
		panic(err) // a constant of this file is malformed
	}
	return size
}

// FromCoin finds the asset that the upstream calls coin. Coins of builder
// dexes ("hyna:BTC") and spot pairs ("@107") are none of ours.
func FromCoin(coin string) (Asset, bool) {
	for _, a := range All {
		if traits[a].coin == coin {
			return a, true
		}
	}
	return 0, false
}

// Parse finds an asset by its name, in any case.
func Parse(name string) (Asset, error) {
	for _, a := range All {
		if strings.EqualFold(a.String(), name) {
			return a, nil
		}
	}
	return 0, fmt.Errorf("asset %q is none of HYPE, BTC, ETH", name)
}
