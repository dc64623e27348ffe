package health_test

import (
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/whalegate/whalegate/internal/halt"
	"github.com/whalegate/whalegate/internal/health"
	"github.com/whalegate/whalegate/internal/health/watch"
	"github.com/whalegate/whalegate/internal/lead"
	"github.com/whalegate/whalegate/internal/postgres/pgtest"
)

// What people did while the clock was a day ahead does not hold them when it is right: a
// halt can be resumed, one that was resumed is over, a pause lasts as long as it should.
func TestWhatPeopleDidWhileAClockWasAheadIsPulledBack(t *testing.T) {
	for name, resumedAhead := range map[string]bool{"halted ahead": false, "halted and resumed ahead": true} {
		t.Run(name, func(t *testing.T) {
			db := pgtest.New(t)
			ctx := t.Context()
			store(t, db, ok("1438m"), ok("1439m"))
			pgtest.SetClock(t, db, at("1439m30s").Format(time.RFC3339))
			if _, err := halt.Stop(ctx, db, "odd", "op"); err != nil {
				t.Fatal(err)
			}
			if _, err := db.Exec(ctx, "INSERT INTO alert_pauses (paused_at, paused_by, reason, until) VALUES (whalegate_now(), 'op', 'loud', whalegate_now() + interval '2 hours')"); err != nil {
				t.Fatal(err)
			}
			if resumedAhead {
				store(t, db, ok("1440m"), ok("1441m"))
				pgtest.SetClock(t, db, at("1441m30s").Format(time.RFC3339))
				if _, err := halt.Resume(ctx, db, "c", "a", "op"); err != nil {
					t.Fatal(err)
				}
			}
			// The clock is right again, a day earlier, and somebody says so.
			pgtest.SetClock(t, db, at("2m30s").Format(time.RFC3339))
			if _, err := db.Exec(ctx, "SELECT accept_clock('op', 'looked at a watch')"); err != nil {
				t.Fatal(err)
			}
			store(t, db, run{"3m", "success", 100, full, "3m5s"}, run{"4m", "success", 100, full, "4m5s"})
			pgtest.SetClock(t, db, at("4m30s").Format(time.RFC3339))
			if !resumedAhead {
				if _, err := halt.Resume(ctx, db, "c", "a", "op"); err != nil {
					t.Fatalf("resume: %v", err)
				}
			}
			if h, err := watch.Read(ctx, db); err != nil || h.State != health.Healthy {
				t.Errorf("%s %v, %v", h.State, h.Reasons, err)
			}
			var left float64
			if err := db.QueryRow(ctx, "SELECT extract(epoch FROM until - whalegate_now()) / 60 FROM alert_pauses").Scan(&left); err != nil || left > 120 {
				t.Errorf("the pause lasts for another %v minutes, %v", left, err)
			}
		})
	}
}

// A halt that was dated by a clock that was ahead counts from the first try to resume it.
func TestAHaltFromTheFutureCanBeResumed(t *testing.T) {
	db := pgtest.New(t)
	ctx := t.Context()
	pgtest.SetClock(t, db, at("1439m30s").Format(time.RFC3339))
	if _, err := halt.Stop(ctx, db, "odd", "op"); err != nil {
		t.Fatal(err)
	}
	pgtest.SetClock(t, db, at("0m30s").Format(time.RFC3339))
	store(t, db, ok("0m"))
	var refused *halt.RefusedError
	if _, err := halt.Resume(ctx, db, "c", "a", "op"); !errors.As(err, &refused) {
		t.Fatalf("resume: %v", err)
	}
	store(t, db, ok("1m"), ok("2m"))
	pgtest.SetClock(t, db, at("2m30s").Format(time.RFC3339))
	if _, err := halt.Resume(ctx, db, "c", "a", "op"); err != nil {
		t.Errorf("resume: %v", err)
	}
}

