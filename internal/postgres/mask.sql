-- The mask of the trading board as it must be, put back after every migration: what
-- was done to it by hand does not last. Why it is as it is stands in 0007_board.sql.
CREATE OR REPLACE FUNCTION decision_surface()
    RETURNS TABLE (health_state text, judged_at timestamptz)
    LANGUAGE sql VOLATILE SECURITY DEFINER ROWS 1 SET search_path = public, pg_temp
    AS $$
SELECT h.health_state, whalegate_now()
FROM board_health() h
WHERE h.health_state IN ('HEALTHY', 'DEGRADED') AND current_setting('transaction_isolation') = 'read committed'
$$;
