package web

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"github.com/whalegate/whalegate/internal/health"
	"github.com/whalegate/whalegate/internal/status"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		http.DefaultClient.CloseIdleConnections()
		os.Exit(code)
	}))
}

func start(t *testing.T, change func(*Config)) string {
	t.Helper()
	registry := prometheus.NewRegistry()
	registry.MustRegister(prometheus.NewGauge(prometheus.GaugeOpts{Name: "whalegate_test", Help: "A gauge."}))
	cfg := Config{
		Address: "127.0.0.1:0", Gatherer: registry, Logger: slog.New(slog.DiscardHandler),
		Ready: func(context.Context) error { return nil },
		Status: func(context.Context) (status.Report, error) {
			return status.Report{Health: health.Health{State: health.Stale, Reasons: []string{"database"}}, Error: "gone"}, errors.New("gone")
		},
	}
	if change != nil {
		change(&cfg)
	}
	s, err := Listen(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- s.Serve() }()
	t.Cleanup(func() {
		s.Shutdown()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return "http://" + s.Address()
}

func get(t *testing.T, url string, change ...func(*http.Request)) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Close = true
	for _, c := range change {
		c(req)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

func TestEndpoints(t *testing.T) {
	base := start(t, nil)
	for _, tt := range []struct {
		path string
		code int
		want string
	}{
		{"/metrics", 200, "whalegate_test 0"},
		{"/-/healthy", 200, "alive"},
		{"/-/ready", 200, "ready"},
		{"/", 404, ""},
	} {
		if code, body := get(t, base+tt.path); code != tt.code || !strings.Contains(body, tt.want) {
			t.Errorf("%s: %d %q, want %d %q", tt.path, code, body, tt.code, tt.want)
		}
	}
	code, body := get(t, base+"/api/v1/status")
	var report map[string]any
	if err := json.Unmarshal([]byte(body), &report); err != nil || code != 200 || report["health_state"] != "STALE" || report["error"] != "gone" {
		t.Errorf("status: %d %q, %v", code, body, err)
	}
}

func TestAliveIsNotReady(t *testing.T) {
	base := start(t, func(c *Config) {
		c.Ready = func(context.Context) error { return errors.New("schema not current: migration 3 is pending") }
	})
	if code, body := get(t, base+"/-/ready"); code != 503 || !strings.Contains(body, "migration 3 is pending") {
		t.Errorf("ready: %d %q", code, body)
	}
	if code, _ := get(t, base+"/-/healthy"); code != 200 {
		t.Errorf("healthy: %d", code)
	}
}

func TestBasicAuthOfTheConfigFileHolds(t *testing.T) {
	// bcrypt of "test"
	const config = "basic_auth_users:\n  op: $2y$10$Y4hlwHeOVQoLsHQCy1XQT.OXGUWeU1hsgPeTcQyQbMGNBGGuQBOMW\n"
	path := filepath.Join(t.TempDir(), "web.yml")
	if err := os.WriteFile(path, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	base := start(t, func(c *Config) { c.ConfigFile = path })
	for _, p := range []string{"/metrics", "/api/v1/status"} {
		if code, _ := get(t, base+p); code != 401 {
			t.Errorf("%s without a password: %d", p, code)
		}
		if code, _ := get(t, base+p, func(r *http.Request) { r.SetBasicAuth("op", "wrong") }); code != 401 {
			t.Errorf("%s with a wrong password: %d", p, code)
		}
	}
}

func TestListenNamesWhatIsWrong(t *testing.T) {
	base := start(t, nil)
	for _, tt := range []struct{ address, config, want string }{
		{strings.TrimPrefix(base, "http://"), "", "listen address 127.0.0.1:"},
		{"nowhere", "", "listen address nowhere"},
		{"127.0.0.1:0", "/does/not/exist.yml", "web config file /does/not/exist.yml"},
	} {
		if _, err := Listen(Config{Address: tt.address, ConfigFile: tt.config, Logger: slog.Default()}); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("Listen(%q, %q) = %v", tt.address, tt.config, err)
		}
	}
}
