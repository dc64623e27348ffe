package runbook

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/whalegate/whalegate/internal/clock"
	"github.com/whalegate/whalegate/internal/health"
	"github.com/whalegate/whalegate/internal/postgres"
)

// Source is where the facts are.
type Source struct {
	DatabaseURL string
	ServiceURL  string // "": the service is not asked
	WatchdogURL string // "": nor is the dead man's switch
	Clock       clock.Clock
}

// An operator waits for the answer: everything together takes less than five seconds,
// whatever hangs. Nothing that is asked may hold the diagnosis, or be held by what is
// broken; what is not asked in time is named as not known.
const (
	connectTimeout   = 2 * time.Second
	statementTimeout = "1500ms"
	answersWithin    = 2 * time.Second // longer than the server lets a statement run
	lockWait         = "250ms"
	lockTimeout      = "SQLSTATE 55P03" // as the server says it, in whatever language
	// startsWithin is until when a question may begin.
	startsWithin = 2500 * time.Millisecond
	// lastQuestion is what is left of that for the last one, when the service does not answer.
	lastQuestion = 300 * time.Millisecond
	// patience is how long the service waits to be asked for the first answer about health,
	// which its own is held against.
	patience = time.Second
)

var errTooLate = fmt.Errorf("not asked: everything before it took longer than %s", startsWithin)

// Gather asks the database, the service and the dead man's switch side by side. It has no error: what could not
// be found out is a fact as well.
func Gather(ctx context.Context, from Source) Facts {
	f := Facts{Database: Database{Address: postgres.Redact(from.DatabaseURL), Unreadable: map[string]string{}, started: time.Now()}}
	watched := make(chan Watchdog, 1)
	go func() { watched <- askWatchdog(ctx, from.WatchdogURL) }()
	judged, asked := make(chan struct{}), make(chan Service, 1)
	go func() {
		early := false
		select {
		case <-judged:
		case <-time.After(patience):
			early = true
		}
		s := askService(ctx, from)
		s.apart = early
		asked <- s
	}()
	// told waits for the service while there is time for another question to the database.
	var told bool
	f.askDatabase(ctx, from, func() { close(judged) }, func() {
		select {
		case f.Service = <-asked:
			told = true
		case <-time.After(startsWithin - lastQuestion - time.Since(f.Database.started)):
		}
	})
	if !told {
		f.Service = <-asked
		f.Service.apart = true
	}
	f.Watchdog = <-watched
	f.Now = from.Clock.Now()
	return f
}

// askDatabase asks the database for everything. It calls judged once it has said what the
// state is, or cannot, and told before it asks for that again.
func (f *Facts) askDatabase(ctx context.Context, from Source, judged, told func()) {
	conn, err := connect(ctx, from.DatabaseURL)
	if err != nil {
		judged()
		f.Database.Trouble, f.Database.Error = refusal(err), err.Error()
		return
	}
	defer conn.Close(context.WithoutCancel(ctx))
	f.Stored = &Stored{}
	f.Database.read(ctx, conn, partSettings, func(ctx context.Context) error { return f.Database.guard(ctx, conn) })
	f.Database.read(ctx, conn, partHealth, func(ctx context.Context) error { return f.askHealth(ctx, conn, from.Clock) })
	judged()
	f.checkSchema(ctx, conn)
	f.readParts(ctx, conn, from.Clock)
	f.tryWrite(ctx, conn)
	told()
	f.askAgain(ctx, conn, from.Clock)
	if f.changed() {
		// What was read before the change does not explain the state after it.
		h, beats := f.Stored.Again, f.Stored.Beats
		f.Stored = &Stored{Health: h, At: h.At}
		f.readParts(ctx, conn, from.Clock)
		f.Stored.Beats = min(beats, f.Stored.Beats)
		f.askAgain(ctx, conn, from.Clock)
	}
	f.Database.settle()
	if f.Database.Trouble == Hangs || f.Database.Trouble == Unreachable {
		f.Stored = nil // what was read before belongs to another time
	}
}

// readParts reads everything that is stored but health.
func (f *Facts) readParts(ctx context.Context, conn *pgx.Conn, c clock.Clock) {
	for _, p := range parts {
		switch {
		case p.read == nil:
		case p.name == partBoard && f.Stored.Health == nil:
			// Each of its views would wait for the same lock, to be compared with nothing.
			f.Database.Unreadable[p.name] = "not looked at: there is no state to compare it with"
		default:
			delete(f.Database.Unreadable, p.name)
			f.Database.read(ctx, conn, p.name, func(ctx context.Context) error { return p.read(ctx, conn, f.Stored) })
		}
	}
	f.Stored.Led = c.Elapsed(f.Stored.Led)
}

