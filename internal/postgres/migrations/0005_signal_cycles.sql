-- What became of each boundary, so that a blocked cycle is seen, and a boundary
-- is computed once whoever asks and however often the service starts.

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

-- Few rows are dirty, and every computation asks for them all: an index of only
-- those costs the writing of clean rows nothing that could be measured.
CREATE INDEX wallet_snapshots_dirty ON wallet_snapshots (timestamp) WHERE is_dirty;
