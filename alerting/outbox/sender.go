package outbox

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/whalegate/whalegate/alerting/receiver"
	"github.com/whalegate/whalegate/internal/clock"
	"github.com/whalegate/whalegate/internal/lead"
)

// Config is what a sender is told.
type Config struct {
	Pool       *pgxpool.Pool
	Fence      *lead.Fence // of a collector; nil: whoever sends may
	Clock      clock.Clock
	Logger     *slog.Logger
	Registerer prometheus.Registerer
	Receivers  []receiver.Receiver
	// ExternalURL is where people reach the pages of this process: see receiver.Notification.
	ExternalURL string
}

// Sender works off the outbox. Each receiver has a worker of its own, so that one
// that is slow or dead delays no other. Several processes may send at once.
type Sender struct {
	cfg     Config
	metrics *metrics
	workers []*worker
}

// NewSender makes a sender; nothing runs yet.
func NewSender(cfg Config) *Sender {
	s := &Sender{cfg: cfg, metrics: newMetrics(cfg.Registerer, cfg.Receivers)}
	for _, r := range cfg.Receivers {
		s.workers = append(s.workers, &worker{Sender: s, receiver: r, wake: make(chan struct{}, 1), told: told{}})
	}
	return s
}

// Wake tells that there is something to send. It is only a hint: what there is to do
// is read from the database.
func (s *Sender) Wake() {
	for _, w := range s.workers {
		select {
		case w.wake <- struct{}{}:
		default: // it is already told
		}
	}
}

const (
	// every is the pause between two looks.
	every = 5 * time.Second
	// attemptTimeout bounds one attempt; a slow receiver is asked again later.
	attemptTimeout = 10 * time.Second
	// longestRest is how long a receiver that fails is left alone at most.
	longestRest = time.Minute
)

var errAttemptTimeout = fmt.Errorf("no answer within %s", attemptTimeout)

// Run sends until ctx ends, and returns when every attempt in hand has been
// recorded.
func (s *Sender) Run(ctx context.Context) error {
	var running sync.WaitGroup
	for _, w := range s.workers {
		running.Go(func() { w.run(ctx) })
	}
	running.Go(func() { s.giveUp(ctx) })
	running.Wait()
	return nil
}

// giveUp looks for what has waited too long.
func (s *Sender) giveUp(ctx context.Context) {
	for {
		list, err := s.cfg.expire(ctx)
		if err != nil && ctx.Err() == nil {
			s.metrics.errors.Inc()
		}
		for _, e := range list {
			s.metrics.attempts.WithLabelValues(e.Receiver, string(receiver.Failed)).Inc()
			s.cfg.Logger.Error("delivery given up", "id", e.ID, "receiver", e.Receiver, "error", e.Why)
		}
		if s.cfg.Clock.Sleep(ctx, every) != nil {
			return
		}
	}
}

// worker sends to one receiver.
type worker struct {
	*Sender
	receiver receiver.Receiver
	wake     chan struct{}
	told     told
	failures int    // attempts in a row that did not deliver
	said     string // the last error of the database, said once
}

func (w *worker) run(ctx context.Context) {
	for {
		rest, err := w.drain(ctx)
		if err == nil && rest == 0 && w.receiver.Reminded {
			rest, err = w.remind(ctx)
		}
		if ctx.Err() != nil {
			return
		}
		w.complain(err)
		if rest > 0 { // who fails is left alone, whatever else there is to tell
			if w.cfg.Clock.Sleep(ctx, rest) != nil {
				return
			}
			continue
		}
		timer := time.NewTimer(w.cfg.Clock.Real(every))
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-w.wake:
			timer.Stop()
		case <-timer.C:
		}
	}
}

// complain logs an error of the database when it begins or changes: an outage says
// the same every few seconds.
func (w *worker) complain(err error) {
	text := ""
	if err != nil {
		w.metrics.errors.Inc()
		text = err.Error()
	}
	if text != "" && text != w.said {
		w.cfg.Logger.Error("outbox", "receiver", w.receiver.Name, "error", err)
	}
	w.said = text
}

// drain sends what is due until nothing is, or until the receiver fails: then it
// tells how long to leave it alone.
func (w *worker) drain(ctx context.Context) (rest time.Duration, err error) {
	for {
		ids, err := due(ctx, w.cfg.Pool, w.receiver.Name)
		if err != nil {
			return 0, err
		}
		rest, taken, err := w.work(ctx, ids)
		if rest > 0 || taken == 0 || err != nil {
			return rest, err
		}
	}
}

// work sends rows, if nobody else took them first.
func (w *worker) work(ctx context.Context, ids []int64) (rest time.Duration, taken int, err error) {
	for _, id := range ids {
		i, err := w.cfg.take(ctx, w.receiver.Name, id)
		if err != nil {
			return 0, taken, err
		}
		if i == nil {
			continue
		}
		taken++
		if w.told.has(i.Notification) {
			w.cfg.Logger.Warn("delivery left out: the receiver has it, and the database has forgotten", "id", i.ID, "receiver", w.receiver.Name, "asset", i.Asset, "type", i.Type)
			if _, err := w.cfg.settle(ctx, i, receiver.Result{Outcome: receiver.Delivered}); err != nil {
				return 0, taken, err
			}
			continue
		}
		r := w.attempt(ctx, i)
		if r.Outcome == receiver.Delivered {
			w.told.add(i.Notification)
		}
		if err := w.record(ctx, i, r); err != nil {
			return 0, taken, err
		}
		if r.Outcome == receiver.Retry || r.Outcome == receiver.Unknown {
			w.failures++
			return max(r.After, min(time.Second<<min(w.failures, 10), longestRest)), taken, nil
		}
		if w.failures > 0 && r.Outcome == receiver.Delivered {
			if err := w.cfg.hasten(ctx, w.receiver.Name); err != nil {
				return 0, taken, err
			}
			w.failures = 0
		}
	}
	return 0, taken, nil
}

