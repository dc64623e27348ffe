-- One collector leads, and no clock fools health.
--
-- Who leads is a row and a lock. The row is the fence: every transaction of the
-- leader's jobs begins with check_lead(), so a process whose epoch is over writes
-- nothing, wherever it wakes up. The lock shows that the leader lives: the server
-- gives it back when the session ends, whatever any clock says.

-- beat_now is the clock of beats: the machine's own, also under the accelerated
-- clock of a test, because beats and take-over run on real time.
CREATE FUNCTION beat_now() RETURNS timestamptz
    LANGUAGE sql VOLATILE
    AS 'SELECT clock_timestamp()';

CREATE TABLE collector_leader (
    one           boolean     PRIMARY KEY DEFAULT true CHECK (one),
    epoch         bigint      NOT NULL CHECK (epoch BETWEEN 1 AND 1000000000000000),
    holder        uuid        NOT NULL,  -- a random token, new with each take-over
    pid           integer,               -- backend of the lock session; NULL once the lead was released
    backend_start timestamptz CHECK (isfinite(backend_start)),
    host          text        NOT NULL DEFAULT '',
    process       integer     NOT NULL DEFAULT 0, -- pid of the collector on its host
    server_start  timestamptz,           -- of the server that the lead is held on: a promoted standby has another one
    place         text,                  -- the server and the database that it is in: a restored dump has another one
    taken_at      timestamptz NOT NULL DEFAULT beat_now() CHECK (isfinite(taken_at))
);

-- database_place tells one database from another that has the same rows, as a restored
-- dump has. A standby that is promoted is the same.
CREATE FUNCTION database_place() RETURNS text
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = public, pg_temp
    AS $$
DECLARE
    server text := '';
BEGIN
    BEGIN
        SELECT system_identifier::text INTO server FROM pg_control_system();
    EXCEPTION WHEN insufficient_privilege THEN
        NULL; -- the database's own number has to do
    END;
    RETURN server || '/' || (SELECT oid FROM pg_database WHERE datname = current_database());
END
$$;

-- Written every three seconds by a session of its own, without waiting for the
-- disk. Rows and one clock cannot tell a collector that died before the clock
-- went back from one that lives; what is counted here needs no wall clock.
CREATE TABLE collector_beat (
    one             boolean     PRIMARY KEY DEFAULT true CHECK (one),
    epoch           bigint      NOT NULL CHECK (epoch BETWEEN 1 AND 1000000000000000),
    beats           bigint      NOT NULL CHECK (beats BETWEEN 0 AND 1000000000000000), -- what a waiting collector watches
    beat_at         timestamptz NOT NULL CHECK (isfinite(beat_at)),
    -- How long ago the leader stored its newest good run, on its own monotonic
    -- clock, in seconds of the data's clock. NULL: it stored none, and does not
    -- know how long ago its predecessor did.
    run_age_seconds double precision CHECK (run_age_seconds BETWEEN 0 AND 1e12),
    run_minute      timestamptz CHECK (isfinite(run_minute)), -- of that run
    -- The machine's boot and the seconds since, so that a restart on the same
    -- machine knows how long nobody led.
    boot_id         text,
    boot_seconds    double precision CHECK (boot_seconds BETWEEN 0 AND 1e12),
    weight_left     double precision CHECK (weight_left BETWEEN -1e12 AND 1e12) -- of the upstream's budget, for the successor
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);

-- What the leader's session locks. A view without tables: no vacuum, dump or
-- reindex waits for the lock or stops it, and only who may write here can take it.
CREATE VIEW leader_lock AS SELECT 1 AS one;

-- The session that holds it.
CREATE VIEW leader_sessions AS
SELECT k.pid
FROM pg_locks k
WHERE k.locktype = 'relation' AND k.relation = 'leader_lock'::regclass AND k.mode = 'ShareUpdateExclusiveLock' AND k.granted
    AND k.database = (SELECT oid FROM pg_database WHERE datname = current_database());

-- check_lead is the fence. It raises WG006 on a server on which the lead is not held: the
-- address of a database can lead to a promoted standby while older sessions are still on
-- the primary of before. It raises WG001 unless the epoch and its holder lead,
-- and keeps it so until the transaction ends.
CREATE FUNCTION check_lead(my_epoch bigint, me uuid) RETURNS void
    LANGUAGE plpgsql VOLATILE SET search_path = public, pg_temp
    AS $$
