-- What operators see of data that cannot be true, and of the accounts that are not known.
-- Each fact is a view, with its threshold: status, the runbooks, the metrics and the
-- boards read the same ones.

-- account_facts is how well the accounts of the universe's wallets are known. A row that
-- is a sub-account of another wallet counts there, and is none of them; wallets that
-- claim one account are known of neither, also where one has left the universe, and so are all that claim rows where more than
-- a fifth of the rows, and more than two, are claimed. A date that lies ahead is of no
-- known age.
CREATE VIEW account_facts AS
WITH universe AS MATERIALIZED (
    SELECT u.wallet_id, coalesce(a.sub_accounts, '{}') AS sub_accounts, a.checked_at
    FROM wallet_universe_current u
    LEFT JOIN wallet_accounts a USING (wallet_id)
), claims AS MATERIALIZED (
    SELECT sub.account, u.wallet_id AS owner FROM universe u CROSS JOIN LATERAL unnest(u.sub_accounts) AS sub (account)
), elsewhere AS (
    SELECT unnest(a.sub_accounts) AS account FROM wallet_accounts a
    WHERE a.checked_at BETWEEN whalegate_now() - interval '24 hours' AND whalegate_now() + interval '24 hours' AND a.wallet_id NOT IN (SELECT wallet_id FROM universe)
), doubles AS MATERIALIZED (
    SELECT c.account, c.owner, c.account IN (SELECT owner FROM claims) AS has_accounts FROM claims c JOIN universe u ON u.wallet_id = c.account
), too_many AS (
    SELECT count(DISTINCT account) > 2 AND 5 * count(DISTINCT account) > (SELECT count(*) FROM universe) AS are FROM doubles
), shared AS MATERIALIZED (
    SELECT c.owner AS wallet_id FROM claims c WHERE c.account IN (SELECT account FROM claims GROUP BY account HAVING count(*) > 1)
    UNION
    SELECT c.owner FROM claims c WHERE c.account IN (SELECT account FROM elsewhere)
    UNION
    SELECT unnest(ARRAY[d.account, d.owner]) FROM doubles d CROSS JOIN too_many WHERE d.has_accounts OR too_many.are
), tracked AS (
    SELECT s.wallet_id IS NOT NULL AS is_shared, n.now - u.checked_at AS age
    FROM universe u
    CROSS JOIN (SELECT whalegate_now() AS now) n
    LEFT JOIN shared s USING (wallet_id)
    WHERE s.wallet_id IS NOT NULL OR u.wallet_id NOT IN (SELECT account FROM claims)
)
SELECT count(*)::integer AS wallets,
    (count(*) FILTER (WHERE NOT is_shared AND age BETWEEN interval '-24 hours' AND interval '24 hours'))::integer AS known,
    (count(*) FILTER (WHERE age IS NULL))::integer AS never_found,
    (count(*) FILTER (WHERE age NOT BETWEEN interval '-24 hours' AND interval '24 hours'))::integer AS unconfirmed,
    (count(*) FILTER (WHERE is_shared))::integer AS shared,
    extract(epoch FROM max(age))::double precision AS oldest_confirmed_seconds
FROM tracked;
COMMENT ON VIEW account_facts IS 'how many wallets of the universe have known accounts: confirmed within 24 h, and shared with no other';

-- search_facts is the search for accounts at a first start. It is late after 1.3 times
-- the time that was announced, and at the latest after half an hour.
CREATE VIEW search_facts AS
SELECT s.started_at, s.announced_seconds, s.wallets, s.known, s.done_at, s.ended_at,
    extract(epoch FROM coalesce(s.ended_at, n.now) - s.started_at)::double precision AS running_seconds,
    n.now > s.started_at + least(1.3 * s.announced_seconds, 1800) * interval '1 second' AS is_late
FROM account_search s
CROSS JOIN (SELECT whalegate_now() AS now) n;
COMMENT ON VIEW search_facts IS 'how far the search for accounts is at a first start, and whether it takes longer than was said';

-- meta_facts is what the exchange last said of our coins (S12), beside what is expected.
CREATE VIEW meta_facts AS
SELECT a.place, a.asset, m.listed, m.delisted, m.sz_decimals, a.sz_decimals AS expected_decimals, m.answered_at,
    extract(epoch FROM n.now - m.answered_at)::double precision AS age_seconds,
    CASE
        WHEN m.answered_at IS NULL THEN 'never answered'
        WHEN n.now - m.answered_at > interval '24 hours' THEN 'not answered for a day'
        WHEN NOT m.listed THEN 'no such coin'
        WHEN m.delisted THEN 'delisted'
        WHEN m.sz_decimals <> a.sz_decimals THEN 'other decimals'
    END AS wrong -- NULL: it is right
FROM (VALUES (1, 'HYPE', 2), (2, 'BTC', 5), (3, 'ETH', 4)) AS a (place, asset, sz_decimals)
CROSS JOIN (SELECT whalegate_now() AS now) n
LEFT JOIN exchange_meta m ON m.asset = a.asset AND m.answered_at <= n.now + interval '1 minute'; -- what a clock that was ahead has dated does not count
COMMENT ON VIEW meta_facts IS 'what the exchange last said of each of our coins, and what is wrong with that';

-- The trading board's header: what cannot be true has its own runbook.

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

-- 1: ingestion. A check that failed a run is why, before the wallets that failed in it.

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

