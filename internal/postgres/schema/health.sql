-- Health: the one definition of whether the data may be acted on.

-- null_share_reasons names the assets whose share of readable sizes is below a
-- percentage.
CREATE OR REPLACE FUNCTION null_share_reasons(run ingest_runs, below numeric) RETURNS text[]
    LANGUAGE sql IMMUTABLE
    AS $$
SELECT coalesce(array_agg('null_szi:' || asset), '{}')
FROM (VALUES ('HYPE', run.hype_non_null_pct), ('BTC', run.btc_non_null_pct), ('ETH', run.eth_non_null_pct)) AS share (asset, pct)
WHERE share.pct < below
$$;

-- ingest_health_at judges the data. Without an argument it judges now, by the
-- clock of the database; with one it judges that instant, from the runs and
-- halts as they stood then (alert_state has no history, and a system alert adds
-- nothing that the runs do not say: it fires by their age and clears by the
-- recovery below).
--
-- Recovery is derived, not remembered. It holds at an instant when the two
-- newest runs are consecutive clean minutes, neither ended too late, the newest is at
-- most two minutes old, and nothing else makes the state STALE. The state is held down
-- (recovering) when the last instant at which something made it STALE is later than the
-- last one at which recovery held. So a restart forgets nothing. A halt in force holds
-- also when the clock went back behind its beginning.
--
-- Clocks lie, and collectors die:
--
-- - A stored run that finished more than five seconds after the clock that judges
--   makes the state STALE (clock_skew). It is never hidden.
-- - Superseded runs feed nothing.
-- - While minutes are refused because the clock has shown them before, the state is
--   STALE (clock_back).
-- - Age is the greater of that since a run's minute and that since it finished.
-- - HEALTHY needs a collector that leads (no_collector). On a standby, where nobody
--   sees the primary's sessions, the replicated beat must be recent (replica_lag).
--
-- clock_back, replica_lag and no_collector are of the moment of reading: the past is
-- judged by runs and halts alone.
CREATE OR REPLACE FUNCTION ingest_health_at(at timestamptz DEFAULT NULL)
    RETURNS TABLE (
        health_state             text,
        snapshot_status          text,
        last_success_snapshot_ts timestamptz,
        snapshot_age_seconds     double precision,
        coverage_pct             numeric,
        clean_runs               integer,
        reasons                  text[])
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = public, pg_temp
    -- Whatever is asked for, it is found by walking back from the newest run. A planner
    -- that does not know the times of a later call, as from the sixth one of a session,
    -- would read and sort all runs: half a second instead of one millisecond.
    SET enable_seqscan = off SET enable_bitmapscan = off SET enable_sort = off SET enable_hashjoin = off SET enable_mergejoin = off SET jit = off
    AS $$
DECLARE
    live          CONSTANT boolean     := at IS NULL;
    standby       CONSTANT boolean     := pg_is_in_recovery();
    judged_at     CONSTANT timestamptz := coalesce(at, whalegate_now());
    -- Now, a run from the future is looked at too: it is never hidden. The past is
    -- judged by what had been stored by then.
    upto          CONSTANT timestamptz := CASE WHEN live THEN 'infinity' ELSE at END;
    -- The minute of a run may be so far ahead of its end (S1).
    latest        CONSTANT timestamptz := upto + facts.clock_skew();
    newest        ingest_runs;
    last_good     ingest_runs;
    age           interval;
    pair          ingest_runs; -- the newest run that completed two clean minutes in time
    superseded_at timestamptz; -- when a newer run than the pair came, if one did
    held_until    timestamptz; -- the end of the last time that recovery held
    settled       timestamptz; -- when runs were last superseded: a clock had been wrong
    stale         text[] := '{}';
    degraded      text[] := '{}';
    clean         integer;
