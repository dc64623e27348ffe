package engine

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"github.com/whalegate/whalegate/internal/clock"
	"github.com/whalegate/whalegate/internal/postgres/pgtest"
	"github.com/whalegate/whalegate/internal/qa"
	"github.com/whalegate/whalegate/internal/retention"
)

// auditor makes one. recorded are the boundaries that its process has recorded.
func (s *scene) auditor(recorded ...int) *Auditor {
	s.Helper()
	c, err := clock.Parse(noon.Format(time.RFC3339) + "," + still)
	if err != nil {
		s.Fatal(err)
	}
	registry := prometheus.NewRegistry()
	a := NewAuditor(AuditorConfig{
		Pool: s.db, Clock: c, Logger: quiet, Registerer: registry, QA: qa.New(s.db, nil, quiet, registry),
		Recorded: func() (list []time.Time) {
			for _, n := range recorded {
				list = append(list, at(n))
			}
			return list
		},
	})
	a.verdicts = map[time.Time]verdict{}
	return a
}

// concludes steps until there is nothing more to look at.
func (s *scene) concludes(a *Auditor) {
	s.Helper()
	for range 1000 {
		wait, err := a.step(s.Context())
		if err != nil {
			s.Fatal(err)
		}
		if wait == auditIdle {
			return
		}
	}
	s.Fatal("the audit never comes to the present")
}

// told lists what qa_events says of the audit.
func (s *scene) told() []string {
	s.Helper()
	return s.list(`SELECT concat_ws(' ', subject, (SELECT string_agg(to_char(t::timestamptz AT TIME ZONE 'UTC', 'HH24:MI'), ',' ORDER BY n) FROM jsonb_array_elements_text(details -> 'times') WITH ORDINALITY AS e (t, n)),
			CASE WHEN (details ->> 'count')::int <> jsonb_array_length(details -> 'times') THEN 'wrong count' END, CASE WHEN severity <> 'error' OR stage <> 'signals' THEN 'wrong kind' END)
		FROM qa_events WHERE check_id = 'audit' AND subject <> 'clean' ORDER BY subject`)
}

func (a *Auditor) gauge(t testing.TB, name string) float64 {
	t.Helper()
	value, ok := samples(t, a.cfg.Registerer.(prometheus.Gatherer))[name]
	if !ok {
		t.Fatalf("there is no %s", name)
	}
	return value
}

