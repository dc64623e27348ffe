package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/whalegate/whalegate/alerting"
	"github.com/whalegate/whalegate/internal/asset"
	"github.com/whalegate/whalegate/internal/health"
	"github.com/whalegate/whalegate/internal/health/watch"
	"github.com/whalegate/whalegate/internal/lead"
	"github.com/whalegate/whalegate/internal/postgres"
	"github.com/whalegate/whalegate/signals"
)

// Told is what a step said of one asset: for the log, the metrics and whoever
// sends it.
type Told struct {
	alerting.Event
	ID      int64 // of the alert
	Message string
}

// Outcome is what became of one period.
type Outcome struct {
	Boundary time.Time
	Told     []Told
	Quiet    map[asset.Asset]map[alerting.Type]alerting.Reason
}

// errChanged means that health changed while the period was looked at: nothing
// is written, and it is looked at again.
var errChanged = errors.New("health changed meanwhile")

// A boundary whose alerts nobody decided within ten minutes is passed over: its
// signal is not shown any longer either.
const selectDue = `
	SELECT c.timestamp, c.outcome, c.health_state, c.reasons
	FROM signal_cycles c
	WHERE c.timestamp > whalegate_now() - interval '10 minutes' AND c.timestamp <= whalegate_now()
		AND c.timestamp > coalesce((SELECT min(s.last_period) FROM alert_state s WHERE s.asset <> 'SYSTEM' HAVING count(s.last_period) = 6), '-infinity')
	ORDER BY c.timestamp LIMIT 1`

const selectSignals = `
	SELECT asset, allowed_playbook, risk_mode, exit_cluster_score, coalesce(degraded_reason, ''), to_jsonb(s)
	FROM signals s WHERE timestamp = $1`

const insertAlert = `
	INSERT INTO alerts (timestamp, asset, alert_type, severity, message, signal_snapshot, health_state, cooldown_until, suppressed, suppress_reason)
	VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, nullif($10, '')) RETURNING id`

// Outbox takes what is to be sent, in the transaction that decides it.
type Outbox interface {
	// Fired is called for an alert that is to be sent.
	Fired(ctx context.Context, tx pgx.Tx, alert int64, severity alerting.Severity) error
	// Cleared is called for one that has cleared, sent or not.
	Cleared(ctx context.Context, tx pgx.Tx, alert int64) error
}

// Rules are the rules of alerting on a database.
type Rules struct {
	Pool   *pgxpool.Pool
	Fence  *lead.Fence // of a collector; nil: the dead man's switch needs none
	Outbox Outbox
}

// Step decides the oldest period that is due, if there is one.
func (r Rules) Step(ctx context.Context) (done *Outcome, err error) {
	ctx, cancel := postgres.Writing(ctx)
	defer cancel()
	err = r.Fence.InTx(ctx, r.Pool, func(tx pgx.Tx) error {
		done, err = r.step(ctx, tx)
		return err
	})
	if errors.Is(err, errChanged) {
		return nil, err
	}
	if err != nil {
		return nil, postgres.Because(ctx, "decide alerts", err)
	}
	return done, nil
}

// cycle is what became of a boundary.
type cycle struct {
	Timestamp time.Time
	Outcome   string
	State     health.State
	Reasons   []string
}

