package watch

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/whalegate/whalegate/internal/clock"
	"github.com/whalegate/whalegate/internal/health"
	"github.com/whalegate/whalegate/internal/lead"
	"github.com/whalegate/whalegate/internal/postgres"
)

// Database is what the watcher needs of a pool.
type Database interface {
	Querier
	lead.Beginner
}

// Watcher keeps each change of state that the running service saw: in the log
// and in health_transitions.
type Watcher struct {
	DB     Database
	Fence  *lead.Fence // only the collector that leads keeps changes; nil: whoever looks
	Clock  clock.Clock
	Logger *slog.Logger
	Every  time.Duration // between two looks, of Clock

	// Looked is told of each look; may be nil.
	Looked func(context.Context, health.Health)
	// Changed is told of each new state or set of reasons; may be nil.
	Changed func(context.Context, health.Health)
}

// transition is a change that has been seen; those seen while the database was
// away are written when it is back.
type transition struct {
	at       time.Time
	from, to health.State
	reasons  []string
	unled    bool // nobody led when it was seen
}

// unknown is the state before the first look.
const unknown health.State = "UNKNOWN"

// maxPending bounds what is remembered of an outage.
const maxPending = 1000

// Run looks until ctx ends.
func (w *Watcher) Run(ctx context.Context) error {
	last := health.Health{State: unknown}
	var pending []transition
	for {
		h, err := Read(ctx, w.DB)
		if ctx.Err() != nil {
			return nil
		}
		if w.Looked != nil {
			w.Looked(ctx, h)
		}
		if h.State != last.State || !slices.Equal(h.Reasons, last.Reasons) {
			w.log(ctx, last, h, err)
			if w.Changed != nil {
				w.Changed(ctx, h)
			}
		}
		if h.State != last.State && len(pending) < maxPending {
			pending = append(pending, transition{at: w.Clock.Now(), from: last.State, to: h.State, reasons: h.Reasons})
		}
		last = h
		if err == nil {
			pending = w.write(ctx, pending)
		}
		if w.Clock.Sleep(ctx, w.Every) != nil {
			return nil
		}
	}
}

func (w *Watcher) log(ctx context.Context, from, to health.Health, err error) {
	level := slog.LevelInfo
	if to.State != health.Healthy {
		level = slog.LevelWarn
	}
	attrs := []any{"from", from.State, "to", to.State, "reasons", to.Reasons}
	if err != nil {
		attrs = append(attrs, "error", err)
	}
	w.Logger.Log(ctx, level, "health", attrs...)
}

// What was seen while nobody led may be what the collector before saw last.
const insertTransition = `
	INSERT INTO health_transitions (ts, from_state, to_state, reasons)
	SELECT $1::timestamptz, $2::text, $3::text, $4::text[]
	WHERE NOT $5 OR $2 = 'UNKNOWN' OR $3 IS DISTINCT FROM (SELECT t.to_state FROM health_transitions t ORDER BY t.id DESC LIMIT 1)`

// write stores what it can and returns what is left for the next look.
func (w *Watcher) write(ctx context.Context, pending []transition) []transition {
	for len(pending) > 0 {
		t := pending[0]
		err := w.Fence.Exec(ctx, w.DB, insertTransition, t.at, t.from, t.to, t.reasons, t.unled)
		if errors.Is(err, lead.ErrNotLeading) {
			if who, err := lead.Read(ctx, w.DB); err == nil && who.Present {
				return nil // whoever leads keeps it
			}
			for i := range pending { // until this collector leads, or another one
				pending[i].unled = true
			}
			return pending
		}
		if err != nil {
			w.Logger.Error("keep health transition", "error", fmt.Errorf("insert into health_transitions: %w", postgres.Cause(err)))
			return pending
		}
		pending = pending[1:]
	}
	return pending
}

// Collector exports health as metrics. It asks the database at every scrape, so
// that the metrics cannot disagree with the board.
type Collector struct {
	DB Querier

	state, reason, age, coverage, clean *prometheus.Desc
}

// NewCollector makes the collector that asks db.
func NewCollector(db Querier) *Collector {
	return &Collector{
		DB:       db,
		state:    prometheus.NewDesc("whalegate_health_state", "Whether the system is in this health state (1) or not (0), as the database judges it at the scrape.", []string{"state"}, nil),
		reason:   prometheus.NewDesc("whalegate_health_reason", "Whether this reason keeps the state from HEALTHY (1) or not (0).", []string{"reason"}, nil),
		age:      prometheus.NewDesc("whalegate_snapshot_age_seconds", "Age of the newest successful or partial snapshot; +Inf when there is none or the database cannot be asked.", nil, nil),
		coverage: prometheus.NewDesc("whalegate_snapshot_coverage_ratio", "Share of the universe that the newest run fetched, 0 to 1; 0 when there is none or the database cannot be asked.", nil, nil),
		clean:    prometheus.NewDesc("whalegate_clean_runs", "Consecutive clean runs up to the newest, 10 at most.", nil, nil),
	}
}

// Describe implements prometheus.Collector.
func (c *Collector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{c.state, c.reason, c.age, c.coverage, c.clean} {
		ch <- d
	}
}

// Collect implements prometheus.Collector. A database that cannot be asked is
// STALE, not an error of the scrape.
func (c *Collector) Collect(ch chan<- prometheus.Metric) {
	ctx, cancel := postgres.Looking(context.Background())
	defer cancel()
	h, _ := Read(ctx, c.DB) // the answer says "database" itself
	gauge := func(d *prometheus.Desc, value float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, labels...)
	}
	flag := map[bool]float64{true: 1}
	for _, state := range health.States {
		gauge(c.state, flag[h.State == state], string(state))
	}
	for _, reason := range health.Reasons {
		gauge(c.reason, flag[slices.Contains(h.Reasons, reason)], reason)
	}
	gauge(c.age, orElse(h.AgeSeconds, inf))
	gauge(c.coverage, orElse(h.CoveragePct, 0)/100)
	gauge(c.clean, float64(h.CleanRuns))
}

var inf = math.Inf(1)

func orElse(value *float64, otherwise float64) float64 {
	if value == nil {
		return otherwise
	}
	return *value
}
