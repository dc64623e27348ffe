package simulator

import (
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/whalegate/whalegate/internal/asset"
)

// marks are the prices behind values and margins. They never move: nothing
// that reads a state may look at a price.
var marks = [asset.Count]struct {
	price float64
	most  int // leverage
}{asset.HYPE: {33.25, 10}, asset.BTC: {86_321.5, 40}, asset.ETH: {2_736.9, 25}}

// view is what one account is answered with: the truth, or what faults make of
// it.
type view struct {
	at      time.Time
	sizes   [asset.Count]asset.Size
	opened  [asset.Count]asset.Size // what it would hold if it held something
	worth   float64                 // of the account, in dollars
	unified bool                    // margin figures read zero
	coin    [asset.Count]string     // in place of its name, where not empty
	gone    [asset.Count]bool       // not listed whatever is held
	noise   bool                    // in the text of every size
	absent  [asset.Count]bool       // without its szi
	text    [asset.Count]string     // in place of szi, where not empty
	renamed bool                    // szi is called otherwise
	object  bool                    // assetPositions is an object
}

// state is the body of an account's clearinghouse state. An address that
// nobody has is flat, as on the exchange.
func (e *Exchange) state(t target) []byte {
	e.AdvanceTo(t.now)
	m := e.moment(t)
	if e.faults.same(t) {
		if sample, there := e.sample(m); there {
			t.seat, t.known = sample, true
		}
	}
	v := view{at: m.at}
	if t.known {
		w := &e.wallets[t.seat.wallet]
		whole := e.whole(t.seat.wallet, m)
		v.sizes, v.opened = w.part(t.seat.part, whole), w.part(t.seat.part, w.opening())
		v.worth, v.unified = e.worth(t.seat, m.at), w.isUnified(t.seat.part)
	}
	e.faults.distort(&v, t)
	if !t.known {
		return appendState(nil, 0, nil, v)
	}
	w := &e.wallets[t.seat.wallet]
	if w.body != nil {
		return w.body.at(v.at)
	}
	return w.state(nil, t.seat.part, v)
}

// holdsNothing is true for accounts that show no position by what they are.
func (w *wallet) holdsNothing(part int) bool {
	return w.spot || w.vault && w.accounts != nil && part == 0
}

// state writes the clearinghouse state of an account of the wallet.
func (w *wallet) state(b []byte, part int, v view) []byte {
	draw := w.chance.of(2).of(uint64(part))
	var list []listedCoin
	if w.holdsNothing(part) {
		return appendState(b, draw, nil, v)
	}
	for _, a := range []asset.Asset{asset.BTC, asset.ETH} {
		list = w.list(list, a, draw, v)
	}
	if part == 0 || draw.of(0).hits(0.2) {
		if rest := others(draw.of(1)); w.temper != empty || draw.of(2).hits(0.5) {
			list = append(list, rest...)
		}
	}
	list = w.list(list, asset.HYPE, draw, v)
	return appendState(b, draw, list, v)
}

// appendState writes a clearinghouse state with these coins.
func appendState(b []byte, draw chance, list []listedCoin, v view) []byte {
	var value, margin float64
	for _, l := range list {
		size := l.size()
		value += math.Abs(size) * l.price
		margin += math.Abs(size) * l.price / float64(leverage(draw, l))
	}
	account := v.worth
	if v.unified {
		account, value, margin = 0, 0, 0
	}
	summary := `{"accountValue":"` + decimal(account) + `","totalNtlPos":"` + decimal(value) +
		`","totalRawUsd":"` + decimal(account-value/3) + `","totalMarginUsed":"` + decimal(margin) + `"}`
	b = append(b, `{"marginSummary":`+summary+`,"crossMarginSummary":`+summary...)
	b = append(b, `,"crossMaintenanceMarginUsed":"`+decimal(margin/2)+`","withdrawable":"`+decimal(max(0, account-margin))+`","assetPositions":`...)
	opening, closing := byte('['), byte(']')
	if v.object {
		opening, closing = '{', '}'
	}
	b = append(b, opening)
	for i, l := range list {
		if i > 0 {
			b = append(b, ',')
		}
		if v.object {
			b = append(b, `"`+l.coin+`":`...)
		}
		b = appendPosition(b, draw, l, v)
	}
	b = append(b, closing)
	b = append(b, `,"time":`...)
	b = strconv.AppendInt(b, v.at.UnixMilli(), 10)
	return append(b, '}')
}

// list adds an asset of ours, where the wallet has a position or, for some,
// once had one.
func (w *wallet) list(list []listedCoin, a asset.Asset, c chance, v view) []listedCoin {
	size := v.sizes[a]
	if v.gone[a] {
		return list
	}
	onceHeld := w.temper != empty && w.base[a] != 0 && c.of(4).of(uint64(a)).hits(0.2)
	if size == 0 && !onceHeld && !v.absent[a] && v.text[a] == "" {
		return list
	}
	szi := strings.TrimRight(size.Text(a), "0")
	if strings.HasSuffix(szi, ".") {
		szi += "0"
	}
	if v.noise || w.temper == maker {
		szi = tremble(szi)
	}
	if v.text[a] != "" {
		szi = v.text[a]
	}
	name := a.Coin()
	if v.coin[a] != "" {
		name = v.coin[a]
	}
	return append(list, listedCoin{name, szi, marks[a].price, marks[a].most})
}

func leverage(c chance, l listedCoin) int {
	return max(1, l.most/[...]int{1, 2, 4}[c.of(uint64(len(l.coin))).below(3)])
}

func appendPosition(b []byte, c chance, l listedCoin, v view) []byte {
	c = c.of(5).of(uint64(len(l.szi))).of(uint64(l.coin[0]))
	size := l.size()
	times := leverage(c, l)
	value := math.Abs(size) * l.price
	entry := l.price * (0.8 + 0.4*c.of(0).float())
	b = append(b, `{"type":"oneWay","position":{"coin":"`+l.coin+`"`...)
	a, ours := asset.FromCoin(l.coin)
	switch {
	case ours && v.absent[a]:
	case v.renamed:
		b = append(b, `,"size":"`+l.szi+`"`...)
	default:
		b = append(b, `,"szi":"`+l.szi+`"`...)
	}
	kind, rawUSD := "cross", ""
	if c.of(1).hits(0.1) {
		kind, rawUSD = "isolated", `,"rawUsd":"`+decimal(-value/2)+`"`
	}
	b = append(b, `,"leverage":{"type":"`+kind+`","value":`...)
	b = strconv.AppendInt(b, int64(times), 10)
	b = append(b, rawUSD+`},"entryPx":"`+brief(entry)+`","positionValue":"`+decimal(value)+`","unrealizedPnl":"`+decimal(size*(l.price-entry))+`","returnOnEquity":"`+decimal((l.price/entry-1)*float64(times))+`","liquidationPx":`...)
	if size < 0 || c.of(2).hits(0.3) {
		b = append(b, `"`+strconv.FormatFloat(l.price*(1+c.of(3).float()), 'f', 10, 64)+`"`...)
	} else {
		b = append(b, "null"...)
	}
	margin := value / float64(times)
	if v.unified {
		margin = 0
	}
	b = append(b, `,"marginUsed":"`+decimal(margin)+`","maxLeverage":`...)
	b = strconv.AppendInt(b, int64(l.most), 10)
	funding := decimal(float64(c.of(4).between(-90_000_000, 90_000_000)) / 1e3)
	return append(b, `,"cumFunding":{"allTime":"`+funding+`","sinceOpen":"`+funding+`","sinceChange":"0.0"}}}`...)
}
