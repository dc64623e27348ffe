-- Which minutes may be stored, what a clock that was wrong sets aside, and what a person
-- accepts.

-- pull_back gives what people and senders dated by a clock that was ahead the present
-- instead: a halt could not be resumed, a pause would last on, and a delivery would
-- wait until that time comes.
CREATE OR REPLACE FUNCTION pull_back() RETURNS void
    LANGUAGE plpgsql VOLATILE SET search_path = public, pg_temp
    AS $$
DECLARE
    now timestamptz := whalegate_now();
BEGIN
    PERFORM FROM alert_state ORDER BY asset, alert_type FOR UPDATE; -- before the alerts, as those that decide them do
    UPDATE halts SET halted_at = least(halted_at, now), resumed_at = CASE WHEN resumed_at > now THEN now ELSE resumed_at END
    WHERE greatest(halted_at, resumed_at) > now;
    UPDATE alert_pauses SET paused_at = now, until = now + (until - paused_at), unpaused_at = CASE WHEN unpaused_at > now THEN now ELSE unpaused_at END
    WHERE paused_at > now;
    -- What was told of a system alert stays; it would be the newest one until that time.
    -- No two of them may have one time.
    UPDATE alerts a SET timestamp = least(a.timestamp, o.at), resolved_at = CASE WHEN a.resolved_at > now THEN now ELSE a.resolved_at END
    FROM (
        SELECT s.id, now - (row_number() OVER (ORDER BY s.timestamp DESC) - 1) * interval '1 millisecond' AS at
        FROM alerts s
        WHERE s.asset = 'SYSTEM' AND greatest(s.timestamp, s.resolved_at) > now
    ) o
    WHERE a.id = o.id;
    UPDATE alert_deliveries
    SET expires_at = CASE WHEN created_at > now THEN now + (expires_at - created_at) ELSE expires_at END,
        created_at = least(created_at, now),
        next_attempt_at = least(next_attempt_at, now),
        last_attempt_at = CASE WHEN last_attempt_at > now THEN now - interval '1 hour' ELSE last_attempt_at END
    WHERE state IN ('pending', 'unknown') AND greatest(created_at, last_attempt_at) > now;
    UPDATE alert_state
    SET last_triggered = CASE WHEN last_triggered > now THEN now ELSE last_triggered END,
        cooldown_until = CASE WHEN cooldown_until > now + interval '60 minutes' THEN now + interval '60 minutes' ELSE cooldown_until END
    WHERE last_triggered > now OR cooldown_until > now + interval '60 minutes';
    UPDATE clock_refusals SET settled_at = now WHERE settled_at > now;
END
$$;

-- move_boundaries takes what was decided after one instant and before another out of
-- the way, because the runs that it stood on are superseded.
CREATE OR REPLACE FUNCTION move_boundaries(after timestamptz, before timestamptz) RETURNS void
    LANGUAGE plpgsql VOLATILE SET search_path = public, pg_temp
    AS $$
BEGIN
    PERFORM FROM alert_state ORDER BY asset, alert_type FOR UPDATE; -- before the alerts, as those that decide them do
    INSERT INTO superseded_boundaries (timestamp, cycle, signals)
    SELECT coalesce(c.timestamp, s.timestamp), to_jsonb(c), coalesce(s.list, '[]')
    FROM (SELECT * FROM signal_cycles WHERE timestamp > after AND timestamp < before) c
    FULL JOIN (
        SELECT timestamp, jsonb_agg(to_jsonb(signals)) AS list FROM signals WHERE timestamp > after AND timestamp < before GROUP BY timestamp
    ) s USING (timestamp);
    DELETE FROM signals WHERE timestamp > after AND timestamp < before;
    DELETE FROM signal_cycles WHERE timestamp > after AND timestamp < before;
    UPDATE alerts SET superseded = true WHERE timestamp > after AND timestamp < before AND asset <> 'SYSTEM' AND NOT superseded;
    -- What nobody was told of it yet, nobody is told.
    DELETE FROM alert_deliveries d USING alerts a
    WHERE a.id = d.alert_id AND a.superseded AND d.state = 'pending'
        AND NOT EXISTS (SELECT FROM alert_deliveries f WHERE f.alert_id = d.alert_id AND f.receiver = d.receiver AND f.kind = 'firing' AND (f.attempts > 0 OR f.state <> 'pending'));
    -- What is remembered of alerts must not reach beyond the present: no boundary
    -- would be looked at until the clock came there again.
    UPDATE alert_state
    SET last_period = least(last_period, date_bin('5 minutes', after, 'epoch')), pending_playbook = NULL, pending_periods = 0
    WHERE last_period > after;
