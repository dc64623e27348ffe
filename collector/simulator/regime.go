package simulator

import "math"

// A phase is what the crowd does in one asset for a while.
type phase uint8

const (
	quiet     phase = iota // everybody minds their own book
	mixed                  // many change sides, without agreeing on one
	turning                // the crowd takes the side of the coming trend
	trending               // it adds to that side, ramping up, holding, fading
	derisking              // it takes profit
)

// regime is a phase with its times, in minutes since the market's start.
type regime struct {
	phase      phase
	start, end int64
	side       int64   // +1 or -1 while turning or trending, else 0
	peak       float64 // trending: the share of followers who add within five minutes, at most
	cut        float64 // derisking: the chance that a wallet cuts its position in a minute
	strong     bool    // even holders join, and nobody bets against it
}

// mood is what a regime makes of one minute: chances per minute that a wallet
// does something, before its own temper.
type mood struct {
	side   int64
	add    float64 // to a position on the side of the crowd
	join   float64 // the crowd's side, from none or the other
	swap   float64 // sides, at random
	cut    float64
	idle   float64 // trading for reasons of its own
	strong bool
}

// mood of a minute within the regime.
func (r regime) mood(minute int64) mood {
	switch r.phase {
	case mixed:
		return mood{swap: 0.038, idle: 0.01}
	case turning:
		return mood{side: r.side, join: 0.055, add: 0.006, idle: 0.006, strong: r.strong}
	case trending:
		// Linear up for half of the time, so that each signal stands above
		// the three before it, then a plateau, then a quick fade.
		at := float64(minute-r.start) / float64(r.end-r.start)
		level := min(1, at/0.5, (1-at)/0.12)
		within5 := r.peak * level
		return mood{side: r.side, add: 1 - math.Pow(1-within5, 0.2), join: 0.02, cut: 0.004, idle: 0.002, strong: r.strong}
	case derisking:
		return mood{cut: r.cut, idle: 0.006}
	}
	return mood{idle: 0.016}
}

// tape is the sequence of regimes of one asset. It only moves forward.
type tape struct {
	chance  chance
	current regime
	episode int // one trend with what leads to it and follows it
	stage   int // within the episode
	bag     [4]trend
}

// trend is one of the four kinds that an asset sees in every four episodes: a
// day has a dozen, so none of them ever stays away for one.
type trend struct {
	side   int64
	strong bool
}

// newTape starts an asset. The first quiet time differs by asset, so that a
// demonstration sees the first trend soon and the others one by one.
func newTape(c chance, lead int64) *tape {
	return &tape{chance: c, current: regime{phase: quiet, end: lead}}
}

// at is the mood of a minute, which must not be before the last one asked for.
func (t *tape) at(minute int64) mood {
	for minute >= t.current.end {
		t.current = t.next()
	}
	return t.current.mood(minute)
}

// next follows the order quiet, mixed (sometimes), turning, trending,
// derisking, with dwell times between 20 and 70 minutes.
func (t *tape) next() regime {
	draw := t.chance.of(uint64(t.episode)).of(uint64(t.stage))
	if t.stage == 0 && t.episode%len(t.bag) == 0 {
		t.fill()
	}
	kind := t.bag[t.episode%len(t.bag)]
	start := t.current.end
	lasting := func(low, high int) int64 { return start + int64(draw.of(1).between(low, high)) }
	t.stage++
	switch t.stage {
	case 1:
		if draw.hits(0.4) && t.episode > 0 {
			return regime{phase: mixed, start: start, end: lasting(20, 35)}
		}
		t.stage++
		fallthrough
	case 2:
		return regime{phase: turning, start: start, end: lasting(20, 30), side: kind.side, strong: kind.strong}
	case 3:
		peak := 0.58 + 0.2*draw.of(2).float()
		if kind.strong {
			peak = 0.97
		}
		return regime{phase: trending, start: start, end: lasting(55, 70), side: kind.side, peak: peak, strong: kind.strong}
	case 4:
		return regime{phase: derisking, start: start, end: lasting(20, 35), cut: 0.045 + 0.1*draw.of(2).float()}
	}
	t.episode, t.stage = t.episode+1, 0
	return regime{phase: quiet, start: start, end: lasting(22, 45)}
}

func (t *tape) fill() {
	t.bag = [4]trend{{1, true}, {-1, true}, {1, false}, {-1, false}}
	draw := t.chance.of(uint64(t.episode)).of(1 << 32)
	for i := len(t.bag) - 1; i > 0; i-- {
		j := draw.of(uint64(i)).below(i + 1)
		t.bag[i], t.bag[j] = t.bag[j], t.bag[i]
	}
}
