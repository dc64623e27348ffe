package test

import (
	"context"
	"flag"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/whalegate/whalegate/internal/health"
	"github.com/whalegate/whalegate/internal/health/watch"
	"github.com/whalegate/whalegate/internal/runbook"
)

// reportFile is where the report of the game days goes; "" writes none.
var reportFile = flag.String("gamedays.report", "", "write the report of the game days to this file")

// day is one game day: a fault, and how it is played.
type day struct {
	number int    // of the runbook
	fault  string // in words, as the report has it
	play   func(*gameday)
}

// gameDays are all of them, in the order of the runbooks.
var gameDays = slices.Concat(ingestionDays, universeDays, signalLockDays, dirtySpikeDays, alertSpamDays, boardTruthDays, databaseDays, haltDays, crashDays)

// played is what the report says of a game day. Times are of the world's clock.
type played struct {
	day
	slug                string
	detected, recovered time.Duration // after the injection, after the repair
	diagnosed           string
	leaked              int // rows of the decision surface that were read while STALE
	lost, doubled       int // messages
	looks, messages     int // how often the boards were read; how much was to be told
}

var (
	reportLock sync.Mutex
	report     []played
)

// gameday is a world with a fault in it: PostgreSQL, the exchange and the service as
// processes, a mailbox that is told of alerts, and somebody who reads what the boards
// may read, all the time.
type gameday struct {
	*world
	mail     *mailbox
	guard    *process // the dead man's switch, if the day has one
	terminal *operator
	rowless  bool // its runs were stored by the test, without the rows of wallets
	played   played
	injected time.Time
	repaired time.Time

	stopReading func()
	reading     sync.Mutex // of played.leaked and looks
}

func TestGameDays(t *testing.T) {
	for _, d := range gameDays {
		t.Run(fmt.Sprint(d.number, " ", d.fault), func(t *testing.T) {
			t.Parallel()
			g := newGameday(t, d)
			d.play(g)
			g.finish()
		})
	}
}

// newGameday makes a world that is HEALTHY and has nothing to complain of.
func newGameday(t testing.TB, d day) *gameday {
	t.Helper()
	r, err := runbook.Find(fmt.Sprint(d.number))
	must(t, err)
	g := &gameday{played: played{day: d, slug: r.Slug}}
	g.begin(quietWorld(t))
	g.awaitTrue("a run of all wallets, once their accounts are known", "coverage_pct = 100 FROM ingest_runs ORDER BY timestamp DESC LIMIT 1")
	return g
}

// begin starts the service in a world, with further settings.
func (g *gameday) begin(w *world, settings ...string) {
	w.Helper()
	g.world, g.mail, g.terminal = w, newMailbox(w.TB), nil
	// A crash of the server loses nothing that was committed, as in life.
	_, err := g.db.Exec(g.Context(), "ALTER DATABASE "+dbName+" SET synchronous_commit = on")
	must(g, err)
	g.env = append(append(g.environ(), settings...), "WHALEGATE_RECEIVERS_FILE="+receiversFile(g, map[string]string{"mail": "webhook+" + g.mail.URL}))
	g.run()
	g.awaitHealth(health.Healthy, "")
	g.awaitDiagnosis("", 0)
	g.readBoards()
}

// moveTo leaves the world for another one.
func (g *gameday) moveTo(w *world, settings ...string) {
	g.Helper()
	g.stopReading()
	g.service.end(g)
	g.begin(w, settings...)
}

// watch starts the dead man's switch.
func (g *gameday) watch() {
	g.Helper()
	g.guard = launch(g, append(slices.Clone(g.env), "DATABASE_URL="+g.pg.URL("whalegate_watchdog", dbName)), "watchdog")
	g.guard.logged(g, "watchdog started")
}

