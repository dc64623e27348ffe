package simulator

import (
	"strconv"
	"time"

	"github.com/whalegate/whalegate/internal/asset"
)

// status is the answer to exchangeStatus.
func (e *Exchange) status(t target) []byte {
	return []byte(`{"specialStatuses":null,"time":` + milliseconds(t.now) + `}`)
}

// book is an order book of one level a side around the mark; null for coins
// that are not ours.
func (e *Exchange) book(t target) []byte {
	a, ours := asset.FromCoin(t.coin)
	if !ours {
		return []byte("null")
	}
	level := func(price float64) string { return `[{"px":"` + brief(price) + `","sz":"1.0","n":1}]` }
	mark := marks[a].price
	levels := level(mark*0.9999) + `,` + level(mark*1.0001)
	return []byte(`{"coin":"` + a.Coin() + `","time":` + milliseconds(t.now) + `,"levels":[` + levels + `]}`)
}

func milliseconds(t time.Time) string { return strconv.FormatInt(t.UnixMilli(), 10) }
