package collector

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/whalegate/whalegate/internal/asset"
)

func readings(n int) []Reading {
	list := make([]Reading, n)
	for i := range list {
		list[i] = hold(i + 1)
	}
	return list
}

func TestS1TimestampsLieOnTheMinute(t *testing.T) {
	for _, tt := range []struct {
		offset time.Duration
		ok     bool
	}{
		{0, true}, {time.Minute, true}, {-time.Hour, true}, {13 * time.Minute, true},
		{time.Nanosecond, false}, {-time.Nanosecond, false}, {400 * time.Millisecond, false}, {time.Second, false}, {30 * time.Second, false}, {59 * time.Second, false},
	} {
		if err := CheckTimestamp(noon.Add(tt.offset)); (err == nil) != tt.ok {
			t.Errorf("CheckTimestamp(noon + %s) = %v, want ok %t", tt.offset, err, tt.ok)
		}
	}
	kathmandu := time.FixedZone("", 5*60*60+45*60)
	if err := CheckTimestamp(noon.In(kathmandu)); err != nil {
		t.Errorf("the zone of the timestamp matters: %v", err)
	}
}

func TestS3StatusOfARun(t *testing.T) {
	for _, tt := range []struct {
		expected, read int
		want           Status
	}{
		{200, 200, Success}, {200, 190, Success}, {200, 189, Partial}, {200, 160, Partial}, {200, 159, Failed}, {200, 0, Failed},
		{20, 19, Success}, {20, 18, Partial}, {10, 9, Partial}, {10, 8, Partial}, {10, 7, Failed},
		{3, 3, Success}, {3, 2, Failed}, {1, 1, Success}, {1, 0, Failed},
		{50_000, 47_500, Success}, {50_000, 47_499, Partial}, {50_000, 40_000, Partial}, {50_000, 39_999, Failed},
		{0, 0, Failed},
	} {
		run := Judge(noon, tt.expected, readings(tt.read), map[string]int{"timeout": tt.expected - tt.read})
		if run.Status != tt.want {
			t.Errorf("%d of %d: %s, want %s", tt.read, tt.expected, run.Status, tt.want)
		}
		if run.RowsExpected != 3*tt.expected || run.RowsWritten != 3*tt.read {
			t.Errorf("%d of %d: %d of %d rows, want three for each wallet", tt.read, tt.expected, run.RowsWritten, run.RowsExpected)
		}
		if (run.Error != "") != (run.Status == Failed) {
			t.Errorf("%d of %d: %s with error %q", tt.read, tt.expected, run.Status, run.Error)
		}
	}
}

// The same verdict in whole numbers.
func TestS3StatusEqualsExactArithmetic(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		expected := rapid.IntRange(1, 3000).Draw(t, "expected")
		missing := rapid.IntRange(0, min(expected, expected/4+2)).Draw(t, "missing")
		want := Failed
		switch {
		case 100*missing <= 5*expected:
			want = Success
		case 100*(expected-missing) >= 80*expected:
			want = Partial
		}
		if got := Judge(noon, expected, make([]Reading, expected-missing), nil).Status; got != want {
			t.Fatalf("%d of %d missing: %s, want %s", missing, expected, got, want)
		}
	})
}

func TestS5NonNullSharesAreOfTheRowsOfEachAsset(t *testing.T) {
	run := Judge(noon, 5, []Reading{hold(1, "0", "0", "NULL"), hold(2, "0", "NULL", "NULL"), hold(3, "1", "NULL", "NULL"), hold(4, "-1", "2", "NULL")}, map[string]int{"timeout": 1})
	want := [asset.Count]float64{asset.HYPE: 100, asset.BTC: 50, asset.ETH: 0}
	if run.NonNullPct != want {
		t.Errorf("non-null shares %v, want %v", run.NonNullPct, want)
	}
	if run.CoveragePct != 80 || run.Succeeded != 4 || run.Expected != 5 {
		t.Errorf("coverage %v from %d of %d, want 80 from 4 of 5: a NULL row is a row", run.CoveragePct, run.Succeeded, run.Expected)
	}
	if got := Judge(noon, 5, nil, nil).NonNullPct; got != [asset.Count]float64{} {
		t.Errorf("shares of nothing: %v", got)
	}
}

