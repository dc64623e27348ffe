package runbook

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/whalegate/whalegate/internal/health"
	"github.com/whalegate/whalegate/internal/qa/check"
	"github.com/whalegate/whalegate/internal/threshold"
)

// agreeWithin is how far two clocks may be apart and still agree, and how late a run
// may have been stored by the clock that judges.
const agreeWithin = 5 * time.Second

// Clocks is what is stored of clocks that were wrong.
type Clocks struct {
	Refused    *Refusal      // minutes are refused; nil: none is
	Settled    *Refusal      // the last stretch that is over; nil: there was none
	Newest     *time.Time    // minute of the newest run that counts
	Ahead      time.Duration // by how much the last of them, or its end, is later than the database's present; negative: earlier
	Superseded []time.Time   // minutes of the last hour whose run does not count
	Dark       *time.Time    // when the state was last STALE for a clock; nil: not within an hour
}

// Refusal is a row of clock_refusals: minutes that the clock had shown before.
type Refusal struct {
	First, Last time.Time // minutes
	Newest      time.Time // the newest run when the first was refused
	At          time.Time // when that was
	Times       int
	SettledAt   *time.Time
	SettledBy   string
	Reason      string
	Runs        int // that were superseded
}

// ahead is by how much stored runs are later than the database's present; 0 when
// none is.
func (f *Facts) ahead() time.Duration {
	if f.Stored.Clocks.Ahead <= agreeWithin {
		return 0
	}
	return f.Stored.Clocks.Ahead
}

// How long after the last minute of a gap its evidence may be dated: a check that
// refused a minute reports within it, and what the first good minute after it sets
// aside is reported with that one.
const (
	refusedWithin = 90 * time.Second
	settledWithin = 3 * time.Minute
)

// clockIn lists what says that a clock was wrong about the minutes from one time to
// another, and which one as far as that is known: their runs do not count, they were
// refused, or a failed check or a settled refusal is of that time. None: nothing does.
func (f *Facts) clockIn(from, to time.Time) (which []string) {
	within := func(t time.Time, late time.Duration) bool { return !t.Before(from) && t.Before(to.Add(late)) }
	checked := func(id string, late time.Duration) bool {
		return slices.ContainsFunc(f.Stored.Checks, func(c Check) bool { return c.ID == id && within(c.Last, late) })
	}
	c := f.Stored.Clocks
	var back, aside bool
	for _, r := range []*Refusal{c.Refused, c.Settled} {
		if r == nil {
			continue
		}
		ended := r.SettledAt != nil && within(*r.SettledAt, settledWithin)
		back = back || r.Times > 0 && (ended || !r.First.After(to) && !r.Last.Before(from))
		byHand := r.SettledBy != "a later minute" // which settles only what it sets aside
		aside = aside || r.Times == 0 && ended && (r.Runs > 0 || !byHand)
	}
	if checked("S1", refusedWithin) {
		// The check has the collector's date: that clock agrees with the runs around.
		which = append(which, "the database's was not the collector's, whose dates agree with the runs before and after")
	}
	if checked(check.ClockJump, refusedWithin) {
		which = append(which, "the collector's went ahead at once: it was set, or its machine slept")
	}
	if back || checked(check.ClockBack, refusedWithin) {
		which = append(which, "the database's and the collector's went back together, and showed minutes again")
	}
	if aside || checked(check.Superseded, settledWithin) {
		which = append(which, "one was ahead when it dated runs later, or is behind now: those runs were set aside")
	}
	if len(which) == 0 && slices.ContainsFunc(c.Superseded, func(m time.Time) bool { return within(m, time.Minute) }) {
		which = append(which, "one that wrote runs which do not count any more")
	}
	return which
}

// clockWas is the finding for a clock that was wrong within the time that is looked at,
// and is right again, whatever has become of its minutes since: they are missing, stored
// as failed by whoever leads now, or taken again.
func (f *Facts) clockWas() *Finding {
	c, at := f.broke()
	if len(f.Stored.Runs) == 0 || c != nothing && !f.over() {
		return nil
	}
	if c == ofClock && at.Check == "S1" {
		return f.serviceClockWas(at)
	}
	from, to := f.at().Add(-lookBack), f.at()
	if c == ofClock && !at.Timestamp.IsZero() {
		from, to = f.gapAfter(at)
	}
	known := f.clockIn(from, to)
	if dark := f.Stored.Clocks.Dark; len(known) == 0 && dark != nil && f.at().Sub(*dark) <= lookBack {
		known = append(known, "the state was STALE for one at "+stamp(*dark))
	}
	if len(known) == 0 {
		return f.spareClock()
	}
	found := database.found(P3, "a clock was wrong, and that is over: %s", strings.Join(known, "; "))
	if f.jumped() {
		found.Summary = fmt.Sprintf("a clock went ahead at once: it is right now, or it is wrong now: %s", strings.Join(known, "; "))
		found.do("compare it with one that is surely right", rightTime)
	}
	if missing := f.without(min(f.at().Sub(from)+2*time.Minute, lookBack)); len(missing) > 0 {
		found.figure("missing", "%d minutes, from %s to %s", len(missing), stamp(missing[0]), stamp(missing[len(missing)-1]))
	}
	found.clocks(f)
	found.clockChecks(f)
	found.do("find out why it moved, and whether it is kept right now: compare the clocks of every machine", showClocks)
	found.do("nothing has to be started again; see what was refused, and who settled it", showRefusals)
	return found
}

