package status

import (
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/expfmt"
)

func TestMetricsTellWhatIsStored(t *testing.T) {
	db := tracked(t)
	must(t, db, `
		INSERT INTO baselines (asset, subject, opened_ts, affected, holders, ended_ts) VALUES ('ETH', 'mass_close:ETH', '2026-03-01 10:00Z', 40, 45, '2026-03-01 10:05Z');
		INSERT INTO baselines (asset, subject, opened_ts, affected, holders, factor) VALUES ('BTC', 'rescaled:BTC', '2026-03-01 12:20Z', 41, 45, 10);
		DELETE FROM wallet_accounts WHERE wallet_id = '@d'`)
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(NewCollector(db))
	check := func(want string) {
		t.Helper()
		var lines []string
		families, err := registry.Gather()
		if err != nil {
			t.Fatal(err)
		}
		var text strings.Builder
		for _, family := range families {
			if _, err := expfmt.MetricFamilyToText(&text, family); err != nil {
				t.Fatal(err)
			}
		}
		for line := range strings.Lines(text.String()) {
			if !strings.HasPrefix(line, "#") {
				lines = append(lines, strings.TrimSpace(line))
			}
		}
		if got := strings.Join(lines, "\n"); got != want {
			t.Errorf("got\n%s\nwant\n%s", got, want)
		}
	}
	check(`whalegate_accounts_known_wallets 2
whalegate_accounts_oldest_confirmed_seconds 10800
whalegate_accounts_wallets 3
whalegate_baseline_failures_open{asset="BTC"} 1
whalegate_baseline_failures_open{asset="ETH"} 0
whalegate_baseline_failures_open{asset="HYPE"} 0
whalegate_exchange_meta_age_seconds 120`)
	must(t, db, "DELETE FROM exchange_meta WHERE asset = 'ETH'; DELETE FROM wallet_accounts")
	check(`whalegate_accounts_known_wallets 0
whalegate_accounts_oldest_confirmed_seconds +Inf
whalegate_accounts_wallets 4
whalegate_baseline_failures_open{asset="BTC"} 1
whalegate_baseline_failures_open{asset="ETH"} 0
whalegate_baseline_failures_open{asset="HYPE"} 0
whalegate_exchange_meta_age_seconds +Inf`)
	must(t, db, "DROP VIEW facts.accounts CASCADE; ALTER TABLE baselines RENAME TO gone") // nothing that is not known is said to be fine
	check("whalegate_exchange_meta_age_seconds +Inf")
}
