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
