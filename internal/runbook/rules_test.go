package runbook

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgerrcode"

	"github.com/whalegate/whalegate/internal/facts"
	"github.com/whalegate/whalegate/internal/health"
)

// Every fault of a game day, and what has to be named first.
func TestTheCauseIsNamedFirst(t *testing.T) {
	for _, tt := range []struct {
		name  string
		fault func(*Facts)
		first string // slug; "" for none
		worst Severity
		after string // must be named as well, later
		exit  int
	}{
		{"nothing", func(*Facts) {}, "", "", "", 0},

		{"1: 429 storm", func(f *Facts) { f.storm(3, 200, "rate_limited") }, "ingestion", P1, "signal-lock", 2},
		{"1: 429, and it asks for an hour", func(f *Facts) {
			f.storm(3, 200, "rate_limited")
			f.Service.Metrics["whalegate_upstream_retry_after_seconds"] = 3600
		}, "ingestion", P1, "signal-lock", 2},
		{"1: time-outs", func(f *Facts) { f.storm(3, 200, "timeout") }, "ingestion", P1, "signal-lock", 2},
		{"1: time-outs that leave no time for the rest", func(f *Facts) {
			f.storm(3, 200, "abandoned")
			for i := range 3 {
				f.Stored.Runs[i].Failures = map[string]int{"abandoned": 184, "timeout": 16}
			}
		}, "ingestion", P1, "signal-lock", 2},
		{"1: connection refused", func(f *Facts) { f.storm(3, 200, "connection") }, "ingestion", P1, "signal-lock", 2},
		{"1: schema change", func(f *Facts) { f.storm(3, 200, "schema") }, "ingestion", P1, "signal-lock", 2},
		{"1: 30 % of wallets failing", func(f *Facts) { f.storm(3, 60, "server_error") }, "ingestion", P1, "signal-lock", 2},
		{"1: 15 % of wallets failing", func(f *Facts) {
			f.Stored.Runs[0] = bad(0, 30, "server_error")
			f.state(health.Degraded, "coverage")
		}, "ingestion", P2, "", 1},
		{"1: paused past 10 minutes", func(f *Facts) {
			f.silent(12)
			f.Service = Service{URL: f.Service.URL, Trouble: Hanging, Error: "no answer"}
		}, "ingestion", P1, "signal-lock", 2},
		{"1: paused for 4 minutes", func(f *Facts) {
			f.silent(4)
			f.Service = Service{URL: f.Service.URL, Trouble: Hanging, Error: "no answer"}
		}, "ingestion", P2, "", 1},
		{"1: paused, and the database gone", func(f *Facts) {
			f.unreached(Unreachable, "refused")
			f.Service = Service{URL: f.Service.URL, Trouble: Hanging, Error: "no answer"}
		}, "database", P1, "ingestion", 2},
		{"1: went on after a pause", func(f *Facts) {
			f.Stored.Runs = slices.Delete(f.Stored.Runs, 1, 13)
			f.state(health.Stale, "recovering")
		}, "ingestion", P1, "signal-lock", 2},
		{"1: lives, and takes no snapshot", func(f *Facts) { f.silent(12) }, "ingestion", P1, "signal-lock", 2},
		{"1: sizes that cannot be read", func(f *Facts) { f.state(health.Stale, "null_szi:BTC") }, "ingestion", P1, "signal-lock", 2},
		{"1: recovering", func(f *Facts) {
			f.Stored.Runs[1] = bad(1, 200, "timeout")
			f.state(health.Stale, "recovering")
		}, "ingestion", P1, "signal-lock", 2},
		{"1: the system alert still holds", func(f *Facts) { f.state(health.Stale, "system_stale") }, "ingestion", P1, "signal-lock", 2},
		{"1: recovering from what is not stored", func(f *Facts) { f.state(health.Stale, "recovering") }, "ingestion", P1, "signal-lock", 2},
		{"1: recovered", func(f *Facts) { f.Stored.Runs[4] = bad(4, 200, "timeout") }, "", "", "", 0},
		{"1: a new installation asks for sub-accounts", func(f *Facts) { f.storm(3, 150, "accounts_unknown") }, "ingestion", P1, "", 2},

		{"1: a first start, as announced", func(f *Facts) { f.search(6*time.Minute, 120) }, "", "", "", 0},
		{"1: a first start in which the search goes first", func(f *Facts) {
			f.search(6*time.Minute, 20)
			for i := range f.Stored.Runs {
				f.Stored.Runs[i].Failures = map[string]int{"accounts_first": 120, "accounts_unknown": 80}
			}
		}, "", "", "", 0},
		{"1: a first start whose first minute is not in yet", func(f *Facts) {
			f.search(time.Minute, 1)
			f.Stored.Runs = nil
			f.state(health.Stale, "no_runs")
		}, "", "", "", 0},
		{"1: a first start whose universe is in, and no minute since", func(f *Facts) {
			f.search(time.Minute, 1)
			f.Stored.Runs[0] = Run{Timestamp: minute(0), Status: "failed", Check: "S2", Error: "S2: there is no universe yet"}
		}, "", "", "", 0},
		{"1: the search has ended, and two clean minutes are not in yet", func(f *Facts) {
			f.search(9*time.Minute, 120)
			f.Stored.Search.EndedAt = new(minute(0))
			f.Stored.Runs[0] = good(0)
			f.state(health.Stale, "recovering", "no_collector")
		}, "", "", "", 0},
		{"1: a first start that gets nowhere", func(f *Facts) {
			f.search(5*time.Minute, 0)
			f.Stored.Search.DoneAt = f.Stored.Search.StartedAt.Add(13 * time.Minute)
			f.Service.Metrics[`whalegate_upstream_requests_total{endpoint="sub_accounts",outcome="rate_limited"}`] = 900
			f.Service.Metrics[`whalegate_upstream_requests_total{endpoint="sub_accounts",outcome="ok"}`] = 3
		}, "ingestion", P1, "signal-lock", 2},
		{"1: the first start was over, and the universe was emptied", func(f *Facts) {
			f.search(3*time.Minute, 200)
			f.Stored.Search.EndedAt = new(minute(3))
			for n := range 6 {
				f.Stored.Runs = append(f.Stored.Runs, good(n+2))
			}
			f.Stored.Runs = append([]Run{{Timestamp: minute(0), Status: "failed", Check: "S2", Error: "S2: there is no universe yet"}, good(1)}, f.Stored.Runs[len(f.Stored.Runs)-6:]...)
			f.state(health.Stale, "run_failed", "coverage")
		}, "universe", P1, "signal-lock", 2},
		{"1: a first start past 1.3 times of what was announced", func(f *Facts) { f.search(11*time.Minute, 120) }, "ingestion", P1, "signal-lock", 2},
		{"1: a first start that is throttled", func(f *Facts) {
			f.search(6*time.Minute, 20)
			f.storm(3, 180, "rate_limited")
		}, "ingestion", P1, "signal-lock", 2},
		{"8: a first start that is halted", func(f *Facts) {
			f.search(6*time.Minute, 120)
			f.Stored.Halt = &health.Halt{HaltedAt: minute(1), HaltedBy: "ann", Reason: "odd"}
			f.state(health.Stale, "run_failed", "coverage", "halted")
		}, "halt", P1, "ingestion", 2},
		{"9: killed in its first start", func(f *Facts) { f.search(6*time.Minute, 120); f.died() }, "crash", P1, "", 2},
		{"1: the accounts are unknown once more", func(f *Facts) { f.storm(3, 150, "accounts_unknown") }, "ingestion", P1, "signal-lock", 2},
		{"1: accounts that were not confirmed for a day", func(f *Facts) { f.storm(3, 150, "accounts_old") }, "ingestion", P1, "signal-lock", 2},
		{"1: accounts that two claim", func(f *Facts) { f.storm(3, 150, "accounts_shared") }, "ingestion", P1, "signal-lock", 2},
		{"1: lists that name other accounts", func(f *Facts) { f.storm(3, 150, "accounts_changed") }, "ingestion", P1, "signal-lock", 2},
		{"1: one list that is never readable", func(f *Facts) { f.Stored.Accounts.Known, f.Stored.Accounts.NeverFound = 199, 1 }, "ingestion", P4, "", 0},
		{"1: one list that was not readable for a day", func(f *Facts) { f.Stored.Accounts.Known, f.Stored.Accounts.Unconfirmed = 199, 1 }, "ingestion", P4, "", 0},
		{"1: one list that is not renewed", func(f *Facts) { f.Stored.Accounts.OldestSeconds = new(13 * time.Hour.Seconds()) }, "ingestion", P4, "", 0},
		{"1: somebody entered at the newest refresh", func(f *Facts) {
			f.Stored.Accounts.Known, f.Stored.Accounts.NeverFound = 199, 1
			f.Stored.Universe.Refreshes[0].AsOf = noon.Add(-5 * time.Minute)
		}, "", "", "", 0},
		{"9: started again, and one list cannot be read", func(f *Facts) {
			f.Stored.Accounts.Known, f.Stored.Accounts.NeverFound = 199, 1
			f.Service.Up = 3 * time.Minute
		}, "crash", P3, "ingestion", 1},
		{"1: states 30 minutes old", func(f *Facts) { f.aged(200, "old_state") }, "ingestion", P1, "signal-lock", 2},
		{"1: states from the future", func(f *Facts) { f.aged(200, "future_state") }, "ingestion", P1, "signal-lock", 2},
		{"1: our clock is wrong", func(f *Facts) { f.aged(200, "clock_skew") }, "ingestion", P1, "signal-lock", 2},
		{"1: 15 % of the states are old", func(f *Facts) {
			f.Stored.Runs[0] = bad(0, 30, "old_state")
			f.state(health.Degraded, "coverage")
		}, "ingestion", P2, "", 1},
		{"1: a coin is delisted", func(f *Facts) { f.refused(3, "S12", "meta:BTC"); f.wrong("BTC", "delisted") }, "ingestion", P1, "signal-lock", 2},
		{"1: a coin is renamed, and everybody seems to have closed", func(f *Facts) {
			f.open("mass_close:BTC")
			f.refused(3, "S12", "meta:BTC")
			f.wrong("BTC", "no such coin")
		}, "ingestion", P1, "dirty-spike", 2},
		{"1: the exchange does not say which coins it has", func(f *Facts) {
			f.refused(3, "S12", "meta:unanswered")
			for _, a := range []string{"HYPE", "BTC", "ETH"} {
				f.wrong(a, "not answered for a day")
			}
		}, "ingestion", P1, "signal-lock", 2},
		{"1: it has not said so for two hours", func(f *Facts) {
			for i := range f.Stored.Coins {
				f.Stored.Coins[i].AgeSeconds = new(7200.0)
			}
		}, "ingestion", P3, "", 1},
		{"1: a coin is right again, and two clean minutes are not in yet", func(f *Facts) {
			f.refused(3, "S12", "meta:BTC")
			f.Stored.Runs[0] = good(0)
			f.state(health.Stale, "recovering")
		}, "ingestion", P1, "signal-lock", 2},

		{"2: leaderboard 500", func(f *Facts) { f.refresh("failed", 0, 0, "request leaderboard: server_error (status 500)") }, "universe", P3, "", 1},
		{"2: empty", func(f *Facts) { f.refresh("failed", 0, 0, "U1: the leaderboard gave no wallet") }, "universe", P3, "", 1},
		{"2: truncated, twice", func(f *Facts) {
			f.refresh("failed", 50, 0, "U2: the leaderboard gave 50 wallets")
			f.refresh("failed", 50, 0, "U2: the leaderboard gave 50 wallets")
		}, "universe", P2, "", 1},
		{"2: churn, three times", func(f *Facts) { f.refresh("failed", 200, 3, "U5: churn of 40 %") }, "universe", P2, "", 1},
		{"2: churn, once", func(f *Facts) { f.refresh("success", 200, 1, "") }, "universe", P3, "", 1},
		{"2: none ever", func(f *Facts) {
			f.refresh("failed", 0, 0, "U1: the leaderboard gave no wallet")
			f.Stored.Universe.Wallets = 0
			for i := range 5 {
				f.Stored.Runs[i] = Run{Timestamp: minute(i), Status: "failed", Check: "S2", Error: "S2: the expected rows cannot be determined: there is no universe yet"}
			}
			f.state(health.Stale, "run_failed", "coverage")
		}, "universe", P1, "signal-lock", 2},
		{"2: none yet, at the minute of a first start", func(f *Facts) {
			f.Stored.Universe.Refreshes[0].AsOf = noon
			f.Stored.Runs = []Run{{Timestamp: minute(0), Status: "failed", Check: "S2", Error: "S2: the expected rows cannot be determined: there is no universe yet"}}
			f.state(health.Stale, "run_failed", "coverage")
		}, "universe", P1, "signal-lock", 2},
		{"2: none yet, and no refresh", func(f *Facts) {
			f.Stored.Universe = Universe{}
			f.Stored.Runs = []Run{{Timestamp: minute(0), Status: "failed", Check: "S2", Error: "S2: the expected rows cannot be determined: there is no universe yet"}}
			f.state(health.Stale, "run_failed", "coverage")
		}, "universe", P1, "signal-lock", 2},
		{"2: a leaderboard without PnL", func(f *Facts) {
			f.refresh("failed", 200, 0, "U6: 200 of the first 200 wallets have no PnL of the month")
			f.Stored.Universe.Refreshes[0].Check = "U6"
		}, "universe", P3, "", 1},
		{"2: a leaderboard without PnL, twice", func(f *Facts) {
			for range 2 {
				f.refresh("failed", 200, 0, "U6: 200 of the first 200 wallets have no PnL of the month")
				f.Stored.Universe.Refreshes[0].Check = "U6"
			}
		}, "universe", P2, "", 1},
		{"2: a leaderboard that stands still", func(f *Facts) { f.Stored.Universe.Refreshes[0].Changed = new(noon.Add(-50 * time.Hour)) }, "universe", P3, "", 1},
		{"2: a leaderboard that stood still for as long as it may", func(f *Facts) { f.Stored.Universe.Refreshes[0].Changed = new(noon.Add(-49 * time.Hour)) }, "", "", "", 0},
		{"2: overdue", func(f *Facts) { f.Stored.Universe.Refreshes[0].AsOf = noon.Add(-8 * time.Hour) }, "universe", P3, "", 1},

		{"3: coverage under 80 %", func(f *Facts) { f.storm(1, 50, "timeout") }, "ingestion", P1, "signal-lock", 2},
		{"3: STALE in the middle of a computation", func(f *Facts) {
			f.Stored.Halt = &health.Halt{HaltedAt: minute(1), HaltedBy: "ann", Reason: "odd"}
			f.state(health.Stale, "halted")
		}, "halt", P1, "signal-lock", 2},
		{"3: STALE for a moment", func(f *Facts) {
			f.Stored.Cycles[0].Outcome, f.Stored.Cycles[0].Reasons = "blocked", []string{"recovering"}
		}, "signal-lock", P3, "", 1},
		{"3: the job is dead", func(f *Facts) { f.Stored.Cycles = f.Stored.Cycles[2:] }, "signal-lock", P2, "", 1},
		{"3: the computation fails", func(f *Facts) { f.Stored.Cycles[0].Outcome, f.Stored.Cycles[0].Reasons = "failed", []string{"G5"} }, "signal-lock", P2, "", 1},
		{"3: an asset is skipped", func(f *Facts) { f.Stored.Cycles[0].Skipped = []string{"HYPE"} }, "signal-lock", P3, "", 1},

		{"4: 15 % of wallets collapse for a minute", func(f *Facts) { f.Stored.Dirty = []DirtyMinute{{minute(2), 30, 200}} }, "dirty-spike", P3, "", 1},
		{"4: they go on collapsing", func(f *Facts) {
			f.Stored.Dirty = []DirtyMinute{{minute(2), 30, 200}, {minute(4), 30, 200}, {minute(6), 30, 200}}
			f.Stored.Rates[0].Dirty = 900
		}, "dirty-spike", P2, "", 1},
		{"4: a signal closed for its dirty rows", func(f *Facts) { f.Stored.Newest[0].Degraded = "high_dirty_rate" }, "dirty-spike", P2, "", 1},
		{"4: one wallet's state served for all", func(f *Facts) { f.refused(3, "S10", "same_state") }, "dirty-spike", P1, "signal-lock", 2},
		{"4: every wallet flat", func(f *Facts) { f.open("mass_close:BTC"); f.open("mass_close:ETH") }, "dirty-spike", P1, "signal-lock", 2},
		{"4: sizes times ten", func(f *Facts) { f.open("rescaled:BTC") }, "dirty-spike", P1, "signal-lock", 2},
		{"4: everybody opened", func(f *Facts) { f.open("mass_open:HYPE") }, "dirty-spike", P1, "signal-lock", 2},
		{"4: every wallet flat, and a storm of 429 since", func(f *Facts) { f.open("mass_close:BTC"); f.storm(2, 200, "rate_limited") }, "ingestion", P1, "dirty-spike", 2},
		{"4: a cascade that was accepted just now", func(f *Facts) { f.open("mass_close:BTC"); f.Stored.Open = nil }, "dirty-spike", P1, "signal-lock", 2},
		{"4: a cascade that was accepted, and two clean minutes are not in yet", func(f *Facts) {
			f.open("mass_close:BTC")
			f.Stored.Open, f.Stored.Runs[0] = nil, good(0)
			f.state(health.Stale, "recovering")
		}, "dirty-spike", P1, "signal-lock", 2},
		{"4: a cascade that was accepted, and all is well", func(f *Facts) { f.Stored.Runs[4].Clean, f.Stored.Runs[4].Check = false, "S11" }, "", "", "", 0},
		{"4: a single close", func(f *Facts) { f.Stored.Dirty = []DirtyMinute{{minute(2), 1, 200}} }, "", "", "", 0},

		{"5: a score oscillates for a day", func(f *Facts) { f.Stored.Alerts.Assets = []AlertCount{{Asset: "BTC", Sent: 4, Capped: 7, Cooling: 12}} }, "alert-spam", P2, "", 1},
		{"5: a playbook flaps", func(f *Facts) { f.Stored.Alerts.Swings = []Swing{{"ETH", 0, 23}} }, "alert-spam", P3, "", 1},
		{"5: five legitimate changes", func(f *Facts) { f.Stored.Alerts.Assets = []AlertCount{{Asset: "BTC", Sent: 4, Capped: 1}} }, "alert-spam", P2, "", 1},
		{"5: sent within a cooldown", func(f *Facts) { f.Stored.Alerts.Broken = []string{"BTC exit_cluster"} }, "alert-spam", P2, "", 1},
		{"5: paused", func(f *Facts) { until := noon.Add(time.Hour); f.Stored.Alerts.PausedTill = &until }, "alert-spam", P3, "", 1},
		{"5: a receiver refuses", func(f *Facts) { f.Stored.Alerts.Failed = 1 }, "alert-spam", P2, "", 1},
		{"5: receivers, each for a reason of its own", func(f *Facts) {
			f.Stored.Alerts.Failed, f.Stored.Alerts.Waiting, f.Stored.Alerts.Oldest = 3, 4, time.Hour
			for i, class := range []string{"answered 401", "answered 404", "answered 400", "answered 429", "answered 503", "no answer in time", "no such host", "connection refused", "TLS", "other", ""} {
				f.Stored.Alerts.Queues = append(f.Stored.Alerts.Queues, Queue{fmt.Sprintf("phone%d", i), 1, i % 2, class})
			}
		}, "alert-spam", P2, "", 1},

		{"6: killed, and the board still shows", func(f *Facts) {
			f.silent(12)
			f.died()
			f.Stored.Board.Rows["board.gate"] = 3
		}, "board-truth", P1, "crash", 2},
		{"6: the header says better", func(f *Facts) {
			f.storm(2, 200, "timeout")
			f.Stored.Board.HeaderState = "DEGRADED"
		}, "board-truth", P1, "ingestion", 2},
		{"6: the metrics say better", func(f *Facts) {
			f.storm(2, 200, "timeout")
			f.Service.Metrics = map[string]float64{`whalegate_health_state{state="HEALTHY"}`: 1}
		}, "board-truth", P1, "ingestion", 2},
		{"6: the mask can be walked around", func(f *Facts) { f.Stored.Board.Open = changes("whalegate_board may read signals") }, "board-truth", P1, "", 2},
		{"6: a function of the mask was changed", func(f *Facts) { f.Stored.Tampered = changes("decision_surface() was changed") }, "board-truth", P1, "", 2},
		{"6: somebody may read too much", func(f *Facts) {
			f.Stored.Tampered = changes("signals: ann can SELECT, which the definitions do not grant")
		}, "board-truth", P1, "", 2},
		{"6: edited signals", func(f *Facts) { f.audited("edited") }, "board-truth", P1, "", 2},
		{"6: added signals, and deleted ones", func(f *Facts) { f.audited("deleted"); f.audited("added") }, "board-truth", P1, "", 2},
		{"6: deleted signals", func(f *Facts) { f.audited("deleted") }, "board-truth", P2, "", 1},
		{"6: deleted runs", func(f *Facts) { f.audited("runs_deleted") }, "board-truth", P2, "", 1},
		{"7: a trigger on our table", func(f *Facts) {
			f.Stored.Hindered = changes("signals: trigger t was added, and is disabled", "alerts: rule r was added", "halts: row security is on", "halts: policy p was added", "ingest_runs: whalegate_writer can no longer INSERT", "alerts: 2 of its triggers that hold foreign keys and constraints are disabled", "halts: row security is forced")
		}, "database", P3, "", 1},
		{"7: a trigger that lets minutes vanish", func(f *Facts) {
			f.silent(4)
			f.Stored.Hindered = changes("ingest_runs: trigger eat was added")
		}, "database", P2, "", 1},
		{"7: a trigger, and the exchange fails", func(f *Facts) {
			f.storm(4, 200, "timeout")
			f.Stored.Hindered = changes("ingest_runs: trigger eat was added")
		}, "ingestion", P1, "database", 2},
		{"7: a trigger, and the process died", func(f *Facts) {
			f.silent(12)
			f.died()
			f.Stored.Hindered = changes("ingest_runs: trigger eat was added")
		}, "crash", P1, "database", 2},
		{"7: commits that a standby does not confirm", func(f *Facts) {
			f.silent(4)
			f.Stored.Sessions = []Session{{PID: 12, User: "whalegate_writer", Program: "whalegate run", State: "active", For: time.Minute, Confirms: true}, {PID: 13, For: time.Minute, BlockedBy: []int{12}}}
		}, "database", P2, "", 1},
		{"7: a table that was renamed", func(f *Facts) {
			f.Stored.Missing, f.Stored.Tampered = []string{"alert_state"}, changes("board.gate was changed")
			f.Stored.Health, f.Stored.Again, f.Service = nil, nil, Service{}
			f.Database.Trouble, f.Database.Error = ReadFailed, "relation does not exist"
		}, "database", P1, "", 2},
		{"7: the service's statements are ended", func(f *Facts) {
			f.silent(12)
			f.Service.Ready, f.Service.NotReady = false, "ERROR: canceling statement due to statement timeout (SQLSTATE 57014)"
		}, "database", P1, "signal-lock", 2},
		{"7: the service's login is not let in", func(f *Facts) {
			f.silent(12)
			f.Service.Ready, f.Service.NotReady = false, "FATAL: role is not permitted to log in (SQLSTATE 28000)"
		}, "database", P1, "signal-lock", 2},
		{"9: the watchdog's login is not let in", func(f *Facts) {
			f.Watchdog = Watchdog{"http://127.0.0.1:9466", "it cannot work: role is not permitted to log in (SQLSTATE 28000)"}
		}, "crash", P3, "", 1},
		{"6: the board's role a superuser", func(f *Facts) {
			f.Stored.Board.Open = changes("whalegate_board may read everything: it is a superuser", "whalegate_board may read signals")
		}, "board-truth", P1, "", 2},
		{"7: the service alone does not reach it", func(f *Facts) {
			f.silent(12)
			f.Service.Ready, f.Service.NotReady = false, "database unreachable: context deadline exceeded"
		}, "database", P1, "signal-lock", 2},
		{"1: the collector's clock is behind", func(f *Facts) { f.storm(3, 200, "future_state"); f.Service.ClockAhead = new(-87 * time.Second) }, "ingestion", P1, "", 2},
		{"6: a role that is a member of another one", func(f *Facts) {
			f.Stored.Board.Open = changes("whalegate_board may read alerts, as a member of pg_read_all_data", "whalegate_board may read signals, as a member of pg_read_all_data")
		}, "board-truth", P1, "", 2},
		{"1: a name that does not resolve for the service", func(f *Facts) { f.met("connection", 0, "name_unknown") }, "ingestion", P1, "", 2},
		{"1: TLS where there is none", func(f *Facts) { f.met("connection", 0, "tls") }, "ingestion", P1, "", 2},
		{"1: nobody listens", func(f *Facts) { f.met("connection", 0, "refused") }, "ingestion", P1, "", 2},
		{"1: a proxy that wants a login", func(f *Facts) { f.met("rejected", 407, "") }, "ingestion", P1, "", 2},
		{"1: shut out", func(f *Facts) { f.met("rejected", 403, "") }, "ingestion", P1, "", 2},
		{"1: led elsewhere", func(f *Facts) { f.met("rejected", 302, "") }, "ingestion", P1, "", 2},
		{"1: an outage that is announced for an hour", func(f *Facts) {
			f.met("server_error", 503, "")
			f.Service.Metrics["whalegate_upstream_retry_after_seconds"] = 3600
		}, "ingestion", P1, "", 2},
		{"2: wallets that somebody deleted", func(f *Facts) { f.Stored.Universe.Wallets = 179 }, "universe", P2, "", 1},
		{"2: a few fewer, as when accounts are another's", func(f *Facts) { f.Stored.Universe.Wallets = 180 }, "", "", "", 0},
		{"7: the service works elsewhere", func(f *Facts) {
			other := leading("db9", 5)
			other.TakenAt = new(noon.Add(-time.Hour))
			f.Service.Told.Leader = other
			f.gone(time.Hour)
		}, "database", P2, "", 1},
		{"7: the service says the same", func(f *Facts) { f.Service.Told.Leader = leading("db1", 4711) }, "", "", "", 0},
		{"7: another database of the server is asked", func(f *Facts) {
			f.Stored, f.Database.Trouble = &Stored{At: noon}, SchemaPending
			for _, part := range Parts {
				f.Database.Unreadable[part] = Failure{pgerrcode.UndefinedTable, "relation does not exist"}
			}
		}, "database", P3, "", 3},
		{"7: a constraint that somebody added", func(f *Facts) {
			f.storm(2, 200, "database")
			f.Stored.Runs[0].Error = `not written: ERROR: new row for relation "wallet_snapshots_20261127" violates check constraint "zz" (SQLSTATE 23514)`
		}, "database", P1, "", 2},
		{"7: a database that takes nobody", func(f *Facts) {
			f.unreached(Unreachable, "FATAL: database is not currently accepting connections (SQLSTATE 55000)")
		}, "database", P1, "", 2},
		{"7: a clock that was accepted without a cause", func(f *Facts) {
			f.Stored.Clocks.Settled = &Refusal{First: minute(1), Last: minute(1), Newest: minute(0), At: minute(1), SettledAt: new(minute(1)), SettledBy: "ann"}
		}, "", "", "", 0},
		{"1: a tenth of the wallets in every minute", func(f *Facts) {
			for i := range 12 {
				f.Stored.Runs[i].Status, f.Stored.Runs[i].Failed, f.Stored.Runs[i].Failures = "partial", 20, map[string]int{"server_error": 20}
			}
		}, "ingestion", P4, "", 0},
		{"7: a second writer", func(f *Facts) {
			f.Stored.Sessions = []Session{{PID: 4712, User: "ann", Program: "psql", State: "idle in transaction", For: 3 * time.Second, Writes: true, MayEnd: true}}
		}, "database", P2, "", 1},
		{"6: a view of the incident board was changed", func(f *Facts) { f.Stored.Tampered = changes("ops.crash was changed") }, "board-truth", P2, "", 1},
		{"6: a function stands beside ours", func(f *Facts) {
			f.Stored.Tampered = changes("null_share_reasons(ingest_runs,integer) was added beside ours")
		}, "board-truth", P1, "", 2},
		{"6: a metric holds a value", func(f *Facts) { f.Service.Named = append(f.Service.Named, "whalegate_playbook") }, "board-truth", P1, "", 2},
		{"6: the state changed while it was looked at", func(f *Facts) {
			f.Stored.Health.State = health.Stale
			f.Stored.Health.Reasons = []string{"recovering"}
			f.Stored.Runs[1] = bad(1, 200, "timeout")
		}, "ingestion", P1, "", 2},

		{"1: it goes on after a pause", func(f *Facts) {
			f.silent(12)
			f.Service.Metrics[`whalegate_runs_unsaved{reason="skipped"}`] = 11
		}, "ingestion", P1, "signal-lock", 2},
		{"1: a moment after a pause", func(f *Facts) {
			f.Stored.Runs[1] = Run{Timestamp: minute(1), Status: "failed", Failures: map[string]int{}, Check: "skipped", Error: "no cycle in this minute: the one before ran over, or the process was held up"}
			f.state(health.Stale, "recovering")
		}, "ingestion", P1, "signal-lock", 2},
		{"1: minutes went without a cycle, ten minutes ago", func(f *Facts) {
			for _, i := range []int{10, 11} {
				f.Stored.Runs[i] = Run{Timestamp: minute(i), Status: "failed", Failures: map[string]int{}, Check: "skipped", Error: "no cycle in this minute"}
			}
		}, "ingestion", P3, "", 1},
		{"1: minutes went without a cycle, twenty minutes ago", func(f *Facts) {
			f.Stored.Runs[20] = Run{Timestamp: minute(20), Status: "failed", Failures: map[string]int{}, Check: "skipped", Error: "no cycle in this minute"}
		}, "", "", "", 0},
		{"1: paused a moment ago", func(f *Facts) { f.Service = Service{URL: f.Service.URL, Trouble: Hanging, Error: "no answer"} }, "ingestion", P3, "", 1},
		{"1: it does not answer, and the runs cannot be read", func(f *Facts) {
			f.Database.Trouble, f.Database.Unreadable[PartRuns] = Denied, Failure{pgerrcode.InsufficientPrivilege, "permission denied for table ingest_runs"}
			f.Stored.Runs = nil
			f.Service = Service{URL: f.Service.URL, Trouble: Hanging, Error: "no answer"}
		}, "ingestion", P2, "database", 3},
		{"1: stuck, and the runs cannot be read", func(f *Facts) {
			f.unreached(LoginRefused, "no password")
			f.Service.Told = &Told{Health: health.Health{State: health.Stale, Reasons: []string{"snapshot_age", "system_stale"}}}
		}, "ingestion", P1, "database", 2},
		{"1: the alert does not clear", func(f *Facts) {
			f.state(health.Stale, "system_stale")
			f.Stored.Health.CleanRuns, f.Stored.Again.CleanRuns = 10, 10
		}, "ingestion", P1, "signal-lock", 2},

		{"7: stopped", func(f *Facts) {
			f.unreached(Unreachable, "connection refused")
			f.Service.Ready, f.Service.NotReady = false, "database unreachable"
		}, "database", P1, "", 2},
		{"7: stopped, and nobody left", func(f *Facts) {
			f.unreached(Unreachable, "connection refused")
			f.died()
		}, "database", P1, "crash", 2},
		{"7: restarted", func(f *Facts) {
			f.Stored.Runs[1] = Run{Timestamp: minute(1), Status: "failed", Expected: 200, Failed: 200, Failures: map[string]int{"database": 200}, Check: "database", Error: "not written: database unreachable"}
			f.state(health.Stale, "recovering")
		}, "database", P1, "signal-lock", 2},
		{"7: out of disk", func(f *Facts) {
			f.silent(5)
			f.Service.Metrics[`whalegate_runs_unsaved{reason="database"}`] = 5
			f.Database.WriteError = Failure{pgerrcode.DiskFull, "could not extend file: No space left on device (SQLSTATE 53100)"}
		}, "database", P2, "signal-lock", 1},
		{"7: stopped before the disk is full", func(f *Facts) { f.storm(3, 200, "disk_full") }, "database", P1, "signal-lock", 2},
		{"7: room again", func(f *Facts) {
			f.Stored.Runs[1] = bad(1, 200, "disk_full")
			f.state(health.Stale, "recovering")
		}, "database", P1, "signal-lock", 2},
		{"7: recovered", func(f *Facts) { f.Stored.Runs[4] = bad(4, 200, "database") }, "", "", "", 0},
		{"7: a locked table", func(f *Facts) {
			f.Database.Unreadable[PartRuns] = Failure{pgerrcode.LockNotAvailable, "canceling statement due to lock timeout"}
			f.Stored.Runs = nil
		}, "database", P2, "", 3},
		{"7: somebody waits", func(f *Facts) {
			f.Stored.Sessions = []Session{{PID: 7, State: "active", For: time.Minute, BlockedBy: []int{8}}}
		}, "database", P2, "", 1},
		{"7: a lock that keeps minutes from being written", func(f *Facts) {
			f.storm(2, 200, "database")
			f.Service.Metrics[`whalegate_runs_unsaved{reason="database"}`] = 2
			f.Stored.Sessions = []Session{{PID: 7, State: "idle in transaction", For: time.Minute, Locks: []string{"wallet_snapshots"}}}
		}, "database", P1, "signal-lock", 2},
		{"7: a slow query", func(f *Facts) { f.Stored.Sessions = []Session{{PID: 7, State: "active", For: 90 * time.Second}} }, "database", P3, "", 1},
		{"7: a very slow query", func(f *Facts) { f.Stored.Sessions = []Session{{PID: 7, State: "active", For: time.Hour}} }, "database", P2, "", 1},
		{"7: the disk fills up", func(f *Facts) { *f.Stored.Storage.FreePct = 12 }, "database", P2, "", 1},
		{"7: a clock an hour off", func(f *Facts) { f.Database.ClockAhead = time.Hour }, "database", P2, "", 1},
		{"7: a run from the future", func(f *Facts) { f.state(health.Stale, "clock_skew") }, "database", P1, "signal-lock", 2},
		{"7: the clocks went back twenty minutes", func(f *Facts) { f.back(20 * time.Minute) }, "database", P1, "", 2},
		{"7: the same, for so long that the alert fired", func(f *Facts) {
			f.back(20 * time.Minute)
			f.state(health.Stale, "clock_skew", "clock_back", "system_stale")
			f.Stored.Health.CleanRuns, f.Stored.Again.CleanRuns = 10, 10
		}, "database", P1, "", 2},
		{"7: the database's clock went back", func(f *Facts) {
			f.back(20 * time.Minute)
			f.Database.ClockAhead = -20 * time.Minute
			*f.Service.ClockAhead = 0
		}, "database", P1, "", 2},
		{"7: the clocks were ahead for a while", func(f *Facts) {
			f.back(time.Hour)
			f.Stored.Clocks.Refused = nil
			f.state(health.Stale, "clock_skew")
		}, "database", P1, "signal-lock", 2},
		{"7: the clock is right again, and the next minute not in yet", func(f *Facts) {
			f.back(20 * time.Minute)
			f.Stored.Clocks.Ahead = -10 * time.Second
			f.state(health.Stale, "clock_back")
		}, "database", P1, "signal-lock", 2},
		{"7: the clock is right again, and two clean minutes not in yet", func(f *Facts) {
			f.settled(20)
			f.state(health.Stale, "recovering")
		}, "database", P1, "signal-lock", 2},
		{"7: the clock is right again, and all is well", func(f *Facts) { f.settled(10) }, "database", P3, "", 1},
		{"7: it was right again a quarter of an hour ago", func(f *Facts) {
			f.Stored.Clocks.Settled = &Refusal{First: minute(20), Last: minute(17), Newest: minute(17), At: minute(20), Times: 3, SettledAt: new(minute(16)), SettledBy: "a later minute", Runs: 3}
		}, "", "", "", 0},
		{"7: one was wrong for less than a minute", func(f *Facts) { f.Stored.Clocks.Dark = new(minute(3)) }, "database", P3, "", 1},
		{"7: one was wrong twenty minutes ago", func(f *Facts) { f.Stored.Clocks.Dark = new(minute(20)) }, "", "", "", 0},
		{"7: the clock of one that waits is wrong", func(f *Facts) { f.waiting(); f.Service.ClockAhead = new(time.Hour) }, "database", P3, "", 1},
		{"9: somebody took the lead a minute ago, and the service was not asked", func(f *Facts) {
			f.taken("db2", time.Minute)
			f.Service = Service{}
		}, "crash", P3, "", 1},
		{"1: minutes are missing since it leads, and the service was not asked", func(f *Facts) {
			f.missed(2, 7)
			f.taken("db2", 12*time.Minute)
			f.Service = Service{}
		}, "ingestion", P3, "", 1},
		{"7: the same, and whoever leads now has stored its minutes as failed", func(f *Facts) {
			f.settled(0)
			for _, i := range []int{3, 4} {
				f.Stored.Runs[i] = Run{Timestamp: minute(i), Status: "failed", Failures: map[string]int{}, Check: "skipped", Error: "no cycle in this minute"}
			}
		}, "database", P3, "", 1},
		{"7: the same, and the first minute after it failed", func(f *Facts) {
			f.settled(0)
			f.Stored.Clocks.Settled.SettledAt = new(minute(4))
			f.Stored.Runs[3] = bad(3, 150, "accounts_old")
		}, "database", P3, "", 1},
		{"7: the same, and the newest boundary was superseded with its runs", func(f *Facts) {
			f.settled(6)
			f.Stored.Cycles = f.Stored.Cycles[1:]
		}, "database", P3, "signal-lock", 1},
		{"7: the database's clock was wrong for six minutes, and the collector's was not", func(f *Facts) {
			f.missed(2, 7)
			f.Stored.Checks = []Check{{ID: "S1", Severity: "critical", Times: 6, Last: minute(2).Add(5 * time.Second)}}
		}, "database", P3, "", 1},
		{"7: the same, and two clean minutes not in yet", func(f *Facts) {
			f.missed(1, 7)
			f.Stored.Checks = []Check{{ID: "S1", Severity: "critical", Times: 6, Last: minute(1).Add(5 * time.Second)}}
			f.state(health.Stale, "recovering")
		}, "database", P1, "signal-lock", 2},
		{"7: the same, and the next minute not in yet", func(f *Facts) {
			f.silent(6)
			f.Stored.Checks = []Check{{ID: "S1", Severity: "critical", Times: 6, Last: minute(1).Add(5 * time.Second)}}
		}, "database", P2, "", 1},
		{"1: no run comes, and a clock was wrong when they ended", func(f *Facts) {
			f.silent(6)
			f.Stored.Checks = []Check{{ID: "S1", Severity: "critical", Times: 1, Last: minute(5)}}
		}, "ingestion", P2, "", 1},
		{"7: the same, and the minutes of it are stored as skipped", func(f *Facts) {
			f.Stored.Runs[1] = Run{Timestamp: minute(1), Status: "failed", Failures: map[string]int{}, Check: "skipped", Error: "no cycle in this minute"}
			f.Stored.Checks = []Check{{ID: "S1", Severity: "critical", Times: 1, Last: minute(1).Add(5 * time.Second)}}
			f.state(health.Stale, "recovering")
		}, "database", P1, "signal-lock", 2},
		{"7: both clocks were an hour ahead, and what they stored was set aside", func(f *Facts) {
			f.missed(2, 7)
			f.Stored.Clocks.Settled = &Refusal{First: minute(1), Last: minute(1), Newest: minute(1).Add(time.Hour), At: minute(1), SettledAt: new(minute(1).Add(5 * time.Second)), SettledBy: "an earlier minute", Runs: 6}
		}, "database", P3, "", 1},
		{"7: both went back, were put right, and no refused minute was shown twice", func(f *Facts) {
			f.missed(2, 7)
			f.Stored.Clocks.Settled = &Refusal{First: minute(27), Last: minute(22), Newest: minute(8), At: minute(27), Times: 6, SettledAt: new(minute(1).Add(5 * time.Second)), SettledBy: "a later minute"}
		}, "database", P3, "", 1},
		{"1: minutes are missing, and a clock was wrong at another time", func(f *Facts) {
			f.missed(2, 7)
			f.Stored.Checks = []Check{{ID: "S1", Severity: "critical", Times: 6, Last: minute(30)}}
			f.Stored.Clocks.Settled = &Refusal{First: minute(40), Last: minute(35), Newest: minute(41), At: minute(40), Times: 3, SettledAt: new(minute(34)), SettledBy: "a later minute"}
		}, "ingestion", P3, "", 1},
		{"7: read-only by a setting", func(f *Facts) {
			f.silent(5)
			f.Database.ReadOnly, f.Database.WriteError = "configuration file", Failure{pgerrcode.ReadOnlySQLTransaction, "cannot execute INSERT in a read-only transaction (SQLSTATE 25006)"}
			f.Service.Metrics[`whalegate_runs_unsaved{reason="database"}`] = 5
		}, "database", P1, "", 2},
		{"7: read-only by a setting, as a role that may not write sees it", func(f *Facts) {
			f.silent(5)
			f.Database.ReadOnly, f.Database.WriteTried = "database", false
		}, "database", P1, "", 2},
		{"7: read-only by a setting, and a table locked", func(f *Facts) {
			f.Database.ReadOnly = "configuration file"
			f.Stored.Sessions = []Session{{PID: 7, State: "active", For: time.Minute, BlockedBy: []int{8}}}
		}, "database", P1, "", 2},
		{"7: this login alone is read-only", func(f *Facts) {
			f.Database.ReadOnly, f.Database.WriteError = "user", Failure{pgerrcode.ReadOnlySQLTransaction, "Transaktion ist nur lesend (SQLSTATE 25006)"}
		}, "database", P3, "", 1},
		{"7: a login of the boards, which is read-only and may not write", func(f *Facts) { f.Database.ReadOnly, f.Database.WriteTried = "user", false }, "", "", "", 0},
		{"7: a standby that is read-only by a setting too", func(f *Facts) {
			f.standby(Standby{Paused: true, Beat: new(10 * time.Minute)})
			f.Database.ReadOnly, f.Database.InRecovery = "configuration file", true
		}, "database", P1, "", 2},
		{"7: a standby whose replay is paused", func(f *Facts) { f.standby(Standby{Paused: true, Beat: new(10 * time.Minute)}) }, "database", P1, "", 2},
		{"7: a standby whose replay is paused, and the service on the primary is well", func(f *Facts) {
			service := f.Service.Metrics
			f.Service.Metrics = nil
			f.standby(Standby{Paused: true, Beat: new(10 * time.Minute)})
			f.Service.Metrics = service
		}, "database", P1, "", 2},
		{"7: a standby that hears nothing", func(f *Facts) { f.standby(Standby{Beat: new(time.Minute)}) }, "database", P1, "", 2},
		{"7: a standby whose primary has no collector", func(f *Facts) {
			f.standby(Standby{Beat: new(time.Minute), Received: new(time.Second)})
			f.Service = Service{URL: f.Service.URL, Trouble: Refused, Error: "connection refused"}
		}, "database", P1, "crash", 2},
		{"7: a standby whose clock is behind", func(f *Facts) { f.standby(Standby{Beat: new(-time.Minute), Received: new(time.Second)}) }, "database", P1, "", 2},
		{"7: a standby of a primary that has never been led", func(f *Facts) { f.standby(Standby{Received: new(time.Second)}) }, "database", P1, "", 2},
		{"7: a standby that follows", func(f *Facts) {
			f.Stored.Standby, f.Database.WriteTried = &Standby{Beat: new(time.Second), Received: new(time.Second)}, false
			f.Stored.Leader.Present, f.Stored.Leader.Leads = false, false // nobody sees that there
		}, "", "", "", 0},
		{"7: it waits, and cannot take the lead", func(f *Facts) { f.waiting(); f.gone(20 * time.Second) }, "database", P2, "", 1},
		{"7: it cannot keep the lead, and nothing is fresh any more", func(f *Facts) { f.silent(12); f.gone(12 * time.Minute) }, "database", P1, "signal-lock", 2},
		{"7: it leads, and its beat stands still", func(f *Facts) { f.gone(40 * time.Second); f.Stored.Leader.Present = true }, "database", P2, "", 1},
		{"7: minutes were lost an hour ago and more", func(f *Facts) {
			f.Stored.Lost = []Loss{{At: noon.Add(-3 * time.Hour), Minutes: 3, Since: "2026-03-01T08:58:00Z", Until: "2026-03-01T09:00:00Z", WrittenAgain: 2}}
		}, "database", P3, "", 1},
		{"7: minutes were lost, and all of them written again, a while ago", func(f *Facts) {
			f.Stored.Lost = []Loss{{At: noon.Add(-3 * time.Hour), Minutes: 3, WrittenAgain: 3}}
		}, "", "", "", 0},
		{"7: minutes were lost just now", func(f *Facts) {
			f.Stored.Runs[1] = Run{Timestamp: minute(1), Status: "failed", Expected: 200, Failures: map[string]int{"lost": 200}, Check: "lost", Error: "lost: the database came back without this minute"}
			f.Stored.Lost = []Loss{{At: noon, Minutes: 1, Since: "2026-03-01T12:02:00Z", Until: "2026-03-01T12:02:00Z"}}
			f.state(health.Stale, "recovering")
		}, "database", P1, "signal-lock", 2},
		{"7: S1 refuses the minutes", func(f *Facts) {
			f.Stored.Runs[0] = Run{Timestamp: minute(0), Status: "failed", Check: "S1", Error: "S1: the snapshot's timestamp is 1h0m0s ahead of the database's clock"}
			f.state(health.Stale, "run_failed", "coverage")
		}, "database", P1, "signal-lock", 2},
		{"7: an old program, and no room", func(f *Facts) {
			f.storm(3, 200, "disk_full")
			f.Database.Trouble, f.Database.Error = SchemaNewer, "migration 99"
		}, "database", P1, "signal-lock", 2},
		{"7: a clock that is right again", func(f *Facts) {
			f.Stored.Runs[4] = Run{Timestamp: minute(4), Status: "failed", Failures: map[string]int{"S1": 200}, Check: "S1", Error: "S1: the snapshot's timestamp is 1h0m0s ahead of the database's clock"}
		}, "database", P3, "", 1},
		{"7: a clock that is right again since long", func(f *Facts) {
			f.Stored.Runs[16] = Run{Timestamp: minute(16), Status: "failed", Failures: map[string]int{"S1": 200}, Check: "S1", Error: "S1: the snapshot's timestamp is 1h0m0s ahead of the database's clock"}
		}, "", "", "", 0},
		{"7: wrong password, the service lives", func(f *Facts) { f.unreached(LoginRefused, "password authentication failed") }, "database", P3, "", 3},
		{"7: nobody is let in, nor is the service", func(f *Facts) {
			f.unreached(LoginRefused, "pg_hba.conf rejects connection")
			f.Service.Ready, f.Service.NotReady = false, "pg_hba.conf rejects connection"
		}, "database", P1, "", 2},
		{"7: no such database, nobody there", func(f *Facts) {
			f.unreached(NoDatabase, "does not exist")
			f.died()
		}, "database", P2, "crash", 3},
		{"7: an old schema", func(f *Facts) {
			f.Database.Trouble, f.Database.Error = SchemaPending, "migration 9 is pending"
			f.Service.Ready, f.Service.NotReady = false, "schema not current: migration 9 (more) is pending" // as it says then
		}, "database", P1, "", 2},
		{"7: an old schema, for this program alone", func(f *Facts) { f.Database.Trouble, f.Database.Error = SchemaPending, "migration 9 is pending" }, "database", P3, "", 3},
		{"7: the lead was taken while all were asked", func(f *Facts) {
			f.taken("db2", 5*time.Second)
			f.Stored.Leader.TakenAt = new(noon.Add(-5 * time.Second))
			f.Service.Told.Leader = leading("db1", 4711)
		}, "crash", P3, "", 1},
		{"7: a schema from the future", func(f *Facts) { f.Database.Trouble, f.Database.Error = SchemaNewer, "migration 99" }, "database", P3, "", 3},
		{"7: an altered migration", func(f *Facts) { f.Database.Trouble, f.Database.Error = SchemaBroken, "another text" }, "database", P1, "", 2},
		{"7: a role that may not read", func(f *Facts) {
			f.Database.Trouble, f.Database.Unreadable[PartRuns] = Denied, Failure{pgerrcode.InsufficientPrivilege, "permission denied for table ingest_runs"}
			f.Stored.Runs = nil
		}, "database", P3, "", 3},

		{"8: halted", func(f *Facts) {
			f.Stored.Halt = &health.Halt{HaltedAt: minute(1), HaltedBy: "ann", Reason: "odd"}
			f.state(health.Stale, "halted")
		}, "halt", P1, "signal-lock", 2},
		{"8: halted in a storm", func(f *Facts) {
			f.storm(3, 200, "timeout")
			f.Stored.Halt = &health.Halt{HaltedAt: minute(1), HaltedBy: "ann", Reason: "odd"}
		}, "halt", P1, "ingestion", 2},
		{"8: nobody knows why it is STALE", func(f *Facts) {
			f.state(health.Stale, "a_new_reason")
		}, "halt", P1, "signal-lock", 2},

		{"9: killed a moment ago", func(f *Facts) { f.died() }, "crash", P2, "", 1},
		{"9: gone, and another one leads", func(f *Facts) { f.died(); f.taken("db2", time.Minute); f.state(health.Healthy) }, "crash", P3, "", 1},
		{"9: gone, nobody leads, and nobody was asked", func(f *Facts) { f.died(); f.Service = Service{} }, "crash", P2, "", 1},
		{"9: nobody leads, and something else has its address", func(f *Facts) {
			f.died()
			f.Service = Service{URL: f.Service.URL, Trouble: Answered, Error: "/-/healthy answers 404"}
		}, "crash", P2, "", 3},
		{"9: frozen, and another one took over", func(f *Facts) {
			f.Service = Service{URL: f.Service.URL, Trouble: Hanging, Error: "no answer"}
			f.taken("db2", 2*time.Minute)
			f.Stored.Later++
		}, "crash", P3, "", 1},
		{"1: frozen just now, not long after it took the lead", func(f *Facts) {
			f.Service = Service{URL: f.Service.URL, Trouble: Hanging, Error: "no answer"}
			f.taken("db1", 2*time.Minute)
		}, "ingestion", P3, "", 1},
		{"1: its port hangs, long after it took the lead", func(f *Facts) {
			f.Service = Service{URL: f.Service.URL, Trouble: Hanging, Error: "no answer"}
			f.Stored.Later++
		}, "ingestion", P3, "", 1},
		{"1: frozen, and none has taken over yet", func(f *Facts) {
			f.Service = Service{URL: f.Service.URL, Trouble: Hanging, Error: "no answer"}
			f.gone(40 * time.Second)
		}, "ingestion", P2, "", 1},
		{"9: the dead man's switch is gone", func(f *Facts) {
			f.Watchdog = Watchdog{URL: "http://127.0.0.1:9466", Error: "connection refused"}
		}, "crash", P3, "", 1},
		{"9: so is the service", func(f *Facts) {
			f.silent(12)
			f.died()
			f.Watchdog = Watchdog{URL: "http://127.0.0.1:9466", Error: "connection refused"}
		}, "crash", P1, "signal-lock", 2},
		{"9: one waits, and another one leads", func(f *Facts) { f.waiting() }, "", "", "", 0},
		{"9: one waits that was started just now", func(f *Facts) { f.waiting(); f.Service.Up = time.Minute }, "", "", "", 0},
		{"7: today's partition was dropped", func(f *Facts) { f.Stored.DayGone = &GoneDay{At: minute(90), Day: "2026-03-01", Empty: 40} }, "database", P3, "", 1},
		{"7: today's partition was detached, an hour ago", func(f *Facts) { f.Stored.DayGone = &GoneDay{At: minute(90), Day: "2026-03-01"} }, "", "", "", 0},
		{"9: it was started a second ago, and does not lead yet", func(f *Facts) {
			f.gone(40 * time.Second)
			f.Service.Metrics["whalegate_leader"], f.Service.Up = 0, time.Second
		}, "database", P2, "", 1},
		{"7: one waits that cannot lead", func(f *Facts) {
			f.waiting()
			f.Service.Ready, f.Service.NotReady = false, "wait for the lead: this server is a standby and takes no write"
		}, "database", P3, "", 1},
		{"9: one waits that had minutes to write when it lost the lead", func(f *Facts) {
			f.waiting()
			f.Service.Metrics[`whalegate_runs_unsaved{reason="database"}`] = 3
		}, "", "", "", 0},
		{"9: the one that waited leads since a minute", func(f *Facts) { f.taken("db2", time.Minute) }, "crash", P3, "", 1},
		{"9: the same after ten minutes", func(f *Facts) { f.taken("db2", 10*time.Minute) }, "", "", "", 0},
		{"9: it leads since a minute, and the minutes before it are missing", func(f *Facts) {
			f.Stored.Runs = slices.Delete(f.Stored.Runs, 2, 4)
			f.taken("db2", time.Minute)
		}, "crash", P3, "", 1},
		{"9: it took over too late for a minute", func(f *Facts) {
			f.Stored.Runs[1] = Run{Timestamp: minute(1), Status: "failed", Failures: map[string]int{}, Check: "skipped", Error: "no cycle in this minute: the collector that led was gone"}
			f.taken("db2", time.Minute)
			f.state(health.Stale, "recovering")
		}, "crash", P1, "signal-lock", 2},
		{"9: it took over, and has no minute of its own yet", func(f *Facts) {
			f.taken("db2", 20*time.Second)
			f.Stored.Leader.Leads, f.Stored.Leader.RunAgeSeconds = false, nil
			f.state(health.Degraded, "no_collector")
		}, "crash", P2, "", 1},
		{"9: killed five minutes ago", func(f *Facts) { f.silent(5); f.died() }, "crash", P2, "", 1},
		{"9: killed before ten minutes", func(f *Facts) { f.silent(12); f.died() }, "crash", P1, "signal-lock", 2},
		{"9: gone, and nobody asked", func(f *Facts) { f.silent(12); f.Service = Service{} }, "crash", P1, "signal-lock", 2},
		{"9: something else has its address", func(f *Facts) {
			f.silent(12)
			f.Service = Service{URL: f.Service.URL, Trouble: Answered, Error: "/-/healthy answers 404"}
		}, "crash", P1, "signal-lock", 2},
		{"9: something else answers, and runs come", func(f *Facts) {
			f.Service = Service{URL: f.Service.URL, Trouble: Answered, Error: "/-/healthy answers 401"}
		}, "", "", "", 3},
		{"9: back after a kill", func(f *Facts) {
			f.Stored.Runs = slices.Delete(f.Stored.Runs, 2, 4)
			f.Service.Up = 2 * time.Minute
		}, "crash", P3, "", 1},
		{"9: back, and recovering", func(f *Facts) {
			f.Stored.Runs = slices.Delete(f.Stored.Runs, 1, 13)
			f.Service.Up = time.Minute
			f.state(health.Stale, "recovering")
		}, "crash", P1, "signal-lock", 2},
		{"9: gone, and the runs cannot be read", func(f *Facts) {
			f.Database.Trouble, f.Database.Unreadable[PartRuns] = Denied, Failure{pgerrcode.InsufficientPrivilege, "permission denied for table ingest_runs"}
			f.Stored.Runs = nil
			f.died()
		}, "crash", P2, "database", 3},
		{"9: a restart between two minutes, planned or not", func(f *Facts) { f.Service.Up = 3 * time.Minute }, "crash", P3, "", 1},
		{"9: a restart ten minutes ago", func(f *Facts) { f.Service.Up = 10 * time.Minute }, "", "", "", 0},
		{"9: a first start", func(f *Facts) { f.Stored.Runs, f.Service.Up = f.Stored.Runs[:3], 3*time.Minute }, "", "", "", 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := calm()
			tt.fault(&f)
			r := Diagnose(f)
			first, worst := "", Severity("")
			if len(r.Findings) > 0 {
				first, worst = r.Findings[0].Slug, r.Findings[0].Severity
			}
			if first != tt.first || worst != tt.worst || r.Exit != tt.exit {
				t.Errorf("first %s %s, exit %d of %v (unknown %q); %s %s, exit %d is wanted", first, worst, r.Exit, r.Matching, r.Unknown, tt.first, tt.worst, tt.exit)
			}
			if tt.after != "" && slices.Index(r.Matching, tt.after) < 1 {
				t.Errorf("%v: %s does not follow", r.Matching, tt.after)
			}
			checkReport(t, r)
		})
	}
}

