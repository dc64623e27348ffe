// Package status reads what an operator asks first: may the data be acted on,
// and if not, why. The command line and the HTTP endpoint print the same thing.
package status

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/whalegate/whalegate/internal/duration"
	"github.com/whalegate/whalegate/internal/facts"
	"github.com/whalegate/whalegate/internal/halt"
	"github.com/whalegate/whalegate/internal/health"
	"github.com/whalegate/whalegate/internal/health/watch"
	"github.com/whalegate/whalegate/internal/lead"
	"github.com/whalegate/whalegate/internal/postgres"
)

// Report is the state of the system at one moment.
type Report struct {
	At time.Time `json:"at"`
	health.Health
	ReasonWords    []string            `json:"reason_words"`    // the reasons, each in words; empty: there is none, or nobody answered
	TradingAllowed string              `json:"trading_allowed"` // what the state allows
	Leader         *facts.Leader       `json:"leader"`          // who leads and who waits; nil: nobody asked, or nobody answered
	Standby        bool                `json:"standby"`         // the server only follows another one, and sees no session of its collectors
	Universe       *Universe           `json:"universe"`        // nil: there is none yet
	Accounts       *facts.Accounts     `json:"accounts"`        // nil: nobody asked, or nobody answered
	Search         *facts.Search       `json:"account_search"`  // of the first start; nil: none yet
	Coins          []facts.Coin        `json:"exchange_meta"`   // by asset
	Open           []facts.OpenFailure `json:"baselines_open"`  // failures of S11 that last
	LastRun        *Run                `json:"last_run"`
	LastCycle      *Cycle              `json:"last_signal_cycle"`
	Signals        []Signal            `json:"signals"`    // by asset; empty while STALE
	Alerts         *Alerts             `json:"alerts"`     // nil: nobody asked, or nobody answered
	Deliveries     *Deliveries         `json:"deliveries"` // the same
	Halt           *health.Halt        `json:"halt"`
	Exchange       *facts.Exchange     `json:"exchange_trouble"` // the last request that gave nothing; nil: each was answered, or another process asks
	Error          string              `json:"error,omitempty"`  // why the database could not be asked
}

// Universe is how the tracked wallets came to be.
type Universe struct {
	Wallets       int       `json:"wallets"`
	AccountsKnown int       `json:"accounts_known"` // wallets whose accounts are known
	AsOf          time.Time `json:"as_of_ts"`
	LastStatus    string    `json:"last_refresh_status"`
	ChurnWarnings int       `json:"churn_warning_count"`
}

// Run is the newest snapshot run.
type Run struct {
	Timestamp   time.Time      `json:"timestamp"`
	Status      string         `json:"status"`
	Expected    int            `json:"wallets_expected"`
	Succeeded   int            `json:"wallet_success_count"`
	Failed      int            `json:"wallet_fail_count"`
	RowsWritten int            `json:"rows_written"`
	CoveragePct float64        `json:"coverage_pct"`
	Failures    map[string]int `json:"failures"`
	DurationMS  int            `json:"duration_ms"`
	Error       *string        `json:"error"`
}

// allowed is what each state allows.
var allowed = map[health.State]string{
	health.Healthy:  "yes, as the playbook says",
	health.Degraded: "with caution only",
	health.Stale:    "NO",
}

// OfHealth is a report of health alone, and of why it could not be asked.
func OfHealth(h health.Health, err error, now time.Time) Report {
	r := Report{At: now.UTC(), Health: h, ReasonWords: []string{}, TradingAllowed: allowed[h.State], Coins: []facts.Coin{}, Open: []facts.OpenFailure{}, Signals: []Signal{}}
	if err != nil {
		r.Error = err.Error()
	}
	return r
}

// Read asks the database. It always returns a report: a database that cannot be
// asked is STALE, and the error says why.
func Read(ctx context.Context, db watch.Querier, now time.Time) (Report, error) {
	h, err := watch.Read(ctx, db)
	report := OfHealth(h, err, now)
	if err == nil {
		report.ReasonWords, err = readWords(ctx, db, h.Reasons)
	}
	if err == nil {
		report.Standby, err = readStandby(ctx, db)
	}
	if err == nil {
		var who facts.Leader
		if who, err = lead.Read(ctx, db); err == nil {
			report.Leader = &who
		}
	}
	if err == nil {
		report.Halt, err = halt.InForce(ctx, db)
	}
	if err == nil {
		report.Universe, err = readUniverse(ctx, db)
	}
	if err == nil {
		err = report.readTruth(ctx, db)
	}
	if err == nil {
		report.LastRun, err = readRun(ctx, db)
	}
	if err == nil {
		report.LastCycle, err = readCycle(ctx, db)
	}
	if err == nil && h.State != health.Stale {
		report.Signals, err = readSignals(ctx, db)
	}
	if err == nil {
		report.Alerts, err = readAlerts(ctx, db)
	}
	if err == nil {
		report.Deliveries, err = readDeliveries(ctx, db)
	}
	if err != nil {
		report.Error = err.Error()
	}
	return report, err
}

func readWords(ctx context.Context, db watch.Querier, reasons []string) ([]string, error) {
	rows, err := db.Query(ctx, "SELECT reason_words(r) FROM unnest($1::text[]) WITH ORDINALITY AS listed (r, n) ORDER BY n", reasons)
	if err != nil {
		return nil, fmt.Errorf("word the reasons: %w", postgres.Cause(err))
	}
	words, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, fmt.Errorf("word the reasons: %w", postgres.Cause(err))
	}
	return words, nil
}

