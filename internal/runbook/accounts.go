package runbook

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/whalegate/whalegate/internal/duration"
	"github.com/whalegate/whalegate/internal/facts"
	"github.com/whalegate/whalegate/internal/health"
	"github.com/whalegate/whalegate/internal/threshold"
)

// searchReasons are those of wallets that failed because their accounts are not known, or
// because the search for them goes first.
var searchReasons = []string{"accounts_unknown", "accounts_old", "accounts_first"}

const (
	accountsShared  = "accounts_shared"
	accountsChanged = "accounts_changed"
	// newcomers is how long after a refresh the accounts of those that entered may be unknown.
	newcomers = 15 * time.Minute
	// estimateOff is by how much an estimate of the search may be off: it goes by whole
	// minutes, and by the slowest wallet.
	estimateOff = 2 * time.Minute
	// recoversWithin is how long after the search two clean minutes may take.
	recoversWithin = 4 * time.Minute
)

// A first start is the reason for these reasons of health, and for no others.
var startReasons = []string{"no_runs", "run_failed", "coverage", "snapshot_age", "recovering", "system_stale", health.ReasonNoCollector}

// starting is the search for accounts of a first start while that alone keeps the state
// from HEALTHY, within the time that was announced; nil otherwise.
func (f *Facts) starting() *facts.Search {
	if f.Stored == nil || f.Stored.Search == nil {
		return nil
	}
	s, h := f.Stored.Search, f.health()
	ended := s.EndedAt != nil && (f.at().Sub(*s.EndedAt) > recoversWithin || f.cleanPair())
	if s.EndedAt == nil && s.DoneAt.Sub(s.StartedAt) > time.Duration(1.3*s.Announced*float64(time.Second))+estimateOff {
		return nil // by the present estimate it takes longer than was announced
	}
	if s.Late || ended || h == nil || h.State == health.Healthy {
		return nil
	}
	c, bad := f.broke()
	searched := c == ofExchange && 2*bad.searched() > bad.Failed
	// A run without a row has no size of any asset either.
	empty := searched && bad.CoveragePct == 0 || c == ofUniverse
	other := func(reason string) bool {
		return !slices.Contains(startReasons, reason) && (!empty || !strings.HasPrefix(reason, "null_szi:"))
	}
	if slices.ContainsFunc(h.Reasons, other) {
		return nil
	}
	switch {
	case c == nothing,
		c == ofUniverse && f.Stored.Universe.Wallets > 0,
		searched,
		c == stopped && len(f.Stored.Runs) == 0 && s.RunningSeconds <= threshold.RunMissing.Seconds():
		return s
	default:
		return nil
	}
}

// cleanPair tells that two minutes in a row were clean: the first start is over.
func (f *Facts) cleanPair() bool {
	for i := 1; i < len(f.Stored.Runs); i++ {
		if newer, older := f.Stored.Runs[i-1], f.Stored.Runs[i]; newer.Clean && older.Clean && newer.Timestamp.Sub(older.Timestamp) == time.Minute {
			return true
		}
	}
	return false
}

// refusedLists is what most requests of the search were answered with since the process
// was started, where that is no answer: a failure of the client; "": most were answered.
func (f *Facts) refusedLists() (failure string, n float64) {
	counted := map[string]float64{}
	for series, count := range f.Service.Metrics {
		if rest, ok := strings.CutPrefix(series, `whalegate_upstream_requests_total{endpoint="sub_accounts",outcome="`); ok {
			counted[strings.TrimSuffix(rest, `"}`)] += count
		}
	}
	for outcome, count := range counted {
		if outcome != "ok" && count > counted["ok"] && count > n {
			failure, n = outcome, count
		}
	}
	return failure, n
}

// justStarted tells that the first start is over since so short a time that the windows of
// the newest boundaries still lack minutes for it.
func (f *Facts) justStarted() bool {
	if f.Stored == nil || f.Stored.Search == nil || f.Stored.Search.EndedAt == nil {
		return false
	}
	return f.at().Sub(*f.Stored.Search.EndedAt) < 2*period+settled && !f.stale()
}

// searched counts the wallets of a run whose accounts are still searched for.
func (r Run) searched() (n int) {
	for _, reason := range searchReasons {
		n += r.Failures[reason]
	}
	return n
}

// searchSummary says why so many wallets fail for their accounts.
func (f *Facts) searchSummary() string {
	if s := f.Stored.Search; s != nil && s.EndedAt == nil && s.Late {
		return fmt.Sprintf("the first start takes longer than was announced: the accounts of %d of %d wallets are known after %s, and %s were announced",
			s.Known, s.Wallets, ago(time.Duration(s.RunningSeconds)*time.Second), ago(time.Duration(s.Announced)*time.Second))
	}
	return "the accounts of too many wallets are not known, so what these wallets hold is not"
}

// accountFigures adds how well the accounts are known.
func (f *Finding) accountFigures(facts *Facts) {
	if a := facts.Stored.Accounts; a != nil {
		f.figure("accounts", "%s", a.Text())
	}
	if s := facts.Stored.Search; s != nil && s.EndedAt == nil {
		f.figure("first start", "%s", s.Text())
	}
}

// unlisted is the finding for a few wallets whose accounts are not known, or whose list
// has not been readable for long: it shows, and is no reason to be loud.
func (f *Facts) unlisted() *Finding {
	if f.Stored == nil || f.Stored.Accounts == nil || len(f.Stored.Universe.Refreshes) == 0 || f.starting() != nil || f.vacant() {
		return nil
	}
	a := f.Stored.Accounts
	entering := f.at().Sub(f.Stored.Universe.Refreshes[0].AsOf) < newcomers
	missing := a.Wallets - a.Known
	if entering {
		missing -= a.NeverFound
	}
	oldest := duration.Optional(a.OldestSeconds)
	if missing <= 0 && (oldest == nil || *oldest <= threshold.AccountsDue) {
		return nil
	}
	found := ingestion.found(P4, "the accounts of a few wallets cannot be read: these wallets fail, or soon will, and the others go on")
	found.accountFigures(f)
	if !f.runsUnknown() && len(f.Stored.Runs) > 0 {
		found.figure("newest run", "%s", f.Stored.Runs[0].text())
	}
	found.do("see which they are; each is tried again, at the latest every hour", showAccounts)
	found.do("read why", "journalctl -u whalegate -n 200 | grep -i accounts")
	return found
}

const showAccounts = `psql "$DATABASE_URL" -c "SELECT u.rank, u.wallet_id, cardinality(a.sub_accounts) AS accounts, a.checked_at FROM wallet_universe_current u LEFT JOIN wallet_accounts a USING (wallet_id) ORDER BY a.checked_at NULLS FIRST LIMIT 10"`

const showShared = `psql "$DATABASE_URL" -c "SELECT account, array_agg(u.rank ORDER BY u.rank) AS ranks FROM wallet_universe_current u JOIN wallet_accounts a USING (wallet_id), unnest(a.sub_accounts) AS sub (account) GROUP BY account HAVING count(*) > 1 LIMIT 10"`
