package hyperliquid

import (
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

func TestEverySeriesExistsAtZero(t *testing.T) {
	registry := prometheus.NewPedanticRegistry()
	c := newClient(t, nil, func(cfg *Config) { cfg.Registerer = registry })
	if got, want := testutil.CollectAndCount(c.metrics.requests), len(questions)*(1+len(Failures))+1; got != want {
		t.Errorf("%d series of requests, want %d", got, want)
	}
	if got := testutil.CollectAndCount(c.metrics.duration); got != len(questions) {
		t.Errorf("%d series of durations, want %d", got, len(questions))
	}
	if problems, err := testutil.GatherAndLint(registry); err != nil || len(problems) > 0 {
		t.Errorf("%v, %v", problems, err)
	}
	want := `
# HELP whalegate_rate_limit_tokens Weight that requests to the exchange could spend at once: the limit less what the last minute spent.
# TYPE whalegate_rate_limit_tokens gauge
whalegate_rate_limit_tokens 1200
`
	if err := testutil.GatherAndCompare(registry, strings.NewReader(want), "whalegate_rate_limit_tokens"); err != nil {
		t.Error(err)
	}
}

func TestOutcomesAreCountedOnce(t *testing.T) {
	registry := prometheus.NewPedanticRegistry()
	c := newClient(t, nil, func(cfg *Config) { cfg.Registerer = registry })
	for _, with := range []transport{
		answer(200, listing("")), answer(200, listing("")), answer(200, "null"), answer(200, "{"), answer(429, "null"), answer(502, ""), answer(422, ""),
	} {
		c.transport = with
		_, _ = c.State(t.Context(), account)
	}
	c.transport = answer(304, "")
	_, _ = c.Leaderboard(t.Context(), 1, Validators{ETag: "a"})
	_, _ = c.Leaderboard(t.Context(), 1, Validators{})
	for _, tt := range []struct {
		endpoint, outcome string
		want              float64
	}{
		{"state", "ok", 2}, {"state", "null", 1}, {"state", "malformed", 1}, {"state", "rate_limited", 1},
		{"state", "server_error", 1}, {"state", "rejected", 1}, {"state", "schema", 0},
		{"leaderboard", "not_modified", 1}, {"leaderboard", "rejected", 1}, {"leaderboard", "ok", 0}, {"sub_accounts", "ok", 0},
	} {
		if got := testutil.ToFloat64(c.metrics.requests.WithLabelValues(tt.endpoint, tt.outcome)); got != tt.want {
			t.Errorf("%s %s = %g, want %g", tt.endpoint, tt.outcome, got, tt.want)
		}
	}
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	observed := map[string]uint64{}
	for _, family := range families {
		for _, series := range family.GetMetric() {
			for _, label := range series.GetLabel() {
				if strings.HasPrefix(label.GetValue(), "0x") {
					t.Errorf("%s has an address as a label", family.GetName())
				}
				if histogram := series.GetHistogram(); histogram != nil {
					observed[label.GetValue()] = histogram.GetSampleCount()
				}
			}
		}
	}
	if observed["state"] != 7 || observed["leaderboard"] != 2 || observed["sub_accounts"] != 0 {
		t.Errorf("durations observed: %v", observed)
	}
}
