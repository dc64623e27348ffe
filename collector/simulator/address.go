package simulator

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"strings"
)

// address is an account of the exchange. Its text is lower case.
type address [20]byte

func (a address) String() string { return "0x" + hex.EncodeToString(a[:]) }

// chance is a number that belongs to the address whatever the seed is: it
// decides which share of all wallets a fault hits.
func (a address) chance() chance { return chance(binary.BigEndian.Uint64(a[:])).of(0) }

// mixedCase is the address as some rows of the leaderboard write it.
func (a address) mixedCase() string {
	text := []byte(a.String())
	for i := 2; i < len(text); i++ {
		if a.chance().of(uint64(i))&1 == 0 {
			text[i] = strings.ToUpper(string(text[i]))[0]
		}
	}
	return string(text)
}

// drawAddress makes up an address from a number.
func drawAddress(c chance) (a address) {
	binary.BigEndian.PutUint64(a[:], uint64(c.of(0)))
	binary.BigEndian.PutUint64(a[8:], uint64(c.of(1)))
	binary.BigEndian.PutUint32(a[16:], uint32(c.of(2)))
	return a
}

// parseAddress reads 0x and 40 hex digits in any case.
func parseAddress(text string) (a address, err error) {
	digits, ok := strings.CutPrefix(strings.ToLower(text), "0x")
	if ok && len(digits) == 2*len(a) {
		if _, err := hex.Decode(a[:], []byte(digits)); err == nil {
			return a, nil
		}
	}
	return address{}, fmt.Errorf("%q is no address: 0x and 40 hex digits are", clip(text))
}

// clip keeps foreign text short in errors.
func clip(text string) string {
	const most = 60
	if len(text) > most {
		return text[:most] + "…"
	}
	return text
}
