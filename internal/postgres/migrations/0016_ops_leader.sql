-- What the boards show of the leader and of clocks that lie. Superseded runs are
-- left out wherever runs are judged or counted. Still no signal value anywhere.

-- Superseded signals are as secret as the others: the planner keeps no values of them.
ALTER TABLE superseded_boundaries ALTER COLUMN cycle SET STATISTICS 0, ALTER COLUMN signals SET STATISTICS 0;

-- There are few of them or none, and views look for them.
CREATE INDEX ingest_runs_superseded ON ingest_runs (timestamp) WHERE superseded;

-- reason_words gives a reason of health in words. Where there is little room, what
-- follows the colon may be left out.
CREATE FUNCTION reason_words(reason text) RETURNS text
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

-- The trading board's header.

CREATE OR REPLACE VIEW board.header WITH (security_barrier) AS
SELECT
    h.health_state,
    h.reasons,
    h.last_success_snapshot_ts,
    h.snapshot_age_seconds,
    h.coverage_pct,
    (SELECT max(s.timestamp) FROM public.signals s) AS last_signal_ts,
    -- The runbook that applies; its page has this name.
    CASE
        WHEN h.health_state <> 'STALE' THEN NULL
        WHEN 'halted' = ANY (h.reasons) THEN '8-halt'
        WHEN h.reasons && '{health_unknown,clock_skew,clock_back,replica_lag}' THEN '7-database'
        WHEN h.snapshot_status = 'failed' OR NOT h.reasons && '{no_runs,snapshot_age}' THEN '1-ingestion'
        ELSE '9-crash' -- nobody has even tried
    END AS runbook
FROM board_health() h;

