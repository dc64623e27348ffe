// Package gather asks the database, the service and the dead man's switch what a diagnosis
// stands on, each with its own deadline.
package gather

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgerrcode"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/whalegate/whalegate/internal/clock"
	"github.com/whalegate/whalegate/internal/health/watch"
	"github.com/whalegate/whalegate/internal/postgres"
	"github.com/whalegate/whalegate/internal/runbook"
)

// Source is where the facts are.
type Source struct {
	DatabaseURL string
	ServiceURL  string // "": the service is not asked
	WatchdogURL string // "": nor is the dead man's switch
	Clock       clock.Clock

	// Learned is told each thing in a line as soon as it is known, one at a time; nil: nobody is.
	Learned func(line string)
}

// learned tells what is known by now.
func (s Source) learned(format string, args ...any) {
	if s.Learned != nil {
		s.Learned(strings.Join(strings.Fields(fmt.Sprintf(format, args...)), " "))
	}
}

// An operator waits for the answer: everything together takes less than five seconds,
// whatever hangs. Nothing that is asked may hold the diagnosis, or be held by what is
// broken; what is not asked in time is named as not known.
const (
	connectTimeout   = 2 * time.Second
	statementTimeout = "1500ms"
	answersWithin    = 2 * time.Second // longer than the server lets a statement run
	lockWait         = "250ms"
	// startsWithin is until when a question may begin.
	startsWithin = 2500 * time.Millisecond
	// lastQuestion is what is left of that for the last one, when the service does not answer.
	lastQuestion = 300 * time.Millisecond
	// patience is how long the service waits to be asked for the first answer about health,
	// which its own is held against.
	patience = time.Second
)

var errTooLate = fmt.Errorf("not asked: everything before it took longer than %s", startsWithin)

// Ask asks the database, the service and the dead man's switch side by side. It has no error: what could not
// be found out is a fact as well.
func Ask(ctx context.Context, from Source) runbook.Facts {
	if tell := from.Learned; tell != nil {
		var one sync.Mutex
		from.Learned = func(line string) {
			one.Lock()
			defer one.Unlock()
			tell(line)
		}
	}
	g := gathering{started: time.Now(), from: from, facts: runbook.Facts{
		Database: runbook.Database{Address: postgres.Redact(from.DatabaseURL), Unreadable: map[string]runbook.Failure{}},
	}}
	watched := make(chan runbook.Watchdog, 1)
	go func() {
		w := askWatchdog(ctx, from.WatchdogURL)
		if w.URL != "" {
			from.learned("watchdog %s: %s", w.URL, cmp.Or(w.Error, "lives, and can work"))
		}
		watched <- w
	}()
	judged, asked := make(chan struct{}), make(chan runbook.Service, 1)
	go func() {
		early := false
		select {
		case <-judged:
		case <-time.After(patience):
			early = true
		}
		s := askService(ctx, from)
		s.Apart = early
		if s.URL != "" {
			from.learned("service %s: %s", s.URL, told(s))
		}
		asked <- s
	}()
	// told waits for the service while there is time for another question to the database.
	var told bool
	g.askDatabase(ctx, func() { close(judged) }, func() {
		select {
		case g.facts.Service = <-asked:
			told = true
		case <-time.After(startsWithin - lastQuestion - time.Since(g.started)):
		}
	})
	if !told {
		g.facts.Service = <-asked
		g.facts.Service.Apart = true
	}
	g.facts.Watchdog = <-watched
	g.facts.Now = from.Clock.Now()
	return g.facts
}

// gathering is one asking of everything.
type gathering struct {
	from    Source
	facts   runbook.Facts
	started time.Time
}

