package postgres

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/jackc/pgerrcode"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/whalegate/whalegate/internal/facts"
)

// declaredTable finds the tables, and the views that are only locked, of the numbered steps.
var declaredTable = regexp.MustCompile(`(?m)^\s*CREATE (?:TABLE|VIEW)(?: IF NOT EXISTS)? ([a-z_]+)`)

// tables are those of ours, the ledgers among them.
func tables() (names []string) {
	text := ledgers
	for _, step := range Migrations() {
		text += "\n" + step.sql
	}
	for _, match := range declaredTable.FindAllStringSubmatch(text, -1) {
		names = append(names, match[1])
	}
	return names
}

func roleNames() (names []string) {
	for _, role := range Roles {
		names = append(names, role.Name)
	}
	return names
}

// ownObjects are the tables ($1 and the days of snapshots), views, functions and schemas
// that are ours: what to call them in a sentence and in a statement, of which noted object
// they must be like, and whose they are. What others have beside ours is none of our
// business.
const ownObjects = `
	SELECT CASE WHEN c.relkind = 'v' AND c.relname <> ALL ($1::text[]) THEN format('%I.%I', n.nspname, c.relname) ELSE c.relname::text END AS object,
		CASE WHEN d.inhrelid IS NOT NULL THEN 'wallet_snapshots' WHEN c.relkind = 'v' AND c.relname <> ALL ($1) THEN format('%I.%I', n.nspname, c.relname) ELSE c.relname::text END AS pattern,
		CASE WHEN c.relkind = 'v' THEN 'VIEW ' ELSE 'TABLE ' END || c.oid::regclass AS named, 'TABLE ' || c.oid::regclass AS granted, d.inhrelid IS NOT NULL AS day,
		c.oid AS relid, c.relowner AS owner, coalesce(c.relacl, acldefault('r', c.relowner)) AS acl, NULL::boolean AS definer, NULL::text AS settings
	FROM pg_class c
	JOIN pg_namespace n ON n.oid = c.relnamespace
	LEFT JOIN pg_inherits d ON d.inhrelid = c.oid AND d.inhparent = to_regclass('public.wallet_snapshots')
	WHERE n.nspname = 'public' AND c.relkind IN ('r', 'p', 'v') AND (c.relname = ANY ($1) OR d.inhrelid IS NOT NULL)
		OR c.relkind = 'v' AND n.nspname IN ('public', 'facts', 'board', 'ops') AND format('%I.%I', n.nspname, c.relname) IN (SELECT s.object FROM schema_objects s)
	UNION ALL
	SELECT o.object, o.object, 'FUNCTION ' || o.object, 'FUNCTION ' || o.object, false,
		NULL, p.proowner, coalesce(p.proacl, acldefault('f', p.proowner)), p.prosecdef, coalesce(array_to_string(p.proconfig, ', '), '')
	FROM schema_objects o JOIN pg_proc p ON p.oid = to_regprocedure(o.object)
	WHERE o.object LIKE '%)'
	UNION ALL
	SELECT 'schema ' || n.nspname, 'schema ' || n.nspname, 'SCHEMA ' || n.nspname, 'SCHEMA ' || n.nspname, false,
		NULL, n.nspowner, coalesce(n.nspacl, acldefault('n', n.nspowner)), NULL, NULL
	FROM pg_namespace n
	WHERE n.nspname IN ('public', 'facts', 'board', 'ops')`

