package status

import (
	"context"
	"math"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/whalegate/whalegate/internal/asset"
	"github.com/whalegate/whalegate/internal/health/watch"
	"github.com/whalegate/whalegate/internal/postgres"
)

// Collector exports what is stored of accounts, coins and what cannot be true. What the
// database cannot be asked has no series: unknown is neither 0 nor fine. No wallet is
// ever a label and no size a value.
type Collector struct {
	db watch.Querier

	open, metaAge, known, wallets, oldest *prometheus.Desc
}

// NewCollector makes the collector that asks db at every scrape.
func NewCollector(db watch.Querier) *Collector {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc(name, help, labels, nil)
	}
	return &Collector{
		db:      db,
		open:    desc("whalegate_baseline_failures_open", "Whether a failure of S11 is open (1) or not (0): something happened to all holders of the asset at once, and nobody has accepted it.", "asset"),
		metaAge: desc("whalegate_exchange_meta_age_seconds", "Age of the exchange's last answer about its coins (S12); +Inf when there was none."),
		known:   desc("whalegate_accounts_known_wallets", "Wallets of the universe whose accounts are known: confirmed within 24 h, and claimed by no other."),
		wallets: desc("whalegate_accounts_wallets", "Wallets of the universe whose accounts have to be known."),
		oldest:  desc("whalegate_accounts_oldest_confirmed_seconds", "Age of the oldest confirmation of a wallet's accounts; +Inf when there is none."),
	}
}

// Describe implements prometheus.Collector.
func (c *Collector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{c.open, c.metaAge, c.known, c.wallets, c.oldest} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (c *Collector) Collect(ch chan<- prometheus.Metric) {
	ctx, cancel := postgres.Looking(context.Background())
	defer cancel()
	gauge := func(d *prometheus.Desc, value float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, labels...)
	}
	if open, err := readOpen(ctx, c.db); err == nil {
		is := map[string]float64{}
		for _, o := range open {
			is[o.Asset] = 1
		}
		for _, a := range asset.All {
			gauge(c.open, is[a.String()], a.String())
		}
	}
	if coins, err := ReadCoins(ctx, c.db); err == nil {
		oldest := 0.0
		for _, coin := range coins {
			oldest = max(oldest, orInf(coin.AgeSeconds))
		}
		gauge(c.metaAge, oldest)
	}
	if a, err := ReadAccounts(ctx, c.db); err == nil {
		gauge(c.known, float64(a.Known))
		gauge(c.wallets, float64(a.Wallets))
		gauge(c.oldest, orInf(a.OldestSeconds))
	}
}

func orInf(value *float64) float64 {
	if value == nil {
		return math.Inf(1)
	}
	return *value
}
