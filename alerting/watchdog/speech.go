package watchdog

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/whalegate/whalegate/alerting"
	"github.com/whalegate/whalegate/alerting/outbox"
	"github.com/whalegate/whalegate/alerting/receiver"
)

// speech is the system alert while there is no database to keep it.
type speech struct {
	at      time.Time // when it fired
	message string
	letters map[string]*letter // by receiver
}

// letter is the message to one receiver.
type letter struct {
	key       uuid.UUID
	attempts  int
	next      time.Time // when it is due, or due again
	delivered time.Time // zero: not yet
}

func newSpeech(at time.Time, message string) *speech {
	return &speech{at: at.UTC().Truncate(time.Millisecond), message: message, letters: map[string]*letter{}}
}

// told lists who has the message, and under which key.
func (s *speech) told() map[string]string {
	told := map[string]string{}
	for name, l := range s.letters {
		if !l.delivered.IsZero() {
			told[name] = l.key.String()
		}
	}
	return told
}

const (
	attemptTimeout = 10 * time.Second
	remindEvery    = time.Minute
)

var errAttemptTimeout = fmt.Errorf("no answer within %s", attemptTimeout)

// speak tells every receiver that is due, all at once: none waits for another
// that hangs.
func (w *Watchdog) speak(ctx context.Context, now time.Time) {
	var speaking sync.WaitGroup
	for _, r := range w.cfg.Receivers {
		if !r.Wants(alerting.SystemStale.Severity()) {
			continue
		}
		l := w.speech.letters[r.Name]
		if l == nil {
			l = &letter{key: uuid.New()}
			w.speech.letters[r.Name] = l
		}
		if now.Before(l.next) || !l.delivered.IsZero() && !r.Reminded {
			continue
		}
		n := receiver.Notification{
			Key: l.key, Kind: receiver.Firing, Type: alerting.SystemStale, Asset: "SYSTEM", Severity: alerting.SystemStale.Severity(),
			Message: w.speech.message, StartsAt: w.speech.at, Now: now, First: l.delivered, ExternalURL: w.cfg.ExternalURL,
		}
		speaking.Go(func() { w.send(ctx, r, l, n) })
	}
	speaking.Wait()
}

// send makes one attempt.
func (w *Watchdog) send(ctx context.Context, r receiver.Receiver, l *letter, n receiver.Notification) {
	sending, cancel := w.cfg.Clock.WithTimeout(ctx, attemptTimeout, errAttemptTimeout)
	defer cancel()
	result := r.Send(sending, n)
	l.attempts++
	w.metrics.attempts.WithLabelValues(string(result.Outcome)).Inc()
	if result.Outcome == receiver.Delivered {
		if l.delivered.IsZero() {
			w.cfg.Logger.Info("delivery", "receiver", r.Name, "type", n.Type, "attempt", l.attempts, "outcome", result.Outcome)
			l.delivered = n.Now
		}
		l.attempts, l.next = 0, n.Now.Add(remindEvery)
		return
	}
	w.cfg.Logger.Warn("delivery", "receiver", r.Name, "type", n.Type, "attempt", l.attempts, "outcome", result.Outcome, "error", result.Err)
	l.next = n.Now.Add(max(outbox.Pause(l.attempts, rand.Float64()), result.After))
}