// What was done to the stored signals, and to what they stand on, is named, each by its
// kind and when; what people may do, and what time and clocks do, is not.
func TestTheAuditorNamesWhatWasDone(t *testing.T) {
	t.Parallel()
	const of1210 = " WHERE timestamp = '2026-03-01 12:10Z' AND asset = 'BTC'"
	const row = `INSERT INTO signals (timestamp, asset, alignment_score, alignment_trend, dispersion_index, exit_cluster_score, allowed_playbook, risk_mode, add_exposure,
			tighten_stops, wallet_count, missing_count, dirty_count, is_degraded, computation_ms)
		VALUES ('2026-03-01 %s', 'BTC', 90, 'rising', 10, 0, 'Long-only', 'Normal', true, false, 20, 0, 0, false, 1)`
	for name, tt := range map[string]struct {
		sql          string
		want         []string
		unverifiable float64
	}{
		"nothing":                              {"", nil, 0},
		"a playbook was edited":                {"UPDATE signals SET allowed_playbook = 'Long-only'" + of1210, []string{"edited 12:10"}, 0},
		"a score that later trends stood on":   {"UPDATE signals SET alignment_score = 20" + of1210, []string{"edited 12:10"}, 0},
		"how long it took":                     {"UPDATE signals SET computation_ms = 1e6" + of1210, nil, 0},
		"contributors were edited":             {"UPDATE signal_contributors SET pct_flat = 99" + of1210, []string{"edited 12:10"}, 0},
		"positioning was deleted":              {"DELETE FROM signal_positioning" + of1210, []string{"deleted 12:10"}, 0},
		"a row was deleted":                    {"DELETE FROM signals" + of1210, []string{"deleted 12:10"}, 0},
		"a row of a blocked boundary":          {fmt.Sprintf(row, "12:20Z"), []string{"added 12:20"}, 0},
		"a row where there was no cycle":       {fmt.Sprintf(row, "08:00Z"), []string{"added 08:00"}, 0},
		"the record of a cycle was deleted":    {"DELETE FROM signal_cycles WHERE timestamp = '2026-03-01 12:10Z'", []string{"cycles_deleted 12:10"}, 0},
		"a whole boundary was deleted":         {"DELETE FROM signal_cycles WHERE timestamp = '2026-03-01 12:15Z'; DELETE FROM signals WHERE timestamp = '2026-03-01 12:15Z'", []string{"cycles_deleted 12:15"}, 0},
		"the run of a window was deleted":      {"DELETE FROM ingest_runs WHERE timestamp = '2026-03-01 12:08Z'", []string{"runs_deleted 12:08"}, 0},
		"a run was deleted, and the edit":      {"DELETE FROM ingest_runs WHERE timestamp = '2026-03-01 12:12Z'; UPDATE signals SET risk_mode = 'Normal'" + of1210, []string{"edited 12:10", "runs_deleted 12:12"}, 0},
		"a row was marked by hand":             {"UPDATE wallet_snapshots SET is_dirty = true, dirty_reason = 'odd' WHERE timestamp >= '2026-03-01 12:07Z'", nil, 2},
		"a mark of the check was taken back":   {"UPDATE wallet_snapshots SET is_dirty = false, position_szi = 999 WHERE timestamp BETWEEN '2026-03-01 12:08Z' AND '2026-03-01 12:10Z'; INSERT INTO snapshot_anomalies (snapshot_ts, wallet_id, asset, anomaly_type) SELECT timestamp, wallet_id, asset, 'transient_collapse' FROM wallet_snapshots WHERE timestamp = '2026-03-01 12:09Z'", nil, 2},
		"rows of the middle were deleted":      {"DELETE FROM wallet_snapshots WHERE timestamp IN ('2026-03-01 12:09Z', '2026-03-01 12:10Z')", nil, 2},
		"snapshots were deleted up to a time":  {"DELETE FROM wallet_snapshots WHERE timestamp < '2026-03-01 12:08Z'", nil, 4},
		"a marked row, and a row that is gone": {"UPDATE wallet_snapshots SET is_dirty = true WHERE timestamp = '2026-03-01 11:58Z'; DELETE FROM signals" + of1210, []string{"deleted 12:10"}, 2},
		"minutes of a wrong clock":             {"SELECT supersede_minutes('2026-03-01 12:07Z', 'infinity')", nil, 2},
		"a halt, later":                        {"INSERT INTO halts (halted_at, halted_by, reason) VALUES ('2026-03-01 12:21Z', 'op', 'why')", nil, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := quarter(t)
			s.exec("INSERT INTO halts (halted_at, halted_by, reason, resumed_at, resumed_by, cause, actions) VALUES ($1, 'op', 'why', $2, 'op', 'x', 'y')", at(16), at(21))
			s.minutes(16, 20)
			s.live(Now, 20, 20)
			s.exec(tt.sql)
			s.clock(24 * time.Minute)
			a := s.auditor(0, 5, 10, 15, 20)
			s.concludes(a)
			same(t, "told", s.told(), tt.want...)
			if got := a.gauge(t, "whalegate_audit_unverifiable_boundaries"); got != tt.unverifiable {
				t.Errorf("%v boundaries cannot be verified, want %v", got, tt.unverifiable)
			}
			if got := a.gauge(t, "whalegate_audit_last_success_timestamp_seconds"); got != float64(at(24).Unix()) {
				t.Errorf("it ended at %v", got)
			}
			var differences float64
			for _, kind := range Kinds {
				differences += a.gauge(t, "whalegate_audit_differences{kind="+string(kind)+"}")
			}
			if differences != float64(len(tt.want)) {
				t.Errorf("%v differences, want %d", differences, len(tt.want))
			}
		})
	}
}

