package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/oklog/run"

	"github.com/whalegate/whalegate/collector/simulator"
	"github.com/whalegate/whalegate/internal/clock"
)

type simulate struct {
	clockFlag
	Listen     string        `name:"listen-address" env:"WHALEGATE_SIMULATOR_ADDRESS" default:"127.0.0.1:9465" help:"Address to listen on."`
	Seed       uint64        `default:"1" help:"Seed of the market: the same seed and origin give the same positions."`
	Rows       int           `default:"1000" help:"Rows of the leaderboard."`
	Active     int           `default:"300" help:"Wallets at its top that trade."`
	Population string        `default:"simple" enum:"simple,public" help:"Leading wallets: simple, or public as on the real exchange, with sub-accounts, vaults and spot."`
	Origin     time.Time     `help:"Minute at which the market starts, RFC 3339; by default a day before now, on the hour."`
	Weight     int           `default:"1200" help:"Request weight allowed in any 60 seconds per client; 0 enforces nothing."`
	Latency    time.Duration `default:"50ms" help:"Latency of every info answer."`
	Scenario   string        `type:"existingfile" help:"JSON file of faults and when they happen."`
	Positions  string        `type:"existingfile" help:"CSV file of recorded positions to replay (ts,address,coin,szi; .gz too)."`
	Bodies     string        `type:"existingdir" help:"Folder of recorded states to serve, one ADDRESS.json each."`
}

// Run serves the simulated exchange until a signal.
func (c *simulate) Run(ctx context.Context, logger *slog.Logger) error {
	clk, err := c.clock()
	if err != nil {
		return err
	}
	exchange, err := c.exchange(clk, logger)
	if err != nil {
		return err
	}
	var scenario simulator.Scenario
	if c.Scenario != "" {
		if scenario, err = loadScenario(c.Scenario); err != nil {
			return err
		}
	}
	listener, err := net.Listen("tcp", c.Listen)
	if err != nil {
		return fmt.Errorf("listen address %s: %w", c.Listen, err)
	}
	logger.Info("simulator started", "address", "http://"+listener.Addr().String(), "seed", c.Seed, "rows", c.Rows)
	var g run.Group
	addContext(&g, ctx)
	if c.Scenario != "" {
		ctx, cancel := context.WithCancel(ctx)
		g.Add(func() error {
			if err := exchange.Run(ctx, scenario); err != nil {
				return err
			}
			<-ctx.Done() // the last step is not the end of the exchange
			return nil
		}, func(error) { cancel() })
	}
	addHTTP(&g, listener, exchange.Handler())
	return g.Run()
}

func (c *simulate) exchange(clk clock.Clock, logger *slog.Logger) (*simulator.Exchange, error) {
	cfg := simulator.Config{
		Seed: c.Seed, Rows: c.Rows, Active: c.Active, Origin: c.Origin, Clock: clk, WeightPerMinute: c.Weight, Latency: c.Latency, Logger: logger,
	}
	if c.Population == string(simulator.PublicPopulation) {
		cfg.Population = simulator.PublicPopulation
	}
	if cfg.Origin.IsZero() {
		cfg.Origin = clk.Now().Truncate(time.Hour).Add(-24 * time.Hour)
	}
	var err error
	if cfg.Recording, err = loadPositions(c.Positions); err != nil {
		return nil, err
	}
	if c.Bodies != "" {
		if cfg.Bodies, err = simulator.LoadBodies(c.Bodies); err != nil {
			return nil, fmt.Errorf("bodies %s: %w", c.Bodies, err)
		}
	}
	return simulator.New(cfg)
}

// loadPositions reads recorded positions; none when there is no path.
func loadPositions(path string) (*simulator.Recording, error) {
	if path == "" {
		return nil, nil
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("positions: %w", err)
	}
	defer file.Close()
	recording, err := simulator.LoadPositions(file)
	if err != nil {
		return nil, fmt.Errorf("positions %s: %w", path, err)
	}
	return recording, nil
}

func loadScenario(path string) (simulator.Scenario, error) {
	file, err := os.Open(path)
	if err != nil {
		return simulator.Scenario{}, fmt.Errorf("scenario: %w", err)
	}
	defer file.Close()
	scenario, err := simulator.LoadScenario(file)
	if err != nil {
		return scenario, fmt.Errorf("scenario %s: %w", path, err)
	}
	return scenario, nil
}

// addContext ends the group when ctx ends.
func addContext(g *run.Group, ctx context.Context) {
	ctx, cancel := context.WithCancel(ctx)
	g.Add(func() error { <-ctx.Done(); return nil }, func(error) { cancel() })
}

// addHTTP serves until the group ends. Requests that hang on purpose are cut.
func addHTTP(g *run.Group, listener net.Listener, handler http.Handler) {
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second}
	g.Add(func() error {
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			return fmt.Errorf("serve the simulator: %w", err)
		}
		return nil
	}, func(error) { _ = server.Close() })
}