DECLARE
    held_on timestamptz;
BEGIN
    SELECT l.server_start INTO held_on FROM collector_leader l WHERE l.one AND l.epoch = my_epoch AND l.holder = me FOR SHARE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'epoch % does not lead any more', my_epoch USING ERRCODE = 'WG001';
    END IF;
    IF held_on <> pg_postmaster_start_time() THEN
        RAISE EXCEPTION 'the lead is held on another server than this one, or on this one before it was started anew' USING ERRCODE = 'WG006';
    END IF;
END
$$;

-- replica_lags tells whether a standby is too far behind, or too far from the
-- primary's clock, to show what the primary would.
CREATE FUNCTION replica_lags() RETURNS boolean
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = public, pg_temp
    AS $$
BEGIN
    RETURN pg_is_wal_replay_paused() OR NOT EXISTS (
        SELECT FROM collector_beat b WHERE b.beat_at BETWEEN beat_now() - interval '30 seconds' AND beat_now() + interval '5 seconds');
END
$$;

-- Runs. Which check failed a run, and about what, are columns. A superseded run
-- was written by a clock that was ahead, or covers minutes that the clock showed
-- twice: it is kept, feeds nothing, and may be replaced.
ALTER TABLE ingest_runs
    ADD COLUMN failed_check   text,
    ADD COLUMN failed_subject text,
    ADD COLUMN superseded     boolean NOT NULL DEFAULT false,
    ADD CONSTRAINT only_failed_runs_name_a_check CHECK (failed_check IS NULL OR status = 'failed'),
    ADD CONSTRAINT a_subject_needs_a_check CHECK (failed_subject IS NULL OR failed_check IS NOT NULL);
UPDATE ingest_runs SET failed_check = substring(error FROM '^(S[0-9]+):') WHERE status = 'failed';
DROP INDEX ingest_runs_with_data;
DROP INDEX ingest_runs_clean;
CREATE INDEX ingest_runs_current ON ingest_runs (timestamp) WHERE NOT superseded;
CREATE INDEX ingest_runs_with_data ON ingest_runs (timestamp) WHERE status <> 'failed' AND NOT superseded;
CREATE INDEX ingest_runs_clean ON ingest_runs (timestamp) WHERE is_clean AND NOT superseded;
CREATE INDEX ingest_runs_finished ON ingest_runs (finished_at) WHERE NOT superseded;

-- collector_leads tells whether a collector leads: its session holds the lock,
-- its beat is recent, and it stored a good run lately by its own count.
CREATE FUNCTION collector_leads() RETURNS boolean
    LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = public, pg_temp
    AS $$
SELECT EXISTS (
    SELECT
    FROM collector_leader l
    JOIN collector_beat b ON b.one AND b.epoch = l.epoch -- by the key the planner knows that these are single rows
    JOIN leader_sessions k ON k.pid = l.pid
    WHERE l.one AND b.beat_at BETWEEN beat_now() - interval '30 seconds' AND beat_now() + interval '5 seconds'
        AND b.run_age_seconds <= 180
        -- It vouches for a run that still counts.
        AND (b.run_minute IS NULL OR EXISTS (SELECT FROM ingest_runs r WHERE r.timestamp = b.run_minute AND r.status <> 'failed' AND NOT r.superseded)))
$$;

-- vouched is how long ago the leader stored its newest good run, by its own count in
-- seconds of the data's clock, and which run that is: no row when nobody leads. A clock
-- that jumped makes the same run look older than that.
CREATE FUNCTION vouched() RETURNS TABLE (minute timestamptz, seconds double precision)
    LANGUAGE sql VOLATILE SECURITY DEFINER ROWS 1 SET search_path = public, pg_temp SET jit = off
    AS $$
SELECT b.run_minute, b.run_age_seconds + extract(epoch FROM beat_now() - b.beat_at)::double precision
FROM collector_leader l
JOIN collector_beat b ON b.one AND b.epoch = l.epoch
JOIN leader_sessions k ON k.pid = l.pid
WHERE l.one AND b.beat_at BETWEEN beat_now() - interval '30 seconds' AND beat_now() + interval '5 seconds'
    AND b.run_minute IS NOT NULL AND b.run_age_seconds IS NOT NULL
