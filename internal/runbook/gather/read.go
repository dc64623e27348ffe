package gather

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/whalegate/whalegate/internal/duration"
	"github.com/whalegate/whalegate/internal/halt"
	"github.com/whalegate/whalegate/internal/postgres"
	"github.com/whalegate/whalegate/internal/runbook"
)

// list reads rows by position.
func list[T any](ctx context.Context, conn *pgx.Conn, sql string, args ...any) ([]T, error) {
	rows, err := conn.Query(ctx, sql, args...)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowToStructByPos[T])
}

func readDefined(ctx context.Context, conn *pgx.Conn, s *runbook.Stored) (err error) {
	if s.Tampered, err = postgres.Tampered(ctx, conn); err == nil {
		s.Hindered, err = postgres.Hindered(ctx, conn)
	}
	if err == nil {
		s.Missing, err = postgres.Missing(ctx, conn)
	}
	return err
}

func readAudit(ctx context.Context, conn *pgx.Conn, s *runbook.Stored) (err error) {
	s.Audit, err = list[runbook.AuditFinding](ctx, conn, `
		SELECT DISTINCT ON (subject) subject, coalesce((details->>'count')::integer, 0), coalesce(details->'times'->>0, ''), coalesce(details->'times'->>-1, ''), last_ts
		FROM qa_events WHERE check_id = 'audit' AND subject <> 'clean' AND last_ts > whalegate_now() - interval '70 minutes'
			AND last_ts > coalesce((SELECT max(last_ts) FROM qa_events WHERE check_id = 'audit' AND subject = 'clean'), '-infinity')
		ORDER BY subject, last_ts DESC`)
	return err
}

func readHalt(ctx context.Context, conn *pgx.Conn, s *runbook.Stored) (err error) {
	s.Halt, err = halt.InForce(ctx, conn)
	return err
}

func readRuns(ctx context.Context, conn *pgx.Conn, s *runbook.Stored) (err error) {
	s.Runs, err = list[runbook.Run](ctx, conn, `
		SELECT timestamp, status, wallets_expected, wallet_fail_count, coverage_pct, failures, coalesce(error, ''), is_clean, finished_at, coalesce(failed_check, ''), coalesce(failed_subject, '')
		FROM ingest_runs WHERE NOT superseded ORDER BY timestamp DESC LIMIT 70`)
	return err
}

func readUniverse(ctx context.Context, conn *pgx.Conn, s *runbook.Stored) (err error) {
	if err := conn.QueryRow(ctx, "SELECT tracked FROM facts.universe").Scan(&s.Universe.Wallets); err != nil {
		return err
	}
	s.Universe.Refreshes, err = list[runbook.Refresh](ctx, conn, `
		SELECT r.as_of_ts, r.status, r.n_requested, r.n_received, r.entered_count, r.exited_count, r.churn_warning_count, coalesce(r.error, ''), r.changed_at, coalesce(q.check_id, '')
		FROM wallet_universe_runs r
		LEFT JOIN LATERAL (SELECT check_id FROM qa_events WHERE last_ts = r.as_of_ts AND stage = 'ingestion' AND subject = 'universe' AND severity = 'error' LIMIT 1) q ON true
		ORDER BY r.run_id DESC LIMIT 10`)
	return err
}

// Of a signal only when it was, and why it is degraded: no value of it.
func readCycles(ctx context.Context, conn *pgx.Conn, s *runbook.Stored) (err error) {
	if s.Cycles, err = list[runbook.Cycle](ctx, conn, "SELECT timestamp, outcome, reasons, skipped FROM signal_cycles ORDER BY timestamp DESC LIMIT 12"); err != nil {
		return err
	}
	s.Newest, err = list[runbook.SignalTime](ctx, conn, `
		SELECT DISTINCT ON (asset) asset, timestamp, coalesce(degraded_reason, '')
		FROM signals WHERE timestamp > whalegate_now() - interval '1 day' AND timestamp <= whalegate_now()
		ORDER BY asset, timestamp DESC`)
	return err
}

