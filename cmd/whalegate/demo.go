package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/oklog/run"

	"github.com/whalegate/whalegate/alerting/receiver"
	"github.com/whalegate/whalegate/collector/simulator"
	"github.com/whalegate/whalegate/internal/postgres"
	"github.com/whalegate/whalegate/internal/postgres/disk"
	"github.com/whalegate/whalegate/internal/postgres/server"
)

type demoCmd struct {
	httpFlags
	alertFlags
	clockFlag
	leadFlag
	DataDir     string        `name:"data-dir" env:"WHALEGATE_DATA_DIR" type:"path" help:"Folder for the database and the demo's settings; by default one in the user's data folder, or /var/lib/whalegate for root."`
	Database    int           `name:"database-port" default:"54329" help:"Port of the private PostgreSQL on 127.0.0.1; a free one when it is taken."`
	Simulator   string        `name:"simulator-address" default:"127.0.0.1:9465" help:"Address of the simulated exchange; a free port when it is taken."`
	Seed        uint64        `default:"1" help:"Seed of the simulated market, at the first start."`
	Rows        int           `default:"5000" help:"Rows of the simulated leaderboard."`
	Universe    int           `name:"universe-size" env:"WHALEGATE_UNIVERSE_SIZE" default:"200" help:"Wallets to track."`
	Concurrency int           `name:"concurrency" env:"WHALEGATE_CONCURRENCY" default:"8" help:"Requests at a time."`
	Latency     time.Duration `default:"50ms" help:"Latency of the simulated exchange."`
	Positions   string        `type:"existingfile" help:"CSV file of recorded positions to play in place of the market, from the first start on (ts,address,coin,szi; .gz too)."`
	History     time.Duration `default:"24h" help:"Simulated history to load at the first start."`
	Boards      bool          `default:"true" negatable:"" help:"Start Grafana and Prometheus when they are found."`
	Grafana     string        `name:"grafana-address" default:"127.0.0.1:3000" help:"Address of Grafana; a free port when it is taken."`
	Prometheus  string        `name:"prometheus-address" default:"127.0.0.1:9090" help:"Address of Prometheus; a free port when it is taken."`
}

// demoWeight is the request weight per minute that the simulator allows and the
// service uses: enough to know every wallet's sub-accounts within seconds, as a
// paid provider would give.
const demoWeight = 12_000

const (
	database   = "hyperliquid"
	writerRole = "whalegate_writer"
	boardRole  = "whalegate_board"
	opsRole    = "whalegate_ops"
)

// Run starts everything and ends everything.
func (c *demoCmd) Run(ctx context.Context, logger *slog.Logger) (err error) {
	clk, err := c.clock()
	if err != nil {
		return err
	}
	if c.Universe < 1 || c.History < 0 {
		return fmt.Errorf("universe size %d, history %s: neither may be negative, and the universe not be empty", c.Universe, c.History)
	}
	if c.DataDir == "" {
		c.DataDir = defaultDataDir()
	}
	state, err := openDemoState(c.DataDir, demoState{Seed: c.Seed, Positions: c.Positions, Origin: clk.Now().Add(-c.History).Truncate(time.Minute)})
	if err != nil {
		return err
	}
	recording, err := loadPositions(state.Positions)
	if err != nil {
		return err
	}

	logger.Info("starting PostgreSQL", "data", filepath.Join(c.DataDir, "postgres"))
	pg, err := server.Start(ctx, server.Config{Dir: filepath.Join(c.DataDir, "postgres"), Port: freeOr(c.Database), Password: state.SuperuserPassword})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, pg.Stop()) }()
	if err := prepareDatabase(ctx, pg, state); errors.Is(err, postgres.ErrUnreleased) {
		return fmt.Errorf("%w: remove %s, where the demo keeps its data, or begin in another folder (--data-dir)", err, c.DataDir)
	} else if err != nil {
		return err
	}

	listener, err := net.Listen("tcp", freeOrAddress(c.Simulator))
	if err != nil {
		return fmt.Errorf("simulator address %s: %w", c.Simulator, err)
	}
	market := simulator.Config{Seed: state.Seed, Rows: c.Rows, Active: c.Universe * 3 / 2, Origin: state.Origin, Recording: recording, Clock: clk, WeightPerMinute: demoWeight, Latency: c.Latency, Logger: logger}
	exchange, err := simulator.New(market)
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	address := "http://" + listener.Addr().String()
	flags := exchangeFlags{APIURL: address, StatsURL: address, APIWeight: demoWeight, Universe: c.Universe, Concurrency: c.Concurrency}
	writerURL := withPassword(pg.URL(writerRole, database), state.WriterPassword)
	s, err := newService(ctx, writerURL, httpFlags{freeOrAddress(c.Listen), c.WebConfig, c.External}, flags, c.alertFlags, storageFlags{Disk: c.DataDir, Reserve: disk.DefaultReserve}, c.leadFlag, clk, logger)
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	databaseURL := withPassword(pg.URL(server.Superuser, database), state.SuperuserPassword)
	if err := state.writeEnv(c.DataDir, databaseURL, address, "http://"+s.server.Address(), ""); err != nil {
		return err
	}

	// The order of shutdown: the service first, then what it stands on.
	simulated, stopSimulator := context.WithCancel(context.WithoutCancel(ctx))
	ended := make(chan error, 1)
	go func() {
		var g run.Group
		addContext(&g, simulated)
		addHTTP(&g, listener, exchange.Handler())
		ended <- g.Run()
	}()
	defer func() { stopSimulator(); err = errors.Join(err, <-ended) }()

	if err := loadHistory(ctx, s, state, c.DataDir, market, logger); err != nil {
		s.pool.Close()
		if ctx.Err() != nil {
			return nil // ended by a signal: the next start goes on
		}
		return err
	}
	// The service does not wait for the boards; the announcement does.
	started := make(chan *demoBoards, 1)
	go func() {
		boards := c.startBoards(ctx, state, net.JoinHostPort("127.0.0.1", strconv.Itoa(pg.Port())), s.server, logger)
		if boards.grafana != nil {
			if err := state.writeEnv(c.DataDir, databaseURL, address, "http://"+s.server.Address(), boards.grafana.URL); err != nil {
				boards.lines = append(boards.lines, "  the file env could not be written: "+err.Error())
			}
		}
		if ctx.Err() == nil {
			c.announce(s, pg, address, boards)
		}
		started <- boards
	}()
	defer func() { err = errors.Join(err, (<-started).stop()) }()
	return s.run(ctx)
}

