package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"syscall"
	"time"

	"github.com/whalegate/whalegate/internal/asset"
	"github.com/whalegate/whalegate/internal/postgres/server"
	"github.com/whalegate/whalegate/signals"
)

// largeCommand makes the program play the large boundaries and nothing else: in
// a process of its own, whose memory can be read.
const largeCommand = "large"

type largeResult struct {
	Boundaries []float64 // ms
	PeakMiB    float64
}

func (b *bench) measureLarge(ctx context.Context) error {
	if err := b.database(ctx, "large"); err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, self, largeCommand, b.server.URL(server.Superuser, "large"))
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM} // nor outlive us when we are killed
	out, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("50,000 wallets: %w", err)
	}
	var r largeResult
	if err := json.Unmarshal(out, &r); err != nil {
		return err
	}
	how := fmt.Sprintf("p95 of %d boundaries; %s; the day before is not stored, but kept beside in memory", len(r.Boundaries), spread(r.Boundaries))
	b.add("… 50,000 wallets", 2000, p95(r.Boundaries), " ms", how)
	b.add("… 50,000 wallets: peak RSS", 1536, r.PeakMiB, " MiB", "of a process that commits and computes, with that day")
	return nil
}

// played is how long the crowd has played before anything is measured: until what
// is older than a day was dropped from every series, and the room that they take
// does not grow any more.
const played = 34 * time.Hour

// playLarge plays 50,000 wallets and prints what came of it. Their day is not
// stored: 216 million rows are more than a measurement can wait for. It lies in a
// book beside the memory of the cycle, which reads the minutes that are stored,
// and what a boundary has to do with a day is done with the book as well.
func playLarge(ctx context.Context, url string) error {
	const wallets, warm, count, apart = 50_000, 2, 20, 3
	c, err := newCrowd(wallets, someDay)
	if err != nil {
		return err
	}
	day := newBook()
	boundary := someDay.Add(played)
	for at := someDay; at.Before(boundary.Add(time.Minute - signals.Period)); at = at.Add(time.Minute) { // the rest is approached
		day.keep(at, c.at(at))
		day.forget(at)
	}
	s, err := openStage(ctx, url, c, boundary.Add(-time.Hour))
	if err != nil {
		return err
	}
	defer s.pool.Close()
	s.book = day
	var r largeResult
	for i := range warm + count + apart {
		if err := s.approach(ctx, boundary); err != nil {
			return err
		}
		if i >= warm+count {
			if err := s.explain(ctx, boundary); err != nil {
				return err
			}
		} else {
			ms, err := s.compute(ctx, boundary)
			more, _ := timed(func() error { day.look(boundary); return nil })
			if err != nil {
				return err
			}
			if i >= warm {
				r.Boundaries = append(r.Boundaries, ms+more)
			}
		}
		boundary = boundary.Add(signals.Period)
	}
	if r.PeakMiB, err = peak(); err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(r)
}

// explain plays a boundary in parts, to tell where the time goes.
func (s *stage) explain(ctx context.Context, boundary time.Time) error {
	reading, err := timed(func() error { return s.absorb(ctx, boundary) })
	if err != nil {
		return err
	}
	looking, _ := timed(func() error { s.book.look(boundary); return nil })
	began := time.Now()
	whole, err := s.compute(ctx, boundary)
	if err == nil && len(s.asked) != 2*(asset.Count+2) {
		err = fmt.Errorf("health was asked %d times", len(s.asked)/2)
	}
	if err != nil {
		return err
	}
	// Health is asked first, before each asset and last before the commit.
	between := func(from, to int) float64 { return float64(s.asked[to].Sub(s.asked[from])) / float64(time.Millisecond) }
	health := float64(s.asked[0].Sub(began)) / float64(time.Millisecond)
	for i := range asset.Count + 2 {
		health += between(2*i, 2*i+1)
	}
	computing := between(3, 4) + between(5, 6)
	fmt.Fprintf(os.Stderr, "large: rows %.0f ms; the day beside %.0f ms; then looking %.0f ms, two assets %.0f ms, the third with writing it all %.0f ms, health %.1f ms, commit %.1f ms; whole %.0f ms\n",
		reading, looking, between(1, 2), computing, between(7, 8), health, whole-float64(s.asked[9].Sub(began))/float64(time.Millisecond), whole)
	return nil
}

var vmHWM = regexp.MustCompile(`VmHWM:\s+(\d+) kB`)

// peak gives the most resident MiB that this process had.
func peak() (float64, error) {
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0, err
	}
	found := vmHWM.FindSubmatch(text)
	if found == nil {
		return 0, errors.New("no VmHWM in the status of the process")
	}
	kib, err := strconv.ParseFloat(string(found[1]), 64)
	return kib / 1024, err
}
