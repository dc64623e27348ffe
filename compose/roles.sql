-- Run by roles.sh. psql reads the passwords itself, so that they stand in no
-- argument list and no environment.
\set writer `cat "$SECRETS/writer_password"`
\set board `cat "$SECRETS/board_password"`
\set ops `cat "$SECRETS/ops_password"`
\set watchdog `cat "$SECRETS/watchdog_password"`

-- Nor in the server's log, whatever it is set to and should a statement fail.
SET log_statement = 'none';
SET log_min_duration_statement = -1;
SET log_min_error_statement = 'panic';
SET password_encryption = 'scram-sha-256';

BEGIN;
ALTER ROLE whalegate_writer LOGIN PASSWORD :'writer';
ALTER ROLE whalegate_board LOGIN PASSWORD :'board';
ALTER ROLE whalegate_ops LOGIN PASSWORD :'ops';
ALTER ROLE whalegate_watchdog LOGIN PASSWORD :'watchdog';
COMMIT;
