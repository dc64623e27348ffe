package runbook

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/whalegate/whalegate/internal/duration"
	"github.com/whalegate/whalegate/internal/health"
	"github.com/whalegate/whalegate/internal/threshold"
)

const showRuns = `psql "$DATABASE_URL" -c "SELECT timestamp, status, coverage_pct, failures, error FROM ingest_runs ORDER BY timestamp DESC LIMIT 10"`

// askExchange asks for the state of an account that everybody has.
const askExchange = `curl -sS -m 10 -w '\n%{http_code} after %{time_total} s\n' -H 'Content-Type: application/json' -d '{"type":"clearinghouseState","user":"0x0000000000000000000000000000000000000000"}' "${WHALEGATE_API_URL:-https://api.hyperliquid.xyz}/info"`

// longWait is from which wait that the exchange asks for it is said how long it is.
const longWait = 5 * time.Minute

const haltForForm = `whalegate halt --reason "the exchange changed the form of its answers"`

func judgeIngestion(f Facts) *Finding {
	c, at := f.broke()
	if f.starting() != nil && f.Service.Trouble != Hanging {
		return nil // it goes as it was announced
	}
	switch {
	case f.Service.Trouble == Hanging && !f.replaced():
		return f.hangs(c == stopped)
	case c == stopped && f.Service.answers() && f.Service.Ready && f.serviceCannot() == "" && !f.vacant():
		found := ingestion.found(f.worst(P2), "the process answers, and no run comes")
		found.lastRun(&f)
		found.whoLeads(&f)
		if up := f.Service.Up; up > 0 {
			found.figure("process up for", "%s", ago(up))
		}
		found.do("if it was started or held up until just now: wait two minutes", "whalegate runbook verify ingestion --watch")
		found.do("read its log", "journalctl -u whalegate -n 100")
		return found
	case f.Stored != nil && f.because("null_szi") && (c == nothing || c != stopped && f.Stored.Runs[0].Clean):
		// Such a run counts as clean; one that failed before it is another matter.
		found := ingestion.found(f.worst(P2), "sizes cannot be read (%s): the exchange may have changed their form", f.reasons("null_szi"))
		found.do("look at the checks that failed", `psql "$DATABASE_URL" -c "SELECT check_id, subject, details, occurrences, last_ts FROM qa_events ORDER BY last_ts DESC LIMIT 10"`)
		found.do("a changed form needs a new version: halt until there is one", haltForForm)
		return found
	case c == gap && f.outlived(at):
		found := ingestion.found(f.worst(P3), "minutes are missing while the process lived: it was held up or paused")
		found.figure("missing", "%d minutes within the last hour", f.missing(time.Hour)+f.skipped(time.Hour))
		found.figure("at work for", "%s", ago(f.working()))
		found.do("wait for two clean minutes", "whalegate runbook verify ingestion --watch")
		return found
	case c == ofExchange && !f.over():
		return f.failing(at)
	case f.runsUnknown() && f.because("run_failed", "coverage", "null_szi", "snapshot_age", "no_runs") && !f.because(health.ReasonDatabase) && f.Service.answers():
		found := ingestion.found(f.worst(P2), "its runs cannot be read, and they are not good enough (%s)", f.reasons(""))
		if s := f.Service.Told; s != nil && s.LastRun != nil {
			run := s.LastRun
			found.rows("newest run", []string{fmt.Sprintf("%s %s, coverage %.1f %%, %v", stamp(run.Timestamp), run.Status, run.CoveragePct, run.Failures)})
		}
		found.do("ask the service, as the database does not let you in", "curl -s "+f.Service.URL+"/api/v1/status")
		return found
	case c == nothing && !f.runsUnknown() && f.because("system_stale") && f.health().CleanRuns >= 2 && f.inForce() == nil:
		found := ingestion.found(f.worst(P2), "the runs are good again, and the system alert has not cleared (%s): that takes seconds after the second clean minute", f.reasons(""))
		found.do("if it stays: is the service that clears it at work, and what does it say?", "journalctl -u whalegate -n 100")
		found.do("see what is active", "whalegate alerts state")
		return found
	case c == nothing && f.because("recovering", "system_stale") && !f.because("snapshot_age") && f.inForce() == nil:
		found := ingestion.found(f.worst(P2), "what was wrong is over, and two clean minutes are not in yet (%s)", f.reasons(""))
		found.do("wait for two clean minutes in a row", "whalegate runbook verify ingestion --watch")
		return found
	}
	if found := f.silentMeta(); found != nil {
		return found
	}
	if found := f.unlisted(); found != nil {
		return found
	}
	return f.lacking()
}

