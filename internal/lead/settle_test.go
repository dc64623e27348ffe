package lead

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/whalegate/whalegate/internal/postgres/pgtest"
)

// What the database may have lost is put back before anybody can see that somebody
// leads, when the lead is taken and when it is taken again; and who takes the lead of a
// database that was restored from one that it has never seen is told so.
func TestWhatWasLostIsBackBeforeAnybodyIsSeenToLead(t *testing.T) {
	address := pgtest.URL(t)
	db := pool(t, address)
	run(t, db, "DELETE FROM collector_leader; DELETE FROM collector_beat; CREATE TABLE put_back (n int)")
	const leads = "SELECT EXISTS (SELECT FROM collector_leader l JOIN leader_sessions k USING (pid))"
	var mu sync.Mutex
	var restored []bool
	settled := func() int { mu.Lock(); defer mu.Unlock(); return len(restored) }
	begin := func(seen ...string) (stop func()) {
		mu.Lock()
		restored = nil
		mu.Unlock()
		ctx, cancel := context.WithCancel(context.Background())
		c := New(Config{
			DatabaseURL: address, Fence: &Fence{}, Logger: slog.New(slog.DiscardHandler), Registerer: prometheus.NewRegistry(), Pace: quick,
			Settle: func(ctx context.Context, tx pgx.Tx, r bool) error {
				if get[bool](t, db, leads) {
					t.Error("somebody is seen to lead before")
				}
				mu.Lock()
				defer mu.Unlock()
				restored = append(restored, r)
				if len(restored) == 1 {
					return errors.New("not yet")
				}
				_, err := tx.Exec(ctx, "INSERT INTO put_back VALUES (1)")
				return err
			},
		})
		for _, place := range seen {
			c.places[place] = true
		}
		done := make(chan struct{})
		go func() {
			defer close(done)
			_ = c.Run(ctx, func(ctx context.Context) error { <-ctx.Done(); return nil })
		}()
		stop = sync.OnceFunc(func() { cancel(); <-done })
		t.Cleanup(stop)
		await(t, "the lead", func() bool { return settled() >= 2 && get[bool](t, db, leads) })
		return stop
	}
	back := func() int { return get[int](t, db, "SELECT count(*) FROM put_back") }

	stop := begin()
	if back() != 1 || settled() != 2 || restored[1] {
		t.Errorf("%d put back in %d tries, restored: %v", back(), settled(), restored)
	}
	run(t, db, "SELECT pg_terminate_backend(pid) FROM collector_leader")
	await(t, "the seat to be taken again", func() bool { return settled() == 3 && get[bool](t, db, leads) })
	if back() != 2 || restored[2] {
		t.Errorf("%d put back, restored: %v", back(), restored)
	}
	stop()

	const elsewhere = "UPDATE collector_leader SET place = '7/7'"
	run(t, db, elsewhere)
	begin()()
	if !restored[1] {
		t.Error("a restored database was taken for the one that was led before")
	}
	if get[bool](t, db, "SELECT place = '7/7' OR place <> database_place() FROM collector_leader") {
		t.Error("the row does not name the database that it is in now")
	}
	run(t, db, elsewhere)
	begin("7/7")()
	if restored[1] {
		t.Error("who has seen the one before was told that nobody knows it")
	}
}

// The address of a database can lead to a promoted standby while the leader's own
// sessions are still on the primary of before: nothing is written there, and the lead is
// taken where the work's sessions are.
func TestTheLeadGoesWhereTheWorkIs(t *testing.T) {
	address, db := world(t)
	c := contend(t, address)
	await(t, "the lead", c.working.Load)
	term := c.fence.Term()
	run(t, db, "UPDATE collector_leader SET server_start = server_start - interval '1 hour'")
	err := c.fence.InTx(t.Context(), db, func(pgx.Tx) error { return nil })
	var answer *pgconn.PgError
	if !errors.As(err, &answer) || answer.Code != "WG006" || errors.Is(err, ErrNotLeading) {
		t.Errorf("on another server: %v", err)
	}
	await(t, "the seat to be taken again", func() bool { return c.reconnected.Load() == 1 && may(t, db, term) })
	if c.leads.Load() != 1 {
		t.Errorf("the work began %d times", c.leads.Load())
	}
}

// Who leads and who waits looks at the database of the lead, and a table that somebody
// locks stops neither.
func TestTheDatabaseOfTheLeadIsWatched(t *testing.T) {
	address, db := world(t)
	run(t, db, "CREATE TABLE looked_at (n int)")
	var looks, failures atomic.Int64
	watching := func(ctx context.Context, tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "SELECT FROM looked_at"); err != nil {
			failures.Add(1)
			return err
		}
		looks.Add(1)
		return nil
	}
	leader, spare := contendWith(t, address, func(cfg *Config) { cfg.Watch = watching }), contendWith(t, address, func(cfg *Config) { cfg.Watch = watching })
	await(t, "looks of both", func() bool { return (leader.working.Load() || spare.working.Load()) && looks.Load() >= 6 })
	holder, err := db.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer holder.Rollback(context.Background())
	if _, err := holder.Exec(t.Context(), "LOCK TABLE looked_at IN ACCESS EXCLUSIVE MODE"); err != nil {
		t.Fatal(err)
	}
	before := get[int64](t, db, "SELECT beats FROM collector_beat")
	await(t, "looks that fail, and beats", func() bool {
		return failures.Load() >= 6 && get[int64](t, db, "SELECT beats FROM collector_beat") >= before+5
	})
	if leader.leads.Load()+spare.leads.Load() != 1 {
		t.Error("the lead was lost for it")
	}
}
