package prometheus

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/whalegate/whalegate/provisioning"
)

// configuration is what the shipped file holds.
type configuration struct {
	Global    map[string]string `yaml:"global"`
	RuleFiles []string          `yaml:"rule_files"`
	Alerting  any               `yaml:"alerting,omitempty"`
	Scrape    []job             `yaml:"scrape_configs"`
}

type job struct {
	Name   string         `yaml:"job_name"`
	Static []staticConfig `yaml:"static_configs"`
}

type staticConfig struct {
	Targets []string `yaml:"targets"`
}

// The jobs that the rules speak of.
const (
	serviceJob  = "whalegate"
	watchdogJob = "whalegate-watchdog"
)

// prepare writes the configuration and the rules it names.
func prepare(cfg Config) error {
	c, err := shipped()
	if err != nil {
		return err
	}
	if err := c.point(cfg); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Join(cfg.Dir, "rules"), 0o700); err != nil {
		return err
	}
	for _, name := range c.RuleFiles {
		body, err := provisioning.Files.ReadFile("prometheus/" + name)
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(cfg.Dir, name), body, 0o600); err != nil {
			return err
		}
	}
	body, err := yaml.Marshal(c)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(cfg.Dir, "prometheus.yml"), body, 0o600)
}

func shipped() (c configuration, err error) {
	file, err := provisioning.Files.Open("prometheus/prometheus.yml")
	if err != nil {
		return c, err
	}
	defer file.Close()
	decoder := yaml.NewDecoder(file)
	decoder.KnownFields(true) // what is not known here would be lost
	if err := decoder.Decode(&c); err != nil {
		return c, fmt.Errorf("read the shipped configuration: %w", err)
	}
	return c, nil
}

// point makes it the configuration of a private Prometheus.
func (c *configuration) point(cfg Config) error {
	c.Alerting = nil
	if cfg.Every > 0 {
		c.Global["scrape_interval"], c.Global["evaluation_interval"] = cfg.Every.String(), cfg.Every.String()
		c.Global["scrape_timeout"] = cfg.Every.String()
	}
	targets := map[string]string{serviceJob: cfg.Target, watchdogJob: cfg.Watchdog}
	var jobs []job
	for _, j := range c.Scrape {
		target, known := targets[j.Name]
		if !known {
			return fmt.Errorf("the shipped configuration scrapes %s, which is not known here", j.Name)
		}
		delete(targets, j.Name)
		if target != "" {
			jobs = append(jobs, job{j.Name, []staticConfig{{[]string{target}}}})
		}
	}
	if len(targets) > 0 {
		return fmt.Errorf("the shipped configuration does not scrape %v", targets)
	}
	c.Scrape = jobs
	if cfg.Watchdog == "" {
		var kept []string
		for _, name := range c.RuleFiles {
			if !strings.HasSuffix(name, "/watchdog.yml") {
				kept = append(kept, name)
			}
		}
		c.RuleFiles = kept
	}
	return nil
}
