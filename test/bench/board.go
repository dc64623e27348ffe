package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/whalegate/whalegate/dashboards"
	"github.com/whalegate/whalegate/internal/postgres/server"
)

// Seven days of snapshots of 200 wallets, which no board reads, and 30 days of
// what they do read.
const (
	weekOfSnapshots = `INSERT INTO wallet_snapshots (` + columns + `)
		SELECT m, '0x' || lpad(to_hex(w * 16777259::bigint), 40, '0'), a, w * 12.345 - 1000, 86321.5 + w, 91234.5678, 20, 53284.213917, 1, m
		FROM generate_series($1::timestamptz, $1::timestamptz + interval '1439 min', interval '1 min') m, generate_series(1, 200) w, unnest('{BTC,ETH,HYPE}'::text[]) a`
	monthOfSignals = `INSERT INTO signals
		SELECT t, a, 50 + 30 * sin(n / 17.0 + i), 'flat', 30 + 20 * sin(n / 23.0 + i), 12 + 9 * sin(n / 11.0 + i), 'No-trade', 'Reduced', false, false, 200, 0, 0, false, NULL, 3
		FROM generate_series(0, 8640) n, LATERAL (SELECT $1::timestamptz - n * interval '5 minutes') x (t), unnest('{HYPE,BTC,ETH}'::text[]) WITH ORDINALITY y (a, i)`
	theirContributors = `INSERT INTO signal_contributors SELECT timestamp, asset, 31.5, 12.5, 9.5, 46.5, 63, 25, 19, 93, 200 FROM signals`
	theirPositioning  = `INSERT INTO signal_positioning SELECT timestamp, asset, 1234567.8, 87, 41, 72, 61.3 FROM signals`
	monthOfAlerts     = `INSERT INTO alerts (timestamp, asset, alert_type, severity, message, signal_snapshot, health_state)
		SELECT $1::timestamptz - n * interval '2 hours', (ARRAY['HYPE', 'BTC', 'ETH'])[1 + n % 3], 'regime_change', 'medium', 'A regime change', '{"is_degraded": false}', 'HEALTHY'
		FROM generate_series(1, 360) n`
)

// What the incident board reads beside the runs, in a bad week: failures in every
// tenth run, a dirty wallet in every tenth minute and 15 % of them for an hour,
// checks that fail every day.
var weekOfIncidents = []string{
	`UPDATE ingest_runs SET failures = '{"rate_limited": 25, "timeout": 3}', status = 'partial' WHERE run_id % 10 = 0`,
	`UPDATE wallet_snapshots s SET is_dirty = true, dirty_reason = 'transient_collapse'
		FROM generate_series(1, 10079, 10) n, LATERAL (SELECT $1::timestamptz - n * interval '1 minute', '0x' || lpad(to_hex((1 + n % 200) * 16777259::bigint), 40, '0')) x (m, w)
		WHERE s.timestamp = x.m AND s.wallet_id = x.w`,
	`UPDATE wallet_snapshots s SET is_dirty = true, dirty_reason = 'transient_collapse'
		FROM generate_series(1, 60) n, generate_series(1, 30) k, LATERAL (SELECT $1::timestamptz - interval '2 days' - n * interval '1 minute', '0x' || lpad(to_hex(k * 16777259::bigint), 40, '0')) x (m, w)
		WHERE s.timestamp = x.m AND s.wallet_id = x.w`,
	`INSERT INTO signal_cycles SELECT DISTINCT timestamp, CASE WHEN extract(minute FROM timestamp) = 5 THEN 'blocked' ELSE 'computed' END, timestamp, CASE WHEN extract(minute FROM timestamp) = 5 THEN 'STALE' ELSE 'HEALTHY' END,
		CASE WHEN extract(minute FROM timestamp) = 5 THEN '{coverage,run_failed}' ELSE '{}' END::text[], '{}'::text[] FROM signals`,
	`INSERT INTO qa_events (day, check_id, stage, severity, subject, action_taken, occurrences, first_ts, last_ts)
		SELECT ($1::timestamptz - n * interval '1 day')::date, c, 'ingestion', 'warning', a, 'degraded', 100, $1::timestamptz - n * interval '1 day', $1::timestamptz - n * interval '1 day' FROM generate_series(0, 6) n, unnest('{S1,S2,S3,S5,S6,U1,U5,G0,G3,G4}'::text[]) c, unnest('{HYPE,BTC,ETH}'::text[]) a`,
	`INSERT INTO wallet_universe_runs (as_of_ts, status, source, n_requested, n_received, duration_ms) SELECT $1::timestamptz - n * interval '6 hours', 'success', 'stats-data', 200, 200, 900 FROM generate_series(0, 27) n`,
	`INSERT INTO alert_deliveries (alert_id, receiver, kind, state, delivered_at, created_at) SELECT id, r, 'firing', 'delivered', timestamp, timestamp FROM alerts, unnest('{a,b,c,d}'::text[]) r`,
	`INSERT INTO health_transitions (ts, from_state, to_state, reasons) SELECT $1::timestamptz - n * interval '10 minutes', 'HEALTHY', CASE n % 3 WHEN 0 THEN 'HEALTHY' WHEN 1 THEN 'DEGRADED' ELSE 'STALE' END, '{coverage}' FROM generate_series(0, 1000) n`,
}

var (
	timeFilter = regexp.MustCompile(`\$__timeFilter\((\w+)\)`)
	timeGroup  = regexp.MustCompile(`\$__timeGroup\((\w+), \$__interval\)`)
)

