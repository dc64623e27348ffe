-- Days of snapshots come and go as partitions. The functions that make and drop them run
-- with the rights of their owner: the collector may make and drop days, and nothing else
-- of the schema.

-- missing_snapshot_days tells which days from first to last have no partition, or one
-- that is not attached. It locks nothing.
CREATE OR REPLACE FUNCTION missing_snapshot_days(first date, last date) RETURNS integer
    LANGUAGE sql STABLE SET search_path = public, pg_temp
    AS $$
SELECT (last - first + 1 - count(*))::integer
FROM generate_series(first, last, interval '1 day') AS d (day)
JOIN pg_class c ON c.relname = 'wallet_snapshots_' || to_char(d.day, 'YYYYMMDD') AND c.relnamespace = 'public'::regnamespace
JOIN pg_inherits i ON i.inhrelid = c.oid AND i.inhparent = 'public.wallet_snapshots'::regclass AND NOT i.inhdetachpending
$$;

-- ensure_snapshot_partitions makes the missing days from first to last, attaches again
-- those that were detached, and tells how many it made or attached. A table is built
-- aside and then attached, which does not wait for readers as CREATE TABLE … PARTITION
-- OF would. A day that was renamed gets its name back. A table that cannot be a day any more is put aside, never dropped.
CREATE OR REPLACE FUNCTION ensure_snapshot_partitions(first date, last date) RETURNS integer
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp
    AS $$
DECLARE
    day    date;
    name   text;
    bounds text;
    other  regclass;
    made   integer := 0;
BEGIN
    LOCK TABLE public.partition_lock IN EXCLUSIVE MODE;
    FOR day IN SELECT generate_series(first, last, interval '1 day')::date LOOP
        name := 'wallet_snapshots_' || to_char(day, 'YYYYMMDD');
        bounds := format('FOR VALUES FROM (%L) TO (%L)', day::timestamp AT TIME ZONE 'UTC', (day + 1)::timestamp AT TIME ZONE 'UTC');
        IF EXISTS (SELECT FROM pg_inherits i WHERE i.inhrelid = to_regclass('public.' || name) AND i.inhparent = 'public.wallet_snapshots'::regclass) THEN
            CONTINUE WHEN NOT (SELECT i.inhdetachpending FROM pg_inherits i WHERE i.inhrelid = to_regclass('public.' || name));
            EXECUTE format('ALTER TABLE public.wallet_snapshots DETACH PARTITION public.%I FINALIZE', name);
        END IF;
        SELECT i.inhrelid INTO other -- renamed, and still the day
        FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
        WHERE i.inhparent = 'public.wallet_snapshots'::regclass AND NOT i.inhdetachpending
            AND substring(pg_get_expr(c.relpartbound, c.oid) FROM $re$^FOR VALUES FROM \('([^']+)'\) TO$re$)::timestamptz = day::timestamp AT TIME ZONE 'UTC';
        IF other IS NOT NULL THEN
            IF to_regclass('public.' || name) IS NOT NULL THEN -- taken by a table that is no day
                EXECUTE format('ALTER TABLE public.%I RENAME TO %I', name, name || '_aside_' || (extract(epoch FROM clock_timestamp()) * 1000)::bigint);
            END IF;
            EXECUTE format('ALTER TABLE %s RENAME TO %I', other, name);
            made := made + 1;
            CONTINUE;
        END IF;
        IF to_regclass('public.' || name) IS NOT NULL THEN
            BEGIN
                EXECUTE format('ALTER TABLE public.wallet_snapshots ATTACH PARTITION public.%I %s', name, bounds);
                made := made + 1;
                CONTINUE;
            EXCEPTION WHEN check_violation OR not_null_violation OR unique_violation OR datatype_mismatch OR wrong_object_type OR undefined_column OR invalid_table_definition OR invalid_object_definition THEN
                RAISE WARNING '% cannot be a day of snapshots any more, and is put aside: %', name, SQLERRM;
                EXECUTE format('ALTER TABLE public.%I RENAME TO %I', name, name || '_aside_' || (extract(epoch FROM clock_timestamp()) * 1000)::bigint);
            END;
        END IF;
        EXECUTE format('CREATE TABLE public.%I (LIKE public.wallet_snapshots INCLUDING ALL)', name);
        EXECUTE format('ALTER TABLE public.wallet_snapshots ATTACH PARTITION public.%I %s', name, bounds);
        made := made + 1;
    END LOOP;
    RETURN made;
END
$$;

-- drop_snapshot_partitions drops the days that ended at or before the instant
-- and tells how many.
CREATE OR REPLACE FUNCTION drop_snapshot_partitions(before timestamptz) RETURNS integer
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp
    AS $$
DECLARE
    name    text;
    dropped integer := 0;
BEGIN
    LOCK TABLE public.partition_lock IN EXCLUSIVE MODE;
    FOR name IN
        SELECT c.relname
        FROM pg_inherits i
        JOIN pg_class c ON c.oid = i.inhrelid
        WHERE i.inhparent = 'public.wallet_snapshots'::regclass
          AND c.relname ~ '^wallet_snapshots_[0-9]{8}$'
          AND (to_date(right(c.relname, 8), 'YYYYMMDD') + 1)::timestamp AT TIME ZONE 'UTC' <= before
    LOOP
        EXECUTE format('ALTER TABLE public.wallet_snapshots DETACH PARTITION public.%I', name);
        EXECUTE format('DROP TABLE public.%I', name);
        dropped := dropped + 1;
    END LOOP;
    RETURN dropped;
END
$$;
