package signals

import (
	"math"
	"time"

	"pgregory.net/rapid"

	"github.com/whalegate/whalegate/internal/asset"
)

// drawEdges draws wallets that stand on and beside the edges of the classes:
// moves of ±ε and one more or less, flips, exits, beside sizes up to most.
func drawEdges(t *rapid.T, most int64) Wallets {
	epsilon := rapid.SampledFrom([]float64{1, 2, 10, 20, 20.5, 100}).Draw(t, "ε")
	around := rapid.SampledFrom([]float64{-2 * epsilon, -epsilon - 1, -epsilon, -epsilon + 1, -1, 0, 1, epsilon - 1, epsilon, epsilon + 1, 2 * epsilon})
	var w Wallets
	for range rapid.IntRange(0, 30).Draw(t, "wallets") {
		previous := around.Draw(t, "previous")
		switch rapid.IntRange(0, 5).Draw(t, "was") {
		case 0:
			previous = nan
		case 1, 2:
			previous = float64(rapid.Int64Range(-most, most).Draw(t, "large"))
		}
		was := previous
		if math.IsNaN(was) {
			was = 0
		}
		current := was + around.Draw(t, "move")
		switch rapid.IntRange(0, 9).Draw(t, "is") {
		case 0:
			current = nan
		case 1:
			current = 0
		case 2:
			current = -was
		case 3:
			current = float64(rapid.Int64Range(-most, most).Draw(t, "large"))
		case 4:
			current = math.Trunc(was * rapid.Float64Range(-3, 3).Draw(t, "share"))
		}
		w.add(1, previous, current, epsilon)
	}
	return w
}

// drawLifelike draws ten minutes of wallets that mostly stand still, some of
// which trade, leave, or show a glitch.
func drawLifelike(t *rapid.T) Wallets {
	var w Wallets
	for range rapid.IntRange(0, 30).Draw(t, "wallets") {
		size := rapid.Int64Range(0, 1_000_000).Draw(t, "size")
		epsilon := Epsilon(asset.BTC, 2*uint64(size))
		if rapid.Bool().Draw(t, "short") {
			size = -size
		}
		var rows []Reading
		for range 10 {
			row := Reading{Size: asset.Size(size), Known: true}
			switch rapid.IntRange(0, 30).Draw(t, "event") {
			case 0:
				row = Reading{}
			case 1:
				row.Size = 0
			case 2:
				size = 0
			case 3, 4, 5:
				size += size/10 + 1
			case 6, 7:
				size -= size / 10
			case 8:
				size = -size
			}
			rows = append(rows, row)
		}
		column := func(window []Reading) float64 {
			size, ok := Effective(window[rapid.IntRange(0, 1).Draw(t, "gap")*len(window)/2:], epsilon)
			if !ok {
				return nan
			}
			return float64(size)
		}
		w.add(1, column(rows[:5]), column(rows[5:]), epsilon)
	}
	return w
}

// drawInput draws an input that G1 and G2 let pass.
func drawInput(t *rapid.T) Input {
	in := Input{
		Boundary:  time.Unix(300*rapid.Int64Range(0, 1e7).Draw(t, "boundary"), 0),
		Asset:     rapid.SampledFrom(asset.All[:]).Draw(t, "asset"),
		Snapshots: rapid.IntRange(4, 5).Draw(t, "snapshots"),
		Rows:      rapid.IntRange(0, 100).Draw(t, "rows"),
	}
	in.Dirty = rapid.OneOf(rapid.Just(0), rapid.Just(in.Rows/10), rapid.IntRange(0, in.Rows)).Draw(t, "dirty")
	if rapid.Bool().Draw(t, "lifelike") {
		in.Wallets = drawLifelike(t)
	} else {
		in.Wallets = drawEdges(t, 1e17)
	}
	for _, size := range in.Wallets.Current {
		if !math.IsNaN(size) {
			in.Holdings = append(in.Holdings, asset.Size(size))
		}
	}
	for i := range in.Past {
		in.Past[i] = Past{rapid.Float64Range(0, 100).Draw(t, "CAS"), rapid.IntRange(0, 9).Draw(t, "usable") > 0}
	}
	if rapid.Bool().Draw(t, "a trend") {
		far := rapid.SampledFrom([]float64{0, 20, 80, 100}).Draw(t, "past")
		in.Past = [3]Past{{far, true}, {far, true}, {far, true}}
	}
	return in
}

// naiveTally is the rule, a wallet at a time, with the deviation in two passes.
func naiveTally(w Wallets) (classes Classes, missing, compared int, deviation float64) {
	var moves []float64
	for i, current := range w.Current {
		previous, epsilon := w.Previous[i], w.Epsilon[i]
		if math.IsNaN(current) {
			missing++
			continue
		}
		if math.IsNaN(previous) {
			classes.Flat++
			continue
		}
		delta := current - previous
		switch {
		case delta > epsilon && current > 0:
			classes.AddLong++
		case delta < -epsilon && current < 0:
			classes.AddShort++
		case math.Abs(current) < math.Abs(previous)-epsilon:
			classes.Reducers++
		default:
			classes.Flat++
		}
		moves = append(moves, math.Min(2, math.Max(-2, delta/math.Max(math.Abs(previous), epsilon))))
	}
	if len(moves) < 2 {
		return classes, missing, len(moves), 0
	}
	var mean, squares float64
	for _, m := range moves {
		mean += m / float64(len(moves))
	}
	for _, m := range moves {
		squares += (m - mean) * (m - mean)
	}
	return classes, missing, len(moves), math.Sqrt(squares / float64(len(moves)-1))
}