func readDirty(ctx context.Context, conn *pgx.Conn, s *runbook.Stored) (err error) {
	s.Dirty, err = list[runbook.DirtyMinute](ctx, conn, "SELECT timestamp, dirty, wallets FROM facts.spikes ORDER BY timestamp DESC")
	if err != nil {
		return err
	}
	s.Rates, err = list[runbook.DirtyRate](ctx, conn, "SELECT asset, dirty, rows FROM facts.dirty ORDER BY asset")
	return err
}

func readChecks(ctx context.Context, conn *pgx.Conn, s *runbook.Stored) (err error) {
	s.Checks, err = list[runbook.Check](ctx, conn, `
		SELECT check_id, severity, subject, occurrences, last_ts, action_taken, coalesce(details->>'error', '')
		FROM qa_events WHERE last_ts > whalegate_now() - interval '1 hour'
		ORDER BY last_ts DESC LIMIT 30`)
	return err
}

func readAlerts(ctx context.Context, conn *pgx.Conn, s *runbook.Stored) (err error) {
	a := &s.Alerts
	a.Assets, err = list[runbook.AlertCount](ctx, conn, "SELECT asset, sent, capped, cooling, paused FROM facts.alerts ORDER BY asset")
	if err != nil {
		return err
	}
	rows, err := conn.Query(ctx, `
		SELECT format('%s %s at %s, within the cooldown of that of %s', b.asset, b.alert_type, b.timestamp, a.timestamp)
		FROM alerts a
		JOIN alerts b ON b.asset = a.asset AND b.alert_type = a.alert_type AND b.timestamp > a.timestamp AND b.timestamp < a.cooldown_until
		WHERE NOT a.suppressed AND NOT b.suppressed AND NOT a.superseded AND NOT b.superseded AND a.timestamp > whalegate_now() - interval '24 hours'
		ORDER BY b.timestamp DESC`)
	if err == nil {
		a.Broken, err = pgx.CollectRows(rows, pgx.RowTo[string])
	}
	if err != nil {
		return err
	}
	// A score between the thresholds is on neither side.
	a.Swings, err = list[runbook.Swing](ctx, conn, `
		WITH lately AS (
			SELECT timestamp, asset, allowed_playbook, CASE WHEN exit_cluster_score > 25 THEN true WHEN exit_cluster_score < 20 THEN false END AS high
			FROM signals WHERE timestamp > whalegate_now() - interval '2 hours' AND timestamp <= whalegate_now()
		), crossings AS (
			SELECT asset, high <> lag(high) OVER (PARTITION BY asset ORDER BY timestamp) AS crossed FROM lately WHERE high IS NOT NULL
		), changes AS (
			SELECT asset, allowed_playbook <> lag(allowed_playbook) OVER (PARTITION BY asset ORDER BY timestamp) AS changed FROM lately
		)
		SELECT c.asset, (SELECT count(*) FROM crossings x WHERE x.asset = c.asset AND x.crossed), count(*) FILTER (WHERE c.changed)
		FROM changes c GROUP BY c.asset ORDER BY c.asset`)
	if err != nil {
		return err
	}
	pauses, err := list[struct {
		Until time.Time
		By    string
	}](ctx, conn, "SELECT until, paused_by FROM alert_pauses WHERE unpaused_at IS NULL AND until > whalegate_now()")
	if err != nil {
		return err
	}
	for _, p := range pauses {
		a.PausedTill, a.PausedBy = &p.Until, p.By
	}
	a.Queues, err = list[runbook.Queue](ctx, conn, "SELECT receiver, pending + unknown, failed, coalesce(last_error, '') FROM facts.deliveries ORDER BY coalesce(oldest_seconds, 0) DESC, receiver")
	if err != nil {
		return err
	}
	var oldest float64
	err = conn.QueryRow(ctx, "SELECT coalesce(sum(failed), 0), coalesce(sum(pending + unknown), 0), coalesce(max(oldest_seconds), 0) FROM facts.deliveries").
		Scan(&a.Failed, &a.Waiting, &oldest)
	a.Oldest = duration.Seconds(max(0, oldest)) // negative while a clock that was ahead has dated them
	return err
}
