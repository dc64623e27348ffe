package retention

import (
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/whalegate/whalegate/internal/postgres/pgtest"
)

func TestTheJobIsDueOnceADay(t *testing.T) {
	at := func(text string) time.Time {
		parsed, err := time.Parse(time.RFC3339, text)
		if err != nil {
			t.Fatal(err)
		}
		return parsed
	}
	for last, want := range map[string]string{
		"2026-06-15T00:12:41Z":      "2026-06-16T00:12:40Z",
		"2026-06-15T00:12:40Z":      "2026-06-16T00:12:40Z",
		"2026-06-15T00:12:39Z":      "2026-06-15T00:12:40Z", // by hand, just before
		"2026-06-15T23:59:59Z":      "2026-06-16T00:12:40Z",
		"2026-12-31T12:00:00Z":      "2027-01-01T00:12:40Z",
		"2026-06-15T01:00:00+02:00": "2026-06-15T00:12:40Z",
	} {
		if got := due(at(last)); !got.Equal(at(want)) {
			t.Errorf("after %s due at %s, want %s", last, got, want)
		}
	}
	if !due(time.Time{}).IsZero() {
		t.Error("the first prune is not due at once")
	}
	if m := atMinute / time.Minute; m%5 == 0 {
		t.Error("the job runs at a boundary")
	}
}

// gathered reads the job's metrics: sums over the labels.
func gathered(t *testing.T, g prometheus.Gatherer) map[string]float64 {
	t.Helper()
	families, err := g.Gather()
	if err != nil {
		t.Fatal(err)
	}
	values := map[string]float64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			values[strings.TrimPrefix(f.GetName(), "whalegate_")] += m.GetCounter().GetValue() + m.GetGauge().GetValue()
		}
	}
	return values
}

func TestTheJobPrunesOnceADayAndTellsWhat(t *testing.T) {
	s := stage(t)
	s.day(0)
	s.exec("TRUNCATE prune_runs")
	s.day(100)
	registry := prometheus.NewRegistry()
	job := func() *Job {
		registry = prometheus.NewRegistry()
		return New(Config{Pool: s.writer, Logger: slog.New(slog.DiscardHandler), Registerer: registry})
	}
	now := func(at time.Time) {
		pgtest.SetClock(t, s.owner, at.Format(time.RFC3339))
	}
	prunes := func() int { return get[int](s, "SELECT count(*) FROM prune_runs WHERE pruned_by = 'the service'") }
	check := func(what string, j *Job, wait time.Duration, runs int, want map[string]float64) {
		t.Helper()
		if got := j.step(t.Context()); got != wait {
			t.Errorf("%s: the next look is in %s, want %s", what, got, wait)
		}
		if got := prunes(); got != runs {
			t.Errorf("%s: %d prunes, want %d", what, got, runs)
		}
		if diff := cmp.Diff(want, gathered(t, registry)); diff != "" {
			t.Errorf("%s: metrics: %s", what, diff)
		}
	}
	j := job()
	first := float64(noon.Unix())
	told := map[string]float64{"pruned_rows_total": 11, "pruned_snapshot_days_total": 1, "prune_failures_total": 0, "prune_last_success_timestamp_seconds": first}
	check("a first start, with a prune of long ago", j, time.Hour, 1, told)
	check("again", j, time.Hour, 1, told)
	quiet := map[string]float64{"pruned_rows_total": 0, "pruned_snapshot_days_total": 0, "prune_failures_total": 0, "prune_last_success_timestamp_seconds": first}
	now(noon.Add(12*time.Hour + 10*time.Minute))
	j = job()
	check("another start, before the time of day", j, 2*time.Minute+40*time.Second, 1, quiet)
	now(noon.Add(36 * time.Hour))
	j = job()
	quiet["prune_last_success_timestamp_seconds"] += 36 * 3600
	check("a start after a missed day", j, time.Hour, 2, quiet)

	// A prune from the future does not stop the job, and a failed one is tried again.
	s.exec("UPDATE prune_runs SET finished_at = '2030-01-01' WHERE pruned_by = 'the service'")
	now(noon.Add(72 * time.Hour))
	s.exec("ALTER TABLE signals RENAME TO signals_away")
	j = job()
	quiet["prune_last_success_timestamp_seconds"], quiet["prune_failures_total"] = 0, 1
	check("a failure", j, time.Hour, 3, quiet)
	if n := get[int](s, "SELECT count(*) FROM prune_runs WHERE status = 'failed' AND error LIKE '%signals%'"); n != 1 {
		t.Errorf("%d failures are kept", n)
	}
	s.exec("ALTER TABLE signals_away RENAME TO signals")
	quiet["prune_last_success_timestamp_seconds"] = first + 72*3600
	check("after it", j, time.Hour, 4, quiet)
}

func TestTheJobEndsWithItsContext(t *testing.T) {
	s := stage(t)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- New(Config{Pool: s.writer, Logger: slog.New(slog.DiscardHandler), Registerer: prometheus.NewRegistry()}).Run(ctx)
	}()
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