// audited is something that the service found of the newest day.
func (f *Facts) audited(kind string) {
	f.Stored.Audit = append(f.Stored.Audit, AuditFinding{kind, 2, stamp(noon.Add(-2 * time.Hour)), stamp(noon.Add(-time.Hour)), noon.Add(-20 * time.Minute)})
}

// met is a storm of requests of which the service tells why.
func (f *Facts) met(failure string, status int, cause string) {
	f.storm(3, 200, failure)
	f.Service.Told.Exchange = &facts.Exchange{At: noon.Add(-time.Minute), Endpoint: "state", Failure: failure, Status: status, Cause: cause, Text: "request state: " + failure}
}

// missed leaves no run of the minutes from n to last ago.
func (f *Facts) missed(n, last int) { f.Stored.Runs = slices.Delete(f.Stored.Runs, n, last+1) }

func (f *Facts) refresh(status string, received, warnings int, why string) {
	r := Refresh{AsOf: noon.Add(-time.Minute), Status: status, Requested: 200, Received: received, Warnings: warnings, Error: why}
	f.Stored.Universe.Refreshes = append([]Refresh{r}, f.Stored.Universe.Refreshes...)
}

// filled puts back what a page leaves to be filled in.
func filled(command string) string {
	for pattern, with := range map[string]string{
		`REVOKE .* ON .* FROM (\S+)"`: `REVOKE <right> ON <object> FROM <role>"`, `REVOKE [^ ]+ FROM (\S+)"`: `REVOKE <role> FROM <role>"`, `RENAME TO \S+"`: `RENAME TO <table>"`, `audit --from \S+ --to \S+`: "audit --from <from> --to <to>",
		`DROP (TRIGGER|RULE|POLICY) \S+ ON [^\s"]+`: "DROP $1 <name> ON <table>", `ALTER TABLE [^\s"<]+`: "ALTER TABLE <table>", `DROP CONSTRAINT \w+`: "DROP CONSTRAINT <name>", `alerts test --receiver \S+`: "alerts test --receiver <name>",
		`backend\(\d+\)`: "backend(<pid>)", `ROLLBACK PREPARED '.*'`: "ROLLBACK PREPARED '<gid>'", `DROP FUNCTION public\..*"`: `DROP FUNCTION public.<function>"`,
	} {
		command = regexp.MustCompile(pattern).ReplaceAllString(command, with)
	}
	return command
}

