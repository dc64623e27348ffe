package dashboards

import (
	"github.com/grafana/grafana-foundation-sdk/go/common"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
)

func alertPanels() []panel {
	return []panel{
		{"alert-hours", 510, at(5, 0, 10, 6), bars(tint(lines("Alerts an hour: sent, or why not", "short", stored(`SELECT hour AS "time", replace(alert_type, '_', ' ') || ': ' || replace(outcome, '_', ' ') AS metric, alerts FROM ops.alert_hours
WHERE $__timeFilter(hour) AND (alerts > 0 OR outcome = 'sent') ORDER BY 1, 2`)), [2]string{"system stale: sent", haltRed}))},
		{"alert-rules", 511, at(15, 0, 9, 6), operator.list("Do the rules of alerting hold? Last 24 h", "none", "ops.alert_rules", "place", 10,
			column{"rule", "Rule", 0}, column{"figure || ''", "Figure", 80}, column{"allowed || ''", "At most", 80}, column{"CASE WHEN holds THEN 'yes' ELSE 'NO' END", "Holds", 80}).
			Mappings(operator.paint([2]string{"/^NO$/", haltRed})).
			OverrideByName("Holds", []dashboard.DynamicConfigValue{{Id: "custom.cellOptions", Value: cell("color-text")}, color("text")})},
		{"hysteresis", 512, at(5, 6, 11, 6), operator.list("Hysteresis: what is remembered, of how many assets", "none", "ops.alert_memory", "place", 10,
			column{"replace(alert_type, '_', ' ')", "Alert", 130}, column{"remembered || ''", "Assets", 70}, column{"cooling || coalesce(', until ' || to_char(cooling_until AT TIME ZONE 'UTC', 'HH24:MI'), '')", "In cooldown", 0},
			column{"CASE alert_type WHEN 'regime_change' THEN pending || '' END", "Pending", 80}, column{"CASE WHEN is_active THEN 'ACTIVE' WHEN NOT is_active THEN 'no' ELSE 'not told' END", "Active", 80}, column{when("last_period"), "Last period", 110})},
		{"deliveries", 513, at(0, 12, 12, 5), operator.list("Deliveries by receiver", "no delivery in a week", "ops.deliveries", "receiver", 20,
			column{"receiver", "Receiver", 0}, column{"pending || ''", "Pending", 70}, column{"unknown || ''", "Unknown", 85}, column{"failed || ''", "Failed 24 h", 95}, column{"delivered || ''", "Sent 24 h", 90},
			column{"trunc(oldest_seconds / 60) || ' min'", "Oldest", 80}, column{"last_error", "Last error", 130})},
		{"attempts", 514, at(12, 12, 6, 5), lines("Attempts to deliver, an hour", "short", measured([2]string{`sum by (receiver, outcome) (increase(whalegate_deliveries_total[1h])) > 0`, "{{receiver}} {{outcome}}"}))},
		{"queue", 515, at(18, 12, 6, 5), lines("Oldest still to deliver", "s", measured([2]string{`max by (receiver) (whalegate_delivery_oldest_seconds)`, "{{receiver}}"}))},
		{"evaluations", 516, at(16, 6, 8, 6), bars(lines("Periods of an asset not evaluated, an hour", "short", measured([2]string{`sum by (reason) (increase(whalegate_alert_evaluations_blocked_total[1h]))`, "{{reason}}"})))},
	}
}

func truthPanels() []panel {
	names := map[string]dashboard.ValueMappingResult{
		"1": {Text: new("HEALTHY"), Color: new(calm), Index: new(int32(0))},
		"2": {Text: new("DEGRADED"), Color: new(yellow), Index: new(int32(1))},
		"3": {Text: new("STALE"), Color: new(haltRed), Index: new(int32(2))},
	}
	// The worst of an instance's states, and of all: one that cannot ask the database
	// says STALE while the others say what it is.
	const states = `(1 * whalegate_health_state{state="HEALTHY"} or 2 * whalegate_health_state{state="DEGRADED"} or 3 * whalegate_health_state{state="STALE"})`
	return []panel{
		{"state-database", 610, at(5, 0, 15, 4), timeline("State by the database, as the service stored it", spans("ts", `to_state AS "state"`, "ops.health_transitions"), operator.paint(stateColors...)[1:])},
		{"state-now", 611, at(20, 0, 4, 4), operator.tiles("Now by the database", "SELECT label, value FROM ops.board_truth WHERE place = 1").
			TextMode(common.BigValueTextModeValue).
			Mappings(operator.paint([2]string{"/^HEALTHY$/", calm}, [2]string{"/^DEGRADED$/", orange}, [2]string{"/^STALE$/", haltRed}))},
		{"state-metrics", 612, at(5, 4, 15, 4), timeline("State by the metrics, as Prometheus scraped it", metrics("A", "max by (instance) "+states, "{{instance}}"), codes(names)).NoValue(nothingMeasured)},
		{"state-scraped", 613, at(20, 4, 4, 4), number("Now by the metrics", "short", "max "+states, "state").
			ColorMode(common.BigValueColorModeBackgroundSolid).
			TextMode(common.BigValueTextModeValue).
			Mappings(codes(names))},
	}
}

