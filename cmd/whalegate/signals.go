package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/whalegate/whalegate/internal/asset"
	"github.com/whalegate/whalegate/internal/health"
	"github.com/whalegate/whalegate/internal/health/watch"
	"github.com/whalegate/whalegate/internal/postgres"
	"github.com/whalegate/whalegate/signals/engine"
)

type signalsCmd struct {
	List   signalsList   `cmd:"" help:"Show the stored signals, newest first."`
	Audit  signalsAudit  `cmd:"" help:"Compute the stored signals again and report what differs. Exits 1 if anything does."`
	Replay signalsReplay `cmd:"" help:"Recompute a range from the stored snapshots, writing nothing: what the rules would have said, and which alerts they would have sent."`
}

// rangeFlags choose boundaries.
type rangeFlags struct {
	From time.Time `help:"First instant, as 2026-01-02T15:04:05Z; by default as far back as the command can go."`
	To   time.Time `help:"Last instant; by default now."`
}

// within fills in the ends that were left open.
func (f rangeFlags) within(from, now time.Time) (time.Time, time.Time, error) {
	if !f.From.IsZero() {
		from = f.From
	}
	if !f.To.IsZero() {
		now = f.To
	}
	if now.Before(from) {
		return from, now, fmt.Errorf("--from %s is after --to %s", from.UTC().Format(time.RFC3339), now.UTC().Format(time.RFC3339))
	}
	return from.UTC(), now.UTC(), nil
}

// openSignals opens the database, checks its schema and reads its clock.
func openSignals(ctx context.Context, databaseURL string) (pool *pgxpool.Pool, now time.Time, err error) {
	pool, err = postgres.Open(ctx, databaseURL, "whalegate signals")
	if err != nil {
		return nil, now, err
	}
	if err = postgres.CheckSchema(ctx, pool); err == nil {
		err = pool.QueryRow(ctx, "SELECT whalegate_now()").Scan(&now)
	}
	if err != nil {
		pool.Close()
		return nil, now, err
	}
	return pool, now, nil
}

// printer writes rows for people or for programs.
type printer struct {
	out  io.Writer
	json *json.Encoder // nil: for people
}

func newPrinter(out io.Writer, asJSON bool) printer {
	p := printer{out: out}
	if asJSON {
		p.json = json.NewEncoder(out)
	}
	return p
}

func (p printer) row(r engine.Row) error {
	if p.json != nil {
		return p.json.Encode(r)
	}
	degraded := ""
	if r.DegradedReason != nil {
		degraded = "  (degraded: " + *r.DegradedReason + ")"
	}
	_, err := fmt.Fprintf(p.out, "%s  %-4s  %-10s  %-9s  CAS %5.1f %-7s  dispersion %5.1f  exits %5.1f %%  wallets %d, missing %d%s%s\n",
		r.Timestamp.Format(time.RFC3339), r.Asset, r.AllowedPlaybook, r.RiskMode, r.AlignmentScore, r.AlignmentTrend, r.DispersionIndex, r.ExitClusterScore,
		r.WalletCount, r.MissingCount, advice(r), degraded)
	return err
}

// advice is what the flags of a row say.
func advice(r engine.Row) string {
	text := ""
	if r.AddExposure {
		text += "  add exposure"
	}
	if r.TightenStops {
		text += "  tighten stops"
	}
	return text
}

type signalsList struct {
	databaseFlag
	rangeFlags
	Asset string `help:"HYPE, BTC or ETH; all of them by default."`
	Limit int    `default:"30" help:"Rows at most."`
	JSON  bool   `name:"json" help:"Print one JSON object a line."`
}

// Run prints the stored signals.
func (c *signalsList) Run(ctx context.Context, logger *slog.Logger) error {
	name := ""
	if c.Asset != "" {
		a, err := asset.Parse(c.Asset)
		if err != nil {
			return err
		}
		name = a.String()
	}
	if c.Limit < 1 {
		return fmt.Errorf("--limit %d: a number from 1 on is right", c.Limit)
	}
	pool, now, err := openSignals(ctx, c.DatabaseURL)
	if err != nil {
		return err
	}
	defer pool.Close()
	from, to, err := c.within(time.Time{}, now)
	if err != nil {
		return err
	}
	h, err := watch.Read(ctx, pool)
	if err != nil {
		return err
	}
	if h.State == health.Stale {
		logger.Warn("the data is STALE: do not trade on what follows", "reasons", h.Reasons)
	}
	return engine.List(ctx, pool, from, to, name, c.Limit, newPrinter(os.Stdout, c.JSON).row)
}

type signalsAudit struct {
	databaseFlag
	rangeFlags
	JSON bool `name:"json" help:"Print one JSON object a difference, then a summary."`
}

// auditSummary ends the output of an audit.
type auditSummary struct {
	Summary      bool      `json:"summary"`
	From         time.Time `json:"from"`
	To           time.Time `json:"to"`
	Boundaries   int       `json:"boundaries"`   // compared
	Rows         int       `json:"rows"`         // compared
	Unverifiable int       `json:"unverifiable"` // boundaries whose snapshots are gone
	Differences  int       `json:"differences"`
}

// Run computes the stored signals again.
func (c *signalsAudit) Run(ctx context.Context, logger *slog.Logger) error {
	pool, now, err := openSignals(ctx, c.DatabaseURL)
	if err != nil {
		return err
	}
	defer pool.Close()
	var oldest *time.Time
	if err := pool.QueryRow(ctx, "SELECT min(timestamp) FROM signal_cycles").Scan(&oldest); err != nil {
		return fmt.Errorf("look for the oldest signal: %w", err)
	}
	if oldest == nil {
		oldest = &now
	}
	from, to, err := c.within(*oldest, now)
	if err != nil {
		return err
	}
	sum := auditSummary{Summary: true, From: from, To: to}
	p := newPrinter(os.Stdout, c.JSON)
	progress := newProgress(os.Stderr, logger, "auditing")
	err = engine.Audit(ctx, pool, from, to, func(a engine.Audited) error {
		progress.report(int(a.Boundary.Sub(from)/time.Second), int(to.Sub(from)/time.Second))
		if a.Unverifiable {
			sum.Unverifiable++
			return nil
		}
		sum.Boundaries++
		sum.Rows += a.Rows
		sum.Differences += len(a.Differences)
		for _, d := range a.Differences {
			if err := p.difference(d); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	progress.done("boundaries", sum.Boundaries)
	if err := p.audited(sum); err != nil {
		return err
	}
	if sum.Differences > 0 {
		return &exitError{code: 1}
	}
	return nil
}

func (p printer) difference(d engine.Difference) error {
	if p.json != nil {
		return p.json.Encode(d)
	}
	_, err := fmt.Fprintf(p.out, "%s  %-4s  %s: stored %s, computed %s\n", d.Timestamp.Format(time.RFC3339), d.Asset, d.Column, d.Stored, d.Computed)
	return err
}

func (p printer) audited(s auditSummary) error {
	if p.json != nil {
		return p.json.Encode(s)
	}
	_, err := fmt.Fprintf(p.out, "%d differences in %d rows of %d boundaries, %s to %s; %d boundaries cannot be verified, because snapshots of the day before them are gone\n",
		s.Differences, s.Rows, s.Boundaries, s.From.Format(time.RFC3339), s.To.Format(time.RFC3339), s.Unverifiable)
	return err
}
