-- What operators see of data that cannot be true, and of the accounts that are not known.
-- Each fact is a view, with its threshold: status, the runbooks, the metrics and the
-- boards read the same ones.

-- account_facts is how well the accounts of the universe's wallets are known. A row that
-- is a sub-account of another wallet counts there, and is none of them; wallets that
-- claim one account are known of neither, also where one has left the universe, and so
-- are all that claim rows where more than a fifth of the rows, and more than two, are
-- claimed. A date that lies ahead is of no known age.
CREATE OR REPLACE VIEW account_facts AS
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

-- search_facts is the search for accounts at a first start: while it lasts with the wallets
-- as they are known now, afterwards as they were at its end. It is late after 1.3 times the
-- time that was announced, and at the latest after half an hour; one that
-- ended in time is never late.
CREATE OR REPLACE VIEW search_facts AS
SELECT s.started_at, s.announced_seconds,
    CASE WHEN s.ended_at IS NULL THEN a.wallets::integer ELSE s.wallets END AS wallets,
    CASE WHEN s.ended_at IS NULL THEN a.known::integer ELSE s.known END AS known,
    s.done_at, s.ended_at,
    extract(epoch FROM coalesce(s.ended_at, n.now) - s.started_at)::double precision AS running_seconds,
    coalesce(s.ended_at, n.now) > s.started_at + least(1.3 * s.announced_seconds, 1800) * interval '1 second' AS is_late
FROM account_search s
CROSS JOIN account_facts a
CROSS JOIN (SELECT whalegate_now() AS now) n;
COMMENT ON VIEW search_facts IS 'how far the search for accounts is at a first start, and whether it takes longer than was said';

-- meta_facts is what the exchange last said of our coins (S12), beside what is expected.
CREATE OR REPLACE VIEW meta_facts AS
SELECT a.place, a.asset, m.listed, m.delisted, m.sz_decimals, a.sz_decimals AS expected_decimals, m.answered_at,
    extract(epoch FROM n.now - m.answered_at)::double precision AS age_seconds,
    CASE
        WHEN m.answered_at IS NULL THEN 'never answered'
        WHEN n.now - m.answered_at > interval '24 hours' THEN 'not answered for a day'
        WHEN NOT m.listed THEN 'no such coin'
        WHEN m.twice THEN 'listed twice'
        WHEN m.delisted THEN 'delisted'
        WHEN m.sz_decimals <> a.sz_decimals THEN 'other decimals'
    END AS wrong -- NULL: it is right
FROM (VALUES (1, 'HYPE', 2), (2, 'BTC', 5), (3, 'ETH', 4)) AS a (place, asset, sz_decimals)
CROSS JOIN (SELECT whalegate_now() AS now) n
LEFT JOIN exchange_meta m ON m.asset = a.asset AND m.answered_at <= n.now + interval '1 minute';
COMMENT ON VIEW meta_facts IS 'what the exchange last said of each of our coins, and what is wrong with that';
