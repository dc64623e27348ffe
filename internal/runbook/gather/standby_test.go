package gather

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/whalegate/whalegate/internal/health"
	"github.com/whalegate/whalegate/internal/postgres/pgtest"
	"github.com/whalegate/whalegate/internal/postgres/server"
	"github.com/whalegate/whalegate/internal/runbook"
	"github.com/whalegate/whalegate/internal/status"
)

const followed = "hyperliquid"

// A standby is known as one, is not asked to take a write, and does not have its
// primary's collector looked for in its own sessions; when its replay is paused, what
// the finding says lets it go on.
func TestAStandbyIsKnownAsOne(t *testing.T) {
	dir := serverDir(t)
	primary := startServer(t, filepath.Join(dir, "primary"))
	if err := pgtest.Prepare(t.Context(), primary, followed); err != nil {
		t.Fatal(err)
	}
	db := pool(t, primary)
	must(t, db, wholeHour)
	must(t, db, "INSERT INTO collector_leader (epoch, holder, host) VALUES (1, gen_random_uuid(), 'db1'); INSERT INTO collector_beat (epoch, beats, beat_at, run_age_seconds) VALUES (1, 1, beat_now(), 0)")
	standby := follow(t, primary, filepath.Join(dir, "standby"))

	ask := func() runbook.Facts {
		must(t, db, "UPDATE collector_beat SET beats = beats + 1, beat_at = beat_now()")
		f := Ask(t.Context(), Source{DatabaseURL: standby.URL(server.Superuser, followed)})
		if f.Stored == nil {
			t.Fatalf("%s: %s", f.Database.Trouble, f.Database.Error)
		}
		f.Stored.Storage.FreePct = nil // of whatever machine the test runs on
		return f
	}
	await(t, func() bool {
		h := ask().Stored.Health
		return h != nil && h.State == health.Healthy
	})
	f := ask()
	if s := f.Stored.Standby; s == nil || s.Paused || s.Beat == nil || *s.Beat > 30*time.Second || s.Received == nil {
		t.Errorf("%+v, %q", s, f.Database.Unreadable)
	}
	if f.Database.WriteTried {
		t.Error("a write is tried")
	}
	if r := runbook.Diagnose(f); r.Exit != 0 {
		t.Errorf("it follows: exit %d, %v, %q", r.Exit, r.Matching, r.Unknown)
	}
	if c := verify(t, "database", f); runbook.ExitCode(f, c) != 0 {
		t.Errorf("it follows: %+v", c)
	}

	replica := pool(t, standby)
	const leads = "db1/0 (as replicated) since "
	report, err := status.Read(t.Context(), replica, time.Now())
	var text strings.Builder
	if err != nil || !report.Standby || report.WriteText(&text) != nil || !strings.Contains(text.String(), leads) || !strings.Contains(text.String(), "cannot be seen from a standby") || strings.Contains(text.String(), "nobody") {
		t.Errorf("status: %v\n%s", err, text.String())
	}
	if c := verify(t, "database", f)[6]; !c.Holds || !strings.Contains(c.Figure, leads) {
		t.Errorf("verify: %+v", c)
	}
	must(t, replica, "SELECT pg_wal_replay_pause()")
	await(t, func() bool { f = ask(); return slices.Contains(f.Stored.Health.Reasons, health.ReasonReplicaLag) })
	r := runbook.Diagnose(f)
	found := r.Findings[0]
	if r.Exit != 2 || found.Slug != "database" || !strings.Contains(found.Summary, "its replay is paused") || found.Actions[0].Command != runbook.ResumeReplay || slices.Contains(r.Matching, "ingestion") {
		t.Errorf("paused: exit %d, %v, %s", r.Exit, r.Matching, found.Summary)
	}
	if runbook.ExitCode(f, verify(t, "database", f)) == 0 {
		t.Error("paused: verify holds")
	}
	if !slices.ContainsFunc(found.Evidence, func(e runbook.Evidence) bool { return e.What == "who leads" && strings.HasPrefix(e.Figure, leads) }) {
		t.Errorf("paused: who leads: %+v", found.Evidence)
	}
	of := f
	of.Service = runbook.Service{ // of the primary, which is well
		URL: "http://127.0.0.1:9464", Ready: true, Up: time.Hour, Told: &runbook.Told{Health: health.Health{State: health.Healthy}},
		Metrics: map[string]float64{`whalegate_health_state{state="HEALTHY"}`: 1, "whalegate_leader": 1},
	}
	if r := runbook.Diagnose(of); r.Matching[0] != "database" || slices.Contains(r.Matching, "board-truth") {
		t.Errorf("paused, and the primary's service is HEALTHY: %v", r.Matching)
	}
	_, sql, _ := strings.Cut(runbook.ResumeReplay, ` -c "`)
	must(t, replica, strings.TrimSuffix(sql, `"`))
	await(t, func() bool {
		f = ask()
		return f.Stored.Health.State == health.Healthy && runbook.Diagnose(f).Exit == 0
	})
}

func startServer(t *testing.T, dir string) *server.Server {
	t.Helper()
	s, err := server.Start(t.Context(), server.Config{Dir: dir, Settings: pgtest.Settings()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Kill() }) // its data is thrown away
	return s
}

func pool(t *testing.T, s *server.Server) *pgxpool.Pool {
	t.Helper()
	p, err := pgxpool.New(t.Context(), s.URL(server.Superuser, followed))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

// follow makes a hot standby of a server.
func follow(t *testing.T, of *server.Server, dir string) *server.Server {
	t.Helper()
	bin, err := server.Find()
	if err != nil {
		t.Fatal(err)
	}
	owner, err := os.Stat(filepath.Dir(of.LogFile()))
	if err != nil {
		t.Fatal(err)
	}
	hand := func(root string) { // to the user that the servers run as
		stat := owner.Sys().(*syscall.Stat_t)
		err := filepath.WalkDir(root, func(path string, _ fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			return os.Lchown(path, int(stat.Uid), int(stat.Gid))
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	hand(of.LogFile()) // it lies among the data, and is ours
	out, err := exec.Command(filepath.Join(bin, "pg_basebackup"), "-D", dir, "-R", "-h", "127.0.0.1", "-p", strconv.Itoa(of.Port()), "-U", server.Superuser, "--no-sync", "-c", "fast").CombinedOutput()
	if err != nil {
		t.Fatalf("pg_basebackup: %v %s", err, out)
	}
	hand(dir)
	return startServer(t, dir)
}
