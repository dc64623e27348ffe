// Package imports holds the direction of the arrows between the packages.
package imports

import (
	"os/exec"
	"strings"
	"testing"
)

const module = "github.com/whalegate/whalegate/"

// forbidden says which packages may not be reached, even indirectly, from where.
var forbidden = []struct{ from, to, why string }{
	{"internal/asset", "internal/", "the assets are values and stand on nothing"},
	{"internal/health/watch", "collector", "health is asked by the collector, and asks nobody"},
	{"internal/halt", "collector", "who stops by hand needs no collector"},
	{"internal/postgres", "collector", "the database knows none of its users"},
	{"collector/hyperliquid", "internal/postgres", "the exchange's client knows no database"},
	{"collector/simulator", "internal/postgres", "the simulator knows no database"},
	{"collector/simulator", "collector/hyperliquid", "the simulator must not share the client's idea of the exchange"},
	{"collector", "collector/simulator", "the collector cannot know what answers it"},
	{"collector", "signals", "the facts know nothing of what is made of them"},
	{"signals", "internal/postgres", "the rules know no database"},
	{"signals/series", "internal/postgres", "what is kept in memory knows no database"},
	{"signals/engine", "collector", "signals stand on what is stored, not on who stored it"},
	{"internal/retention", "collector", "what all rooms stand on knows none of them"},
	{"internal/status", "signals", "what all rooms stand on knows none of them"},
	{"internal/runbook", "collector", "what is judged is what is stored"},
	{"internal/runbook", "signals", "no signal value is an argument of a diagnosis"},
	{"internal/runbook", "internal/postgres", "who judges asks nobody"},
	{"internal/runbook/gather", "collector", "what is judged is what is stored"},
	{"internal/runbook/gather", "signals", "no signal value is an argument of a diagnosis"},
	{"alerting", "internal/postgres", "the rules know no database"},
	{"alerting/engine", "collector", "alerts stand on what is stored, not on who stored it"},
	{"alerting/engine", "signals/engine", "alerts know the signal's type, and not how it is made"},
	{"alerting/replay", "collector", "alerts stand on what is stored, not on who stored it"},
	{"alerting/replay", "signals/engine", "alerts know the signal's type, and not how it is made"},
	{"alerting/receiver", "internal/postgres", "who tells a receiver knows no database"},
	{"alerting/outbox", "alerting/engine", "the outbox takes what it is given"},
	{"alerting/outbox", "collector", "alerts stand on what is stored, not on who stored it"},
	{"signals/engine", "alerting", "nothing flows back"},
	{"dashboards", "internal", "boards are files, and know no database"},
	{"dashboards", "signals", "boards read what is stored, not who made it"},
	{"internal/prometheus", "dashboards", "what all rooms stand on knows none of them"},
	{"collector", "cmd", "nothing imports the commands"},
	{"signals/engine", "cmd", "nothing imports the commands"},
}

func TestTheArrowsPointOneWay(t *testing.T) {
	for _, rule := range forbidden {
		out, err := exec.Command("go", "list", "-deps", "../../"+rule.from).Output()
		if err != nil {
			t.Fatalf("list what %s imports: %v", rule.from, err)
		}
		seen := false
		for _, dep := range strings.Fields(string(out)) {
			path, ours := strings.CutPrefix(dep, module)
			if !ours {
				continue
			}
			seen = true
			if path != rule.from && (path == rule.to || strings.HasPrefix(path, strings.TrimSuffix(rule.to, "/")+"/")) {
				t.Errorf("%s reaches %s: %s", rule.from, path, rule.why)
			}
		}
		if !seen {
			t.Errorf("%s is not a package of ours: the rule checks nothing", rule.from)
		}
	}
}
