package postgres_test

import (
	"strings"
	"testing"
)

// untrue puts what operators see of data that cannot be true into the board's database,
// at 12:01:30: two wallets, an open failure of S11 with its sizes, and coins.
const untrue = `
	DELETE FROM wallet_universe_current;
	INSERT INTO wallet_universe_current (wallet_id, rank, month_pnl, as_of_ts)
		SELECT '0x' || repeat(w, 40), rank, 5, '2026-03-01 11:00Z' FROM unnest('{c,d}'::text[]) WITH ORDINALITY AS u (w, rank);
	INSERT INTO wallet_accounts (wallet_id, sub_accounts, checked_at) VALUES
		('0x' || repeat('c', 40), '{}', '2026-03-01 11:00Z'), ('0x' || repeat('d', 40), ARRAY['0x' || repeat('e', 40)], '2026-03-01 09:00Z');
	INSERT INTO exchange_meta VALUES ('HYPE', true, false, 2, '2026-03-01 12:00Z'), ('BTC', true, false, 5, '2026-03-01 12:00Z'), ('ETH', true, false, 4, '2026-03-01 12:00Z');
	INSERT INTO account_search VALUES (true, '2026-03-01 11:00Z', 480, 2, 2, '2026-03-01 11:08Z', '2026-03-01 11:07Z');`

const openFailure = `
	WITH b AS (INSERT INTO baselines (asset, subject, opened_ts, affected, holders, factor) VALUES ('BTC', 'rescaled:BTC', '2026-03-01 12:00Z', 41, 45, 10) RETURNING id)
	INSERT INTO baseline_sizes (baseline_id, wallet_id, before, accepted) SELECT id, '0x' || repeat('c', 40), 7731.5, 8842.25 FROM b;
	INSERT INTO baselines (asset, subject, opened_ts, affected, holders, ended_ts, accepted_at, accepted_by, reason)
		VALUES ('ETH', 'mass_close:ETH', '2026-03-01 10:00Z', 30, 31, '2026-03-01 10:20Z', '2026-03-01 10:20Z', 'ann', '9953.75 was real');`

const newestFails = "UPDATE ingest_runs SET status = 'failed', error = '%', failed_check = '#', failed_subject = '@' WHERE timestamp = (SELECT max(timestamp) FROM ingest_runs)"

func failsBy(check, subject string) string {
	return strings.NewReplacer("%", check+": odd", "#", check, "@", subject).Replace(newestFails)
}

