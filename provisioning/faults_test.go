package provisioning_test

// scene is a fault from minute 30 on, or something close to one that is none.
type scene struct {
	name    string
	changes map[string]string // what is not as in healthy
	at      string            // when it is looked at
	fires   []string          // every alert that fires then
}

var scenes = []scene{
	{name: "all is well", at: "90m"},
	{name: "all is well for hours", at: "9h"},
	{name: "all is well, two minutes after a first start", at: "2m"},

	// The process.
	{"the service is dead", withEverythingOf("{service", map[string]string{`up{service}`: "1x29 0x700"}), "33m", []string{"WhalegateDown", "WhalegateNoCycle", "WhalegateSignalsOverdue"}},
	{"the service has been dead for long", withEverythingOf("{service", map[string]string{`up{service}`: "1x29 0x700"}), "40m",
		[]string{"WhalegateDown", "WhalegateNoCycle", "WhalegateStale", "WhalegateSignalsOverdue"}},
	{"nobody scrapes the service", withEverythingOf("{service", map[string]string{`up{service}`: gone}), "32m", []string{"WhalegateDown", "WhalegateSignalsOverdue"}},
	{"the service is restarted", map[string]string{`up{service}`: "1x29 0x0 1x700"}, "30m", nil},
	{"it ends again and again", map[string]string{`process_start_time_seconds{service}`: "100x29 200x3 300x3 400x700"}, "45m", []string{"WhalegateRestarting"}},
	{"a new version and back", map[string]string{`process_start_time_seconds{service}`: "100x29 200x3 300x700"}, "45m", nil},
	{"the watchdog ends again and again", map[string]string{`process_start_time_seconds{watchdog}`: "100x29 200x3 300x3 400x700"}, "45m", []string{"WhalegateRestarting"}},
	{"memory grows without a limit", map[string]string{`process_resident_memory_bytes{service}`: "60000000x29 1500000000x700"}, "40m", []string{"WhalegateMemoryHigh"}},
	{"memory grows towards its limit", map[string]string{`go_gc_gomemlimit_bytes{service}`: "100000000x700", `process_resident_memory_bytes{service}`: "60000000x29 95000000x700"}, "40m", []string{"WhalegateMemoryHigh"}},
	{"memory below its limit", map[string]string{`go_gc_gomemlimit_bytes{service}`: "100000000x700", `process_resident_memory_bytes{service}`: "60000000x29 85000000x700"}, "40m", nil},
	{"a peak of memory", map[string]string{`process_resident_memory_bytes{service}`: "60000000x29 1500000000x3 60000000x700"}, "33m", nil},

	// A halt.
	{"a halt", map[string]string{`whalegate_health_state{service,state="STALE"}`: "0x29 1x700", `whalegate_health_reason{service,reason="halted"}`: "0x29 1x700",
		`whalegate_signal_cycles_total{service,outcome="blocked"}`: "0x29 0+0.2x700", `whalegate_signal_age_seconds{service,asset="BTC"}`: "240x29 240+60x700"}, "50m", []string{"WhalegateHalted", "WhalegateSignalsBlocked"}},
	{"a halt, and a failure under it", map[string]string{`whalegate_health_state{service,state="STALE"}`: "0x29 1x700", `whalegate_health_reason{service,reason="halted"}`: "0x29 1x700",
		`whalegate_health_reason{service,reason="run_failed"}`: "0x29 1x700"}, "50m", []string{"WhalegateHalted", "WhalegateStale"}},

	// Ingestion.
	{"the cycle hangs", map[string]string{`whalegate_cycles_total{service,status="success"}`: "0+1x29 29x700"}, "37m", []string{"WhalegateNoCycle"}},
	{"the cycle hangs for four minutes", map[string]string{`whalegate_cycles_total{service,status="success"}`: "0+1x29 29x4 30+1x700"}, "34m", nil},
	{"every cycle fails", map[string]string{`whalegate_cycles_total{service,status="success"}`: "0+1x29 29x700", `whalegate_cycles_total{service,status="failed"}`: "0x29 1+1x700"}, "34m", []string{"WhalegateIngestionFailing"}},
	{"two cycles fail", map[string]string{`whalegate_cycles_total{service,status="failed"}`: "0x29 1 2x700"}, "37m", nil},
	{"no cycle is counted", map[string]string{`whalegate_cycles_total{service,status="success"}`: gone, `whalegate_cycles_total{service,status="partial"}`: gone, `whalegate_cycles_total{service,status="failed"}`: gone}, "40m", []string{"WhalegateNoCycle"}},
	{"stale", map[string]string{`whalegate_health_state{service,state="STALE"}`: "0x29 1x700", `whalegate_health_reason{service,reason="run_failed"}`: "0x29 1x700"}, "36m", []string{"WhalegateStale"}},
	{"stale for three minutes", map[string]string{`whalegate_health_state{service,state="STALE"}`: "0x29 1x2 0x700", `whalegate_health_reason{service,reason="run_failed"}`: "0x29 1x2 0x700"}, "32m", nil},
	{"health is not exported", map[string]string{`whalegate_health_state{service,state="STALE"}`: gone, `whalegate_health_state{service,state="HEALTHY"}`: gone, `whalegate_health_state{service,state="DEGRADED"}`: gone}, "36m", []string{"WhalegateStale"}},
	{"degraded", map[string]string{`whalegate_health_state{service,state="DEGRADED"}`: "0x29 1x700"}, "41m", []string{"WhalegateDegraded"}},
	{"degraded for nine minutes", map[string]string{`whalegate_health_state{service,state="DEGRADED"}`: "0x29 1x8 0x700"}, "38m", nil},
	{"429s", map[string]string{`whalegate_upstream_requests_total{service,endpoint="state",outcome="rate_limited"}`: "0x29 0+20x700"}, "45m", []string{"WhalegateRateLimited"}},
	{"a storm of 429s", map[string]string{`whalegate_upstream_requests_total{service,endpoint="state",outcome="rate_limited"}`: "0x29 0+400x700"}, "45m", []string{"WhalegateRateLimited", "WhalegateUpstreamFailing"}},
	{"a storm of 429s, just begun", map[string]string{`whalegate_upstream_requests_total{service,endpoint="state",outcome="rate_limited"}`: "0x29 0+400x700"}, "33m", nil},
	{"a few 429s", map[string]string{`whalegate_upstream_requests_total{service,endpoint="state",outcome="rate_limited"}`: "0x29 0+8x700"}, "45m", nil},
	{"a third of the requests times out", map[string]string{`whalegate_upstream_requests_total{service,endpoint="state",outcome="timeout"}`: "0x29 0+100x700"}, "45m", []string{"WhalegateUpstreamFailing"}},
	{"a tenth of the requests times out", map[string]string{`whalegate_upstream_requests_total{service,endpoint="state",outcome="timeout"}`: "0x29 0+22x700"}, "45m", nil},
	{"another form", map[string]string{`whalegate_upstream_requests_total{service,endpoint="state",outcome="schema"}`: "0x29 0+2x700"}, "36m", []string{"WhalegateSchemaChanged"}},
	{"three odd answers", map[string]string{`whalegate_upstream_requests_total{service,endpoint="state",outcome="schema"}`: "0x29 3x700"}, "36m", nil},
	{"a minute without a cycle", map[string]string{`whalegate_cycles_missed_total{service}`: "0x29 1x700"}, "31m", []string{"WhalegateCyclesMissed"}},
	{"cycles of 52 seconds", map[string]string{
		`whalegate_cycle_duration_seconds_bucket{service,le="1"}`:  "0+1x29 29x700",
		`whalegate_cycle_duration_seconds_bucket{service,le="40"}`: "0+1x29 29x700",
		`whalegate_cycle_duration_seconds_bucket{service,le="50"}`: "0+1x29 29x700"}, "56m", []string{"WhalegateCycleSlow"}},
	{"cycles of 52 seconds, not for long", map[string]string{
		`whalegate_cycle_duration_seconds_bucket{service,le="1"}`:  "0+1x29 29x700",
		`whalegate_cycle_duration_seconds_bucket{service,le="40"}`: "0+1x29 29x700",
		`whalegate_cycle_duration_seconds_bucket{service,le="50"}`: "0+1x29 29x700"}, "38m", nil},
	{"cycles of 35 seconds", map[string]string{`whalegate_cycle_duration_seconds_bucket{service,le="1"}`: "0+1x29 29x700"}, "56m", nil},
	{"a collapse of 15 % for one minute", map[string]string{`whalegate_dirty_rows_total{service,asset="BTC"}`: "0x29 30x700"}, "32m", []string{"WhalegateDirtyRows"}},
	{"a collapse of 9 % for one minute", map[string]string{`whalegate_dirty_rows_total{service,asset="BTC"}`: "0x29 18x700"}, "32m", nil},

	// The universe.
	{"a refresh fails", map[string]string{`whalegate_universe_refreshes_total{service,status="failed"}`: "0x29 1x700", `whalegate_upstream_requests_total{service,endpoint="leaderboard",outcome="timeout"}`: "0x29 3x700"}, "31m", []string{"WhalegateUniverseRefreshFailed"}},
	{"a refresh failed two hours ago", map[string]string{`whalegate_universe_refreshes_total{service,status="failed"}`: "0x29 1x700"}, "150m", nil},
	{"no refresh", map[string]string{`whalegate_universe_refreshes_total{service,status="success"}`: "1x700"}, "8h", []string{"WhalegateUniverseOld"}},
	{"no refresh is counted", map[string]string{`whalegate_universe_refreshes_total{service,status="success"}`: gone}, "8h", []string{"WhalegateUniverseOld"}},
	{"a restart just before a refresh, which then waits its six hours", map[string]string{`whalegate_universe_refreshes_total{service,status="success"}`: "0x361 1x700"}, "9h", nil},
	{"churn", map[string]string{`whalegate_universe_churn_ratio{service}`: "0.04x29 0.31x700"}, "31m", []string{"WhalegateUniverseChurn"}},
	{"as much churn as may be", map[string]string{`whalegate_universe_churn_ratio{service}`: "0.04x29 0.3x700"}, "31m", nil},

	// Signals.
	{"a signal cycle is blocked", map[string]string{`whalegate_signal_cycles_total{service,outcome="blocked"}`: "0x29 1x700"}, "31m", []string{"WhalegateSignalsBlocked"}},
	{"a signal cycle was blocked before", map[string]string{`whalegate_signal_cycles_total{service,outcome="blocked"}`: "0x29 1x700"}, "46m", nil},
	{"one asset has no signals", map[string]string{`whalegate_signal_age_seconds{service,asset="ETH"}`: "240x29 300+60x700"}, "40m", []string{"WhalegateSignalsOverdue"}},
	{"a signal comes late", map[string]string{`whalegate_signal_age_seconds{service,asset="ETH"}`: "240x29 720x0 30x700"}, "30m", nil},
	{"a period was skipped", map[string]string{`whalegate_signal_age_seconds{service,asset="ETH"}`: "240x29 300+60x5 0x700"}, "35m", nil},
	{"no signals, as health says", map[string]string{`whalegate_signal_age_seconds{service,asset="ETH"}`: "240x29 300+60x700", `whalegate_health_state{service,state="STALE"}`: "0x29 1x3 0x700"}, "40m", nil},
	{"no age of signals is exported", map[string]string{`whalegate_signal_age_seconds{service,asset="ETH"}`: gone, `whalegate_signal_age_seconds{service,asset="BTC"}`: gone}, "35m", []string{"WhalegateSignalsOverdue"}},
	{"an impossible signal", map[string]string{`whalegate_signal_cycles_total{service,outcome="failed"}`: "0x29 1x700"}, "31m", []string{"WhalegateSignalCycleFailed"}},
	{"the database refuses signals", map[string]string{`whalegate_signal_errors_total{service}`: "0x29 1+1x700"}, "33m", []string{"WhalegateSignalErrors"}},
	{"the database refused signals twice", map[string]string{`whalegate_signal_errors_total{service}`: "0x29 2x700"}, "33m", nil},

	// Alerts.
	{"the database refuses alerts", map[string]string{`whalegate_alert_errors_total{service}`: "0x29 1+1x700"}, "33m", []string{"WhalegateAlertErrors"}},
	{"the database refused alerts twice", map[string]string{`whalegate_alert_errors_total{service}`: "0x29 2x700"}, "33m", nil},
	{"flicker", map[string]string{`whalegate_alerts_suppressed_total{service,reason="cooldown"}`: "0x29 1x10 2x10 3x10 4x10 5x10 6x700"}, "100m", []string{"WhalegateAlertSpam"}},
	{"a lively day, and a pause", map[string]string{`whalegate_alerts_suppressed_total{service,reason="cooldown"}`: "0x29 1x10 2x10 3x10 4x700", `whalegate_alerts_suppressed_total{service,reason="paused"}`: "0x29 9x700",
		`whalegate_alerts_suppressed_total{service,reason="daily_cap"}`: "0x29 1x700"}, "100m", nil},
	{"a delivery was given up", map[string]string{`whalegate_delivery_queue{service,receiver="chat",state="failed"}`: "0x29 1x700", `whalegate_delivery_queue{watchdog,receiver="chat",state="failed"}`: "0x29 1x700"}, "31m", []string{"WhalegateDeliveryFailed"}},
	{"a delivery waits", map[string]string{`whalegate_delivery_oldest_seconds{service,receiver="chat"}`: "0x29 60+60x700"}, "37m", []string{"WhalegateDeliveryOld"}},
	{"a delivery waits while the service is dead", withEverythingOf("{service", map[string]string{`up{service}`: "1x29 0x700", `whalegate_delivery_oldest_seconds{watchdog,receiver="chat"}`: "0x29 300+60x700"}), "33m",
		[]string{"WhalegateDown", "WhalegateNoCycle", "WhalegateSignalsOverdue", "WhalegateDeliveryOld"}},
	{"a delivery after five minutes", map[string]string{`whalegate_delivery_oldest_seconds{service,receiver="chat"}`: "0x29 310x0 0x700"}, "30m", nil},
	{"a delivery waited four minutes", map[string]string{`whalegate_delivery_oldest_seconds{service,receiver="chat"}`: "0x29 60+60x3 0x700"}, "33m", nil},
	{"a receiver refuses", map[string]string{`whalegate_deliveries_total{service,receiver="chat",outcome="retry"}`: "0x29 1+1x700"}, "33m", []string{"WhalegateDeliveryFailing"}},
	{"a receiver refused twice", map[string]string{`whalegate_deliveries_total{service,receiver="chat",outcome="retry"}`: "0x29 2x700"}, "33m", nil},
	{"the database keeps the watchdog from sending", map[string]string{`whalegate_delivery_errors_total{watchdog}`: "0x29 1+1x700"}, "33m", []string{"WhalegateDeliveryErrors"}},
	{"the database kept the outbox twice", map[string]string{`whalegate_delivery_errors_total{service}`: "0x29 2x700"}, "33m", nil},
	{"the monitor elsewhere does not answer", map[string]string{`whalegate_heartbeats_total{service,outcome="error"}`: "0x29 1+1x700"}, "37m", []string{"WhalegateHeartbeatFailing"}},
	{"three heartbeats are lost", map[string]string{`whalegate_heartbeats_total{service,outcome="error"}`: "0x29 3x700"}, "37m", nil},

	// The database.
	{"the database is down", map[string]string{`whalegate_health_state{service,state="STALE"}`: "0x29 1x700", `whalegate_health_reason{service,reason="database"}`: "0x29 1x700",
		`whalegate_signal_age_seconds{service,asset="BTC"}`: "240x29 1e9x700", `whalegate_database_size_bytes{service}`: gone}, "32m", []string{"WhalegateDatabaseUnreachable"}},
	{"the database has been down for long", map[string]string{`whalegate_health_state{service,state="STALE"}`: "0x29 1x700", `whalegate_health_reason{service,reason="database"}`: "0x29 1x700",
		`whalegate_runs_unsaved{service,reason="database"}`: "0x29 1+1x700", `whalegate_signal_age_seconds{service,asset="BTC"}`: "240x29 1e9x700", `whalegate_watchdog_database_answered_timestamp_seconds{watchdog}`: "0+60x29 1740x700"}, "36m",
		[]string{"WhalegateDatabaseUnreachable", "WhalegateRunsUnsaved", "WhalegateStale", "WhalegateWatchdogBlind"}},
	{"the database is restarted", map[string]string{`whalegate_health_state{service,state="STALE"}`: "0x29 1x3 0x700", `whalegate_health_reason{service,reason="database"}`: "0x29 1x0 0x700", `whalegate_runs_unsaved{service,reason="database"}`: "0x29 1x1 0x700"}, "30m", nil},
	{"the database is slow", map[string]string{`whalegate_database_round_trip_seconds_bucket{service,le="0.5"}`: "0+100x29 2990+90x700"}, "46m", []string{"WhalegateDatabaseSlow"}},
	{"the database is slow for some minutes", map[string]string{`whalegate_database_round_trip_seconds_bucket{service,le="0.5"}`: "0+100x29 2990+90x700"}, "38m", nil},
	{"the database is slow at times", map[string]string{`whalegate_database_round_trip_seconds_bucket{service,le="0.5"}`: "0+100x29 2998+98x700"}, "46m", nil},
	{"every connection is in use", map[string]string{`whalegate_database_connections{service,state="in_use"}`: "2x29 8x700"}, "33m", []string{"WhalegateDatabasePoolExhausted"}},
	{"every connection is in use for a minute", map[string]string{`whalegate_database_connections{service,state="in_use"}`: "2x29 8x1 2x700"}, "31m", nil},
	{"two minutes could not be stored yet", map[string]string{`whalegate_runs_unsaved{service,reason="database"}`: "0x29 1+1x700"}, "32m", nil},
	{"almost every connection is in use", map[string]string{`whalegate_database_connections{service,state="in_use"}`: "2x29 7x700"}, "33m", nil},
	{"failed checks are lost", map[string]string{`whalegate_qa_events_unsaved_total{service}`: "0x29 1x700"}, "31m", []string{"WhalegateChecksUnsaved"}},
	{"a run from the future", map[string]string{`whalegate_health_state{service,state="STALE"}`: "0x29 1x700", `whalegate_health_reason{service,reason="clock_skew"}`: "0x29 1x700"}, "33m", []string{"WhalegateClockSkew"}},
	{"a run from the future, of one minute", map[string]string{`whalegate_health_state{service,state="STALE"}`: "0x29 1x1 0x700", `whalegate_health_reason{service,reason="clock_skew"}`: "0x29 1x1 0x700"}, "31m", nil},
	{"the disk fills", map[string]string{`whalegate_database_disk_free_bytes{service}`: "50000000000x29 14000000000x700"}, "38m", []string{"WhalegateDatabaseDiskFilling"}},
	{"the disk is full", map[string]string{`whalegate_database_disk_free_bytes{service}`: "50000000000x29 4000000000x700"}, "38m", []string{"WhalegateDatabaseDiskFilling", "WhalegateDatabaseDiskFull"}},
	{"a moment without room", map[string]string{`whalegate_database_disk_free_bytes{service}`: "50000000000x29 4000000000x1 50000000000x700"}, "31m", nil},
	{"a short time with little room", map[string]string{`whalegate_database_disk_free_bytes{service}`: "50000000000x29 14000000000x700"}, "34m", nil},
	{"a disk that is used well", map[string]string{`whalegate_database_disk_free_bytes{service}`: "50000000000x29 16000000000x700"}, "36m", nil},
	{"a database elsewhere", map[string]string{`whalegate_database_disk_free_bytes{service}`: gone, `whalegate_database_disk_size_bytes{service}`: gone}, "90m", nil},
	{"the reserve of the disk is reached", map[string]string{`whalegate_qa_failures_total{service,check_id="S8"}`: "0x29 1+1x700"}, "31m", []string{"WhalegateDiskStopsIngestion"}},
	{"there is room again", map[string]string{`whalegate_qa_failures_total{service,check_id="S8"}`: "0x29 1+1x5 6x700"}, "42m", nil},
	{"nobody prunes", map[string]string{`whalegate_prune_last_success_timestamp_seconds{service}`: "-180000x700"}, "130m", []string{"WhalegateNotPruned"}},
	{"a prune is an hour late", map[string]string{`whalegate_prune_last_success_timestamp_seconds{service}`: "-180000x700"}, "60m", nil},
	{"pruned yesterday", map[string]string{`whalegate_prune_last_success_timestamp_seconds{service}`: "-150000x700"}, "130m", nil},
	{"the database outgrows its disk", map[string]string{`whalegate_database_size_bytes{service}`: "1000000000+12000000x700"}, "7h", []string{"WhalegateDatabaseGrowing"}},
	{"the database grows fast for hours", map[string]string{`whalegate_database_size_bytes{service}`: "1000000000+12000000x700"}, "4h", nil},
	{"the database grows, and the disk is large", map[string]string{`whalegate_database_size_bytes{service}`: "1000000000+10000000x700"}, "7h", nil},

	// The watchdog.
	{"the watchdog is dead", withEverythingOf("{watchdog", map[string]string{`up{watchdog}`: "1x29 0x700"}), "33m", []string{"WhalegateWatchdogDown"}},
	{"there is no watchdog", withEverythingOf("{watchdog", map[string]string{`up{watchdog}`: gone}), "33m", []string{"WhalegateWatchdogDown"}},
	{"the watchdog is restarted", map[string]string{`up{watchdog}`: "1x29 0x0 1x700"}, "30m", nil},
	{"the watchdog alone cannot ask", map[string]string{`whalegate_watchdog_database_answered_timestamp_seconds{watchdog}`: "0+60x29 1740x700"}, "35m", []string{"WhalegateWatchdogBlind"}},
	{"the watchdog missed a look", map[string]string{`whalegate_watchdog_database_answered_timestamp_seconds{watchdog}`: "0+60x29 1740x2 1980+60x700"}, "32m", nil},
}
