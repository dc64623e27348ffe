package runbook

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/whalegate/whalegate/internal/health"
)

// Finding is a runbook that applies, and why.
type Finding struct {
	Runbook  int        `json:"n"`
	Slug     string     `json:"slug"`
	Title    string     `json:"title"`
	Severity Severity   `json:"severity"`
	Trading  string     `json:"trading_allowed"`
	Summary  string     `json:"summary"`
	Evidence []Evidence `json:"evidence"`
	Actions  []Action   `json:"actions"` // in order
	DoNot    []string   `json:"do_not"`
	Page     string     `json:"page"`
	Link     string     `json:"link,omitempty"` // where the service that was asked shows the page; "": it does not answer
}

// Evidence is a figure, or rows, that the finding stands on.
type Evidence struct {
	What   string   `json:"what"`
	Figure string   `json:"figure,omitempty"`
	Rows   []string `json:"rows,omitempty"`
}

// Action is what the operator does next.
type Action struct {
	Do      string `json:"do"`
	Command string `json:"command,omitempty"` // to be copied as it is
}

// found begins a finding.
func (r *Runbook) found(s Severity, summary string, args ...any) *Finding {
	return &Finding{
		Runbook: r.Number, Slug: r.Slug, Title: r.Title, Severity: s, Summary: fmt.Sprintf(summary, args...),
		Evidence: []Evidence{}, Actions: []Action{}, DoNot: r.doNot(), Page: r.Page,
	}
}

func (f *Finding) figure(what, format string, args ...any) {
	f.Evidence = append(f.Evidence, Evidence{What: what, Figure: fmt.Sprintf(format, args...)})
}

// rows adds rows; none are no evidence.
func (f *Finding) rows(what string, rows []string) {
	if len(rows) > 0 {
		f.Evidence = append(f.Evidence, Evidence{What: what, Rows: rows})
	}
}

func (f *Finding) do(what, command string) {
	f.Actions = append(f.Actions, Action{what, command})
}

// Report is the whole diagnosis.
type Report struct {
	Summary  bool      `json:"summary"` // always true: tells it from the findings
	At       time.Time `json:"at"`
	State    string    `json:"health_state"` // UNKNOWN when nobody could be asked
	Reasons  []string  `json:"reasons"`
	Trading  string    `json:"trading_allowed"`
	Starting string    `json:"starting,omitempty"` // how far a first start is, while it goes as announced
	Findings []Finding `json:"-"`
	Matching []string  `json:"matching"` // slugs, most severe first
	Unknown  []string  `json:"unknown"`  // what could not be found out
	Exit     int       `json:"exit_code"`
}

// allowed is what each state allows.
var allowed = map[health.State]string{
	health.Healthy: "yes, as the playbook says", health.Degraded: "with caution only", health.Stale: "NO",
}

// Diagnose judges every runbook. A cause stands before what follows from it.
func Diagnose(f Facts) Report {
	report := Report{Summary: true, At: f.at().UTC(), State: "UNKNOWN", Reasons: []string{}, Trading: allowed[health.Stale], Unknown: f.unknown(), Matching: []string{}, Findings: []Finding{}}
	h := f.health()
	if f.unasked() {
		report.State, report.Reasons = string(health.Stale), append(report.Reasons, health.ReasonDatabase)
	} else if h != nil {
		report.State, report.Reasons, report.Trading = string(h.State), append(report.Reasons, h.Reasons...), allowed[h.State]
	}
	starting := f.starting()
	if starting != nil {
		report.Starting = starting.Text()
	}
	for _, r := range rules {
		if found := r.judge(f); found != nil {
			report.Findings = append(report.Findings, *found)
		}
	}
	slices.SortStableFunc(report.Findings, func(a, b Finding) int { return cmp.Compare(a.Severity, b.Severity) })
	critical := len(report.Findings) > 0 && report.Findings[0].Severity == P1
	if found := f.restarted(); found != nil && (len(report.Findings) == 0 || report.Findings[0].Severity == P4) {
		report.Findings = slices.Insert(report.Findings, 0, *found)
	}
	if h != nil && h.State == health.Stale && !critical && starting == nil {
		report.Findings = slices.Insert(report.Findings, 0, *unexplained(report.Reasons))
		critical = true
	}
	if f.Stored != nil && len(f.Stored.Hindered) > 0 && !slices.ContainsFunc(report.Findings, func(found Finding) bool { return found.Slug == database.Slug }) {
		report.insert(*f.hindered(P3)) // nothing shows that anything follows from it
	}
	switch {
	case critical:
		report.Trading = allowed[health.Stale]
	case len(report.Findings) > 0 && report.Findings[0].Severity == P2 && report.State == string(health.Healthy):
		report.Trading = allowed[health.Degraded] // P2 is caution, whatever the state says
	}
	for i := range report.Findings {
		report.Findings[i].Trading = report.Trading
		if f.Service.answers() {
			report.Findings[i].Link = f.Service.URL + strings.TrimSuffix(strings.TrimPrefix(report.Findings[i].Page, "docs"), ".md")
		}
		report.Matching = append(report.Matching, report.Findings[i].Slug)
	}
	report.Exit = report.exit()
	return report
}

