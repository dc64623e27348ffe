-- What is known of the system, each with the figure from which it is broken and whether it
-- is: status, the runbooks, the metrics and the boards read the same views. The figures
-- are functions of this schema, made from package threshold. No signal value is in here.

-- accounts is how well the accounts of the universe's wallets are known. A row that
-- is a sub-account of another wallet counts there, and is none of them; wallets that
-- claim one account are known of neither, also where one has left the universe, and so
-- are all that claim rows where more than a fifth of the rows, and more than two, are
-- claimed. A date that lies ahead is of no known age.
CREATE OR REPLACE VIEW facts.accounts AS
WITH universe AS MATERIALIZED (
    SELECT u.wallet_id, coalesce(a.sub_accounts, '{}') AS sub_accounts, a.checked_at
    FROM wallet_universe_current u
    LEFT JOIN wallet_accounts a USING (wallet_id)
), claims AS MATERIALIZED (
    SELECT sub.account, u.wallet_id AS owner FROM universe u CROSS JOIN LATERAL unnest(u.sub_accounts) AS sub (account)
), elsewhere AS (
    SELECT unnest(a.sub_accounts) AS account FROM wallet_accounts a
    WHERE a.checked_at BETWEEN whalegate_now() - facts.accounts_old() AND whalegate_now() + facts.accounts_old() AND a.wallet_id NOT IN (SELECT wallet_id FROM universe)
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
    (count(*) FILTER (WHERE NOT is_shared AND age BETWEEN -facts.accounts_old() AND facts.accounts_old()))::integer AS known,
    (count(*) FILTER (WHERE age IS NULL))::integer AS never_found,
    (count(*) FILTER (WHERE age NOT BETWEEN -facts.accounts_old() AND facts.accounts_old()))::integer AS unconfirmed,
    (count(*) FILTER (WHERE is_shared))::integer AS shared,
    extract(epoch FROM max(age))::double precision AS oldest_confirmed_seconds,
    extract(epoch FROM facts.accounts_due())::double precision AS due_seconds,
    coalesce(max(age) > facts.accounts_due(), false) AS is_overdue
FROM tracked;
COMMENT ON VIEW facts.accounts IS 'how many wallets of the universe have known accounts: confirmed lately, and shared with no other';

-- search is the search for accounts at a first start: while it lasts with the wallets
-- as they are known now, afterwards as they were at its end. It is late after so many times
-- the time that was announced, and at the latest after a fixed one; one that ended in time
-- is never late.
CREATE OR REPLACE VIEW facts.search AS
SELECT s.started_at, s.announced_seconds,
    CASE WHEN s.ended_at IS NULL THEN a.wallets::integer ELSE s.wallets END AS wallets,
    CASE WHEN s.ended_at IS NULL THEN a.known::integer ELSE s.known END AS known,
    s.done_at, s.ended_at,
    extract(epoch FROM coalesce(s.ended_at, n.now) - s.started_at)::double precision AS running_seconds,
    coalesce(s.ended_at, n.now) > s.started_at + least(facts.search_late() * s.announced_seconds::numeric * interval '1 second', facts.search_late_most()) AS is_late
FROM account_search s
CROSS JOIN facts.accounts a
CROSS JOIN (SELECT whalegate_now() AS now) n;
COMMENT ON VIEW facts.search IS 'how far the search for accounts is at a first start, and whether it takes longer than was said';

-- coins is what the exchange last said of our coins (S12), beside what is expected.
CREATE OR REPLACE VIEW facts.coins AS
SELECT a.place, a.asset, m.listed, m.delisted, m.sz_decimals, a.sz_decimals AS expected_decimals, m.answered_at,
    extract(epoch FROM n.now - m.answered_at)::double precision AS age_seconds,
    CASE
        WHEN m.answered_at IS NULL THEN 'never answered'
        WHEN n.now - m.answered_at > facts.meta_old() THEN 'not answered for a day'
        WHEN NOT m.listed THEN 'no such coin'
        WHEN m.twice THEN 'listed twice'
        WHEN m.delisted THEN 'delisted'
        WHEN m.sz_decimals <> a.sz_decimals THEN 'other decimals'
    END AS wrong, -- NULL: it is right
    extract(epoch FROM facts.meta_late())::double precision AS late_after_seconds,
    coalesce(n.now - m.answered_at > facts.meta_late(), false) AS is_late
FROM (VALUES (1, 'HYPE', 2), (2, 'BTC', 5), (3, 'ETH', 4)) AS a (place, asset, sz_decimals)
CROSS JOIN (SELECT whalegate_now() AS now) n
LEFT JOIN exchange_meta m ON m.asset = a.asset AND m.answered_at <= n.now + interval '1 minute';
COMMENT ON VIEW facts.coins IS 'what the exchange last said of each of our coins, and what is wrong with that';

-- universe is the newest refresh beside the newest good one, and what is wrong with them.
CREATE OR REPLACE VIEW facts.universe AS
SELECT r.as_of_ts, r.status, r.n_requested, r.n_received, r.entered_count, r.exited_count, r.churn_warning_count,
    round(100.0 * (r.entered_count + r.exited_count) / nullif(r.n_requested, 0), 1) AS churn_pct,
    100 * r.n_received::numeric / nullif(r.n_requested, 0) < facts.received_few() AS is_too_few, facts.received_few() AS received_pct_needed,
    r.churn_warning_count >= facts.churn_refused() AS is_refused, facts.churn_refused() AS refused_at,
    n.now - r.as_of_ts > facts.refresh_old() AS is_old, extract(epoch FROM facts.refresh_old())::double precision AS old_after_seconds,
    g.as_of_ts AS good_ts, g.n_requested AS good_requested, g.changed_at AS good_changed_at,
    g.as_of_ts - g.changed_at > facts.board_same() AS is_unchanged, extract(epoch FROM facts.board_same())::double precision AS unchanged_after_seconds,
    t.tracked, t.tracked > 0 AND 100 * t.tracked::numeric / nullif(g.n_received, 0) < facts.received_few() AS is_cut
FROM (SELECT whalegate_now() AS now) n
CROSS JOIN (SELECT count(*) AS tracked FROM wallet_universe_current) t
LEFT JOIN LATERAL (SELECT * FROM wallet_universe_runs ORDER BY run_id DESC LIMIT 1) r ON true
LEFT JOIN LATERAL (SELECT * FROM wallet_universe_runs WHERE status = 'success' ORDER BY run_id DESC LIMIT 1) g ON true;

-- boundary is the newest boundary of signals that something became of.
CREATE OR REPLACE VIEW facts.boundary AS
SELECT c.timestamp, c.outcome, c.reasons, c.skipped,
    n.now - c.timestamp >= facts.boundary_overdue() AS is_overdue, extract(epoch FROM facts.boundary_overdue())::double precision AS overdue_after_seconds,
    (SELECT count(*) FROM signal_cycles b WHERE b.outcome = 'blocked' AND b.timestamp > n.now - interval '1 day') AS blocked
FROM (SELECT whalegate_now() AS now) n
LEFT JOIN LATERAL (SELECT * FROM signal_cycles ORDER BY timestamp DESC LIMIT 1) c ON true;

-- signal_age is when each asset had its newest signal.
CREATE OR REPLACE VIEW facts.signal_age AS
SELECT a.place, a.asset, s.timestamp AS last_signal_ts, extract(epoch FROM n.now - s.timestamp)::double precision AS age_seconds,
    n.now - s.timestamp > facts.signal_old() AS is_old, extract(epoch FROM facts.signal_old())::double precision AS old_after_seconds
FROM (VALUES (1, 'HYPE'), (2, 'BTC'), (3, 'ETH')) AS a (place, asset)
CROSS JOIN (SELECT whalegate_now() AS now) n
LEFT JOIN LATERAL (SELECT timestamp FROM signals s WHERE s.asset = a.asset ORDER BY s.timestamp DESC LIMIT 1) s ON true;

-- dirty is how many of each asset's rows of a quarter of an hour are dirty. A run wrote a row
-- of each asset; only the dirty ones are looked up, which an index has.
CREATE OR REPLACE VIEW facts.dirty AS
SELECT a.asset, coalesce(d.dirty, 0) AS dirty, r.rows,
    coalesce(100 * d.dirty::numeric / r.rows > facts.dirty_high(), false) AS is_high, coalesce(100 * d.dirty::numeric / r.rows > facts.dirty_halt(), false) AS is_for_a_halt,
    facts.dirty_high() AS high_pct, facts.dirty_halt() AS halt_pct
FROM (VALUES ('HYPE'), ('BTC'), ('ETH')) AS a (asset)
CROSS JOIN (
    SELECT sum(rows_written) / 3 AS rows
    FROM ingest_runs
    WHERE timestamp > (SELECT whalegate_now()) - interval '15 minutes' AND rows_written > 0 AND NOT superseded
) r
LEFT JOIN (
    SELECT asset, count(*) AS dirty
    FROM wallet_snapshots s
    WHERE is_dirty AND timestamp > (SELECT whalegate_now()) - interval '15 minutes' AND NOT EXISTS (SELECT FROM ingest_runs r WHERE r.timestamp = s.timestamp AND r.superseded)
    GROUP BY asset
) d USING (asset)
WHERE r.rows > 0;

-- spikes are the minutes of half an hour in which several wallets were dirty at once: one
-- alone may have closed.
CREATE OR REPLACE VIEW facts.spikes AS
SELECT timestamp, dirty, wallets, 100 * dirty::numeric / nullif(wallets, 0) >= facts.spike_share() AS is_spike, facts.spike_share() AS spike_pct
FROM (
    SELECT s.timestamp, count(DISTINCT s.wallet_id) AS dirty, coalesce(max(r.wallet_success_count), 0) AS wallets
    FROM wallet_snapshots s
    LEFT JOIN ingest_runs r ON r.timestamp = s.timestamp
    WHERE s.is_dirty AND r.superseded IS NOT TRUE AND s.timestamp > (SELECT whalegate_now()) - interval '30 minutes'
    GROUP BY s.timestamp
) counted
WHERE dirty > 1;

-- alerts is how many behavioural alerts of each asset went out within a day, and what held
-- back the others.
CREATE OR REPLACE VIEW facts.alerts AS
SELECT asset, sent, capped, cooling, paused, facts.alerts_of_a_day() AS allowed, sent > facts.alerts_of_a_day() AS is_too_many, sent = facts.alerts_of_a_day() OR capped > 0 AS is_at_the_cap
FROM (
    SELECT asset, count(*) FILTER (WHERE NOT suppressed AND NOT superseded) AS sent, count(*) FILTER (WHERE suppress_reason = 'daily_cap') AS capped,
        count(*) FILTER (WHERE suppress_reason = 'cooldown') AS cooling, count(*) FILTER (WHERE suppress_reason = 'paused') AS paused
    FROM alerts
    WHERE asset <> 'SYSTEM' AND timestamp > (SELECT whalegate_now()) - interval '24 hours'
    GROUP BY asset
) counted;

-- deliveries are what waits for each receiver, and what was given up within a day. A test
-- says itself what became of it. An error is told as its class: what a receiver answered
-- may repeat the message.
CREATE OR REPLACE VIEW facts.deliveries AS
SELECT d.receiver,
    count(*) FILTER (WHERE d.state = 'pending') AS pending,
    count(*) FILTER (WHERE d.state = 'unknown') AS unknown,
    count(*) FILTER (WHERE d.state = 'failed') AS failed,
    extract(epoch FROM n.now - min(d.created_at) FILTER (WHERE d.state <> 'failed'))::double precision AS oldest_seconds, -- NULL: nothing waits
    extract(epoch FROM facts.delivery_late())::double precision AS late_after_seconds,
    coalesce(n.now - min(d.created_at) FILTER (WHERE d.state <> 'failed') > facts.delivery_late(), false) AS is_late,
    (array_agg(
        CASE
            WHEN d.last_error ~ '\m[45][0-9][0-9]\M' THEN 'answered ' || substring(d.last_error FROM '\m[45][0-9][0-9]\M')
            WHEN d.last_error ~* 'refused' THEN 'connection refused'
            WHEN d.last_error ~* 'time.?out|deadline|no answer' THEN 'no answer in time'
            WHEN d.last_error ~* 'no such host|lookup' THEN 'no such host'
            WHEN d.last_error ~* 'tls|x509|certificate' THEN 'TLS'
            WHEN d.last_error IS NOT NULL THEN 'other'
        END ORDER BY d.last_attempt_at DESC NULLS LAST) FILTER (WHERE d.last_error IS NOT NULL))[1] AS last_error
FROM alert_deliveries d
CROSS JOIN (SELECT whalegate_now() AS now) n
WHERE d.kind <> 'test'
    AND (d.state IN ('pending', 'unknown') OR d.state = 'failed' AND d.created_at > n.now - interval '48 hours' AND d.expires_at > n.now - interval '24 hours')
GROUP BY d.receiver, n.now;

-- starts are those of the service.
CREATE OR REPLACE VIEW facts.starts AS
SELECT max(t.ts) AS started_at, count(*) FILTER (WHERE t.ts > n.now - interval '1 day') AS of_a_day, count(*) FILTER (WHERE t.ts > n.now - interval '30 minutes') AS lately,
    facts.restarts() AS allowed, count(*) FILTER (WHERE t.ts > n.now - interval '30 minutes') > facts.restarts() AS are_too_many
FROM (SELECT whalegate_now() AS now) n
LEFT JOIN health_transitions t ON t.from_state = 'UNKNOWN'
GROUP BY n.now;
