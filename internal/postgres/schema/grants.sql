-- What each role may do, put back with every migration. Nothing is granted to
-- PUBLIC: functions, because PostgreSQL would; tables never are.
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA public, facts FROM PUBLIC;
REVOKE CREATE ON SCHEMA public FROM PUBLIC;

-- A temporary table in a pooled session could shadow a name for the next viewer.
DO $$
BEGIN
    EXECUTE format('REVOKE TEMPORARY, CREATE ON DATABASE %I FROM PUBLIC', current_database());
END
$$;

-- Advisory locks, large objects and messages in the log are everybody's by default: a
-- viewer with a hand-made query could block the collector, store what was shown to it,
-- or take a lock of the server's for each of thousands of savepoints. Only
-- a superuser can take that back; any other owner leaves it as it is.
DO $$
DECLARE
    f regprocedure;
BEGIN
    FOR f IN
        SELECT oid::regprocedure
        FROM pg_proc
        WHERE (SELECT rolsuper FROM pg_roles WHERE rolname = current_user)
            AND pronamespace = 'pg_catalog'::regnamespace AND (proname ~ '^pg_(try_)?advisory' OR proname = 'pg_logical_emit_message' OR proname ~ '^(lo_|lowrite|loread)')
    LOOP
        EXECUTE format('REVOKE EXECUTE ON FUNCTION %s FROM PUBLIC', f);
        IF f::text ~ 'advisory' THEN
            EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO whalegate_writer, whalegate_watchdog, %I',
                f, (SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = current_database()));
        END IF;
    END LOOP;
END
$$;

-- The service. Snapshots are deleted and written again minute by minute; days
-- of them come and go through the functions of partitions.sql.
GRANT USAGE ON SCHEMA public TO whalegate_writer;
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO whalegate_writer;
REVOKE INSERT, UPDATE, DELETE ON schema_migrations, schema_definitions, schema_objects, schema_rights FROM whalegate_writer;
GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO whalegate_writer;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA public TO whalegate_writer;
GRANT USAGE ON SCHEMA facts TO whalegate_writer, whalegate_watchdog;
GRANT SELECT ON ALL TABLES IN SCHEMA facts TO whalegate_writer;
GRANT SELECT ON facts.deliveries TO whalegate_watchdog;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA facts TO whalegate_writer, whalegate_watchdog, whalegate_ops; -- figures, which a view asks as who reads it
GRANT USAGE ON SCHEMA board TO whalegate_writer; -- the runbooks look at what the board shows
GRANT SELECT ON ALL TABLES IN SCHEMA board TO whalegate_writer;

-- The dead man's switch reads health and speaks.
GRANT USAGE ON SCHEMA public TO whalegate_watchdog;
GRANT SELECT ON schema_migrations, schema_definitions, account_search, ingest_health, alerts, alert_state, alert_deliveries TO whalegate_watchdog;
GRANT INSERT, UPDATE ON alerts, alert_state, alert_deliveries TO whalegate_watchdog;
GRANT EXECUTE ON FUNCTION whalegate_now(), ingest_health_at(timestamptz), vouched() TO whalegate_watchdog;

-- Grafana. The views run with their owner's rights; a function in a view is run
-- by who asks.
GRANT USAGE ON SCHEMA board TO whalegate_board;
GRANT SELECT ON ALL TABLES IN SCHEMA board TO whalegate_board;
GRANT EXECUTE ON FUNCTION board_health(), decision_surface(), reason_words(text) TO whalegate_board;
REVOKE EXECUTE ON FUNCTION ingest_health_at(timestamptz) FROM whalegate_board; -- an earlier version gave it
GRANT USAGE ON SCHEMA ops TO whalegate_ops;
GRANT SELECT ON ALL TABLES IN SCHEMA ops TO whalegate_ops;
GRANT EXECUTE ON FUNCTION whalegate_now(), board_health(), reason_words(text), collector_who(), ops_span(double precision), ops_since(timestamptz), ops_sessions(), ops_waiting(), ops_tables(), ops_database(), ops_truth() TO whalegate_ops;
REVOKE EXECUTE ON FUNCTION ingest_health_at(timestamptz) FROM whalegate_ops; -- an earlier version gave it
