package engine

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"
)

// eventful is an hour and a half of 20 wallets that trade, glitch and fall
// silent, with minutes that failed, came late or never, a halt, and a night of
// marks.
func eventful(t testing.TB) *scene {
	t.Helper()
	s := stage(t, 20)
	random := rand.New(rand.NewPCG(7, 11))
	sizes := make([]float64, 20)
	for i := range sizes {
		sizes[i] = float64(10 * (i + 1))
	}
	for n := -39; n <= 60; n++ {
		if n == 7 || n == 8 || n == 25 {
			continue // never came
		}
		m := told{n: n}
		for i := range sizes {
			event, said := random.IntN(30), random.IntN(60)
			switch {
			case n > 45: // everybody buys
				sizes[i] *= 1.02
			case n > 35: // and before that, all are long and calm
				sizes[i] = math.Abs(sizes[i])
			case event < 2:
				sizes[i] *= 1.2
			case event == 2:
				sizes[i] *= 0.7
			case event == 3:
				sizes[i] = -sizes[i]
			}
			text := fmt.Sprintf("%.2f", sizes[i])
			switch said {
			case 0:
				text = "0"
			case 1:
				text = "NULL"
			case 2:
				text = "-"
			}
			m.sizes = append(m.sizes, text)
		}
		switch n {
		case 15:
			m.status = "failed"
		case 20, 34:
			m.finished = 50 * time.Second
		}
		s.tell(m)
	}
	for n := -30; n < 60; n += 3 {
		s.mark([]string{collapse, byHand}[(n+30)%2], n, 1+(n+30)%20)
	}
	for n := 26; n <= 29; n++ { // a rate that G4 closes on
		s.mark(byHand, n, numbers(1, 6)...)
	}
	s.exec("INSERT INTO halts (halted_at, halted_by, reason, resumed_at, resumed_by, cause, actions) VALUES ($1, 'op', 'why', $2, 'op', 'c', 'a')", at(-7), at(-4).Add(30*time.Second))
	return s
}

// live runs boundaries when they were due, by the clock of then.
func (s *scene) live(judge Judge, from, to int) (results []Result) {
	s.Helper()
	c := s.cycle(judge)
	for b := from; b <= to; b += 5 {
		due := s.list(`SELECT to_char(coalesce((SELECT finished_at FROM ingest_runs WHERE timestamp = $1 AND finished_at <= $2), $2) AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.USZ')`, at(b), at(b).Add(Deadline))[0]
		instant, err := time.Parse(time.RFC3339Nano, due)
		if err != nil {
			s.Fatal(err)
		}
		s.clock(instant.Sub(noon))
		var r Result
		s.yetToCome(b, func() { r, err = c.Run(s.Context(), at(b)) })
		if err != nil {
			s.Fatal(err)
		}
		results = append(results, r)
	}
	return results
}

func (s *scene) replay(from, to time.Time) (list []Replayed) {
	s.Helper()
	if err := Replay(s.Context(), s.db, from, to, func(r Replayed) error { list = append(list, r); return nil }); err != nil {
		s.Fatal(err)
	}
	return list
}
