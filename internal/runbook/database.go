package runbook

import (
	"cmp"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgerrcode"

	"github.com/whalegate/whalegate/internal/duration"
	"github.com/whalegate/whalegate/internal/facts"
	"github.com/whalegate/whalegate/internal/health"
	"github.com/whalegate/whalegate/internal/qa/check"
	"github.com/whalegate/whalegate/internal/threshold"
)

// remedies are what each trouble means and what to do about it.
var remedies = map[Trouble]struct {
	means   string
	actions []Action
}{
	Unreachable: {"it cannot be reached", []Action{
		{"see whether PostgreSQL runs, and start it", `pg_isready -d "$DATABASE_URL"; sudo systemctl start postgresql`},
		{"read why it ended", "sudo tail -n 50 /var/log/postgresql/*.log"},
		{"see whether the disk is full", "df -h"},
	}},
	Hangs: {"it takes connections and does not answer", []Action{
		{"see whether it is paused (state T), or waits for a disk (D); let a paused one go on with pkill -CONT -x postgres", showPostgres},
		{"see whether the disk is full, or the machine out of memory", "df -h; free -h"},
		{"see who is at work, and who waits for whom", ShowSessions},
	}},
	TooMany: {"it has no connection left", []Action{
		{"see who holds them, as a superuser: a few connections are kept for those", `psql "$DATABASE_URL" -c "SELECT usename, application_name, state, count(*) FROM pg_stat_activity GROUP BY 1, 2, 3 ORDER BY 4 DESC"`},
		{"or a role has a limit of its own", ConnectionLimits},
	}},
	LoginRefused: {"it does not let this login in: the password or the role is wrong", []Action{{"check the user and the password of DATABASE_URL, and pg_hba.conf on the server", `psql "$DATABASE_URL" -c "SELECT 1"`}}},
	NoDatabase:   {"the server has no database of this name", []Action{{"check the name in DATABASE_URL; if it was there before, put a backup back; a new, empty one is made by", "createdb hyperliquid && whalegate migrate"}}},
	NameUnknown: {"the name of its machine does not resolve to an address", []Action{
		{"check the machine's name in DATABASE_URL", ""},
		{"see whether names resolve here at all", "getent hosts api.hyperliquid.xyz || cat /etc/resolv.conf"},
	}},
	BadURL:        {"DATABASE_URL is not an address", []Action{{"write it as postgres://user@host:5432/hyperliquid", "export DATABASE_URL=postgres://user@host:5432/hyperliquid"}}},
	Denied:        {"this role may not read everything that is looked at", []Action{{"ask as an operator: a login that is a member of the database's owner, see docs/runbooks/README.md", "whalegate runbook diagnose"}}},
	SchemaPending: {"its schema is older than this program", []Action{{"migrate, as the owner", "whalegate migrate"}}},
	SchemaNewer:   {"its schema is from the future: this program is older than the one that migrated", []Action{{"use the newer program; there is no way back but a backup", "whalegate version"}}},
	SchemaBroken: {"its schema is half applied, or not what this program knows", []Action{
		{"see which migration it is", "whalegate migrate --status"},
		{"halt: what was done to it by hand has to be understood first", `whalegate halt --reason "the schema is not the program's"`},
	}},
	ReadFailed: {"it answers with errors", []Action{{"read its log", "sudo tail -n 50 /var/log/postgresql/*.log"}}},
}

const (
	ConnectionLimits = `psql "$DATABASE_URL" -c "SELECT rolname, rolconnlimit, (SELECT count(*) FROM pg_stat_activity WHERE usename = rolname) AS connections FROM pg_roles WHERE rolconnlimit >= 0"`
	liftLimit        = `psql "$DATABASE_URL" -c "ALTER ROLE whalegate_writer CONNECTION LIMIT -1"`
	showPostgres     = `ps -o pid,stat,etime,args -C postgres`
)

const twoCleanMinutes = "whalegate runbook verify ingestion --watch"

// ShowSessions reads catalogs only: a lock on one of our tables must not hold it. The
// leader's session is known by the lock that it holds.
const ShowSessions = `psql "$DATABASE_URL" -c "SELECT pid, usename, state, wait_event_type, pg_blocking_pids(pid) AS blocked_by, now() - xact_start AS since, left(query, 60) AS query FROM pg_stat_activity a WHERE datname = current_database() AND coalesce(state, 'hidden') <> 'idle' AND NOT EXISTS (SELECT FROM pg_locks l WHERE l.pid = a.pid AND l.relation = to_regclass('leader_lock') AND l.mode = 'ShareUpdateExclusiveLock' AND l.granted) ORDER BY xact_start"`

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
	case d.Trouble == SchemaPending && f.Stored != nil && f.Stored.Health == nil && f.Service.answers() && f.Service.Ready:
		found := f.troubled(P3)
		found.Summary = "the database that you ask is not the one that the service uses: nothing of ours is in it, and the service is ready"
		found.Actions = []Action{{"see which address the service has, and give diagnose that one; migrate nothing", "systemctl cat whalegate"}}
		return found
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

