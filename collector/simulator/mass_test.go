package simulator

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/whalegate/whalegate/internal/asset"
)

func TestWhatHappensToEverybodyAtOnce(t *testing.T) {
	for _, tt := range []struct {
		fault string
		want  func(before, after asset.Size) bool
		only  bool // BTC
	}{
		{`{"kind":"mass_close","for":"1h"}`, func(_, after asset.Size) bool { return after == 0 }, false},
		{`{"kind":"mass_close","asset":"BTC"}`, func(_, after asset.Size) bool { return after == 0 }, true},
		{`{"kind":"rescale","value":"1000","asset":"btc"}`, func(before, after asset.Size) bool { return after == 1000*before }, true},
		{`{"kind":"rescale","value":"0.5"}`, func(before, after asset.Size) bool { return (after - before/2).Abs() <= 1 }, false},
		{`{"kind":"mass_open"}`, func(before, after asset.Size) bool { return after != 0 && (before == 0 || before == after) }, false},
	} {
		synctest.Test(t, func(t *testing.T) { // starts on a full minute
			e := open(t, Config{Seed: 1, Origin: time.Now()})
			time.Sleep(30 * time.Second)
			set(t, e, tt.fault)
			for _, at := range []time.Duration{50 * time.Second, time.Minute, 50 * time.Minute} {
				time.Sleep(at - time.Since(e.config.Origin))
				hit, touched := 0, 0
				for _, wallet := range e.Wallets()[:100] {
					c, _ := askState(t, e, wallet)
					truth, _ := e.Sizes(wallet)
					got := c.sizes(t)
					if tt.want(truth[asset.BTC], got[asset.BTC]) && got[asset.BTC] != truth[asset.BTC] {
						hit++
					}
					if got[asset.ETH] != truth[asset.ETH] {
						touched++
					}
					can := e.SubAccounts(wallet) == nil && e.wallets[e.accounts[mustAddress(wallet)].wallet].opening()[asset.BTC] != 0
					if at >= time.Minute && can && !tt.want(truth[asset.BTC], got[asset.BTC]) {
						t.Errorf("%s: %s answers %v, holds %v", tt.fault, wallet, got, truth)
					}
				}
				if (hit == 0) != (at < time.Minute) || (touched == 0) != (at < time.Minute || tt.only) {
					t.Errorf("%s: after %s it hits %d and touches another asset of %d", tt.fault, at, hit, touched)
				}
			}
		})
	}
}

func TestMassCloseHasAShareAndAnEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := open(t, Config{Seed: 1, Origin: time.Now()})
		set(t, e, `{"kind":"mass_close","share":0.6,"for":"3m"}`)
		flat := func() (n int) {
			for _, wallet := range e.Wallets()[:200] {
				c, _ := askState(t, e, wallet)
				if truth, _ := e.Sizes(wallet); truth[asset.BTC] != 0 && c.sizes(t)[asset.BTC] == 0 {
					n++
				}
			}
			return n
		}
		if n := flat(); n < 80 || n > 130 {
			t.Errorf("%d of 200 are flat", n)
		}
		time.Sleep(3 * time.Minute)
		if n := flat(); n != 0 {
			t.Errorf("%d are flat after the end", n)
		}
	})
}
