package outbox

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/whalegate/whalegate/alerting"
	"github.com/whalegate/whalegate/alerting/receiver"
)

func TestWhoIsTold(t *testing.T) {
	s := newScene(t)
	regime, exit := s.alert(0, "BTC", alerting.RegimeChange, all, high), s.alert(0, "BTC", alerting.ExitCluster, all, high)
	for range 2 { // the intent exists once, however often it is meant
		s.in(func(tx pgx.Tx) error {
			return Intent{[]receiver.Route{all, high}}.Fired(t.Context(), tx, exit, alerting.High)
		})
		s.in(func(tx pgx.Tx) error { return Intent{[]receiver.Route{all, high, am}}.Cleared(t.Context(), tx, exit) })
	}
	got := one[[]string](s, "SELECT array_agg(alert_id || ' ' || receiver || ' ' || kind ORDER BY 1) FROM alert_deliveries")
	want := []string{fmt.Sprint(regime, " all firing"), fmt.Sprint(exit, " all firing"), fmt.Sprint(exit, " high firing"), fmt.Sprint(exit, " all resolved")}
	slices.Sort(want)
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// A request that is about to go out is unknown in the database before it does: if
// the process dies with it, nobody takes it for not sent.
func TestADeliveryIsUnknownBeforeItIsSent(t *testing.T) {
	s := newScene(t)
	s.alert(0, "BTC", alerting.ExitCluster, all)
	s.answers = func(context.Context, receiver.Notification) receiver.Result {
		if got := one[string](s, "SELECT state || ' ' || attempts FROM alert_deliveries"); got != "unknown 1" {
			t.Errorf("while it is sent it is %s", got)
		}
		return receiver.Result{Outcome: receiver.Delivered}
	}
	s.drain(s.sender(all), 0)
	if got := one[string](s, "SELECT state || ' ' || attempts || ' ' || (delivered_at IS NOT NULL) FROM alert_deliveries"); got != "delivered 1 true" {
		t.Errorf("afterwards it is %s", got)
	}
}

func TestWhatBecomesOfAnAttempt(t *testing.T) {
	for _, tt := range []struct {
		before  string
		outcome receiver.Outcome
		want    string
	}{
		{"pending", receiver.Delivered, "delivered"},
		{"pending", receiver.Retry, "pending"},
		{"pending", receiver.Unknown, "unknown"},
		{"pending", receiver.Failed, "failed"},
		{"unknown", receiver.Delivered, "delivered"},
		{"unknown", receiver.Retry, "unknown"}, // a refusal now says nothing of the request before
		{"unknown", receiver.Unknown, "unknown"},
		{"unknown", receiver.Failed, "failed"},
	} {
		t.Run(tt.before+" "+string(tt.outcome), func(t *testing.T) {
			s := newScene(t)
			s.alert(0, "BTC", alerting.ExitCluster, all)
			s.exec("UPDATE alert_deliveries SET state = $1", tt.before)
			s.answers = func(context.Context, receiver.Notification) receiver.Result {
				r := receiver.Result{Outcome: tt.outcome, After: time.Hour}
				if tt.outcome != receiver.Delivered {
					r.Err = errNo
				}
				return r
			}
			rest := s.drain(s.sender(all), 0)
			if got := one[string](s, "SELECT state FROM alert_deliveries"); got != tt.want {
				t.Errorf("it is %s, want %s", got, tt.want)
			}
			why := one[string](s, "SELECT coalesce(last_error, '') FROM alert_deliveries")
			if (why == "no") != (tt.outcome != receiver.Delivered) {
				t.Errorf("the reason kept is %q", why)
			}
			if tt.outcome == receiver.Delivered || tt.outcome == receiver.Failed {
				if rest != 0 {
					t.Errorf("the receiver is left alone for %s", rest)
				}
			} else if next := one[time.Time](s, "SELECT next_attempt_at FROM alert_deliveries"); rest != time.Hour || next.Before(noon.Add(time.Hour)) {
				t.Errorf("the receiver asked for an hour, and is left alone for %s, the row until %s", rest, next)
			}
		})
	}
}

func TestThePauseGrowsAndIsSpread(t *testing.T) {
	for attempts, want := range map[int]time.Duration{1: 5 * time.Second, 2: 10 * time.Second, 4: 40 * time.Second, 7: 320 * time.Second, 8: 10 * time.Minute, 9: 10 * time.Minute, 1000: 10 * time.Minute} {
		if got := Pause(attempts, 0.5); got != want {
			t.Errorf("after %d attempts %s, want %s", attempts, got, want)
		}
		if low, high := Pause(attempts, 0), Pause(attempts, 0.999999); low != want*8/10 || high < want*119/100 || high > want*12/10 {
			t.Errorf("after %d attempts between %s and %s", attempts, low, high)
		}
	}
}

// order is in which order things are sent.
func order(list []receiver.Notification) (words []string) {
	for _, n := range list {
		words = append(words, fmt.Sprintf("%s %s %s", n.Asset, n.Type, n.Kind))
	}
	return words
}

func TestTheOrderOfSending(t *testing.T) {
	s := newScene(t)
	s.alert(0, "BTC", alerting.RegimeChange, all) // has failed before
	s.exec("UPDATE alert_deliveries SET attempts = 3")
	exit := s.alert(0, "ETH", alerting.ExitCluster, all)
	s.in(func(tx pgx.Tx) error { return Intent{[]receiver.Route{all}}.Cleared(t.Context(), tx, exit) })
	s.clock(time.Second)
	s.alert(time.Second, "HYPE", alerting.RegimeChange, all)
	s.alert(time.Second, "SYSTEM", alerting.SystemStale, all)
	s.drain(s.sender(all), 0)
	want := []string{"SYSTEM system_stale firing", "ETH exit_cluster firing", "HYPE regime_change firing", "BTC regime_change firing", "ETH exit_cluster resolved"}
	if diff := cmp.Diff(want, order(s.took())); diff != "" {
		t.Error(diff)
	}
}

// Nobody is told of an end before its beginning, but of one whose beginning could
// not be told.
func TestAnEndIsNotToldBeforeItsBeginning(t *testing.T) {
	s := newScene(t)
	exit := s.alert(0, "BTC", alerting.ExitCluster, all)
	s.in(func(tx pgx.Tx) error { return Intent{[]receiver.Route{all}}.Cleared(t.Context(), tx, exit) })
	s.answers = func(context.Context, receiver.Notification) receiver.Result {
		return receiver.Result{Outcome: receiver.Retry, Err: errNo}
	}
	sender := s.sender(all)
	s.drain(sender, 0)
	s.drain(sender, 0)
	if diff := cmp.Diff([]string{"BTC exit_cluster firing"}, order(s.took())); diff != "" {
		t.Error(diff)
	}
	s.clock(25 * time.Hour)
	if _, err := (Config{Pool: s.db}).expire(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.exec("UPDATE alert_deliveries SET state = 'pending', expires_at = whalegate_now() + interval '1 hour', last_error = NULL WHERE kind = 'resolved'")
	s.drain(sender, 0)
	if diff := cmp.Diff([]string{"BTC exit_cluster resolved"}, order(s.took())); diff != "" {
		t.Error(diff)
	}
}

// What a process took with it when it died is sent by another one once the lease has
// run out, as the same message.
func TestWhatADeadProcessWasSendingIsSentAgain(t *testing.T) {
	s := newScene(t)
	s.alert(0, "BTC", alerting.ExitCluster, all)
	dead, err := (Config{Pool: s.db}).take(t.Context(), "all", one[int64](s, "SELECT id FROM alert_deliveries"))
	if err != nil || dead == nil {
		t.Fatal(dead, err)
	}
	sender := s.sender(all)
	s.clock(lease - time.Second)
	if s.drain(sender, 0); len(s.took()) != 0 {
		t.Error("a row is taken twice within its lease")
	}
	s.clock(lease)
	s.drain(sender, 0)
	got := s.took()
	if len(got) != 1 || got[0].Key != dead.Key || got[0].Fingerprint() != dead.Fingerprint() || !got[0].StartsAt.Equal(dead.StartsAt) {
		t.Errorf("sent again: %+v, was %+v", got, dead.Notification)
	}
}

func TestWhatWaitsForADayIsGivenUp(t *testing.T) {
	s := newScene(t)
	s.alert(0, "BTC", alerting.ExitCluster, all, receiver.Route{Name: "removed", MinSeverity: alerting.Medium})
	s.answers = func(context.Context, receiver.Notification) receiver.Result {
		return receiver.Result{Outcome: receiver.Retry, Err: errNo}
	}
	sender := s.sender(all)
	s.drain(sender, 0)
	s.clock(24*time.Hour - time.Second)
	if list, err := (Config{Pool: s.db}).expire(t.Context()); err != nil || len(list) != 0 {
		t.Fatalf("a second too early: %v %v", list, err)
	}
	s.clock(24 * time.Hour)
	s.took()
	if s.drain(sender, 0); len(s.took()) != 0 {
		t.Error("it is sent after its time")
	}
	list, err := (Config{Pool: s.db}).expire(t.Context())
	if err != nil || len(list) != 2 {
		t.Fatalf("%v %v", list, err)
	}
	got := one[[]string](s, "SELECT array_agg(receiver || ' ' || state || ': ' || last_error ORDER BY receiver) FROM alert_deliveries")
	want := []string{"all failed: not delivered within 1 day, after 1 attempts: no", "removed failed: not delivered within 1 day, after 0 attempts"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	// A person may give it another day.
	if n, err := Retry(t.Context(), s.db, Filter{Receiver: "all"}); err != nil || n != 1 {
		t.Errorf("retried %d, %v", n, err)
	}
	s.answers = nil
	s.drain(sender, 0)
	if sent := s.took(); len(sent) != 1 || !strings.Contains(sent[0].Description(), "Delivered 1440 minutes late") {
		t.Errorf("after a retry: %+v", sent)
	}
	if n, err := Retry(t.Context(), s.db, Filter{Receiver: "all"}); err != nil || n != 0 {
		t.Errorf("what is delivered is retried: %d, %v", n, err)
	}
}

func TestOnceAReceiverAnswersAgainNothingWaits(t *testing.T) {
	s := newScene(t)
	for _, asset := range []string{"HYPE", "BTC", "ETH"} {
		s.alert(0, asset, alerting.ExitCluster, all)
	}
	s.answers = func(context.Context, receiver.Notification) receiver.Result {
		return receiver.Result{Outcome: receiver.Retry, Err: errNo}
	}
	sender := s.sender(all)
	for i := range 12 { // each row several times
		s.clock(time.Duration(i) * 20 * time.Minute)
		s.drain(sender, 0)
	}
	if rest := s.drain(sender, 0); rest > longestRest {
		t.Errorf("it is left alone for %s", rest)
	}
	s.took()
	s.answers = nil
	s.clock(5 * time.Hour)
	s.exec("UPDATE alert_deliveries SET next_attempt_at = whalegate_now() + interval '5 minutes' WHERE id > (SELECT min(id) FROM alert_deliveries)")
	s.drain(sender, 0)
	if n := len(s.took()); n != 3 {
		t.Errorf("%d of 3 are sent at once", n)
	}
}

// A database that was restored, or promoted without its newest transactions, lets
// another collector tell the same once more: a receiver that remembers keys hears it
// once. No two messages share a key.
func TestAMessageHasTheSameKeyWhoeverMakesIt(t *testing.T) {
	s := newScene(t)
	const keys = `SELECT array_agg(concat_ws(' ', a.asset, a.alert_type, d.receiver, d.kind, d.idempotency_key) ORDER BY a.asset, a.alert_type, d.receiver, d.kind)
		FROM alert_deliveries d JOIN alerts a ON a.id = d.alert_id`
	tell := func(assets ...string) []string {
		for _, asset := range assets {
			for _, kind := range []alerting.Type{alerting.RegimeChange, alerting.ExitCluster} {
				id := s.alert(0, asset, kind, all, high)
				s.in(func(tx pgx.Tx) error { return Intent{[]receiver.Route{all, high}}.Cleared(t.Context(), tx, id) })
			}
		}
		return one[[]string](s, keys)
	}
	first := tell("BTC", "ETH")
	s.exec("DELETE FROM alerts") // and their ids are not given again
	if diff := cmp.Diff(first, tell("ETH", "BTC")); diff != "" {
		t.Error(diff)
	}
	if n := one[int](s, "SELECT count(*) - count(DISTINCT idempotency_key) FROM alert_deliveries"); n != 0 || len(first) < 6 {
		t.Errorf("%d of %d keys are another message's as well", n, len(first))
	}
	s.exec("UPDATE schema_migrations SET applied_at = applied_at + interval '1 second'; DELETE FROM alerts")
	if again := tell("BTC", "ETH"); cmp.Equal(first, again) {
		t.Error("another installation has the same keys")
	}
}
