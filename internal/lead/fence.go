package lead

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/google/uuid"
	"github.com/jackc/pgerrcode"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// ErrNotLeading is wrapped by the error of a transaction that the fence refused:
// another collector leads, or none does.
var ErrNotLeading = errors.New("this collector does not lead")

// Term is one leadership. The zero Term leads nothing.
type Term struct {
	Epoch  int64
	Holder uuid.UUID
}

// Fence refuses the writes of a process that does not lead. A nil Fence lets everything
// through. It is safe for concurrent use.
type Fence struct {
	term      atomic.Pointer[Term]
	elsewhere atomic.Bool // a transaction met another server than the one on which the lead is held
	byHand    bool
}

// ByHand is for commands of people: it refuses nothing, and whoever leads judges nothing
// while one of their transactions is under way.
var ByHand = &Fence{byHand: true}

// Term is the leadership that the fence checks.
func (f *Fence) Term() Term {
	if t := f.term.Load(); t != nil {
		return *t
	}
	return Term{}
}

// Set makes t the leadership that the fence checks.
func (f *Fence) Set(t Term) { f.term.Store(&t) }

// checkLead raises notLeading unless the term leads, and keeps it leading until
// the transaction ends.
const checkLead = "SELECT check_lead($1, $2)"

// The SQLSTATEs that check_lead raises.
const (
	notLeading  = "WG001"
	otherServer = "WG006"
)

// Queue adds the check to a batch, before anything that it guards.
func (f *Fence) Queue(batch *pgx.Batch) {
	if f.checks() {
		t := f.Term()
		batch.Queue(checkLead, t.Epoch, t.Holder)
	}
}

// checks tells that the fence refuses anything at all.
func (f *Fence) checks() bool { return f != nil && !f.byHand }

// Check is the check by itself, for the beginning of a transaction.
func (f *Fence) Check(ctx context.Context, tx pgx.Tx) error {
	switch {
	case f == nil:
		return nil
	case f.byHand:
		return HoldJudging(ctx, tx)
	}
	t := f.Term()
	if t == (Term{}) {
		return ErrNotLeading // the server need not be asked, nor log a refusal
	}
	_, err := tx.Exec(ctx, checkLead, t.Epoch, t.Holder)
	return f.Refused(err)
}

// Alone waits, within a transaction behind the check, until no other transaction of
// the leader's jobs is under way, and keeps others from beginning until this one ends:
// what is judged then is what will have been stored by then.
func (f *Fence) Alone(ctx context.Context, tx pgx.Tx) error {
	if !f.checks() {
		return nil
	}
	_, err := tx.Exec(ctx, "SELECT FROM collector_leader FOR UPDATE")
	return err
}

// HoldJudging is for a transaction of a person: until it ends, whoever leads judges no
// boundary. What a halt or a new universe is dated before counts for a boundary, also
// when its commit takes until after it; so the boundary has to wait for it.
func HoldJudging(ctx context.Context, tx pgx.Tx) error { return hold(ctx, tx, "FOR SHARE") }

// HoldWriting is the same, and lets none of the leader's jobs write meanwhile.
func HoldWriting(ctx context.Context, tx pgx.Tx) error { return hold(ctx, tx, "FOR UPDATE") }

// holdPatience is how long a person waits for a job of the leader's that is under way.
// Beyond that the command goes on without: a halt must not wait for what hangs.
const holdPatience = "2s"

func hold(ctx context.Context, tx pgx.Tx, strength string) error {
	err := pgx.BeginFunc(ctx, tx, func(tx pgx.Tx) error {
		var before string
		if err := tx.QueryRow(ctx, "SELECT current_setting('lock_timeout')").Scan(&before); err != nil {
			return err
		}
		const set = "SELECT set_config('lock_timeout', $1, true)"
		if _, err := tx.Exec(ctx, set, holdPatience); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, "SELECT FROM collector_leader "+strength); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, set, before)
		return err
	})
	var answer *pgconn.PgError
	if errors.As(err, &answer) && answer.Code == pgerrcode.LockNotAvailable {
		return nil
	}
	return err
}

// Beginner begins transactions: a pool or a connection.
type Beginner interface {
	Begin(ctx context.Context) (pgx.Tx, error)
}

// InTx runs do in a transaction that begins with the check. The error wraps
// ErrNotLeading when the fence refused it.
func (f *Fence) InTx(ctx context.Context, db Beginner, do func(pgx.Tx) error) error {
	return pgx.BeginFunc(ctx, db, func(tx pgx.Tx) error {
		if err := f.Check(ctx, tx); err != nil {
			return err
		}
		return do(tx)
	})
}

// Exec runs one statement behind the check.
func (f *Fence) Exec(ctx context.Context, db Beginner, sql string, args ...any) error {
	return f.InTx(ctx, db, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, sql, args...)
		return err
	})
}

// Send runs a batch behind the check.
func (f *Fence) Send(ctx context.Context, db Beginner, batch *pgx.Batch) error {
	return f.InTx(ctx, db, func(tx pgx.Tx) error { return tx.SendBatch(ctx, batch).Close() })
}

// Refused wraps err with ErrNotLeading when it is the fence's refusal. A refusal by
// another server is noted: the lead has to go where the work's sessions are.
func (f *Fence) Refused(err error) error {
	var answer *pgconn.PgError
	if !errors.As(err, &answer) {
		return err
	}
	switch {
	case answer.Code == otherServer && f.checks():
		f.elsewhere.Store(true)
	case answer.Code == notLeading && !errors.Is(err, ErrNotLeading):
		return fmt.Errorf("%w: %w", ErrNotLeading, err)
	}
	return err
}
