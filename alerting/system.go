package alerting

import (
	"fmt"
	"time"
)

// System is what is remembered of the system alert.
type System struct {
	Active bool // fired, and not yet cleared
}

// Outlook is what the system alert is decided by: the stored runs alone, because
// the alert itself holds the state of health down.
type Outlook struct {
	Now         time.Time
	LastSuccess time.Time     // of the newest run that succeeded, wholly or partly; zero when none ever did
	Started     time.Time     // since when somebody has been looking
	Announced   time.Duration // how long the first start was said to take; 0: nothing was said
	Recovered   bool          // the recovery of health holds on the runs: two clean, consecutive, recent, and no clock is wrong
	ClockWrong  time.Duration // for how long a clock has been wrong (clock_skew, clock_back), by the looker's own monotonic clock
}

// Age is how long ingestion has not succeeded: since the last success, or since
// somebody looks when there never was one.
func (o Outlook) Age() time.Duration {
	if o.LastSuccess.IsZero() {
		return o.Now.Sub(o.Started)
	}
	return o.Now.Sub(o.LastSuccess)
}

// patience is how long ingestion may not have succeeded. A first start is given a third
// more than it was said to take, and never more than half an hour.
func (o Outlook) patience() time.Duration {
	if !o.LastSuccess.IsZero() {
		return StaleAfter
	}
	return max(StaleAfter, min(o.Announced*13/10, FirstStartAtMost))
}

// Step is the state after a look, and whether the alert fires or clears with it
// (A5). It fires once an outage, and has no cooldown.
func (s System) Step(o Outlook) (next System, fired, cleared bool) {
	switch {
	case !s.Active && (o.Age() > o.patience() || o.ClockWrong > StaleAfter):
		return System{Active: true}, true, false
	case s.Active && o.Recovered:
		return System{}, false, true
	default:
		return s, false, false
	}
}

// Message is what people read of the system alert.
func (o Outlook) Message() string {
	if o.Age() <= o.patience() && o.ClockWrong > StaleAfter {
		return fmt.Sprintf("[SYSTEM] Data Stale: A clock has been wrong for %d minutes. All behavioral alerts suppressed. Do not trade until resolved.", int(o.ClockWrong/time.Minute))
	}
	since := fmt.Sprintf("has not succeeded for %d minutes", int(o.Age()/time.Minute))
	if o.LastSuccess.IsZero() {
		since = "has never succeeded"
	}
	return "[SYSTEM] Data Stale: Ingestion " + since + ". All behavioral alerts suppressed. Do not trade until resolved."
}

// DatabaseMessage is what people read when the database itself has not answered for
// so long.
func DatabaseMessage(silent time.Duration) string {
	return fmt.Sprintf("[SYSTEM] Data Stale: The database could not be asked for %d minutes. All behavioral alerts suppressed. Do not trade until resolved.", int(silent/time.Minute))
}
