package signals

// Band is how far a score has gone.
type Band uint8

// The bands of the exit cluster and of dispersion.
const (
	Low Band = iota
	Medium
	High
)

// Where the bands of the scores begin and end, in percent.
const (
	exitMedium       = 16 // from here Medium
	exitHigh         = 25 // above this High
	dispersionMedium = 40 // from here Medium
	dispersionHigh   = 60 // from here High
	casLow           = 25 // below this the wallets sell as one
	casNeutralFrom   = 40 // from here
	casNeutralTo     = 60 // to here neither side leads
	casHigh          = 75 // above this the wallets buy as one
	trendMargin      = 5  // a trend is a move beyond this
)

// ExitBand is the band of an exit cluster score: Low below 16, High above 25.
func ExitBand(score float64) Band {
	switch {
	case score > exitHigh:
		return High
	case score >= exitMedium:
		return Medium
	}
	return Low
}

// DispersionBand is the band of a dispersion index: Low below 40, High from 60.
func DispersionBand(index float64) Band {
	switch {
	case index >= dispersionHigh:
		return High
	case index >= dispersionMedium:
		return Medium
	}
	return Low
}

// side is the band of an alignment score. Where bands touch, the neutral one
// wins: 40 and 60 are neutral.
type side uint8

const (
	neutral   side = iota
	leanLong       // above 60, up to 75
	fullLong       // above 75
	leanShort      // from 25, below 40
	fullShort      // below 25
)

func sideOf(cas float64) side {
	switch {
	case cas > casHigh:
		return fullLong
	case cas > casNeutralTo:
		return leanLong
	case cas >= casNeutralFrom:
		return neutral
	case cas >= casLow:
		return leanShort
	}
	return fullShort
}
