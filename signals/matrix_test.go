package signals

import (
	"slices"
	"strings"
	"testing"
)

// written is the matrix as it is published. The reference below reads it as a
// person would, column by column, and shares nothing with the code.
const written = `
| > 75 | rising | Low | Low | Long-only | Normal |
| > 75 | rising | Low | Medium | Long-only | Reduced |
| > 75 | flat | Low | Low | Long-only | Reduced |
| 60–75 | rising | Low | Low | Long-only | Reduced |
| 60–75 | any | Medium | Low | Long-only | Reduced |
| < 25 | falling | Low | Low | Short-only | Normal |
| < 25 | falling | Low | Medium | Short-only | Reduced |
| < 25 | flat | Low | Low | Short-only | Reduced |
| 25–40 | falling | Low | Low | Short-only | Reduced |
| 25–40 | any | Medium | Low | Short-only | Reduced |
| 40–60 | any | any | any | No-trade | Defensive |
`

func matrixCells() (rows [][]string) {
	for _, line := range strings.Split(strings.TrimSpace(written), "\n") {
		cells := strings.Split(strings.Trim(line, "| "), "|")
		for i, cell := range cells {
			cells[i] = strings.TrimSpace(cell)
		}
		rows = append(rows, cells)
	}
	return rows
}

// inCAS: where bands touch, the neutral one wins.
func inCAS(band string, cas float64) bool {
	switch band {
	case "> 75":
		return cas > 75
	case "60–75":
		return 60 < cas && cas <= 75
	case "40–60":
		return 40 <= cas && cas <= 60
	case "25–40":
		return 25 <= cas && cas < 40
	case "< 25":
		return cas < 25
	}
	panic(band)
}

func inDispersion(band string, index float64) bool {
	switch band {
	case "any":
		return true
	case "Low":
		return index < 40
	case "Medium":
		return 40 <= index && index < 60
	}
	panic(band)
}

func inExit(band string, score float64) bool {
	switch band {
	case "any":
		return true
	case "Low":
		return score < 16
	case "Medium":
		return 16 <= score && score <= 25
	}
	panic(band)
}

// writtenDecide goes through the five rules in their order.
func writtenDecide(rows [][]string, cas float64, trend string, dispersion, exit float64) (playbook, risk string) {
	if dispersion >= 60 {
		return "No-trade", "Defensive"
	}
	if exit > 25 {
		return "No-trade", "Defensive"
	}
	if trend == "falling" && cas > 60 {
		return "No-trade", "Reduced"
	}
	for _, row := range rows {
		if inCAS(row[0], cas) && (row[1] == "any" || row[1] == trend) && inDispersion(row[2], dispersion) && inExit(row[3], exit) {
			return row[4], row[5]
		}
	}
	return "No-trade", "Reduced"
}

// grid is every whole number from 0 to 100, every edge and its neighbours.
func grid(edges ...float64) (values []float64) {
	for v := range 101 {
		values = append(values, float64(v))
	}
	for _, edge := range edges {
		values = append(values, below(edge), above(edge))
	}
	return values
}

func TestDecideEqualsTheWrittenMatrix(t *testing.T) {
	rows := matrixCells()
	used := map[string]bool{}
	for _, cas := range grid(25, 40, 60, 75) {
		for _, trend := range []Trend{Rising, Flat, Falling} {
			for _, dispersion := range grid(40, 60) {
				for _, exit := range grid(16, 25) {
					playbook, risk := Decide(cas, trend, dispersion, exit)
					wantPlaybook, wantRisk := writtenDecide(rows, cas, string(trend), dispersion, exit)
					if string(playbook) != wantPlaybook || string(risk) != wantRisk {
						t.Fatalf("CAS %v, %s, dispersion %v, exit cluster %v: %s %s, want %s %s",
							cas, trend, dispersion, exit, playbook, risk, wantPlaybook, wantRisk)
					}
					used[wantPlaybook+" "+wantRisk] = true
				}
			}
		}
	}
	for _, answer := range []string{
		"Long-only Normal", "Long-only Reduced", "Short-only Normal", "Short-only Reduced", "No-trade Reduced", "No-trade Defensive",
	} {
		if !used[answer] {
			t.Errorf("nothing on the grid gives %s", answer)
		}
	}
}

// Compute hands Decide its own numbers, each in its place: a crowd for every row.
func TestMatrixRowsThroughCompute(t *testing.T) {
	for _, tt := range []struct {
		row   int // of the matrix as written, from 0
		crowd crowd
		past  float64
	}{
		{0, crowd{long: 60, flat: 40}, 70},
		{1, crowd{long: 80, reducers: 20}, 70},
		{2, crowd{long: 60, flat: 40}, 80},
		{3, crowd{long: 40, flat: 60}, 60},
		{4, crowd{long: 40, flat: 40, restless: 10}, 70},
		{5, crowd{short: 60, flat: 40}, 30},
		{6, crowd{short: 80, reducers: 20}, 30},
		{7, crowd{short: 60, flat: 40}, 20},
		{8, crowd{short: 40, flat: 60}, 40},
		{9, crowd{short: 40, flat: 40, restless: 10}, 30},
		{10, crowd{long: 10, short: 10, flat: 80}, 50},
	} {
		want := matrixCells()[tt.row]
		t.Run(strings.Join(want, " "), func(t *testing.T) {
			in := tt.crowd.input()
			in.Past = steady(tt.past)
			s, _ := mustCompute(t, in)
			if string(s.AllowedPlaybook) != want[4] || string(s.RiskMode) != want[5] {
				t.Errorf("%s %s from %+v", s.AllowedPlaybook, s.RiskMode, s)
			}
			if !inCAS(want[0], s.AlignmentScore) || !slices.Contains([]string{"any", string(s.AlignmentTrend)}, want[1]) ||
				!inDispersion(want[2], s.DispersionIndex) || !inExit(want[3], s.ExitClusterScore) {
				t.Errorf("the crowd is of another row: %+v", s)
			}
		})
	}
}
