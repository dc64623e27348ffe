package health_test

import (
	"context"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/whalegate/whalegate/internal/halt"
	"github.com/whalegate/whalegate/internal/health"
	"github.com/whalegate/whalegate/internal/health/watch"
	"github.com/whalegate/whalegate/internal/postgres"
	"github.com/whalegate/whalegate/internal/postgres/pgtest"
)

func TestMain(m *testing.M) { os.Exit(pgtest.Main(m)) }

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// at is noon plus a duration ("3m20s").
func at(offset string) time.Time {
	d, err := time.ParseDuration(offset)
	if err != nil {
		panic(err)
	}
	return noon.Add(d)
}

type run struct {
	minute   string // offset of the timestamp from noon
	status   string
	coverage float64
	nonNull  [3]float64 // HYPE, BTC, ETH
	finished string     // offset from noon; "" is 5 s after the minute
}

var full = [3]float64{100, 100, 100}

func ok(minute string) run { return run{minute, "success", 100, full, ""} }

func (r run) finishedAt() time.Time {
	if r.finished == "" {
		return at(r.minute).Add(5 * time.Second)
	}
	return at(r.finished)
}

func store(t testing.TB, db *pgxpool.Pool, runs ...run) {
	t.Helper()
	for _, r := range runs {
		good := int(r.coverage * 2)
		_, err := db.Exec(context.Background(), `INSERT INTO ingest_runs (timestamp, status, wallets_expected, wallet_success_count, wallet_fail_count, rows_expected,
				rows_written, coverage_pct, hype_non_null_pct, btc_non_null_pct, eth_non_null_pct, duration_ms, error, finished_at)
			VALUES ($1, $2, 200, $3, 200 - $3, 600, $3 * 3, $4, $5, $6, $7, 5000, CASE WHEN $2 = 'failed' THEN 'why' END, $8)`,
			at(r.minute), r.status, good, r.coverage, r.nonNull[0], r.nonNull[1], r.nonNull[2], r.finishedAt())
		if err != nil {
			t.Fatal(err)
		}
	}
}

// The state table and recovery, case by case.
func TestHealthStates(t *testing.T) {
	two := []run{ok("0m"), ok("1m")}
	withNulls := func(pct float64) []run {
		return []run{ok("0m"), ok("1m"), {"2m", "success", 100, [3]float64{100, pct, 100}, ""}}
	}
	for _, tt := range []struct {
		name    string
		runs    []run
		now     string
		state   health.State
		reasons []string
	}{
		{"no run yet", nil, "0m", health.Stale, []string{"no_runs"}},
		{"a first run is not enough", two[:1], "0m30s", health.Stale, []string{"recovering"}},
		{"two clean consecutive minutes", two, "1m30s", health.Healthy, nil},
		{"two clean minutes with a gap", []run{ok("0m"), ok("2m")}, "2m30s", health.Stale, []string{"recovering"}},
		{"S7: exactly two minutes old", two, "3m", health.Healthy, nil},
		{"S7: older than two minutes", two, "3m1s", health.Degraded, []string{"snapshot_age"}},
		{"S7: exactly ten minutes old", two, "11m", health.Degraded, []string{"snapshot_age"}},
		{"S7: older than ten minutes", two, "11m1s", health.Stale, []string{"snapshot_age"}},
		{"S3: coverage of 90", append(two[:2:2], run{"2m", "partial", 90, full, ""}), "2m30s", health.Healthy, nil},
		{"S3: coverage below 90", append(two[:2:2], run{"2m", "partial", 89.5, full, ""}), "2m30s", health.Degraded, []string{"coverage"}},
		{"S3: coverage of 80", append(two[:2:2], run{"2m", "partial", 80, full, ""}), "2m30s", health.Degraded, []string{"coverage"}},
		{"S3: coverage below 80", append(two[:2:2], run{"2m", "partial", 79.5, full, ""}), "2m30s", health.Stale, []string{"coverage"}},
		{"S5: 80 % readable", withNulls(80), "2m30s", health.Healthy, nil},
		{"S5: below 80 % readable", withNulls(79.99), "2m30s", health.Degraded, []string{"null_szi:BTC"}},
		{"S5: 60 % readable", withNulls(60), "2m30s", health.Degraded, []string{"null_szi:BTC"}},
		{"S5: below 60 % readable", withNulls(59.99), "2m30s", health.Stale, []string{"null_szi:BTC"}},
		{"the newest run failed", append(two[:2:2], run{"2m", "failed", 50, full, ""}), "2m30s", health.Stale, []string{"run_failed", "coverage"}},
		{"one clean run after a failed one", append(two[:2:2], run{"2m", "failed", 50, full, ""}, ok("3m")), "3m30s", health.Stale, []string{"recovering"}},
		{"two clean runs after a failed one", append(two[:2:2], run{"2m", "failed", 50, full, ""}, ok("3m"), ok("4m")), "4m30s", health.Healthy, nil},
		{"a clean run and one below 90", append(two[:2:2], run{"2m", "failed", 50, full, ""}, ok("3m"), run{"4m", "partial", 89.5, full, ""}), "4m30s", health.Stale, []string{"recovering"}},
		{"one clean run after an outage", append(two[:2:2], ok("20m")), "20m30s", health.Stale, []string{"recovering"}},
		{"an outage that a late commit made longer than ten minutes", append(two[:2:2], run{"11m", "success", 100, full, "11m5s"}), "11m30s", health.Stale, []string{"recovering"}},
		{"a gap of nine minutes was never STALE", append(two[:2:2], ok("10m")), "10m30s", health.Healthy, nil},
		{"the recovery itself is old", []run{ok("0m"), {"1m", "success", 100, full, "3m30s"}}, "3m40s", health.Stale, []string{"recovering"}},
		{"a run from the future", append(two[:2:2], ok("2m")), "0m50s", health.Stale, []string{"clock_skew"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			db := pgtest.New(t)
			store(t, db, tt.runs...)
			now := at(tt.now)
			if slices.Contains(tt.reasons, "clock_skew") {
				// The clock went back after the runs were written.
				if _, err := db.Exec(t.Context(), "UPDATE ingest_runs SET finished_at = $1", now); err != nil {
					t.Fatal(err)
				}
			}
			pgtest.SetClock(t, db, now.Format(time.RFC3339))
			got, err := watch.Read(t.Context(), db)
			if err != nil {
				t.Fatal(err)
			}
			if got.State != tt.state || !slices.Equal(got.Reasons, tt.reasons) {
				t.Errorf("live: %s %v, want %s %v", got.State, got.Reasons, tt.state, tt.reasons)
			}
			if slices.Contains(tt.reasons, "clock_skew") {
				return // the past knows nothing of the future
			}
			past, err := watch.ReadAt(t.Context(), db, now)
			if err != nil || cmp.Diff(got, past) != "" {
				t.Errorf("the same instant judged later: %v\n%s", err, cmp.Diff(got, past))
			}
		})
	}
}