BEGIN
    SELECT * INTO newest
    FROM ingest_runs r
    WHERE NOT r.superseded AND r.timestamp <= latest AND r.finished_at <= upto
    ORDER BY r.timestamp DESC LIMIT 1;

    SELECT * INTO last_good
    FROM ingest_runs r
    WHERE NOT r.superseded AND r.timestamp <= latest AND r.finished_at <= upto AND r.status <> 'failed'
    ORDER BY r.timestamp DESC LIMIT 1;
    age := judged_at - least(last_good.timestamp, last_good.finished_at); -- the greater of both ages

    -- The unbroken row of clean minutes up to the newest run, ten at most.
    SELECT count(*) INTO clean
    FROM (
        SELECT bool_and(r.is_clean AND r.timestamp = newest.timestamp - (n - 1) * interval '1 minute')
                   OVER (ORDER BY r.timestamp DESC) AS unbroken
        FROM (
            SELECT i.timestamp, i.is_clean, row_number() OVER (ORDER BY i.timestamp DESC) AS n
            FROM ingest_runs i
            WHERE NOT i.superseded AND i.timestamp <= latest AND i.finished_at <= upto
            ORDER BY i.timestamp DESC LIMIT 10
        ) r
    ) streak
    WHERE unbroken;

    -- What makes it STALE by itself.
    IF newest.run_id IS NULL THEN
        stale := stale || 'no_runs'::text;
    ELSE
        IF age IS NULL OR age > facts.snapshot_old() THEN
            stale := stale || 'snapshot_age'::text;
        END IF;
        IF live AND (newest.timestamp > judged_at + interval '1 minute'
            OR EXISTS (SELECT FROM ingest_runs r WHERE NOT r.superseded AND r.finished_at > judged_at + interval '5 seconds'))
        THEN
            stale := stale || 'clock_skew'::text;
        END IF;
        IF newest.status = 'failed' THEN
            stale := stale || 'run_failed'::text;
        END IF;
        IF newest.coverage_pct < facts.coverage_low() THEN
            stale := stale || 'coverage'::text;
        END IF;
        stale := stale || null_share_reasons(newest, 60);
    END IF;
    IF live AND EXISTS (SELECT FROM clock_refusals c WHERE c.settled_at IS NULL) THEN
        stale := stale || 'clock_back'::text;
    END IF;
    IF live AND standby AND replica_lags() THEN
        stale := stale || 'replica_lag'::text;
    END IF;
    IF live AND EXISTS (SELECT FROM alert_state s WHERE s.alert_type = 'system_stale' AND s.is_active) THEN
        stale := stale || 'system_stale'::text;
    END IF;
    IF EXISTS (
        SELECT FROM halts h
        WHERE h.resumed_at IS NULL AND (live OR h.halted_at <= judged_at)
            OR NOT live AND h.halted_at <= judged_at AND h.resumed_at > judged_at)
    THEN
        stale := stale || 'halted'::text;
    END IF;

    -- Was it STALE after recovery last held? Of a clock that was wrong only minutes
    -- that were stored since help to recover.
    SELECT max(c.settled_at) INTO settled FROM clock_refusals c WHERE c.runs > 0 AND c.settled_at <= judged_at;
    settled := coalesce(settled, '-infinity');
    IF stale = '{}' AND NOT (clean >= 2 AND age <= facts.snapshot_late() AND EXISTS (
        SELECT FROM ingest_runs r WHERE r.timestamp = newest.timestamp - interval '1 minute' AND NOT r.superseded AND r.finished_at >= settled))
    THEN
        SELECT r.* INTO pair
        FROM ingest_runs r
        WHERE r.is_clean AND NOT r.superseded AND r.timestamp <= latest AND r.finished_at <= upto
            AND r.finished_at <= r.timestamp + interval '2 minutes'
            AND cardinality(null_share_reasons(r, 60)) = 0
            AND EXISTS (
                SELECT FROM ingest_runs before
                WHERE before.timestamp = r.timestamp - interval '1 minute'
                    AND before.is_clean AND NOT before.superseded AND before.finished_at <= upto
                    AND before.finished_at <= least(r.timestamp, r.finished_at) + interval '2 minutes'
                    AND before.finished_at >= settled
                OFFSET 0)
        ORDER BY r.timestamp DESC LIMIT 1;

        SELECT min(r.finished_at) INTO superseded_at
        FROM ingest_runs r
        WHERE NOT r.superseded AND r.timestamp > pair.timestamp AND r.timestamp <= latest AND r.finished_at <= upto;
        held_until := least(least(pair.timestamp, pair.finished_at) + interval '2 minutes', superseded_at);

        IF pair.run_id IS NULL
            OR EXISTS (
                SELECT FROM ingest_runs r
                WHERE NOT r.superseded AND r.timestamp > pair.timestamp AND r.timestamp <= latest AND r.finished_at <= upto
                    AND (r.status = 'failed' OR r.coverage_pct < facts.coverage_low() OR cardinality(null_share_reasons(r, 60)) > 0
                        OR r.timestamp > r.finished_at + interval '1 minute'))
            OR EXISTS (
                SELECT
                FROM (
                    SELECT r.finished_at, lag(least(r.timestamp, r.finished_at)) OVER (ORDER BY r.timestamp) AS previous
                    FROM ingest_runs r
                    WHERE NOT r.superseded AND r.timestamp >= pair.timestamp AND r.timestamp <= latest
                        AND r.finished_at <= upto AND r.status <> 'failed'
                ) gap
                WHERE gap.finished_at > gap.previous + facts.snapshot_old())
            OR EXISTS (
                SELECT FROM halts h
                WHERE h.halted_at <= judged_at AND (h.resumed_at IS NULL OR h.resumed_at > held_until OR h.resumed_at >= superseded_at))
        THEN
            stale := stale || 'recovering'::text;
        END IF;
    END IF;

    IF stale = '{}' THEN
        IF age > facts.snapshot_late() THEN
            degraded := degraded || 'snapshot_age'::text;
        END IF;
        IF newest.coverage_pct < facts.coverage_thin() THEN
            degraded := degraded || 'coverage'::text;
        END IF;
        degraded := degraded || null_share_reasons(newest, 80);
        -- Nobody but the primary sees who leads.
        IF live AND NOT standby AND NOT collector_leads() THEN
            degraded := degraded || 'no_collector'::text;
        END IF;
    END IF;

    RETURN QUERY SELECT
        CASE WHEN stale <> '{}' THEN 'STALE' WHEN degraded <> '{}' THEN 'DEGRADED' ELSE 'HEALTHY' END,
        newest.status,
        last_good.timestamp,
        extract(epoch FROM age)::double precision,
        newest.coverage_pct,
        clean,
        stale || degraded;
