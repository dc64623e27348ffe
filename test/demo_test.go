package test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/whalegate/whalegate/internal/health"
	"github.com/whalegate/whalegate/internal/postgres"
)

// TestDemoGoesOnWhereItStopped starts the demo twice on one data directory.
func TestDemoGoesOnWhereItStopped(t *testing.T) {
	t.Parallel()
	w := emptyWorld(t)
	dir := filepath.Join(openDir(t), "demo")
	args := []string{
		"demo", "--data-dir", dir, "--database-port=0", "--simulator-address=127.0.0.1:0", "--listen-address=127.0.0.1:0", "--test-clock", w.clockText(),
		"--history=30m", fmt.Sprintf("--rows=%d", rows), fmt.Sprintf("--universe-size=%d", wallets), "--latency=0s",
	}
	env := filepath.Join(dir, "env")
	// start waits until the demo runs, with the database on the world's clock.
	start := func() (*process, []string) {
		_ = os.Remove(env) // of the start before: the port may be another
		demo := launch(t, nil, args...)
		var url string
		await(t, "the file env", func() error {
			body, err := os.ReadFile(env)
			url = strings.TrimSuffix(strings.TrimPrefix(string(body), "export DATABASE_URL='"), "'\n")
			return err
		})
		db, err := postgres.Open(t.Context(), url, "test")
		must(t, err)
		t.Cleanup(db.Close)
		w.db = db
		w.moveTime(db)
		w.address = demo.logged(t, "service started")["address"].(string)
		return demo, []string{"DATABASE_URL=" + url}
	}

	demo, found := start()
	for _, name := range []string{"env", "demo.json"} {
		info, err := os.Stat(filepath.Join(dir, name))
		must(t, err)
		if info.Mode().Perm() != 0o600 {
			t.Errorf("%s can be read by others: %s", name, info.Mode())
		}
	}
	w.awaitHealth(health.Healthy, "")
	w.awaitStatus(health.Healthy, "")
	w.awaitCode("/-/ready", 200)
	if n := get[int](w, "SELECT count(*) FROM ingest_runs WHERE status = 'success'"); n < 30 {
		t.Errorf("%d minutes of history", n)
	}
	await(t, "status to exit 0", func() error {
		if r := call(t, found, "status"); r.code != 0 {
			return fmt.Errorf("%s", r)
		}
		return nil
	})
	w.awaitRun(w.newest(), "is_clean")
	w.checkWhole()
	if code := demo.end(t); code != 0 {
		t.Errorf("exit code %d", code)
	}

	second, _ := start()
	if strings.Contains(second.log(), "loading history") {
		t.Error("history is loaded a second time")
	}
	stopped := get[int](w, "SELECT count(*) FROM ingest_runs")
	if stopped < 31 {
		t.Errorf("the second start has %d minutes", stopped)
	}
	w.awaitRun(w.newest(), "is_clean")
	w.awaitHealth(health.Healthy, "")
	if n := get[int](w, "SELECT count(*) FROM ingest_runs"); n <= stopped {
		t.Errorf("%d minutes, %d before", n, stopped)
	}
	w.checkWhole()
	if code := second.end(t); code != 0 {
		t.Errorf("exit code %d", code)
	}
}
