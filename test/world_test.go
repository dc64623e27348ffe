package test

import (
	"cmp"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/whalegate/whalegate/internal/clock"
	"github.com/whalegate/whalegate/internal/postgres"
	"github.com/whalegate/whalegate/internal/postgres/pgtest"
	"github.com/whalegate/whalegate/internal/postgres/server"
)

const (
	speed    = 60 // a minute is a second
	slow     = 6  // where seconds count, as they do of a state's age
	hurry    = 20 // beats and take-over, which run on real time, take a twentieth of theirs
	wallets  = 24
	rows     = 200
	active   = 60
	seed     = 1
	writer   = "whalegate_writer"
	dbName   = "hyperliquid"
	assets   = 3
	fullRows = wallets * assets
)

// faster is how a service learns of hurry.
var faster = fmt.Sprintf("WHALEGATE_TEST_LEAD_FASTER=%d", hurry)

// world is a database, an exchange and the service, all on one clock.
type world struct {
	testing.TB
	anchor   time.Time
	speed    int
	clock    clock.Clock
	origin   time.Time // of the market
	pg       *server.Server
	db       *pgxpool.Pool // as the superuser
	exchange string        // URL
	market   *process      // the exchange
	service  *process
	address  string   // URL of the service
	env      []string // how commands find a world that was not made here
}

// newWorld makes a world whose service runs.
func newWorld(t testing.TB) *world {
	w := quietWorld(t)
	w.run()
	return w
}

// quietWorld makes a world whose service has not been started yet; exchange are
// further arguments of the simulator.
func quietWorld(t testing.TB, exchange ...string) *world {
	return worldOn(t, startPostgres(t), exchange...)
}

// worldOn is a quiet world on a server that was started for it.
func worldOn(t testing.TB, pg *server.Server, exchange ...string) *world {
	return emptyWorld(t).quiet(pg, exchange...)
}

// slowWorld is a quiet world whose minute lasts ten seconds.
func slowWorld(t testing.TB) *world {
	return emptyWorldAt(t, slow).quiet(startPostgres(t))
}

func (w *world) quiet(pg *server.Server, exchange ...string) *world {
	t := w.TB
	w.pg = pg
	must(t, pgtest.Prepare(t.Context(), w.pg, dbName))
	w.connect()
	w.moveTime(w.db)
	w.openExchange(exchange...)
	return w
}

// emptyWorld has a clock and nothing else.
func emptyWorld(t testing.TB) *world { return emptyWorldAt(t, speed) }

func emptyWorldAt(t testing.TB, speed int) *world {
	w := &world{TB: t, anchor: time.Now().UTC().Truncate(time.Millisecond), speed: speed}
	var err error
	w.clock, err = clock.Parse(w.clockText())
	must(t, err)
	w.origin = w.clock.Now().Truncate(time.Minute).Add(-time.Hour)
	return w
}

// in is the world as a subtest sees it: what fails there fails the subtest.
func (w world) in(t testing.TB) *world {
	w.TB = t
	return &w
}

// patience is half an hour of the world's clock.
func (w *world) patience() time.Duration {
	return patience * time.Duration(speed/cmp.Or(w.speed, speed))
}

func (w *world) clockText() string {
	return fmt.Sprintf("%s,%d", w.anchor.Format(time.RFC3339Nano), w.speed)
}

func startPostgres(t testing.TB) *server.Server {
	t.Helper()
	pg, err := server.Start(t.Context(), server.Config{Dir: filepath.Join(openDir(t), "data"), Settings: pgtest.Settings()})
	must(t, err)
	t.Cleanup(func() { must(t, pg.Kill()) }) // its data is thrown away
	return pg
}

func (w *world) connect() {
	var err error
	w.db, err = postgres.Open(w.Context(), w.pg.URL(server.Superuser, dbName), "test")
	must(w, err)
	w.Cleanup(w.db.Close)
}

// moveTime makes the database's clock the world's.
func (w *world) moveTime(db *pgxpool.Pool) {
	w.Helper()
	_, err := db.Exec(w.Context(), "CREATE OR REPLACE FUNCTION whalegate_now() RETURNS timestamptz LANGUAGE sql VOLATILE AS "+postgres.Quote(w.clock.SQL()))
	must(w, err)
}

func (w *world) openExchange(args ...string) {
	w.Helper()
	w.openExchangeAt("127.0.0.1:0", args...)
	w.exchange = w.market.logged(w, "simulator started")["address"].(string)
}

// openExchangeAt starts the exchange at an address.
func (w *world) openExchangeAt(address string, args ...string) {
	w.Helper()
	w.market = launch(w, nil, append([]string{"simulate", "--test-clock", w.clockText(), "--listen-address=" + address, "--origin", w.origin.Format(time.RFC3339),
		fmt.Sprintf("--seed=%d", seed), fmt.Sprintf("--rows=%d", rows), fmt.Sprintf("--active=%d", active), "--weight=0", "--latency=0s"}, args...)...)
}

// environ is how every command finds the world.
func (w *world) environ() []string {
	if w.env != nil {
		return w.env
	}
	return []string{
		"DATABASE_URL=" + w.pg.URL(writer, dbName), "WHALEGATE_TEST_CLOCK=" + w.clockText(), "WHALEGATE_API_URL=" + w.exchange, "WHALEGATE_STATS_URL=" + w.exchange,
		"WHALEGATE_API_WEIGHT=1000000", fmt.Sprintf("WHALEGATE_UNIVERSE_SIZE=%d", wallets), "WHALEGATE_LISTEN_ADDRESS=127.0.0.1:0",
		faster,
	}
}

// run starts the service.
func (w *world) run() {
	w.Helper()
	w.service = launch(w, w.environ(), "run")
	w.address = w.service.logged(w, "service started")["address"].(string)
}

// cli runs another command against the world's database.
func (w *world) cli(args ...string) result {
	w.Helper()
	return call(w, w.environ(), args...)
}