// A halt that the database has lost is in force again; one that was resumed is not.
func TestAHaltThatTheDatabaseLostIsPutBack(t *testing.T) {
	db := pgtest.New(t)
	ctx := t.Context()
	made, err := halt.Stop(ctx, db, "two boards disagree", "op")
	if err != nil {
		t.Fatal(err)
	}
	putBack := func(want bool) {
		t.Helper()
		if done, err := halt.PutBack(ctx, db, nil, made); err != nil || done != want {
			t.Errorf("put back: %v, %v; want %v", done, err, want)
		}
	}
	putBack(false) // it is in force
	if _, err := db.Exec(ctx, "UPDATE halts SET resumed_at = whalegate_now(), resumed_by = 'op', cause = 'c', actions = 'a'"); err != nil {
		t.Fatal(err)
	}
	putBack(false) // it was resumed
	if _, err := db.Exec(ctx, "TRUNCATE halts"); err != nil {
		t.Fatal(err)
	}
	putBack(true)
	if again, err := halt.InForce(ctx, db); err != nil || again == nil || again.Reason != made.Reason || again.HaltedBy != "op" {
		t.Errorf("%+v, %v", again, err)
	}
}

// Who remembers a halt tries to put it back at every look until it is, and forgets it
// once it was resumed, also while another collector leads.
func TestTheKeeperOfAHalt(t *testing.T) {
	db := pgtest.New(t)
	ctx := t.Context()
	leading, waiting := &lead.Fence{}, &lead.Fence{}
	leading.Set(lead.Term{Epoch: pgtest.Epoch, Holder: uuid.MustParse(pgtest.Holder)})
	leader, spare := &halt.Keeper{DB: db, Fence: leading, Logger: slog.New(slog.DiscardHandler)}, &halt.Keeper{DB: db, Fence: waiting, Logger: slog.New(slog.DiscardHandler)}
	exec := func(sql string) {
		t.Helper()
		if _, err := db.Exec(ctx, sql); err != nil {
			t.Fatal(err)
		}
	}
	inForce := func() bool {
		t.Helper()
		halt, err := halt.InForce(ctx, db)
		if err != nil {
			t.Fatal(err)
		}
		return halt != nil
	}
	halted, other, gone := health.Health{State: health.Stale, Reasons: []string{"halted"}}, health.Health{State: health.Stale, Reasons: []string{"recovering"}}, health.Health{State: health.Stale, Reasons: []string{health.ReasonDatabase}}
	begin := func() {
		t.Helper()
		exec("TRUNCATE halts")
		if _, err := halt.Stop(ctx, db, "two boards disagree", "op"); err != nil {
			t.Fatal(err)
		}
		leader.Look(ctx, halted)
		spare.Look(ctx, halted)
	}

	begin()
	leader.Look(ctx, gone)
	exec("TRUNCATE halts")
	exec("ALTER TABLE halts RENAME TO away") // it cannot be put back
	leader.Look(ctx, other)
	exec("ALTER TABLE away RENAME TO halts")
	spare.Look(ctx, other)
	if inForce() {
		t.Error("a spare put it back")
	}
	leader.Look(ctx, other)
	if !inForce() {
		t.Error("it was not tried again")
	}

	begin()
	exec("UPDATE halts SET resumed_at = whalegate_now(), resumed_by = 'op', cause = 'c', actions = 'a'")
	leader.Look(ctx, other)
	spare.Look(ctx, other)
	exec("TRUNCATE halts") // long after, by a backup of before
	waiting.Set(leading.Term())
	leader.Look(ctx, other)
	spare.Look(ctx, other)
	if inForce() {
		t.Error("a halt that was resumed is in force again")
	}
	waiting.Set(lead.Term{})

	begin()
	exec("TRUNCATE halts")
	spare.Look(ctx, other)
	waiting.Set(leading.Term()) // it takes over
	spare.Look(ctx, other)
	if !inForce() {
		t.Error("a successor did not put it back")
	}
}