// Two clean minutes, and what clocks do to them.
func TestHealthAndClocksThatAreWrong(t *testing.T) {
	ended := func(minute, finished string) run { return run{minute, "success", 100, full, finished} }
	for _, tt := range []struct {
		name    string
		runs    []run
		sql     string
		now     string
		state   health.State
		reasons []string
	}{
		{"a run that ended 5 s after now", []run{ok("0m"), ended("1m", "1m10s")}, "", "1m5s", health.Healthy, nil},
		{"6 s after now", []run{ok("0m"), ended("1m", "1m10s")}, "", "1m4s", health.Stale, []string{"clock_skew"}},
		{"not the newest run", []run{ended("0m", "1m30s"), ok("1m")}, "", "1m20s", health.Stale, []string{"clock_skew"}},
		{"a minute more than one ahead", []run{ok("0m"), ok("1m"), ended("3m", "1m10s")}, "", "1m59s", health.Stale, []string{"clock_skew"}},
		{"a later run that is superseded", []run{ok("0m"), ok("1m"), ok("60m")}, "UPDATE ingest_runs SET superseded = true WHERE timestamp > $1", "1m30s", health.Healthy, nil},
		{"it is not believed when its time comes", []run{ok("59m"), ok("60m")}, "UPDATE ingest_runs SET superseded = true WHERE timestamp > $1", "60m30s", health.Stale, []string{"no_runs"}},
		{"a superseded failure", []run{ok("0m"), ok("1m"), {"2m", "failed", 0, full, ""}}, "UPDATE ingest_runs SET superseded = true WHERE timestamp > $1", "2m30s", health.Healthy, nil},
		{"age since the minute", []run{ok("0m"), ended("1m", "1m10s")}, "", "3m1s", health.Degraded, []string{"snapshot_age"}},
		{"age since the end, which was before the minute", []run{ok("0m"), ended("1m", "0m40s")}, "", "2m41s", health.Degraded, []string{"snapshot_age"}},
		{"not yet", []run{ok("0m"), ended("1m", "0m40s")}, "", "2m40s", health.Healthy, nil},
		{"a minute is refused", []run{ok("0m"), ok("1m")}, "SELECT refuse_minute($1)", "1m30s", health.Stale, []string{"clock_back"}},
		{"a minute was refused, and that is settled", []run{ok("0m"), ok("1m")}, "INSERT INTO clock_refusals (first_minute, last_minute, newest, settled_at, settled_by) VALUES ($1, $1, $1, $1, 'op')", "1m30s", health.Healthy, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			db := pgtest.New(t)
			store(t, db, tt.runs...)
			if tt.sql != "" {
				if _, err := db.Exec(t.Context(), tt.sql, at("1m")); err != nil {
					t.Fatal(err)
				}
			}
			pgtest.SetClock(t, db, at(tt.now).Format(time.RFC3339))
			if got, err := watch.Read(t.Context(), db); err != nil || got.State != tt.state || !slices.Equal(got.Reasons, tt.reasons) {
				t.Errorf("%s %v, %v; want %s %v", got.State, got.Reasons, err, tt.state, tt.reasons)
			}
		})
	}
}

