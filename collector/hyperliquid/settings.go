package hyperliquid

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/whalegate/whalegate/internal/clock"
)

// Defaults of Config. The weight is what the exchange grants one IP address.
const (
	DefaultWeightPerMinute = 1200
	DefaultTimeout         = 10 * time.Second
)

// MinWeightPerMinute is the least budget that works: snapshots and lists of
// accounts find room in it. What is heavier, UserRole, fails as Throttled.
const MinWeightPerMinute = 2 * SubAccountsWeight

// Config is what a Client needs to know. APIURL and StatsURL may carry a
// provider's token in their user information or path, and Header may too;
// none of them appears in an error.
type Config struct {
	APIURL   string // base of /info, for example https://api.hyperliquid.xyz
	StatsURL string // base of /Mainnet/leaderboard, for example https://stats-data.hyperliquid.xyz

	// Header is added to requests of the API, not of the leaderboard.
	Header http.Header

	// WeightPerMinute is the most weight that arrives at the exchange in any 60
	// seconds, at least MinWeightPerMinute; 0 is DefaultWeightPerMinute.
	WeightPerMinute int

	// Timeout of one request including its body, in time of Clock; 0 is
	// DefaultTimeout. The leaderboard, a few thousand times the size of a
	// state, may take six times as long.
	Timeout time.Duration

	Clock      clock.Clock
	Registerer prometheus.Registerer // nil leaves the metrics unregistered
}

// withDefaults fills in what was left zero and refuses what cannot work.
func (cfg Config) withDefaults() (Config, error) {
	if cfg.WeightPerMinute == 0 {
		cfg.WeightPerMinute = DefaultWeightPerMinute
	}
	if cfg.WeightPerMinute < MinWeightPerMinute {
		return cfg, fmt.Errorf("weight per minute %d: give %d or more, a list of sub-accounts weighs %d",
			cfg.WeightPerMinute, MinWeightPerMinute, SubAccountsWeight)
	}
	if cfg.Timeout == 0 {
		cfg.Timeout = DefaultTimeout
	}
	if cfg.Timeout < 0 {
		return cfg, fmt.Errorf("timeout %s: give a positive duration such as %s", cfg.Timeout, DefaultTimeout)
	}
	header := make(http.Header, len(cfg.Header))
	for name, values := range cfg.Header {
		for _, value := range values {
			header.Add(name, value)
		}
	}
	// Setting it by hand would hand us compressed bodies, past their limits.
	if header.Get("Accept-Encoding") != "" {
		return cfg, errors.New("extra header Accept-Encoding: leave it out, compression is negotiated by the client")
	}
	cfg.Header = header
	return cfg, nil
}

// parseBase reads a base URL. The user information is split off so that no
// later error can print it.
func parseBase(setting, text, example string) (base *url.URL, user *url.Userinfo, err error) {
	refuse := func(what string) error {
		return fmt.Errorf("%s %q %s: give one like %s", setting, redact(text), what, example)
	}
	base, err = url.Parse(text)
	switch {
	case text == "":
		return nil, nil, refuse("is not set")
	case err != nil:
		return nil, nil, refuse("is not a URL") // the reason would quote the text
	case base.Scheme != "http" && base.Scheme != "https":
		return nil, nil, refuse("is neither http:// nor https://")
	case base.Hostname() == "":
		return nil, nil, refuse("has no host")
	case base.RawQuery != "" || base.ForceQuery:
		return nil, nil, refuse("has a query")
	case base.Fragment != "":
		return nil, nil, refuse("has a fragment")
	}
	if base.Path == "" {
		base.Path = "/" // joined to nothing, a path would not be absolute
	}
	user, base.User = base.User, nil
	return base, user, nil
}

// redact keeps the scheme and the host of what may or may not be a URL. The
// path and the query go too: providers put their tokens there.
func redact(text string) string {
	scheme, rest, ok := strings.Cut(text, "://")
	if !ok {
		scheme, rest = "", text
	} else {
		scheme += "://"
	}
	if at := strings.LastIndexByte(rest, '@'); at >= 0 {
		scheme, rest = scheme+"xxxxx@", rest[at+1:]
	}
	if end := strings.IndexAny(rest, "/?#"); end >= 0 && end < len(rest)-1 {
		rest = rest[:end] + "/…"
	}
	return scheme + rest
}
