package provisioning_test

import (
	"strings"
	"testing"
)

// annotated asks promtool for an alert with its annotations.
type annotated struct {
	Alert  string          `yaml:"alertname"`
	At     string          `yaml:"eval_time"`
	Alerts []annotatedOnce `yaml:"exp_alerts"`
}

type annotatedOnce struct {
	Labels      map[string]string `yaml:"exp_labels"`
	Annotations map[string]string `yaml:"exp_annotations"`
}

// TestLinksLeadToWhoeverAnswers: of those who serve the pages, whoever leads comes first.
// When none answers the link leads to the repository.
func TestLinksLeadToWhoeverAnswers(t *testing.T) {
	t.Parallel()
	const repository = "https://github.com/whalegate/whalegate/blob/main/docs/runbooks/"
	var halted rule
	for _, r := range shippedAlerts(t) {
		if r.Alert == "WhalegateHalted" {
			halted = r
		}
	}
	who := map[string][]series{
		"leads":       {{`whalegate_external_url_info{service,url="https://leads/gate"}`, "1x10"}, {`whalegate_leader{service}`, "1x10"}},
		"waits":       {{`whalegate_external_url_info{other,url="https://waits"}`, "1x10"}, {`whalegate_leader{other}`, "0x10"}},
		"watchdog":    {{`whalegate_external_url_info{watchdog,url="https://watchdog"}`, "1x10"}},
		"ended":       {{`whalegate_external_url_info{service,url="https://ended"}`, "1x3 stale"}, {`whalegate_leader{service}`, "1x3 stale"}},
		"unreachable": {{`whalegate_leader{service}`, "1x10"}}, // --web.external-url=none
	}
	var list []scenario
	for _, tt := range []struct{ up, want string }{
		{"leads", "https://leads/gate/runbooks/8-halt"},
		{"waits leads watchdog", "https://leads/gate/runbooks/8-halt"},
		{"waits watchdog", "https://waits/runbooks/8-halt"},
		{"ended waits watchdog", "https://waits/runbooks/8-halt"},
		{"ended watchdog", "https://watchdog/runbooks/8-halt"},
		{"ended", repository + "8-halt.md"},
		{"unreachable", repository + "8-halt.md"},
		{"", repository + "8-halt.md"},
	} {
		s := scenario{Name: tt.up, Interval: "1m"}
		for _, name := range strings.Fields(tt.up) {
			for _, one := range who[name] {
				s.Input = append(s.Input, series{names.Replace(one.Series), one.Values})
			}
		}
		s.Input = append(s.Input, series{`whalegate_health_reason{job="whalegate",instance="one",reason="halted"}`, "1x10"})
		s.Annotated = []annotated{{halted.Alert, "6m", []annotatedOnce{{
			map[string]string{"severity": "medium", "service": "whalegate", "job": "whalegate", "instance": "one", "reason": "halted"},
			map[string]string{"summary": halted.Annotations["summary"], "description": halted.Annotations["description"], "runbook_url": tt.want},
		}}}}
		list = append(list, s)
	}
	askPromtool(t, "1m", list)
}
