package provisioning_test

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"
)

// healthy is what a service and its watchdog export while all is well, in
// promtool's notation, a sample a minute (x700: to the end). A scene says what is
// different.
var healthy = map[string]string{
	`up{service}`:                             "1x700",
	`up{watchdog}`:                            "1x700",
	`process_start_time_seconds{service}`:     "100x700",
	`process_start_time_seconds{watchdog}`:    "100x700",
	`process_resident_memory_bytes{service}`:  "60000000x700",
	`process_resident_memory_bytes{watchdog}`: "20000000x700",
	`go_gc_gomemlimit_bytes{service}`:         "9223372036854775807x700", // not set
	`go_gc_gomemlimit_bytes{watchdog}`:        "9223372036854775807x700",

	`whalegate_health_state{service,state="HEALTHY"}`:             "1x700",
	`whalegate_health_state{service,state="DEGRADED"}`:            "0x700",
	`whalegate_health_state{service,state="STALE"}`:               "0x700",
	`whalegate_health_reason{service,reason="run_failed"}`:        "0x700",
	`whalegate_health_reason{service,reason="snapshot_age"}`:      "0x700",
	`whalegate_health_reason{service,reason="clock_skew"}`:        "0x700",
	`whalegate_health_reason{service,reason="database"}`:          "0x700",
	`whalegate_health_reason{service,reason="halted"}`:            "0x700",
	`whalegate_health_reason{service,reason="clock_back"}`:        "0x700",
	`whalegate_health_reason{service,reason="replica_lag"}`:       "0x700",
	`whalegate_health_reason{service,reason="no_collector"}`:      "0x700",
	`whalegate_health_reason{watchdog,reason="no_collector"}`:     "0x700",
	`whalegate_leader{service}`:                                   "1x700",
	`whalegate_leader_epoch{service}`:                             "7x700",
	`whalegate_external_url_info{service,url="http://service"}`:   "1x700",
	`whalegate_external_url_info{watchdog,url="http://watchdog"}`: "1x700",
	`whalegate_runs_refused_total{service,reason="clock_back"}`:   "0x700",
	`whalegate_runs_refused_total{service,reason="worse"}`:        "0x700",
	`whalegate_cycle_budget_seconds{service}`:                     "55x700",
	`whalegate_cycles_total{service,status="success"}`:            "0+1x700",
	`whalegate_cycles_total{service,status="partial"}`:            "0x700",
	`whalegate_cycles_total{service,status="failed"}`:             "0x700",
	`whalegate_cycles_missed_total{service}`:                      "0x700",
	`whalegate_cycle_duration_seconds_bucket{service,le="1"}`:     "0+1x700",
	`whalegate_cycle_duration_seconds_bucket{service,le="40"}`:    "0+1x700",
	`whalegate_cycle_duration_seconds_bucket{service,le="50"}`:    "0+1x700",
	`whalegate_cycle_duration_seconds_bucket{service,le="55"}`:    "0+1x700",
	`whalegate_cycle_duration_seconds_bucket{service,le="+Inf"}`:  "0+1x700",
	`whalegate_snapshot_rows_written_total{service}`:              "0+600x700",
	`whalegate_dirty_rows_total{service,asset="BTC"}`:             "0x700",
	`whalegate_dirty_rows_total{service,asset="HYPE"}`:            "0+0.2x700", // a glitch of one wallet every five minutes

	`whalegate_baseline_failures_open{service,asset="BTC"}`: "0x700",
	`whalegate_baseline_failures_open{service,asset="ETH"}`: "0x700",
	`whalegate_exchange_meta_age_seconds{service}`:          "150x700",
	`whalegate_state_lag_seconds{service}`:                  "3x700",

	`whalegate_upstream_requests_total{service,endpoint="state",outcome="ok"}`:            "0+200x700",
	`whalegate_upstream_requests_total{service,endpoint="state",outcome="rate_limited"}`:  "0x700",
	`whalegate_upstream_requests_total{service,endpoint="state",outcome="timeout"}`:       "0+2x700",
	`whalegate_upstream_requests_total{service,endpoint="state",outcome="schema"}`:        "0x700",
	`whalegate_upstream_requests_total{service,endpoint="leaderboard",outcome="ok"}`:      "1x700",
	`whalegate_upstream_requests_total{service,endpoint="leaderboard",outcome="timeout"}`: "0x700",
	`whalegate_universe_refreshes_total{service,status="success"}`:                        "1x359 2x359",
	`whalegate_universe_refreshes_total{service,status="failed"}`:                         "0x700",
	`whalegate_universe_churn_ratio{service}`:                                             "0.04x700",

	`whalegate_signal_age_seconds{service,asset="BTC"}`:                       "240x700",
	`whalegate_signal_age_seconds{service,asset="ETH"}`:                       "240x700",
	`whalegate_signal_cycles_total{service,outcome="computed"}`:               "0+0.2x700",
	`whalegate_signal_cycles_total{service,outcome="failed"}`:                 "0x700",
	`whalegate_signal_cycles_total{service,outcome="blocked"}`:                "0x700",
	`whalegate_signal_errors_total{service}`:                                  "0x700",
	`whalegate_alert_errors_total{service}`:                                   "0x700",
	`whalegate_alerts_suppressed_total{service,reason="cooldown"}`:            "0x700",
	`whalegate_alerts_suppressed_total{service,reason="daily_cap"}`:           "0x700",
	`whalegate_alerts_suppressed_total{service,reason="paused"}`:              "0x700",
	`whalegate_delivery_queue{service,receiver="chat",state="failed"}`:        "0x700",
	`whalegate_delivery_queue{watchdog,receiver="chat",state="failed"}`:       "0x700",
	`whalegate_delivery_oldest_seconds{service,receiver="chat"}`:              "0x700",
	`whalegate_delivery_oldest_seconds{watchdog,receiver="chat"}`:             "0x700",
	`whalegate_deliveries_total{service,receiver="chat",outcome="delivered"}`: "0+0.1x700",
	`whalegate_deliveries_total{service,receiver="chat",outcome="retry"}`:     "0x700",
	`whalegate_heartbeats_total{service,outcome="error"}`:                     "0x700",
	`whalegate_delivery_errors_total{service}`:                                "0x700",
	`whalegate_delivery_errors_total{watchdog}`:                               "0x700",

	`whalegate_database_round_trip_seconds_bucket{service,le="0.5"}`: "0+100x700",
	`whalegate_database_round_trip_seconds_count{service}`:           "0+100x700",
	`whalegate_database_connections{service,state="in_use"}`:         "2x700",
	`whalegate_database_connections{service,state="max"}`:            "8x700",
	`whalegate_runs_unsaved{service,reason="database"}`:              "0x700",
	`whalegate_qa_events_unsaved_total{service}`:                     "0x700",
	`whalegate_qa_failures_total{service,check_id="S8"}`:             "0x700",
	`whalegate_prune_last_success_timestamp_seconds{service}`:        "0x700",
	`whalegate_database_size_bytes{service}`:                         "1000000000+100000x700", // 144 MB a day
	`whalegate_database_disk_free_bytes{service}`:                    "50000000000x700",
	`whalegate_database_disk_size_bytes{service}`:                    "100000000000x700",

	`whalegate_watchdog_database_answered_timestamp_seconds{watchdog}`: "0+60x700",
}

