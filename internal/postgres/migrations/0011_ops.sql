-- What the incident board reads. It is never masked, so it holds no signal value:
-- ages, counts, durations and reasons only. The role whalegate_ops sees these
-- views and nothing else, and whoever can send a query through Grafana has that
-- role.
--
-- Not here, though an operator may ask for it, because it is a signal value or
-- tells one: the message of an alert, its asset, the playbook that is pending or
-- confirmed, whether an exit cluster is active (its score is above 20), what
-- was done about a failed check of the signals, the details of any check, and
-- what a receiver answered (it may repeat the message). psql has all of it.

-- The state as one asks it that must never fail: STALE when it cannot be told.
CREATE OR REPLACE VIEW ops.health WITH (security_barrier) AS
SELECT health_state, snapshot_status, last_success_snapshot_ts, snapshot_age_seconds, coverage_pct, clean_runs, reasons
FROM public.board_health();

-- ops_span words a length of time.
CREATE FUNCTION ops_span(seconds double precision) RETURNS text
    LANGUAGE sql IMMUTABLE
    AS $$
SELECT CASE
    WHEN seconds < 120 THEN trunc(seconds) || ' s'
    WHEN seconds < 7200 THEN trunc(seconds / 60) || ' min'
    WHEN seconds < 172800 THEN trunc(seconds / 3600) || ' h ' || trunc(seconds::numeric % 3600 / 60) || ' min'
    ELSE trunc(seconds / 86400) || ' d ' || trunc(seconds::numeric % 86400 / 3600) || ' h'
END
$$;

-- ops_since is how long ago something was, by the clock of the database.
CREATE FUNCTION ops_since(t timestamptz) RETURNS text
    LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = public, pg_temp
    AS $$SELECT ops_span(extract(epoch FROM whalegate_now() - t)::double precision)$$;

-- 1: ingestion.

CREATE VIEW ops.runs WITH (security_barrier) AS
SELECT timestamp, status, is_clean, wallets_expected, wallet_success_count, wallet_fail_count, rows_expected, rows_written, coverage_pct,
    hype_non_null_pct, btc_non_null_pct, eth_non_null_pct, failures, duration_ms, finished_at, regexp_replace(error, '0x[0-9a-f]{40}', '0x…', 'g') AS error
FROM public.ingest_runs;

CREATE VIEW ops.run_failures WITH (security_barrier) AS
SELECT r.timestamp, f.key AS reason, f.value::integer AS wallets
FROM public.ingest_runs r
CROSS JOIN LATERAL jsonb_each_text(r.failures) f
WHERE r.failures <> '{}';

