// Package hyperliquid asks the Hyperliquid exchange for the positions of
// accounts, for how accounts belong together, for its coins and for its
// leaderboard.
//
// Two rules shape it. A failure never looks like flat: a state is only given
// out when the exchange answered 200 with one whole object whose positions
// could all be told apart, and everything else is an *Error. And every byte
// is foreign: bodies are bounded, names are matched exactly, numbers become
// exact sizes or checked decimal texts, never floats (but for an account's
// value, which is only compared).
//
// The package asks once; whether and when to ask again is the caller's
// decision, for which an Error says what kind of failure it was.
package hyperliquid
