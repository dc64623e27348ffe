package collector

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"pgregory.net/rapid"

	"github.com/whalegate/whalegate/collector/hyperliquid"
	"github.com/whalegate/whalegate/internal/asset"
	"github.com/whalegate/whalegate/internal/clock"
)

// truths is how many random histories of an exchange that answers wrongly are played: 40
// in make test, 2,000 in make soak.
var truths = flag.Int("truth.histories", 40, "random histories of an exchange that answers wrongly")

// doubter plays histories on one database.
type doubter struct {
	t     testing.TB
	db    *pgxpool.Pool
	plan  func(exchange) exchange // what stands between the collector and the exchange
	often string                  // the kind of every second mishap; "": all alike

	clock string // the file that sets the collector's

	v      *venue
	b      *believer
	c      *Collector
	now    int // minutes after noon
	log    []string
	counts map[string]int // minutes by what became of them
}

func newDoubter(t testing.TB) *doubter {
	db, _ := database(t, noon)
	return &doubter{t: t, db: db, clock: filepath.Join(t.TempDir(), "off"), plan: func(up exchange) exchange { return up }, counts: map[string]int{}}
}

// begin forgets the history before.
func (d *doubter) begin(seed uint64, n int) {
	exec(d.t, d.db, "TRUNCATE ingest_runs, wallet_snapshots, baselines, baseline_sizes, exchange_meta, account_search, clock_refusals, wallet_accounts, wallet_universe_current, qa_events, snapshot_anomalies CASCADE")
	d.enrol(n)
	d.now, d.log = -1, nil
	d.v = newVenue(seed, n, noon)
	d.b = newBeliever(d.v)
	d.start()
}

// enrol makes the wallets 1 to n the universe.
func (d *doubter) enrol(n int) {
	exec(d.t, d.db, "INSERT INTO wallet_universe_current (wallet_id, rank, month_pnl, as_of_ts, account_value) SELECT '0x' || lpad(to_hex(i), 40, '0'), i, 0, $2, 1000 FROM generate_series(1, $1::integer) i WHERE i NOT IN (SELECT rank FROM wallet_universe_current)", n, noon)
}

// start is a new process.
func (d *doubter) start() {
	up := d.plan(d.v)
	d.c = collecting(d.t, d.db, up, func(cfg *Config) { cfg.Concurrency, cfg.Clock = 1, d.real() })
	d.c.search.wallets, d.c.search.credited = map[string]*searched{}, time.Now()
	clear(d.v.lists) // nobody remembers them
}

// real is a clock that show sets.
func (d *doubter) real() clock.Clock { return clock.Clock{}.OffBy(d.clock) }

// show sets the clock, which then goes on as clocks do: the search measures time.
func (d *doubter) show(at time.Time) {
	if err := os.WriteFile(d.clock, []byte(time.Until(at).String()), 0o600); err != nil {
		d.t.Fatal(err)
	}
}

func (d *doubter) note(format string, args ...any) {
	d.log = append(d.log, fmt.Sprintf("%4d  ", d.now)+fmt.Sprintf(format, args...))
}

// minute plays one minute, and says what it did that it should not.
func (d *doubter) minute() (violation string) {
	d.now++
	at := minute(d.now)
	present(d.t, d.db, at)
	d.show(at.Add(5 * time.Second))
	d.v.turn(at.Add(5 * time.Second))
	d.b.start()
	d.b.members, d.b.failing = map[string]bool{}, list(d.t, d.db, "SELECT asset FROM baselines WHERE ended_ts IS NULL")
	for _, id := range list(d.t, d.db, "SELECT wallet_id FROM wallet_universe_current") {
		d.b.members[id] = true
	}
	ctx := d.t.Context()
	d.v.inMinute = true
	d.c.cycle(ctx, at)
	d.v.inMinute = false
	status, check, subject, why, rows := d.stored(at)
	name := strings.TrimSpace(status + " " + check + " " + subject)
	d.counts[name]++
	d.note("%s %s, %d wallets; wrong: %s", name, why, len(rows), d.v.wrong())
	violation = d.b.judge(at, status, check, rows)
	d.c.search.pass(time.Minute)
	if err := d.c.searchRound(ctx, ctx); err != nil {
		d.t.Fatal(err)
	}
	return violation
}

