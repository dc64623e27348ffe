package hyperliquid

import "strconv"

// readRow reads a row of the leaderboard and the PnL it is ranked by. A row
// that cannot be ranked is not ok. The display name is foreign text that
// nobody needs: it is never decoded.
func readRow(row []byte) (entry Entry, pnl float64, ok bool) {
	var address, value, windows field
	for name, member := range members(row) {
		switch name {
		case "ethAddress":
			address.set(member)
		case "accountValue":
			value.set(member)
		case "windowPerformances":
			windows.set(member)
		}
	}
	entry = Entry{Wallet: readAddress(address.once()), MonthPnL: "0", AccountValue: decimal(value.once())}
	if entry.Wallet == "" {
		return Entry{}, 0, false
	}
	if windows.seen > 0 {
		month, ok := monthOf(windows.once())
		if !ok {
			return Entry{}, 0, false
		}
		if month != nil {
			if entry.MonthPnL, entry.MonthROI = readWindow(month); entry.MonthPnL == "" {
				return Entry{}, 0, false
			}
		}
	}
	// Sums this text went through upstream were floats: its order needs no
	// more. PnLs that only differ beyond a float's 15 digits count as ties.
	pnl, err := strconv.ParseFloat(entry.MonthPnL, 64)
	return entry, pnl, err == nil
}

// monthOf finds the month among [name, window] pairs, by name: their order is
// not promised. It is nil when there is none, and not ok when one of the pairs
// has no name, or month is there twice or is no window.
func monthOf(windows []byte) (month []byte, ok bool) {
	if !opens(windows, '[') {
		return nil, false
	}
	var found field
	for pair := range elements(windows) {
		var parts [2][]byte
		count := 0
		for part := range elements(pair) {
			if count < len(parts) {
				parts[count] = part
			}
			count++
		}
		name, named := text(parts[0])
		if !named || count != len(parts) {
			return nil, false
		}
		if name == "month" {
			found.set(parts[1])
		}
	}
	if found.seen == 0 {
		return nil, true
	}
	return found.once(), opens(found.once(), '{')
}

func readWindow(window []byte) (pnl, roi string) {
	var gain, rate field
	for name, member := range members(window) {
		switch name {
		case "pnl":
			gain.set(member)
		case "roi":
			rate.set(member)
		}
	}
	return decimal(gain.once()), decimal(rate.once())
}
