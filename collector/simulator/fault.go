package simulator

import "time"

// Kind says what a Fault does.
type Kind string

// Faults of requests. Their share counts requests: with 0.25 every fourth one
// is hit.
const (
	Status   Kind = "status"   // Code is answered, with the body that the exchange has for it, and RetryAfter
	Null     Kind = "null"     // 200 with the literal null
	HTML     Kind = "html"     // 200 with a page
	Latency  Kind = "latency"  // Milliseconds are waited before an answer that is right
	Hang     Kind = "hang"     // no answer until the client leaves or the faults are cleared
	Drop     Kind = "drop"     // the connection is closed without an answer
	Truncate Kind = "truncate" // the connection is closed in the middle of the body; variant "clean": only the JSON is cut
)

// Faults of wallets. Their share picks masters by address, always the same
// ones, each with all its accounts.
const (
	Failing    Kind = "wallets"     // answers 500
	FloatNoise Kind = "float_noise" // sizes end in digits that floats left behind
	StaleTime  Kind = "stale_time"  // the state's time lies Seconds back
	Collapse   Kind = "collapse"    // size 0, from the next full minute on and for one unless For is longer
	NullSzi    Kind = "null_szi"    // the position has no szi
	Schema     Kind = "schema"      // variant "szi": szi is called size; "positions": assetPositions is an object
	BadNumber  Kind = "bad_number"  // Value is there instead of szi, or of a profit on the leaderboard
)

// Faults of the leaderboard.
const (
	Churn       Kind = "churn"       // a share of the Top changes places with wallets below it, others every hour
	Leaderboard Kind = "leaderboard" // variant "empty", "truncated", "duplicated", "non_json", "missing_month", "bad_address"; the share counts rows
)

// Endpoint is a part of the exchange that a fault is limited to.
type Endpoint string

// The endpoints. The zero value means all that the fault's kind can hit.
const (
	StateEndpoint       Endpoint = "state"
	SubAccountsEndpoint Endpoint = "sub_accounts"
	LeaderboardEndpoint Endpoint = "leaderboard"
)

// Fault is something that goes wrong at the exchange. Several hold at once.
type Fault struct {
	Kind     Kind          `json:"kind"`
	Endpoint Endpoint      `json:"endpoint,omitempty"`
	Share    float64       `json:"share,omitempty"`  // 0 to 1; 0 means all
	Wallet   string        `json:"wallet,omitempty"` // only this master or account
	For      time.Duration `json:"-"`                // JSON "for": "90s", of Clock; 0 means until cleared

	Code         int           `json:"code,omitempty"`    // 400 to 599
	RetryAfter   time.Duration `json:"-"`                 // JSON "retry_after", whole seconds
	Milliseconds int           `json:"ms,omitempty"`      // of Clock
	Seconds      int           `json:"seconds,omitempty"` // back
	Asset        string        `json:"asset,omitempty"`   // only this one
	Top          int           `json:"top,omitempty"`     // default 200
	Variant      string        `json:"variant,omitempty"`
	Value        string        `json:"value,omitempty"` // as it stands in the JSON text: NaN, 1e400
}

// bound is what the share of a kind counts.
type bound uint8

const (
	byRequest bound = iota
	byWallet
	byBoard
)

// kinds lists, besides kind, share, for: the fields that a kind reads, those it
// needs, and the variants it has.
var kinds = map[Kind]struct {
	bound    bound
	reads    string
	needs    string
	variants []string // the first is the default where variant is not needed
}{
	Status:      {byRequest, "endpoint wallet code retry_after", "code", nil},
	Null:        {byRequest, "endpoint wallet", "", nil},
	HTML:        {byRequest, "endpoint wallet", "", nil},
	Latency:     {byRequest, "endpoint wallet ms", "ms", nil},
	Hang:        {byRequest, "endpoint wallet", "", nil},
	Drop:        {byRequest, "endpoint wallet", "", nil},
	Truncate:    {byRequest, "endpoint wallet variant", "", []string{"", "clean"}},
	Failing:     {byWallet, "endpoint wallet", "", nil},
	FloatNoise:  {byWallet, "endpoint wallet", "", nil},
	StaleTime:   {byWallet, "endpoint wallet seconds", "seconds", nil},
	Collapse:    {byWallet, "endpoint wallet asset", "", nil},
	NullSzi:     {byWallet, "endpoint wallet asset", "", nil},
	Schema:      {byWallet, "endpoint wallet variant", "variant", []string{"szi", "positions"}},
	BadNumber:   {byWallet, "endpoint wallet asset value", "value", nil},
	Churn:       {byBoard, "top", "share", nil},
	Leaderboard: {byBoard, "variant", "variant", []string{"empty", "truncated", "duplicated", "non_json", "missing_month", "bad_address"}},
}
