// Command bench measures what docs/performance.md promises and prints the
// table. Every figure is a ratio against a reference of the same run, or a
// plain count of bytes; a machine that is busy with other work moves both sides.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"

	"github.com/whalegate/whalegate/internal/postgres/pgtest"
	"github.com/whalegate/whalegate/internal/postgres/server"
)

type measurement struct {
	name    string // what -only takes
	measure func(context.Context, *bench) error
}

var measurements = []measurement{
	{"write", measureWrite},
	{"size", measureSize},
	{"cycle", measureCycle},
	{"first", measureFirst},
	{"search", measureSearch},
	{"health", measureHealth},
	{"retention", measureRetention},
	{"leaderboard", measureLeaderboard},
	{"core", measureCore},
	{"medians", measureMedians},
	{"signals", measureSignals},
	{"board", measureBoard},
	{"alerts", measureAlerts},
}

// bench is what the measurements share.
type bench struct {
	dir    string // for everything, removed at the end
	commit string // that was there at the start
	server *server.Server
	rows   []row
}

type row struct{ what, aim, measured, verdict, how string }

// add judges a figure against its aim.
func (b *bench) add(what string, aim, measured float64, unit, how string) {
	verdict := "met"
	if measured > aim {
		verdict = "**missed**"
	}
	b.rows = append(b.rows, row{what, fmt.Sprintf("≤ %g%s", aim, unit), figure(measured) + unit, verdict, how})
}

// note adds a figure that has no aim.
func (b *bench) note(what string, measured float64, unit, how string) {
	b.rows = append(b.rows, row{what, "–", figure(measured) + unit, "", how})
}

func figure(f float64) string {
	if f >= 100 {
		return fmt.Sprintf("%.0f", f)
	}
	return fmt.Sprintf("%#.3g", f)
}

func main() {
	only := flag.String("only", "", "comma-separated measurements to make; all of them by default")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	var err error
	if flag.Arg(0) == largeCommand {
		err = playLarge(ctx, flag.Arg(1))
	} else {
		err = run(ctx, *only)
	}
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, only string) (err error) {
	var chosen []string
	if only != "" {
		chosen = strings.Split(only, ",")
	}
	for _, name := range chosen {
		if !slices.ContainsFunc(measurements, func(m measurement) bool { return m.name == name }) {
			return fmt.Errorf("-only %s: not a measurement", name)
		}
	}
	dir, err := os.MkdirTemp("", "whalegate-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if err := os.Chmod(dir, 0o711); err != nil { // the server's user has to pass through
		return err
	}
	// No settings: the figures are those of a server as it is installed.
	s, err := server.Start(ctx, server.Config{Dir: filepath.Join(dir, "data")})
	if err != nil {
		return err
	}
	defer func() {
		if killErr := s.Kill(); err == nil { // the data is thrown away
			err = killErr
		}
	}()
	b := &bench{dir: dir, commit: commit(ctx), server: s}
	for _, m := range measurements {
		if only != "" && !slices.Contains(chosen, m.name) {
			continue
		}
		fmt.Fprintln(os.Stderr, "measuring", m.name)
		if err := m.measure(ctx, b); err != nil {
			return fmt.Errorf("%s: %w", m.name, err)
		}
	}
	return b.print(ctx)
}

// database makes a migrated one.
func (b *bench) database(ctx context.Context, name string) error {
	return pgtest.Prepare(ctx, b.server, name)
}

func commit(ctx context.Context) string {
	text, err := exec.CommandContext(ctx, "git", "describe", "--always", "--abbrev=12", "--dirty", "--exclude=*").Output()
	if err != nil {
		return "unknown" // a source archive has none
	}
	return strings.TrimSpace(string(text))
}

func (b *bench) print(ctx context.Context) error {
	conn, err := b.connect(ctx, server.Superuser, "postgres")
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	var version string
	if err := conn.QueryRow(ctx, "SHOW server_version").Scan(&version); err != nil {
		return err
	}
	fmt.Printf("Commit %s; %d cores; %s %s/%s; PostgreSQL %s with default settings.\n\n",
		b.commit, runtime.NumCPU(), runtime.Version(), runtime.GOOS, runtime.GOARCH, version)
	fmt.Println("| what | aim | measured | | from |\n|---|---|---|---|---|")
	for _, r := range b.rows {
		fmt.Printf("| %s | %s | %s | %s | %s |\n", r.what, r.aim, r.measured, r.verdict, r.how)
	}
	return nil
}
