package collector

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/whalegate/whalegate/collector/hyperliquid"
	"github.com/whalegate/whalegate/internal/asset"
	"github.com/whalegate/whalegate/internal/clock"
	"github.com/whalegate/whalegate/internal/postgres/pgtest"
	"github.com/whalegate/whalegate/internal/qa"
)

func TestMain(m *testing.M) { os.Exit(pgtest.Main(m)) }

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func minute(n int) time.Time { return noon.Add(time.Duration(n) * time.Minute) }

// wallet is the id of the n-th wallet; sub that of its k-th sub-account.
func wallet(n int) string { return fmt.Sprintf("0x%040x", n) }

func sub(n, k int) string { return fmt.Sprintf("0x5b%034x%04x", n, k) }

// positions reads sizes of HYPE, BTC and ETH; "NULL" is a size that is not known.
func positions(sizes ...string) (p [asset.Count]hyperliquid.Position) {
	for _, a := range asset.All {
		p[a].Known = true
	}
	for i, text := range sizes {
		if text == "NULL" {
			p[i].Known = false
			continue
		}
		size, err := asset.ParseSize(text, asset.All[i])
		if err != nil {
			panic(err)
		}
		p[i].Size = size
	}
	return p
}

// hold is a wallet's reading with the sizes of HYPE, BTC and ETH.
func hold(n int, sizes ...string) Reading {
	return Reading{Wallet: wallet(n), Positions: positions(sizes...), StateTime: noon}
}

// texts lists the sizes of positions as hold takes them.
func texts(p [asset.Count]hyperliquid.Position) []string {
	list := make([]string, 0, asset.Count)
	for _, a := range asset.All {
		if p[a].Known {
			list = append(list, p[a].Size.Text(a))
		} else {
			list = append(list, "NULL")
		}
	}
	return list
}

func flat(at time.Time) hyperliquid.State {
	return hyperliquid.State{Time: at, Positions: positions()}
}

func failing(f hyperliquid.Failure) error { return &hyperliquid.Error{Endpoint: "state", Failure: f} }

// upstream is a fake exchange. Everybody is flat where nothing else is said.
type upstream struct {
	state func(ctx context.Context, account string) (hyperliquid.State, error)
	subs  func(ctx context.Context, master string) ([]hyperliquid.SubAccount, error)
	role  func(ctx context.Context, account string) (hyperliquid.Role, error)
	vault func(ctx context.Context, vault string) (hyperliquid.Vault, error)
	meta  func(ctx context.Context) (hyperliquid.Meta, error)
	board func(ctx context.Context, top int, known hyperliquid.Validators) (hyperliquid.Leaderboard, error)

	mu       sync.Mutex
	reserved int      // of the budget, for the minute
	asked    []string // accounts, and masters as "subs of …", in order
}

func (u *upstream) note(what string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.asked = append(u.asked, what)
}

// questions lists what was asked so far.
func (u *upstream) questions() []string {
	u.mu.Lock()
	defer u.mu.Unlock()
	return slices.Clone(u.asked)
}

func (u *upstream) State(ctx context.Context, account string) (hyperliquid.State, error) {
	u.note(account)
	if u.state == nil {
		return flat(noon), nil
	}
	return u.state(ctx, account)
}

func (u *upstream) SubAccounts(ctx context.Context, master string) ([]hyperliquid.SubAccount, error) {
	u.note("subs of " + master)
	if u.subs == nil {
		return nil, nil
	}
	return u.subs(ctx, master)
}

func (u *upstream) UserRole(ctx context.Context, account string) (hyperliquid.Role, error) {
	u.note("role of " + account)
	if u.role == nil {
		return hyperliquid.Role{Kind: hyperliquid.RoleUser}, nil
	}
	return u.role(ctx, account)
}

func (u *upstream) VaultDetails(ctx context.Context, vault string) (hyperliquid.Vault, error) {
	u.note("children of " + vault)
	return u.vault(ctx, vault)
}

func (u *upstream) Meta(ctx context.Context) (hyperliquid.Meta, error) {
	if u.meta == nil {
		return hyperliquid.Meta{Coins: listed()}, nil
	}
	u.note("meta")
	return u.meta(ctx)
}

// listed is what the exchange says of our coins while nothing is wrong.
func listed() (coins [asset.Count]hyperliquid.Coin) {
	for _, a := range asset.All {
		coins[a] = hyperliquid.Coin{Listed: true, SizeDecimals: a.Decimals()}
	}
	return coins
}

func (u *upstream) Reserve(weight int) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.reserved = weight
}

func (u *upstream) Leaderboard(ctx context.Context, top int, known hyperliquid.Validators) (hyperliquid.Leaderboard, error) {
	u.note("leaderboard")
	return u.board(ctx, top, known)
}

// exchange is all that a collector asks.
type exchange interface {
	Upstream
	Searching
}

// frozen is a clock that all but stands still at an instant.
func frozen(t testing.TB, at time.Time) clock.Clock { return parseClock(t, at, "1e-7") }

