package web

import (
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
)

func TestTheExternalURLIsReadOrRefused(t *testing.T) {
	for text, want := range map[string]string{
		"":                                  "",
		"none":                              "none",
		"https://gate.example.org":          "https://gate.example.org",
		"https://gate.example.org/":         "https://gate.example.org",
		"http://gate.example.org:9464//":    "http://gate.example.org:9464",
		"https://example.org/desk/gate":     "https://example.org/desk/gate",
		"https://example.org/desk/gate/":    "https://example.org/desk/gate",
		"HTTPS://example.org/docs.internal": "https://example.org/docs.internal",
		"http://[2001:db8::1]:9464/gate_1~": "http://[2001:db8::1]:9464/gate_1~",
	} {
		if got, err := ParseExternalURL(text); err != nil || got != want {
			t.Errorf("%q: %q, %v, want %q", text, got, err, want)
		}
	}
	for _, text := range []string{
		"gate.example.org", "gate.example.org:9464", "/gate", "ftp://example.org", "http:", "http://", "http:///gate", "http://:9464/", "https:example.org",
		"https://op:hunter2@example.org", "https://op@example.org", "https://example.org/?a=hunter2", "https://example.org/?", "https://example.org/#gate", "https://example.org:port/",
		`"https://example.org"`, "'https://example.org'", " https://example.org", "https://exa mple.org", "https://example.org\n", "https://exämple.org", `https://exam"ple.org`,
		"https://example.org/a b", "https://example.org/a%20b", "https://example.org/${x}", "https://example.org/a)b", "https://example.org/{x}", "https://example.org/a//b", "https://example.org/a/../b",
		"https://example.org/docs", "https://example.org/runbooks/", "https://example.org/metrics", "https://example.org/api/gate", "https://example.org/-/gate",
	} {
		got, err := ParseExternalURL(text)
		if err == nil || strings.Contains(err.Error(), "hunter2") || strings.Contains(err.Error(), "\n") || !strings.HasPrefix(err.Error(), "external URL: ") {
			t.Errorf("%q: %q, %v", text, got, err)
		}
		if _, err := Listen(Config{Address: "127.0.0.1:0", ExternalURL: text, Gatherer: prometheus.NewRegistry(), Logger: slog.New(slog.DiscardHandler)}); err == nil {
			t.Errorf("%q: listens", text)
		}
	}
}

func TestTheExternalURLFollowsFromTheAddress(t *testing.T) {
	name, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	encrypted, open := filepath.Join(folder, "tls.yml"), filepath.Join(folder, "open.yml")
	for file, body := range map[string]string{encrypted: "tls_server_config:\n  cert_file: a\n  key_file: b\n", open: "tls_server_config: {}\n"} {
		if err := os.WriteFile(file, []byte(body), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, tt := range []struct{ address, config, want string }{
		{"127.0.0.1:9464", "", "http://127.0.0.1:9464"},
		{"127.0.0.1:9464", open, "http://127.0.0.1:9464"},
		{"127.0.0.1:9464", encrypted, "https://127.0.0.1:9464"},
		{"[::1]:9464", "", "http://[::1]:9464"},
		{"0.0.0.0:9464", "", "http://" + name + ":9464"},
		{"[::]:9464", encrypted, "https://" + name + ":9464"},
		{"192.0.2.1:9464", "", "http://" + name + ":9464"},
	} {
		if got, err := defaultExternalURL(tt.address, tt.config); err != nil || got != tt.want {
			t.Errorf("%s, %s: %q, %v, want %q", tt.address, tt.config, got, err, tt.want)
		}
	}
}

// A proxy that leaves its path and one that takes it off both work, and so does whoever
// asks the process itself.
func TestEverythingIsServedUnderThePathToo(t *testing.T) {
	for given, paths := range map[string][]string{
		"":                              {""},
		"none":                          {""},
		"https://gate.example.org/":     {""},
		"https://example.org/desk/gate": {"", "/desk/gate"},
	} {
		base := start(t, func(c *Config) {
			c.ExternalURL = given
			c.Pages = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "page ", r.URL.Path) })
		})
		for _, prefix := range paths {
			for path, want := range map[string]string{"/-/healthy": "alive", "/metrics": "", "/runbooks/1-ingestion": "page /runbooks/1-ingestion", "/": "page /"} {
				if code, body := get(t, base+prefix+path); code != http.StatusOK || !strings.Contains(body, want) {
					t.Errorf("%q: %s answers %d %q, want %q", given, prefix+path, code, body, want)
				}
			}
		}
		if len(paths) > 1 {
			if _, body := get(t, base+paths[1]); body != "page /" { // after a redirect
				t.Errorf("%q: %s answers %q", given, paths[1], body)
			}
		}
	}
}

func TestTheServerKnowsItsExternalURL(t *testing.T) {
	for given, want := range map[string]string{"": "http://ADDRESS", "none": "", "https://example.org/gate/": "https://example.org/gate"} {
		s, err := Listen(Config{Address: "127.0.0.1:0", ExternalURL: given, Gatherer: prometheus.NewRegistry(), Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		if got := s.ExternalURL(); got != strings.Replace(want, "ADDRESS", s.Address(), 1) {
			t.Errorf("%q: %q, want %q", given, got, want)
		}
		if err := s.listener.Close(); err != nil {
			t.Error(err)
		}
	}
}
