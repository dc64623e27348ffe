package simulator

import (
	"strconv"

	"github.com/whalegate/whalegate/internal/asset"
)

// status is the answer to exchangeStatus.
func (e *Exchange) status(target) []byte {
	return []byte(`{"specialStatuses":null,"time":` + e.milliseconds() + `}`)
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
	return []byte(`{"coin":"` + a.Coin() + `","time":` + e.milliseconds() + `,"levels":[` + level(mark*0.9999) + `,` + level(mark*1.0001) + `]}`)
}

func (e *Exchange) milliseconds() string {
	return strconv.FormatInt(e.config.Clock.Now().UnixMilli(), 10)
}
