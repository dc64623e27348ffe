package runbook

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgerrcode"

	"github.com/whalegate/whalegate/internal/health"
)

// Which clock is wrong is said as far as it can be told, and by how much; the way to
// say that the present one is right is told with it.
func TestTheWrongClockIsNamed(t *testing.T) {
	for _, tt := range []struct {
		name     string
		database time.Duration  // over this machine's
		service  *time.Duration // the same; nil: not known
		says     string
	}{
		{"all agree", 0, new(time.Duration(0)), "every clock that could be asked agrees, and stored runs are up to 14m55s later than now: either the clock was ahead when they were stored, or it was set back since, by about 20m55s"},
		{"the service could not be asked", 0, nil, "every clock that could be asked agrees"},
		{"a moment apart", 4 * time.Second, new(-time.Second), "every clock that could be asked agrees"},
		{"the database's", -20 * time.Minute, new(time.Duration(0)), "the database's is 20m0s behind the service's and this machine's"},
		{"the database's, and the service could not be asked", -20 * time.Minute, nil, "the database's is 20m0s behind this machine's"},
		{"the service's", 0, new(time.Hour), "the service's is 1h0m0s ahead of the database's and this machine's"},
		{"both, or this machine's", 20 * time.Minute, new(20 * time.Minute), "the database's and the service's agree, and are 20m0s ahead of this machine's"},
		{"each another", 20 * time.Minute, new(-time.Minute), "the database's is 20m0s ahead of this machine's, and the service's is 1m0s behind it"},
	} {
		f := calm()
		f.back(20 * time.Minute)
		f.Database.ClockAhead, f.Service.ClockAhead = tt.database, tt.service
		r := Diagnose(f)
		checkReport(t, r)
		found := r.Findings[0]
		if found.Slug != "database" || found.Severity != P1 || !strings.Contains(found.Summary, tt.says) {
			t.Errorf("%s: %s %s: %s", tt.name, found.Slug, found.Severity, found.Summary)
		}
		for _, command := range []string{showClocks, acceptClock, rightTime} {
			if !slices.ContainsFunc(found.Actions, func(a Action) bool { return a.Command == command }) {
				t.Errorf("%s: nothing says %s", tt.name, command)
			}
		}
		if !slices.ContainsFunc(found.Evidence, func(e Evidence) bool {
			return e.What == "minutes refused" && strings.HasPrefix(e.Figure, "5, from 2026-03-01T11:58:00Z to 2026-03-01T12:02:00Z, since the database's clock showed 2026-03-01T11:58:05Z")
		}) {
			t.Errorf("%s: since when minutes are refused is not told: %+v", tt.name, found.Evidence)
		}
	}
}

// What ended it, and who, is told until two clean minutes are in.
func TestAClockThatIsRightAgainIsNotToBeSet(t *testing.T) {
	f := calm()
	f.settled(20)
	s := f.Stored.Clocks.Settled
	s.SettledBy, s.Reason = "ann", "compared\nwith two others"
	f.state(health.Stale, "recovering")
	found := Diagnose(f).Findings[0]
	if found.Slug != "database" || !strings.Contains(found.Summary, "that is over") || found.Actions[0].Command != twoCleanMinutes || len(found.Actions) != 1 {
		t.Errorf("%+v", found)
	}
	if !slices.ContainsFunc(found.Evidence, func(e Evidence) bool {
		return e.What == "settled last" && strings.HasSuffix(e.Figure, "by ann, 20 runs superseded: compared with two others")
	}) {
		t.Errorf("%+v", found.Evidence)
	}
}

// Which clock was wrong is told where the checks of that time tell it, and the minutes
// that are missing for it are counted.
func TestAClockThatWasWrongIsNamed(t *testing.T) {
	settled := func(times int) *Refusal {
		return &Refusal{First: minute(1), Last: minute(1), Newest: minute(8), At: minute(1), Times: times, SettledAt: new(minute(1).Add(5 * time.Second)), SettledBy: "a later minute"}
	}
	check := func(id string) []Check {
		return []Check{{ID: id, Times: 6, Last: minute(2).Add(5 * time.Second), Error: "what it said"}}
	}
	for _, tt := range []struct {
		name    string
		checks  []Check
		settled *Refusal
		says    string
	}{
		{"S1", check("S1"), nil, "that is over: the database's was not the collector's"},
		{"refused", check("clock_back"), nil, "that is over: the database's and the collector's went back together"},
		{"refused, and settled", nil, settled(6), "that is over: the database's and the collector's went back together"},
		{"ahead at once", check("clock_jump"), nil, "it is right now, or it is wrong now: the collector's went ahead at once"},
		{"ahead at once, and back", []Check{{ID: "clock_jump", Times: 1, Last: noon.Add(time.Hour)}}, settled(0), "that is over: one was ahead"},
		{"set aside", check("superseded"), nil, "that is over: one was ahead"},
		{"S1, and set aside", check("S1"), settled(0), "agree with the runs before and after; one was ahead"},
	} {
		f := calm()
		f.missed(2, 7)
		f.Stored.Checks, f.Stored.Clocks.Settled = tt.checks, tt.settled
		r := Diagnose(f)
		checkReport(t, r)
		found := r.Findings[0]
		if found.Slug != "database" || found.Severity != P3 || !strings.Contains(found.Summary, tt.says) || slices.Contains(r.Matching, "ingestion") || slices.Contains(r.Matching, "crash") {
			t.Errorf("%s: %v %s", tt.name, r.Matching, found.Summary)
		}
		if !slices.ContainsFunc(found.Evidence, func(e Evidence) bool {
			return e.What == "missing" && e.Figure == "6 minutes, from 2026-03-01T11:56:00Z to 2026-03-01T12:01:00Z"
		}) {
			t.Errorf("%s: %+v", tt.name, found.Evidence)
		}
	}
}

