package engine

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/prometheus/client_golang/prometheus"
	"pgregory.net/rapid"

	"github.com/whalegate/whalegate/alerting"
	"github.com/whalegate/whalegate/internal/asset"
	"github.com/whalegate/whalegate/signals"
)

var errCrash = errors.New("the process dies here")

// Whatever comes, with crashes before the commit and periods evaluated again,
// the database says what the pure engine says in one run.
func TestTheDatabaseEqualsThePureEngine(t *testing.T) {
	s := newScene(t)
	rapid.Check(t, func(rt *rapid.T) {
		s.exec("TRUNCATE alerts, alert_state, alert_deliveries, signals, signal_contributors, signal_positioning, signal_cycles, ingest_runs, alert_pauses")
		var pure [asset.Count]alerting.State
		var got, want []string
		n := 0
		for range rapid.IntRange(1, 40).Draw(rt, "periods") {
			n += rapid.SampledFrom([]int{1, 1, 1, 1, 1, 1, 2, 13}).Draw(rt, "periods on")
			boundary := noon.Add(time.Duration(n) * signals.Period)
			coverage := rapid.SampledFrom([]int{100, 100, 100, 100, 100, 100, 85, 50}).Draw(rt, "coverage")
			s.clock(boundary.Add(30 * time.Second))
			s.runs(boundary, coverage)
			outcome, state := "computed", "HEALTHY"
			switch coverage {
			case 50:
				outcome, state = "blocked", "STALE"
			case 85:
				state = "DEGRADED"
			}
			s.cycle(boundary, outcome, state)
			paused := rapid.IntRange(0, 9).Draw(rt, "paused") == 0
			if paused {
				s.exec("INSERT INTO alert_pauses (paused_at, paused_by, reason, until) VALUES ($1, 'a', 'b', $1::timestamptz + interval '1 minute')", boundary)
			}
			for _, a := range asset.All {
				p := alerting.Period{At: boundary, Paused: paused}
				switch coverage {
				case 85:
					p.Blocked = alerting.Degraded
				case 50:
					p.Blocked = alerting.Stale
				}
				if outcome == "computed" && rapid.IntRange(0, 9).Draw(rt, "present") > 0 {
					playbook := rapid.SampledFrom([]signals.Playbook{signals.NoTrade, signals.NoTrade, signals.LongOnly}).Draw(rt, "playbook")
					exit := rapid.SampledFrom([]float64{10, 18, 22, 27, 27}).Draw(rt, "exit")
					bad := rapid.IntRange(0, 11).Draw(rt, "degraded") == 0
					s.signal(boundary, a.String(), playbook, exit, bad)
					p.Signal = &signals.Signal{Asset: a, AllowedPlaybook: playbook, ExitClusterScore: exit}
					if bad {
						p.Signal.Degraded = []string{"few_snapshots"}
					}
				}
				var events []alerting.Event
				pure[a], events, _ = pure[a].Step(p)
				for _, e := range events {
					want = append(want, words([]Told{{Event: e}})...)
				}
			}
			if rapid.IntRange(0, 3).Draw(rt, "crash") == 0 {
				err := pgx.BeginFunc(t.Context(), s.db, func(tx pgx.Tx) error {
					_, err := s.rules.step(t.Context(), tx)
					return errors.Join(err, errCrash)
				})
				if err.Error() != errCrash.Error() {
					rt.Fatal(err)
				}
			}
			got = append(got, words(s.step().Told)...)
			if again, err := s.rules.Step(t.Context()); err != nil || again != nil {
				rt.Fatalf("evaluated again: %+v, %v", again, err)
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			rt.Fatalf("%s", diff)
		}
		fired := 0
		for _, w := range want {
			if !strings.HasSuffix(w, "cleared") {
				fired++
			}
		}
		if n := s.count("SELECT count(*) FROM alerts"); n != fired {
			rt.Fatalf("%d alerts are stored, %d fired", n, fired)
		}
		// Who is told: of everything that was sent, once; of ends only who heard the
		// beginning.
		if n := s.count(`SELECT count(*) FROM alerts a WHERE (NOT suppressed) <> EXISTS (SELECT FROM alert_deliveries d WHERE d.alert_id = a.id AND receiver = 'all' AND kind = 'firing')
			OR (NOT suppressed AND severity = 'high') <> EXISTS (SELECT FROM alert_deliveries d WHERE d.alert_id = a.id AND receiver = 'high' AND kind = 'firing')
			OR (NOT suppressed AND resolved_at IS NOT NULL) <> EXISTS (SELECT FROM alert_deliveries d WHERE d.alert_id = a.id AND receiver = 'all' AND kind = 'resolved')
			OR EXISTS (SELECT FROM alert_deliveries d WHERE d.alert_id = a.id AND receiver = 'high' AND kind <> 'firing')`); n != 0 {
			rt.Fatalf("%d alerts have other deliveries than they should", n)
		}
		if n := s.count("SELECT count(*) FROM alerts WHERE alert_type = 'exit_cluster' AND resolved_at IS NULL AND id NOT IN (SELECT active_alert_id FROM alert_state WHERE is_active)"); n != 0 {
			rt.Fatalf("%d alerts neither active nor resolved", n)
		}
	})
}

// Two processes that decide at once make one alert.
func TestTwoProcessesMakeOneAlert(t *testing.T) {
	s := newScene(t)
	s.clock(noon.Add(30 * time.Second))
	s.runs(noon, 100)
	s.cycle(noon, "computed", "HEALTHY")
	s.signal(noon, "BTC", signals.NoTrade, 30, false)
	var deciding sync.WaitGroup
	var mu sync.Mutex
	var told []string
	for range 4 {
		deciding.Go(func() {
			o, err := s.rules.Step(context.Background())
			if err != nil {
				t.Error(err)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			if o != nil {
				told = append(told, words(o.Told)...)
			}
		})
	}
	deciding.Wait()
	if diff := cmp.Diff([]string{"BTC exit_cluster sent"}, told); diff != "" {
		t.Error(diff)
	}
}

// An old boundary that nobody decided is passed over, and breaks the row of
// consecutive ones.
func TestA1AnOldBoundaryIsPassedOver(t *testing.T) {
	s := newScene(t)
	for i, playbook := range []signals.Playbook{signals.NoTrade, signals.LongOnly, signals.LongOnly} {
		b := noon.Add(time.Duration(i) * signals.Period)
		s.cycle(b, "computed", "HEALTHY")
		s.signal(b, "ETH", playbook, 30, false)
	}
	last := noon.Add(2 * signals.Period)
	s.runs(last, 100)
	s.clock(last.Add(time.Second)) // noon is older than ten minutes
	if o := s.step(); !o.Boundary.Equal(noon.Add(signals.Period)) || len(o.Told) != 1 {
		t.Errorf("the first one decided is %s: %v", o.Boundary, words(o.Told))
	}
	if o := s.step(); !o.Boundary.Equal(last) || len(o.Told) != 0 {
		t.Errorf("then %s: %v", o.Boundary, words(o.Told))
	}
}

func TestA5TheSystemAlertOnTheDatabase(t *testing.T) {
	s := newScene(t)
	started := noon
	look := func(at string) *SystemTold {
		t.Helper()
		d, err := time.ParseDuration(at)
		if err != nil {
			t.Fatal(err)
		}
		s.clock(noon.Add(d))
		told, err := s.rules.LookAtSystem(t.Context(), started, time.Time{}, nil)
		if err != nil {
			t.Fatal(err)
		}
		return told
	}
	if told := look("10m"); told != nil {
		t.Errorf("ten minutes after the start: %+v", told)
	}
	if told := look("10m1s"); told == nil || told.Resolved || !strings.Contains(told.Message, "has never succeeded") {
		t.Fatalf("later: %+v", told)
	}
	if told := look("11m"); told != nil {
		t.Errorf("again: %+v", told)
	}
	if n := s.count("SELECT count(*) FROM ingest_health WHERE health_state = 'STALE' AND 'system_stale' = ANY (reasons)"); n != 1 {
		t.Error("an active alert does not hold the state down")
	}
	s.runs(noon.Add(20*time.Minute), 100)
	s.exec("DELETE FROM ingest_runs WHERE timestamp < $1", noon.Add(20*time.Minute))
	if told := look("20m10s"); told != nil {
		t.Errorf("one clean minute: %+v", told)
	}
	s.runs(noon.Add(21*time.Minute), 100)
	if told := look("21m10s"); told == nil || !told.Resolved {
		t.Errorf("two: %+v", told)
	}
	if n := s.count("SELECT count(*) FROM ingest_health WHERE health_state = 'HEALTHY'"); n != 1 {
		t.Error("after the alert cleared the state is not HEALTHY")
	}
	if n := s.count("SELECT count(*) FROM alerts WHERE alert_type = 'system_stale' AND resolved_at IS NOT NULL"); n != 1 {
		t.Errorf("%d system alerts", n)
	}
	told := look("31m1s")
	if told == nil || !strings.Contains(told.Message, "has not succeeded for 10 minutes") {
		t.Errorf("the next outage: %+v", told)
	}
}

// The job decides what is due, and says so.
func TestTheJobDecides(t *testing.T) {
	s := newScene(t)
	s.clock(noon.Add(30 * time.Second))
	s.runs(noon, 100)
	s.cycle(noon, "computed", "HEALTHY")
	s.signal(noon, "HYPE", signals.NoTrade, 30, false)
	registry := prometheus.NewRegistry()
	j := New(Config{Pool: s.db, Logger: quiet, Registerer: registry, Outbox: s.rules.Outbox})
	if err := j.look(t.Context()); err != nil {
		t.Fatal(err)
	}
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]float64{}
	for _, f := range families {
		for _, m := range f.Metric {
			key := f.GetName()
			for _, l := range m.Label {
				key += " " + l.GetValue()
			}
			found[key] = m.Counter.GetValue()
		}
	}
	for key, want := range map[string]float64{
		"whalegate_alerts_fired_total exit_cluster": 1, "whalegate_alerts_fired_total regime_change": 0, "whalegate_alerts_suppressed_total daily_cap exit_cluster": 0,
		"whalegate_alert_evaluations_blocked_total no_signal": 2,
	} {
		if got, ok := found[key]; !ok || got != want {
			t.Errorf("%s is %v (%v), want %v", key, got, ok, want)
		}
	}
	if !slices.Equal([]int{1, 6}, []int{s.count("SELECT count(*) FROM alerts"), s.count("SELECT count(*) FROM alert_state WHERE last_period = $1", noon)}) {
		t.Error("the alert or the state is not stored")
	}
}