// hangs is the finding for a process that is there and does not answer.
func (f *Facts) hangs(stopped bool) *Finding {
	severity, runs := P3, "though runs come, or came until a moment ago"
	switch {
	case f.runsUnknown():
		severity, runs = f.worst(P2), "and whether runs come cannot be read"
	case stopped:
		severity, runs = f.worst(P2), "and no run comes"
	case f.vacant():
		severity, runs = f.worst(P2), "and no collector leads"
	}
	found := ingestion.found(severity, "the process is there and does not answer, %s", runs)
	found.figure("service", "%s: %s", f.Service.URL, f.Service.Error)
	found.lastRun(f)
	found.whoLeads(f)
	found.do("see whether it was paused (state T), or waits for a disk (D)", showProcess)
	found.do("let a paused one go on", "sudo pkill -CONT -x whalegate")
	found.do("if it still hangs after two minutes, keep the end of its log and restart it", "sudo systemctl restart whalegate")
	return found
}

// runsUnknown tells that nobody could read the runs.
func (f *Facts) runsUnknown() bool {
	return f.Stored == nil || f.unread(PartRuns)
}

// outlived tells that whoever leads has been at work for longer than since the gap
// that began after run: it did not die in it.
func (f *Facts) outlived(run Run) bool {
	working := f.working()
	return working > 0 && f.at().Sub(run.Timestamp) < working
}

// lacking is the finding for a few wallets that fail in every minute: runs count without
// them, and somebody should know.
func (f *Facts) lacking() *Finding {
	const minutes = 10
	if f.runsUnknown() || len(f.Stored.Runs) < minutes || f.starting() != nil {
		return nil
	}
	fewest := f.Stored.Runs[0].Failed
	for _, r := range f.Stored.Runs[:minutes] {
		fewest = min(fewest, r.Failed)
	}
	if percent(fewest, f.Stored.Runs[0].Expected) < lackingPct {
		return nil
	}
	found := ingestion.found(P4, "%d of %d wallets or more fail in every minute, mostly %s: the runs count without them", fewest, f.Stored.Runs[0].Expected, f.Stored.Runs[0].mostly())
	found.newestRuns(f)
	f.exchangeTrouble(found, f.Stored.Runs[0].mostly())
	found.do("read which they are, and why", "journalctl -u whalegate -n 100")
	return found
}

// lackingPct is from which share of the wallets on it is worth a word.
const lackingPct = 5

// exchangeTrouble adds what the service met last when it asked the exchange, and what to
// change about it where that is known.
func (f *Facts) exchangeTrouble(found *Finding, reason string) {
	if asked := f.Service.Metrics["whalegate_upstream_retry_after_seconds"]; asked > longWait.Seconds() {
		found.figure("the exchange asks to be left alone for", "%s (it is asked again every five minutes all the same)", time.Duration(asked)*time.Second)
		found.do("wait until then; halt if that is too long for whoever trades", `whalegate halt --reason "the exchange refuses us for long"`)
	}
	if f.Service.Told == nil || f.Service.Told.Exchange == nil {
		return
	}
	e := *f.Service.Told.Exchange
	if e.Endpoint == "leaderboard" || e.Failure != reason || f.at().Sub(e.At) > lookBack {
		return
	}
	found.figure("the service met", "%s (%s)", oneLine(e.Text), duration.Since(f.at().Sub(e.At)))
	switch {
	case e.Cause == "name_unknown":
		found.do("the exchange's name does not resolve for the service: mend the name service, or WHALEGATE_API_URL of the service, and restart it", "getent hosts api.hyperliquid.xyz || cat /etc/resolv.conf")
	case e.Cause == "tls":
		found.do("the service and what answers do not agree on TLS: mend WHALEGATE_API_URL of the service (https:// or http://), the certificate, or what stands in between, and restart it", "systemctl cat whalegate")
	case e.Cause == "refused":
		found.do("nobody listens where the service asks: mend WHALEGATE_API_URL of the service, or a firewall, and restart it", "systemctl cat whalegate")
	case e.Status == 407:
		found.do("a proxy wants a login: mend HTTPS_PROXY of the service, and restart it", "systemctl cat whalegate")
	case e.Status == 401 || e.Status == 403 || e.Status == 451:
		found.do("the exchange, or what stands before it, lets this address in no more: ask whoever runs the network, or the exchange; halt meanwhile", `whalegate halt --reason "the exchange refuses us for long"`)
	case e.Status >= 300 && e.Status < 400:
		found.do("something answers in the exchange's place, and leads elsewhere: see where to", askExchange+" -D -")
	}
}

