package provisioning_test

import (
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/whalegate/whalegate/provisioning"
)

// alertmanager is what the tests look at in its configuration.
type alertmanager struct {
	Inhibitions []struct {
		Source []string `yaml:"source_matchers"`
		Target []string `yaml:"target_matchers"`
		Equal  []string `yaml:"equal"`
	} `yaml:"inhibit_rules"`
	Receivers []map[string]any `yaml:"receivers"`
}

func shippedAlertmanager(t *testing.T) (c alertmanager) {
	t.Helper()
	body, err := provisioning.Files.ReadFile("alertmanager/alertmanager.yml")
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(body, &c); err != nil {
		t.Fatal(err)
	}
	return c
}

// products are the alerts that Whalegate itself sends, with their severities.
var products = map[string]string{"regime_change": "medium", "exit_cluster": "high", "system_stale": "critical", "whalegate_test": "medium"}

// TestEveryAlertFindsItsReceivers asks amtool where each alert goes.
func TestEveryAlertFindsItsReceivers(t *testing.T) {
	t.Parallel()
	dir := layOut(t, "alertmanager")
	ask := func(want, name, severity, asset string) {
		labels := []string{"alertname=" + name, "severity=" + severity, "service=whalegate"}
		if asset != "" {
			labels = append(labels, "asset="+asset)
		}
		args := append([]string{"config", "routes", "test", "--config.file=alertmanager.yml", "--verify.receivers=" + want}, labels...)
		if out, err := tool(t, dir, "amtool", args...); err != nil {
			t.Errorf("%s %s: %s is wanted, %v: %s", name, severity, want, err, out)
		}
	}
	for _, severity := range severities {
		ask(map[string]string{"medium": "mail", "high": "chat", "critical": "page"}[severity], "any", severity, "")
	}
	ask("chat", "any", "unheard_of", "")
	for _, r := range shippedAlerts(t) {
		ask(map[string]string{"medium": "mail", "high": "chat", "critical": "page"}[r.Labels["severity"]], r.Alert, r.Labels["severity"], "")
	}
	for name, severity := range products {
		want, asset := "trader", "BTC"
		if name == "system_stale" {
			want, asset = "trader,page", "SYSTEM"
		}
		ask(want, name, severity, asset)
	}
}

// names are the alerts that matchers of an inhibition match.
func matched(t *testing.T, matchers, names []string) (found []string) {
	t.Helper()
	if len(matchers) != 1 {
		t.Fatalf("one matcher is wanted, of alertname: %v", matchers)
	}
	parts := regexp.MustCompile(`^alertname (=~?) "([A-Za-z.+|]+)"$`).FindStringSubmatch(matchers[0])
	if parts == nil {
		t.Fatalf("not a matcher of alertname: %s", matchers[0])
	}
	for alternative := range strings.SplitSeq(parts[2], "|") {
		expression := regexp.MustCompile("^(?:" + alternative + ")$")
		some := slices.DeleteFunc(slices.Clone(names), func(name string) bool { return !expression.MatchString(name) })
		if len(some) == 0 {
			t.Errorf("there is no alert %s", alternative)
		}
		found = append(found, some...)
	}
	return found
}

// TestACauseSilencesNothingMoreSevere: silencing must not make anything quieter
// than it is, nor go round in a circle until nobody speaks.
func TestACauseSilencesNothingMoreSevere(t *testing.T) {
	t.Parallel()
	severity := maps.Clone(products)
	for _, r := range shippedAlerts(t) {
		severity[r.Alert] = r.Labels["severity"]
	}
	names := slices.Sorted(maps.Keys(severity))
	silences := map[string][]string{}
	for _, i := range shippedAlertmanager(t).Inhibitions {
		if !slices.Contains(i.Equal, "service") {
			t.Errorf("%v silences what is not of its service", i.Source)
		}
		targets := matched(t, i.Target, names)
		for _, source := range matched(t, i.Source, names) {
			for _, target := range targets {
				silences[source] = append(silences[source], target)
				if slices.Index(severities, severity[source]) < slices.Index(severities, severity[target]) {
					t.Errorf("%s (%s) silences %s (%s)", source, severity[source], target, severity[target])
				}
				if _, product := products[target]; product {
					t.Errorf("%s silences %s, which is the product", source, target)
				}
			}
		}
	}
	var reach func(from string, way []string)
	reach = func(from string, way []string) {
		if slices.Contains(way, from) {
			t.Fatalf("a circle: %v", append(way, from))
		}
		for _, next := range silences[from] {
			reach(next, append(slices.Clone(way), from))
		}
	}
	for source := range silences {
		reach(source, nil)
	}
	if len(silences) < 8 {
		t.Errorf("only %d causes were found: this checks too little", len(silences))
	}
}

// TestReceiversHideTheirSecretsAndTellTheEnd: every secret is in a file, and
// whoever was told that something fired is told that it is over.
func TestReceiversHideTheirSecretsAndTellTheEnd(t *testing.T) {
	t.Parallel()
	secrets := regexp.MustCompile(`(?i)^(.*(key|token|password|secret|api_url|credentials)|url)$`)
	checked := 0
	for _, r := range shippedAlertmanager(t).Receivers {
		for kind, configs := range r {
			if kind == "name" {
				continue
			}
			for _, c := range configs.([]any) {
				checked++
				settings := c.(map[string]any)
				if settings["send_resolved"] != true {
					t.Errorf("%s: %s does not tell the end", r["name"], kind)
				}
				for name := range settings {
					if secrets.MatchString(name) {
						t.Errorf("%s: %s has %s in the open", r["name"], kind, name)
					}
				}
			}
		}
	}
	if checked < 4 {
		t.Errorf("only %d receivers were found: this checks too little", checked)
	}
}
