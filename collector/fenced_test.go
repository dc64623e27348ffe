package collector

import (
	"context"
	"errors"
	"testing"

	"github.com/google/uuid"

	"github.com/whalegate/whalegate/internal/lead"
	"github.com/whalegate/whalegate/internal/postgres/pgtest"
)

// theLead is the term of the collector that leads a test's database; over are such
// as lead no more, or never did.
var (
	theLead = lead.Term{Epoch: pgtest.Epoch, Holder: uuid.MustParse(pgtest.Holder)}
	over    = map[string]lead.Term{
		"none":             {},
		"an epoch before":  {Epoch: pgtest.Epoch - 1, Holder: theLead.Holder},
		"another's holder": {Epoch: pgtest.Epoch, Holder: uuid.New()},
	}
)

const everything = `SELECT (SELECT count(*) FROM ingest_runs) || ' ' || (SELECT count(*) FROM wallet_snapshots) || ' ' || (SELECT count(*) FROM clock_refusals) || ' ' ||
	(SELECT count(*) FROM wallet_universe_runs) || ' ' || (SELECT count(*) FROM wallet_universe_current) || ' ' || (SELECT count(*) FROM wallet_accounts) || ' ' ||
	(SELECT count(*) FROM pg_inherits WHERE inhparent = 'wallet_snapshots'::regclass) || ' ' || (SELECT count(*) FROM qa_events)`

// A process that does not lead writes nothing, wherever it wakes up.
func TestTheFenceRefusesEveryWriteOfACollectorThatDoesNotLead(t *testing.T) {
	db, _ := database(t, noon)
	fence := &lead.Fence{}
	s := NewStore(db).Behind(fence)
	for name, write := range map[string]func(context.Context) error{
		"Commit": func(ctx context.Context) error { _, err := s.Commit(ctx, judged(noon, hold(1))); return err },
		"Commit of history": func(ctx context.Context) error {
			m := judged(minute(-9), hold(1))
			m.Backfill = true
			_, err := s.Commit(ctx, m)
			return err
		},
		"KeepFailed": func(ctx context.Context) error {
			return s.KeepFailed(ctx, failedRun(minute(-1), 1, ofDatabase, "away"))
		},
		"KeepFailed of a wrong clock": func(ctx context.Context) error { return s.KeepFailed(ctx, failedRun(minute(99), 1, "S1", "why")) },
		"KeepRefused":                 func(ctx context.Context) error { return s.KeepRefused(ctx, minute(-5)) },
		"KeepUniverseRun": func(ctx context.Context) error {
			return s.KeepUniverseRun(ctx, UniverseRun{AsOf: noon, Status: Success, Source: Source, Requested: 2, Received: 2}, members(1, 2))
		},
		"KeepAccounts":     func(ctx context.Context) error { return s.KeepAccounts(ctx, wallet(1), Accounts{}, noon) },
		"EnsurePartitions": func(ctx context.Context) error { return s.EnsurePartitions(ctx, noon, noon.AddDate(0, 0, 9)) },
	} {
		t.Run(name, func(t *testing.T) {
			exec(t, db, "TRUNCATE ingest_runs, clock_refusals, wallet_universe_runs, wallet_universe_current, wallet_accounts CASCADE")
			exec(t, db, "INSERT INTO ingest_runs (timestamp, status, wallets_expected, wallet_success_count, wallet_fail_count, rows_expected, rows_written, coverage_pct, hype_non_null_pct, btc_non_null_pct, eth_non_null_pct, duration_ms) VALUES ($1, 'success', 1, 1, 0, 3, 3, 100, 100, 100, 100, 1)", minute(-3))
			before := list(t, db, everything)
			for name, term := range over {
				fence.Set(term)
				if err := write(t.Context()); !errors.Is(err, lead.ErrNotLeading) {
					t.Errorf("%s: %v", name, err)
				}
				same(t, "what is stored in the term "+name, list(t, db, everything), before...)
			}
			fence.Set(theLead)
			if err := write(t.Context()); err != nil {
				t.Fatalf("leading: %v", err)
			}
			if after := list(t, db, everything); after[0] == before[0] {
				t.Error("whoever leads writes nothing either")
			}
		})
	}
}

// A cycle that finds that another collector leads is no failed minute of ours: it is
// neither counted nor remembered, and no check has failed.
func TestACycleOfACollectorThatDoesNotLeadLeavesNothingBehind(t *testing.T) {
	db, _ := database(t, noon)
	enrol(t, db, 2)
	c := collecting(t, db, &upstream{}, nil)
	fence := &lead.Fence{}
	c.store = c.store.Behind(fence)
	exec(t, db, "SELECT ensure_snapshot_partitions(($1::timestamptz - interval '1 day')::date, ($1::timestamptz + interval '4 days')::date)", noon)
	before := list(t, db, everything)
	c.cycle(t.Context(), noon)
	same(t, "what is stored", list(t, db, everything), before...)
	if n := metric(t, c, "whalegate_cycles_total", "failed"); n != 0 || len(c.unsaved) > 0 || len(c.kept) > 0 {
		t.Errorf("%v failed cycles, %d runs wait, %d are kept", n, len(c.unsaved), len(c.kept))
	}
	fence.Set(theLead)
	c.cycle(t.Context(), noon)
	same(t, "runs", list(t, db, storedRuns), "12:00:00 success 2/2 {}")
}

// Who takes the lead waits for the transaction that is under way, and nothing of the
// leader before commits after it.
func TestATakeOverWaitsForTheCommitUnderWay(t *testing.T) {
	db, s := database(t, noon)
	fence := &lead.Fence{}
	fence.Set(theLead)
	s = s.Behind(fence)
	exec(t, db, `CREATE FUNCTION hold_up() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN PERFORM pg_advisory_xact_lock(4711); RETURN NEW; END$$`)
	exec(t, db, "CREATE TRIGGER hold_up BEFORE INSERT ON wallet_snapshots FOR EACH ROW EXECUTE FUNCTION hold_up()")
	held, err := db.Acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer held.Release()
	if _, err := held.Exec(t.Context(), "SELECT pg_advisory_lock(4711)"); err != nil {
		t.Fatal(err)
	}
	committed, taken := make(chan error, 1), make(chan error, 1)
	go func() { _, err := s.Commit(context.Background(), judged(noon, hold(1))); committed <- err }()
	// until waits until so many sessions wait for a lock, or one of ours has ended.
	until := func(n int) {
		for found := -1; found != n && len(committed)+len(taken) == 0; {
			if err := held.QueryRow(t.Context(), "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'").Scan(&found); err != nil {
				t.Fatal(err)
			}
		}
	}
	until(1)
	go func() {
		_, err := db.Exec(context.Background(), "UPDATE collector_leader SET epoch = epoch + 1, holder = gen_random_uuid()")
		taken <- err
	}()
	if until(2); len(taken) > 0 {
		t.Error("the lead was taken in the middle of a commit")
	}
	if _, err := held.Exec(t.Context(), "SELECT pg_advisory_unlock(4711)"); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(<-committed, <-taken); err != nil {
		t.Fatal(err)
	}
	same(t, "runs", list(t, db, storedRuns), "12:00:00 success 1/1 {}")
	if _, err := s.Commit(t.Context(), judged(minute(1), hold(1))); !errors.Is(err, lead.ErrNotLeading) {
		t.Errorf("after it: %v", err)
	}
}
