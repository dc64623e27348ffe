package runbook

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	runbooks "github.com/whalegate/whalegate/docs/runbooks"
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

// Runbook is one kind of trouble: how it shows, and when it is over.
type Runbook struct {
	Number   int      `json:"n"`
	Slug     string   `json:"slug"`
	Title    string   `json:"title"`
	Severity string   `json:"severity"` // what it can be, worst first
	Page     string   `json:"page"`
	DoNot    []string `json:"-"` // from the page

	judge    func(*Facts) *Finding // nil: it does not show
	recovery func(*Facts) []Criterion
}

// The runbooks, by number.
var (
	ingestion  = &Runbook{Number: 1, Slug: "ingestion", Title: "Ingestion fails, partly or wholly", Severity: "P1/P2/P3/P4"}
	universe   = &Runbook{Number: 2, Slug: "universe", Title: "The leaderboard refresh fails or churns", Severity: "P1/P2/P3"}
	signalLock = &Runbook{Number: 3, Slug: "signal-lock", Title: "Signals are blocked, by design or because the job is dead", Severity: "P2/P3"}
	dirtySpike = &Runbook{Number: 4, Slug: "dirty-spike", Title: "What the exchange says cannot be true: a glitch, one state for many, everybody at once", Severity: "P1/P2/P3"}
	alertSpam  = &Runbook{Number: 5, Slug: "alert-spam", Title: "Alerts are too frequent, flicker, or do not get out", Severity: "P2/P3"}
	boardTruth = &Runbook{Number: 6, Slug: "board-truth", Title: "A board shows what it must not", Severity: "P1"}
	database   = &Runbook{Number: 7, Slug: "database", Title: "The database is unreachable, full, slow or locked", Severity: "P1/P2/P3"}
	halt       = &Runbook{Number: 8, Slug: "halt", Title: "Full manual halt and controlled resume", Severity: "P1"}
	crash      = &Runbook{Number: 9, Slug: "crash", Title: "The process died or was killed", Severity: "P1/P2/P3"}

	all = []*Runbook{ingestion, universe, signalLock, dirtySpike, alertSpam, boardTruth, database, halt, crash}
)

// causes orders findings of one severity: a cause before what follows from it.
var causes = []*Runbook{boardTruth, halt, database, crash, universe, ingestion, dirtySpike, alertSpam, signalLock}

func init() {
	ingestion.judge, ingestion.recovery = judgeIngestion, ingestionRecovery
	universe.judge, universe.recovery = judgeUniverse, universeRecovery
	signalLock.judge, signalLock.recovery = judgeSignalLock, signalLockRecovery
	dirtySpike.judge, dirtySpike.recovery = judgeDirtySpike, dirtySpikeRecovery
	alertSpam.judge, alertSpam.recovery = judgeAlertSpam, alertSpamRecovery
	boardTruth.judge, boardTruth.recovery = judgeBoardTruth, boardTruthRecovery
	database.judge, database.recovery = judgeDatabase, databaseRecovery
	halt.judge, halt.recovery = judgeHalt, haltRecovery
	crash.judge, crash.recovery = judgeCrash, crashRecovery
	for _, r := range all {
		r.Page = fmt.Sprintf("docs/runbooks/%d-%s.md", r.Number, r.Slug)
		r.DoNot = bullets(r.Text(), "Do not")
	}
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
	return string(text)
}

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
