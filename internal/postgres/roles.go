package postgres

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgerrcode"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// Role is one of the database roles, each the least that a process needs.
type Role struct {
	Name    string
	Purpose string // what does not work without it
	create  string
	limit   int  // of its sessions; 0: none
	reads   bool // Grafana logs in with it
}

// Roles lists what `migrate` makes, without a password and unable to log in:
// both are given by the installation.
var Roles = []Role{
	{"whalegate_writer", "the service (run) cannot log in with the least rights", "CREATE ROLE whalegate_writer NOLOGIN", 0, false},
	{"whalegate_watchdog", "the dead man's switch (watchdog) cannot log in with the least rights", "CREATE ROLE whalegate_watchdog NOLOGIN", watchdogConnections, false},
	{"whalegate_board", "the trading board cannot read anything", "CREATE ROLE whalegate_board NOLOGIN", readerConnections, true},
	{"whalegate_ops", "the incident board cannot read anything", "CREATE ROLE whalegate_ops NOLOGIN", readerConnections, true},
}

// readerSettings keep one of Grafana's sessions from holding the database: they
// are no protection (a session may change them), the rights are. To compile a query takes
// a hundred times as long as any of ours runs.
var readerSettings = []string{"jit = off", "row_security = off", "statement_timeout = '5s'", "default_transaction_read_only = on", "idle_in_transaction_session_timeout = '10s'"}

// duplicateCodes are what the server answers when the role is there already, or
// is being made at the same moment for another database of the cluster.
var duplicateCodes = map[string]bool{pgerrcode.DuplicateObject: true, pgerrcode.UniqueViolation: true, pgerrcode.InternalError: true}

// makeRoles makes the roles that are missing, and gives those that are there their
// settings again. Where the user may not make roles, it returns the statements that an
// administrator has to run.
func makeRoles(ctx context.Context, conn *pgx.Conn) (missing []string, err error) {
	for _, role := range Roles {
		exists, err := roleExists(ctx, conn, role.Name)
		if err != nil {
			return nil, err
		}
		if exists {
			if err := role.renew(ctx, conn); err != nil {
				return nil, err
			}
			continue
		}
		for _, statement := range role.statements() {
			var answer *pgconn.PgError
			_, err := conn.Exec(ctx, statement)
			switch {
			case err == nil || errors.As(err, &answer) && duplicateCodes[answer.Code]:
			case errors.As(err, &answer) && answer.Code == pgerrcode.InsufficientPrivilege:
				missing = append(missing, fmt.Sprintf("%s; -- without it, %s", statement, role.Purpose))
			default:
				return nil, fmt.Errorf("make role %s: %w", role.Name, Cause(err))
			}
		}
	}
	return missing, nil
}

func (r Role) statements() []string { return append([]string{r.create}, r.settings()...) }

// How many sessions a role may have. Together they leave a server with PostgreSQL's
// default of 100 connections enough for two collectors, of 11 each, and for a person who
// halts: whoever reads must not be able to keep the next collector from leading. For
// Grafana it is less than it tries to open, so that the next one is refused at once.
const (
	readerConnections   = 30
	watchdogConnections = 8
)

// settings are those of a role that only reads, or only watches.
func (r Role) settings() (statements []string) {
	if r.limit > 0 {
		statements = append(statements, fmt.Sprintf("ALTER ROLE %s CONNECTION LIMIT %d", r.Name, r.limit))
	}
	if r.reads {
		for _, setting := range readerSettings {
			statements = append(statements, fmt.Sprintf("ALTER ROLE %s SET %s", r.Name, setting))
		}
	}
	return statements
}

// renew gives a role that is there its settings again, where the user may: a
// role can change its own, for all databases or for one, so a viewer can, with a
// hand-made query.
func (r Role) renew(ctx context.Context, conn *pgx.Conn) error {
	settings := r.settings()
	if len(settings) == 0 {
		return nil
	}
	here := pgx.Identifier{conn.Config().Database}.Sanitize()
	err := pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		if r.reads {
			settings = append([]string{"ALTER ROLE " + r.Name + " RESET ALL", "ALTER ROLE " + r.Name + " IN DATABASE " + here + " RESET ALL"}, settings...)
		}
		for _, statement := range settings {
			if _, err := tx.Exec(ctx, statement); err != nil {
				return err
			}
		}
		return nil
	})
	var answer *pgconn.PgError
	if errors.As(err, &answer) && (answer.Code == pgerrcode.InsufficientPrivilege || duplicateCodes[answer.Code]) {
		return nil // not ours to set, or another database of the cluster is at it
	}
	if err != nil {
		return fmt.Errorf("settings of role %s: %w", r.Name, Cause(err))
	}
	return nil
}

func roleExists(ctx context.Context, db querier, name string) (exists bool, err error) {
	err = db.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = $1)", name).Scan(&exists)
	if err != nil {
		return false, fmt.Errorf("look for role %s: %w", name, Cause(err))
	}
	return exists, nil
}