func databasePanels() []panel {
	return []panel{
		{"tables", 710, at(5, 0, 11, 7), operator.list("Largest tables, with their indexes", "none", "ops.tables", "bytes DESC NULLS FIRST", 8,
			column{"name", "Table", 0}, column{"CASE WHEN locked_parts > 0 THEN locked_parts || ' of ' || parts || ' LOCKED' ELSE pg_size_pretty(bytes) END", "Size", 110}, column{"CASE WHEN parts > 1 THEN parts || ', ' || coalesce(pg_size_pretty(largest_part_bytes), 'locked') END", "Days, largest", 120},
			column{"dead_rows || ''", "Dead rows", 100}, column{when("last_vacuum"), "Vacuum (UTC)", 120})},
		{"connections", 711, at(16, 0, 8, 7), operator.list("Connections", "none", "ops.connections", "sessions DESC, role, state", 20,
			column{"role", "Role", 0}, column{"state", "State", 110}, column{"sessions || ''", "Sessions", 80}, column{"round(longest_transaction_seconds::numeric, 1) || ' s'", "Transaction", 100})},
		{"slow-queries", 712, at(0, 12, 12, 5), operator.list("Statements and transactions of a second and more", "none", "ops.slow_queries", "greatest(statement_seconds, transaction_seconds) DESC", 20,
			column{"role", "Role", 0}, column{"pid || ''", "Pid", 70}, column{"state", "State", 130}, column{"statement", "Statement", 90}, column{"round(statement_seconds::numeric, 1) || ' s'", "Runs", 70},
			column{"round(transaction_seconds::numeric, 1) || ' s'", "Open", 70}, column{"waits_for", "Waits for", 120})},
		{"locks", 713, at(12, 12, 12, 5), operator.list("Waiting for a lock", "none", "ops.locks", "waited_seconds DESC NULLS LAST", 20,
			column{"role", "Role", 130}, column{"pid || ''", "Pid", 70}, column{"wants", "Wants", 150}, column{"relation", "Of", 130}, column{"round(waited_seconds::numeric, 1) || ' s'", "Since", 70}, column{"held_by", "Held by", 0})},
		{"pool", 714, at(5, 7, 6, 5), lines("Connections of the service, and its limit", "short", measured([2]string{`max by (state) (whalegate_database_connections)`, "{{state}}"}))},
		{"pool-waits", 715, at(11, 7, 6, 5), lines("Waiting for a connection, seconds a minute", "s", measured([2]string{`sum(rate(whalegate_database_connection_wait_seconds_total[$__rate_interval])) * 60`, "waited"}))},
		{"disk", 716, at(17, 7, 7, 5), number("Disk of the database, free", "bytes", `whalegate_database_disk_free_bytes`, "{{instance}}").
			NoValue("NOT MEASURED: no --database-disk is given, or NO ANSWER from Prometheus")},
		{"clock-facts", 717, at(0, 17, 8, 11), moreFacts("Clock", "clock", "Whether the database's clock and the stored runs agree, which minutes were refused because the clock had shown them before, and who settled it. On a standby, how old the primary's beat is.")},
		{"clock-reasons", 718, at(8, 17, 16, 5), timeline("A clock is wrong, or a standby lags, as Prometheus scraped it",
			metrics("A", `max by (reason) (whalegate_health_reason{job="whalegate", reason=~"clock_skew|clock_back|replica_lag"})`, "{{reason}}"), codes(map[string]dashboard.ValueMappingResult{
				"0": {Text: new("no"), Color: new(calm), Index: new(int32(0))},
				"1": {Text: new("STALE"), Color: new(haltRed), Index: new(int32(1))},
			})).
			Description("Each of these makes the state STALE until the clocks agree: clock_skew, a stored run is later than the clock; clock_back, minutes are refused; replica_lag, the server is a standby that does not know the present.").
			NoValue(nothingMeasured)},
		{"refused", 719, at(8, 22, 16, 6), bars(tint(lines("Minutes refused, an hour", "short", measured([2]string{`sum by (reason) (increase(whalegate_runs_refused_total{job="whalegate"}[1h]))`, "{{reason}}"})), [2]string{"clock_back", haltRed})).
			Description("Minutes that were not stored, because what is stored must stay: clock_back, the clock has shown them before; worse, what is stored is at least as good, or a signal has judged it.")},
	}
}

