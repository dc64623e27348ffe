package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/whalegate/whalegate/internal/runbook"
	"github.com/whalegate/whalegate/internal/runbook/gather"
)

type runbookCmd struct {
	List     runbookList     `cmd:"" help:"List the runbooks."`
	Diagnose runbookDiagnose `cmd:"" help:"Find the runbooks that apply, most severe first, with evidence and what to do. Exits 0 OK, 1 warning, 2 critical, 3 unknown."`
	Show     runbookShow     `cmd:"" help:"Print a runbook's page."`
	Verify   runbookVerify   `cmd:"" help:"Check a runbook's recovery criteria. Exits 0 only when all hold, else as diagnose."`
}

// unknownExit is the code of what could not be asked, and of bad input.
const unknownExit = 3

type runbookList struct {
	JSON bool `name:"json" help:"Print one JSON object a line."`
}

// Run lists the runbooks.
func (c *runbookList) Run() error {
	for _, r := range runbook.All() {
		if c.JSON {
			if err := json.NewEncoder(os.Stdout).Encode(r); err != nil {
				return &exitError{unknownExit, err}
			}
			continue
		}
		fmt.Printf("%d  %-12s  %-9s  %s\n", r.Number, r.Slug, r.Severity, r.Title)
	}
	return nil
}

type runbookShow struct {
	Runbook string `arg:"" help:"Number or slug."`
}

// Run prints the page.
func (c *runbookShow) Run() error {
	r, err := runbook.Find(c.Runbook)
	if err != nil {
		return &exitError{unknownExit, err}
	}
	_, err = io.WriteString(os.Stdout, r.Text())
	return err
}

// factFlags say where the facts are.
type factFlags struct {
	databaseFlag
	clockFlag
	ServiceURL  string `name:"service-url" env:"WHALEGATE_SERVICE_URL" default:"http://127.0.0.1:9464" help:"Where the service answers; empty: do not ask it."`
	WatchdogURL string `name:"watchdog-url" env:"WHALEGATE_WATCHDOG_URL" help:"Where the dead man's switch answers, such as http://127.0.0.1:9466; empty: do not ask it."`
}

// gather asks everybody. learned is told each thing as it comes; nil: nobody is.
func (f factFlags) gather(ctx context.Context, learned func(string)) (runbook.Facts, error) {
	c, err := f.clock()
	if err != nil {
		return runbook.Facts{}, &exitError{unknownExit, err}
	}
	return gather.Ask(ctx, gather.Source{DatabaseURL: f.DatabaseURL, ServiceURL: f.ServiceURL, WatchdogURL: f.WatchdogURL, Clock: c, Learned: learned}), nil
}

type runbookDiagnose struct {
	factFlags
	JSON bool `name:"json" help:"Print one JSON object a line: each finding, then a summary."`
}

// Run prints what applies and exits by the worst of it.
func (c *runbookDiagnose) Run(ctx context.Context) error {
	var learned func(string)
	if !c.JSON {
		learned = func(line string) { fmt.Fprintln(os.Stderr, line) } // the answer alone goes to stdout
	}
	facts, err := c.gather(ctx, learned)
	if err != nil {
		return err
	}
	report := runbook.Diagnose(facts)
	write := report.WriteText
	if c.JSON {
		write = report.WriteJSON
	}
	if err := write(os.Stdout); err != nil {
		return &exitError{unknownExit, fmt.Errorf("print diagnosis: %w", err)}
	}
	if report.Exit != 0 {
		return &exitError{code: report.Exit}
	}
	return nil
}

type runbookVerify struct {
	factFlags
	Runbook string        `arg:"" help:"Number or slug."`
	Watch   bool          `help:"Look again until all criteria hold."`
	Every   time.Duration `default:"10s" help:"Pause between two looks."`
	JSON    bool          `name:"json" help:"Print one JSON object a line and criterion."`
}

// Run prints each criterion with its figure.
func (c *runbookVerify) Run(ctx context.Context) error {
	r, err := runbook.Find(c.Runbook)
	if err != nil {
		return &exitError{unknownExit, err}
	}
	if c.Every <= 0 {
		return &exitError{unknownExit, fmt.Errorf("--every %s: longer than nothing", c.Every)}
	}
	for {
		facts, err := c.gather(ctx, nil)
		if err != nil {
			return err
		}
		criteria := r.Verify(facts)
		if err := c.print(criteria); err != nil {
			return &exitError{unknownExit, fmt.Errorf("print criteria: %w", err)}
		}
		code := runbook.ExitCode(facts, criteria)
		if code == 0 {
			return nil
		}
		if !c.Watch {
			return &exitError{code: code}
		}
		select {
		case <-ctx.Done():
			return &exitError{code: code}
		case <-time.After(c.Every):
			if !c.JSON {
				fmt.Println()
			}
		}
	}
}

func (c *runbookVerify) print(criteria []runbook.Criterion) error {
	for _, k := range criteria {
		if c.JSON {
			if err := json.NewEncoder(os.Stdout).Encode(k); err != nil {
				return err
			}
			continue
		}
		mark := "NO "
		switch {
		case k.Holds:
			mark = "yes"
		case k.Unknown:
			mark = "?  "
		}
		if _, err := fmt.Printf("%s  %s: %s\n", mark, k.Name, k.Figure); err != nil {
			return err
		}
	}
	return nil
}
