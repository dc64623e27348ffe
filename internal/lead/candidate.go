package lead

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"github.com/whalegate/whalegate/internal/clock"
	"github.com/whalegate/whalegate/internal/postgres"
)

// Config configures a Candidate.
type Config struct {
	DatabaseURL string
	Fence       *Fence      // is set to each term while it lasts
	Clock       clock.Clock // of the data; only ages of runs follow it
	Logger      *slog.Logger
	Registerer  prometheus.Registerer
	Weight      func() float64 // what is left of the upstream's budget, told to a successor; may be nil
	Inherit     func(Legacy)   // called before the work begins; may be nil
	Reconnected func()         // called when the leader's sessions are back after they were lost: the database may be another one; may be nil
	Pace        Pace           // zero: DefaultPace
}

// Legacy is what a leader gets from its predecessor.
type Legacy struct {
	Weight *float64      // what it had left of the upstream's budget; nil: not known
	Minute time.Time     // of its newest good run; zero: not known
	Age    time.Duration // of that run, of the data's clock
	Seen   []Seen        // the minutes of a day that were stored while this collector waited and its own clock showed them, oldest first
	Lost   time.Time     // a minute that it had committed before the database became another, older one; zero: none
}

// Seen is a minute that was seen to be stored.
type Seen struct {
	Minute time.Time
	Ago    time.Duration // in real time
}

// Pace is how fast the lead is watched and taken, in real time.
type Pace struct {
	Beat    time.Duration // between two beats
	Look    time.Duration // between two looks of who waits
	Absence time.Duration // between the two looks that find the leader's session gone
	Silence time.Duration // without a beat after which the lead is taken
}

// DefaultPace replaces a leader that is gone within 15 s, and one that ended on
// this machine within 5 s.
var DefaultPace = Pace{Beat: 3 * time.Second, Look: 500 * time.Millisecond, Absence: 2 * time.Second, Silence: 10 * time.Second}

// Faster is the pace with every interval divided by n: for tests.
func (p Pace) Faster(n float64) Pace {
	by := func(d time.Duration) time.Duration { return time.Duration(float64(d) / n) }
	return Pace{by(p.Beat), by(p.Look), by(p.Absence), by(p.Silence)}
}

// Candidate waits until it may lead, leads, and waits again when it has lost the
// lead.
type Candidate struct {
	cfg     Config
	boot    bootClock
	host    string
	leading prometheus.Gauge
	epoch   prometheus.Gauge
	taken   prometheus.Counter
	lost    prometheus.Counter

	lastGood atomic.Pointer[goodRun] // the newest good run; nil: not known
	poke     chan chan struct{}      // a beat is due now; closed once it is written
	said     string                  // the last trouble, said once
}

// New makes a candidate; nothing runs yet.
func New(cfg Config) *Candidate {
	cfg.Pace = Pace{
		cmp.Or(cfg.Pace.Beat, DefaultPace.Beat), cmp.Or(cfg.Pace.Look, DefaultPace.Look),
		cmp.Or(cfg.Pace.Absence, DefaultPace.Absence), cmp.Or(cfg.Pace.Silence, DefaultPace.Silence),
	}
	f := promauto.With(cfg.Registerer)
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	return &Candidate{
		cfg: cfg, boot: machineBoot, host: host, poke: make(chan chan struct{}, 1),
		leading: f.NewGauge(prometheus.GaugeOpts{Name: "whalegate_leader", Help: "Whether this collector leads (1) or waits (0)."}),
		epoch:   f.NewGauge(prometheus.GaugeOpts{Name: "whalegate_leader_epoch", Help: "The epoch in which this collector leads or last led; 0 when it never did."}),
		taken:   f.NewCounter(prometheus.CounterOpts{Name: "whalegate_leader_takeovers_total", Help: "Times that this collector took the lead."}),
		lost:    f.NewCounter(prometheus.CounterOpts{Name: "whalegate_leader_losses_total", Help: "Times that this collector lost the lead to another one."}),
	}
}

// goodRun is a good run that a collector vouches for.
type goodRun struct {
	at     float64 // when it was stored, in seconds since boot
	minute time.Time
}

