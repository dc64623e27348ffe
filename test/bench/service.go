package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/whalegate/whalegate/internal/postgres/server"
)

// speed makes a minute of the service take six seconds. The simulator's latency
// is of the same clock, so it is multiplied to be 50 ms of the real one.
const (
	speed   = 10
	latency = 50 * time.Millisecond
	cycles  = 15
	ideal   = 200 * float64(latency) / 8 / float64(time.Millisecond) // ms
)

// start runs the program until ctx ends, then waits for it.
func (b *bench) start(ctx context.Context, args ...string) (*exec.Cmd, error) {
	cmd := exec.CommandContext(ctx, filepath.Join(b.dir, "whalegate"), args...)
	log, err := os.OpenFile(filepath.Join(b.dir, args[0]+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer log.Close() // the child has its own descriptor
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM} // nor outlive us when we are killed
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 10 * time.Second
	return cmd, cmd.Start()
}

func freeAddress(ctx context.Context) (string, error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

// await asks until the answer is 200 and gives the milliseconds since start.
func await(ctx context.Context, start time.Time, url string) (float64, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, 20*time.Second, fmt.Errorf("%s did not answer", url))
	defer cancel()
	for {
		if _, err := get(ctx, url); err == nil {
			return float64(time.Since(start)) / float64(time.Millisecond), nil
		}
		select {
		case <-ctx.Done():
			return 0, context.Cause(ctx)
		case <-time.After(2 * time.Millisecond):
		}
	}
}

func get(ctx context.Context, url string) (string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = errors.New(response.Status)
	}
	return string(body), err
}

// measureCycle runs the real service against the real simulator, both as
// processes of their own.
func measureCycle(ctx context.Context, b *bench) error {
	if out, err := exec.CommandContext(ctx, "go", "build", "-trimpath", "-o", filepath.Join(b.dir, "whalegate"), "./cmd/whalegate").CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	if err := b.database(ctx, "cycle"); err != nil {
		return err
	}
	conn, err := b.connect(ctx, server.Superuser, "cycle")
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	anchor := time.Now().UTC().Format(time.RFC3339)
	clock := fmt.Sprintf("--test-clock=%s,%d", anchor, speed)
	// The database's clock has to run as fast.
	now := fmt.Sprintf("CREATE OR REPLACE FUNCTION whalegate_now() RETURNS timestamptz LANGUAGE sql VOLATILE AS $$SELECT timestamptz '%s' + (clock_timestamp() - timestamptz '%[1]s') * %d$$", anchor, speed)
	if err := execute(ctx, conn, now); err != nil {
		return err
	}
	exchange, err := freeAddress(ctx)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	sim, err := b.start(ctx, "simulate", clock, "--listen-address="+exchange, "--latency="+(latency*speed).String(), "--rows=50000")
	if err != nil {
		return err
	}
	defer func() { cancel(); _ = sim.Wait() }() // it ends by our signal
	if _, err := await(ctx, time.Now(), "http://"+exchange+"/control/stats"); err != nil {
		return err
	}
	args := []string{"--database-url=" + b.server.URL("whalegate_writer", "cycle"), "--api-url=http://" + exchange, "--stats-url=http://" + exchange}
	if err := b.noSubAccounts(ctx, conn, args); err != nil {
		return err
	}
	return b.watchService(ctx, conn, append([]string{"run", clock}, args...))
}

const forgetUniverse = "TRUNCATE wallet_universe_current, wallet_universe_members, wallet_universe_runs"

// noSubAccounts makes it known that no wallet has any, so that every cycle asks
// for exactly 200 states, and leaves the universe for the service to read.
func (b *bench) noSubAccounts(ctx context.Context, conn *pgx.Conn, args []string) error {
	refresh := exec.CommandContext(ctx, filepath.Join(b.dir, "whalegate"), append([]string{"universe", "refresh"}, args...)...)
	if out, err := refresh.CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	return execute(ctx, conn,
		"INSERT INTO wallet_accounts SELECT wallet_id, '{}', whalegate_now() FROM wallet_universe_current",
		forgetUniverse)
}

var vmRSS = regexp.MustCompile(`VmRSS:\s+(\d+) kB`)

// rss gives the resident MiB of a process.
func rss(pid int) (float64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	found := vmRSS.FindSubmatch(text)
	if found == nil {
		return 0, errors.New("no VmRSS in the status of the process")
	}
	kib, err := strconv.ParseFloat(string(found[1]), 64)
	return kib / 1024, err
}
