package runbook

import (
	"cmp"
	"slices"

	"github.com/jackc/pgerrcode"

	"github.com/whalegate/whalegate/internal/threshold"
)

var setWhere = map[string]string{
	"default":              "by default",
	"configuration file":   "for the whole server, in its configuration (ALTER SYSTEM, or postgresql.conf)",
	"command line":         "for the whole server, on its command line",
	"environment variable": "for the whole server, in its environment",
	"global":               "for every role and database (ALTER ROLE ALL)",
	"database":             "for this database (ALTER DATABASE)",
	"user":                 "for this login (ALTER ROLE)",
	"database user":        "for this login in this database (ALTER ROLE … IN DATABASE)",
	"client":               "by DATABASE_URL or PGOPTIONS",
}

// ofLogin are the sources that say nothing of anybody else's sessions.
var ofLogin = []string{"user", "database user", "client"}

func (d Database) whyReadOnly() string {
	return "default_transaction_read_only is on, " + cmp.Or(setWhere[d.ReadOnly], "set in: "+d.ReadOnly)
}

// readOnlyServer tells that a setting keeps everybody from writing. A standby takes no
// write either, and is another matter.
func (f *Facts) readOnlyServer() bool {
	return !f.Follows() && f.Database.ReadOnly != "" && !slices.Contains(ofLogin, f.Database.ReadOnly)
}

// readOnly is the finding for a server that takes no write because of a setting. It
// stands before whatever follows from it.
func (f *Facts) readOnly() *Finding {
	if !f.readOnlyServer() {
		return nil
	}
	d := f.Database
	found := database.found(P1, "this server is read-only by a setting, and takes no write: %s", d.whyReadOnly())
	if d.WriteError.Text != "" {
		found.figure("a write", "%s", oneLine(d.WriteError.Text))
	}
	found.do("see which setting it is, and where it was made; the roles of the boards have it on purpose", ShowReadOnly)
	switch d.ReadOnly {
	case "database":
		found.do("if nobody means it: take it away, as an administrator", resetDatabase)
		found.keptUntilRestart()
	case "global":
		found.do("if nobody means it: take it away, as an administrator", resetEverybody)
		found.keptUntilRestart()
	default:
		found.do("if nobody means it: take it away, as an administrator on the database's machine; if it stays on, it stands in postgresql.conf", ResetServer)
	}
	found.do("wait until the database is well, and for two clean minutes", "whalegate runbook verify database --watch && "+twoCleanMinutes)
	return found
}

// loginReadOnly is the finding for a write of ours that was refused because this login
// may only read: it is the service's trouble only if that logs in alike.
func (f *Facts) loginReadOnly() *Finding {
	d := f.Database
	if f.Follows() || d.WriteError.Code != pgerrcode.ReadOnlySQLTransaction {
		return nil
	}
	severity, and := P1, "and no run comes: the service may log in alike"
	if runs := f.Stored.Runs; len(runs) > 0 && runs[0].Clean && f.at().Sub(runs[0].Timestamp) <= threshold.RunMissing {
		severity, and = P3, "and runs come: it is this login alone"
	}
	found := database.found(severity, "this login's transactions are read-only by a setting, %s", and)
	if d.ReadOnly != "" {
		found.figure("setting", "%s", d.whyReadOnly())
	}
	found.figure("a write", "%s", oneLine(d.WriteError.Text))
	found.do("see which setting it is, and where it was made", ShowReadOnly)
	found.do("if nobody means it: take it away, as an administrator", resetLogin)
	if severity == P1 {
		found.keptUntilRestart()
	}
	return found
}

// keptUntilRestart says what open sessions do with the setting of a role or database.
func (f *Finding) keptUntilRestart() {
	f.do("sessions that are open keep it: restart the service", "sudo systemctl restart whalegate")
}

const (
	ShowReadOnly = `psql "$DATABASE_URL" -c "SHOW default_transaction_read_only" -c "SELECT setting, source, sourcefile, pg_is_in_recovery() AS standby FROM pg_settings WHERE name = 'default_transaction_read_only'" -c "SELECT coalesce(r.rolname, 'every role') AS role, coalesce(d.datname, 'every database') AS database, s.setconfig FROM pg_db_role_setting s LEFT JOIN pg_roles r ON r.oid = s.setrole LEFT JOIN pg_database d ON d.oid = s.setdatabase WHERE s.setconfig::text LIKE '%read_only%'"`

	ResetServer    = `sudo -u postgres psql -c "ALTER SYSTEM RESET default_transaction_read_only" -c "SELECT pg_reload_conf()"`
	resetDatabase  = `sudo -u postgres psql -c "ALTER DATABASE hyperliquid RESET default_transaction_read_only"`
	resetEverybody = `sudo -u postgres psql -c "SET default_transaction_read_only = off" -c "ALTER ROLE ALL RESET default_transaction_read_only"`
	resetLogin     = `sudo -u postgres psql -c "ALTER ROLE <login> RESET default_transaction_read_only"`
)
