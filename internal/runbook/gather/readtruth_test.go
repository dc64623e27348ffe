package gather

import (
	"strings"
	"testing"

	"github.com/whalegate/whalegate/internal/postgres/pgtest"
	"github.com/whalegate/whalegate/internal/runbook"
)

// What cannot be true is read as it is stored, by the service's own role too.
func TestWhatCannotBeTrueIsRead(t *testing.T) {
	db := pgtest.New(t)
	must(t, db, wholeHour)
	must(t, db, `
		UPDATE ingest_runs SET status = 'failed', failed_check = 'S11', failed_subject = 'rescaled:BTC', error = 'S11: odd'
			WHERE timestamp >= (SELECT max(timestamp) FROM ingest_runs) - interval '2 minutes';
		WITH b AS (
			INSERT INTO baselines (asset, subject, opened_ts, affected, holders, factor)
			SELECT 'BTC', 'rescaled:BTC', max(timestamp) - interval '2 minutes', 19, 20, 10 FROM ingest_runs RETURNING id)
		INSERT INTO baseline_sizes (baseline_id, wallet_id, before) SELECT id, 'wallet' || w, CASE w WHEN 1 THEN 0 ELSE 0.5 END FROM b, generate_series(1, 20) w;
		INSERT INTO baselines (asset, subject, opened_ts, affected, holders, ended_ts) VALUES ('ETH', 'mass_close:ETH', now() - interval '1 day', 19, 20, now());
		INSERT INTO wallet_universe_runs (as_of_ts, status, source, n_requested, n_received, duration_ms, error) VALUES (now(), 'failed', 's', 300, 300, 5, 'U6: none has any');
		INSERT INTO qa_events (day, check_id, stage, severity, subject, action_taken, first_ts, last_ts)
			SELECT current_date, 'U6', 'ingestion', 'error', 'universe', 'run failed, universe kept', as_of_ts, as_of_ts FROM wallet_universe_runs WHERE status = 'failed';
		INSERT INTO account_search (started_at, announced_seconds, wallets, known, done_at) VALUES (now() - interval '5 minutes', 480, 1, 1, now())`)
	for _, role := range []string{"", "whalegate_writer"} {
		f := ask(t, db, role)
		if len(f.Database.Unreadable) > 0 || len(f.Stored.Open) != 1 {
			t.Fatalf("as %q: %v, %+v", role, f.Database.Unreadable, f.Stored.Open)
		}
		o := f.Stored.Open[0]
		if o.Subject != "rescaled:BTC" || o.Affected != 19 || o.Holders != 20 || o.Factor == nil || *o.Factor != 10 || o.Before != (runbook.Level{Holders: 19, Net: "9.5"}) ||
			o.Present == nil || o.Present.Holders != 20 || !strings.HasPrefix(o.Present.Net, "100") || !o.Present.At.Equal(f.Stored.Runs[0].Timestamp) {
			t.Errorf("as %q: %+v, now %+v", role, o, o.Present)
		}
		s := f.Stored
		if s.Runs[0].Check != "S11" || s.Runs[0].Subject != "rescaled:BTC" || s.Universe.Refreshes[0].Check != "U6" || s.Universe.Refreshes[1].Check != "" || s.Universe.Refreshes[1].Changed == nil {
			t.Errorf("as %q: %+v, %+v", role, s.Runs[0], s.Universe.Refreshes)
		}
		if s.Accounts.Known != 200 || s.Search == nil || s.Search.Late || s.Search.RunningSeconds < 300 || len(s.Coins) != 3 || s.Coins[0].Wrong != nil {
			t.Errorf("as %q: %+v, %+v, %+v", role, s.Accounts, s.Search, s.Coins)
		}
		if r := runbook.Diagnose(f); r.Matching[0] != "dirty-spike" || r.Starting != "" {
			t.Errorf("as %q: %v %s", role, r.Matching, r.Starting)
		}
	}
}
