package hyperliquid

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/whalegate/whalegate/internal/clock"
)

// Client asks the exchange. It is safe for concurrent use; Close it when done.
type Client struct {
	infoURL   *url.URL
	infoExtra http.Header // added to every question
	infoUser  *url.Userinfo
	boardURL  *url.URL
	boardUser *url.Userinfo
	timeout   time.Duration
	clock     clock.Clock
	budget    *budget
	class     class
	metrics   *metrics
	transport transport
}

// transport is the part of http.Transport that a Client uses. An http.Client
// around it would follow redirects and print URLs.
type transport interface {
	http.RoundTripper
	CloseIdleConnections()
}

// New makes a Client. The error names the setting that is wrong and what
// would be right; it shows of a URL no more than scheme and host.
func New(cfg Config) (*Client, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	api, apiUser, err := parseBase("API URL", cfg.APIURL, "https://api.hyperliquid.xyz")
	if err != nil {
		return nil, err
	}
	stats, statsUser, err := parseBase("stats URL", cfg.StatsURL, "https://stats-data.hyperliquid.xyz")
	if err != nil {
		return nil, err
	}
	spending := newBudget(cfg.WeightPerMinute, cfg.Clock)
	measured, err := newMetrics(cfg.Registerer, spending.tokens)
	if err != nil {
		return nil, fmt.Errorf("register metrics of the upstream: %w", err)
	}
	return &Client{
		infoURL:   api.JoinPath("info"),
		infoExtra: cfg.Header,
		infoUser:  apiUser,
		boardURL:  stats.JoinPath("Mainnet", "leaderboard"),
		boardUser: statsUser,
		timeout:   cfg.Timeout,
		clock:     cfg.Clock,
		budget:    spending,
		metrics:   measured,
		transport: newTransport(),
	}, nil
}

func newTransport() *http.Transport {
	own := http.DefaultTransport.(*http.Transport).Clone()
	own.MaxIdleConns = 0
	own.MaxIdleConnsPerHost = 64 // as many as a generous concurrency keeps busy
	own.MaxResponseHeaderBytes = 64 << 10
	own.Proxy = func(req *http.Request) (*url.URL, error) {
		proxy, err := http.ProxyFromEnvironment(req)
		if err != nil {
			// The reason would quote the setting, password included.
			return nil, errors.New("the proxy named in the environment is not a URL")
		}
		return proxy, nil
	}
	return own
}

// Sparing is the same client for requests that can wait, those of the search:
// they only use the weight beside the reserve, and only while no other request
// waits for its turn. Both spend from one budget.
func (c *Client) Sparing() *Client {
	sparing := *c
	sparing.class = ofSearch
	return &sparing
}

// Reserve keeps weight, what the requests of one minute need, free of the
// requests of Sparing clients: in any sliding minute these spend no more than
// the limit less the reserve. It is 0 at first and may be set at any time, from
// 0 to the limit. A waiting request that it leaves no room for, ever, fails as
// Throttled.
func (c *Client) Reserve(weight int) { c.budget.reserve(weight) }

// Tokens is the weight that could be spent now if no request waited, from 0 to
// the limit. A successor on the same address Inherits it.
func (c *Client) Tokens() float64 { return c.budget.tokens() }

// Inherit counts as spent now, for a minute, what a predecessor on the same
// address had not left of the limit: nobody knows when in the last minute it
// spent that. It takes from the share of Sparing clients first.
func (c *Client) Inherit(left float64) { c.budget.inherit(left) }

// Close closes idle connections. Requests under way are not disturbed.
func (c *Client) Close() { c.transport.CloseIdleConnections() }