// ailing is the finding for a database that answers.
func (f *Facts) ailing() *Finding {
	d := f.Database
	var found *Finding
	c, at := f.broke()
	switch {
	case f.elsewhere():
		found = database.found(P2, "the service works on another database than the one that you ask: its collector, and its state, are not of this one")
		found.figure("you ask", "%s", d.Address)
		found.figure("the service says", "%s, %s", f.Service.Told.State, f.Service.Told.Leader.Text())
		found.whoLeads(f)
		found.do("see which address the service has, and compare it with yours", "systemctl cat whalegate")
		found.do("if yours is wrong: give diagnose the service's; if the service's is, restart it with the right one", "sudo systemctl restart whalegate")
	case f.renamed() != nil:
		found = f.renamed()
	case f.readOnly() != nil:
		found = f.readOnly()
	case f.wrongClock() != nil:
		found = f.wrongClock()
	case f.lagging() != nil:
		found = f.lagging()
	case f.unconfirmed() != nil:
		found = f.unconfirmed()
	case f.locked() != nil:
		found = f.locked()
	case f.vanishing():
		found = f.hindered(f.worst(P2))
	case f.full() != nil:
		found = f.full()
	case f.serviceCannot() != "":
		found = database.found(f.worst(P2), "the service cannot use the database: %s", f.serviceCannot())
		if f.Service.waits() && f.led() { // another one does the work, and this one could not take over
			found.Severity = P3
		}
		if strings.Contains(f.Service.NotReady, "is a standby") {
			found.do("its address (DATABASE_URL) leads to a standby: give it the primary's, or both with target_session_attrs=read-write, and restart it", "sudo systemctl restart whalegate")
			found.do("or promote that server, if its primary is gone for good: it leads then without a restart", "")
		}
		said := f.Service.NotReady + " " + f.serviceMetTrouble()
		found.refusedLogin(said, "whalegate_writer")
		if strings.Contains(said, "unreachable") && !strings.Contains(said, "SQLSTATE") {
			found.do("you reach it, and the service does not: ask from the service's machine; what lies between (address, firewall, route, a pooler) is in the way", `pg_isready -d "$DATABASE_URL"`)
		}
		found.do("read what it is told, and what it logs in with", "journalctl -u whalegate -n 50")
		if waiting, _ := f.Service.unsaved(); waiting > 0 {
			found.do("see whether its login is read-only by a setting of its own", ShowReadOnly)
		}
		found.do("see whether the disk is full", "df -h")
	case f.loginReadOnly() != nil:
		found = f.loginReadOnly()
	case d.WriteError.Text != "":
		found = database.found(P1, "it takes no write: %s", oneLine(d.WriteError.Text))
		found.do("see whether the disk is full", "df -h")
		found.do("see who locks what", ShowSessions)
	case c == ofDatabase && !f.over():
		found = database.found(f.worst(P2), "minutes could not be written")
		if at.Check == check.Lost {
			found.Summary = "minutes were lost: the database came back as another one, or somebody deleted rows"
		}
		found.rows("run", []string{at.text()})
		if m := violated.FindStringSubmatch(at.Error); m != nil {
			found.do("a constraint refuses them: see it; one that this version did not make, somebody added", showConstraints)
			found.do("take that away, as the owner of the table", fmt.Sprintf(`psql "$DATABASE_URL" -c "ALTER TABLE %s DROP CONSTRAINT %s"`, cmp.Or(m[1], "<table>"), m[2]))
		}
		found.do("if it is over: wait for two clean minutes", twoCleanMinutes)
		found.do("if not: see who locks what, and the disk", ShowSessions)
	case f.leaderless() != nil:
		found = f.leaderless()
	case f.secondWriter() != nil:
		found = f.secondWriter()
	case f.strained() != nil:
		found = f.strained()
	case f.clockWas() != nil:
		found = f.clockWas()
	case f.lost() != nil:
		found = f.lost()
	case f.dayGone() != nil:
		found = f.dayGone()
	default:
		return nil
	}
	found.measured(f)
	return found
}

// violated finds the table and the constraint that a server names that refuses a row.
var violated = regexp.MustCompile(`new row for relation "(\w+?)(?:_[0-9]{8})?" violates check constraint "(\w+)"`)

const showConstraints = `psql "$DATABASE_URL" -c "SELECT conrelid::regclass, conname, convalidated, pg_get_constraintdef(oid) FROM pg_constraint WHERE contype = 'c' AND connamespace = 'public'::regnamespace ORDER BY oid DESC LIMIT 10"`

const whatWasDone = "what was done to the service's tables"

