-- The clocks of the database. The defaults of the tables ask them, so they are there first.

-- whalegate_now is the one clock of the data. Everything that asks how old something is asks
-- it, so that an end-to-end test can move time by replacing this function.
CREATE OR REPLACE FUNCTION whalegate_now() RETURNS timestamptz
    LANGUAGE sql VOLATILE
    AS 'SELECT clock_timestamp()';

-- beat_now is the clock of beats: the machine's own, also under the accelerated
-- clock of a test, because beats and take-over run on real time.
CREATE OR REPLACE FUNCTION beat_now() RETURNS timestamptz
    LANGUAGE sql VOLATILE
    AS 'SELECT clock_timestamp()';