// ownRights are what each may do with what is ours: $2 are our roles. Superusers may do
// everything anyway, and who logs in as a member of a role is not seen here.
const ownRights = `
	SELECT o.object, o.pattern, o.granted, o.day, x.grantee, x.privilege, x.grantee = 'owner' OR x.grantee = 'PUBLIC' OR x.grantee = ANY ($2::text[]) AS known
	FROM (` + ownObjects + `) o,
	LATERAL (
		SELECT a.grantee, a.privilege_type, NULL::name AS attname, a.is_grantable FROM aclexplode(o.acl) a
		UNION ALL
		SELECT a.grantee, a.privilege_type, t.attname, a.is_grantable FROM pg_attribute t, aclexplode(t.attacl) a WHERE t.attrelid = o.relid AND t.attacl IS NOT NULL AND NOT t.attisdropped
	) e,
	LATERAL (SELECT CASE e.grantee WHEN 0 THEN 'PUBLIC' WHEN o.owner THEN 'owner' ELSE pg_get_userbyid(e.grantee) END AS grantee) r,
	LATERAL (SELECT r.grantee, e.privilege_type || coalesce(' (' || quote_ident(e.attname) || ')', '') || CASE WHEN e.is_grantable AND r.grantee <> 'owner' THEN ' WITH GRANT OPTION' ELSE '' END AS privilege) x
	WHERE e.privilege_type <> 'MAINTAIN' -- of PostgreSQL 17: a dump of before does not give it
		AND NOT EXISTS (SELECT FROM pg_roles s WHERE s.oid = e.grantee AND s.rolsuper AND e.grantee <> o.owner)`

// ownerOf names an owner so that a dump that is restored by somebody else is the same: all
// of ours belong to whom the ledger belongs to.
const ownerOf = `CASE WHEN o.owner = (SELECT l.relowner FROM pg_class l WHERE l.oid = 'schema_objects'::regclass) THEN 'the owner' ELSE pg_get_userbyid(o.owner)::text END`

// tooMany are rights that the definitions do not give. Anybody may use the schema public,
// as PostgreSQL has it.
const tooMany = `
	FROM (` + ownRights + `) n
	WHERE NOT EXISTS (SELECT FROM schema_rights s WHERE s.object = n.pattern AND s.aspect = 'right' AND s.value = n.grantee || ' ' || n.privilege)
		AND (NOT n.known OR EXISTS (SELECT FROM schema_rights s WHERE s.object = n.pattern))
		AND NOT (NOT n.known AND n.object = 'schema public' AND n.privilege = 'USAGE')`

// rightsMarked tells whether a migration has noted rights here.
func rightsMarked(ctx context.Context, tx pgx.Tx) (marked bool, err error) {
	err = tx.QueryRow(ctx, "SELECT to_regclass('schema_objects') IS NOT NULL AND to_regclass('schema_rights') IS NOT NULL").Scan(&marked)
	return marked, err
}

// tamperedRights lists who owns what is ours, or may do something with it, and should not.
func tamperedRights(ctx context.Context, tx pgx.Tx) ([]facts.Change, error) {
	if marked, err := rightsMarked(ctx, tx); err != nil || !marked {
		return nil, err
	}
	rows, err := tx.Query(ctx, `
		SELECT format('%s: its owner is %s, not %s', o.object, pg_get_userbyid(o.owner), s.value), ''
		FROM (`+ownObjects+`) o JOIN schema_rights s ON s.object = o.pattern AND s.aspect = 'owner'
		WHERE s.value <> `+ownerOf+`
		UNION ALL
		SELECT format('%s: %s can %s, which the definitions do not grant', n.object, n.grantee, string_agg(n.privilege, ', ' ORDER BY n.privilege)),
			CASE WHEN n.known THEN '' ELSE format('REVOKE %s ON %s FROM %I', replace(string_agg(n.privilege, ', ' ORDER BY n.privilege), ' WITH GRANT OPTION', ''), n.granted, n.grantee) END
		`+tooMany+`
		GROUP BY n.object, n.granted, n.grantee, n.known
		ORDER BY 1`, tables(), roleNames())
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowToStructByPos[facts.Change])
}