// attempt sends once.
func (w *worker) attempt(ctx context.Context, i *item) receiver.Result {
	sending, cancel := w.cfg.Clock.WithTimeout(ctx, attemptTimeout, errAttemptTimeout)
	defer cancel()
	n := i.Notification
	n.ExternalURL = w.cfg.ExternalURL // of who sends it, which need not be who decided it
	return w.receiver.Send(sending, n)
}

// record keeps what came of an attempt, however long the database takes: what is
// not recorded is sent again. It gives up with the process.
func (w *worker) record(ctx context.Context, i *item, r receiver.Result) error {
	w.tell(i, r)
	for {
		// An attempt that the shutdown cut short is recorded too.
		seconds, err := w.cfg.settle(context.WithoutCancel(ctx), i, r)
		if err == nil && r.Outcome == receiver.Delivered {
			w.metrics.latency.WithLabelValues(w.receiver.Name).Observe(seconds)
		}
		if err == nil || ctx.Err() != nil || errors.Is(err, lead.ErrNotLeading) {
			return err // whoever leads now sends it again once the lease is over
		}
		if w.cfg.Clock.Sleep(ctx, time.Second) != nil {
			return err
		}
	}
}

// tell logs and counts an attempt.
func (w *worker) tell(i *item, r receiver.Result) {
	w.metrics.attempts.WithLabelValues(w.receiver.Name, string(r.Outcome)).Inc()
	attrs := []any{"id", i.ID, "receiver", w.receiver.Name, "kind", i.Kind, "asset", i.Asset, "type", i.Type, "attempt", i.Attempts, "outcome", r.Outcome}
	if r.Outcome == receiver.Delivered {
		w.cfg.Logger.Info("delivery", attrs...)
		return
	}
	level := slog.LevelWarn
	if r.Outcome == receiver.Failed {
		level = slog.LevelError
	}
	w.cfg.Logger.Log(context.Background(), level, "delivery", append(attrs, "error", r.Err)...)
}

// remind tells the receiver again what it may have forgotten.
func (w *worker) remind(ctx context.Context) (rest time.Duration, err error) {
	list, err := reminders(ctx, w.cfg.Pool, w.receiver.Name)
	if err != nil {
		return 0, err
	}
	for _, i := range list {
		r := w.attempt(ctx, &i)
		w.metrics.reminders.WithLabelValues(w.receiver.Name, string(r.Outcome)).Inc()
		if r.Outcome != receiver.Delivered {
			w.cfg.Logger.Warn("reminder", "id", i.ID, "receiver", w.receiver.Name, "outcome", r.Outcome, "error", r.Err)
			return time.Duration(float64(every) * (1 + rand.Float64())), nil
		}
		if err := w.cfg.reminded(ctx, i.ID); err != nil {
			return 0, err
		}
	}
	return 0, nil
}

// ErrNoReceiver means that the receivers file has no such receiver.
var ErrNoReceiver = errors.New("no such receiver")

// Test sends a marked test to a receiver: through a row of the outbox, as
// everything is sent. It returns the row as it stands after at most one attempt of
// ours; a service that runs may be quicker.
func (s *Sender) Test(ctx context.Context, name string) (Delivery, error) {
	for _, w := range s.workers {
		if w.receiver.Name == name {
			return w.test(ctx)
		}
	}
	return Delivery{}, fmt.Errorf("%w: %s", ErrNoReceiver, name)
}

// A test that does not arrive soon has told what it was sent for.
const insertTest = "INSERT INTO alert_deliveries (receiver, kind, expires_at) VALUES ($1, 'test', whalegate_now() + interval '10 minutes') RETURNING id"

func (w *worker) test(ctx context.Context) (d Delivery, err error) {
	var id int64
	if err := w.cfg.Pool.QueryRow(ctx, insertTest, w.receiver.Name).Scan(&id); err != nil {
		return d, fmt.Errorf("write the test: %w", err)
	}
	i, err := w.cfg.take(ctx, w.receiver.Name, id)
	if err != nil {
		return d, err
	}
	if i != nil {
		if err := w.record(ctx, i, w.attempt(ctx, i)); err != nil {
			return d, err
		}
	}
	for { // if not by us, then by whoever took it
		list, err := List(ctx, w.cfg.Pool, Filter{ID: id}, 1)
		if err != nil {
			return d, err
		}
		if len(list) != 1 {
			return d, fmt.Errorf("the test %d is gone", id)
		}
		if d = list[0]; i != nil || d.State == "delivered" || d.LastError != nil {
			return d, nil
		}
		if err := w.cfg.Clock.Sleep(ctx, time.Second); err != nil {
			return d, err
		}
	}
}
