package replay

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/whalegate/whalegate/alerting/engine"
	"github.com/whalegate/whalegate/alerting/outbox"
	"github.com/whalegate/whalegate/internal/postgres/pgtest"
	signals "github.com/whalegate/whalegate/signals/engine"
)

func TestMain(m *testing.M) { os.Exit(pgtest.Main(m)) }

// day is what the wallets do, a letter for each period: calm, buying, or a third of
// them exiting. A full stop is a period in which the exchange does not answer; in a
// comma one of its minutes is missing.
const day = "cccc bbb cc e c e c bbbb c,bb ccc ... cccc e cc bbb eec bb cc bb ... ccc bb cc eee c e c bb"

// living is a service on a clock that a test moves: what it decided is stored.
type living struct {
	testing.TB
	db     *pgxpool.Pool
	cycle  *signals.Cycle
	alerts engine.Rules
}

const wallets = 20

// byHand is what an operator does a second after a minute: a halt, and a pause of
// alerts that ends early.
var byHand = map[int]string{
	35:  "INSERT INTO halts (halted_at, halted_by, reason) VALUES (whalegate_now(), 'op', 'why')",
	37:  "UPDATE halts SET resumed_at = whalegate_now(), resumed_by = 'op', cause = 'c', actions = 'a'",
	180: "INSERT INTO alert_pauses (paused_at, paused_by, reason, until) VALUES (whalegate_now(), 'op', 'why', whalegate_now() + interval '5 hours')",
	245: "UPDATE alert_pauses SET unpaused_at = whalegate_now()",
}

func (l *living) exec(sql string, args ...any) {
	l.Helper()
	if _, err := l.db.Exec(l.Context(), sql, args...); err != nil {
		l.Fatal(err)
	}
}

// live lets a service see the day, beginning at noon, and returns its last boundary.
func live(t testing.TB) (db *pgxpool.Pool, end time.Time) {
	l := &living{TB: t, db: pgtest.New(t)}
	l.cycle = &signals.Cycle{Pool: l.db, Memory: signals.NewMemory(), Judge: signals.Now}
	l.alerts = engine.Rules{Pool: l.db, Outbox: outbox.Intent{}}
	l.exec("SELECT ensure_snapshot_partitions($1, $2)", noon.AddDate(0, 0, -1), noon)
	l.exec(`WITH run AS (INSERT INTO wallet_universe_runs (as_of_ts, status, source, n_requested, n_received, duration_ms) VALUES ($1, 'success', 'test', $2, $2, 1) RETURNING run_id)
		INSERT INTO wallet_universe_members (run_id, wallet_id, rank, month_pnl) SELECT run_id, '0x' || lpad(n::text, 40, '0'), n, 0 FROM run, generate_series(1, $2) n`, at(-60), wallets)
	var sizes [wallets]float64
	for i := range sizes {
		sizes[i] = float64(10 * (i + 1))
	}
	for m := -9; m < -4; m++ {
		l.minute(m, sizes, 'c')
	}
	for i, what := range strings.ReplaceAll(day, " ", "") {
		for w := range sizes {
			switch {
			case what == 'b':
				sizes[w] *= 1.05
			case what == 'e' && w%3 == 0:
				sizes[w] *= 0.9
			}
		}
		// The period ends with its boundary.
		for m := 5*i - 4; m <= 5*i; m++ {
			if m >= 0 {
				l.look(at(m).Add(time.Second))
			}
			if sql, ok := byHand[m]; ok {
				l.exec(sql)
			}
			if what == ',' && m == 5*i-2 {
				continue
			}
			l.minute(m, sizes, what)
			if m >= 0 {
				l.look(at(m).Add(2 * time.Second))
			}
		}
		end = at(5 * i)
		l.boundary(end)
	}
	return l.db, end
}

// minute stores one, whose run ended two seconds later.
func (l *living) minute(m int, sizes [wallets]float64, what rune) {
	l.Helper()
	if what == '.' {
		l.exec(`INSERT INTO ingest_runs (timestamp, status, wallets_expected, wallet_success_count, wallet_fail_count, rows_expected, rows_written, coverage_pct,
			hype_non_null_pct, btc_non_null_pct, eth_non_null_pct, duration_ms, finished_at, error)
			VALUES ($1, 'failed', $2, 0, $2, 60, 0, 0, 0, 0, 0, 2000, $3, 'no answer')`, at(m), wallets, at(m).Add(2*time.Second))
		return
	}
	l.exec(`INSERT INTO ingest_runs (timestamp, status, wallets_expected, wallet_success_count, wallet_fail_count, rows_expected, rows_written, coverage_pct,
		hype_non_null_pct, btc_non_null_pct, eth_non_null_pct, duration_ms, finished_at)
		VALUES ($1, 'success', $2, $2, 0, 60, 60, 100, 100, 100, 100, 2000, $3)`, at(m), wallets, at(m).Add(2*time.Second))
	text := make([]string, 0, wallets)
	for _, s := range sizes {
		text = append(text, fmt.Sprintf("%.4f", s))
	}
	l.exec(`INSERT INTO wallet_snapshots (timestamp, wallet_id, asset, position_szi, ingest_run_id)
		SELECT $1, '0x' || lpad(n::text, 40, '0'), a, CASE a WHEN 'ETH' THEN 100 ELSE s::numeric END, 1 -- nobody trades ETH
		FROM unnest($2::text[]) WITH ORDINALITY AS w (s, n), unnest('{HYPE,BTC,ETH}'::text[]) a`, at(m), text)
}