// A finding is told once an hour, by whoever leads; a new one at once; and one that is
// over no more.
func TestTheAuditorTellsAFindingOnceAnHour(t *testing.T) {
	t.Parallel()
	s := quarter(t)
	times := func() string {
		return strings.Join(s.list("SELECT subject || ' ' || occurrences FROM qa_events WHERE check_id = 'audit' ORDER BY subject DESC"), ", ")
	}
	a := s.auditor()
	s.clock(19 * time.Minute)
	s.concludes(a)
	s.exec("CREATE TABLE kept AS SELECT * FROM signals")
	s.exec("UPDATE signals SET risk_mode = 'Reduced' WHERE timestamp = $1 AND asset = 'ETH'", at(5))
	for _, step := range []struct {
		what  string
		after time.Duration
		do    func()
		want  string
	}{
		{"the day is read anew once an hour", 78 * time.Minute, nil, ""},
		{"an hour after the last pass began", 79 * time.Minute, nil, "edited 1"},
		{"a minute later", 80 * time.Minute, nil, "edited 1"},
		{"after a restart", 81 * time.Minute, func() { a = s.auditor() }, "edited 1"},
		{"another one", 82 * time.Minute, func() {
			s.exec("UPDATE signals SET risk_mode = 'Reduced' WHERE timestamp = $1 AND asset = 'ETH'", at(10))
			a = s.auditor()
		}, "edited 2"},
		{"a minute after that", 83 * time.Minute, nil, "edited 2"},
		{"an hour after that", 143 * time.Minute, nil, "edited 3"},
		{"put right, before it is looked at again", 144 * time.Minute, func() {
			s.exec("UPDATE signals s SET risk_mode = k.risk_mode FROM kept k WHERE s.timestamp = k.timestamp AND s.asset = k.asset")
		}, "edited 3"},
		{"ten minutes after the last pass began", 154 * time.Minute, nil, "edited 3, clean 1"},
		{"later", 230 * time.Minute, nil, "edited 3, clean 1"},
	} {
		if step.do != nil {
			step.do()
		}
		s.clock(step.after)
		s.concludes(a)
		if got := times(); got != step.want {
			t.Errorf("%s: told %q times, want %q", step.what, got, step.want)
		}
	}
	same(t, "told", s.told(), "edited 12:05,12:10")
	if got := a.gauge(t, "whalegate_audit_differences{kind=edited}"); got != 0 {
		t.Errorf("%v differences after all was put right", got)
	}
}

// Rows that a policy hides from the service are not gone. Who cannot read them all says so,
// and accuses nobody.
func TestTheAuditorTakesNoHiddenRowForADeletedOne(t *testing.T) {
	t.Parallel()
	for _, table := range []string{"ingest_runs", "signal_cycles", "signals", "wallet_snapshots"} {
		t.Run(table, func(t *testing.T) {
			t.Parallel()
			s := quarter(t)
			a := s.auditor()
			a.cfg.Pool = pgtest.As(t, s.db, "whalegate_writer")
			s.clock(19 * time.Minute)
			s.concludes(a)
			same(t, "told before", s.told())

			s.exec("ALTER TABLE " + table + " ENABLE ROW LEVEL SECURITY")
			a = s.auditor()
			a.cfg.Pool = pgtest.As(t, s.db, "whalegate_writer")
			if _, err := a.step(t.Context()); err == nil || !strings.Contains(err.Error(), table) {
				t.Errorf("the error is %v", err)
			}
			same(t, "told", s.told())
		})
	}
}

// A boundary is looked at three minutes after its time, without reading the day anew.
func TestTheAuditorFollowsTheBoundaries(t *testing.T) {
	t.Parallel()
	s := quarter(t)
	a := s.auditor()
	s.clock(19 * time.Minute)
	s.concludes(a)
	memory := a.pass.memory
	s.minutes(16, 20)
	s.live(Now, 20, 20)
	s.exec("UPDATE signals SET wallet_count = 7 WHERE timestamp = $1", at(20))
	s.clock(22*time.Minute + 59*time.Second)
	s.concludes(a)
	same(t, "told before", s.told())
	s.clock(23 * time.Minute)
	s.concludes(a)
	same(t, "told", s.told(), "edited 12:20")
	if a.pass.memory != memory {
		t.Error("the day was read again")
	}
}

