-- The tables. What reads them (functions, views) and who may (grants) stands beside this
-- folder, and is put back after every migration. The clocks are there before: see clock.sql.

-- What Grafana may read lives in schemas of its own, one a role.
CREATE SCHEMA board;
CREATE SCHEMA ops;

-- What the leader's session locks. A view without tables: no vacuum, dump or
-- reindex waits for the lock or stops it, and only who may write here can take it. It is
-- never made anew, because a collector may hold it.
CREATE VIEW leader_lock AS SELECT 1 AS one;

-- Days of snapshots come and go one at a time. What keeps them apart is nobody's to
-- take but the owner's: an advisory lock could be taken by whoever knows its name.
CREATE VIEW partition_lock AS SELECT 1 AS one;

-- What the collector writes: the universe, the snapshots and their evidence.

CREATE TABLE wallet_universe_runs (
    run_id              bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    as_of_ts            timestamptz NOT NULL,
    status              text        NOT NULL CHECK (status IN ('success', 'failed')),
    source              text        NOT NULL,
    n_requested         integer     NOT NULL CHECK (n_requested > 0),
    n_received          integer     NOT NULL CHECK (n_received >= 0),
    rows_read           integer     NOT NULL DEFAULT 0 CHECK (rows_read >= 0),
    rows_skipped        integer     NOT NULL DEFAULT 0 CHECK (rows_skipped >= 0),
    entered_count       integer     NOT NULL DEFAULT 0 CHECK (entered_count >= 0),
    exited_count        integer     NOT NULL DEFAULT 0 CHECK (exited_count >= 0),
    churn_warning_count integer     NOT NULL DEFAULT 0 CHECK (churn_warning_count >= 0),
    duration_ms         integer     NOT NULL CHECK (duration_ms >= 0),
    error               text,
    changed_at          timestamptz, -- when the leaderboard was last seen to differ; NULL: the refresh failed
    CONSTRAINT failed_runs_say_why CHECK ((status = 'failed') = (error IS NOT NULL))
);
CREATE INDEX wallet_universe_runs_as_of ON wallet_universe_runs (as_of_ts);

CREATE TABLE wallet_universe_current (
    wallet_id     text        PRIMARY KEY CHECK (wallet_id ~ '^0x[0-9a-f]{40}$'),
    rank          integer     NOT NULL CHECK (rank >= 1),
    month_pnl     numeric     NOT NULL,
    month_roi     numeric,
    account_value numeric,
    as_of_ts      timestamptz NOT NULL,
    CONSTRAINT ranks_are_unique UNIQUE (rank) DEFERRABLE INITIALLY DEFERRED
);

CREATE TABLE wallet_universe_members (
    run_id        bigint  NOT NULL REFERENCES wallet_universe_runs ON DELETE CASCADE,
    wallet_id     text    NOT NULL,
    rank          integer NOT NULL CHECK (rank >= 1),
    month_pnl     numeric NOT NULL,
    month_roi     numeric,
    account_value numeric,
    PRIMARY KEY (run_id, wallet_id)
);

-- The sub-accounts of each master. A wallet without a row has not been asked
-- yet: its position is not known, and it counts as failed until it has.
CREATE TABLE wallet_accounts (
    wallet_id    text        PRIMARY KEY,
    sub_accounts text[]      NOT NULL,
    checked_at   timestamptz NOT NULL,               -- when they were confirmed last
    listed       boolean     NOT NULL DEFAULT false, -- every entry of the last list carried a state
    explained    boolean     NOT NULL DEFAULT true,  -- its own account is worth what the leaderboard says, or it has sub-accounts
    role         text,                               -- as the exchange says: user, vault, subAccount, …; NULL: not asked
    role_at      timestamptz
);

-- account_search is how far the search for accounts is at a first start, and how long it
-- was said to take. One row while it lasts, and after it.
CREATE TABLE account_search (
    one               boolean          PRIMARY KEY DEFAULT true CHECK (one),
    started_at        timestamptz      NOT NULL,
    announced_seconds double precision NOT NULL CHECK (announced_seconds >= 0 AND announced_seconds < 'Infinity'), -- from the start to the first HEALTHY
    wallets           integer          NOT NULL,
    known             integer          NOT NULL,
    done_at           timestamptz      NOT NULL, -- as estimated last
    ended_at          timestamptz                -- a run could be good since then
);
COMMENT ON TABLE account_search IS 'how far the search for accounts is, and how long it was said to take';