// aged is a run of 200 wallets in which some were read, and the others failed.
func aged(read int, failures map[string]int) Run {
	readings := make([]Reading, read)
	for i := range readings {
		for a := range readings[i].Positions {
			readings[i].Positions[a].Known = true
		}
	}
	return Judge(noon, 200, readings, failures)
}

func TestEventsOfARun(t *testing.T) {
	all := [asset.Count]float64{100, 100, 100}
	with := func(coverage float64, shares [asset.Count]float64) Run {
		return Run{Timestamp: minute(7), Succeeded: 1, CoveragePct: coverage, NonNullPct: shares}
	}
	dirty := []Collapse{{Asset: asset.ETH}, {Asset: asset.HYPE}, {Asset: asset.ETH}}
	for _, tt := range []struct {
		name  string
		run   Run
		dirty []Collapse
		want  []string
	}{
		{"nothing is wrong", with(100, all), nil, nil},
		{"S3: 90 is healthy", with(90, all), nil, nil},
		{"S3: below 90", with(89.99, all), nil, []string{"S3 warning: degraded"}},
		{"S3: 80 is degraded", with(80, all), nil, []string{"S3 warning: degraded"}},
		{"S3: below 80", with(79.99, all), nil, []string{"S3 critical: stale"}},
		{"S5: 80 is fine", with(100, [3]float64{80, 80, 80}), nil, nil},
		{"S5: below 80", with(100, [3]float64{79.99, 100, 100}), nil, []string{"S5 warning HYPE: degraded"}},
		{"S5: 60 is degraded", with(100, [3]float64{100, 60, 100}), nil, []string{"S5 warning BTC: degraded"}},
		{"S5: below 60", with(100, [3]float64{100, 100, 59.99}), nil, []string{"S5 critical ETH: stale"}},
		{"S5: each asset by itself", with(100, [3]float64{0, 70, 100}), nil, []string{"S5 critical HYPE: stale", "S5 warning BTC: degraded"}},
		{"S5: of no rows there is no share", Run{Timestamp: noon}, nil, []string{"S3 critical: stale"}},
		{"S6: once for an asset", with(100, all), dirty, []string{"S6 warning HYPE: rows marked dirty", "S6 warning ETH: rows marked dirty"}},
		{"S9: one wallet's state is old", aged(199, map[string]int{"old_state": 1}), nil, []string{"S9 warning old_state: wallets failed"}},
		{"S9: most of those that failed", aged(20, map[string]int{"old_state": 100, "clock_skew": 70, "timeout": 10}), nil,
			[]string{"S9 critical old_state: run failed", "S9 critical clock_skew: run failed", "S3 critical: stale"}},
		{"S9: beside a storm of others", aged(20, map[string]int{"future_state": 10, "timeout": 170}), nil, []string{"S9 warning future_state: wallets failed", "S3 critical: stale"}},
		{"S1 alone", failedRun(noon, 200, "S1", "off"), nil, []string{"S1 critical: nothing written, run failed"}},
		{"S2 alone", failedRun(noon, 0, "S2", "none"), nil, []string{"S2 critical: run failed"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var got []string
			for _, e := range Events(tt.run, tt.dirty) {
				text := e.Check + " " + e.Severity
				if e.Subject != "" {
					text += " " + e.Subject
				}
				got = append(got, text+": "+e.Action)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
	events := Events(with(100, all), dirty)
	want := map[string]any{"rows": 2, "snapshot_ts": "2026-03-01T12:06:00Z"}
	if diff := cmp.Diff(want, events[1].Details); diff != "" {
		t.Errorf("S6 tells of the minute before and its rows: %s", diff)
	}
}

// The minute's budget ends with the minute, however long the database took before
// the first question.
func TestTheBudgetCountsFromTheMinute(t *testing.T) {
	db, _ := database(t, noon)
	enrol(t, db, 2)
	var c *Collector
	c = collecting(t, db, &upstream{}, func(cfg *Config) {
		cfg.Room = func() error { // the last thing before it
			c.cfg.Clock = frozen(t, noon.Add(56*time.Second))
			return nil
		}
	})
	c.cycle(t.Context(), noon)
	same(t, "runs", list(t, db, storedRuns), `12:00:00 failed 0/2 {"abandoned": 2}`)
}