// stored reads what a minute left.
func (d *doubter) stored(at time.Time) (status, check, subject, why string, rows rowsOf) {
	ctx := context.Background()
	err := d.db.QueryRow(ctx, "SELECT status, coalesce(failed_check, ''), coalesce(failed_subject, ''), coalesce(left(error, 100), '') FROM ingest_runs WHERE timestamp = $1", at).Scan(&status, &check, &subject, &why)
	if err != nil {
		d.t.Fatal(err)
	}
	found, err := d.db.Query(ctx, "SELECT wallet_id, asset, position_szi::text FROM wallet_snapshots WHERE timestamp = $1", at)
	if err != nil {
		d.t.Fatal(err)
	}
	rows = rowsOf{}
	var id, name string
	var text *string
	_, err = pgx.ForEachRow(found, []any{&id, &name, &text}, func() error {
		a, err := asset.Parse(name)
		r := rows[id]
		if text != nil {
			var size asset.Size
			size, err = asset.ParseSize(*text, a)
			r[a] = &size
		}
		rows[id] = r
		return err
	})
	if err != nil {
		d.t.Fatal(err)
	}
	return status, check, subject, why, rows
}

func (d *doubter) minutes(n int) string {
	for range n {
		if v := d.minute(); v != "" {
			return v
		}
	}
	return ""
}

// kinds of mishaps, those that are to be frequent more than once.
var kinds = []string{
	"rescale", "close", "open", "same", "rename", "lag", "frozen", "future", "rescale", "close", "open", "same", "null szi",
	"failing", "outage", "no meta", "unreadable list", "null list", "short list", "shared list", "bare list",
}

// mishap draws something that goes wrong.
func (d *doubter) mishap(rt *rapid.T) *mishap {
	often := kinds
	if d.often != "" && rapid.Bool().Draw(rt, "often") {
		often = []string{d.often}
	}
	m := &mishap{
		kind: rapid.SampledFrom(often).Draw(rt, "kind"), share: rapid.SampledFrom([]float64{0.05, 0.15, 0.3, 0.45, 0.5, 0.55, 0.7, 0.9, 1, 1}).Draw(rt, "share"),
		byRequest: rapid.IntRange(0, 3).Draw(rt, "by request") == 0, asset: rapid.SampledFrom(asset.All[:]).Draw(rt, "asset"),
	}
	switch m.kind {
	case "lag":
		m.seconds = rapid.SampledFrom([]int{45, 110, 130, 300, 1800}).Draw(rt, "seconds")
	case "future":
		m.seconds = rapid.SampledFrom([]int{20, 45, 120, 900}).Draw(rt, "seconds")
	case "rescale":
		m.factor = rapid.SampledFrom([]float64{10, 0.1, 1000, 0.001, 2, -1, 1.001}).Draw(rt, "factor")
	case "rename":
		m.variant = rapid.SampledFrom([]string{"both", "states", "meta", "delisted", "decimals"}).Draw(rt, "variant")
		m.share, m.byRequest = 1, false
	case "outage":
		m.share, m.byRequest = 1, false
	case "failing":
		m.share = min(m.share, 0.3)
	case "shared list":
		m.share, m.byRequest = 0.05, false
	}
	return m
}

