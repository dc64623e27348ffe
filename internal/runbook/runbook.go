package runbook

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	runbooks "github.com/whalegate/whalegate/docs/runbooks"
	"github.com/whalegate/whalegate/internal/threshold"
)

// Severity is how fast somebody has to act.
type Severity string

// The severities, worst first.
const (
	P1 Severity = "P1" // at once: nothing may be traded
	P2 Severity = "P2" // within 15 minutes: caution
	P3 Severity = "P3" // within an hour: watch it
	P4 Severity = "P4" // next session
)

// Runbook is one kind of trouble.
type Runbook struct {
	Number   int    `json:"n"`
	Slug     string `json:"slug"`
	Title    string `json:"title"`
	Severity string `json:"severity"` // what it can be, worst first
	Page     string `json:"page"`
}

// The runbooks, by number.
var (
	ingestion  = &Runbook{1, "ingestion", "Ingestion fails, partly or wholly", "P1/P2/P3/P4", "docs/runbooks/1-ingestion.md"}
	universe   = &Runbook{2, "universe", "The leaderboard refresh fails or churns", "P1/P2/P3", "docs/runbooks/2-universe.md"}
	signalLock = &Runbook{3, "signal-lock", "Signals are blocked, by design or because the job is dead", "P2/P3", "docs/runbooks/3-signal-lock.md"}
	dirtySpike = &Runbook{4, "dirty-spike", "What the exchange says cannot be true: a glitch, one state for many, everybody at once", "P1/P2/P3", "docs/runbooks/4-dirty-spike.md"}
	alertSpam  = &Runbook{5, "alert-spam", "Alerts are too frequent, flicker, or do not get out", "P2/P3", "docs/runbooks/5-alert-spam.md"}
	boardTruth = &Runbook{6, "board-truth", "A board shows what it must not", "P1", "docs/runbooks/6-board-truth.md"}
	database   = &Runbook{7, "database", "The database is unreachable, full, slow or locked", "P1/P2/P3", "docs/runbooks/7-database.md"}
	halt       = &Runbook{8, "halt", "Full manual halt and controlled resume", "P1", "docs/runbooks/8-halt.md"}
	crash      = &Runbook{9, "crash", "The process died or was killed", "P1/P2/P3", "docs/runbooks/9-crash.md"}

	all = []*Runbook{ingestion, universe, signalLock, dirtySpike, alertSpam, boardTruth, database, halt, crash}
)

// rules are how each shows, and when it is over, in the order of findings of one
// severity: a cause before what follows from it.
var rules = []struct {
	of       *Runbook
	judge    func(Facts) *Finding // nil: it does not show
	recovery func(Facts) []Criterion
}{
	{boardTruth, judgeBoardTruth, boardTruthRecovery},
	{halt, judgeHalt, haltRecovery},
	{database, judgeDatabase, databaseRecovery},
	{crash, judgeCrash, crashRecovery},
	{universe, judgeUniverse, universeRecovery},
	{ingestion, judgeIngestion, ingestionRecovery},
	{dirtySpike, judgeDirtySpike, dirtySpikeRecovery},
	{alertSpam, judgeAlertSpam, alertSpamRecovery},
	{signalLock, judgeSignalLock, signalLockRecovery},
}

// All lists the runbooks by number.
func All() []*Runbook { return slices.Clone(all) }

// Find returns a runbook by number or slug; the error lists what there is.
func Find(name string) (*Runbook, error) {
	var slugs []string
	for _, r := range all {
		if name == strconv.Itoa(r.Number) || name == r.Slug {
			return r, nil
		}
		slugs = append(slugs, r.Slug)
	}
	return nil, fmt.Errorf("there is no runbook %q: 1 to %d, or %s", name, len(all), strings.Join(slugs, ", "))
}

// Text is the page.
func (r *Runbook) Text() string {
	text, err := runbooks.Pages.ReadFile(strings.TrimPrefix(r.Page, "docs/runbooks/"))
	if err != nil {
		panic(err) // embedded at build time
	}
	return threshold.Plain(string(text))
}

// doNot is what the page forbids.
func (r *Runbook) doNot() []string { return bullets(r.Text(), "Do not") }

// bullets are the items of a section of a page.
func bullets(page, section string) (items []string) {
	_, body, _ := strings.Cut(page, "\n## "+section+"\n")
	body, _, _ = strings.Cut(body, "\n## ")
	for line := range strings.Lines(body) {
		if item, ok := strings.CutPrefix(line, "- "); ok {
			items = append(items, strings.TrimSpace(item))
		}
	}
	return items
}
