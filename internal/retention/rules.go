package retention

import (
	"fmt"
	"time"
)

// Day is the unit in which things are kept: UTC days, as the partitions are.
const Day = 24 * time.Hour

// Snapshots is how long snapshots are kept, and the shortest time of all.
const Snapshots = 7 * Day

// snapshots is the table whose days go whole.
const snapshots = "wallet_snapshots"

// rule says which rows of a table may go.
type rule struct {
	table string
	kept  time.Duration // at least, and when nothing else is asked for
	more  time.Duration // on top, also when everything is kept longer
	old   string        // condition on t; $1 is the instant before which things are old
	batch int           // rows a transaction, where the usual number would take long
}

// The universe that was in force when the time that is kept began: signals of
// that time are judged by it.
const oldUniverse = `
	(SELECT u.as_of_ts FROM wallet_universe_runs u
	WHERE u.status = 'success' AND u.as_of_ts + u.duration_ms * interval '1 millisecond' <= $1
	ORDER BY u.as_of_ts DESC, u.run_id DESC LIMIT 1)`

// An alert that is over: not active, and nobody has still to be told.
const oldAlert = `
	a.timestamp < $1 AND coalesce(a.resolved_at, a.timestamp) < $1
	AND NOT EXISTS (SELECT FROM alert_state s WHERE s.active_alert_id = a.id)
	AND NOT EXISTS (SELECT FROM alert_deliveries d WHERE d.alert_id = a.id AND d.state IN ('pending', 'unknown'))`

// The runs that health was judged by when the time that is kept began, whenever
// they were: it looks back to the last two clean minutes that came in time, to the
// last success and to the newest run. So it says the same of every instant since.
const judgedBy = `
	coalesce(
		(SELECT b.timestamp FROM ingest_runs r JOIN ingest_runs b ON b.timestamp = r.timestamp - interval '1 minute'
		WHERE r.is_clean AND b.is_clean AND NOT r.superseded AND NOT b.superseded AND greatest(r.finished_at, b.finished_at) <= least(r.timestamp, r.finished_at) + interval '2 minutes' AND null_share_reasons(r, 60) = '{}'
			AND r.timestamp < $1 AND greatest(r.finished_at, b.finished_at) < $1
		ORDER BY r.timestamp DESC LIMIT 1),
		(SELECT max(r.timestamp) FROM ingest_runs r WHERE r.timestamp < $1 AND r.finished_at < $1 AND r.status <> 'failed' AND NOT r.superseded),
		(SELECT max(r.timestamp) FROM ingest_runs r WHERE r.timestamp < $1 AND r.finished_at < $1 AND NOT r.superseded))`

// rules lists the tables whose rows go one by one, in this order: what refers to
// other rows goes before them, so that every row is counted where it stands.
//
// Runs are kept two days longer than the signals and snapshots that they tell
// of. The audit knows from the runs of the day before a boundary that its
// snapshots are gone; without those runs it would take what it cannot check for
// wrong.
//
// Not in the list, because they do not grow or are the record of what people
// did: the universe in force and its accounts, alert_state, halts, alert_pauses,
// schema_migrations.
var rules = []rule{
	{table: "signal_contributors", kept: 30 * Day, old: "t.timestamp < $1"},
	{table: "signal_positioning", kept: 30 * Day, old: "t.timestamp < $1"},
	{table: "signals", kept: 30 * Day, old: "t.timestamp < $1"},
	{table: "signal_cycles", kept: 30 * Day, old: "t.timestamp < $1"},
	{table: "superseded_boundaries", kept: 30 * Day, old: "greatest(t.timestamp, t.superseded_at) < $1"},
	{table: "snapshot_anomalies", kept: 30 * Day, old: "t.snapshot_ts < $1"},
	{table: "wallet_universe_members", kept: 30 * Day, old: "t.run_id IN (SELECT r.run_id FROM wallet_universe_runs r WHERE r.as_of_ts < " + oldUniverse + ")"},
	// For each of these the server looks for members, among those that have just been removed.
	{table: "wallet_universe_runs", kept: 30 * Day, old: "t.as_of_ts < " + oldUniverse, batch: 10},
	{table: "qa_events", kept: 30 * Day, old: "t.last_ts < $1"},
	{table: "health_transitions", kept: 90 * Day, old: "t.ts < $1"},
	{table: "alert_deliveries", kept: 90 * Day, old: `
		CASE WHEN t.alert_id IS NULL THEN t.created_at < $1 AND t.state NOT IN ('pending', 'unknown')
		ELSE t.alert_id IN (SELECT a.id FROM alerts a WHERE ` + oldAlert + `) END`},
	{table: "alerts", kept: 90 * Day, old: "t.id IN (SELECT a.id FROM alerts a WHERE " + oldAlert + ")"},
	{table: "prune_runs", kept: 90 * Day, old: "t.finished_at < $1"},
	{table: "ingest_runs", kept: 30 * Day, more: 2 * Day, old: "t.timestamp < " + judgedBy + " - interval '10 minutes'"},
}

// Check refuses a time that is shorter than anything may be kept.
func Check(olderThan time.Duration) error {
	if olderThan < Snapshots {
		return fmt.Errorf("older than %s: %dd or more is right, because snapshots are kept that long", text(olderThan), Snapshots/Day)
	}
	return nil
}

// text is a duration in days where it is whole ones.
func text(d time.Duration) string {
	if d%Day == 0 {
		return fmt.Sprintf("%dd", d/Day)
	}
	return d.String()
}

// before is the instant before which things are old that are kept for so long: a
// midnight, so that every table ends with the same day.
func before(now time.Time, kept time.Duration) time.Time { return now.UTC().Add(-kept).Truncate(Day) }

// before is the rule's instant when everything is kept for at least olderThan.
func (r rule) before(now time.Time, olderThan time.Duration) time.Time {
	return before(now, max(r.kept, olderThan)+r.more)
}
