package simulator

import (
	"bytes"
	"slices"
	"strconv"
)

// subAccounts is null for who has none.
func (e *Exchange) subAccounts(t target) []byte {
	entries := e.subEntries(t)
	if entries == nil {
		return []byte("null")
	}
	return listOf(entries)
}

func listOf(entries [][]byte) []byte {
	return slices.Concat([]byte{'['}, bytes.Join(entries, []byte{','}), []byte{']'})
}

// subEntries are the entries of a master's list, nil when it has none.
func (e *Exchange) subEntries(t target) (entries [][]byte) {
	if !t.known || t.seat.part != 0 || e.wallets[t.seat.wallet].vault || e.wallets[t.seat.wallet].accounts == nil {
		return nil
	}
	for i, s := range e.wallets[t.seat.wallet].accounts[1:] {
		sub := t
		sub.account, sub.seat.part = s.address, i+1
		var state []byte
		if !s.unified {
			state = e.state(sub)
		}
		entries = append(entries, subEntry(i+1, s.address.String(), t.master.String(), state))
	}
	return entries
}

// subEntry is one entry of a list, without a state where that is nil.
func subEntry(n int, account, master string, state []byte) []byte {
	b := []byte(`{"name":"F` + strconv.Itoa(n) + `","subAccountUser":"` + account + `","master":"` + master + `"`)
	if state != nil {
		b = append(append(b, `,"clearinghouseState":`...), state...)
	}
	return append(b, `,"spotState":{"balances":[{"coin":"USDC","token":0,"total":"0.0","hold":"0.0","entryNtl":"0.0"}]}}`...)
}

// manyEntries is how long the longest list of a fault is.
const manyEntries = 10_000

// unreadable is a list that a fault has spoiled. A master without sub-accounts
// gets one that it does not have, so that there is something to spoil.
func (e *Exchange) unreadable(variant string, t target) []byte {
	entries := e.subEntries(t)
	next := len(entries) + 1
	made := func(n int) string { return drawAddress(t.account.chance().of(uint64(n))).String() }
	flat := appendState(nil, 0, nil, view{at: t.now})
	if entries == nil {
		entries = append(entries, subEntry(1, made(1), t.master.String(), flat))
		next = 2
	}
	switch variant {
	case "null":
		return []byte("null")
	case "text":
		return []byte(`"sub-accounts are not available"`)
	case "no_address":
		nameless := `{"name":"F` + strconv.Itoa(next) + `","master":"` + t.master.String() + `","clearinghouseState":` + string(flat) + `}`
		entries = append(entries, []byte(nameless))
	case "self":
		entries = append(entries, subEntry(next, t.account.String(), t.master.String(), flat))
	case "twice":
		entries = append(entries, entries[0])
	case "long":
		for n := next; n <= manyEntries; n++ {
			entries = append(entries, subEntry(n, made(n), t.master.String(), flat))
		}
	}
	return listOf(entries)
}
