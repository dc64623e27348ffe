package runbook

import (
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgerrcode"

	"github.com/whalegate/whalegate/internal/health"
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

// cannot is the finding for a service that cannot use a database which answers us.
func (f *Facts) cannot() *Finding {
	why := f.serviceCannot()
	if why == "" {
		return nil
	}
	found := database.found(f.worst(P2), "the service cannot use the database: %s", why)
	if f.Service.waits() && f.led() { // another one does the work, and this one could not take over
		found.Severity = P3
	}
	if strings.Contains(f.Service.NotReady, "is a standby") {
		found.do("its address (DATABASE_URL) leads to a standby: give it the primary's, or both with target_session_attrs=read-write, and restart it", "sudo systemctl restart whalegate")
		found.do("or promote that server, if its primary is gone for good: it leads then without a restart", "")
	}
	said := f.Service.NotReady
	if f.Service.Told != nil {
		said += " " + f.Service.Told.Error
	}
	found.refusedLogin(said, "whalegate_writer")
	if strings.Contains(said, "unreachable") && !strings.Contains(said, "SQLSTATE") {
		found.do("you reach it, and the service does not: ask from the service's machine; what lies between (address, firewall, route, a pooler) is in the way", `pg_isready -d "$DATABASE_URL"`)
	}
	found.do("read what it is told, and what it logs in with", "journalctl -u whalegate -n 50")
	if waiting, _ := f.Service.unsaved(); waiting > 0 {
		found.do("see whether its login is read-only by a setting of its own", ShowReadOnly)
	}
	found.do("see whether the disk is full", "df -h")
	return found
}

// otherVersion is the finding for a schema that is not this program's, while the service,
// which looks at it too, is ready: it is of another version, or works elsewhere.
func (f *Facts) otherVersion() *Finding {
	found := f.troubled(P3)
	found.Summary = "the service is ready, and this program is of another version than it: the schema is not this program's"
	found.Actions = []Action{
		{"ask with the program of the version that runs", "whalegate version"},
		{"or is it to be replaced by this one? then migrate, as the owner, and restart the service as this version", "whalegate migrate"},
	}
	if f.Stored.Health == nil {
		found.Summary = "the database that you ask is not the one that the service uses: nothing of ours is in it, and the service is ready"
		found.Actions = []Action{{"see which address the service has, and give diagnose that one; migrate nothing", "systemctl cat whalegate"}}
	}
	return found
}

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
