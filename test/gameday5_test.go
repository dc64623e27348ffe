package test

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/whalegate/whalegate/alerting"
	"github.com/whalegate/whalegate/internal/asset"
	"github.com/whalegate/whalegate/internal/postgres/pgtest"
	"github.com/whalegate/whalegate/signals"
)

// alertSpamDays are the game days of runbook 5. But for the last, the day is stored
// signals of HYPE, two periods at a time, which the service decides; and the same rules,
// stepped here without a service, say what there has to be.
var alertSpamDays = []day{
	{5, "a score oscillating between 18 and 27 for 24 hours", func(g *gameday) {
		s := newStored(g)
		g.inject(func() {
			s.pass(288, func(n int) (float64, signals.Playbook) { return []float64{27, 18}[n%2], signals.NoTrade })
		})
		if got := s.counts(); got != "cooldown 20, daily_cap 120, sent 4" {
			g.Errorf("of 144 alerts: %s", got)
		}
		d := s.diagnosed()
		// An emergency: nobody wants to hear any more.
		if r := g.cli("alerts", "pause", "--reason=too much", "--for=2h"); r.code != 0 {
			g.Errorf("pause: %s", r)
		}
		s.paused = true
		s.pass(4, func(n int) (float64, signals.Playbook) { return []float64{27, 18}[n%2], signals.NoTrade })
		if got := s.counts(); !strings.Contains(got, "paused 2") {
			g.Errorf("in a pause: %s", got)
		}
		if d := s.diagnosed(); !strings.Contains(d.stdout, "paused until") {
			g.Errorf("the pause is not told: %s", d.stdout)
		}
		if r := g.cli("alerts", "unpause"); r.code != 0 {
			g.Errorf("unpause: %s", r)
		}
		s.paused = false
		must(g, g.carryOut(d, "whalegate alerts list"))
		must(g, g.carryOut(d, "whalegate alerts state"))
		s.calm(d)
	}},
	{5, "a playbook flapping every period", func(g *gameday) {
		s := newStored(g)
		g.inject(func() {
			s.pass(288, func(n int) (float64, signals.Playbook) {
				return 10, []signals.Playbook{signals.NoTrade, signals.LongOnly}[n%2]
			})
		})
		if got := s.counts(); got != "" {
			g.Errorf("what flaps was told: %s", got)
		}
		d := s.diagnosed() // nothing was sent, and it is named as what holds the alerts back
		s.calm(d)
	}},
	{5, "five legitimate changes of a playbook in a day", func(g *gameday) {
		s := newStored(g)
		plays := []signals.Playbook{signals.NoTrade, signals.LongOnly, signals.ShortOnly}
		every := func(n int) (float64, signals.Playbook) { return 10, plays[n/48%3] } // four hours
		g.inject(func() { s.pass(288, every) })
		if got := s.counts(); got != "daily_cap 1, sent 4" {
			g.Errorf("of five changes: %s", got)
		}
		d := s.diagnosed()
		s.pass(60, func(n int) (float64, signals.Playbook) { return 10, plays[[]int{2, 0}[n/54]] }) // one more, a day after the first
		if text := get[string](g.world, "SELECT message FROM alerts WHERE NOT suppressed ORDER BY timestamp DESC LIMIT 1"); !strings.Contains(text, "(1 alert of HYPE suppressed since the last one.)") {
			g.Errorf("the next one says %q", text)
		}
		s.calm(d)
	}},
	{5, "alerts do not get out: the receiver refuses", func(g *gameday) {
		g.inject(func() {
			g.mail.refuse(503)
			g.restless()
		})
		g.detected("a delivery to be tried again", func() error {
			return differs(get[bool](g.world, "SELECT EXISTS (SELECT FROM alert_deliveries WHERE attempts > 1 AND state = 'pending')"), true)
		})
		d := g.diagnosed(1)
		if !strings.Contains(d.findings[0].Summary, "alerts do not get out") {
			g.Errorf("the finding: %s", d.stdout)
		}
		must(g, g.carryOut(d, `psql "$DATABASE_URL" -c "SELECT receiver`))
		g.repair(func() {
			g.mail.refuse(0)
			g.exec("DROP TRIGGER restless ON signals")
		})
		g.awaitVerified("alert-spam")
		g.played.recovered = g.clock.Now().Sub(g.repaired)
	}},
}

// refuse answers everything with a code, from now on; 0 takes it again.
func (m *mailbox) refuse(code int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.answer = func(int) int { return code }
	if code == 0 {
		m.answer = nil
	}
}

