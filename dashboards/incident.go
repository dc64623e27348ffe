package dashboards

import (
	"fmt"
	"strings"

	"github.com/grafana/grafana-foundation-sdk/go/cog"
	"github.com/grafana/grafana-foundation-sdk/go/common"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
	"github.com/grafana/grafana-foundation-sdk/go/table"
	"github.com/grafana/grafana-foundation-sdk/go/text"

	"github.com/whalegate/whalegate/docs"
)

// IncidentUID is the uid of the incident board, in links and in the API.
const IncidentUID = "whalegate-incident"

// runbook is one row of the incident board: a runbook with its page, the view
// that says in one word whether its symptoms are there, and its panels.
type runbook struct {
	number     uint32
	slug, view string
	title, ask string // what is broken; what the row answers
	facts      uint32 // height of the table of facts beside the panels
	panels     []panel
}

// runbooks are in the order of the pages.
func runbooks() []runbook {
	return []runbook{
		{1, "ingestion", "ingestion", "Ingestion", "Do snapshots come, whole and in time?", 8, ingestionPanels()},
		{2, "universe", "universe", "Universe", "Is the list of wallets whole and steady?", 8, universePanels()},
		{3, "signal-lock", "signal_lock", "Signal lock", "Are signals blocked, why, how old?", 8, signalPanels()},
		{4, "dirty-spike", "dirty_spike", "Dirty spike", "Can what the exchange says be true?", 6, dirtyPanels()},
		{5, "alert-spam", "alert_spam", "Alert spam", "Do alerts keep their rules, and arrive?", 10, alertPanels()},
		{6, "board-truth", "board_truth", "Board truth", "Does everybody tell the same state?", 6, truthPanels()},
		{7, "database", "database", "Database", "Full, locked, slow? Is its clock right?", 10, databasePanels()},
		{8, "halt", "halt", "Halt", "Who stopped the system, and why?", 8, haltPanels()},
		{9, "crash", "crash", "Crash", "Who runs, who leads, and since when?", 8, crashPanels()},
	}
}

// incident is the board of the operator: never masked, and without a signal
// value.
func incident(externalURL string) board {
	b := board{
		uid:         IncidentUID,
		title:       "Incident",
		description: "A row for each runbook, with its symptoms and its page. Never masked, and without any signal value.",
		tags:        []string{"whalegate"},
		refresh:     "30s",
		refreshes:   []string{"10s", "30s", "1m", "5m"},
		from:        "now-6h",
		links: []link{
			{"6 h", "The last six hours", "/d/" + IncidentUID + "?from=now-6h&to=now"},
			{"24 h", "The last day", "/d/" + IncidentUID + "?from=now-24h&to=now"},
			{"7 d", "The last week", "/d/" + IncidentUID + "?from=now-7d&to=now"},
			{"Trading board", "What the trader sees", "/d/" + TradingUID},
		},
	}
	header := section{panels: []panel{
		{"state", 1, at(0, 0, 6, 2), overallState()},
		{"facts", 11, at(6, 0, 18, 2), overallFacts()},
	}}
	var x uint32
	for _, r := range runbooks() {
		width := uint32(3)
		if r.number > 6 { // nine in a row: the short names get less
			width = 2
		}
		header.panels = append(header.panels, panel{"symptom-" + r.slug, r.number + 1, at(x, 2, width, 3), symptom(r, externalURL)})
		x += width
	}
	header.panels = append(header.panels, panel{"reasons", 12, at(0, 5, 24, 2), overallReasons()})
	b.sections = append(b.sections, header)
	for _, r := range runbooks() {
		first := 100 * r.number
		panels := append([]panel{
			{r.slug + "-runbook", first, at(0, 0, 5, 2), page(r, externalURL)},
			{r.slug + "-facts", first + 1, at(0, 2, 5, r.facts), rowFacts(r)},
		}, r.panels...)
		b.sections = append(b.sections, section{title: fmt.Sprintf("%d · %s", r.number, r.title), panels: panels})
	}
	return b
}

// overallState is what may be done with the data.
func overallState() cog.Builder[dashboard.Panel] {
	return operator.tiles("", "SELECT label, value FROM ops.header_lines WHERE place IN (1, 2) ORDER BY place").
		Description("The state of health by the clock of the database, and what trading it allows.").
		TextMode(common.BigValueTextModeValue).
		Text(common.NewVizTextDisplayOptionsBuilder().ValueSize(17)).
		Mappings(operator.paint([2]string{"/^(HEALTHY|trade by playbook)$/", calm}, [2]string{"/^(DEGRADED|trade with caution)$/", orange}, [2]string{"/^(STALE|DO NOT TRADE)$/", haltRed}))
}

