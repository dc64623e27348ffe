package outbox

import (
	"time"

	"github.com/whalegate/whalegate/alerting"
	"github.com/whalegate/whalegate/alerting/receiver"
)

// told is what this process has delivered to a receiver lately. A database can come
// back as another one, a promoted standby or a restored backup, that lacks an alert
// which the receiver has: it is decided again, and not told twice.
type told map[message]time.Time // when it was delivered, on the monotonic clock

// message is what an alert is to whoever reads it.
type message struct {
	Kind  receiver.Kind
	Type  alerting.Type
	Asset string
	At    time.Time // when the alert fired
}

// remembered is how long: longer than a delivery is tried.
const remembered = 25 * time.Hour

func messageOf(n receiver.Notification) message {
	return message{n.Kind, n.Type, n.Asset, n.StartsAt.UTC()}
}

// has tells whether the message was delivered already. A test is always new.
func (t told) has(n receiver.Notification) bool {
	_, ok := t[messageOf(n)]
	return ok && n.Kind != receiver.Test
}

func (t told) add(n receiver.Notification) {
	for m, at := range t {
		if time.Since(at) > remembered {
			delete(t, m)
		}
	}
	t[messageOf(n)] = time.Now()
}
