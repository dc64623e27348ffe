package engine

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/whalegate/whalegate/internal/asset"
	"github.com/whalegate/whalegate/internal/health"
	"github.com/whalegate/whalegate/internal/qa"
	"github.com/whalegate/whalegate/signals"
)

// failures lists failed checks as "G2 warning HYPE".
func failures(r Result) (list []string) {
	for _, e := range r.Checks {
		list = append(list, fmt.Sprint(e.Check, " ", e.Severity, " ", e.Subject))
	}
	return list
}

// each is the same check failed by every asset.
func each(check string) (list []string) {
	for _, a := range asset.All {
		list = append(list, check+" "+a.String())
	}
	return list
}

func same(t testing.TB, what string, got []string, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" && len(want)+len(got) > 0 {
		t.Errorf("%s: %s", what, diff)
	}
}

func TestG1OffABoundaryNothingIsWritten(t *testing.T) {
	t.Parallel()
	s := lifelike(t)
	s.clock(2 * time.Second)
	c := s.cycle(Now)
	for _, off := range []time.Duration{time.Nanosecond, -time.Microsecond, time.Second, -time.Minute, 4 * time.Minute, 150 * time.Second} {
		r, err := c.Run(t.Context(), noon.Add(off))
		if err != nil || r.Outcome != Failed || !slices.Equal(r.Reasons, []string{"G1"}) || len(r.Signals) > 0 {
			t.Errorf("noon + %s: %s %v %v", off, r.Outcome, r.Reasons, err)
		}
		same(t, "checks", failures(r), "G1 critical ")
		if got := s.written(); got != nothing {
			t.Fatalf("noon + %s: %s rows are written", off, got)
		}
	}
	elsewhere := noon.In(time.FixedZone("east", 5*3600+45*60))
	if r, err := c.Run(t.Context(), elsewhere); err != nil || r.Outcome != Computed || s.written() != complete {
		t.Errorf("a boundary of another zone: %s %v, %s rows", r.Outcome, err, s.written())
	}
}

func TestG2CountsTheSnapshotsOfTheWindow(t *testing.T) {
	t.Parallel()
	stage := stage(t, 1)
	for _, tt := range []struct {
		missing  []int
		degraded bool
		skipped  bool
	}{
		{missing: nil},
		{missing: []int{-5, -6, -9}}, // of the window before
		{missing: []int{-4}, degraded: true},
		{missing: []int{-2}, degraded: true},
		{missing: []int{0}, degraded: true},
		{missing: []int{-5, -3, -6}, degraded: true},
		{missing: []int{-4, 0}, skipped: true},
		{missing: []int{-3, -2}, skipped: true},
		{missing: []int{-4, -3, -2}, skipped: true},
		{missing: []int{-4, -3, -2, -1, 0}, skipped: true},
	} {
		t.Run(fmt.Sprint(tt.missing), func(t *testing.T) {
			s := stage.again(t, 10)
			for n := -9; n <= 0; n++ {
				if !slices.Contains(tt.missing, n) {
					s.minute(n)
				}
			}
			r := s.run(s.cycle(healthy), 0)
			if r.Outcome != Computed {
				t.Fatalf("%s %v", r.Outcome, r.Reasons)
			}
			if tt.skipped {
				same(t, "checks", failures(r), each("G2 error")...)
				same(t, "skipped", r.Skipped, "HYPE", "BTC", "ETH")
				same(t, "cycles", s.cycles(), "12:00 computed HEALTHY {} {HYPE,BTC,ETH}")
				if got := s.written(); got != unsigned {
					t.Errorf("%s rows", got)
				}
				return
			}
			var checks []string
			if tt.degraded {
				checks = each("G2 warning")
			}
			same(t, "checks", failures(r), checks...)
			if got := s.written(); got != complete {
				t.Errorf("%s rows", got)
			}
			for _, row := range s.rows() {
				if row.IsDegraded != tt.degraded || tt.degraded && *row.DegradedReason != "few_snapshots" || row.WalletCount != 10 {
					t.Errorf("%+v", row)
				}
			}
		})
	}
}

// A minute whose run failed is no snapshot: the row is that of a minute that
// never came, whatever the rows it left say.
func TestG2AFailedMinuteIsNoSnapshot(t *testing.T) {
	t.Parallel()
	absent, failed := stage(t, 10), stage(t, 10)
	for _, n := range []int{-7, -4, -1, 0} {
		absent, failed := absent.again(t, 10), failed.again(t, 10)
		for m := -9; m <= 0; m++ {
			if m != n {
				absent.minute(m)
				failed.minute(m)
				continue
			}
			failed.tell(told{n: m, sizes: repeat(10, "77"), status: "failed"})
			failed.sizes = repeat(10, "10")
		}
		absent.run(absent.cycle(healthy), 0)
		failed.run(failed.cycle(healthy), 0)
		if diff := cmp.Diff(absent.rows(), failed.rows()); diff != "" || absent.written() != complete {
			t.Errorf("minute %d: %s rows: %s", n, absent.written(), diff)
		}
	}
}

// An asset can lack rows that the others have.
func TestG2IsJudgedAssetByAsset(t *testing.T) {
	t.Parallel()
	s := lifelike(t)
	s.exec("DELETE FROM wallet_snapshots WHERE asset = 'BTC' AND timestamp IN ($1, $2)", at(-1), at(-3))
	s.exec("DELETE FROM wallet_snapshots WHERE asset = 'ETH' AND timestamp = $1", at(-4))
	r := s.run(s.cycle(healthy), 0)
	same(t, "checks", failures(r), "G2 error BTC", "G2 warning ETH")
	same(t, "skipped", r.Skipped, "BTC")
	same(t, "cycles", s.cycles(), "12:00 computed HEALTHY {} {BTC}")
	same(t, "rows", s.list("SELECT concat_ws(' ', asset, degraded_reason) FROM signals ORDER BY asset"), "ETH few_snapshots", "HYPE")
}

// G5 and G6 cannot fail while the rules are right; if they do, the whole cycle
// fails and says so.
func TestG5AndG6FailTheWholeCycle(t *testing.T) {
	t.Parallel()
	s := lifelike(t)
	for _, gate := range []string{"G5", "G6"} {
		s.wipe()
		c := s.cycle(healthy)
		r := Result{Boundary: noon, Health: health.Health{State: health.Healthy, At: at(1)}, Checks: []qa.Event{{Check: "G4"}}}
		r, err := c.refuse(t.Context(), r, &signals.Refusal{Gate: gate, Reason: "ETH: why"})
		if err != nil || r.Outcome != Failed {
			t.Fatalf("%s: %s, %v", gate, r.Outcome, err)
		}
		same(t, "checks", failures(r), "G4  ", gate+" critical ")
		same(t, "cycles", s.cycles(), "12:00 failed HEALTHY {"+gate+"} {}")
		if got := s.written(); got != unsigned {
			t.Errorf("%s rows", got)
		}
	}
}