CREATE OR REPLACE VIEW board.header_lines WITH (security_barrier) AS
WITH header AS MATERIALIZED (
    SELECT
        health_state,
        runbook,
        reasons,
        -- null_szi:HYPE, null_szi:BTC is told as null_szi:HYPE,BTC
        regexp_replace(coalesce(array_to_string(reasons, ', '), ''), '(?<=null_szi:[A-Z]+), null_szi:', ',', 'g') AS codes,
        to_char(last_success_snapshot_ts AT TIME ZONE 'UTC', 'HH24:MI') AS last_snapshot,
        to_char(last_success_snapshot_ts AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI') AS last_good_snapshot,
        to_char(last_signal_ts AT TIME ZONE 'UTC', 'HH24:MI') AS last_signal,
        trim(to_char(coverage_pct, '990.0')) || ' %' AS coverage,
        CASE
            WHEN snapshot_age_seconds < 7200 THEN trunc(snapshot_age_seconds / 60) || ' min'
            WHEN snapshot_age_seconds < 172800 THEN trunc(snapshot_age_seconds / 3600) || ' h ' || trunc(snapshot_age_seconds::numeric % 3600 / 60) || ' min'
            ELSE trunc(snapshot_age_seconds / 86400) || ' d ' || trunc(snapshot_age_seconds::numeric % 86400 / 3600) || ' h'
        END AS gap
    FROM board.header
)
SELECT line.place, line.label, line.value
FROM header h
CROSS JOIN LATERAL (
    -- As many reasons in words as a tile has room for beside all codes: first the
    -- one that the runbook is about.
    SELECT coalesce((
        SELECT part.words || ' (' || h.codes || ')'
        FROM (
            SELECT listed.place, string_agg(split_part(public.reason_words(listed.reason), ':', 1), ', ') OVER (ORDER BY listed.place) AS words
            FROM (
                SELECT r.reason, row_number() OVER (ORDER BY r.reason <> 'halted', r.reason <> ALL ('{health_unknown,clock_skew,clock_back,replica_lag}'), r.n) AS place
                FROM unnest(h.reasons) WITH ORDINALITY r (reason, n)
            ) listed
        ) part
        WHERE length(part.words) + length(h.codes) <= 66
        ORDER BY part.place DESC LIMIT 1), h.codes) AS words
) why
CROSS JOIN LATERAL (
    VALUES
        (1, 'State', CASE h.health_state WHEN 'STALE' THEN 'SYSTEM HALT' ELSE h.health_state END, '{HEALTHY,DEGRADED,STALE}'::text[]),
        (2, 'Why', why.words, '{DEGRADED}'),
        (3, 'Last snapshot (UTC)', coalesce(h.last_snapshot, 'none'), '{HEALTHY,DEGRADED}'),
        (4, 'Last signal (UTC)', coalesce(h.last_signal, 'none'), '{HEALTHY,DEGRADED}'),
        (5, 'Coverage', coalesce(h.coverage, 'none'), '{HEALTHY,DEGRADED}'),
        (6, 'Last good snapshot (UTC)', coalesce(h.last_good_snapshot, 'none'), '{STALE}'),
        (7, 'Gap', coalesce(h.gap, 'unknown'), '{STALE}'),
        (8, 'Reasons', why.words, '{STALE}'),
        (9, 'Runbook', h.runbook, '{STALE}')
) AS line (place, label, value, states)
WHERE h.health_state = ANY (line.states);

-- The incident board. 1: ingestion.

CREATE OR REPLACE VIEW ops.runs WITH (security_barrier) AS
SELECT timestamp, status, is_clean, wallets_expected, wallet_success_count, wallet_fail_count, rows_expected, rows_written, coverage_pct,
    hype_non_null_pct, btc_non_null_pct, eth_non_null_pct, failures, duration_ms, finished_at, regexp_replace(error, '0x[0-9a-f]{40}', '0x…', 'g') AS error,
    failed_check, regexp_replace(failed_subject, '0x[0-9a-f]{40}', '0x…', 'g') AS failed_subject, superseded
FROM public.ingest_runs;

CREATE OR REPLACE VIEW ops.run_failures WITH (security_barrier) AS
SELECT r.timestamp, f.key AS reason, f.value::integer AS wallets
FROM public.ingest_runs r
CROSS JOIN LATERAL jsonb_each_text(r.failures) f
WHERE r.failures <> '{}' AND NOT r.superseded;

-- A superseded run is no run.
CREATE OR REPLACE VIEW ops.run_spans WITH (security_barrier) AS
WITH minutes AS (
    SELECT timestamp, status, lead(timestamp, 1, (SELECT public.whalegate_now())) OVER (ORDER BY timestamp) AS next
    FROM public.ingest_runs
    WHERE NOT superseded
), pieces AS (
    SELECT timestamp AS from_ts, status FROM minutes
    UNION ALL
    SELECT timestamp + interval '1 minute', 'no run' FROM minutes WHERE next > timestamp + interval '2 minutes'
), changes AS (
    SELECT from_ts, status, lag(status) OVER (ORDER BY from_ts) IS DISTINCT FROM status AS is_change FROM pieces
)
SELECT from_ts, lead(from_ts, 1, 'infinity') OVER (ORDER BY from_ts) AS until_ts, status
FROM changes
WHERE is_change;

CREATE OR REPLACE VIEW ops.ingestion WITH (security_barrier) AS
WITH facts AS MATERIALIZED (
    SELECT h.*, r.timestamp, r.status, r.duration_ms, r.wallet_fail_count, r.wallets_expected,
        coalesce((SELECT string_agg(f.key || ' ' || f.value, ', ' ORDER BY f.value::integer DESC) FROM jsonb_each_text(r.failures) f), 'check ' || r.failed_check) AS failed_by
    FROM public.board_health() h
    LEFT JOIN LATERAL (SELECT * FROM public.ingest_runs WHERE NOT superseded ORDER BY timestamp DESC LIMIT 1) r ON true
)
SELECT line.place, line.label, coalesce(line.value, 'none') AS value
FROM facts f
CROSS JOIN LATERAL (
    VALUES
        (0, 'Symptom', CASE
            WHEN f.timestamp IS NULL THEN 'no run yet'
            WHEN f.status = 'failed' THEN 'runs fail'
            WHEN f.coverage_pct < 80 THEN 'coverage'
            WHEN f.snapshot_age_seconds > 600 THEN 'stopped'
            WHEN f.snapshot_age_seconds > 120 THEN 'late'
            WHEN f.coverage_pct < 90 THEN 'partial'
            WHEN f.health_state <> 'HEALTHY' THEN 'see reasons'
            ELSE 'ok'
        END),
        (1, 'Newest run', to_char(f.timestamp AT TIME ZONE 'UTC', 'HH24:MI') || ' ' || f.status),
        (2, 'Last good', public.ops_span(f.snapshot_age_seconds) || ' ago'),
        (3, 'Coverage', trim(to_char(f.coverage_pct, '990.0')) || ' %'),
        (4, 'Wallets failed', f.wallet_fail_count || ' of ' || f.wallets_expected),
        (5, 'Because', f.failed_by),
        (6, 'Clean in a row', CASE WHEN f.clean_runs >= 10 THEN '10 or more' ELSE f.clean_runs || '' END),
        (7, 'It took', trim(to_char(f.duration_ms / 1000.0, '990.0')) || ' s')
) AS line (place, label, value);

-- 4: dirty snapshots.

CREATE OR REPLACE VIEW ops.dirty_minutes WITH (security_barrier) AS
SELECT timestamp, rows, hype_rows, btc_rows, eth_rows,
    100 * hype_rows::double precision / nullif(rows, 0) AS hype_pct,
    100 * btc_rows::double precision / nullif(rows, 0) AS btc_pct,
    100 * eth_rows::double precision / nullif(rows, 0) AS eth_pct,
    100 * greatest(hype_rows, btc_rows, eth_rows)::double precision / nullif(rows, 0) AS worst_pct
FROM (
    SELECT timestamp, sum(written) AS rows,
        count(*) FILTER (WHERE asset = 'HYPE') AS hype_rows, count(*) FILTER (WHERE asset = 'BTC') AS btc_rows, count(*) FILTER (WHERE asset = 'ETH') AS eth_rows
    FROM (
        SELECT s.timestamp, s.asset, 0 AS written
        FROM public.wallet_snapshots s
        WHERE s.is_dirty AND NOT EXISTS (SELECT FROM public.ingest_runs r WHERE r.timestamp = s.timestamp AND r.superseded)
        UNION ALL
        SELECT timestamp, NULL, rows_written / 3 FROM public.ingest_runs WHERE rows_written > 0 AND NOT superseded -- a row of each asset
    ) part
    GROUP BY timestamp
) counted;

-- 5: alerts. One of a boundary that was superseded is not held against the rules: the
-- boundary that has its time may fire again.
CREATE OR REPLACE VIEW ops.alert_rules WITH (security_barrier) AS
WITH sent AS MATERIALIZED (
    SELECT asset, alert_type, timestamp, resolved_at,
        lag(timestamp) OVER same AS before, lag(resolved_at) OVER same AS before_resolved
    FROM public.alerts
    WHERE NOT suppressed AND NOT superseded AND timestamp > (SELECT public.whalegate_now()) - interval '25 hours'
    WINDOW same AS (PARTITION BY asset, alert_type ORDER BY timestamp)
), broken AS MATERIALIZED (
    SELECT
        count(*) FILTER (WHERE alert_type = 'exit_cluster' AND before IS NOT NULL AND (before_resolved IS NULL OR before_resolved > timestamp)) AS hysteresis,
        count(*) FILTER (WHERE alert_type = 'regime_change' AND timestamp < before + interval '30 minutes' OR alert_type = 'exit_cluster' AND timestamp < before + interval '60 minutes') AS cooldown,
        count(*) FILTER (WHERE alert_type = 'system_stale' AND before IS NOT NULL AND (before_resolved IS NULL OR before_resolved > timestamp)) AS once,
        (SELECT coalesce(max(n), 0) FROM (
            SELECT count(*) AS n FROM sent s WHERE s.alert_type <> 'system_stale' AND s.timestamp > (SELECT public.whalegate_now()) - interval '24 hours' GROUP BY s.asset
        ) asset) AS most
    FROM sent
)
SELECT rule.place, rule.rule, rule.figure, rule.allowed, rule.figure <= rule.allowed AS holds
FROM broken b
CROSS JOIN LATERAL (
    VALUES
        (1, 'exit cluster again before it cleared', b.hysteresis, 0),
        (2, 'sent inside its cooldown', b.cooldown, 0),
        (3, 'system alert again before it cleared', b.once, 0),
        (4, 'most of one asset in 24 h', b.most, 4)
) AS rule (place, rule, figure, allowed);

-- 7: the database, and the clocks.

-- The session that holds the leader's lock stays in its transaction on purpose: it
-- has a state of its own, and does not count as an open transaction.
CREATE FUNCTION lead_session() RETURNS integer
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp
    AS $$
SELECT l.pid
FROM collector_leader l
WHERE l.one AND EXISTS (SELECT FROM leader_sessions k WHERE k.pid = l.pid)
$$;

CREATE OR REPLACE FUNCTION ops_sessions()
    RETURNS TABLE (pid integer, role text, state text, statement text, waits_for text, statement_seconds double precision, transaction_seconds double precision)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp
    AS $$
SELECT a.pid, coalesce(a.usename, a.backend_type, 'hidden'),
    CASE
        WHEN a.pid = w.pid THEN 'holds the lead'
        ELSE coalesce(a.state, CASE WHEN coalesce(a.backend_type, 'client backend') = 'client backend' THEN 'hidden' ELSE 'background' END)
    END,
    coalesce((SELECT w FROM unnest('{SELECT,INSERT,UPDATE,DELETE,COPY,WITH,BEGIN,COMMIT,ROLLBACK,VACUUM,ANALYZE,ALTER,CREATE,DROP,TRUNCATE,LOCK,REINDEX,EXPLAIN}'::text[]) w
        WHERE w = upper(substring(a.query FROM '^(?:autovacuum: )?\s*([A-Za-z]+)'))), 'other'),
    nullif(concat_ws(': ', a.wait_event_type, a.wait_event), ''),
    CASE WHEN a.state <> 'idle' AND a.pid IS DISTINCT FROM w.pid THEN extract(epoch FROM clock_timestamp() - a.query_start) END::double precision,
    CASE WHEN a.pid IS DISTINCT FROM w.pid THEN extract(epoch FROM clock_timestamp() - a.xact_start) END::double precision
FROM pg_stat_activity a
CROSS JOIN (SELECT lead_session() OFFSET 0) w (pid)
WHERE a.datname = current_database() AND a.pid <> pg_backend_pid()
$$;

-- Whether a clock is wrong, which minutes were refused because of it, and who settled
-- that. The symptom is the reason that health gives.
CREATE VIEW ops.clock WITH (security_barrier) AS
WITH facts AS MATERIALIZED (
    SELECT h.reasons, n.now, pg_is_in_recovery() AS standby, w.beat_seconds,
        extract(epoch FROM greatest(
            (SELECT max(r.timestamp) FROM public.ingest_runs r WHERE NOT r.superseded),
            (SELECT max(r.finished_at) FROM public.ingest_runs r WHERE NOT r.superseded)) - n.now)::double precision AS ahead,
        o.first_minute, o.last_minute, o.newest, o.refused_at, o.times,
        s.settled_at, s.settled_by, s.reason, s.runs,
        (SELECT count(*) FROM public.ingest_runs r WHERE r.superseded AND r.timestamp > n.now - interval '7 days') AS superseded
    FROM public.board_health() h
    CROSS JOIN (SELECT public.whalegate_now() AS now) n
    CROSS JOIN public.collector_who() w
    LEFT JOIN public.clock_refusals o ON o.settled_at IS NULL
    LEFT JOIN LATERAL (SELECT * FROM public.clock_refusals c WHERE c.settled_at IS NOT NULL ORDER BY c.id DESC LIMIT 1) s ON true
)
SELECT line.place, line.label, coalesce(line.value, 'none') AS value
FROM facts f
CROSS JOIN LATERAL (
    VALUES
        (0, 'Symptom', CASE
            WHEN 'health_unknown' = ANY (f.reasons) THEN 'unknown'
            WHEN 'clock_back' = ANY (f.reasons) THEN 'CLOCK BACK'
            WHEN 'clock_skew' = ANY (f.reasons) THEN 'CLOCK SKEW'
            WHEN 'replica_lag' = ANY (f.reasons) THEN 'replica lag'
            ELSE 'ok'
        END),
        (1, 'Clock (UTC)', to_char(f.now AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS')),
        (2, 'Newest run', CASE WHEN f.ahead > 0 THEN public.ops_span(f.ahead) || ' ahead of it' WHEN f.ahead <= 0 THEN 'not ahead of it' END),
        (3, 'Refused minutes', f.times || ', ' || to_char(f.first_minute AT TIME ZONE 'UTC', 'MM-DD HH24:MI') || ' to ' || to_char(f.last_minute AT TIME ZONE 'UTC', 'MM-DD HH24:MI')),
        (4, 'Refused since', to_char(f.refused_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS')),
        (5, 'Stored up to', to_char(f.newest AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI')),
        (6, 'Last settled', to_char(f.settled_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI') || ' by ' || f.settled_by),
        (7, 'Given reason', f.reason),
        (8, 'Superseded by it', f.runs || ' runs'),
        (9, 'Superseded in all', f.superseded || ' runs of a week'),
        (10, 'This server', CASE WHEN NOT f.standby THEN 'primary' WHEN pg_is_wal_replay_paused() THEN 'standby, replay is paused' ELSE 'standby, beat ' || coalesce(public.ops_span(f.beat_seconds) || ' old', 'unknown') END)
) AS line (place, label, value);

CREATE OR REPLACE VIEW ops.database WITH (security_barrier) AS
WITH facts AS MATERIALIZED (
    SELECT d.*,
        (SELECT count(*) FROM public.ops_sessions() WHERE state <> 'background') AS sessions,
        (SELECT max(transaction_seconds) FROM public.ops_sessions() WHERE state <> 'background') AS transaction_seconds,
        (SELECT count(*) FROM ops.slow_queries) AS slow,
        (SELECT count(*) FROM ops.locks) AS waiting,
        (SELECT c.value FROM ops.clock c WHERE c.place = 0 AND c.value NOT IN ('ok', 'unknown')) AS clock
    FROM public.ops_database() d
)
SELECT line.place, line.label, coalesce(line.value, 'none') AS value
FROM facts f
CROSS JOIN LATERAL (
    VALUES
        (0, 'Symptom', CASE
            WHEN f.clock IS NOT NULL THEN f.clock
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

-- 9: crash, and who leads. A standby does not show the sessions of its primary, so
-- there the replicated row and beat are all there is.
CREATE VIEW ops.collector WITH (security_barrier) AS
WITH facts AS MATERIALIZED (
    SELECT w.*, w.host || '/' || w.process AS who, w.beat_seconds BETWEEN -5 AND 30 AS beats, pg_is_in_recovery() AS standby,
        EXISTS (SELECT FROM public.clock_refusals c WHERE c.settled_at IS NULL) AS refused
    FROM public.collector_who() w
)
SELECT line.place, line.label, coalesce(line.value, 'none') AS value
FROM facts f
CROSS JOIN LATERAL (
    VALUES
        (0, 'Symptom', CASE
            WHEN f.epoch IS NULL OR NOT f.standby AND NOT f.present THEN 'nobody leads'
            WHEN f.beats IS NOT TRUE THEN 'no recent beat'
            WHEN f.refused THEN 'clock refused'
            WHEN f.run_age_seconds IS NULL THEN 'no good run yet'
            WHEN f.run_age_seconds > 180 THEN 'no good run'
            WHEN NOT f.standby AND NOT f.leads THEN 'no recent beat' -- it is of the epoch before
            ELSE 'ok'
        END),
        (1, 'Leads', CASE
            WHEN f.epoch IS NULL THEN 'none so far'
            WHEN f.standby THEN f.who || ' (as replicated)'
            WHEN f.present THEN f.who
            ELSE 'none; the last was ' || f.who
        END),
        (2, 'Since (UTC)', to_char(f.taken_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS')),
        (3, 'Epoch', f.epoch || ''),
        (4, 'Last beat', CASE WHEN f.beat_seconds < 0 THEN public.ops_span(-f.beat_seconds) || ' ahead' ELSE public.ops_span(f.beat_seconds) || ' ago' END),
        (5, 'Its newest good run', coalesce(public.ops_span(f.run_age_seconds) || ' before the beat', 'none yet')),
        (6, 'Waiting', CASE WHEN f.standby THEN 'cannot be seen from a standby' ELSE coalesce(nullif(array_to_string(f.waiting, ', '), ''), 'none') END)
) AS line (place, label, value);

CREATE OR REPLACE VIEW ops.crash WITH (security_barrier) AS
WITH facts AS MATERIALIZED (
    SELECT
        (SELECT finished_at FROM public.ingest_runs WHERE NOT superseded ORDER BY timestamp DESC LIMIT 1) AS finished_at,
        (SELECT max(ts) FROM public.health_transitions WHERE from_state = 'UNKNOWN') AS started_at,
        (SELECT count(*) FROM public.health_transitions WHERE from_state = 'UNKNOWN' AND ts > (SELECT public.whalegate_now()) - interval '1 day') AS starts,
        (SELECT count(*) FROM public.health_transitions WHERE from_state = 'UNKNOWN' AND ts > (SELECT public.whalegate_now()) - interval '1 hour') AS recent_starts,
        (SELECT count(*) FROM public.ingest_runs WHERE NOT superseded AND timestamp > (SELECT public.whalegate_now()) - interval '61 minutes' AND timestamp <= (SELECT public.whalegate_now()) - interval '1 minute') AS runs,
        (SELECT public.whalegate_now()) - interval '2 minutes' AS late,
        (SELECT c.value FROM ops.collector c WHERE c.place = 0 AND c.value IN ('nobody leads', 'no recent beat')) AS lead
)
SELECT line.place, line.label, coalesce(line.value, 'none') AS value
FROM facts f
CROSS JOIN LATERAL (
    VALUES
        (0, 'Symptom', CASE
            WHEN f.finished_at IS NULL THEN 'no run yet'
            WHEN f.finished_at < f.late THEN 'nobody runs'
            WHEN f.lead IS NOT NULL THEN f.lead
            WHEN f.recent_starts > 2 THEN 'restarts'
            ELSE 'ok'
        END),
        (1, 'Last run ended', public.ops_since(f.finished_at) || ' ago'),
        (2, 'Runs in an hour', f.runs || ' of 60'),
        (3, 'Last start', public.ops_since(f.started_at) || ' ago'),
        (4, 'Starts in a day', f.starts || '')
) AS line (place, label, value);

-- What an operator reads first, with every reason in words.
CREATE OR REPLACE VIEW ops.header_lines WITH (security_barrier) AS
SELECT line.place, line.label, line.value
FROM public.board_health() h
CROSS JOIN LATERAL (
    VALUES
        (1, 'State', h.health_state),
        (2, 'Trading', CASE h.health_state WHEN 'HEALTHY' THEN 'trade by playbook' WHEN 'DEGRADED' THEN 'trade with caution' ELSE 'DO NOT TRADE' END),
        (3, 'Reasons', coalesce(nullif(array_to_string(h.reasons, ', '), ''), 'none')),
        (4, 'Last good (UTC)', coalesce(to_char(h.last_success_snapshot_ts AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI'), 'none')),
        (5, 'Age', coalesce(public.ops_span(h.snapshot_age_seconds), 'unknown')),
        (6, 'Coverage', coalesce(trim(to_char(h.coverage_pct, '990.0')) || ' %', 'none')),
        (7, 'Clock (UTC)', to_char((SELECT public.whalegate_now()) AT TIME ZONE 'UTC', 'HH24:MI:SS')),
        (8, 'In words', coalesce((SELECT string_agg(public.reason_words(r.reason), '; ' ORDER BY r.n) FROM unnest(h.reasons) WITH ORDINALITY r (reason, n)), 'nothing is wrong'))
) AS line (place, label, value);