func (r Rules) step(ctx context.Context, tx pgx.Tx) (*Outcome, error) {
	// The states are locked before the period is chosen: two processes decide one
	// after the other.
	l, err := open(ctx, tx)
	if err != nil {
		return nil, err
	}
	rows, err := tx.Query(ctx, selectDue)
	if err != nil {
		return nil, err
	}
	c, err := pgx.CollectExactlyOneRow(rows, pgx.RowToStructByPos[cycle])
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	now, err := watch.Read(ctx, tx)
	if err != nil {
		return nil, err
	}
	sigs, snapshots, err := readSignals(ctx, tx, c.Timestamp)
	if err != nil {
		return nil, err
	}
	var paused bool
	if err := tx.QueryRow(ctx, "SELECT EXISTS (SELECT FROM alert_pauses WHERE unpaused_at IS NULL AND until > whalegate_now())").Scan(&paused); err != nil {
		return nil, err
	}
	o := &Outcome{Boundary: c.Timestamp.UTC(), Quiet: map[asset.Asset]map[alerting.Type]alerting.Reason{}}
	for _, a := range asset.All {
		p := alerting.Period{At: c.Timestamp.UTC(), Signal: sigs[a], Blocked: Blocked(c.Outcome == "computed", now, health.Health{State: c.State, Reasons: c.Reasons}), Paused: paused}
		var events []alerting.Event
		l.states[a], events, o.Quiet[a] = l.states[a].Step(p)
		for _, e := range events {
			told, err := l.write(ctx, tx, a, e, snapshots[a], now.State)
			if err == nil {
				err = r.announce(ctx, tx, told)
			}
			if err != nil {
				return nil, err
			}
			o.Told = append(o.Told, told)
		}
		if err := l.save(ctx, tx, a); err != nil {
			return nil, err
		}
	}
	if len(o.Told) > 0 { // still so, now that it is about to be true
		if again, err := watch.Read(ctx, tx); err != nil || again.State != now.State {
			return nil, errors.Join(errChanged, err)
		}
	}
	return o, nil
}

// announce hands over what is to be sent; what was suppressed is not.
func (r Rules) announce(ctx context.Context, tx pgx.Tx, t Told) error {
	switch {
	case t.Resolved:
		return r.Outbox.Cleared(ctx, tx, t.ID)
	case t.Suppressed == "":
		return r.Outbox.Fired(ctx, tx, t.ID, t.Type.Severity())
	default:
		return nil
	}
}

// Blocked is why nothing may be concluded of a boundary: the health is not good, by
// any of these answers, or its cycle has computed nothing.
func Blocked(computed bool, answers ...health.Health) alerting.Reason {
	for _, h := range answers {
		switch {
		case h.State == health.Stale && slices.Contains(h.Reasons, "halted"):
			return alerting.Halted
		case h.State == health.Stale:
			return alerting.Stale
		case h.State == health.Degraded:
			return alerting.Degraded
		}
	}
	if !computed {
		return alerting.NoSignal
	}
	return ""
}

func readSignals(ctx context.Context, tx pgx.Tx, boundary time.Time) (list [asset.Count]*signals.Signal, snapshots [asset.Count]json.RawMessage, err error) {
	rows, err := tx.Query(ctx, selectSignals, boundary)
	if err != nil {
		return list, snapshots, err
	}
	var name, degraded string
	var s signals.Signal
	var snapshot json.RawMessage
	_, err = pgx.ForEachRow(rows, []any{&name, &s.AllowedPlaybook, &s.RiskMode, &s.ExitClusterScore, &degraded, &snapshot}, func() error {
		a, err := asset.Parse(name)
		if err != nil {
			return err
		}
		one := s
		one.Timestamp, one.Asset = boundary.UTC(), a
		if degraded != "" {
			one.Degraded = []string{degraded}
		}
		list[a], snapshots[a] = &one, slices.Clone(snapshot)
		return nil
	})
	return list, snapshots, err
}

// write stores an alert that fired, or the end of one.
func (l *ledger) write(ctx context.Context, tx pgx.Tx, a asset.Asset, e alerting.Event, snapshot json.RawMessage, state health.State) (Told, error) {
	told := Told{Event: e, Message: e.Message()}
	if e.Resolved {
		if l.active[a] == nil {
			return told, fmt.Errorf("the exit cluster of %s is active without an alert", a)
		}
		told.ID, l.active[a] = *l.active[a], nil
		_, err := tx.Exec(ctx, "UPDATE alerts SET resolved_at = $2 WHERE id = $1", told.ID, e.At)
		return told, err
	}
	var until *time.Time
	if e.Suppressed == "" {
		until = new(e.At.Add(e.Type.Cooldown()))
	}
	err := tx.QueryRow(ctx, insertAlert, e.At, a.String(), e.Type, e.Type.Severity(), told.Message, snapshot, state, until, e.Suppressed != "", e.Suppressed).Scan(&told.ID)
	if err == nil && e.Type == alerting.ExitCluster {
		l.active[a] = &told.ID
	}
	return told, err
}
