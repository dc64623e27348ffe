package gather

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/whalegate/whalegate/internal/duration"
	"github.com/whalegate/whalegate/internal/health"
	"github.com/whalegate/whalegate/internal/runbook"
)

func readClocks(ctx context.Context, conn *pgx.Conn, s *runbook.Stored) error {
	const columns = "SELECT first_minute, last_minute, newest, refused_at, times, settled_at, coalesce(settled_by, ''), coalesce(reason, ''), coalesce(runs, 0) FROM clock_refusals"
	for _, q := range []struct {
		sql  string
		into **runbook.Refusal
	}{
		{columns + " WHERE settled_at IS NULL", &s.Clocks.Refused},
		{columns + " WHERE settled_at IS NOT NULL ORDER BY id DESC LIMIT 1", &s.Clocks.Settled},
	} {
		found, err := list[runbook.Refusal](ctx, conn, q.sql)
		if err != nil {
			return err
		}
		if len(found) > 0 {
			*q.into = &found[0]
		}
	}
	var ahead *float64
	err := conn.QueryRow(ctx, `
		SELECT (SELECT max(ts) FROM health_transitions WHERE reasons && $1 AND ts BETWEEN whalegate_now() - interval '1 hour' AND whalegate_now()), newest, extract(epoch FROM greatest(newest, ended) - whalegate_now())::double precision,
			coalesce((SELECT array_agg(timestamp ORDER BY timestamp) FROM ingest_runs WHERE superseded AND timestamp > whalegate_now() - interval '70 minutes' AND timestamp <= whalegate_now()), '{}')
		FROM (SELECT max(timestamp) AS newest, max(finished_at) AS ended FROM ingest_runs WHERE NOT superseded) r`, []string{health.ReasonClockSkew, health.ReasonClockBack}).
		Scan(&s.Clocks.Dark, &s.Clocks.Newest, &ahead, &s.Clocks.Superseded)
	if ahead != nil {
		s.Clocks.Ahead = *duration.Optional(ahead)
	}
	return err
}