// What only the moment of reading shows is no part of what runs and halts say.
func TestByRunsLeavesOutWhoLeads(t *testing.T) {
	for _, tt := range []struct {
		state, want   health.State
		reasons, left []string
	}{
		{health.Healthy, health.Healthy, nil, nil},
		{health.Degraded, health.Healthy, []string{"no_collector"}, nil},
		{health.Degraded, health.Degraded, []string{"coverage", "no_collector"}, []string{"coverage"}},
		{health.Degraded, health.Degraded, []string{"snapshot_age"}, []string{"snapshot_age"}},
		{health.Stale, health.Stale, []string{"clock_back"}, []string{"clock_back"}},
		{health.Stale, health.Stale, []string{"database"}, []string{"database"}},
	} {
		h := health.Health{State: tt.state, Reasons: slices.Clone(tt.reasons)}
		if got := h.ByRuns(); got.State != tt.want || !slices.Equal(got.Reasons, tt.left) {
			t.Errorf("%s %v: %s %v, want %s %v", tt.state, tt.reasons, got.State, got.Reasons, tt.want, tt.left)
		}
		if !slices.Equal(h.Reasons, tt.reasons) {
			t.Errorf("the answer itself has changed to %v", h.Reasons)
		}
	}
}

func TestHealthCarriesItsFigures(t *testing.T) {
	db := pgtest.New(t)
	store(t, db, ok("0m"), ok("1m"), run{"2m", "partial", 85.5, full, ""})
	pgtest.SetClock(t, db, at("2m30s").Format(time.RFC3339))
	got, err := watch.Read(t.Context(), db)
	if err != nil {
		t.Fatal(err)
	}
	status, last, age, coverage := "partial", at("2m"), 30.0, 85.5
	want := health.Health{State: health.Degraded, SnapshotStatus: &status, LastSuccess: &last, AgeSeconds: &age, CoveragePct: &coverage, CleanRuns: 0, Reasons: []string{"coverage"}, At: at("2m30s")}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	for i := range 12 {
		store(t, db, ok((time.Duration(i+3) * time.Minute).String()))
	}
	if got, _ := watch.ReadAt(t.Context(), db, at("14m30s")); got.CleanRuns != 10 {
		t.Errorf("clean_runs = %d, want 10 at most", got.CleanRuns)
	}
	if got, _ := watch.ReadAt(t.Context(), db, at("5m30s")); got.CleanRuns != 3 {
		t.Errorf("clean_runs = %d, want the 3 after the partial one", got.CleanRuns)
	}
}

func TestAnActiveSystemAlertHoldsTheStateDown(t *testing.T) {
	db := pgtest.New(t)
	store(t, db, ok("0m"), ok("1m"))
	pgtest.SetClock(t, db, at("1m30s").Format(time.RFC3339))
	if _, err := db.Exec(t.Context(), "INSERT INTO alert_state (asset, alert_type, is_active) VALUES ('SYSTEM', 'system_stale', true)"); err != nil {
		t.Fatal(err)
	}
	got, err := watch.Read(t.Context(), db)
	if err != nil || got.State != health.Stale || !slices.Equal(got.Reasons, []string{"system_stale"}) {
		t.Errorf("Read = %+v, %v", got, err)
	}
}

func TestAnUnreachableDatabaseIsStale(t *testing.T) {
	db, err := postgres.Open(t.Context(), "postgres://127.0.0.1:1/none", "test")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	got, err := watch.Read(t.Context(), db)
	if got.State != health.Stale || !slices.Equal(got.Reasons, []string{"database"}) || !errors.Is(err, postgres.ErrUnreachable) {
		t.Errorf("Read = %+v, %v", got, err)
	}
}

