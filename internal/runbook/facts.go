package runbook

import (
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgerrcode"

	"github.com/whalegate/whalegate/internal/facts"
	"github.com/whalegate/whalegate/internal/health"
)

// Facts is what could be found out, and what could not.
type Facts struct {
	Now      time.Time // by this machine's clock
	Database Database
	Service  Service
	Watchdog Watchdog
	Stored   *Stored // nil: the database could not be asked
}

// Database is how the database answered.
type Database struct {
	Address    string // without its password
	Trouble    Trouble
	Error      string             // what it said
	Unreadable map[string]Failure // parts that could not be read, and why
	RoundTrip  time.Duration      // of one question about health
	ClockAhead time.Duration      // of its clock over this machine's, beyond what the round trip explains
	WriteError Failure            // why a write, rolled back, was refused; none when it was taken
	WriteTried bool               // false: this role may not
	InRecovery bool               // it is a standby
	ReadOnly   string             // where it was set that transactions are read-only, as pg_settings names it; "": they are not
}

// Failure is why a question got no answer.
type Failure struct {
	Code string // SQLSTATE, as the server says it in whatever language; "": it was not the server who said so
	Text string // "": there is none
}

// Trouble is why the database could not be asked as it should.
type Trouble string

// What can be wrong with the database, or with how it is asked.
const (
	Unreachable   Trouble = "unreachable"        // refused, no such host, no answer, starting or stopping
	NameUnknown   Trouble = "name_unknown"       // its name does not resolve to an address
	BadURL        Trouble = "bad_url"            // not an address at all
	LoginRefused  Trouble = "login_refused"      // wrong password, no such role, not let in
	NoDatabase    Trouble = "no_such_database"   // the server is there, the database is not
	TooMany       Trouble = "too_many_sessions"  // no connection is left
	SchemaPending Trouble = "schema_pending"     // older than this program
	SchemaNewer   Trouble = "schema_newer"       // this program is older
	SchemaBroken  Trouble = "schema_broken"      // half applied, or another text
	Denied        Trouble = "permission_denied"  // a role that may not read
	Hangs         Trouble = "does_not_answer"    // connected, and no answer to a question
	ReadFailed    Trouble = "answers_with_error" // anything else that it answered
)

// AsksWrongly tells the troubles that lie with whoever asks: they say nothing of
// how the database is.
func (t Trouble) AsksWrongly() bool {
	return slices.Contains([]Trouble{BadURL, LoginRefused, NoDatabase, SchemaNewer, Denied}, t)
}

// Service is how the service's HTTP answered.
type Service struct {
	URL      string // "": it was not asked
	Trouble  ServiceTrouble
	Error    string
	Ready    bool
	NotReady string             // what /-/ready said when not
	Told     *Told              // nil: no answer
	Metrics  map[string]float64 // by series as in the exposition; nil: no answer
	Named    []string           // metrics and labels, for what must not be one
	Up       time.Duration      // since its start; 0: not known

	ClockAhead *time.Duration // of its clock over this machine's, beyond what the question explains; nil: not known

	Apart bool // it was asked before the database said what the state is, or answered after it said so again: the two may differ
}

// Told is what the service says of the state.
type Told struct {
	health.Health
	Halt     *health.Halt
	Leader   *facts.Leader   // nil: it did not say
	LastRun  *Run            // as far as it says; nil: there is none
	Signals  int             // that it shows
	Exchange *facts.Exchange // the last request that gave nothing; nil: each was answered
	Error    string          // why it could not ask the database; "": it could
}

// Watchdog is how the dead man's switch answered.
type Watchdog struct {
	URL   string // "": it was not asked
	Error string // "": it lives, and can work
}

// ServiceTrouble is why the service does not answer.
type ServiceTrouble string

// How a service can fail to answer.
const (
	Refused  ServiceTrouble = "refused"  // nobody listens: the process is gone
	Hanging  ServiceTrouble = "hangs"    // somebody listens, and does not answer
	Answered ServiceTrouble = "answered" // something else than it should
)

// unsaved counts the failed minutes that the database did not take and that wait in
// the service for it, and those of them that it had no room for. A minute that was
// skipped waits for the next one, and not for the database; who does not lead writes
// none.
func (s Service) unsaved() (all, noRoom float64) {
	if s.waits() {
		return 0, 0
	}
	for series, n := range s.Metrics {
		if strings.HasPrefix(series, UnsavedRuns+"{") && !strings.Contains(series, `"skipped"`) {
			all += n
		}
	}
	return all, s.Metrics[UnsavedRuns+`{reason="`+noRoomFor+`"}`]
}

// UnsavedRuns is the metric of the minutes that wait for the database; nobody else than the
// service has it.
const UnsavedRuns = "whalegate_runs_unsaved"

// answers tells that the process is there and at work.
func (s Service) answers() bool { return s.URL != "" && s.Trouble == "" }

