package receiver

import (
	"context"
	"time"
)

// Outcome is what came of an attempt.
type Outcome string

// The outcomes.
const (
	Delivered Outcome = "delivered" // the receiver has it
	Retry     Outcome = "retry"     // the receiver does not have it, and may take it later
	Unknown   Outcome = "unknown"   // a request went out, and no answer came: the receiver may have it
	Failed    Outcome = "failed"    // the receiver refused it for good
)

// Outcomes lists every outcome, so that each is a metric from the start.
var Outcomes = []Outcome{Delivered, Retry, Unknown, Failed}

// Result is an outcome with what is known of it.
type Result struct {
	Outcome Outcome
	Err     error         // why it was not delivered; names no secret
	After   time.Duration // how long the receiver asked to be left alone; 0 when it did not ask
}

// Sender tells one receiver. It ends when ctx does, and is not used by two
// goroutines at once.
type Sender interface {
	Send(ctx context.Context, n Notification) Result
}

// Receiver is one entry of the receivers file.
type Receiver struct {
	Route
	Sender
}
