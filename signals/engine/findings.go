package engine

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/whalegate/whalegate/internal/postgres"
	"github.com/whalegate/whalegate/internal/qa"
	"github.com/whalegate/whalegate/internal/qa/check"
	"github.com/whalegate/whalegate/signals"
)

// Kind is what was done to the stored signals, or to what they stand on.
type Kind string

// The kinds.
const (
	Edited        Kind = "edited"         // a stored row is not what the stored inputs give
	Deleted       Kind = "deleted"        // a row is gone that its cycle, or an alert, stands on
	Added         Kind = "added"          // a row is there that no cycle wrote
	CyclesDeleted Kind = "cycles_deleted" // the record of a boundary is gone
	RunsDeleted   Kind = "runs_deleted"   // minutes that a signal was computed from have no run
)

// Clean is the subject of the report that nothing differs any more.
const Clean = "clean"

// Kinds lists every kind.
var Kinds = []Kind{Edited, Deleted, Added, CyclesDeleted, RunsDeleted}

// findings are instants by kind: boundaries, and of runs their minutes.
type findings map[Kind]map[time.Time]bool

func (f findings) add(k Kind, t time.Time) {
	if f[k] == nil {
		f[k] = map[time.Time]bool{}
	}
	f[k][t.UTC()] = true
}

// times lists the instants of a kind, oldest first.
func (f findings) times(k Kind) []time.Time {
	return slices.SortedFunc(maps.Keys(f[k]), time.Time.Compare)
}

// verdict is what came of computing a boundary again.
type verdict struct {
	kinds        []Kind    // none: every row is what the inputs give
	unverifiable bool      // its inputs have gone, or were changed as people may
	began        time.Time // of the pass that looked
}

// kindsOf tells what differences amount to.
func kindsOf(differences []Difference) (kinds []Kind) {
	for _, d := range differences {
		kind := Edited
		switch {
		case d.Stored == "none" && (d.Column == "(row)" || d.Column == "signal_contributors" || d.Column == "signal_positioning"):
			kind = Deleted
		case d.Column == "(row)":
			kind = Added
		}
		if !slices.Contains(kinds, kind) {
			kinds = append(kinds, kind)
		}
	}
	return kinds
}

// unrecorded is the trace of a row whose boundary has no record.
const unrecorded Kind = "unrecorded"

// conclude puts together what the records say and what came of computing again. A
// boundary that stands on deleted runs cannot be computed again, so it is not said to be
// edited as well; what is there without the record of its cycle was added, unless the
// inputs give it.
func conclude(traces findings, verdicts map[time.Time]verdict) findings {
	found := findings{}
	for _, kind := range Kinds {
		for t := range traces[kind] {
			found.add(kind, t)
		}
	}
	for t, v := range verdicts {
		if len(v.kinds) > 0 && !traces[unrecorded][t] && !standsOn(t, traces[RunsDeleted]) {
			for _, kind := range v.kinds {
				found.add(kind, t)
			}
		}
	}
	for t := range traces[unrecorded] {
		if len(verdicts[t].kinds) > 0 {
			found.add(Added, t)
		} else {
			found.add(CyclesDeleted, t)
		}
	}
	return found
}

// standsOn tells whether one of the minutes is in the history of a boundary.
func standsOn(t time.Time, minutes map[time.Time]bool) bool {
	for m := range minutes {
		if !m.After(t) && m.After(t.Add(-signals.History-signals.Period)) {
			return true
		}
	}
	return false
}

