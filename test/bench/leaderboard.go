package main

import (
	"context"
	"fmt"
	"os/exec"
	"regexp"
	"strconv"
)

var peakMiB = regexp.MustCompile(`([0-9.]+) peak-MiB`)

// measureLeaderboard runs the client's own benchmark: the body must come from a
// reader that makes it up, in a process that does nothing else.
func measureLeaderboard(ctx context.Context, b *bench) error {
	out, err := exec.CommandContext(ctx, "go", "test", "-run", "^$", "-bench", "Leaderboard50000", "-benchtime", "3x", "./collector/hyperliquid").CombinedOutput()
	if err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	found := peakMiB.FindSubmatch(out)
	if found == nil {
		return fmt.Errorf("no peak-MiB in %s", out)
	}
	peak, err := strconv.ParseFloat(string(found[1]), 64)
	b.add("leaderboard of 50,000 rows: peak extra memory", 16, peak, " MiB", "most of 3 readings, garbage included")
	return err
}
