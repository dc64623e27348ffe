package test

import (
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/whalegate/whalegate/internal/health"
	"github.com/whalegate/whalegate/internal/health/watch"
)

// value reads one value.
func value[T any](w *world, sql string, args ...any) (T, error) {
	rows, err := w.db.Query(w.Context(), sql, args...)
	if err != nil {
		var none T
		return none, err
	}
	return pgx.CollectExactlyOneRow(rows, pgx.RowTo[T])
}

// get reads one value of a database that is up.
func get[T any](w *world, sql string, args ...any) T {
	w.Helper()
	v, err := value[T](w, sql, args...)
	if err != nil {
		w.Fatalf("%s: %v", sql, err)
	}
	return v
}

// awaitTrue waits until a condition in SQL holds.
func (w *world) awaitTrue(what, condition string, args ...any) {
	w.Helper()
	await(w, what, func() error {
		ok, err := value[bool](w, "SELECT "+condition, args...)
		if err == nil && !ok {
			err = fmt.Errorf("not yet: %s", condition)
		}
		return err
	})
}

// awaitHealth waits for a state with a reason, "" for any, as the view tells it.
func (w *world) awaitHealth(state health.State, reason string) health.Health {
	w.Helper()
	var h health.Health
	await(w, string(state)+" "+reason, func() (err error) {
		h, err = watch.Read(w.Context(), w.db)
		if err == nil && (h.State != state || reason != "" && !slices.Contains(h.Reasons, reason)) {
			err = fmt.Errorf("it is %s %v", h.State, h.Reasons)
		}
		return err
	})
	return h
}

// newest is the timestamp of the newest run.
func (w *world) newest() time.Time {
	w.Helper()
	return get[time.Time](w, "SELECT coalesce(max(timestamp), '2000-01-01') FROM ingest_runs")
}

// awaitRun waits for a run after a moment of which the condition is true, and
// returns its minute.
func (w *world) awaitRun(after time.Time, condition string) (minute time.Time) {
	w.Helper()
	await(w, "a run with "+condition, func() (err error) {
		minute, err = value[time.Time](w, "SELECT timestamp FROM ingest_runs WHERE timestamp > $1 AND "+condition+" ORDER BY timestamp LIMIT 1", after)
		return err
	})
	return minute
}
