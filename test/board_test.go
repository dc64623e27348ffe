package test

import (
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
)

const boardPath = "/d/whalegate-trading"

// The panels that are always there; every other one is a part of the decision
// surface.
const (
	stateID = 1
	factsID = 2
)

// decisionPanels are the ids of the panels that are masked, and whether each
// stands in a collapsed row.
func decisionPanels(t testing.TB) (ids []int, folded []int) {
	t.Helper()
	body, err := os.ReadFile("../dashboards/generated/classic/whalegate-trading.json")
	must(t, err)
	var board struct {
		Panels []struct {
			ID     int
			Type   string
			Panels []struct{ ID int }
		}
	}
	must(t, json.Unmarshal(body, &board))
	for _, p := range board.Panels {
		if p.Type != "row" && p.ID != stateID && p.ID != factsID {
			ids = append(ids, p.ID)
		}
		for _, inner := range p.Panels {
			folded = append(folded, inner.ID)
		}
	}
	if len(ids) < 10 || len(folded) < 2 {
		t.Fatalf("%d panels and %d folded ones found", len(ids), len(folded))
	}
	return ids, folded
}

// shows fails unless a panel shows all of some texts.
func (b *browser) shows(id int, texts ...string) {
	b.Helper()
	panel := b.panel(id)
	for _, text := range texts {
		if !strings.Contains(panel, text) {
			b.Errorf("panel %d shows %q, not %q", id, panel, text)
		}
	}
}

// What a panel may say beside the halt: its own title.
var haltedPanel = regexp.MustCompile(`^((HYPE|BTC|ETH|CAS|Dispersion|Exit cluster) |What the wallets (did in the last five minutes|hold) )?(Asset .*Wallets |Asset .*top 10 )?SYSTEM HALT$`)

// checkHalted fails unless every decision panel says SYSTEM HALT and nothing
// else, and nothing that was last known is on the page or in any answer, of
// which there have to be at least some.
func (b *browser) checkHalted(answers int) {
	b.Helper()
	ids, folded := decisionPanels(b)
	single := strings.Contains(b.eval("location.href"), "viewPanel=")
	for _, id := range append(ids, folded...) {
		text := b.panel(id)
		if text == "" && (single || slices.Contains(folded, id)) || text == "NOT THERE" && slices.Contains(folded, id) {
			continue // not in sight: in a row that is closed, or behind another panel
		}
		if !haltedPanel.MatchString(text) {
			b.Errorf("D1: panel %d shows %q", id, text)
		}
	}
	if err := leaked(b.text() + b.eval(`document.documentElement.outerHTML.replace(/<svg[\s\S]*?<\/svg>/g, '')`)); err != nil {
		b.Errorf("D2: on the page: %v", err)
	}
	read := 0
	for _, body := range b.received() {
		address, content, _ := strings.Cut(body, "\n")
		if strings.Contains(address, "/api/ds/query") {
			read++
		}
		if !strings.Contains(address, "/api/") || strings.Contains(address, "/api/dashboards/") {
			continue // programs and the board's own definition, which are the same in every state
		}
		if err := leaked(content); err != nil {
			b.Errorf("D2: in an answer to %s: %v", address, err)
		}
	}
	if read < answers {
		b.Errorf("only %d answers of the data source could be read", read)
	}
}

// every is how many answers a whole board brings at least.
const every = 15

// What never appears: prices, candles, indicators, levels, notionals.
var forbidden = regexp.MustCompile(`(?i)[$€]|\b(price|px|candle|rsi|macd|ema|entry|liquidation|notional|usd|usdc|leverage|margin|pnl)\b`)

const (
	degradedRun = "coverage_pct = 85, wallet_success_count = 170, wallet_fail_count = 30, rows_written = 510, status = 'partial'"
	failedRun   = "coverage_pct = 60, wallet_success_count = 120, wallet_fail_count = 80, rows_written = 360, status = 'failed', error = 'S3'"
	cleanRun    = "coverage_pct = 99.5, wallet_success_count = 199, wallet_fail_count = 1, rows_written = 597, status = 'success', error = NULL"
)

