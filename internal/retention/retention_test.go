package retention

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// atLeast is what is promised to operators, in days.
var atLeast = map[string]int{
	"wallet_snapshots": 7, "ingest_runs": 7, "signal_contributors": 7, "signal_positioning": 7, "qa_events": 7,
	"snapshot_anomalies": 30, "signals": 30, "wallet_universe_members": 30, "alerts": 90,
}

// A row of every table and day up to 130 days ago: what is promised is there,
// and everything else is gone but a day.
func TestEverythingIsKeptItsTime(t *testing.T) {
	s := stage(t)
	for ago := range 131 {
		s.day(ago)
	}
	for _, tt := range []struct {
		name      string
		olderThan time.Duration
		kept      map[string]int // days
	}{
		// From the longest to the shortest: what is gone does not come back.
		{"120 days", 120 * Day, map[string]int{
			"wallet_snapshots": 120, "ingest_runs": 123, "signals": 120, "signal_contributors": 120, "signal_positioning": 120, "signal_cycles": 120, "superseded_boundaries": 120, "snapshot_anomalies": 120,
			"wallet_universe_runs": 121, "wallet_universe_members": 121, "qa_events": 120, "health_transitions": 120, "alerts": 120, "alert_deliveries": 120, "prune_runs": 120,
		}},
		{"40 days", 40 * Day, map[string]int{
			"wallet_snapshots": 40, "ingest_runs": 43, "signals": 40, "signal_contributors": 40, "signal_positioning": 40, "signal_cycles": 40, "superseded_boundaries": 40, "snapshot_anomalies": 40,
			"wallet_universe_runs": 41, "wallet_universe_members": 41, "qa_events": 40, "health_transitions": 90, "alerts": 90, "alert_deliveries": 90, "prune_runs": 90,
		}},
		{"their own times", 0, map[string]int{
			"wallet_snapshots": 7, "ingest_runs": 33, "signals": 30, "signal_contributors": 30, "signal_positioning": 30, "signal_cycles": 30, "superseded_boundaries": 30, "snapshot_anomalies": 30,
			"wallet_universe_runs": 31, "wallet_universe_members": 31, "qa_events": 30, "health_transitions": 90, "alerts": 90, "alert_deliveries": 90, "prune_runs": 90,
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := *s
			s.TB = t
			told := s.count(tt.olderThan)
			if again := s.count(tt.olderThan); !cmp.Equal(told, again) {
				t.Errorf("counting changes something: %s", cmp.Diff(told, again))
			}
			if diff := cmp.Diff(told, s.prune(tt.olderThan)); diff != "" {
				t.Errorf("counted (-) and removed (+) differ: %s", diff)
			}
			for table, days := range tt.kept {
				if least := atLeast[table]; days < least {
					t.Fatalf("%s is to be kept %d days", table, least)
				}
				rows := get[int](&s, "SELECT count(*) FROM "+table)
				want := days + 1
				switch table {
				case "alert_deliveries":
					want *= 2 // an alert's and a test's
				case "prune_runs":
					want++ // this one
					rows -= get[int](&s, "SELECT count(*) - 1 FROM prune_runs WHERE pruned_by = 'test'")
				}
				oldest := get[int](&s, "SELECT extract(day FROM $1::timestamptz - min("+ages[table]+"))::integer FROM "+table+" t", noon)
				if rows != want || oldest != days {
					t.Errorf("%s: %d rows are left, the oldest of %d days ago; %d rows of %d days are wanted", table, rows, oldest, want, days)
				}
			}
			for _, table := range []string{"halts", "alert_pauses"} {
				if n := get[int](&s, "SELECT count(*) FROM "+table); n != 131 {
					t.Errorf("%d rows of %s are left: what people did is kept", n, table)
				}
			}
			if left := s.count(tt.olderThan); len(left) > 0 {
				t.Errorf("old, and left: %v", left)
			}
		})
	}
	if n := get[int](s, "SELECT count(*) FROM prune_runs WHERE pruned_by = 'test' AND status = 'success' AND removed ? 'wallet_snapshots' AND started_at = $1", noon); n != 3 {
		t.Errorf("%d prunes are kept", n)
	}
}

func TestNothingIsRemovedOnTheDayThatItReachesItsTime(t *testing.T) {
	s := stage(t)
	at := noon.Truncate(Day).AddDate(0, 0, -30) // at its first midnight
	s.day(0)
	for _, offset := range []time.Duration{-time.Minute, 0} {
		s.exec("INSERT INTO snapshot_anomalies (snapshot_ts, wallet_id, asset, anomaly_type) VALUES ($1, '0x1', 'BTC', 'transient_collapse')", at.Add(offset))
	}
	if diff := cmp.Diff(map[string]int64{"snapshot_anomalies": 1}, s.prune(0)); diff != "" {
		t.Errorf("removed: %s", diff)
	}
}

func TestShorterThanThePromiseIsRefusedInOneLine(t *testing.T) {
	for olderThan, want := range map[time.Duration]string{6 * Day: "older than 6d", 7*Day - time.Second: "older than 167h59m59s", 0: "older than 0d", -Day: "older than -1d"} {
		err := Check(olderThan)
		if err == nil || !strings.HasPrefix(err.Error(), want) || !strings.Contains(err.Error(), "7d or more is right") {
			t.Errorf("Check(%s) = %v", olderThan, err)
		}
	}
	for _, olderThan := range []time.Duration{7 * Day, 1000 * Day} {
		if err := Check(olderThan); err != nil {
			t.Errorf("Check(%s) = %v", olderThan, err)
		}
	}
}

