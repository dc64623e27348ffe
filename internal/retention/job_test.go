package retention

import (
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/whalegate/whalegate/internal/lead"
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
	s.run(noon.Add(-24*time.Hour), "success", 100) // the clock has been where it is for a day
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
	told := map[string]float64{"pruned_rows_total": 12, "pruned_snapshot_partitions_total": 1, "prune_failures_total": 0, "prune_last_success_timestamp_seconds": first}
	check("a first start, with a prune of long ago", j, time.Hour, 1, told)
	check("again", j, time.Hour, 1, told)
	quiet := map[string]float64{"pruned_rows_total": 0, "pruned_snapshot_partitions_total": 0, "prune_failures_total": 0, "prune_last_success_timestamp_seconds": first}
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
	s.run(noon.Add(48*time.Hour), "success", 100)
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

// A clock that was set ahead makes everything old at once: nothing is removed before
// good runs have been stored by it for half a day.
func TestTheJobWaitsForAClockThatHasBeenSteady(t *testing.T) {
	s := stage(t)
	s.day(0)
	s.exec("TRUNCATE prune_runs")
	s.day(100)
	year := noon.AddDate(1, 0, 0)
	for _, tt := range []struct {
		name   string
		now    time.Time
		stored func()
		prunes bool
	}{
		{"the clock has jumped ahead a year", year, func() {}, false},
		{"and stored by it for less than half a day", year, func() { s.run(year.Add(-12*time.Hour+time.Minute), "success", 100) }, false},
		{"failed runs show nothing", year, func() { s.runs(year.Add(-13*time.Hour), 30, "failed", 0) }, false},
		{"nor do superseded ones", year, func() {
			s.runs(year.Add(-14*time.Hour), 30, "success", 100)
			s.exec("UPDATE ingest_runs SET superseded = true WHERE timestamp > $1", noon)
		}, false},
		{"it is right again, after a day and a half without a run", noon.Add(36*time.Hour + time.Second), func() {}, false},
		{"it is right again, and the last run is not older", noon.Add(36 * time.Hour), func() {}, true},
		{"a run of half a day ago", noon, func() { s.run(noon.Add(-12*time.Hour), "success", 100) }, true},
		{"no good run at all", noon, func() { s.exec("DELETE FROM ingest_runs WHERE status <> 'failed'") }, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := *s
			s.TB = t
			tt.stored()
			pgtest.SetClock(t, s.owner, tt.now.Format(time.RFC3339))
			s.exec("TRUNCATE prune_runs")
			before := s.everything()
			registry := prometheus.NewRegistry()
			var log strings.Builder
			j := New(Config{Pool: s.writer, Logger: slog.New(slog.NewTextHandler(&log, nil)), Registerer: registry})
			if wait := j.step(t.Context()); wait != time.Hour {
				t.Errorf("the next look is in %s", wait)
			}
			if n := get[int](&s, "SELECT count(*) FROM prune_runs"); (n == 1) != tt.prunes {
				t.Errorf("%d prunes", n)
			}
			if diff := cmp.Diff(before, s.everything()); diff != "" && !tt.prunes {
				t.Errorf("removed: %s", diff)
			}
			if said := strings.Contains(log.String(), "prune postponed"); said == tt.prunes {
				t.Errorf("the log says %q", log.String())
			}
			if failures := gathered(t, registry)["prune_failures_total"]; failures != 0 {
				t.Errorf("%v failures", failures)
			}
		})
	}
}

// everything counts the rows of each table that something is removed from.
func (s *scene) everything() map[string]int {
	s.Helper()
	found := map[string]int{}
	for table := range ages {
		found[table] = get[int](s, "SELECT count(*) FROM "+table)
	}
	return found
}

// The job of a collector that does not lead any more removes nothing.
func TestAPruneBehindTheFenceRemovesNothing(t *testing.T) {
	s := stage(t)
	for _, ago := range []int{0, 1, 100} {
		s.day(ago)
	}
	s.exec("TRUNCATE prune_runs")
	before := s.everything()
	fence := &lead.Fence{}
	for _, term := range []lead.Term{{}, {Epoch: pgtest.Epoch - 1, Holder: uuid.MustParse(pgtest.Holder)}, {Epoch: pgtest.Epoch, Holder: uuid.New()}} {
		fence.Set(term)
		registry := prometheus.NewRegistry()
		New(Config{Pool: s.writer, Fence: fence, Logger: slog.New(slog.DiscardHandler), Registerer: registry}).step(t.Context())
		if diff := cmp.Diff(before, s.everything()); diff != "" {
			t.Errorf("removed in term %+v: %s", term, diff)
		}
	}
	fence.Set(lead.Term{Epoch: pgtest.Epoch, Holder: uuid.MustParse(pgtest.Holder)})
	New(Config{Pool: s.writer, Fence: fence, Logger: slog.New(slog.DiscardHandler), Registerer: prometheus.NewRegistry()}).step(t.Context())
	if cmp.Equal(before, s.everything()) || get[int](s, "SELECT count(*) FROM prune_runs WHERE status = 'success'") != 1 {
		t.Error("whoever leads removes nothing either")
	}
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