END
$$;

-- supersede_minutes marks the runs after one instant and before another, and takes
-- what was decided from them out of the way. It tells how many runs that were.
CREATE OR REPLACE FUNCTION supersede_minutes(after timestamptz, before timestamptz) RETURNS bigint
    LANGUAGE plpgsql VOLATILE SET search_path = public, pg_temp
    AS $$
DECLARE
    marked bigint;
BEGIN
    UPDATE ingest_runs SET superseded = true WHERE timestamp > after AND timestamp < before AND NOT superseded;
    GET DIAGNOSTICS marked = ROW_COUNT;
    IF marked = 0 THEN
        RETURN 0;
    END IF;
    PERFORM move_boundaries(after, before);
    PERFORM pull_back();
    RETURN marked;
END
$$;

-- better_run tells whether one reading of a minute is better than another:
-- status, then coverage, then fewer sizes that could not be read.
CREATE OR REPLACE FUNCTION better_run(status text, coverage numeric, non_null numeric, than ingest_runs) RETURNS boolean
    LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp
    AS $$
SELECT (array_position('{failed,partial,success}', status), coverage, non_null)
    > (array_position('{failed,partial,success}', than.status), than.coverage_pct, than.hype_non_null_pct + than.btc_non_null_pct + than.eth_non_null_pct)
$$;

-- admit_minute decides whether a run of a minute may be stored, and raises when
-- not: WG002 when its time is not of the database's present (S1), WG003 when the
-- clock has shown the minute before (clock_back), WG004 when what is stored is as
-- good, or a signal has judged it (worse). What it finds stored for later minutes was
-- written by a clock that was ahead, unless the clock went back: a good minute
-- supersedes it.
--
-- A clock that went back and caught up has shown every minute since the first refused
-- one twice: those are superseded, because nobody can tell how long ago they were
-- written. One that was put right again, as the collector's monotonic clock knows (put_right),
-- has shown none of them twice. Where nobody knows, a day at the most is set aside.
--
-- A gap among what is stored does not tell which clock is wrong. A clock that went back,
-- as the collector's monotonic clock knows (went_back), or because it has shown stored
-- minutes before this one, supersedes nothing: the minute is refused like those.
-- It tells how many runs it superseded.
CREATE OR REPLACE FUNCTION admit_minute(minute timestamptz, status text, coverage numeric, non_null numeric, put_right boolean, went_back boolean) RETURNS bigint
    LANGUAGE plpgsql VOLATILE SET search_path = public, pg_temp
    AS $$
DECLARE
    newest ingest_runs;
    stored ingest_runs;
    good   timestamptz;
    lead   interval := minute - whalegate_now();
    marked bigint := 0;
    open   clock_refusals;
