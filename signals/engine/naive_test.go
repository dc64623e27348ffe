package engine

import (
	"math"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/whalegate/whalegate/internal/asset"
)

// naive applies the rules to plain rows, boundary by boundary, and remembers
// nothing. Sizes are in the smallest units, minutes are counted from noon.
type naive struct {
	ended    map[int]time.Time // of every run
	finished map[int]time.Time // of those that did not fail
	rows     map[place]naiveRow
}

type place struct {
	minute int
	wallet string
	asset  asset.Asset
}

type naiveRow struct {
	size           *asset.Size
	dirty, verdict bool // verdict: the collapse check made it dirty
}

// readNaive reads all that is stored.
func (s *scene) readNaive() naive {
	s.Helper()
	n := naive{map[int]time.Time{}, map[int]time.Time{}, map[place]naiveRow{}}
	var ts, finished time.Time
	var failed bool
	rows, err := s.db.Query(s.Context(), "SELECT timestamp, finished_at, status = 'failed' FROM ingest_runs WHERE NOT superseded")
	if err != nil {
		s.Fatal(err)
	}
	_, err = pgx.ForEachRow(rows, []any{&ts, &finished, &failed}, func() error {
		n.ended[minutesAfterNoon(ts)] = finished
		if !failed {
			n.finished[minutesAfterNoon(ts)] = finished
		}
		return nil
	})
	if err != nil {
		s.Fatal(err)
	}
	var id, name string
	var text, reason *string
	var dirty bool
	rows, err = s.db.Query(s.Context(), "SELECT timestamp, wallet_id, asset, position_szi::text, is_dirty, dirty_reason FROM wallet_snapshots")
	if err != nil {
		s.Fatal(err)
	}
	_, err = pgx.ForEachRow(rows, []any{&ts, &id, &name, &text, &dirty, &reason}, func() error {
		a, err := asset.Parse(name)
		if err != nil {
			return err
		}
		r := naiveRow{dirty: dirty, verdict: reason != nil && *reason == "transient_collapse"}
		if text != nil {
			if size, err := asset.ParseSize(*text, a); err == nil {
				r.size = &size
			}
		}
		n.rows[place{minutesAfterNoon(ts), id, a}] = r
		return nil
	})
	if err != nil {
		s.Fatal(err)
	}
	return n
}

func minutesAfterNoon(t time.Time) int { return int(t.Sub(noon) / time.Minute) }

// inTime tells whether a minute's run is among those and ended in time for
// boundary b.
func inTime(runs map[int]time.Time, minute, b int) bool {
	finished, ok := runs[minute]
	return ok && minute <= b && !finished.After(at(b).Add(45*time.Second))
}

// there tells whether boundary b sees a minute.
func (n naive) there(minute, b int) bool { return inTime(n.finished, minute, b) }

// row is what boundary b sees of a row; ok is false when there is none.
func (n naive) row(minute, b int, wallet string, a asset.Asset) (size *asset.Size, dirty, ok bool) {
	r, ok := n.rows[place{minute, wallet, a}]
	if !ok || !n.there(minute, b) {
		return nil, false, false
	}
	return r.size, r.dirty && (!r.verdict || inTime(n.ended, minute+1, b)), true
}

// epsilon is max(ε_abs, 0.02 × median(|szi|)) of the clean rows in (b − 24 h, b].
func (n naive) epsilon(b int, wallet string, a asset.Asset) float64 {
	var list []float64
	for minute := b - 24*60 + 1; minute <= b; minute++ {
		if size, dirty, ok := n.row(minute, b, wallet, a); ok && !dirty && size != nil {
			list = append(list, math.Abs(float64(*size)))
		}
	}
	least := map[asset.Asset]float64{asset.HYPE: 1, asset.BTC: 10, asset.ETH: 10}[a]
	if len(list) == 0 {
		return least
	}
	slices.Sort(list)
	return max(least, (list[(len(list)-1)/2]+list[len(list)/2])/100)
}

// effective is the effective size in (b − 5 min, b], NaN when there is none.
func (n naive) effective(b int, wallet string, a asset.Asset) float64 {
	var window []*asset.Size
	for minute := b - 4; minute <= b; minute++ {
		if size, dirty, ok := n.row(minute, b, wallet, a); ok && !dirty {
			window = append(window, size)
		}
	}
	if len(window) == 0 {
		return math.NaN()
	}
	newest := window[len(window)-1]
	if len(window) > 1 && window[len(window)-2] != nil {
		before := float64(*window[len(window)-2])
		if math.Abs(before) > n.epsilon(b, wallet, a) && (newest == nil || math.Abs(float64(*newest)) < 0.01*math.Abs(before)) {
			return before
		}
	}
	if newest == nil {
		return math.NaN()
	}
	return float64(*newest)
}

// look is what boundary b sees of a universe.
func (n naive) look(b int, universe []string) map[asset.Asset]sight {
	found := map[asset.Asset]sight{}
	for _, a := range asset.All {
		s := sight{Wallets: map[string]sizes{}}
		snapshots := map[int]bool{}
		for p := range n.rows {
			if p.asset == a && p.minute > b-5 && n.there(p.minute, b) {
				snapshots[p.minute] = true
			}
		}
		s.Snapshots = len(snapshots)
		for _, w := range universe {
			for minute := b - 4; minute <= b; minute++ {
				_, dirty, ok := n.row(minute, b, w, a)
				if ok {
					s.Rows++
				}
				if dirty {
					s.Dirty++
				}
			}
			current := n.effective(b, w, a)
			if !math.IsNaN(current) {
				s.Holdings = append(s.Holdings, asset.Size(current))
			}
			s.Wallets[w] = sizes{current, n.effective(b-5, w, a), n.epsilon(b, w, a)}
		}
		slices.Sort(s.Holdings)
		found[a] = s
	}
	return found
}