// askDatabase asks the database for everything. It calls judged once it has said what the
// state is, or cannot, and told before it asks for that again.
func (g *gathering) askDatabase(ctx context.Context, judged, told func()) {
	f := &g.facts
	conn, err := connect(ctx, g.from.DatabaseURL)
	if err != nil {
		judged()
		f.Database.Trouble, f.Database.Error = refusal(err), err.Error()
		g.from.learned("database %s: %s: %s", f.Database.Address, f.Database.Trouble, f.Database.Error)
		return
	}
	defer conn.Close(context.WithoutCancel(ctx))
	f.Stored = &runbook.Stored{}
	g.read(ctx, conn, runbook.PartSettings, func(ctx context.Context) error { return guard(ctx, conn, &f.Database) })
	g.read(ctx, conn, runbook.PartHealth, func(ctx context.Context) error { return g.askHealth(ctx, conn) })
	judged()
	if h := f.Stored.Health; h != nil {
		g.from.learned("database %s: it says %s %s", f.Database.Address, h.State, strings.Join(h.Reasons, ", "))
	}
	g.checkSchema(ctx, conn)
	g.readParts(ctx, conn)
	g.tryWrite(ctx, conn)
	told()
	g.askAgain(ctx, conn)
	if g.changed() {
		// What was read before the change does not explain the state after it.
		h, beats := f.Stored.Again, f.Stored.Beats
		f.Stored = &runbook.Stored{Health: h, At: h.At}
		g.readParts(ctx, conn)
		f.Stored.Beats = min(beats, f.Stored.Beats)
		g.askAgain(ctx, conn)
	}
	g.settle()
	if f.Database.Trouble == runbook.Hangs || f.Database.Trouble == runbook.Unreachable {
		f.Stored = nil // what was read before belongs to another time
	}
}

// readers read the parts. The settings and health are asked by themselves, first.
var readers = map[string]func(context.Context, *pgx.Conn, *runbook.Stored) error{
	runbook.PartSessions: readSessions,
	runbook.PartLeader:   readLeader,
	runbook.PartClocks:   readClocks,
	runbook.PartHalt:     readHalt,
	runbook.PartRuns:     readRuns,
	runbook.PartUniverse: readUniverse,
	runbook.PartAccounts: readAccounts,
	runbook.PartCoins:    readCoins,
	runbook.PartOpen:     readOpen,
	runbook.PartCycles:   readCycles,
	runbook.PartDirty:    readDirty,
	runbook.PartAlerts:   readAlerts,
	runbook.PartChecks:   readChecks,
	runbook.PartLost:     readLost,
	runbook.PartStorage:  readStorage,
	runbook.PartDefined:  readDefined,
	runbook.PartAudit:    readAudit,
	runbook.PartBoard:    readBoard,
}

// readParts reads everything that is stored but health.
func (g *gathering) readParts(ctx context.Context, conn *pgx.Conn) {
	stored, unreadable := g.facts.Stored, g.facts.Database.Unreadable
	for _, part := range runbook.Parts {
		read := readers[part]
		switch {
		case read == nil:
		case part == runbook.PartBoard && stored.Health == nil:
			// Each of its views would wait for the same lock, to be compared with nothing.
			unreadable[part] = runbook.Failure{Text: "not looked at: there is no state to compare it with"}
		default:
			delete(unreadable, part)
			g.read(ctx, conn, part, func(ctx context.Context) error { return read(ctx, conn, stored) })
		}
	}
	stored.Led = g.from.Clock.Elapsed(stored.Led)
}

// askAgain asks at the end what may have changed while everything else was asked.
func (g *gathering) askAgain(ctx context.Context, conn *pgx.Conn) {
	if g.late() {
		return // what was read first stands
	}
	stored := g.facts.Stored
	if stored.Beats > 0 {
		g.read(ctx, conn, runbook.PartLeader, func(ctx context.Context) error { return readBeats(ctx, conn, stored, g.from.Clock) })
	}
	if stored.Health == nil {
		return
	}
	g.read(ctx, conn, runbook.PartHealth, func(ctx context.Context) error {
		h, err := watch.Read(ctx, conn)
		if err != nil {
			return errors.Unwrap(err)
		}
		stored.Again = &h
		return nil
	})
}

