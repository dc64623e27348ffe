-- What the incident board reads of the database itself, and of the mask. The
-- functions run with the rights of their owner: a superuser, or a member of
-- pg_monitor, sees every session, any other owner only its own, and the views say
-- so. No text of a query is returned: it may hold a value.

-- ops_sessions are the sessions on this database. A statement is told by its
-- first word, when that is one of these.
CREATE FUNCTION ops_sessions()
    RETURNS TABLE (pid integer, role text, state text, statement text, waits_for text, statement_seconds double precision, transaction_seconds double precision)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp
    AS $$
SELECT a.pid, coalesce(a.usename, a.backend_type, 'hidden'), coalesce(a.state, CASE WHEN coalesce(a.backend_type, 'client backend') = 'client backend' THEN 'hidden' ELSE 'background' END),
    coalesce((SELECT w FROM unnest('{SELECT,INSERT,UPDATE,DELETE,COPY,WITH,BEGIN,COMMIT,ROLLBACK,VACUUM,ANALYZE,ALTER,CREATE,DROP,TRUNCATE,LOCK,REINDEX,EXPLAIN}'::text[]) w
        WHERE w = upper(substring(a.query FROM '^(?:autovacuum: )?\s*([A-Za-z]+)'))), 'other'),
    nullif(concat_ws(': ', a.wait_event_type, a.wait_event), ''),
    CASE WHEN a.state <> 'idle' THEN extract(epoch FROM clock_timestamp() - a.query_start) END::double precision,
    extract(epoch FROM clock_timestamp() - a.xact_start)::double precision
FROM pg_stat_activity a
WHERE a.datname = current_database() AND a.pid <> pg_backend_pid()
$$;

-- ops_waiting are the locks that somebody waits for, and who holds them.
CREATE FUNCTION ops_waiting()
    RETURNS TABLE (pid integer, role text, wants text, relation text, held_by text, waited_seconds double precision)
    LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = public, pg_temp
    AS $$
SELECT l.pid, a.usename, l.mode, coalesce((SELECT c.relname FROM pg_class c WHERE c.oid = l.relation), l.locktype),
    (SELECT string_agg(concat_ws(' ', b.pid, coalesce(h.usename, h.backend_type)), ', ' ORDER BY b.pid) FROM unnest(pg_blocking_pids(l.pid)) b (pid) LEFT JOIN pg_stat_activity h ON h.pid = b.pid),
    extract(epoch FROM clock_timestamp() - l.waitstart)::double precision
FROM pg_locks l
JOIN pg_stat_activity a ON a.pid = l.pid
WHERE NOT l.granted AND a.datname = current_database()
$$;

-- ops_tables are the tables with everything that belongs to them, days of
-- snapshots together. Asking for a size waits for a table that is locked: not
-- here, where that is what is looked for. Such a table has no size.
CREATE FUNCTION ops_tables()
    RETURNS TABLE (name text, parts integer, bytes bigint, largest_part_bytes bigint, locked_parts integer, live_rows bigint, dead_rows bigint, last_vacuum timestamptz)
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = public, pg_temp SET lock_timeout = '20ms'
    AS $$
DECLARE
    part  record;
    size  bigint;
    sizes jsonb := '{}';
BEGIN
    FOR part IN SELECT c.oid FROM pg_class c WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r' LOOP
        BEGIN
            size := pg_total_relation_size(part.oid);
        EXCEPTION WHEN lock_not_available THEN
            size := NULL;
        END;
        sizes := sizes || jsonb_build_object(part.oid, size);
    END LOOP;
    RETURN QUERY
    SELECT coalesce(p.relname, c.relname)::text, count(*)::integer, sum((sizes ->> c.oid::text)::bigint)::bigint, max((sizes ->> c.oid::text)::bigint),
        (count(*) FILTER (WHERE sizes ->> c.oid::text IS NULL))::integer, sum(s.n_live_tup)::bigint, sum(s.n_dead_tup)::bigint, max(greatest(s.last_vacuum, s.last_autovacuum))
    FROM pg_class c
    LEFT JOIN pg_inherits i ON i.inhrelid = c.oid
    LEFT JOIN pg_class p ON p.oid = i.inhparent
    LEFT JOIN pg_stat_all_tables s ON s.relid = c.oid
    WHERE sizes ? c.oid::text
    GROUP BY 1;
END
$$;

-- ops_database is what one row can tell of the whole. What its owner may not
-- know is NULL.
CREATE FUNCTION ops_database()
    RETURNS TABLE (size_bytes bigint, wal_bytes bigint, max_connections integer, deadlocks bigint, started_at timestamptz, sees_all boolean)
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = public, pg_temp
    AS $$
DECLARE
    wal bigint;
