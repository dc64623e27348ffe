package status

import (
	"bytes"
	"regexp"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/whalegate/whalegate/internal/asset"
	"github.com/whalegate/whalegate/internal/postgres/pgtest"
)

// tracked is a database at half past noon with four wallets, one of them a sub-account of
// the first, and coins that are as they should be.
func tracked(t *testing.T) *pgxpool.Pool {
	t.Helper()
	db := pgtest.New(t)
	pgtest.SetClock(t, db, "2026-03-01T12:30:00Z")
	must(t, db, `
		INSERT INTO wallet_universe_runs (as_of_ts, status, source, n_requested, n_received, duration_ms) VALUES ('2026-03-01 11:00Z', 'success', 's', 4, 4, 5);
		INSERT INTO wallet_universe_current (wallet_id, rank, month_pnl, as_of_ts) SELECT w, rank, 5, '2026-03-01 11:00Z' FROM unnest('{@a,@b,@c,@d}'::text[]) WITH ORDINALITY AS u (w, rank);
		INSERT INTO wallet_accounts (wallet_id, sub_accounts, checked_at) VALUES
			('@a', '{@b,@e}', '2026-03-01 11:30Z'), ('@b', '{}', '2026-02-01 12:00Z'), ('@c', '{}', '2026-03-01 09:30Z'), ('@d', '{@f}', '2026-03-01 12:00Z');
		INSERT INTO exchange_meta VALUES ('HYPE', true, false, 2, '2026-03-01 12:28Z'), ('BTC', true, false, 5, '2026-03-01 12:28Z'), ('ETH', true, false, 4, '2026-03-01 12:28Z')`)
	return db
}

// wallet is how a test writes an address: @a is 0xaaa….
var wallet = regexp.MustCompile(`@[0-9a-f]`)

func must(t *testing.T, db *pgxpool.Pool, sql string) {
	t.Helper()
	sql = wallet.ReplaceAllStringFunc(sql, func(id string) string { return "0x" + strings.Repeat(id[1:], 40) })
	if _, err := db.Exec(t.Context(), sql); err != nil {
		t.Fatal(err)
	}
}

func TestStatusSaysWhichAccountsAreKnown(t *testing.T) {
	for _, tt := range []struct{ name, sql, want string }{
		{"all", "", "3 of 3 wallets known, the oldest confirmed 3h0m0s ago"},
		{"one never found", "DELETE FROM wallet_accounts WHERE wallet_id = '@d'", "2 of 3 wallets known, 1 never found, the oldest confirmed 3h0m0s ago"},
		{"one not confirmed for a day", "UPDATE wallet_accounts SET checked_at = '2026-02-28 12:29Z' WHERE wallet_id = '@d'", "2 of 3 wallets known, 1 not confirmed for a day, the oldest confirmed 24h1m0s ago"},
		{"one of a clock that was ahead", "UPDATE wallet_accounts SET checked_at = '2026-03-03 12:00Z' WHERE wallet_id = '@d'", "2 of 3 wallets known, 1 not confirmed for a day, the oldest confirmed 3h0m0s ago"},
		{"two claim an account", "UPDATE wallet_accounts SET sub_accounts = '{@e}' WHERE wallet_id = '@c'", "1 of 3 wallets known, 2 claimed by two wallets, the oldest confirmed 3h0m0s ago"},
		{"a row with accounts of its own is one of another", "UPDATE wallet_accounts SET sub_accounts = '{@0}' WHERE wallet_id = '@b'", "2 of 4 wallets known, 1 not confirmed for a day, 2 claimed by two wallets, the oldest confirmed 672h30m0s ago"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			db := tracked(t)
			if tt.sql != "" {
				must(t, db, tt.sql)
			}
			report, text := show(t, db)
			if !strings.Contains(text, "accounts      "+tt.want+"\n") || report.Universe.AccountsKnown != report.Accounts.Known {
				t.Errorf("want %q:\n%s", tt.want, text)
			}
		})
	}
}

func TestStatusSaysHowFarAFirstStartIs(t *testing.T) {
	const begun = "INSERT INTO account_search (started_at, announced_seconds, wallets, known, done_at) VALUES ('2026-03-01 %sZ', 480, 200, 120, '2026-03-01 12:34:30Z')"
	for _, tt := range []struct{ name, sql, want string }{
		{"never", "", ""},
		{"as announced", strings.Replace(begun, "%s", "12:20", 1), "first start   starting, 3 of 3 wallets known, done about 12:34 UTC\n"},
		{"after 1.3 times of what was announced", strings.Replace(begun, "%s", "12:19", 1), "first start   late: 3 of 3 wallets known after 11m0s, 8m0s were announced\n"},
		{"announced for hours, after half an hour", strings.Replace(strings.Replace(begun, "%s", "11:59", 1), "480", "9000", 1), "first start   late: 3 of 3 wallets known after 31m0s, 2h30m0s were announced\n"},
		{"over", strings.Replace(begun, "%s", "12:20", 1) + "; UPDATE account_search SET ended_at = '2026-03-01 12:28Z'", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			db := tracked(t)
			if tt.sql != "" {
				must(t, db, tt.sql)
			}
			report, text := show(t, db)
			if tt.want != "" && !strings.Contains(text, tt.want) || tt.want == "" && strings.Contains(text, "first start") {
				t.Errorf("want %q:\n%s", tt.want, text)
			}
			if report.ExitCode() != 2 {
				t.Errorf("exit %d", report.ExitCode())
			}
		})
	}
}