// askAgain asks at the end what may have changed while everything else was asked.
func (f *Facts) askAgain(ctx context.Context, conn *pgx.Conn, c clock.Clock) {
	if f.Database.late() {
		return // what was read first stands
	}
	if f.Stored.Beats > 0 {
		f.Database.read(ctx, conn, partLeader, func(ctx context.Context) error { return readBeats(ctx, conn, f.Stored, c) })
	}
	if f.Stored.Health == nil {
		return
	}
	f.Database.read(ctx, conn, partHealth, func(ctx context.Context) error {
		h, err := health.Read(ctx, conn)
		if err != nil {
			return errors.Unwrap(err)
		}
		f.Stored.Again = &h
		return nil
	})
}

// changed tells that the state, or what it is for, is another one than it was at first.
func (f *Facts) changed() bool {
	first, again := f.Stored.Health, f.Stored.Again
	return first != nil && again != nil && (first.State != again.State || !slices.Equal(first.Reasons, again.Reasons))
}

// late tells that nothing more is to be begun.
func (d *Database) late() bool { return time.Since(d.started) > startsWithin }

// read runs one question; what keeps it from an answer is kept by its name.
func (d *Database) read(ctx context.Context, conn *pgx.Conn, name string, ask func(context.Context) error) {
	if d.late() {
		d.Unreadable[name] = errTooLate.Error()
		return
	}
	ctx, cancel := context.WithTimeout(ctx, answersWithin)
	defer cancel()
	err := ask(ctx)
	if err == nil {
		return
	}
	d.Unreadable[name] = err.Error()
	var answer *pgconn.PgError
	switch {
	case errors.As(err, &answer) && answer.Code == insufficientPrivilege:
		d.trouble(Denied, err)
	case errors.As(err, &answer) && (answer.Code[:2] == "57" && answer.Code != postgres.QueryCanceled):
		d.trouble(Unreachable, err) // it is being stopped
	case errors.As(err, &answer):
		// One part only: the rest may be told. The schema is looked at by itself.
	case conn.IsClosed() && (ctx.Err() != nil || errors.Is(err, context.DeadlineExceeded)):
		d.trouble(Hangs, err)
	case conn.IsClosed():
		d.trouble(Unreachable, err)
	}
}

// trouble keeps the worst that was met.
func (d *Database) trouble(t Trouble, err error) {
	if d.Trouble == "" || d.Trouble.asksWrongly() && !t.asksWrongly() {
		d.Trouble, d.Error = t, err.Error()
	}
}

// settle names the trouble of a database that cannot tell health. A lock has its
// own symptoms.
func (d *Database) settle() {
	if why, ok := d.Unreadable[partHealth]; ok && d.Trouble == "" && !strings.Contains(why, lockTimeout) {
		d.Trouble, d.Error = ReadFailed, why
	}
}

// askHealth asks for the state, measures how long that takes, and how far the
// database's clock lies outside of the time that it took.
func (f *Facts) askHealth(ctx context.Context, conn *pgx.Conn, c clock.Clock) error {
	before, started := c.Now(), time.Now()
	h, err := health.Read(ctx, conn)
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
func (f *Facts) checkSchema(ctx context.Context, conn *pgx.Conn) {
	if f.Database.late() {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, answersWithin)
	defer cancel()
	migrations, err := postgres.SchemaStatus(ctx, conn)
	var answer *pgconn.PgError
	switch {
	case errors.Is(err, postgres.ErrNewer):
		f.Database.trouble(SchemaNewer, err)
		return
	case errors.Is(err, postgres.ErrSchema):
		f.Database.trouble(SchemaBroken, err)
		return
	case errors.As(err, &answer) && answer.Code == insufficientPrivilege:
		f.Database.trouble(Denied, err)
		return
	case err != nil:
		f.Database.Unreadable[partHealth] = err.Error()
		return
	}
	pending := 0
	for _, m := range migrations {
		switch {
		case m.Version == 0: // the definitions, after every step
			if m.Applied.IsZero() && pending == 0 {
				f.Database.trouble(SchemaPending, errors.New("its functions and views are those of another version of this program"))
			}
		case m.Applied.IsZero() && pending == 0:
			pending = m.Version
		case !m.Applied.IsZero() && pending > 0:
			f.Database.trouble(SchemaBroken, fmt.Errorf("migration %d is missing, and %d (%s) was applied: the schema is half applied", pending, m.Version, m.Name))
			return
		}
	}
	if pending > 0 {
		f.Database.trouble(SchemaPending, fmt.Errorf("migration %d (%s) is pending, of %d", pending, migrations[pending-1].Name, len(migrations)-1))
	}
}

// guard makes the session read-only, and keeps what it was by itself: what the service
// meets when it writes.
func (d *Database) guard(ctx context.Context, conn *pgx.Conn) error {
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
func (f *Facts) tryWrite(ctx context.Context, conn *pgx.Conn) {
	if conn.IsClosed() || f.Database.late() || f.follows() || f.Database.Trouble != "" && f.Database.Trouble != Denied {
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
		f.Database.WriteError = err.Error()
	}
}
