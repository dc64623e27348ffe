-- What is needed to tell that an answer of the exchange cannot be true (S10 to S12), and
-- to know every account of a wallet. Days of snapshots that are gone come back.

-- baselines are the failures of S11: an asset in which something happened to everybody
-- at once. One that is open fails every run until the sizes are back, or until somebody
-- accepts the new level. What the wallets held before is in baseline_sizes, so that
-- neither waiting nor pruning nor a restart accepts anything.
CREATE TABLE baselines (
    id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    asset         text        NOT NULL CHECK (asset IN ('HYPE', 'BTC', 'ETH')),
    subject       text        NOT NULL, -- mass_close:BTC, mass_open:BTC, rescaled:BTC
    opened_ts     timestamptz NOT NULL, -- the minute that failed first
    affected      integer     NOT NULL,
    holders       integer     NOT NULL,
    factor        double precision,     -- of a rescaled asset
    ended_ts      timestamptz,          -- the minute at which the sizes were back, or whose sizes were accepted
    accepted_at   timestamptz,
    accepted_by   text,
    reason        text,
    CHECK ((accepted_at IS NULL) = (accepted_by IS NULL) AND (accepted_at IS NULL) = (reason IS NULL)),
    CHECK (accepted_at IS NULL OR ended_ts IS NOT NULL)
);
CREATE UNIQUE INDEX baselines_one_open ON baselines (asset) WHERE ended_ts IS NULL;
COMMENT ON TABLE baselines IS 'failures of S11: what happened to all holders of an asset at once, and who accepted the new level';

CREATE TABLE baseline_sizes (
    baseline_id bigint  NOT NULL REFERENCES baselines ON DELETE CASCADE,
    wallet_id   text    NOT NULL,
    before      numeric NOT NULL,
    accepted    numeric, -- NULL: not accepted, or not read then
    PRIMARY KEY (baseline_id, wallet_id)
);
COMMENT ON TABLE baseline_sizes IS 'what each wallet held before a failure of S11, and the level that was accepted';

-- accept_baseline takes the sizes that were read last as the level of an asset and
-- records who said so. What was not read keeps the level of before.
CREATE FUNCTION accept_baseline(what text, who text, why text) RETURNS baselines
    LANGUAGE plpgsql VOLATILE SET search_path = public, pg_temp
    AS $$
DECLARE
    open   baselines;
    newest ingest_runs;
    taken  bigint;
BEGIN
    PERFORM FROM collector_leader FOR UPDATE; -- nothing of the leader's is under way
    SELECT * INTO open FROM baselines b WHERE b.asset = what AND b.ended_ts IS NULL FOR UPDATE;
    IF open.id IS NULL THEN
        RAISE EXCEPTION 'no failure of S11 is open for %: there is nothing to accept', what USING ERRCODE = 'WG005';
    END IF;
    SELECT * INTO newest FROM ingest_runs r WHERE NOT r.superseded ORDER BY r.timestamp DESC LIMIT 1;
    IF newest.timestamp < whalegate_now() - interval '5 minutes' OR newest.coverage_pct < 80 THEN
        RAISE EXCEPTION 'the present sizes are not known: the newest run, of %, covers % %% of the wallets', newest.timestamp, newest.coverage_pct USING ERRCODE = 'WG005';
    END IF;
    IF newest.status = 'failed' AND newest.failed_check IS DISTINCT FROM 'S11' THEN
        RAISE EXCEPTION 'the present sizes cannot be taken: the newest run, of %, failed by % too', newest.timestamp, coalesce(newest.failed_check, 'another check') USING ERRCODE = 'WG005',
            HINT = 'wait until only S11 fails';
    END IF;
    INSERT INTO baseline_sizes AS s (baseline_id, wallet_id, before, accepted)
    SELECT open.id, w.wallet_id, 0, w.position_szi
    FROM wallet_snapshots w
    WHERE w.timestamp = newest.timestamp AND w.asset = what AND w.position_szi IS NOT NULL
    ON CONFLICT (baseline_id, wallet_id) DO UPDATE SET accepted = excluded.accepted;
    GET DIAGNOSTICS taken = ROW_COUNT;
    IF taken = 0 THEN
        RAISE EXCEPTION 'the present sizes are not known: no row of % in %', newest.timestamp, what USING ERRCODE = 'WG005';
    END IF;
    UPDATE baselines b SET ended_ts = newest.timestamp, accepted_at = whalegate_now(), accepted_by = who, reason = why
    WHERE b.id = open.id RETURNING * INTO open;
    RETURN open;
END
$$;

-- exchange_meta is what the exchange last said of our coins (S12).
CREATE TABLE exchange_meta (
    asset        text        PRIMARY KEY CHECK (asset IN ('HYPE', 'BTC', 'ETH')),
    listed       boolean     NOT NULL,
    delisted     boolean     NOT NULL,
    sz_decimals  integer     NOT NULL,
    answered_at  timestamptz NOT NULL
);
COMMENT ON TABLE exchange_meta IS 'what the exchange last said of our coins; it counts for 24 h';

-- How a wallet's accounts may be read, and what its address is where that was asked.
ALTER TABLE wallet_accounts
    ADD COLUMN listed  boolean     NOT NULL DEFAULT false, -- every entry of the last list carried a state
    ADD COLUMN explained boolean  NOT NULL DEFAULT true,  -- its own account is worth what the leaderboard says, or it has sub-accounts
    ADD COLUMN role    text,                               -- as the exchange says: user, vault, subAccount, …; NULL: not asked
    ADD COLUMN role_at timestamptz;
COMMENT ON COLUMN wallet_accounts.checked_at IS 'when the accounts were confirmed last';

ALTER TABLE wallet_universe_runs ADD COLUMN changed_at timestamptz; -- when the leaderboard was last seen to differ; NULL: the refresh failed, or is older than this column

-- account_search is how far the search for accounts is at a first start, and how long it
-- was said to take. One row while it lasts, and after it.
CREATE TABLE account_search (
    one               boolean          PRIMARY KEY DEFAULT true CHECK (one),
    started_at        timestamptz      NOT NULL,
    announced_seconds double precision NOT NULL CHECK (announced_seconds >= 0 AND announced_seconds < 'Infinity'), -- from the start to the first HEALTHY
    wallets           integer          NOT NULL,
    known             integer          NOT NULL,
    done_at           timestamptz      NOT NULL, -- as estimated last
    ended_at          timestamptz                -- a run could be good since then
);
COMMENT ON TABLE account_search IS 'how far the search for accounts is, and how long it was said to take';

-- missing_snapshot_days tells which days from first to last have no partition, or one
-- that is not attached. It locks nothing.
CREATE FUNCTION missing_snapshot_days(first date, last date) RETURNS integer
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
