package postgres

import (
	"context"
	"fmt"
	"regexp"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/whalegate/whalegate/internal/facts"
)

// objects are the functions and the views of the schema, each with its name and a digest
// of what it does and of whose rights it does it with.
const objects = `
	SELECT p.oid::regprocedure::text AS object, CASE WHEN p.pronamespace = 'public'::regnamespace THEN p.proname::text ELSE p.pronamespace::regnamespace || '.' || p.proname END AS name, md5(concat_ws('|', p.prosrc, p.prosecdef, p.provolatile, p.proconfig, pg_get_function_result(p.oid), l.lanname)) AS digest, p.xmin AS written
	FROM pg_proc p JOIN pg_language l ON l.oid = p.prolang
	WHERE p.pronamespace IN ('public'::regnamespace, to_regnamespace('facts'))
	UNION ALL
	SELECT format('%I.%I', n.nspname, c.relname), format('%I.%I', n.nspname, c.relname), md5(concat_ws('|', pg_get_viewdef(c.oid), c.reloptions)), NULL
	FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
	WHERE c.relkind = 'v' AND n.nspname IN ('public', 'facts', 'board', 'ops')`

// majorVersion is that of the server.
const majorVersion = "current_setting('server_version_num')::integer / 10000"

// Tampered lists the functions and views that are not as the newest migration left them:
// changed, missing, or with another function of the same name, which is called in its
// place where its arguments fit better; and whatever of ours has another owner than it
// had, or may be read, run or changed by roles to which the definitions grant nothing of
// the kind. Each line begins with the name of the object. In a database that was never
// migrated there are none; and views say nothing on a server of another major version,
// until it is migrated. Whoever may read the ledgers of the schema may ask.
func Tampered(ctx context.Context, db interface {
	Begin(ctx context.Context) (pgx.Tx, error)
}) (tampered []facts.Change, err error) {
	err = pgx.BeginFunc(ctx, db, func(tx pgx.Tx) error {
		if tampered, err = tamperedObjects(ctx, tx); err != nil {
			return err
		}
		rights, err := tamperedRights(ctx, tx)
		tampered = append(tampered, rights...)
		return err
	})
	return tampered, Because(ctx, "compare functions, views and rights", err)
}

// tamperedObjects lists the functions and views that are not as they were left. It leaves
// the search path at public: a view is worded by where names are looked for.
func tamperedObjects(ctx context.Context, tx pgx.Tx) ([]facts.Change, error) {
	if _, err := tx.Exec(ctx, "SET LOCAL search_path = public"); err != nil {
		return nil, err
	}
	var marked bool
	if err := tx.QueryRow(ctx, "SELECT to_regclass('schema_objects') IS NOT NULL").Scan(&marked); err != nil || !marked {
		return nil, err
	}
	rows, err := tx.Query(ctx, `
		SELECT coalesce(s.object, n.object), CASE WHEN n.object IS NULL THEN ' is missing' WHEN s.object IS NULL THEN ' was added beside ours' ELSE ' was changed' END,
			coalesce(CASE WHEN s.object IS NULL THEN 'DROP FUNCTION ' || CASE WHEN n.name LIKE 'facts.%' THEN n.object ELSE 'public.' || n.object END END, '')
		FROM schema_objects s FULL JOIN (`+objects+`) n USING (object)
		WHERE s.digest IS DISTINCT FROM n.digest AND (s.object IS NOT NULL OR n.name IN (SELECT name FROM schema_objects))
			AND (n.object IS NULL OR n.object LIKE '%)' OR (SELECT server = `+majorVersion+` FROM schema_definitions))
			AND (n.object IN ('whalegate_now()', 'beat_now()') AND (SELECT test_clock <> '' FROM schema_definitions) AND (SELECT prosrc FROM pg_proc WHERE oid = to_regprocedure(n.object)) ~ $1) IS NOT TRUE
		ORDER BY 1`, testClockForm)
	if err != nil {
		return nil, err
	}
	type line struct{ Object, What, Undo string }
	lines, err := pgx.CollectRows(rows, pgx.RowToStructByPos[line])
	if err != nil || len(lines) == 0 {
		return nil, err
	}
	changed, err := changedSettings(ctx, tx)
	if err != nil {
		return nil, err
	}
	var list []facts.Change
	for _, l := range lines {
		change := facts.Change{Text: l.Object + l.What, Undo: l.Undo}
		if how := changed[l.Object]; how != "" {
			change.Text += ": " + how
		}
		list = append(list, change)
	}
	return list, nil
}

// testClockForm is how a clock may look in a database that was migrated for a test: it
// stands, or runs, as fast as it likes, off by some time.
const testClockForm = `^SELECT (\(SELECT )?\(*(timestamptz '[^']+'|clock_timestamp\(\))( \+ \(clock_timestamp\(\) - timestamptz '[^']+'\) \* [0-9.]+)?\)*( \+ interval '[^']+')?$`

// declared finds what a file of the schema declares.
var declared = regexp.MustCompile(`(?m)^CREATE (?:OR REPLACE )?(FUNCTION|VIEW) ([a-z_.]+)`)

// names are those of the functions, and the views with their schemas, that stand in the
// definitions.
func names() (names []string) {
	for _, file := range definitionFiles {
		for _, match := range declared.FindAllStringSubmatch(schemaFile(file+".sql"), -1) {
			name := match[2]
			if match[1] == "VIEW" && !strings.Contains(name, ".") {
				name = "public." + name
			}
			names = append(names, name)
		}
	}
	return names
}

// drop drops views of ours, and the functions that no table asks: those that are to have
// another shape, or are ours no more. What somebody else has built on them stops it.
func drop(ctx context.Context, tx pgx.Tx, which string, names []string) error {
	rows, err := tx.Query(ctx, `
		SELECT string_agg(object, ', ') FILTER (WHERE object NOT LIKE '%)' AND to_regclass(object) IS NOT NULL),
			string_agg(object, ', ') FILTER (WHERE object LIKE '%)' AND to_regprocedure(object) IS NOT NULL
				AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.refobjid = to_regprocedure(object)::oid AND d.classid = 'pg_attrdef'::regclass))
		FROM schema_objects WHERE `+which, names)
	var views, functions *string
	if err == nil {
		_, err = pgx.ForEachRow(rows, []any{&views, &functions}, func() error { return nil })
	}
	if err == nil && views != nil {
		_, err = tx.Exec(ctx, "DROP VIEW "+*views)
	}
	if err == nil && functions != nil {
		_, err = tx.Exec(ctx, "DROP FUNCTION "+*functions)
	}
	if err != nil {
		return fmt.Errorf("drop functions and views that are of another shape, or gone: %w", Cause(err))
	}
	return nil
}