BEGIN
    IF lead > facts.clock_skew() OR lead < interval '-3 minutes' THEN
        RAISE EXCEPTION 'the snapshot''s timestamp is not of the database''s present' USING ERRCODE = 'WG002', DETAIL = extract(epoch FROM lead)::text;
    END IF;
    SELECT * INTO newest FROM ingest_runs r WHERE NOT r.superseded ORDER BY r.timestamp DESC LIMIT 1;
    IF newest.timestamp < minute THEN -- as it is nearly always
        SELECT * INTO open FROM clock_refusals c WHERE c.settled_at IS NULL FOR UPDATE;
        IF FOUND THEN
            IF NOT put_right AND minute <= open.first_minute + interval '1 day' THEN
                marked := supersede_minutes(open.first_minute - interval '1 microsecond', minute);
            END IF;
            UPDATE clock_refusals SET settled_at = whalegate_now(), settled_by = 'a later minute', runs = marked WHERE id = open.id;
        END IF;
        RETURN marked;
    END IF;
    IF newest.run_id IS NULL THEN
        RETURN 0;
    END IF;
    SELECT r.timestamp INTO good FROM ingest_runs r WHERE NOT r.superseded AND r.status <> 'failed' ORDER BY r.timestamp DESC LIMIT 1;
    IF good > minute + interval '1 day' THEN
        RAISE EXCEPTION 'the newest good run is of %, more than a day later', good USING ERRCODE = 'WG003', DETAIL = good::text;
    END IF;
    SELECT * INTO stored FROM ingest_runs r WHERE r.timestamp = minute AND NOT r.superseded;
    IF stored.run_id IS NOT NULL THEN
        IF newest.timestamp > minute THEN
            RAISE EXCEPTION 'the minute is stored, and so are later ones, up to %', newest.timestamp USING ERRCODE = 'WG003', DETAIL = newest.timestamp::text;
        END IF;
        IF NOT better_run(status, coverage, non_null, stored) OR EXISTS (SELECT FROM signals s WHERE s.timestamp >= minute) THEN
            RAISE EXCEPTION 'the minute is stored, and this reading is no better or comes after its signal' USING ERRCODE = 'WG004';
        END IF;
    END IF;
    SELECT * INTO open FROM clock_refusals c WHERE c.settled_at IS NULL FOR UPDATE;
    IF newest.timestamp > minute AND (went_back OR open.id IS NOT NULL AND NOT put_right) THEN
        RAISE EXCEPTION 'the clock went back: minutes up to % are stored', newest.timestamp USING ERRCODE = 'WG003', DETAIL = newest.timestamp::text;
    END IF;
    IF status <> 'failed' THEN
        -- Where later runs are stored, that clock has judged this minute's boundary, too.
        marked := supersede_minutes(least(CASE WHEN newest.timestamp > minute THEN minute - interval '1 microsecond' ELSE minute END,
            CASE WHEN NOT put_right AND minute <= open.first_minute + interval '1 day' THEN open.first_minute - interval '1 microsecond' END), 'infinity');
        IF open.id IS NOT NULL THEN
            UPDATE clock_refusals SET settled_at = whalegate_now(), settled_by = 'an earlier minute', runs = marked WHERE id = open.id;
        ELSIF marked > 0 THEN
            INSERT INTO clock_refusals (first_minute, last_minute, newest, times, settled_at, settled_by, runs)
            VALUES (minute, minute, newest.timestamp, 0, whalegate_now(), 'an earlier minute', marked);
        END IF;
    END IF;
    RETURN marked;
END
$$;

-- refuse_minute records that a minute was refused because the clock had shown it
-- before.
CREATE OR REPLACE FUNCTION refuse_minute(minute timestamptz) RETURNS void
    LANGUAGE sql VOLATILE SET search_path = public, pg_temp
    AS $$
INSERT INTO clock_refusals AS c (first_minute, last_minute, newest)
SELECT minute, minute, r.timestamp FROM ingest_runs r WHERE NOT r.superseded ORDER BY r.timestamp DESC LIMIT 1
ON CONFLICT ((true)) WHERE settled_at IS NULL DO UPDATE SET
    first_minute = least(c.first_minute, excluded.first_minute), last_minute = excluded.last_minute, times = c.times + 1
$$;

-- accept_clock is a person's word that the present clock is right: later runs are
-- not. It tells how many were superseded.
CREATE OR REPLACE FUNCTION accept_clock(who text, why text) RETURNS bigint
    LANGUAGE plpgsql VOLATILE SET search_path = public, pg_temp
    AS $$
