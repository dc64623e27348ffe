package simulator

import (
	"testing"

	"pgregory.net/rapid"
)

// play is the sequence of regimes of a tape over days.
func play(c chance, days int64) (all []regime) {
	tape := newTape(c, 12)
	for minute := range days * 24 * 60 {
		tape.at(minute)
		if n := len(all); n == 0 || all[n-1].start != tape.current.start {
			all = append(all, tape.current)
		}
	}
	return all
}

func TestRegimesFollowEachOtherWithoutGaps(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		all := play(chance(rapid.Uint64().Draw(t, "seed")), 2)
		allowed := map[phase][]phase{
			quiet: {mixed, turning}, mixed: {turning}, turning: {trending}, trending: {derisking}, derisking: {quiet},
		}
		for i, r := range all {
			dwell := r.end - r.start
			if i > 0 && (dwell < 20 || dwell > 70) {
				t.Errorf("regime %d stays for %d minutes", i, dwell)
			}
			if directed := r.phase == turning || r.phase == trending; directed != (r.side != 0) {
				t.Errorf("regime %d of phase %d has side %d", i, r.phase, r.side)
			}
			if i == 0 {
				continue
			}
			last := all[i-1]
			if r.start != last.end {
				t.Errorf("regime %d starts at %d, the one before ends at %d", i, r.start, last.end)
			}
			follows := false
			for _, p := range allowed[last.phase] {
				follows = follows || p == r.phase
			}
			if !follows {
				t.Errorf("phase %d follows phase %d", r.phase, last.phase)
			}
			if r.phase == trending && (r.side != last.side || r.strong != last.strong) {
				t.Errorf("regime %d trends otherwise than the crowd has turned", i)
			}
		}
	})
}

func TestEveryKindOfTrendComesEveryDay(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		seen := map[trend]int{}
		for _, r := range play(chance(rapid.Uint64().Draw(t, "seed")), 1) {
			if r.phase == trending {
				seen[trend{r.side, r.strong}]++
			}
		}
		for _, kind := range []trend{{1, true}, {1, false}, {-1, true}, {-1, false}} {
			if seen[kind] == 0 {
				t.Errorf("%+v did not come: %v", kind, seen)
			}
		}
	})
}

func TestMoodsAreChances(t *testing.T) {
	for _, r := range play(7, 3) {
		peak := 0.0
		for minute := r.start; minute < r.end; minute++ {
			m := r.mood(minute)
			for _, p := range []float64{m.add, m.join, m.swap, m.cut, m.idle} {
				if !(p >= 0 && p <= 1) {
					t.Fatalf("a chance of %v in %+v", p, m)
				}
			}
			peak = max(peak, m.add)
		}
		if r.phase != trending {
			continue
		}
		first, last := r.mood(r.start).add, r.mood(r.end-1).add
		if first != 0 || last > peak/2 {
			t.Errorf("a trend adds by %.2f at first, %.2f at last, %.2f at most", first, last, peak)
		}
		if r.strong != (peak > 0.4) {
			t.Errorf("a trend that is strong: %t adds by %.2f", r.strong, peak)
		}
	}
}

func TestTrendsRampUp(t *testing.T) {
	r := regime{phase: trending, start: 100, end: 160, side: -1, peak: 0.97}
	last := -1.0
	for minute := r.start; minute < r.start+30; minute++ {
		add := r.mood(minute).add
		if add <= last {
			t.Errorf("minute %d: %.3f after %.3f", minute-r.start, add, last)
		}
		last = add
	}
	if plateau := r.mood(140).add; plateau != r.mood(145).add {
		t.Errorf("the plateau is not flat: %v", plateau)
	}
}

func TestAssetsStartOneByOne(t *testing.T) {
	e := open(t, Config{Seed: 1})
	last := int64(0)
	for _, tape := range e.tapes {
		if tape.current.phase != quiet || tape.current.end <= last {
			t.Errorf("the first quiet time ends at minute %d after %d", tape.current.end, last)
		}
		last = tape.current.end
	}
}
