package lead

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/whalegate/whalegate/internal/postgres"
)

// seat is what a leader holds.
type seat struct {
	Term
	lock, beat *session
}

func (s *seat) close() {
	s.lock.close()
	s.beat.close()
}

// hold leads: it keeps lock and beat until the work has ended. ended tells that the
// work ended by itself, or with ctx.
func (c *Candidate) hold(ctx context.Context, s *seat, work func(context.Context) error) (ended bool, err error) {
	c.cfg.Fence.Set(s.Term)
	c.leading.Set(1)
	c.epoch.Set(float64(s.Epoch))
	c.taken.Inc()
	c.cfg.Logger.Info("leading", "epoch", s.Epoch)
	defer c.leading.Set(0)
	defer c.cfg.Fence.Set(Term{})

	working, stop := context.WithCancel(ctx)
	defer stop()
	done := make(chan error, 1)
	go func() { done <- work(working) }()

	keeping, release := context.WithCancel(context.WithoutCancel(ctx))
	kept := make(chan bool, 1)
	go func() { kept <- c.keep(keeping, s) }()

	select {
	case err = <-done: // by itself, or with ctx
		release()
		if <-kept {
			c.giveBack(s)
		}
		s.close()
		if err == nil && ctx.Err() == nil {
			err = errors.New("the work of the leader ended by itself")
		}
		return true, err
	case <-kept: // somebody else leads
		release()
		c.lost.Inc()
		c.cfg.Logger.Warn("lead lost: the row no longer names this collector", "epoch", s.Epoch)
		c.cfg.Fence.Set(Term{})
		c.leading.Set(0)
		stop()
		err = <-done
		s.close()
		if ctx.Err() != nil {
			return true, err
		}
		return false, nil
	}
}

// keep keeps the seat until ctx ends (true), or until somebody else has it (false).
// While the database is away nobody else can have it either: the work goes on, and
// the fence has the last word.
func (c *Candidate) keep(ctx context.Context, s *seat) bool {
	for {
		err := c.beats(ctx, s)
		if ctx.Err() != nil {
			return true
		}
		if errors.Is(err, ErrNotLeading) {
			return false
		}
		c.complain("keep the lead", err)
		for { // the sessions are gone, or one of them: sit down again
			s.close()
			s.lock, s.beat = nil, nil
			if err := sleep(ctx, c.cfg.Pace.Look); err != nil {
				return true
			}
			err := c.reseat(ctx, s)
			if ctx.Err() != nil {
				return true
			}
			if errors.Is(err, ErrNotLeading) {
				return false
			}
			if err == nil {
				break
			}
			c.complain("keep the lead", err)
		}
		c.said = ""
		c.cfg.Logger.Info("leading again", "epoch", s.Epoch)
		if c.cfg.Reconnected != nil {
			c.cfg.Reconnected()
		}
	}
}

// beats writes a beat at its interval, and whenever a run was stored, as long as the
// lock's session lives.
func (c *Candidate) beats(ctx context.Context, s *seat) error {
	gone := make(chan error, 1)
	watching, stop := context.WithCancel(ctx)
	var watcher = make(chan struct{})
	go func() {
		defer close(watcher)
		gone <- s.lock.guard(watching, c.cfg.Pace.Beat)
	}()
	defer func() { stop(); <-watcher }()
	var waiting chan struct{} // somebody waits for this beat
	c.cfg.Fence.elsewhere.Store(false)
	for {
		if c.cfg.Fence.elsewhere.Swap(false) {
			return errElsewhere
		}
		// A beat that is cut short would take the session with it, and the lead could
		// not be given back.
		err := c.writeBeat(context.WithoutCancel(ctx), s)
		if waiting != nil {
			close(waiting)
			waiting = nil
		}
		switch {
		case err == nil || ctx.Err() != nil:
		case errors.Is(err, ErrNotLeading), s.beat.conn.IsClosed():
			return err
		default: // the server refused it, as a full disk does: the lock is ours all the same
			c.complain("write the beat", err)
		}
		c.watchFor(context.WithoutCancel(ctx), s.beat)
		timer := time.NewTimer(c.cfg.Pace.Beat)
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case err := <-gone:
			timer.Stop()
			return err
		case waiting = <-c.poke:
			timer.Stop()
		case <-timer.C:
		}
	}
}

