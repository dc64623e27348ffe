package dashboards

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/grafana/grafana-foundation-sdk/go/prometheus"

	"github.com/whalegate/whalegate/docs"
)

// The rows are the runbooks in their order, each with the link to its page; the
// pages have these names.
func TestTheIncidentBoardHasARowForEachRunbook(t *testing.T) {
	slugs := []string{"ingestion", "universe", "signal-lock", "dirty-spike", "alert-spam", "board-truth", "database", "halt", "crash"}
	for _, external := range []string{"", "https://example.org/gate"} {
		t.Run(external, func(t *testing.T) { checkRunbookRows(t, external, slugs) })
	}
	pages, err := filepath.Glob(filepath.Join("..", "docs", "runbooks", "[1-9]-*.md"))
	if err != nil || len(pages) == 0 {
		t.Fatal(pages, err)
	}
	for _, path := range pages {
		number, slug, _ := strings.Cut(strings.TrimSuffix(filepath.Base(path), ".md"), "-")
		if n := int(number[0] - '0'); slugs[n-1] != slug {
			t.Errorf("%s is not the page of %s", path, slugs[n-1])
		}
	}
}

func checkRunbookRows(t *testing.T, external string, slugs []string) {
	sections := incident(external).sections
	if len(sections) != 1+len(slugs) {
		t.Fatalf("%d sections", len(sections))
	}
	for i, slug := range slugs {
		page := docs.URL(external, fmt.Sprintf("runbooks/%d-%s.md", i+1, slug))
		for _, place := range []struct {
			what string
			p    panel
		}{{"header", sections[0].panels[2+i]}, {"row", sections[1+i].panels[0]}} {
			built, err := place.p.build.Build()
			if err != nil {
				t.Fatal(err)
			}
			body, err := json.Marshal(built)
			if err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(string(body), page) {
				t.Errorf("the %s of %s does not lead to %s", place.what, slug, page)
			}
		}
		if !strings.HasPrefix(sections[1+i].title, fmt.Sprintf("%d · ", i+1)) {
			t.Errorf("row %d is called %q", i+1, sections[1+i].title)
		}
	}
}

// A silent panel could be quiet or deaf: each has words for nothing, and they
// are not those of the trading board.
func TestTheIncidentBoardNeverTakesNoAnswerForNothing(t *testing.T) {
	for _, p := range incident("").elements() {
		built, err := p.build.Build()
		if err != nil {
			t.Fatal(err)
		}
		if built.Type == "text" {
			continue
		}
		no := built.FieldConfig.Defaults.NoValue
		if no == nil || !strings.Contains(*no, NoAnswer) {
			t.Errorf("%s does not say that there may be no answer", p.name)
		}
		if sql, ok := built.Targets[0].(sqlQuery); ok && built.Type == "table" && !strings.Contains(p.name, "facts") && !strings.Contains(sql.RawSQL, "NOT EXISTS") {
			t.Errorf("%s does not say that there is none", p.name)
		}
	}
}

// What is masked, or could be, is in no query: neither a score nor a playbook.
func TestTheIncidentBoardAsksForNoSignal(t *testing.T) {
	values := regexp.MustCompile(`(?i)alignment|dispersion|exit_cluster_score|playbook|risk_mode|add_exposure|tighten|position|szi|message|contributor|snapshot_px`)
	for _, f := range classics(t) {
		if f.UID != IncidentUID {
			continue
		}
		var tree any
		if err := json.Unmarshal(f.Body, &tree); err != nil {
			t.Fatal(err)
		}
		walk(tree, func(path string, node map[string]any) {
			for _, key := range []string{"rawSql", "expr"} {
				if query, ok := node[key].(string); ok && values.MatchString(query) {
					t.Errorf("%s asks for %q", path, values.FindString(query))
				}
			}
		})
	}
}

func classics(t *testing.T) (list []File) {
	t.Helper()
	files, err := Files("")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if !f.V2 {
			list = append(list, f)
		}
	}
	return list
}

// Every data source that a board reads is provisioned under the uid and the type
// that its queries name.
func TestDataSourcesAreProvisioned(t *testing.T) {
	body, err := os.ReadFile(filepath.Join("..", "provisioning", "grafana", "datasources", "whalegate.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	used := map[string]bool{}
	for _, b := range boards("") {
		for _, p := range b.elements() {
			built, err := p.build.Build()
			if err != nil {
				t.Fatal(err)
			}
			for _, target := range built.Targets {
				uid := metricsSource
				if sql, ok := target.(sqlQuery); ok {
					uid = sql.Source
				} else if query := target.(prometheus.Dataquery); *query.Datasource.Uid != metricsSource {
					t.Errorf("%s asks %s", p.name, *query.Datasource.Uid)
				}
				used[uid+" "+target.DataqueryType()] = true
				if *built.Datasource.Uid != uid {
					t.Errorf("%s reads %s and asks %s", p.name, *built.Datasource.Uid, uid)
				}
			}
		}
	}
	if len(used) != 3 {
		t.Errorf("the sources are %v", used)
	}
	for source := range used {
		uid, kind, _ := strings.Cut(source, " ")
		if !strings.Contains(string(body), "uid: "+uid+"\n    type: "+kind+"\n") {
			t.Errorf("%s of type %s is not provisioned", uid, kind)
		}
	}
}
