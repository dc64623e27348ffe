package simulator

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/whalegate/whalegate/internal/clock"
)

// Config of an Exchange. The zero value is a small one with seed 0.
type Config struct {
	Seed   uint64
	Rows   int // on the leaderboard, 1 to 100,000; 0 is 1000
	Active int // wallets at its top that trade, at most Rows; 0 is 300 or Rows
	// Population says what those at the top are. Without recorded wallets its
	// figures hold for the first 200 at any time.
	Population Population
	// Origin is the minute at which the market starts; zero is the present one.
	// Every minute since then is played when first asked for.
	Origin time.Time
	Clock  clock.Clock
	// WeightPerMinute is what each client address may spend in any 60 s; 0 is
	// without limit. A request that would take it beyond that is answered 429
	// and costs nothing.
	WeightPerMinute int
	Latency         time.Duration // of every answer on /info, in time of Clock
	Logger          *slog.Logger  // nil discards

	// Recording puts its addresses at the top of the leaderboard, with
	// positions that follow it from Origin on.
	Recording *Recording
	// Bodies puts its addresses behind those of Recording. Each is answered
	// with its recorded clearinghouse state, at the present time.
	Bodies map[string][]byte
}

const mostRows = 100_000

func (c Config) withDefaults() (Config, error) {
	if c.Rows == 0 {
		c.Rows = 1000
	}
	if c.Rows < 1 || c.Rows > mostRows {
		return c, fmt.Errorf("rows: %d is not between 1 and %d", c.Rows, mostRows)
	}
	if c.Active == 0 {
		c.Active = min(300, c.Rows)
	}
	if c.Active < 1 || c.Active > c.Rows {
		return c, fmt.Errorf("active: %d is not between 1 and the %d rows", c.Active, c.Rows)
	}
	recorded := len(c.Bodies)
	if c.Recording != nil {
		recorded += len(c.Recording.wallets)
	}
	if err := c.Population.validate(c.Active - recorded); err != nil {
		return c, err
	}
	if recorded > c.Rows {
		return c, fmt.Errorf("rows: %d are too few for %d recorded wallets", c.Rows, recorded)
	}
	if c.WeightPerMinute < 0 {
		return c, fmt.Errorf("weight per minute: %d is below 0", c.WeightPerMinute)
	}
	if c.Latency < 0 {
		return c, errors.New("latency: below 0")
	}
	if c.Origin.IsZero() {
		c.Origin = c.Clock.Now()
	}
	c.Origin = c.Origin.UTC().Truncate(time.Minute)
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c, nil
}
