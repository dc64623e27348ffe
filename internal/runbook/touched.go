package runbook

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/whalegate/whalegate/internal/facts"
	"github.com/whalegate/whalegate/internal/health"
)

// violated finds the table and the constraint that a server names that refuses a row.
var violated = regexp.MustCompile(`new row for relation "(\w+?)(?:_[0-9]{8})?" violates check constraint "(\w+)"`)

const showConstraints = `psql "$DATABASE_URL" -c "SELECT conrelid::regclass, conname, convalidated, pg_get_constraintdef(oid) FROM pg_constraint WHERE contype = 'c' AND connamespace = 'public'::regnamespace ORDER BY oid DESC LIMIT 10"`

const whatWasDone = "what was done to the service's tables"

// vanishing is the finding for changes of our tables that keep minutes from being stored: a
// collector is at work, nothing else is known to be in its way, and no minute comes.
func (f *Facts) vanishing() *Finding {
	if len(f.Stored.Hindered) == 0 || !f.Service.answers() {
		return nil
	}
	waiting, _ := f.Service.unsaved()
	c, _ := f.broke()
	if waiting > 0 || c == stopped || c == gap || c == ofDatabase || f.because(health.ReasonNoCollector) && f.led() {
		return f.hindered(f.worst(P2))
	}
	return nil
}

// hindered is the finding for what somebody did to our tables that changes what is stored,
// or keeps the service from its work.
func (f *Facts) hindered(s Severity) *Finding {
	found := database.found(s, "somebody changed the tables of the service: what is written there may be changed, or refused")
	found.rows(whatWasDone, texts(f.Stored.Hindered))
	found.undo(f.Stored.Hindered, "undo it, as the owner of the table")
	if slices.ContainsFunc(f.Stored.Hindered, func(c facts.Change) bool { return c.Undo == "" }) {
		found.do("give the roles their rights back, as the owner of the database", "whalegate migrate")
	}
	found.do("find out who did it: only the owner, and a superuser, can", showOwners)
	return found
}

// secondWriter is the finding for somebody beside the service who writes into its tables.
func (f *Facts) secondWriter() *Finding {
	i := slices.IndexFunc(f.Stored.Sessions, func(s Session) bool { return s.Writes })
	if i < 0 {
		return nil
	}
	s := f.Stored.Sessions[i]
	found := database.found(P2, "somebody beside the service writes into its tables: pid %d, as %s (%s)", s.PID, s.User, cmp.Or(oneLine(s.Program), "no program named"))
	end := fmt.Sprintf(`psql "$DATABASE_URL" -c "SELECT pg_terminate_backend(%d)"`, s.PID)
	if s.MayEnd {
		found.do("ask whose work it is; if nobody means it, end it: what it has not committed is taken back", end)
	} else {
		found.do("ask whose work it is; if nobody means it, end it as a superuser, or as its own login: what it has not committed is taken back", end)
	}
	found.do("see whether what is stored can still be reproduced", "whalegate signals audit")
	found.do("if the service's password is known to somebody else: give it another one", "")
	return found
}

// renamed is the finding for tables of ours that are not there.
func (f *Facts) renamed() *Finding {
	if len(f.Stored.Missing) == 0 {
		return nil
	}
	found := database.found(P1, "tables of the service are not there: %s; somebody renamed or dropped them", strings.Join(f.Stored.Missing, ", "))
	found.rows("functions and views that follow from it", texts(f.Stored.Tampered))
	found.do("see whether they are there under another name, or in another schema", showStrangers)
	found.do("one that was renamed: give it its name back, as its owner", fmt.Sprintf(`psql "$DATABASE_URL" -c "ALTER TABLE <name> RENAME TO %s"`, f.Stored.Missing[0]))
	found.do("one that was dropped: put a backup back, and halt until then", `whalegate halt --reason "the schema is not the program's"`)
	found.do("then put back what was built on them, as the owner of the database", "whalegate migrate")
	return found
}

const showStrangers = `psql "$DATABASE_URL" -c "SELECT n.nspname, c.relname, c.reltuples FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind IN ('r', 'p') AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND NOT EXISTS (SELECT FROM pg_inherits i WHERE i.inhrelid = c.oid) ORDER BY 2"`

// untouched is the criterion that the tables are as the service made them, and that it
// alone writes.
func (f *Facts) untouched(name string) Criterion {
	if why := f.dark(PartDefined, PartSessions); why != "" {
		return unsure(name, why)
	}
	figure := "they are as they were made"
	if len(f.Stored.Hindered) > 0 {
		figure = strings.Join(texts(f.Stored.Hindered), "; ")
	}
	writes := slices.ContainsFunc(f.Stored.Sessions, func(s Session) bool { return s.Writes })
	if writes {
		figure += "; somebody else writes"
	}
	return holds(name, len(f.Stored.Hindered) == 0 && !writes, "%s", figure)
}
