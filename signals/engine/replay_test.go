package engine

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/whalegate/whalegate/internal/health"
)

// What a replay says is what the service wrote, to the last digit, be it that
// the service judged the present or the past.
func TestReplayGivesWhatTheServiceWrote(t *testing.T) {
	t.Parallel()
	for name, judge := range map[string]Judge{"Now": Now, "AsItStood": AsItStood} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := eventful(t)
			results := s.live(judge, -35, 60)[4:] // the trend of the first stands on what the service had not written
			before := s.everything()
			replayed := s.replay(at(-15), at(60))
			if len(replayed) != len(results) {
				t.Fatalf("%d boundaries, want %d", len(replayed), len(results))
			}
			had := map[string]int{}
			stored := s.rows()
			for i, r := range replayed {
				live := results[i]
				if !r.Boundary.Equal(live.Boundary) || r.Outcome != live.Outcome || !slices.Equal(r.Reasons, live.Reasons) || !slices.Equal(r.Skipped, live.Skipped) {
					t.Errorf("%s: %s %v %v, want %s %s %v %v", r.Boundary, r.Outcome, r.Reasons, r.Skipped, live.Boundary, live.Outcome, live.Reasons, live.Skipped)
				}
				var want []Row
				for _, row := range stored {
					if row.Timestamp.Equal(r.Boundary) {
						want = append(want, row)
					}
				}
				if diff := cmp.Diff(want, r.Rows); diff != "" {
					t.Errorf("%s: stored (-) and replayed (+): %s", r.Boundary, diff)
				}
				if diff := cmp.Diff(live.Checks, r.Checks); diff != "" {
					t.Errorf("%s: %s", r.Boundary, diff)
				}
				had[string(r.Outcome)]++
				for _, row := range r.Rows {
					had[row.AllowedPlaybook]++
					had[row.AlignmentTrend]++
					if row.IsDegraded {
						had[*row.DegradedReason]++
					}
				}
				for _, reason := range r.Reasons {
					had[reason]++
				}
				if len(r.Skipped) > 0 {
					had["skipped"]++
				}
			}
			require(t, had, "computed", "blocked", "Long-only", "No-trade", "rising", "flat", "halted", "run_failed", "few_snapshots", "high_dirty_rate", "skipped")
			if diff := cmp.Diff(before, s.everything()); diff != "" {
				t.Errorf("the replay has written: %s", diff)
			}
			same(t, "audit", s.audit())
		})
	}
}

func TestReplayGivesTheSameTwiceAndOfAnyPart(t *testing.T) {
	t.Parallel()
	s := eventful(t)
	all := s.replay(at(-15), at(60))
	if diff := cmp.Diff(all, s.replay(at(-15), at(60))); diff != "" {
		t.Errorf("once more: %s", diff)
	}
	// Some digits of a trend's mean stand on the three boundaries before: any part
	// begins with them.
	for _, part := range [][2]int{{0, 20}, {15, 15}, {45, 60}} {
		want := all[(part[0]+15)/5 : (part[1]+15)/5+1]
		if diff := cmp.Diff(want, s.replay(at(part[0]), at(part[1]))); diff != "" {
			t.Errorf("%v: %s", part, diff)
		}
	}
	for _, tt := range []struct {
		from, to time.Time
		want     []string
	}{
		{at(0).Add(time.Nanosecond), at(10), []string{"12:05", "12:10"}},
		{at(-2), at(9), []string{"12:00", "12:05"}},
		{at(1), at(4), nil},
		{at(5), at(0), nil},
	} {
		var got []string
		for _, r := range s.replay(tt.from, tt.to) {
			got = append(got, r.Boundary.Format("15:04"))
		}
		same(t, fmt.Sprint(tt.from, " to ", tt.to), got, tt.want...)
	}
	errEnough := errors.New("enough")
	seen := 0
	if err := Replay(t.Context(), s.db, at(0), at(60), func(Replayed) error { seen++; return errEnough }); !errors.Is(err, errEnough) || seen != 1 {
		t.Errorf("after %d visits: %v", seen, err)
	}
}

// Health is judged as it stood: neither what came later nor what was found out
// later changes it.
func TestAsItStoodKnowsNothingOfLater(t *testing.T) {
	t.Parallel()
	s := lifelike(t)
	s.tell(told{n: 5, finished: 50 * time.Second})
	for _, tt := range []struct {
		b       int
		state   health.State
		reasons []string
		judged  time.Duration
	}{
		{-5, health.Healthy, nil, -5*time.Minute + 2*time.Second},
		{0, health.Healthy, nil, 2 * time.Second},
		{5, health.Degraded, []string{"snapshot_age"}, 5*time.Minute + 45*time.Second},
		{10, health.Degraded, []string{"snapshot_age"}, 10*time.Minute + 45*time.Second},
		{20, health.Stale, []string{"snapshot_age"}, 20*time.Minute + 45*time.Second},
	} {
		h, err := AsItStood(t.Context(), s.db, at(tt.b))
		if err != nil || h.State != tt.state || !slices.Equal(h.Reasons, tt.reasons) || !h.At.Equal(noon.Add(tt.judged)) {
			t.Errorf("minute %d: %s %v as of %s, %v; want %s %v", tt.b, h.State, h.Reasons, h.At, err, tt.state, tt.reasons)
		}
	}
	s.exec("ALTER TABLE ingest_runs RENAME TO away")
	if h, err := AsItStood(t.Context(), s.db, noon); err == nil || h.State != health.Stale || !slices.Equal(h.Reasons, []string{"database"}) {
		t.Errorf("without an answer: %s %v, %v", h.State, h.Reasons, err)
	}
}
