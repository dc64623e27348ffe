-- What the trading board reads. The board's role sees these views and nothing
-- else, and whoever can send a query through Grafana has that role: so what must
-- not be shown is not returned.

-- decision_surface is the mask of every view that could move a trade: one row,
-- with the instant by the clock of the database, while such a view may be read;
-- no row while it may not.
--
-- It sees what is committed when it is read, not when the statement began: it is
-- VOLATILE, so a cursor that was declared before a halt, and not read yet, finds
-- it closed. A transaction that holds an older snapshot (REPEATABLE READ, SERIALIZABLE) cannot
-- see that, and a pooled session would hand its past to the next viewer: it finds
-- the surface closed from the beginning.
CREATE OR REPLACE FUNCTION decision_surface()
    RETURNS TABLE (health_state text, judged_at timestamptz)
    LANGUAGE sql VOLATILE SECURITY DEFINER ROWS 1 SET search_path = public, pg_temp
    AS $$
SELECT h.health_state, whalegate_now()
FROM board_health() h
WHERE h.health_state IN ('HEALTHY', 'DEGRADED') AND current_setting('transaction_isolation') = 'read committed'
$$;

CREATE OR REPLACE VIEW board.health WITH (security_barrier) AS
SELECT health_state, snapshot_status, last_success_snapshot_ts, snapshot_age_seconds, coverage_pct, clean_runs, reasons
FROM board_health();

-- The header, always there: no signal value, only when there was one.
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
        WHEN (SELECT r.failed_check FROM public.ingest_runs r WHERE NOT r.superseded ORDER BY r.timestamp DESC LIMIT 1) IN ('S10', 'S11') THEN '4-dirty-spike'
        WHEN h.snapshot_status = 'failed' OR NOT h.reasons && '{no_runs,snapshot_age}' THEN '1-ingestion'
        ELSE '9-crash' -- nobody has even tried
    END AS runbook
FROM board_health() h;

-- The header as it is read: label and value, in order.
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

-- An active system alert. It says that nothing may be shown, so it always may be.
CREATE OR REPLACE VIEW board.system_alert WITH (security_barrier) AS
SELECT a.timestamp, a.asset, a.alert_type, a.severity, a.message
FROM public.alert_state s
JOIN public.alerts a ON a.id = s.active_alert_id AND a.alert_type = 'system_stale'
WHERE s.alert_type = 'system_stale' AND s.is_active;

-- From here on every view is masked by decision_surface().

-- The signals, as computed.
CREATE OR REPLACE VIEW board.signals WITH (security_barrier) AS
SELECT s.timestamp, s.asset, s.alignment_score, s.alignment_trend, s.dispersion_index, s.exit_cluster_score, s.allowed_playbook, s.risk_mode,
    s.add_exposure, s.tighten_stops, s.wallet_count, s.missing_count, s.dirty_count, s.is_degraded, s.degraded_reason
FROM public.decision_surface() d
CROSS JOIN public.signals s
WHERE s.timestamp <= d.judged_at;

CREATE OR REPLACE VIEW board.contributors WITH (security_barrier) AS
SELECT c.timestamp, c.asset, c.pct_add_long, c.pct_add_short, c.pct_reducers, c.pct_flat, c.count_add_long, c.count_add_short, c.count_reducers, c.count_flat, c.total_wallets
FROM public.decision_surface() d
CROSS JOIN public.signal_contributors c
WHERE c.timestamp <= d.judged_at;

CREATE OR REPLACE VIEW board.positioning WITH (security_barrier) AS
SELECT p.timestamp, p.asset, p.net_szi, p.long_count, p.short_count, p.flat_count, p.top10_share_pct
FROM public.decision_surface() d
CROSS JOIN public.signal_positioning p
WHERE p.timestamp <= d.judged_at;

-- An alert of a superseded boundary is not shown beside the one that has its time.
CREATE OR REPLACE VIEW board.alerts WITH (security_barrier) AS
SELECT a.timestamp, a.asset, a.alert_type, a.severity, a.message, a.resolved_at
FROM public.decision_surface() d
CROSS JOIN public.alerts a
WHERE NOT a.suppressed AND NOT a.superseded AND a.timestamp <= d.judged_at;