// failing is the finding for runs that come and are not good enough.
func (f *Facts) failing(bad Run) *Finding {
	severity := f.worst(P3)
	if h := f.health(); h != nil && h.State == health.Degraded {
		severity = P2
	}
	over := f.Stored.Runs[0].Clean
	if bad.Check == "S12" && !f.Stored.Runs[0].Clean {
		return f.notOurCoins(bad)
	}
	reason := bad.mostly()
	if slices.Contains(searchReasons, reason) {
		reason = searchReasons[0]
	}
	summary := fmt.Sprintf("runs are not good enough, mostly %s", reason)
	switch {
	case over:
		summary = fmt.Sprintf("the last run that failed (%s) is over, and two clean minutes are not in yet", cmp.Or(reason, oneLine(bad.Error)))
	case reason == "":
		summary = "runs fail: " + oneLine(bad.Error)
	case reason == searchReasons[0]:
		summary = f.searchSummary()
	case reason == accountsShared:
		summary = "too many wallets claim an account that another one claims: whose it is nobody can tell, so both fail"
	case reason == accountsChanged:
		summary = "too many wallets name other sub-accounts than are known: until they do so again, nobody can tell what these wallets hold"
	case agedSummary(reason) != "":
		summary = agedSummary(reason)
	}
	found := ingestion.found(severity, "%s", summary)
	found.newestRuns(f)
	switch {
	case slices.Contains(ageReasons, reason):
		found.lag(f)
	case reason == searchReasons[0] || reason == accountsShared:
		found.accountFigures(f)
	}
	found.checks(f, "S")
	if over {
		found.do("wait for two clean minutes in a row", "whalegate runbook verify ingestion --watch")
		return found
	}
	f.exchangeTrouble(found, reason)
	switch reason {
	case "rate_limited", "throttled":
		found.do("see whether something else uses the exchange from this address, and end it", `ss -tnp state established '( dport = :443 )'`)
		found.do("or give the service a smaller budget (WHALEGATE_API_WEIGHT=600), and restart it", "sudo systemctl restart whalegate")
	case "timeout", "connection", abandoned:
		found.do("see whether the exchange can be reached", askExchange)
		found.do("if not: network, name resolution, or an outage of theirs; wait, it tries every minute", "whalegate runbook verify ingestion --watch")
	case "schema", "malformed", "null", "too_large", "rejected":
		found.do("look at what the exchange answers: its form has changed, or something answers in its place", askExchange)
		found.do("a changed form needs a new version: halt until there is one", haltForForm)
	case "server_error":
		found.do("see whether the exchange announced an outage; wait, it tries every minute", "whalegate runbook verify ingestion --watch")
	case searchReasons[0]:
		if failure, n := f.refusedLists(); failure != "" {
			found.figure("the lists that were asked for", "%.0f requests ended with %s, more than were answered", n, failure)
			if failure == "rate_limited" || failure == "throttled" {
				found.do("see whether something else uses the exchange from this address, and end it", `ss -tnp state established '( dport = :443 )'`)
			} else {
				found.do("see whether the exchange can be reached", askExchange)
			}
		}
		found.do("see how far it is, and whether something else uses the exchange from this address", "whalegate status")
		found.do("see which wallets are missing", showAccounts)
		found.do("read what their lists were answered with", "journalctl -u whalegate -n 200 | grep -i accounts")
		found.do("wait: they are asked for within the rate limit", twoCleanMinutes)
	case accountsChanged:
		found.do("see what the lists name", "journalctl -u whalegate -n 200 | grep -i accounts")
		found.do("wait: each is asked again, and another list is believed when it is given twice, a minute apart", twoCleanMinutes)
	case accountsShared:
		found.do("see which accounts are claimed twice; each wallet is asked again, and one whose list was wrong is right then", showShared)
		found.do("wait: each is asked every ten minutes, and two right answers end it", twoCleanMinutes)
	case oldState, futureState, skewedClock:
		found.agedActions(reason)
	}
	found.do("see the failures by minute", showRuns)
	if h := f.health(); h != nil && h.AgeSeconds != nil && *h.AgeSeconds > time.Hour.Seconds() {
		found.do("it has lasted more than an hour: halt, and escalate", `whalegate halt --reason "no good snapshot for over an hour"`)
	}
	return found
}