func TestTheOperatorsSeeWhatCannotBeTrue(t *testing.T) {
	begun := func(at string) string {
		return "UPDATE account_search SET started_at = '2026-03-01 " + at + "Z', ended_at = NULL, known = 1;"
	}
	for _, tt := range []struct {
		name, sql, view string
		want            map[string]string
	}{
		{"all is well", "", "accounts", map[string]string{"Symptom": "ok", "Accounts known": "2 of 2", "Never found": "0", "Not confirmed for a day": "0", "Shared by two": "0", "Oldest confirmed": "3 h 1 min ago",
			"First start": "took 7 min, announced 8 min", "Coins": "as expected", "Coins answered": "90 s ago"}},
		{"one is never found", "DELETE FROM wallet_accounts WHERE sub_accounts <> '{}'", "accounts", map[string]string{"Symptom": "accounts missing", "Accounts known": "1 of 2", "Never found": "1"}},
		{"a first start", begun("11:54"), "accounts", map[string]string{"Symptom": "starting", "First start": "2 of 2, done about 11:08 UTC"}},
		{"a late first start", begun("11:50"), "accounts", map[string]string{"Symptom": "SEARCH LATE"}},
		{"never started", "DELETE FROM account_search", "accounts", map[string]string{"Symptom": "ok", "First start": "none"}},
		{"a coin is gone", "UPDATE exchange_meta SET listed = false WHERE asset = 'BTC'", "accounts", map[string]string{"Symptom": "COINS", "Coins": "BTC: no such coin"}},
		{"no answer", "DELETE FROM exchange_meta", "accounts", map[string]string{"Symptom": "COINS", "Coins answered": "none"}},
		{"no universe", "DELETE FROM wallet_universe_current", "accounts", map[string]string{"Symptom": "no universe yet", "Oldest confirmed": "none"}},

		{"nothing is open", "", "dirty_spike", map[string]string{"Symptom": "ok", "All at once (S11)": "none"}},
		{"one is open", openFailure, "dirty_spike", map[string]string{"Symptom": "ALL AT ONCE", "All at once (S11)": "rescaled:BTC since 03-01 12:00"}},
		{"one state for many", failsBy("S10", "same_state"), "dirty_spike", map[string]string{"Symptom": "SAME STATE"}},
		{"one state for many, which looks like all at once", openFailure + failsBy("S10", "same_state"), "dirty_spike", map[string]string{"Symptom": "SAME STATE"}},

		{"a check says why", failsBy("S11", "rescaled:BTC"), "ingestion", map[string]string{"Symptom": "runs fail", "Because": "S11 rescaled:BTC"}},
		{"a check, and wallets that failed", failsBy("S9", "old_state") + `; UPDATE ingest_runs SET failures = '{"old_state": 190, "timeout": 3}'`, "ingestion", map[string]string{"Because": "S9 old_state, old_state 190, timeout 3"}},
		{"coverage says why itself", failsBy("S3", "") + `; UPDATE ingest_runs SET failures = '{"timeout": 190}'`, "ingestion", map[string]string{"Because": "timeout 190"}},
		{"a check of before", failsBy("S2", ""), "ingestion", map[string]string{"Because": "check S2"}},

		{"the leaderboard changes", "UPDATE wallet_universe_runs SET n_requested = 2, n_received = 2, changed_at = '2026-03-01 10:00Z'", "universe", map[string]string{"Symptom": "ok", "Leaderboard changed": "2 h 1 min ago", "Wallets tracked": "2"}},
		{"the leaderboard stands still", "UPDATE wallet_universe_runs SET n_requested = 2, n_received = 2, changed_at = '2026-02-27 10:59Z'", "universe", map[string]string{"Symptom": "unchanged"}},
		{"wallets that somebody deleted", "", "universe", map[string]string{"Symptom": "wallets missing"}},
		{"another size", "UPDATE wallet_universe_runs SET n_received = 2; INSERT INTO wallet_universe_runs (as_of_ts, status, source, n_requested, n_received, duration_ms, error) VALUES ('2026-03-01 12:00Z', 'failed', 's', 500, 0, 5, 'x')", "universe",
			map[string]string{"Symptom": "refresh fails", "Wallets tracked": "2, made for 200"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			db, ops := newOps(t)
			must(t, db, untrue+tt.sql)
			checkLines(t, newSession(t, ops), tt.view, tt.want)
		})
	}
}

// Who looks at the incident board learns which asset and how many wallets: no wallet, no
// size, no net, and no word of an operator that may hold one.
func TestTheOperatorsViewsTellNoWalletAndNoSize(t *testing.T) {
	db, ops := newOps(t)
	must(t, db, untrue+openFailure+"UPDATE ingest_runs SET error = 'of 0x' || repeat('c', 40), failed_subject = '0x' || repeat('d', 40) WHERE status = 'failed'")
	s := newSession(t, ops)
	for _, view := range opsViews(t, db) {
		got := s.ask("SELECT * FROM " + view)
		for _, secret := range []string{"0xc", "0xd", "0xe", "7731", "8842", "9953", "77315"} {
			if strings.Contains(got, secret) {
				t.Errorf("%s tells %s:\n%s", view, secret, got)
			}
		}
	}
	if got := s.ask("SELECT subject, affected, holders, outcome, accepted_by FROM ops.baselines ORDER BY opened_ts"); got != "mass_close:ETH|30|31|accepted|ann\nrescaled:BTC|41|45|OPEN|NULL" {
		t.Errorf("the failures are\n%s", got)
	}
	for _, table := range []string{"public.baselines", "public.baseline_sizes", "public.exchange_meta", "public.account_search", "facts.accounts", "facts.search", "facts.coins"} {
		if got := s.ask("SELECT * FROM " + table); got != "ERROR 42501" {
			t.Errorf("%s: %s", table, got)
		}
	}
}

// The trading board leads to the page about what cannot be true, and to no other.
func TestTheHeaderLeadsToWhatCannotBeTrue(t *testing.T) {
	for _, tt := range []struct{ check, subject, page string }{
		{"S10", "same_state", "4-dirty-spike"}, {"S11", "mass_close:BTC", "4-dirty-spike"}, {"S9", "old_state", "1-ingestion"}, {"S12", "meta:BTC", "1-ingestion"}, {"S3", "", "1-ingestion"},
	} {
		db, _ := newOps(t)
		must(t, db, failsBy(tt.check, tt.subject))
		if got := newSession(t, db).ask("SELECT runbook FROM board.header"); got != tt.page {
			t.Errorf("%s leads to %q, want %q", tt.check, got, tt.page)
		}
	}
}