// readBoards reads the decision surface as the board's role again and again, until
// the day is over. What is read between two looks that both say STALE has leaked.
func (g *gameday) readBoards() {
	ctx, cancel := context.WithCancel(context.WithoutCancel(g.Context()))
	var running sync.WaitGroup
	running.Go(func() {
		for ctx.Err() == nil {
			conn, err := pgx.Connect(ctx, g.pg.URL("whalegate_board", dbName))
			for err == nil && ctx.Err() == nil {
				err = g.look(ctx, conn)
				select {
				case <-ctx.Done():
				case <-time.After(50 * time.Millisecond):
				}
			}
			if conn != nil {
				_ = conn.Close(context.Background()) // it may be dead
			}
			select {
			case <-ctx.Done():
			case <-time.After(50 * time.Millisecond): // the database is away
			}
		}
	})
	g.stopReading = func() { cancel(); running.Wait() }
	g.Cleanup(g.stopReading)
}

// surface is every view that could move a trade.
const surface = `SELECT (SELECT count(*) FROM board.signals) + (SELECT count(*) FROM board.contributors) + (SELECT count(*) FROM board.positioning) + (SELECT count(*) FROM board.alerts)
	+ (SELECT count(*) FROM board.gate) + (SELECT count(*) FROM board.playbook) + (SELECT count(*) FROM board.gate_lines) + (SELECT count(*) FROM board.recent_alerts)`

func (g *gameday) look(ctx context.Context, conn *pgx.Conn) error {
	var before, after string
	var rows int
	if err := conn.QueryRow(ctx, "SELECT health_state FROM board.health").Scan(&before); err != nil {
		return err
	}
	if err := conn.QueryRow(ctx, surface).Scan(&rows); err != nil {
		return err
	}
	if err := conn.QueryRow(ctx, "SELECT health_state FROM board.health").Scan(&after); err != nil {
		return err
	}
	g.reading.Lock()
	defer g.reading.Unlock()
	g.played.looks++
	if before == "STALE" && after == "STALE" {
		g.played.leaked += rows
	}
	return nil
}

// inject does what breaks the world.
func (g *gameday) inject(what func()) {
	g.Helper()
	g.injected = g.clock.Now()
	what()
}

// detected waits for the first symptom that an operator could see.
func (g *gameday) detected(symptom string, objection func() error) {
	g.Helper()
	await(g, symptom, objection)
	if g.played.detected == 0 {
		g.played.detected = g.clock.Now().Sub(g.injected)
	}
}

// detectedAs waits for a state of health, with a reason, as the first symptom.
func (g *gameday) detectedAs(state health.State, reason string) {
	g.Helper()
	g.detected(string(state)+" "+reason, func() error {
		h, err := watch.Read(g.Context(), g.db)
		if err == nil && (h.State != state || reason != "" && !slices.Contains(h.Reasons, reason)) {
			err = fmt.Errorf("it is %s %v", h.State, h.Reasons)
		}
		return err
	})
}

// diagnosed waits until diagnose names the day's runbook first, with its page and
// something to do, and until its recovery does not hold.
func (g *gameday) diagnosed(code int) diagnosis {
	g.Helper()
	d := g.awaitDiagnosis(g.played.slug, code)
	g.named(d.findings[0])
	return d
}

// diagnosedBehind waits until diagnose names a cause first and the day's runbook
// right after it, as what follows from it.
func (g *gameday) diagnosedBehind(cause string, code int) (d diagnosis) {
	g.Helper()
	await(g, "diagnose to name "+cause+" and then "+g.played.slug, func() error {
		if d = g.diagnose(); len(d.findings) < 2 || d.findings[0].Slug != cause || d.findings[1].Slug != g.played.slug || d.code != code {
			return fmt.Errorf("it names %v, exit %d: %s", d.summary.Matching, d.code, d.stdout)
		}
		return nil
	})
	g.named(d.findings[1])
	g.played.diagnosed = fmt.Sprintf("%s (%s), %s", cause, d.findings[0].Severity, g.played.diagnosed)
	return d
}

// named looks at the finding that is the day's.
func (g *gameday) named(f runbook.Finding) {
	g.Helper()
	if len(f.Actions) == 0 || len(f.DoNot) == 0 || !strings.HasSuffix(f.Page, fmt.Sprintf("%d-%s.md", g.played.number, g.played.slug)) {
		g.Errorf("the finding does not tell what to do: %+v", f)
	}
	if g.played.detected == 0 { // nothing else showed it before
		g.played.detected = g.clock.Now().Sub(g.injected)
	}
	g.played.diagnosed = fmt.Sprintf("%s (%s)", f.Slug, f.Severity)
	if r := g.verify(g.played.slug); r.code == 0 {
		g.Errorf("verify holds before the recovery: %s", r)
	}
}

