// Command whalegate watches the leading wallets of Hyperliquid and tells what
// kind of trade is allowed. See `whalegate --help`.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"os/user"
	"strings"
	"syscall"
	"time"

	"github.com/alecthomas/kong"
	"github.com/lmittmann/tint"

	"github.com/whalegate/whalegate/internal/clock"
)

// cli is every command; the files beside this one hold one each.
type cli struct {
	Log      logFlags      `embed:"" prefix:"log."`
	Run      runCmd        `cmd:"" help:"Run the service against the exchange and a given database."`
	Demo     demoCmd       `cmd:"" help:"Run everything on this machine with no set-up: a private PostgreSQL, the exchange simulator, a day of history, then the service live."`
	Sim      simulate      `cmd:"" name:"simulate" help:"Run the exchange simulator alone."`
	Dog      watchdogCmd   `cmd:"" name:"watchdog" help:"Run the dead man's switch: it fires the system alert when the service, or the database, is dead."`
	Migrate  migrateCmd    `cmd:"" help:"Bring the database's schema and roles up to date."`
	Status   statusCmd     `cmd:"" help:"Show health, its reasons, ages and coverage. Exits 0 HEALTHY, 1 DEGRADED, 2 STALE, 3 when the database could not be asked."`
	Halt     haltCmd       `cmd:"" help:"Halt: STALE until a documented resume, across restarts."`
	Resume   resumeCmd     `cmd:"" help:"End the halt, once two clean cycles are in since it began."`
	Clock    clockCmd      `cmd:"" name:"clock" help:"What to do after a clock was wrong."`
	Baseline baselineCmd   `cmd:"" name:"baseline" help:"What to do after something happened to all holders of an asset at once."`
	Univ     universe      `cmd:"" name:"universe" help:"The tracked wallets."`
	Signals  signalsCmd    `cmd:"" help:"The stored signals: list them, compute them again, replay a range."`
	Alerts   alertsCmd     `cmd:"" name:"alerts" help:"The alerts and their deliveries: list them, what is remembered, send again, test a receiver, pause in an emergency."`
	Prune    pruneCmd      `cmd:"" help:"Remove what is older than it has to be kept, now; the service does it once a day."`
	Runbook  runbookCmd    `cmd:"" name:"runbook" help:"The runbooks: what is broken, what to do, and whether it has recovered."`
	Boards   dashboardsCmd `cmd:"" name:"dashboards" help:"The Grafana boards."`
	Version  versionCmd    `cmd:"" help:"Show build information."`
}

type logFlags struct {
	Format string `enum:"auto,tint,json" default:"auto" env:"WHALEGATE_LOG_FORMAT" help:"tint (for people), json, or auto: tint on a terminal, else json."`
	Level  string `enum:"debug,info,warn,error" default:"info" env:"WHALEGATE_LOG_LEVEL" help:"Least severe level to log."`
}

// databaseFlag is how every command finds the database.
type databaseFlag struct {
	DatabaseURL string `name:"database-url" env:"DATABASE_URL" default:"postgres:///hyperliquid?host=/var/run/postgresql" help:"PostgreSQL URL or connection string."`
}

// clockFlag is hidden: only end-to-end tests move time.
type clockFlag struct {
	Clock     string `name:"test-clock" env:"WHALEGATE_TEST_CLOCK" hidden:"" help:"ANCHOR,SPEED of an accelerated clock."`
	ClockFile string `name:"test-clock-file" env:"WHALEGATE_TEST_CLOCK_FILE" hidden:"" help:"File that says how far the clock is off, such as -20m; read whenever the clock is."`
}

func (f clockFlag) clock() (clock.Clock, error) {
	c, err := clock.Parse(f.Clock)
	return c.OffBy(f.ClockFile), err
}

// leadFlag is hidden: beats and take-over run on real time, and only tests hurry.
type leadFlag struct {
	Faster float64 `name:"test-lead-faster" env:"WHALEGATE_TEST_LEAD_FASTER" hidden:"" default:"1" help:"Divides every interval of beats and take-over."`
}

// exitError ends a command with a code of its own.
type exitError struct {
	code int
	err  error // nil: everything has been said
}

func (e *exitError) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit status %d", e.code)
	}
	return e.err.Error()
}

func main() { os.Exit(execute(os.Args[1:])) }

func execute(args []string) int {
	var c cli
	parser, err := kong.New(&c, kong.Name("whalegate"), kong.ConfigureHelp(kong.HelpOptions{Compact: true}),
		kong.Description("Watches the positions of Hyperliquid's leading wallets and closes the gate when its data cannot be trusted."))
	if err != nil {
		panic(err) // the tags of this file are malformed
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	command, err := parser.Parse(args)
	parser.FatalIfErrorf(err)
	command.BindTo(ctx, (*context.Context)(nil))
	command.Bind(c.Log.logger(os.Stderr))
	err = command.Run()
	var exit *exitError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &exit):
		if exit.err != nil {
			complain(exit.err)
		}
		return exit.code
	case ctx.Err() != nil && errors.Is(err, context.Canceled):
		complain(errors.New("interrupted before it was done")) // and not by what it waited for
		return 1
	default:
		complain(err)
		return 1
	}
}

// complain says in one line what is wrong; the errors of drivers and parsers have
// lines of their own.
func complain(err error) {
	fmt.Fprintln(os.Stderr, "whalegate:", strings.Join(strings.Fields(err.Error()), " "))
}

func (f logFlags) logger(w *os.File) *slog.Logger {
	var level slog.Level
	_ = level.UnmarshalText([]byte(f.Level)) // kong has checked it
	if f.Format == "tint" || f.Format == "auto" && isTerminal(w) {
		return slog.New(tint.NewTextHandler(w, &tint.Options{Level: level, TimeFormat: time.TimeOnly, NoColor: !isTerminal(w)}))
	}
	return slog.New(slog.NewJSONHandler(w, &slog.HandlerOptions{Level: level}))
}

// isTerminal tells whether w is a character device: a person reads along.
func isTerminal(w io.Writer) bool {
	file, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := file.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// operator is who typed the command, for the incident record.
func operator() string {
	if u, err := user.Current(); err == nil {
		return u.Username
	}
	return "unknown"
}