// vanishing tells that what was done to our tables keeps minutes from being stored: a
// collector is at work, nothing else is known to be in its way, and no minute comes.
func (f *Facts) vanishing() bool {
	if len(f.Stored.Hindered) == 0 || !f.Service.answers() {
		return false
	}
	waiting, _ := f.Service.unsaved()
	c, _ := f.broke()
	return waiting > 0 || c == stopped || c == gap || c == ofDatabase || f.because(health.ReasonNoCollector) && f.led()
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

// refusedLogin adds what to change where the server says why it refuses a login of ours:
// said is what it told, with its SQLSTATE.
func (f *Finding) refusedLogin(said, role string) {
	is := func(codes ...string) bool {
		return slices.ContainsFunc(codes, func(code string) bool { return strings.Contains(said, "SQLSTATE "+code) })
	}
	switch {
	case is(pgerrcode.TooManyConnections):
		f.do("no connection is left to it: see whether its role has a limit", ConnectionLimits)
		f.do("take that away, as an administrator", liftLimit)
		f.do("or the database has one: take it away", liftDatabase)
	case is(pgerrcode.ObjectNotInPrerequisiteState):
		f.do("the database takes no connections: let it take them again, as a superuser, from another database", letIn)
	case is(pgerrcode.InvalidAuthorizationSpecification, pgerrcode.InvalidPassword):
		f.do("its login is not let in: see whether the role may log in, and until when its password counts", showLogins)
		f.do("let the role log in again, as an administrator; a password is given by ALTER ROLE … PASSWORD, and to the process by its DATABASE_URL", fmt.Sprintf(`psql "$DATABASE_URL" -c "ALTER ROLE %s LOGIN VALID UNTIL 'infinity'"`, role))
	case is(pgerrcode.InsufficientPrivilege):
		f.do("a right is missing: give the roles theirs again, as the owner of the database", "whalegate migrate")
	case is(pgerrcode.QueryCanceled, pgerrcode.LockNotAvailable, pgerrcode.IdleSessionTimeout, pgerrcode.IdleInTransactionSessionTimeout):
		f.do("its statements or sessions are ended: see whether somebody set a limit for its role or the database", showRoleSettings)
		f.do("take that away, as an administrator, and restart the service: sessions keep what they began with", fmt.Sprintf(`psql "$DATABASE_URL" -c "ALTER ROLE %s RESET ALL"`, role))
	}
}

const (
	liftDatabase     = `psql "$DATABASE_URL" -c "ALTER DATABASE hyperliquid CONNECTION LIMIT -1"`
	letIn            = `sudo -u postgres psql -c "ALTER DATABASE hyperliquid ALLOW_CONNECTIONS true"`
	showLogins       = `psql "$DATABASE_URL" -c "SELECT rolname, rolcanlogin, rolvaliduntil, rolconnlimit FROM pg_roles WHERE rolname LIKE 'whalegate%'"`
	showRoleSettings = `psql "$DATABASE_URL" -c "SELECT coalesce(r.rolname, 'every role') AS role, coalesce(d.datname, 'every database') AS database, s.setconfig FROM pg_db_role_setting s LEFT JOIN pg_roles r ON r.oid = s.setrole LEFT JOIN pg_database d ON d.oid = s.setdatabase"`
)

// serviceMetTrouble is what the service told of the database in its report.
func (f *Facts) serviceMetTrouble() string {
	if f.Service.Told == nil {
		return ""
	}
	return f.Service.Told.Error
}

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

// serviceCannot is what the service says of a database that answers us.
func (f *Facts) serviceCannot() string {
	s := f.Service
	switch {
	case s.answers() && !s.Ready && s.NotReady != "":
		return oneLine(s.NotReady)
	case s.Metrics[`whalegate_health_reason{reason="`+health.ReasonDatabase+`"}`] == 1:
		return "its metrics say that it cannot ask"
	}
	if waiting, _ := s.unsaved(); waiting > 0 {
		return fmt.Sprintf("%.0f failed minutes wait to be written", waiting)
	}
	return ""
}

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

// troubled is the finding for a database that could not be asked as it should.
func (f *Facts) troubled(s Severity) *Finding {
	d := f.Database
	remedy := remedies[d.Trouble]
	found := database.found(s, "the database: %s", remedy.means)
	found.figure("address", "%s", d.Address)
	found.figure(string(d.Trouble), "%s", oneLine(d.Error))
	if sv := f.Service; sv.answers() && !sv.Ready {
		found.figure("the service says", "%s", oneLine(sv.NotReady))
	} else if sv.answers() {
		found.figure("the service says", "ready: it can ask the database")
	}
	if d.Trouble == Unreachable && f.Service.Trouble == Refused {
		found.do("if both were started by make run, they end together: start it again, and nothing else has to be done", "make run")
	}
	if d.Trouble == Unreachable && strings.Contains(d.Error, "timeout") {
		found.do("it takes connections, or its machine does, and says nothing: see whether it is paused (state T), or waits for a disk (D)", showPostgres)
		found.do("let a paused one go on", "sudo pkill -CONT -x postgres")
	}
	if d.Trouble == Unreachable {
		found.refusedLogin(d.Error, "whalegate_writer")
	}
	found.Actions = append(found.Actions, remedy.actions...)
	if !d.Trouble.AsksWrongly() {
		found.do("nothing has to be restarted after it: wait until the database is well, and for two clean minutes", "whalegate runbook verify database --watch && "+twoCleanMinutes)
	}
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
