package test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/whalegate/whalegate/internal/health"
)

// awaitCycle waits for a boundary of all assets after a moment with an outcome,
// and returns it.
func (w *world) awaitCycle(after time.Time, outcome string) (boundary time.Time) {
	w.Helper()
	await(w, "a boundary that is "+outcome, func() (err error) {
		boundary, err = value[time.Time](w, "SELECT timestamp FROM signal_cycles WHERE timestamp > $1 AND outcome = $2 AND skipped = '{}' ORDER BY timestamp LIMIT 1", after, outcome)
		return err
	})
	return boundary.UTC()
}

// checkSignals looks for half boundaries: signals without their cycle or their
// parts, and cycles without their signals.
func (w *world) checkSignals() {
	w.Helper()
	for what, sql := range map[string]string{
		"computed boundaries without three signals": `SELECT count(*) FROM signal_cycles c WHERE outcome = 'computed'
			AND (SELECT count(*) FROM signals s WHERE s.timestamp = c.timestamp) + cardinality(skipped) <> 3`,
		"signals without a computed boundary": `SELECT count(*) FROM signals s WHERE NOT EXISTS (SELECT FROM signal_cycles c WHERE c.timestamp = s.timestamp AND outcome = 'computed')`,
		"signals without contributors":        `SELECT count(*) FROM signals LEFT JOIN signal_contributors c USING (timestamp, asset) WHERE c.timestamp IS NULL`,
		"signals without positioning":         `SELECT count(*) FROM signals LEFT JOIN signal_positioning p USING (timestamp, asset) WHERE p.timestamp IS NULL`,
		"signals computed while STALE":        `SELECT count(*) FROM signal_cycles c, ingest_health_at(c.judged_at) h WHERE outcome = 'computed' AND h.health_state = 'STALE'`,
		"wallets that do not add up":          `SELECT count(*) FROM signals WHERE wallet_count + missing_count <> (SELECT count(*) FROM wallet_universe_current)`,
	} {
		if n := get[int](w, sql); n != 0 {
			w.Errorf("%d %s", n, what)
		}
	}
}

// checkAudit computes every stored signal again.
func (w *world) checkAudit() {
	w.Helper()
	stored := get[int](w, "SELECT count(*) FROM signals")
	r := w.cli("signals", "audit", "--json")
	var sum struct{ Rows, Boundaries, Unverifiable, Differences int }
	if err := json.Unmarshal([]byte(lastLine(r.stdout)), &sum); err != nil || r.code != 0 {
		w.Fatalf("audit: %s", r)
	}
	if stored < 3 || sum.Rows < stored || sum.Unverifiable > 0 || sum.Differences > 0 {
		w.Errorf("audit of %d rows or more: %+v", stored, sum)
	}
}

// checkReplay replays from the first computed boundary to a later one, twice, and
// compares with what is stored.
func (w *world) checkReplay(from, to time.Time) {
	w.Helper()
	span := []string{"--from", from.Format(time.RFC3339), "--to", to.Format(time.RFC3339), "--json"}
	once, again := w.cli(append([]string{"signals", "replay"}, span...)...), w.cli(append([]string{"signals", "replay"}, span...)...)
	if once.code != 0 || once.stdout != again.stdout {
		w.Errorf("two replays differ: %s\n%s", once, again)
	}
	listed := w.cli(append([]string{"signals", "list", "--limit=1000000"}, span...)...)
	replayed, stored := signalLines(w, once.stdout), signalLines(w, listed.stdout)
	if len(stored) < 3 || !slices.Equal(stored, replayed) {
		w.Errorf("stored:\n%s\nreplayed:\n%s", strings.Join(stored, "\n"), strings.Join(replayed, "\n"))
	}
	var sum struct {
		Summary bool
		Rows    int
		Held    map[string]map[string]int `json:"held_minutes"`
	}
	if err := json.Unmarshal([]byte(lastLine(once.stdout)), &sum); err != nil || !sum.Summary || sum.Rows != len(replayed) || len(sum.Held) != assets {
		w.Errorf("summary: %s", lastLine(once.stdout))
	}
}

// lastHeld is the newest boundary whose five minutes are over: how long a newer
// one has held depends on when a replay asks.
func (w *world) lastHeld() time.Time {
	w.Helper()
	return get[time.Time](w, "SELECT max(timestamp) FROM signals WHERE timestamp < whalegate_now() - interval '5 minutes'")
}

// signalLines are the rows of an output in order, without what differs from run
// to run: how long the computation took.
func signalLines(w *world, out string) []string {
	w.Helper()
	var lines []string
	for line := range strings.Lines(out) {
		var row map[string]any
		must(w, json.Unmarshal([]byte(line), &row))
		if row["summary"] == true {
			continue
		}
		delete(row, "computation_ms")
		text, err := json.Marshal(row)
		must(w, err)
		lines = append(lines, fmt.Sprint(row["timestamp"], row["asset"], string(text)))
	}
	slices.Sort(lines)
	return lines
}