var errElsewhere = errors.New("the work's sessions are on another server than the lead's: it is taken again where they are")

// watchFor lets the program look at the database in which the lead is held or watched. It
// must not stop the beats: a table that somebody locks is not waited for.
func (c *Candidate) watchFor(ctx context.Context, s *session) {
	if c.cfg.Watch == nil || time.Since(c.watched) < c.cfg.Pace.Beat/2 {
		return
	}
	c.watched = time.Now()
	err := pgx.BeginFunc(ctx, s.conn, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "SET LOCAL lock_timeout = '200ms'; SET LOCAL statement_timeout = '1s'"); err != nil {
			return err
		}
		return c.cfg.Watch(ctx, tx)
	})
	c.complain("look at the database of the lead", err)
}

// guard sees to it that the lock's session lives: the server's word that it ended
// is read at once, and something is sent every so often.
func (s *session) guard(ctx context.Context, every time.Duration) error {
	for {
		waiting, cancel := context.WithTimeout(ctx, every)
		_, err := s.conn.WaitForNotification(waiting)
		late := waiting.Err() != nil
		cancel()
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil && !late:
			return fmt.Errorf("the session of the lock ended: %w", postgres.Cause(err))
		}
		if err := s.exec(ctx, "SELECT 1"); err != nil {
			return err
		}
	}
}

// A beat of an epoch that is over changes nothing: the row has the epoch of whoever
// took over by then. Nor does one while the row does not name our session: nobody could
// see that we lead.
const writeBeat = `
	INSERT INTO collector_beat AS b (epoch, beats, beat_at, run_age_seconds, run_minute, boot_id, boot_seconds, weight_left)
	SELECT $1, 1, beat_now(), $3, $7, nullif($4, ''), $5, $6 FROM collector_leader l WHERE l.epoch = $1 AND l.holder = $2 AND l.pid = $8
	ON CONFLICT (one) DO UPDATE SET
		epoch = excluded.epoch, beats = b.beats % 1000000000000000 + 1, beat_at = excluded.beat_at, run_age_seconds = excluded.run_age_seconds, run_minute = excluded.run_minute,
		boot_id = excluded.boot_id, boot_seconds = excluded.boot_seconds, weight_left = excluded.weight_left
	WHERE b.epoch <= excluded.epoch`

func (c *Candidate) writeBeat(ctx context.Context, s *seat) error {
	ctx, cancel := context.WithTimeoutCause(ctx, askTimeout, errAskTimeout)
	defer cancel()
	var weight *float64
	if c.cfg.Weight != nil {
		left := c.cfg.Weight()
		weight = &left
	}
	id, seconds := c.boot()
	age, minute := c.newest()
	tag, err := s.beat.conn.Exec(ctx, writeBeat, s.Epoch, s.Holder, age, id, seconds, weight, minute, s.lock.pid())
	if err == nil && tag.RowsAffected() == 0 {
		return fmt.Errorf("%w: the row names somebody else", ErrNotLeading)
	}
	return postgres.Because(ctx, "write the beat", err)
}

// giveBack releases the lead, so that whoever waits need not look twice. The fence
// is closed with it.
func (c *Candidate) giveBack(s *seat) {
	if s.beat == nil {
		return
	}
	ctx := context.Background()
	if err := c.writeBeat(ctx, s); err != nil {
		c.complain("release the lead", err)
		return
	}
	if err := s.beat.exec(ctx, "UPDATE collector_leader SET pid = NULL, backend_start = NULL, holder = gen_random_uuid() WHERE epoch = $1 AND holder = $2", s.Epoch, s.Holder); err != nil {
		c.complain("release the lead", err)
		return
	}
	c.cfg.Logger.Info("lead released", "epoch", s.Epoch)
}
