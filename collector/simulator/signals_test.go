package simulator

import (
	"math"
	"slices"
	"time"

	"github.com/whalegate/whalegate/internal/asset"
)

// What follows computes classes, scores and playbooks from the rules alone,
// without the product's own code: slow, in floats, good enough to see what a
// market looks like to the product.

// signal is one asset at one boundary.
type signal struct {
	classes                  map[string]int
	exit, cas, dispersion    float64
	trend                    string
	playbook, risk           string
	exitBand, dispersionBand string
}

// watcher follows the wallets of a universe.
type watcher struct {
	exchange *Exchange
	accounts [][]string               // of each wallet
	sorted   [][asset.Count][]float64 // |szi| so far, every five minutes
	previous [][asset.Count]float64
	cas      [asset.Count][]float64
}

func watch(e *Exchange, n int) *watcher {
	w := &watcher{exchange: e, sorted: make([][asset.Count][]float64, n), previous: make([][asset.Count]float64, n)}
	for _, master := range e.Wallets()[:n] {
		w.accounts = append(w.accounts, append([]string{master}, e.SubAccounts(master)...))
	}
	return w
}

// sizes of all wallets at the market's minute.
func (w *watcher) sizes() [][asset.Count]float64 {
	all := make([][asset.Count]float64, len(w.accounts))
	for i, accounts := range w.accounts {
		for _, account := range accounts {
			sizes, _ := w.exchange.Sizes(account)
			for _, a := range asset.All {
				all[i][a] += sizes[a].Float(a)
			}
		}
	}
	return all
}

// day plays n five-minute windows from origin and returns the signals of each.
func (w *watcher) day(origin time.Time, n int) (all [asset.Count][]signal) {
	for boundary := range n {
		var last [2][][asset.Count]float64
		for minute := range 5 {
			w.exchange.AdvanceTo(origin.Add(time.Duration(boundary*5+minute+1) * time.Minute))
			if minute >= 3 {
				last[minute-3] = w.sizes()
			}
		}
		for _, a := range asset.All {
			s := w.signal(a, last[0], last[1])
			if boundary > 0 { // the first has nothing to compare with
				all[a] = append(all[a], s)
			}
		}
	}
	return all
}

func (w *watcher) signal(a asset.Asset, before, now [][asset.Count]float64) signal {
	s := signal{classes: map[string]int{}}
	var moves []float64
	for i := range now {
		current, previous := now[i][a], w.previous[i][a]
		epsilon := a.Dust().Float(a)
		past := &w.sorted[i][a]
		if n := len(*past); n > 0 {
			epsilon = max(epsilon, 0.02*(*past)[n/2])
		}
		if math.Abs(before[i][a]) > epsilon && math.Abs(current) < 0.01*math.Abs(before[i][a]) {
			current = before[i][a] // an unconfirmed collapse is held
		}
		at, _ := slices.BinarySearch(*past, math.Abs(current))
		*past = slices.Insert(*past, at, math.Abs(current))
		w.previous[i][a] = current
		delta := current - previous
		class := "flat"
		switch {
		case delta > epsilon && current > 0:
			class = "adder long"
		case delta < -epsilon && current < 0:
			class = "adder short"
		case math.Abs(current) < math.Abs(previous)-epsilon:
			class = "reducer"
		}
		s.classes[class]++
		if current*previous < 0 {
			s.classes["flip"]++
		}
		moves = append(moves, max(-2, min(2, delta/max(math.Abs(previous), epsilon))))
	}
	total := float64(len(now))
	s.exit = 100 * float64(s.classes["reducer"]) / total
	s.cas = 50 + 50*float64(s.classes["adder long"]-s.classes["adder short"])/total
	if s.exit > 25 {
		s.cas = min(s.cas, 60)
	}
	s.dispersion = min(100, 100*deviation(moves))
	s.trend = "flat"
	if n := len(w.cas[a]); n >= 3 {
		switch mean := (w.cas[a][n-1] + w.cas[a][n-2] + w.cas[a][n-3]) / 3; {
		case s.cas > mean+5:
			s.trend = "rising"
		case s.cas < mean-5:
			s.trend = "falling"
		}
	}
	w.cas[a] = append(w.cas[a], s.cas)
	s.exitBand, s.dispersionBand = "Low", "Low"
	if s.exit >= 16 {
		s.exitBand = "Medium"
	}
	if s.exit > 25 {
		s.exitBand = "High"
	}
	if s.dispersion >= 40 {
		s.dispersionBand = "Medium"
	}
	if s.dispersion >= 60 {
		s.dispersionBand = "High"
	}
	s.playbook, s.risk = s.gate()
	return s
}

func (s signal) gate() (playbook, risk string) {
	if s.dispersionBand == "High" || s.exitBand == "High" {
		return "No-trade", "Defensive"
	}
	if s.trend == "falling" && s.cas > 60 {
		return "No-trade", "Reduced"
	}
	if s.cas >= 40 && s.cas <= 60 {
		return "No-trade", "Defensive"
	}
	playbook, with, strength := "Long-only", "rising", s.cas-50
	if s.cas < 40 {
		playbook, with, strength = "Short-only", "falling", 50-s.cas
	}
	calm := s.dispersionBand == "Low" && s.exitBand == "Low"
	switch {
	case strength > 25 && s.trend == with && calm:
		return playbook, "Normal"
	case strength > 25 && s.trend == with && s.dispersionBand == "Low",
		strength > 25 && s.trend == "flat" && calm,
		strength <= 25 && s.trend == with && calm,
		strength <= 25 && s.dispersionBand == "Medium" && s.exitBand == "Low":
		return playbook, "Reduced"
	}
	return "No-trade", "Reduced"
}

func deviation(values []float64) float64 {
	mean, sum := 0.0, 0.0
	for _, v := range values {
		mean += v / float64(len(values))
	}
	for _, v := range values {
		sum += (v - mean) * (v - mean)
	}
	return math.Sqrt(sum / float64(len(values)-1))
}