func TestStatusSaysWhatTheExchangeSaysOfOurCoins(t *testing.T) {
	for _, tt := range []struct{ name, sql, want, coin string }{
		{"right", "", "as expected, answered 2m0s ago", "BTC: as expected; listed, sizes with 5 decimals, 5 decimals are expected; answered 2m0s ago"},
		{"delisted", "UPDATE exchange_meta SET delisted = true WHERE asset = 'BTC'", "BTC delisted; answered 2m0s ago", "BTC: delisted; delisted, 5 decimals are expected; answered 2m0s ago"},
		{"renamed", "UPDATE exchange_meta SET listed = false WHERE asset = 'BTC'", "BTC no such coin; answered 2m0s ago", "BTC: no such coin; not listed, 5 decimals are expected; answered 2m0s ago"},
		{"other decimals", "UPDATE exchange_meta SET sz_decimals = 4 WHERE asset = 'BTC'", "BTC other decimals; answered 2m0s ago", "BTC: other decimals; listed, sizes with 4 decimals, 5 decimals are expected; answered 2m0s ago"},
		{"not for a day", "UPDATE exchange_meta SET answered_at = '2026-02-28 12:29Z'", "HYPE not answered for a day, BTC not answered for a day, ETH not answered for a day; answered 24h1m0s ago", "BTC: not answered for a day; listed, sizes with 5 decimals, 5 decimals are expected; answered 24h1m0s ago"},
		{"by a clock that was ahead", "UPDATE exchange_meta SET answered_at = '2026-03-01 12:32Z'", "the exchange has never said which coins it has", "BTC: never answered"},
		{"never", "DELETE FROM exchange_meta", "the exchange has never said which coins it has", "BTC: never answered"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			db := tracked(t)
			if tt.sql != "" {
				must(t, db, tt.sql)
			}
			report, text := show(t, db)
			if !strings.Contains(text, "coins         "+tt.want+"\n") {
				t.Errorf("want %q:\n%s", tt.want, text)
			}
			if got := report.Coins[asset.BTC].Text(); got != tt.coin {
				t.Errorf("of BTC alone %q, want %q", got, tt.coin)
			}
		})
	}
}

// The view and the program expect the same of every asset.
func TestTheViewExpectsTheDecimalsOfTheAssets(t *testing.T) {
	coins, err := ReadCoins(t.Context(), tracked(t))
	if err != nil || len(coins) != asset.Count {
		t.Fatalf("%+v, %v", coins, err)
	}
	for i, a := range asset.All {
		if coins[i].Asset != a.String() || coins[i].Expected != a.Decimals() {
			t.Errorf("%s: %+v", a, coins[i])
		}
	}
}

// Which asset, how many wallets and since when: never what they hold.
func TestStatusSaysWhatHappenedToEverybodyAtOnce(t *testing.T) {
	db := tracked(t)
	must(t, db, `
		INSERT INTO baselines (asset, subject, opened_ts, affected, holders, ended_ts) VALUES ('ETH', 'mass_close:ETH', '2026-03-01 10:00Z', 40, 45, '2026-03-01 10:05Z');
		WITH b AS (INSERT INTO baselines (asset, subject, opened_ts, affected, holders, factor) VALUES ('BTC', 'rescaled:BTC', '2026-03-01 12:20Z', 41, 45, 10) RETURNING id)
		INSERT INTO baseline_sizes (baseline_id, wallet_id, before) SELECT id, '@a', 7731.5 FROM b`)
	report, text := show(t, db)
	if !strings.Contains(text, "S11           rescaled:BTC open since 2026-03-01T12:20:00Z: 41 of 45 wallets at once\n") || strings.Contains(text, "ETH open") || len(report.Open) != 1 {
		t.Errorf("%+v\n%s", report.Open, text)
	}
	var line bytes.Buffer
	if err := report.WriteJSON(&line); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"accounts":{"wallets":3,"known":3,"never_found":0,"unconfirmed":0,"shared":0,"oldest_confirmed_seconds":10800}`, `"account_search":null`, `"baselines_open":[{"asset":"BTC","subject":"rescaled:BTC"`, `"exchange_meta":[{"asset":"HYPE","listed":true,"delisted":false,"sz_decimals":2`} {
		if !strings.Contains(line.String(), want) {
			t.Errorf("lacks %s: %s", want, line.String())
		}
	}
	if strings.Contains(text+line.String(), "7731") {
		t.Errorf("a size is told:\n%s%s", text, line.String())
	}
}