// checkReport looks for what every report must have.
func checkReport(t *testing.T, r Report) {
	t.Helper()
	if len(r.Findings) > 0 && r.Findings[0].Severity == P1 && (r.Trading != "NO" || r.Exit != 2) {
		t.Errorf("a P1 that lets trade: %s, exit %d", r.Trading, r.Exit)
	}
	if (r.State == "STALE" || r.State == "UNKNOWN") && (r.Trading != "NO" || len(r.Findings) == 0 && r.Starting == "") {
		t.Errorf("%s lets trade, or goes without a runbook: %s %v", r.State, r.Trading, r.Matching)
	}
	for i, f := range r.Findings {
		if i > 0 && f.Severity < r.Findings[i-1].Severity {
			t.Errorf("%v is not most severe first", r.Matching)
		}
		if f.Summary == "" || len(f.Actions) == 0 || f.Trading != r.Trading || strings.Contains(f.Summary, "%!") {
			t.Errorf("incomplete: %+v", f)
		}
		if slices.Index(r.Matching, f.Slug) != i {
			t.Errorf("%s stands twice: %v", f.Slug, r.Matching)
		}
		for _, a := range f.Actions {
			if a.Do == "" || strings.Contains(a.Command+a.Do, "%!") {
				t.Errorf("%s: action %+v", f.Slug, a)
			}
			// The commands of the pages are run in a test of their own.
			if strings.Contains(a.Command, "<pid>") {
				t.Errorf("%s leaves something to fill in: %s", f.Slug, a.Command)
			}
			command := filled(a.Command)
			if page := all[f.Runbook-1].Text(); command != "" && !strings.Contains(page, command+"\n") {
				t.Errorf("%s does not have %s", f.Page, command)
			}
		}
	}
	var text strings.Builder
	if err := r.WriteText(&text); err != nil || !strings.Contains(text.String(), "trading "+r.Trading) {
		t.Errorf("text: %v %s", err, text.String())
	}
}