// spareClock is the finding for a collector that waits, and whose clock is wrong: nothing
// of it shows until it leads.
func (f *Facts) spareClock() *Finding {
	ahead := f.Service.ClockAhead
	if !f.Service.waits() || ahead == nil || (*ahead-f.Database.ClockAhead).Abs() <= threshold.ClockSkew {
		return nil
	}
	found := database.found(P3, "a clock is wrong: %s; that collector waits, and no minute of it would count if it led", f.apart())
	found.clocks(f)
	found.do("put it right before it has to lead", showClocks)
	found.do("to see which that is, compare them with one that is surely right", rightTime)
	return found
}

// without lists the minutes within d, up to the newest run, that no run counts for: they
// are missing, or nobody asked in them. Those whose runs are kept as superseded are not.
func (f *Facts) without(d time.Duration) (minutes []time.Time) {
	runs := slices.Backward(f.Stored.Runs)
	var last time.Time
	for _, r := range runs {
		if f.at().Sub(r.Timestamp) > d {
			last = r.Timestamp
			continue
		}
		for m := last.Add(time.Minute); !last.IsZero() && m.Before(r.Timestamp); m = m.Add(time.Minute) {
			if !slices.ContainsFunc(f.Stored.Clocks.Superseded, m.Equal) {
				minutes = append(minutes, m)
			}
		}
		if r.Check == "skipped" {
			minutes = append(minutes, r.Timestamp)
		}
		last = r.Timestamp
	}
	return minutes
}

// serviceClockWas is the finding for minutes that failed because the collector's clock
// was not the database's, the last of them at, and that is over. Such a run is stored at
// the database's minute: where it stands between others, that clock fits them.
func (f *Facts) serviceClockWas(at Run) *Finding {
	failed, first := 0, at
	for _, r := range f.Stored.Runs {
		if r.Check == "S1" && f.at().Sub(r.Timestamp) <= time.Hour {
			failed, first = failed+1, r
		}
	}
	found := database.found(P3, "minutes failed because the collector's clock was wrong, and that is over: the database's fits the runs before and after")
	found.figure("failed", "%d minutes within the last hour, from %s to %s", failed, stamp(first.Timestamp), stamp(at.Timestamp))
	found.rows("run", []string{at.text()})
	found.clocks(f)
	found.clockChecks(f)
	found.do("find out why it moved, and whether it is kept right now: compare the clocks of every machine", showClocks)
	found.do("a clock that is surely right, to compare with", rightTime)
	return found
}

const showRefusals = `psql "$DATABASE_URL" -c "SELECT * FROM clock_refusals ORDER BY id DESC LIMIT 5"`

// jumped tells that the collector's clock went ahead at once within the time that is
// looked at: nothing but another clock tells whether it is right since, or wrong.
func (f *Facts) jumped() bool {
	return slices.ContainsFunc(f.Stored.Checks, func(c Check) bool {
		age := f.at().Sub(c.Last)
		return c.ID == check.ClockJump && -time.Minute <= age && age <= lookBack // one dated later was wrong, and that is over
	})
}

// clockChecks adds the failed checks that are about clocks.
func (f *Finding) clockChecks(facts *Facts) {
	var rows []string
	for _, c := range facts.Stored.Checks {
		if slices.Contains([]string{"S1", check.ClockBack, check.ClockJump, check.Superseded}, c.ID) && len(rows) < 5 {
			rows = append(rows, oneLine(fmt.Sprintf("%s, %d times, last %s: %s", c.ID, c.Times, stamp(c.Last), cmp.Or(c.Error, c.Action))))
		}
	}
	f.rows("failed checks of clocks", rows)
}

