package health_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/whalegate/whalegate/internal/health"
	"github.com/whalegate/whalegate/internal/postgres/pgtest"
)

// reference judges by walking through time and remembering, where the SQL
// derives: a second implementation of the same rules.
type reference struct {
	runs       []run
	superseded []run              // stored, and no part of anything
	halts      [][2]time.Duration // offsets from noon: [halted, resumed)
}

const (
	tick    = 5 * time.Second // instants looked at; events fall on every second one
	horizon = 45 * time.Minute
)

// states returns the state at every tick.
func (m reference) states() []health.State {
	var states []health.State
	latched := true // a database that was never clean has to earn its first state too
	for now := time.Duration(0); now < horizon; now += tick {
		stale, degraded, recovery := m.look(noon.Add(now))
		if stale {
			latched = true
		} else if recovery {
			latched = false
		}
		switch {
		case latched:
			states = append(states, health.Stale)
		case degraded:
			states = append(states, health.Degraded)
		default:
			states = append(states, health.Healthy)
		}
	}
	return states
}

func (m reference) look(now time.Time) (stale, degraded, recovery bool) {
	for _, h := range m.halts {
		if since := now.Sub(noon); h[0] <= since && since < h[1] {
			stale = true
		}
	}
	var seen []run
	for _, r := range m.runs {
		if !r.finishedAt().After(now) {
			seen = append(seen, r)
		}
	}
	if len(seen) == 0 {
		return true, false, false
	}
	newest := seen[len(seen)-1]
	lastGood := time.Time{}
	for _, r := range seen {
		if r.status != "failed" {
			lastGood = at(r.minute)
			if r.finishedAt().Before(lastGood) { // by a clock that is behind the collector's
				lastGood = r.finishedAt()
			}
		}
	}
	age := now.Sub(lastGood)
	stale = stale || age > 10*time.Minute || newest.status == "failed" || newest.coverage < 80 || slices.Min(newest.nonNull[:]) < 60
	degraded = age > 2*time.Minute || newest.coverage < 90 || slices.Min(newest.nonNull[:]) < 80
	if len(seen) > 1 {
		before := seen[len(seen)-2]
		clean := func(r run) bool { return r.status != "failed" && r.coverage >= 90 }
		recovery = clean(newest) && clean(before) && at(newest.minute).Sub(at(before.minute)) == time.Minute && age <= 2*time.Minute
	}
	return stale, degraded, recovery
}

func drawHistory(t *rapid.T) reference {
	var m reference
	var last time.Duration
	for minute := range int(horizon/time.Minute) - 5 {
		start := time.Duration(minute) * time.Minute
		if rapid.IntRange(0, 9).Draw(t, "present") < 2 || rapid.Bool().Draw(t, "outage") && minute%20 > 7 {
			continue
		}
		r := run{minute: start.String(), status: "success", coverage: 100, nonNull: full}
		switch rapid.IntRange(0, 9).Draw(t, "kind") {
		case 0:
			r.status, r.coverage = "failed", rapid.SampledFrom([]float64{0, 50, 79.5}).Draw(t, "coverage")
		case 1:
			r.status, r.coverage = "partial", rapid.SampledFrom([]float64{79.5, 80, 85, 89.5, 90, 94}).Draw(t, "coverage")
		case 2:
			r.nonNull[rapid.IntRange(0, 2).Draw(t, "asset")] = rapid.SampledFrom([]float64{40, 59.5, 60, 70, 79.5, 80}).Draw(t, "share")
		}
		finished := start + 10*time.Second
		if rapid.IntRange(0, 7).Draw(t, "early") == 0 {
			finished = start - time.Duration(rapid.IntRange(1, 2).Draw(t, "seconds"))*10*time.Second
		} else if rapid.IntRange(0, 5).Draw(t, "late") == 0 {
			finished = start + time.Duration(rapid.IntRange(1, 30).Draw(t, "seconds"))*10*time.Second
		}
		finished = max(finished, last+10*time.Second)
		last = finished
		r.finished = finished.String()
		if rapid.IntRange(0, 19).Draw(t, "superseded") == 0 {
			m.superseded = append(m.superseded, r)
			continue
		}
		m.runs = append(m.runs, r)
	}
	for start := time.Duration(0); rapid.IntRange(0, 2).Draw(t, "halt") == 0 && start < horizon; {
		from := start + time.Duration(rapid.IntRange(0, 60).Draw(t, "from"))*10*time.Second
		to := from + time.Duration(rapid.IntRange(1, 60).Draw(t, "for"))*10*time.Second
		m.halts = append(m.halts, [2]time.Duration{from, to})
		start = to + 10*time.Second
	}
	return m
}

func TestHealthEqualsASecondImplementation(t *testing.T) {
	db := pgtest.New(t)
	rapid.Check(t, func(rt *rapid.T) {
		m := drawHistory(rt)
		ctx := t.Context()
		if _, err := db.Exec(ctx, "TRUNCATE ingest_runs, halts"); err != nil {
			t.Fatal(err)
		}
		store(t, db, m.superseded...)
		if _, err := db.Exec(ctx, "UPDATE ingest_runs SET superseded = true"); err != nil {
			t.Fatal(err)
		}
		store(t, db, m.runs...)
		for _, h := range m.halts {
			_, err := db.Exec(ctx, `INSERT INTO halts (halted_at, halted_by, reason, resumed_at, resumed_by, cause, actions) VALUES ($1, 'a', 'b', $2, 'c', 'd', 'e')`,
				noon.Add(h[0]), noon.Add(h[1]))
			if err != nil {
				t.Fatal(err)
			}
		}
		want := m.states()
		const step = 7 // every instant of a history would take minutes
		first := rapid.IntRange(0, step-1).Draw(rt, "first")
		rows, err := db.Query(ctx, `SELECT h.health_state, h.reasons FROM generate_series($3::int, $1::int, $4) n, ingest_health_at($2::timestamptz + n * interval '5 seconds') h ORDER BY n`, len(want)-1, noon, first, step)
		if err != nil {
			t.Fatal(err)
		}
		defer rows.Close()
		for i := first; rows.Next(); i += step {
			var state health.State
			var reasons []string
			if err := rows.Scan(&state, &reasons); err != nil {
				t.Fatal(err)
			}
			if state != want[i] {
				rt.Fatalf("at %s: SQL says %s %v, the reference %s\n%s", time.Duration(i)*tick, state, reasons, want[i], describe(m))
			}
			if (state == health.Healthy) != (len(reasons) == 0) {
				rt.Fatalf("at %s: %s with reasons %v", time.Duration(i)*tick, state, reasons)
			}
		}
		if err := rows.Err(); err != nil {
			t.Fatal(err)
		}
	})
}

func describe(m reference) (text string) {
	for _, r := range append(m.superseded, m.runs...) {
		text += fmt.Sprintf("%s %s %v %v finished %s\n", r.minute, r.status, r.coverage, r.nonNull, r.finished)
	}
	return text + fmt.Sprint(m.halts)
}