CREATE TABLE ingest_runs (
    run_id               bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    timestamp            timestamptz NOT NULL UNIQUE,
    status               text        NOT NULL CHECK (status IN ('success', 'partial', 'failed')),
    wallets_expected     integer     NOT NULL CHECK (wallets_expected >= 0),
    wallet_success_count integer     NOT NULL CHECK (wallet_success_count >= 0),
    wallet_fail_count    integer     NOT NULL CHECK (wallet_fail_count >= 0),
    rows_expected        integer     NOT NULL CHECK (rows_expected >= 0),
    rows_written         integer     NOT NULL CHECK (rows_written >= 0),
    coverage_pct         numeric(5, 2) NOT NULL CHECK (coverage_pct BETWEEN 0 AND 100),
    hype_non_null_pct    numeric(5, 2) NOT NULL CHECK (hype_non_null_pct BETWEEN 0 AND 100),
    btc_non_null_pct     numeric(5, 2) NOT NULL CHECK (btc_non_null_pct BETWEEN 0 AND 100),
    eth_non_null_pct     numeric(5, 2) NOT NULL CHECK (eth_non_null_pct BETWEEN 0 AND 100),
    -- Why wallets failed: {"rate_limited": 12, "timeout": 3}.
    failures             jsonb       NOT NULL DEFAULT '{}',
    duration_ms          integer     NOT NULL CHECK (duration_ms >= 0),
    error                text,
    finished_at          timestamptz NOT NULL DEFAULT whalegate_now(),
    -- Counts towards recovery: success or partial, with coverage of 90 % or more.
    is_clean             boolean GENERATED ALWAYS AS (status <> 'failed' AND coverage_pct >= 90) STORED,
    -- Which check failed it, and about what.
    failed_check         text,
    failed_subject       text,
    -- It was written by a clock that was ahead, or covers minutes that the clock showed
    -- twice: it is kept, feeds nothing, and may be replaced.
    superseded           boolean     NOT NULL DEFAULT false,
    CONSTRAINT only_failed_runs_name_a_check CHECK (failed_check IS NULL OR status = 'failed'),
    CONSTRAINT a_subject_needs_a_check CHECK (failed_subject IS NULL OR failed_check IS NOT NULL),
    CONSTRAINT every_wallet_is_accounted_for
        CHECK (wallet_success_count + wallet_fail_count = wallets_expected),
    CONSTRAINT failed_runs_say_why CHECK (status <> 'failed' OR error IS NOT NULL)
);
CREATE INDEX ingest_runs_current ON ingest_runs (timestamp) WHERE NOT superseded;
CREATE INDEX ingest_runs_with_data ON ingest_runs (timestamp) WHERE status <> 'failed' AND NOT superseded;
CREATE INDEX ingest_runs_clean ON ingest_runs (timestamp) WHERE is_clean AND NOT superseded;
CREATE INDEX ingest_runs_finished ON ingest_runs (finished_at) WHERE NOT superseded;
CREATE INDEX ingest_runs_superseded ON ingest_runs (timestamp) WHERE superseded;

-- Range partitions by UTC day; the primary key is the only index, because every
-- further one more than doubles the cost of writing.
CREATE TABLE wallet_snapshots (
    timestamp     timestamptz NOT NULL,
    wallet_id     text        NOT NULL,
    asset         text        NOT NULL CHECK (asset IN ('HYPE', 'BTC', 'ETH')),
    position_szi  numeric,
    entry_px      numeric,
    liq_px        numeric,
    leverage      numeric,
    margin_used   numeric,
    is_dirty      boolean     NOT NULL DEFAULT false,
    dirty_reason  text,
    ingest_run_id bigint      NOT NULL,
    -- The upstream's own time of the oldest account state behind the row.
    state_time    timestamptz,
    -- A minute is never split by later ones, so no page needs room for them.
    PRIMARY KEY (timestamp, wallet_id, asset) WITH (fillfactor = 100),
    CONSTRAINT on_a_minute CHECK (EXTRACT(epoch FROM timestamp) % 60 = 0)
) PARTITION BY RANGE (timestamp);
-- Few rows are dirty, and every computation asks for them all: an index of only
-- those costs the writing of clean rows nothing that could be measured.
CREATE INDEX wallet_snapshots_dirty ON wallet_snapshots (timestamp) WHERE is_dirty;