// lastRun adds when the newest run was.
func (f *Finding) lastRun(facts *Facts) {
	if facts.runsUnknown() {
		return
	}
	if len(facts.Stored.Runs) == 0 {
		f.figure("newest run", "none ever")
		return
	}
	r := facts.Stored.Runs[0]
	f.figure("newest run", "%s: %s", duration.Since(facts.at().Sub(r.Timestamp)), r.text())
}

// checks adds the failed checks of a stage, by the letter of their ids.
func (f *Finding) checks(facts *Facts, letter string) {
	var rows []string
	for _, c := range facts.Stored.Checks {
		if c.ID[:1] == letter && len(rows) < 5 {
			rows = append(rows, fmt.Sprintf("%s, %d times, last %s: %s", strings.TrimSpace(c.ID+" "+c.Severity+" "+c.Subject), c.Times, stamp(c.Last), c.Action))
		}
	}
	f.rows("failed checks of the last hour", rows)
}

func ingestionRecovery(f Facts) []Criterion {
	const clean, sizes = "two consecutive clean cycles", "sizes of every asset readable"
	coverage := fmt.Sprintf("coverage at least %d %%", threshold.CoverageThin)
	age := fmt.Sprintf("snapshot at most %s old", threshold.Span(threshold.SnapshotLate))
	truth := []Criterion{
		f.statesInTime(fmt.Sprintf("states of the exchange not too old, for %d %% of the wallets", 100-threshold.StatesOld)),
		f.coinsRight("the exchange has said within " + threshold.Span(threshold.MetaOld) + " that our coins are as expected"),
		f.accountsKnown("the accounts of every wallet known"),
	}
	h := f.health()
	if h == nil {
		why := "nobody could be asked"
		return append([]Criterion{unsure(clean, why), unsure(coverage, why), unsure(age, why), unsure(sizes, why)}, truth...)
	}
	var unreadable []string // a run of such sizes counts as clean: it is complete
	for _, reason := range h.Reasons {
		if asset, ok := strings.CutPrefix(reason, "null_szi:"); ok {
			unreadable = append(unreadable, "not of "+asset)
		}
	}
	old := figure(h.AgeSeconds, "%.0f s")
	if s := duration.Optional(h.AgeSeconds); s != nil && s.Round(time.Second) < 0 {
		old = duration.Since(*s)
	}
	return append([]Criterion{
		holds(clean, h.CleanRuns >= 2, "%d in a row", h.CleanRuns),
		holds(coverage, h.CoveragePct != nil && *h.CoveragePct >= threshold.CoverageThin, "%s", figure(h.CoveragePct, "%.1f %%")),
		holds(age, h.AgeSeconds != nil && *h.AgeSeconds <= threshold.SnapshotLate.Seconds() && !h.ClockIsWrong(), "%s", old),
		holds(sizes, len(unreadable) == 0, "%s", cmp.Or(strings.Join(unreadable, ", "), "yes")),
	}, truth...)
}

// figure is a value that may not be there.
func figure(v *float64, format string) string {
	if v == nil {
		return "none"
	}
	return fmt.Sprintf(format, *v)
}