$$;

-- A stretch of minutes that were refused because the clock had shown them before.
-- While one is open the state is STALE (clock_back). Whatever superseded runs is
-- here as well: with no minute refused (times 0) a clock was ahead, or a person said
-- so. Recovery counts from then on.
CREATE TABLE clock_refusals (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    first_minute timestamptz NOT NULL, -- the earliest minute refused
    last_minute  timestamptz NOT NULL, -- the last one refused
    newest       timestamptz NOT NULL, -- the newest stored run when the first was refused
    refused_at   timestamptz NOT NULL DEFAULT whalegate_now(),
    times        bigint      NOT NULL DEFAULT 1,
    settled_at   timestamptz,
    settled_by   text,                 -- 'a later minute', 'an earlier minute', or who accepted the clock
    reason       text,                 -- why they did
    runs         bigint,               -- that were superseded with it
    CONSTRAINT settled_by_somebody CHECK ((settled_at IS NULL) = (settled_by IS NULL))
);
CREATE UNIQUE INDEX clock_refusals_one_open ON clock_refusals ((true)) WHERE settled_at IS NULL;

-- Boundaries that were judged on runs which were superseded: kept as evidence,
-- out of the way of the boundary that has their time.
CREATE TABLE superseded_boundaries (
    id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    timestamp     timestamptz NOT NULL,
    superseded_at timestamptz NOT NULL DEFAULT whalegate_now(),
    cycle         jsonb,
    signals       jsonb       NOT NULL
);
CREATE INDEX superseded_boundaries_timestamp ON superseded_boundaries (timestamp);

-- An alert of such a boundary was told, and stays; the boundary that has its time
-- may fire again.
ALTER TABLE alerts ADD COLUMN superseded boolean NOT NULL DEFAULT false;
DROP INDEX alerts_once;
CREATE UNIQUE INDEX alerts_once ON alerts (timestamp, asset, alert_type) WHERE NOT superseded;

-- pull_back gives what people and senders dated by a clock that was ahead the present
-- instead: a halt could not be resumed, a pause would last on, and a delivery would
-- wait until that time comes.
CREATE FUNCTION pull_back() RETURNS void
    LANGUAGE plpgsql VOLATILE SET search_path = public, pg_temp
    AS $$
DECLARE
    now timestamptz := whalegate_now();
BEGIN
    PERFORM FROM alert_state ORDER BY asset, alert_type FOR UPDATE; -- before the alerts, as those that decide them do
    UPDATE halts SET halted_at = least(halted_at, now), resumed_at = CASE WHEN resumed_at > now THEN now ELSE resumed_at END
    WHERE greatest(halted_at, resumed_at) > now;
    UPDATE alert_pauses SET paused_at = now, until = now + (until - paused_at), unpaused_at = CASE WHEN unpaused_at > now THEN now ELSE unpaused_at END
    WHERE paused_at > now;
    -- What was told of a system alert stays; it would be the newest one until that time.
    -- No two of them may have one time.
    UPDATE alerts a SET timestamp = least(a.timestamp, o.at), resolved_at = CASE WHEN a.resolved_at > now THEN now ELSE a.resolved_at END
    FROM (
        SELECT s.id, now - (row_number() OVER (ORDER BY s.timestamp DESC) - 1) * interval '1 millisecond' AS at
        FROM alerts s
        WHERE s.asset = 'SYSTEM' AND greatest(s.timestamp, s.resolved_at) > now
    ) o
    WHERE a.id = o.id;
    UPDATE alert_deliveries
    SET expires_at = CASE WHEN created_at > now THEN now + (expires_at - created_at) ELSE expires_at END,
        created_at = least(created_at, now),
        next_attempt_at = least(next_attempt_at, now),
        last_attempt_at = CASE WHEN last_attempt_at > now THEN now - interval '1 hour' ELSE last_attempt_at END
    WHERE state IN ('pending', 'unknown') AND greatest(created_at, last_attempt_at) > now;
    UPDATE alert_state
    SET last_triggered = CASE WHEN last_triggered > now THEN now ELSE last_triggered END,
        cooldown_until = CASE WHEN cooldown_until > now + interval '60 minutes' THEN now + interval '60 minutes' ELSE cooldown_until END
    WHERE last_triggered > now OR cooldown_until > now + interval '60 minutes';
    UPDATE clock_refusals SET settled_at = now WHERE settled_at > now;