// Stored is what the database holds, each part newest first.
type Stored struct {
	At       time.Time      // by the database's clock
	Health   *health.Health // nil: it could not be read
	Again    *health.Health // the same at the end of the asking
	Halt     *health.Halt
	Runs     []Run // the last 70 that count
	Universe Universe
	Cycles   []Cycle // of signals: the last 12
	Newest   []SignalTime
	Dirty    []DirtyMinute // minutes of the last half hour with several wallets dirty at once
	Rates    []DirtyRate   // of the last quarter of an hour, by asset
	Alerts   Alerts
	Board    Board
	Sessions []Session
	Prepared []Prepared // transactions that were prepared, and never ended
	Storage  Storage
	Checks   []Check       // failed checks of the last hour
	Leader   *facts.Leader // nil: it could not be read
	Led      time.Duration // since the lead was taken, as the clock of a test makes it
	Beats    int64         // of whoever leads
	Later    int64         // the same at the end of the asking
	Standby  *Standby      // nil: this is the primary
	Clocks   Clocks
	Lost     []Loss   // within a day
	DayGone  *GoneDay // within a day; nil: it was not
	Accounts *facts.Accounts
	Search   *facts.Search  // of the first start; nil: none yet
	Coins    []facts.Coin   // by asset
	Open     []OpenFailure  // failures of S11 that last
	Tampered []facts.Change // functions, views and rights that are not as the newest migration left them
	Missing  []string       // tables of ours that are not there
	Hindered []facts.Change // what was done to our tables that changes or holds up what is stored
	Audit    []AuditFinding // within the last hour and a bit: it is told hourly while it lasts
}

// Run is a row of ingest_runs.
type Run struct {
	Timestamp   time.Time
	Status      string
	Expected    int
	Failed      int
	CoveragePct float64
	Failures    map[string]int
	Error       string
	Clean       bool
	Finished    time.Time // when it was stored
	Check       string    // that failed it; "": none did
	Subject     string    // of that check: same_state, meta:BTC, …; "": it has none
}

// Universe is how the tracked wallets stand.
type Universe struct {
	Wallets   int
	Refreshes []Refresh // the last ten
}

// Refresh is a row of wallet_universe_runs.
type Refresh struct {
	AsOf      time.Time
	Status    string
	Requested int
	Received  int
	Entered   int
	Exited    int
	Warnings  int
	Error     string
	Changed   *time.Time // when the leaderboard was last seen to differ; nil: not known
	Check     string     // that refused it; "": none did
}

// Cycle is a row of signal_cycles.
type Cycle struct {
	Timestamp time.Time
	Outcome   string
	Reasons   []string
	Skipped   []string
}

// SignalTime is when an asset had its newest signal, and why that is degraded.
type SignalTime struct {
	Asset    string
	At       time.Time
	Degraded string
}

// DirtyMinute is a minute in which several wallets were dirty at once.
type DirtyMinute struct {
	At      time.Time
	Dirty   int // wallets
	Wallets int
}

// Pct is the share of the wallets, in percent.
func (m DirtyMinute) Pct() float64 { return percent(m.Dirty, m.Wallets) }

// DirtyRate is how many of an asset's rows are dirty.
type DirtyRate struct {
	Asset string
	Dirty int
	Rows  int
}

// Pct is the rate in percent.
func (r DirtyRate) Pct() float64 { return percent(r.Dirty, r.Rows) }

func percent(part, whole int) float64 {
	if whole == 0 {
		return 0
	}
	return 100 * float64(part) / float64(whole)
}

// Alerts is how the alerts of the last day went.
type Alerts struct {
	Assets     []AlertCount
	Broken     []string // alerts sent within the cooldown of the one before
	Swings     []Swing
	PausedTill *time.Time // a pause is in force
	PausedBy   string
	Failed     int           // deliveries given up within a day
	Waiting    int           // deliveries still to be made
	Oldest     time.Duration // how long the oldest of these has been due
	Queues     []Queue       // by receiver, the one that has waited longest first
}

// Queue is what waits for one receiver.
type Queue struct {
	Receiver string
	Waiting  int
	Failed   int    // given up within a day
	Error    string // what happened last, as a class: what a receiver answers may repeat the message; "": nothing did
}

// AlertCount is the behavioural alerts of an asset within 24 hours.
type AlertCount struct {
	Asset   string
	Sent    int
	Capped  int // suppressed by the daily cap
	Cooling int // suppressed by a cooldown
	Paused  int // suppressed by a pause
}

// Swing is how an asset's signals went to and fro within two hours.
type Swing struct {
	Asset     string
	Crossings int // of the exit cluster score, from above the one threshold to below the other and back
	Changes   int // of the playbook
}

// Board is what the board's views return, beside what they should.
type Board struct {
	HeaderState string
	Rows        map[string]int // of each view of the decision surface
	AsRole      bool           // they were read as the board's own role
	Open        []facts.Change // what a role of Grafana may read beside its views
}

