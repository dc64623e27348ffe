package hyperliquid

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/whalegate/whalegate/internal/asset"
)

// MetaWeight is what Meta takes of the weight budget.
const MetaWeight = 20

// maxMetaBody bounds the list of coins; a real one with some 230 has 20 KB.
const maxMetaBody = 4 << 20

// Meta is what the exchange says of our coins on its main dex.
type Meta struct {
	Coins    [asset.Count]Coin // indexed by asset.Asset
	Answered time.Time         // as in State
}

// Coin is one entry of the exchange's universe. A coin that was renamed simply
// stops being listed, and so do its positions in every state: they would look
// flat.
type Coin struct {
	Listed       bool // under the name that asset.Asset.Coin gives; the rest is zero without it
	Delisted     bool // still listed, and can no longer be traded
	SizeDecimals int  // decimal places of its sizes (szDecimals), 0 to 99
	Twice        bool // it has more than one entry: nobody can tell which is true
}

// Meta fetches which coins the exchange lists. One of ours that is missing is
// no error, nor is one that has two entries; one whose entry cannot be read is. Every error
// is an *Error.
func (c *Client) Meta(ctx context.Context) (Meta, error) {
	q := question{endpoint: metaEndpoint, kind: "meta", weight: MetaWeight, limit: maxMetaBody}
	return askFor(ctx, c, q, func(body []byte, answered time.Time) (Meta, error) {
		meta, err := decodeMeta(body)
		meta.Answered = answered
		return meta, err
	})
}

// decodeMeta reads a whole body. Answered is not in it.
func decodeMeta(body []byte) (Meta, error) {
	value, err := object(body, "the list of coins")
	if err != nil {
		return Meta{}, err
	}
	var universe field
	for name, member := range members(value) {
		if name == "universe" {
			universe.set(member)
		}
	}
	if !opens(universe.once(), '[') {
		return Meta{}, failure(Schema, "the list of coins has no one list named universe")
	}
	var meta Meta
	index := -1
	for entry := range elements(universe.once()) {
		index++
		coin, a, ours, err := readCoin(entry)
		switch {
		case err != nil:
			return Meta{}, failure(Schema, "read coin %d: %w", index, err)
		case !ours:
			continue
		case meta.Coins[a].Listed:
			coin.Twice = true // whichever of the two is right
		}
		meta.Coins[a] = coin
	}
	return meta, nil
}

// readCoin reads an entry of the universe. One without a name might be any of
// ours; of the others nothing but the name is read.
func readCoin(entry []byte) (coin Coin, a asset.Asset, ours bool, err error) {
	var named, decimals, delisted field
	for name, member := range members(entry) {
		switch name {
		case "name":
			named.set(member)
		case "szDecimals":
			decimals.set(member)
		case "isDelisted":
			delisted.set(member)
		}
	}
	name, ok := text(named.once())
	if !ok {
		return Coin{}, 0, false, errors.New("it has no one name")
	}
	if a, ours = asset.FromCoin(name); !ours {
		return Coin{}, 0, false, nil
	}
	coin.Listed = true
	if coin.SizeDecimals, ok = smallNumber(decimals.once()); !ok {
		return Coin{}, 0, false, fmt.Errorf("%s has no one szDecimals from 0 to 99", a)
	}
	if delisted.seen > 0 {
		switch string(delisted.once()) {
		case "true":
			coin.Delisted = true
		case "false", "null": // the same as absent
		default:
			return Coin{}, 0, false, fmt.Errorf("%s has no one isDelisted", a)
		}
	}
	return coin, a, true, nil
}

// smallNumber reads a JSON number of one or two digits.
func smallNumber(value []byte) (int, bool) {
	if len(value) > 2 || !isDigits(string(value)) {
		return 0, false
	}
	n, err := strconv.Atoi(string(value))
	return n, err == nil
}
