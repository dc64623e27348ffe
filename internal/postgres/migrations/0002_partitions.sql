-- Days of snapshots come and go as partitions. Both functions run with the
-- rights of their owner: the collector may make and drop days, and nothing else
-- of the schema.

-- ensure_snapshot_partitions makes the missing days from first to last and tells
-- how many it made. A table is built aside and then attached, which does not
-- wait for readers as CREATE TABLE … PARTITION OF would.
CREATE FUNCTION ensure_snapshot_partitions(first date, last date) RETURNS integer
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp
    AS $$
DECLARE
    day  date;
    name text;
    made integer := 0;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('whalegate.partitions'));
    FOR day IN SELECT generate_series(first, last, interval '1 day')::date LOOP
        name := 'wallet_snapshots_' || to_char(day, 'YYYYMMDD');
        CONTINUE WHEN to_regclass('public.' || name) IS NOT NULL;
        EXECUTE format('CREATE TABLE public.%I (LIKE public.wallet_snapshots INCLUDING ALL)', name);
        EXECUTE format('ALTER TABLE public.wallet_snapshots ATTACH PARTITION public.%I FOR VALUES FROM (%L) TO (%L)',
            name, day::timestamp AT TIME ZONE 'UTC', (day + 1)::timestamp AT TIME ZONE 'UTC');
        made := made + 1;
    END LOOP;
    RETURN made;
END
$$;

-- drop_snapshot_partitions drops the days that ended at or before the instant
-- and tells how many.
CREATE FUNCTION drop_snapshot_partitions(before timestamptz) RETURNS integer
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp
    AS $$
DECLARE
    name    text;
    dropped integer := 0;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('whalegate.partitions'));
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
