package simulator

import (
	"cmp"
	"math"
	"slices"
	"time"
)

// boardOrder is the order of rows: as on the real file by volume, which has
// nothing to do with profit.
func boardOrder(wallets []wallet) []int32 {
	order := make([]int32, len(wallets))
	for i := range order {
		order[i] = int32(i)
	}
	slices.SortFunc(order, func(i, j int32) int {
		return cmp.Or(cmp.Compare(wallets[j].volume(), wallets[i].volume()), cmp.Compare(i, j))
	})
	return order
}

// volume of a month, in dollars. Some of those who hold no perpetual have none
// at all: vaults and holders of spot, with profits all the same.
func (w *wallet) volume() float64 {
	draw := w.chance.of(3)
	if w.temper == empty && w.recorded == nil && draw.of(0).hits(0.3) {
		return 0
	}
	return math.Exp(16 + 2.2*draw.of(1).normal())
}

// edition is the hour of the leaderboard: its content only changes with it.
func (e *Exchange) edition(t time.Time) int64 {
	return max(0, int64(t.Sub(e.config.Origin)/time.Hour))
}

// profit of a month in dollars, by rank at Origin and edition: a steep curve
// that drifts by a tenth over days, so that in six hours a few percent of the
// leading wallets change.
func (e *Exchange) profit(rank int, edition int64) float64 {
	if e.noMonth(rank) {
		return 0
	}
	rows := len(e.wallets)
	draw := e.wallets[rank].chance.of(4)
	period := float64(draw.of(0).between(60, 110)) // hours
	drift := math.Exp(0.11 * math.Sin(2*math.Pi*(float64(edition)/period+draw.of(1).float())))
	if winners := max(e.trading, rows*6/10); rank >= winners {
		return -40e6 * math.Pow(float64(rows-rank+2), -0.7) * drift
	}
	return 45e6 * math.Pow(float64(rank+2), -0.78) * drift
}

// noMonth is true for the few rows without a month. None of them is among the
// wallets that trade.
func (e *Exchange) noMonth(rank int) bool {
	return rank >= e.trading && e.wallets[rank].chance.of(5).hits(0.01)
}

// profits of all ranks, under the churn that faults ask for.
func (e *Exchange) profits(edition int64, churns []Fault) []float64 {
	profits := make([]float64, len(e.wallets))
	for rank := range profits {
		profits[rank] = e.profit(rank, edition)
	}
	for _, churn := range churns {
		e.exchangeTop(profits, churn, edition)
	}
	return profits
}

// exchangeTop gives the profits of a share of the top to wallets below it. Which
// ones differs by edition: every refresh finds the same turmoil again.
func (e *Exchange) exchangeTop(profits []float64, churn Fault, edition int64) {
	ranks := e.ranking(profits)
	top := min(churn.top(), len(ranks)/2)
	victims := slices.Clone(ranks[:top])
	draw := func(rank int) chance { return e.wallets[rank].address.chance().of(uint64(edition)) }
	slices.SortFunc(victims, func(i, j int) int { return cmp.Compare(draw(i), draw(j)) })
	below := ranks[top:]
	first := chance(edition).of(0).below(len(below))
	for i, victim := range victims[:int(math.Round(churn.share()*float64(top)))] {
		heir := below[(first+i)%len(below)]
		profits[victim], profits[heir] = profits[heir], profits[victim]
	}
}

// ranking sorts ranks at Origin by profit, ties by address.
func (e *Exchange) ranking(profits []float64) []int {
	ranks := make([]int, len(profits))
	for i := range ranks {
		ranks[i] = i
	}
	slices.SortFunc(ranks, func(i, j int) int {
		return cmp.Or(cmp.Compare(profits[j], profits[i]), slices.Compare(e.wallets[i].address[:], e.wallets[j].address[:]))
	})
	return ranks
}

// Wallets lists the masters on the leaderboard by their month's profit at the
// minute that the market stands at, as it is without faults.
func (e *Exchange) Wallets() []string {
	e.mu.RLock()
	edition := e.minute / 60
	e.mu.RUnlock()
	ranks := e.ranking(e.profits(edition, nil))
	all := make([]string, len(ranks))
	for i, rank := range ranks {
		all[i] = e.wallets[rank].address.String()
	}
	return all
}