END
$$;

CREATE OR REPLACE VIEW ingest_health AS
SELECT health_state, snapshot_status, last_success_snapshot_ts, snapshot_age_seconds, coverage_pct, clean_runs, reasons
FROM ingest_health_at();

-- board_health is health as the board asks it. It never raises: when the state
-- cannot be told it is STALE, and the reason is health_unknown.
CREATE OR REPLACE FUNCTION board_health()
    RETURNS TABLE (
        health_state             text,
        snapshot_status          text,
        last_success_snapshot_ts timestamptz,
        snapshot_age_seconds     double precision,
        coverage_pct             numeric,
        clean_runs               integer,
        reasons                  text[])
    LANGUAGE plpgsql STABLE SECURITY DEFINER ROWS 1 SET search_path = public, pg_temp
    AS $$
BEGIN
    RETURN QUERY SELECT * FROM ingest_health_at();
    IF NOT FOUND THEN
        RAISE no_data_found;
    END IF;
EXCEPTION WHEN OTHERS THEN
    RETURN QUERY SELECT 'STALE', NULL::text, NULL::timestamptz, NULL::double precision, NULL::numeric, 0, '{health_unknown}'::text[];
END
$$;

-- reason_words gives a reason of health in words. Where there is little room, what
-- follows the colon may be left out.
CREATE OR REPLACE FUNCTION reason_words(reason text) RETURNS text
    LANGUAGE sql IMMUTABLE
    AS $$
SELECT CASE reason
    WHEN 'no_runs' THEN 'nothing has run yet'
    WHEN 'snapshot_age' THEN 'the newest good snapshot is too old'
    WHEN 'clock_skew' THEN 'a clock is wrong: a stored run is later than the database''s clock'
    WHEN 'clock_back' THEN 'the clock went back: minutes it has shown before are refused'
    WHEN 'run_failed' THEN 'the newest run failed'
    WHEN 'coverage' THEN 'too few wallets could be read'
    WHEN 'no_collector' THEN 'no collector leads'
    WHEN 'replica_lag' THEN 'this standby lags: its primary''s beat is old, or their clocks differ'
    WHEN 'system_stale' THEN 'the system alert is active'
    WHEN 'halted' THEN 'a halt is in force'
    WHEN 'recovering' THEN 'waiting for two clean minutes in a row'
    WHEN 'database' THEN 'the database cannot be asked'
    WHEN 'health_unknown' THEN 'health cannot be judged'
    ELSE coalesce('too many sizes of ' || substring(reason FROM '^null_szi:(.+)$') || ' cannot be read', replace(reason, '_', ' '))
END
$$;
