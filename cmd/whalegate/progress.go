package main

import (
	"fmt"
	"io"
	"log/slog"
)

// progress tells how far long work has come: a line that renews itself on a
// terminal, a log line for every tenth elsewhere.
type progress struct {
	out      io.Writer
	logger   *slog.Logger
	what     string
	terminal bool
	last     int // percent last told
}

func newProgress(out io.Writer, logger *slog.Logger, what string) *progress {
	return &progress{out: out, logger: logger, what: what, terminal: isTerminal(out), last: -1}
}

func (p *progress) report(done, total int) {
	if total <= 0 {
		return
	}
	percent := 100 * done / total
	step := 10
	if p.terminal {
		step = 1
	}
	if percent < p.last+step && p.last >= 0 {
		return
	}
	p.last = percent
	if p.terminal {
		fmt.Fprintf(p.out, "\r%s: %3d %%", p.what, percent)
		return
	}
	p.logger.Info(p.what, "percent", percent)
}

func (p *progress) done(unit string, n int) {
	if p.terminal {
		fmt.Fprint(p.out, "\r\033[K")
	}
	p.logger.Info(p.what+": done", unit, n)
}