// What failed most is named, and what was left out for it is not.
func TestWhatLeftNoTimeIsNamed(t *testing.T) {
	for _, tt := range []struct {
		failures map[string]int
		want     string
	}{
		{nil, ""},
		{map[string]int{"abandoned": 184, "timeout": 16}, "timeout"},
		{map[string]int{"abandoned": 184, "timeout": 6, "throttled": 10}, "throttled"},
		{map[string]int{"abandoned": 200}, "abandoned"},
		{map[string]int{"schema": 5, "timeout": 5}, "schema"},
	} {
		if got := (Run{Failures: tt.failures}).mostly(); got != tt.want {
			t.Errorf("%v: %q, want %q", tt.failures, got, tt.want)
		}
	}
}

// Sizes that cannot be read now are the news, whatever failed before.
func TestSizesThatCannotBeReadAreNotAnOldFailure(t *testing.T) {
	for name, before := range map[string]func(*Facts){
		"nothing":    func(*Facts) {},
		"a failure":  func(f *Facts) { f.Stored.Runs[5] = bad(5, 200, "timeout") },
		"a gap":      func(f *Facts) { f.Stored.Runs = slices.Delete(f.Stored.Runs, 4, 6) },
		"a database": func(f *Facts) { f.Stored.Runs[5] = bad(5, 200, "database") },
	} {
		f := calm()
		before(&f)
		f.state(health.Stale, "null_szi:BTC")
		found := judgeIngestion(f)
		if found == nil || !strings.Contains(found.Summary, "sizes cannot be read") || !slices.ContainsFunc(found.Actions, func(a Action) bool { return a.Command == haltForForm }) {
			t.Errorf("%s: %+v", name, found)
		}
	}
	f := calm()
	f.Stored.Runs = nil
	f.state(health.Stale, "null_szi:BTC")
	if found := judgeIngestion(f); found == nil {
		t.Error("without a run: nothing is found")
	}
}

