package test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/whalegate/whalegate/internal/health"
	"github.com/whalegate/whalegate/internal/postgres/disk"
	"github.com/whalegate/whalegate/internal/postgres/pgtest"
	"github.com/whalegate/whalegate/internal/postgres/server"
)

const mib = 1 << 20

// smallDisk mounts a disk of its own, in memory.
func smallDisk(t testing.TB, size int) (dir string) {
	t.Helper()
	dir = openDir(t)
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=%d,mode=0711", size)); err != nil {
		missing(t, fmt.Errorf("mount a small disk, which only root may: %w", err))
	}
	t.Cleanup(func() { must(t, syscall.Unmount(dir, 0)) })
	return dir
}

// crowdedWorld is a world whose database has a disk of its own, beside a service
// that has not been started.
func crowdedWorld(t testing.TB) (w *world, dir string) {
	t.Helper()
	dir = smallDisk(t, 320*mib)
	settings := maps.Clone(pgtest.Settings())
	settings["min_wal_size"], settings["max_wal_size"] = "32MB", "64MB"
	pg, err := server.Start(t.Context(), server.Config{Dir: filepath.Join(dir, "data"), Settings: settings})
	must(t, err)
	t.Cleanup(func() { must(t, pg.Kill()) })
	return worldOn(t, pg), dir
}

// fill leaves so many bytes of a disk free, and returns the file that takes the rest.
func fill(t testing.TB, dir string, leave uint64) (ballast string) {
	t.Helper()
	file, err := os.Create(filepath.Join(dir, "ballast"))
	must(t, err)
	defer file.Close()
	chunk := make([]byte, 64<<10)
	for {
		u, err := disk.Of(dir)
		must(t, err)
		if u.Free <= leave {
			return file.Name()
		}
		if _, err := file.Write(chunk); errors.Is(err, syscall.ENOSPC) {
			return file.Name()
		} else if err != nil {
			t.Fatal(err)
		}
	}
}

// witness is a session that a crash of the server would end.
func (w *world) witness() (alive func()) {
	w.Helper()
	conn, err := pgx.Connect(w.Context(), w.pg.URL(server.Superuser, dbName))
	must(w, err)
	w.Cleanup(func() { _ = conn.Close(context.Background()) }) // at the end it may have gone
	return func() {
		w.Helper()
		var n int
		if err := conn.QueryRow(w.Context(), "SELECT count(*) FROM ingest_runs").Scan(&n); err != nil || n == 0 {
			w.Errorf("a session from before: %d runs, %v", n, err)
		}
		log, err := os.ReadFile(w.pg.LogFile())
		must(w, err)
		if strings.Contains(string(log), "PANIC") {
			w.Errorf("the server has crashed:\n%s", log)
		}
	}
}

// checkNoGap looks for minutes without a run, not even a failed one.
func (w *world) checkNoGap(since time.Time) {
	w.Helper()
	gaps := get[int](w, "SELECT count(*) FROM (SELECT timestamp - lag(timestamp) OVER (ORDER BY timestamp) AS step FROM ingest_runs WHERE timestamp >= $1) s WHERE step > interval '1 minute'", since)
	if gaps != 0 {
		w.Errorf("%d gaps: minutes without a run, not even a failed one", gaps)
	}
}

// TestIngestionStopsBeforeTheDiskIsFull fills the database's disk up to the
// reserve, and makes room again.
func TestIngestionStopsBeforeTheDiskIsFull(t *testing.T) {
	t.Parallel()
	w, dir := crowdedWorld(t)
	w.env = append(w.environ(), "WHALEGATE_DATABASE_DISK="+dir, "WHALEGATE_DATABASE_DISK_RESERVE=64MiB")
	w.run()
	w.awaitHealth(health.Healthy, "")
	w.awaitMetric("whalegate_database_disk_size_bytes", 320*mib)
	w.awaitMetric("whalegate_database_disk_free_bytes", 64*mib)
	w.awaitMetric("whalegate_database_size_bytes", mib)
	last, alive := w.newest(), w.witness()

	ballast := fill(t, dir, 40*mib)
	failed := w.awaitRun(last, "status = 'failed' AND wallets_expected = 24 AND rows_written = 0 AND failures = '{\"disk_full\": 24}' AND error LIKE 'S8: nothing was asked for: disk_full: % MiB of 320 MiB are free, % MiB are needed'")
	w.awaitHealth(health.Stale, "run_failed")
	if report := w.awaitStatus(health.Stale, "run_failed"); report.TradingAllowed != "NO" || report.LastRun == nil || report.LastRun.Error == nil || !strings.Contains(*report.LastRun.Error, "disk_full") {
		t.Errorf("status: %+v", report)
	}
	if r := w.awaitExit(2); !strings.Contains(r.stdout, "disk_full") {
		t.Errorf("status: %s", r)
	}
	w.awaitMetric(`whalegate_qa_failures_total{check_id="S8"}`, 2)
	w.awaitTrue("S8 in qa_events", "EXISTS (SELECT FROM qa_events WHERE check_id = 'S8' AND severity = 'critical' AND occurrences >= 2)")
	w.service.logged(t, "the database's disk is full: nothing is ingested until there is room")
	if free := w.metric("whalegate_database_disk_free_bytes"); free >= 64*mib {
		t.Errorf("%v bytes are free, says the service", free)
	}
	if n := get[int](w, "SELECT count(*) FROM wallet_snapshots WHERE timestamp >= $1", failed); n != 0 {
		t.Errorf("%d rows were written", n)
	}
	alive()
	if _, err := w.db.Exec(t.Context(), "CREATE TABLE still_works AS SELECT generate_series(1, 10000) AS n"); err != nil {
		t.Errorf("the database takes no table any more: %v", err)
	}

	must(t, os.Remove(ballast))
	w.checkRecovery(failed)
	w.service.logged(t, "the database's disk has room again")
	w.awaitExit(0)
	alive()
	w.checkNoGap(last)
	if n := strings.Count(w.service.log(), "nothing is ingested until there is room"); n != 1 {
		t.Errorf("that the disk is full is logged %d times", n)
	}
	w.checkWhole()
	w.checkTruth()
}

// TestAFullDiskIsSurvived fills it to the last byte, where nobody watches it.
func TestAFullDiskIsSurvived(t *testing.T) {
	t.Parallel()
	w, dir := crowdedWorld(t)
	w.run()
	w.service.logged(t, "the room on the database's disk is not watched: --database-disk says where it is")
	w.awaitHealth(health.Healthy, "")
	alive := w.witness()
	// The server ends itself when its log cannot grow: it gets a file of it to
	// write in.
	for _, sql := range []string{"SELECT pg_switch_wal()", "CHECKPOINT"} {
		_, err := w.db.Exec(t.Context(), sql)
		must(t, err)
	}
	last := w.newest()
	ballast := fill(t, dir, 0)
	w.service.logged(t, "snapshot lost")
	w.awaitMetric(`whalegate_qa_failures_total{check_id="S8"}`, 2)
	w.awaitHealth(health.Stale, "")
	if !strings.Contains(w.service.log(), `"error":"commit snapshot: disk_full: ERROR: `) {
		t.Error("the log does not say why the snapshot was lost")
	}
	w.awaitCode("/-/healthy", 200)
	alive()

	must(t, os.Remove(ballast))
	failed := w.awaitRun(last, "status = 'failed' AND failures = '{\"disk_full\": 24}' AND error LIKE 'S8: not written: commit snapshot: disk_full: %'")
	w.checkRecovery(failed)
	w.awaitExit(0)
	alive()
	w.checkNoGap(last)
	w.checkWhole()
	w.checkTruth()
}
