package main

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/whalegate/whalegate/alerting/replay"
	"github.com/whalegate/whalegate/internal/asset"
	"github.com/whalegate/whalegate/signals"
	"github.com/whalegate/whalegate/signals/engine"
)

type signalsReplay struct {
	databaseFlag
	rangeFlags
	JSON bool `name:"json" help:"Print one JSON object a signal, then a summary with the alerts in it."`
}

// replaySummary is what the rules did over a range. Minutes of a playbook are
// boundaries times five.
type replaySummary struct {
	Summary     bool                      `json:"summary"`
	From        time.Time                 `json:"from"`
	To          time.Time                 `json:"to"`
	Boundaries  int                       `json:"boundaries"`
	Outcomes    map[engine.Outcome]int    `json:"outcomes"`
	BlockedBy   map[string]int            `json:"blocked_by"`    // boundaries by each reason of health
	Closures    map[string]int            `json:"gate_closures"` // by gate; G0 counts boundaries, the others assets
	Rows        int                       `json:"rows"`
	Degraded    int                       `json:"degraded_rows"`
	Incomplete  int                       `json:"incomplete"`   // boundaries of which snapshots of the day before are gone
	HeldMinutes map[string]map[string]int `json:"held_minutes"` // by asset and playbook; "none" is no signal
	Changes     map[string]int            `json:"playbook_changes"`
	replay.Tally

	last map[string]string
}

const noSignal = "none"

func newReplaySummary(from, to time.Time) *replaySummary {
	s := &replaySummary{
		Summary: true, From: from, To: to, Outcomes: map[engine.Outcome]int{}, BlockedBy: map[string]int{}, Closures: map[string]int{},
		HeldMinutes: map[string]map[string]int{}, Changes: map[string]int{}, last: map[string]string{},
	}
	for _, o := range engine.Outcomes {
		s.Outcomes[o] = 0
	}
	for _, gate := range signals.Gates {
		s.Closures[gate] = 0
	}
	for _, a := range asset.All {
		s.Changes[a.String()] = 0
		s.HeldMinutes[a.String()] = map[string]int{noSignal: 0}
		for _, p := range signals.Playbooks {
			s.HeldMinutes[a.String()][string(p)] = 0
		}
	}
	return s
}

// add counts one boundary.
func (s *replaySummary) add(r engine.Replayed) {
	s.Boundaries++
	s.Outcomes[r.Outcome]++
	if r.Lost > 0 {
		s.Incomplete++
	}
	for _, check := range r.Checks {
		s.Closures[check.Check]++
	}
	if r.Outcome == engine.Blocked {
		for _, reason := range r.Reasons {
			s.BlockedBy[reason]++
		}
	}
	s.Rows += len(r.Rows)
	for _, a := range asset.All {
		held := noSignal
		if i := slices.IndexFunc(r.Rows, func(row engine.Row) bool { return row.Asset == a.String() }); i >= 0 {
			held = r.Rows[i].AllowedPlaybook
			if r.Rows[i].IsDegraded {
				s.Degraded++
			}
		}
		s.HeldMinutes[a.String()][held] += int(signals.Period / time.Minute)
		if was, ok := s.last[a.String()]; ok && was != held {
			s.Changes[a.String()]++
		}
		s.last[a.String()] = held
	}
}

