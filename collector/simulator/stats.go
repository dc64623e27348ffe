package simulator

import (
	"maps"
	"sync"
)

// Stats counts requests by endpoint ("state", "sub_accounts", "leaderboard",
// "info" for the rest) and outcome: a status code, "dropped", "truncated" or
// "left" when the client did not wait.
type Stats map[string]map[string]int

type stats struct {
	mu    sync.Mutex
	count Stats
}

func (s *stats) add(endpoint, outcome string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.count == nil {
		s.count = Stats{}
	}
	if s.count[endpoint] == nil {
		s.count[endpoint] = map[string]int{}
	}
	s.count[endpoint][outcome]++
}

// Stats is what was asked since the exchange opened.
func (e *Exchange) Stats() Stats {
	e.stats.mu.Lock()
	defer e.stats.mu.Unlock()
	all := Stats{}
	for endpoint, outcomes := range e.stats.count {
		all[endpoint] = maps.Clone(outcomes)
	}
	return all
}
