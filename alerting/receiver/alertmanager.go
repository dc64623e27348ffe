package receiver

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/prometheus/common/model"
)

// alertmanager pushes to the v2 API of an Alertmanager. It keeps alerts in memory
// only, so it is reminded of those that are active, and for a while of those that
// have ended.
type alertmanager struct {
	poster
	external string
}

// How long an Alertmanager believes what it was told, should nobody be left to
// tell it more.
const (
	// Silence is no recovery: a day, and not the few minutes that Prometheus takes.
	heldFor = 24 * time.Hour
	// A regime change is an event. It is shown for longer than the usual group
	// interval, and shorter than its own cooldown: the next one is a new alert.
	eventFor = 15 * time.Minute
)

// RemindFor is for how long a receiver that forgets is reminded of an event, and
// of an end.
const RemindFor = eventFor - time.Minute

// pushed is an alert as the API takes it.
type pushed struct {
	Labels       model.LabelSet `json:"labels"`
	Annotations  model.LabelSet `json:"annotations"`
	StartsAt     time.Time      `json:"startsAt"`
	EndsAt       time.Time      `json:"endsAt"`
	GeneratorURL string         `json:"generatorURL,omitempty"`
}

// push is a notification as the API takes it.
func push(n Notification, external string) pushed {
	first := n.First // of an event, so that a reminder does not lengthen it
	if first.IsZero() {
		first = n.Now
	}
	p := pushed{Labels: n.Labels(), Annotations: n.Annotations(), StartsAt: n.StartsAt.UTC(), GeneratorURL: external}
	switch {
	case n.Kind == Resolved:
		p.EndsAt = n.EndsAt.UTC()
	case n.Kind == Test || n.Type.IsEvent():
		p.EndsAt = first.Add(eventFor).UTC()
	default:
		p.EndsAt = n.Now.Add(heldFor).UTC()
	}
	if !p.EndsAt.After(p.StartsAt) { // the API refuses an end before the beginning
		p.EndsAt = p.StartsAt.Add(time.Millisecond)
	}
	return p
}

// Send pushes the notification.
func (a *alertmanager) Send(ctx context.Context, n Notification) Result {
	text, err := json.Marshal([]pushed{push(n, a.external)})
	if err != nil {
		return Result{Outcome: Failed, Err: fmt.Errorf("write the body: %w", err)}
	}
	return a.post(ctx, text, nil)
}