// wrongClock is the finding for a clock that is wrong, or was until just now.
func (f *Facts) wrongClock() *Finding {
	c, at := f.broke()
	dark := f.because(health.ReasonClockSkew, health.ReasonClockBack)
	apart := f.Database.ClockAhead.Abs() > threshold.ClockSkew
	waits := c == ofClock && !dark && f.unfollowed(at)
	if !dark && !apart && !waits && (c != ofClock || f.over()) {
		return nil
	}
	which, ahead := f.apart(), f.ahead()
	var found *Finding
	switch {
	case which != "":
		found = database.found(f.worst(P2), "a clock is wrong: %s", which)
		found.do(which+": put the wrong one right", showClocks)
		found.do("to see which that is, compare them with one that is surely right", rightTime)
		if ahead > 0 {
			found.do("if the database's present clock is right: say so; the later runs are superseded", acceptClock)
		}
	case ahead > 0:
		by := f.setBack(ahead)
		found = database.found(f.worst(P2), "every clock that could be asked agrees, and stored runs are up to %s later than now: either the clock was ahead when they were stored, or it was set back since, by about %s", ago(ahead), ago(by))
		found.do("compare the present clock with one that is surely right", rightTime)
		found.do(fmt.Sprintf("if the present clock (%s) is wrong: set it by that one (forward, by about %s as far as the minutes tell); nothing else has to be done", stamp(f.at()), ago(by)), showClocks)
		found.do("if the present clock is right: say so; the later runs are superseded, and its minutes are taken again", acceptClock)
	case dark || waits:
		found = database.found(f.worst(P2), "a clock was wrong; it is right again, and the next minute that is taken ends it")
	case at.Check == "S1" && !f.Stored.Runs[0].Clean:
		found = database.found(f.worst(P2), "a clock is wrong: the collector's is not the database's, and minutes are refused for it; which one it is cannot be told from here")
		found.do("compare the clocks of every machine, and put the wrong one right", showClocks)
		found.do("a clock that is surely right, to compare with", rightTime)
	case f.jumped():
		found = database.found(f.worst(P2), "a clock went ahead at once: it is right now, or it is wrong now; two clean minutes are not in yet")
		found.do("compare it with one that is surely right", rightTime)
	default:
		found = database.found(f.worst(P2), "a clock was wrong; that is over, and two clean minutes are not in yet")
	}
	if c == ofClock && at.Check != "" {
		found.rows("run", []string{at.text()})
	}
	if c == ofClock && !dark {
		if known := f.clockIn(f.gapAfter(at)); len(known) > 0 {
			found.figure("which clock", "%s", strings.Join(known, "; "))
		}
	}
	found.clocks(f)
	if ahead > 0 {
		found.waitForClock(f, ahead)
	} else {
		found.do("wait for two clean minutes", twoCleanMinutes)
	}
	return found
}

// waitForClock adds what ends it while stored runs are later than the present, if
// nobody sets a clock or says which is right: the next good minute sets those runs
// aside, unless it is refused.
func (f *Finding) waitForClock(facts *Facts, ahead time.Duration) {
	const watch = "whalegate runbook verify database --watch && " + twoCleanMinutes
	shows := stamp(facts.at().Add(ahead))
	asked := facts.Service.ClockAhead != nil && facts.Service.Told != nil
	switch {
	case facts.Follows():
		f.do("this is a standby: ask the primary what it takes", "whalegate runbook diagnose")
	case facts.vacant():
		f.do("no collector leads, so no minute comes: start one; its first good minute ends it if the present clock is right", "sudo systemctl start whalegate")
		f.do("then wait for two clean minutes", twoCleanMinutes)
	case facts.Database.ClockAhead.Abs() > threshold.ClockSkew && !asked || asked && (*facts.Service.ClockAhead-facts.Database.ClockAhead).Abs() > threshold.ClockSkew:
		f.do("no minute is taken while the collector's clock and the database's differ: once they agree, wait for two clean minutes", twoCleanMinutes)
	case facts.Stored.Clocks.Refused != nil || facts.shown():
		f.do("or wait: minutes that the clock has shown before are refused, and are taken again at the latest once the database's clock shows "+shows, watch)
	case ahead < lookedBack && facts.led():
		f.do("or wait: a collector leads, and its next good minute ends it", watch)
	default:
		f.do("or wait for the next minute: if it is taken, that ends it; if it is refused (clock_back), minutes are taken again at the latest once the database's clock shows "+shows, watch)
	}
}

// lookedBack is how far the runs reach back that were read, at one a minute.
const lookedBack = 60 * time.Minute

// shown tells that the present minute, or the next one, is stored already: it is
// refused when it comes again.
func (f *Facts) shown() bool {
	present := f.at().Truncate(time.Minute)
	return slices.ContainsFunc(f.Stored.Runs, func(r Run) bool {
		return r.Timestamp.Equal(present) && f.at().Before(r.Finished) || r.Timestamp.Equal(present.Add(time.Minute))
	})
}

