-- What the incident board reads, by runbook. It is never masked, so it holds no signal
-- value: ages, counts, durations and reasons only. The role whalegate_ops sees these
-- views and nothing else, and whoever can send a query through Grafana has that
-- role.
--
-- Not here, though an operator may ask for it, because it is a signal value or
-- tells one: the message of an alert, its asset, the playbook that is pending or
-- confirmed, whether an exit cluster is active (its score is above 20), what
-- was done about a failed check of the signals, the details of any check, and
-- what a receiver answered (it may repeat the message). psql has all of it.

-- ops_span words a length of time.
CREATE OR REPLACE FUNCTION ops_span(seconds double precision) RETURNS text
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
CREATE OR REPLACE FUNCTION ops_since(t timestamptz) RETURNS text
    LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = public, pg_temp
    AS $$SELECT ops_span(extract(epoch FROM whalegate_now() - t)::double precision)$$;

-- The state as one asks it that must never fail: STALE when it cannot be told.
CREATE OR REPLACE VIEW ops.health WITH (security_barrier) AS
SELECT health_state, snapshot_status, last_success_snapshot_ts, snapshot_age_seconds, coverage_pct, clean_runs, reasons
FROM public.board_health();

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

-- 1: ingestion.

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
        nullif(concat_ws(', ',
            CASE WHEN r.failed_check IN ('S9', 'S10', 'S11', 'S12') THEN r.failed_check || coalesce(' ' || r.failed_subject, '') END,
            coalesce((SELECT string_agg(f.key || ' ' || f.value, ', ' ORDER BY f.value::integer DESC) FROM jsonb_each_text(r.failures) f),
                CASE WHEN r.failed_check NOT IN ('S9', 'S10', 'S11', 'S12') THEN 'check ' || r.failed_check END)), '') AS failed_by
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
            WHEN f.coverage_pct < facts.coverage_low() THEN 'coverage'
            WHEN f.snapshot_age_seconds > extract(epoch FROM facts.snapshot_old()) THEN 'stopped'
            WHEN f.snapshot_age_seconds > extract(epoch FROM facts.snapshot_late()) THEN 'late'
            WHEN f.coverage_pct < facts.coverage_thin() THEN 'partial'
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

-- What the exchange last said of our coins, coin by coin.
CREATE OR REPLACE VIEW ops.exchange_meta WITH (security_barrier) AS
SELECT place, asset, listed, delisted, sz_decimals, expected_decimals, answered_at, age_seconds, coalesce(wrong, 'right') AS verdict
FROM facts.coins;

-- Whether the accounts of the wallets are known, how far a first start is, and whether
-- our coins are still what they were. Counts and ages alone.
CREATE OR REPLACE VIEW ops.accounts WITH (security_barrier) AS
WITH facts AS MATERIALIZED (
    SELECT a.*, s.started_at, s.announced_seconds, s.known AS search_known, s.wallets AS search_wallets, s.done_at, s.ended_at, s.running_seconds, s.is_late,
        m.wrong AS coin_wrong, m.answered_seconds
    FROM facts.accounts a
    LEFT JOIN facts.search s ON true
    CROSS JOIN (
        SELECT string_agg(asset || ': ' || wrong, ', ' ORDER BY place) AS wrong, max(age_seconds) AS answered_seconds FROM facts.coins
    ) m
)
SELECT line.place, line.label, coalesce(line.value, 'none') AS value
FROM facts f
CROSS JOIN LATERAL (
    VALUES
        (0, 'Symptom', CASE
            WHEN f.wallets = 0 THEN 'no universe yet'
            WHEN f.coin_wrong IS NOT NULL THEN 'COINS'
            WHEN f.ended_at IS NULL AND f.is_late THEN 'SEARCH LATE'
            WHEN f.ended_at IS NULL AND NOT f.is_late THEN 'starting'
            WHEN f.known < f.wallets THEN 'accounts missing'
            ELSE 'ok'
        END),
        (1, 'Accounts known', f.known || ' of ' || f.wallets),
        (2, 'Never found', f.never_found || ''),
        (3, 'Not confirmed for a day', f.unconfirmed || ''),
        (4, 'Shared by two', f.shared || ''),
        (5, 'Oldest confirmed', public.ops_span(f.oldest_confirmed_seconds) || ' ago'),
        (6, 'First start', CASE
            WHEN f.ended_at IS NOT NULL THEN 'took ' || public.ops_span(f.running_seconds) || ', announced ' || public.ops_span(f.announced_seconds)
            WHEN f.started_at IS NOT NULL THEN f.search_known || ' of ' || f.search_wallets || ', done about ' || to_char(f.done_at AT TIME ZONE 'UTC', 'HH24:MI') || ' UTC'
        END),
        (7, 'Coins', coalesce(f.coin_wrong, 'as expected')),
        (8, 'Coins answered', public.ops_span(f.answered_seconds) || ' ago')
) AS line (place, label, value);