func parseClock(t testing.TB, anchor time.Time, speed string) clock.Clock {
	t.Helper()
	c, err := clock.Parse(anchor.Format(time.RFC3339Nano) + "," + speed)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// collecting makes a collector on a database, with a clock that stands five
// seconds after noon, as the database's does, and no pauses between attempts.
func collecting(t testing.TB, db *pgxpool.Pool, up exchange, change func(*Config)) *Collector {
	t.Helper()
	cfg := Config{
		UniverseSize: 10, Concurrency: 4, WeightPerMinute: 1200, Backoff: []time.Duration{0},
		Clock: frozen(t, noon.Add(5*time.Second)), Logger: slog.New(slog.DiscardHandler), Registerer: prometheus.NewRegistry(),
	}
	if change != nil {
		change(&cfg)
	}
	cfg.QA = qa.New(db, nil, cfg.Logger, cfg.Registerer)
	c, err := New(cfg, up, up, NewStore(db))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// database is a fresh one that has the partitions of noon's day and whose
// clock stands 20 seconds after a minute.
func database(t testing.TB, now time.Time) (*pgxpool.Pool, *Store) {
	t.Helper()
	db := pgtest.New(t)
	pgtest.SetClock(t, db, now.Add(20*time.Second).Format(time.RFC3339))
	s := NewStore(db)
	if err := s.EnsurePartitions(t.Context(), noon, noon); err != nil {
		t.Fatal(err)
	}
	return db, s
}

// list runs a query of one text column.
func list(t testing.TB, db *pgxpool.Pool, sql string, args ...any) []string {
	t.Helper()
	rows, err := db.Query(context.Background(), sql, args...)
	if err != nil {
		t.Fatal(err)
	}
	found, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func exec(t testing.TB, db *pgxpool.Pool, sql string, args ...any) {
	t.Helper()
	if _, err := db.Exec(context.Background(), sql, args...); err != nil {
		t.Fatal(err)
	}
}

const storedRows = `
	SELECT concat_ws(' ', to_char(timestamp AT TIME ZONE 'UTC', 'HH24:MI'), ltrim(substr(wallet_id, 3), '0'), asset,
		coalesce(trim_scale(position_szi)::text, 'NULL'), CASE WHEN is_dirty THEN dirty_reason END)
	FROM wallet_snapshots ORDER BY timestamp, wallet_id COLLATE "C", asset`

const storedRuns = `
	SELECT concat_ws(' ', to_char(timestamp AT TIME ZONE 'UTC', 'HH24:MI:SS'), status, wallet_success_count || '/' || wallets_expected, failures)
	FROM ingest_runs ORDER BY timestamp`

const storedEvents = `
	SELECT concat_ws(' ', check_id, severity, nullif(subject, ''), 'x' || occurrences) FROM qa_events ORDER BY check_id, severity, subject`

// enrol makes the wallets 1 to n the universe, with accounts known.
func enrol(t testing.TB, db *pgxpool.Pool, n int) {
	t.Helper()
	for i := 1; i <= n; i++ {
		exec(t, db, "INSERT INTO wallet_universe_current (wallet_id, rank, month_pnl, as_of_ts) VALUES ($1, $2, 0, $3)", wallet(i), i, noon)
		exec(t, db, "INSERT INTO wallet_accounts VALUES ($1, '{}', $2) ON CONFLICT DO NOTHING", wallet(i), noon)
	}
}

// judged is a minute as a cycle would commit it when every wallet answered.
func judged(at time.Time, readings ...Reading) Minute {
	return Minute{Run: Judge(at, len(readings), readings, map[string]int{}), Readings: readings}
}

func commit(t testing.TB, s *Store, m Minute) []Collapse {
	t.Helper()
	done, err := s.Commit(t.Context(), m)
	if err != nil {
		t.Fatal(err)
	}
	return done.Dirty
}

// refuses commits a minute that may not be stored, by the check that says so.
func refuses(t testing.TB, s *Store, m Minute, check string) {
	t.Helper()
	_, err := s.Commit(t.Context(), m)
	var why *RefusedError
	if !errors.As(err, &why) || why.Check != check {
		t.Errorf("Commit of %s: %v, want it refused (%s)", m.Run.Timestamp.Format(time.TimeOnly), err, check)
	}
}

// total adds up the counts of failures.
func total(failures map[string]int) (n int) {
	for count := range maps.Values(failures) {
		n += count
	}
	return n
}

// metric reads a sample of a counter or gauge; label is "" or the one label's value.
func metric(t testing.TB, c *Collector, name, label string) float64 {
	t.Helper()
	families, err := c.cfg.Registerer.(prometheus.Gatherer).Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
		for _, m := range f.GetMetric() {
			if label == "" || len(m.GetLabel()) == 1 && m.GetLabel()[0].GetValue() == label {
				return m.GetCounter().GetValue() + m.GetGauge().GetValue()
			}
		}
	}
	t.Fatalf("there is no metric %s of %q", name, label)
	return 0
}

func contains(t testing.TB, what, text string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(text, part) {
			t.Errorf("%s = %q, want %q in it", what, text, part)
		}
	}
}
