package runbook

import (
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/whalegate/whalegate/internal/duration"
	"github.com/whalegate/whalegate/internal/qa/check"
	"github.com/whalegate/whalegate/internal/threshold"
)

const twoCleanMinutes = "whalegate runbook verify ingestion --watch"

func judgeDatabase(f Facts) *Finding {
	d := f.Database
	switch {
	case d.Trouble.AsksWrongly() && f.Stored != nil: // what it may see may say more
		if found := f.ailing(); found != nil {
			found.figure(string(d.Trouble), "%s", oneLine(d.Error))
			return found
		}
		return f.troubled(P3)
	case d.Trouble.AsksWrongly() && f.Service.answers() && f.Service.Ready:
		return f.troubled(P3)
	case d.Trouble == SchemaPending && f.Stored != nil && f.Service.answers() && f.Service.Ready:
		return f.otherVersion()
	case d.Trouble.AsksWrongly() && f.Service.answers():
		return f.troubled(P1) // nor is the service let in: it is not this login alone
	case d.Trouble.AsksWrongly():
		return f.troubled(P2)
	case d.Trouble != "":
		return f.troubled(P1)
	}
	if f.Stored == nil {
		return nil
	}
	return f.ailing()
}

// ailments are what can be wrong with a database that answers, a cause before what follows
// from it.
var ailments = []func(*Facts) *Finding{
	(*Facts).workedElsewhere, (*Facts).renamed, (*Facts).readOnly, (*Facts).wrongClock, (*Facts).lagging, (*Facts).unconfirmed, (*Facts).locked, (*Facts).vanishing, (*Facts).full,
	(*Facts).cannot, (*Facts).loginReadOnly, (*Facts).unwritable, (*Facts).unwritten, (*Facts).leaderless, (*Facts).secondWriter, (*Facts).strained, (*Facts).clockWas, (*Facts).lost, (*Facts).dayGone,
}

// ailing is the finding for a database that answers.
func (f *Facts) ailing() *Finding {
	for _, judge := range ailments {
		if found := judge(f); found != nil {
			found.measured(f)
			return found
		}
	}
	return nil
}

// unwritable is the finding for a write of ours that was refused.
func (f *Facts) unwritable() *Finding {
	if f.Database.WriteError.Text == "" {
		return nil
	}
	found := database.found(P1, "it takes no write: %s", oneLine(f.Database.WriteError.Text))
	found.do("see whether the disk is full", "df -h")
	found.do("see who locks what", ShowSessions)
	return found
}

// unwritten is the finding for minutes that the service could not store.
func (f *Facts) unwritten() *Finding {
	c, at := f.broke()
	if c != ofDatabase || f.over() {
		return nil
	}
	found := database.found(f.worst(P2), "minutes could not be written")
	if at.Check == check.Lost {
		found.Summary = "minutes were lost: the database came back as another one, or somebody deleted rows"
	}
	found.rows("run", []string{at.text()})
	if m := violated.FindStringSubmatch(at.Error); m != nil {
		found.do("a constraint refuses them: see it; one that this version did not make, somebody added", showConstraints)
		found.do("take that away, as the owner of the table", psql(fmt.Sprintf("ALTER TABLE %s DROP CONSTRAINT %s", m[1], m[2])))
	}
	found.do("if it is over: wait for two clean minutes", twoCleanMinutes)
	found.do("if not: see who locks what, and the disk", ShowSessions)
	return found
}

// measured adds the figures of a database that answers.
func (f *Finding) measured(facts *Facts) {
	d, s := facts.Database, facts.Stored
	f.figure("a question about health takes", "%s", d.RoundTrip.Round(time.Millisecond))
	if d.ClockAhead != 0 {
		f.figure("its clock, beside this machine's", "%s", agrees(d.ClockAhead))
	}
	f.figure("size", "%d MB, %d of %d connections", s.Storage.Database>>20, s.Storage.Connections, s.Storage.Most)
	if s.Storage.FreePct != nil {
		f.figure("disk free", "%.0f %%", *s.Storage.FreePct)
	}
	var rows []string
	for _, w := range s.Sessions {
		rows = append(rows, w.text())
	}
	f.rows("sessions", rows)
	rows = nil
	for _, l := range s.Lost {
		rows = append(rows, l.text())
	}
	f.rows("minutes that the database came back without, within a day", rows)
	if !slices.ContainsFunc(f.Evidence, func(e Evidence) bool { return e.What == whatWasDone }) {
		f.rows(whatWasDone, texts(s.Hindered))
	}
}

