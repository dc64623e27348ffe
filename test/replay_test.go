package test

import (
	"encoding/json"
	"strings"
	"time"
)

// checkReplayedAlerts replays everything that is stored, and compares the system
// alerts with those that were told.
func (w *world) checkReplayedAlerts() {
	w.Helper()
	type alert struct {
		Timestamp time.Time
		AlertType string `json:"alert_type"`
		Message   string
		Resolved  bool
	}
	var sum struct {
		Alerts       []alert
		Sent         map[string]int `json:"alerts_sent"`
		NotEvaluated map[string]int `json:"alerts_not_evaluated"`
	}
	// A replay ends where boundaries may still wait for their snapshot.
	w.awaitTrue("the end to be past", "max(resolved_at) < whalegate_now() - interval '1 minute' FROM alerts WHERE asset = 'SYSTEM'")
	r := w.cli("signals", "replay", "--json")
	if err := json.Unmarshal([]byte(lastLine(r.stdout)), &sum); err != nil || r.code != 0 {
		w.Fatalf("replay: %s", r)
	}
	told := get[[]string](w, `SELECT array_agg(message ORDER BY at) FROM (
		SELECT timestamp AS at, message FROM alerts WHERE asset = 'SYSTEM' UNION ALL SELECT resolved_at, message FROM alerts WHERE asset = 'SYSTEM' AND resolved_at IS NOT NULL) t`)
	var replayed []string
	for _, a := range sum.Alerts {
		if a.AlertType == "system_stale" {
			replayed = append(replayed, a.Message)
		}
	}
	if len(told) == 0 || strings.Join(told, "\n") != strings.Join(replayed, "\n") || sum.Sent["system_stale"] != len(told)/2 || sum.NotEvaluated["stale"] == 0 {
		w.Errorf("told:\n%s\nreplayed:\n%s", strings.Join(told, "\n"), lastLine(r.stdout))
	}
	if text := w.cli("signals", "replay"); text.code != 0 || !strings.Contains(text.stdout, "  sent     [SYSTEM] Data Stale: ") || !strings.Contains(text.stdout, "  cleared  [SYSTEM] Data Stale: ") {
		w.Errorf("replay for people: %s", text)
	}
}
