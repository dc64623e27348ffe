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