// A full disk is said to be one, whoever met it, and what makes room is said with it.
func TestAFullDiskIsNamed(t *testing.T) {
	for name, fault := range map[string]func(*Facts){
		"kept back": func(f *Facts) { f.storm(3, 200, "disk_full") },
		"refused": func(f *Facts) {
			f.Database.WriteError = Failure{pgerrcode.DiskFull, "could not extend file (SQLSTATE 53100)"}
		},
		"refused to the service alone, and no row of it could be kept": func(f *Facts) {
			f.silent(30)
			f.Service.Metrics[`whalegate_runs_unsaved{reason="disk_full"}`] = 29
		},
		"refused at a time when no wallet was known yet": func(f *Facts) {
			f.storm(1, 0, "disk_full")
			r := &f.Stored.Runs[0]
			r.Status, r.Check, r.Failures, r.Error = "failed", "S8", map[string]int{}, "S8: not written: disk_full: could not extend file"
		},
		"both, late": func(f *Facts) {
			f.storm(3, 200, "disk_full")
			f.Service.Metrics[`whalegate_runs_unsaved{reason="database"}`] = 3
		},
	} {
		f := calm()
		fault(&f)
		found := Diagnose(f).Findings[0]
		if !strings.Contains(found.Summary, "no room") || !slices.ContainsFunc(found.Actions, func(a Action) bool { return a.Command == "whalegate prune" }) {
			t.Errorf("%s: %+v", name, found)
		}
		if slices.ContainsFunc(Diagnose(f).Findings, func(f Finding) bool { return f.Slug == "ingestion" }) {
			t.Errorf("%s: the exchange is blamed", name)
		}
	}
	f := calm()
	f.Stored.Runs[5] = bad(5, 200, "disk_full") // and clean ones since
	if found := f.full(); found != nil {
		t.Errorf("it is over: %+v", found)
	}
}

