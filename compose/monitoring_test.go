package compose_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"
)

// mounted is the folder of a service's configuration as its container sees it.
func mounted(t *testing.T, service string) string {
	t.Helper()
	dir := t.TempDir()
	for _, v := range load(t, live).Services[service].Volumes {
		if name, ok := strings.CutPrefix(v.Target, "/etc/"+service+"/"); ok && v.Type == types.VolumeTypeBind {
			if err := os.Symlink(v.Source, filepath.Join(dir, name)); err != nil {
				t.Fatal(err)
			}
		}
	}
	return dir
}

func read(t *testing.T, name string) (c map[string]any) {
	t.Helper()
	body, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(body, &c); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return c
}

// TestAlertsGoTheSameWayHere: routes and inhibitions are those of the example,
// and every receiver of it is there to be filled in.
func TestAlertsGoTheSameWayHere(t *testing.T) {
	t.Parallel()
	here, example := read(t, "alertmanager.yml"), read(t, "../provisioning/alertmanager/alertmanager.yml")
	for _, part := range []string{"route", "inhibit_rules"} {
		if example[part] == nil || !cmp.Equal(here[part], example[part]) {
			t.Errorf("%s differs from the example: %s", part, cmp.Diff(example[part], here[part]))
		}
	}
	names := func(c map[string]any) (all []any) {
		for _, r := range c["receivers"].([]any) {
			all = append(all, r.(map[string]any)["name"])
		}
		return all
	}
	if diff := cmp.Diff(names(example), names(here)); diff != "" {
		t.Errorf("the receivers differ: %s", diff)
	}
}

// TestTheServiceIsJudgedHere: the rules of the service are loaded, and those of
// the watchdog where one is scraped.
func TestTheServiceIsJudgedHere(t *testing.T) {
	t.Parallel()
	c := read(t, "prometheus.yml")
	want := []any{"rules/service.yml"}
	for _, job := range c["scrape_configs"].([]any) {
		if job.(map[string]any)["job_name"] == "whalegate-watchdog" {
			want = append(want, "rules/watchdog.yml")
		}
	}
	if diff := cmp.Diff(want, c["rule_files"]); diff != "" {
		t.Errorf("the files of rules differ: %s", diff)
	}
}
