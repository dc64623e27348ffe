package engine

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/whalegate/whalegate/internal/health"
	"github.com/whalegate/whalegate/internal/health/watch"
	"github.com/whalegate/whalegate/internal/postgres/pgtest"
	"github.com/whalegate/whalegate/signals"
)

func TestMain(m *testing.M) { os.Exit(pgtest.Main(m)) }

// noon is a boundary. Minutes are counted from it.
var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func at(n int) time.Time { return noon.Add(time.Duration(n) * time.Minute) }

var quiet = slog.New(slog.DiscardHandler)

// wallet is the id of the n-th wallet.
func wallet(n int) string { return fmt.Sprintf("0x%040x", n) }

func numbers(from, to int) (list []int) {
	for n := from; n <= to; n++ {
		list = append(list, n)
	}
	return list
}

// repeat is n times the same size.
func repeat(n int, size string) []string {
	return strings.Split(strings.Repeat(size+" ", n-1)+size, " ")
}

// scene is a database with a universe, whose clock stands still and whose
// minutes are told one by one.
type scene struct {
	testing.TB
	db    *pgxpool.Pool
	sizes []string // of each wallet, as the minute before left them

	running *Memory // of the service in the story, where it has one
}

// stage makes a scene of n wallets, which hold 10 in every asset.
func stage(t testing.TB, n int) *scene {
	t.Helper()
	s := &scene{TB: t, db: pgtest.New(t)}
	s.exec("SELECT ensure_snapshot_partitions($1, $2)", noon.AddDate(0, 0, -1), noon)
	return s.enrol(n)
}

// enrol makes the wallets 1 to n the universe, and noon the present.
func (s *scene) enrol(n int) *scene {
	s.Helper()
	s.sizes = repeat(n, "10")
	s.universe(-1600, numbers(1, n)...)
	s.clock(0)
	return s
}

// again is the scene cleared for another case of n wallets: a database of its own
// for each would be the better part of a test's time.
func (s *scene) again(t testing.TB, n int) *scene {
	t.Helper()
	next := &scene{TB: t, db: s.db}
	next.clear("wallet_snapshots", "ingest_runs", "wallet_universe_runs", "halts", "qa_events", "signals", "signal_cycles")
	return next.enrol(n)
}

// lifelike is a scene of 20 wallets with the ten minutes up to noon.
func lifelike(t testing.TB) *scene {
	t.Helper()
	s := stage(t, 20)
	s.minutes(-9, 0)
	return s
}

// clear empties tables. So few rows are deleted faster than tables are truncated.
func (s *scene) clear(tables ...string) {
	s.Helper()
	batch := &pgx.Batch{}
	for _, table := range tables {
		batch.Queue("DELETE FROM " + table)
	}
	if err := s.db.SendBatch(context.Background(), batch).Close(); err != nil {
		s.Fatal(err)
	}
}

func (s *scene) exec(sql string, args ...any) {
	s.Helper()
	if _, err := s.db.Exec(context.Background(), sql, args...); err != nil {
		s.Fatal(err)
	}
}

// list runs a query of one text column.
func (s *scene) list(sql string, args ...any) []string {
	s.Helper()
	rows, err := s.db.Query(context.Background(), sql, args...)
	if err != nil {
		s.Fatal(err)
	}
	found, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		s.Fatal(err)
	}
	return found
}

// clock sets the database's clock to an instant after noon.
func (s *scene) clock(after time.Duration) {
	s.Helper()
	pgtest.SetClock(s, s.db, noon.Add(after).Format(time.RFC3339Nano))
}

// universe stores a refresh that ended at a minute.
func (s *scene) universe(n int, wallets ...int) {
	s.Helper()
	s.exec(`WITH run AS (
			INSERT INTO wallet_universe_runs (as_of_ts, status, source, n_requested, n_received, duration_ms)
			VALUES ($1, 'success', 'test', cardinality($2::text[]) + 1, cardinality($2::text[]), 1500) RETURNING run_id)
		INSERT INTO wallet_universe_members (run_id, wallet_id, rank, month_pnl)
		SELECT run_id, wallet_id, rank, 0 FROM run, unnest($2::text[]) WITH ORDINALITY AS m (wallet_id, rank)`,
		at(n).Add(-1500*time.Millisecond), ids(wallets))
}

func ids(wallets []int) []string {
	list := make([]string, 0, len(wallets))
	for _, n := range wallets {
		list = append(list, wallet(n))
	}
	return list
}

const (
	collapse = "transient_collapse"
	byHand   = "an operator saw it"
)

// healthy is a Judge that never objects.
func healthy(_ context.Context, _ watch.Querier, t time.Time) (health.Health, error) {
	return health.Health{State: health.Healthy, At: t.Add(2 * time.Second)}, nil
}

func (s *scene) cycle(judge Judge) *Cycle {
	return &Cycle{Pool: s.db, Memory: NewMemory(), Judge: judge}
}

// yetToCome takes the runs that end after the deadline of a boundary, and what becomes
// of halts after it, out of the way while do works at it. A scene tells all of its
// minutes at once; where the service works they are not there yet, and one from the
// future means that a clock is wrong.
func (s *scene) yetToCome(n int, do func()) {
	s.Helper()
	hidden := s.list("UPDATE ingest_runs SET superseded = true WHERE finished_at > $1 AND NOT superseded RETURNING run_id::text", at(n).Add(Deadline))
	halts := s.list("SELECT to_jsonb(h)::text FROM halts h WHERE greatest(halted_at, resumed_at) > $1", at(n).Add(Deadline))
	s.exec("DELETE FROM halts WHERE halted_at > $1", at(n).Add(Deadline))
	s.exec("UPDATE halts SET resumed_at = NULL, resumed_by = NULL, cause = NULL, actions = NULL WHERE resumed_at > $1", at(n).Add(Deadline))
	do()
	for _, row := range halts {
		s.exec("DELETE FROM halts WHERE id = ($1::jsonb ->> 'id')::bigint", row)
		s.exec("INSERT INTO halts OVERRIDING SYSTEM VALUE SELECT * FROM jsonb_populate_record(NULL::halts, $1::jsonb)", row)
	}
	if len(hidden) > 0 {
		s.exec("UPDATE ingest_runs SET superseded = false WHERE run_id = ANY ($1::text[]::bigint[])", hidden)
	}
}

// run runs a boundary two seconds after it, and holds every signal to G5 and G6.
func (s *scene) run(c *Cycle, n int) Result {
	s.Helper()
	s.clock(time.Duration(n)*time.Minute + 2*time.Second)
	var r Result
	var err error
	s.yetToCome(n, func() { r, err = c.Run(context.Background(), at(n)) })
	if err != nil {
		s.Fatal(err)
	}
	for _, signal := range r.Signals {
		if err := signals.Check(signal); err != nil {
			s.Error(err)
		}
	}
	return r
}