func TestHaltOutlivesEverythingUntilAResumeIsEarned(t *testing.T) {
	db := pgtest.New(t)
	ctx := t.Context()
	clock := func(offset string) { pgtest.SetClock(t, db, at(offset).Format(time.RFC3339)) }
	expect := func(want health.State, reasons ...string) {
		t.Helper()
		got, err := watch.Read(ctx, db)
		if err != nil || got.State != want || !slices.Equal(got.Reasons, reasons) {
			t.Errorf("%s %v, %v; want %s %v", got.State, got.Reasons, err, want, reasons)
		}
	}
	refused := func(cause, actions string, missing ...string) {
		t.Helper()
		_, err := halt.Resume(ctx, db, cause, actions, "op")
		var why *halt.RefusedError
		if !errors.As(err, &why) || len(why.Missing) != len(missing) {
			t.Errorf("Resume = %v, want a refusal for %q", err, missing)
			return
		}
		for i, want := range missing {
			if !strings.Contains(why.Missing[i], want) {
				t.Errorf("missing[%d] = %q, want %q", i, why.Missing[i], want)
			}
		}
	}
	store(t, db, ok("0m"), ok("1m"))
	clock("1m30s")
	refused("c", "a", "no halt is in force")
	if _, err := halt.Stop(ctx, db, " ", "op"); err == nil {
		t.Error("a halt without a reason is accepted")
	}
	if _, err := halt.Stop(ctx, db, "two boards disagree", "op"); err != nil {
		t.Fatal(err)
	}
	if _, err := halt.Stop(ctx, db, "again", "op"); !errors.Is(err, halt.ErrHalted) {
		t.Errorf("a second halt: %v", err)
	}
	expect(health.Stale, "halted")
	refused("", " ", "root cause", "actions taken", "0 of 2")
	store(t, db, ok("2m"))
	clock("2m30s")
	refused("c", "a", "1 of 2")
	store(t, db, run{"3m", "partial", 85, full, ""}, ok("4m"))
	clock("4m30s")
	refused("c", "a", "1 of 2")
	store(t, db, ok("5m"))
	clock("8m")
	refused("c", "a", "at most 2 minutes old")
	store(t, db, ok("7m"), ok("8m"))
	clock("8m30s")
	expect(health.Stale, "halted")
	for _, wrong := range []struct{ sql, undo, missing string }{
		{"SELECT refuse_minute($1)", "UPDATE clock_refusals SET settled_at = $1, settled_by = 'op'", "clocks that agree"},
		{"UPDATE ingest_runs SET superseded = true WHERE timestamp = $1", "UPDATE ingest_runs SET superseded = false WHERE timestamp = $1", "1 of 2"},
	} {
		for _, sql := range []string{wrong.sql, wrong.undo} {
			if _, err := db.Exec(ctx, sql, at("8m")); err != nil {
				t.Fatal(err)
			}
			if sql == wrong.sql {
				refused("c", "a", wrong.missing)
			}
		}
	}
	stopped, err := halt.InForce(ctx, db)
	if err != nil || stopped == nil || stopped.Reason != "two boards disagree" {
		t.Fatalf("InForce = %+v, %v", stopped, err)
	}
	resumed, err := halt.Resume(ctx, db, "stale replica", "switched upstream", "op2")
	if err != nil || resumed.ResumedBy == nil || *resumed.ResumedBy != "op2" {
		t.Fatalf("Resume = %+v, %v", resumed, err)
	}
	expect(health.Healthy)
	if halt, err := halt.InForce(ctx, db); err != nil || halt != nil {
		t.Errorf("InForce after the resume = %+v, %v", halt, err)
	}
	// As it stood: the past still says halted.
	if past, _ := watch.ReadAt(ctx, db, at("5m30s")); !slices.Equal(past.Reasons, []string{"halted"}) {
		t.Errorf("at 5m30s: %+v", past)
	}
}

// A halt waits for no job of the leader's that hangs.
func TestAHaltDoesNotWaitForWhatHangs(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	tx, err := db.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback(t.Context())
	if _, err := tx.Exec(t.Context(), "SELECT FROM collector_leader FOR UPDATE"); err != nil {
		t.Fatal(err)
	}
	if _, err := halt.Stop(t.Context(), db, "two boards disagree", "op"); err != nil {
		t.Error(err)
	}
	if halt, err := halt.InForce(t.Context(), db); err != nil || halt == nil {
		t.Errorf("%v, %v", halt, err)
	}
}
