package test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/whalegate/whalegate/internal/health"
)

// crashDays are the game days of runbook 9. In each the process is killed several
// times and started again at once, as systemd would; the last time nobody does.
var crashDays = []day{
	{9, "kill -9 at random points of the cycle", func(g *gameday) {
		g.slowly("wallet_snapshots", 0.004) // a third of each minute is spent writing
		g.crashes(4, func() { time.Sleep(time.Duration(rand.Int64N(int64(g.clock.Real(time.Minute))))) })
	}},
	{9, "kill -9 while signals are written", func(g *gameday) {
		g.slowSignals("0.2")
		g.crashes(3, func() { g.awaitTrue("signals to be written", writingSignals) })
		g.checkSignals()
	}},
	{9, "kill -9 while alerts are delivered", func(g *gameday) {
		asked := g.mail.hold()
		g.restless()
		for range 2 {
			asked(g.service.kill)
			g.checkWhole()
			asked = g.mail.hold()
			g.run()
		}
		asked(func() { g.inject(g.service.kill) })
		g.watch() // not before: it would deliver in the service's place
		g.stayDead()
		if n := get[int](g.world, "SELECT sum(attempts - 1)::int FROM alert_deliveries"); n < 3 {
			g.Errorf("3 kills hit %d deliveries", n)
		}
	}},
	{9, "memory limit reached", func(g *gameday) {
		g.watch()
		g.inject(g.exhaust)
		if log := g.service.log(); !slices.ContainsFunc(noMemory, func(said string) bool { return strings.Contains(log, said) }) {
			g.Errorf("it ended of something else: %s", log)
		}
		g.stayDead()
	}},
	{9, "the collector is frozen and another one takes over", func(g *gameday) {
		second := launch(g, g.env, "run")
		other := second.logged(g, "service started")["address"].(string)
		second.logged(g, "waiting for the lead")
		g.asking(other, func() { g.awaitDiagnosis("", 0) }) // one that waits is well
		last := g.newest()
		epoch := get[int64](g.world, "SELECT epoch FROM collector_leader")
		frozen := time.Now()
		g.inject(func() { must(g, g.service.cmd.Process.Signal(syscall.SIGSTOP)) })
		g.awaitLeader(epoch)
		if took := time.Since(frozen); took > 15*time.Second {
			g.Errorf("nobody led for %s", took)
		}
		written := strings.Count(g.service.log(), `"msg":"snapshot"`)
		g.awaitRun(last.Add(2*time.Minute), "is_clean") // it goes on
		d := g.diagnosed(1)
		if !strings.Contains(d.findings[0].Summary, "it replaced the one that hangs") || !strings.Contains(d.stdout, fmt.Sprintf("/%d since", second.cmd.Process.Pid)) {
			g.Errorf("the finding: %s", d.stdout)
		}
		g.repair(func() { g.act(d.findings[0], "sudo pkill -CONT") })
		g.service.logged(g, "lead lost: the row no longer names this collector")
		g.recovered()
		waiting := g.cli("status").stdout
		if !strings.Contains(waiting, fmt.Sprintf("/%d since", second.cmd.Process.Pid)) || !regexp.MustCompile(fmt.Sprintf(`waiting: \S+/%d\n`, g.service.cmd.Process.Pid)).MatchString(waiting) {
			g.Errorf("who leads and who waits: %s", waiting)
		}
		g.awaitRun(g.newest(), "is_clean")
		if n := strings.Count(g.service.log(), `"msg":"snapshot"`); n != written || g.metric("whalegate_leader") != 0 {
			g.Errorf("what was frozen wrote %d minutes since, and leads %v", n-written, g.metric("whalegate_leader"))
		}
		g.asking(other, func() {
			if g.metric("whalegate_leader") != 1 || g.metric("whalegate_leader_epoch") != float64(epoch+1) {
				g.Error("the one that took over does not lead")
			}
		})
		g.checkSignals()
		g.checkAudit()
	}},
}

// noMemory is how a process says that it was refused memory: the runtime at its heap
// or at its own needs, at the stack of a thread, and the race detector, whose allocation
// may be the one refused.
var noMemory = []string{"out of memory", "cannot allocate memory", "errno=12", "pthread_create failed", "ThreadSanitizer failed to allocate"}

// crashes kills the service where aim says, so often, and then once more.
func (g *gameday) crashes(times int, aim func()) {
	g.Helper()
	for range times {
		aim()
		g.service.kill()
		g.checkWhole()
		g.run()
		g.awaitRun(g.newest(), "is_clean") // it goes on
	}
	aim()
	g.inject(g.service.kill)
	g.watch() // not before: it would deliver in the service's place
	g.stayDead()
}