// TestTheTradingBoard walks a day of the board in a real Grafana and a real
// browser: healthy, degraded, stale, and back.
func TestTheTradingBoard(t *testing.T) {
	w := newBoardWorld(t)
	w.runs(30)
	w.signals(30)
	w.alerts()
	b := openBrowser(t)

	b.open(w.grafana.URL + boardPath)
	b.screenshot(artifact(t, "healthy.png"))
	checkHealthyBoard(b)
	checkChoosing(b, w)

	w.newestRun(degradedRun)
	b.open(w.grafana.URL + boardPath)
	b.screenshot(artifact(t, "degraded.png"))
	checkDegradedBoard(b)

	w.newestRun(failedRun)
	b.forget()
	b.refresh() // the page that has just shown everything
	b.screenshot(artifact(t, "stale.png"))
	b.shows(stateID, "SYSTEM HALT")
	b.shows(factsID, "Last good snapshot (UTC)", w.minute().Add(-time.Minute).Format("2006-01-02 15:04"), "Gap", "1 min", "run_failed, coverage", "1-ingestion")
	b.checkHalted(every)
	if header := b.panel(factsID); strings.Contains(header, "Coverage") || strings.Contains(header, "Last signal") {
		t.Errorf("the header of a halt shows more: %q", header)
	}
	href := b.eval(fmt.Sprintf(`(document.querySelector('[data-panelid="%d"] a[href]') || {href: 'no link'}).href`, factsID))
	if !strings.HasSuffix(href, "/docs/runbooks/1-ingestion.md") {
		t.Errorf("the runbook's link is %s", href)
	}
	// What the address says of the state changes nothing.
	for _, lie := range []string{"?var-health_state=HEALTHY", "?var-health_state=HEALTHY&var-asset=BTC&from=now-24h&to=now", "?viewPanel=10&var-health_state=HEALTHY", "?refresh=1d&kiosk", "?var-asset=%27%20OR%20true%20--"} {
		b.open(w.grafana.URL + boardPath + lie)
		b.checkHalted(1)
		if address := b.eval("location.href"); strings.Contains(address, "refresh=1d") {
			t.Errorf("a link can stop the refresh: %s", address)
		}
		if strings.Contains(lie, "kiosk") {
			continue // there is no button
		}
		b.refresh()
		b.checkHalted(1)
		if strings.Contains(b.text(), "HEALTHY") {
			t.Errorf("%s is still believed after a refresh", lie)
		}
	}
	b.open(w.grafana.URL + "/") // the home page is the same board
	b.checkHalted(every)
	b.open(w.grafana.URL + boardPath)
	b.unfold()
	b.checkHalted(every)
	if _, folded := decisionPanels(t); b.panel(folded[0]) == "NOT THERE" {
		t.Error("the collapsed row does not open")
	}

	w.newestRun(cleanRun)
	b.open(w.grafana.URL + boardPath)
	b.shows(10, "HYPE", "Long-only")
	b.checkOffline()
}

// unfold opens the collapsed row.
func (b *browser) unfold() {
	b.Helper()
	b.click(`[data-testid^="data-testid dashboard-row-title"], .dashboard-row__title`)
	b.settle()
	b.eval(`(() => { [...document.querySelectorAll('[data-panelid]')].pop().scrollIntoView(); return ''; })()`) // a panel is drawn when it is in sight
	b.settle()
}

func checkHealthyBoard(b *browser) {
	b.Helper()
	b.shows(stateID, "HEALTHY")
	b.shows(factsID, "Last snapshot (UTC)", "Last signal (UTC)", "Coverage", "99.5 %")
	b.shows(10, "HYPE", "Long-only")
	b.shows(11, "BTC", "Short-only")
	b.shows(12, "ETH", "No-trade")
	b.shows(13, "Risk mode Normal", "Exit alert none", "Warning none")
	b.shows(15, "Risk mode Defensive", "DE-RISKING", "DISPERSION HIGH")
	b.shows(16, "CAS 78.4 ↑", "Dispersion 31.2 Low", "Exit cluster 9.5 Low", "Add exposure yes", "Tighten stops no")
	b.shows(17, "CAS 21.7 →")
	b.shows(18, "CAS 53.1 ↓", "Dispersion 66.6 High", "Exit cluster 28.3 High", "Tighten stops YES")
	b.shows(20, "[ETH] Smart Money De-risking", "▲ high", "regime change", "Do not trade until resolved.")
	if n := strings.Count(b.panel(20), "["); n != 5 {
		b.Errorf("%d alerts are shown", n)
	}
	b.shows(30, "CAS")
	b.shows(31, "HYPE 78.4 ↑")
	if text := b.text(); strings.Contains(text, "HALT") || strings.Contains(text, "DEGRADED") || strings.Contains(text, "(degraded)") {
		b.Errorf("a healthy board says %s", text)
	}
	if cut := b.cut(); cut != "" {
		b.Errorf("texts that do not fit:\n%s", cut)
	}
	if word := forbidden.FindString(b.text()); word != "" {
		b.Errorf("D4: %q is on the board", word)
	}
	b.unfold()
	b.shows(40, "Adding long", "63 · 32 %", "25 · 13 %", "93 · 47 %", "200")
	b.shows(41, "Net size", "1234567.8 HYPE", "87", "61 %")
	b.unfold()
}

