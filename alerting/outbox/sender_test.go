package outbox

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"go.uber.org/goleak"

	"github.com/whalegate/whalegate/alerting"
	"github.com/whalegate/whalegate/alerting/receiver"
)

// run runs senders until the returned function is called.
func (s *scene) run(senders ...*Sender) (stop func()) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(s.Context()))
	var running sync.WaitGroup
	for _, sender := range senders {
		running.Go(func() {
			if err := sender.Run(ctx); err != nil {
				s.Error(err)
			}
		})
	}
	return func() { cancel(); running.Wait() }
}

// until waits for a signal, and no longer than a minute.
func until(t testing.TB, what string, done <-chan struct{}) {
	t.Helper()
	select {
	case <-done:
	case <-time.After(time.Minute):
		t.Fatal("waited a minute for " + what)
	}
}

// pile writes n rows for a receiver, each of an alert of its own.
func (s *scene) pile(n int, name string) {
	s.Helper()
	s.exec(`WITH made AS (
			INSERT INTO alerts (timestamp, asset, alert_type, severity, message, signal_snapshot, health_state)
			SELECT whalegate_now() - i * interval '1 second', 'BTC', 'exit_cluster', 'high', '[BTC] ' || i, '{"is_degraded": false}', 'HEALTHY'
			FROM generate_series(1, $1) i ON CONFLICT DO NOTHING RETURNING id)
		INSERT INTO alert_deliveries (alert_id, receiver, kind) SELECT id, $2, 'firing' FROM made`, n, name)
}

// Ten thousand rows wait for one receiver, which hangs; the other one is told at
// once. Then it answers, and several processes work the pile off: each row once.
func TestAPileForAReceiverThatHangsDelaysNoOther(t *testing.T) {
	before := goleak.IgnoreCurrent()
	s := newScene(t)
	const rows = 10_000
	s.pile(rows, "all")
	hanging, told := make(chan struct{}), make(chan struct{})
	var once sync.Once
	s.answers = func(ctx context.Context, n receiver.Notification) receiver.Result {
		if n.Asset == "ETH" {
			close(told)
			return receiver.Result{Outcome: receiver.Delivered}
		}
		once.Do(func() { close(hanging) })
		<-ctx.Done()
		return receiver.Result{Outcome: receiver.Unknown, Err: context.Cause(ctx)}
	}
	sender := s.sender(all, high)
	stop := s.run(sender)
	until(t, "the receiver to hang", hanging)
	s.alert(0, "ETH", alerting.ExitCluster, high)
	sender.Wake()
	until(t, "the other to be told", told)
	stop()
	if got := one[string](s, "SELECT count(*) FILTER (WHERE state = 'unknown' AND last_error IS NOT NULL) || ' ' || count(*) FILTER (WHERE state = 'pending') FROM alert_deliveries WHERE receiver = 'all'"); got != fmt.Sprint("1 ", rows-1) {
		t.Errorf("unknown and pending after the shutdown: %s", got)
	}

	s.took()
	s.clock(time.Hour)
	var left atomic.Int64
	left.Store(rows)
	done := make(chan struct{})
	s.answers = func(context.Context, receiver.Notification) receiver.Result {
		if left.Add(-1) == 0 {
			close(done)
		}
		return receiver.Result{Outcome: receiver.Delivered}
	}
	stop = s.run(s.sender(all), s.sender(all), s.sender(all))
	until(t, "the pile to be worked off", done)
	stop()
	keys := map[uuid.UUID]int{}
	for _, n := range s.took() {
		keys[n.Key]++
	}
	if len(keys) != rows || left.Load() != 0 {
		t.Errorf("%d messages, %d of them sent again", len(keys), -left.Load())
	}
	if n := one[int](s, "SELECT count(*) FROM alert_deliveries WHERE state = 'delivered' AND receiver = 'all'"); n != rows {
		t.Errorf("%d are recorded", n)
	}
	s.db.Close()
	goleak.VerifyNone(t, before)
}

func TestAMessageThatIsRefusedHoldsUpNoOther(t *testing.T) {
	s := newScene(t)
	s.pile(5, "all")
	for _, outcome := range []receiver.Outcome{receiver.Failed, receiver.Retry} {
		s.exec("UPDATE alert_deliveries SET state = 'pending', attempts = 0, delivered_at = NULL, last_error = NULL, next_attempt_at = whalegate_now()")
		s.answers = func(_ context.Context, n receiver.Notification) receiver.Result {
			if n.Message == "[BTC] 3" {
				return receiver.Result{Outcome: outcome, Err: errNo}
			}
			return receiver.Result{Outcome: receiver.Delivered}
		}
		sender := s.sender(all)
		for range 2 { // the second time as after the rest
			s.drain(sender, 0)
		}
		if n := one[int](s, "SELECT count(*) FROM alert_deliveries WHERE state = 'delivered'"); n != 4 {
			t.Errorf("%s: %d of the other 4 are delivered", outcome, n)
		}
	}
}

