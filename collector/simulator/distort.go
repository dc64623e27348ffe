package simulator

import (
	"encoding/json"
	"fmt"
	"hash/fnv"
	"time"

	"github.com/whalegate/whalegate/internal/asset"
)

// distort makes of a view what the faults of its wallet make of it.
func (s *faultSet) distort(v *view, t target, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range s.now(now) {
		if kinds[f.Kind].bound != byWallet || !f.reaches(t) || !t.master.chance().hits(f.share()) {
			continue
		}
		switch f.Kind {
		case FloatNoise:
			v.noise = true
		case StaleTime:
			v.at = v.at.Add(-time.Duration(f.Seconds) * time.Second)
		case Schema:
			v.renamed = v.renamed || f.Variant == "szi"
			v.object = v.object || f.Variant == "positions"
		}
		for _, a := range asset.All {
			switch {
			case !f.concerns(a):
			case f.Kind == Collapse:
				v.sizes[a] = 0
			case f.Kind == NullSzi:
				v.absent[a] = true
			case f.Kind == BadNumber:
				v.text[a] = f.Value
			}
		}
	}
}

// board lists the faults in the leaderboard's content, and a word that changes
// with them.
func (s *faultSet) board(now time.Time) (all []Fault, fingerprint string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	hash := fnv.New64a()
	for _, f := range s.now(now) {
		if kinds[f.Kind].bound != byBoard && (f.Kind != BadNumber || !f.reaches(target{endpoint: LeaderboardEndpoint})) {
			continue
		}
		all = append(all, f.Fault)
		text, err := json.Marshal(f.Fault)
		if err != nil {
			panic(err) // a validated fault has no value that JSON lacks
		}
		hash.Write(text)
	}
	return all, fmt.Sprintf("%x", hash.Sum64())
}