// changedSettings tells of functions whether their security or their settings were changed,
// by object.
func changedSettings(ctx context.Context, tx pgx.Tx) (map[string]string, error) {
	changed := map[string]string{}
	if marked, err := rightsMarked(ctx, tx); err != nil || !marked {
		return changed, err
	}
	rows, err := tx.Query(ctx, `
		SELECT o.object, concat_ws(' and ',
			CASE WHEN d.value <> o.definer::text THEN CASE WHEN o.definer THEN 'it runs with the rights of its owner (SECURITY DEFINER)' ELSE 'it runs with the rights of its caller (SECURITY INVOKER)' END END,
			CASE WHEN c.value <> o.settings THEN format('its settings are %s', coalesce(nullif(o.settings, ''), 'none')) END)
		FROM (`+ownObjects+`) o
		JOIN schema_rights d ON d.object = o.object AND d.aspect = 'definer'
		JOIN schema_rights c ON c.object = o.object AND c.aspect = 'settings'
		WHERE d.value <> o.definer::text OR c.value <> o.settings`, tables())
	if err != nil {
		return nil, err
	}
	var object, how string
	_, err = pgx.ForEachRow(rows, []any{&object, &how}, func() error {
		changed[object] = how
		return nil
	})
	return changed, err
}

// Missing lists the tables of ours that are not there; none in a database that was never
// migrated.
func Missing(ctx context.Context, db querier) ([]string, error) {
	rows, err := db.Query(ctx, `
		SELECT t FROM unnest($1::text[]) AS t
		WHERE to_regclass('public.schema_migrations') IS NOT NULL AND to_regclass('public.' || quote_ident(t)) IS NULL
		ORDER BY 1`, tables())
	if err == nil {
		var missing []string
		if missing, err = pgx.CollectRows(rows, pgx.RowTo[string]); err == nil {
			return missing, nil
		}
	}
	return nil, Because(ctx, "look for tables", err)
}

// Hindered lists what was done to our tables that changes what is stored in them, or keeps
// the service from its work: triggers and rules, row security, and rights that our roles
// had. It stands beside Tampered because it opens nothing to anybody. No migration takes
// it back, but for the rights.
func Hindered(ctx context.Context, db interface {
	Begin(ctx context.Context) (pgx.Tx, error)
}) (hindered []facts.Change, err error) {
	err = pgx.BeginFunc(ctx, db, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "SET LOCAL search_path = public"); err != nil {
			return err
		}
		if marked, err := rightsMarked(ctx, tx); err != nil || !marked {
			return err
		}
		rows, err := tx.Query(ctx, `
			WITH ours AS (SELECT * FROM (`+ownObjects+`) o), theirs AS (SELECT * FROM (`+ownRights+`) n)
			SELECT format('%s: %s can no longer %s', s.object, split_part(s.value, ' ', 1), string_agg(substring(s.value FROM ' (.*)$'), ', ' ORDER BY s.value)), ''
			FROM schema_rights s
			WHERE s.aspect = 'right' AND s.object IN (SELECT object FROM ours)
				AND NOT EXISTS (SELECT FROM theirs n WHERE n.object = s.object AND n.grantee || ' ' || n.privilege = s.value)
			GROUP BY s.object, split_part(s.value, ' ', 1)
			UNION ALL
			SELECT format('%s: trigger %I was added%s', o.object, t.tgname, CASE WHEN t.tgenabled = 'D' THEN ', and is disabled' END), format('DROP TRIGGER %I ON %s', t.tgname, o.relid::regclass)
			FROM ours o JOIN pg_trigger t ON t.tgrelid = o.relid
			WHERE NOT t.tgisinternal
			UNION ALL
			SELECT format('%s: %s of its triggers that hold foreign keys and constraints are disabled', o.object, count(*)), format('ALTER TABLE %s ENABLE TRIGGER ALL', o.relid::regclass)
			FROM ours o JOIN pg_trigger t ON t.tgrelid = o.relid
			WHERE t.tgisinternal AND t.tgenabled <> 'O'
			GROUP BY o.object, o.relid
			UNION ALL
			SELECT format('%s: rule %I was added', o.object, r.rulename), format('DROP RULE %I ON %s', r.rulename, o.relid::regclass)
			FROM ours o JOIN pg_rewrite r ON r.ev_class = o.relid
			WHERE r.rulename <> '_RETURN'
			UNION ALL
			SELECT format('%s: row security is %s', o.object, CASE WHEN c.relrowsecurity THEN 'on' ELSE 'forced' END),
				format('ALTER TABLE %s %s ROW LEVEL SECURITY', o.relid::regclass, CASE WHEN c.relrowsecurity THEN 'DISABLE' ELSE 'NO FORCE' END)
			FROM ours o JOIN pg_class c ON c.oid = o.relid
			WHERE c.relrowsecurity OR c.relforcerowsecurity
			UNION ALL
			SELECT format('%s: policy %I was added', o.object, p.polname), format('DROP POLICY %I ON %s', p.polname, o.relid::regclass)
			FROM ours o JOIN pg_policy p ON p.polrelid = o.relid
			ORDER BY 1`, tables(), roleNames())
		if err != nil {
			return err
		}
		hindered, err = pgx.CollectRows(rows, pgx.RowToStructByPos[facts.Change])
		return err
	})
	return hindered, Because(ctx, "look at triggers, rules and rights", err)
}

