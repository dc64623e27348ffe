package compose_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

const provisioning = "../provisioning/grafana"

// TestProvisioningGetsItsVariables: Grafana takes an unknown variable as empty
// and says nothing.
func TestProvisioningGetsItsVariables(t *testing.T) {
	t.Parallel()
	grafana := load(t, live).Services["grafana"]
	exported := regexp.MustCompile(`(?m)^export (.*)$`).FindStringSubmatch(strings.Join(grafana.Entrypoint, "\n"))
	if exported == nil {
		t.Fatal("the entry point exports nothing")
	}
	given := map[string]bool{}
	for _, name := range strings.Fields(exported[1]) {
		given[name] = true
	}
	for name := range grafana.Environment {
		given[name] = true
	}
	used := 0
	err := filepath.WalkDir(provisioning, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		for _, found := range regexp.MustCompile(`\$(?:__env)?\{?(WHALEGATE_[A-Z_]+)`).FindAllStringSubmatch(string(text), -1) {
			used++
			if !given[found[1]] {
				t.Errorf("%s uses %s, which the service does not have", path, found[1])
			}
		}
		return err
	})
	if err != nil || used == 0 {
		t.Errorf("%d variables were found: %v", used, err)
	}
}

// TestGrafanaIsSetAsWithoutContainers: the settings of whalegate.ini hold here
// too, as environment variables.
func TestGrafanaIsSetAsWithoutContainers(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(filepath.Join(provisioning, "whalegate.ini"))
	if err != nil {
		t.Fatal(err)
	}
	environment := load(t, live).Services["grafana"].Environment
	section, checked := "", 0
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		if name, ok := strings.CutPrefix(line, "["); ok {
			section = strings.TrimSuffix(name, "]")
		}
		key, want, ok := strings.Cut(line, " = ")
		if !ok || line[0] == ';' || line[0] == '#' {
			continue
		}
		checked++
		name := "GF_" + strings.ToUpper(strings.NewReplacer(".", "_", "-", "_").Replace(section+"_"+key))
		want = strings.ReplaceAll(want, "$__env{WHALEGATE_DASHBOARDS}", value(environment["WHALEGATE_DASHBOARDS"]))
		if got := value(environment[name]); got != want {
			t.Errorf("%s is %q; whalegate.ini has %q", name, got, want)
		}
	}
	if checked == 0 {
		t.Error("no setting was found: this checks nothing")
	}
}
