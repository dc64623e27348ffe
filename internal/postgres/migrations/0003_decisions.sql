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
    CONSTRAINT system_alerts_have_no_asset CHECK ((asset = 'SYSTEM') = (alert_type = 'system_stale')),
    CONSTRAINT suppressed_alerts_say_why CHECK (suppressed = (suppress_reason IS NOT NULL)),
    CONSTRAINT system_alerts_are_never_suppressed CHECK (NOT (suppressed AND alert_type = 'system_stale')),
    -- No behavioural alert on a signal that was not fresh and clean when it fired.
    CONSTRAINT behavioural_alerts_stand_on_clean_data CHECK (
        alert_type = 'system_stale'
        OR (health_state = 'HEALTHY'
            AND signal_snapshot IS NOT NULL
            AND (signal_snapshot ->> 'is_degraded')::boolean IS FALSE))
);
CREATE INDEX alerts_timestamp ON alerts (timestamp);

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
    alert_id        bigint      NOT NULL REFERENCES alerts ON DELETE CASCADE,
    receiver        text        NOT NULL,
    kind            text        NOT NULL CHECK (kind IN ('firing', 'resolved', 'test')),
    state           text        NOT NULL DEFAULT 'pending'
                    CHECK (state IN ('pending', 'unknown', 'delivered', 'failed')),
    attempts        integer     NOT NULL DEFAULT 0 CHECK (attempts >= 0),
    created_at      timestamptz NOT NULL DEFAULT whalegate_now(),
    next_attempt_at timestamptz NOT NULL DEFAULT whalegate_now(),
    delivered_at    timestamptz,
    last_error      text,
    idempotency_key uuid        NOT NULL DEFAULT gen_random_uuid(),
    UNIQUE (alert_id, receiver, kind),
    CONSTRAINT delivered_means_when CHECK ((state = 'delivered') = (delivered_at IS NOT NULL))
);
CREATE INDEX alert_deliveries_to_do ON alert_deliveries (next_attempt_at) WHERE state IN ('pending', 'unknown');

CREATE TABLE alert_pauses (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    paused_at   timestamptz NOT NULL,
    paused_by   text        NOT NULL,
    reason      text        NOT NULL CHECK (reason <> ''),
    until       timestamptz NOT NULL,
    unpaused_at timestamptz,
    CONSTRAINT at_most_a_day CHECK (until > paused_at AND until <= paused_at + interval '24 hours')
);
