package outbox

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/whalegate/whalegate/alerting"
	"github.com/whalegate/whalegate/alerting/receiver"
	"github.com/whalegate/whalegate/internal/lead"
	"github.com/whalegate/whalegate/internal/postgres/pgtest"
)

var theLead = lead.Term{Epoch: pgtest.Epoch, Holder: uuid.MustParse(pgtest.Holder)}

const deliveries = "SELECT coalesce(string_agg(d::text, ' ' ORDER BY id), '') FROM alert_deliveries d"

// A process whose lead is over takes nothing, records nothing and sends nothing.
func TestTheFenceRefusesTheSenderOfACollectorThatDoesNotLead(t *testing.T) {
	s := newScene(t)
	id := s.alert(0, "BTC", alerting.ExitCluster, all)
	fence := &lead.Fence{}
	cfg := Config{Pool: s.db, Fence: fence}
	i := &item{ID: one[int64](s, "SELECT id FROM alert_deliveries WHERE alert_id = $1", id), Before: "pending"}
	for name, tt := range map[string]struct {
		prepare string
		do      func(context.Context) error
	}{
		"take": {"", func(ctx context.Context) error { _, err := cfg.take(ctx, "all", i.ID); return err }},
		"settle": {"", func(ctx context.Context) error {
			_, err := cfg.settle(ctx, i, receiver.Result{Outcome: receiver.Delivered})
			return err
		}},
		"hasten":   {"UPDATE alert_deliveries SET next_attempt_at = whalegate_now() + interval '5 minutes'", func(ctx context.Context) error { return cfg.hasten(ctx, "all") }},
		"expire":   {"UPDATE alert_deliveries SET expires_at = whalegate_now()", func(ctx context.Context) error { _, err := cfg.expire(ctx); return err }},
		"reminded": {"", func(ctx context.Context) error { return cfg.reminded(ctx, i.ID) }},
	} {
		t.Run(name, func(t *testing.T) {
			s.exec("DELETE FROM alert_deliveries")
			s.exec("INSERT INTO alert_deliveries (alert_id, receiver, kind) VALUES ($1, 'all', 'firing')", id)
			i.ID = one[int64](s, "SELECT id FROM alert_deliveries")
			if tt.prepare != "" {
				s.exec(tt.prepare)
			}
			before := one[string](s, deliveries)
			for _, term := range []lead.Term{{}, {Epoch: pgtest.Epoch - 1, Holder: theLead.Holder}, {Epoch: pgtest.Epoch, Holder: uuid.New()}} {
				fence.Set(term)
				if err := tt.do(t.Context()); !errors.Is(err, lead.ErrNotLeading) {
					t.Errorf("term %+v: %v", term, err)
				}
				if after := one[string](s, deliveries); after != before {
					t.Errorf("term %+v: %s, and it was %s", term, after, before)
				}
			}
			fence.Set(theLead)
			if err := tt.do(t.Context()); err != nil || one[string](s, deliveries) == before {
				t.Errorf("leading: %v", err)
			}
		})
	}
	fence.Set(lead.Term{})
	s.exec("DELETE FROM alert_deliveries")
	s.exec("INSERT INTO alert_deliveries (alert_id, receiver, kind) VALUES ($1, 'all', 'firing')", id)
	sender := s.sender(all)
	sender.workers[0].cfg.Fence = fence
	if _, err := sender.workers[0].drain(t.Context()); !errors.Is(err, lead.ErrNotLeading) {
		t.Errorf("drain: %v", err)
	}
	if sent := s.took(); len(sent) > 0 {
		t.Errorf("%d notifications are sent", len(sent))
	}
}

// The lead is lost while a request is out: what came of it cannot be recorded, so it
// stays unknown, and whoever leads sends it again with the same identity.
func TestAnAttemptDuringWhichTheLeadIsLostIsSentAgain(t *testing.T) {
	s := newScene(t)
	s.alert(0, "BTC", alerting.ExitCluster, all)
	fence := &lead.Fence{}
	fence.Set(theLead)
	sender := s.sender(all)
	sender.workers[0].cfg.Fence = fence
	s.answers = func(context.Context, receiver.Notification) receiver.Result {
		fence.Set(lead.Term{Epoch: pgtest.Epoch, Holder: uuid.New()})
		return receiver.Result{Outcome: receiver.Delivered}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if _, err := sender.workers[0].drain(ctx); !errors.Is(err, lead.ErrNotLeading) || ctx.Err() != nil {
		t.Fatalf("drain: %v, %v", err, ctx.Err())
	}
	first := s.took()
	if state := one[string](s, "SELECT state || ' ' || attempts FROM alert_deliveries"); len(first) != 1 || state != "unknown 1" {
		t.Fatalf("%d sent, recorded as %s", len(first), state)
	}
	s.answers = nil
	s.clock(lease + time.Second)
	s.drain(s.sender(all), 0)
	again := s.took()
	if state := one[string](s, "SELECT state || ' ' || attempts FROM alert_deliveries"); len(again) != 1 || again[0].Key != first[0].Key || state != "delivered 2" {
		t.Errorf("%d sent again, recorded as %s", len(again), state)
	}
}