// act is one thing that happens.
func (d *doubter) act(rt *rapid.T) string {
	what := rapid.SampledFrom([]string{"pass", "pass", "pass", "pass", "mishap", "mishap", "mishap", "mishap", "end one", "end one", "end all", "forget", "restart", "down", "refresh"}).Draw(rt, "what")
	switch what {
	case "pass":
		return d.minutes(rapid.IntRange(1, 6).Draw(rt, "minutes"))
	case "mishap":
		if len(d.v.mishaps) < 4 {
			m := d.mishap(rt)
			d.v.begin(m)
			d.note("begins: %s", m)
		}
		return d.minutes(rapid.IntRange(0, 2).Draw(rt, "minutes"))
	case "end one":
		if n := len(d.v.mishaps); n > 0 {
			i := rapid.IntRange(0, n-1).Draw(rt, "which")
			d.note("ends: %s", d.v.mishaps[i])
			d.v.mishaps = slices.Delete(d.v.mishaps, i, i+1)
		}
	case "end all":
		d.note("everything is right again")
		d.v.mishaps = nil
	case "forget":
		d.note("another collector led")
		d.c.forget()
	case "restart":
		d.note("restart")
		d.start()
	case "refresh": // a third leaves the universe, or all are back
		if list(d.t, d.db, "SELECT count(*)::text FROM wallet_universe_current")[0] != fmt.Sprint(len(d.v.holders)) {
			d.note("everybody is in the universe again")
			d.enrol(len(d.v.holders))
			return ""
		}
		first := rapid.IntRange(0, 2).Draw(rt, "who leaves")
		d.note("a third leaves the universe")
		exec(d.t, d.db, "DELETE FROM wallet_universe_current WHERE rank % 3 = $1", first)
	case "down":
		n := rapid.SampledFrom([]int{1, 2, 5, 9, 12, 30, 180, 1500}).Draw(rt, "down for minutes")
		d.note("nobody collects for %d minutes", n)
		d.now += n
		exec(d.t, d.db, "SELECT ensure_snapshot_partitions($1::date, ($1::timestamptz + interval '1 day')::date)", minute(d.now))
		d.start()
	}
	return ""
}

// play plays a random history, and returns the first violation.
func (d *doubter) play(rt *rapid.T) string {
	d.begin(rapid.Uint64().Draw(rt, "seed"), rapid.IntRange(12, 36).Draw(rt, "wallets"))
	if rapid.IntRange(0, 9).Draw(rt, "right at first") == 9 {
		d.v.begin(d.mishap(rt))
	}
	if v := d.minutes(rapid.IntRange(3, 14).Draw(rt, "first minutes")); v != "" {
		return v
	}
	for range rapid.IntRange(5, 18).Draw(rt, "events") {
		if v := d.act(rt); v != "" {
			return v
		}
	}
	return d.recover()
}

// recover ends everything that is wrong. Minutes count again soon, if need be after
// somebody has accepted the level.
func (d *doubter) recover() string {
	d.note("the end: everything is right again")
	d.v.mishaps = nil
	d.enrol(len(d.v.holders))
	if v := d.minutes(8); v != "" {
		return v
	}
	for range asset.Count {
		for _, a := range list(d.t, d.db, "SELECT asset FROM baselines WHERE ended_ts IS NULL") {
			exec(d.t, d.db, "SELECT accept_baseline($1, 'ann', 'looked at')", a)
			d.note("%s is accepted", a)
			d.counts["accepted"]++
			for other := range d.b.open {
				d.b.open[other] = nil
			}
			d.b.newest, d.b.counted = rowsOf{}, nil // ours is right, whatever it was before
		}
		if v := d.minute(); v != "" {
			return v
		}
	}
	if d.b.healthy.Before(minute(d.now)) && !d.shared() {
		return "everything is right, levels are accepted, and minutes do not count"
	}
	return ""
}

// shared tells that so many accounts are claimed twice, or so many lists were short, that
// no minute can count.
func (d *doubter) shared() bool {
	n := list(d.t, d.db, "SELECT coalesce(max((failures->>'accounts_shared')::integer), 0)::text FROM ingest_runs WHERE timestamp = $1", minute(d.now))
	return n[0] != "0"
}

