package collector

import (
	"context"
	"flag"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/whalegate/whalegate/collector/hyperliquid"
	"github.com/whalegate/whalegate/collector/simulator"
)

// marketHours is how long an honest market is watched for false alarms.
var marketHours = flag.Int("truth.hours", 3, "simulated hours of each honest market")

// honest is the simulated market, asked without a network.
type honest struct {
	*upstream
	e *simulator.Exchange
}

// newHonest answers from a market whose minute is set by AdvanceTo.
func newHonest(e *simulator.Exchange, now *time.Time) *honest {
	h := &honest{&upstream{}, e}
	state := func(account string) hyperliquid.State {
		s := flat(*now)
		if sizes, ok := e.Sizes(account); ok {
			for a, size := range sizes {
				s.Positions[a].Size = size
			}
		}
		return s
	}
	h.state = func(_ context.Context, account string) (hyperliquid.State, error) { return state(account), nil }
	h.subs = func(_ context.Context, master string) (list []hyperliquid.SubAccount, err error) {
		for _, s := range e.SubAccounts(master) {
			list = append(list, hyperliquid.SubAccount{Address: s, HasState: true, State: state(s)})
		}
		return list, nil
	}
	m := e.Makeup()
	h.role = func(_ context.Context, account string) (hyperliquid.Role, error) {
		switch {
		case slices.Contains(m.ParentVaults, account), slices.Contains(m.Vaults, account):
			return hyperliquid.Role{Kind: hyperliquid.RoleVault}, nil
		default:
			return hyperliquid.Role{Kind: hyperliquid.RoleUser}, nil
		}
	}
	h.vault = func(_ context.Context, vault string) (hyperliquid.Vault, error) {
		return hyperliquid.Vault{Relationship: "parent", Children: e.Children(vault)}, nil
	}
	return h
}

// An honest market fails no minute, whatever regimes it goes through; nor does it after a
// restart, or when nobody collected for half an hour.
func TestAnHonestMarketFailsNoMinute(t *testing.T) {
	for _, population := range []simulator.Population{simulator.SimplePopulation, simulator.PublicPopulation} {
		t.Run("population "+string(population), func(t *testing.T) {
			t.Parallel()
			for seed := range uint64(2) {
				d := newDoubter(t)
				e, err := simulator.New(simulator.Config{Seed: seed, Rows: 400, Population: population, Origin: noon.Add(-time.Hour)})
				if err != nil {
					t.Fatal(err)
				}
				now := noon
				e.AdvanceTo(now)
				up := newHonest(e, &now)
				for i, id := range e.Wallets()[:200] {
					exec(t, d.db, "INSERT INTO wallet_universe_current (wallet_id, rank, month_pnl, as_of_ts, account_value) VALUES ($1, $2, 0, $3, 1000)", strings.ToLower(id), i+1, noon)
				}
				start := func() {
					d.c = collecting(t, d.db, up, func(cfg *Config) { cfg.Clock = d.real() })
					d.c.search.wallets, d.c.search.credited = map[string]*searched{}, time.Now()
				}
				start()
				for d.now = 0; d.now < 60**marketHours; d.now++ {
					switch {
					case d.now%100 == 50:
						d.now += 30
						start()
					case d.now%37 == 0:
						start()
					}
					now = minute(d.now).Add(5 * time.Second)
					e.AdvanceTo(now)
					present(t, d.db, minute(d.now))
					d.show(now)
					d.c.cycle(t.Context(), minute(d.now))
					d.c.search.pass(time.Minute)
					if err := d.c.searchRound(t.Context(), t.Context()); err != nil {
						t.Fatal(err)
					}
				}
				got := list(t, d.db, "SELECT concat_ws(' ', status, failed_check, failed_subject, 'x', count(*)) FROM ingest_runs WHERE timestamp >= $1 GROUP BY status, failed_check, failed_subject", minute(3))
				if len(got) != 1 || !strings.HasPrefix(got[0], "success x ") {
					t.Errorf("seed %d: %q: %q", seed, got, list(t, d.db, "SELECT concat_ws(' ', timestamp, error, failures) FROM ingest_runs WHERE timestamp >= $1 AND status <> 'success' LIMIT 3", minute(3)))
				}
				t.Log(fmt.Sprint(seed), got)
			}
		})
	}
}
