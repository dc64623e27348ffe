package simulator

import (
	"strconv"
	"strings"

	"github.com/whalegate/whalegate/internal/asset"
)

// listing is an entry of the universe of perpetuals.
type listing struct {
	name     string
	decimals int // of sizes
	leverage int
	delisted bool
}

// delistedCoins stay in the universe; nobody holds them.
var delistedCoins = strings.Fields(`MATIC FTM CANTO NEO LOOKS BNT NFTI JOE PANDORA OMG`)

// universe lists ours first, then the coins of otherCoins, then the delisted.
func universe() []listing {
	var all []listing
	for _, a := range []asset.Asset{asset.BTC, asset.ETH, asset.HYPE} {
		all = append(all, listing{name: a.Coin(), decimals: a.Decimals(), leverage: marks[a].most})
	}
	for i, name := range otherCoins {
		all = append(all, listing{name: name, decimals: i % 4, leverage: [...]int{3, 5, 10, 20}[i%4]})
	}
	for _, name := range delistedCoins {
		all = append(all, listing{name: name, decimals: 1, leverage: 3, delisted: true})
	}
	return all
}

func (l listing) append(b []byte) []byte {
	b = append(b, `{"szDecimals":`+strconv.Itoa(l.decimals)+`,"name":"`+l.name+`","maxLeverage":`+strconv.Itoa(l.leverage)...)
	if l.delisted {
		b = append(b, `,"isDelisted":true`...)
	}
	return append(b, '}')
}

func writeMeta(all []listing) []byte {
	b := []byte(`{"universe":[`)
	for i, l := range all {
		if i > 0 {
			b = append(b, ',')
		}
		b = l.append(b)
	}
	return append(b, `],"marginTables":[],"collateralToken":0}`...)
}

// meta is the answer to meta, with coins renamed or delisted as faults say.
func (e *Exchange) meta(t target) []byte {
	all := universe()
	e.faults.relist(all, t.now)
	return writeMeta(all)
}

// largeMeta is the size in bytes of the largest universe of a fault.
const largeMeta = 40 << 20

// spoilMeta is a universe that a fault has spoiled.
func spoilMeta(variant string) []byte {
	all := universe()
	switch variant {
	case "empty":
		return writeMeta(nil)
	case "duplicate":
		for _, l := range all[:asset.Count] {
			l.delisted = true
			all = append(all, l)
		}
		return writeMeta(all)
	}
	long := writeMeta(all)
	padding := strings.Repeat(" ", largeMeta-len(long))
	return append(long[:len(long)-1], padding+"}"...)
}
