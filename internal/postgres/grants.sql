-- What each role may do, run after every migration. Nothing is granted to
-- PUBLIC: functions, because PostgreSQL would; tables never are.
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA public FROM PUBLIC;
REVOKE CREATE ON SCHEMA public FROM PUBLIC;

-- A temporary table in a pooled session could shadow a name for the next viewer.
DO $$
BEGIN
    EXECUTE format('REVOKE TEMPORARY, CREATE ON DATABASE %I FROM PUBLIC', current_database());
END
$$;

-- The service. Snapshots are deleted and written again minute by minute; days
-- of them come and go through the functions of 0002_partitions.sql.
GRANT USAGE ON SCHEMA public TO whalegate_writer;
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO whalegate_writer;
REVOKE INSERT, UPDATE, DELETE ON schema_migrations FROM whalegate_writer;
GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO whalegate_writer;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA public TO whalegate_writer;

-- The dead man's switch reads health and speaks.
GRANT USAGE ON SCHEMA public TO whalegate_watchdog;
GRANT SELECT ON schema_migrations, ingest_health, alerts, alert_state, alert_deliveries TO whalegate_watchdog;
GRANT INSERT, UPDATE ON alerts, alert_state, alert_deliveries TO whalegate_watchdog;
GRANT EXECUTE ON FUNCTION whalegate_now(), ingest_health_at(timestamptz) TO whalegate_watchdog;

-- Grafana. The views run with their owner's rights; a function in a view is run
-- by who asks.
GRANT USAGE ON SCHEMA board TO whalegate_board;
GRANT SELECT ON ALL TABLES IN SCHEMA board TO whalegate_board;
GRANT EXECUTE ON FUNCTION ingest_health_at(timestamptz) TO whalegate_board;
GRANT USAGE ON SCHEMA ops TO whalegate_ops;
GRANT SELECT ON ALL TABLES IN SCHEMA ops TO whalegate_ops;
GRANT EXECUTE ON FUNCTION ingest_health_at(timestamptz) TO whalegate_ops;