// A database that does not let us in says nothing of the state: the service does.
func TestTheServiceIsBelievedWhenTheDatabaseCannotBeAsked(t *testing.T) {
	f := calm()
	f.unreached(LoginRefused, "password authentication failed")
	f.Service.Told = &Told{Health: health.Health{State: health.Stale, Reasons: []string{"run_failed", "coverage"}}, LastRun: &Run{Failures: map[string]int{"timeout": 200}}}
	r := Diagnose(f)
	if r.State != "STALE" || r.Matching[0] != "ingestion" || !slices.Contains(r.Matching, "database") || r.Exit != 2 {
		t.Errorf("%s %v exit %d", r.State, r.Matching, r.Exit)
	}
	f.Service.Told = &Told{Halt: &health.Halt{HaltedBy: "ann"}, Health: health.Health{State: health.Stale, Reasons: []string{"halted"}}}
	if r := Diagnose(f); r.Matching[0] != "halt" {
		t.Errorf("%v", r.Matching)
	}
	f.Service.Told = &Told{Error: "cannot ask", Health: health.Health{State: health.Stale, Reasons: []string{"database"}}}
	if r := Diagnose(f); r.State != "STALE" || !slices.Equal(r.Reasons, []string{"database"}) || r.Trading != "NO" {
		t.Errorf("nor can the service ask: %s %v %s", r.State, r.Reasons, r.Trading)
	}
	f.Service.Told = nil
	if r := Diagnose(f); r.State != "UNKNOWN" || r.Trading != "NO" {
		t.Errorf("nobody could be asked: %s %s", r.State, r.Trading)
	}
}

