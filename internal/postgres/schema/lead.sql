-- Who leads is a row and a lock. The row is the fence: every transaction of the
-- leader's jobs begins with check_lead(), so a process whose epoch is over writes
-- nothing, wherever it wakes up. The lock shows that the leader lives: the server
-- gives it back when the session ends, whatever any clock says.

-- database_place tells one database from another that has the same rows, as a restored
-- dump has. A standby that is promoted is the same.
CREATE OR REPLACE FUNCTION database_place() RETURNS text
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

-- leader_sessions is the session that holds the leader's lock.
CREATE OR REPLACE VIEW leader_sessions AS
SELECT k.pid
FROM pg_locks k
WHERE k.locktype = 'relation' AND k.relation = 'leader_lock'::regclass AND k.mode = 'ShareUpdateExclusiveLock' AND k.granted
    AND k.database = (SELECT oid FROM pg_database WHERE datname = current_database());

-- check_lead is the fence. It raises WG006 on a server on which the lead is not held: the
-- address of a database can lead to a promoted standby while older sessions are still on
-- the primary of before. It raises WG001 unless the epoch and its holder lead,
-- and keeps it so until the transaction ends.
CREATE OR REPLACE FUNCTION check_lead(my_epoch bigint, me uuid) RETURNS void
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

-- collector_leads tells whether a collector leads: its session holds the lock,
-- its beat is recent, and it stored a good run lately by its own count.
CREATE OR REPLACE FUNCTION collector_leads() RETURNS boolean
    LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = public, pg_temp
    AS $$
SELECT EXISTS (
    SELECT
    FROM collector_leader l
    JOIN collector_beat b ON b.one AND b.epoch = l.epoch -- by the key the planner knows that these are single rows
    JOIN leader_sessions k ON k.pid = l.pid
    WHERE l.one AND b.beat_at BETWEEN beat_now() - facts.beat_old() AND beat_now() + facts.beat_ahead()
        AND b.run_age_seconds <= extract(epoch FROM facts.own_run_old())
        -- It vouches for a run that still counts.
        AND (b.run_minute IS NULL OR EXISTS (SELECT FROM ingest_runs r WHERE r.timestamp = b.run_minute AND r.status <> 'failed' AND NOT r.superseded)))
$$;

-- vouched is how long ago the leader stored its newest good run, by its own count in
-- seconds of the data's clock, and which run that is: no row when nobody leads. A clock
-- that jumped makes the same run look older than that.
CREATE OR REPLACE FUNCTION vouched() RETURNS TABLE (minute timestamptz, seconds double precision)
    LANGUAGE sql VOLATILE SECURITY DEFINER ROWS 1 SET search_path = public, pg_temp SET jit = off
    AS $$
SELECT b.run_minute, b.run_age_seconds + extract(epoch FROM beat_now() - b.beat_at)::double precision
FROM collector_leader l
JOIN collector_beat b ON b.one AND b.epoch = l.epoch
JOIN leader_sessions k ON k.pid = l.pid
WHERE l.one AND b.beat_at BETWEEN beat_now() - facts.beat_old() AND beat_now() + facts.beat_ahead()
    AND b.run_minute IS NOT NULL AND b.run_age_seconds IS NOT NULL
$$;

-- lead_session is the session of whoever leads. It stays in its transaction on purpose:
-- it has a state of its own, and does not count as an open transaction.
CREATE OR REPLACE FUNCTION lead_session() RETURNS integer
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp
    AS $$
SELECT l.pid
FROM collector_leader l
WHERE l.one AND EXISTS (SELECT FROM leader_sessions k WHERE k.pid = l.pid)
$$;

-- replica_lags tells whether a standby is too far behind, or too far from the
-- primary's clock, to show what the primary would.
CREATE OR REPLACE FUNCTION replica_lags() RETURNS boolean
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = public, pg_temp
    AS $$
BEGIN
    RETURN pg_is_wal_replay_paused() OR NOT EXISTS (
        SELECT FROM collector_beat b WHERE b.beat_at BETWEEN beat_now() - facts.beat_old() AND beat_now() + facts.beat_ahead());
END
$$;

-- collector_who tells who leads and who waits. Those that wait are told by the name
-- of their session; only a role that may lead can wait. The planner takes the tables
-- of one row for larger ones: to compile it would take a hundred times as long.
CREATE OR REPLACE FUNCTION collector_who()
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