CREATE TABLE snapshot_anomalies (
    snapshot_ts  timestamptz NOT NULL,
    wallet_id    text        NOT NULL,
    asset        text        NOT NULL CHECK (asset IN ('HYPE', 'BTC', 'ETH')),
    anomaly_type text        NOT NULL,
    details      jsonb       NOT NULL DEFAULT '{}',
    detected_at  timestamptz NOT NULL DEFAULT whalegate_now(),
    PRIMARY KEY (snapshot_ts, wallet_id, asset, anomaly_type)
);

-- Failed checks. The same failure of the same subject on the same day is one row
-- with a count.
CREATE TABLE qa_events (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    day          date        NOT NULL,
    check_id     text        NOT NULL,
    stage        text        NOT NULL,
    severity     text        NOT NULL CHECK (severity IN ('info', 'warning', 'error', 'critical')),
    subject      text        NOT NULL DEFAULT '',
    details      jsonb       NOT NULL DEFAULT '{}',
    action_taken text        NOT NULL,
    occurrences  bigint      NOT NULL DEFAULT 1 CHECK (occurrences >= 1),
    first_ts     timestamptz NOT NULL,
    last_ts      timestamptz NOT NULL,
    UNIQUE (day, check_id, stage, severity, subject, action_taken)
);
CREATE INDEX qa_events_last_ts ON qa_events (last_ts);

-- baselines are the failures of S11: an asset in which something happened to everybody
-- at once. One that is open fails every run until the sizes are back, or until somebody
-- accepts the new level. What the wallets held before is in baseline_sizes, so that
-- neither waiting nor pruning nor a restart accepts anything.
CREATE TABLE baselines (
    id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    asset         text        NOT NULL CHECK (asset IN ('HYPE', 'BTC', 'ETH')),
    subject       text        NOT NULL, -- mass_close:BTC, mass_open:BTC, rescaled:BTC
    opened_ts     timestamptz NOT NULL, -- the minute that failed first
    affected      integer     NOT NULL,
    holders       integer     NOT NULL,
    factor        double precision,     -- of a rescaled asset
    ended_ts      timestamptz,          -- the minute at which the sizes were back, or whose sizes were accepted
    accepted_at   timestamptz,
    accepted_by   text,
    reason        text,
    CHECK ((accepted_at IS NULL) = (accepted_by IS NULL) AND (accepted_at IS NULL) = (reason IS NULL)),
    CHECK (accepted_at IS NULL OR ended_ts IS NOT NULL)
);
CREATE UNIQUE INDEX baselines_one_open ON baselines (asset) WHERE ended_ts IS NULL;
COMMENT ON TABLE baselines IS 'failures of S11: what happened to all holders of an asset at once, and who accepted the new level';

CREATE TABLE baseline_sizes (
    baseline_id bigint  NOT NULL REFERENCES baselines ON DELETE CASCADE,
    wallet_id   text    NOT NULL,
    before      numeric NOT NULL,
    accepted    numeric, -- NULL: not accepted, or not read then
    PRIMARY KEY (baseline_id, wallet_id)
);
COMMENT ON TABLE baseline_sizes IS 'what each wallet held before a failure of S11, and the level that was accepted';

-- exchange_meta is what the exchange last said of our coins (S12).
CREATE TABLE exchange_meta (
    asset        text        PRIMARY KEY CHECK (asset IN ('HYPE', 'BTC', 'ETH')),
    listed       boolean     NOT NULL,
    delisted     boolean     NOT NULL,
    sz_decimals  integer     NOT NULL,
    answered_at  timestamptz NOT NULL,
    twice        boolean     NOT NULL DEFAULT false -- it has more than one entry: nobody can tell which is true
);
COMMENT ON TABLE exchange_meta IS 'what the exchange last said of our coins; it counts for 24 h';

