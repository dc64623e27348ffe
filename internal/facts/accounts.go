package facts

import (
	"fmt"
	"time"

	"github.com/whalegate/whalegate/internal/duration"
)

// Accounts is how well the accounts of the universe's wallets are known: the view
// facts.accounts.
type Accounts struct {
	Wallets       int      `json:"wallets"`
	Known         int      `json:"known"`       // confirmed within 24 h, and shared with no other wallet
	NeverFound    int      `json:"never_found"` // of the rest
	Unconfirmed   int      `json:"unconfirmed"` // for 24 h
	Shared        int      `json:"shared"`      // claimed by two wallets
	OldestSeconds *float64 `json:"oldest_confirmed_seconds"`
}

// Search is the search for accounts at a first start: the view facts.search.
type Search struct {
	StartedAt      time.Time  `json:"started_at"`
	Announced      float64    `json:"announced_seconds"` // from the start to the first HEALTHY
	Wallets        int        `json:"wallets"`
	Known          int        `json:"known"`
	DoneAt         time.Time  `json:"done_at"` // as estimated last
	EndedAt        *time.Time `json:"ended_at"`
	RunningSeconds float64    `json:"running_seconds"`
	Late           bool       `json:"is_late"` // after 1.3 times the announced time, and at the latest after half an hour
}

// Coin is what the exchange last said of an asset: a row of the view facts.coins.
type Coin struct {
	Asset      string     `json:"asset"`
	Listed     *bool      `json:"listed"` // nil, as the next three: never answered
	Delisted   *bool      `json:"delisted"`
	Decimals   *int       `json:"sz_decimals"`
	AnsweredAt *time.Time `json:"answered_at"`
	Expected   int        `json:"expected_decimals"`
	AgeSeconds *float64   `json:"age_seconds"`
	Wrong      *string    `json:"wrong"` // nil: it is right
}

// OpenFailure is a failure of S11 that lasts: a row of baselines, without what is held.
type OpenFailure struct {
	Asset    string    `json:"asset"`
	Subject  string    `json:"subject"` // mass_close:BTC, …
	OpenedTS time.Time `json:"opened_ts"`
	Affected int       `json:"affected"`
	Holders  int       `json:"holders"`
}

// Text says how far a first start is, and when it will be done.
func (s Search) Text() string {
	if s.Late && s.EndedAt == nil {
		return fmt.Sprintf("late: %d of %d wallets known after %s, %s were announced", s.Known, s.Wallets, span(s.RunningSeconds), span(s.Announced))
	}
	return fmt.Sprintf("starting, %d of %d wallets known, done about %s UTC", s.Known, s.Wallets, s.DoneAt.UTC().Format("15:04"))
}

func span(seconds float64) string { return duration.Seconds(seconds).Round(time.Second).String() }

// Text says how many wallets have known accounts, and how old the oldest knowledge is.
func (a Accounts) Text() string {
	text := fmt.Sprintf("%d of %d wallets known", a.Known, a.Wallets)
	for _, part := range []struct {
		n    int
		what string
	}{{a.NeverFound, "never found"}, {a.Unconfirmed, "not confirmed for a day"}, {a.Shared, "claimed by two wallets"}} {
		if part.n > 0 {
			text += fmt.Sprintf(", %d %s", part.n, part.what)
		}
	}
	if a.OldestSeconds != nil {
		text += ", the oldest confirmed " + duration.Since(duration.Seconds(*a.OldestSeconds))
	}
	return text
}

// Text says what the exchange last said of the coin, and what is expected.
func (c Coin) Text() string {
	if c.AnsweredAt == nil {
		return c.Asset + ": never answered"
	}
	verdict := "as expected"
	if c.Wrong != nil {
		verdict = *c.Wrong
	}
	said := "not listed"
	switch {
	case *c.Delisted:
		said = "delisted"
	case *c.Listed:
		said = fmt.Sprintf("listed, sizes with %d decimals", *c.Decimals)
	}
	return fmt.Sprintf("%s: %s; %s, %d decimals are expected; answered %s", c.Asset, verdict, said, c.Expected, duration.Since(duration.Seconds(*c.AgeSeconds)))
}

// Text says what happened to how many wallets at once, and since when runs fail for it.
func (o OpenFailure) Text() string {
	return fmt.Sprintf("%s open since %s: %d of %d wallets at once", o.Subject, o.OpenedTS.UTC().Format(time.RFC3339), o.Affected, o.Holders)
}