// measuredBoards are the boards, who asks their queries, and over how long.
var measuredBoards = []struct {
	uid, role, what string
	days            int
}{
	{dashboards.TradingUID, "whalegate_board", "any query of the trading board, 30 days of signals shown, 7 of snapshots stored", 30},
	{dashboards.IncidentUID, "whalegate_ops", "any query of the incident board, 7 days of runs and snapshots", 7},
}

// measureBoard asks every query of the boards as their roles, over the longest
// range that is kept.
func measureBoard(ctx context.Context, b *bench) error {
	if err := b.database(ctx, "board"); err != nil {
		return err
	}
	owner, err := b.connect(ctx, server.Superuser, "board")
	if err != nil {
		return err
	}
	defer owner.Close(ctx)
	now := time.Date(2026, 1, 12, 0, 0, 10, 0, time.UTC)
	const frozen = "CREATE OR REPLACE FUNCTION whalegate_now() RETURNS timestamptz LANGUAGE sql VOLATILE AS $$SELECT timestamptz '2026-01-12 00:00:10+00'$$"
	if err := execute(ctx, owner, frozen, weekOfRuns); err != nil {
		return err
	}
	boundary := now.Truncate(5 * time.Minute)
	for _, sql := range []string{monthOfSignals, monthOfAlerts} {
		if _, err := owner.Exec(ctx, sql, boundary); err != nil {
			return err
		}
	}
	for day := boundary.AddDate(0, 0, -7); day.Before(boundary); day = day.AddDate(0, 0, 1) {
		if _, err := owner.Exec(ctx, "SELECT ensure_snapshot_partitions($1::date, $1::date)", day); err != nil {
			return err
		}
		if _, err := owner.Exec(ctx, weekOfSnapshots, day); err != nil {
			return err
		}
	}
	if err := execute(ctx, owner, theirContributors, theirPositioning); err != nil {
		return err
	}
	for _, sql := range weekOfIncidents {
		var args []any
		if strings.Contains(sql, "$1") {
			args = append(args, boundary)
		}
		if _, err := owner.Exec(ctx, sql, args...); err != nil {
			return err
		}
	}
	if err := execute(ctx, owner, "VACUUM ANALYZE"); err != nil {
		return err
	}
	for _, state := range []struct{ what, prepare string }{
		{"", "SELECT"},
		{"… while STALE, the whole last day failed: ", failLastDay},
	} {
		if err := execute(ctx, owner, state.prepare); err != nil {
			return err
		}
		for _, m := range measuredBoards {
			list, err := boardQueries(m.uid, now.AddDate(0, 0, -m.days), now)
			if err != nil {
				return err
			}
			conn, err := b.connect(ctx, m.role, "board")
			if err != nil {
				return err
			}
			err = b.askBoard(ctx, conn, state.what+m.what, list)
			if err := errors.Join(err, conn.Close(ctx)); err != nil {
				return err
			}
		}
	}
	return nil
}

// askBoard reports the slowest query, and all of them one after the other.
func (b *bench) askBoard(ctx context.Context, board *pgx.Conn, what string, list map[string]string) error {
	const times = 50
	var worst, slowest, sum float64
	var name string
	for where, sql := range list {
		var took []float64
		for range times {
			ms, err := timed(func() error {
				rows, err := board.Query(ctx, sql, pgx.QueryExecModeSimpleProtocol) // as Grafana sends it
				if err != nil {
					return err
				}
				for rows.Next() {
				}
				return rows.Err()
			})
			if err != nil {
				return fmt.Errorf("%s: %w", where, err)
			}
			took = append(took, ms)
		}
		slices.Sort(took)
		if p95 := took[times*95/100]; p95 > worst {
			worst, name = p95, where
		}
		slowest = max(slowest, took[times-1])
		sum += median(took)
	}
	b.add(what, 50, worst, " ms", fmt.Sprintf("p95 of %d of the slowest, %s; %d queries, all of them one after the other %.0f ms, longest of all %.0f ms", times, name, len(list), sum, slowest))
	return nil
}

// boardQueries are the queries of a generated board, as Grafana would fill them
// in for a range.
func boardQueries(uid string, start, end time.Time) (map[string]string, error) {
	files, err := dashboards.Files("")
	if err != nil {
		return nil, err
	}
	from, to := "'"+start.Format(time.RFC3339)+"'", "'"+end.Format(time.RFC3339)+"'"
	fill := strings.NewReplacer("$__timeFrom()", from, "$__timeTo()", to, "${asset:percentencode}", "HYPE")
	list := map[string]string{}
	for _, f := range files {
		if f.V2 || f.UID != uid {
			continue
		}
		var tree any
		if err := json.Unmarshal(f.Body, &tree); err != nil {
			return nil, err
		}
		collect(tree, "annotations", func(name, sql string) {
			sql = timeFilter.ReplaceAllString(sql, "$1 BETWEEN "+from+" AND "+to)
			sql = timeGroup.ReplaceAllString(sql, "floor(extract(epoch FROM $1) / 1200) * 1200")
			list[name] = fill.Replace(sql)
		})
	}
	return list, nil
}

// collect finds the SQL in a board, by the id of its panel.
func collect(tree any, name string, found func(name, sql string)) {
	switch node := tree.(type) {
	case map[string]any:
		if node["gridPos"] != nil {
			name = fmt.Sprintf("panel %v", node["id"])
		}
		if sql, ok := node["rawSql"].(string); ok {
			found(name, sql)
		}
		for _, child := range node {
			collect(child, name, found)
		}
	case []any:
		for _, child := range node {
			collect(child, name, found)
		}
	}
}
