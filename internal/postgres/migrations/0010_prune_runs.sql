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
