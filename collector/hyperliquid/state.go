package hyperliquid

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/whalegate/whalegate/internal/asset"
)

// StateWeight is what State takes of the weight budget.
const StateWeight = 2

// maxStateBody bounds the body of a state; real ones run from 0.3 to 80 KB.
const maxStateBody = 4 << 20

// State is what one account holds on the exchange's main dex. Coins of builder
// dexes and spot balances are not part of it.
type State struct {
	Time      time.Time             // of the node that holds the positions, in UTC, to the millisecond
	Positions [asset.Count]Position // indexed by asset.Asset

	// Answered is when the answer left the server, by the server's own clock,
	// to the second: its Date header plus its Age. It is zero when one of them
	// cannot be read or there is no Date. A node that fell behind shows an old
	// Time and the present here; a clock of ours that is wrong differs from
	// both.
	Answered time.Time

	// AccountValue is marginSummary.accountValue in dollars, always finite. It
	// is 0 when absent or unreadable, and for accounts whose margin figures
	// the exchange leaves at zero (unified and portfolio margin).
	AccountValue float64
}

// Position is an account's position in one asset.
type Position struct {
	// Size is the signed size (szi), rounded to the asset's precision. It
	// means nothing unless Known.
	Size asset.Size

	// Known is false when the coin is listed and its size is absent or cannot
	// be read. A coin that is not listed is Known with size 0.
	Known bool

	// Entry and Liquidation are prices in dollars, Leverage a factor, Margin
	// dollars: each a finite decimal number of at most 40 characters, possibly
	// with an exponent of at most ±30, or "" when absent, null or unreadable.
	Entry, Liquidation, Leverage, Margin string
}

// State fetches what account, 0x and 40 hex digits, holds. Every error is an
// *Error.
func (c *Client) State(ctx context.Context, account string) (State, error) {
	q := question{endpoint: stateEndpoint, kind: "clearinghouseState", user: account, weight: StateWeight, limit: maxStateBody}
	return askFor(ctx, c, q, func(body []byte, answered time.Time) (State, error) {
		state, err := decodeState(body)
		state.Answered = answered
		return state, err
	})
}

// decodeState reads a whole body. Answered is not in it.
func decodeState(body []byte) (State, error) {
	value, err := object(body, "the state")
	if err != nil {
		return State{}, err
	}
	state, err := readState(value)
	if err != nil {
		return State{}, failure(Schema, "read state: %w", err)
	}
	return state, nil
}

// readState reads a state out of valid JSON. It is flat only when the list of
// positions is there, is a list, and is there once.
func readState(value []byte) (State, error) {
	if !opens(value, '{') {
		return State{}, errors.New("it is not an object")
	}
	var positions, at, margin field
	for name, member := range members(value) {
		switch name {
		case "assetPositions":
			positions.set(member)
		case "time":
			at.set(member)
		case "marginSummary":
			margin.set(member)
		}
	}
	if !opens(positions.once(), '[') {
		return State{}, errors.New("it has no one list of assetPositions")
	}
	stamp, err := readTime(at.once())
	if err != nil {
		return State{}, err
	}
	state := State{Time: stamp, AccountValue: accountValue(margin.once())}
	if state.Positions, err = readPositions(positions.once()); err != nil {
		return State{}, err
	}
	return state, nil
}

// readTime reads milliseconds since 1970. Thirteen digits are the years 2001
// to 2286; seconds have fewer and microseconds more.
func readTime(value []byte) (time.Time, error) {
	const digits = 13
	if len(value) != digits || !isDigits(string(value)) || value[0] == '0' {
		return time.Time{}, errors.New("it has no one time in milliseconds")
	}
	ms, err := strconv.ParseInt(string(value), 10, 64)
	if err != nil {
		return time.Time{}, fmt.Errorf("read time: %w", err)
	}
	return time.UnixMilli(ms).UTC(), nil
}

// accountValue finds the dollars in {"accountValue":"13109.48",…}.
func accountValue(margin []byte) float64 {
	var value field
	for name, member := range members(margin) {
		if name == "accountValue" {
			value.set(member)
		}
	}
	// A decimal has at most 40 digits and an exponent of at most 30: a float
	// holds it. The text of no decimal is "", whose error is a zero.
	dollars, err := strconv.ParseFloat(decimal(value.once()), 64)
	if err != nil {
		return 0
	}
	return dollars
}