// stored is a day of stored signals, and what the rules say of it.
type stored struct {
	*gameday
	now       time.Time // the last boundary
	refreshed time.Time // the universe
	paused    bool
	state     alerting.State
	want      []string
}

// newStored moves the day to a world whose database is a month ahead, and whose clock
// the test moves. The service's own clock is of the present: what it tries to collect,
// the database refuses.
func newStored(g *gameday) *stored {
	g.Helper()
	g.stopReading()
	g.service.end(g)
	w := &world{TB: g.TB, pg: startPostgres(g), speed: g.speed}
	must(g, pgtest.Prepare(g.Context(), w.pg, dbName))
	w.connect()
	w.storesRuns()
	w.clock = g.clock
	w.anchor = g.anchor
	g.world, g.mail, g.terminal, g.rowless = w, newMailbox(w.TB), nil, true
	w.env = []string{
		"DATABASE_URL=" + w.pg.URL(writer, dbName), "WHALEGATE_TEST_CLOCK=" + w.clockText(), "WHALEGATE_API_URL=http://127.0.0.1:1", "WHALEGATE_STATS_URL=http://127.0.0.1:1",
		"WHALEGATE_LISTEN_ADDRESS=127.0.0.1:0", "WHALEGATE_RECEIVERS_FILE=" + receiversFile(g, map[string]string{"mail": "webhook+" + g.mail.URL}),
		faster,
	}
	s := &stored{gameday: g, now: w.anchor.Truncate(24*time.Hour).AddDate(0, 0, 30), want: []string{}}
	s.tick(10, signals.NoTrade)
	g.run()
	g.readBoards()
	s.decided()
	return s
}

// tick stores two periods, and moves the clock behind the second.
func (s *stored) tick(exit float64, play signals.Playbook) {
	s.ticks([2]float64{exit, exit}, [2]signals.Playbook{play, play})
}

func (s *stored) ticks(exits [2]float64, plays [2]signals.Playbook) {
	s.Helper()
	err := pgx.BeginFunc(s.Context(), s.db, func(tx pgx.Tx) error {
		for i := range 2 {
			s.now = s.now.Add(signals.Period)
			if _, err := tx.Exec(s.Context(), `INSERT INTO ingest_runs (timestamp, status, wallets_expected, wallet_success_count, wallet_fail_count, rows_expected, rows_written, coverage_pct,
					hype_non_null_pct, btc_non_null_pct, eth_non_null_pct, duration_ms, finished_at)
				SELECT m, 'success', 24, 24, 0, 72, 72, 100, 100, 100, 100, 2000, m + interval '5 seconds' FROM generate_series($1::timestamptz - interval '4 minutes', $1, interval '1 minute') m`, s.now); err != nil {
				return err
			}
			if _, err := tx.Exec(s.Context(), "INSERT INTO signal_cycles (timestamp, outcome, judged_at, health_state, reasons) VALUES ($1, 'computed', $1, 'HEALTHY', '{}')", s.now); err != nil {
				return err
			}
			if s.now.Sub(s.refreshed) >= 6*time.Hour {
				s.refreshed = s.now
				if _, err := tx.Exec(s.Context(), "INSERT INTO wallet_universe_runs (as_of_ts, status, source, n_requested, n_received, duration_ms) VALUES ($1, 'success', 'test', 24, 24, 1)", s.now); err != nil {
					return err
				}
			}
			for _, a := range asset.All {
				exit, play := 10.0, signals.NoTrade
				if a == asset.HYPE {
					exit, play = exits[i], plays[i]
				}
				if _, err := tx.Exec(s.Context(), "INSERT INTO signals VALUES ($1, $2, 50, 'flat', 30, $3, $4, 'Reduced', false, false, 24, 0, 0, false, NULL, 3)", s.now, a.String(), exit, play); err != nil {
					return err
				}
			}
			var events []alerting.Event
			s.state, events, _ = s.state.Step(alerting.Period{At: s.now, Paused: s.paused, Signal: &signals.Signal{Asset: asset.HYPE, AllowedPlaybook: plays[i], ExitClusterScore: exits[i], RiskMode: signals.Reduced}})
			for _, e := range events {
				if !e.Resolved {
					s.want = append(s.want, fmt.Sprintf("%s %s %s %s", e.At.Format(time.RFC3339), e.Type, e.Suppressed, e.Message()))
				}
			}
		}
		_, err := tx.Exec(s.Context(), fmt.Sprintf("CREATE OR REPLACE FUNCTION whalegate_now() RETURNS timestamptz LANGUAGE sql STABLE AS $$SELECT timestamptz '%s'$$", s.now.Add(30*time.Second).Format(time.RFC3339)))
		return err
	})
	must(s, err)
}