// A database that nobody can ask makes the state STALE, as status and the board have
// it, whatever the service said a moment before.
func TestADatabaseThatCannotBeAskedIsStale(t *testing.T) {
	for _, trouble := range []Trouble{Unreachable, Hangs, TooMany, SchemaPending, SchemaBroken, ReadFailed} {
		f := calm()
		f.unreached(trouble, "no answer")
		f.Service.Told = &Told{Health: health.Health{State: health.Healthy}}
		if r := Diagnose(f); r.State != "STALE" || !slices.Equal(r.Reasons, []string{"database"}) || r.Matching[0] != "database" || r.Trading != "NO" || r.Exit != 2 {
			t.Errorf("%s: %s %v %v %s, exit %d", trouble, r.State, r.Reasons, r.Matching, r.Trading, r.Exit)
		}
	}
}

// Caution is what a P2 asks for, also when the state alone would allow more; and of
// two looks at the state the worse one counts.
func TestWhatMayBeTradedIsTheWorst(t *testing.T) {
	f := calm()
	*f.Stored.Storage.FreePct = 12
	if r := Diagnose(f); r.Trading != "with caution only" || r.Findings[0].Trading != r.Trading {
		t.Errorf("P2: %s", r.Trading)
	}
	f = calm()
	f.Stored.Universe.Refreshes[0].Warnings = 1
	if r := Diagnose(f); r.Trading != "yes, as the playbook says" {
		t.Errorf("P3: %s", r.Trading)
	}
	f = calm()
	f.Stored.Again.State, f.Stored.Again.Reasons = health.Stale, []string{"halted"}
	if r := Diagnose(f); r.State != "STALE" || r.Trading != "NO" || r.Exit != 2 {
		t.Errorf("halted in the middle of the look: %s %s, exit %d", r.State, r.Trading, r.Exit)
	}
	f = calm()
	f.unreached(LoginRefused, "no password")
	f.Service.Told = &Told{} // of something else
	if r := Diagnose(f); r.State != "UNKNOWN" || r.Trading != "NO" {
		t.Errorf("an answer without a state: %s %s", r.State, r.Trading)
	}
}

// A role of Grafana that may read too much is the one to lock out.
func TestTheRoleThatShowsTooMuchIsLockedOut(t *testing.T) {
	for _, roles := range [][]string{{"whalegate_board"}, {"whalegate_ops"}, {"whalegate_board", "whalegate_ops"}} {
		f := calm()
		for _, role := range roles {
			f.Stored.Board.Open = append(f.Stored.Board.Open, changes(role+" may read signals", role+" may read alerts")...)
		}
		found := Diagnose(f).Findings[0]
		locked := 0
		for _, a := range found.Actions {
			if strings.Contains(a.Command, " NOLOGIN") {
				locked++
			}
		}
		for _, role := range roles {
			if !slices.ContainsFunc(found.Actions, func(a Action) bool { return strings.Contains(a.Command, "ALTER ROLE "+role+" NOLOGIN") }) {
				t.Errorf("%s: %+v", role, found.Actions)
			}
		}
		if locked != len(roles) {
			t.Errorf("%v: %d are locked out", roles, locked)
		}
	}
}

// A gap is counted as far as it lies within the time that is asked for.
func TestMissingMinutesAreThoseOfTheTimeAskedFor(t *testing.T) {
	f := calm()
	f.Stored.Runs = append(f.Stored.Runs[:3:3], good(500))
	if n := f.missing(time.Hour); n < 55 || n > 60 {
		t.Errorf("%d of the last 60", n)
	}
	f.Stored.Runs = append(f.Stored.Runs[:0:0], good(0), good(3))
	if n := f.missing(time.Hour); n != 2 {
		t.Errorf("%d, 2 are missing", n)
	}
}

// What is over is not said to need mending.
func TestNothingIsAskedForThatIsDone(t *testing.T) {
	f := calm()
	f.Stored.Cycles[0].Outcome, f.Stored.Cycles[0].Reasons = "blocked", []string{"halted"}
	r := Diagnose(f)
	if len(r.Findings) != 1 || r.Findings[0].Slug != "signal-lock" || r.Findings[0].Severity != P3 || !strings.Contains(r.Findings[0].Actions[0].Do, "12:05 UTC") {
		t.Errorf("after a resume: %+v", r.Findings)
	}
	f = calm()
	f.Stored.Halt = &health.Halt{HaltedAt: minute(3), HaltedBy: "ann", Reason: "odd"}
	f.state(health.Stale, "halted", "system_stale")
	if r := Diagnose(f); slices.Contains(r.Matching, "ingestion") {
		t.Errorf("halted on clean runs: %v", r.Matching)
	}
}

func TestTheSessionInTheWayIsTheOneThatWaitsForNobody(t *testing.T) {
	for _, tt := range []struct {
		name     string
		sessions []Session
		want     int
	}{
		{"none", nil, 0},
		{"a chain", []Session{{PID: 1, BlockedBy: []int{2}}, {PID: 2, BlockedBy: []int{3}}}, 3},
		{"a holder alone", []Session{{PID: 4, Locks: []string{"signals"}}}, 4},
		{"a holder that waits", []Session{{PID: 4, Locks: []string{"signals"}, BlockedBy: []int{5}}}, 5},
		{"a prepared transaction", []Session{{PID: 1, BlockedBy: []int{0}}}, 0},
	} {
		f := calm()
		f.Stored.Sessions = tt.sessions
		if got, _ := f.InTheWay(); got != tt.want {
			t.Errorf("%s: %d, want %d", tt.name, got, tt.want)
		}
	}
}

// What is said of a collector that leads and stores nothing is no more than what is
// known, and what led to a gap is not called an end when it may have hung.
func TestNoMoreIsSaidThanIsKnown(t *testing.T) {
	unproven := func(f *Facts) {
		f.Stored.Leader.Leads, *f.Stored.Leader.RunAgeSeconds = false, 240
		f.state(health.Degraded, "no_collector")
	}
	for _, tt := range []struct {
		name        string
		fault       func(*Facts)
		says, lacks string
	}{
		{"its runs look young", unproven, "though the runs look younger", ""},
		{"its runs are as old as it counts", func(f *Facts) { f.silent(4); unproven(f) }, "no good minute for 4m0s by its own count", "look younger"},
		{"its runs cannot be read", func(f *Facts) {
			unproven(f)
			f.Stored.Runs, f.Database.Unreadable[PartRuns] = nil, Failure{pgerrcode.InsufficientPrivilege, "permission denied"}
		}, "by its own count", "look younger"},
		{"the leader before hung or ended", func(f *Facts) { f.missed(2, 3); f.taken("db2", time.Minute) }, "may have ended, or hung", "process was away"},
		{"the same, asked of the one that hung", func(f *Facts) { f.missed(2, 3); f.taken("db2", time.Minute); f.waiting() }, "may have ended, or hung", "process was away"},
		{"it started again", func(f *Facts) {
			f.missed(2, 3)
			f.Service.Up, f.Stored.Led = 2*time.Minute, 110*time.Second
		}, "the process was away", "hung"},
		{"a standby, read-only by a setting too", func(f *Facts) {
			f.standby(Standby{Paused: true, Beat: new(10 * time.Minute)})
			f.Database.ReadOnly = "configuration file"
		}, "its replay is paused", "by a setting"},
		{"rows are gone", func(f *Facts) { f.Stored.Lost = []Loss{{At: noon, Minutes: 3}} }, "or somebody deleted rows", ""},
	} {
		f := calm()
		tt.fault(&f)
		found := Diagnose(f).Findings[0]
		if !strings.Contains(found.Summary, tt.says) || tt.lacks != "" && strings.Contains(found.Summary, tt.lacks) {
			t.Errorf("%s: %s", tt.name, found.Summary)
		}
		if strings.Contains(found.Summary, "or hung") && strings.HasPrefix(found.Actions[0].Do, "find out why it ended") {
			t.Errorf("%s: %s", tt.name, found.Actions[0].Do)
		}
		checkReport(t, Diagnose(f))
	}
}

