package engine

import (
	"flag"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// few sets how many cases a property is tried with, unless the command line
// does: each is a scene in a database here.
func few(t *testing.T) {
	t.Helper()
	checks := flag.Lookup("rapid.checks")
	if checks.Value.String() != checks.DefValue {
		return
	}
	if err := checks.Value.Set("30"); err != nil {
		t.Fatal(err)
	}
}

// cast is how many wallets a story has.
const cast = 8

// story tells a scene minute by minute, as drawn.
type story struct {
	*rapid.T
	scene     *scene
	spans     [cast][2]int // the minutes of which a wallet has rows
	universes []refresh
	told      []told
	ended     time.Duration  // grows, as no two runs end at the same instant
	happened  map[string]int // what the stories had, so that none can be poor
}

type refresh struct {
	minute  int
	wallets []string
}

func (s *story) note(what string) { s.happened[what]++ }

func (s *story) upto(n int, what string) int { return rapid.IntRange(0, n).Draw(s.T, what) }

// begin clears the scene and tells of the day before.
func (s *story) begin() {
	s.scene.clear("wallet_snapshots", "ingest_runs", "wallet_universe_runs")
	s.scene.sizes = repeat(cast, "10")
	spans := [][2]int{{-2000, 2000}, {-2000, -1000}, {2, 2000}, {-2000, 4}, {-1000, 2000}}
	for i := range s.spans {
		s.spans[i] = rapid.SampledFrom(spans).Draw(s.T, "span")
	}
	s.spans[cast-1] = [2]int{-2000, -1445} // one to be forgotten
	s.universes, s.told = nil, nil
	s.refresh(-1600)
	old := rapid.SliceOfNDistinct(rapid.IntRange(-1465, -1425), 2, 8, rapid.ID).Draw(s.T, "old minutes")
	slices.Sort(old)
	for _, n := range old {
		s.minute(n)
	}
}

// refresh draws a universe.
func (s *story) refresh(n int) {
	var list []int
	for i := 1; i <= cast; i++ {
		if s.upto(3, "member") > 0 {
			list = append(list, i)
		}
	}
	s.scene.universe(n, list...)
	s.universes = append(s.universes, refresh{n, ids(list)})
}

// universe is the one of a boundary.
func (s *story) universe(b int) (wallets []string) {
	for _, u := range s.universes {
		if u.minute <= b {
			wallets = u.wallets
		}
	}
	return wallets
}

var sizesOfStories = []string{"0", "0.01", "0.0001", "1", "1.01", "-1", "0.99", "100", "102", "-100", "10", "123456789.12345", "-0.00001", "NaN"}

// minute draws one: it may be missing, late, or failed, and a wallet may have
// moved, be silent, or show no size.
func (s *story) minute(n int) {
	s.ended += time.Microsecond
	m := told{n: n, finished: 2*time.Second + s.ended}
	switch s.upto(11, "minute") {
	case 0:
		s.note("missing minute")
		return
	case 1:
		s.note("failed minute")
		m.status = "failed"
	case 2, 3:
		s.note("late minute")
		m.finished = time.Duration(rapid.IntRange(40, 500).Draw(s.T, "finished"))*time.Second + s.ended
	}
	s.tell(m)
}

func (s *story) tell(m told) {
	for i := range cast {
		size := ""
		switch s.upto(9, "event") {
		case 0:
			size = "-"
		case 1:
			size = "NULL"
		case 2, 3:
			pick := rapid.SampledFrom(sizesOfStories)
			size = fmt.Sprint(pick.Draw(s.T, "HYPE"), "|", pick.Draw(s.T, "BTC"), "|", pick.Draw(s.T, "ETH"))
		case 4:
			size = "10|NULL|0"
		}
		if m.n < s.spans[i][0] || m.n > s.spans[i][1] {
			size = "-"
		}
		m.sizes = append(m.sizes, size)
	}
	s.scene.tell(m)
	s.told = slices.DeleteFunc(s.told, func(before told) bool { return before.n == m.n })
	s.told = append(s.told, m)
}

// isTold tells whether a minute has a run.
func (s *story) isTold(n int) bool {
	return slices.ContainsFunc(s.told, func(m told) bool { return m.n == n })
}

// reach lets a hand, the collapse check, or a clock that was ahead change what is
// stored of a minute.
func (s *story) reach(n int) {
	wallets := numbers(1, cast)[s.upto(cast-1, "first"):]
	switch s.upto(6, "hand") {
	case 0, 1:
		s.note("mark")
		s.scene.mark(rapid.SampledFrom([]string{byHand, ""}).Draw(s.T, "reason"), n, wallets...)
	case 2, 3:
		if s.isTold(n + 1) { // whose commit brings it
			s.note("verdict")
			s.scene.mark(collapse, n, wallets...)
		}
	case 4:
		s.note("mark taken back")
		s.scene.unmark(n, wallets...)
	case 5:
		if s.isTold(n) {
			s.note("written again")
			s.minute(n)
		}
	case 6:
		if s.isTold(n) { // it was of a clock that was ahead
			s.note("superseded")
			s.scene.exec("UPDATE ingest_runs SET superseded = true WHERE timestamp = $1", at(n))
			s.told = slices.DeleteFunc(s.told, func(before told) bool { return before.n == n })
		}
	}
}

// require fails if none of the stories had one of these.
func require(t *testing.T, happened map[string]int, what ...string) {
	t.Helper()
	for _, w := range what {
		if happened[w] == 0 && !t.Failed() {
			t.Errorf("no story had: %s; only %s", w, strings.ReplaceAll(fmt.Sprint(happened), "map", ""))
		}
	}
}