// announce prints every address, and how to look.
func (c *demoCmd) announce(s *service, pg *server.Server, simulator string, boards *demoBoards) {
	env := filepath.Join(c.DataDir, "env")
	fmt.Printf(`
whalegate demo is running. Everything listens on this machine only.
  service     http://%s   /metrics  /-/healthy  /-/ready  /api/v1/status; runbooks and documentation at /
  exchange    %s   simulated; faults: POST /control/faults
  PostgreSQL  127.0.0.1:%d, database %s
  alerts      %s
%s

In another terminal:
  . %s
  %s status
  psql "$DATABASE_URL"
Ctrl-C ends it; the next start goes on with the same data in %s

`, s.server.Address(), simulator, pg.Port(), database, s.announceReceivers(), strings.Join(boards.lines, "\n"), env, program(), c.DataDir)
}

// announceReceivers says who is told of alerts.
func (s *service) announceReceivers() string {
	if slices.Equal(s.receivers, []string{receiver.LogName}) {
		return "written to this log and sent to nobody; --receivers.file FILE says whom to tell"
	}
	return "sent to " + strings.Join(s.receivers, ", ")
}

// program is how this program can be called again.
func program() string {
	if path, err := os.Executable(); err == nil {
		return path
	}
	return "whalegate"
}

// prepareDatabase makes the database, its schema, and the logins of the service
// and of the boards.
func prepareDatabase(ctx context.Context, pg *server.Server, state demoState) error {
	admin, err := pgx.Connect(ctx, withPassword(pg.URL(server.Superuser, "postgres"), state.SuperuserPassword))
	if err != nil {
		return fmt.Errorf("connect to the demo's PostgreSQL: %w", err)
	}
	defer admin.Close(ctx)
	var exists bool
	if err := admin.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)", database).Scan(&exists); err != nil {
		return fmt.Errorf("look for database %s: %w", database, err)
	}
	if !exists {
		if _, err := admin.Exec(ctx, "CREATE DATABASE "+database); err != nil {
			return fmt.Errorf("make database %s: %w", database, err)
		}
	}
	conn, err := pgx.Connect(ctx, withPassword(pg.URL(server.Superuser, database), state.SuperuserPassword))
	if err != nil {
		return fmt.Errorf("connect to %s: %w", database, err)
	}
	defer conn.Close(ctx)
	if _, _, err := postgres.Migrate(ctx, conn, ""); err != nil {
		return err
	}
	for role, password := range map[string]string{writerRole: state.WriterPassword, boardRole: state.BoardPassword, opsRole: state.OpsPassword} {
		// The passwords are of our own making: letters and digits only.
		if _, err := conn.Exec(ctx, fmt.Sprintf("ALTER ROLE %s LOGIN PASSWORD '%s'", role, password)); err != nil {
			return fmt.Errorf("let %s log in: %w", role, err)
		}
	}
	return nil
}

func defaultDataDir() string {
	if os.Geteuid() == 0 {
		return "/var/lib/whalegate/demo" // root's home is closed to the user that PostgreSQL runs as
	}
	base := os.Getenv("XDG_DATA_HOME")
	if base == "" {
		home, err := os.UserHomeDir()
		if err != nil {
			home = os.TempDir()
		}
		base = filepath.Join(home, ".local", "share")
	}
	return filepath.Join(base, "whalegate", "demo")
}

// freeOr is port when it is free, else 0: any.
func freeOr(port int) int {
	if freeOrAddress(net.JoinHostPort("127.0.0.1", strconv.Itoa(port))) == "127.0.0.1:0" {
		return 0
	}
	return port
}

// freeOrAddress is address when it can be taken, else a free port of its host.
func freeOrAddress(address string) string {
	l, err := net.Listen("tcp", address)
	if err == nil {
		_ = l.Close() // it was only tried
		return address
	}
	host, _, splitErr := net.SplitHostPort(address)
	if splitErr != nil {
		return address // whoever listens will say what is wrong with it
	}
	return net.JoinHostPort(host, "0")
}

// withPassword adds a password of letters and digits to a URL that has a user.
func withPassword(address, password string) string {
	user, rest, _ := strings.Cut(strings.TrimPrefix(address, "postgres://"), "@")
	name, _, _ := strings.Cut(user, ":")
	return "postgres://" + name + ":" + password + "@" + rest
}

// loadHistory fills the database with what the service would have stored had it
// run since the origin. A load that was cut off goes on where it stopped.
func loadHistory(ctx context.Context, s *service, state demoState, dir string, market simulator.Config, logger *slog.Logger) error {
	if state.HistoryLoaded {
		return nil
	}
	past, err := simulator.New(market)
	if err != nil {
		return err
	}
	h := history{service: s, exchange: past, logger: logger}
	if err := h.load(ctx, state.Origin, s.clock); err != nil {
		return fmt.Errorf("load history: %w", err)
	}
	state.HistoryLoaded = true
	return state.save(dir)
}
