package runbook

import (
	"fmt"
	"time"

	"github.com/whalegate/whalegate/internal/duration"
	"github.com/whalegate/whalegate/internal/threshold"
)

func judgeUniverse(f Facts) *Finding {
	if f.Stored == nil || f.unread(PartUniverse) {
		return nil
	}
	u := f.Stored.Universe
	c, _ := f.broke()
	early := c == ofUniverse && !f.over() && f.starting() == nil
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
	case u.cut():
		found = universe.found(P2, "wallets are missing from the universe: %d of the %d that the last good refresh stored are there; somebody deleted rows, and signals stand on those that are left", u.Wallets, u.stored())
		found.do("refresh it: with every check, and from the leaderboard", "whalegate universe refresh")
		found.do("find out who works in the database", showOwners)
	case last.Warnings >= threshold.ChurnRefused:
		found = universe.found(P2, "churn is too high, %d times in a row: the last good universe is kept", last.Warnings)
	case last.Check == "U6":
		found = universe.found(P3, "the first rows of the leaderboard have no PnL (U6), so it ranks nobody: the last good universe is kept")
		if failed > 1 {
			found.Severity = P2
		}
	case failed > 1:
		found = universe.found(P2, "the last %d refreshes failed: the last good universe is kept", failed)
	case failed == 1:
		found = universe.found(P3, "the last refresh failed: the last good universe is kept")
	case last.Warnings > 0:
		found = universe.found(P3, "churn above %d %%, %d times in a row: the one that makes it %d is refused", threshold.ChurnHigh, last.Warnings, threshold.ChurnRefused)
	case percent(last.Received, last.Requested) < threshold.ReceivedFew:
		found = universe.found(P3, "the last refresh received %d of %d wallets", last.Received, last.Requested)
	case overdue > threshold.RefreshOld:
		found = universe.found(P3, "no refresh for %s, and one is due every six hours", ago(overdue))
	case last.unchanged() > threshold.BoardSame:
		found = universe.found(P3, "the leaderboard has not changed since %s (U7), and it changes about hourly: what answers may be a copy that stands still", stamp(*last.Changed))
	default:
		return nil
	}
	var rows []string
	for _, r := range u.Refreshes[:min(5, len(u.Refreshes))] {
		rows = append(rows, r.text())
	}
	found.rows("newest refreshes", rows)
	found.figure("universe", "%d wallets", u.Wallets)
	if made := u.madeFor(); made != 0 && made != last.Requested {
		found.figure("size", "the newest refresh asked for %d wallets, and the universe was made for %d: WHALEGATE_UNIVERSE_SIZE was changed", last.Requested, made)
	}
	if last.Check == "U6" || last.unchanged() > threshold.BoardSame {
		found.do("see what the check counted", `psql "$DATABASE_URL" -c "SELECT check_id, details, occurrences, last_ts FROM qa_events WHERE check_id IN ('U6', 'U7') ORDER BY last_ts DESC LIMIT 10"`)
	}
	if last.unchanged() > threshold.BoardSame {
		found.do("see since when the leaderboard is what it is, and who answers", `curl -sS -m 60 -o /dev/null -D - "${WHALEGATE_STATS_URL:-https://stats-data.hyperliquid.xyz}/Mainnet/leaderboard" | grep -i -E '^(date|last-modified|etag|age|via):'`)
	}
	found.do("look at what the leaderboard answers", `curl -sS -m 60 -w '\n%{http_code} %{size_download} bytes\n' "${WHALEGATE_STATS_URL:-https://stats-data.hyperliquid.xyz}/Mainnet/leaderboard" | tail -c 300`)
	if last.Warnings > 0 {
		found.do("see who entered and left, and whether an event of the market explains it; either way wait for the next refresh, which takes its turn", "whalegate universe diff")
		return found
	}
	found.do("once the answer looks right, refresh with every check; the snapshots go on meanwhile", "whalegate universe refresh")
	return found
}

// stored is how many wallets the last good refresh that is known stored; 0: none is known.
func (u Universe) stored() int {
	for _, r := range u.Refreshes {
		if r.Status == "success" {
			return r.Received
		}
	}
	return 0
}

// cut tells that rows of the universe are gone since it was made.
func (u Universe) cut() bool {
	return u.Wallets > 0 && percent(u.Wallets, u.stored()) < threshold.ReceivedFew && u.stored() > 0
}

// madeFor is the size that the universe was made for, 0 when none of the refreshes that
// are known succeeded.
func (u Universe) madeFor() int {
	for _, r := range u.Refreshes {
		if r.Status == "success" {
			return r.Requested
		}
	}
	return 0
}

// unchanged is how long the leaderboard had not changed at a refresh; 0 when that is not
// known.
func (r Refresh) unchanged() time.Duration {
	if r.Changed == nil {
		return 0
	}
	return r.AsOf.Sub(*r.Changed)
}

func (r Refresh) text() string {
	text := fmt.Sprintf("%s %s, %d of %d wallets, %d entered, %d exited, churn warnings %d", stamp(r.AsOf), r.Status, r.Received, r.Requested, r.Entered, r.Exited, r.Warnings)
	if r.Error != "" {
		text += ": " + oneLine(r.Error)
	}
	return text
}

func universeRecovery(f Facts) []Criterion {
	const succeeded, churn, whole = "the newest refresh succeeded", "churn warnings 0", "the universe has the wallets that the last good refresh stored"
	received := fmt.Sprintf("received at least %d %% of the wallets", threshold.ReceivedFew)
	changes := "the leaderboard changed within " + threshold.Span(threshold.BoardSame)
	if why := f.dark(PartUniverse); why != "" {
		return []Criterion{unsure(succeeded, why), unsure(received, why), unsure(churn, why), unsure(changes, why), unsure(whole, why)}
	}
	if len(f.Stored.Universe.Refreshes) == 0 {
		return []Criterion{holds(succeeded, false, "there is none"), holds(received, false, "0 of 0"), holds(churn, false, "no refresh yet"), holds(changes, false, "no refresh yet"), holds(whole, false, "no refresh yet")}
	}
	last := f.Stored.Universe.Refreshes[0]
	return []Criterion{
		holds(succeeded, last.Status == "success" && f.at().Sub(last.AsOf) <= threshold.RefreshOld, "%s %s, one is due every six hours", last.Status, duration.Since(f.at().Sub(last.AsOf))),
		holds(received, percent(last.Received, last.Requested) >= threshold.ReceivedFew, "%d of %d", last.Received, last.Requested),
		holds(churn, last.Warnings == 0, "%d", last.Warnings),
		f.changing(changes),
		holds(whole, !f.Stored.Universe.cut(), "%d of %d", f.Stored.Universe.Wallets, f.Stored.Universe.stored()),
	}
}

// changing is the criterion that the leaderboard does not stand still. A refresh that
// failed does not know: the newest good one does.
func (f *Facts) changing(name string) Criterion {
	for _, r := range f.Stored.Universe.Refreshes {
		if r.Status == "success" && r.Changed != nil {
			return holds(name, r.unchanged() <= threshold.BoardSame, "last %s before the refresh of %s", ago(r.unchanged()), stamp(r.AsOf))
		}
	}
	return unsure(name, "no refresh has said when it changed")
}