// A time that a clock dated ahead of the present is not an age below zero.
func TestNoAgeIsNegative(t *testing.T) {
	minus := regexp.MustCompile(`(^|[ (])-\d`)
	for name, fault := range map[string]func(*Facts){
		"the database's clock went back": func(f *Facts) {
			f.back(20 * time.Minute)
			f.Database.ClockAhead, f.Service.Up = -20*time.Minute, -time.Minute
			*f.Stored.Leader.BeatSeconds, *f.Stored.Health.AgeSeconds = -1200, -1200
			f.Stored.Universe.Refreshes[0].AsOf = noon.Add(18 * time.Minute)
		},
		"it is gone since": func(f *Facts) { f.back(20 * time.Minute); f.died(); *f.Stored.Leader.BeatSeconds = -1200 },
		"another one took the lead, by a clock that was ahead": func(f *Facts) {
			f.Service = Service{URL: f.Service.URL, Trouble: Hanging, Error: "no answer"}
			f.taken("db2", -time.Minute)
			f.Stored.Later++
		},
		"a standby that is behind": func(f *Facts) {
			f.standby(Standby{Paused: true, Beat: new(-time.Minute), Received: new(-time.Minute)})
			*f.Stored.Leader.BeatSeconds = -60
		},
	} {
		f := calm()
		fault(&f)
		var text strings.Builder
		if err := Diagnose(f).WriteText(&text); err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(text.String()) {
			if !strings.Contains(line, "ss://") && !strings.HasPrefix(line, "       ") && minus.MatchString(line) {
				t.Errorf("%s: %s", name, line)
			}
		}
		for _, r := range all {
			for _, c := range r.Verify(f) {
				if minus.MatchString(c.Figure) {
					t.Errorf("%s: %s: %s", name, c.Name, c.Figure)
				}
			}
		}
	}
}

func TestAHaltCountsTheCleanMinutesSinceItBegan(t *testing.T) {
	for _, tt := range []struct {
		halted, failed int           // minutes ago
		into           time.Duration // the minute of the halt, whose run is stored five seconds into it
		want           string
	}{{3, 30, 10 * time.Second, "3; "}, {0, 30, 10 * time.Second, "0; "}, {3, 1, 10 * time.Second, "1; "}, {3, 30, 2 * time.Second, "4; "}} {
		f := calm()
		f.Stored.Runs[tt.failed] = bad(tt.failed, 200, "timeout")
		f.Stored.Halt = &health.Halt{HaltedAt: minute(tt.halted).Add(tt.into), HaltedBy: "ann", Reason: "odd"}
		f.state(health.Stale, "halted")
		found := Diagnose(f).Findings[0]
		if !slices.ContainsFunc(found.Evidence, func(e Evidence) bool { return strings.HasPrefix(e.Figure, tt.want+"a resume needs 2") }) {
			t.Errorf("halted %d and failed %d minutes ago: %+v", tt.halted, tt.failed, found.Evidence)
		}
	}
}

// aged lets the newest three runs fail for the age of their states.
func (f *Facts) aged(failed int, reason string) {
	f.storm(3, failed, reason)
	for i := range 3 {
		f.Stored.Runs[i].Check, f.Stored.Runs[i].Subject = "S9", reason
	}
	f.Service.Metrics["whalegate_state_lag_seconds"] = 1800
}

// What cannot be true is told with its figures, and with what to do about it, filled in.
func TestWhatCannotBeTrueIsToldWithItsFigures(t *testing.T) {
	unanswered := func(f *Facts) {
		f.refused(3, "S12", "meta:unanswered")
		for i := range f.Stored.Coins {
			f.Stored.Coins[i] = facts.Coin{Asset: f.Stored.Coins[i].Asset, Expected: 5, Wrong: new("never answered")}
		}
	}
	for _, tt := range []struct {
		name  string
		fault func(*Facts)
		slug  string
		says  []string
		lacks string
	}{
		{"S9", func(f *Facts) { f.aged(200, "old_state") }, "ingestion", []string{"too old to be true", "30m0s ago", askTime}, rightTime},
		{"S9, ours", func(f *Facts) { f.aged(200, "clock_skew") }, "ingestion", []string{"collector's clock is wrong", rightTime, showClocks, "runbook show database"}, askTime},
		{"S9, and the service waits", func(f *Facts) { f.aged(200, "old_state"); f.waiting() }, "ingestion", []string{"too old to be true"}, "30m0s ago"},
		{"S10", func(f *Facts) { f.refused(3, "S10", "same_state") }, "dirty-spike", []string{"S10: same_state", "2026-03-01T12:01:00Z (2m10s ago)", showSame}, "baseline accept"},
		{"S10 for long", func(f *Facts) {
			for i := range f.Stored.Runs {
				f.Stored.Runs = append(f.Stored.Runs, good(len(f.Stored.Runs)+i))
			}
			f.refused(70, "S10", "same_state")
		}, "dirty-spike", []string{"more than an hour", "whalegate halt"}, ""},
		{"S11, closed", func(f *Facts) { f.open("mass_close:BTC") }, "dirty-spike", []string{"40 of the 45 wallets that held BTC are gone", "40 of 45 wallets, since 2026-03-01T12:01:00Z (2m10s ago)",
			"45 wallets held 1234.5 net", "5 wallets hold -7 net (minute 2026-03-01T12:03:00Z)", showHeld, `whalegate baseline accept --asset BTC --reason "…"`}, "--asset ETH"},
		{"S11, opened", func(f *Facts) { f.open("mass_open:ETH") }, "dirty-spike", []string{"40 of the 45 wallets that hold ETH held nothing", "accept --asset ETH"}, "factor"},
		{"S11, rescaled", func(f *Facts) { f.open("rescaled:HYPE") }, "dirty-spike", []string{"by a factor of 10", "factor of HYPE: 10", "accept --asset HYPE"}, ""},
		{"S11, and nothing was read since", func(f *Facts) { f.open("rescaled:HYPE"); f.Stored.Open[0].Present = nil }, "dirty-spike", []string{"45 wallets held"}, "HYPE now"},
		{"S10, which looks like S11 too", func(f *Facts) { f.open("mass_open:BTC"); f.refused(3, "S10", "same_state") }, "dirty-spike", []string{"one wallet's state is served for others", "mass_open:BTC", "see which wallets have the same sizes"}, "baseline accept"},
		{"S11 of a coin that is wrong", func(f *Facts) { f.open("mass_close:BTC"); f.wrong("BTC", "no such coin") }, "dirty-spike", []string{"do not accept BTC", "no such coin"}, "accept --asset"},
		{"S12", func(f *Facts) { f.refused(3, "S12", "meta:BTC"); f.wrong("BTC", "other decimals") }, "ingestion", []string{"BTC is wrong: other decimals", "BTC: other decimals; listed, sizes with 5 decimals", askMeta, haltForCoin}, ""},
		{"S12, unanswered", unanswered, "ingestion", []string{"which coins it has", "BTC: never answered", askMeta}, haltForCoin},
		{"late", func(f *Facts) { f.search(11*time.Minute, 120) }, "ingestion", []string{"120 of 200 wallets are known after 11m0s, and 8m0s were announced", showAccounts, "80 never found"}, ""},
		{"shared", func(f *Facts) { f.storm(3, 150, "accounts_shared") }, "ingestion", []string{"another one claims", showShared}, ""},
		{"U6", func(f *Facts) { f.refresh("failed", 200, 0, "U6: none"); f.Stored.Universe.Refreshes[0].Check = "U6" }, "universe", []string{"no PnL (U6)", "qa_events"}, "was made for"},
		{"U7", func(f *Facts) { f.Stored.Universe.Refreshes[0].Changed = new(noon.Add(-50 * time.Hour)) }, "universe", []string{"has not changed since 2026-02-27T10:03:10Z (U7)", "last-modified"}, ""},
		{"another size", func(f *Facts) { f.refresh("failed", 0, 0, "timeout"); f.Stored.Universe.Refreshes[0].Requested = 500 }, "universe", []string{"asked for 500 wallets, and the universe was made for 200"}, ""},
	} {
		f := calm()
		tt.fault(&f)
		r := Diagnose(f)
		checkReport(t, r)
		var text strings.Builder
		r.Findings[0].write(&text)
		if r.Findings[0].Slug != tt.slug {
			t.Errorf("%s: %v", tt.name, r.Matching)
		}
		for _, want := range tt.says {
			if !strings.Contains(text.String(), want) {
				t.Errorf("%s: lacks %q:\n%s", tt.name, want, text.String())
			}
		}
		actions := strings.Split(text.String(), "do not:\n")[0]
		if tt.lacks != "" && strings.Contains(actions, tt.lacks) {
			t.Errorf("%s: says %q:\n%s", tt.name, tt.lacks, text.String())
		}
	}
}

// A first start that goes as it was announced is said to, and by nothing else.
func TestAFirstStartSaysWhenItIsDone(t *testing.T) {
	f := calm()
	f.search(6*time.Minute, 120)
	r := Diagnose(f)
	var text strings.Builder
	if err := r.WriteText(&text); err != nil {
		t.Fatal(err)
	}
	const line = "starting, 120 of 200 wallets known, done about 12:08 UTC"
	if r.Starting != line || r.Exit != 0 || r.Trading != "NO" || !strings.Contains(text.String(), line+"\n") || strings.Contains(text.String(), "no runbook applies") {
		t.Errorf("%+v\n%s", r, text.String())
	}
	// As it really is: a run in which every wallet waits for the search has no sizes.
	f = calm()
	f.search(6*time.Minute, 120)
	for i := range 3 {
		r := &f.Stored.Runs[i]
		r.Status, r.CoveragePct, r.Failed, r.Failures, r.Clean = "failed", 0, 200, map[string]int{"accounts_unknown": 80, "accounts_first": 120}, false
	}
	f.state(health.Stale, "snapshot_age", "run_failed", "coverage", "null_szi:HYPE", "null_szi:BTC", "null_szi:ETH")
	if r := Diagnose(f); r.Starting != line || r.Exit != 0 {
		t.Errorf("%+v", r)
	}
	// And right after it the newest boundary was blocked, or its window is short of minutes.
	for _, cycle := range []Cycle{{Timestamp: f.due(), Outcome: "blocked", Reasons: []string{"recovering"}}, {Timestamp: f.due(), Outcome: "computed", Skipped: []string{"HYPE", "BTC", "ETH"}}} {
		for ended, exit := range map[time.Duration]int{3 * time.Minute: 0, 20 * time.Minute: 1} {
			f := calm()
			runs := slices.Clone(f.Stored.Runs[:5])
			f.search(6*time.Minute, 200)
			f.Stored.Runs = runs
			f.state(health.Healthy)
			f.Stored.Search.EndedAt = new(f.at().Add(-ended))
			f.Stored.Cycles[0] = cycle
			if r := Diagnose(f); r.Exit != exit {
				t.Errorf("%s after the first start, %s: %+v", ended, cycle.Outcome, r)
			}
		}
	}
	for name, otherwise := range map[string]func(*Facts){
		"late":                  func(f *Facts) { f.search(11*time.Minute, 120) },
		"over":                  func(f *Facts) { f.Stored.Search.EndedAt = new(noon.Add(-10 * time.Minute)) },
		"another reason":        func(f *Facts) { f.state(health.Stale, "run_failed", "null_szi:BTC") },
		"healthy":               func(f *Facts) { f.state(health.Healthy) },
		"the coins are unknown": func(f *Facts) { f.refused(3, "S12", "meta:unanswered") },
	} {
		f := calm()
		f.search(6*time.Minute, 120)
		otherwise(&f)
		if r := Diagnose(f); r.Starting != "" {
			t.Errorf("%s: %s", name, r.Starting)
		}
	}
}
