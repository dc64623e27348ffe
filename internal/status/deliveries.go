package status

import (
	"context"
	"fmt"
	"time"

	"github.com/whalegate/whalegate/internal/health/watch"
)

// Deliveries are how the sending of alerts stands, all receivers together and each
// for itself.
type Deliveries struct {
	Queue
	Receivers []ReceiverQueue `json:"receivers"` // of which there are such rows
}

// Queue counts deliveries that did not arrive yet, or at all.
type Queue struct {
	Pending       int     `json:"pending"`
	Unknown       int     `json:"unknown"` // a request went out without an answer
	Failed24h     int     `json:"failed_24h"`
	OldestSeconds float64 `json:"oldest_waiting_seconds"` // since the intent of the oldest still to be sent; 0 when there is none
}

// ReceiverQueue is that of one receiver.
type ReceiverQueue struct {
	Receiver string `json:"receiver"`
	Queue
}

// As the metrics, the boards and the runbooks count them.
const selectQueues = "SELECT receiver, pending, unknown, failed, coalesce(oldest_seconds, 0) FROM facts.deliveries ORDER BY receiver"

func readDeliveries(ctx context.Context, db watch.Querier) (*Deliveries, error) {
	queues, err := list[ReceiverQueue](ctx, db, selectQueues)
	if err != nil {
		return nil, fmt.Errorf("read deliveries: %w", err)
	}
	d := &Deliveries{Receivers: queues}
	for _, q := range queues {
		d.Pending += q.Pending
		d.Unknown += q.Unknown
		d.Failed24h += q.Failed24h
		d.OldestSeconds = max(d.OldestSeconds, q.OldestSeconds)
	}
	return d, nil
}

// text is what a person needs of the deliveries.
func (d Deliveries) text() string {
	text := fmt.Sprintf("%d pending, %d unknown, %d failed in 24 h", d.Pending, d.Unknown, d.Failed24h)
	if d.Pending+d.Unknown > 0 {
		text += ", the oldest has waited " + (time.Duration(d.OldestSeconds) * time.Second).String()
	}
	return text
}