// decided waits until the service has decided everything that is stored.
func (s *stored) decided() {
	s.Helper()
	s.awaitTrue("the periods to be decided", allDecided)
}

// pass lets periods pass, and compares what the service said with what the rules say.
func (s *stored) pass(periods int, signal func(n int) (float64, signals.Playbook)) {
	s.Helper()
	for n := 0; n < periods; n += 2 {
		var exits [2]float64
		var plays [2]signals.Playbook
		for i := range 2 {
			exits[i], plays[i] = signal(n + i)
		}
		s.ticks(exits, plays)
		s.decided()
	}
	rows, err := s.db.Query(s.Context(), `SELECT to_char(timestamp AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') || ' ' || alert_type || ' ' || coalesce(suppress_reason, '') || ' ' || message FROM alerts ORDER BY timestamp, id`)
	must(s, err)
	got, err := pgx.CollectRows(rows, pgx.RowTo[string])
	must(s, err)
	if diff := cmp.Diff(s.want, got); diff != "" {
		s.Fatalf("the rules (-) and the service (+) differ: %s", diff)
	}
}

// counts is what became of the alerts of the last day.
func (s *stored) counts() string {
	s.Helper()
	return get[string](s.world, `SELECT coalesce(string_agg(what || ' ' || n, ', ' ORDER BY what), '') FROM (
		SELECT coalesce(suppress_reason, 'sent') AS what, count(*) AS n FROM alerts WHERE timestamp > whalegate_now() - interval '24 hours' - interval '1 minute' GROUP BY 1) c`)
}

// diagnosed waits until it is named. That no more was sent than the rules allow is what
// verify looks at, and holds all the time: the rules did their work.
func (s *stored) diagnosed() diagnosis {
	s.Helper()
	s.delivered()
	s.present()
	d := s.awaitDiagnosis("alert-spam", 1)
	f := d.findings[0]
	s.played.diagnosed = fmt.Sprintf("%s (%s)", f.Slug, f.Severity)
	if len(f.Actions) == 0 || len(f.DoNot) == 0 || !strings.Contains(d.stdout, "HYPE") {
		s.Errorf("the finding does not tell what to do: %+v", f)
	}
	s.awaitVerified("alert-spam")
	return d
}

// delivered waits until everything has come: what was cut short is sent again once its
// lease is over, for which time has to pass.
func (s *stored) delivered() {
	s.Helper()
	await(s, "everything to be told", func() error {
		n := get[int](s.world, "SELECT count(*) FROM alert_deliveries WHERE state <> 'delivered'")
		if n > 0 && get[bool](s.world, "SELECT EXISTS (SELECT FROM alert_deliveries WHERE state <> 'delivered' AND next_attempt_at > whalegate_now())") {
			play := s.state.Confirmed
			s.tick(10, play)
			s.decided()
		}
		return differs(n, 0)
	})
}

// present makes the commands' clock that of the database.
func (s *stored) present() {
	s.env = append(s.env, "WHALEGATE_TEST_CLOCK="+s.now.Add(30*time.Second).Format(time.RFC3339)+",0.0000001")
	s.terminal = nil
}

// calm lets a day pass in which nothing happens: then there is nothing to diagnose.
func (s *stored) calm(d diagnosis) {
	s.Helper()
	if !slices.Contains(d.summary.Matching, "alert-spam") {
		s.Errorf("%v", d.summary.Matching)
	}
	s.repair(func() {
		last := s.state.Confirmed
		s.now = s.now.Add(25 * time.Hour)
		s.pass(30, func(int) (float64, signals.Playbook) { return 10, last })
	})
	s.present()
	s.awaitVerified("alert-spam")
	// By the commands' clock, which stands, the service was started this moment.
	// Besides there are the triggers that stand in for a collector here.
	if d := s.awaitDiagnosis("crash", 1); len(d.findings) > 1 && (len(d.findings) > 2 || d.findings[1].Slug != "database" || !strings.Contains(d.stdout, "trigger fresh_run was added")) {
		s.Errorf("more is found than a young process: %v", d.summary.Matching)
	}
	s.played.recovered = 25 * time.Hour // how long the cap's window is, and a little
}
