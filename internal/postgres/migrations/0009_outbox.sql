-- The outbox as the senders need it.

-- A test is a message without an alert.
ALTER TABLE alert_deliveries
    ALTER COLUMN alert_id DROP NOT NULL,
    ADD CONSTRAINT a_test_has_no_alert CHECK ((kind = 'test') = (alert_id IS NULL));

-- unknown: a request went out, or was about to when the process died, and nobody
-- knows whether it arrived. It is written before the request is.
ALTER TABLE alert_deliveries
    ADD COLUMN expires_at      timestamptz NOT NULL DEFAULT whalegate_now() + interval '24 hours',
    ADD COLUMN last_attempt_at timestamptz,
    -- When a receiver that has to be reminded was last told that it is still so.
    ADD COLUMN reminded_at     timestamptz,
    ADD CONSTRAINT failed_deliveries_say_why CHECK (state <> 'failed' OR last_error IS NOT NULL);

DROP INDEX alert_deliveries_to_do;
CREATE INDEX alert_deliveries_to_do ON alert_deliveries (receiver, next_attempt_at) WHERE state IN ('pending', 'unknown');
CREATE INDEX alert_deliveries_failed ON alert_deliveries (created_at) WHERE state = 'failed';

ALTER TABLE alerts
    ADD CONSTRAINT suppressed_for_a_known_reason CHECK (suppress_reason IN ('cooldown', 'daily_cap', 'paused'));