const (
	showClocks  = `timedatectl; psql "$DATABASE_URL" -c "SELECT now(), (SELECT max(timestamp) FROM ingest_runs WHERE NOT superseded) AS newest_run"`
	rightTime   = `date -u; psql "$DATABASE_URL" -c "SELECT now()"; curl -sSI "${WHALEGATE_API_URL:-https://api.hyperliquid.xyz}" | grep -i '^date:'`
	acceptClock = `whalegate clock accept --reason "…"`
)

// setBack is how far the clock went back if it did: when the first minute was refused it
// would have shown the minute after the newest run. Without a refusal it is at least as
// far as stored runs are ahead. Minutes that passed between without a run make it more.
func (f *Facts) setBack(ahead time.Duration) time.Duration {
	if r := f.Stored.Clocks.Refused; r != nil {
		return max(ahead, r.Newest.Add(time.Minute).Sub(r.At).Round(time.Second))
	}
	return ahead
}

// apart says which clocks differ, and by how much; "" when none does. All are held
// against this machine's.
func (f *Facts) apart() string {
	db, service := f.Database.ClockAhead, f.Service.ClockAhead
	differ := func(a, b time.Duration) bool { return (a - b).Abs() > agreeWithin }
	switch {
	case service == nil || f.Service.Told == nil:
		if differ(db, 0) {
			return "the database's is " + beside(db) + " this machine's"
		}
	case differ(*service, db) && !differ(db, 0):
		return "the service's is " + beside(*service-db) + " the database's and this machine's"
	case differ(*service, db) && !differ(*service, 0):
		return "the database's is " + beside(db) + " the service's and this machine's"
	case differ(*service, db):
		return "the database's is " + beside(db) + " this machine's, and the service's is " + beside(*service) + " it"
	case differ(db, 0):
		return "the database's and the service's agree, and are " + beside(db) + " this machine's"
	}
	return ""
}

// beside says how a clock stands beside another one.
func beside(d time.Duration) string {
	if d < 0 {
		return ago(-d) + " behind"
	}
	return ago(d) + " ahead of"
}

// clocks adds what is known of each clock, and what came of it.
func (f *Finding) clocks(facts *Facts) {
	stored := facts.Stored.Clocks
	f.figure("the database's clock", "%s", stamp(facts.at()))
	f.figure("beside this machine's", "%s", agrees(facts.Database.ClockAhead))
	if ahead := facts.Service.ClockAhead; ahead != nil {
		f.figure("the service's, beside this machine's", "%s", agrees(*ahead))
	}
	if stored.Newest != nil {
		f.figure("newest run", "of %s; stored runs are up to %s", stamp(*stored.Newest), laterOrEarlier(stored.Ahead))
	}
	if r := stored.Refused; r != nil {
		f.figure("minutes refused", "%d, from %s to %s, since the database's clock showed %s; the newest run was of %s then", r.Times, stamp(r.First), stamp(r.Last), stamp(r.At), stamp(r.Newest))
	}
	if r := stored.Settled; r != nil {
		f.figure("settled last", "%s", r.settled())
	}
}

func (r Refusal) settled() string {
	text := fmt.Sprintf("%s by %s, %d runs superseded", stamp(*r.SettledAt), oneLine(r.SettledBy), r.Runs)
	if r.Reason != "" {
		text += ": " + oneLine(r.Reason)
	}
	return text
}

func agrees(d time.Duration) string {
	if d.Abs() <= agreeWithin {
		return "it agrees"
	}
	if d < 0 {
		return ago(-d) + " behind"
	}
	return ago(d) + " ahead"
}

func laterOrEarlier(d time.Duration) string {
	if d > 0 {
		return ago(d) + " later than now"
	}
	return ago(-d) + " ago"
}

// clocksAgree is the criterion that the database's clock is right, as far as this
// machine's and the stored runs tell.
func (f *Facts) clocksAgree(name string) Criterion {
	c := holds(name, f.Database.ClockAhead.Abs() <= threshold.ClockSkew, "the database's beside this machine's: %s", agrees(f.Database.ClockAhead))
	if ahead := f.Service.ClockAhead; ahead != nil && ahead.Abs() > threshold.ClockSkew {
		c.Holds = false
		c.Figure += ", and the service's is " + agrees(*ahead)
	}
	if f.because(health.ReasonClockSkew) {
		c.Holds = false
		c.Figure += ", and stored runs are up to " + laterOrEarlier(f.Stored.Clocks.Ahead)
	}
	return c
}

// refusals is the criterion that no minute is refused for a clock.
func (f *Facts) refusals(name string) Criterion {
	if why := f.dark(PartClocks); why != "" {
		return unsure(name, why)
	}
	if r := f.Stored.Clocks.Refused; r != nil {
		return holds(name, false, "%d minutes, from %s to %s", r.Times, stamp(r.First), stamp(r.Last))
	}
	return holds(name, !f.because(health.ReasonClockBack), "none is")
}
