package runbook

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"github.com/whalegate/whalegate/internal/threshold"
)

const (
	manySpikes    = 3 // minutes within a quarter of an hour
	dirtyReason   = "high_dirty_rate"
	spikeWalletsN = 2
)

// spikes are the minutes within d in which several wallets collapsed at once.
func (f *Facts) spikes(d time.Duration) (minutes []DirtyMinute) {
	for _, m := range f.Stored.Dirty {
		if m.Dirty >= spikeWalletsN && m.Pct() >= threshold.SpikeShare && f.at().Sub(m.At) <= d {
			minutes = append(minutes, m)
		}
	}
	return minutes
}

// highestRate is the asset with the highest rate of the last quarter of an hour.
func (f *Facts) highestRate() (worst DirtyRate) {
	for _, r := range f.Stored.Rates {
		if worst.Asset == "" || r.Pct() > worst.Pct() {
			worst = r
		}
	}
	return worst
}

func judgeDirtySpike(f Facts) *Finding {
	if f.Stored == nil {
		return nil
	}
	if found := f.untrue(); found != nil {
		return found
	}
	minutes, rate := f.spikes(30*time.Minute), f.highestRate()
	closed := f.closedByDirt()
	if len(minutes) == 0 && rate.Pct() <= threshold.DirtyHigh && len(closed) == 0 {
		return nil
	}
	severity := P3
	if rate.Pct() > threshold.DirtyHigh || len(closed) > 0 || len(f.spikes(lookBack)) >= manySpikes {
		severity = P2
	}
	found := dirtySpike.found(severity, "positions of several wallets vanished at once and came back: a glitch upstream, kept out of the signals")
	var rows []string
	for _, m := range minutes[:min(5, len(minutes))] {
		rows = append(rows, fmt.Sprintf("%s: %d of %d wallets (%.1f %%)", stamp(m.At), m.Dirty, m.Wallets, m.Pct()))
	}
	found.rows("minutes with several wallets dirty", rows)
	for _, r := range f.Stored.Rates {
		found.figure("dirty rate of "+r.Asset+", 15 minutes", "%.2f %% (%d of %d rows)", r.Pct(), r.Dirty, r.Rows)
	}
	if len(closed) > 0 {
		found.figure("signals closed for it", "%s", strings.Join(closed, ", "))
	}
	found.do("see the pattern: one wallet alone may be a real close, many at once are a glitch", `psql "$DATABASE_URL" -c "SELECT snapshot_ts, asset, count(*) FROM snapshot_anomalies GROUP BY 1, 2 ORDER BY 1 DESC LIMIT 20"`)
	found.do("wait: the rate falls by itself once the exchange is steady", "whalegate runbook verify dirty-spike --watch")
	if rate.Pct() > threshold.DirtyHalt {
		above := fmt.Sprintf("above %d %%", threshold.DirtyHalt)
		found.do("the rate is "+above+": halt, and look at the exchange", `whalegate halt --reason "dirty rate `+above+`"`)
	}
	return found
}

// closedByDirt lists the assets whose newest signal is degraded for its dirty rows.
func (f *Facts) closedByDirt() (assets []string) {
	for _, s := range f.Stored.Newest {
		if strings.Contains(s.Degraded, dirtyReason) && f.at().Sub(s.At) < 2*period {
			assets = append(assets, s.Asset)
		}
	}
	return assets
}

func dirtySpikeRecovery(f Facts) []Criterion {
	rate := fmt.Sprintf("dirty rate of every asset below %d %%", threshold.DirtyHigh)
	quiet := fmt.Sprintf("no minute with several wallets dirty at once within the last %s", threshold.Span(threshold.SpikeQuiet))
	truth := []Criterion{f.noneOpen("no failure of S11 is open"), f.different("the states of the newest run are of different wallets")}
	if why := f.dark(PartDirty); why != "" {
		return append([]Criterion{unsure(rate, why), unsure(quiet, why)}, truth...)
	}
	worst, spikes := f.highestRate(), f.spikes(threshold.SpikeQuiet)
	first := holds(rate, worst.Pct() < threshold.DirtyHigh, "%.2f %% of %s in 15 minutes", worst.Pct(), worst.Asset)
	if worst.Asset == "" {
		first = holds(rate, false, "no rows in the last 15 minutes")
	}
	return append([]Criterion{first, holds(quiet, len(spikes) == 0, "%d", len(spikes))}, truth...)
}

// noneOpen is the criterion that nothing happened to everybody at once that lasts.
func (f *Facts) noneOpen(name string) Criterion {
	if why := f.dark(PartOpen); why != "" {
		return unsure(name, why)
	}
	var open []string
	for _, o := range f.Stored.Open {
		open = append(open, o.Subject+" since "+stamp(o.Opened))
	}
	return holds(name, len(open) == 0, "%s", cmp.Or(strings.Join(open, ", "), "none"))
}

// different is the criterion that no wallet's state was served for another one's.
func (f *Facts) different(name string) Criterion {
	if why := f.dark(PartRuns); why != "" {
		return unsure(name, why)
	}
	if len(f.Stored.Runs) == 0 {
		return holds(name, false, "there is no run")
	}
	r := f.Stored.Runs[0]
	if r.Check != "S10" {
		return holds(name, true, "%s", stamp(r.Timestamp))
	}
	return holds(name, false, "%s", oneLine(r.Error))
}