// look is one at the system alert.
func (l *living) look(now time.Time) {
	l.Helper()
	pgtest.SetClock(l, l.db, now.Format(time.RFC3339Nano))
	if _, err := l.alerts.LookAtSystem(l.Context(), noon, time.Time{}, nil); err != nil {
		l.Fatal(err)
	}
}

// boundary computes one, and decides its alerts.
func (l *living) boundary(b time.Time) {
	l.Helper()
	if _, err := l.cycle.Run(l.Context(), b); err != nil {
		l.Fatal(err)
	}
	if o, err := l.alerts.Step(l.Context()); err != nil || o == nil || !o.Boundary.Equal(b) {
		l.Fatalf("decide %s: %+v, %v", b, o, err)
	}
}

// replayed is what a replay says of a range.
func replayed(t testing.TB, db *pgxpool.Pool, from, to time.Time) Tally {
	t.Helper()
	p, err := New(t.Context(), db, from, to)
	if err != nil {
		t.Fatal(err)
	}
	err = signals.Replay(t.Context(), db, from, to, func(r signals.Replayed) error {
		b := Boundary{At: r.Boundary, Computed: r.Outcome == signals.Computed, Health: r.Health}
		for _, row := range r.Rows {
			s, err := row.Decision()
			if err != nil {
				return err
			}
			b.Signals = append(b.Signals, s)
		}
		p.Step(b)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return p.Tally()
}

// stored is what the live service told: what fired, and when it cleared.
func stored(t testing.TB, db *pgxpool.Pool) []Alert {
	t.Helper()
	rows, err := db.Query(t.Context(), `
		SELECT at AT TIME ZONE 'UTC', asset, alert_type, severity, message, suppressed, suppress_reason, resolved
		FROM (
			SELECT timestamp AS at, false AS resolved, a.* FROM alerts a
			UNION ALL SELECT resolved_at, true, a.* FROM alerts a WHERE resolved_at IS NOT NULL
		) told ORDER BY at, asset = 'SYSTEM' DESC, CASE asset WHEN 'HYPE' THEN 1 WHEN 'BTC' THEN 2 ELSE 3 END, alert_type = 'exit_cluster', resolved`)
	if err != nil {
		t.Fatal(err)
	}
	list, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Alert])
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// A replay of a range says what a live service told in it, to the word.
func TestAReplaySaysWhatALiveServiceTold(t *testing.T) {
	db, end := live(t)
	told := stored(t, db)
	got := replayed(t, db, noon, end)
	if diff := cmp.Diff(told, got.Alerts); diff != "" {
		t.Errorf("told live (-) and replayed (+): %s", diff)
	}
	had := map[string]int{}
	for _, line := range lines(Tally{Alerts: told}) {
		_, what, _ := strings.Cut(line, " ")
		had[what]++
	}
	for _, want := range []string{
		"HYPE regime_change sent", "HYPE regime_change cooldown", "HYPE regime_change paused", "HYPE exit_cluster sent", "HYPE exit_cluster cooldown", "HYPE exit_cluster paused",
		"BTC regime_change sent", "BTC exit_cluster sent, cleared", "BTC exit_cluster cooldown, cleared", "SYSTEM system_stale sent", "SYSTEM system_stale sent, cleared",
	} {
		if had[want] == 0 {
			t.Errorf("the day had no %q: %v", want, had)
		}
	}
	for reason, n := range got.NotEvaluated {
		if n == 0 && reason != "no_signal" {
			t.Errorf("no period was not evaluated because of %s", reason)
		}
	}
	if again := replayed(t, db, noon, end); cmp.Diff(got, again) != "" {
		t.Errorf("a second replay says something else: %s", cmp.Diff(got, again))
	}
	if n := len(stored(t, db)); n != len(told) {
		t.Errorf("a replay writes: %d alerts, were %d", n, len(told))
	}
}

// Nothing is known before the range: an outage that began before it fires at once,
// and the first playbook is confirmed silently.
func TestAReplayBeginsWithNothing(t *testing.T) {
	db, end := live(t)
	var fired time.Time
	if err := db.QueryRow(t.Context(), "SELECT min(timestamp) FROM alerts WHERE alert_type = 'system_stale'").Scan(&fired); err != nil {
		t.Fatal(err)
	}
	from := fired.Add(2 * time.Minute).UTC()
	got := replayed(t, db, from, end)
	if a := got.Alerts[0]; a.AlertType != "system_stale" || !a.Timestamp.Equal(from.Add(time.Second)) && !a.Timestamp.Equal(from) || !strings.Contains(a.Message, "for 12 minutes") {
		t.Errorf("the first is %+v", a)
	}
	if none := replayed(t, db, end.Add(time.Minute), end.Add(2*time.Minute)); len(none.Alerts) != 0 {
		t.Errorf("two minutes without a boundary: %v", lines(none))
	}
}
