package signals

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/whalegate/whalegate/internal/asset"
)

// The story has 100 wallets and three windows of five minutes: t − 5 min, t and
// t + 5 min. storyMinute is the minute of t itself.
const (
	storyWallets = 100
	storyMinute  = 9
)

// feed is what the exchange says of a wallet at a minute.
type feed func(wallet, minute int) Reading

// troubled makes a feed of steady wallets in which 40 of the 100 show another
// reading at some minutes.
func troubled(show Reading, at func(minute int) bool) feed {
	return func(wallet, minute int) Reading {
		if wallet%5 < 2 && at(minute) {
			return show
		}
		size := asset.Size(10_000 * (wallet + 1))
		if wallet%2 == 1 {
			size = -size
		}
		return Reading{Size: size, Known: true}
	}
}

// sight is how a boundary reads a window: as it is now, and as the boundary
// after it will look back on it.
type sight struct {
	name      string
	now, then func(window []Reading, epsilon float64) (asset.Size, bool)
}

func asItIs(window []Reading, _ float64) (asset.Size, bool) {
	newest := window[len(window)-1]
	return newest.Size, newest.Known
}

// tell plays a feed to the three boundaries and gives the signals of the last
// two.
func tell(t *testing.T, f feed, eye sight) (atT, after Signal) {
	t.Helper()
	var told []Signal
	for _, first := range []int{5, 10} {
		in := crowd{}.input()
		for wallet := range storyWallets {
			epsilon := Epsilon(in.Asset, 2*uint64(10_000*(wallet+1)))
			window := func(first int) (rows []Reading) {
				for minute := first; minute < first+5; minute++ {
					rows = append(rows, f(wallet, minute))
				}
				return rows
			}
			size := func(read func([]Reading, float64) (asset.Size, bool), first int) float64 {
				size, ok := read(window(first), epsilon)
				if !ok {
					return nan
				}
				return float64(size)
			}
			in.Wallets.add(1, size(eye.then, first-5), size(eye.now, first), epsilon)
		}
		s, _ := mustCompute(t, in)
		told = append(told, s)
	}
	return told[0], told[1]
}

// A glitch at the boundary minute must be no exit, no entry and no hole in the
// coverage; a real exit must be seen once, a period later. The two other ways to
// see it show what the hold is for: taking rows as they are invents an exit and
// then an entry; holding, but looking back without the hold, invents the entry
// and loses the exit.
func TestCollapseHoldStory(t *testing.T) {
	only := func(minute int) bool { return minute == storyMinute }
	from := func(minute int) bool { return minute >= storyMinute }
	zero := Reading{Known: true}
	glitch, silence, exit := troubled(zero, only), troubled(Reading{}, only), troubled(zero, from)

	held := sight{"held", Effective, Effective}
	naive := sight{"as it is", asItIs, asItIs}
	forgetful := sight{"held, but forgotten", Effective, asItIs}

	calm := Tally{Classes: Classes{Flat: 100}}
	exodus := Tally{Classes: Classes{Reducers: 40, Flat: 60}}
	entry := Tally{Classes: Classes{AddLong: 20, AddShort: 20, Flat: 60}}
	hole := Tally{Classes: Classes{Flat: 60}, Missing: 40}

	for _, tt := range []struct {
		name  string
		feed  feed
		eye   sight
		atT   Tally
		after Tally
	}{
		{"a glitch of 0", glitch, held, calm, calm},
		{"a glitch of 0", glitch, naive, exodus, entry},
		{"a glitch of 0", glitch, forgetful, calm, entry},
		{"a glitch of NULL", silence, held, calm, calm},
		{"a glitch of NULL", silence, naive, hole, calm},
		{"a real exit", exit, held, calm, exodus},
		{"a real exit", exit, forgetful, calm, calm},
	} {
		t.Run(tt.name+" "+tt.eye.name, func(t *testing.T) {
			atT, after := tell(t, tt.feed, tt.eye)
			for _, step := range []struct {
				when string
				got  Signal
				want Tally
			}{{"at t", atT, tt.atT}, {"at t + 5 min", after, tt.after}} {
				if diff := cmp.Diff(step.want.Classes, step.got.Classes); diff != "" {
					t.Errorf("%s: %s", step.when, diff)
				}
				if step.got.MissingCount != step.want.Missing {
					t.Errorf("%s: %d missing, want %d", step.when, step.got.MissingCount, step.want.Missing)
				}
			}
		})
	}

	_, after := tell(t, exit, held)
	if after.ExitClusterScore != 40 || after.AllowedPlaybook != NoTrade || after.RiskMode != Defensive || !after.TightenStops {
		t.Errorf("the exit of 40 of 100: %+v", after)
	}
}
