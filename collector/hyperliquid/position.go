package hyperliquid

import (
	"errors"
	"fmt"

	"github.com/whalegate/whalegate/internal/asset"
)

var (
	errNoPosition = errors.New("it has no one object named position")
	errNoCoin     = errors.New("it has no one coin")
)

// readPositions reads the list of a state. An entry whose coin cannot be told
// might be any of ours, and of two entries for a coin either might be right:
// both refuse the state.
func readPositions(list []byte) ([asset.Count]Position, error) {
	var positions [asset.Count]Position
	var listed [asset.Count]bool
	for i := range positions {
		positions[i].Known = true
	}
	index := -1
	for entry := range elements(list) {
		index++
		position, coin, err := positionOf(entry)
		if err != nil {
			return positions, fmt.Errorf("read entry %d of assetPositions: %w", index, err)
		}
		a, ours := asset.FromCoin(coin)
		if !ours {
			continue
		}
		if listed[a] {
			return positions, fmt.Errorf("%s is listed twice in assetPositions", a)
		}
		listed[a] = true
		positions[a] = readPosition(position, a)
	}
	return positions, nil
}

// positionOf finds the position in an entry of the list, and its coin.
func positionOf(entry []byte) (position []byte, coin string, err error) {
	var inner, named field
	for name, member := range members(entry) {
		if name == "position" {
			inner.set(member)
		}
	}
	position = inner.once()
	if !opens(position, '{') {
		return nil, "", errNoPosition
	}
	for name, member := range members(position) {
		if name == "coin" {
			named.set(member)
		}
	}
	coin, ok := text(named.once())
	if !ok {
		return nil, "", errNoCoin
	}
	return position, coin, nil
}

// readPosition reads the numbers of a position. What cannot be read stays
// unknown; it never becomes zero.
func readPosition(position []byte, a asset.Asset) Position {
	var szi, entry, liquidation, leverage, margin field
	for name, member := range members(position) {
		switch name {
		case "szi":
			szi.set(member)
		case "entryPx":
			entry.set(member)
		case "liquidationPx":
			liquidation.set(member)
		case "leverage":
			leverage.set(member)
		case "marginUsed":
			margin.set(member)
		}
	}
	read := Position{
		Entry:       decimal(entry.once()),
		Liquidation: decimal(liquidation.once()),
		Leverage:    decimal(leverageValue(leverage.once())),
		Margin:      decimal(margin.once()),
	}
	if text := decimal(szi.once()); text != "" {
		size, err := asset.ParseSize(text, a)
		if err == nil {
			read.Size, read.Known = size, true
		}
	}
	return read
}

// leverageValue finds the factor in {"type":"cross","value":20}.
func leverageValue(leverage []byte) []byte {
	var value field
	for name, member := range members(leverage) {
		if name == "value" {
			value.set(member)
		}
	}
	return value.once()
}