func overallFacts() cog.Builder[dashboard.Panel] {
	return operator.tiles("", "SELECT label, value FROM ops.header_lines WHERE place BETWEEN 3 AND 7 ORDER BY place").
		JustifyMode(common.BigValueJustifyModeAuto).
		Text(common.NewVizTextDisplayOptionsBuilder().TitleSize(12).ValueSize(15))
}

// overallReasons has the whole width: every reason is there, in words.
func overallReasons() cog.Builder[dashboard.Panel] {
	return operator.tiles("", "SELECT label, value FROM ops.header_lines WHERE place = 8").
		Description("Every reason that keeps the state from HEALTHY, in words.").
		JustifyMode(common.BigValueJustifyModeAuto).
		Text(common.NewVizTextDisplayOptionsBuilder().TitleSize(12).ValueSize(15))
}

// symptom says in a word whether a runbook applies, and leads to its page.
func symptom(r runbook, externalURL string) cog.Builder[dashboard.Panel] {
	return operator.tiles(fmt.Sprintf("%d %s", r.number, strings.Replace(r.slug, "database", "db", 1)), "SELECT label, value FROM ops."+r.view+" WHERE place = 0").
		TextMode(common.BigValueTextModeValue).
		Text(common.NewVizTextDisplayOptionsBuilder().ValueSize(15)).
		Mappings(operator.paint(
			[2]string{"/^ok$/", calm},
			[2]string{"/^(runs fail|stopped|no run yet|coverage|MASK OPEN|RULE BROKEN|HALTED|nobody runs|locks|connections|above 20 %|ALL AT ONCE|SAME STATE|CLOCK BACK|CLOCK SKEW|replica lag)$/", haltRed},
			[2]string{"/./", orange},
		)).
		DataLinks([]cog.Builder[dashboard.DashboardLink]{
			dashboard.NewDashboardLinkBuilder(openRunbook).Type(dashboard.DashboardLinkTypeLink).Icon("doc").Url(r.url(externalURL)).TargetBlank(true),
		})
}

// openRunbook is the title of the links to runbooks.
const openRunbook = "Open the runbook"

// runbookURL is where the page of a runbook is read. It stands in the board itself, and in
// no variable of it: an address could set that, and lead whoever opens it elsewhere.
func runbookURL(externalURL, name string) string {
	return docs.URL(externalURL, "runbooks/"+name+".md")
}

func (r runbook) url(externalURL string) string {
	return runbookURL(externalURL, fmt.Sprintf("%d-%s", r.number, r.slug))
}

// page needs no data source: the way to the runbook is there whatever is broken.
func page(r runbook, externalURL string) cog.Builder[dashboard.Panel] {
	return text.NewPanelBuilder().
		Mode(text.TextModeMarkdown).
		Content(fmt.Sprintf("%s<br>**[Runbook %d: %s](%s)**", r.ask, r.number, r.slug, r.url(externalURL)))
}

// rowFacts are the figures of a row as they are now.
func rowFacts(r runbook) cog.Builder[dashboard.Panel] {
	return labelled(operator.rows("", "SELECT label, value FROM ops."+r.view+" WHERE place > 0 ORDER BY place"))
}

// moreFacts are the figures of a view that shares the row of another one, with its
// symptom as the first of them.
func moreFacts(title, view, description string) *table.PanelBuilder {
	return labelled(operator.rows(title, "SELECT label, value FROM ops."+view+" ORDER BY place")).
		Description(description).
		Mappings(operator.paint([2]string{"/^(nobody leads|no recent beat|clock refused|no good run yet|no good run|COINS|SEARCH LATE|CLOCK BACK|CLOCK SKEW|replica lag|unknown)$/", haltRed})).
		OverrideByName("value", []dashboard.DynamicConfigValue{{Id: "custom.cellOptions", Value: cell("color-text")}, color("text")})
}

// labelled is a table of facts: what each is stands before it, in grey.
func labelled(p *table.PanelBuilder) *table.PanelBuilder {
	return p.
		ShowHeader(false).
		OverrideByName("label", []dashboard.DynamicConfigValue{{Id: "custom.width", Value: 130}, {Id: "custom.cellOptions", Value: cell("color-text")}, color(lineGrey)})
}
