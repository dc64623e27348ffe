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
	Collapse   Kind = "collapse"    // size 0, from the next full minute on and for one unless For is longer
	NullSzi    Kind = "null_szi"    // the position has no szi
	Schema     Kind = "schema"      // variant "szi": szi is called size; "positions": assetPositions is an object
	BadNumber  Kind = "bad_number"  // Value is there instead of szi, or of a profit on the leaderboard
)

// Faults that answer 200 with a state that is not the present one.
const (
	StaleTime Kind = "stale_time" // the state's time lies Seconds back, its sizes are of the present
	Future    Kind = "future"     // the state's time lies Seconds ahead
	Lag       Kind = "lag"        // the state is that of Seconds ago, with its time; variant "requests": the share counts requests
	// HalfLag has every second request answered by a node that lags by Seconds.
	// The share counts requests and is 0.5 where it is not set.
	HalfLag   Kind = "half_lag"
	Frozen    Kind = "frozen"     // the state is for ever that of the moment at which the fault was set
	SameState Kind = "same_state" // the state is that of one wallet, the first that holds all assets
)

// Faults that happen to many positions at once, from the next full minute on.
const (
	MassClose Kind = "mass_close" // size 0
	MassOpen  Kind = "mass_open"  // who holds nothing holds something; holders of spot do not
	Rescale   Kind = "rescale"    // sizes are multiplied by Value
)

// Faults of what the exchange knows about coins and accounts.
const (
	// Rename calls the asset's coin Value, by default k and its name, in states
	// and in meta. Variant "states": only in states; "meta": only there;
	// "delisted": it is in no state and meta says so; "decimals": meta says one
	// size decimal more.
	Rename Kind = "rename"
	// Meta has the variants "duplicate" (every coin of ours is there twice, the
	// second time delisted), "large" (40 MB) and "empty" (no coin). The share
	// counts requests.
	Meta Kind = "meta"
	Role Kind = "role" // variant "unknown": a role that does not exist
	// SubAccountsUnreadable has the variants "text", "null", "long" (10,000
	// entries), "no_address" (an entry without one), "self" (an entry that names
	// the master) and "twice" (an entry is there twice).
	SubAccountsUnreadable Kind = "subaccounts_unreadable"
)

// replaces is true for the faults of wallets that replace an answer by another.
func (k Kind) replaces() bool { return k == Failing || k == Role || k == SubAccountsUnreadable }

// Faults of the leaderboard.
const (
	Churn Kind = "churn" // a share of the Top changes places with wallets below it, others every hour
	// Leaderboard has the variants "empty", "truncated", "duplicated",
	// "non_json", "missing_month", "bad_address", "repeated" (one wallet is in
	// every row), "no_pnl" (the month's profit of the Top is 0 or absent) and
	// "unchanged" (for ever the file of the moment at which the fault was set).
	// The share counts rows.
	Leaderboard Kind = "leaderboard"
)

// Endpoint is a part of the exchange that a fault is limited to.
type Endpoint string

// The endpoints. The zero value means all that the fault's kind can hit.
const (
	StateEndpoint       Endpoint = "state"
	SubAccountsEndpoint Endpoint = "sub_accounts"
	LeaderboardEndpoint Endpoint = "leaderboard"
	MetaEndpoint        Endpoint = "meta"
	RoleEndpoint        Endpoint = "role"
	VaultEndpoint       Endpoint = "vault"
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
	Seconds      int           `json:"seconds,omitempty"` // back or ahead; 1 to 3600 where a node lags
	Asset        string        `json:"asset,omitempty"`   // only this one
	Top          int           `json:"top,omitempty"`     // default 200
	Variant      string        `json:"variant,omitempty"`
	Value        string        `json:"value,omitempty"` // as it stands in the JSON text: NaN, 1e400; a factor; a coin's name
}

// bound is what the share of a kind counts.
type bound uint8

const (
	byRequest bound = iota
	byWallet
	byNode // requests for states, by the node that answers
	byBoard
)