// waiting is what a scene changes when a second instance waits for the lead from its
// start: what the database tells it is the same, and it does nothing.
func waiting(changes map[string]string) map[string]string {
	all := map[string]string{}
	for series, values := range healthy {
		name, _, _ := strings.Cut(series, "{")
		if strings.HasSuffix(name, "_total") || strings.Contains(name, "_cycle_duration_") || strings.Contains(name, "_universe_") {
			values = "0x700"
		}
		if strings.Contains(series, "{service") {
			all[strings.Replace(series, "{service", "{other", 1)] = values
		}
	}
	all[`whalegate_leader{other}`], all[`whalegate_leader_epoch{other}`] = "0x700", "0x700"
	all[`whalegate_prune_last_success_timestamp_seconds{other}`] = "-1e9x700" // 0, when time() is not about 0
	maps.Copy(all, changes)
	return all
}

// ending is waiting until minute 30, when that instance ends.
func ending(changes map[string]string) map[string]string {
	all := waiting(nil)
	for series, values := range all {
		if until, _, _ := strings.Cut(values, "x"); strings.Contains(series, "{other") {
			all[series] = until + "x29 stale"
		}
	}
	all[`up{other}`] = "1x29 0x700"
	maps.Copy(all, changes)
	return all
}

// takenOver is waiting until minute 30, when that instance takes the lead.
func takenOver(changes map[string]string) map[string]string {
	all := waiting(map[string]string{
		`whalegate_leader{other}`: "0x29 1x700", `whalegate_leader_epoch{other}`: "0x29 8x700", `whalegate_prune_last_success_timestamp_seconds{other}`: "-1e9x29 0x700",
		`whalegate_universe_refreshes_total{other,status="success"}`:   "0x359 1x359",
		`whalegate_universe_refreshes_total{service,status="success"}`: "1x700",
	})
	for series, values := range healthy {
		name, _, _ := strings.Cut(series, "{")
		if strings.Contains(series, "{service") && strings.HasPrefix(values, "0+") && (strings.HasSuffix(name, "_total") || strings.Contains(name, "_cycle_duration_")) {
			all[strings.Replace(series, "{service", "{other", 1)] = "0x29 " + values
		}
	}
	maps.Copy(all, changes)
	return all
}

// gone is a series that is not exported any more from minute 30 on.
const gone = "gone"

// withEverythingOf is what a scene changes when a process is gone.
func withEverythingOf(who string, changes map[string]string) map[string]string {
	all := map[string]string{}
	for series := range healthy {
		if strings.Contains(series, who) && !strings.HasPrefix(series, "up{") {
			all[series] = gone
		}
	}
	maps.Copy(all, changes)
	return all
}

