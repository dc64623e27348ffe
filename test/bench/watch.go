package main

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
)

// watchService starts the service a few times for the time until it is ready,
// and lets the last one run.
func (b *bench) watchService(ctx context.Context, conn *pgx.Conn, args []string) error {
	address, err := freeAddress(ctx)
	if err != nil {
		return err
	}
	args = append(args, "--listen-address="+address)
	var ready []float64
	for range 5 {
		ms, err := b.readyAfter(ctx, "http://"+address, args)
		if err != nil {
			return err
		}
		ready = append(ready, ms)
	}
	if err := execute(ctx, conn, forgetUniverse, "TRUNCATE ingest_runs, wallet_snapshots"); err != nil {
		return err
	}
	serviceCtx, stop := context.WithCancel(ctx)
	service, err := b.start(serviceCtx, args...)
	if err != nil {
		stop()
		return err
	}
	defer func() { stop(); _ = service.Wait() }() // it ends by our signal
	// The first cycles find no universe yet, or no connections.
	if err := awaitCycles(ctx, conn, 2); err != nil {
		return err
	}
	before, err := cycleTime(ctx, "http://"+address)
	if err != nil {
		return err
	}
	if err := awaitCycles(ctx, conn, cycles+2); err != nil {
		return err
	}
	after, err := cycleTime(ctx, "http://"+address)
	if err != nil {
		return err
	}
	var asking float64
	if err := conn.QueryRow(ctx, medianDuration).Scan(&asking); err != nil {
		return err
	}
	asking /= speed
	whole := (after["sum"] - before["sum"]) / (after["count"] - before["count"]) * 1000 / speed
	b.add("cycle against the simulator: asking", 1.1, asking/ideal, "", fmt.Sprintf("%.0f ms against %.0f ms, median of %d", asking, ideal, cycles))
	b.add("… with its commit", 1.1, whole/ideal, "", fmt.Sprintf("%.0f ms, mean of %.0f", whole, after["count"]-before["count"]))
	memory, err := rss(service.Process.Pid)
	b.add("`run` at 200 wallets: RSS", 64, memory, " MiB", fmt.Sprintf("after a leaderboard of 50,000 rows and %d cycles", cycles))
	b.add("`run`: start to ready", 1000, median(ready), " ms", fmt.Sprintf("%d starts", len(ready)))
	return err
}

// readyAfter starts the service, waits until it is ready and ends it.
func (b *bench) readyAfter(ctx context.Context, base string, args []string) (float64, error) {
	ctx, stop := context.WithCancel(ctx)
	begin := time.Now()
	service, err := b.start(ctx, args...)
	if err != nil {
		stop()
		return 0, err
	}
	defer func() { stop(); _ = service.Wait() }() // it ends by our signal
	return await(ctx, begin, base+"/-/ready")
}

// awaitCycles waits for n cycles that read every wallet.
func awaitCycles(ctx context.Context, conn *pgx.Conn, n int) error {
	ctx, cancel := context.WithTimeoutCause(ctx, 5*time.Minute, errors.New("too few cycles succeeded"))
	defer cancel()
	for {
		var done int
		if err := conn.QueryRow(ctx, "SELECT count(*) FROM ingest_runs WHERE status = 'success' AND wallet_success_count = 200").Scan(&done); err != nil {
			return errors.Join(context.Cause(ctx), err)
		}
		if done >= n {
			return nil
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(time.Second):
		}
	}
}

// medianDuration is what the runs themselves recorded: the asking, in time of
// the fast clock.
const medianDuration = `
	SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY duration_ms)
	FROM (SELECT duration_ms FROM ingest_runs WHERE status = 'success' AND wallet_success_count = 200 ORDER BY timestamp OFFSET 2) r`

var cycleSeconds = regexp.MustCompile(`(?m)^whalegate_\w*cycle_duration_seconds_(sum|count) (\S+)$`)

// cycleTime reads from the metrics what whole cycles took, with their commits.
func cycleTime(ctx context.Context, base string) (map[string]float64, error) {
	text, err := get(ctx, base+"/metrics")
	if err != nil {
		return nil, err
	}
	value := map[string]float64{}
	for _, found := range cycleSeconds.FindAllStringSubmatch(text, -1) {
		if value[found[1]], err = strconv.ParseFloat(found[2], 64); err != nil {
			return nil, err
		}
	}
	return value, nil
}
