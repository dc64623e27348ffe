package gather

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/whalegate/whalegate/internal/runbook"
	"github.com/whalegate/whalegate/internal/status"
)

// readAccounts reads how well the accounts are known, and how far a first start is.
func readAccounts(ctx context.Context, conn *pgx.Conn, s *runbook.Stored) error {
	accounts, err := status.ReadAccounts(ctx, conn)
	if err != nil {
		return err
	}
	s.Accounts = &accounts
	s.Search, err = status.ReadSearch(ctx, conn)
	return err
}

func readCoins(ctx context.Context, conn *pgx.Conn, s *runbook.Stored) (err error) {
	s.Coins, err = status.ReadCoins(ctx, conn)
	return err
}

// readOpen reads the failures of S11 that last. The present level is that of the newest
// minute with rows, which a failed run keeps as well.
func readOpen(ctx context.Context, conn *pgx.Conn, s *runbook.Stored) error {
	rows, err := conn.Query(ctx, `
		SELECT b.asset, b.subject, b.opened_ts, b.affected, b.holders, b.factor, s.holders, s.net, r.timestamp, w.holders, w.net
		FROM baselines b
		CROSS JOIN LATERAL (
			SELECT count(*) FILTER (WHERE before <> 0) AS holders, coalesce(sum(before), 0)::text AS net FROM baseline_sizes WHERE baseline_id = b.id
		) s
		LEFT JOIN (SELECT timestamp FROM ingest_runs WHERE NOT superseded AND rows_written > 0 ORDER BY timestamp DESC LIMIT 1) r ON true
		CROSS JOIN LATERAL (
			SELECT count(*) FILTER (WHERE position_szi <> 0) AS holders, coalesce(sum(position_szi), 0)::text AS net
			FROM wallet_snapshots WHERE timestamp = r.timestamp AND asset = b.asset
		) w
		WHERE b.ended_ts IS NULL
		ORDER BY b.opened_ts, b.asset`)
	if err != nil {
		return err
	}
	s.Open, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (o runbook.OpenFailure, err error) {
		var now runbook.Level
		var at *time.Time
		err = row.Scan(&o.Asset, &o.Subject, &o.Opened, &o.Affected, &o.Holders, &o.Factor, &o.Before.Holders, &o.Before.Net, &at, &now.Holders, &now.Net)
		if at != nil {
			now.At = *at
			o.Present = &now
		}
		return o, err
	})
	return err
}