// values are a series of a scene in promtool's notation, no longer than the scene.
func (s scene) values(series string) string {
	v, changed := s.changes[series]
	if !changed {
		v = healthy[series]
	}
	if v == gone {
		until, _, _ := strings.Cut(healthy[series], "x")
		return until + "x29 stale"
	}
	return s.cut(v)
}

// cut makes values no longer than the scene.
func (s scene) cut(values string) string {
	return strings.ReplaceAll(values, "x700", fmt.Sprintf("x%d", int(s.length().Minutes())))
}

func (s scene) length() time.Duration {
	length, err := time.ParseDuration(s.at)
	if err != nil {
		panic(err) // a scene is written wrong
	}
	return length
}

// question asks promtool for exactly these firing alerts at a minute.
type question struct {
	Expr    string   `yaml:"expr"`
	At      string   `yaml:"eval_time"`
	Samples []sample `yaml:"exp_samples"`
}

type sample struct {
	Labels string  `yaml:"labels"`
	Value  float64 `yaml:"value"`
}

type series struct {
	Series string `yaml:"series"`
	Values string `yaml:"values"`
}

type scenario struct {
	Name      string      `yaml:"name"`
	Interval  string      `yaml:"interval"`
	Input     []series    `yaml:"input_series"`
	Questions []question  `yaml:"promql_expr_test,omitempty"`
	Annotated []annotated `yaml:"alert_rule_test,omitempty"`
}

var names = strings.NewReplacer(
	"{service", `{job="whalegate",instance="127.0.0.1:9464"`,
	"{other", `{job="whalegate",instance="127.0.0.2:9464"`,
	"{watchdog", `{job="whalegate-watchdog",instance="127.0.0.1:9466"`,
)

func (s scene) scenario(t *testing.T) scenario {
	t.Helper()
	for name := range s.changes {
		if _, known := healthy[strings.Replace(name, "{other", "{service", 1)]; !known {
			t.Errorf("%s: changes %s, which is no series of a healthy service", s.name, name)
		}
	}
	q := question{Expr: `count by (alertname) (ALERTS{alertstate="firing"})`, At: s.at}
	for i, alert := range s.fires {
		if !slices.Contains(s.fires[:i], alert) {
			q.Samples = append(q.Samples, sample{fmt.Sprintf(`{alertname=%q}`, alert), float64(count(s.fires, alert))})
		}
	}
	made := scenario{Name: s.name, Interval: "1m", Questions: []question{q}}
	for _, name := range slices.Sorted(maps.Keys(healthy)) {
		made.Input = append(made.Input, series{names.Replace(name), s.values(name)})
	}
	for _, name := range slices.Sorted(maps.Keys(s.changes)) {
		if strings.Contains(name, "{other") { // there is a second instance
			made.Input = append(made.Input, series{names.Replace(name), s.cut(s.changes[name])})
		}
	}
	return made
}

func count(list []string, wanted string) (n int) {
	for _, s := range list {
		if s == wanted {
			n++
		}
	}
	return n
}

// TestEveryAlertFiresInItsFaultAndInNoOther holds the whole set of firing alerts
// equal to what each scene expects, by promtool.
func TestEveryAlertFiresInItsFaultAndInNoOther(t *testing.T) {
	t.Parallel()
	fires, quiet := map[string]int{}, map[string]int{}
	for _, s := range scenes {
		for _, r := range shippedAlerts(t) {
			if slices.Contains(s.fires, r.Alert) {
				fires[r.Alert]++
			} else {
				quiet[r.Alert]++
			}
		}
	}
	for _, r := range shippedAlerts(t) {
		if fires[r.Alert] == 0 || quiet[r.Alert] == 0 {
			t.Errorf("%s: fires in %d scenes and is quiet in %d", r.Alert, fires[r.Alert], quiet[r.Alert])
		}
	}
	// Hours are looked at every ten minutes: each look costs.
	const long = 3 * time.Hour
	for name, every := range map[string]string{"short": "1m", "long": "10m"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var list []scenario
			for _, s := range scenes {
				if (s.length() > long) == (name == "long") {
					list = append(list, s.scenario(t))
				}
			}
			askPromtool(t, every, list)
		})
	}
}

// askPromtool plays scenarios against the shipped rules.
func askPromtool(t *testing.T, every string, list []scenario) {
	t.Helper()
	dir := layOut(t, "prometheus")
	var order []string // as in the files: what is recorded comes before what asks for it
	for _, g := range shippedGroups(t) {
		order = append(order, g.Name)
	}
	body, err := yaml.Marshal(map[string]any{"rule_files": []string{"rules/service.yml", "rules/watchdog.yml"}, "evaluation_interval": every, "group_eval_order": order, "tests": list})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "scenes.yml"), body, 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := tool(t, dir, "promtool", "test", "rules", "scenes.yml"); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