// insert puts a finding behind all of its severity.
func (r *Report) insert(found Finding) {
	at := slices.IndexFunc(r.Findings, func(f Finding) bool { return f.Severity > found.Severity })
	if at < 0 {
		at = len(r.Findings)
	}
	r.Findings = slices.Insert(r.Findings, at, found)
}

// exit follows the convention of monitoring plugins.
func (r Report) exit() int {
	const ok, warning, critical, unknown = 0, 1, 2, 3
	worst := P4
	if len(r.Findings) > 0 {
		worst = r.Findings[0].Severity
	}
	switch {
	case worst == P1:
		return critical
	case len(r.Unknown) > 0:
		return unknown
	case worst == P2 || worst == P3:
		return warning
	default:
		return ok
	}
}

// unknown lists what could not be found out.
func (f *Facts) unknown() []string {
	list := []string{}
	if f.Database.Trouble != "" {
		list = append(list, fmt.Sprintf("database %s: %s: %s", f.Database.Address, f.Database.Trouble, oneLine(f.Database.Error)))
	}
	for _, part := range Parts {
		if why, ok := f.Database.Unreadable[part]; ok {
			list = append(list, part+": "+oneLine(why.Text))
		}
	}
	if s := f.Service; s.Error != "" && (s.Trouble == "" || s.Trouble == Answered) {
		list = append(list, "service "+s.URL+": "+oneLine(s.Error))
	}
	if f.health() == nil {
		list = append(list, "state of health: nobody could be asked, so it counts as STALE")
	}
	return list
}

// Criterion is one condition of a recovery.
type Criterion struct {
	Name    string `json:"criterion"`
	Figure  string `json:"figure"`
	Holds   bool   `json:"holds"`
	Unknown bool   `json:"unknown,omitempty"` // it could not be found out, so it does not hold
}

func holds(name string, ok bool, figure string, args ...any) Criterion {
	return Criterion{Name: name, Holds: ok, Figure: fmt.Sprintf(figure, args...)}
}

// unsure is a criterion that could not be looked at.
func unsure(name, why string) Criterion {
	return Criterion{Name: name, Unknown: true, Figure: "not known: " + oneLine(why)}
}

// Verify judges the recovery criteria.
func (r *Runbook) Verify(f Facts) []Criterion {
	for _, rule := range rules {
		if rule.of == r {
			return rule.recovery(f)
		}
	}
	panic("no rule for runbook " + r.Slug) // each has one
}

// ExitCode of a verification: 0 when all hold; else 2 while nothing may be
// traded, be it for the state or for what is diagnosed, 3 when it only is not known, 1 otherwise.
func ExitCode(f Facts, criteria []Criterion) int {
	const ok, warning, critical, unknown = 0, 1, 2, 3
	code := ok
	for _, c := range criteria {
		switch {
		case c.Holds:
		case c.Unknown && code == ok:
			code = unknown
		case !c.Unknown:
			code = warning
		}
	}
	if code == warning && (f.stale() || Diagnose(f).Exit == critical) {
		code = critical
	}
	return code
}

// part names a criterion's reason when the database or a part of it is not known;
// "" when it is.
func (f *Facts) dark(names ...string) string {
	if f.Stored == nil {
		return strings.TrimSpace(string(f.Database.Trouble) + ": " + f.Database.Error)
	}
	for _, name := range names {
		if why, ok := f.Database.Unreadable[name]; ok {
			return name + ": " + why.Text
		}
	}
	return ""
}
