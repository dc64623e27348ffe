package engine

import (
	"bytes"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/whalegate/whalegate/internal/health"
	"github.com/whalegate/whalegate/internal/postgres"
	"github.com/whalegate/whalegate/internal/qa/check"
)

// samples gathers every sample as "name{label}", the count of a histogram being
// its value.
func samples(t testing.TB, g prometheus.Gatherer) map[string]float64 {
	t.Helper()
	families, err := g.Gather()
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]float64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			name := f.GetName()
			for _, label := range m.GetLabel() {
				name += fmt.Sprintf("{%s=%s}", label.GetName(), label.GetValue())
			}
			value := m.GetCounter().GetValue() + m.GetGauge().GetValue()
			if m.GetHistogram() != nil {
				value = float64(m.GetHistogram().GetSampleCount())
			}
			found[name] = value
		}
	}
	return found
}

// metric reads a sample of the job's; label is the value of its one label.
func (j *Job) metric(t testing.TB, name, label string) float64 {
	t.Helper()
	all := samples(t, j.cfg.Registerer.(prometheus.Gatherer))
	for _, key := range []string{"outcome", "reason", "asset", "check_id"} {
		if value, ok := all[fmt.Sprintf("%s{%s=%s}", name, key, label)]; ok {
			return value
		}
	}
	value, ok := all[name]
	if !ok {
		t.Fatalf("there is no %s of %q in %v", name, label, all)
	}
	return value
}

// allSeries is every metric that the job and its age may export: counts, durations,
// ages and reasons. No name and no label has room for a signal's value.
func allSeries() []string {
	list := []string{"whalegate_signal_errors_total", "whalegate_signal_computation_duration_seconds", "whalegate_qa_events_unsaved_total"}
	for _, outcome := range []string{"computed", "blocked", "failed"} {
		list = append(list, "whalegate_signal_cycles_total{outcome="+outcome+"}")
	}
	for _, reason := range health.Reasons {
		list = append(list, "whalegate_signal_cycles_blocked_total{reason="+reason+"}")
	}
	for _, a := range []string{"HYPE", "BTC", "ETH"} {
		list = append(list, "whalegate_signals_skipped_total{asset="+a+"}", "whalegate_signals_degraded_total{asset="+a+"}", "whalegate_signal_age_seconds{asset="+a+"}")
	}
	for _, check := range check.All {
		list = append(list, "whalegate_qa_failures_total{check_id="+check+"}")
	}
	slices.Sort(list)
	return list
}

func TestEverySeriesIsThereFromTheStartAndNoneIsASignal(t *testing.T) {
	t.Parallel()
	s := stage(t, 37)
	s.minutes(-9, -5)
	s.minutes(-4, 0, append(repeat(31, "14"), "9", "8", "7.5")...)
	j := s.job()
	registry := j.cfg.Registerer.(*prometheus.Registry)
	registry.MustRegister(NewAgeCollector(s.db))
	same(t, "series at the start", slices.Sorted(maps.Keys(samples(t, registry))), allSeries()...)
	s.clock(7 * time.Second)
	s.work(j, 1)
	s.exec("INSERT INTO halts (halted_at, halted_by, reason) VALUES (whalegate_now(), 'op', 'why')")
	s.clock(5*time.Minute + 50*time.Second)
	s.work(j, 1)
	s.exec("DELETE FROM halts")
	s.minutes(9, 10)
	s.clock(10*time.Minute + 2*time.Second)
	s.work(j, 1)
	after := samples(t, registry)
	same(t, "series at work", slices.Sorted(maps.Keys(after)), allSeries()...)
	same(t, "cycles", s.cycles(), "12:00 computed HEALTHY {} {}", "12:05 blocked STALE {halted} {}", "12:10 computed HEALTHY {} {HYPE,BTC,ETH}")
	row := s.rows()[0]
	for name, value := range after {
		if value == row.AlignmentScore || value == row.DispersionIndex || value == row.ExitClusterScore {
			t.Errorf("%s = %v is a value of %+v", name, value, row)
		}
	}
	for name, want := range map[string]float64{
		"whalegate_signal_cycles_total{outcome=computed}":        2,
		"whalegate_signal_cycles_total{outcome=blocked}":         1,
		"whalegate_signal_cycles_blocked_total{reason=halted}":   1,
		"whalegate_signal_cycles_blocked_total{reason=coverage}": 0,
		"whalegate_signals_skipped_total{asset=ETH}":             1,
		"whalegate_signals_degraded_total{asset=ETH}":            0,
		"whalegate_signal_computation_duration_seconds":          3,
		"whalegate_signal_age_seconds{asset=HYPE}":               602,
		"whalegate_qa_failures_total{check_id=G0}":               1,
		"whalegate_qa_failures_total{check_id=G2}":               3,
		"whalegate_signal_errors_total":                          0,
		"whalegate_qa_events_unsaved_total":                      0,
	} {
		if got, ok := after[name]; !ok || got != want {
			t.Errorf("%s = %v, want %v", name, got, want)
		}
	}
}