// changed tells that the state, or what it is for, is another one than it was at first.
func (g *gathering) changed() bool {
	first, again := g.facts.Stored.Health, g.facts.Stored.Again
	return first != nil && again != nil && (first.State != again.State || !slices.Equal(first.Reasons, again.Reasons))
}

// late tells that nothing more is to be begun.
func (g *gathering) late() bool { return time.Since(g.started) > startsWithin }

// read runs one question; what keeps it from an answer is kept by its name.
func (g *gathering) read(ctx context.Context, conn *pgx.Conn, name string, ask func(context.Context) error) {
	d := &g.facts.Database
	if g.late() {
		d.Unreadable[name] = failure(errTooLate)
		return
	}
	ctx, cancel := context.WithTimeout(ctx, answersWithin)
	defer cancel()
	err := ask(ctx)
	if err == nil {
		return
	}
	d.Unreadable[name] = failure(err)
	g.from.learned("database %s: no answer about %s: %v", d.Address, name, err)
	var answer *pgconn.PgError
	switch {
	case errors.As(err, &answer) && answer.Code == pgerrcode.InsufficientPrivilege:
		g.trouble(runbook.Denied, err)
	case errors.As(err, &answer) && pgerrcode.IsOperatorIntervention(answer.Code) && answer.Code != pgerrcode.QueryCanceled:
		g.trouble(runbook.Unreachable, err) // it is being stopped
	case errors.As(err, &answer):
		// One part only: the rest may be told. The schema is looked at by itself.
	case conn.IsClosed() && (ctx.Err() != nil || errors.Is(err, context.DeadlineExceeded)):
		g.trouble(runbook.Hangs, err)
	case conn.IsClosed():
		g.trouble(runbook.Unreachable, err)
	}
}

// failure keeps what the server said, by its code.
func failure(err error) runbook.Failure {
	f := runbook.Failure{Text: err.Error()}
	var answer *pgconn.PgError
	if errors.As(err, &answer) {
		f.Code = answer.Code
	}
	return f
}

// trouble keeps the worst that was met.
func (g *gathering) trouble(t runbook.Trouble, err error) {
	if d := &g.facts.Database; d.Trouble == "" || d.Trouble.AsksWrongly() && !t.AsksWrongly() {
		d.Trouble, d.Error = t, err.Error()
	}
}

// told is what is known of the service, in a few words.
func told(s runbook.Service) string {
	switch {
	case s.Trouble != "":
		return fmt.Sprintf("%s: %s", s.Trouble, s.Error)
	case !s.Ready:
		return "answers, and is not ready: " + s.NotReady
	default:
		return "answers, and is ready"
	}
}

// settle names the trouble of a database that cannot tell health. A lock has its
// own symptoms.
func (g *gathering) settle() {
	d := &g.facts.Database
	if why, ok := d.Unreadable[runbook.PartHealth]; ok && d.Trouble == "" && why.Code != pgerrcode.LockNotAvailable {
		d.Trouble, d.Error = runbook.ReadFailed, why.Text
	}
}

// askHealth asks for the state, measures how long that takes, and how far the
// database's clock lies outside of the time that it took.
func (g *gathering) askHealth(ctx context.Context, conn *pgx.Conn) error {
	f, c := &g.facts, g.from.Clock
	before, started := c.Now(), time.Now()
	h, err := watch.Read(ctx, conn)
	if err != nil {
		return errors.Unwrap(err) // what the server said is enough
	}
	f.Database.RoundTrip = time.Since(started)
	f.Database.ClockAhead = outside(h.At, before, c.Now())
	f.Stored.Health, f.Stored.At = &h, h.At
	return nil
}

