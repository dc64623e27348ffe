package test

import (
	"net/http"
	"slices"
	"strings"
	"time"
)

// dirtySpikeDays are the game days of runbook 4. The second is no fault at all: one
// wallet that closes must not be taken for a glitch, and nothing is to be named.
var dirtySpikeDays = []day{
	{4, "15 % of wallets collapse at once, for one minute", func(g *gameday) {
		start := g.newest()
		g.inject(g.collapse)
		g.detected("dirty rows", func() error {
			return differs(get[int](g.world, "SELECT count(DISTINCT wallet_id) FROM wallet_snapshots WHERE is_dirty AND timestamp > $1 AND asset = 'BTC'", start), 4)
		})
		hit := get[time.Time](g.world, "SELECT max(timestamp) FROM wallet_snapshots WHERE is_dirty").UTC()
		g.awaitTrue("S6", "EXISTS (SELECT FROM qa_events WHERE check_id = 'S6' AND subject = 'BTC' AND last_ts >= $1)", hit)
		g.awaitMetric(`whalegate_dirty_rows_total{asset="BTC"}`, 4)
		d := g.diagnosed(1)
		if f := d.findings[0]; f.Severity != "P3" || d.summary.Trading == "NO" || !strings.Contains(d.stdout, "4 of 24 wallets (16.7 %)") {
			g.Errorf("%s", d.stdout)
		}
		if out := g.act(d.findings[0], "psql"); !strings.Contains(out, "BTC") { // the pattern: many at once
			g.Errorf("the anomalies are %s", out)
		}
		// They are kept, with their evidence, and the next signal leaves them out.
		boundary := g.awaitCycle(hit, "computed")
		if n := get[int](g.world, `SELECT count(*) FROM signals s WHERE timestamp = $1 AND (missing_count > 0 OR degraded_reason LIKE '%high_dirty_rate%' OR dirty_count <>
			(SELECT count(*) FROM wallet_snapshots w WHERE w.asset = s.asset AND w.is_dirty AND w.timestamp > s.timestamp - interval '5 minutes' AND w.timestamp < s.timestamp))`, boundary); n != 0 {
			g.Errorf("%d signals miss the wallets that glitched, or used their rows", n)
		}
		g.repair(func() {}) // it ends by itself
		g.recovered()
		g.act(d.findings[0], "whalegate runbook verify")
		g.checkTruth() // no row that counts is flat and should not be
		g.checkAudit()
	}},
	{4, "a single real close", func(g *gameday) {
		start := g.newest()
		wallet := get[string](g.world, "SELECT wallet_id FROM wallet_snapshots WHERE timestamp = $1 AND asset = 'BTC' ORDER BY abs(position_szi) DESC NULLS LAST LIMIT 1", start)
		g.inject(func() {
			if code, body := g.ask("POST", g.exchange+"/control/close", `{"wallet":"`+wallet+`","asset":"BTC"}`); code != http.StatusOK {
				g.Fatalf("close: %d %s", code, body)
			}
		})
		var flat time.Time
		g.detected("the position to be 0", func() (err error) {
			flat, err = value[time.Time](g.world, "SELECT timestamp FROM wallet_snapshots WHERE timestamp > $1 AND wallet_id = $2 AND asset = 'BTC' AND position_szi = 0 ORDER BY timestamp LIMIT 1", start, wallet)
			return err
		})
		g.nothingDiagnosed()
		verdict := g.awaitRun(flat, "is_clean") // which could have called it a glitch
		g.nothingDiagnosed()
		if r := g.verify("dirty-spike"); r.code != 0 {
			g.Errorf("verify: %s", r)
		}
		// At the latest a period later the signals know it.
		g.awaitTrue("the boundary after", "EXISTS (SELECT FROM signal_cycles WHERE timestamp > $1 AND outcome = 'computed')", flat.Add(5*time.Minute))
		boundary := get[time.Time](g.world, "SELECT min(timestamp) FROM signal_cycles WHERE timestamp > $1 AND outcome = 'computed'", flat.Add(5*time.Minute))
		if stored, net := get[string](g.world, "SELECT trim_scale(net_szi)::text FROM signal_positioning WHERE timestamp = $1 AND asset = 'BTC'", boundary), get[string](g.world, netOf, boundary); stored != net {
			g.Errorf("the net position of %s is %s, and %s is held", boundary, stored, net)
		}
		if n := get[int](g.world, "SELECT count(*) FROM wallet_snapshots WHERE timestamp >= $1 AND wallet_id = $2 AND asset = 'BTC' AND (is_dirty OR position_szi <> 0)", flat, wallet); n != 0 {
			g.Errorf("%d minutes after the close are dirty, or not flat", n)
		}
		if n := get[int](g.world, "SELECT count(*) FROM snapshot_anomalies WHERE wallet_id = $1 AND asset = 'BTC' AND snapshot_ts BETWEEN $2 AND $3", wallet, flat.Add(-time.Minute), verdict); n != 0 {
			g.Errorf("the close is an anomaly")
		}
		g.nothingDiagnosed()
		g.repair(func() {})
		g.recovered()
		g.checkAudit()
	}},
	{4, "one wallet's state served for all", untrueSizes(`{"kind":"same_state"}`, "S10", "same_state", 2)},
	{4, "a coin renamed", untrueSizes(`{"kind":"rename","asset":"BTC"}`, "S12", "meta:BTC", 7)},
	{4, "every wallet flat for nine minutes", untrueSizes(`{"kind":"mass_close"}`, "S11", "mass_close:HYPE", 9)},
	{4, "sizes of one asset times ten", untrueSizes(`{"kind":"rescale","asset":"ETH","value":"10"}`, "S11", "rescaled:ETH", 12)},
	{4, "a real cascade, accepted by an operator", func(g *gameday) {
		g.awaitOpen()
		start := g.newest()
		if r := g.cli("baseline", "accept", "--asset", "BTC", "--reason", "to be sure"); r.code == 0 {
			g.Errorf("a level is accepted while nothing happened: %s", r)
		}
		holders := get[[]string](g.world, "SELECT array_agg(wallet_id ORDER BY abs(position_szi) DESC) FROM wallet_snapshots WHERE timestamp = $1 AND asset = 'BTC' AND position_szi <> 0", start)
		g.inject(func() {
			for _, wallet := range holders[:2*len(holders)/3+1] {
				if code, body := g.ask("POST", g.exchange+"/control/close", `{"wallet":"`+wallet+`","asset":"BTC"}`); code != http.StatusOK {
					g.Fatalf("close: %d %s", code, body)
				}
			}
		})
		failed := g.disbelieved(start, "S11", "mass_close:BTC")
		// It does not pass by waiting, nor by a restart.
		g.service.end(g)
		g.run()
		g.awaitRun(failed.Add(11*time.Minute), "failed_check = 'S11' AND failed_subject = 'mass_close:BTC'")
		if n := get[int](g.world, "SELECT count(*) FROM ingest_runs WHERE timestamp >= $1 AND status <> 'failed'", failed); n != 0 {
			g.Errorf("%d minutes count that nobody has accepted", n)
		}
		if r := g.cli("baseline", "accept", "--asset", "ETH", "--reason", "the wrong one"); r.code == 0 {
			g.Errorf("a level of ETH is accepted: %s", r)
		}
		level := ""
		g.repair(func() {
			r := g.cli("baseline", "accept", "--asset", "BTC", "--reason", "liquidations, as three exchanges say")
			if r.code != 0 || !strings.Contains(r.stdout, "mass_close:BTC") {
				g.Errorf("baseline accept: %s", r)
			}
			first, _, _ := strings.Cut(r.stdout, "\n")
			_, level, _ = strings.Cut(first, "; accepted, ")
		})
		g.believed(failed)
		g.recovered()
		if r := g.cli("baseline", "list"); r.code != 0 || !strings.Contains(r.stdout, "liquidations, as three exchanges say") || level == "" || !strings.Contains(r.stdout, level) {
			g.Errorf("%q was accepted; baseline list: %s", level, r)
		}
		g.awaitCycle(g.newest(), "computed")
		g.checkAudit()
	}},
}

