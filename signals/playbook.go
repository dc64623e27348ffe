package signals

// anyTrend in the matrix matches every trend.
const anyTrend Trend = ""

// matrix is what is allowed when neither dispersion nor the exit cluster closes
// the gate. A neutral alignment is not in it: it allows nothing whatever the
// rest says.
var matrix = []struct {
	cas        side
	trend      Trend
	dispersion Band
	exit       Band
	playbook   Playbook
	risk       RiskMode
}{
	{fullLong, Rising, Low, Low, LongOnly, Normal},
	{fullLong, Rising, Low, Medium, LongOnly, Reduced},
	{fullLong, Flat, Low, Low, LongOnly, Reduced},
	{leanLong, Rising, Low, Low, LongOnly, Reduced},
	{leanLong, anyTrend, Medium, Low, LongOnly, Reduced},
	{fullShort, Falling, Low, Low, ShortOnly, Normal},
	{fullShort, Falling, Low, Medium, ShortOnly, Reduced},
	{fullShort, Flat, Low, Low, ShortOnly, Reduced},
	{leanShort, Falling, Low, Low, ShortOnly, Reduced},
	{leanShort, anyTrend, Medium, Low, ShortOnly, Reduced},
}

// Decide is the gate: the playbook and the risk mode that the four numbers
// allow. The rules are tried in this order.
func Decide(cas float64, trend Trend, dispersion, exitCluster float64) (Playbook, RiskMode) {
	spread, exit, cs := DispersionBand(dispersion), ExitBand(exitCluster), sideOf(cas)
	switch {
	case spread == High, exit == High:
		return NoTrade, Defensive
	case trend == Falling && cas > casNeutralTo:
		return NoTrade, Reduced
	case cs == neutral:
		return NoTrade, Defensive
	}
	for _, m := range matrix {
		if m.cas == cs && (m.trend == anyTrend || m.trend == trend) && m.dispersion == spread && m.exit == exit {
			return m.playbook, m.risk
		}
	}
	return NoTrade, Reduced
}

// Past is an alignment score of an earlier boundary.
type Past struct {
	CAS    float64
	Usable bool // false: there is no signal, or it is degraded
}

// TrendOf compares an alignment score with the mean of those of the last three
// boundaries: a trend is more than 5 away from it. It is flat when any of the
// three cannot be used.
func TrendOf(cas float64, past [3]Past) Trend {
	var mean float64
	for _, p := range past {
		if !p.Usable {
			return Flat
		}
		mean += p.CAS
	}
	mean /= float64(len(past))
	switch {
	case cas > mean+trendMargin+rounding:
		return Rising
	case cas < mean-trendMargin-rounding:
		return Falling
	}
	return Flat
}

// rounding is more than the rounding of four scores and their mean can add up
// to, and less than any step of a score: a move of just 5 is none beyond it.
const rounding = 1e-9
