package lead

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/whalegate/whalegate/internal/duration"
	"github.com/whalegate/whalegate/internal/postgres"
)

// Both take and reseat lock the row first and the view second, each in a session of
// its own, so that two that try at once wait for each other at the row.

const (
	// The table's lock keeps those apart that find it empty; the row's waits for every
	// transaction behind the fence.
	lockTable = "LOCK TABLE collector_leader IN SHARE ROW EXCLUSIVE MODE"
	lockRow   = "SELECT FROM collector_leader FOR UPDATE"
	// Whoever still holds the lock is of an epoch that is over.
	endHolders = `SELECT pg_terminate_backend(k.pid) FROM pg_locks k
		WHERE k.locktype = 'relation' AND k.relation = 'leader_lock'::regclass AND k.granted AND k.pid <> ALL ($1::integer[])
			AND k.database = (SELECT oid FROM pg_database WHERE datname = current_database())`
	// A leader that was frozen in the middle of a transaction holds the row. Those
	// that wait for the lead themselves hold it for a moment only, unless they are
	// frozen as well.
	blockers = `SELECT a.pid FROM pg_stat_activity a
		WHERE a.pid = ANY (pg_blocking_pids($1)) AND ($2 OR a.application_name !~ '^whalegate (waits|leads|beats) ')`
	lockView = "LOCK TABLE leader_lock IN SHARE UPDATE EXCLUSIVE MODE"
	takeRow  = `
		INSERT INTO collector_leader AS l (epoch, holder, pid, backend_start, host, process, place, server_start)
		SELECT least(most, 1 + greatest((SELECT max(epoch) FROM collector_leader), (SELECT max(epoch) FROM collector_beat WHERE epoch < most), 0)), $1, $2,
			(SELECT backend_start FROM pg_stat_activity WHERE pid = $2), $3, $4, database_place(), pg_postmaster_start_time()
		FROM (VALUES (1000000000000000)) at (most) -- what the column takes: the holder tells terms apart there
		ON CONFLICT (one) DO UPDATE SET
			epoch = excluded.epoch, holder = excluded.holder, pid = excluded.pid, backend_start = excluded.backend_start,
			host = excluded.host, process = excluded.process, place = excluded.place, server_start = excluded.server_start, taken_at = beat_now()
		RETURNING epoch`
	keepRow = `UPDATE collector_leader SET pid = $3, place = database_place(), server_start = pg_postmaster_start_time(), backend_start = (SELECT backend_start FROM pg_stat_activity WHERE pid = $3) WHERE epoch = $1 AND holder = $2`
)

// rowPatience is how long the row is waited for before whoever holds it is ended,
// and viewPatience how long the lock of a session that was just ended may last.
const (
	rowPatience  = time.Second
	viewPatience = 3 * time.Second
	// frozenAfter is after how many rounds of patience even another candidate is ended:
	// one that lives needs the row for less than half of that.
	frozenAfter = 7
)

// take takes the lead if it is still as it was found, and returns nil if not. lock
// becomes the session of the lock.
func (c *Candidate) take(ctx context.Context, lock *session, found seen, w *watch) (*seat, error) {
	beat, err := open(ctx, c.cfg.DatabaseURL, c.program("beats"))
	if err != nil {
		return nil, err
	}
	s := &seat{Term: Term{Holder: newHolder()}, lock: lock, beat: beat}
	took, leads := false, false
	defer func() {
		if !leads {
			beat.close()
		}
	}()
	err = c.withRow(ctx, s, true, func(ctx context.Context, tx pgx.Tx) error {
		again, err := scanSeen(tx.QueryRow(ctx, selectSeen))
		if err != nil {
			return err
		}
		if again.Term != found.Term || again.Named != found.Named || again.PID != found.PID || again.Beats != found.Beats || again.Present && !found.Present {
			return nil // somebody was quicker, or it lives
		}
		if err := c.lockView(ctx, s, tx); err != nil {
			return err
		}
		if err := c.settle(ctx, tx); err != nil {
			return err
		}
		if err := tx.QueryRow(ctx, takeRow, s.Holder, s.lock.pid(), c.host, os.Getpid()).Scan(&s.Epoch); err != nil {
			return err
		}
		took = true
		c.inherit(found, w)
		// The beat goes over with the row: one of the epoch before changes nothing now.
		if _, err := tx.Exec(ctx, "DELETE FROM collector_beat WHERE epoch > $1", s.Epoch); err != nil { // nobody wrote that but a person
			return err
		}
		id, seconds := c.boot()
		age, minute := c.newest()
		_, err = tx.Exec(ctx, writeBeat, s.Epoch, s.Holder, age, id, seconds, found.Weight, minute, s.lock.pid())
		return err
	})
	if err != nil || !took {
		return nil, err
	}
	if err := lock.exec(ctx, "SET application_name = "+postgres.Quote(c.program("leads"))); err != nil {
		return nil, err
	}
	if c.cfg.Inherit != nil {
		c.cfg.Inherit(c.legacy(found, w))
	}
	leads = true
	return s, nil
}

// settle lets the program put back what the database may have lost, before anybody can
// see that somebody leads.
func (c *Candidate) settle(ctx context.Context, tx pgx.Tx) error {
	if c.cfg.Settle == nil {
		return nil
	}
	var was, is string
	err := tx.QueryRow(ctx, "SELECT coalesce((SELECT place FROM collector_leader), ''), database_place()").Scan(&was, &is)
	if err == nil {
		_, err = tx.Exec(ctx, "SET LOCAL synchronous_commit = on") // a halt is kept
	}
	if err != nil {
		return err
	}
	return c.cfg.Settle(ctx, tx, was != "" && was != is && !c.places[was])
}

