package engine

import (
	"testing"
	"time"

	"github.com/whalegate/whalegate/internal/retention"
)

// After a prune the audit says of what is left that it cannot be verified, and
// never that it is wrong; whatever the time that things are kept for.
func TestAPruneMakesNoDifferenceForTheAudit(t *testing.T) {
	t.Parallel()
	const midnight = 720 // minutes after noon
	for _, tt := range []struct {
		name      string
		olderThan time.Duration
		days      int // from midnight to the present
		audit     []string
	}{
		{"the day before midnight has gone", 0, 7, []string{"23:55 unverifiable", "00:00 unverifiable", "00:05 unverifiable"}},
		{"everything of it has gone, but its runs", 40 * retention.Day, 40, []string{"00:00 unverifiable", "00:05 unverifiable"}},
		{"all of the signals have gone", 0, 31, nil},
		{"nothing has gone", 8 * retention.Day, 7, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := stage(t, 20)
			s.exec("SELECT ensure_snapshot_partitions($1, $2)", noon, noon.AddDate(0, 0, 1))
			s.minutes(midnight-14, midnight+5)
			c := s.cycle(Now)
			for n := midnight - 5; n <= midnight+5; n += 5 {
				s.run(c, n)
			}
			same(t, "audit before", s.audit())
			s.clock(midnight*time.Minute + time.Duration(tt.days)*retention.Day)
			if _, err := retention.Run(t.Context(), s.db, retention.Options{OlderThan: tt.olderThan, By: "test"}); err != nil {
				t.Fatal(err)
			}
			same(t, "audit after", s.audit(), tt.audit...)
		})
	}
}