END
$$;

-- move_boundaries takes what was decided after one instant and before another out of
-- the way, because the runs that it stood on are superseded.
CREATE FUNCTION move_boundaries(after timestamptz, before timestamptz) RETURNS void
    LANGUAGE plpgsql VOLATILE SET search_path = public, pg_temp
    AS $$
BEGIN
    PERFORM FROM alert_state ORDER BY asset, alert_type FOR UPDATE; -- before the alerts, as those that decide them do
    INSERT INTO superseded_boundaries (timestamp, cycle, signals)
    SELECT coalesce(c.timestamp, s.timestamp), to_jsonb(c), coalesce(s.list, '[]')
    FROM (SELECT * FROM signal_cycles WHERE timestamp > after AND timestamp < before) c
    FULL JOIN (
        SELECT timestamp, jsonb_agg(to_jsonb(signals)) AS list FROM signals WHERE timestamp > after AND timestamp < before GROUP BY timestamp
    ) s USING (timestamp);
    DELETE FROM signals WHERE timestamp > after AND timestamp < before;
    DELETE FROM signal_cycles WHERE timestamp > after AND timestamp < before;
    UPDATE alerts SET superseded = true WHERE timestamp > after AND timestamp < before AND asset <> 'SYSTEM' AND NOT superseded;
    -- What nobody was told of it yet, nobody is told.
    DELETE FROM alert_deliveries d USING alerts a
    WHERE a.id = d.alert_id AND a.superseded AND d.state = 'pending'
        AND NOT EXISTS (SELECT FROM alert_deliveries f WHERE f.alert_id = d.alert_id AND f.receiver = d.receiver AND f.kind = 'firing' AND (f.attempts > 0 OR f.state <> 'pending'));
    -- What is remembered of alerts must not reach beyond the present: no boundary
    -- would be looked at until the clock came there again.
    UPDATE alert_state
    SET last_period = least(last_period, date_bin('5 minutes', after, 'epoch')), pending_playbook = NULL, pending_periods = 0
    WHERE last_period > after;
END
$$;

-- supersede_minutes marks the runs after one instant and before another, and takes
-- what was decided from them out of the way. It tells how many runs that were.
CREATE FUNCTION supersede_minutes(after timestamptz, before timestamptz) RETURNS bigint
    LANGUAGE plpgsql VOLATILE SET search_path = public, pg_temp
    AS $$
DECLARE
    marked bigint;
BEGIN
    UPDATE ingest_runs SET superseded = true WHERE timestamp > after AND timestamp < before AND NOT superseded;
    GET DIAGNOSTICS marked = ROW_COUNT;
    IF marked = 0 THEN
        RETURN 0;
    END IF;
    PERFORM move_boundaries(after, before);
    PERFORM pull_back();
    RETURN marked;
END
$$;

-- better_run tells whether one reading of a minute is better than another:
-- status, then coverage, then fewer sizes that could not be read.
CREATE FUNCTION better_run(status text, coverage numeric, non_null numeric, than ingest_runs) RETURNS boolean
    LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp
    AS $$
SELECT (array_position('{failed,partial,success}', status), coverage, non_null)
    > (array_position('{failed,partial,success}', than.status), than.coverage_pct, than.hype_non_null_pct + than.btc_non_null_pct + than.eth_non_null_pct)
$$;

-- admit_minute decides whether a run of a minute may be stored, and raises when
-- not: WG002 when its time is not of the database's present (S1), WG003 when the
-- clock has shown the minute before (clock_back), WG004 when what is stored is as
-- good, or a signal has judged it (worse). What it finds stored for later minutes was
-- written by a clock that was ahead, unless the clock went back: a good minute
-- supersedes it.
--
-- A clock that went back and caught up has shown every minute since the first refused
-- one twice: those are superseded, because nobody can tell how long ago they were
-- written. One that was put right again, as the collector's monotonic clock knows (put_right),
-- has shown none of them twice. Where nobody knows, a day at the most is set aside.
--
-- A gap among what is stored does not tell which clock is wrong. A clock that went back,
-- as the collector's monotonic clock knows (went_back), or because it has shown stored
-- minutes before this one, supersedes nothing: the minute is refused like those.
-- It tells how many runs it superseded.
CREATE FUNCTION admit_minute(minute timestamptz, status text, coverage numeric, non_null numeric, put_right boolean, went_back boolean) RETURNS bigint
    LANGUAGE plpgsql VOLATILE SET search_path = public, pg_temp
    AS $$
