-- ingest_health_at as in 0004, and right where it was not: a walk of random steps
-- against a second implementation found three instants at which it was too kind.
--
-- - A halt in force holds also when the clock went back behind its beginning.
-- - A run that was stored more than a minute before its own time made the state
--   STALE (clock_skew): that has to be recovered from, as everything else.
-- - Of the two clean minutes of a recovery neither may have ended too late.
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
    AS $$
DECLARE
    live          CONSTANT boolean     := at IS NULL;
    judged_at     CONSTANT timestamptz := coalesce(at, whalegate_now());
    -- A run that claims to be from the future is looked at too, but only now.
    upto          CONSTANT timestamptz := CASE WHEN live THEN 'infinity' ELSE at END;
    newest        ingest_runs;
    last_good     timestamptz;
    age           interval;
    pair          ingest_runs; -- the newest run that completed two clean minutes in time
    superseded_at timestamptz; -- when a newer run than the pair came, if one did
    held_until    timestamptz; -- the end of the last time that recovery held
    stale         text[] := '{}';
    degraded      text[] := '{}';
    clean         integer;
BEGIN
    SELECT * INTO newest
    FROM ingest_runs r
    WHERE r.timestamp <= upto AND r.finished_at <= judged_at
    ORDER BY r.timestamp DESC LIMIT 1;

    SELECT r.timestamp INTO last_good
    FROM ingest_runs r
    WHERE r.timestamp <= upto AND r.finished_at <= judged_at AND r.status <> 'failed'
    ORDER BY r.timestamp DESC LIMIT 1;
    age := judged_at - last_good;

    -- The unbroken row of clean minutes up to the newest run, ten at most.
    SELECT count(*) INTO clean
    FROM (
        SELECT bool_and(r.is_clean AND r.timestamp = newest.timestamp - (n - 1) * interval '1 minute')
                   OVER (ORDER BY r.timestamp DESC) AS unbroken
        FROM (
            SELECT i.timestamp, i.is_clean, row_number() OVER (ORDER BY i.timestamp DESC) AS n
            FROM ingest_runs i
            WHERE i.timestamp <= upto AND i.finished_at <= judged_at
            ORDER BY i.timestamp DESC LIMIT 10
        ) r
    ) streak
    WHERE unbroken;

    -- What makes it STALE by itself.
    IF newest.run_id IS NULL THEN
        stale := stale || 'no_runs'::text;
    ELSE
        IF age IS NULL OR age > interval '10 minutes' THEN
            stale := stale || 'snapshot_age'::text;
        END IF;
        IF newest.timestamp > judged_at + interval '1 minute' THEN
            stale := stale || 'clock_skew'::text;
        END IF;
        IF newest.status = 'failed' THEN
            stale := stale || 'run_failed'::text;
        END IF;
        IF newest.coverage_pct < 80 THEN
            stale := stale || 'coverage'::text;
        END IF;
        stale := stale || null_share_reasons(newest, 60);
    END IF;
    IF live AND EXISTS (SELECT FROM alert_state s WHERE s.alert_type = 'system_stale' AND s.is_active) THEN
        stale := stale || 'system_stale'::text;
    END IF;
    IF EXISTS (
        SELECT FROM halts h
        WHERE live AND h.resumed_at IS NULL
            OR h.halted_at <= judged_at AND (h.resumed_at IS NULL OR h.resumed_at > judged_at))
    THEN
        stale := stale || 'halted'::text;
    END IF;

    -- Was it STALE after recovery last held?
    IF stale = '{}' AND NOT (clean >= 2 AND age <= interval '2 minutes') THEN
        SELECT r.* INTO pair
        FROM ingest_runs r
        JOIN ingest_runs before ON before.timestamp = r.timestamp - interval '1 minute'
            AND before.is_clean AND before.finished_at <= judged_at
            AND before.finished_at <= r.timestamp + interval '2 minutes'
        WHERE r.is_clean AND r.timestamp <= upto AND r.finished_at <= judged_at
            AND r.finished_at <= r.timestamp + interval '2 minutes'
            AND cardinality(null_share_reasons(r, 60)) = 0
        ORDER BY r.timestamp DESC LIMIT 1;

        SELECT min(r.finished_at) INTO superseded_at
        FROM ingest_runs r
        WHERE r.timestamp > pair.timestamp AND r.timestamp <= upto AND r.finished_at <= judged_at;
        held_until := least(pair.timestamp + interval '2 minutes', superseded_at);

        IF pair.run_id IS NULL
            OR EXISTS (
                SELECT FROM ingest_runs r
                WHERE r.timestamp > pair.timestamp AND r.timestamp <= upto AND r.finished_at <= judged_at
                    AND (r.status = 'failed' OR r.coverage_pct < 80 OR cardinality(null_share_reasons(r, 60)) > 0
                        OR r.timestamp > r.finished_at + interval '1 minute'))
            OR EXISTS (
                SELECT
                FROM (
                    SELECT r.finished_at, lag(r.timestamp) OVER (ORDER BY r.timestamp) AS previous
                    FROM ingest_runs r
                    WHERE r.timestamp >= pair.timestamp AND r.timestamp <= upto
                        AND r.finished_at <= judged_at AND r.status <> 'failed'
                ) gap
                WHERE gap.finished_at > gap.previous + interval '10 minutes')
            OR EXISTS (
                SELECT FROM halts h
                WHERE h.halted_at <= judged_at AND (h.resumed_at IS NULL OR h.resumed_at > held_until OR h.resumed_at >= superseded_at))
        THEN
            stale := stale || 'recovering'::text;
        END IF;
    END IF;

    IF stale = '{}' THEN
        IF age > interval '2 minutes' THEN
            degraded := degraded || 'snapshot_age'::text;
        END IF;
        IF newest.coverage_pct < 90 THEN
            degraded := degraded || 'coverage'::text;
        END IF;
        degraded := degraded || null_share_reasons(newest, 80);
    END IF;

    RETURN QUERY SELECT
        CASE WHEN stale <> '{}' THEN 'STALE' WHEN degraded <> '{}' THEN 'DEGRADED' ELSE 'HEALTHY' END,
        newest.status,
        last_good,
        extract(epoch FROM age)::double precision,
        newest.coverage_pct,
        clean,
        stale || degraded;
END
$$;
