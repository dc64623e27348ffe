// Package simulator is a Hyperliquid exchange without the exchange: a market
// of wallets whose positions move minute by minute, served in the shapes, sizes
// and failures of the real one. Demonstrations, dry runs and end-to-end tests
// talk to it over HTTP like to the original.
//
// The market is a function of a seed and of the minute at which it starts: the
// same two give the same positions at the same minute, however often and by
// whom it was asked in between. What is not in the market is a fault: see
// Fault, Scenario and the control endpoints of Handler.
package simulator
