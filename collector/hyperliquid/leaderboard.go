package hyperliquid

import (
	"context"
	"net/http"
)

// maxLeaderboardBody bounds the leaderboard, which was 25 MB in February 2026
// and 39 MB in October.
const maxLeaderboardBody = 512 << 20

// leaderboardPatience is how many timeouts the leaderboard may take: 40 MB
// need 2 to 5 s at the best of times.
const leaderboardPatience = 6

// Leaderboard is the head of the exchange's ranking by the PnL of 30 days.
type Leaderboard struct {
	// Entries has the first wallets by month PnL, descending, ties by address.
	// A wallet that the exchange lists twice is here twice.
	Entries []Entry

	// RowsRead is how many rows there were. RowsSkipped of them had no valid
	// address, no readable month PnL or windows of another shape.
	RowsRead, RowsSkipped int

	// Validators go into the next request.
	Validators Validators

	// NotModified says that nothing changed since the validators that were
	// given; there are no entries then.
	NotModified bool
}

// Entry is a row of the leaderboard. Its numbers are finite decimals of at
// most 40 characters, possibly with an exponent of at most ±30.
type Entry struct {
	Wallet       string // 0x and 40 lower-case hex digits
	MonthPnL     string // dollars; "0" for a row without a month window
	MonthROI     string // a fraction; "" when absent or unreadable
	AccountValue string // dollars; "" when absent or unreadable
}

// Validators identify a version of the leaderboard, as its headers ETag and
// Last-Modified. Empty ones are not sent.
type Validators struct{ ETag, LastModified string }

// Leaderboard fetches the first top wallets of the leaderboard, unless it is
// still the version that known identifies. It is a file behind a CDN that
// changes about hourly, and takes nothing of the weight budget. Every error is
// an *Error.
func (c *Client) Leaderboard(ctx context.Context, top int, known Validators) (Leaderboard, error) {
	var board Leaderboard
	req := newRequest(http.MethodGet, c.boardURL, c.boardUser)
	conditional := known.condition(req.Header)
	err := c.exchange(ctx, leaderboardEndpoint, leaderboardPatience*c.timeout, req, func(res *http.Response) (err error) {
		switch {
		case res.StatusCode == http.StatusNotModified && conditional:
			board = Leaderboard{NotModified: true, Validators: known}
			return nil
		case res.StatusCode != http.StatusOK:
			return c.refused(res)
		case res.ContentLength > maxLeaderboardBody:
			return failure(TooLarge, "the body of %d bytes is over the limit of %d", res.ContentLength, maxLeaderboardBody)
		}
		board, err = decodeLeaderboard(res.Body, top)
		board.Validators = validatorsOf(res.Header)
		return err
	})
	success := outcomeOK
	if board.NotModified {
		success = outcomeNotModified
	}
	if err := c.finish(leaderboardEndpoint, success, err); err != nil {
		return Leaderboard{}, err
	}
	return board, nil
}

// condition asks for nothing when the version is still the same.
func (v Validators) condition(header http.Header) bool {
	if v.ETag != "" {
		header.Set("If-None-Match", v.ETag)
	}
	if v.LastModified != "" {
		header.Set("If-Modified-Since", v.LastModified)
	}
	return v != Validators{}
}

// validatorsOf drops what is too long to be kept and sent back.
func validatorsOf(header http.Header) Validators {
	const most = 512
	bounded := func(name string) string {
		if value := header.Get(name); len(value) <= most {
			return value
		}
		return ""
	}
	return Validators{ETag: bounded("ETag"), LastModified: bounded("Last-Modified")}
}
