// Package collector turns the exchange into stored facts: every minute a
// snapshot of what each tracked wallet holds, every six hours the universe of
// tracked wallets. It knows nothing of signals.
//
// The rules are pure and stand first: universe.go (checks U1–U7), run.go (S1–S5),
// collapse.go (S6), accounts.go (which accounts a wallet is the sum of) and package
// plausible (S10, S11). Around them fetch.go asks the exchange within the budget of a
// minute and believes no state that is old (S9), believe.go and baseline.go hold what
// was read against what was held before, store.go and snapshot.go write each minute in
// one transaction with its run, and the three loops (cycle.go, refresh.go, search.go)
// keep time. A loop ends only with its context: a failure is written down, counted,
// and left behind.
package collector