func readStandby(ctx context.Context, db watch.Querier) (standby bool, err error) {
	rows, err := db.Query(ctx, "SELECT pg_is_in_recovery()")
	if err == nil {
		standby, err = pgx.CollectExactlyOneRow(rows, pgx.RowTo[bool])
	}
	if err != nil {
		return false, fmt.Errorf("ask whether it is a standby: %w", postgres.Cause(err))
	}
	return standby, nil
}

func readUniverse(ctx context.Context, db watch.Querier) (*Universe, error) {
	rows, err := db.Query(ctx, `
		SELECT count(*), (SELECT known FROM facts.accounts), max(u.as_of_ts), r.status, r.churn_warning_count
		FROM wallet_universe_current u
		CROSS JOIN (SELECT status, churn_warning_count FROM wallet_universe_runs ORDER BY run_id DESC LIMIT 1) r
		GROUP BY r.status, r.churn_warning_count`)
	return one[Universe](rows, err, "read universe")
}

func readRun(ctx context.Context, db watch.Querier) (*Run, error) {
	rows, err := db.Query(ctx, `
		SELECT timestamp, status, wallets_expected, wallet_success_count, wallet_fail_count, rows_written, coverage_pct, failures, duration_ms, error
		FROM ingest_runs WHERE NOT superseded ORDER BY timestamp DESC LIMIT 1`)
	return one[Run](rows, err, "read newest run")
}

func one[T any](rows pgx.Rows, err error, action string) (*T, error) {
	if err != nil {
		return nil, fmt.Errorf("%s: %w", action, postgres.Cause(err))
	}
	value, err := pgx.CollectExactlyOneRow(rows, pgx.RowToStructByPos[T])
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", action, postgres.Cause(err))
	}
	return &value, nil
}

// ExitCode follows the convention of monitoring plugins: 0 HEALTHY, 1 DEGRADED,
// 2 STALE, 3 when the database could not be asked.
func (r Report) ExitCode() int {
	switch {
	case r.Error != "":
		return 3
	case r.State == health.Healthy:
		return 0
	case r.State == health.Degraded:
		return 1
	default:
		return 2
	}
}

// WriteJSON prints the report as one object on one line.
func (r Report) WriteJSON(w io.Writer) error { return json.NewEncoder(w).Encode(r) }

// WriteText prints the report for people.
func (r Report) WriteText(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	line := func(name, format string, args ...any) { fmt.Fprintf(t, "%s\t%s\n", name, fmt.Sprintf(format, args...)) }
	line("health", "%s%s", r.State, parenthesis(strings.Join(r.Reasons, ", ")))
	for _, words := range r.ReasonWords {
		line("", "%s", words)
	}
	line("trading", "%s", r.TradingAllowed)
	if r.Error != "" {
		line("error", "%s", strings.Join(strings.Fields(r.Error), " ")) // a driver's errors have lines of their own
	}
	switch {
	case r.LastSuccess != nil:
		line("last success", "%s (%s, %s clean in a row)", r.LastSuccess.Format(time.RFC3339), duration.Since(duration.Seconds(*r.AgeSeconds)), cleanRuns(r.CleanRuns))
	case r.Error == "":
		line("last success", "none yet")
	}
	if run := r.LastRun; run != nil {
		line("newest run", "%s %s: %d of %d wallets (coverage %.1f %%), %d rows in %s%s", run.Timestamp.UTC().Format(time.RFC3339), run.Status,
			run.Succeeded, run.Expected, run.CoveragePct, run.RowsWritten, time.Duration(run.DurationMS)*time.Millisecond, parenthesis(reasons(run)))
	}
	if r.Leader != nil {
		line("leads", "%s", r.Leader.TextOf(r.Standby))
	}
	if u := r.Universe; u != nil {
		line("universe", "%d wallets as of %s, last refresh %s, churn warnings %d", u.Wallets, u.AsOf.UTC().Format(time.RFC3339), u.LastStatus, u.ChurnWarnings)
	} else if r.Error == "" {
		line("universe", "none yet")
	}
	r.truth(line)
	if c := r.LastCycle; c != nil {
		line("signal cycle", "%s", c.text())
	}
	for _, s := range r.Signals {
		line(s.Asset, "%s", s.text(r.State))
	}
	if r.Alerts != nil {
		r.Alerts.lines(line)
	}
	if r.Deliveries != nil {
		line("deliveries", "%s", r.Deliveries.text())
	}
	if h := r.Halt; h != nil {
		line("halt", "since %s by %s: %s", h.HaltedAt.UTC().Format(time.RFC3339), h.HaltedBy, h.Reason)
	}
	return t.Flush()
}

// cleanRuns says that the count ends at ten.
func cleanRuns(n int) string {
	if n >= 10 {
		return "10 or more"
	}
	return strconv.Itoa(n)
}

func reasons(run *Run) string {
	if run.Error != nil {
		return *run.Error
	}
	if len(run.Failures) == 0 {
		return ""
	}
	text, _ := json.Marshal(run.Failures) // a map of strings to integers always marshals
	return string(text)
}

func parenthesis(text string) string {
	if text == "" {
		return ""
	}
	return " (" + text + ")"
}
