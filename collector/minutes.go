package collector

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/whalegate/whalegate/internal/postgres"
)

// EnsurePartitions makes the days from first to last that are missing.
func (s *Store) EnsurePartitions(ctx context.Context, first, last time.Time) error {
	ctx, cancel := postgres.Writing(ctx)
	defer cancel()
	err := s.fence.Exec(ctx, s.pool, "SELECT ensure_snapshot_partitions($1, $2)", first, last)
	return postgres.Because(ctx, fmt.Sprintf("make partitions up to %s", last.Format(time.DateOnly)), err)
}

// missingDays counts the days from first to last that have no attached partition.
func (s *Store) missingDays(ctx context.Context, first, last time.Time) (n int, err error) {
	ctx, cancel := postgres.Reading(ctx)
	defer cancel()
	err = s.pool.QueryRow(ctx, "SELECT missing_snapshot_days($1, $2)", first, last).Scan(&n)
	return n, postgres.Because(ctx, "look for the days of snapshots", err)
}

// emptied counts the minutes from an instant on that stored rows, and those of them that
// have none any more.
func (s *Store) emptied(ctx context.Context, from time.Time) (stored, empty int, err error) {
	ctx, cancel := postgres.Reading(ctx)
	defer cancel()
	err = s.pool.QueryRow(ctx, `
		SELECT count(*), count(*) FILTER (WHERE NOT EXISTS (SELECT FROM wallet_snapshots s WHERE s.timestamp = r.timestamp))
		FROM ingest_runs r WHERE r.timestamp >= $1 AND r.rows_written > 0`, from).Scan(&stored, &empty)
	return stored, empty, postgres.Because(ctx, "look for minutes without rows", err)
}

// Committed tells whether the minute has a run that did not fail.
func (s *Store) Committed(ctx context.Context, minute time.Time) (done bool, err error) {
	ctx, cancel := postgres.Reading(ctx)
	defer cancel()
	err = s.pool.QueryRow(ctx, "SELECT EXISTS (SELECT FROM ingest_runs WHERE timestamp = $1 AND status <> 'failed' AND NOT superseded)", minute).Scan(&done)
	return done, postgres.Because(ctx, "look for the minute's run", err)
}

// StateTimes reads the newest state time stored for each account, as far as a
// restart needs it: of a wallet's accounts the oldest, over the last minutes
// that were written.
func (s *Store) StateTimes(ctx context.Context) (map[string]time.Time, error) {
	ctx, cancel := postgres.Reading(ctx)
	defer cancel()
	rows, err := s.pool.Query(ctx, `
		SELECT unnest(w.wallet_id || coalesce(a.sub_accounts, '{}')), w.state_time
		FROM (
			SELECT wallet_id, max(state_time) AS state_time
			FROM wallet_snapshots JOIN ingest_runs r USING (timestamp)
			WHERE r.status <> 'failed' AND NOT r.superseded AND state_time <= r.finished_at + interval '30 seconds' -- an older version stored some from the future
				AND timestamp > (SELECT max(timestamp) - interval '10 minutes' FROM ingest_runs WHERE status <> 'failed' AND NOT superseded)
			GROUP BY wallet_id
		) w LEFT JOIN wallet_accounts a USING (wallet_id)`)
	if err != nil {
		return nil, postgres.Because(ctx, "read state times", err)
	}
	defer rows.Close()
	times := map[string]time.Time{}
	for rows.Next() {
		var account string
		var at time.Time
		if err := rows.Scan(&account, &at); err != nil {
			return nil, postgres.Because(ctx, "read state times", err)
		}
		times[account] = at.UTC()
	}
	return times, postgres.Because(ctx, "read state times", rows.Err())
}

// Newest is the minute of the newest run, failed or not; zero when there is none.
func (s *Store) Newest(ctx context.Context) (time.Time, error) {
	ctx, cancel := postgres.Reading(ctx)
	defer cancel()
	var newest *time.Time
	err := s.pool.QueryRow(ctx, "SELECT max(timestamp) FROM ingest_runs WHERE NOT superseded").Scan(&newest)
	if newest == nil {
		newest = new(time.Time)
	}
	return newest.UTC(), postgres.Because(ctx, "look for the newest run", err)
}

// Holes lists the minutes before one that have no run which counts, as far back as the
// first that has one within the ten minutes before, and across a gap of at most ten minutes
// before that. follows tells that there is such a one. Minutes that the database's clock
// has not reached are none: a clock that is ahead has not missed them.
func (s *Store) Holes(ctx context.Context, minute time.Time) (holes []time.Time, follows bool, err error) {
	ctx, cancel := postgres.Reading(ctx)
	defer cancel()
	rows, err := s.pool.Query(ctx, `
		WITH counted AS (SELECT timestamp AS at FROM ingest_runs WHERE NOT superseded AND timestamp < $1 AND timestamp >= $1::timestamptz - 2 * $2::interval),
			first AS (SELECT min(at) AS at FROM counted WHERE at >= $1::timestamptz - $2::interval),
			before AS (SELECT coalesce(max(c.at), first.at) AS at FROM first LEFT JOIN counted c ON c.at < first.at AND c.at >= first.at - $2::interval GROUP BY first.at)
		SELECT m FROM before, generate_series(before.at, least($1::timestamptz, date_trunc('minute', whalegate_now() + interval '30 seconds')) - interval '1 minute', interval '1 minute') m
		WHERE m = before.at OR m NOT IN (SELECT at FROM counted)
		ORDER BY m`, minute, maxUnled)
	if err != nil {
		return nil, false, postgres.Because(ctx, "look for minutes without a run", err)
	}
	holes, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (at time.Time, err error) {
		err = row.Scan(&at)
		return at.UTC(), err
	})
	if err != nil || len(holes) == 0 {
		return nil, false, postgres.Because(ctx, "look for minutes without a run", err)
	}
	return holes[1:], true, nil // the first is the one that has a run
}

// Stored reads which minutes since an instant have a run, superseded ones included.
func (s *Store) Stored(ctx context.Context, since time.Time) (map[time.Time]bool, error) {
	ctx, cancel := postgres.Reading(ctx)
	defer cancel()
	rows, err := s.pool.Query(ctx, "SELECT timestamp FROM ingest_runs WHERE timestamp >= $1", since)
	if err != nil {
		return nil, postgres.Because(ctx, "read runs", err)
	}
	stored := map[time.Time]bool{}
	var at time.Time
	_, err = pgx.ForEachRow(rows, []any{&at}, func() error {
		stored[at.UTC()] = true
		return nil
	})
	return stored, postgres.Because(ctx, "read runs", err)
}