func TestAlertsThatAreNotOverStay(t *testing.T) {
	s := stage(t)
	old := func(n int) time.Time { return noon.AddDate(0, 0, -100).Add(time.Duration(n) * time.Minute) }
	lately := noon.AddDate(0, 0, -80)
	keep := map[string]int64{
		"active":                      s.alert(old(0), nil, "delivered"),
		"resolved lately":             s.alert(old(1), &lately, "delivered"),
		"with a delivery to be sent":  s.alert(old(2), nil, "pending"),
		"with one that may be unsent": s.alert(old(3), nil, "unknown"),
	}
	s.exec("INSERT INTO alert_state (asset, alert_type, is_active, active_alert_id) VALUES ('SYSTEM', 'system_stale', true, $1)", keep["active"])
	long := old(9)
	for n, delivery := range []string{"", "delivered", "failed"} {
		s.alert(old(4+n), &long, delivery)
	}
	s.exec("INSERT INTO alert_deliveries (receiver, kind, state, created_at) VALUES ('r', 'test', 'pending', $1), ('r', 'test', 'unknown', $1)", old(0))
	s.exec("INSERT INTO alert_deliveries (receiver, kind, state, created_at, last_error) VALUES ('r', 'test', 'failed', $1, 'x')", old(0))
	want := map[string]int64{"alerts": 3, "alert_deliveries": 3}
	if diff := cmp.Diff(want, s.count(0)); diff != "" {
		t.Errorf("counted: %s", diff)
	}
	if diff := cmp.Diff(want, s.prune(0)); diff != "" {
		t.Errorf("removed: %s", diff)
	}
	for name, id := range keep {
		if n := get[int](s, "SELECT count(*) FROM alert_deliveries JOIN alerts a ON a.id = alert_id WHERE alert_id = $1", id); n != 1 {
			t.Errorf("the alert that is %s has gone, or its delivery", name)
		}
	}
	if n := get[int](s, "SELECT count(*) FROM alert_state WHERE active_alert_id IS NOT NULL"); n != 1 {
		t.Error("the active alert is not known any more")
	}
}

// The universe that was in force when the kept time began, and all since. When
// refreshes fail for longer than that, it is the one in force.
func TestTheUniverseInForceStays(t *testing.T) {
	s := stage(t)
	ago := func(days int) time.Time { return noon.AddDate(0, 0, -days) }
	s.refresh(ago(70), "success")
	s.refresh(ago(65), "failed")
	s.refresh(ago(60), "success")
	s.refresh(ago(50), "failed")
	s.refresh(ago(1), "failed")
	if diff := cmp.Diff(map[string]int64{"wallet_universe_runs": 2, "wallet_universe_members": 1}, s.prune(0)); diff != "" {
		t.Errorf("removed: %s", diff)
	}
	if got := s.left("wallet_universe_members"); got != "1 of 60 d" {
		t.Errorf("members left: %s", got)
	}
	if got := s.left("wallet_universe_runs"); got != "3 of 60 d" {
		t.Errorf("runs left: %s", got)
	}
}

func TestRowsGoInBatches(t *testing.T) {
	s := stage(t)
	s.exec(`INSERT INTO health_transitions (ts, from_state, to_state, reasons)
		SELECT $1::timestamptz - interval '100 days', 'STALE', 'HEALTHY', '{}' FROM generate_series(1, $2)`, noon, 2*batch+1)
	var steps []int64
	list, err := Run(t.Context(), s.writer, Options{By: "test", Progress: func(n int64) { steps = append(steps, n) }})
	if err != nil || counts(list)["health_transitions"] != 2*batch+1 {
		t.Errorf("removed %v, %v", counts(list), err)
	}
	if diff := cmp.Diff([]int64{batch, batch, 1}, steps); diff != "" {
		t.Errorf("steps: %s", diff)
	}
}

func TestOnePruneAtATime(t *testing.T) {
	s := stage(t)
	s.day(100)
	other, err := s.writer.Acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer other.Release()
	unlock, err := lock(t.Context(), other.Conn())
	if err != nil {
		t.Fatal(err)
	}
	if list, err := Run(t.Context(), s.writer, Options{By: "test"}); !errors.Is(err, ErrRunning) || len(list) > 0 {
		t.Errorf("Run beside another = %v, %v", list, err)
	}
	unlock()
	if removed := s.prune(0); removed["wallet_snapshots"] != 1 {
		t.Errorf("removed afterwards: %v", removed)
	}
}

// What the caller ends stops between two transactions, and the next one goes on.
func TestACancelledPruneIsGoneOnWith(t *testing.T) {
	s := stage(t)
	for ago := 100; ago < 103; ago++ {
		s.day(ago)
	}
	ctx, cancel := context.WithCancel(t.Context())
	list, err := Run(ctx, s.writer, Options{By: "test", Progress: func(int64) { cancel() }})
	if err == nil || counts(list)["wallet_snapshots"] != 1 {
		t.Errorf("a cancelled prune = %v, %v", counts(list), err)
	}
	if got := get[string](s, "SELECT status || ' ' || (removed ->> 'wallet_snapshots') FROM prune_runs WHERE pruned_by = 'test'"); got != "failed 1" {
		t.Errorf("kept: %s", got)
	}
	if removed := s.prune(0); removed["wallet_snapshots"] != 2 {
		t.Errorf("the next one: %v", removed)
	}
}
