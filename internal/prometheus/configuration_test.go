package prometheus

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"
)

// prepared is what prepare writes.
func prepared(t *testing.T, cfg Config) (c configuration) {
	t.Helper()
	cfg.Dir = filepath.Join(t.TempDir(), "prometheus")
	if err := prepare(cfg); err != nil {
		t.Fatal(err)
	}
	body, err := os.ReadFile(filepath.Join(cfg.Dir, "prometheus.yml"))
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(body, &c); err != nil {
		t.Fatal(err)
	}
	if path, err := exec.LookPath("promtool"); err == nil {
		if out, err := exec.Command(path, "check", "config", filepath.Join(cfg.Dir, "prometheus.yml")).CombinedOutput(); err != nil {
			t.Errorf("promtool: %v\n%s", err, out)
		}
	}
	for _, name := range c.RuleFiles {
		if info, err := os.Stat(filepath.Join(cfg.Dir, name)); err != nil || info.Size() == 0 {
			t.Errorf("rules %s: %v", name, err)
		}
	}
	return c
}

// A private Prometheus scrapes and judges what there is, and tells nobody.
func TestWhatAPrivatePrometheusScrapesAndJudges(t *testing.T) {
	service := job{serviceJob, []staticConfig{{[]string{"127.0.0.1:1"}}}}
	for _, tt := range []struct {
		name string
		cfg  Config
		want configuration
	}{
		{"a service", Config{Target: "127.0.0.1:1"}, configuration{
			Global:    map[string]string{"scrape_interval": "15s", "evaluation_interval": "15s"},
			RuleFiles: []string{"rules/service.yml"}, Scrape: []job{service},
		}},
		{"with its watchdog, every second", Config{Target: "127.0.0.1:1", Watchdog: "127.0.0.1:2", Every: time.Second}, configuration{
			Global:    map[string]string{"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
			RuleFiles: []string{"rules/service.yml", "rules/watchdog.yml"}, Scrape: []job{service, {watchdogJob, []staticConfig{{[]string{"127.0.0.1:2"}}}}},
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, prepared(t, tt.cfg)); diff != "" {
				t.Errorf("wanted (-) and written (+) differ: %s", diff)
			}
		})
	}
}

// Somebody who adds a job to the shipped file has to say here what it becomes.
func TestAJobThatIsNotKnownIsRefused(t *testing.T) {
	for _, c := range []configuration{
		{Global: map[string]string{}, Scrape: []job{{Name: serviceJob}, {Name: watchdogJob}, {Name: "other"}}},
		{Global: map[string]string{}, Scrape: []job{{Name: watchdogJob}}},
	} {
		if err := c.point(Config{Target: "127.0.0.1:1"}); err == nil {
			t.Errorf("no error for the jobs %v", c.Scrape)
		}
	}
}
