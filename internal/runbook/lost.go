package runbook

import (
	"fmt"
	"time"
)

// Loss is what a database lacked of what it had taken, when it came back as another
// one.
type Loss struct {
	At           time.Time // when it was noticed
	Minutes      int
	Since, Until string // the first and the last minute
	WrittenAgain int
}

// GoneDay is today's partition of the snapshots, which was missing and is there again.
type GoneDay struct {
	At    time.Time // when it was noticed
	Day   string
	Empty int // minutes that have no rows any more
}

func (f *Facts) dayGone() *Finding {
	d := f.Stored.DayGone
	if d == nil || d.Empty == 0 && f.at().Sub(d.At) > time.Hour {
		return nil
	}
	found := database.found(P3, "today's partition of the snapshots was missing: somebody detached, renamed or dropped it; it is there again, with its rows")
	if d.Empty > 0 {
		found.Summary = fmt.Sprintf("today's partition of the snapshots was missing: somebody dropped it, or took it away; it was made anew, and the rows of %d minutes are gone", d.Empty)
	}
	found.figure("noticed", "%s (%s)", stamp(d.At), d.Day)
	found.do("see whether the rows are still there under another name; if so, put them back before they are dropped", showAside)
	found.do("ask who works in the database; what was computed from those rows cannot be verified any more", "whalegate signals audit")
	return found
}

const showAside = `psql "$DATABASE_URL" -c "SELECT c.relname, c.reltuples FROM pg_class c WHERE c.relkind = 'r' AND c.relnamespace = 'public'::regnamespace AND NOT EXISTS (SELECT FROM pg_inherits i WHERE i.inhrelid = c.oid) AND EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname = 'position_szi')"`

func (l Loss) text() string {
	return fmt.Sprintf("%s: %d minutes from %s to %s; %d were written again, %d are stored as failed", stamp(l.At), l.Minutes, l.Since, l.Until, l.WrittenAgain, l.Minutes-l.WrittenAgain)
}

// lost is the finding for minutes that a database has no longer: for a day
// where something stays lost, and for an hour where all of it was written again.
func (f *Facts) lost() *Finding {
	if len(f.Stored.Lost) == 0 {
		return nil
	}
	l := f.Stored.Lost[0]
	if l.WrittenAgain >= l.Minutes && f.at().Sub(l.At) > time.Hour {
		return nil
	}
	found := database.found(P3, "the database came back without %d minutes that it had taken: a standby was promoted, a backup restored, or somebody deleted rows; %d were written again", l.Minutes, l.WrittenAgain)
	found.do("see whether this is the server that you mean, and since when it runs: if it is, and ran before the first of those minutes, rows were deleted; ask who works in it", whichServer)
	found.do("see what is stored as failed for it", showLost)
	return found
}

const (
	whichServer = `psql "$DATABASE_URL" -c "SELECT inet_server_addr(), inet_server_port(), pg_is_in_recovery(), pg_postmaster_start_time()"`
	showLost    = `psql "$DATABASE_URL" -c "SELECT timestamp, status, finished_at, error FROM ingest_runs WHERE failed_check = 'lost' ORDER BY timestamp DESC LIMIT 20"`
)