-- What is decided from the snapshots: signals and alerts, and what is sent.
-- The constraints repeat the gates that must hold whatever code writes here.

CREATE TABLE signals (
    timestamp          timestamptz NOT NULL CHECK (EXTRACT(epoch FROM timestamp) % 300 = 0),
    asset              text        NOT NULL CHECK (asset IN ('HYPE', 'BTC', 'ETH')),
    alignment_score    double precision NOT NULL CHECK (alignment_score BETWEEN 0 AND 100),
    alignment_trend    text        NOT NULL CHECK (alignment_trend IN ('rising', 'falling', 'flat')),
    dispersion_index   double precision NOT NULL CHECK (dispersion_index BETWEEN 0 AND 100),
    exit_cluster_score double precision NOT NULL CHECK (exit_cluster_score BETWEEN 0 AND 100),
    allowed_playbook   text        NOT NULL CHECK (allowed_playbook IN ('Long-only', 'Short-only', 'No-trade')),
    risk_mode          text        NOT NULL CHECK (risk_mode IN ('Normal', 'Reduced', 'Defensive')),
    add_exposure       boolean     NOT NULL,
    tighten_stops      boolean     NOT NULL,
    wallet_count       integer     NOT NULL CHECK (wallet_count >= 0),
    missing_count      integer     NOT NULL CHECK (missing_count >= 0),
    dirty_count        integer     NOT NULL CHECK (dirty_count >= 0),
    is_degraded        boolean     NOT NULL,
    degraded_reason    text,
    computation_ms     double precision NOT NULL CHECK (computation_ms >= 0),
    PRIMARY KEY (timestamp, asset),
    CONSTRAINT degraded_signals_say_why CHECK (is_degraded = (degraded_reason IS NOT NULL)),
    CONSTRAINT high_dispersion_is_no_trade CHECK (dispersion_index < 60 OR allowed_playbook = 'No-trade'),
    CONSTRAINT high_exit_cluster_is_careful
        CHECK (exit_cluster_score <= 25 OR (risk_mode <> 'Normal' AND alignment_score <= 60))
);

CREATE TABLE signal_contributors (
    timestamp       timestamptz NOT NULL,
    asset           text        NOT NULL,
    pct_add_long    double precision NOT NULL CHECK (pct_add_long BETWEEN 0 AND 100),
    pct_add_short   double precision NOT NULL CHECK (pct_add_short BETWEEN 0 AND 100),
    pct_reducers    double precision NOT NULL CHECK (pct_reducers BETWEEN 0 AND 100),
    pct_flat        double precision NOT NULL CHECK (pct_flat BETWEEN 0 AND 100),
    count_add_long  integer     NOT NULL CHECK (count_add_long >= 0),
    count_add_short integer     NOT NULL CHECK (count_add_short >= 0),
    count_reducers  integer     NOT NULL CHECK (count_reducers >= 0),
    count_flat      integer     NOT NULL CHECK (count_flat >= 0),
    total_wallets   integer     NOT NULL,
    PRIMARY KEY (timestamp, asset),
    FOREIGN KEY (timestamp, asset) REFERENCES signals ON DELETE CASCADE,
    CONSTRAINT every_wallet_has_a_class
        CHECK (count_add_long + count_add_short + count_reducers + count_flat = total_wallets)
);

CREATE TABLE signal_positioning (
    timestamp       timestamptz NOT NULL,
    asset           text        NOT NULL,
    net_szi         numeric     NOT NULL,
    long_count      integer     NOT NULL CHECK (long_count >= 0),
    short_count     integer     NOT NULL CHECK (short_count >= 0),
    flat_count      integer     NOT NULL CHECK (flat_count >= 0),
    top10_share_pct double precision NOT NULL CHECK (top10_share_pct BETWEEN 0 AND 100),
    PRIMARY KEY (timestamp, asset),
    FOREIGN KEY (timestamp, asset) REFERENCES signals ON DELETE CASCADE
);

