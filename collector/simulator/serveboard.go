package simulator

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"
)

func (e *Exchange) serveBoard(w http.ResponseWriter, r *http.Request) {
	fault, there := e.disturb(r, target{endpoint: LeaderboardEndpoint})
	if !there {
		return
	}
	if fault != nil && fault.Kind != Truncate {
		e.send(w, LeaderboardEndpoint, failedBy(*fault, nil))
		return
	}
	now := e.config.Clock.Now()
	e.AdvanceTo(now)
	faults, fingerprint, at := e.faults.board(now)
	edition := e.edition(at)
	tag := fmt.Sprintf(`"%x-%x-%d-%s"`, e.config.Seed, e.config.Origin.Unix(), edition, fingerprint)
	modified := e.config.Origin.Add(time.Duration(edition) * time.Hour)
	e.stamp(w) // it may have waited
	w.Header().Set("ETag", tag)
	w.Header().Set("Last-Modified", modified.Format(http.TimeFormat))
	if unchanged(r, tag, modified, len(faults) > 0) {
		e.stats.add(string(LeaderboardEndpoint), "304")
		w.WriteHeader(http.StatusNotModified)
		return
	}
	a := good(nil)
	b := e.newBoard(edition, faults)
	if fault != nil {
		a.outcome, a.abort = "truncated", fault.Variant != "clean"
		b.stop = b.rows() / 2
	}
	if b.page {
		e.send(w, LeaderboardEndpoint, failedBy(Fault{Kind: HTML}, nil))
		return
	}
	w.Header().Set("Content-Type", typeJSON)
	// Row by row: a body of 40 MB must not stand in memory for each request.
	buffered := bufio.NewWriterSize(w, 1<<16)
	b.write(buffered)
	_ = buffered.Flush() // an error means that the client has left
	e.send(w, LeaderboardEndpoint, answer{outcome: a.outcome, abort: a.abort})
}

// unchanged follows the rules of HTTP: the tag decides where one is given. A
// fault changes the content without changing its time.
func unchanged(r *http.Request, tag string, modified time.Time, faulty bool) bool {
	if given := r.Header.Get("If-None-Match"); given != "" {
		for one := range strings.SplitSeq(given, ",") {
			if one = strings.TrimSpace(one); one == "*" || strings.TrimPrefix(one, "W/") == tag {
				return true
			}
		}
		return false
	}
	since, err := http.ParseTime(r.Header.Get("If-Modified-Since"))
	return err == nil && !faulty && !modified.After(since)
}

// board writes one leaderboard.
type board struct {
	exchange *Exchange
	edition  int64
	profits  []float64
	faults   []Fault
	leading  map[int]bool // ranks at Origin whose profit faults take away
	page     bool         // in place of JSON
	empty    bool
	stop     int // the row in the middle of which it ends, or -1
}

func (e *Exchange) newBoard(edition int64, faults []Fault) *board {
	b := &board{exchange: e, edition: edition, faults: faults, stop: -1}
	var churns []Fault
	for _, f := range faults {
		switch {
		case f.Kind == Churn:
			churns = append(churns, f)
		case f.Variant == "non_json":
			b.page = true
		case f.Variant == "empty":
			b.empty = true
		case f.Variant == "truncated":
			b.stop = len(e.order) / 2
		}
	}
	b.profits = e.profits(edition, churns)
	for _, f := range faults {
		if f.Variant == "no_pnl" {
			b.leading = e.leading(b.profits, f.top())
		}
	}
	return b
}

// leading is the set of the n ranks at Origin with the highest profits.
func (e *Exchange) leading(profits []float64, n int) map[int]bool {
	set := map[int]bool{}
	for _, rank := range e.ranking(profits)[:min(n, len(profits))] {
		set[rank] = true
	}
	return set
}

func (b *board) rows() int { return len(b.exchange.order) }

func (b *board) write(w io.Writer) {
	io.WriteString(w, "{\n \"leaderboardRows\": [") //nolint:errcheck // a later write tells
	var text []byte
	for i, rank := range b.exchange.order {
		if b.empty {
			break
		}
		text = text[:0]
		for n, r := range b.distorted(int(rank), i) {
			if i > 0 || n > 0 {
				text = append(text, ',')
			}
			text = r.append(append(text, '\n'))
		}
		if i == b.stop {
			w.Write(text[:len(text)/2]) //nolint:errcheck // it ends here
			return
		}
		if _, err := w.Write(text); err != nil {
			return
		}
	}
	_, _ = io.WriteString(w, "\n ]\n}\n") // an error means that the client has left
}

// distorted is the row of a rank, or what faults make of it: more than one, or
// another one.
func (b *board) distorted(rank, i int) []row {
	r := b.exchange.row(rank, b.profits[rank], b.edition)
	all := []row{r}
	for _, f := range b.faults {
		who := b.exchange.wallets[rank].address
		if !who.chance().of(1).hits(f.share()) || f.Kind == Churn {
			continue
		}
		first := &all[0]
		switch {
		case f.Kind == BadNumber && (f.Wallet == "" || strings.EqualFold(f.Wallet, who.String())):
			for n := range first.windows {
				first.windows[n].profit = f.Value
			}
		case f.Variant == "missing_month", f.Variant == "no_pnl" && b.leading[rank] && who.chance()&1 == 0:
			first.windows = slices.DeleteFunc(first.windows, func(w window) bool { return w.name == "month" })
		case f.Variant == "no_pnl" && b.leading[rank]:
			for n := range first.windows {
				if first.windows[n].name == "month" {
					first.windows[n].profit = "0"
				}
			}
		case f.Variant == "repeated":
			again := int(b.exchange.order[0])
			*first = b.exchange.row(again, b.profits[again], b.edition)
		case f.Variant == "bad_address":
			first.address = first.address[:len(first.address)-1-i%3]
		case f.Variant == "duplicated":
			all = append(all, r)
		}
	}
	return all
}
