package engine

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"github.com/whalegate/whalegate/internal/asset"
	"github.com/whalegate/whalegate/internal/clock"
	"github.com/whalegate/whalegate/internal/postgres"
	"github.com/whalegate/whalegate/internal/qa"
	"github.com/whalegate/whalegate/internal/qa/check"
	"github.com/whalegate/whalegate/signals"
)

// AuditorConfig configures an Auditor.
type AuditorConfig struct {
	Pool       *pgxpool.Pool
	Clock      clock.Clock
	Logger     *slog.Logger
	Registerer prometheus.Registerer
	QA         *qa.Recorder       // writes behind the leader's fence
	Recorded   func() []time.Time // the boundaries that this process has recorded; may be nil
}

// Auditor audits the newest day of signals in the background. Once an hour it reads the
// day anew, boundary by boundary, and between two such passes it follows the boundaries
// as they come. What it finds becomes failed checks; it changes nothing.
type Auditor struct {
	cfg     AuditorConfig
	metrics auditMetrics

	pass     *pass
	verdicts map[time.Time]verdict // of the boundaries of the last day
	differs  bool                  // something did when it was last concluded
}

// pass is one reading of the newest day.
type pass struct {
	memory *Memory
	began  time.Time
	next   time.Time // the first boundary that was not looked at
	done   bool      // it has come to the present
	// What the inputs gave at the last boundaries: where a stored score was changed
	// after the next boundary had stood on it, that one is not said to be edited.
	scores map[time.Time][asset.Count]signals.Past
}

type auditMetrics struct {
	last         prometheus.Gauge
	differences  *prometheus.GaugeVec // by kind
	unverifiable prometheus.Gauge
	errors       prometheus.Counter
}

// NewAuditor makes an auditor; nothing runs yet.
func NewAuditor(cfg AuditorConfig) *Auditor {
	f := promauto.With(cfg.Registerer)
	a := &Auditor{cfg: cfg, metrics: auditMetrics{
		last:         f.NewGauge(prometheus.GaugeOpts{Name: "whalegate_audit_last_success_timestamp_seconds", Help: "When the newest day of signals had last been audited up to the present, by the database's clock; 0 when not since the start."}),
		differences:  f.NewGaugeVec(prometheus.GaugeOpts{Name: "whalegate_audit_differences", Help: "Boundaries, or minutes of deleted runs, of the newest day that the audit found changed, by what was done to them."}, []string{"kind"}),
		unverifiable: f.NewGauge(prometheus.GaugeOpts{Name: "whalegate_audit_unverifiable_boundaries", Help: "Boundaries of the newest day that cannot be verified, because what they stand on has gone, was superseded, or was marked by hand."}),
		errors:       f.NewCounter(prometheus.CounterOpts{Name: "whalegate_audit_errors_total", Help: "Steps of the audit that an error of the database ended; the day is then read anew."}),
	}}
	for _, kind := range Kinds {
		a.metrics.differences.WithLabelValues(string(kind))
	}
	return a
}

const (
	// auditAfter is how long after a boundary it is looked at: its alerts have been
	// decided by then.
	auditAfter = 3 * time.Minute
	auditEvery = time.Hour // between the beginnings of two passes
	// auditAgain is that while something differs: whoever mends it wants to know.
	auditAgain = 10 * time.Minute
	auditIdle  = time.Minute
	// auditPace is the least pause between two steps. A step rests for at least restFor
	// times what it took, so that the audit costs a few per cent of a core at most,
	// whatever the number of wallets.
	auditPace = time.Second
	restFor   = 30
)

// Run audits until ctx ends. Nothing that goes wrong here stops anything else.
func (a *Auditor) Run(ctx context.Context) error {
	a.pass = nil // what another leader has done meanwhile is not in memory
	a.verdicts = map[time.Time]verdict{}
	var said string
	for {
		started := time.Now()
		wait, err := a.step(ctx)
		if ctx.Err() != nil {
			return nil
		}
		text := ""
		if err != nil {
			a.metrics.errors.Inc()
			a.pass, wait, text = nil, auditIdle, err.Error()
			if text != said { // an outage says the same every minute
				a.cfg.Logger.Error("audit signals failed", "error", err)
			}
		}
		said = text
		rest := max(a.cfg.Clock.Real(wait), restFor*time.Since(started))
		timer := time.NewTimer(rest)
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-timer.C:
		}
	}
}

