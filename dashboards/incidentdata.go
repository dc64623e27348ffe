package dashboards

import (
	"fmt"

	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
	"github.com/grafana/grafana-foundation-sdk/go/table"
)

// Texts of times in tables: UTC, as everywhere.
const (
	dayAndTime = "to_char(%s AT TIME ZONE 'UTC', 'MM-DD HH24:MI')"
	inRange    = " WHERE until_ts > $__timeFrom() AND %[1]s <= $__timeTo() ORDER BY 1"
)

func when(column string) string { return fmt.Sprintf(dayAndTime, column) }

// spans are the states of a range: the first began before it.
func spans(column, state, relation string) sqlQuery {
	return sqlQuery{Source: OpsSource, RefID: "A", Format: tableFormat, RawSQL: fmt.Sprintf(
		`SELECT greatest(%[1]s, $__timeFrom()::timestamptz) AS "time", %[2]s FROM %[3]s`+inRange, column, state, relation)}
}

func ingestionPanels() []panel {
	return []panel{
		{"run-status", 110, at(5, 0, 7, 5), timeline("Runs by status", spans("from_ts", "status", "ops.run_spans"), operator.paint(stateColors...)[1:])},
		{"coverage", 111, at(12, 0, 6, 5), limits(minutes(lines("Coverage and readable sizes, %", "percent", stored(`SELECT timestamp AS "time", coverage_pct::float8 AS "coverage", hype_non_null_pct::float8 AS "HYPE", btc_non_null_pct::float8 AS "BTC", eth_non_null_pct::float8 AS "ETH"
FROM ops.runs WHERE $__timeFilter(timestamp) AND NOT superseded ORDER BY 1`))), 80, 90).Max(100)},
		{"wallet-failures", 112, at(18, 0, 6, 5), bars(lines("Wallets that failed, by reason", "short", stored(`SELECT timestamp AS "time", reason AS metric, wallets FROM ops.run_failures WHERE $__timeFilter(timestamp) ORDER BY 1, 2`)))},
		{"requests", 113, at(5, 5, 5, 5), lines("Requests a minute, by outcome", "short", measured(
			[2]string{`sum by (outcome) (rate(whalegate_upstream_requests_total[$__rate_interval])) * 60 > 0`, "{{outcome}}"}, [2]string{`sum(rate(whalegate_upstream_requests_total[$__rate_interval])) * 60`, "all"})).
			OverrideByName("all", []dashboard.DynamicConfigValue{color(lineGrey)})},
		{"rate-limit", 114, at(10, 5, 5, 5), lines("Answers of 429, and weight left", "short", measured(
			[2]string{`sum(increase(whalegate_rate_limited_total[$__rate_interval]))`, "429"}, [2]string{`min(whalegate_rate_limit_tokens)`, "weight left"})).
			OverrideByName("weight left", []dashboard.DynamicConfigValue{{Id: "custom.axisPlacement", Value: "right"}, color(lineGrey)}).
			OverrideByName("429", []dashboard.DynamicConfigValue{color(haltRed)})},
		{"cycle-duration", 115, at(15, 5, 5, 5), tint(lines("Cycle against its budget", "s", measured(
			[2]string{`histogram_quantile(0.95, sum by (le) (rate(whalegate_cycle_duration_seconds_bucket[5m])))`, "p95 of 5 min"}, [2]string{`max(whalegate_cycle_budget_seconds)`, "budget"})),
			[2]string{"budget", haltRed})},
		{"snapshot-age", 116, at(20, 5, 4, 5), limits(lines("Snapshot age", "s", measured([2]string{`max(whalegate_snapshot_age_seconds < Inf)`, "age"})), 120, 600)},
		{"checks-ingestion", 117, at(0, 10, 12, 5), checks("Failed checks of ingestion (S)", "S", true)},
		{"failed-runs", 118, at(12, 10, 12, 5), operator.list("Newest runs that were not clean", "none", "ops.runs WHERE NOT is_clean AND NOT superseded", "timestamp DESC", 20,
			column{when("timestamp"), "Minute (UTC)", 110}, column{"status", "Status", 70}, column{"coverage_pct || ' %'", "Coverage", 90}, column{"failed_check", "Check", 80}, column{"error", "Error", 0})},
		{"accounts-facts", 119, at(0, 15, 8, 9), moreFacts("Accounts and coins", "accounts", "Of how many wallets the accounts are known, how far a first start is, and what the exchange last said of our coins (S12).")},
		{"coins", 120, at(8, 15, 8, 4), operator.list("What the exchange says of our coins", "none", "ops.exchange_meta", "place", 3,
			column{"asset", "Coin", 70}, column{"verdict", "Verdict", 0}, column{"coalesce(sz_decimals || '', '–') || ' of ' || expected_decimals", "Decimals", 90}, column{when("answered_at"), "Answered (UTC)", 110})},
		{"state-lag", 121, at(8, 19, 8, 5), limits(lines("Oldest state that the exchange answered with, age", "s", measured([2]string{`max(whalegate_state_lag_seconds and on (job, instance) whalegate_leader == 1)`, "lag"})), 120).
			Description("How far the oldest of the newest answers lies behind the present, believed or not. States older than two minutes are not believed (S9): their wallets fail.")},
		{"accounts-known", 122, at(16, 15, 8, 9), lines("Wallets whose accounts are known", "short", measured(
			[2]string{`max(whalegate_accounts_known_wallets)`, "known"}, [2]string{`max(whalegate_accounts_wallets)`, "all"})).
			OverrideByName("all", []dashboard.DynamicConfigValue{color(lineGrey)})},
	}
}

