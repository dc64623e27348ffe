package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/whalegate/whalegate/internal/postgres/server"
)

// firstSpeed makes a minute of the service take ten seconds: what it waits for is the
// budget of the exchange, and the machine has to keep up with everything else.
const firstSpeed = 6

// exchangeAndService runs the simulator with the public limit and the service on an empty
// database, both as processes of their own with a clock of the given speed, until ctx
// ends. It gives the simulator's address and the service.
func (b *bench) exchangeAndService(ctx context.Context, conn *pgx.Conn, database string, speed int, simulated, service []string) (string, *exec.Cmd, error) {
	if out, err := exec.CommandContext(ctx, "go", "build", "-trimpath", "-o", filepath.Join(b.dir, "whalegate"), "./cmd/whalegate").CombinedOutput(); err != nil {
		return "", nil, fmt.Errorf("%w: %s", err, out)
	}
	anchor := time.Now().UTC().Format(time.RFC3339)
	clock := fmt.Sprintf("--test-clock=%s,%d", anchor, speed)
	now := fmt.Sprintf("CREATE OR REPLACE FUNCTION whalegate_now() RETURNS timestamptz LANGUAGE sql VOLATILE AS $$SELECT timestamptz '%s' + (clock_timestamp() - timestamptz '%[1]s') * %d$$", anchor, speed)
	if err := execute(ctx, conn, now); err != nil {
		return "", nil, err
	}
	exchange, err := freeAddress(ctx)
	if err != nil {
		return "", nil, err
	}
	listen, err := freeAddress(ctx)
	if err != nil {
		return "", nil, err
	}
	if _, err := b.start(ctx, append([]string{"simulate", clock, "--listen-address=" + exchange, "--latency=50ms", "--weight=1200"}, simulated...)...); err != nil {
		return "", nil, err
	}
	if _, err := await(ctx, time.Now(), "http://"+exchange+"/control/stats"); err != nil {
		return "", nil, err
	}
	running, err := b.start(ctx, append([]string{"run", clock, "--listen-address=" + listen, "--database-url=" + b.server.URL("whalegate_writer", database),
		"--api-url=http://" + exchange, "--stats-url=http://" + exchange}, service...)...)
	return exchange, running, err
}

// measureFirst is a first start on the public limit with the population of the public
// leaderboard, until HEALTHY and for ten minutes after it.
func measureFirst(ctx context.Context, b *bench) error {
	if err := b.database(ctx, "first"); err != nil {
		return err
	}
	conn, err := b.connect(ctx, server.Superuser, "first")
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	began := time.Now()
	exchange, _, err := b.exchangeAndService(ctx, conn, "first", firstSpeed, []string{"--population=public", "--rows=2000"}, nil)
	if err != nil {
		return err
	}
	if err := awaitTrue(ctx, conn, 4*time.Minute, "HEALTHY", "SELECT health_state = 'HEALTHY' FROM ingest_health"); err != nil {
		return err
	}
	took := time.Since(began).Minutes() * firstSpeed
	spent, err := searched(ctx, exchange)
	if err != nil {
		return err
	}
	needed := spent/1200 + 2
	b.add("first start on the public limit, 200 wallets: HEALTHY", 1.3, took/needed, "", fmt.Sprintf("%.1f min against %.1f min: a weight of %.0f for accounts, and two minutes", took, needed, spent))
	if err := awaitTrue(ctx, conn, 4*time.Minute, "ten more minutes", "SELECT count(*) >= 14 FROM ingest_runs WHERE status = 'success' AND coverage_pct = 100"); err != nil {
		return err
	}
	var spread, least float64
	err = conn.QueryRow(ctx, `
		SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY spread), min(coverage_pct) FROM (
			SELECT r.coverage_pct, extract(epoch FROM max(s.state_time) - min(s.state_time))::float8 AS spread
			FROM ingest_runs r JOIN wallet_snapshots s USING (timestamp) WHERE r.status = 'success' GROUP BY r.timestamp, r.coverage_pct ORDER BY r.timestamp DESC LIMIT 10) newest`).Scan(&spread, &least)
	if err != nil {
		return err
	}
	b.add("spread of the states of a minute, 200 wallets", 5, spread, " s", fmt.Sprintf("median of ten minutes, of which the worst covers %.1f %%", least))
	return nil
}

// searched is the weight that was spent on lists of accounts, and on the states that
// believing one takes.
func searched(ctx context.Context, exchange string) (float64, error) {
	text, err := get(ctx, "http://"+exchange+"/control/stats")
	if err != nil {
		return 0, err
	}
	var stats map[string]map[string]float64
	if err := json.Unmarshal([]byte(text), &stats); err != nil {
		return 0, err
	}
	return 20 * stats["sub_accounts"]["200"], nil
}

// awaitTrue asks until it is so.
func awaitTrue(ctx context.Context, conn *pgx.Conn, patience time.Duration, what, sql string) error {
	ctx, cancel := context.WithTimeoutCause(ctx, patience, errors.New("waited in vain for "+what))
	defer cancel()
	for {
		var so bool
		if err := conn.QueryRow(ctx, sql).Scan(&so); err != nil {
			return errors.Join(context.Cause(ctx), err)
		}
		if so {
			return nil
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// measureSearch is what the search for the accounts of 50,000 wallets takes of the
// processor: on the public limit no run can be good for days, so it is all that the
// service does beside looking at the universe.
func measureSearch(ctx context.Context, b *bench) error {
	if err := b.database(ctx, "search"); err != nil {
		return err
	}
	conn, err := b.connect(ctx, server.Superuser, "search")
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	exchange, service, err := b.exchangeAndService(ctx, conn, "search", 1, []string{"--rows=60000", "--active=60000"}, []string{"--universe-size=50000"})
	if err != nil {
		return err
	}
	if err := awaitTrue(ctx, conn, 3*time.Minute, "two minutes", "SELECT count(*) >= 2 FROM ingest_runs WHERE wallets_expected >= 49000"); err != nil {
		return err
	}
	const minutes = 3
	before, err := cpu(service.Process.Pid)
	if err != nil {
		return err
	}
	asked, err := searched(ctx, exchange)
	if err != nil {
		return err
	}
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(minutes * time.Minute):
	}
	after, err := cpu(service.Process.Pid)
	if err != nil {
		return err
	}
	later, err := searched(ctx, exchange)
	b.add("50,000 wallets: CPU of searching accounts, a minute", 1, (after-before)/minutes, " s", fmt.Sprintf("all that the service takes, %.0f lists a minute", (later-asked)/20/minutes))
	return err
}

// cpu gives the seconds that a process has been at work.
func cpu(pid int) (float64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	_, rest, ok := strings.Cut(string(text), ") ")
	fields := strings.Fields(rest)
	if !ok || len(fields) < 13 {
		return 0, errors.New("no times in the stat of the process")
	}
	const ticks = 100 // a second, as every Linux tells programs
	user, err := strconv.ParseFloat(fields[11], 64)
	if err != nil {
		return 0, err
	}
	system, err := strconv.ParseFloat(fields[12], 64)
	return (user + system) / ticks, err
}
