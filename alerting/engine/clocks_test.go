package engine

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/whalegate/whalegate/internal/clock"
	"github.com/whalegate/whalegate/internal/lead"
	"github.com/whalegate/whalegate/internal/postgres/pgtest"
	"github.com/whalegate/whalegate/signals"
)

// How long a clock has been wrong is counted on a clock that nobody can set, in the
// time of the data.
func TestClockTroubleCountsOnTheMonotonicClock(t *testing.T) {
	fast, err := clock.Parse("2026-03-01T12:00:00Z,60")
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		clock clock.Clock
		speed time.Duration
	}{"real time": {clock.Clock{}, 1}, "an accelerated clock": {fast, 60}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := &ClockTrouble{Clock: tt.clock}
				for _, step := range []struct {
					wait  time.Duration
					wrong bool
					want  time.Duration
				}{
					{0, false, 0}, {time.Hour, true, 0}, {time.Minute, true, time.Minute}, {9 * time.Minute, true, 10 * time.Minute},
					{time.Second, false, 0}, {time.Minute, true, 0}, {time.Second, true, time.Second},
				} {
					time.Sleep(step.wait)
					if got := c.lasts(step.wrong); got != step.want*tt.speed {
						t.Errorf("%s later, wrong %t: %s, want %s", step.wait, step.wrong, got, step.want*tt.speed)
					}
				}
			})
		})
	}
	if (*ClockTrouble)(nil).lasts(true) != 0 {
		t.Error("who does not count has counted")
	}
}

// A clock that has been wrong for more than ten minutes of the looker's own time is
// an outage of its own, whatever age the data has by that clock.
func TestA5AWrongClockFiresTheSystemAlert(t *testing.T) {
	for _, tt := range []struct{ name, wrong, right string }{
		{"clock_skew", "UPDATE ingest_runs SET finished_at = whalegate_now() + interval '1 hour' WHERE timestamp = '2026-03-01 11:58Z'", "UPDATE ingest_runs SET superseded = true WHERE timestamp = '2026-03-01 11:58Z'"},
		{"clock_back", "SELECT refuse_minute('2026-03-01 11:50Z')", "UPDATE clock_refusals SET settled_at = whalegate_now(), settled_by = 'op'"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newScene(t)
			s.runs(noon, 100)
			s.clock(noon.Add(30 * time.Second))
			trouble := &ClockTrouble{}
			look := func() *SystemTold {
				t.Helper()
				told, err := s.rules.LookAtSystem(t.Context(), noon, time.Time{}, trouble)
				if err != nil {
					t.Fatal(err)
				}
				return told
			}
			since := func(d time.Duration) { trouble.since = time.Now().Add(-d) }
			if told := look(); told != nil || !trouble.since.IsZero() {
				t.Fatalf("all is well: %+v", told)
			}
			s.exec(tt.wrong)
			if n := s.count("SELECT count(*) FROM ingest_health WHERE $1 = ANY (reasons)", tt.name); n != 1 {
				t.Fatal("the case shows nothing")
			}
			if told := look(); told != nil || trouble.since.IsZero() {
				t.Fatalf("wrong since now: %+v, counting %t", told, !trouble.since.IsZero())
			}
			since(10*time.Minute - 5*time.Second)
			if told := look(); told != nil {
				t.Errorf("not yet for ten minutes: %+v", told)
			}
			if err := s.rules.Rehearse(t.Context(), noon, time.Time{}); err != nil {
				t.Error(err)
			}
			since(10*time.Minute + time.Second)
			told := look()
			if told == nil || told.Resolved || !strings.Contains(told.Message, "A clock has been wrong for 10 minutes") || !strings.Contains(told.Message, "Do not trade") {
				t.Fatalf("for more than ten minutes: %+v", told)
			}
			if n := s.count("SELECT count(*) FROM alert_deliveries WHERE kind = 'firing'"); n != 2 {
				t.Errorf("%d deliveries", n)
			}
			if told := look(); told != nil {
				t.Errorf("once more: %+v", told)
			}
			s.exec(tt.right)
			if told := look(); told == nil || !told.Resolved {
				t.Errorf("when the clock is right: %+v", told)
			}
			if !trouble.since.IsZero() {
				t.Error("it is still counted")
			}
			if n := s.count("SELECT count(*) FROM ingest_health WHERE health_state = 'HEALTHY'"); n != 1 {
				t.Error("the state is not HEALTHY after it")
			}
		})
	}
}

