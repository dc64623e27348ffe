package engine

import (
	"testing"

	"github.com/whalegate/whalegate/internal/postgres/pgtest"
	"github.com/whalegate/whalegate/signals"
)

// The board names the bands in SQL, where it is masked; the rules have them in
// Go. Both have to mean the same, at every edge.
func TestTheBoardNamesTheBandsOfTheRules(t *testing.T) {
	db := pgtest.New(t)
	pgtest.SetClock(t, db, "2026-03-01T12:01:30Z")
	for _, sql := range []string{
		`INSERT INTO ingest_runs (timestamp, status, wallets_expected, wallet_success_count, wallet_fail_count, rows_expected, rows_written, coverage_pct,
			hype_non_null_pct, btc_non_null_pct, eth_non_null_pct, duration_ms, finished_at)
		SELECT m, 'success', 200, 200, 0, 600, 600, 100, 100, 100, 100, 2000, m + interval '5 seconds' FROM unnest('{2026-03-01 12:00Z,2026-03-01 12:01Z}'::timestamptz[]) m`,
		"INSERT INTO signals VALUES ('2026-03-01 12:00Z', 'BTC', 50, 'flat', 0, 0, 'No-trade', 'Defensive', false, false, 200, 0, 0, false, NULL, 3)",
	} {
		if _, err := db.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	names := map[signals.Band]string{signals.Low: "Low", signals.Medium: "Medium", signals.High: "High"}
	for _, score := range []float64{0, 15.999, 16, 16.001, 24.999, 25, 25.001, 39.999, 40, 40.001, 59.999, 60, 60.001, 100} {
		if _, err := db.Exec(t.Context(), "UPDATE signals SET dispersion_index = $1, exit_cluster_score = $1", score); err != nil {
			t.Fatal(err)
		}
		var dispersion, exit string
		if err := db.QueryRow(t.Context(), "SELECT dispersion_band, exit_cluster_band FROM board.gate WHERE asset = 'BTC'").Scan(&dispersion, &exit); err != nil {
			t.Fatal(err)
		}
		if want := names[signals.DispersionBand(score)]; dispersion != want {
			t.Errorf("dispersion %v is %s on the board, %s by the rules", score, dispersion, want)
		}
		if want := names[signals.ExitBand(score)]; exit != want {
			t.Errorf("exit cluster %v is %s on the board, %s by the rules", score, exit, want)
		}
	}
}