// The day before is read an hour at a time, each in a transaction of its own.
func TestTheAuditorReadsTheDayInSteps(t *testing.T) {
	t.Parallel()
	s := stage(t, 2)
	s.minutes(-200, 0)
	s.live(Now, 0, 0)
	s.clock(4 * time.Minute)
	a := s.auditor()
	steps := 0
	for wait := time.Duration(0); wait != auditIdle; steps++ {
		var err error
		if wait, err = a.step(t.Context()); err != nil || steps > 9 {
			t.Fatal(steps, err)
		}
	}
	if steps != 5 { // 60, 60, 60, the rest with noon, the conclusion
		t.Errorf("%d steps", steps)
	}
	same(t, "told", s.told())
}

// A restored dump and a prune, which take boundaries with what they stand on, are no
// findings, nor is a boundary that another process has recorded in the database of before.
func TestTheAuditorKnowsARestoredDump(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		do   func(s *scene)
		want []string
	}{
		"the dump is of 12:07": {func(s *scene) {
			s.exec("DELETE FROM signals WHERE timestamp > $1", at(7))
			s.exec("DELETE FROM signal_cycles WHERE timestamp > $1", at(7))
			s.exec("INSERT INTO qa_events (day, check_id, stage, severity, action_taken, first_ts, last_ts) VALUES ('2026-03-01', 'lost', 'ingestion', 'critical', 'written again', $1, $1)", at(16))
		}, nil},
		"without it": {func(s *scene) {
			s.exec("DELETE FROM signals WHERE timestamp > $1", at(7))
			s.exec("DELETE FROM signal_cycles WHERE timestamp > $1", at(7))
		}, []string{"cycles_deleted 12:10,12:15"}},
		"a prune": {func(s *scene) {
			if _, err := retention.Run(s.Context(), s.db, retention.Options{By: "test"}); err != nil {
				s.Fatal(err)
			}
		}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := quarter(t)
			s.clock(19 * time.Minute)
			tt.do(s)
			s.concludes(s.auditor(0, 5, 10, 15))
			same(t, "told", s.told(), tt.want...)
		})
	}
}

// A clock that went back, and one that is set right, begin a pass anew; what is of the
// future is not looked at.
func TestTheAuditorFollowsTheClock(t *testing.T) {
	t.Parallel()
	s := quarter(t)
	a := s.auditor()
	for _, after := range []time.Duration{19 * time.Minute, 8 * time.Minute, 26 * time.Hour, 19 * time.Minute} {
		s.clock(after)
		s.concludes(a)
		same(t, after.String(), s.told())
	}
	s.exec("UPDATE signals SET wallet_count = 7 WHERE timestamp = $1", at(15))
	s.clock(9 * time.Minute)
	s.concludes(a)
	same(t, "told", s.told())
}

// What the process has recorded is forgotten after a day.
func TestRecordedIsOfADay(t *testing.T) {
	t.Parallel()
	var j Job
	for n := range 400 {
		j.recorded.add(at(5 * n))
	}
	if list := j.Recorded(); len(list) != 288+1 || !list[0].Equal(at(5*111)) || !slices.IsSortedFunc(list, time.Time.Compare) {
		t.Errorf("%d boundaries from %s", len(list), list[0])
	}
}

// The audit gets over a database that is away, and leaves nothing behind.
func TestTheAuditorRunsUntilItIsStopped(t *testing.T) {
	s := quarter(t)
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	s.clock(19 * time.Minute)
	s.exec("ALTER TABLE signal_cycles RENAME TO away")
	a := s.auditor()
	c, err := clock.Parse(noon.Format(time.RFC3339) + ",100000")
	if err != nil {
		t.Fatal(err)
	}
	a.cfg.Clock = c
	stop := s.runs(a.Run)
	s.eventually("an error", func() bool { return a.gauge(t, "whalegate_audit_errors_total") > 0 })
	s.exec("ALTER TABLE away RENAME TO signal_cycles; UPDATE signals SET wallet_count = 7 WHERE asset = 'BTC'")
	s.until("EXISTS (SELECT FROM qa_events WHERE check_id = 'audit' AND subject = 'edited')")
	stop()
	s.db.Close()
}