// untrueSizes is a day on which every answer has the right form and the right time, and
// sizes that cannot be: runs fail by a check until the sizes are back.
func untrueSizes(fault, check, subject string, minutes int) func(*gameday) {
	return func(g *gameday) {
		g.awaitOpen()
		start := g.newest()
		g.inject(func() { g.fault("%s", fault) })
		failed := g.disbelieved(start, check, subject)
		g.awaitTrue("some minutes of it", "count(*) >= $2 FROM ingest_runs WHERE timestamp >= $1", failed, minutes)
		g.repair(g.clear)
		g.believed(failed)
		g.recovered()
		g.awaitTrue("its end", "NOT EXISTS (SELECT FROM baselines WHERE ended_ts IS NULL OR accepted_at IS NOT NULL)")
		g.awaitCycle(g.newest(), "computed")
		g.checkCountedTruth()
		g.checkAudit()
	}
}

// netOf is the net position of BTC at a boundary, by the newest clean row of each
// wallet; one that has just vanished still counts, until a minute has confirmed it.
const netOf = `
	WITH newest AS (
		SELECT position_szi AS now, lead(position_szi) OVER latest AS before, row_number() OVER latest AS n
		FROM wallet_snapshots WHERE asset = 'BTC' AND NOT is_dirty AND timestamp > $1::timestamptz - interval '5 minutes' AND timestamp <= $1
		WINDOW latest AS (PARTITION BY wallet_id ORDER BY timestamp DESC)
	)
	SELECT trim_scale(sum(CASE WHEN abs(before) > 0.0001 AND abs(now) < abs(before) / 100 THEN before ELSE now END))::text FROM newest WHERE n = 1`

// collapse lets four of the 24 wallets, which hold BTC, lose it for one and the
// same minute: the faults begin with the next full one.
func (g *gameday) collapse() {
	g.Helper()
	holders := get[[]string](g.world, `SELECT array_agg(wallet_id) FROM (SELECT wallet_id FROM wallet_snapshots
		WHERE asset = 'BTC' AND timestamp = (SELECT max(timestamp) FROM ingest_runs WHERE is_clean) ORDER BY abs(position_szi) DESC NULLS LAST LIMIT 4) h`)
	for {
		minute := g.clock.Now().Truncate(time.Minute)
		for _, wallet := range holders {
			g.fault(`{"kind":"collapse","wallet":"%s","asset":"BTC"}`, wallet)
		}
		if g.clock.Now().Truncate(time.Minute).Equal(minute) {
			return
		}
		g.clear() // a minute began in between
	}
}

// nothingDiagnosed waits until there is nothing to complain of, and the day's
// runbook is never named meanwhile.
func (g *gameday) nothingDiagnosed() {
	g.Helper()
	await(g, "nothing to be diagnosed", func() error {
		d := g.diagnose()
		if slices.Contains(d.summary.Matching, g.played.slug) {
			g.Fatalf("%s is named: %s", g.played.slug, d.stdout)
		}
		return differs(strings.Join(d.summary.Matching, " "), "")
	})
	g.played.diagnosed = "nothing"
}
