package engine

import (
	"fmt"
	"log/slog"
	"os"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/whalegate/whalegate/alerting"
	"github.com/whalegate/whalegate/alerting/outbox"
	"github.com/whalegate/whalegate/alerting/receiver"
	"github.com/whalegate/whalegate/internal/postgres/pgtest"
	"github.com/whalegate/whalegate/signals"
)

func TestMain(m *testing.M) { os.Exit(pgtest.Main(m)) }

var (
	noon  = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	quiet = slog.New(slog.DiscardHandler)
)

// scene is a database whose clock a test moves.
type scene struct {
	testing.TB
	db    *pgxpool.Pool
	rules Rules
}

// newScene makes one with two receivers: one wants everything, the other what is
// high, and no end.
func newScene(t testing.TB) *scene {
	db := pgtest.New(t)
	return &scene{t, db, Rules{db, nil, outbox.Intent{Routes: []receiver.Route{
		{Name: "all", MinSeverity: alerting.Medium, SendResolved: true}, {Name: "high", MinSeverity: alerting.High},
	}}}}
}

func (s *scene) exec(sql string, args ...any) {
	s.Helper()
	if _, err := s.db.Exec(s.Context(), sql, args...); err != nil {
		s.Fatal(err)
	}
}

func (s *scene) clock(now time.Time) {
	s.Helper()
	pgtest.SetClock(s, s.db, now.Format(time.RFC3339Nano))
}

// runs stores the runs of the two minutes up to a boundary: clean, or with a
// coverage that makes the health DEGRADED (85) or STALE (50).
func (s *scene) runs(boundary time.Time, coverage int) {
	s.Helper()
	s.exec(`INSERT INTO ingest_runs (timestamp, status, wallets_expected, wallet_success_count, wallet_fail_count, rows_expected, rows_written, coverage_pct,
			hype_non_null_pct, btc_non_null_pct, eth_non_null_pct, duration_ms, finished_at)
		SELECT m, 'success', 100, CASE WHEN m < $1 THEN 100 ELSE $2::int END, CASE WHEN m < $1 THEN 0 ELSE 100 - $2::int END, 300, 300, CASE WHEN m < $1 THEN 100 ELSE $2::int END, 100, 100, 100, 2000, m + interval '5 seconds'
		FROM generate_series($1::timestamptz - interval '2 minutes', $1, interval '1 minute') m ON CONFLICT DO NOTHING`, boundary, coverage)
}

// signal stores a signal and what became of its boundary.
func (s *scene) signal(boundary time.Time, asset string, playbook signals.Playbook, exit float64, degraded bool) {
	s.Helper()
	s.exec(`INSERT INTO signals VALUES ($1, $2, 50, 'flat', 30, $3, $4, 'Reduced', false, false, 100, 0, 0, $5, CASE WHEN $5 THEN 'few_snapshots' END, 3)`,
		boundary, asset, exit, playbook, degraded)
}

func (s *scene) cycle(boundary time.Time, outcome, state string) {
	s.Helper()
	reasons := []string{}
	if outcome != "computed" || state != "HEALTHY" {
		reasons = []string{"coverage"}
	}
	s.exec("INSERT INTO signal_cycles (timestamp, outcome, judged_at, health_state, reasons) VALUES ($1, $2, $1, $3, $4)", boundary, outcome, state, reasons)
}

func (s *scene) count(sql string, args ...any) (n int) {
	s.Helper()
	if err := s.db.QueryRow(s.Context(), sql, args...).Scan(&n); err != nil {
		s.Fatal(err)
	}
	return n
}

// step decides one period, which has to be due.
func (s *scene) step() *Outcome {
	s.Helper()
	o, err := s.rules.Step(s.Context())
	if err != nil {
		s.Fatal(err)
	}
	if o == nil {
		s.Fatal("no period is due")
	}
	return o
}

// words tells what was told.
func words(list []Told) (text []string) {
	for _, t := range list {
		what := "sent"
		if t.Resolved {
			what = "cleared"
		} else if t.Suppressed != "" {
			what = string(t.Suppressed)
		}
		text = append(text, fmt.Sprintf("%s %s %s", t.Signal.Asset, t.Type, what))
	}
	return text
}