CREATE TABLE signal_cycles (
    timestamp    timestamptz PRIMARY KEY CHECK (EXTRACT(epoch FROM timestamp) % 300 = 0),
    outcome      text        NOT NULL CHECK (outcome IN ('computed', 'blocked', 'failed')),
    -- When health was judged for the last time: what the signals stand on.
    judged_at    timestamptz NOT NULL,
    health_state text        NOT NULL CHECK (health_state IN ('HEALTHY', 'DEGRADED', 'STALE')),
    reasons      text[]      NOT NULL DEFAULT '{}',
    -- Assets without a row, because the window held too few snapshots.
    skipped      text[]      NOT NULL DEFAULT '{}',
    CONSTRAINT nothing_is_computed_on_stale_data CHECK (outcome <> 'computed' OR health_state <> 'STALE'),
    CONSTRAINT blocked_cycles_say_why CHECK (outcome = 'computed' OR cardinality(reasons) > 0)
);

-- Boundaries that were judged on runs which were superseded: kept as evidence,
-- out of the way of the boundary that has their time.
CREATE TABLE superseded_boundaries (
    id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    timestamp     timestamptz NOT NULL,
    superseded_at timestamptz NOT NULL DEFAULT whalegate_now(),
    cycle         jsonb,
    signals       jsonb       NOT NULL
);
CREATE INDEX superseded_boundaries_timestamp ON superseded_boundaries (timestamp);

CREATE TABLE alerts (
    id              bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    timestamp       timestamptz NOT NULL,
    asset           text        NOT NULL CHECK (asset IN ('HYPE', 'BTC', 'ETH', 'SYSTEM')),
    alert_type      text        NOT NULL CHECK (alert_type IN ('regime_change', 'exit_cluster', 'system_stale')),
    severity        text        NOT NULL CHECK (severity IN ('medium', 'high', 'critical')),
    message         text        NOT NULL,
    signal_snapshot jsonb,
    health_state    text        NOT NULL CHECK (health_state IN ('HEALTHY', 'DEGRADED', 'STALE')),
    cooldown_until  timestamptz,
    suppressed      boolean     NOT NULL DEFAULT false,
    suppress_reason text,
    resolved_at     timestamptz,
    -- Its boundary was judged on runs which were superseded: it was told, and stays; the
    -- boundary that has its time may fire again.
    superseded      boolean     NOT NULL DEFAULT false,
    CONSTRAINT system_alerts_have_no_asset CHECK ((asset = 'SYSTEM') = (alert_type = 'system_stale')),
    CONSTRAINT suppressed_alerts_say_why CHECK (suppressed = (suppress_reason IS NOT NULL)),
    CONSTRAINT suppressed_for_a_known_reason CHECK (suppress_reason IN ('cooldown', 'daily_cap', 'paused')),
    CONSTRAINT system_alerts_are_never_suppressed CHECK (NOT (suppressed AND alert_type = 'system_stale')),
    -- No behavioural alert on a signal that was not fresh and clean when it fired.
    CONSTRAINT behavioural_alerts_stand_on_clean_data CHECK (
        alert_type = 'system_stale'
        OR (health_state = 'HEALTHY'
            AND signal_snapshot IS NOT NULL
            AND (signal_snapshot ->> 'is_degraded')::boolean IS FALSE))
);
CREATE INDEX alerts_timestamp ON alerts (timestamp);
-- An alert is what a period says of an asset: evaluating the period again cannot
-- make a second one.
CREATE UNIQUE INDEX alerts_once ON alerts (timestamp, asset, alert_type) WHERE NOT superseded;

CREATE TABLE alert_state (
    asset              text    NOT NULL CHECK (asset IN ('HYPE', 'BTC', 'ETH', 'SYSTEM')),
    alert_type         text    NOT NULL CHECK (alert_type IN ('regime_change', 'exit_cluster', 'system_stale')),
    is_active          boolean NOT NULL DEFAULT false,
    last_triggered     timestamptz,
    cooldown_until     timestamptz,
    confirmed_playbook text CHECK (confirmed_playbook IN ('Long-only', 'Short-only', 'No-trade')),
    pending_playbook   text CHECK (pending_playbook IN ('Long-only', 'Short-only', 'No-trade')),
    pending_periods    integer NOT NULL DEFAULT 0 CHECK (pending_periods >= 0),
    last_period        timestamptz,
    active_alert_id    bigint REFERENCES alerts ON DELETE SET NULL,
    PRIMARY KEY (asset, alert_type),
    CONSTRAINT system_state_has_no_asset CHECK ((asset = 'SYSTEM') = (alert_type = 'system_stale'))
);

