package gather

import (
	"context"
	"fmt"
	"syscall"

	"github.com/jackc/pgx/v5"

	"github.com/whalegate/whalegate/internal/duration"
	"github.com/whalegate/whalegate/internal/facts"
	"github.com/whalegate/whalegate/internal/runbook"
)

// readSessions reads who has been at work for more than a second, by the
// machine's clock: no test moves that of a session. The leader's session, which
// stays in its transaction on purpose, is known by the lock that it holds. How long a
// session of another login has been at work not every login may see: one that holds
// a table for itself is told all the same, without an age.
func readSessions(ctx context.Context, conn *pgx.Conn, s *runbook.Stored) error {
	rows, err := conn.Query(ctx, `
		SELECT a.pid, coalesce(a.usename, ''), coalesce(a.application_name, ''), coalesce(a.state, ''), coalesce(extract(epoch FROM age.since), 0)::double precision,
			pg_blocking_pids(a.pid), coalesce(alone.tables, '{}'), left(a.query, 200),
			coalesce((SELECT me.rolsuper OR NOT his.rolsuper AND (pg_has_role(his.oid, 'MEMBER') OR pg_has_role('pg_signal_backend', 'MEMBER'))
				FROM pg_roles me, pg_roles his WHERE me.rolname = current_user AND his.oid = a.usesysid), false),
			coalesce(a.wait_event = 'SyncRep', false), coalesce(a.application_name, '') NOT LIKE 'whalegate %' AND EXISTS (
				SELECT
				FROM pg_locks l
				JOIN pg_class c ON c.oid = l.relation AND c.relkind IN ('r', 'p') AND c.relnamespace = 'public'::regnamespace
				WHERE l.pid = a.pid AND l.granted AND l.mode = 'RowExclusiveLock')
		FROM pg_stat_activity a
		CROSS JOIN LATERAL (SELECT clock_timestamp() - CASE a.state WHEN 'active' THEN a.query_start ELSE a.xact_start END AS since) age
		CROSS JOIN LATERAL (
			SELECT array_agg(DISTINCT c.relname::text) AS tables
			FROM pg_locks l
			JOIN pg_class c ON c.oid = l.relation AND c.relkind IN ('r', 'p') AND c.relnamespace = 'public'::regnamespace
			WHERE l.pid = a.pid AND l.granted AND l.mode = 'AccessExclusiveLock'
		) alone
		WHERE a.datname = current_database() AND a.pid <> pg_backend_pid()
			AND (a.backend_type = 'client backend' AND a.state <> 'idle' AND age.since > interval '1 second' OR a.state IS NULL AND alone.tables IS NOT NULL)
			AND NOT EXISTS (
				SELECT
				FROM pg_locks l
				JOIN pg_class c ON c.oid = l.relation AND c.relname = 'leader_lock' AND c.relnamespace = 'public'::regnamespace
				WHERE l.pid = a.pid AND l.granted AND l.mode = 'ShareUpdateExclusiveLock')
		ORDER BY age.since DESC NULLS FIRST LIMIT 20`)
	if err != nil {
		return err
	}
	s.Sessions, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (found runbook.Session, err error) {
		var seconds float64
		err = row.Scan(&found.PID, &found.User, &found.Program, &found.State, &seconds, &found.BlockedBy, &found.Locks, &found.Query, &found.MayEnd, &found.Confirms, &found.Writes)
		found.For = duration.Seconds(seconds)
		return found, err
	})
	if err == nil {
		s.Prepared, err = list[runbook.Prepared](ctx, conn, "SELECT quote_literal(gid), owner::text, prepared FROM pg_prepared_xacts WHERE database = current_database() ORDER BY prepared LIMIT 5")
	}
	return err
}

