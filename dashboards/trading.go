package dashboards

import (
	"fmt"

	"github.com/grafana/grafana-foundation-sdk/go/cog"
	"github.com/grafana/grafana-foundation-sdk/go/common"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
	"github.com/grafana/grafana-foundation-sdk/go/stat"
	"github.com/grafana/grafana-foundation-sdk/go/timeseries"
)

// TradingUID is the uid of the trading board, in links and in the API.
const TradingUID = "whalegate-trading"

// isOpen is the condition under which the decision surface may be read. A masked
// query falls back to the words of the halt.
const isOpen = "EXISTS (SELECT FROM board.gate)"

// chosen is the asset of the detail. An address can make the variable any text,
// and a session of the pool may be bent to read backslashes as escapes: percent
// encoding leaves neither them nor quotes, whatever the session is.
const chosen = "'${asset:percentencode}'"

// trading is the board of the trader: one screen at 1440 × 900. Its links lead to the
// pages under externalURL, as those of docs.URL.
func trading(externalURL string) board {
	return board{
		uid:         TradingUID,
		title:       "Trading",
		description: "What kind of trade is allowed in HYPE, BTC and ETH. While the data cannot be trusted it says SYSTEM HALT and nothing else.",
		tags:        []string{"whalegate"},
		refresh:     "30s",
		refreshes:   []string{"10s", "30s", "1m"}, // an address can ask for no other: a page that is never refreshed never goes dark
		from:        "now-6h",
		health:      healthVariable{"health_state", "SELECT health_state FROM board.health"},
		choices: []choiceVariable{
			{"asset", "Detail of", []string{"HYPE", "BTC", "ETH"}},
		},
		annotations: []annotation{{BoardSource, "Alerts", orange, `SELECT timestamp AS "time", message AS text, asset || ',' || alert_type AS tags FROM board.alerts
WHERE asset IN (` + chosen + `, 'SYSTEM') AND $__timeFilter(timestamp) ORDER BY timestamp`}},
		links: []link{
			{"6 h", "The last six hours", "/d/" + TradingUID + "?from=now-6h&to=now"},
			{"24 h", "The last day", "/d/" + TradingUID + "?from=now-24h&to=now"},
		},
		sections: []section{
			{shown: always, panels: []panel{
				{"state", 1, at(0, 0, 6, 2), state()},
				{"facts", 2, at(6, 0, 18, 2), facts(externalURL)},
			}},
			{shown: whenDark, panels: []panel{
				{"system-alert", 3, at(0, 0, 24, 3), systemAlert()},
			}},
			{shown: unlessDark, panels: gates()},
			{shown: unlessDark, panels: []panel{
				{"alerts", 20, at(0, 0, 24, 6), alerts()},
			}},
			{shown: unlessDark, panels: detail()},
			{title: "Context, not a signal: contributors and positioning", shown: unlessDark, folded: true, panels: []panel{
				{"contributors", 40, at(0, 0, 12, 5), contributors()},
				{"positioning", 41, at(12, 0, 12, 5), positioning()},
			}},
		},
	}
}

func at(x, y, w, h uint32) dashboard.GridPos { return dashboard.GridPos{X: x, Y: y, W: w, H: h} }

// state says in one word whether the data may be acted on, whatever it is.
func state() cog.Builder[dashboard.Panel] {
	return trader.tiles("", "SELECT label, value FROM board.header_lines WHERE place = 1").
		Description("Whether the data may be acted on, by the clock of the database.").
		TextMode(common.BigValueTextModeValue).
		Mappings(trader.paint([2]string{"/^HEALTHY$/", calm}))
}

// facts are what an operator asks next.
func facts(externalURL string) cog.Builder[dashboard.Panel] {
	p := trader.tiles("", "SELECT label, value FROM board.header_lines WHERE place > 1 ORDER BY place").
		JustifyMode(common.BigValueJustifyModeAuto).
		Text(common.NewVizTextDisplayOptionsBuilder().TitleSize(12).ValueSize(15))
	p.OverrideByName("Why", []dashboard.DynamicConfigValue{color(yellow)})
	for _, label := range []string{"Last good snapshot (UTC)", "Gap", "Reasons"} {
		p.OverrideByName(label, []dashboard.DynamicConfigValue{color(haltRed)})
	}
	return p.OverrideByName("Runbook", []dashboard.DynamicConfigValue{color(haltRed), {Id: "links", Value: []map[string]any{
		{"title": openRunbook, "url": runbookURL(externalURL, "${__value.text}"), "targetBlank": true},
	}}})
}

