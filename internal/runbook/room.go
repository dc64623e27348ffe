package runbook

import (
	"time"

	"github.com/jackc/pgerrcode"

	"github.com/whalegate/whalegate/internal/threshold"
)

// full is the finding for a disk without room: the server says so to a write of
// ours or of the service's, or the service did not even ask for a minute that it
// could not keep.
func (f *Facts) full() *Finding {
	c, at := f.broke()
	refused := f.Database.WriteError.Code == pgerrcode.DiskFull
	_, waiting := f.Service.unsaved() // a row of ours may still have found room
	if !refused && waiting == 0 && (c != ofDatabase || !at.noRoom() || f.over()) {
		return nil
	}
	found := database.found(f.worst(P2), "its disk has no room: nothing is ingested until there is some")
	if refused {
		found.figure("a write", "%s", oneLine(f.Database.WriteError.Text))
	}
	if waiting > 0 {
		found.figure("minutes that wait for room", "%.0f", waiting)
	}
	if at.noRoom() {
		found.rows("run", []string{at.text()})
	}
	if !refused && waiting == 0 && f.Stored.Runs[0].Clean {
		found.Summary = "its disk had no room; it has again, and two clean minutes are not in yet"
		found.do("wait for two clean minutes", twoCleanMinutes)
		return found
	}
	found.makeRoom()
	found.do("nothing has to be restarted after it: wait until the database is well, and for two clean minutes", "whalegate runbook verify database --watch && "+twoCleanMinutes)
	return found
}

// ShowSizes leaves out tables that are locked: their size could not be asked for.
const ShowSizes = `psql "$DATABASE_URL" -c "SELECT relname AS table, pg_size_pretty(pg_total_relation_size(relid)) AS total_size FROM pg_stat_user_tables WHERE relid NOT IN (SELECT relation FROM pg_locks WHERE mode = 'AccessExclusiveLock' AND relation IS NOT NULL) ORDER BY pg_total_relation_size(relid) DESC LIMIT 10"`

// makeRoom adds what to do about a disk that is full, or nearly.
func (f *Finding) makeRoom() {
	f.do("see what uses it: often it is another program; a table that somebody holds for itself, or waits to, is left out", "df -h; "+ShowSizes)
	f.do("see what is older than it has to be kept", "whalegate prune --dry-run")
	f.do("remove that, or give the disk more room", "whalegate prune")
}

// strained is the finding for a disk that fills up, and for slow statements.
func (f *Facts) strained() *Finding {
	var slow, verySlow int
	for _, s := range f.Stored.Sessions {
		switch {
		case s.For > threshold.StatementStuck:
			verySlow++
		case s.For > threshold.StatementSlow:
			slow++
		}
	}
	free := f.Stored.Storage.FreePct
	switch {
	case free != nil && *free < threshold.DiskFilling:
		severity := P2
		if *free < threshold.DiskFull {
			severity = P1
		}
		found := database.found(severity, "the disk is filling up: %.0f %% free", *free)
		found.makeRoom()
		return found
	case verySlow > 0 || f.Database.RoundTrip > threshold.AnswerSlow:
		found := database.found(P2, "it is slow: %d statements run for over %s, and a question about health takes %s", verySlow, threshold.Span(threshold.StatementStuck), f.Database.RoundTrip.Round(time.Millisecond))
		found.do("see what runs", ShowSessions)
		found.do("renew what the planner knows", `psql "$DATABASE_URL" -c "ANALYZE"`)
		return found
	case slow > 0:
		found := database.found(P3, "%d statements or open transactions are older than %s", slow, threshold.Span(threshold.StatementSlow))
		found.do("see what runs", ShowSessions)
		return found
	default:
		return nil
	}
}
