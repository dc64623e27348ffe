package lead

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"os"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"github.com/whalegate/whalegate/internal/clock"
	"github.com/whalegate/whalegate/internal/duration"
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
	// Settle puts back what the database may have lost, in the transaction that takes the
	// lead: nobody sees that somebody leads before. restored tells that the database was
	// copied from one that this process has never seen, as a restored dump is: nobody
	// alive knows what that one had. May be nil.
	Settle func(ctx context.Context, tx pgx.Tx, restored bool) error
	// Watch looks at the database in which the lead is held, or watched, every few seconds:
	// the work's own sessions may be in another one for a while. May be nil.
	Watch       func(ctx context.Context, tx pgx.Tx) error
	Reconnected func() // called when the leader's sessions are back after they were lost: the database may be another one; may be nil
	Pace        Pace   // zero: DefaultPace
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
	watched  time.Time               // when the program looked at the lead's database last
	places   map[string]bool         // the databases that this process has seen
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
		cfg: cfg, boot: machineBoot, host: host, places: map[string]bool{}, poke: make(chan chan struct{}, 1),
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
	return c.cfg.Clock.Elapsed(duration.Seconds(seconds)).Seconds()
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
		if err := c.notePlace(ctx, s); err != nil {
			return nil, err
		}
	}
	found, err := (*watching).look(ctx)
	if err != nil {
		return nil, err
	}
	c.watchFor(ctx, *watching)
	_, w.boot = c.boot()
	w.clock = c.cfg.Clock.Now()
	if found.Standby { // it shows no session of the leader's, whether that lives or not
		w.unanswered()
		c.complain("wait for the lead", errStandby)
		return nil, nil
	}
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

// notePlace remembers which database a session is in.
func (c *Candidate) notePlace(ctx context.Context, s *session) error {
	ctx, cancel := context.WithTimeoutCause(ctx, askTimeout, errAskTimeout)
	defer cancel()
	var place string
	err := s.conn.QueryRow(ctx, "SELECT database_place()").Scan(&place)
	if err == nil {
		c.places[place] = true
	}
	return postgres.Because(ctx, "ask which database it is", err)
}
