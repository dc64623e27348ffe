package simulator

import (
	"math"
	"strconv"
	"strings"
)

// otherCoins are names of perpetuals on the main dex besides ours: what a
// client has to skip.
var otherCoins = strings.Fields(`SOL XRP DOGE kPEPE AVAX LINK LTC BNB ARB OP SUI APT SEI TIA INJ NEAR ADA DOT BCH
AAVE UNI LDO CRV ENA ETHFI EIGEN ZRO WLFI MEGA PUMP FARTCOIN PENGU TRUMP MELANIA WIF POPCAT MOODENG GOAT PNUT
kBONK kSHIB kFLOKI kLUNC kNEIRO kDOGS JUP JTO PYTH W STRK BLAST ZK ZETA MANTA ALT DYM PIXEL AI ACE XAI MAVIA
MEME ORDI TAO RENDER FET WLD ARK BIGTIME GAS TRB LOOM STX CFX RNDR FXS BLUR IMX APE SUSHI COMP MKR SNX DYDX
GMX RLB HPOS PENDLE UNIBOT CYBER FRIEND BANANA OX YGG SHIA REQ TON NOT BOME ONDO PEOPLE MNT ETC ATOM FIL ALGO
SAND GALA MINA POL POLYX ICP FTT UMA TURBO BRETT CATI CELO HMSTR SCR NEIROETH GRASS SAGA REZ IO LISTA RSR KAS
ENS OMNI NTRN TNSR MERL BSV USUAL HYPER SPX VIRTUAL AIXBT VINE ANIME BERA IP LAYER KAITO NIL PAXG PROMPT BABY
WCT INIT DOOD SOPH RESOLV SYRUP ZORA GRIFFAIN ZEREBRO S SWARMS CHILLGUY MOVE ME PURR VVV JELLY NXPC TST MORPHO
XLM AERO PROVE TREE TOSHI LINEA SKY ASTER AVNT STBL MON ZEC ICX APEX MET CC FOGO MAV LIT AXS DASH STABLE XPL`)

// listedCoin is one line of a clearinghouse state.
type listedCoin struct {
	coin  string
	szi   string
	price float64 // of the mark; entry prices lie around it
	most  int     // leverage
}

// size is 0 where a fault has put into szi what is no finite number: only szi
// is to be bad then, not the values that follow from it.
func (l listedCoin) size() float64 {
	size, err := strconv.ParseFloat(l.szi, 64)
	if err != nil || math.IsNaN(size) || math.IsInf(size, 0) {
		return 0
	}
	return size
}

// others draws the coins besides ours: for most a handful, for one in ten more
// than 16, for one in three hundred nearly all of them.
func others(c chance) []listedCoin {
	n := 0
	switch kind := c.of(0).below(300); {
	case kind == 0:
		n = len(otherCoins) - 10
	case kind < 30:
		n = c.of(1).between(14, 40)
	case kind < 200:
		n = c.of(1).between(1, 8)
	}
	list := make([]listedCoin, n)
	first := c.of(2).below(len(otherCoins))
	for i := range list {
		which := (first + i) % len(otherCoins)
		draw := c.of(3).of(uint64(which))
		price := [...]float64{0.0131, 0.27, 2.13, 18.4, 144.12}[draw.of(0).below(5)]
		units := draw.of(1).between(1, 60_000_000)
		size := decimal(float64(units) / 10)
		if draw.of(2).hits(0.4) {
			size = "-" + size
		}
		if draw.of(3).hits(0.3) {
			size = tremble(size)
		}
		list[i] = listedCoin{otherCoins[which], size, price, [...]int{3, 5, 10, 20}[draw.of(4).below(4)]}
	}
	return list
}