// putRightsBack gives what is ours back to whom the last migration left it, and takes away
// what our roles and PUBLIC were granted since. What others were granted stays: somebody
// meant it, and it is named. Where this login may not, or somebody holds the object, it
// stays as well, and is named.
func putRightsBack(ctx context.Context, tx pgx.Tx) error {
	rows, err := tx.Query(ctx, `
		SELECT format('ALTER %s OWNER TO %I', o.named, CASE s.value WHEN 'the owner' THEN (SELECT pg_get_userbyid(l.relowner) FROM pg_class l WHERE l.oid = 'schema_objects'::regclass) ELSE s.value::name END)
		FROM (`+ownObjects+`) o JOIN schema_rights s ON s.object = o.pattern AND s.aspect = 'owner'
		WHERE s.value <> `+ownerOf+` AND (s.value = 'the owner' OR s.value IN (SELECT rolname FROM pg_roles))
		UNION ALL
		SELECT format('REVOKE %s ON %s FROM %s CASCADE', replace(n.privilege, ' WITH GRANT OPTION', ''), n.granted, CASE n.grantee WHEN 'PUBLIC' THEN 'PUBLIC' ELSE quote_ident(n.grantee) END)
		`+tooMany+` AND n.known AND n.grantee <> 'owner'
		ORDER BY 1`, tables(), roleNames())
	if err != nil {
		return fmt.Errorf("look for rights to put back: %w", Cause(err))
	}
	statements, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return fmt.Errorf("look for rights to put back: %w", Cause(err))
	}
	for _, statement := range statements {
		err := pgx.BeginFunc(ctx, tx, func(tx pgx.Tx) error {
			_, err := tx.Exec(ctx, statement)
			return err
		})
		var answer *pgconn.PgError
		if errors.As(err, &answer) && (answer.Code == pgerrcode.InsufficientPrivilege || answer.Code == pgerrcode.LockNotAvailable) {
			continue
		}
		if err != nil {
			return fmt.Errorf("%s: %w", strings.ToLower(statement), Cause(err))
		}
	}
	return nil
}

// noteRights writes down whose everything is and what our roles may do, as the
// definitions left it. What others may do is never noted.
func noteRights(ctx context.Context, tx pgx.Tx) error {
	batch := &pgx.Batch{}
	batch.Queue("DELETE FROM schema_rights")
	batch.Queue(`
		INSERT INTO schema_rights (object, aspect, value)
		SELECT o.object, 'owner', `+ownerOf+` FROM (`+ownObjects+`) o WHERE NOT o.day
		UNION
		SELECT o.object, 'definer', o.definer::text FROM (`+ownObjects+`) o WHERE o.definer IS NOT NULL
		UNION
		SELECT o.object, 'settings', o.settings FROM (`+ownObjects+`) o WHERE o.settings IS NOT NULL
		UNION
		SELECT n.object, 'right', n.grantee || ' ' || n.privilege FROM (`+ownRights+`) n WHERE n.known AND NOT n.day -- UNION: two grantors may give one right`, tables(), roleNames())
	if err := tx.SendBatch(ctx, batch).Close(); err != nil {
		return fmt.Errorf("note the rights: %w", Cause(err))
	}
	return nil
}
