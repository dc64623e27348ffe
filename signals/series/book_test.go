package series

import (
	"fmt"
	"testing"

	"pgregory.net/rapid"

	"github.com/whalegate/whalegate/internal/asset"
)

func TestBookGivesAWalletOneSlot(t *testing.T) {
	b := NewBook()
	if slot, ok := b.Find("a"); ok || b.Slots() != 0 {
		t.Errorf("an empty book has slot %d of %d", slot, b.Slots())
	}
	name := []byte("a")
	first := b.Slot(name)
	name[0] = 'b' // the buffer is the caller's, and goes on to the next row
	second := b.Slot(name)
	if first == second {
		t.Errorf("two wallets share slot %d", first)
	}
	for wallet, want := range map[string]int{"a": first, "b": second} {
		found, ok := b.Find(wallet)
		if again := b.Slot([]byte(wallet)); again != want || found != want || !ok {
			t.Errorf("%s has slot %d, then %d, found %d %t", wallet, want, again, found, ok)
		}
	}
	if _, ok := b.Find("c"); ok || b.Slots() != 2 {
		t.Errorf("%d slots, and a wallet nobody knows found: %t", b.Slots(), ok)
	}
	for _, a := range asset.All {
		if len(b.Series[a]) != 2 {
			t.Errorf("%s has %d series", a, len(b.Series[a]))
		}
	}
}

func TestBookClearForgetsOneMinuteOfEverybody(t *testing.T) {
	b := NewBook()
	for _, wallet := range []string{"a", "b"} {
		slot := b.Slot([]byte(wallet))
		for _, a := range asset.All {
			for m := range Minute(3) {
				b.Series[a][slot].Set(start+m, 5)
			}
		}
	}
	b.Clear(start + 1)
	for _, a := range asset.All {
		for slot := range b.Slots() {
			for m, want := range []Value{5, None, 5} {
				if got := b.Series[a][slot].At(start + Minute(m)); got != want {
					t.Errorf("%s, slot %d, minute %d: %d, want %d", a, slot, m, got, want)
				}
			}
		}
	}
}

func TestBookForgetFreesTheSlotsOfTheGone(t *testing.T) {
	b := NewBook()
	slots := map[string]int{}
	for i, wallet := range []string{"gone", "stays", "only ETH", "gone too"} {
		slots[wallet] = b.Slot([]byte(wallet))
		b.Series[asset.Asset(i%asset.Count)][slots[wallet]].Set(start, Value(i))
	}
	b.Series[asset.BTC][slots["stays"]].Set(start+10, 1)
	b.Series[asset.ETH][slots["only ETH"]].Set(start+5, Null)
	b.Forget(start + 5)
	for wallet, want := range map[string]bool{"gone": false, "stays": true, "only ETH": true, "gone too": false} {
		if slot, ok := b.Find(wallet); ok != want || ok && slot != slots[wallet] {
			t.Errorf("%s: slot %d, %t; had %d, want %t", wallet, slot, ok, slots[wallet], want)
		}
	}

	// Two newcomers take their places, and see nothing of them.
	taken := map[int]bool{}
	for _, wallet := range []string{"new", "newer"} {
		slot := b.Slot([]byte(wallet))
		taken[slot] = true
		for _, a := range asset.All {
			if !b.Series[a][slot].Empty() {
				t.Errorf("%s finds %s of somebody else", wallet, a)
			}
		}
	}
	if !taken[slots["gone"]] || !taken[slots["gone too"]] || b.Slots() != 4 {
		t.Errorf("slots %v are taken of %d", taken, b.Slots())
	}
	if slot := b.Slot([]byte("newest")); slot != 4 || b.Slots() != 5 {
		t.Errorf("with no place free, slot %d of %d", slot, b.Slots())
	}
}

// shelf is a book beside plain maps.
type shelf struct {
	book    *Book
	plain   map[string]*[asset.Count]reference
	horizon Minute
	last    Minute
}

func (s *shelf) check(t *rapid.T) {
	taken := map[int]string{}
	for i := range 6 {
		wallet := fmt.Sprint(i)
		slot, ok := s.book.Find(wallet)
		if ok {
			if other, twice := taken[slot]; twice || slot < 0 || slot >= s.book.Slots() {
				t.Fatalf("slot %d of %d is of %s and of %s", slot, s.book.Slots(), other, wallet)
			}
			taken[slot] = wallet
		}
		for _, a := range asset.All {
			for m := s.horizon; m <= s.last; m++ {
				got, want := None, None
				if ok {
					got = s.book.Series[a][slot].At(m)
				}
				if rows := s.plain[wallet]; rows != nil {
					want = rows[a].at(m)
				}
				if got != want {
					t.Fatalf("wallet %s, %s, minute %d: %d, want %d", wallet, a, m, got, want)
				}
			}
		}
	}
	if s.book.Slots() > 6 {
		t.Fatalf("%d slots for 6 wallets", s.book.Slots())
	}
}

func TestBookEqualsPlainMaps(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := &shelf{book: NewBook(), plain: map[string]*[asset.Count]reference{}, horizon: start, last: start}
		t.Repeat(map[string]func(*rapid.T){
			"": s.check,
			"set": func(t *rapid.T) {
				wallet := fmt.Sprint(rapid.IntRange(0, 5).Draw(t, "wallet"))
				a := rapid.SampledFrom(asset.All[:]).Draw(t, "asset")
				m := Minute(rapid.Uint32Range(uint32(s.horizon), uint32(s.last)+3).Draw(t, "minute"))
				v := drawValue(t)
				s.book.Series[a][s.book.Slot([]byte(wallet))].Set(m, v)
				if s.plain[wallet] == nil {
					s.plain[wallet] = &[asset.Count]reference{{}, {}, {}}
				}
				s.plain[wallet][a].set(m, v)
				s.last = max(s.last, m)
			},
			"clear": func(t *rapid.T) {
				m := Minute(rapid.Uint32Range(uint32(s.horizon), uint32(s.last)+1).Draw(t, "minute"))
				s.book.Clear(m)
				for _, rows := range s.plain {
					for _, a := range asset.All {
						rows[a].set(m, None)
					}
				}
			},
			"forget": func(t *rapid.T) {
				m := Minute(rapid.Uint32Range(uint32(s.horizon), uint32(s.last)+2).Draw(t, "minute"))
				s.book.Forget(m)
				s.horizon = m
				for wallet := range s.plain {
					if _, ok := s.book.Find(wallet); ok && m > s.last {
						t.Fatalf("wallet %s has a slot and no rows", wallet)
					}
				}
				s.last = max(s.last, m)
			},
		})
	})
}
