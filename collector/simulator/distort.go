package simulator

import (
	"encoding/json"
	"fmt"
	"hash/fnv"
	"math"
	"slices"
	"time"

	"github.com/whalegate/whalegate/internal/asset"
)

// distort makes of a view what the faults of its wallet make of it. What is
// frozen does not see faults that were set later.
func (s *faultSet) distort(v *view, t target) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range s.now(t.now) {
		if !f.picks(t) {
			continue
		}
		switch f.Kind {
		case Frozen:
			return
		case FloatNoise:
			v.noise = true
		case StaleTime:
			v.at = v.at.Add(-time.Duration(f.Seconds) * time.Second)
		case Future:
			v.at = v.at.Add(time.Duration(f.Seconds) * time.Second)
		case Schema:
			v.renamed = v.renamed || f.Variant == "szi"
			v.object = v.object || f.Variant == "positions"
		}
		for _, a := range asset.All {
			if f.concerns(a) {
				f.distort(v, a)
			}
		}
	}
}

// distort changes what a view shows of one asset.
func (f Fault) distort(v *view, a asset.Asset) {
	switch f.Kind {
	case Collapse, MassClose:
		v.sizes[a] = 0
	case MassOpen:
		if v.sizes[a] == 0 {
			v.sizes[a] = v.opened[a]
		}
	case Rescale:
		v.sizes[a] = asset.Size(math.Round(float64(v.sizes[a]) * f.factor()))
	case NullSzi:
		v.absent[a] = true
	case BadNumber:
		v.text[a] = f.Value
	case Rename:
		switch f.Variant {
		case "", "states":
			v.coin[a] = f.newName(a)
		case "delisted":
			v.gone[a] = true
		}
	}
}

// same is true where a fault answers for all wallets with the state of one.
func (s *faultSet) same(t target) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.ContainsFunc(s.now(t.now), func(f *activeFault) bool { return f.Kind == SameState && f.picks(t) })
}

// relist changes the universe as faults say.
func (s *faultSet) relist(all []listing, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range s.now(now) {
		if f.Kind != Rename || f.Wallet != "" {
			continue
		}
		for i := range all {
			if a, ours := asset.FromCoin(all[i].name); ours && f.concerns(a) {
				f.relist(&all[i], a)
			}
		}
	}
}

// relist changes one entry of the universe.
func (f Fault) relist(l *listing, a asset.Asset) {
	switch f.Variant {
	case "", "meta":
		l.name = f.newName(a)
	case "delisted":
		l.delisted = true
	case "decimals":
		l.decimals++
	}
}

// board lists the faults in the leaderboard's content, a word that changes with
// them, and the time of the content: now, or since when the file is stuck.
func (s *faultSet) board(now time.Time) (all []Fault, fingerprint string, at time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	hash := fnv.New64a()
	at = now
	for _, f := range s.now(now) {
		if f.Kind == Leaderboard && f.Variant == "unchanged" {
			if f.from.Before(at) {
				at = f.from
			}
			continue
		}
		if f.bound() != byBoard && (f.Kind != BadNumber || !f.reaches(target{endpoint: LeaderboardEndpoint})) {
			continue
		}
		all = append(all, f.Fault)
		text, err := json.Marshal(f.Fault)
		if err != nil {
			panic(err) // a validated fault has no value that JSON lacks
		}
		hash.Write(text)
	}
	return all, fmt.Sprintf("%x", hash.Sum64()), at
}