// checks is a table of the failed checks whose ids begin with a letter; a wide one
// also says since when, and what was done about them.
func checks(title, letter string, wide bool) *table.PanelBuilder {
	columns := []column{{when("last_ts"), "Last (UTC)", 110}, {"check_id", "Check", 60}, {"severity", "Severity", 80}, {"subject", "Subject", 80}, {"occurrences || ''", "Times", 0}}
	if wide {
		columns[4].width = 60
		columns = append(columns, column{when("first_ts"), "Since (UTC)", 110}, column{"action_taken", "Done about it", 0})
	}
	return operator.list(title, "none", "ops.failed_checks WHERE left(check_id, 1) = '"+letter+"'", "last_ts DESC", 20, columns...)
}

func universePanels() []panel {
	return []panel{
		{"received", 210, at(5, 0, 7, 5), lines("Wallets received", "short", stored(`SELECT as_of_ts AS "time", n_received AS "received", n_requested AS "requested" FROM ops.universe_runs WHERE $__timeFilter(as_of_ts) ORDER BY 1`)).ShowPoints("always")},
		{"churn", 211, at(12, 0, 6, 5), limits(lines("Churn, %; three in a row above 30 refuse it", "percent", stored(`SELECT as_of_ts AS "time", churn_pct::float8 AS "churn" FROM ops.universe_runs WHERE $__timeFilter(as_of_ts) ORDER BY 1`)).ShowPoints("always"), 30)},
		{"refreshes", 212, at(18, 0, 6, 5), bars(tint(lines("Refreshes by status, an hour", "short", measured([2]string{`sum by (status) (increase(whalegate_universe_refreshes_total[1h]))`, "{{status}}"})), [2]string{"failed", haltRed}, [2]string{"success", calm}))},
		{"universe-runs", 213, at(5, 5, 11, 5), operator.list("Newest refreshes", "none", "ops.universe_runs", "as_of_ts DESC", 20,
			column{when("as_of_ts"), "At (UTC)", 110}, column{"status", "Status", 80}, column{"n_received || ' of ' || n_requested", "Received", 100}, column{"entered_count || ' in, ' || exited_count || ' out'", "Churn", 120},
			column{"churn_warning_count || ''", "Warnings", 80}, column{"error", "Error", 0})},
		{"checks-universe", 214, at(16, 5, 8, 5), checks("Failed checks of the universe (U)", "U", false)},
	}
}

func signalPanels() []panel {
	return []panel{
		{"cycles", 310, at(5, 0, 10, 5), timeline("Signal cycles by what became of them", sqlQuery{Source: OpsSource, RefID: "A", Format: tableFormat,
			RawSQL: `SELECT timestamp AS "time", outcome FROM ops.signal_cycles WHERE $__timeFilter(timestamp) ORDER BY 1`}, operator.paint(stateColors...)[1:])},
		{"blocked", 311, at(15, 0, 9, 5), bars(lines("Cycles without signals, an hour, by each reason", "short", stored(`SELECT hour AS "time", reason AS metric, count(*) AS cycles FROM ops.blocked_cycles WHERE $__timeFilter(timestamp) GROUP BY 1, 2 ORDER BY 1, 2`)))},
		{"signal-age", 312, at(5, 5, 10, 5), limits(lines("Age of the newest signal", "s", measured([2]string{`max by (asset) (whalegate_signal_age_seconds < Inf)`, "{{asset}}"})), 600)},
		{"checks-signals", 313, at(15, 5, 9, 5), checks("Failed checks of the signals (G)", "G", false)},
	}
}

func dirtyPanels() []panel {
	return []panel{
		{"dirty", 410, at(5, 0, 11, 8), limits(lines("Dirty rows of an asset, %: the worst minute of each step", "percent", stored(`SELECT $__timeGroup(timestamp, $__interval) AS "time", max(hype_pct) AS "HYPE", max(btc_pct) AS "BTC", max(eth_pct) AS "ETH"
FROM ops.dirty_minutes WHERE $__timeFilter(timestamp) GROUP BY 1 ORDER BY 1`)), 10, 20)},
		{"dirty-hours", 411, at(16, 0, 8, 8), operator.list("Dirty rows by the hour, %", "none in a day", "ops.dirty_hours", "hour DESC", 24,
			column{when("hour"), "Hour (UTC)", 110}, column{"hype_pct || ''", "HYPE", 70}, column{"btc_pct || ''", "BTC", 70}, column{"eth_pct || ''", "ETH", 70}, column{"worst_minute_pct || ''", "Worst minute", 0})},
		{"all-at-once", 412, at(0, 8, 24, 5), operator.list("What happened to all holders of an asset at once (S11)", "none ever", "ops.baselines", "opened_ts DESC", 20,
			column{when("opened_ts"), "Minute (UTC)", 110}, column{"subject", "What", 150}, column{"affected || ' of ' || holders", "Wallets", 110}, column{"outcome", "Outcome", 150},
			column{when("ended_ts"), "Ended (UTC)", 110}, column{"accepted_by", "Accepted by", 0})},
	}
}