// act carries out the action of a finding whose command begins so, at a terminal,
// and returns what it printed.
func (g *gameday) act(f runbook.Finding, command string) string {
	g.Helper()
	i := slices.IndexFunc(f.Actions, func(a runbook.Action) bool { return strings.HasPrefix(a.Command, command) })
	if i < 0 {
		g.Fatalf("%s does not tell to do %s: %+v", f.Slug, command, f.Actions)
	}
	return g.operator().line(g, "an action of "+f.Slug, f.Actions[i].Command)
}

// operator is somebody at a terminal who means the day's service by a pid.
func (g *gameday) operator() *operator {
	o := newOperator(g.world)
	o.env, o.busy = append(o.env, "DATABASE_URL="+g.pg.URL(writer, dbName)), strconv.Itoa(g.service.cmd.Process.Pid)
	return o
}

// blocked waits for a boundary after a minute that health kept from being computed.
func (g *gameday) blocked(after time.Time, reason string) time.Time {
	g.Helper()
	boundary := g.awaitCycle(after, "blocked")
	if n := get[int](g.world, "SELECT count(*) FROM signals WHERE timestamp = $1", boundary); n != 0 {
		g.Errorf("%d signals of a blocked boundary", n)
	}
	if !get[bool](g.world, "SELECT $2 = ANY(reasons) FROM signal_cycles WHERE timestamp = $1", boundary, reason) {
		g.Errorf("the boundary was not blocked for %s", reason)
	}
	return boundary
}

// repair does what the runbook says, or what the world does by itself.
func (g *gameday) repair(what func()) {
	g.Helper()
	g.repaired = g.clock.Now()
	what()
}

// recovered waits until the runbook's recovery holds, the state is HEALTHY and there
// is nothing left to diagnose.
func (g *gameday) recovered() {
	g.Helper()
	g.awaitVerified(g.played.slug)
	g.awaitHealth(health.Healthy, "")
	g.played.recovered = g.clock.Now().Sub(g.repaired)
}

// finish counts what got out that should not have, and what did not that should.
func (g *gameday) finish() {
	g.Helper()
	await(g, "everything to be told", func() error {
		return differs(get[int](g.world, "SELECT count(*) FROM alert_deliveries WHERE state <> 'delivered'"), 0)
	})
	g.stopReading()
	g.countMail()
	p := g.played
	if p.leaked > 0 || p.lost > 0 || p.doubled > 0 {
		g.Errorf("leaked %d rows, lost %d messages, doubled %d", p.leaked, p.lost, p.doubled)
	}
	if p.looks == 0 {
		g.Error("nobody looked at the boards")
	}
	if n := get[int](g.world, "SELECT count(*) FROM alerts WHERE alert_type <> 'system_stale' AND (health_state <> 'HEALTHY' OR (signal_snapshot->>'is_degraded')::boolean)"); n != 0 {
		g.Errorf("%d alerts on bad data", n)
	}
	if !g.rowless {
		g.checkWhole()
	}
	if !g.Failed() {
		reportLock.Lock()
		defer reportLock.Unlock()
		report = append(report, p)
	}
}

// countMail compares what was to be told with what came.
func (g *gameday) countMail() {
	g.Helper()
	rows, err := g.db.Query(g.Context(), `SELECT a.asset || ' ' || a.alert_type || ' ' || d.kind || ' ' || to_char(a.timestamp AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US')
		FROM alert_deliveries d JOIN alerts a ON a.id = d.alert_id WHERE d.receiver = 'mail'`)
	must(g, err)
	intended, err := pgx.CollectRows(rows, pgx.RowTo[string])
	must(g, err)
	came := map[string]int{}
	for _, l := range g.mail.got() {
		came[l.name()+" "+l.Alerts[0].StartsAt.UTC().Format("2006-01-02T15:04:05.000000")]++
	}
	for _, name := range intended {
		if came[name] == 0 {
			g.played.lost++
			g.Logf("lost: %s", name)
		}
		came[name]--
	}
	for name, n := range came {
		if n > 0 {
			g.played.doubled += n
			g.Logf("came and was not meant, or twice: %s", name)
		}
	}
	g.played.messages = len(intended)
	// An outage is told once: there is one system alert for each, and never two that are
	// active at once. A later one with an earlier time is of a clock that was put right.
	if n := get[int](g.world, "SELECT count(*) FROM alerts a JOIN alerts b ON a.alert_type = 'system_stale' AND b.alert_type = 'system_stale' AND a.id < b.id AND (a.resolved_at IS NULL OR b.timestamp BETWEEN a.timestamp AND a.resolved_at)"); n > 0 {
		g.played.doubled += n
		g.Logf("%d outages were told twice", n)
	}
}