// checkChoosing clicks on an asset, and on the day.
func checkChoosing(b *browser, w *boardWorld) {
	b.Helper()
	address := func() string { return b.eval("location.href") }
	b.open(w.grafana.URL + boardPath + "?from=now-3h&to=now")
	b.click(`[data-panelid="11"] a`)
	b.settle()
	b.shows(31, "BTC 21.7 →")
	if got := address(); !strings.Contains(got, "var-asset=BTC") || strings.Contains(got, "now-6h") {
		b.Errorf("after a click on BTC the address is %s", got)
	}
	before := address()
	b.refresh()
	b.shows(31, "BTC 21.7 →")
	if got := address(); got != before {
		b.Errorf("a refresh changes the address from %s to %s", before, got)
	}
	day := b.eval(`[...document.querySelectorAll('a')].filter(a => a.innerText.trim() === '24 h').map(a => a.getAttribute('href'))[0] || ''`)
	if !strings.Contains(day, "from=now-24h") || !strings.Contains(day, "var-asset=BTC") {
		b.Errorf("the link to the day is %q", day)
	}
	b.open(w.grafana.URL + day)
	b.shows(31, "BTC 21.7 →")
	b.screenshot(artifact(b, "day.png"))
	b.open(w.grafana.URL + boardPath + "?theme=light")
	b.screenshot(artifact(b, "light.png"))
	if cut := b.cut(); cut != "" {
		b.Errorf("texts that do not fit in the light theme:\n%s", cut)
	}
	b.open(w.grafana.URL + boardPath + "?theme=dark")
	for _, kind := range []emulation.SetEmulatedVisionDeficiencyType{emulation.SetEmulatedVisionDeficiencyTypeDeuteranopia, emulation.SetEmulatedVisionDeficiencyTypeAchromatopsia, emulation.SetEmulatedVisionDeficiencyTypeNone} {
		_, err := chromedp.Call(b.ctx, emulation.SetEmulatedVisionDeficiency, emulation.SetEmulatedVisionDeficiencyParams{Type: kind})
		must(b, err)
		if kind != emulation.SetEmulatedVisionDeficiencyTypeNone {
			b.screenshot(artifact(b, string(kind)+".png")) // for people to judge
		}
	}
}

// checkDegradedBoard is D3: everything shown, with a warning at every panel.
func checkDegradedBoard(b *browser) {
	b.Helper()
	b.shows(stateID, "DEGRADED")
	b.shows(factsID, "Why", "coverage", "85.0 %")
	yellow := b.eval(fmt.Sprintf(`String([...document.querySelectorAll('[data-panelid="%d"] *')].some(e => getComputedStyle(e).backgroundColor === 'rgb(242, 204, 12)'))`, factsID))
	if yellow != "true" {
		b.Error("D3: no yellow banner")
	}
	b.shows(10, "Long-only (degraded)", "DEGRADED")
	b.shows(11, "Short-only (degraded)", "DEGRADED")
	b.shows(12, "No-trade (degraded)", "DEGRADED")
	b.shows(16, "CAS 78.4 ↑")
	b.shows(20, "[ETH] Smart Money De-risking")
	ids, folded := decisionPanels(b)
	b.unfold()
	for _, id := range append(ids, folded...) {
		edge := b.eval(fmt.Sprintf(`(() => { const panel = document.querySelector('[data-panelid="%d"]');
			const painted = [...panel.querySelectorAll('*')].some(e => getComputedStyle(e).backgroundColor === 'rgb(242, 204, 12)');
			const drawn = [...panel.querySelectorAll('canvas')].some(c => { const d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data; let n = 0;
				for (let i = 0; i < d.length; i += 4) if (d[i] === 242 && d[i+1] === 204 && d[i+2] === 12) n++; return n > 200; });
			return painted || drawn ? 'yellow' : panel.innerText; })()`, id))
		if edge != "yellow" {
			b.Errorf("D3: panel %d has no yellow edge: %q", id, edge)
		}
	}
	b.unfold()
	if cut := b.cut(); cut != "" {
		b.Errorf("texts that do not fit:\n%s", cut)
	}
}
