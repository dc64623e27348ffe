package health_test

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/whalegate/whalegate/internal/health"
	"github.com/whalegate/whalegate/internal/health/watch"
	"github.com/whalegate/whalegate/internal/postgres"
	"github.com/whalegate/whalegate/internal/postgres/pgtest"
)

// flaky is a database that can be taken away.
type flaky struct {
	*pgxpool.Pool
	away chan bool // buffered by one: the present truth
}

var errAway = errors.New("connection refused")

func (f *flaky) isAway() bool {
	away := <-f.away
	f.away <- away
	return away
}

func (f *flaky) set(away bool) { <-f.away; f.away <- away }

func (f *flaky) Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error) {
	if f.isAway() {
		return nil, errAway
	}
	return f.Pool.Query(ctx, sql, args...)
}

func (f *flaky) Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error) {
	if f.isAway() {
		return pgconn.CommandTag{}, errAway
	}
	return f.Pool.Exec(ctx, sql, args...)
}

func TestTheWatcherKeepsEveryChangeAlsoThoseOfAnOutage(t *testing.T) {
	db := &flaky{Pool: pgtest.New(t), away: make(chan bool, 1)}
	db.away <- false
	store(t, db.Pool, ok("0m"), ok("1m"))
	pgtest.SetClock(t, db.Pool, at("1m30s").Format(time.RFC3339))
	seen := make(chan health.Health, 10)
	watcher := watch.Watcher{
		DB: db, Logger: slog.New(slog.DiscardHandler), Every: time.Millisecond,
		Changed: func(_ context.Context, h health.Health) { seen <- h },
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- watcher.Run(ctx) }()
	expect := func(state health.State, reasons ...string) {
		t.Helper()
		if h := <-seen; h.State != state || !slices.Equal(h.Reasons, reasons) {
			t.Errorf("saw %s %v, want %s %v", h.State, h.Reasons, state, reasons)
		}
	}
	expect(health.Healthy)
	db.set(true)
	expect(health.Stale, "database")
	pgtest.SetClock(t, db.Pool, at("5m").Format(time.RFC3339))
	db.set(false)
	expect(health.Degraded, "snapshot_age")
	pgtest.SetClock(t, db.Pool, at("20m").Format(time.RFC3339))
	expect(health.Stale, "snapshot_age")

	want := []string{"UNKNOWN>HEALTHY", "HEALTHY>STALE", "STALE>DEGRADED", "DEGRADED>STALE"}
	for {
		rows, err := db.Pool.Query(t.Context(), "SELECT from_state || '>' || to_state FROM health_transitions ORDER BY id")
		if err != nil {
			t.Fatal(err)
		}
		got, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil {
			t.Fatal(err)
		}
		if slices.Equal(got, want) {
			break
		}
		if !slices.Equal(got, want[:min(len(got), len(want))]) || t.Context().Err() != nil {
			t.Fatalf("kept %v, want %v", got, want)
		}
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestMetricsSayWhatTheDatabaseSays(t *testing.T) {
	db := pgtest.New(t)
	store(t, db, ok("0m"), ok("1m"), run{"2m", "partial", 85, full, ""})
	pgtest.SetClock(t, db, at("2m30s").Format(time.RFC3339))
	want := `
# HELP whalegate_health_state Whether the system is in this health state (1) or not (0), as the database judges it at the scrape.
# TYPE whalegate_health_state gauge
whalegate_health_state{state="DEGRADED"} 1
whalegate_health_state{state="HEALTHY"} 0
whalegate_health_state{state="STALE"} 0
# HELP whalegate_snapshot_age_seconds Age of the newest successful or partial snapshot; +Inf when there is none or the database cannot be asked.
# TYPE whalegate_snapshot_age_seconds gauge
whalegate_snapshot_age_seconds 30
# HELP whalegate_snapshot_coverage_ratio Share of the universe that the newest run fetched, 0 to 1; 0 when there is none or the database cannot be asked.
# TYPE whalegate_snapshot_coverage_ratio gauge
whalegate_snapshot_coverage_ratio 0.85
`
	if err := testutil.CollectAndCompare(watch.NewCollector(db), strings.NewReader(want), "whalegate_health_state", "whalegate_snapshot_age_seconds", "whalegate_snapshot_coverage_ratio"); err != nil {
		t.Error(err)
	}
}

func TestMetricsOfAnUnreachableDatabaseAreStale(t *testing.T) {
	db, err := postgres.Open(t.Context(), "postgres://127.0.0.1:1/none", "test")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(watch.NewCollector(db))
	families, err := registry.Gather()
	if err != nil {
		t.Fatalf("a scrape fails with the database: %v", err)
	}
	got := map[string]float64{}
	for _, family := range families {
		for _, m := range family.GetMetric() {
			for _, label := range m.GetLabel() {
				got[label.GetValue()] = m.GetGauge().GetValue()
			}
		}
	}
	if got["STALE"] != 1 || got["HEALTHY"] != 0 || got["database"] != 1 {
		t.Errorf("metrics = %v", got)
	}
	for _, reason := range health.Reasons {
		if _, ok := got[reason]; !ok {
			t.Errorf("reason %s has no series", reason)
		}
	}
}
