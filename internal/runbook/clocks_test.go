package runbook

import (
	"slices"
	"strings"
	"testing"
	"time"

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
		{"all agree", 0, new(time.Duration(0)), "every clock that could be asked agrees, and stored runs are up to 14m55s later than now: either the clock was ahead when they were stored, or it was set back since, by about 20m0s"},
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
		{"a locked table", func(f *Facts) { f.Database.Unreadable[partRuns], f.Stored.Runs = locked, nil }, "a table is locked", showSessions},
		{"a full disk", func(f *Facts) { f.Database.WriteError = full }, "no room", "whalegate prune"},
		{"a full disk, met by the service", func(f *Facts) {
			f.storm(2, 200, "disk_full")
			f.Stored.Runs[0].Error = "S8: not written: " + full
		}, "no room", "whalegate prune"},
		{"a minute that was not written", func(f *Facts) {
			f.storm(2, 200, "database")
			f.Stored.Runs[0].Error = "nicht geschrieben: " + locked
		}, "minutes could not be written", showSessions},
		{"no connection for the service", func(f *Facts) { f.Service.Ready, f.Service.NotReady = false, crowd }, "the service cannot use the database", liftLimit},
		{"no universe", func(f *Facts) {
			f.Stored.Universe = Universe{}
			f.Stored.Runs = []Run{{Timestamp: minute(0), Status: "failed", Check: "S2", Error: "kein Universum"}}
			f.state(health.Stale, "run_failed")
		}, "universe", ""},
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
