package runbook

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/whalegate/whalegate/internal/duration"
	"github.com/whalegate/whalegate/internal/facts"
)

// untrue is the finding for what the exchange says and cannot be true: one wallet's state
// for several (S10), or something that happened to all holders of an asset at once (S11).
func (f *Facts) untrue() *Finding {
	c, bad := f.broke()
	refused := c == ofSizes && !f.over()
	switch {
	// One state for many may look like something that happened to all: it is the cause.
	case refused && !f.Stored.Runs[0].Clean && bad.Check == "S10":
		return f.sameState(bad)
	case len(f.Stored.Open) > 0:
		return f.allAtOnce()
	case !refused:
		return nil
	}
	found := dirtySpike.found(f.worst(P3), "what could not be true (%s) is over, or was accepted, and two clean minutes are not in yet", strings.TrimSpace(bad.Check+" "+bad.Subject))
	found.newestRuns(f)
	found.do("wait for two clean minutes in a row", twoCleanMinutes)
	found.do("see how it ended, and who accepted what", "whalegate baseline list")
	return found
}

// allAtOnce is the finding for failures of S11 that last.
func (f *Facts) allAtOnce() *Finding {
	var what []string
	for _, o := range f.Stored.Open {
		what = append(what, o.happened())
	}
	found := dirtySpike.found(f.worst(P2), "%s: every run fails until the sizes are back, or until somebody accepts the present ones", strings.Join(what, "; "))
	for _, o := range f.Stored.Open {
		found.figure(o.Subject, "%d of %d wallets, since %s (%s)", o.Affected, o.Holders, stamp(o.Opened), duration.Since(f.at().Sub(o.Opened)))
		if o.Factor != nil {
			found.figure("factor of "+o.Asset, "%.6g", *o.Factor)
		}
		found.figure(o.Asset+" before", "%d wallets held %s net", o.Before.Holders, o.Before.Net)
		if o.Present != nil {
			found.figure(o.Asset+" now", "%d wallets hold %s net (minute %s)", o.Present.Holders, o.Present.Net, stamp(o.Present.At))
		}
	}
	found.newestRuns(f)
	found.do("see what each wallet held and holds, and compare some with the exchange's own page of that wallet, https://app.hyperliquid.xyz/explorer/address/ and the wallet", showHeld)
	found.do("see whether it has happened before", "whalegate baseline list")
	found.do("the exchange's own pages show the old sizes: the answers are wrong; wait until the sizes are back, which ends it", "whalegate runbook verify dirty-spike --watch")
	for _, o := range f.Stored.Open {
		if coin := f.coin(o.Asset); coin != nil && coin.Wrong != nil {
			found.do(fmt.Sprintf("do not accept %s: what the exchange says of the coin itself is wrong (%s), and that comes first", o.Asset, *coin.Wrong), "whalegate runbook show ingestion")
			continue
		}
		found.do("the exchange's own pages show the present sizes, as after a real cascade: accept them for "+o.Asset+", and say how you know", `whalegate baseline accept --asset `+o.Asset+` --reason "…"`)
	}
	return found
}

// happened says what happened to everybody at once.
func (o OpenFailure) happened() string {
	kind, _, _ := strings.Cut(o.Subject, ":")
	switch {
	case kind == "mass_close":
		return fmt.Sprintf("%d of the %d wallets that held %s are gone at once", o.Affected, o.Holders, o.Asset)
	case kind == "mass_open":
		return fmt.Sprintf("%d of the %d wallets that hold %s held nothing before", o.Affected, o.Holders, o.Asset)
	case o.Factor != nil:
		return fmt.Sprintf("%d of the %d wallets that held %s changed by a factor of %.6g, or, where they traded meanwhile, about that", o.Affected, o.Holders, o.Asset, *o.Factor)
	default:
		return fmt.Sprintf("%s of %d of %d wallets", o.Subject, o.Affected, o.Holders)
	}
}

// sameState is the finding for one wallet's state that is served for several.
func (f *Facts) sameState(bad Run) *Finding {
	found := dirtySpike.found(f.worst(P2), "the states of different wallets are the same: one wallet's state is served for others, and runs fail")
	found.figure("what the check says", "%s", oneLine(bad.Error))
	if first := f.sinceWhen("S10"); !first.IsZero() {
		found.figure("since", "%s (%s)", stamp(first), duration.Since(f.at().Sub(first)))
	}
	for _, o := range f.Stored.Open {
		found.figure(o.Subject, "%s, since %s (%s): as long as the states are the same, that says nothing, and no level can be accepted", o.happened(), stamp(o.Opened), duration.Since(f.at().Sub(o.Opened)))
	}
	found.newestRuns(f)
	found.do("see which wallets have the same sizes", showSame)
	found.do("nothing of these minutes is used: wait until the answers are of different wallets again", "whalegate runbook verify dirty-spike --watch")
	if first := f.sinceWhen("S10"); !first.IsZero() && f.at().Sub(first) > time.Hour {
		found.do("it has lasted more than an hour: halt, and escalate", `whalegate halt --reason "no good snapshot for over an hour"`)
	}
	return found
}

// sinceWhen is the first minute of the row of newest runs that a check failed; zero when
// it did not fail the newest.
func (f *Facts) sinceWhen(check string) (first time.Time) {
	for _, r := range f.Stored.Runs {
		if r.Check != check {
			break
		}
		first = r.Timestamp
	}
	return first
}

// coin is what the exchange last said of an asset; nil when that could not be read.
func (f *Facts) coin(asset string) *facts.Coin {
	if i := slices.IndexFunc(f.Stored.Coins, func(c facts.Coin) bool { return c.Asset == asset }); i >= 0 {
		return &f.Stored.Coins[i]
	}
	return nil
}

// newestRuns adds the newest runs.
func (f *Finding) newestRuns(facts *Facts) {
	if facts.runsUnknown() {
		return
	}
	var rows []string
	for _, r := range facts.Stored.Runs[:min(5, len(facts.Stored.Runs))] {
		rows = append(rows, r.text())
	}
	f.rows("newest runs", rows)
}

const (
	showHeld = `psql "$DATABASE_URL" -c "SELECT b.asset, s.wallet_id, s.before, w.position_szi AS now FROM baselines b JOIN baseline_sizes s ON s.baseline_id = b.id LEFT JOIN wallet_snapshots w ON w.wallet_id = s.wallet_id AND w.asset = b.asset AND w.timestamp = (SELECT max(timestamp) FROM ingest_runs WHERE NOT superseded AND rows_written > 0) WHERE b.ended_ts IS NULL ORDER BY b.asset, abs(s.before) DESC LIMIT 20"`
	showSame = `psql "$DATABASE_URL" -c "SELECT sizes, count(*) AS wallets, min(wallet_id) AS one_of_them FROM (SELECT wallet_id, array_agg(position_szi ORDER BY asset) AS sizes FROM wallet_snapshots WHERE timestamp = (SELECT max(timestamp) FROM ingest_runs WHERE NOT superseded AND rows_written > 0) GROUP BY wallet_id) w WHERE 0 <> ANY (sizes) GROUP BY sizes HAVING count(*) > 1 ORDER BY 2 DESC LIMIT 10"`
)