-- What is allowed now, one row an asset. Without a signal younger than ten
-- minutes the gate is closed.
CREATE OR REPLACE VIEW board.gate WITH (security_barrier) AS
SELECT
    a.place,
    a.asset,
    s.timestamp,
    coalesce(s.allowed_playbook, 'No-trade') AS allowed_playbook,
    coalesce(s.risk_mode, 'Defensive') AS risk_mode,
    s.timestamp IS NULL AS no_signal,
    d.health_state,
    d.health_state = 'DEGRADED' OR coalesce(s.is_degraded, false) AS is_degraded,
    EXISTS (SELECT FROM public.alert_state e WHERE e.asset = a.asset AND e.alert_type = 'exit_cluster' AND e.is_active) AS de_risking,
    s.alignment_score,
    CASE s.alignment_trend WHEN 'rising' THEN '↑' WHEN 'flat' THEN '→' WHEN 'falling' THEN '↓' END AS trend_arrow,
    s.dispersion_index,
    CASE WHEN s.dispersion_index < 40 THEN 'Low' WHEN s.dispersion_index < 60 THEN 'Medium' WHEN s.dispersion_index IS NOT NULL THEN 'High' END AS dispersion_band,
    s.exit_cluster_score,
    CASE WHEN s.exit_cluster_score < 16 THEN 'Low' WHEN s.exit_cluster_score <= 25 THEN 'Medium' WHEN s.exit_cluster_score IS NOT NULL THEN 'High' END AS exit_cluster_band,
    s.add_exposure,
    s.tighten_stops
FROM public.decision_surface() d
CROSS JOIN (VALUES (1, 'HYPE'), (2, 'BTC'), (3, 'ETH')) AS a (place, asset)
LEFT JOIN LATERAL (
    SELECT *
    FROM public.signals s
    WHERE s.asset = a.asset AND s.timestamp > d.judged_at - interval '10 minutes' AND s.timestamp <= d.judged_at
    ORDER BY s.timestamp DESC LIMIT 1
) s ON true;

-- The gate as it is read: the playbook, and eight lines under it. There are
-- always eight, so that nothing on the board changes its place.
CREATE OR REPLACE VIEW board.playbook WITH (security_barrier) AS
SELECT place, asset, is_degraded, allowed_playbook || CASE WHEN is_degraded THEN ' (degraded)' ELSE '' END AS playbook
FROM board.gate;

CREATE OR REPLACE VIEW board.gate_lines WITH (security_barrier) AS
SELECT g.asset, g.is_degraded, line.place, line.label, coalesce(line.value, '–') AS value
FROM board.gate g
CROSS JOIN LATERAL (
    VALUES
        (1, 'Risk mode', g.risk_mode),
        (2, 'Exit alert', CASE WHEN g.de_risking THEN 'DE-RISKING' ELSE 'none' END),
        (3, 'Warning', CASE WHEN g.no_signal THEN 'no signal' WHEN g.dispersion_band = 'High' THEN 'DISPERSION HIGH' ELSE 'none' END),
        (4, 'CAS', trim(to_char(g.alignment_score, '990.0')) || ' ' || g.trend_arrow),
        (5, 'Dispersion', trim(to_char(g.dispersion_index, '990.0')) || ' ' || g.dispersion_band),
        (6, 'Exit cluster', trim(to_char(g.exit_cluster_score, '990.0')) || ' ' || g.exit_cluster_band),
        (7, 'Add exposure', CASE WHEN g.add_exposure THEN 'yes' WHEN NOT g.add_exposure THEN 'no' END),
        (8, 'Tighten stops', CASE WHEN g.tighten_stops THEN 'YES' WHEN NOT g.tighten_stops THEN 'no' END)
) AS line (place, label, value);

-- The five newest alerts of a day.
CREATE OR REPLACE VIEW board.recent_alerts WITH (security_barrier) AS
SELECT a.timestamp, a.asset, a.alert_type, a.severity, a.message
FROM public.decision_surface() d
CROSS JOIN LATERAL (
    SELECT *
    FROM public.alerts a
    WHERE NOT a.suppressed AND NOT a.superseded AND a.timestamp > d.judged_at - interval '24 hours' AND a.timestamp <= d.judged_at
    ORDER BY a.timestamp DESC, a.id DESC LIMIT 5
) a;