-- 2: universe.

CREATE OR REPLACE VIEW ops.universe_runs WITH (security_barrier) AS
SELECT as_of_ts, status, source, n_requested, n_received, rows_read, rows_skipped, entered_count, exited_count,
    round(100.0 * (entered_count + exited_count) / n_requested, 1) AS churn_pct, churn_warning_count, duration_ms,
    regexp_replace(error, '0x[0-9a-f]{40}', '0x…', 'g') AS error, changed_at
FROM public.wallet_universe_runs;

CREATE OR REPLACE VIEW ops.universe WITH (security_barrier) AS
WITH facts AS MATERIALIZED (SELECT * FROM facts.universe)
SELECT line.place, line.label, coalesce(line.value, 'none') AS value
FROM facts f
CROSS JOIN LATERAL (
    VALUES
        (0, 'Symptom', CASE
            WHEN f.as_of_ts IS NULL THEN 'no refresh yet'
            WHEN f.is_cut THEN 'wallets missing'
            WHEN f.status = 'failed' THEN 'refresh fails'
            WHEN f.is_too_few THEN 'too few'
            WHEN f.churn_warning_count > 0 THEN 'churn'
            WHEN f.is_old THEN 'old'
            WHEN f.is_unchanged THEN 'unchanged'
            ELSE 'ok'
        END),
        (1, 'Newest refresh', f.status),
        (2, 'Last good', public.ops_since(f.good_ts) || ' ago'),
        (3, 'Received', f.n_received || ' of ' || f.n_requested),
        (4, 'Churn', f.churn_pct || ' %'),
        (5, 'Churn warnings', f.churn_warning_count || ' of ' || f.refused_at),
        (6, 'Wallets tracked', f.tracked || CASE WHEN f.good_requested <> f.n_requested THEN ', made for ' || f.good_requested ELSE '' END),
        (7, 'Leaderboard changed', public.ops_since(f.good_changed_at) || ' ago')
) AS line (place, label, value);

-- 3: signal lock.

CREATE OR REPLACE VIEW ops.signal_cycles WITH (security_barrier) AS
SELECT timestamp, outcome, judged_at, health_state, reasons, skipped
FROM public.signal_cycles;

CREATE OR REPLACE VIEW ops.blocked_cycles WITH (security_barrier) AS
SELECT date_trunc('hour', c.timestamp, 'UTC') AS hour, c.timestamp, reason
FROM public.signal_cycles c
CROSS JOIN LATERAL unnest(c.reasons) reason
WHERE c.outcome <> 'computed';

CREATE OR REPLACE VIEW ops.signal_age WITH (security_barrier) AS
SELECT place, asset, last_signal_ts, age_seconds
FROM facts.signal_age;

