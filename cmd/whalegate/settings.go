package main

import (
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/whalegate/whalegate/alerting/receiver"
	"github.com/whalegate/whalegate/collector"
	"github.com/whalegate/whalegate/collector/hyperliquid"
	"github.com/whalegate/whalegate/internal/clock"
	"github.com/whalegate/whalegate/internal/qa"
	"github.com/whalegate/whalegate/internal/web"
)

// receiversFlag says who is told of alerts.
type receiversFlag struct {
	Receivers string `name:"receivers.file" env:"WHALEGATE_RECEIVERS_FILE" type:"path" help:"YAML file of who is told of alerts (docs/alerts.md); without one they are written to the log."`
}

// load reads the receivers.
func (f receiversFlag) load(logger *slog.Logger) ([]receiver.Receiver, error) {
	return receiver.Load(f.Receivers, logger)
}

// linksFlag sets where the links lead that a command writes for others to read.
type linksFlag struct {
	External string `name:"web.external-url" env:"WHALEGATE_WEB_EXTERNAL_URL" placeholder:"URL" help:"URL under which people reach the service, as given to whalegate run: links lead to its pages. By default, or with none, they lead to the repository."`
}

// externalURL returns the URL without a slash at its end, or nothing.
func (f linksFlag) externalURL() (string, error) {
	external, err := web.ParseExternalURL(f.External)
	if external == web.NoExternalURL {
		external = ""
	}
	return external, err
}

// warnOfNobody says when the log is the only receiver.
func warnOfNobody(names []string, logger *slog.Logger) {
	if slices.Equal(names, []string{receiver.LogName}) {
		logger.Warn("no receiver is configured: alerts are written to this log and sent to nobody (--receivers.file)")
	}
}

// alertFlags say who is told of alerts, and that the service lives.
type alertFlags struct {
	receiversFlag
	Heartbeat string `name:"heartbeat-url" env:"WHALEGATE_HEARTBEAT_URL" help:"URL to request after every clean cycle, for a monitor elsewhere that notices when it stops. It may hold a key: better in the environment."`
}

// exchangeFlags say how the exchange is asked.
type exchangeFlags struct {
	APIURL      string        `name:"api-url" env:"WHALEGATE_API_URL" default:"https://api.hyperliquid.xyz" help:"Base URL of the info endpoint."`
	StatsURL    string        `name:"stats-url" env:"WHALEGATE_STATS_URL" default:"https://stats-data.hyperliquid.xyz" help:"Base URL of the leaderboard."`
	APIHeader   []string      `name:"api-header" env:"WHALEGATE_API_HEADER" sep:"none" help:"Extra header of info requests, as Name: value; may be repeated. For paid providers."`
	APIWeight   int           `name:"api-weight" env:"WHALEGATE_API_WEIGHT" default:"1200" help:"Request weight that the upstream allows per minute."`
	Universe    int           `name:"universe-size" env:"WHALEGATE_UNIVERSE_SIZE" default:"200" help:"Wallets to track."`
	MaxStateAge time.Duration `name:"max-state-age" env:"WHALEGATE_MAX_STATE_AGE" default:"2m" help:"How old a state of the exchange may be to be believed (S9): 30s to 5m."`
	Concurrency int           `name:"concurrency" env:"WHALEGATE_CONCURRENCY" default:"8" help:"Requests at a time."`
}

// client makes the exchange's client.
func (f exchangeFlags) client(c clock.Clock, registerer prometheus.Registerer) (*hyperliquid.Client, error) {
	header := http.Header{}
	for _, line := range f.APIHeader {
		name, value, ok := strings.Cut(line, ":")
		if name = strings.TrimSpace(name); !ok || name == "" || strings.ContainsFunc(name, notOfToken) || strings.ContainsFunc(value, unicode.IsControl) {
			return nil, fmt.Errorf("api header (WHALEGATE_API_HEADER): not of the form Name: value")
		}
		header.Add(name, strings.TrimSpace(value))
	}
	return hyperliquid.New(hyperliquid.Config{
		APIURL: f.APIURL, StatsURL: f.StatsURL, Header: header, WeightPerMinute: f.APIWeight, Clock: c, Registerer: registerer,
	})
}

// notOfToken tells the characters that a header's name cannot have: with one,
// every request would fail before it is sent.
func notOfToken(r rune) bool {
	return r <= ' ' || r >= unicode.MaxASCII || strings.ContainsRune(`"(),/:;<=>?@[\]{}`, r)
}

// collectorConfig is the collector's part of the settings.
func (f exchangeFlags) collectorConfig(c clock.Clock, logger *slog.Logger, registerer prometheus.Registerer, checks *qa.Recorder) collector.Config {
	return collector.Config{
		UniverseSize: f.Universe, Concurrency: f.Concurrency, WeightPerMinute: f.APIWeight, MaxStateAge: f.MaxStateAge, Clock: c, Logger: logger, Registerer: registerer, QA: checks,
	}
}