func TestSignalAgeIsInfiniteWhenNothingCanBeSaid(t *testing.T) {
	t.Parallel()
	s := lifelike(t)
	ages := prometheus.NewRegistry()
	ages.MustRegister(NewAgeCollector(s.db))
	expect := func(registry *prometheus.Registry, hype, btc string) {
		t.Helper()
		got := samples(t, registry)
		if a, b := fmt.Sprint(got["whalegate_signal_age_seconds{asset=HYPE}"]), fmt.Sprint(got["whalegate_signal_age_seconds{asset=BTC}"]); a != hype || b != btc || len(got) != 3 {
			t.Errorf("ages %v, want HYPE %s and BTC %s", got, hype, btc)
		}
	}
	expect(ages, "+Inf", "+Inf")
	s.run(s.cycle(Now), 0)
	s.exec("DELETE FROM signals WHERE asset = 'BTC'")
	s.clock(90*time.Second + 500*time.Millisecond)
	expect(ages, "90.5", "+Inf")
	away, err := postgres.Open(t.Context(), "postgres://127.0.0.1:1/none", "test")
	if err != nil {
		t.Fatal(err)
	}
	defer away.Close()
	dark := prometheus.NewRegistry()
	dark.MustRegister(NewAgeCollector(away))
	expect(dark, "+Inf", "+Inf")
}

// Whatever check fails at work is kept, with its stage, its severity and what
// was done about it; the same failure of a day is one row.
func TestFailedChecksAreKept(t *testing.T) {
	t.Parallel()
	s := stage(t, 20)
	s.minutes(-9, -5)
	for n := -4; n <= 20; n++ {
		if n == -2 || n == 4 || n == 12 || n == 13 {
			continue
		}
		s.minute(n, "-", "-", "-", "-")
		s.mark(byHand, n, 5, 6, 7)
	}
	s.exec("UPDATE ingest_runs SET status = 'success', coverage_pct = 100") // only the gates are at stake
	j := s.job()
	var log bytes.Buffer
	j.cfg.Logger = slog.New(slog.NewTextHandler(&log, nil))
	for _, n := range []int{0, 5, 10, 15, 20} {
		if n == 20 {
			s.exec("INSERT INTO halts (halted_at, halted_by, reason) VALUES (whalegate_now(), 'op', 'why')")
		}
		s.clock(time.Duration(n)*time.Minute + 2*time.Second)
		s.yetToCome(n, func() { s.work(j, 2) })
	}
	same(t, "cycles", s.cycles(), "12:00 computed HEALTHY {} {}", "12:05 computed HEALTHY {} {}", "12:10 computed HEALTHY {} {}",
		"12:15 computed HEALTHY {} {HYPE,BTC,ETH}", "12:20 blocked STALE {halted} {}")
	var want []string
	for _, a := range []string{"HYPE", "BTC", "ETH"} {
		want = append(want,
			"G2 signals error "+a+" x1 asset skipped: no signal",
			"G2 signals warning "+a+" x2 signal degraded",
			"G3 signals error "+a+" x3 No-trade, signal degraded",
			"G4 signals warning "+a+" x3 No-trade, signal degraded")
	}
	want = append(want, "G0 signals warning  x1 cycle dropped, nothing written")
	same(t, "events", s.list(`SELECT concat_ws(' ', check_id, stage, severity, subject, 'x' || occurrences, action_taken) FROM qa_events
		ORDER BY array_position('{HYPE,BTC,ETH,""}', subject), check_id, severity`), want...)
	same(t, "details", s.list("SELECT DISTINCT concat_ws(' ', check_id, details) FROM qa_events WHERE subject IN ('', 'BTC') AND severity <> 'error' ORDER BY 1"),
		`G0 {"reasons": ["halted"]}`, `G2 {"pct": 80, "reason": "few_snapshots"}`, `G4 {"pct": 18.75, "reason": "high_dirty_rate"}`)
	if n := strings.Count(log.String(), "signal computation blocked"); n != 1 || !strings.Contains(log.String(), "reasons=[halted]") {
		t.Errorf("the blocked cycle was logged %d times: %s", n, log.String())
	}
}
