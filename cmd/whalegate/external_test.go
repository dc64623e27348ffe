package main

import (
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/whalegate/whalegate/internal/clock"
	"github.com/whalegate/whalegate/internal/postgres/disk"
)

func TestACommandsLinksLeadToTheServiceOrTheRepository(t *testing.T) {
	for given, want := range map[string]string{"": "", "none": "", "https://example.org/gate/": "https://example.org/gate"} {
		if got, err := (linksFlag{given}).externalURL(); err != nil || got != want {
			t.Errorf("%q: %q, %v, want %q", given, got, err, want)
		}
	}
	if got, err := (linksFlag{"example.org"}).externalURL(); err == nil {
		t.Errorf("no address: %q", got)
	}
}

// exported is what a registry says of where people reach the process.
func exported(t *testing.T, registry *prometheus.Registry, want string) {
	t.Helper()
	text := ""
	if want != "" {
		text = "# HELP whalegate_external_url_info Always 1; the label is where people reach this process.\n# TYPE whalegate_external_url_info gauge\nwhalegate_external_url_info{url=\"" + want + "\"} 1\n"
	}
	if err := testutil.GatherAndCompare(registry, strings.NewReader(text), "whalegate_external_url_info"); err != nil {
		t.Error(err)
	}
}

// The rules of Prometheus learn from the service where its pages are.
func TestTheServiceExportsItsExternalURL(t *testing.T) {
	for _, external := range []string{"", "https://example.org/gate"} {
		registry := prometheus.NewRegistry()
		exportExternalURL(registry, external)
		exported(t, registry, external)
	}
	s, err := newService(t.Context(), "postgres://127.0.0.1:1/none", httpFlags{Listen: "127.0.0.1:0"},
		exchangeFlags{APIURL: "http://127.0.0.1:1", StatsURL: "http://127.0.0.1:1", APIWeight: 1200, Universe: 1, Concurrency: 1, MaxStateAge: time.Minute},
		alertFlags{}, storageFlags{Reserve: disk.DefaultReserve}, leadFlag{Faster: 1}, clock.Clock{}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	s.pool.Close()
	s.client.Close()
	exported(t, s.registry, "http://"+s.server.Address())
}