func readStorage(ctx context.Context, conn *pgx.Conn, s *runbook.Stored) error {
	var local bool
	var folder *string // only some roles may know
	err := conn.QueryRow(ctx, `
		SELECT pg_database_size(current_database()), (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'), current_setting('max_connections')::integer,
			coalesce(inet_server_addr() <<= '127.0.0.0/8' OR inet_server_addr() = '::1', true), (SELECT setting FROM pg_settings WHERE name = 'data_directory')`).
		Scan(&s.Storage.Database, &s.Storage.Connections, &s.Storage.Most, &local, &folder)
	if err == nil && local && folder != nil {
		s.Storage.FreePct = freePct(*folder)
	}
	return err
}

// freePct is the share of a disk that anybody may still use; nil when it cannot be
// told, as of a folder on another machine.
func freePct(folder string) *float64 {
	var disk syscall.Statfs_t
	if syscall.Statfs(folder, &disk) != nil {
		return nil
	}
	usable := disk.Blocks - disk.Bfree + disk.Bavail
	if usable == 0 {
		return nil
	}
	pct := 100 * float64(disk.Bavail) / float64(usable)
	return &pct
}

// Views of the board that hold no signal value; every other one is masked.
const alwaysShown = "{health,header,header_lines,system_alert}"

// readBoard reads the board's views, as the board's own role where it may, and
// what the roles of Grafana may read beside theirs.
func readBoard(ctx context.Context, conn *pgx.Conn, s *runbook.Stored) error {
	err := conn.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = 'whalegate_board' AND pg_has_role(oid, 'MEMBER'))").Scan(&s.Board.AsRole)
	if err != nil {
		return err
	}
	rows, err := conn.Query(ctx, `
		SELECT format('%s may read %s', r.rolname, t.name) || coalesce(', as a member of ' || o.roles, ''), coalesce(format('REVOKE %s FROM %I', o.roles, r.rolname), '')
		FROM pg_roles r
		CROSS JOIN LATERAL (SELECT string_agg(m.roleid::regrole::text, ', ' ORDER BY 1) AS roles FROM pg_auth_members m WHERE m.member = r.oid) o, unnest('{signals,signal_contributors,signal_positioning,alerts,wallet_snapshots}'::text[]) AS t (name)
		WHERE r.rolname IN ('whalegate_board', 'whalegate_ops')
			AND (has_table_privilege(r.oid, 'public.' || t.name, 'SELECT') OR has_any_column_privilege(r.oid, 'public.' || t.name, 'SELECT'))
		UNION ALL
		SELECT format('%s may read everything: it is a superuser', rolname), format('ALTER ROLE %I NOSUPERUSER', rolname) FROM pg_roles WHERE rolname IN ('whalegate_board', 'whalegate_ops') AND rolsuper
		ORDER BY 1`)
	if err == nil {
		s.Board.Open, err = pgx.CollectRows(rows, pgx.RowToStructByPos[facts.Change])
	}
	if err != nil {
		return err
	}
	rows, err = conn.Query(ctx, `
		SELECT v.viewname
		FROM pg_views v
		JOIN pg_roles r ON r.rolname = 'whalegate_board'
		WHERE v.schemaname = 'board' AND v.viewname <> ALL ($1::text[]) AND has_table_privilege(r.oid, format('%I.%I', v.schemaname, v.viewname), 'SELECT')
		ORDER BY 1`, alwaysShown)
	if err != nil {
		return err
	}
	views, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return err
	}
	return pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		if s.Board.AsRole {
			if _, err := tx.Exec(ctx, "SET LOCAL ROLE whalegate_board"); err != nil {
				return err
			}
		}
		s.Board.Rows = map[string]int{}
		for _, view := range views {
			name := pgx.Identifier{"board", view}.Sanitize()
			var n int
			if err := tx.QueryRow(ctx, "SELECT count(*) FROM "+name).Scan(&n); err != nil {
				return fmt.Errorf("look at %s: %w", name, err)
			}
			s.Board.Rows["board."+view] = n
		}
		return tx.QueryRow(ctx, "SELECT health_state FROM board.header").Scan(&s.Board.HeaderState)
	})
}
