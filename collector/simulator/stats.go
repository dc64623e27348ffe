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

// report is what control shows: Stats, and for each client "client ADDRESS"
// with what it "spent" in the last 60 s, its "highest" in any 60 s and how many
// of its requests were "refused" for their weight.
func (e *Exchange) report() Stats {
	all := e.Stats()
	for client, c := range e.Clients() {
		all["client "+client] = map[string]int{"spent": c.Spent, "highest": c.Highest, "refused": c.Refused}
	}
	return all
}