func databaseRecovery(f Facts) []Criterion {
	const open, writes = "it accepts connections, and its schema is current", "it takes writes"
	quick := fmt.Sprintf("it answers within %s, and nobody waits for a lock", threshold.Span(threshold.AnswerSlow))
	clocks := fmt.Sprintf("its clock agrees with this machine's and the service's within %s, and with what is stored", threshold.Span(threshold.ClockSkew))
	disk := fmt.Sprintf("disk more than %d %% free", threshold.DiskFilling)
	const refusals, leads, tables = "no minute is refused for a clock", "a collector leads", "nobody changed the service's tables, or writes beside it"
	d := f.Database
	if f.Stored == nil || d.Trouble != "" && d.Trouble != Denied {
		why := string(d.Trouble) + ": " + d.Error
		first := holds(open, false, "%s", oneLine(why))
		if d.Trouble.AsksWrongly() {
			first = unsure(open, why)
		}
		return []Criterion{first, unsure(quick, why), unsure(writes, why), unsure(clocks, why), unsure(disk, why), unsure(refusals, why), unsure(leads, why), unsure(tables, why)}
	}
	waiting := 0
	for _, s := range f.Stored.Sessions {
		if len(s.BlockedBy) > 0 && s.For > threshold.WaitsForLock {
			waiting++
		}
	}
	list := []Criterion{
		f.opens(open),
		holds(quick, d.RoundTrip <= threshold.AnswerSlow && waiting == 0, "%s, %d wait", d.RoundTrip.Round(time.Millisecond), waiting),
		f.writes(writes),
		f.clocksAgree(clocks),
	}
	if why := f.dark(Parts...); why != "" {
		list[1] = unsure(quick, why)
		if f.lockedOut() {
			list[1] = holds(quick, false, "locked: %s", oneLine(why))
		}
	}
	// Only the database's own machine can tell, and not every role may ask where its
	// files are.
	room := holds(disk, true, "cannot be known from here: look at df -h on the database's machine")
	if free := f.Stored.Storage.FreePct; free != nil {
		room = holds(disk, math.Floor(*free) > threshold.DiskFilling, "%.0f %%", *free)
	}
	return append(list, room, f.refusals(refusals), f.leads(leads), f.untouched(tables))
}

// opens is told by our own connection, and by what the service says of its own.
func (f *Facts) opens(name string) Criterion {
	if s := f.Service; s.answers() && !s.Ready && s.NotReady != "" {
		return holds(name, false, "not from the service: %s", oneLine(s.NotReady))
	}
	return holds(name, true, "%s", f.Database.Address)
}

// writes is told by what the service could not write, by a write that is rolled back,
// or by the newest run.
func (f *Facts) writes(name string) Criterion {
	switch {
	case f.readOnlyServer():
		return holds(name, false, "%s", f.Database.whyReadOnly())
	case f.Database.WriteError.Text != "":
		return holds(name, false, "%s", oneLine(f.Database.WriteError.Text))
	}
	if unsaved, _ := f.Service.unsaved(); unsaved > 0 {
		return holds(name, false, "%.0f minutes wait to be written", unsaved)
	}
	if len(f.Stored.Runs) == 0 {
		if f.Database.WriteTried {
			return holds(name, true, "a row was taken, and rolled back")
		}
		return unsure(name, "this role may not write, and there is no run")
	}
	newest, age := f.Stored.Runs[0], f.at().Sub(f.Stored.Runs[0].Timestamp)
	switch {
	case !newest.Clean && newest.cause() == ofDatabase: // a row of ours may still have found room
		return holds(name, false, "newest run %s", newest.text())
	case f.Database.WriteTried:
		return holds(name, true, "a row was taken, and rolled back")
	default:
		return holds(name, age <= threshold.RunMissing, "newest run %s, %s", newest.Status, duration.Since(age))
	}
}