// A clock that was wrong does not stay wrong for as long as a halt lasts.
func TestAClockIsRightAgainDuringAHalt(t *testing.T) {
	f := calm()
	f.missed(2, 7)
	f.Stored.Checks = []Check{{ID: "S1", Times: 6, Last: minute(2).Add(5 * time.Second)}}
	f.state(health.Stale, "halted")
	r := Diagnose(f)
	if !slices.ContainsFunc(r.Findings, func(found Finding) bool {
		return found.Slug == "database" && found.Severity == P3 && strings.Contains(found.Summary, "that is over")
	}) {
		t.Errorf("%v: %+v", r.Matching, r.Findings)
	}
}

// What is said to end it does end it: nothing waits for a clock while no collector
// leads, or while the next good minute is enough.
func TestOnlyWhatEndsAClockThatWasAheadIsSaid(t *testing.T) {
	ahead := func(f *Facts, by time.Duration) {
		f.Stored.Runs = nil
		for n := range 5 { // nothing of the present
			r := good(n)
			r.Timestamp = r.Timestamp.Add(by)
			f.Stored.Runs = append(f.Stored.Runs, r)
		}
		f.Stored.Clocks = Clocks{Newest: new(minute(0).Add(by)), Ahead: by}
		f.state(health.Stale, "clock_skew")
	}
	for _, tt := range []struct {
		name        string
		fault       func(*Facts)
		says, lacks string
	}{
		{"no collector leads", func(f *Facts) { ahead(f, 59*time.Minute); f.died() }, "start one", "clock shows 2026"},
		{"one leads", func(f *Facts) { ahead(f, 59*time.Minute) }, "its next good minute ends it", "clock shows 2026"},
		{"one leads, and minutes are refused", func(f *Facts) { f.back(20 * time.Minute) }, "are refused, and are taken again at the latest once the database's clock shows 2026-03-01T12:18:05Z", "next good minute"},
		{"one leads, and the next minute is stored", func(f *Facts) { f.back(20 * time.Minute); f.Stored.Clocks.Refused = nil }, "shown before are refused", "next good minute"},
		{"so far that the runs that were read do not reach back", func(f *Facts) { ahead(f, 48*time.Hour) }, "if it is refused (clock_back)", "a collector leads"},
		{"the clocks differ", func(f *Facts) { ahead(f, 59*time.Minute); *f.Service.ClockAhead = time.Hour }, "while the collector's clock and the database's differ", "clock shows 2026"},
		{"a standby", func(f *Facts) {
			ahead(f, 59*time.Minute)
			f.Stored.Standby = &Standby{Beat: new(time.Second)}
		}, "ask the primary", "clock shows 2026"},
	} {
		f := calm()
		tt.fault(&f)
		r := Diagnose(f)
		checkReport(t, r)
		i := slices.Index(r.Matching, "database")
		if i < 0 {
			t.Errorf("%s: %v", tt.name, r.Matching)
			continue
		}
		var told []string
		for _, a := range r.Findings[i].Actions {
			told = append(told, a.Do)
		}
		if all := strings.Join(told, "\n"); !strings.Contains(all, tt.says) || strings.Contains(all, tt.lacks) {
			t.Errorf("%s: %s", tt.name, all)
		}
	}
}

// A halt says that a resume has to wait for the clocks.
func TestAHaltNamesAClockThatIsWrong(t *testing.T) {
	f := calm()
	f.back(20 * time.Minute)
	f.Stored.Halt = &health.Halt{HaltedAt: minute(6), HaltedBy: "ann", Reason: "odd"}
	f.state(health.Stale, "clock_skew", "clock_back", "halted")
	r := Diagnose(f)
	if r.Matching[0] != "halt" || r.Matching[1] != "database" || !slices.ContainsFunc(r.Findings[0].Evidence, func(e Evidence) bool { return e.What == "a clock is wrong" }) {
		t.Errorf("%v %+v", r.Matching, r.Findings[0].Evidence)
	}
}

