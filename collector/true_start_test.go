package collector

import (
	"context"
	"log/slog"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/whalegate/whalegate/collector/hyperliquid"
	"github.com/whalegate/whalegate/collector/simulator"
	"github.com/whalegate/whalegate/internal/clock"
	"github.com/whalegate/whalegate/internal/postgres/pgtest"
	"github.com/whalegate/whalegate/internal/qa"
)

// publicStart is what a first start on the public limit came to. Times are simulated.
type publicStart struct {
	good    time.Duration // until the first good run had ended
	healthy time.Duration // … and the second clean one in a row
	client  simulator.ClientStats
	missed  int // minutes that were not good, after the first that was
}

// startOnThePublicLimit runs a collector with the real client until so many minutes after
// the first good one have passed.
func startOnThePublicLimit(t *testing.T, speed string, steady int) (p publicStart) {
	t.Helper()
	const limit = 1200
	anchor := time.Now().UTC().Truncate(time.Millisecond)
	clk, err := clock.Parse(anchor.Format(time.RFC3339Nano) + "," + speed)
	if err != nil {
		t.Fatal(err)
	}
	db := pgtest.New(t)
	exec(t, db, "CREATE OR REPLACE FUNCTION whalegate_now() RETURNS timestamptz LANGUAGE sql VOLATILE AS $f$"+clk.SQL()+"$f$")
	e, err := simulator.New(simulator.Config{Seed: 7, Rows: 1000, Population: simulator.PublicPopulation, Clock: clk, Origin: clk.Now().Add(-2 * time.Hour), WeightPerMinute: limit, Latency: 50 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	web := httptest.NewServer(e.Handler())
	defer web.Close()
	client, err := hyperliquid.New(hyperliquid.Config{APIURL: web.URL, StatsURL: web.URL, WeightPerMinute: limit, Clock: clk, Registerer: prometheus.NewRegistry()})
	if err != nil {
		t.Fatal(err)
	}
	runs := make(chan Run, 100)
	cfg := Config{
		UniverseSize: 200, Concurrency: 8, WeightPerMinute: limit, Clock: clk, Logger: slog.New(slog.DiscardHandler), Registerer: prometheus.NewRegistry(),
		Committed: func(r Run) { runs <- r },
	}
	cfg.QA = qa.New(db, nil, cfg.Logger, cfg.Registerer)
	c, err := New(cfg, client, client.Sparing(), NewStore(db))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	start := clk.Now()
	var jobs sync.WaitGroup
	for _, job := range []func(context.Context) error{c.Universe, c.Accounts, c.Snapshots} {
		jobs.Go(func() {
			if err := job(ctx); err != nil && ctx.Err() == nil {
				t.Error(err)
			}
		})
	}
	first, clean := time.Time{}, 0
	for first.IsZero() || steady > 0 {
		r := <-runs
		t.Logf("%s after %s: %.1f %%, %v %s", r.Status, clk.Now().Sub(start).Round(time.Second), r.CoveragePct, r.Failures, r.Error)
		switch {
		case r.Status != Failed && first.IsZero():
			first, p.good = r.Timestamp, clk.Now().Sub(start)
		case first.IsZero():
			if clk.Now().Sub(start) > 30*time.Minute {
				t.Fatal("no minute was good in half an hour")
			}
		default:
			steady--
			if r.Status == Failed {
				p.missed++
			}
		}
		clean++
		if !r.IsClean() {
			clean = 0
		}
		if clean == 2 && p.healthy == 0 {
			p.healthy = clk.Now().Sub(start)
		}
	}
	cancel()
	jobs.Wait()
	for _, stats := range e.Clients() {
		p.client = stats
	}
	t.Log("weight of a minute:", metric(t, c, "whalegate_minute_weight", ""))
	t.Log("seconds between the states of each minute:", list(t, db, "SELECT round(extract(epoch FROM max(state_time) - min(state_time)), 1)::text FROM wallet_snapshots GROUP BY timestamp ORDER BY timestamp"))
	return p
}

// The public limit is never exceeded, whoever asks; a first start with 30 wallets that
// have sub-accounts and 70 that nothing explains is over within eight minutes, and no
// minute after it loses a wallet to the search.
func TestAFirstStartOnThePublicLimit(t *testing.T) {
	if testing.Short() {
		t.Skip("takes a minute")
	}
	t.Parallel()
	p := startOnThePublicLimit(t, "20", 15)
	t.Logf("%+v", p)
	if p.client.Refused != 0 || p.client.Highest > 1200 {
		t.Errorf("%d requests were refused, %d was spent in a minute", p.client.Refused, p.client.Highest)
	}
	if p.good > 8*time.Minute || p.healthy > 9*time.Minute {
		t.Errorf("the first good run was there after %s, HEALTHY after %s", p.good, p.healthy)
	}
	if p.missed > 0 {
		t.Errorf("%d minutes were not good after the first that was", p.missed)
	}
}
