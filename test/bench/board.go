package main

import (
	"context"
	"encoding/json"
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

var timeFilter = regexp.MustCompile(`\$__timeFilter\((\w+)\)`)

// measureBoard asks every query of the board as its role, over the longest
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
	if err := execute(ctx, owner, theirContributors, theirPositioning, "VACUUM ANALYZE"); err != nil {
		return err
	}
	board, err := b.connect(ctx, "whalegate_board", "board")
	if err != nil {
		return err
	}
	defer board.Close(ctx)
	for _, state := range []struct{ what, prepare string }{
		{"any board query, 30 days of signals shown, 7 of snapshots stored", "SELECT"},
		{"… while STALE, the whole last day failed", failLastDay},
	} {
		if err := execute(ctx, owner, state.prepare); err != nil {
			return err
		}
		if err := b.askBoard(ctx, board, state.what, now); err != nil {
			return err
		}
	}
	return nil
}

// askBoard reports the slowest query, and all of them one after the other.
func (b *bench) askBoard(ctx context.Context, board *pgx.Conn, what string, now time.Time) error {
	list, err := boardQueries(now)
	if err != nil {
		return err
	}
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

// boardQueries are the queries of the generated board, as Grafana would fill
// them in for a range of 30 days.
func boardQueries(now time.Time) (map[string]string, error) {
	files, err := dashboards.Files()
	if err != nil {
		return nil, err
	}
	from, to := "'"+now.AddDate(0, 0, -30).Format(time.RFC3339)+"'", "'"+now.Format(time.RFC3339)+"'"
	fill := strings.NewReplacer("$__timeFrom()", from, "$__timeTo()", to, "${asset:percentencode}", "HYPE")
	list := map[string]string{}
	for _, f := range files {
		if f.V2 {
			continue
		}
		var tree any
		if err := json.Unmarshal(f.Body, &tree); err != nil {
			return nil, err
		}
		collect(tree, "annotations", func(name, sql string) {
			list[name] = fill.Replace(timeFilter.ReplaceAllString(sql, "$1 BETWEEN "+from+" AND "+to))
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
