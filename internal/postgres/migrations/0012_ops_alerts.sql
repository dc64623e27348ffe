-- What the incident board reads of the alerts: how many, never which. Of which
-- asset an alert was is not told: with its type that is a signal (its score
-- was above 25).

-- As 0007 does for the signals: the planner keeps no values of what is hidden.
ALTER TABLE alert_state
    ALTER COLUMN last_triggered TYPE timestamptz,
    ALTER COLUMN last_triggered SET STATISTICS 0,
    ALTER COLUMN cooldown_until TYPE timestamptz,
    ALTER COLUMN cooldown_until SET STATISTICS 0,
    ALTER COLUMN confirmed_playbook TYPE text,
    ALTER COLUMN confirmed_playbook SET STATISTICS 0,
    ALTER COLUMN pending_playbook TYPE text,
    ALTER COLUMN pending_playbook SET STATISTICS 0,
    ALTER COLUMN pending_periods TYPE integer,
    ALTER COLUMN pending_periods SET STATISTICS 0,
    ALTER COLUMN is_active SET STATISTICS 0; -- a view uses it: its type cannot be touched

-- Alerts of a week by hour and what became of them: sent, or why not. Every hour
-- is there, so that none is not taken for unknown.
CREATE VIEW ops.alert_hours WITH (security_barrier) AS
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

-- Whether the rules of alerting hold over the last day. Each counts what must
-- never happen, of all assets together.
CREATE VIEW ops.alert_rules WITH (security_barrier) AS
WITH sent AS MATERIALIZED (
    SELECT asset, alert_type, timestamp, resolved_at,
        lag(timestamp) OVER same AS before, lag(resolved_at) OVER same AS before_resolved
    FROM public.alerts
    WHERE NOT suppressed AND timestamp > (SELECT public.whalegate_now()) - interval '25 hours'
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

-- What is remembered between periods, by type: how many of the three assets are
-- cooling down or wait for a confirmation. Only the system alert's own state
-- is told as it is.
CREATE VIEW ops.alert_memory WITH (security_barrier) AS
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
CREATE VIEW ops.deliveries WITH (security_barrier) AS
SELECT d.receiver,
    count(*) FILTER (WHERE d.state = 'pending') AS pending,
    count(*) FILTER (WHERE d.state = 'unknown') AS unknown,
    count(*) FILTER (WHERE d.state = 'failed' AND d.created_at > (SELECT public.whalegate_now()) - interval '1 day') AS failed,
    count(*) FILTER (WHERE d.state = 'delivered' AND d.delivered_at > (SELECT public.whalegate_now()) - interval '1 day') AS delivered,
    extract(epoch FROM (SELECT public.whalegate_now()) - min(d.created_at) FILTER (WHERE d.state IN ('pending', 'unknown')))::double precision AS oldest_seconds,
    max(d.attempts) FILTER (WHERE d.state <> 'delivered') AS attempts,
    (array_agg(
        CASE
            WHEN d.last_error ~ '\m[45][0-9][0-9]\M' THEN 'answered ' || substring(d.last_error FROM '\m[45][0-9][0-9]\M')
            WHEN d.last_error ~* 'refused' THEN 'connection refused'
            WHEN d.last_error ~* 'time.?out|deadline|no answer' THEN 'no answer in time'
            WHEN d.last_error ~* 'no such host|lookup' THEN 'no such host'
            WHEN d.last_error ~* 'tls|x509|certificate' THEN 'TLS'
            WHEN d.last_error IS NOT NULL THEN 'other'
        END ORDER BY d.last_attempt_at DESC NULLS LAST) FILTER (WHERE d.last_error IS NOT NULL AND d.state <> 'delivered'))[1] AS last_error
FROM public.alert_deliveries d
WHERE d.state IN ('pending', 'unknown') OR d.created_at > (SELECT public.whalegate_now()) - interval '7 days'
GROUP BY d.receiver;

CREATE VIEW ops.alert_spam WITH (security_barrier) AS
WITH facts AS MATERIALIZED (
    SELECT
        (SELECT bool_and(holds) FROM ops.alert_rules) AS holds,
        (SELECT figure FROM ops.alert_rules WHERE place = 4) AS most,
        (SELECT sum(alerts) FROM ops.alert_hours WHERE alert_type <> 'system_stale' AND outcome = 'sent' AND hour > (SELECT public.whalegate_now()) - interval '24 hours') AS sent,
        (SELECT sum(alerts) FROM ops.alert_hours WHERE outcome <> 'sent' AND hour > (SELECT public.whalegate_now()) - interval '24 hours') AS suppressed,
        (SELECT is_active FROM ops.alert_memory WHERE alert_type = 'system_stale') AS stale,
        (SELECT until FROM ops.pauses WHERE in_force ORDER BY until DESC LIMIT 1) AS paused,
        (SELECT coalesce(sum(pending + unknown), 0) FROM ops.deliveries) AS waiting,
        (SELECT coalesce(sum(failed), 0) FROM ops.deliveries) AS failed,
        (SELECT max(oldest_seconds) FROM ops.deliveries) AS oldest
)
SELECT line.place, line.label, coalesce(line.value, 'none') AS value
FROM facts f
CROSS JOIN LATERAL (
    VALUES
        (0, 'Symptom', CASE
            WHEN NOT f.holds THEN 'RULE BROKEN'
            WHEN f.failed > 0 THEN 'undelivered'
            WHEN f.oldest > 600 THEN 'waiting'
            WHEN f.most >= 4 THEN 'at the cap'
            WHEN f.paused IS NOT NULL THEN 'paused'
            ELSE 'ok'
        END),
        (1, 'Sent in a day', f.sent || ''),
        (2, 'Suppressed', f.suppressed || ''),
        (3, 'Of one asset', f.most || ' of 4'),
        (4, 'System alert', CASE WHEN f.stale THEN 'ACTIVE' ELSE 'not active' END),
        (5, 'Paused', 'until ' || to_char(f.paused AT TIME ZONE 'UTC', 'HH24:MI') || ' UTC'),
        (6, 'To deliver', f.waiting || coalesce(', oldest ' || public.ops_span(f.oldest), '')),
        (7, 'Failed in a day', f.failed || '')
) AS line (place, label, value);