DECLARE
    newest ingest_runs;
    stored ingest_runs;
    good   timestamptz;
    lead   interval := minute - whalegate_now();
    marked bigint := 0;
    open   clock_refusals;
BEGIN
    IF lead > interval '30 seconds' OR lead < interval '-3 minutes' THEN
        RAISE EXCEPTION 'the snapshot''s timestamp is not of the database''s present' USING ERRCODE = 'WG002', DETAIL = extract(epoch FROM lead)::text;
    END IF;
    SELECT * INTO newest FROM ingest_runs r WHERE NOT r.superseded ORDER BY r.timestamp DESC LIMIT 1;
    IF newest.timestamp < minute THEN -- as it is nearly always
        SELECT * INTO open FROM clock_refusals c WHERE c.settled_at IS NULL FOR UPDATE;
        IF FOUND THEN
            IF NOT put_right AND minute <= open.first_minute + interval '1 day' THEN
                marked := supersede_minutes(open.first_minute - interval '1 microsecond', minute);
            END IF;
            UPDATE clock_refusals SET settled_at = whalegate_now(), settled_by = 'a later minute', runs = marked WHERE id = open.id;
        END IF;
        RETURN marked;
    END IF;
    IF newest.run_id IS NULL THEN
        RETURN 0;
    END IF;
    SELECT r.timestamp INTO good FROM ingest_runs r WHERE NOT r.superseded AND r.status <> 'failed' ORDER BY r.timestamp DESC LIMIT 1;
    IF good > minute + interval '1 day' THEN
        RAISE EXCEPTION 'the newest good run is of %, more than a day later', good USING ERRCODE = 'WG003', DETAIL = good::text;
    END IF;
    SELECT * INTO stored FROM ingest_runs r WHERE r.timestamp = minute AND NOT r.superseded;
    IF stored.run_id IS NOT NULL THEN
        IF newest.timestamp > minute THEN
            RAISE EXCEPTION 'the minute is stored, and so are later ones, up to %', newest.timestamp USING ERRCODE = 'WG003', DETAIL = newest.timestamp::text;
        END IF;
        IF NOT better_run(status, coverage, non_null, stored) OR EXISTS (SELECT FROM signals s WHERE s.timestamp >= minute) THEN
            RAISE EXCEPTION 'the minute is stored, and this reading is no better or comes after its signal' USING ERRCODE = 'WG004';
        END IF;
    END IF;
    SELECT * INTO open FROM clock_refusals c WHERE c.settled_at IS NULL FOR UPDATE;
    IF newest.timestamp > minute AND (went_back OR open.id IS NOT NULL AND NOT put_right) THEN
        RAISE EXCEPTION 'the clock went back: minutes up to % are stored', newest.timestamp USING ERRCODE = 'WG003', DETAIL = newest.timestamp::text;
    END IF;
    IF status <> 'failed' THEN
        -- Where later runs are stored, that clock has judged this minute's boundary, too.
        marked := supersede_minutes(least(CASE WHEN newest.timestamp > minute THEN minute - interval '1 microsecond' ELSE minute END,
            CASE WHEN NOT put_right AND minute <= open.first_minute + interval '1 day' THEN open.first_minute - interval '1 microsecond' END), 'infinity');
        IF open.id IS NOT NULL THEN
            UPDATE clock_refusals SET settled_at = whalegate_now(), settled_by = 'an earlier minute', runs = marked WHERE id = open.id;
        ELSIF marked > 0 THEN
            INSERT INTO clock_refusals (first_minute, last_minute, newest, times, settled_at, settled_by, runs)
            VALUES (minute, minute, newest.timestamp, 0, whalegate_now(), 'an earlier minute', marked);
        END IF;
    END IF;
    RETURN marked;
END
$$;

-- refuse_minute records that a minute was refused because the clock had shown it
-- before.
CREATE FUNCTION refuse_minute(minute timestamptz) RETURNS void
    LANGUAGE sql VOLATILE SET search_path = public, pg_temp
    AS $$