// Run recomputes a range.
func (c *signalsReplay) Run(ctx context.Context, logger *slog.Logger) error {
	pool, now, err := openSignals(ctx, c.DatabaseURL)
	if err != nil {
		return err
	}
	defer pool.Close()
	// A boundary later than this may still be waiting for its snapshot, and before
	// the first run there is nothing to replay.
	due := now.Add(-engine.Deadline).UTC()
	var oldest time.Time
	if err := pool.QueryRow(ctx, "SELECT coalesce(min(timestamp), $1) FROM ingest_runs", due).Scan(&oldest); err != nil {
		return fmt.Errorf("look for the oldest run: %w", err)
	}
	from, to, err := c.within(due.Add(-signals.History), due)
	if err != nil {
		return err
	}
	if to.After(due) {
		to = due
	}
	if from.Before(oldest) {
		from = oldest.UTC()
	}
	alerts, err := replay.New(ctx, pool, from, to)
	if err != nil {
		return err
	}
	sum := newReplaySummary(from, to)
	p := newPrinter(os.Stdout, c.JSON)
	progress := newProgress(os.Stderr, logger, "replaying")
	err = engine.Replay(ctx, pool, from, to, func(r engine.Replayed) error {
		progress.report(int(r.Boundary.Sub(from)/time.Second), int(to.Sub(from)/time.Second))
		sum.add(r)
		if err := decide(alerts, r); err != nil {
			return err
		}
		if r.Outcome != engine.Computed {
			return p.noRows(r)
		}
		for _, row := range r.Rows {
			if err := p.row(row); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	progress.done("boundaries", sum.Boundaries)
	sum.Tally = alerts.Tally()
	return p.replayed(sum)
}

// decide has the alerts of a boundary decided.
func decide(alerts *replay.Player, r engine.Replayed) error {
	b := replay.Boundary{At: r.Boundary, Computed: r.Outcome == engine.Computed, Health: r.Health}
	for _, row := range r.Rows {
		s, err := row.Decision()
		if err != nil {
			return err
		}
		b.Signals = append(b.Signals, s)
	}
	alerts.Step(b)
	return nil
}

// noRows says why a boundary has no signals; programs find it in the summary.
func (p printer) noRows(r engine.Replayed) error {
	if p.json != nil {
		return nil
	}
	_, err := fmt.Fprintf(p.out, "%s  %s: %s\n", r.Boundary.Format(time.RFC3339), r.Outcome, strings.Join(r.Reasons, ", "))
	return err
}

func (p printer) replayed(s *replaySummary) error {
	if p.json != nil {
		return p.json.Encode(s)
	}
	t := tabwriter.NewWriter(p.out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "\n%d boundaries, %s to %s: %d computed, %d blocked, %d failed; %d rows, %d degraded\n", s.Boundaries,
		s.From.Format(time.RFC3339), s.To.Format(time.RFC3339), s.Outcomes[engine.Computed], s.Outcomes[engine.Blocked], s.Outcomes[engine.Failed], s.Rows, s.Degraded)
	fmt.Fprint(t, "\nplaybook")
	for _, a := range asset.All {
		fmt.Fprintf(t, "\t%s", a)
	}
	held := append([]signals.Playbook{}, signals.Playbooks...)
	for _, playbook := range append(held, noSignal) {
		fmt.Fprintf(t, "\n%s", playbook)
		for _, a := range asset.All {
			minutes := s.HeldMinutes[a.String()][string(playbook)]
			share := 0.0
			if s.Boundaries > 0 {
				share = 100 * float64(minutes) / float64(s.Boundaries*int(signals.Period/time.Minute))
			}
			fmt.Fprintf(t, "\t%s (%.1f %%)", time.Duration(minutes)*time.Minute, share)
		}
	}
	fmt.Fprint(t, "\nchanges")
	for _, a := range asset.All {
		fmt.Fprintf(t, "\t%d", s.Changes[a.String()])
	}
	fmt.Fprint(t, "\n\ngate\tclosed\n")
	for _, gate := range signals.Gates {
		fmt.Fprintf(t, "%s\t%d\n", gate, s.Closures[gate])
	}
	for _, reason := range slices.Sorted(maps.Keys(s.BlockedBy)) {
		fmt.Fprintf(t, "G0 by %s\t%d\n", reason, s.BlockedBy[reason])
	}
	writeAlerts(t, s.Tally)
	if s.Incomplete > 0 {
		fmt.Fprintf(t, "\nIn %d boundaries snapshots of the day before are gone: what they say is not what was said then.\n", s.Incomplete)
	}
	return t.Flush()
}