// Who led last, since when nothing is heard of it and who waits is told wherever
// nobody leads.
func TestWhoLedIsTold(t *testing.T) {
	for name, fault := range map[string]func(*Facts){
		"crash":    func(f *Facts) { f.died() },
		"database": func(f *Facts) { f.waiting(); f.gone(time.Minute) },
		"ingestion": func(f *Facts) {
			f.gone(time.Minute)
			f.Service = Service{URL: f.Service.URL, Trouble: Hanging, Error: "no answer"}
		},
	} {
		f := calm()
		f.waiting()
		fault(&f)
		found := Diagnose(f).Findings[0]
		var told []string
		for _, e := range found.Evidence {
			told = append(told, e.What+": "+e.Figure)
		}
		if found.Slug != name || !slices.Contains(told, "who leads: nobody; the last was db1/4711 (epoch 7); waiting: db2/12") || !slices.Contains(told, "its last beat: 1m0s ago") {
			t.Errorf("%s: %s %q", name, found.Slug, told)
		}
	}
}

// What was lost, and what of it was written again, is told with every finding of the
// database.
func TestWhatWasLostIsTold(t *testing.T) {
	loss := Loss{At: noon.Add(-time.Hour), Minutes: 3, Since: "2026-03-01T11:00:00Z", Until: "2026-03-01T11:02:00Z", WrittenAgain: 2}
	for name, fault := range map[string]func(*Facts){
		"alone":            func(*Facts) {},
		"the disk is full": func(f *Facts) { *f.Stored.Storage.FreePct = 2 },
	} {
		f := calm()
		f.Stored.Lost = []Loss{loss}
		fault(&f)
		found := Diagnose(f).Findings[0]
		if !slices.ContainsFunc(found.Evidence, func(e Evidence) bool {
			return slices.Contains(e.Rows, "2026-03-01T11:03:10Z: 3 minutes from 2026-03-01T11:00:00Z to 2026-03-01T11:02:00Z; 2 were written again, 1 are stored as failed")
		}) {
			t.Errorf("%s: %+v", name, found)
		}
	}
}

// What a server says is judged by its code, in whatever language it says it.
func TestAGermanServerIsUnderstood(t *testing.T) {
	const (
		locked = "FEHLER: storniere Anfrage wegen Zeitüberschreitung der Sperre (SQLSTATE 55P03)"
		full   = "FEHLER: konnte Datei nicht erweitern: Auf dem Gerät ist kein Speicherplatz mehr verfügbar (SQLSTATE 53100)"
		crowd  = "FATAL: zu viele Verbindungen für Rolle »whalegate_writer« (SQLSTATE 53300)"
	)
	for _, tt := range []struct {
		name  string
		fault func(*Facts)
		says  string
		tells string // a command
	}{
		{"a locked table", func(f *Facts) {
			f.Database.Unreadable[PartRuns], f.Stored.Runs = Failure{pgerrcode.LockNotAvailable, locked}, nil
		}, "a table is locked", ShowSessions},
		{"a full disk", func(f *Facts) { f.Database.WriteError = Failure{pgerrcode.DiskFull, full} }, "no room", "whalegate prune"},
		{"a full disk, met by the service", func(f *Facts) {
			f.storm(2, 200, "disk_full")
			f.Stored.Runs[0].Error = "S8: not written: " + full
		}, "no room", "whalegate prune"},
		{"a minute that was not written", func(f *Facts) {
			f.storm(2, 200, "database")
			f.Stored.Runs[0].Error = "nicht geschrieben: " + locked
		}, "minutes could not be written", ShowSessions},
		{"no connection for the service", func(f *Facts) { f.Service.Ready, f.Service.NotReady = false, crowd }, "the service cannot use the database", liftLimit},
		{"no universe", func(f *Facts) {
			f.Stored.Universe = Universe{}
			f.Stored.Runs = []Run{{Timestamp: minute(0), Status: "failed", Check: "S2", Error: "kein Universum"}}
			f.state(health.Stale, "run_failed")
		}, "universe", ""},
		{"a server that only reads", func(f *Facts) {
			f.Database.WriteError = Failure{pgerrcode.ReadOnlySQLTransaction, "FEHLER: kann INSERT nicht in einer Read-only-Transaktion ausführen (SQLSTATE 25006)"}
			f.Database.ReadOnly = "configuration file"
		}, "read-only by a setting", ShowReadOnly},
		{"clocks", func(f *Facts) {
			f.Stored.Runs[0] = Run{Timestamp: minute(0), Status: "failed", Check: "S1", Error: "die Zeit ist nicht die der Datenbank"}
			f.state(health.Stale, "run_failed")
		}, "a clock is wrong", showClocks},
	} {
		f := calm()
		tt.fault(&f)
		r := Diagnose(f)
		checkReport(t, r)
		found := r.Findings[0]
		if !strings.Contains(found.Slug+" "+found.Summary, tt.says) || tt.tells != "" && !slices.ContainsFunc(found.Actions, func(a Action) bool { return a.Command == tt.tells }) {
			t.Errorf("%s: %s: %s %+v", tt.name, found.Slug, found.Summary, found.Actions)
		}
	}
}
