package hyperliquid

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

func TestNewNamesTheBadSetting(t *testing.T) {
	for name, tt := range map[string]struct {
		change func(*Config)
		want   []string
	}{
		"no API URL":      {func(c *Config) { c.APIURL = "" }, []string{"API URL", "not set", "https://api.hyperliquid.xyz"}},
		"no stats URL":    {func(c *Config) { c.StatsURL = "" }, []string{"stats URL", "not set", "https://stats-data.hyperliquid.xyz"}},
		"no scheme":       {func(c *Config) { c.APIURL = "api.example" }, []string{`API URL "api.example"`, "neither http:// nor https://"}},
		"other scheme":    {func(c *Config) { c.APIURL = "ftp://api.example" }, []string{`"ftp://api.example"`, "neither"}},
		"host as scheme":  {func(c *Config) { c.APIURL = "localhost:8080" }, []string{`"localhost:8080"`, "neither"}},
		"no host":         {func(c *Config) { c.StatsURL = "http:///x" }, []string{"stats URL", "no host"}},
		"only a port":     {func(c *Config) { c.StatsURL = "http://:80" }, []string{"no host"}},
		"query":           {func(c *Config) { c.APIURL = "http://api.example?key=SECRET" }, []string{`"http://api.example/…"`, "query"}},
		"empty query":     {func(c *Config) { c.APIURL = "http://api.example/?" }, []string{"query"}},
		"fragment":        {func(c *Config) { c.APIURL = "http://api.example/SECRET#x" }, []string{"fragment"}},
		"not a URL":       {func(c *Config) { c.APIURL = "http://SECRET:SECRET@api example/SECRET" }, []string{`"http://xxxxx@api example/…"`, "not a URL"}},
		"password":        {func(c *Config) { c.APIURL = "ftp://me:SECRET@api.example/SECRET" }, []string{`"ftp://xxxxx@api.example/…"`}},
		"token":           {func(c *Config) { c.APIURL = "SECRET@api.example" }, []string{`"xxxxx@api.example"`}},
		"slashed secret":  {func(c *Config) { c.APIURL = "ftp://me:SEC/RET@api.example" }, []string{`"ftp://xxxxx@api.example"`}},
		"weight":          {func(c *Config) { c.WeightPerMinute = 39 }, []string{"weight per minute 39", "40 or more"}},
		"negative weight": {func(c *Config) { c.WeightPerMinute = -1 }, []string{"weight per minute -1"}},
		"timeout":         {func(c *Config) { c.Timeout = -time.Second }, []string{"timeout -1s", "positive"}},
		"encoding":        {func(c *Config) { c.Header = http.Header{"accept-encoding": {"SECRET"}} }, []string{"Accept-Encoding", "leave it out"}},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := Config{APIURL: "http://api.example", StatsURL: "http://stats.example"}
			tt.change(&cfg)
			_, err := New(cfg)
			if err == nil {
				t.Fatal("New succeeds")
			}
			for _, want := range tt.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%q does not say %q", err, want)
				}
			}
			if strings.Contains(err.Error(), "SEC") || strings.Contains(err.Error(), "RET") || strings.Contains(err.Error(), "\n") {
				t.Errorf("%q shows a secret or is more than a line", err)
			}
		})
	}
}

func TestNewFillsInDefaults(t *testing.T) {
	c := newClient(t, nil)
	if c.timeout != 10*time.Second || c.Tokens() != 1200 {
		t.Errorf("timeout %s, tokens %g", c.timeout, c.Tokens())
	}
}

func TestNewRefusesASecondRegistration(t *testing.T) {
	cfg := Config{APIURL: "http://api.example", StatsURL: "http://stats.example", Registerer: prometheus.NewRegistry()}
	if _, err := New(cfg); err != nil {
		t.Fatal(err)
	}
	if _, err := New(cfg); err == nil || !strings.Contains(err.Error(), "register metrics") {
		t.Errorf("second New: %v", err)
	}
}

func TestBasesMayHavePaths(t *testing.T) {
	for base, want := range map[string]string{
		"http://h": "http://h/info", "http://h/": "http://h/info", "https://h:8443/a/b": "https://h:8443/a/b/info", "http://h/a%2Fb/": "http://h/a%2Fb/info",
		"http://[::1]:3001": "http://[::1]:3001/info",
	} {
		c := newClient(t, nil, func(cfg *Config) { cfg.APIURL = base })
		if got := c.infoURL.String(); got != want || c.infoURL.Path[0] != '/' {
			t.Errorf("%s asks at %s, want %s", base, got, want)
		}
	}
}