func color(c string) dashboard.DynamicConfigValue {
	return dashboard.DynamicConfigValue{Id: "color", Value: map[string]string{"mode": "fixed", "fixedColor": c}}
}

// gates are the three assets side by side: what is allowed, and under it why.
func gates() (panels []panel) {
	for i, asset := range []string{"HYPE", "BTC", "ETH"} {
		n := uint32(i)
		panels = append(panels,
			panel{"playbook-" + asset, 10 + n, at(8*n, 0, 8, 4), playbook(asset)},
			panel{"risk-" + asset, 13 + n, at(8*n, 4, 8, 2), gate(asset, 1, 3)},
			panel{"scores-" + asset, 16 + n, at(8*n, 6, 8, 2), gate(asset, 4, 8)})
	}
	return panels
}

func playbook(asset string) cog.Builder[dashboard.Panel] {
	return trader.tiles(asset, fmt.Sprintf(`SELECT label, value FROM (
  SELECT 1 AS place, 'playbook' AS label, playbook AS value FROM board.playbook WHERE asset = '%[1]s'
  UNION ALL SELECT 2, 'data', '%[2]s' FROM board.playbook WHERE asset = '%[1]s' AND is_degraded
  UNION ALL SELECT 0, 'playbook', '%[3]s' WHERE NOT %[4]s
) AS line ORDER BY place`, asset, degraded, Halt, isOpen)).
		TextMode(common.BigValueTextModeValue).
		Description("The kind of trade that is allowed now. Click to see its detail below.").
		Orientation(common.VizOrientationHorizontal). // the note below
		Mappings(trader.paint([2]string{"/^Long-only/", mutedGreen}, [2]string{"/^Short-only/", mutedRed}, [2]string{"/^No-trade/", grey})).
		DataLinks(choose(asset))
}

// gate shows some of the lines under the playbook.
func gate(asset string, first, last int) cog.Builder[dashboard.Panel] {
	return trader.tiles("", fmt.Sprintf(`SELECT label, value FROM (
  SELECT place, label, value FROM board.gate_lines WHERE asset = '%[1]s' AND place BETWEEN %[2]d AND %[3]d
  UNION ALL SELECT 9, 'Degraded', '%[4]s' FROM board.gate WHERE asset = '%[1]s' AND is_degraded
  UNION ALL SELECT 0, ' ', '%[5]s' WHERE NOT %[6]s
) AS line ORDER BY place`, asset, first, last, warning, Halt, isOpen)).
		Text(common.NewVizTextDisplayOptionsBuilder().TitleSize(11).ValueSize(15)).
		Mappings(trader.paint([2]string{"/^(DE-RISKING|DISPERSION HIGH|no signal|YES)$/", orange})).
		DataLinks(choose(asset))
}

// choose makes a click show the detail of an asset, at the same time range.
func choose(asset string) []cog.Builder[dashboard.DashboardLink] {
	return []cog.Builder[dashboard.DashboardLink]{
		dashboard.NewDashboardLinkBuilder("Detail of " + asset).Type(dashboard.DashboardLinkTypeLink).Icon("dashboard").Url("/d/" + TradingUID + "?var-asset=" + asset + "&${__url_time_range}"),
	}
}

const alertColumns = `to_char(timestamp AT TIME ZONE 'UTC', 'HH24:MI UTC') AS utc, asset, replace(alert_type, '_', ' ') AS type,
    CASE severity WHEN 'critical' THEN '■ critical' WHEN 'high' THEN '▲ high' ELSE '● medium' END AS severity, message`

// edge is the first column of a table: yellow while the data is degraded.
const edge = `(SELECT '` + warning + `' FROM board.gate WHERE health_state = 'DEGRADED' LIMIT 1) AS edge`

// alerts has no title: five of them need the room.
func alerts() cog.Builder[dashboard.Panel] {
	return widths(edged(trader.rows("", fmt.Sprintf(`SELECT %[4]s, utc, asset, type, severity, message FROM (
  SELECT 0 AS place, timestamp, %[1]s FROM board.system_alert
  UNION ALL SELECT 1, timestamp, %[1]s FROM board.recent_alerts
  UNION ALL SELECT 2, NULL, ' ', ' ', ' ', ' ', '%[2]s' WHERE NOT %[3]s
  UNION ALL SELECT 3, NULL, ' ', ' ', ' ', ' ', 'No recent alerts' WHERE %[3]s AND NOT EXISTS (SELECT FROM board.recent_alerts)
) AS line ORDER BY place, timestamp DESC`, alertColumns, Halt, isOpen, edge))).ShowHeader(false))
}

