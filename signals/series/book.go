package series

import "github.com/whalegate/whalegate/internal/asset"

// Book is the history of many wallets. A wallet has a slot for as long as
// anything of it is remembered.
type Book struct {
	slots  map[string]int
	free   []int // slots of wallets that were forgotten
	Series [asset.Count][]Series
}

// NewBook makes an empty book.
func NewBook() *Book { return &Book{slots: map[string]int{}} }

// Slot is the slot of a wallet, which gets one if it has none.
func (b *Book) Slot(wallet []byte) int {
	if slot, ok := b.slots[string(wallet)]; ok { // the compiler makes no copy for the look-up
		return slot
	}
	var slot int
	if n := len(b.free); n > 0 {
		slot, b.free = b.free[n-1], b.free[:n-1]
	} else {
		slot = len(b.Series[0])
		for a := range b.Series {
			b.Series[a] = append(b.Series[a], Series{})
		}
	}
	b.slots[string(wallet)] = slot
	return slot
}

// Find is the slot of a wallet, if it has one.
func (b *Book) Find(wallet string) (slot int, ok bool) {
	slot, ok = b.slots[wallet]
	return slot, ok
}

// Slots is how many slots there are, those of forgotten wallets included.
func (b *Book) Slots() int { return len(b.Series[0]) }

// Clear forgets the values of one minute.
func (b *Book) Clear(m Minute) {
	for a := range b.Series {
		for i := range b.Series[a] {
			b.Series[a][i].Set(m, None)
		}
	}
}

// Forget drops what is before m, and the wallets of which nothing is left.
func (b *Book) Forget(m Minute) {
	for a := range b.Series {
		for i := range b.Series[a] {
			b.Series[a][i].Forget(m)
		}
	}
	for wallet, slot := range b.slots {
		empty := true
		for a := range b.Series {
			empty = empty && b.Series[a][slot].Empty()
		}
		if empty {
			delete(b.slots, wallet)
			b.free = append(b.free, slot)
		}
	}
}