// step looks at one boundary, or reads an hour of the day before it, or, when there is
// none to look at, concludes. It tells how long to wait.
func (a *Auditor) step(ctx context.Context) (wait time.Duration, err error) {
	var now time.Time
	var traces findings
	done := false
	err = pgx.BeginTxFunc(ctx, a.cfg.Pool, snapshotOf, func(tx pgx.Tx) error {
		if now, err = a.begin(ctx, tx); err != nil {
			return err
		}
		last := now.Add(-auditAfter).Truncate(signals.Period)
		todo, err := recorded(ctx, tx, a.pass.next, last)
		if err != nil {
			return err
		}
		if len(todo) > 0 {
			return a.look(ctx, tx, todo)
		}
		done, a.pass.done = true, true
		maps.DeleteFunc(a.verdicts, func(_ time.Time, v verdict) bool { return !v.began.Equal(a.pass.began) }) // nothing is there any more
		var mine []time.Time
		if a.cfg.Recorded != nil {
			mine = a.cfg.Recorded()
		}
		traces, err = readTraces(ctx, tx, now.Add(-signals.History), last, mine)
		return err
	})
	if err != nil || !done {
		return auditPace, postgres.Because(ctx, "audit signals", err)
	}
	return auditIdle, a.tell(ctx, now, conclude(traces, a.verdicts))
}

// begin reads the database's clock, and begins a pass when it is time for one.
func (a *Auditor) begin(ctx context.Context, tx pgx.Tx) (now time.Time, err error) {
	ctx, cancel := postgres.Reading(ctx)
	defer cancel()
	if err := tx.QueryRow(ctx, "SELECT whalegate_now()").Scan(&now); err != nil {
		return now, postgres.Because(ctx, "ask for the time", err)
	}
	now = now.UTC()
	oldest := now.Add(-signals.History)
	p := a.pass
	if p == nil || now.Before(p.began) || p.done && !now.Before(p.began.Add(a.every())) {
		a.pass = &pass{memory: NewMemory(), began: now, next: oldest, scores: map[time.Time][asset.Count]signals.Past{}}
	}
	if a.pass.next.Before(oldest) {
		a.pass.next = oldest
	}
	maps.DeleteFunc(a.verdicts, func(t time.Time, _ verdict) bool { return t.Before(oldest) || t.After(now) })
	return now, nil
}

// every is how long after the beginning of a pass the next one begins.
func (a *Auditor) every() time.Duration {
	if a.differs {
		return auditAgain
	}
	return auditEvery
}

// look computes the first of the boundaries again, once memory has the day before it.
func (a *Auditor) look(ctx context.Context, tx pgx.Tx, todo []recordedCycle) error {
	p, t := a.pass, todo[0].Boundary.UTC()
	if left, err := p.memory.Fill(ctx, tx, t, chunk); err != nil || left > 0 {
		return err
	}
	v := verdict{began: p.began}
	for _, cycle := range todo {
		if !cycle.Boundary.Equal(t) {
			break
		}
		found, err := a.judge(ctx, tx, cycle)
		if err != nil {
			return err
		}
		v.kinds, v.unverifiable = append(v.kinds, found.kinds...), v.unverifiable || found.unverifiable
	}
	a.verdicts[t] = v
	p.next = t.Add(signals.Period)
	return nil
}

// judge computes a boundary again and tells what its differences amount to.
func (a *Auditor) judge(ctx context.Context, tx pgx.Tx, cycle recordedCycle) (verdict, error) {
	p := a.pass
	found, err := examine(ctx, tx, p.memory, cycle)
	if err != nil || found.Unverifiable {
		return verdict{unverifiable: found.Unverifiable}, err
	}
	t := found.Boundary
	if len(found.Differences) > 0 {
		if err := a.reconsider(ctx, tx, cycle, &found); err != nil {
			return verdict{}, err
		}
	}
	maps.DeleteFunc(p.scores, func(at time.Time, _ [asset.Count]signals.Past) bool { return at.Before(t.Add(-3 * signals.Period)) })
	p.scores[t] = scoresOf(found.computed)
	if len(found.Differences) == 0 {
		return verdict{}, nil
	}
	marked := p.memory.altered(t)
	if !marked {
		if marked, err = markedByHand(ctx, tx, t); err != nil {
			return verdict{}, err
		}
	}
	if marked {
		return verdict{unverifiable: true}, nil
	}
	return verdict{kinds: kindsOf(found.Differences)}, nil
}

