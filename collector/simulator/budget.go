package simulator

import (
	"sync"
	"time"
)

// weightSpan is what the exchange counts weight over.
const weightSpan = time.Minute

// budget holds what each client address spent lately.
type budget struct {
	mu      sync.Mutex
	clients map[string]*purse
}

// purse is the weight of one client's answered requests in the last
// weightSpan. A request leaves it exactly weightSpan after it came.
type purse struct {
	spent   []spending // oldest first
	sum     int        // of spent
	highest int        // that sum has been: no span of this length ever saw more
	refused int        // requests that would have gone over the limit
	latest  time.Time  // of any request
}

type spending struct {
	at     time.Time
	weight int
}

// ClientStats is what one client address spent of its weight limit.
type ClientStats struct {
	Spent   int // weight in the last 60 s
	Highest int // weight in any 60 s so far
	Refused int // requests answered 429 because they would have gone over the limit
}

// mostClients bounds what is remembered.
const mostClients = 10_000

// spend is false when the request would take client above perMinute in the last
// 60 s; it then costs nothing. A perMinute of 0 is no limit.
func (b *budget) spend(client string, weight, perMinute int, now time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	p := b.purse(client)
	p.expire(now)
	if perMinute > 0 && p.sum+weight > perMinute {
		p.refused++
		return false
	}
	p.spent = append(p.spent, spending{p.latest, weight})
	p.sum += weight
	p.highest = max(p.highest, p.sum)
	return true
}

func (b *budget) purse(client string) *purse {
	if p, known := b.clients[client]; known {
		return p
	}
	if b.clients == nil || len(b.clients) >= mostClients {
		b.clients = map[string]*purse{}
	}
	p := &purse{}
	b.clients[client] = p
	return p
}

// expire forgets what is weightSpan old. Two requests that read the clock in one
// order may come here in the other: time does not go back.
func (p *purse) expire(now time.Time) {
	if now.After(p.latest) {
		p.latest = now
	}
	gone := 0
	for gone < len(p.spent) && p.latest.Sub(p.spent[gone].at) >= weightSpan {
		p.sum -= p.spent[gone].weight
		gone++
	}
	p.spent = p.spent[gone:]
}

// Clients is what each client address spent since the exchange opened. Control
// requests and the leaderboard cost nothing.
func (e *Exchange) Clients() map[string]ClientStats {
	e.budget.mu.Lock()
	defer e.budget.mu.Unlock()
	all := make(map[string]ClientStats, len(e.budget.clients))
	for client, p := range e.budget.clients {
		p.expire(e.config.Clock.Now())
		all[client] = ClientStats{Spent: p.sum, Highest: p.highest, Refused: p.refused}
	}
	return all
}