var (
	// allEndpoints are those that a fault of requests can be limited to.
	allEndpoints = []Endpoint{StateEndpoint, SubAccountsEndpoint, LeaderboardEndpoint, MetaEndpoint, RoleEndpoint, VaultEndpoint}
	ofStates     = []Endpoint{StateEndpoint, SubAccountsEndpoint}
	ofAccounts   = []Endpoint{StateEndpoint, SubAccountsEndpoint, RoleEndpoint, VaultEndpoint}
)

// kinds lists, besides kind, share, for: the fields that a kind reads, the one
// that it needs, the variants it has, and the endpoints that it can hit, nil
// where that is all of them.
var kinds = map[Kind]struct {
	bound     bound
	reads     string
	needs     string
	variants  []string // with "" where none is one as well
	endpoints []Endpoint
}{
	Status:     {byRequest, "endpoint wallet code retry_after", "code", nil, nil},
	Null:       {byRequest, "endpoint wallet", "", nil, nil},
	HTML:       {byRequest, "endpoint wallet", "", nil, nil},
	Latency:    {byRequest, "endpoint wallet ms", "ms", nil, nil},
	Hang:       {byRequest, "endpoint wallet", "", nil, nil},
	Drop:       {byRequest, "endpoint wallet", "", nil, nil},
	Truncate:   {byRequest, "endpoint wallet variant", "", []string{"", "clean"}, nil},
	Failing:    {byWallet, "endpoint wallet", "", nil, ofAccounts},
	FloatNoise: {byWallet, "endpoint wallet", "", nil, ofStates},
	Collapse:   {byWallet, "endpoint wallet asset", "", nil, ofStates},
	NullSzi:    {byWallet, "endpoint wallet asset", "", nil, ofStates},
	Schema:     {byWallet, "endpoint wallet variant", "variant", []string{"szi", "positions"}, ofStates},
	BadNumber:  {byWallet, "endpoint wallet asset value", "value", nil, []Endpoint{StateEndpoint, SubAccountsEndpoint, LeaderboardEndpoint}},

	StaleTime: {byWallet, "endpoint wallet seconds", "seconds", nil, ofStates},
	Future:    {byWallet, "endpoint wallet seconds", "seconds", nil, ofStates},
	Lag:       {byWallet, "endpoint wallet seconds variant", "seconds", []string{"", "requests"}, ofStates},
	HalfLag:   {byNode, "endpoint wallet seconds", "seconds", nil, ofStates},
	Frozen:    {byWallet, "endpoint wallet", "", nil, ofStates},
	SameState: {byWallet, "endpoint wallet", "", nil, ofStates},

	MassClose: {byWallet, "endpoint wallet asset", "", nil, ofStates},
	MassOpen:  {byWallet, "endpoint wallet asset", "", nil, ofStates},
	Rescale:   {byWallet, "endpoint wallet asset value", "value", nil, ofStates},

	Rename: {byWallet, "wallet asset variant value", "asset", []string{"", "states", "meta", "delisted", "decimals"}, ofStates},
	Meta:   {byRequest, "variant", "variant", []string{"duplicate", "large", "empty"}, []Endpoint{MetaEndpoint}},
	Role:   {byWallet, "wallet variant", "variant", []string{"unknown"}, []Endpoint{RoleEndpoint}},
	SubAccountsUnreadable: {byWallet, "wallet variant", "variant",
		[]string{"text", "no_address", "self", "long", "null", "twice"}, []Endpoint{SubAccountsEndpoint}},

	Churn: {byBoard, "top", "share", nil, nil},
	Leaderboard: {byBoard, "variant top", "variant",
		[]string{"empty", "truncated", "duplicated", "non_json", "missing_month", "bad_address", "repeated", "no_pnl", "unchanged"}, nil},
}

func (f Fault) bound() bound {
	if f.Kind == Lag && f.Variant == "requests" {
		return byNode
	}
	return kinds[f.Kind].bound
}