// A process whose lead is over decides nothing; the dead man's switch needs no lead.
func TestTheFenceRefusesTheDecisionsOfACollectorThatDoesNotLead(t *testing.T) {
	s := newScene(t)
	s.clock(noon.Add(30 * time.Second))
	s.runs(noon, 100)
	s.cycle(noon, "computed", "HEALTHY")
	s.signal(noon, "BTC", signals.NoTrade, 30, false)
	fence, holder := &lead.Fence{}, uuid.MustParse(pgtest.Holder)
	fenced := s.rules
	fenced.Fence = fence
	for _, term := range []lead.Term{{}, {Epoch: pgtest.Epoch - 1, Holder: holder}, {Epoch: pgtest.Epoch, Holder: uuid.New()}} {
		fence.Set(term)
		_, step := fenced.Step(t.Context())
		_, look := fenced.LookAtSystem(t.Context(), noon.Add(-time.Hour), time.Time{}, nil)
		rehearse := fenced.Rehearse(t.Context(), noon, time.Time{})
		for what, err := range map[string]error{"Step": step, "LookAtSystem": look, "Rehearse": rehearse} {
			if !errors.Is(err, lead.ErrNotLeading) {
				t.Errorf("%s in term %+v: %v", what, term, err)
			}
		}
		if n := s.count("SELECT (SELECT count(*) FROM alerts) + (SELECT count(*) FROM alert_state) + (SELECT count(*) FROM alert_deliveries)"); n != 0 {
			t.Errorf("%d rows in term %+v", n, term)
		}
	}
	fence.Set(lead.Term{Epoch: pgtest.Epoch, Holder: holder})
	if o, err := fenced.Step(t.Context()); err != nil || o == nil || len(o.Told) != 1 {
		t.Errorf("leading: %+v, %v", o, err)
	}
	fence.Set(lead.Term{})
	s.clock(noon.Add(time.Hour))
	if told, err := s.rules.LookAtSystem(t.Context(), noon, time.Time{}, nil); err != nil || told == nil {
		t.Errorf("the dead man's switch: %+v, %v", told, err)
	}
}

// An alert that a clock which was ahead had fired was told and stays; the boundary
// that has its time fires all the same, and its end is told.
func TestASupersededAlertDoesNotKeepItsBoundaryFromFiring(t *testing.T) {
	s := newScene(t)
	at := func(minutes int) time.Time { return noon.Add(time.Duration(minutes) * time.Minute) }
	decide := func(minutes int, exit float64) []string {
		t.Helper()
		s.clock(at(minutes).Add(30 * time.Second))
		s.runs(at(minutes), 100)
		s.cycle(at(minutes), "computed", "HEALTHY")
		s.signal(at(minutes), "BTC", signals.NoTrade, exit, false)
		return words(s.step().Told)
	}
	if diff := cmp.Diff([]string{"BTC exit_cluster sent"}, decide(120, 30)); diff != "" {
		t.Fatalf("by the clock that was ahead: %s", diff)
	}
	s.clock(at(5).Add(20 * time.Second))
	if n := s.count("SELECT supersede_minutes($1, 'infinity')", at(5)); n != 3 {
		t.Fatalf("%d runs are superseded", n)
	}
	if n := s.count("SELECT count(*) FROM alerts WHERE superseded AND resolved_at IS NULL"); n != 1 {
		t.Fatalf("%d alerts are superseded", n)
	}
	s.exec("DELETE FROM ingest_runs")
	for _, tt := range []struct {
		minutes int
		exit    float64
		want    []string
	}{
		{10, 30, nil}, // told, and still so
		{115, 10, []string{"BTC exit_cluster cleared"}},
		{120, 30, []string{"BTC exit_cluster sent"}},
	} {
		if diff := cmp.Diff(tt.want, decide(tt.minutes, tt.exit)); diff != "" {
			t.Errorf("minute %d: %s", tt.minutes, diff)
		}
	}
	if n := s.count("SELECT count(*) FROM alerts WHERE timestamp = $1", at(120)); n != 2 {
		t.Errorf("%d alerts of that time", n)
	}
	if _, err := s.db.Exec(t.Context(), "INSERT INTO alerts (timestamp, asset, alert_type, severity, message, signal_snapshot, health_state) SELECT timestamp, asset, alert_type, severity, message, signal_snapshot, health_state FROM alerts WHERE NOT superseded"); err == nil {
		t.Error("an alert that is not superseded is stored twice")
	}
}

