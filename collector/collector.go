package collector

import (
	"context"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/whalegate/whalegate/collector/hyperliquid"
	"github.com/whalegate/whalegate/internal/clock"
	"github.com/whalegate/whalegate/internal/lead"
	"github.com/whalegate/whalegate/internal/qa"
	"github.com/whalegate/whalegate/internal/threshold"
)

// Config is what the collector is told. Durations are of Clock.
type Config struct {
	UniverseSize    int           // wallets to track
	RefreshEvery    time.Duration // between two refreshes of the universe
	Concurrency     int           // requests at a time: enough for 200 wallets in seconds, few enough not to look like an attack
	Attempts        int           // tries of a request
	Backoff         []time.Duration
	MaxStateAge     time.Duration // of a state that is believed (S9)
	WeightPerMinute int           // of the upstream's budget, shared out between snapshots and the search for sub-accounts
	Clock           clock.Clock
	Logger          *slog.Logger
	Registerer      prometheus.Registerer
	QA              *qa.Recorder
	Room            func() error // an error that wraps postgres.ErrDiskFull when the database has no room; may be nil
	Committed       func(Run)    // called after each committed run, from the cycle's own goroutine; may be nil
}

// Defaults of a Config that the operator does not choose.
const (
	DefaultRefreshEvery = 6 * time.Hour
	DefaultAttempts     = 3
	DefaultMaxStateAge  = threshold.StateOld
	interval            = time.Minute
	reserve             = 5 * time.Second  // of every minute, kept free of asking
	worthStarting       = 20 * time.Second // a first cycle with less budget than this waits for the next minute
)

// DefaultBackoff is how long to wait before each further attempt.
var DefaultBackoff = []time.Duration{500 * time.Millisecond, 1500 * time.Millisecond, 4 * time.Second}

// Collector keeps the universe and the snapshots up to date.
type Collector struct {
	cfg       Config
	upstream  Upstream
	searching Searching // from what the minutes leave of the budget
	store     *Store
	metrics   *metrics

	search  search
	healthy atomic.Bool // a run was good: the first start is over

	refreshed chan struct{} // the universe changed: its accounts may be unknown

	// Of the cycle's own goroutine.
	lastTime   map[string]time.Time // newest state time stored, by account
	recent     []Window             // the newest committed minutes, two at most
	unsaved    []Run                // failed minutes that could not be written yet
	refusedFor time.Time            // the last minute that was refused for the clock; zero: none since the last commit
	refusedAt  time.Time            // when that was, on the monotonic clock
	kept       []kept               // what was committed within the last hour
	baseline   *baseline            // what sizes are held against; nil: to be read
	coins      coins                // what the exchange says of ours
	shown      []shown              // the minutes of a day and when the clock showed them, oldest first; kept while others lead
	inherited  lead.Legacy          // of the predecessor, until it is looked at
	overBudget bool                 // it was said that the budget cannot carry a minute
	recheck    atomic.Bool          // the database may be another one: compare what is kept with what it has

	oldestState atomic.Int64 // unix ns: the oldest state of the newest minute that got any, believed or not

	// Of the refresh's own goroutine.
	validators hyperliquid.Validators // of the leaderboard that the universe was made from
}

// New makes a collector. The error names the setting that is wrong.
func New(cfg Config, upstream Upstream, searching Searching, store *Store) (*Collector, error) {
	switch {
	case cfg.UniverseSize < 1 || cfg.UniverseSize > 100_000:
		return nil, fmt.Errorf("universe size %d: a number from 1 to 100000 is right", cfg.UniverseSize)
	case cfg.Concurrency < 1 || cfg.Concurrency > 1000:
		return nil, fmt.Errorf("concurrency %d: a number from 1 to 1000 is right", cfg.Concurrency)
	case cfg.WeightPerMinute < hyperliquid.SubAccountsWeight:
		return nil, fmt.Errorf("weight per minute %d: at least %d is right, the weight of one request", cfg.WeightPerMinute, hyperliquid.SubAccountsWeight)
	}
	if cfg.RefreshEvery == 0 {
		cfg.RefreshEvery = DefaultRefreshEvery
	}
	if cfg.Attempts == 0 {
		cfg.Attempts = DefaultAttempts
	}
	if cfg.MaxStateAge == 0 {
		cfg.MaxStateAge = DefaultMaxStateAge
	}
	if cfg.MaxStateAge < 30*time.Second || cfg.MaxStateAge > 5*time.Minute {
		return nil, fmt.Errorf("max state age %s: from 30s to 5m is right", cfg.MaxStateAge)
	}
	if cfg.Backoff == nil {
		cfg.Backoff = DefaultBackoff
	}
	if cfg.Room == nil {
		cfg.Room = func() error { return nil }
	}
	c := &Collector{
		cfg: cfg, upstream: upstream, searching: searching, store: store,
		refreshed: make(chan struct{}, 1),
		lastTime:  map[string]time.Time{},
	}
	c.metrics = newMetrics(cfg.Registerer, (interval - reserve).Seconds(), c.stateLag)
	c.countUnsaved() // each series is there from the start
	return c, nil
}

func (c *Collector) report(ctx context.Context, at time.Time, events ...qa.Event) {
	c.cfg.QA.Report(ctx, qa.Ingestion, at, events...)
}
