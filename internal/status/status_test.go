package status

import (
	"bytes"
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/whalegate/whalegate/internal/halt"
	"github.com/whalegate/whalegate/internal/health"
	"github.com/whalegate/whalegate/internal/postgres"
	"github.com/whalegate/whalegate/internal/postgres/pgtest"
)

func TestMain(m *testing.M) { os.Exit(pgtest.Main(m)) }

var now = time.Date(2026, 3, 1, 12, 1, 30, 0, time.UTC)

func TestStatusOfAnEmptyDatabaseIsStale(t *testing.T) {
	report, err := Read(t.Context(), pgtest.New(t), now)
	if err != nil || report.State != health.Stale || report.ExitCode() != 2 || report.TradingAllowed != "NO" || report.Universe != nil || report.LastRun != nil {
		t.Errorf("Read = %+v, %v", report, err)
	}
	var text bytes.Buffer
	if err := report.WriteText(&text); err != nil || !strings.Contains(text.String(), "STALE (no_runs)") || !strings.Contains(text.String(), "none yet") {
		t.Errorf("text = %q, %v", text.String(), err)
	}
}

func TestStatusShowsFiguresAndTheHalt(t *testing.T) {
	db := pgtest.New(t)
	pgtest.SetClock(t, db, now.Format(time.RFC3339))
	_, err := db.Exec(t.Context(), `
		INSERT INTO ingest_runs (timestamp, status, wallets_expected, wallet_success_count, wallet_fail_count, rows_expected, rows_written,
			coverage_pct, hype_non_null_pct, btc_non_null_pct, eth_non_null_pct, failures, duration_ms, finished_at)
		SELECT m, 'partial', 200, 186, 14, 600, 558, 93, 100, 100, 100, '{"timeout": 14}', 1500, m + interval '5 s'
		FROM generate_series(timestamptz '2026-03-01 12:00Z', '2026-03-01 12:01Z', '1 minute') m;
		INSERT INTO wallet_universe_runs (as_of_ts, status, source, n_requested, n_received, duration_ms) VALUES ('2026-03-01 11:00Z', 'success', 's', 200, 200, 5);
		INSERT INTO wallet_universe_current (wallet_id, rank, month_pnl, as_of_ts) VALUES ('0x' || repeat('a', 40), 1, 5, '2026-03-01 11:00Z')`)
	if err != nil {
		t.Fatal(err)
	}
	report, err := Read(t.Context(), db, now)
	if err != nil || report.State != health.Healthy || report.ExitCode() != 0 {
		t.Fatalf("Read = %+v, %v", report, err)
	}
	if _, err := halt.Stop(t.Context(), db, "looks odd", "ann"); err != nil {
		t.Fatal(err)
	}
	if report, err = Read(t.Context(), db, now); err != nil || report.ExitCode() != 2 {
		t.Fatalf("halted: %+v, %v", report, err)
	}
	var text bytes.Buffer
	if err := report.WriteText(&text); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"STALE (halted)", "NO", "2026-03-01T12:01:00Z (30s ago, 2 clean in a row)",
		`partial: 186 of 200 wallets (coverage 93.0 %), 558 rows in 1.5s ({"timeout":14})`, "1 wallets as of 2026-03-01T11:00:00Z, last refresh success", "0 of 1 wallets known, 1 never found", "by ann: looks odd",
		"test/0 since ",
	} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("text lacks %q:\n%s", want, text.String())
		}
	}
	var line bytes.Buffer
	if err := report.WriteJSON(&line); err != nil || strings.Count(line.String(), "\n") != 1 {
		t.Fatalf("JSON = %q, %v", line.String(), err)
	}
	var object map[string]any
	if err := json.Unmarshal(line.Bytes(), &object); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"health_state", "snapshot_status", "last_success_snapshot_ts", "snapshot_age_seconds", "coverage_pct", "clean_runs", "reasons", "universe", "last_run", "halt", "leader", "standby"} {
		if _, ok := object[key]; !ok {
			t.Errorf("JSON lacks %s", key)
		}
	}
}

// A run of a clock that was ahead is not shown as the newest, and that nobody leads
// is said with the last one who did.
func TestStatusShowsNoSupersededRunAndWhoLeads(t *testing.T) {
	db := pgtest.New(t)
	pgtest.SetClock(t, db, now.Format(time.RFC3339))
	_, err := db.Exec(t.Context(), `
		INSERT INTO ingest_runs (timestamp, status, wallets_expected, wallet_success_count, wallet_fail_count, rows_expected, rows_written,
			coverage_pct, hype_non_null_pct, btc_non_null_pct, eth_non_null_pct, duration_ms, finished_at, superseded)
		SELECT m, 'success', 200, 200, 0, 600, 600, 100, 100, 100, 100, 1500, m + interval '5 s', m > '2026-03-01 12:01Z'
		FROM unnest('{2026-03-01 12:00Z,2026-03-01 12:01Z,2026-03-01 13:00Z}'::timestamptz[]) m`)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		sql   string
		state health.State
		leads bool
		text  string
	}{
		{"SELECT", health.Healthy, true, "test/0 since "},
		{"UPDATE collector_leader SET pid = NULL", health.Degraded, false, "nobody; the last was test/0 (epoch 1)"},
		{"DELETE FROM collector_leader", health.Degraded, false, "nobody"},
	} {
		if _, err := db.Exec(t.Context(), tt.sql); err != nil {
			t.Fatal(err)
		}
		report, err := Read(t.Context(), db, now)
		if err != nil || report.State != tt.state || report.Leader == nil || report.Leader.Leads != tt.leads || report.LastRun == nil || !report.LastRun.Timestamp.Equal(now.Truncate(time.Minute)) {
			t.Errorf("%s: %+v, %v", tt.sql, report, err)
		}
		var text bytes.Buffer
		if err := report.WriteText(&text); err != nil || !strings.Contains(text.String(), tt.text) {
			t.Errorf("%s: text lacks %q, %v:\n%s", tt.sql, tt.text, err, text.String())
		}
	}
}

// What a clock that was ahead has dated is not an age below zero.
func TestStatusDatesASuccessAheadOfThePresent(t *testing.T) {
	for age, want := range map[float64]string{-1100: "(dated 18m20s ahead, 2 clean in a row)", -0.2: "(0s ago, ", 30: "(30s ago, "} {
		var text bytes.Buffer
		report := Report{Health: health.Health{State: health.Stale, LastSuccess: &now, AgeSeconds: &age, CleanRuns: 2}}
		if err := report.WriteText(&text); err != nil || !strings.Contains(text.String(), want) {
			t.Errorf("%v: %v %s", age, err, text.String())
		}
	}
}

func TestStatusWithoutADatabaseIsUnknown(t *testing.T) {
	db, err := postgres.Open(t.Context(), "postgres://u:s3cret@127.0.0.1:1/none", "test")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	report, err := Read(t.Context(), db, now)
	if err == nil || report.State != health.Stale || report.ExitCode() != 3 {
		t.Errorf("Read = %+v, %v", report, err)
	}
	var text bytes.Buffer
	if err := report.WriteText(&text); err != nil || strings.Contains(text.String(), "s3cret") || strings.Count(text.String(), "\n") != 3 {
		t.Errorf("text = %q, %v", text.String(), err)
	}
}