// systemAlert is what remains of the alerts where the others are not mounted.
func systemAlert() cog.Builder[dashboard.Panel] {
	return widths(edged(trader.rows("System alert", "SELECT "+alertColumns+" FROM board.system_alert")).ShowHeader(false).NoValue("No system alert is active"))
}

// detail is three charts of the chosen asset, each with its last value at its
// right edge.
func detail() (panels []panel) {
	for i, c := range []struct {
		name, title, column string
		thresholds          []float64
	}{
		{"cas", "CAS", "alignment_score", []float64{25, 75}},
		{"dispersion", "Dispersion", "dispersion_index", []float64{40, 60}},
		{"exit-cluster", "Exit cluster", "exit_cluster_score", []float64{20, 25}},
	} {
		n := uint32(i)
		panels = append(panels,
			panel{c.name, 30 + 2*n, at(8*n, 0, 6, 4), chart(c.title, c.column, c.thresholds)},
			panel{c.name + "-last", 31 + 2*n, at(8*n+6, 0, 2, 4), last(c.title)})
	}
	return panels
}

// A healthy chart without a row in its range is an empty chart, not a halt; a
// degraded one has a yellow edge.
func chart(title, column string, thresholds []float64) *timeseries.PanelBuilder {
	return score(title, fmt.Sprintf(`SELECT timestamp AS "time", %[1]s::numeric AS "score", NULL::numeric AS "degraded", NULL::numeric AS "edge" FROM board.signals
WHERE asset = %[2]s AND $__timeFilter(timestamp)
UNION ALL SELECT t, NULL, CASE WHEN is_degraded THEN 100 END, NULL FROM board.gate, unnest(ARRAY[$__timeFrom(), $__timeTo()]::timestamptz[]) t WHERE asset = %[2]s
ORDER BY 1`, column, chosen), thresholds...)
}

// last is the newest value, under the name of the asset as the database knows
// it: a variable says whatever an address made it say.
func last(label string) *stat.PanelBuilder {
	return trader.tiles("", fmt.Sprintf(`SELECT asset AS label, value FROM board.gate_lines WHERE asset = %[5]s AND label = '%[1]s'
UNION ALL SELECT 'Degraded', '%[2]s' FROM board.gate WHERE asset = %[5]s AND is_degraded
UNION ALL SELECT ' ', '%[3]s' WHERE NOT %[4]s`, label, warning, Halt, isOpen, chosen)).
		Orientation(common.VizOrientationHorizontal).
		Text(common.NewVizTextDisplayOptionsBuilder().TitleSize(14))
}

func contributors() cog.Builder[dashboard.Panel] {
	return edged(trader.rows("What the wallets did in the last five minutes", fmt.Sprintf(`SELECT %[3]s, asset AS "Asset", adding_long AS "Adding long", adding_short AS "Adding short", reducing AS "Reducing", flat AS "Flat", wallets AS "Wallets" FROM (
  SELECT place, asset, count_add_long || ' · ' || round(pct_add_long::numeric) || ' %%' AS adding_long, count_add_short || ' · ' || round(pct_add_short::numeric) || ' %%' AS adding_short,
    count_reducers || ' · ' || round(pct_reducers::numeric) || ' %%' AS reducing, count_flat || ' · ' || round(pct_flat::numeric) || ' %%' AS flat, total_wallets || '' AS wallets
  FROM board.gate JOIN board.contributors USING (timestamp, asset)
  UNION ALL SELECT 0, '%[1]s', ' ', ' ', ' ', ' ', ' ' WHERE NOT %[2]s
) AS line ORDER BY place`, Halt, isOpen, edge)))
}

func positioning() cog.Builder[dashboard.Panel] {
	return edged(trader.rows("What the wallets hold", fmt.Sprintf(`SELECT %[3]s, asset AS "Asset", net AS "Net size", long AS "Long", short AS "Short", flat AS "Flat", share AS "Share of the top 10" FROM (
  SELECT place, asset, round(net_szi, 1) || ' ' || asset AS net, long_count || '' AS long, short_count || '' AS short, flat_count || '' AS flat, round(top10_share_pct::numeric) || ' %%' AS share
  FROM board.gate JOIN board.positioning USING (timestamp, asset)
  UNION ALL SELECT 0, '%[1]s', ' ', ' ', ' ', ' ', ' ' WHERE NOT %[2]s
) AS line ORDER BY place`, Halt, isOpen, edge)))
}