// A clock that jumps an hour ahead makes the newest run look an hour old. Its leader
// knows that it stored it just now: nothing is said of an hour, and after ten minutes
// that a clock is wrong.
func TestA5AJumpOfTheClockIsNoOutage(t *testing.T) {
	s := newScene(t)
	s.runs(noon, 100)
	s.clock(noon.Add(30 * time.Second))
	trouble := &ClockTrouble{}
	look := func() *SystemTold {
		t.Helper()
		told, err := s.rules.LookAtSystem(t.Context(), noon, time.Time{}, trouble)
		if err != nil {
			t.Fatal(err)
		}
		return told
	}
	vouch := func(seconds float64) {
		t.Helper()
		s.exec("UPDATE collector_beat SET run_minute = (SELECT max(timestamp) FROM ingest_runs), run_age_seconds = $1", seconds)
	}
	vouch(20)
	s.clock(noon.Add(time.Hour))
	if told := look(); told != nil || trouble.since.IsZero() {
		t.Errorf("just jumped: %+v, counting %t", told, !trouble.since.IsZero())
	}
	vouch(500)
	trouble.since = time.Now().Add(-10*time.Minute - time.Second)
	if told := look(); told == nil || !strings.Contains(told.Message, "A clock has been wrong for 10 minutes") {
		t.Errorf("ten minutes later: %+v", told)
	}
	s.exec("DELETE FROM alert_state")
	s.exec("DELETE FROM alerts")
	vouch(660) // and by its own count nothing was stored for eleven minutes
	trouble.since = time.Now()
	if told := look(); told == nil || !strings.Contains(told.Message, "has not succeeded for 11 minutes") {
		t.Errorf("nothing stored for eleven minutes: %+v", told)
	}
	s.exec("DELETE FROM alert_state")
	s.exec("DELETE FROM alerts")
	vouch(20)
	s.exec("UPDATE collector_beat SET run_minute = run_minute - interval '1 minute'") // of another run
	if told := look(); told == nil || !strings.Contains(told.Message, "has not succeeded for 60 minutes") {
		t.Errorf("nobody vouches for the run: %+v", told)
	}
	s.exec("DELETE FROM alert_state")
	s.exec("DELETE FROM alerts")
	s.exec("UPDATE collector_beat SET run_minute = run_minute + interval '30 minutes'") // which a restored database lacks
	if told := look(); told != nil {
		t.Errorf("the leader stored a run that the database has lost: %+v", told)
	}
}

// A clock of the database that goes ahead at once makes every run look old until the next
// beat tells how old it is: for so long nobody is told of it.
func TestAClockThatGoesAheadAtOnceIsLetSettle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &ClockTrouble{}
		shown := noon
		look := func(passed, ahead time.Duration) bool {
			time.Sleep(passed) // of the bubble
			shown = shown.Add(passed + ahead)
			return c.settles(shown)
		}
		for _, step := range []struct {
			passed, ahead time.Duration
			settles       bool
		}{
			{0, 0, false},
			{time.Second, 0, false},
			{time.Hour, 0, false}, // nobody looked for an hour
			{time.Second, jumped - time.Second, false},
			{time.Second, time.Hour, true},
			{4 * time.Second, 0, true},
			{2 * time.Second, 0, false},
			{time.Second, -2 * time.Hour, false},
			{time.Second, 24 * time.Hour, true},
		} {
			if got := look(step.passed, step.ahead); got != step.settles {
				t.Errorf("%+v: %t", step, got)
			}
		}
	})
	if (*ClockTrouble)(nil).settles(noon) {
		t.Error("nobody counts, and something settles")
	}
}