-- The outbox: one row for each alert, receiver and kind of message.
CREATE TABLE alert_deliveries (
    id              bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    alert_id        bigint      REFERENCES alerts ON DELETE CASCADE,
    receiver        text        NOT NULL,
    kind            text        NOT NULL CHECK (kind IN ('firing', 'resolved', 'test')),
    -- unknown: a request went out, or was about to when the process died, and nobody
    -- knows whether it arrived. It is written before the request is.
    state           text        NOT NULL DEFAULT 'pending'
                    CHECK (state IN ('pending', 'unknown', 'delivered', 'failed')),
    attempts        integer     NOT NULL DEFAULT 0 CHECK (attempts >= 0),
    created_at      timestamptz NOT NULL DEFAULT whalegate_now(),
    next_attempt_at timestamptz NOT NULL DEFAULT whalegate_now(),
    delivered_at    timestamptz,
    last_error      text,
    idempotency_key uuid        NOT NULL DEFAULT gen_random_uuid(),
    expires_at      timestamptz NOT NULL DEFAULT whalegate_now() + interval '24 hours',
    last_attempt_at timestamptz,
    reminded_at     timestamptz, -- when a receiver that has to be reminded was last told that it is still so
    UNIQUE (alert_id, receiver, kind),
    CONSTRAINT a_test_has_no_alert CHECK ((kind = 'test') = (alert_id IS NULL)),
    CONSTRAINT failed_deliveries_say_why CHECK (state <> 'failed' OR last_error IS NOT NULL),
    CONSTRAINT delivered_means_when CHECK ((state = 'delivered') = (delivered_at IS NOT NULL))
);
CREATE INDEX alert_deliveries_to_do ON alert_deliveries (receiver, next_attempt_at) WHERE state IN ('pending', 'unknown');
CREATE INDEX alert_deliveries_failed ON alert_deliveries (created_at) WHERE state = 'failed';

CREATE TABLE alert_pauses (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    paused_at   timestamptz NOT NULL,
    paused_by   text        NOT NULL,
    reason      text        NOT NULL CHECK (reason <> ''),
    until       timestamptz NOT NULL,
    unpaused_at timestamptz,
    CONSTRAINT at_most_a_day CHECK (until > paused_at AND until <= paused_at + interval '24 hours')
);

-- Who halts, who leads, and what the clocks did.

CREATE TABLE halts (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    halted_at  timestamptz NOT NULL,
    halted_by  text        NOT NULL,
    reason     text        NOT NULL CHECK (btrim(reason) <> ''),
    resumed_at timestamptz,
    resumed_by text,
    cause      text,
    actions    text,
    CONSTRAINT a_resume_is_documented CHECK (
        (resumed_at IS NULL AND resumed_by IS NULL AND cause IS NULL AND actions IS NULL)
        OR (resumed_at >= halted_at AND resumed_by IS NOT NULL AND btrim(cause) <> '' AND btrim(actions) <> ''))
);
CREATE UNIQUE INDEX halts_one_in_force ON halts ((true)) WHERE resumed_at IS NULL;
CREATE INDEX halts_resumed_at ON halts (resumed_at);

CREATE TABLE health_transitions (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    ts         timestamptz NOT NULL,
    from_state text        NOT NULL CHECK (from_state IN ('HEALTHY', 'DEGRADED', 'STALE', 'UNKNOWN')),
    to_state   text        NOT NULL CHECK (to_state IN ('HEALTHY', 'DEGRADED', 'STALE')),
    reasons    text[]      NOT NULL
);
CREATE INDEX health_transitions_ts ON health_transitions (ts);

CREATE TABLE collector_leader (
    one           boolean     PRIMARY KEY DEFAULT true CHECK (one),
    epoch         bigint      NOT NULL CHECK (epoch BETWEEN 1 AND 1000000000000000),
    holder        uuid        NOT NULL,  -- a random token, new with each take-over
    pid           integer,               -- backend of the lock session; NULL once the lead was released
    backend_start timestamptz CHECK (isfinite(backend_start)),
    host          text        NOT NULL DEFAULT '',
    process       integer     NOT NULL DEFAULT 0, -- pid of the collector on its host
    server_start  timestamptz,           -- of the server that the lead is held on: a promoted standby has another one
    place         text,                  -- the server and the database that it is in: a restored dump has another one
    taken_at      timestamptz NOT NULL DEFAULT beat_now() CHECK (isfinite(taken_at))
);

