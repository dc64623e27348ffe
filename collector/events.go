package collector

import (
	"time"

	"github.com/whalegate/whalegate/internal/asset"
	"github.com/whalegate/whalegate/internal/qa"
)

// Events derives the failed checks of a run.
func Events(run Run, dirty []Collapse) []qa.Event {
	var events []qa.Event
	add := func(check, severity, subject, action string, details map[string]any) {
		events = append(events, qa.Event{Check: check, Severity: severity, Subject: subject, Details: details, Action: action})
	}
	switch run.failedRunCheck {
	case "S1":
		add("S1", "critical", "", "nothing written, run failed", map[string]any{"error": run.Error})
		return events
	case "S4":
		add("S4", "critical", "", "nothing written, run failed", map[string]any{"error": run.Error})
		return events
	case diskFull:
		add("S8", "critical", "", "nothing written, run failed", map[string]any{"error": run.Error})
		return events
	case "S2":
		add("S2", "critical", "", "run failed", map[string]any{"error": run.Error})
		return events
	}
	for _, reason := range ageReasons {
		n := run.Failures[reason]
		switch details := map[string]any{"wallets": n, "expected": run.Expected}; {
		case n == 0:
		case run.FailedCheck() == "S9":
			add("S9", "critical", reason, "run failed", details)
		default:
			add("S9", "warning", reason, "wallets failed", details)
		}
	}
	const healthy, readable, scarce = 90.0, 80.0, 60.0
	switch coverage := map[string]any{"coverage_pct": run.CoveragePct, "failures": run.Failures}; {
	case run.CoveragePct < minCoveragePct:
		add("S3", "critical", "", "stale", coverage)
	case run.CoveragePct < healthy:
		add("S3", "warning", "", "degraded", coverage)
	}
	for _, a := range asset.All {
		share := map[string]any{"non_null_pct": run.NonNullPct[a]}
		switch pct := run.NonNullPct[a]; {
		case run.Succeeded == 0: // there is nothing to take a share of; S3 says so
		case pct < scarce:
			add("S5", "critical", a.String(), "stale", share)
		case pct < readable:
			add("S5", "warning", a.String(), "degraded", share)
		}
		rows := 0
		for _, d := range dirty {
			if d.Asset == a {
				rows++
			}
		}
		if rows > 0 {
			add("S6", "warning", a.String(), "rows marked dirty", map[string]any{"rows": rows, "snapshot_ts": run.Timestamp.Add(-interval).Format(time.RFC3339)})
		}
	}
	return append(events, run.checks...)
}
