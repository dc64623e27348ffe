package provisioning_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/whalegate/whalegate/provisioning"
)

// rule is an alerting or a recording rule.
type rule struct {
	Alert       string            `yaml:"alert"`
	Record      string            `yaml:"record"`
	Expr        string            `yaml:"expr"`
	For         string            `yaml:"for"`
	Labels      map[string]string `yaml:"labels"`
	Annotations map[string]string `yaml:"annotations"`
}

var ruleFiles = []string{"prometheus/rules/service.yml", "prometheus/rules/watchdog.yml"}

// group is a group of rules.
type group struct {
	Name  string `yaml:"name"`
	Rules []rule `yaml:"rules"`
}

func shippedGroups(t *testing.T) (all []group) {
	t.Helper()
	found, err := fs.Glob(provisioning.Files, "prometheus/rules/*")
	if err != nil || !slices.Equal(found, ruleFiles) {
		t.Fatalf("the files of rules are %v, %v", found, err)
	}
	for _, name := range ruleFiles {
		body, err := provisioning.Files.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		var file struct {
			Groups []group `yaml:"groups"`
		}
		if err := yaml.Unmarshal(body, &file); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		all = append(all, file.Groups...)
	}
	return all
}

func shippedRules(t *testing.T) (all []rule) {
	t.Helper()
	for _, g := range shippedGroups(t) {
		all = append(all, g.Rules...)
	}
	return all
}

func shippedAlerts(t *testing.T) []rule {
	t.Helper()
	return slices.DeleteFunc(shippedRules(t), func(r rule) bool { return r.Alert == "" })
}

// severities, the most severe last.
var severities = []string{"medium", "high", "critical"}

// The page is served by whoever answers, or else is in the repository.
var runbook = regexp.MustCompile(`^\{\{ with query "url:whalegate_external_url_info:topk1" \}\}\{\{ first \. \| label "url" \}\}/runbooks/([1-9]-[a-z-]+)` +
	`\{\{ else \}\}https://github\.com/whalegate/whalegate/blob/main/docs/runbooks/([1-9]-[a-z-]+)\.md\{\{ end \}\}$`)

func TestEveryAlertSaysWhatAndWhere(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, r := range shippedAlerts(t) {
		if seen[r.Alert] || !strings.HasPrefix(r.Alert, "Whalegate") {
			t.Errorf("%s: a name of its own is wanted that begins with Whalegate", r.Alert)
		}
		seen[r.Alert] = true
		if !slices.Contains(severities, r.Labels["severity"]) || r.Labels["service"] != "whalegate" || len(r.Labels) != 2 {
			t.Errorf("%s: labels %v", r.Alert, r.Labels)
		}
		summary, description, url := r.Annotations["summary"], r.Annotations["description"], r.Annotations["runbook_url"]
		if summary == "" || len(summary) > 80 || strings.HasSuffix(summary, ".") || !strings.HasSuffix(description, ".") || len(r.Annotations) != 3 {
			t.Errorf("%s: annotations %v", r.Alert, r.Annotations)
		}
		if page := runbook.FindStringSubmatch(url); page == nil || page[1] != page[2] {
			t.Errorf("%s: runbook %s", r.Alert, url)
		} else if _, err := os.Stat("../docs/runbooks/" + page[1] + ".md"); err != nil {
			t.Errorf("%s: %v", r.Alert, err)
		}
	}
	if len(seen) < 30 {
		t.Errorf("only %d alerts were found: this checks too little", len(seen))
	}
}

// A job that is not named would be judged by the rules of ours.
func TestEveryRuleAsksOurJobsAlone(t *testing.T) {
	t.Parallel()
	selector := regexp.MustCompile(`\b(?:whalegate|process|go)_[a-z_]+(\{[^}]*\})?|\bup(\{[^}]*\})?`)
	checked := 0
	for _, r := range shippedRules(t) {
		for _, found := range selector.FindAllString(regexp.MustCompile(`\S+:whalegate_\S+`).ReplaceAllString(r.Expr, ""), -1) {
			checked++
			if !strings.Contains(found, `job="whalegate`) && !strings.Contains(found, `job=~"whalegate(-watchdog)?"`) {
				t.Errorf("%s%s: %s names no job", r.Alert, r.Record, found)
			}
		}
	}
	if checked < 40 {
		t.Errorf("only %d selectors were found: this checks too little", checked)
	}
}

// layOut writes the shipped files of a folder as an installation would have them.
func layOut(t *testing.T, folder string) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(dir, provisioning.Files); err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, folder)
}