-- Written every three seconds by a session of its own, without waiting for the
-- disk. Rows and one clock cannot tell a collector that died before the clock
-- went back from one that lives; what is counted here needs no wall clock.
CREATE TABLE collector_beat (
    one             boolean     PRIMARY KEY DEFAULT true CHECK (one),
    epoch           bigint      NOT NULL CHECK (epoch BETWEEN 1 AND 1000000000000000),
    beats           bigint      NOT NULL CHECK (beats BETWEEN 0 AND 1000000000000000), -- what a waiting collector watches
    beat_at         timestamptz NOT NULL CHECK (isfinite(beat_at)),
    -- How long ago the leader stored its newest good run, on its own monotonic
    -- clock, in seconds of the data's clock. NULL: it stored none, and does not
    -- know how long ago its predecessor did.
    run_age_seconds double precision CHECK (run_age_seconds BETWEEN 0 AND 1e12),
    run_minute      timestamptz CHECK (isfinite(run_minute)), -- of that run
    -- The machine's boot and the seconds since, so that a restart on the same
    -- machine knows how long nobody led.
    boot_id         text,
    boot_seconds    double precision CHECK (boot_seconds BETWEEN 0 AND 1e12),
    weight_left     double precision CHECK (weight_left BETWEEN -1e12 AND 1e12) -- of the upstream's budget, for the successor
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);

-- A stretch of minutes that were refused because the clock had shown them before.
-- While one is open the state is STALE (clock_back). Whatever superseded runs is
-- here as well: with no minute refused (times 0) a clock was ahead, or a person said
-- so. Recovery counts from then on.
CREATE TABLE clock_refusals (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    first_minute timestamptz NOT NULL, -- the earliest minute refused
    last_minute  timestamptz NOT NULL, -- the last one refused
    newest       timestamptz NOT NULL, -- the newest stored run when the first was refused
    refused_at   timestamptz NOT NULL DEFAULT whalegate_now(),
    times        bigint      NOT NULL DEFAULT 1,
    settled_at   timestamptz,
    settled_by   text,                 -- 'a later minute', 'an earlier minute', or who accepted the clock
    reason       text,                 -- why they did
    runs         bigint,               -- that were superseded with it
    CONSTRAINT settled_by_somebody CHECK ((settled_at IS NULL) = (settled_by IS NULL))
);
CREATE UNIQUE INDEX clock_refusals_one_open ON clock_refusals ((true)) WHERE settled_at IS NULL;

-- What was removed because it was old, and when. The daily job goes by it.
CREATE TABLE prune_runs (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    started_at  timestamptz NOT NULL,
    finished_at timestamptz NOT NULL DEFAULT whalegate_now(),
    status      text        NOT NULL CHECK (status IN ('success', 'failed')),
    pruned_by   text        NOT NULL,
    -- By table: rows, and days of wallet_snapshots.
    removed     jsonb       NOT NULL,
    error       text,
    CONSTRAINT failed_prunes_say_why CHECK ((status = 'failed') = (error IS NOT NULL))
);

-- The planner's statistics hold values, and EXPLAIN tells its estimates to every
-- role: so none are kept of what is masked. No query of ours needs them.
DO $$
DECLARE
    c record;
BEGIN
    FOR c IN
        SELECT attrelid::regclass AS relation, attname
        FROM pg_attribute
        WHERE attrelid = ANY ('{signals,signal_contributors,signal_positioning,superseded_boundaries,alerts,alert_state}'::regclass[])
            AND attnum > 0 AND NOT attisdropped
            AND attname <> ALL ('{timestamp,asset,id,superseded_at,last_period,active_alert_id}') AND (attrelid, attname) <> ('alert_state'::regclass, 'alert_type')
    LOOP
        EXECUTE format('ALTER TABLE %1$s ALTER COLUMN %2$I SET STATISTICS 0', c.relation, c.attname);
    END LOOP;
END
$$;
