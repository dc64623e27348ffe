package hyperliquid

import (
	"cmp"
	"container/heap"
)

// ranking keeps the best entries that it was given, never more than most of
// them. It is a heap whose root is the worst entry kept.
type ranking struct {
	most int
	kept []ranked
	seen int
}

type ranked struct {
	entry Entry
	pnl   float64
	order int // of arrival, the last tie-break: a wallet may come twice
}

func newRanking(most int) *ranking { return &ranking{most: most} }

// compare is negative when a ranks before b: a higher PnL first, then the
// lower address.
func (a ranked) compare(b ranked) int {
	return cmp.Or(cmp.Compare(b.pnl, a.pnl), cmp.Compare(a.entry.Wallet, b.entry.Wallet), cmp.Compare(a.order, b.order))
}

func (r *ranking) add(entry Entry, pnl float64) {
	candidate := ranked{entry: entry, pnl: pnl, order: r.seen}
	r.seen++
	switch {
	case len(r.kept) < r.most:
		heap.Push(r, candidate)
	case r.most > 0 && candidate.compare(r.kept[0]) < 0:
		r.kept[0] = candidate
		heap.Fix(r, 0)
	}
}

// entries gives what was kept, best first, and leaves the ranking empty.
func (r *ranking) entries() []Entry {
	entries := make([]Entry, len(r.kept))
	for i := len(entries) - 1; i >= 0; i-- {
		entries[i] = heap.Pop(r).(ranked).entry
	}
	return entries
}

// Len, Less, Swap, Push and Pop are what package heap calls.
func (r *ranking) Len() int           { return len(r.kept) }
func (r *ranking) Less(i, j int) bool { return r.kept[i].compare(r.kept[j]) > 0 }
func (r *ranking) Swap(i, j int)      { r.kept[i], r.kept[j] = r.kept[j], r.kept[i] }
func (r *ranking) Push(x any)         { r.kept = append(r.kept, x.(ranked)) }
func (r *ranking) Pop() any {
	last := r.kept[len(r.kept)-1]
	r.kept = r.kept[:len(r.kept)-1]
	return last
}
