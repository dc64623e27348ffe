package retention

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

// Whatever happened before, health says the same before a prune and after it, now
// and as it was at any time that is kept.
func TestPruningChangesNothingThatHealthSays(t *testing.T) {
	s := stage(t)
	now, aday := noon, func(n int) *time.Time { return new(noon.AddDate(0, 0, -n)) }
	instants := []*time.Time{nil, &now, aday(1), aday(5), aday(20), aday(31)}
	ask := func() string {
		return get[string](s, `
			SELECT string_agg(h::text, ' ' ORDER BY at)
			FROM unnest($1::timestamptz[]) at, ingest_health_at(at) h`, instants)
	}
	pruned := 0
	rapid.Check(t, func(rt *rapid.T) {
		s.exec("TRUNCATE ingest_runs, prune_runs")
		at := noon.AddDate(0, 0, -rapid.IntRange(33, 60).Draw(rt, "days ago"))
		for range rapid.IntRange(1, 12).Draw(rt, "spells") {
			status, coverage := "success", 100
			switch rapid.IntRange(0, 3).Draw(rt, "kind") {
			case 0:
				status, coverage = "failed", 0
			case 1:
				status, coverage = "partial", 85
			}
			minutes := rapid.IntRange(1, 3).Draw(rt, "minutes")
			if end := at.Add(time.Duration(minutes) * time.Minute); end.Before(noon) {
				s.runs(at, minutes, status, coverage)
				at = end
			}
			// A gap, or none.
			at = at.Add(rapid.SampledFrom([]time.Duration{0, 0, time.Minute, 9 * time.Minute, 10 * Day, max(0, noon.Add(-3*time.Minute).Sub(at))}).Draw(rt, "gap"))
		}
		was := ask()
		if s.prune(0)["ingest_runs"] > 0 {
			pruned++
		}
		if is := ask(); is != was {
			rt.Errorf("health was %s and is %s", was, is)
		}
	})
	if pruned == 0 {
		t.Error("nothing was ever pruned")
	}
}