// inherit learns how long ago the predecessor stored a good run: by the machine's
// boot clock, or by having watched its beats.
func (c *Candidate) inherit(found seen, w *watch) {
	c.lastGood.Store(nil)
	if found.RunAge == nil || found.Run == nil {
		return
	}
	id, now := c.boot()
	var since float64
	switch {
	case id != "" && id == found.BootID && now >= found.BootTime:
		since = now - found.BootTime
	case w.moved != nil && now >= *w.moved:
		since = now - *w.moved
	default:
		return // nobody knows how long nobody led: the gate waits for a run of ours
	}
	age := *found.RunAge / c.inDataTime(1)
	c.lastGood.Store(&goodRun{now - since - age, found.Run.UTC()})
}

// legacy is what the work gets from its predecessor.
func (c *Candidate) legacy(found seen, w *watch) Legacy {
	l := Legacy{Weight: found.Weight, Lost: w.lost}
	_, now := c.boot()
	for _, s := range w.seen {
		l.Seen = append(l.Seen, Seen{s.minute, duration.Seconds(now - s.boot)})
	}
	if age, minute := c.newest(); age != nil {
		l.Minute, l.Age = *minute, duration.Seconds(*age)
	}
	return l
}

// reseat takes the seat again that the row still names as ours, after its sessions
// were lost. The error wraps ErrNotLeading when it names somebody else.
func (c *Candidate) reseat(ctx context.Context, s *seat) (err error) {
	if s.lock, err = open(ctx, c.cfg.DatabaseURL, c.program("leads")); err != nil {
		return err
	}
	if s.beat, err = open(ctx, c.cfg.DatabaseURL, c.program("beats")); err != nil {
		return err
	}
	return c.withRow(ctx, s, false, func(ctx context.Context, tx pgx.Tx) error {
		again, err := scanSeen(tx.QueryRow(ctx, selectSeen))
		if err != nil {
			return err
		}
		if again.Term != s.Term {
			return fmt.Errorf("%w: the row names epoch %d", ErrNotLeading, again.Epoch)
		}
		if err := c.lockView(ctx, s, tx); err != nil {
			return err
		}
		if err := c.settle(ctx, tx); err != nil {
			return err
		}
		_, err = tx.Exec(ctx, keepRow, s.Epoch, s.Holder, s.lock.pid())
		return err
	})
}

// rowTimeout bounds one try to get the row.
const rowTimeout = 2 * askTimeout

var errRowTimeout = fmt.Errorf("the leader's row was not to be had within %s", rowTimeout)

// withRow runs do in a transaction that has the row to itself. ending ends whoever
// holds it for longer than a moment.
func (c *Candidate) withRow(ctx context.Context, s *seat, ending bool, do func(context.Context, pgx.Tx) error) error {
	ctx, cancel := context.WithTimeoutCause(ctx, rowTimeout, errRowTimeout)
	defer cancel()
	err := pgx.BeginFunc(ctx, s.beat.conn, func(tx pgx.Tx) error {
		if err := c.lockRow(ctx, s, tx, ending); err != nil {
			return err
		}
		return do(ctx, tx)
	})
	return postgres.Because(ctx, "take the lead", err)
}

func (c *Candidate) lockRow(ctx context.Context, s *seat, tx pgx.Tx, ending bool) error {
	if ending {
		waiting, cancel := context.WithCancel(ctx)
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			for round := 1; sleep(waiting, rowPatience) == nil; round++ {
				c.endBlockers(ctx, s, round >= frozenAfter)
			}
		}()
		defer func() { cancel(); <-ended }()
	}
	_, err := tx.Exec(ctx, lockTable)
	if err == nil {
		_, err = tx.Exec(ctx, lockRow)
	}
	return err
}

// endBlockers ends the sessions that keep the row from us, each by itself: that of a
// superuser cannot be ended, and the others can.
func (c *Candidate) endBlockers(ctx context.Context, s *seat, frozen bool) {
	rows, err := s.lock.conn.Query(ctx, blockers, s.beat.pid(), frozen)
	var pids []int32
	if err == nil {
		pids, err = pgx.CollectRows(rows, pgx.RowTo[int32])
	}
	if err != nil {
		c.complain("look who holds the leader's row", err)
		return
	}
	for _, pid := range pids {
		if _, err := s.lock.conn.Exec(ctx, "SELECT pg_terminate_backend($1)", pid); err == nil {
			c.cfg.Logger.Warn("ended a session that held the leader's row", "pid", pid)
			continue
		}
		c.complain("end a session that holds the leader's row", err)
	}
}

// lockView takes the lock of the leader, ending whoever still holds it.
func (c *Candidate) lockView(ctx context.Context, s *seat, tx pgx.Tx) error {
	if _, err := tx.Exec(ctx, endHolders, []int32{s.lock.pid()}); err != nil {
		return err
	}
	for _, sql := range []string{"BEGIN", fmt.Sprintf("SET lock_timeout = '%dms'", viewPatience.Milliseconds()), lockView, "SET lock_timeout = 0"} {
		if _, err := s.lock.conn.Exec(ctx, sql); err != nil {
			return err
		}
	}
	return nil
}
