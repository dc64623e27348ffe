package engine

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/whalegate/whalegate/alerting"
	"github.com/whalegate/whalegate/internal/asset"
	"github.com/whalegate/whalegate/signals"
)

// ledger is what is remembered of every asset, locked until the transaction
// ends.
type ledger struct {
	states [asset.Count]alerting.State
	active [asset.Count]*int64 // the alert of the exit cluster that has not cleared
}

// A row for each alert that there can be, made when it is first asked for.
const makeStates = `
	INSERT INTO alert_state (asset, alert_type)
	SELECT a, t FROM unnest('{HYPE,BTC,ETH}'::text[]) a, unnest('{regime_change,exit_cluster}'::text[]) t
	UNION ALL SELECT 'SYSTEM', 'system_stale'
	ON CONFLICT DO NOTHING`

const lockStates = `
	SELECT asset, alert_type, is_active, last_triggered, coalesce(confirmed_playbook, ''), coalesce(pending_playbook, ''), pending_periods, last_period, active_alert_id
	FROM alert_state WHERE asset <> 'SYSTEM' ORDER BY asset, alert_type FOR UPDATE`

const selectSent = `
	SELECT asset, least(timestamp, whalegate_now()) FROM alerts
	WHERE NOT suppressed AND asset <> 'SYSTEM'
		AND timestamp > whalegate_now() - interval '25 hours' -- a step looks 24 back from its boundary
		AND timestamp < whalegate_now() + interval '25 hours' -- a clock was ahead: people have it all the same
	ORDER BY timestamp, id`

const countSuppressed = `
	SELECT a.asset, count(*) FROM alerts a
	WHERE a.suppressed AND a.asset <> 'SYSTEM'
		AND NOT EXISTS (SELECT FROM alerts b WHERE b.asset = a.asset AND NOT b.suppressed AND b.id > a.id)
	GROUP BY a.asset`

// open locks and reads what is remembered.
func open(ctx context.Context, tx pgx.Tx) (*ledger, error) {
	if _, err := tx.Exec(ctx, makeStates); err != nil {
		return nil, err
	}
	l := &ledger{}
	rows, err := tx.Query(ctx, lockStates)
	if err != nil {
		return nil, err
	}
	var (
		name               string
		kind               alerting.Type
		active             bool
		sent, period       *time.Time
		confirmed, pending signals.Playbook
		periods            int
		id                 *int64
	)
	_, err = pgx.ForEachRow(rows, []any{&name, &kind, &active, &sent, &confirmed, &pending, &periods, &period, &id}, func() error {
		a, err := asset.Parse(name)
		if err != nil {
			return err
		}
		s := &l.states[a]
		if s.Sent == nil {
			s.Sent = map[alerting.Type]time.Time{}
		}
		if sent != nil {
			s.Sent[kind] = sent.UTC()
		}
		if period != nil {
			s.LastPeriod = period.UTC()
		}
		switch kind {
		case alerting.RegimeChange:
			s.Confirmed, s.Pending, s.PendingPeriods = confirmed, pending, periods
		case alerting.ExitCluster:
			s.ExitActive, l.active[a] = active, id
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	rows, err = tx.Query(ctx, selectSent)
	if err != nil {
		return nil, err
	}
	var at time.Time
	_, err = pgx.ForEachRow(rows, []any{&name, &at}, func() error {
		a, err := asset.Parse(name)
		l.states[a].SentLately = append(l.states[a].SentLately, at.UTC())
		return err
	})
	if err != nil {
		return nil, err
	}
	rows, err = tx.Query(ctx, countSuppressed)
	if err != nil {
		return nil, err
	}
	var n int
	_, err = pgx.ForEachRow(rows, []any{&name, &n}, func() error {
		a, err := asset.Parse(name)
		l.states[a].Suppressed = n
		return err
	})
	return l, err
}

const saveState = `
	UPDATE alert_state SET is_active = $3, last_triggered = $4, cooldown_until = $5, confirmed_playbook = nullif($6, ''), pending_playbook = nullif($7, ''),
		pending_periods = $8, last_period = $9, active_alert_id = $10
	WHERE asset = $1 AND alert_type = $2`

// save writes what is remembered of an asset after its step.
func (l *ledger) save(ctx context.Context, tx pgx.Tx, a asset.Asset) error {
	s := l.states[a]
	for _, t := range alerting.Behavioural {
		var sent, until *time.Time
		if at, ok := s.Sent[t]; ok {
			sent, until = &at, new(at.Add(t.Cooldown()))
		}
		var err error
		if t == alerting.RegimeChange {
			_, err = tx.Exec(ctx, saveState, a.String(), t, false, sent, until, s.Confirmed, s.Pending, s.PendingPeriods, s.LastPeriod, nil)
		} else {
			_, err = tx.Exec(ctx, saveState, a.String(), t, s.ExitActive, sent, until, "", "", 0, s.LastPeriod, l.active[a])
		}
		if err != nil {
			return err
		}
	}
	return nil
}
