package lead

import (
	"slices"
	"time"
)

// watch is what a waiting collector knows of the leader, by its own monotonic clock.
type watch struct {
	looks    int
	last     seen
	at       time.Time     // of the last look that was answered; zero: none, or one since was not
	silent   time.Duration // without a beat, while our own looks were answered
	boot     float64       // seconds since boot of this look, and
	bootAt   float64       // of the last one: a machine that was suspended knows by them how long
	moved    *float64      // seconds since boot after which the last beat was written; nil: not known
	absentAt time.Time     // since when the leader's session has been seen to be gone; zero: it is there
	clock    time.Time     // what our own clock shows at this look
	seen     []witnessed   // minutes that were stored while our own clock showed them
	lost     time.Time     // the newest minute that a beat told of before the database became an older one
}

// witnessed is a minute that was stored when our own clock showed it, and when that was
// on the boot clock.
type witnessed struct {
	minute time.Time
	boot   float64
}

const (
	witnessedWithin = 2 * time.Minute // of our own clock
	witnessedFor    = 24 * time.Hour
)

// witness takes in which run the leader's beat tells of.
func (w *watch) witness(run *time.Time) {
	if run == nil || w.looks > 1 && w.last.Run != nil && w.last.Run.Equal(*run) || w.clock.Sub(*run).Abs() > witnessedWithin {
		return
	}
	// How long ago is asked of the boot clock: one that jumps by days forgets nothing.
	w.seen = slices.DeleteFunc(w.seen, func(s witnessed) bool {
		return !s.minute.Before(*run) || w.boot-s.boot > witnessedFor.Seconds()
	})
	w.seen = append(w.seen, witnessed{run.UTC(), w.boot})
}

// unanswered is a look without an answer. What happened until the next one is not
// known: it counts neither as silence nor as absence.
func (w *watch) unanswered() { w.at, w.absentAt = time.Time{}, time.Time{} }

// look takes in what was seen, and tells whether the lead may be taken: nobody is
// named, the lead was released, its session was gone twice, or its beat stood still
// for long enough.
func (w *watch) look(now time.Time, v seen, pace Pace) (vacant bool) {
	var before *float64
	if !w.at.IsZero() {
		before = new(w.bootAt)
	}
	w.looks++
	if older := v.Epoch < w.last.Epoch || v.Epoch == w.last.Epoch && v.Beats < w.last.Beats; older && w.last.Run != nil && w.last.Run.After(w.lost) {
		w.lost = w.last.Run.UTC()
	}
	w.witness(v.Run)
	same := w.looks > 1 && v.Term == w.last.Term && v.Named == w.last.Named
	switch {
	case !same:
		w.silent, w.moved = 0, nil
	case v.Beats != w.last.Beats:
		w.silent, w.moved = 0, before // it may have been written at any time since that look
	case !w.at.IsZero():
		w.silent += now.Sub(w.at)
	}
	switch {
	case v.Present:
		w.absentAt = time.Time{}
	case !same || w.absentAt.IsZero():
		w.absentAt = now
	}
	w.last, w.at, w.bootAt = v, now, w.boot
	switch {
	case !v.Named || v.PID == 0:
		return true
	case !v.Present:
		return now.Sub(w.absentAt) >= pace.Absence
	default:
		return w.silent >= pace.Silence
	}
}
