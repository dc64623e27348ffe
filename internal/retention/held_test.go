package retention

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// row stores a row of a snapshot as the collector does, and gives up as early as it.
func (s *scene) row(n int) error {
	ctx, cancel := context.WithTimeout(s.Context(), 10*time.Second)
	defer cancel()
	_, err := s.writer.Exec(ctx, "INSERT INTO wallet_snapshots (timestamp, wallet_id, asset, ingest_run_id) VALUES ($1, $2, 'BTC', 1)", noon, fmt.Sprintf("0x%x", n))
	return err
}

// reader begins to read all snapshots, and goes on until it is told to end.
func (s *scene) reader() (end func()) {
	s.Helper()
	conn, err := pgx.ConnectConfig(s.Context(), s.owner.Config().ConnConfig)
	if err != nil {
		s.Fatal(err)
	}
	if _, err := conn.Exec(s.Context(), "BEGIN; SELECT count(*) FROM wallet_snapshots"); err != nil {
		s.Fatal(err)
	}
	return func() { _ = conn.Close(context.Background()) }
}

// While somebody reads without an end, a prune waits for it, and the minutes do
// not wait for the prune.
func TestIngestionGoesOnWhileAPruneWaitsForAReader(t *testing.T) {
	s := stage(t)
	s.day(0)
	s.day(8)
	s.day(9)
	end := s.reader()
	defer end()
	pruned := make(chan error, 1)
	var list []Removed
	go func() {
		var err error
		list, err = Run(t.Context(), s.writer, Options{By: "test", patience: patience{attempts: 1000, pause: time.Millisecond}})
		pruned <- err
	}()
	waiting := func() bool {
		return get[bool](s, "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock' AND query LIKE '%drop_snapshot_partitions%')")
	}
	met := 0
	for n := 2; met < 20; n++ {
		if waiting() {
			met++
		}
		if err := s.row(n); err != nil {
			t.Fatalf("row %d: %v", n, err)
		}
		select {
		case err := <-pruned:
			t.Fatalf("the prune ended beside a reader: %v", err)
		default:
		}
	}
	end()
	if err := <-pruned; err != nil || counts(list)["wallet_snapshots"] != 2 {
		t.Errorf("removed once the reader had gone: %v, %v", counts(list), err)
	}
}

// A reader that does not end keeps the days, and nothing else.
func TestAReaderThatDoesNotEndKeepsOnlyTheDays(t *testing.T) {
	s := stage(t)
	s.day(0)
	s.day(100)
	end := s.reader()
	defer end()
	list, err := Run(t.Context(), s.writer, Options{By: "test", patience: patience{attempts: 2, pause: time.Millisecond}})
	found := counts(list)
	if !errors.Is(err, ErrHeld) || found["wallet_snapshots"] != 0 || found["alerts"] != 1 || found["signals"] != 1 {
		t.Errorf("removed beside a reader: %v, %v", found, err)
	}
	if got := get[string](s, "SELECT status FROM prune_runs WHERE pruned_by = 'test'"); got != "failed" {
		t.Errorf("kept as %s", got)
	}
	end()
	if found := s.prune(0); found["wallet_snapshots"] != 1 {
		t.Errorf("removed afterwards: %v", found)
	}
}

// So does a row that somebody has locked.
func TestALockedRowKeepsOnlyItsTable(t *testing.T) {
	s := stage(t)
	s.day(100)
	s.day(101)
	tx, err := s.owner.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback(context.Background()) }()
	if _, err := tx.Exec(t.Context(), "SELECT FROM signals FOR UPDATE"); err != nil {
		t.Fatal(err)
	}
	list, err := Run(t.Context(), s.writer, Options{By: "test"})
	if found := counts(list); err == nil || found["signals"] != 0 || found["qa_events"] != 2 || found["wallet_snapshots"] != 2 {
		t.Errorf("removed beside a lock: %v, %v", found, err)
	}
}
