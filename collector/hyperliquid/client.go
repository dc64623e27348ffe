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

// Tokens is the weight that can be spent at once. It is negative while
// requests wait for their turn.
func (c *Client) Tokens() float64 { return c.budget.tokens() }

// Inherit begins with the weight that a predecessor had left.
func (c *Client) Inherit(left float64) { c.budget.inherit(left) }

// Close closes idle connections. Requests under way are not disturbed.
func (c *Client) Close() { c.transport.CloseIdleConnections() }