// outside is how far a clock that was read between two of our own lies ahead of
// both, or, negative, behind.
func outside(at, before, after time.Time) time.Duration {
	switch {
	case at.After(after):
		return at.Sub(after)
	case at.Before(before):
		return at.Sub(before)
	default:
		return 0
	}
}

// checkSchema tells a schema that is older, newer or half applied.
func (g *gathering) checkSchema(ctx context.Context, conn *pgx.Conn) {
	if g.late() {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, answersWithin)
	defer cancel()
	migrations, err := postgres.SchemaStatus(ctx, conn)
	var answer *pgconn.PgError
	switch {
	case errors.Is(err, postgres.ErrNewer):
		g.trouble(runbook.SchemaNewer, err)
		return
	case errors.Is(err, postgres.ErrSchema):
		g.trouble(runbook.SchemaBroken, err)
		return
	case errors.As(err, &answer) && answer.Code == pgerrcode.InsufficientPrivilege:
		g.trouble(runbook.Denied, err)
		return
	case err != nil:
		g.facts.Database.Unreadable[runbook.PartHealth] = failure(err)
		return
	}
	pending := 0
	for _, m := range migrations {
		switch {
		case m.Version == 0: // the definitions, after every step
			if m.Applied.IsZero() && pending == 0 {
				g.trouble(runbook.SchemaPending, errors.New("its functions and views are those of another version of this program"))
			}
		case m.Applied.IsZero() && pending == 0:
			pending = m.Version
		case !m.Applied.IsZero() && pending > 0:
			g.trouble(runbook.SchemaBroken, fmt.Errorf("migration %d is missing, and %d (%s) was applied: the schema is half applied", pending, m.Version, m.Name))
			return
		}
	}
	if pending > 0 {
		g.trouble(runbook.SchemaPending, fmt.Errorf("migration %d (%s) is pending, of %d", pending, migrations[pending-1].Name, len(migrations)-1))
	}
}

// guard makes the session read-only, and keeps what it was by itself: what the service
// meets when it writes.
func guard(ctx context.Context, conn *pgx.Conn, d *runbook.Database) error {
	var setting, source string
	err := conn.QueryRow(ctx, `
		SELECT pg_is_in_recovery(), setting, source, set_config(name, 'on', false) IS NULL
		FROM pg_settings WHERE name = 'default_transaction_read_only'`).Scan(&d.InRecovery, &setting, &source, nil)
	if err == nil && setting == "on" {
		d.ReadOnly = source
	}
	return err
}

// tryWrite writes a row as the service would, in a transaction as the server makes it
// by itself, and takes the row back. A role that may not is no evidence of anything, nor
// is a standby, which takes none.
func (g *gathering) tryWrite(ctx context.Context, conn *pgx.Conn) {
	f := &g.facts
	if conn.IsClosed() || g.late() || f.Follows() || f.Database.Trouble != "" && f.Database.Trouble != runbook.Denied {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, answersWithin)
	defer cancel()
	var may bool
	err := conn.QueryRow(ctx, "SELECT has_table_privilege('public.qa_events', 'INSERT')").Scan(&may)
	if err != nil || !may {
		return
	}
	f.Database.WriteTried = true
	if _, err = conn.Exec(ctx, "RESET default_transaction_read_only"); err == nil {
		defer func() { _, _ = conn.Exec(ctx, "SET default_transaction_read_only = on") }() // nothing else writes
	}
	var tx pgx.Tx
	if err == nil {
		tx, err = conn.Begin(ctx)
	}
	if err == nil {
		_, err = tx.Exec(ctx, `INSERT INTO qa_events (day, check_id, stage, severity, subject, action_taken, first_ts, last_ts)
			VALUES ('1970-01-01', 'probe', 'runbook', 'info', 'probe', 'rolled back', '1970-01-01Z', '1970-01-01Z')`)
		_ = tx.Rollback(ctx) // the end of the session does it too
	}
	if err != nil {
		f.Database.WriteError = failure(err)
	}
}