// A halt is back in the transaction that takes the lead. A database that was copied from
// one that nobody knows is halted until a person has looked.
func TestTheLeadIsTakenWithTheHalt(t *testing.T) {
	for _, tt := range []struct {
		name           string
		known, inForce bool
		restored       bool
		want           string
	}{
		{"nothing is known", false, false, false, ""},
		{"a halt is known", true, false, false, "two boards disagree"},
		{"a halt is known, and in force", true, true, true, "two boards disagree"},
		{"a halt is known, of the database of before", true, false, true, "two boards disagree"},
		{"nobody knows the database of before", false, false, true, halt.Restored},
	} {
		t.Run(tt.name, func(t *testing.T) {
			db := pgtest.New(t)
			ctx := t.Context()
			k := &halt.Keeper{DB: db, Fence: &lead.Fence{}, Logger: slog.New(slog.DiscardHandler)}
			if tt.known {
				if _, err := halt.Stop(ctx, db, "two boards disagree", "op"); err != nil {
					t.Fatal(err)
				}
				// The work's sessions may be in another database than the lead's.
				if err := pgx.BeginFunc(ctx, db, func(tx pgx.Tx) error { return k.Watch(ctx, tx) }); err != nil {
					t.Fatal(err)
				}
				if !tt.inForce {
					if _, err := db.Exec(ctx, "TRUNCATE halts"); err != nil {
						t.Fatal(err)
					}
				}
			}
			err := pgx.BeginFunc(ctx, db, func(tx pgx.Tx) error { return k.Settle(ctx, tx, tt.restored) })
			if err != nil {
				t.Fatal(err)
			}
			halt, err := halt.InForce(ctx, db)
			if err != nil || (halt != nil) != (tt.want != "") || halt != nil && halt.Reason != tt.want {
				t.Errorf("%+v, %v", halt, err)
			}
			var odd int
			if err := db.QueryRow(ctx, "SELECT count(*) FROM halts WHERE halted_at > whalegate_now()").Scan(&odd); err != nil || odd != 0 {
				t.Errorf("%d halts are of the future, %v", odd, err)
			}
		})
	}
}

// A halt that is made, and a resume that is refused, while the clock is back are dated by
// the newest minute that is stored, and by nothing before it.
func TestAHaltUnderAClockThatWentBackIsNotDatedBeforeStoredMinutes(t *testing.T) {
	db := pgtest.New(t)
	ctx := t.Context()
	store(t, db, ok("0m"), ok("1m"), ok("2m"))
	judged := at("2m").Add(9 * time.Second) // a boundary that knew of no halt
	if _, err := db.Exec(ctx, "INSERT INTO signal_cycles (timestamp, outcome, judged_at, health_state) VALUES ($1, 'computed', $2, 'HEALTHY')", at("0m").Truncate(5*time.Minute), judged); err != nil {
		t.Fatal(err)
	}
	pgtest.SetClock(t, db, at("-18m").Format(time.RFC3339))
	made, err := halt.Stop(ctx, db, "odd", "op")
	if err != nil || !made.HaltedAt.After(judged) {
		t.Errorf("halted at %s, %v", made.HaltedAt, err)
	}
	var refused *halt.RefusedError
	if _, err := halt.Resume(ctx, db, "c", "a", "op"); !errors.As(err, &refused) {
		t.Errorf("resume: %v", err)
	}
	if after, err := halt.InForce(ctx, db); err != nil || after == nil || !after.HaltedAt.Equal(made.HaltedAt) {
		t.Errorf("%+v after a refused resume, %v", after, err)
	}
	pgtest.SetClock(t, db, at("2m50s").Format(time.RFC3339)) // right again, and nothing stored since
	if _, err := halt.Resume(ctx, db, "c", "a", "op"); !errors.As(err, &refused) {
		t.Errorf("resume without a minute since: %v", err)
	}
}