DECLARE
    now    timestamptz;
    open   clock_refusals;
    marked bigint;
    ended  bigint; -- runs that ended later than that, whatever their minute
    first_ended timestamptz;
BEGIN
    PERFORM FROM collector_leader FOR UPDATE; -- nothing of the leader's is under way
    now := whalegate_now();
    SELECT * INTO open FROM clock_refusals c WHERE c.settled_at IS NULL FOR UPDATE;
    marked := supersede_minutes(least(now, CASE WHEN now <= open.first_minute + interval '1 day' THEN open.first_minute - interval '1 microsecond' END), 'infinity');
    PERFORM pull_back();
    SELECT min(r.timestamp) INTO first_ended FROM ingest_runs r WHERE NOT r.superseded AND r.finished_at > now;
    PERFORM move_boundaries(first_ended - interval '1 microsecond', 'infinity');
    UPDATE ingest_runs SET superseded = true WHERE finished_at > now AND NOT superseded;
    GET DIAGNOSTICS ended = ROW_COUNT;
    marked := marked + ended;
    IF open.id IS NOT NULL THEN
        UPDATE clock_refusals SET settled_at = now, settled_by = who, reason = why, runs = marked WHERE id = open.id;
    ELSE
        INSERT INTO clock_refusals (first_minute, last_minute, newest, refused_at, times, settled_at, settled_by, reason, runs)
        VALUES (now, now, now, now, 0, now, who, why, marked);
    END IF;
    RETURN marked;
END
$$;

-- accept_baseline takes the sizes that were read last as the level of an asset and
-- records who said so. What was not read keeps the level of before.
CREATE OR REPLACE FUNCTION accept_baseline(what text, who text, why text) RETURNS baselines
    LANGUAGE plpgsql VOLATILE SET search_path = public, pg_temp
    AS $$
DECLARE
    open   baselines;
    newest ingest_runs;
    taken  bigint;
BEGIN
    PERFORM FROM collector_leader FOR UPDATE; -- nothing of the leader's is under way
    SELECT * INTO open FROM baselines b WHERE b.asset = what AND b.ended_ts IS NULL FOR UPDATE;
    IF open.id IS NULL THEN
        RAISE EXCEPTION 'no failure of S11 is open for %: there is nothing to accept', what USING ERRCODE = 'WG005';
    END IF;
    SELECT * INTO newest FROM ingest_runs r WHERE NOT r.superseded ORDER BY r.timestamp DESC LIMIT 1;
    IF newest.timestamp < whalegate_now() - interval '5 minutes' OR newest.coverage_pct < facts.coverage_low() THEN
        RAISE EXCEPTION 'the present sizes are not known: the newest run, of %, covers % %% of the wallets', newest.timestamp, newest.coverage_pct USING ERRCODE = 'WG005';
    END IF;
    IF newest.status = 'failed' AND newest.failed_check IS DISTINCT FROM 'S11' THEN
        RAISE EXCEPTION 'the present sizes cannot be taken: the newest run, of %, failed by % too', newest.timestamp, coalesce(newest.failed_check, 'another check') USING ERRCODE = 'WG005',
            HINT = 'wait until only S11 fails';
    END IF;
    INSERT INTO baseline_sizes AS s (baseline_id, wallet_id, before, accepted)
    SELECT open.id, w.wallet_id, 0, w.position_szi
    FROM wallet_snapshots w
    WHERE w.timestamp = newest.timestamp AND w.asset = what AND w.position_szi IS NOT NULL
    ON CONFLICT (baseline_id, wallet_id) DO UPDATE SET accepted = excluded.accepted;
    GET DIAGNOSTICS taken = ROW_COUNT;
    IF taken = 0 THEN
        RAISE EXCEPTION 'the present sizes are not known: no row of % in %', newest.timestamp, what USING ERRCODE = 'WG005';
    END IF;
    UPDATE baselines b SET ended_ts = newest.timestamp, accepted_at = whalegate_now(), accepted_by = who, reason = why
    WHERE b.id = open.id RETURNING * INTO open;
    RETURN open;
END
$$;
