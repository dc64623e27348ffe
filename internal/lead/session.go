package lead

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/whalegate/whalegate/internal/postgres"
)

// session is a connection of its own, outside of every pool: an exhausted pool
// must not stop the beats of its own leader.
type session struct {
	conn *pgx.Conn
}

// open connects, with every time-out of the server off: what a person set for the
// database or the role must not end a session that holds still on purpose.
func open(ctx context.Context, databaseURL, program string) (*session, error) {
	conn, err := postgres.Connect(ctx, databaseURL, program)
	if err != nil {
		return nil, err
	}
	s := &session{conn}
	// Which time-outs there are depends on the server's version.
	const noTimeouts = `SELECT set_config(name, '0', false) FROM pg_settings
		WHERE name IN ('statement_timeout', 'lock_timeout', 'idle_in_transaction_session_timeout', 'idle_session_timeout', 'transaction_timeout')`
	if err := s.exec(ctx, noTimeouts); err != nil {
		s.close()
		return nil, err
	}
	// The planner takes the tables of one row for larger ones: compiling a look would
	// take a hundred times as long as the look.
	const settings = `SELECT set_config('default_transaction_isolation', 'read committed', false), set_config('default_transaction_read_only', 'off', false),
		set_config('synchronous_commit', 'off', false), set_config('search_path', 'public', false), set_config('jit', 'off', false)`
	if err := s.exec(ctx, settings); err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

// close ends the session at once.
func (s *session) close() {
	if s == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = s.conn.Close(ctx) // the server gives back what it held either way
}

func (s *session) pid() int32 { return int32(s.conn.PgConn().PID()) }

// askTimeout bounds one question.
const askTimeout = 5 * time.Second

var errAskTimeout = fmt.Errorf("the database did not answer within %s", askTimeout)

// exec runs a statement. One without arguments goes by the simple protocol, which
// leaves no portal behind: within a transaction that would hold a snapshot.
func (s *session) exec(ctx context.Context, sql string, args ...any) error {
	ctx, cancel := context.WithTimeoutCause(ctx, askTimeout, errAskTimeout)
	defer cancel()
	_, err := s.conn.Exec(ctx, sql, args...)
	return postgres.Because(ctx, "ask for the lead", err)
}

// seen is what a look at the row, the lock and the beat showed.
type seen struct {
	Term
	Named    bool // somebody is named
	PID      int32
	Present  bool // the session that the row names holds the lock
	Beats    int64
	RunAge   *float64   // seconds of the data's clock, when the last beat was written
	Run      *time.Time // the minute of that run
	BootID   string
	BootTime float64
	Weight   *float64
	Standby  bool // the server only follows another one
}

const selectSeen = `
	SELECT l.epoch, l.holder, l.pid,
		EXISTS (SELECT FROM leader_sessions k WHERE k.pid = l.pid),
		b.beats, b.run_age_seconds, b.run_minute, b.boot_id, b.boot_seconds, b.weight_left, pg_is_in_recovery()
	FROM (VALUES (1)) one
	LEFT JOIN collector_leader l ON l.one
	LEFT JOIN collector_beat b ON b.one`

// look reads who leads.
func (s *session) look(ctx context.Context) (seen, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, askTimeout, errAskTimeout)
	defer cancel()
	found, err := scanSeen(s.conn.QueryRow(ctx, selectSeen))
	return found, postgres.Because(ctx, "look for the leader", err)
}

func scanSeen(row pgx.Row) (seen, error) {
	var v seen
	var epoch, beats *int64
	var holder *uuid.UUID
	var pid *int32
	var boot *string
	var since *float64
	err := row.Scan(&epoch, &holder, &pid, &v.Present, &beats, &v.RunAge, &v.Run, &boot, &since, &v.Weight, &v.Standby)
	if epoch != nil && holder != nil {
		v.Term, v.Named = Term{*epoch, *holder}, true
	}
	if pid != nil {
		v.PID = *pid
	}
	if beats != nil {
		v.Beats = *beats
	}
	if boot != nil && since != nil {
		v.BootID, v.BootTime = *boot, *since
	}
	return v, err
}
