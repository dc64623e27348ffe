package engine

import (
	"errors"
	"math"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/whalegate/whalegate/internal/asset"
)

func TestTheThreeTablesAgree(t *testing.T) {
	t.Parallel()
	s := stage(t, 24)
	s.minutes(-9, -5)
	s.minutes(-4, 0, "20", "15", "-10", "5", "0", "", "9.9", "9", "-", "NULL", "10.3")
	s.run(s.cycle(Now), 0)
	same(t, "rows", s.list(`
		SELECT concat_ws(' ', s.asset, alignment_score = 50 + 50 * (count_add_long - count_add_short)::float8 / wallet_count, exit_cluster_score = pct_reducers,
			total_wallets = wallet_count, wallet_count + missing_count = 24, long_count + short_count + flat_count = wallet_count,
			pct_add_long = 100 * count_add_long::float8 / total_wallets, pct_add_short = 100 * count_add_short::float8 / total_wallets,
			pct_reducers = 100 * count_reducers::float8 / total_wallets, pct_flat = 100 * count_flat::float8 / total_wallets,
			count_add_long || '/' || count_add_short || '/' || count_reducers || '/' || count_flat, missing_count, computation_ms > 0)
		FROM signals s JOIN signal_contributors USING (timestamp, asset) JOIN signal_positioning USING (timestamp, asset)
		WHERE timestamp = $1 ORDER BY 1`, noon),
		"BTC t t t t t t t t t 3/1/3/15 2 t", "ETH t t t t t t t t t 3/1/3/15 2 t", "HYPE t t t t t t t t t 3/1/3/15 2 t")
	same(t, "positioning", s.list(`
		SELECT concat_ws(' ', p.asset, net_szi = sum(position_szi), long_count = count(*) FILTER (WHERE position_szi > 0), short_count, flat_count,
			abs(top10_share_pct - 100 * (20 + 15 + 10 + 10.3 + 10 * 6) / sum(abs(position_szi))) < 1e-9)
		FROM signal_positioning p JOIN wallet_snapshots w ON w.timestamp = p.timestamp AND w.asset = p.asset AND position_szi IS NOT NULL
		GROUP BY p.asset, net_szi, long_count, short_count, flat_count, top10_share_pct ORDER BY 1`),
		"BTC t t 1 1 t", "ETH t t 1 1 t", "HYPE t t 1 1 t")
}

// Sizes that no float and no 64 bits could add up, and sizes below what the
// exchange keeps.
func TestNetSizeIsExact(t *testing.T) {
	t.Parallel()
	s := stage(t, 100)
	for i := range s.sizes {
		s.sizes[i] = "1000000000000.01|1000000000000.00001|1000000000000.0001"
	}
	s.sizes[98], s.sizes[99] = "-0.03|-0.00007|-0.0009", "0.00000001"
	s.minutes(-9, 0)
	r := s.run(s.cycle(Now), 0)
	same(t, "net", s.list("SELECT concat_ws(' ', asset, net_szi::text, long_count, short_count, flat_count) FROM signal_positioning ORDER BY asset"),
		"BTC 98000000000000.00091 98 1 1", "ETH 98000000000000.0089 98 1 1", "HYPE 98000000000000.95 98 1 1")
	for _, got := range r.Signals {
		if got.Classes.Flat != 100 || got.DispersionIndex != 0 {
			t.Errorf("%+v", got)
		}
	}
	same(t, "audit", s.audit())
}

func TestListIsNewestFirstFilteredAndLimited(t *testing.T) {
	t.Parallel()
	s := quarter(t)
	list := func(from, to time.Time, name string, limit int) (keys []string) {
		t.Helper()
		err := List(t.Context(), s.db, from, to, name, limit, func(r Row) error {
			keys = append(keys, r.Timestamp.Format("15:04 ")+r.Asset)
			if r.Timestamp.Location() != time.UTC || r.ComputationMS == nil || r.Contributors == nil || r.Positioning == nil {
				t.Errorf("%+v", r)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		return keys
	}
	same(t, "all", list(at(0), at(15), "", 100), "12:15 HYPE", "12:15 BTC", "12:15 ETH", "12:10 HYPE", "12:10 BTC", "12:10 ETH",
		"12:05 HYPE", "12:05 BTC", "12:05 ETH", "12:00 HYPE", "12:00 BTC", "12:00 ETH")
	same(t, "the newest four", list(at(0), at(15), "", 4), "12:15 HYPE", "12:15 BTC", "12:15 ETH", "12:10 HYPE")
	same(t, "an asset", list(at(-999), at(999), "ETH", 2), "12:15 ETH", "12:10 ETH")
	same(t, "a range", list(at(5), at(10), "BTC", math.MaxInt32), "12:10 BTC", "12:05 BTC")
	same(t, "between boundaries", list(at(6), at(9), "", 9))
	errEnough := errors.New("enough")
	seen := 0
	if err := List(t.Context(), s.db, at(0), at(15), "", 9, func(Row) error { seen++; return errEnough }); !errors.Is(err, errEnough) || seen != 1 {
		t.Errorf("after %d visits: %v", seen, err)
	}
	s.exec("DELETE FROM signal_contributors WHERE timestamp = $1 AND asset = 'BTC'", at(15))
	s.exec("DELETE FROM signal_positioning WHERE timestamp = $1 AND asset = 'BTC'", at(15))
	if r := s.row(15, asset.BTC); r.Contributors != nil || r.Positioning != nil {
		t.Errorf("%+v", r)
	}
	want := Row{
		Timestamp: at(15), Asset: "ETH", AlignmentScore: 50, AlignmentTrend: "flat", AllowedPlaybook: "No-trade", RiskMode: "Defensive", WalletCount: 20,
		Contributors: &Contributors{PctFlat: 100, CountFlat: 20, TotalWallets: 20},
		Positioning:  &Positioning{NetSzi: "200.0000", LongCount: 20, Top10SharePct: 50},
	}
	if diff := cmp.Diff(want, s.row(15, asset.ETH)); diff != "" {
		t.Error(diff)
	}
}