-- What the exchange last said of our coins, coin by coin.
CREATE VIEW ops.exchange_meta WITH (security_barrier) AS
SELECT place, asset, listed, delisted, sz_decimals, expected_decimals, answered_at, age_seconds, coalesce(wrong, 'right') AS verdict
FROM public.meta_facts;

-- Whether the accounts of the wallets are known, how far a first start is, and whether
-- our coins are still what they were. Counts and ages alone.
CREATE VIEW ops.accounts WITH (security_barrier) AS
WITH facts AS MATERIALIZED (
    SELECT a.*, s.started_at, s.announced_seconds, s.known AS search_known, s.wallets AS search_wallets, s.done_at, s.ended_at, s.running_seconds, s.is_late,
        m.wrong AS coin_wrong, m.answered_seconds
    FROM public.account_facts a
    LEFT JOIN public.search_facts s ON true
    CROSS JOIN (
        SELECT string_agg(asset || ': ' || wrong, ', ' ORDER BY place) AS wrong, max(age_seconds) AS answered_seconds FROM public.meta_facts
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

-- 2: universe. The leaderboard changes about hourly: one that stands still for two days
-- is a copy (U7).

CREATE OR REPLACE VIEW ops.universe_runs WITH (security_barrier) AS
SELECT as_of_ts, status, source, n_requested, n_received, rows_read, rows_skipped, entered_count, exited_count,
    round(100.0 * (entered_count + exited_count) / n_requested, 1) AS churn_pct, churn_warning_count, duration_ms,
    regexp_replace(error, '0x[0-9a-f]{40}', '0x…', 'g') AS error, changed_at
FROM public.wallet_universe_runs;

CREATE OR REPLACE VIEW ops.universe WITH (security_barrier) AS
WITH facts AS MATERIALIZED (
    SELECT r.*, g.as_of_ts AS good_ts, g.as_of_ts < (SELECT public.whalegate_now()) - interval '7 hours' AS is_old, g.n_requested AS good_requested, g.changed_at AS good_changed_at,
        g.as_of_ts - g.changed_at > interval '48 hours' AS is_unchanged, (SELECT count(*) FROM public.wallet_universe_current) AS tracked
    FROM (VALUES (1)) one
    LEFT JOIN LATERAL (SELECT * FROM ops.universe_runs ORDER BY as_of_ts DESC LIMIT 1) r ON true
    LEFT JOIN LATERAL (SELECT as_of_ts, n_requested, changed_at FROM ops.universe_runs WHERE status = 'success' ORDER BY as_of_ts DESC LIMIT 1) g ON true
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
            WHEN f.is_unchanged THEN 'unchanged'
            ELSE 'ok'
        END),
        (1, 'Newest refresh', f.status),
        (2, 'Last good', public.ops_since(f.good_ts) || ' ago'),
        (3, 'Received', f.n_received || ' of ' || f.n_requested),
        (4, 'Churn', f.churn_pct || ' %'),
        (5, 'Churn warnings', f.churn_warning_count || ' of 3'),
        (6, 'Wallets tracked', f.tracked || CASE WHEN f.good_requested <> f.n_requested THEN ', made for ' || f.good_requested ELSE '' END),
        (7, 'Leaderboard changed', public.ops_since(f.good_changed_at) || ' ago')
) AS line (place, label, value);

-- 4: what cannot be true. Which asset, how many wallets, since when; not what they hold.

CREATE VIEW ops.baselines WITH (security_barrier) AS
SELECT opened_ts, asset, subject, affected, holders, ended_ts, accepted_at, accepted_by,
    CASE WHEN ended_ts IS NULL THEN 'OPEN' WHEN accepted_at IS NULL THEN 'the sizes were back' ELSE 'accepted' END AS outcome
FROM public.baselines;

CREATE OR REPLACE VIEW ops.dirty_spike WITH (security_barrier) AS
WITH facts AS MATERIALIZED (
    SELECT sum(rows) AS rows, round(max(worst_pct) FILTER (WHERE timestamp > (SELECT public.whalegate_now()) - interval '15 minutes')::numeric, 2) AS recent, round(max(worst_pct)::numeric, 2) AS hour,
        round(100.0 * sum(hype_rows) / nullif(sum(rows), 0), 2) AS hype_pct, round(100.0 * sum(btc_rows) / nullif(sum(rows), 0), 2) AS btc_pct,
        round(100.0 * sum(eth_rows) / nullif(sum(rows), 0), 2) AS eth_pct,
        (SELECT string_agg(subject || ' since ' || to_char(opened_ts AT TIME ZONE 'UTC', 'MM-DD HH24:MI'), ', ' ORDER BY opened_ts, asset) FROM ops.baselines WHERE outcome = 'OPEN') AS open,
        (SELECT r.failed_check FROM public.ingest_runs r WHERE NOT r.superseded ORDER BY r.timestamp DESC LIMIT 1) AS failed_check
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
            WHEN f.recent > 20 THEN 'above 20 %'
            WHEN f.recent > 10 THEN 'above 10 %'
            WHEN f.hour > 10 THEN 'was above'
            ELSE 'ok'
        END),
        (1, 'Worst of 15 min', f.recent || ' %'),
        (2, 'Worst of 60 min', f.hour || ' %'),
        (3, 'HYPE, last hour', f.hype_pct || ' %'),
        (4, 'BTC, last hour', f.btc_pct || ' %'),
        (5, 'ETH, last hour', f.eth_pct || ' %'),
        (6, 'All at once (S11)', f.open)
) AS line (place, label, value);