INSERT INTO clock_refusals AS c (first_minute, last_minute, newest)
SELECT minute, minute, r.timestamp FROM ingest_runs r WHERE NOT r.superseded ORDER BY r.timestamp DESC LIMIT 1
ON CONFLICT ((true)) WHERE settled_at IS NULL DO UPDATE SET
    first_minute = least(c.first_minute, excluded.first_minute), last_minute = excluded.last_minute, times = c.times + 1
$$;

-- accept_clock is a person's word that the present clock is right: later runs are
-- not. It tells how many were superseded.
CREATE FUNCTION accept_clock(who text, why text) RETURNS bigint
    LANGUAGE plpgsql VOLATILE SET search_path = public, pg_temp
    AS $$
DECLARE
    now    timestamptz;
    open   clock_refusals;
    marked bigint;
    ended  bigint; -- runs that ended later than that, whatever their minute
    first_ended timestamptz;
BEGIN
    PERFORM FROM collector_leader FOR UPDATE; -- nothing of the leader's is under way
    now := whalegate_now();
    SELECT * INTO open FROM clock_refusals c WHERE c.settled_at IS NULL FOR UPDATE;
    marked := supersede_minutes(least(now, CASE WHEN now <= open.first_minute + interval '1 day' THEN open.first_minute - interval '1 microsecond' END), 'infinity');
    PERFORM pull_back();
    SELECT min(r.timestamp) INTO first_ended FROM ingest_runs r WHERE NOT r.superseded AND r.finished_at > now;
    PERFORM move_boundaries(first_ended - interval '1 microsecond', 'infinity');
    UPDATE ingest_runs SET superseded = true WHERE finished_at > now AND NOT superseded;
    GET DIAGNOSTICS ended = ROW_COUNT;
    marked := marked + ended;
    IF open.id IS NOT NULL THEN
        UPDATE clock_refusals SET settled_at = now, settled_by = who, reason = why, runs = marked WHERE id = open.id;
    ELSE
        INSERT INTO clock_refusals (first_minute, last_minute, newest, refused_at, times, settled_at, settled_by, reason, runs)
        VALUES (now, now, now, now, 0, now, who, why, marked);
    END IF;
    RETURN marked;
END
$$;

-- collector_who tells who leads and who waits. Those that wait are told by the name
-- of their session; only a role that may lead can wait. The planner takes the tables
-- of one row for larger ones: to compile it would take a hundred times as long.
CREATE FUNCTION collector_who()
    RETURNS TABLE (leads boolean, epoch bigint, host text, process integer, session integer, present boolean, taken_at timestamptz,
        beat_seconds double precision, run_age_seconds double precision, waiting text[])
    LANGUAGE sql VOLATILE SECURITY DEFINER ROWS 1 SET search_path = public, pg_temp SET jit = off
    AS $$
SELECT collector_leads(), l.epoch, l.host, l.process, l.pid,
    EXISTS (SELECT FROM leader_sessions k WHERE k.pid = l.pid),
    l.taken_at, extract(epoch FROM beat_now() - b.beat_at)::double precision, b.run_age_seconds,
    coalesce((
        SELECT array_agg(substring(a.application_name FROM '^whalegate waits (.*)$') ORDER BY a.pid)
        FROM pg_stat_activity a
        WHERE a.datname = current_database() AND a.application_name LIKE 'whalegate waits %' AND has_table_privilege(a.usesysid, 'collector_leader', 'UPDATE')), '{}')
FROM (VALUES (1)) one
LEFT JOIN collector_leader l ON l.one
LEFT JOIN collector_beat b ON b.one
$$;

-- Days of snapshots come and go one at a time. What keeps them apart is nobody's to
-- take but the owner's: an advisory lock could be taken by whoever knows its name.
CREATE VIEW partition_lock AS SELECT 1 AS one;
DO $$
DECLARE
    f text;
BEGIN
    FOREACH f IN ARRAY '{ensure_snapshot_partitions,drop_snapshot_partitions}'::text[] LOOP
        EXECUTE replace(pg_get_functiondef(f::regproc), $old$PERFORM pg_advisory_xact_lock(hashtext('whalegate.partitions'))$old$,
            $new$LOCK TABLE public.partition_lock IN EXCLUSIVE MODE$new$);
    END LOOP;
END
$$;
