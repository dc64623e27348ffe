package gather

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/whalegate/whalegate/internal/runbook"
)

func readLost(ctx context.Context, conn *pgx.Conn, s *runbook.Stored) (err error) {
	s.Lost, err = list[runbook.Loss](ctx, conn, `
		SELECT last_ts, coalesce((details->>'minutes')::integer, 0), coalesce(details->>'since', ''), coalesce(details->>'until', ''), coalesce((details->>'written_again')::integer, 0)
		FROM qa_events WHERE check_id = 'lost' AND last_ts > whalegate_now() - interval '1 day'
		ORDER BY last_ts DESC LIMIT 5`)
	if err != nil {
		return err
	}
	days, err := list[runbook.GoneDay](ctx, conn, `
		SELECT last_ts, coalesce(details->>'day', ''), coalesce((details->>'minutes_without_rows')::integer, 0)
		FROM qa_events WHERE check_id = 'day_gone' AND last_ts > whalegate_now() - interval '1 day'
		ORDER BY last_ts DESC LIMIT 1`)
	if len(days) > 0 {
		s.DayGone = &days[0]
	}
	return err
}