// selectTraces reads what the records of boundaries from one to another say of rows that
// are not there, or should not be. A boundary that was superseded was moved with its rows,
// so nothing is left of it here. $3 are boundaries that the process has recorded itself;
// of those before the database last came back without minutes nothing can be said.
//
// A run that failed, ended late or was superseded has a row all the same, and what is old
// enough to be pruned is not looked at: a minute without any was deleted.
const selectTraces = `
	SELECT 'deleted', c.timestamp
	FROM signal_cycles c, unnest('{HYPE,BTC,ETH}'::text[]) a
	WHERE c.outcome = 'computed' AND c.timestamp BETWEEN $1 AND $2 AND a <> ALL (c.skipped)
		AND NOT EXISTS (SELECT FROM signals s WHERE s.timestamp = c.timestamp AND s.asset = a)
	UNION
	SELECT 'deleted', a.timestamp
	FROM alerts a
	WHERE a.asset <> 'SYSTEM' AND NOT a.superseded AND a.timestamp BETWEEN $1 AND $2
		AND NOT EXISTS (SELECT FROM signals s WHERE s.timestamp = a.timestamp AND s.asset = a.asset)
	UNION
	SELECT CASE WHEN c.timestamp IS NULL THEN 'unrecorded' ELSE 'added' END, s.timestamp
	FROM signals s LEFT JOIN signal_cycles c USING (timestamp)
	WHERE s.timestamp BETWEEN $1 AND $2 AND (c.outcome = 'computed' AND s.asset <> ALL (c.skipped)) IS NOT TRUE
	UNION
	SELECT 'cycles_deleted', r
	FROM unnest($3::timestamptz[]) r
	WHERE r BETWEEN $1 AND $2
		AND NOT EXISTS (SELECT FROM signal_cycles c WHERE c.timestamp = r)
		AND NOT EXISTS (SELECT FROM superseded_boundaries b WHERE b.timestamp = r)
		AND NOT EXISTS (SELECT FROM qa_events q WHERE q.check_id = 'lost' AND q.last_ts >= r)
	UNION
	SELECT 'runs_deleted', m
	FROM (
		SELECT s.timestamp, bool_and(coalesce('few_snapshots' = ANY (string_to_array(s.degraded_reason, ', ')), false)) AS few
		FROM signals s JOIN signal_cycles c USING (timestamp)
		WHERE s.timestamp BETWEEN $1 AND $2 AND c.outcome = 'computed'
		GROUP BY s.timestamp
	) t, LATERAL (
		SELECT array_agg(m) AS gone
		FROM generate_series(t.timestamp - interval '4 minutes', t.timestamp, interval '1 minute') m
		WHERE NOT EXISTS (SELECT FROM ingest_runs r WHERE r.timestamp = m)
	) w, unnest(w.gone) m
	WHERE cardinality(w.gone) > CASE WHEN t.few THEN 1 ELSE 0 END`

func readTraces(ctx context.Context, tx pgx.Tx, from, to time.Time, recorded []time.Time) (findings, error) {
	ctx, cancel := postgres.Reading(ctx)
	defer cancel()
	traces := findings{}
	rows, err := tx.Query(ctx, selectTraces, from, to, recorded)
	if err != nil {
		return nil, postgres.Because(ctx, "look for deleted rows", err)
	}
	var kind Kind
	var at time.Time
	_, err = pgx.ForEachRow(rows, []any{&kind, &at}, func() error {
		traces.add(kind, at)
		return nil
	})
	return traces, postgres.Because(ctx, "look for deleted rows", err)
}

// selectMarked tells whether rows of the history of a boundary were marked by hand, or
// marks of the collapse check were taken back. People may do that (docs/signals.md).
const selectMarked = `
	SELECT EXISTS (
			SELECT FROM wallet_snapshots
			WHERE timestamp > $1 AND timestamp <= $2 AND is_dirty AND dirty_reason IS DISTINCT FROM 'transient_collapse')
		OR EXISTS (
			SELECT FROM wallet_snapshots
			WHERE timestamp > $1 AND timestamp <= $2 AND NOT is_dirty AND dirty_reason IS NOT NULL)
		OR EXISTS (
			SELECT FROM snapshot_anomalies a JOIN wallet_snapshots w ON w.timestamp = a.snapshot_ts AND w.wallet_id = a.wallet_id AND w.asset = a.asset
			WHERE a.snapshot_ts > $1 AND a.snapshot_ts <= $2 AND a.anomaly_type = 'transient_collapse' AND NOT w.is_dirty)`

// markedByHand tells whether a boundary stands on rows whose marks people have changed.
func markedByHand(ctx context.Context, tx pgx.Tx, t time.Time) (marked bool, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, loadTimeout, errLoadTimeout)
	defer cancel()
	err = tx.QueryRow(ctx, selectMarked, t.Add(-signals.History-signals.Period), t).Scan(&marked)
	return marked, postgres.Because(ctx, "look for marks by hand", err)
}

// eventOf is the failed check of a kind: when, and never what.
func eventOf(kind Kind, times []time.Time) qa.Event {
	const most = 300 // more than a day has boundaries
	list := make([]string, 0, len(times))
	for _, t := range times[:min(most, len(times))] {
		list = append(list, t.Format(time.RFC3339))
	}
	return qa.Event{
		Check: check.Audit, Severity: "error", Subject: string(kind), Action: "nothing was changed",
		Details: map[string]any{"count": len(times), "times": list},
	}
}