func haltPanels() []panel {
	return []panel{
		{"halts", 810, at(5, 0, 19, 5), operator.list("Halts: the incident record", "none ever", "ops.halts", "halted_at DESC", 20,
			column{when("halted_at"), "Halted (UTC)", 110}, column{"halted_by", "By", 120}, column{"CASE WHEN in_force THEN 'IN FORCE, ' ELSE '' END || length", "Length", 130}, column{"reason", "Reason", 0}, column{"cause", "Cause", 0}, column{"actions", "Actions", 0})},
		{"pauses", 811, at(5, 5, 19, 5), operator.list("Pauses of behavioural alerts", "none ever", "ops.pauses", "paused_at DESC", 20,
			column{when("paused_at"), "Paused (UTC)", 110}, column{"paused_by", "By", 120}, column{"CASE WHEN in_force THEN 'IN FORCE, ' ELSE '' END || to_char(coalesce(unpaused_at, until) AT TIME ZONE 'UTC', 'HH24:MI')", "Until", 130}, column{"reason", "Reason", 0})},
	}
}

func crashPanels() []panel {
	const service = `{job=~"whalegate.*"}`
	return []panel{
		{"up", 910, at(5, 0, 5, 5), timeline("Scraped", metrics("A", `up`+service, "{{instance}}"), codes(map[string]dashboard.ValueMappingResult{
			"0": {Text: new("down"), Color: new(haltRed), Index: new(int32(0))},
			"1": {Text: new("up"), Color: new(calm), Index: new(int32(1))},
		})).NoValue(nothingMeasured)},
		{"restarts", 911, at(10, 0, 5, 5), bars(lines("Starts, an hour", "short", measured([2]string{`sum by (instance) (changes(process_start_time_seconds` + service + `[1h]))`, "{{instance}}"})))},
		{"memory", 912, at(15, 0, 5, 5), lines("Memory", "bytes", measured(
			[2]string{`max by (instance) (process_resident_memory_bytes` + service + `)`, "resident {{instance}}"}, [2]string{`max by (instance) (go_memstats_heap_inuse_bytes` + service + `)`, "heap {{instance}}"}))},
		{"goroutines", 913, at(20, 0, 4, 5), lines("Goroutines", "short", measured([2]string{`max by (instance) (go_goroutines` + service + `)`, "{{instance}}"}))},
		{"transitions", 914, at(5, 5, 19, 5), operator.list("Changes of state that the service saw; UNKNOWN is a start", "none yet", "ops.health_transitions", "ts DESC", 30,
			column{when("ts"), "At (UTC)", 110}, column{"from_state", "From", 100}, column{"to_state", "To", 100}, column{"array_to_string(reasons, ', ')", "Reasons", 0})},
		{"collector-facts", 915, at(0, 10, 8, 8), moreFacts("Who leads", "collector", "Which collector leads, by its row and its lock: host and process, since when, how old its beat and its newest good run are, and which others wait.")},
		{"leader", 916, at(8, 10, 10, 8), timeline("Leads or waits, as Prometheus scraped it", metrics("A", `whalegate_leader`+service, "{{instance}}"), codes(map[string]dashboard.ValueMappingResult{
			"0": {Text: new("waits"), Color: new(grey), Index: new(int32(0))},
			"1": {Text: new("leads"), Color: new(calm), Index: new(int32(1))},
		})).
			Description("One collector leads and writes; the others wait, ask the exchange for nothing, and take over when it is gone.").
			NoValue(nothingMeasured)},
		{"take-overs", 917, at(18, 10, 6, 8), bars(lines("Lead taken and lost, an hour", "short", measured(
			[2]string{`sum by (instance) (increase(whalegate_leader_takeovers_total` + service + `[1h]))`, "taken {{instance}}"}, [2]string{`sum by (instance) (increase(whalegate_leader_losses_total` + service + `[1h]))`, "lost {{instance}}"}))).
			Description("A restart or an upgrade is one take-over. More than a few in an hour: a collector hangs at times, or its way to the database does.")},
	}
}