// TestSignalsFollowTheSnapshots lets the service compute, and asks every command
// about it.
func TestSignalsFollowTheSnapshots(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	first := w.awaitCycle(time.Time{}, "computed")
	w.awaitTrue("six boundaries", "count(*) >= 6 FROM signal_cycles WHERE outcome = 'computed'")
	w.checkSignals()
	w.checkAudit()
	w.checkReplay(first, w.lastHeld())

	for series, least := range map[string]float64{
		`whalegate_signal_cycles_total{outcome="computed"}`:      6,
		`whalegate_signal_cycles_total{outcome="failed"}`:        0,
		`whalegate_signal_cycles_blocked_total{reason="halted"}`: 0,
		`whalegate_signals_skipped_total{asset="BTC"}`:           0,
		`whalegate_signal_computation_duration_seconds_count`:    6,
		`whalegate_signal_age_seconds{asset="ETH"}`:              0,
		`whalegate_qa_failures_total{check_id="G6"}`:             0,
	} {
		w.awaitMetric(series, least)
	}
	if age := w.metric(`whalegate_signal_age_seconds{asset="HYPE"}`); age < 0 || age > 600 {
		t.Errorf("the newest signal is %v s old", age)
	}
	_, metrics := w.ask("GET", w.address+"/metrics", "")
	for _, value := range []string{"Long-only", "Short-only", "No-trade", "Defensive", "rising", "alignment", "dispersion", "exit_cluster_score"} {
		if strings.Contains(metrics, value) {
			t.Errorf("/metrics shows %s", value)
		}
	}
	if report := w.awaitStatus(health.Healthy, ""); len(report.Signals) != assets || report.LastCycle == nil {
		t.Errorf("status: %+v", report)
	}

	halted := w.newest()
	if r := w.cli("halt", "--reason", "test"); r.code != 0 {
		t.Fatalf("halt: %s", r)
	}
	if report := w.status(); len(report.Signals) != 0 {
		t.Errorf("halted: %+v", report.Signals)
	}
	blocked := w.awaitCycle(halted, "blocked")
	w.awaitTrue("G0", "EXISTS (SELECT FROM qa_events WHERE check_id = 'G0' AND stage = 'signals' AND details->'reasons' ? 'halted')")
	w.awaitMetric(`whalegate_signal_cycles_blocked_total{reason="halted"}`, 1)
	w.service.logged(t, "signal computation blocked")
	if r := w.cli("signals", "list", "--limit=1"); r.code != 0 || !strings.Contains(r.stderr, "STALE") {
		t.Errorf("list while STALE: %s", r)
	}
	await(t, "resume", func() error {
		if r := w.cli("resume", "--cause", "test", "--actions", "none"); r.code != 0 {
			return fmt.Errorf("%s", r)
		}
		return nil
	})
	w.awaitCycle(blocked, "computed")
	if n := get[int](w, "SELECT count(*) FROM signals WHERE timestamp = $1", blocked); n != 0 {
		t.Errorf("%d signals of a blocked boundary", n)
	}
	w.checkSignals()
	w.checkAudit()
}

// TestAnAuditFindsWhatWasChanged changes one stored number.
func TestAnAuditFindsWhatWasChanged(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	boundary := w.awaitCycle(time.Time{}, "computed")
	_, err := w.db.Exec(t.Context(), "UPDATE signals SET exit_cluster_score = 24.5 WHERE timestamp = $1 AND asset = 'BTC'", boundary)
	must(t, err)
	r := w.cli("signals", "audit")
	if r.code != 1 || !strings.Contains(r.stdout, boundary.Format(time.RFC3339)+"  BTC   exit_cluster_score: stored 24.5, computed ") {
		t.Errorf("audit: %s", r)
	}
	if r := w.cli("signals", "replay", "--from", "2026-02-02T00:00:00Z", "--to", "2026-02-01T00:00:00Z"); r.code != 1 || strings.Count(r.stderr, "\n") != 1 {
		t.Errorf("replay backwards: %s", r)
	}
	if r := w.cli("signals", "list", "--asset=DOGE"); r.code != 1 || !strings.Contains(r.stderr, "none of HYPE, BTC, ETH") {
		t.Errorf("list of no asset: %s", r)
	}
}

// TestAGlitchAtTheBoundaryIsNoExit lets a good third of the positions in BTC vanish in
// just the minute of a boundary; of more than half the run fails (S11).
func TestAGlitchAtTheBoundaryIsNoExit(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.awaitCycle(time.Time{}, "computed")
	// The fault begins with the next full minute: wait for the one before a boundary.
	before := w.awaitRun(w.newest(), "extract(minute FROM timestamp)::int % 5 = 4 AND is_clean")
	w.fault(`{"kind":"collapse","asset":"BTC","share":0.45}`)
	hit := w.awaitRun(before, "extract(minute FROM timestamp)::int % 5 = 0").UTC()
	w.awaitTrue("dirty rows", "EXISTS (SELECT FROM wallet_snapshots WHERE is_dirty)")
	if glitch := get[time.Time](w, "SELECT max(timestamp) FROM wallet_snapshots WHERE is_dirty").UTC(); !glitch.Equal(hit) {
		t.Fatalf("the glitch hit %s, not %s: the machine was too slow to aim", glitch, hit)
	}
	vanished := get[int](w, "SELECT count(*) FROM wallet_snapshots WHERE is_dirty")
	if vanished < wallets/3 {
		t.Fatalf("only %d positions vanished", vanished)
	}
	next := w.awaitCycle(hit, "computed")
	for _, at := range []time.Time{hit, next} {
		moved := get[int](w, "SELECT count_reducers + count_add_long + count_add_short FROM signal_contributors WHERE timestamp = $1 AND asset = 'BTC'", at)
		if missing := get[int](w, "SELECT missing_count FROM signals WHERE timestamp = $1 AND asset = 'BTC'", at); missing > 0 || moved >= vanished {
			t.Errorf("%s: %d wallets moved, %d are missing; %d positions had vanished for a minute", at.Format(time.TimeOnly), moved, missing, vanished)
		}
	}
	w.checkAudit()
}
