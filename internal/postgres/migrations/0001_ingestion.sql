-- What the collector writes: the universe, the snapshots and their evidence.

-- The one clock of the database. Everything that asks how old something is asks
-- it, so that an end-to-end test can move time by replacing this function.
CREATE FUNCTION whalegate_now() RETURNS timestamptz
    LANGUAGE sql VOLATILE
    AS 'SELECT clock_timestamp()';

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
    checked_at   timestamptz NOT NULL
);

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
    CONSTRAINT every_wallet_is_accounted_for
        CHECK (wallet_success_count + wallet_fail_count = wallets_expected),
    CONSTRAINT failed_runs_say_why CHECK (status <> 'failed' OR error IS NOT NULL)
);
CREATE INDEX ingest_runs_with_data ON ingest_runs (timestamp) WHERE status <> 'failed';
CREATE INDEX ingest_runs_clean ON ingest_runs (timestamp) WHERE is_clean;

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
