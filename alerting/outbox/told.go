package outbox

import (
	"time"

	"github.com/google/uuid"

	"github.com/whalegate/whalegate/alerting/receiver"
)

// told is what this process has delivered to a receiver lately. A database can come
// back as another one, a promoted standby or a restored backup, that lacks an alert
// which the receiver has: it is decided again, and not told twice.
//
// It is kept by the key of each message: when it was delivered, on the monotonic clock.
type told map[uuid.UUID]time.Time

// remembered is how long: longer than a delivery is tried.
const remembered = 25 * time.Hour

// has tells whether the message was delivered already.
func (t told) has(n receiver.Notification) bool {
	_, ok := t[n.Key]
	return ok && n.Kind != receiver.Test
}

func (t told) add(n receiver.Notification) {
	for m, at := range t {
		if time.Since(at) > remembered {
			delete(t, m)
		}
	}
	t[n.Key] = time.Now()
}