// writeReport writes what the game days showed, and which of them skipped.
func writeReport() error {
	if *reportFile == "" {
		return nil
	}
	var text strings.Builder
	text.WriteString(reportHead)
	for _, d := range gameDays {
		i := slices.IndexFunc(report, func(p played) bool { return p.number == d.number && p.fault == d.fault })
		if i < 0 {
			fmt.Fprintf(&text, "| %d | %s | not played | | | | | | |\n", d.number, d.fault)
			continue
		}
		p := report[i] // the first of several rounds
		fmt.Fprintf(&text, "| %d | %s | %s | %s | %s | %d | %d | %d | %d |\n", p.number, p.fault, minutes(p.detected), p.diagnosed, minutes(p.recovered), p.leaked, p.lost, p.doubled, p.messages)
	}
	text.WriteString(unseen(*reportFile))
	return os.WriteFile(*reportFile, []byte(text.String()), 0o644)
}

// unseen is the part of a report that people write, about faults that they invented.
func unseen(file string) string {
	text, err := os.ReadFile(file)
	if at := strings.Index(string(text), unseenHead); err == nil && at >= 0 {
		return "\n" + string(text)[at:]
	}
	return ""
}

const unseenHead = "## Faults that nobody here had played"

func minutes(d time.Duration) string {
	if d < 90*time.Second {
		return fmt.Sprintf("%.0f s", d.Seconds())
	}
	return fmt.Sprintf("%.1f min", d.Minutes())
}

const reportHead = `# Game days

Generated by ` + "`make gamedays`" + ` but for its last part; do not edit the rest. A game day is an end-to-end test: a real PostgreSQL, the real program as processes of its own, the simulated exchange, on a clock that shows a minute every second. A fault is injected from
outside. It has to be seen, named by ` + "`whalegate runbook diagnose`" + ` as the right runbook before any other, and to end by what that runbook says; ` + "`verify`" + ` must not hold before and has to hold after. Signals that are locked are a
consequence: their cause is named first, and they are right behind it. What is no fault is not named. Meanwhile somebody reads
what the boards may read: a row of the decision surface while the state is STALE has leaked. A receiver counts: each alert that was to be told has come, once.

Times are of that clock: *detected after* the injection, *recovered after* the repair (also where the fault ends by itself).

| runbook | fault | detected after | diagnosed as | recovered after | leaked | lost | doubled | messages |
|---|---|---|---|---|---|---|---|---|
`

// The report that is committed is of the game days that there are.
func TestTheReportOfTheGameDaysIsWhole(t *testing.T) {
	text, err := os.ReadFile("../docs/gamedays.md")
	must(t, err)
	if !strings.HasPrefix(string(text), reportHead) {
		t.Error("the head is another one: make gamedays")
	}
	table, _, _ := strings.Cut(strings.TrimPrefix(string(text), reportHead), unseenHead)
	lines := strings.Split(strings.TrimSpace(table), "\n")
	if len(lines) != len(gameDays) {
		t.Errorf("%d days are reported, there are %d: make gamedays", len(lines), len(gameDays))
	}
	for i, d := range gameDays {
		if i < len(lines) && !strings.HasPrefix(lines[i], fmt.Sprintf("| %d | %s | ", d.number, d.fault)) {
			t.Errorf("line %d is not of %d %s: make gamedays", i, d.number, d.fault)
		}
	}
}