// Stored tells that a good run of a minute has just been committed. The first one of a leader,
// and the first after a while, is what HEALTHY waits for: whoever acts on it next has
// to find the beat that tells of it.
func (c *Candidate) Stored(minute time.Time) {
	const soon = 2 * time.Second
	_, now := c.boot()
	before := c.lastGood.Swap(&goodRun{now, minute})
	written := make(chan struct{})
	select {
	case c.poke <- written:
	default:
		return // a beat is due already
	}
	if before != nil && c.inDataTime(now-before.at) <= freshFor {
		return
	}
	select {
	case <-written:
	case <-time.After(soon): // the next one comes anyway
	}
}

// freshFor is for how many seconds of the data's clock a good run counts as new, well
// within what collector_leads asks for.
const freshFor = 120

// newest is the age of the newest good run in seconds of the data's clock, and its
// minute; nil when it is not known.
func (c *Candidate) newest() (age *float64, minute *time.Time) {
	good := c.lastGood.Load()
	if good == nil {
		return nil, nil
	}
	_, now := c.boot()
	seconds := max(0, c.inDataTime(now-good.at))
	return &seconds, &good.minute
}

// inDataTime is how much of the data's clock passes in so many real seconds.
func (c *Candidate) inDataTime(seconds float64) float64 {
	return c.cfg.Clock.Elapsed(clock.Seconds(seconds)).Seconds()
}

// Run leads whenever it may until ctx ends, and calls work each time with a context
// that ends when the lead is lost. It returns what work returned when that ended by
// itself. The lead is given back once work has ended.
func (c *Candidate) Run(ctx context.Context, work func(context.Context) error) error {
	for ctx.Err() == nil {
		s, err := c.campaign(ctx)
		if err != nil {
			return nil // only the shutdown ends a campaign
		}
		ended, err := c.hold(ctx, s, work)
		if ended {
			return err
		}
	}
	return nil
}

// seat is what a leader holds.
type seat struct {
	Term
	lock, beat *session
}

func (s *seat) close() {
	s.lock.close()
	s.beat.close()
}

// campaign waits until the lead is to be had and takes it.
func (c *Candidate) campaign(ctx context.Context) (*seat, error) {
	var watching *session
	defer func() { watching.close() }()
	var w watch
	for {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		s, err := c.look(ctx, &watching, &w)
		switch {
		case s != nil:
			watching = nil
			return s, nil
		case err != nil:
			c.complain("wait for the lead", err)
			w.unanswered()
			watching.close()
			watching = nil
		}
		if err := sleep(ctx, c.cfg.Pace.Look); err != nil {
			return nil, err
		}
	}
}

// look looks once, and takes the lead when it is to be had.
func (c *Candidate) look(ctx context.Context, watching **session, w *watch) (*seat, error) {
	if *watching == nil {
		s, err := open(ctx, c.cfg.DatabaseURL, c.program("waits"))
		if err != nil {
			return nil, err
		}
		*watching = s
	}
	found, err := (*watching).look(ctx)
	if err != nil {
		return nil, err
	}
	_, w.boot = c.boot()
	w.clock = c.cfg.Clock.Now()
	vacant := w.look(time.Now(), found, c.cfg.Pace)
	if w.looks == 1 && !vacant {
		c.cfg.Logger.Info("waiting for the lead", "epoch", found.Epoch)
	}
	if !vacant {
		c.said = ""
		return nil, nil
	}
	s, err := c.take(ctx, *watching, found, w)
	if err != nil || s == nil {
		return nil, err
	}
	return s, nil
}

// program is how the sessions show in pg_stat_activity: what they do, and where.
func (c *Candidate) program(does string) string {
	const most = 63 // bytes of an application_name
	name := fmt.Sprintf("whalegate %s %s/%d", does, c.host, os.Getpid())
	return name[:min(len(name), most)]
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
	for {
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

// complain logs trouble once per change of it.
func (c *Candidate) complain(action string, err error) {
	if err == nil {
		return
	}
	if text := err.Error(); text != c.said {
		c.cfg.Logger.Warn(action, "error", err)
		c.said = text
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		return nil
	}
}

// newHolder is a token that nobody guesses and no clock makes.
func newHolder() uuid.UUID { return uuid.New() }