BEGIN
    BEGIN
        SELECT sum(size) INTO wal FROM pg_ls_waldir();
    EXCEPTION WHEN insufficient_privilege THEN
        wal := NULL;
    END;
    RETURN QUERY
    SELECT pg_database_size(current_database()), wal, current_setting('max_connections')::integer, d.deadlocks, pg_postmaster_start_time(),
        pg_has_role(current_user, 'pg_read_all_stats', 'USAGE')
    FROM pg_stat_database d
    WHERE d.datname = current_database();
END
$$;

CREATE VIEW ops.tables WITH (security_barrier) AS
SELECT name, parts, bytes, largest_part_bytes, locked_parts, live_rows, dead_rows, last_vacuum
FROM public.ops_tables();

CREATE VIEW ops.connections WITH (security_barrier) AS
SELECT role, state, count(*) AS sessions, max(transaction_seconds) AS longest_transaction_seconds
FROM public.ops_sessions()
GROUP BY role, state;

-- Statements that run for a second or more, and transactions that are open as
-- long and do nothing.
CREATE VIEW ops.slow_queries WITH (security_barrier) AS
SELECT pid, role, state, statement, waits_for, statement_seconds, transaction_seconds
FROM public.ops_sessions()
WHERE state NOT IN ('idle', 'background') AND greatest(CASE WHEN state = 'active' THEN statement_seconds END, transaction_seconds) >= 1;

CREATE VIEW ops.locks WITH (security_barrier) AS
SELECT pid, role, wants, relation, held_by, waited_seconds
FROM public.ops_waiting();

CREATE VIEW ops.database WITH (security_barrier) AS
WITH facts AS MATERIALIZED (
    SELECT d.*,
        (SELECT count(*) FROM public.ops_sessions() WHERE state <> 'background') AS sessions,
        (SELECT max(transaction_seconds) FROM public.ops_sessions() WHERE state <> 'background') AS transaction_seconds,
        (SELECT count(*) FROM ops.slow_queries) AS slow,
        (SELECT count(*) FROM ops.locks) AS waiting
    FROM public.ops_database() d
)
SELECT line.place, line.label, coalesce(line.value, 'none') AS value
FROM facts f
CROSS JOIN LATERAL (
    VALUES
        (0, 'Symptom', CASE
            WHEN f.waiting > 0 THEN 'locks'
            WHEN f.sessions > 0.8 * f.max_connections THEN 'connections'
            WHEN f.transaction_seconds > 60 THEN 'open transaction'
            WHEN f.slow > 0 THEN 'slow'
            WHEN NOT f.sees_all THEN 'half blind'
            ELSE 'ok'
        END),
        (1, 'Size', pg_size_pretty(f.size_bytes)),
        (2, 'Write-ahead log', coalesce(pg_size_pretty(f.wal_bytes), 'hidden from its owner')),
        (3, 'Connections', f.sessions || ' of ' || f.max_connections),
        (4, 'Transaction', coalesce(public.ops_span(f.transaction_seconds), CASE WHEN f.sees_all THEN 'none' ELSE 'hidden from its owner' END)),
        (5, 'Waiting for a lock', f.waiting || ''),
        (6, 'Deadlocks ever', f.deadlocks || ''),
        (7, 'Server started', public.ops_span(extract(epoch FROM clock_timestamp() - f.started_at)::double precision) || ' ago')
) AS line (place, label, value);

-- 6: board truth. Asked before and after, so that a state that changes in between
-- is not a leak.
CREATE FUNCTION ops_truth()
    RETURNS TABLE (health_state text, shown bigint, states text[])
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = public, pg_temp
    AS $$
DECLARE
    before text;
    rows   bigint;
BEGIN
    SELECT h.health_state INTO before FROM board_health() h;
    SELECT count(*) INTO rows FROM board.gate;
    RETURN QUERY SELECT h.health_state, rows, ARRAY[before, h.health_state] FROM board_health() h;
END
$$;

CREATE VIEW ops.board_truth WITH (security_barrier) AS
SELECT line.place, line.label, line.value
FROM public.ops_truth() t
CROSS JOIN LATERAL (
    VALUES
        (0, 'Symptom', CASE
            WHEN t.states = '{STALE,STALE}' AND t.shown > 0 THEN 'MASK OPEN'
            WHEN NOT 'STALE' = ANY (t.states) AND t.shown <> 3 THEN 'dark, not stale'
            ELSE 'ok'
        END),
        (1, 'State', t.health_state),
        (2, 'Trading board', CASE t.shown WHEN 0 THEN 'SYSTEM HALT' ELSE t.shown || ' assets' END),
        (3, 'Should show', CASE t.health_state WHEN 'STALE' THEN 'SYSTEM HALT' ELSE '3 assets' END)
) AS line (place, label, value);
