package simulator

import (
	"sync"
	"time"
)

// Weights of the requests, as the exchange counts them.
const (
	stateWeight       = 2
	subAccountsWeight = 20
)

// budget is a bucket of weight for each client address.
type budget struct {
	mu      sync.Mutex
	buckets map[string]bucket
}

type bucket struct {
	left float64
	at   time.Time
}

// mostBuckets bounds what is remembered: a bucket that is forgotten is full.
const mostBuckets = 10_000

// spend is false when client has less than weight left of perMinute.
func (b *budget) spend(client string, weight, perMinute int, now time.Time) bool {
	if perMinute == 0 {
		return true
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.buckets == nil || len(b.buckets) >= mostBuckets {
		b.buckets = map[string]bucket{}
	}
	full := float64(perMinute)
	mine, known := b.buckets[client]
	if !known {
		mine = bucket{full, now}
	}
	if passed := now.Sub(mine.at); passed > 0 {
		mine = bucket{min(full, mine.left+passed.Minutes()*full), now}
	}
	ok := mine.left >= float64(weight)
	if ok {
		mine.left -= float64(weight)
	}
	b.buckets[client] = mine
	return ok
}
