package runbook

import (
	"fmt"
	"time"
)

const (
	refreshOverdue = 7 * time.Hour // it is due every six
	maxWarnings    = 3             // refreshes in a row with too much churn; the third is refused
	minReceivedPct = 90
)

func judgeUniverse(f *Facts) *Finding {
	if f.Stored == nil || f.Database.Unreadable[partUniverse] != "" {
		return nil
	}
	u := f.Stored.Universe
	c, _ := f.broke()
	early := c == ofUniverse && !f.over()
	if len(u.Refreshes) == 0 && !early {
		return nil
	}
	if early && (u.Wallets > 0 || len(u.Refreshes) == 0 || u.Refreshes[0].Status == "success") {
		found := universe.found(f.worst(P3), "there was no universe yet at the newest minutes: a first start, or the first good refresh")
		found.figure("universe", "%d wallets", u.Wallets)
		found.do("wait for the refresh, which takes seconds, and for two clean minutes", twoCleanMinutes)
		found.do("if it lasts: see whether a refresh was tried, and what it says", `psql "$DATABASE_URL" -c "SELECT run_id, as_of_ts, status, n_requested, n_received, entered_count, exited_count, churn_warning_count, error FROM wallet_universe_runs ORDER BY as_of_ts DESC LIMIT 10"`)
		return found
	}
	last, failed := u.Refreshes[0], 0
	for failed < len(u.Refreshes) && u.Refreshes[failed].Status == "failed" {
		failed++
	}
	var found *Finding
	switch overdue := f.at().Sub(last.AsOf); {
	case u.Wallets == 0 && failed > 0:
		found = universe.found(P1, "there is no universe: the refresh fails, and nothing can be snapshotted")
	case last.Warnings >= maxWarnings:
		found = universe.found(P2, "churn is too high, %d times in a row: the last good universe is kept", last.Warnings)
	case failed > 1:
		found = universe.found(P2, "the last %d refreshes failed: the last good universe is kept", failed)
	case failed == 1:
		found = universe.found(P3, "the last refresh failed: the last good universe is kept")
	case last.Warnings > 0:
		found = universe.found(P3, "churn above 30 %%, %d times in a row: the third is refused", last.Warnings)
	case percent(last.Received, last.Requested) < minReceivedPct:
		found = universe.found(P3, "the last refresh received %d of %d wallets", last.Received, last.Requested)
	case overdue > refreshOverdue:
		found = universe.found(P3, "no refresh for %s, and one is due every six hours", ago(overdue))
	default:
		return nil
	}
	var rows []string
	for _, r := range u.Refreshes[:min(5, len(u.Refreshes))] {
		rows = append(rows, r.text())
	}
	found.rows("newest refreshes", rows)
	found.figure("universe", "%d wallets", u.Wallets)
	found.do("look at what the leaderboard answers", `curl -sS -m 60 -w '\n%{http_code} %{size_download} bytes\n' "${WHALEGATE_STATS_URL:-https://stats-data.hyperliquid.xyz}/Mainnet/leaderboard" | tail -c 300`)
	if last.Warnings > 0 {
		found.do("see who entered and left, and whether an event of the market explains it; either way wait for the next refresh, which takes its turn", "whalegate universe diff")
		return found
	}
	found.do("once the answer looks right, refresh with every check; the snapshots go on meanwhile", "whalegate universe refresh")
	return found
}

func (r Refresh) text() string {
	text := fmt.Sprintf("%s %s, %d of %d wallets, %d entered, %d exited, churn warnings %d", stamp(r.AsOf), r.Status, r.Received, r.Requested, r.Entered, r.Exited, r.Warnings)
	if r.Error != "" {
		text += ": " + oneLine(r.Error)
	}
	return text
}

func universeRecovery(f *Facts) []Criterion {
	const succeeded, received, churn = "the newest refresh succeeded", "received at least 90 % of the wallets", "churn warnings 0"
	if why := f.dark(partUniverse); why != "" {
		return []Criterion{unsure(succeeded, why), unsure(received, why), unsure(churn, why)}
	}
	if len(f.Stored.Universe.Refreshes) == 0 {
		return []Criterion{holds(succeeded, false, "there is none"), holds(received, false, "0 of 0"), holds(churn, false, "no refresh yet")}
	}
	last := f.Stored.Universe.Refreshes[0]
	return []Criterion{
		holds(succeeded, last.Status == "success" && f.at().Sub(last.AsOf) <= refreshOverdue, "%s %s, one is due every six hours", last.Status, since(f.at().Sub(last.AsOf))),
		holds(received, percent(last.Received, last.Requested) >= minReceivedPct, "%d of %d", last.Received, last.Requested),
		holds(churn, last.Warnings == 0, "%d", last.Warnings),
	}
}
