package hyperliquid

import "strings"

// readAddress reads 0x and 40 hex digits, in any case, into lower case.
// Anything else is "".
func readAddress(value []byte) string {
	const digits = 40
	address, ok := text(value)
	if !ok || len(address) != len("0x")+digits || !strings.HasPrefix(address, "0x") {
		return ""
	}
	address = strings.ToLower(address)
	for i := len("0x"); i < len(address); i++ {
		if c := address[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return ""
		}
	}
	return address
}