// Whatever the exchange answers, no minute counts that differs from the truth by more
// than S9 to S12 allow.
func TestNoAnswerFoolsAMinute(t *testing.T) {
	const workers = 2
	for worker := range workers {
		t.Run(fmt.Sprint(worker), func(t *testing.T) {
			t.Parallel()
			d := newDoubter(t)
			checkProperty(t, *truths/workers, func(rt *rapid.T) {
				if v := d.play(rt); v != "" {
					rt.Fatalf("%s\n%s", v, strings.Join(d.log, "\n"))
				}
			})
			t.Log(d.counts)
			if good := d.counts["success"] + d.counts["partial"]; good < 5**truths/workers {
				t.Errorf("%d minutes counted in %d histories: the property says little", good, *truths/workers)
			}
		})
	}
}

// between is an exchange whose answers somebody changes on the way.
type between struct {
	exchange
	state func(hyperliquid.State) hyperliquid.State
}

func (b *between) State(ctx context.Context, id string) (hyperliquid.State, error) {
	s, err := b.exchange.State(ctx, id)
	return b.state(s), err
}

func (b *between) SubAccounts(ctx context.Context, id string) ([]hyperliquid.SubAccount, error) {
	list, err := b.exchange.SubAccounts(ctx, id)
	for i := range list {
		list[i].State = b.state(list[i].State)
	}
	return list, err
}

// passing lets a run pass that one check alone failed.
const passing = `
	CREATE FUNCTION let_pass() RETURNS trigger LANGUAGE plpgsql AS $f$
	BEGIN
		IF NEW.failed_check = '%s' AND NEW.failed_subject ~ '%s' AND NEW.error !~ '; S\d+:' THEN
			NEW.status := 'success'; NEW.failed_check := NULL; NEW.failed_subject := NULL;
		END IF;
		RETURN NEW;
	END $f$;
	CREATE TRIGGER let_pass BEFORE INSERT OR UPDATE ON ingest_runs FOR EACH ROW EXECUTE FUNCTION let_pass()`

// Each check that is switched off is missed, by histories in which what it is against
// happens more often.
func TestNoAnswerFoolsAMinuteFindsPlantedFaults(t *testing.T) {
	dated := func(is func(age time.Duration) bool) func(d *doubter) {
		return func(d *doubter) {
			d.plan = func(up exchange) exchange {
				return &between{up, func(s hyperliquid.State) hyperliquid.State {
					if is(d.v.now.Sub(s.Time)) {
						s.Time = d.v.now
					}
					return s
				}}
			}
		}
	}
	lets := func(check, subject string) func(d *doubter) {
		return func(d *doubter) { exec(d.t, d.db, fmt.Sprintf(passing, check, subject)) }
	}
	for name, off := range map[string]struct {
		plant func(d *doubter)
		often string
	}{
		"S9, old":           {dated(func(age time.Duration) bool { return age > oldestState }), "lag"},
		"S9, from ahead":    {dated(func(age time.Duration) bool { return age < -newestState }), "future"},
		"S10":               {lets("S10", ""), "same"},
		"S11, mass close":   {lets("S11", "mass_close"), "close"},
		"S11, mass open":    {lets("S11", "mass_open"), "open"},
		"S11, rescaled":     {lets("S11", "rescaled"), "rescale"},
		"S12":               {lets("S12", "meta:[A-Z]"), "rename"},
		"S12, not answered": {lets("S12", "meta:unanswered"), "no meta"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newDoubter(t)
			d.often = off.often
			off.plant(d)
			for n := range 300 {
				v := ""
				_ = rapid.Custom(func(rt *rapid.T) int { v = d.play(rt); return 0 }).Example(n)
				if v != "" {
					t.Logf("history %d: %s", n+1, v)
					return
				}
			}
			t.Error("no history shows it")
		})
	}
}