// Session is somebody at work in the database for long, or in somebody's way.
type Session struct {
	PID       int
	User      string
	Program   string
	State     string
	For       time.Duration // of the statement, or of an idle transaction
	BlockedBy []int         // 0: a prepared transaction
	MayEnd    bool          // this login may end it
	Locks     []string      // tables that it alone may use at present
	Confirms  bool          // its commit waits for a standby to confirm it
	Writes    bool          // it has written into a table of ours, and not ended; and is none of ours
	Query     string
}

// Prepared is a transaction that waits for its end without a session, and keeps its locks
// until then.
type Prepared struct {
	Name  string // by which it is ended, quoted as SQL wants it
	Owner string
	Since time.Time // by the database's clock
}

// Storage is the room that there is.
type Storage struct {
	Database    int64    // bytes
	FreePct     *float64 // of the disk; nil: it cannot be known from here
	Connections int
	Most        int // connections that the server allows
}

// Check is a failed check of the last hour.
type Check struct {
	ID       string
	Severity string
	Subject  string
	Times    int
	Last     time.Time
	Action   string
	Error    string // what the check said; "": nothing
}

// unread tells that a part of the database could not be read.
func (f *Facts) unread(part string) bool {
	_, unread := f.Database.Unreadable[part]
	return unread
}

// lockedOut tells that a part could not be read because somebody holds it for himself.
func (f *Facts) lockedOut() bool {
	return slices.ContainsFunc(Parts, func(part string) bool { return f.Database.Unreadable[part].Code == pgerrcode.LockNotAvailable })
}

// at is the present as the database knows it, or else this machine.
func (f *Facts) at() time.Time {
	if f.Stored != nil && !f.Stored.At.IsZero() {
		return f.Stored.At
	}
	return f.Now
}

// Follows tells that the database that was asked only follows another one: the
// service works on the primary, and the two may differ.
func (f *Facts) Follows() bool {
	return f.Database.InRecovery || f.Stored != nil && f.Stored.Standby != nil
}

// health is the state as the database judges it, or as the service was told; the
// worse one when it changed while everything was asked, and nil when nobody knows.
func (f *Facts) health() *health.Health {
	if f.Stored != nil && f.Stored.Health != nil {
		first, again := f.Stored.Health, f.Stored.Again
		if again != nil && rank(again.State) < rank(first.State) {
			return again
		}
		return first
	}
	if s := f.Service.Told; s != nil && s.Error == "" && slices.Contains(health.States, s.State) {
		return &s.Health
	}
	return nil
}

// unasked tells that the database cannot be asked, whoever asks: then the state is
// STALE, whatever the service said a moment before.
func (f *Facts) unasked() bool {
	if f.Stored != nil {
		return false
	}
	d, s := f.Database, f.Service.Told
	return d.Trouble != "" && !d.Trouble.AsksWrongly() || s != nil && s.Error != ""
}

// stale tells that nothing may be traded: also when nobody knows the state.
func (f *Facts) stale() bool {
	h := f.health()
	return h == nil || h.State == health.Stale
}

// because tells whether health gives a reason that begins so, or so.
func (f *Facts) because(prefixes ...string) bool {
	h := f.health()
	return h != nil && slices.ContainsFunc(h.Reasons, func(reason string) bool {
		return slices.ContainsFunc(prefixes, func(prefix string) bool { return strings.HasPrefix(reason, prefix) })
	})
}

// reasons are those of health that begin so, in a line.
func (f *Facts) reasons(prefix string) string {
	var list []string
	if h := f.health(); h != nil {
		for _, reason := range h.Reasons {
			if strings.HasPrefix(reason, prefix) {
				list = append(list, reason)
			}
		}
	}
	return strings.Join(list, ", ")
}

// worst is P1 while the state is STALE, and otherwise what it is without.
func (f *Facts) worst(otherwise Severity) Severity {
	if f.stale() {
		return P1
	}
	return otherwise
}

// AuditFinding is what the service found that cannot be reproduced of the newest day.
type AuditFinding struct {
	Kind  string // edited, deleted, added, cycles_deleted, runs_deleted
	Count int
	Since string // the oldest boundary, or minute, that it is about; RFC 3339
	Until string // the newest
	Seen  time.Time
}

// OpenFailure is a failure of S11 that lasts, with what was held before and is now.
type OpenFailure struct {
	Asset    string
	Subject  string // mass_close:BTC, …
	Opened   time.Time
	Affected int
	Holders  int
	Factor   *float64 // of a rescaled asset
	Before   Level
	Present  *Level // nil: no minute has rows
}

// Level is how many wallets held an asset, and how much of it all together.
type Level struct {
	Holders int
	Net     string // units of the asset, a decimal
	At      time.Time
}