-- How long the runs were of a status, and how long there was none.
CREATE VIEW ops.run_spans WITH (security_barrier) AS
WITH minutes AS (
    SELECT timestamp, status, lead(timestamp, 1, (SELECT public.whalegate_now())) OVER (ORDER BY timestamp) AS next
    FROM public.ingest_runs
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

CREATE VIEW ops.ingestion WITH (security_barrier) AS
WITH facts AS MATERIALIZED (
    SELECT h.*, r.timestamp, r.status, r.duration_ms, r.wallet_fail_count, r.wallets_expected,
        (SELECT string_agg(f.key || ' ' || f.value, ', ' ORDER BY f.value::integer DESC) FROM jsonb_each_text(r.failures) f) AS failed_by
    FROM public.board_health() h
    LEFT JOIN LATERAL (SELECT * FROM public.ingest_runs ORDER BY timestamp DESC LIMIT 1) r ON true
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

-- 2: universe.

CREATE VIEW ops.universe_runs WITH (security_barrier) AS
SELECT as_of_ts, status, source, n_requested, n_received, rows_read, rows_skipped, entered_count, exited_count,
    round(100.0 * (entered_count + exited_count) / n_requested, 1) AS churn_pct, churn_warning_count, duration_ms,
    regexp_replace(error, '0x[0-9a-f]{40}', '0x…', 'g') AS error
FROM public.wallet_universe_runs;

CREATE VIEW ops.universe WITH (security_barrier) AS
WITH facts AS MATERIALIZED (
    SELECT r.*, g.as_of_ts AS good_ts, g.as_of_ts < (SELECT public.whalegate_now()) - interval '7 hours' AS is_old, (SELECT count(*) FROM public.wallet_universe_current) AS tracked
    FROM (VALUES (1)) one
    LEFT JOIN LATERAL (SELECT * FROM ops.universe_runs ORDER BY as_of_ts DESC LIMIT 1) r ON true
    LEFT JOIN LATERAL (SELECT as_of_ts FROM ops.universe_runs WHERE status = 'success' ORDER BY as_of_ts DESC LIMIT 1) g ON true
)
SELECT line.place, line.label, coalesce(line.value, 'none') AS value
FROM facts f
CROSS JOIN LATERAL (
    VALUES
        (0, 'Symptom', CASE
            WHEN f.as_of_ts IS NULL THEN 'no refresh yet'
            WHEN f.status = 'failed' THEN 'refresh fails'
            WHEN f.n_received < 0.9 * f.n_requested THEN 'too few'
            WHEN f.churn_warning_count > 0 THEN 'churn'
            WHEN f.is_old THEN 'old'
            ELSE 'ok'
        END),
        (1, 'Newest refresh', f.status),
        (2, 'Last good', public.ops_since(f.good_ts) || ' ago'),
        (3, 'Received', f.n_received || ' of ' || f.n_requested),
        (4, 'Churn', f.churn_pct || ' %'),
        (5, 'Churn warnings', f.churn_warning_count || ' of 3'),
        (6, 'Wallets tracked', f.tracked || '')
) AS line (place, label, value);

-- 3: signal lock. That there were signals, and when; never what they were.

CREATE VIEW ops.signal_cycles WITH (security_barrier) AS
SELECT timestamp, outcome, judged_at, health_state, reasons, skipped
FROM public.signal_cycles;

CREATE VIEW ops.blocked_cycles WITH (security_barrier) AS
SELECT date_trunc('hour', c.timestamp, 'UTC') AS hour, c.timestamp, reason
FROM public.signal_cycles c
CROSS JOIN LATERAL unnest(c.reasons) reason
WHERE c.outcome <> 'computed';

CREATE VIEW ops.signal_age WITH (security_barrier) AS
SELECT a.place, a.asset, s.timestamp AS last_signal_ts, extract(epoch FROM (SELECT public.whalegate_now()) - s.timestamp)::double precision AS age_seconds
FROM (VALUES (1, 'HYPE'), (2, 'BTC'), (3, 'ETH')) AS a (place, asset)
LEFT JOIN LATERAL (SELECT timestamp FROM public.signals s WHERE s.asset = a.asset ORDER BY s.timestamp DESC LIMIT 1) s ON true;

CREATE VIEW ops.signal_lock WITH (security_barrier) AS
WITH facts AS MATERIALIZED (
    SELECT c.*, c.timestamp < (SELECT public.whalegate_now()) - interval '11 minutes' AS is_old,
        (SELECT count(*) FROM public.signal_cycles b WHERE b.outcome = 'blocked' AND b.timestamp > (SELECT public.whalegate_now()) - interval '1 day') AS blocked
    FROM (VALUES (1)) one
    LEFT JOIN LATERAL (SELECT * FROM public.signal_cycles ORDER BY timestamp DESC LIMIT 1) c ON true
)
SELECT line.place, line.label, coalesce(line.value, 'none') AS value
FROM facts f
CROSS JOIN LATERAL (
    VALUES
        (0, 'Symptom', CASE
            WHEN f.timestamp IS NULL THEN 'no cycle yet'
            WHEN f.is_old THEN 'no cycle'
            WHEN f.outcome <> 'computed' THEN f.outcome
            WHEN f.skipped <> '{}' THEN 'skipped'
            ELSE 'ok'
        END),
        (1, 'Newest cycle', to_char(f.timestamp AT TIME ZONE 'UTC', 'HH24:MI') || ' ' || f.outcome),
        (2, 'Because', nullif(array_to_string(f.reasons, ', '), '')),
        (3, 'Skipped', nullif(array_to_string(f.skipped, ', '), '')),
        (4, 'Blocked in a day', f.blocked || ' of 288')
) AS line (place, label, value)
UNION ALL
SELECT 4 + place, asset || ' signal', coalesce(public.ops_span(age_seconds) || ' old', 'none')
FROM ops.signal_age;

-- Failed checks of each stage. What was done about one of the signals says what
-- the signal became, and details hold values.
CREATE VIEW ops.failed_checks WITH (security_barrier) AS
SELECT first_ts, last_ts, stage, check_id, severity, subject, occurrences, CASE WHEN stage = 'ingestion' THEN action_taken END AS action_taken
FROM public.qa_events;

-- 4: dirty snapshots. The dirty rows come from their own small index, the number
-- of all rows from the runs: no row of a wallet is counted.

CREATE VIEW ops.dirty_minutes WITH (security_barrier) AS
SELECT timestamp, rows, hype_rows, btc_rows, eth_rows,
    100 * hype_rows::double precision / nullif(rows, 0) AS hype_pct,
    100 * btc_rows::double precision / nullif(rows, 0) AS btc_pct,
    100 * eth_rows::double precision / nullif(rows, 0) AS eth_pct,
    100 * greatest(hype_rows, btc_rows, eth_rows)::double precision / nullif(rows, 0) AS worst_pct
FROM (
    SELECT timestamp, sum(written) AS rows,
        count(*) FILTER (WHERE asset = 'HYPE') AS hype_rows, count(*) FILTER (WHERE asset = 'BTC') AS btc_rows, count(*) FILTER (WHERE asset = 'ETH') AS eth_rows
    FROM (
        SELECT timestamp, asset, 0 AS written FROM public.wallet_snapshots WHERE is_dirty
        UNION ALL
        SELECT timestamp, NULL, rows_written / 3 FROM public.ingest_runs WHERE rows_written > 0 -- a row of each asset
    ) part
    GROUP BY timestamp
) counted;

-- The last day by the hour: whether it gets less.
CREATE VIEW ops.dirty_hours WITH (security_barrier) AS
SELECT date_trunc('hour', timestamp, 'UTC') AS hour,
    round(100.0 * sum(hype_rows) / nullif(sum(rows), 0), 2) AS hype_pct,
    round(100.0 * sum(btc_rows) / nullif(sum(rows), 0), 2) AS btc_pct,
    round(100.0 * sum(eth_rows) / nullif(sum(rows), 0), 2) AS eth_pct,
    round(max(worst_pct)::numeric, 2) AS worst_minute_pct
FROM ops.dirty_minutes
WHERE timestamp > (SELECT public.whalegate_now()) - interval '1 day'
GROUP BY 1;

CREATE VIEW ops.dirty_spike WITH (security_barrier) AS
WITH facts AS MATERIALIZED (
    SELECT sum(rows) AS rows, round(max(worst_pct) FILTER (WHERE timestamp > (SELECT public.whalegate_now()) - interval '15 minutes')::numeric, 2) AS recent, round(max(worst_pct)::numeric, 2) AS hour,
        round(100.0 * sum(hype_rows) / nullif(sum(rows), 0), 2) AS hype_pct, round(100.0 * sum(btc_rows) / nullif(sum(rows), 0), 2) AS btc_pct,
        round(100.0 * sum(eth_rows) / nullif(sum(rows), 0), 2) AS eth_pct
    FROM ops.dirty_minutes
    WHERE timestamp > (SELECT public.whalegate_now()) - interval '1 hour'
)
SELECT line.place, line.label, coalesce(line.value, 'none') AS value
FROM facts f
CROSS JOIN LATERAL (
    VALUES
        (0, 'Symptom', CASE WHEN f.rows IS NULL THEN 'no rows' WHEN f.recent > 20 THEN 'above 20 %' WHEN f.recent > 10 THEN 'above 10 %' WHEN f.hour > 10 THEN 'was above' ELSE 'ok' END),
        (1, 'Worst of 15 min', f.recent || ' %'),
        (2, 'Worst of 60 min', f.hour || ' %'),
        (3, 'HYPE, last hour', f.hype_pct || ' %'),
        (4, 'BTC, last hour', f.btc_pct || ' %'),
        (5, 'ETH, last hour', f.eth_pct || ' %')
) AS line (place, label, value);

-- 8: halt. The words are the operators' own.

CREATE VIEW ops.halts WITH (security_barrier) AS
SELECT halted_at, halted_by, reason, resumed_at, resumed_by, cause, actions, resumed_at IS NULL AS in_force,
    public.ops_span(extract(epoch FROM coalesce(resumed_at, (SELECT public.whalegate_now())) - halted_at)::double precision) AS length
FROM public.halts;

CREATE VIEW ops.pauses WITH (security_barrier) AS
SELECT paused_at, paused_by, reason, until, unpaused_at, unpaused_at IS NULL AND until > (SELECT public.whalegate_now()) AS in_force
FROM public.alert_pauses;

CREATE VIEW ops.halt WITH (security_barrier) AS
WITH facts AS MATERIALIZED (
    SELECT h.halted_at, h.length, p.until, (SELECT clean_runs FROM public.board_health()) AS clean_runs,
        (SELECT count(*) FROM ops.halts WHERE halted_at > (SELECT public.whalegate_now()) - interval '7 days') AS halts
    FROM (VALUES (1)) one
    LEFT JOIN LATERAL (SELECT * FROM ops.halts WHERE in_force LIMIT 1) h ON true
    LEFT JOIN LATERAL (SELECT * FROM ops.pauses WHERE in_force ORDER BY until DESC LIMIT 1) p ON true
)
SELECT line.place, line.label, coalesce(line.value, 'none') AS value
FROM facts f
CROSS JOIN LATERAL (
    VALUES
        (0, 'Symptom', CASE WHEN f.halted_at IS NOT NULL THEN 'HALTED' ELSE 'ok' END),
        (1, 'Halt in force', f.length),
        (2, 'Clean runs', CASE WHEN f.halted_at IS NOT NULL THEN f.clean_runs || ', 2 needed' ELSE 'not halted' END),
        (3, 'Pause of alerts', 'until ' || to_char(f.until AT TIME ZONE 'UTC', 'HH24:MI') || ' UTC'),
        (4, 'Halts in a week', f.halts || '')
) AS line (place, label, value);

-- 9: crash. A service that starts does not know the state before.

CREATE VIEW ops.health_transitions WITH (security_barrier) AS
SELECT ts, from_state, to_state, reasons, lead(ts, 1, 'infinity') OVER (ORDER BY ts, id) AS until_ts
FROM public.health_transitions;

CREATE VIEW ops.crash WITH (security_barrier) AS
WITH facts AS MATERIALIZED (
    SELECT
        (SELECT finished_at FROM public.ingest_runs ORDER BY timestamp DESC LIMIT 1) AS finished_at,
        (SELECT max(ts) FROM public.health_transitions WHERE from_state = 'UNKNOWN') AS started_at,
        (SELECT count(*) FROM public.health_transitions WHERE from_state = 'UNKNOWN' AND ts > (SELECT public.whalegate_now()) - interval '1 day') AS starts,
        (SELECT count(*) FROM public.health_transitions WHERE from_state = 'UNKNOWN' AND ts > (SELECT public.whalegate_now()) - interval '1 hour') AS recent_starts,
        (SELECT count(*) FROM public.ingest_runs WHERE timestamp > (SELECT public.whalegate_now()) - interval '61 minutes' AND timestamp <= (SELECT public.whalegate_now()) - interval '1 minute') AS runs,
        (SELECT public.whalegate_now()) - interval '2 minutes' AS late
)
SELECT line.place, line.label, coalesce(line.value, 'none') AS value
FROM facts f
CROSS JOIN LATERAL (
    VALUES
        (0, 'Symptom', CASE WHEN f.finished_at IS NULL THEN 'no run yet' WHEN f.finished_at < f.late THEN 'nobody runs' WHEN f.recent_starts > 2 THEN 'restarts' ELSE 'ok' END),
        (1, 'Last run ended', public.ops_since(f.finished_at) || ' ago'),
        (2, 'Runs in an hour', f.runs || ' of 60'),
        (3, 'Last start', public.ops_since(f.started_at) || ' ago'),
        (4, 'Starts in a day', f.starts || '')
) AS line (place, label, value);

-- What an operator reads first.
CREATE VIEW ops.header_lines WITH (security_barrier) AS
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
        (7, 'Clock (UTC)', to_char((SELECT public.whalegate_now()) AT TIME ZONE 'UTC', 'HH24:MI:SS'))
) AS line (place, label, value);
