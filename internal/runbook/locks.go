package runbook

import (
	"fmt"
	"slices"
	"strings"

	"github.com/whalegate/whalegate/internal/threshold"
)

// ShowSessions reads catalogs only: a lock on one of our tables must not hold it. The
// leader's session is known by the lock that it holds.
const ShowSessions = `psql "$DATABASE_URL" -c "SELECT pid, usename, state, wait_event_type, pg_blocking_pids(pid) AS blocked_by, now() - xact_start AS since, left(query, 60) AS query FROM pg_stat_activity a WHERE datname = current_database() AND coalesce(state, 'hidden') <> 'idle' AND NOT EXISTS (SELECT FROM pg_locks l WHERE l.pid = a.pid AND l.relation = to_regclass('leader_lock') AND l.mode = 'ShareUpdateExclusiveLock' AND l.granted) ORDER BY xact_start"`

// unconfirmed is the finding for commits that wait for a standby which does not confirm
// them: everybody who writes hangs.
func (f *Facts) unconfirmed() *Finding {
	i := slices.IndexFunc(f.Stored.Sessions, func(s Session) bool { return s.Confirms && s.For > threshold.WaitsForLock })
	if i < 0 {
		return nil
	}
	found := database.found(f.worst(P2), "commits wait for a standby that does not confirm them: nothing is stored until it does (synchronous_standby_names)")
	found.whoLeads(f)
	found.do("see which standbys are waited for, and which there are", showStandbys)
	found.do("start the standby that is missing; or wait for none, as an administrator: what hangs goes on at once", dropStandbys)
	return found
}

const (
	showStandbys = `psql "$DATABASE_URL" -c "SHOW synchronous_standby_names" -c "SELECT application_name, client_addr, state, sync_state FROM pg_stat_replication"`
	dropStandbys = `sudo -u postgres psql -c "ALTER SYSTEM SET synchronous_standby_names = ''" -c "SELECT pg_reload_conf()"`
)

// locked is the finding for somebody in everybody's way.
func (f *Facts) locked() *Finding {
	blocked := 0
	for _, s := range f.Stored.Sessions {
		if (len(s.BlockedBy) > 0 || len(s.Locks) > 0) && s.For > threshold.WaitsForLock {
			blocked++
		}
	}
	unread := f.lockedOut()
	if !unread && blocked == 0 {
		return nil
	}
	found := database.found(f.worst(P2), "sessions that wait for a lock, or hold a table for themselves: %d", blocked)
	if unread {
		found = database.found(f.worst(P2), "a table is locked: what is in it cannot be read")
	}
	if f.vacant() {
		found.Summary = "no collector leads; " + found.Summary
		found.whoLeads(f)
	}
	found.do("see who waits for whom", ShowSessions)
	found.endOf(f)
	return found
}

// endOf adds how to end what is in the way, as far as it is seen.
func (f *Finding) endOf(facts *Facts) {
	pid, may := facts.InTheWay()
	end := fmt.Sprintf(`psql "$DATABASE_URL" -c "SELECT pg_terminate_backend(%d)"`, pid)
	switch prepared := facts.Stored.Prepared; {
	case pid != 0 && may:
		f.do("end the session in the way, if it is nobody's work in progress", end)
	case pid != 0:
		f.do("the session in the way is of a login that yours may not end: as a superuser, or its own login, if it is nobody's work in progress", end)
	case len(prepared) > 0:
		f.figure("prepared transaction", "%s, of %s, since %s: it has no session, and keeps its locks", oneLine(prepared[0].Name), prepared[0].Owner, stamp(prepared[0].Since))
		f.do("end the prepared transaction, as its owner or a superuser, unless whoever coordinates it is about to", psql("ROLLBACK PREPARED "+prepared[0].Name))
	default:
		f.do("who is in the way is not seen from here: look again in a moment, as an operator", "whalegate runbook diagnose")
	}
}

// InTheWay is the session that others wait for and that waits for nobody, or that
// holds a table for itself, and whether this login may end it; 0 when none is seen.
func (f *Facts) InTheWay() (pid int, may bool) {
	waiting, mayEnd := map[int]bool{}, map[int]bool{}
	for _, s := range f.Stored.Sessions {
		waiting[s.PID], mayEnd[s.PID] = len(s.BlockedBy) > 0, s.MayEnd
	}
	for _, s := range f.Stored.Sessions {
		for _, blocker := range s.BlockedBy {
			if !waiting[blocker] && blocker != 0 { // 0: a prepared transaction
				return blocker, mayEnd[blocker]
			}
		}
		if len(s.Locks) > 0 && !waiting[s.PID] {
			pid = s.PID
		}
	}
	return pid, mayEnd[pid]
}

func (s Session) text() string {
	text := fmt.Sprintf("pid %d, %s (%s), %s for %s", s.PID, s.User, s.Program, s.State, ago(s.For))
	if len(s.BlockedBy) > 0 {
		text += fmt.Sprintf(", waits for %v", s.BlockedBy)
	}
	if len(s.Locks) > 0 {
		text += ", alone in " + strings.Join(s.Locks, ", ")
	}
	return text + ": " + oneLine(s.Query)
}
