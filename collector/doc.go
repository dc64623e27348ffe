// Package collector turns the exchange into stored facts: every minute a
// snapshot of what each tracked wallet holds, every six hours the universe of
// tracked wallets. It knows nothing of signals.
//
// The rules are pure and stand first: universe.go (checks U1–U5), run.go (S1–S5)
// and collapse.go (S6). Around them fetch.go asks the exchange within the budget
// of a minute, store.go and snapshot.go write each minute in one transaction
// with its run, and the three loops (cycle.go, refresh.go, accounts.go) keep
// time. A loop ends only with its context: a failure is written down, counted,
// and left behind.
package collector
