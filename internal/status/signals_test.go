package status

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/whalegate/whalegate/internal/halt"
	"github.com/whalegate/whalegate/internal/health"
	"github.com/whalegate/whalegate/internal/postgres/pgtest"
)

// decided makes a database that is healthy at noon and a half minute, with
// signals of HYPE and BTC at noon and an old one of ETH.
func decided(t *testing.T) *pgxpool.Pool {
	t.Helper()
	db := pgtest.New(t)
	pgtest.SetClock(t, db, "2026-03-01T12:00:30Z")
	_, err := db.Exec(t.Context(), `
		INSERT INTO ingest_runs (timestamp, status, wallets_expected, wallet_success_count, wallet_fail_count, rows_expected, rows_written,
			coverage_pct, hype_non_null_pct, btc_non_null_pct, eth_non_null_pct, duration_ms, finished_at)
		SELECT m, 'success', 200, 200, 0, 600, 600, 100, 100, 100, 100, 1500, m + interval '5 s'
		FROM generate_series(timestamptz '2026-03-01 11:50Z', '2026-03-01 12:00Z', '1 minute') m;
		INSERT INTO signals (timestamp, asset, alignment_score, alignment_trend, dispersion_index, exit_cluster_score, allowed_playbook, risk_mode,
			add_exposure, tighten_stops, wallet_count, missing_count, dirty_count, is_degraded, degraded_reason, computation_ms)
		VALUES ('2026-03-01 11:55Z', 'HYPE', 11.5, 'falling', 12, 3, 'Short-only', 'Normal', false, true, 200, 0, 0, false, NULL, 5),
			('2026-03-01 12:00Z', 'HYPE', 81.5, 'rising', 12, 3, 'Long-only', 'Normal', true, false, 200, 0, 0, false, NULL, 5),
			('2026-03-01 12:00Z', 'BTC', 50, 'flat', 12, 3, 'No-trade', 'Defensive', false, false, 200, 0, 0, true, 'missing_wallets', 5),
			('2026-03-01 11:50Z', 'ETH', 83.5, 'rising', 12, 3, 'Long-only', 'Normal', true, false, 200, 0, 0, false, NULL, 5);
		INSERT INTO signal_cycles (timestamp, outcome, judged_at, health_state, skipped) VALUES ('2026-03-01 12:00Z', 'computed', '2026-03-01 12:00:06Z', 'HEALTHY', '{ETH}')`)
	if err != nil {
		t.Fatal(err)
	}
	return db
}

// show is the status as a person reads it.
func show(t *testing.T, db *pgxpool.Pool) (Report, string) {
	t.Helper()
	report, err := Read(t.Context(), db, now)
	if err != nil {
		t.Fatal(err)
	}
	var text bytes.Buffer
	if err := report.WriteText(&text); err != nil {
		t.Fatal(err)
	}
	return report, text.String()
}

func TestStatusShowsTheNewestSignals(t *testing.T) {
	report, text := show(t, decided(t))
	if report.State != health.Healthy || len(report.Signals) != 3 {
		t.Fatalf("%s, signals %+v", report.State, report.Signals)
	}
	for _, want := range []string{
		"HYPE          Long-only / Normal at 12:00Z, CAS 81.5 rising, dispersion 12.0, exit cluster 3.0 %, add exposure",
		"BTC           No-trade (degraded) / Defensive at 12:00Z", "(missing_wallets)",
		"ETH           No-trade / Defensive, no signal", // its newest is ten minutes old
		"signal cycle  2026-03-01T12:00:00Z computed, skipped ETH",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("text lacks %q:\n%s", want, text)
		}
	}
}

func TestStatusShowsNoSignalWhileStale(t *testing.T) {
	for what, breakIt := range map[string]func(*testing.T, *pgxpool.Pool){
		"halted": func(t *testing.T, db *pgxpool.Pool) {
			if _, err := halt.Stop(t.Context(), db, "looks odd", "ann"); err != nil {
				t.Fatal(err)
			}
		},
		"the collector is dead": func(t *testing.T, db *pgxpool.Pool) { pgtest.SetClock(t, db, "2026-03-01T12:10:01Z") },
		"no run": func(t *testing.T, db *pgxpool.Pool) {
			if _, err := db.Exec(t.Context(), "DELETE FROM ingest_runs"); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(what, func(t *testing.T) {
			db := decided(t)
			breakIt(t, db)
			report, text := show(t, db)
			var line bytes.Buffer
			if err := report.WriteJSON(&line); err != nil {
				t.Fatal(err)
			}
			if report.State != health.Stale || !strings.Contains(line.String(), `"signals":[]`) {
				t.Errorf("%s, %s", report.State, line.String())
			}
			for _, value := range []string{"Long-only", "Short-only", "Normal", "81.5", "83.5"} {
				if strings.Contains(text+line.String(), value) {
					t.Errorf("%s is shown:\n%s%s", value, text, line.String())
				}
			}
		})
	}
}

// TestStatusReadsNothingWhenItTurnsStaleMeanwhile asks for the signals alone, as
// happens when the state changes between two statements of one report.
func TestStatusReadsNothingWhenItTurnsStaleMeanwhile(t *testing.T) {
	db := decided(t)
	if list, err := readSignals(t.Context(), db); err != nil || len(list) != 3 {
		t.Fatalf("healthy: %v, %v", list, err)
	}
	pgtest.SetClock(t, db, "2026-03-01T12:30:00Z")
	if list, err := readSignals(t.Context(), db); err != nil || len(list) != 0 {
		t.Errorf("stale: %v, %v", list, err)
	}
}

func TestStatusMarksEverythingWhileDegraded(t *testing.T) {
	db := decided(t)
	pgtest.SetClock(t, db, "2026-03-01T12:02:30Z") // the newest success is older than two minutes
	report, text := show(t, db)
	if report.State != health.Degraded || !strings.Contains(text, "Long-only (degraded) / Normal") {
		t.Errorf("%s:\n%s", report.State, text)
	}
}

func TestStatusShowsNoSignalOfTheFuture(t *testing.T) {
	db := decided(t)
	if _, err := db.Exec(t.Context(), "UPDATE signals SET timestamp = '2026-03-01 12:05Z' WHERE asset = 'BTC' "); err != nil {
		t.Fatal(err)
	}
	report, _ := show(t, db)
	if s := report.Signals[1]; s.Asset != "BTC" || s.Timestamp != nil || s.AllowedPlaybook != "No-trade" || s.RiskMode != "Defensive" {
		t.Errorf("%+v at %s", s, now.Format(time.TimeOnly))
	}
}
