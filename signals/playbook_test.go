package signals

import "testing"

// The values of each band that are tried: both ends and the middle.
var (
	casFullLong  = []float64{above(75), 80, 100}
	casLeanLong  = []float64{above(60), 68, below(75), 75}
	casNeutral   = []float64{40, above(40), 50, below(60), 60}
	casLeanShort = []float64{25, above(25), 32, below(40)}
	casFullShort = []float64{0, 12, below(25)}

	dispersionLow = []float64{0, 20, below(40)}
	dispersionMid = []float64{40, above(40), 50, below(60)}
	dispersionTop = []float64{60, above(60), 80, 100}

	exitLow = []float64{0, 8, below(16)}
	exitMid = []float64{16, above(16), 20, below(25), 25}
	exitTop = []float64{above(25), 26, 60, 100}
)

// everywhere is every value of every band.
func everywhere(bands ...[]float64) (all []float64) {
	for _, band := range bands {
		all = append(all, band...)
	}
	return all
}

var (
	anyCAS        = everywhere(casFullShort, casLeanShort, casNeutral, casLeanLong, casFullLong)
	anyDispersion = everywhere(dispersionLow, dispersionMid, dispersionTop)
	anyExit       = everywhere(exitLow, exitMid, exitTop)
	anyWay        = []Trend{Rising, Flat, Falling}
)

// region is a part of all that can be, in which one answer holds.
type region struct {
	name       string
	cas        []float64
	trends     []Trend
	dispersion []float64
	exit       []float64
	playbook   Playbook
	risk       RiskMode
}

func (r region) check(t *testing.T) {
	t.Run(r.name, func(t *testing.T) {
		for _, cas := range r.cas {
			for _, trend := range r.trends {
				for _, dispersion := range r.dispersion {
					for _, exit := range r.exit {
						if playbook, risk := Decide(cas, trend, dispersion, exit); playbook != r.playbook || risk != r.risk {
							t.Errorf("CAS %v, %s, dispersion %v, exit cluster %v: %s %s, want %s %s",
								cas, trend, dispersion, exit, playbook, risk, r.playbook, r.risk)
						}
					}
				}
			}
		}
	})
}

func TestMatrixRows(t *testing.T) {
	rising, flat, falling := []Trend{Rising}, []Trend{Flat}, []Trend{Falling}
	for _, row := range []region{
		{"above 75 rising", casFullLong, rising, dispersionLow, exitLow, LongOnly, Normal},
		{"above 75 rising, some leave", casFullLong, rising, dispersionLow, exitMid, LongOnly, Reduced},
		{"above 75 flat", casFullLong, flat, dispersionLow, exitLow, LongOnly, Reduced},
		{"60 to 75 rising", casLeanLong, rising, dispersionLow, exitLow, LongOnly, Reduced},
		{"60 to 75 spread out", casLeanLong, []Trend{Rising, Flat}, dispersionMid, exitLow, LongOnly, Reduced},
		{"below 25 falling", casFullShort, falling, dispersionLow, exitLow, ShortOnly, Normal},
		{"below 25 falling, some leave", casFullShort, falling, dispersionLow, exitMid, ShortOnly, Reduced},
		{"below 25 flat", casFullShort, flat, dispersionLow, exitLow, ShortOnly, Reduced},
		{"25 to 40 falling", casLeanShort, falling, dispersionLow, exitLow, ShortOnly, Reduced},
		{"25 to 40 spread out", casLeanShort, anyWay, dispersionMid, exitLow, ShortOnly, Reduced},
		{"40 to 60", casNeutral, anyWay, anyDispersion, anyExit, NoTrade, Defensive},
	} {
		row.check(t)
	}
}

func TestMatrixNothingMatched(t *testing.T) {
	rising, flat, falling := []Trend{Rising}, []Trend{Flat}, []Trend{Falling}
	notFalling, notRising := []Trend{Rising, Flat}, []Trend{Flat, Falling}
	some := everywhere(exitLow, exitMid)
	for _, row := range []region{
		{"above 75 spread out", casFullLong, notFalling, dispersionMid, some, NoTrade, Reduced},
		{"above 75 flat, some leave", casFullLong, flat, dispersionLow, exitMid, NoTrade, Reduced},
		{"60 to 75 flat", casLeanLong, flat, dispersionLow, some, NoTrade, Reduced},
		{"60 to 75 rising, some leave", casLeanLong, rising, dispersionLow, exitMid, NoTrade, Reduced},
		{"60 to 75 spread out, some leave", casLeanLong, notFalling, dispersionMid, exitMid, NoTrade, Reduced},
		{"below 25 rising", casFullShort, rising, dispersionLow, some, NoTrade, Reduced},
		{"below 25 spread out", casFullShort, anyWay, dispersionMid, some, NoTrade, Reduced},
		{"below 25 flat, some leave", casFullShort, flat, dispersionLow, exitMid, NoTrade, Reduced},
		{"25 to 40 rising", casLeanShort, rising, dispersionLow, some, NoTrade, Reduced},
		{"25 to 40 flat", casLeanShort, flat, dispersionLow, some, NoTrade, Reduced},
		{"25 to 40 falling, some leave", casLeanShort, falling, dispersionLow, exitMid, NoTrade, Reduced},
		{"25 to 40 spread out, some leave", casLeanShort, notRising, dispersionMid, exitMid, NoTrade, Reduced},
	} {
		row.check(t)
	}
}

// Each rule wins over the ones after it; where the answers differ, these rows
// would show another one if the order were another.
func TestOrderOfTheRules(t *testing.T) {
	falling := []Trend{Falling}
	bullish := everywhere(casLeanLong, casFullLong)
	for _, row := range []region{
		{"1 alone", anyCAS, anyWay, dispersionTop, exitLow, NoTrade, Defensive},
		{"1 before 2", anyCAS, anyWay, dispersionTop, exitTop, NoTrade, Defensive},
		{"1 before 3", bullish, falling, dispersionTop, anyExit, NoTrade, Defensive},
		{"1 before 4", casFullLong, []Trend{Rising}, dispersionTop, exitLow, NoTrade, Defensive},
		{"2 alone", anyCAS, anyWay, dispersionLow, exitTop, NoTrade, Defensive},
		{"2 before 3", bullish, falling, anyDispersion, exitTop, NoTrade, Defensive},
		{"2 before 4", casFullShort, falling, dispersionLow, exitTop, NoTrade, Defensive},
		{"3 alone", casFullLong, falling, dispersionLow, exitLow, NoTrade, Reduced},
		{"3 before 4", casLeanLong, falling, dispersionMid, exitLow, NoTrade, Reduced},
		{"3 with some that leave", bullish, falling, everywhere(dispersionLow, dispersionMid), exitMid, NoTrade, Reduced},
		{"3 ends above 60", []float64{60}, falling, dispersionLow, exitLow, NoTrade, Defensive},
		{"4 before 5", casNeutral, anyWay, dispersionMid, exitMid, NoTrade, Defensive},
	} {
		row.check(t)
	}
}
