// Package check has the names of the checks, for whoever decides by one.
package check

// All lists the ids of every check, so that each is a metric from the start.
var All = []string{
	"U1", "U2", "U3", "U4", "U5", "U6", "U7", "S1", "S2", "S3", "S4", "S5", "S6", "S7", "S8", "S9", "S10", "S11", "S12",
	"G0", "G1", "G2", "G3", "G4", "G5", "G6",
	ClockBack, ClockJump, Worse, Lost, DayGone, Superseded, Audit,
}

// Checks of the clock and of the database as a whole (docs/health.md).
const (
	ClockBack  = "clock_back" // a minute that the clock had shown before was refused
	ClockJump  = "clock_jump" // the collector's clock went ahead at once, or its machine slept
	Worse      = "worse"      // a reading that is no better than the stored one was refused
	Lost       = "lost"       // the database came back without minutes that it had taken
	DayGone    = "day_gone"   // today's partition of the snapshots was missing, and there were rows in it
	Superseded = "superseded" // runs of a clock that was wrong were set aside
	Audit      = "audit"      // what is stored of the newest day is not what the stored inputs give (docs/signals.md)
)