func TestATestGoesThroughTheOutbox(t *testing.T) {
	s := newScene(t)
	sender := s.sender(all, high)
	d, err := sender.Test(t.Context(), "high")
	sent := s.took()
	if err != nil || d.State != "delivered" || d.Kind != "test" || d.AlertID != nil || len(sent) != 1 || sent[0].Summary() != "[TEST] This is a test of the receiver high." {
		t.Errorf("%+v %v, sent %+v", d, err, sent)
	}
	s.answers = func(context.Context, receiver.Notification) receiver.Result {
		return receiver.Result{Outcome: receiver.Failed, Err: errNo}
	}
	if d, err := sender.Test(t.Context(), "all"); err != nil || d.State != "failed" || d.LastError == nil || *d.LastError != "no" {
		t.Errorf("%+v %v", d, err)
	}
	if _, err := sender.Test(t.Context(), "nobody"); !errors.Is(err, ErrNoReceiver) {
		t.Error(err)
	}
	list, err := List(t.Context(), s.db, Filter{State: "failed"}, 10)
	if err != nil || len(list) != 1 || list[0].Receiver != "all" || list[0].NextAttemptAt != nil {
		t.Errorf("%+v %v", list, err)
	}
}

func TestMetricsOfTheOutbox(t *testing.T) {
	s := newScene(t)
	s.alert(0, "BTC", alerting.ExitCluster, all, high)
	s.alert(0, "ETH", alerting.ExitCluster, high)
	s.exec("INSERT INTO alert_deliveries (receiver, kind) VALUES ('tried', 'test')") // says itself what becomes of it
	s.exec("INSERT INTO alert_deliveries (alert_id, receiver, kind) SELECT min(id), 'removed', 'firing' FROM alerts")
	s.exec("UPDATE alert_deliveries SET state = 'failed', last_error = 'x' WHERE receiver = 'high' AND alert_id = (SELECT min(id) FROM alerts)")
	sender := s.sender(all, high, am)
	s.drain(sender, 0)
	s.clock(90 * time.Second)
	s.registry.MustRegister(NewCollector(s.db, []receiver.Receiver{{Route: all}, {Route: high}}))
	want := `
# HELP whalegate_deliveries_total Attempts to deliver an alert, by receiver and outcome; failed also counts what was given up after a day.
# TYPE whalegate_deliveries_total counter
whalegate_deliveries_total{outcome="delivered",receiver="all"} 1
whalegate_deliveries_total{outcome="delivered",receiver="am"} 0
whalegate_deliveries_total{outcome="delivered",receiver="high"} 0
whalegate_deliveries_total{outcome="failed",receiver="all"} 0
whalegate_deliveries_total{outcome="failed",receiver="am"} 0
whalegate_deliveries_total{outcome="failed",receiver="high"} 0
whalegate_deliveries_total{outcome="retry",receiver="all"} 0
whalegate_deliveries_total{outcome="retry",receiver="am"} 0
whalegate_deliveries_total{outcome="retry",receiver="high"} 0
whalegate_deliveries_total{outcome="unknown",receiver="all"} 0
whalegate_deliveries_total{outcome="unknown",receiver="am"} 0
whalegate_deliveries_total{outcome="unknown",receiver="high"} 0
# HELP whalegate_delivery_oldest_seconds How long the oldest delivery that is still to be sent has waited; 0 when there is none.
# TYPE whalegate_delivery_oldest_seconds gauge
whalegate_delivery_oldest_seconds{receiver="all"} 0
whalegate_delivery_oldest_seconds{receiver="high"} 90
whalegate_delivery_oldest_seconds{receiver="removed"} 90
# HELP whalegate_delivery_queue Deliveries by receiver and state: pending, unknown (a request went out without an answer), or failed in the last day.
# TYPE whalegate_delivery_queue gauge
whalegate_delivery_queue{receiver="all",state="failed"} 0
whalegate_delivery_queue{receiver="all",state="pending"} 0
whalegate_delivery_queue{receiver="all",state="unknown"} 0
whalegate_delivery_queue{receiver="high",state="failed"} 1
whalegate_delivery_queue{receiver="high",state="pending"} 1
whalegate_delivery_queue{receiver="high",state="unknown"} 0
whalegate_delivery_queue{receiver="removed",state="failed"} 0
whalegate_delivery_queue{receiver="removed",state="pending"} 1
whalegate_delivery_queue{receiver="removed",state="unknown"} 0
`
	if err := testutil.GatherAndCompare(s.registry, strings.NewReader(want), "whalegate_deliveries_total", "whalegate_delivery_queue", "whalegate_delivery_oldest_seconds"); err != nil {
		t.Error(err)
	}
	names := []string{}
	families, err := s.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		names = append(names, f.GetName())
	}
	if !slices.Contains(names, "whalegate_delivery_latency_seconds") {
		t.Errorf("no latency among %v", names)
	}
}

// A link leads to who sends the message: that process answers.
func TestAMessageLeadsToWhoSendsIt(t *testing.T) {
	s := newScene(t)
	sender := s.sender(all)
	sender.cfg.ExternalURL = "https://example.org/gate"
	s.alert(0, "BTC", alerting.ExitCluster, all)
	s.drain(sender, 0)
	if sent := s.took(); len(sent) != 1 || sent[0].ExternalURL != "https://example.org/gate" {
		t.Errorf("%+v", sent)
	}
}