// stayDead leaves the service dead until that is announced, and starts it again.
func (g *gameday) stayDead() {
	g.Helper()
	g.detected("nobody to answer", func() error {
		request, err := http.NewRequestWithContext(g.Context(), http.MethodGet, g.address+"/-/healthy", nil)
		must(g, err)
		response, err := http.DefaultClient.Do(request)
		if err == nil {
			_ = response.Body.Close() // only whether there is one matters
			return errors.New("it answers")
		}
		return nil
	})
	g.awaitHealth(health.Stale, "snapshot_age")
	d := g.diagnosed(2)
	if !strings.Contains(d.findings[0].Summary, "the process is gone") {
		g.Errorf("the finding: %s", d.stdout)
	}
	if n := g.open(); n != 0 {
		g.Errorf("%d rows can be read after ten minutes without a service", n)
	}
	g.awaitAnnounced(1)
	g.repair(g.run) // what systemctl start does
	g.recovered()
	g.awaitAnnounced(1)
}

// hold makes the next message wait in the middle of its delivery: meanwhile something is
// done. By chance it has been received by then, or not.
func (m *mailbox) hold() (meanwhile func(what func())) {
	code := []int{http.StatusOK, http.StatusServiceUnavailable}[rand.IntN(2)]
	asked, done := make(chan struct{}), make(chan struct{})
	first := true
	m.mu.Lock()
	defer m.mu.Unlock()
	m.answer = func(int) int { // one at a time
		if !first {
			return http.StatusOK
		}
		first = false
		close(asked)
		<-done
		return code
	}
	return func(what func()) {
		m.Helper()
		defer close(done)
		select {
		case <-asked:
			what()
		case <-time.After(patience):
			m.Fatal("waited for a message to be on its way")
		}
	}
}

// restless makes the signals of the service go to and fro, so that there is
// something to tell at every boundary. A row that is marked by hand, as people may, keeps
// the audit from saying who changed them.
func (g *gameday) restless() {
	g.Helper()
	g.exec(`CREATE FUNCTION restless() RETURNS trigger LANGUAGE plpgsql AS $$
		BEGIN
			NEW.alignment_score := least(NEW.alignment_score, 60);
			NEW.risk_mode := 'Reduced';
			NEW.exit_cluster_score := CASE WHEN extract(epoch FROM NEW.timestamp)::bigint / 300 % 2 = 0 THEN 10 ELSE 30 END;
			RETURN NEW;
		END $$;
		CREATE TRIGGER restless BEFORE INSERT ON signals FOR EACH ROW EXECUTE FUNCTION restless();
		UPDATE wallet_snapshots SET dirty_reason = 'looked odd, and was right' WHERE NOT is_dirty AND (timestamp, wallet_id, asset) = (SELECT timestamp, wallet_id, asset FROM wallet_snapshots ORDER BY timestamp DESC LIMIT 1)`)
}

// exhaust lets the service have no more memory than it has, and then makes it need
// more: viewers who send their requests' headers slowly, and many.
func (g *gameday) exhaust() {
	g.Helper()
	if _, err := exec.LookPath("prlimit"); err != nil {
		missing(g, err)
	}
	pid := g.service.cmd.Process.Pid
	out, err := exec.Command("prlimit", "--pid", strconv.Itoa(pid), fmt.Sprintf("--data=%d", g.memory(pid))).CombinedOutput()
	if err != nil {
		g.Fatalf("prlimit: %v %s", err, out)
	}
	var asking sync.WaitGroup
	defer asking.Wait()
	for range 200 {
		asking.Go(func() {
			request, err := http.NewRequestWithContext(g.Context(), http.MethodGet, g.address+"/metrics", nil)
			if err != nil {
				return
			}
			request.Header.Set("X-Large", strings.Repeat("x", 900<<10))
			if response, err := http.DefaultClient.Do(request); err == nil {
				_ = response.Body.Close()
			}
		})
	}
	await(g, "the service to run out of memory", func() error {
		select {
		case <-g.service.exited:
			return nil
		default:
			return errors.New("it lives")
		}
	})
}

// memory is how much a process has, in bytes.
func (g *gameday) memory(pid int) (bytes int) {
	g.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	must(g, err)
	_, after, _ := strings.Cut(string(text), "VmData:")
	_, err = fmt.Sscanf(after, "%d kB", &bytes)
	must(g, err)
	return bytes << 10
}