// reconsider computes a boundary from the scores that the inputs gave before it, in place
// of the stored ones: what was changed later, it did not stand on.
func (a *Auditor) reconsider(ctx context.Context, tx pgx.Tx, cycle recordedCycle, found *examined) error {
	past, err := readPast(ctx, tx, found.Boundary)
	if err != nil {
		return err
	}
	for i := range 3 {
		if scores, ok := a.pass.scores[found.Boundary.Add(-time.Duration(i+1)*signals.Period)]; ok {
			for _, name := range asset.All {
				past[name][i] = scores[name]
			}
		}
	}
	again := *found
	again.computed, err = recompute(ctx, tx, a.pass.memory, found.Boundary, cycle.JudgedAt, past)
	if again.Differences = again.differences(); err == nil && len(again.Differences) < len(found.Differences) {
		*found = again
	}
	return err
}

func scoresOf(rows []Row) (scores [asset.Count]signals.Past) {
	for _, a := range asset.All {
		if r := find(rows, a); r != nil {
			scores[a] = signals.Past{CAS: r.AlignmentScore, Usable: !r.IsDegraded}
		}
	}
	return scores
}

const selectTold = `
	SELECT subject, coalesce(array_agg(t), '{}')
	FROM qa_events q LEFT JOIN LATERAL jsonb_array_elements_text(q.details -> 'times') t ON true
	WHERE q.check_id = '` + check.Audit + `' AND q.last_ts > $1::timestamptz - interval '1 hour' AND q.subject <> '` + Clean + `'
		AND q.last_ts > coalesce((SELECT max(last_ts) FROM qa_events WHERE check_id = '` + check.Audit + `' AND subject = '` + Clean + `'), '-infinity')
	GROUP BY subject`

// tell makes findings known: those that are new, and all of a kind when an hour has passed
// since they were told. What was told stands in the database, so neither a restart nor
// another leader tells it again.
func (a *Auditor) tell(ctx context.Context, now time.Time, found findings) error {
	told, err := a.told(ctx, now)
	if err != nil {
		return err
	}
	var events []qa.Event
	for _, kind := range Kinds {
		times := found.times(kind)
		a.metrics.differences.WithLabelValues(string(kind)).Set(float64(len(times)))
		if len(times) == 0 {
			continue
		}
		event := eventOf(kind, times)
		known, recent := told[string(kind)]
		isNew := func(t string) bool { return !slices.Contains(known, t) }
		if list, _ := event.Details["times"].([]string); !recent || slices.ContainsFunc(list, isNew) {
			events = append(events, event)
		}
	}
	a.differs = len(found) > 0
	if !a.differs && len(told) > 0 {
		a.cfg.QA.Over(ctx, qa.Signals, now, qa.Event{Check: check.Audit, Severity: "info", Subject: Clean, Action: "what was found before is not there any more"})
	}
	unverifiable := 0
	for _, v := range a.verdicts {
		if v.unverifiable {
			unverifiable++
		}
	}
	a.metrics.unverifiable.Set(float64(unverifiable))
	a.metrics.last.Set(float64(now.Unix()))
	a.cfg.QA.Report(ctx, qa.Signals, now, events...)
	return nil
}

// told lists the instants of each kind that were told within the last hour.
func (a *Auditor) told(ctx context.Context, now time.Time) (map[string][]string, error) {
	ctx, cancel := postgres.Reading(ctx)
	defer cancel()
	told := map[string][]string{}
	rows, err := a.cfg.Pool.Query(ctx, selectTold, now)
	if err != nil {
		return nil, postgres.Because(ctx, "look for findings that were told", err)
	}
	var kind string
	var times []*string
	_, err = pgx.ForEachRow(rows, []any{&kind, &times}, func() error {
		for _, t := range times {
			if t != nil {
				told[kind] = append(told[kind], *t)
			}
		}
		if told[kind] == nil {
			told[kind] = []string{}
		}
		return nil
	})
	return told, postgres.Because(ctx, "look for findings that were told", err)
}