CREATE OR REPLACE VIEW ops.signal_lock WITH (security_barrier) AS
WITH facts AS MATERIALIZED (SELECT * FROM facts.boundary)
SELECT line.place, line.label, coalesce(line.value, 'none') AS value
FROM facts f
CROSS JOIN LATERAL (
    VALUES
        (0, 'Symptom', CASE
            WHEN f.timestamp IS NULL THEN 'no cycle yet'
            WHEN f.is_overdue THEN 'no cycle'
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

-- 4: dirty rows, and what cannot be true.

-- Failed checks of each stage. What was done about one of the signals says what
-- the signal became, and details hold values.
CREATE OR REPLACE VIEW ops.failed_checks WITH (security_barrier) AS
SELECT first_ts, last_ts, stage, check_id, severity, subject, occurrences, CASE WHEN stage = 'ingestion' THEN action_taken END AS action_taken
FROM public.qa_events;

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

-- The last day by the hour: whether it gets less.
CREATE OR REPLACE VIEW ops.dirty_hours WITH (security_barrier) AS
SELECT date_trunc('hour', timestamp, 'UTC') AS hour,
    round(100.0 * sum(hype_rows) / nullif(sum(rows), 0), 2) AS hype_pct,
    round(100.0 * sum(btc_rows) / nullif(sum(rows), 0), 2) AS btc_pct,
    round(100.0 * sum(eth_rows) / nullif(sum(rows), 0), 2) AS eth_pct,
    round(max(worst_pct)::numeric, 2) AS worst_minute_pct
FROM ops.dirty_minutes
WHERE timestamp > (SELECT public.whalegate_now()) - interval '1 day'
GROUP BY 1;

CREATE OR REPLACE VIEW ops.baselines WITH (security_barrier) AS
SELECT opened_ts, asset, subject, affected, holders, ended_ts, accepted_at, accepted_by,
    CASE WHEN ended_ts IS NULL THEN 'OPEN' WHEN accepted_at IS NULL THEN 'the sizes were back' ELSE 'accepted' END AS outcome
FROM public.baselines;

CREATE OR REPLACE VIEW ops.dirty_spike WITH (security_barrier) AS
WITH facts AS MATERIALIZED (
    SELECT sum(rows) AS rows, round(max(worst_pct) FILTER (WHERE timestamp > (SELECT public.whalegate_now()) - interval '15 minutes')::numeric, 2) AS recent, round(max(worst_pct)::numeric, 2) AS hour,
        round(100.0 * sum(hype_rows) / nullif(sum(rows), 0), 2) AS hype_pct, round(100.0 * sum(btc_rows) / nullif(sum(rows), 0), 2) AS btc_pct,
        round(100.0 * sum(eth_rows) / nullif(sum(rows), 0), 2) AS eth_pct,
        (SELECT string_agg(subject || ' since ' || to_char(opened_ts AT TIME ZONE 'UTC', 'MM-DD HH24:MI'), ', ' ORDER BY opened_ts, asset) FROM ops.baselines WHERE outcome = 'OPEN') AS open,
        (SELECT r.failed_check FROM public.ingest_runs r WHERE NOT r.superseded ORDER BY r.timestamp DESC LIMIT 1) AS failed_check,
        (SELECT bool_or(is_high) FROM facts.dirty) AS high, (SELECT bool_or(is_for_a_halt) FROM facts.dirty) AS halt, (SELECT count(*) FROM facts.spikes WHERE is_spike) AS spikes
    FROM ops.dirty_minutes
    WHERE timestamp > (SELECT public.whalegate_now()) - interval '1 hour'
)
SELECT line.place, line.label, coalesce(line.value, 'none') AS value
FROM facts f
CROSS JOIN LATERAL (
    VALUES
        (0, 'Symptom', CASE
            WHEN f.failed_check = 'S10' THEN 'SAME STATE' -- which may look like all at once
            WHEN f.open IS NOT NULL THEN 'ALL AT ONCE'
            WHEN f.rows IS NULL THEN 'no rows'
            WHEN f.halt THEN 'above ' || facts.dirty_halt() || ' %'
            WHEN f.high THEN 'above ' || facts.dirty_high() || ' %'
            WHEN f.spikes > 0 THEN 'spikes'
            WHEN f.hour > facts.dirty_high() THEN 'was above'
            ELSE 'ok'
        END),
        (1, 'Worst of 15 min', f.recent || ' %'),
        (2, 'Worst of 60 min', f.hour || ' %'),
        (3, 'HYPE, last hour', f.hype_pct || ' %'),
        (4, 'BTC, last hour', f.btc_pct || ' %'),
        (5, 'ETH, last hour', f.eth_pct || ' %'),
        (6, 'All at once (S11)', f.open)
) AS line (place, label, value);

-- Alerts of a week by hour and what became of them: sent, or why not. Every hour
-- is there, so that none is not taken for unknown.
CREATE OR REPLACE VIEW ops.alert_hours WITH (security_barrier) AS
WITH counted AS MATERIALIZED (
    SELECT date_trunc('hour', timestamp, 'UTC') AS hour, alert_type, coalesce(suppress_reason, 'sent') AS outcome, count(*) AS alerts
    FROM public.alerts
    WHERE timestamp >= date_trunc('hour', (SELECT public.whalegate_now()), 'UTC') - interval '7 days'
    GROUP BY 1, 2, 3
)
SELECT h.hour, k.alert_type, k.outcome, coalesce(c.alerts, 0) AS alerts
FROM generate_series(date_trunc('hour', (SELECT public.whalegate_now()), 'UTC') - interval '7 days', (SELECT public.whalegate_now()), interval '1 hour') h (hour)
CROSS JOIN (
    SELECT alert_type, outcome FROM unnest('{regime_change,exit_cluster}'::text[]) alert_type, unnest('{sent,cooldown,daily_cap,paused}'::text[]) outcome
    UNION ALL VALUES ('system_stale', 'sent')
) k
LEFT JOIN counted c USING (hour, alert_type, outcome);

-- 8: halt.

CREATE OR REPLACE VIEW ops.halts WITH (security_barrier) AS
SELECT halted_at, halted_by, reason, resumed_at, resumed_by, cause, actions, resumed_at IS NULL AS in_force,
    public.ops_span(extract(epoch FROM coalesce(resumed_at, (SELECT public.whalegate_now())) - halted_at)::double precision) AS length
FROM public.halts;

CREATE OR REPLACE VIEW ops.pauses WITH (security_barrier) AS
SELECT paused_at, paused_by, reason, until, unpaused_at, unpaused_at IS NULL AND until > (SELECT public.whalegate_now()) AS in_force
FROM public.alert_pauses;

CREATE OR REPLACE VIEW ops.halt WITH (security_barrier) AS
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

-- 5: alerts: how many, never which. Of which asset an alert was is not told: with its
-- type that is a signal (its score was above 25).

-- Whether the rules of alerting hold over the last day. Each counts what must never
-- happen, of all assets together. An alert of a boundary that was superseded is not held against the rules: the
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
        (4, 'most of one asset in 24 h', b.most, facts.alerts_of_a_day())
) AS rule (place, rule, figure, allowed);

-- What is remembered between periods, by type: how many of the three assets are
-- cooling down or wait for a confirmation. Only the system alert's own state
-- is told as it is.
CREATE OR REPLACE VIEW ops.alert_memory WITH (security_barrier) AS
SELECT k.place, k.alert_type,
    count(s.asset) AS remembered,
    CASE WHEN k.alert_type = 'system_stale' THEN coalesce(bool_or(s.is_active), false) END AS is_active,
    count(*) FILTER (WHERE s.cooldown_until > (SELECT public.whalegate_now())) AS cooling,
    max(s.cooldown_until) FILTER (WHERE s.cooldown_until > (SELECT public.whalegate_now())) AS cooling_until,
    count(*) FILTER (WHERE s.pending_playbook IS NOT NULL) AS pending,
    min(s.last_period) AS last_period
FROM (VALUES (1, 'regime_change'), (2, 'exit_cluster'), (3, 'system_stale')) AS k (place, alert_type)
LEFT JOIN public.alert_state s USING (alert_type)
GROUP BY k.place, k.alert_type;

-- The outbox by receiver. An error is told as its class: what a receiver answered
-- may repeat the message.
CREATE OR REPLACE VIEW ops.deliveries WITH (security_barrier) AS
SELECT d.receiver, coalesce(f.pending, 0) AS pending, coalesce(f.unknown, 0) AS unknown, coalesce(f.failed, 0) AS failed, d.delivered, f.oldest_seconds, d.attempts, f.last_error
FROM (
    SELECT receiver,
        count(*) FILTER (WHERE state = 'delivered' AND delivered_at > (SELECT public.whalegate_now()) - interval '1 day') AS delivered,
        max(attempts) FILTER (WHERE state <> 'delivered') AS attempts
    FROM public.alert_deliveries
    WHERE state IN ('pending', 'unknown') OR created_at > (SELECT public.whalegate_now()) - interval '7 days'
    GROUP BY receiver
) d
LEFT JOIN facts.deliveries f USING (receiver);

CREATE OR REPLACE VIEW ops.alert_spam WITH (security_barrier) AS
WITH facts AS MATERIALIZED (
    SELECT
        (SELECT bool_and(holds) FROM ops.alert_rules) AS holds,
        (SELECT figure FROM ops.alert_rules WHERE place = 4) AS most,
        (SELECT sum(alerts) FROM ops.alert_hours WHERE alert_type <> 'system_stale' AND outcome = 'sent' AND hour > (SELECT public.whalegate_now()) - interval '24 hours') AS sent,
        (SELECT sum(alerts) FROM ops.alert_hours WHERE outcome <> 'sent' AND hour > (SELECT public.whalegate_now()) - interval '24 hours') AS suppressed,
        (SELECT is_active FROM ops.alert_memory WHERE alert_type = 'system_stale') AS stale,
        (SELECT until FROM ops.pauses WHERE in_force ORDER BY until DESC LIMIT 1) AS paused,
        (SELECT coalesce(sum(pending + unknown), 0) FROM facts.deliveries) AS waiting,
        (SELECT coalesce(sum(failed), 0) FROM facts.deliveries) AS failed,
        (SELECT max(oldest_seconds) FROM facts.deliveries) AS oldest,
        (SELECT bool_or(is_late) FROM facts.deliveries) AS late,
        (SELECT bool_or(is_at_the_cap) FROM facts.alerts) AS at_the_cap
)
SELECT line.place, line.label, coalesce(line.value, 'none') AS value
FROM facts f
CROSS JOIN LATERAL (
    VALUES
        (0, 'Symptom', CASE
            WHEN NOT f.holds THEN 'RULE BROKEN'
            WHEN f.failed > 0 THEN 'undelivered'
            WHEN f.late THEN 'waiting'
            WHEN f.at_the_cap THEN 'at the cap'
            WHEN f.paused IS NOT NULL THEN 'paused'
            ELSE 'ok'
        END),
        (1, 'Sent in a day', f.sent || ''),
        (2, 'Suppressed', f.suppressed || ''),
        (3, 'Of one asset', f.most || ' of ' || facts.alerts_of_a_day()),
        (4, 'System alert', CASE WHEN f.stale THEN 'ACTIVE' ELSE 'not active' END),
        (5, 'Paused', 'until ' || to_char(f.paused AT TIME ZONE 'UTC', 'HH24:MI') || ' UTC'),
        (6, 'To deliver', f.waiting || coalesce(', oldest ' || public.ops_span(f.oldest), '')),
        (7, 'Failed in a day', f.failed || '')
) AS line (place, label, value);

-- 7: the database, without the text of a query, which may hold a value. The functions run
-- with the rights of their owner: a superuser, or a member of pg_monitor, sees every
-- session, any other owner only its own, and the views say so.

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

-- ops_waiting are the locks that somebody waits for, and who holds them.
CREATE OR REPLACE FUNCTION ops_waiting()
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
CREATE OR REPLACE FUNCTION ops_tables()
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
CREATE OR REPLACE FUNCTION ops_database()
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

CREATE OR REPLACE VIEW ops.tables WITH (security_barrier) AS
SELECT name, parts, bytes, largest_part_bytes, locked_parts, live_rows, dead_rows, last_vacuum
FROM public.ops_tables();

CREATE OR REPLACE VIEW ops.connections WITH (security_barrier) AS
SELECT role, state, count(*) AS sessions, max(transaction_seconds) AS longest_transaction_seconds
FROM public.ops_sessions()
GROUP BY role, state;

-- Statements that run for a second or more, and transactions that are open as
-- long and do nothing.
CREATE OR REPLACE VIEW ops.slow_queries WITH (security_barrier) AS
SELECT pid, role, state, statement, waits_for, statement_seconds, transaction_seconds
FROM public.ops_sessions()
WHERE state NOT IN ('idle', 'background') AND greatest(CASE WHEN state = 'active' THEN statement_seconds END, transaction_seconds) >= 1;

CREATE OR REPLACE VIEW ops.locks WITH (security_barrier) AS
SELECT pid, role, wants, relation, held_by, waited_seconds
FROM public.ops_waiting();

-- 6: board truth.

-- ops_truth looks at the mask. It asks before and after, so that a state that changes in
-- between is not a leak.
CREATE OR REPLACE FUNCTION ops_truth()
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

CREATE OR REPLACE VIEW ops.board_truth WITH (security_barrier) AS
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

-- 7, 9: the clocks, and who leads.

-- Whether a clock is wrong, which minutes were refused because of it, and who settled
-- that. The symptom is the reason that health gives.
CREATE OR REPLACE VIEW ops.clock WITH (security_barrier) AS
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
        (SELECT max(greatest(CASE WHEN state = 'active' THEN statement_seconds END, transaction_seconds)) FROM ops.slow_queries) AS longest,
        (SELECT count(*) FROM ops.locks WHERE waited_seconds > extract(epoch FROM facts.waits_for_lock())) AS waiting,
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
            WHEN 100 * f.sessions > facts.connections_many() * f.max_connections THEN 'connections'
            WHEN f.longest > extract(epoch FROM facts.statement_stuck()) THEN 'stuck'
            WHEN f.longest > extract(epoch FROM facts.statement_slow()) THEN 'slow'
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

-- Who leads. A standby does not show the sessions of its primary, so
-- there the replicated row and beat are all there is.
CREATE OR REPLACE VIEW ops.collector WITH (security_barrier) AS
WITH facts AS MATERIALIZED (
    SELECT w.*, w.host || '/' || w.process AS who, w.beat_seconds BETWEEN -extract(epoch FROM facts.beat_ahead()) AND extract(epoch FROM facts.beat_old()) AS beats, pg_is_in_recovery() AS standby,
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
            WHEN f.run_age_seconds > extract(epoch FROM facts.own_run_old()) THEN 'no good run'
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
        (SELECT max(timestamp) FROM public.ingest_runs WHERE NOT superseded) AS newest,
        s.started_at, s.of_a_day AS starts, s.are_too_many,
        (SELECT count(*) FROM public.ingest_runs WHERE NOT superseded AND timestamp > (SELECT public.whalegate_now()) - interval '61 minutes' AND timestamp <= (SELECT public.whalegate_now()) - interval '1 minute') AS runs,
        (SELECT public.whalegate_now()) - facts.run_missing() AS late,
        (SELECT c.value FROM ops.collector c WHERE c.place = 0 AND c.value IN ('nobody leads', 'no recent beat')) AS lead
    FROM facts.starts s
)
SELECT line.place, line.label, coalesce(line.value, 'none') AS value
FROM facts f
CROSS JOIN LATERAL (
    VALUES
        (0, 'Symptom', CASE
            WHEN f.finished_at IS NULL THEN 'no run yet'
            WHEN f.newest < f.late THEN 'nobody runs'
            WHEN f.lead IS NOT NULL THEN f.lead
            WHEN f.are_too_many THEN 'restarts'
            ELSE 'ok'
        END),
        (1, 'Last run ended', public.ops_since(f.finished_at) || ' ago'),
        (2, 'Runs in an hour', f.runs || ' of 60'),
        (3, 'Last start', public.ops_since(f.started_at) || ' ago'),
        (4, 'Starts in a day', f.starts || '')
) AS line (place, label, value);

CREATE OR REPLACE VIEW ops.health_transitions WITH (security_barrier) AS
SELECT ts, from_state, to_state, reasons, lead(ts, 1, 'infinity') OVER (ORDER BY ts, id) AS until_ts
FROM public.health_transitions;
