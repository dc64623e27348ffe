package dashboards

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the generated files")

// What is committed is what the code makes.
func TestGeneratedFilesEqualTheCode(t *testing.T) {
	files, err := Files("")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, f := range files {
		path := filepath.Join("generated", f.Name)
		names = append(names, path)
		if *update {
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, f.Body, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		present, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(present), string(f.Body)); diff != "" {
			t.Errorf("%s is not what the code makes; run whalegate dashboards generate\n%s", path, diff)
		}
	}
	present, err := filepath.Glob("generated/*/*")
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(names)
	if diff := cmp.Diff(names, present); diff != "" {
		t.Errorf("files that nothing makes, or that are missing:\n%s", diff)
	}
}

// Ids and names stay: links, reports and people refer to them.
func TestElementsAreUniqueAndLaidOutOnce(t *testing.T) {
	for _, b := range boards("") {
		ids, names := map[uint32]string{}, map[string]bool{}
		for _, p := range b.elements() {
			if other := ids[p.id]; other != "" || p.id == 0 {
				t.Errorf("%s: %s and %s have the id %d", b.uid, p.name, other, p.id)
			}
			if names[p.name] {
				t.Errorf("%s: two elements are called %s", b.uid, p.name)
			}
			ids[p.id], names[p.name] = p.name, true
		}
		for i, s := range b.sections {
			taken := map[[2]uint32]string{}
			for _, p := range s.panels {
				if p.place.X+p.place.W > 24 {
					t.Errorf("%s: %s stands out on the right", b.uid, p.name)
				}
				for x := p.place.X; x < p.place.X+p.place.W; x++ {
					for y := p.place.Y; y < p.place.Y+p.place.H; y++ {
						if other := taken[[2]uint32{x, y}]; other != "" {
							t.Fatalf("%s: %s lies on %s in section %d", b.uid, p.name, other, i)
						}
						taken[[2]uint32{x, y}] = p.name
					}
				}
			}
			if whole := int(24 * s.height()); len(taken) != whole {
				t.Errorf("%s: section %d has %d holes", b.uid, i, whole-len(taken))
			}
		}
		for _, form := range forms(t, b) {
			ids := map[string]int{}
			walk(form.value, func(path string, node map[string]any) {
				if kind, ok := node["gridPos"]; ok && kind != nil {
					ids[fmt.Sprint(node["id"])]++
				}
				if ref, ok := node["element"].(map[string]any); ok {
					ids[fmt.Sprint(ref["name"])]++
				}
			})
			for id, n := range ids {
				if n != 1 {
					t.Errorf("%s %s: element %s is laid out %d times", b.uid, form.name, id, n)
				}
			}
			if len(ids) < len(b.elements())-1 {
				t.Errorf("%s %s: %d elements are laid out", b.uid, form.name, len(ids))
			}
			if form.name == "classic" {
				checkPlaces(t, b.uid, form.value)
			}
		}
	}
}

// checkPlaces holds that no panel of the classic form lies on another: sections
// have moved down by their titles. The other form has a grid for each.
func checkPlaces(t *testing.T, name string, form any) {
	t.Helper()
	taken := map[[2]float64]bool{}
	for _, p := range form.(map[string]any)["panels"].([]any) { // folded ones come to stand elsewhere
		place := p.(map[string]any)["gridPos"].(map[string]any)
		for x := place["x"].(float64); x < place["x"].(float64)+place["w"].(float64); x++ {
			for y := place["y"].(float64); y < place["y"].(float64)+place["h"].(float64); y++ {
				if taken[[2]float64{x, y}] {
					t.Fatalf("%s: panel %v lies on another at %v, %v", name, p.(map[string]any)["id"], x, y)
				}
				taken[[2]float64{x, y}] = true
			}
		}
	}
}

// The schema that each board reads, whole: what is not in it is not its role's.
var schemas = map[string]string{TradingUID: "board.", IncidentUID: "ops."}

var (
	relation = regexp.MustCompile(`(?i)\b(?:from|join)\s+([a-z_.]+)`)
	variable = regexp.MustCompile(`\$\{?([A-Za-z_]\w*)`)
)

// A name without its schema could be shadowed; a quoted variable could hold a
// quote.
func TestQueriesNameTheirSchema(t *testing.T) {
	for _, b := range boards("") {
		for where, sql := range queries(t, b) {
			found := relation.FindAllStringSubmatch(sql, -1)
			if len(found) == 0 {
				t.Errorf("%s: no relation found in %q", where, sql)
			}
			for _, m := range found {
				if !strings.HasPrefix(m[1], schemas[b.uid]) {
					t.Errorf("%s: %q is not in %s", where, m[1], schemas[b.uid])
				}
			}
			if strings.Contains(strings.ReplaceAll(sql, chosen, ""), "'$") || strings.Count(sql, "${asset") != strings.Count(sql, chosen) {
				t.Errorf("%s: a variable in quotes: %s", where, sql)
			}
			if strings.Contains(sql, "health_state}") || strings.Contains(sql, "$health_state") {
				t.Errorf("%s: what may be read hangs on a variable: %s", where, sql)
			}
		}
	}
}

func TestVariablesAreDeclared(t *testing.T) {
	own := []string{"__timeFilter", "__timeFrom", "__timeTo", "__timeGroup", "__interval", "__rate_interval", "__url_time_range", "__value"}
	for _, b := range boards("") {
		var declared []string
		if b.masked() {
			declared = append(declared, b.health.name)
		}
		for _, c := range b.choices {
			declared = append(declared, c.name)
		}
		used := map[string]bool{}
		for _, form := range forms(t, b) {
			body, err := json.Marshal(form.value)
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range variable.FindAllStringSubmatch(string(body), -1) {
				used[m[1]] = true
				if !slices.Contains(declared, m[1]) && !slices.Contains(own, m[1]) {
					t.Errorf("%s %s: nobody declares $%s", b.uid, form.name, m[1])
				}
			}
		}
		used[b.health.name] = b.masked() && b.sections[1].shown == whenDark // the rules of schema v2 name it without a sign
		for _, name := range declared {
			if !used[name] {
				t.Errorf("%s: nobody uses $%s", b.uid, name)
			}
		}
	}
}

// A masked panel has something to say when its view is empty, when its query
// fails and when there is no data source at all.
func TestD1EveryMaskedPanelFallsBackToTheHalt(t *testing.T) {
	for _, b := range boards("") {
		if !b.masked() {
			continue
		}
		for _, s := range b.sections {
			for _, p := range s.panels {
				built, err := p.build.Build()
				if err != nil {
					t.Fatal(err)
				}
				if s.shown == whenDark {
					continue
				}
				if no := built.FieldConfig.Defaults.NoValue; no == nil || *no != Halt {
					t.Errorf("%s without a value does not say %s", p.name, Halt)
				}
				sql := built.Targets[0].(sqlQuery)
				if s.shown == unlessDark && sql.Format == tableFormat && !strings.Contains(sql.RawSQL, "'"+Halt+"'") {
					t.Errorf("the query of %s does not fall back to %s", p.name, Halt)
				}
			}
		}
	}
}

// Schema v2 mounts the decision surface in two states only; a state that the page
// does not know is neither of them.
func TestD1SchemaV2MountsNothingWhileStale(t *testing.T) {
	for _, b := range boards("") {
		manifest, err := b.v2()
		if err != nil {
			t.Fatal(err)
		}
		rows := plain(t, manifest).(map[string]any)["spec"].(map[string]any)["layout"].(map[string]any)["spec"].(map[string]any)["rows"].([]any)
		if len(rows) != len(b.sections) {
			t.Fatalf("%s: %d rows", b.uid, len(rows))
		}
		for i, row := range rows {
			want := map[visibility]string{
				always:     "null",
				unlessDark: `[show or health_state equals HEALTHY, health_state equals DEGRADED]`,
				whenDark:   `[show or health_state equals STALE]`,
			}[b.sections[i].shown]
			if got := rule(row.(map[string]any)["spec"].(map[string]any)["conditionalRendering"]); got != want {
				t.Errorf("%s: row %d is shown by %s, want %s", b.uid, i, got, want)
			}
		}
	}
}

// rule is a show/hide rule in words.
func rule(group any) string {
	if group == nil {
		return "null"
	}
	spec := group.(map[string]any)["spec"].(map[string]any)
	var conditions []string
	for _, item := range spec["items"].([]any) {
		c := item.(map[string]any)["spec"].(map[string]any)
		conditions = append(conditions, fmt.Sprintf("%v %v %v", c["variable"], c["operator"], c["value"]))
	}
	return fmt.Sprintf("[%v %v %s]", spec["visibility"], spec["condition"], strings.Join(conditions, ", "))
}

// The SDK's zero values leak as empty strings, which panels read as a choice.
func TestOptionsAreSetExplicitly(t *testing.T) {
	for _, b := range boards("") {
		for _, p := range b.elements() {
			built, err := p.build.Build()
			if err != nil {
				t.Fatal(err)
			}
			options := plain(t, built.Options).(map[string]any)
			walk(plain(t, built), func(path string, node map[string]any) {
				for key, value := range node {
					if value == "" && key != "title" && key != "tooltip" && (key != "fields" || built.Type != "stat") { // of a stat: every number
						t.Errorf("%s: %s.%s is an empty string", p.name, path, key)
					}
				}
			})
			for panel, paths := range map[string][]string{
				"stat":           {"orientation", "textMode", "colorMode", "graphMode", "justifyMode"},
				"timeseries":     {"legend.displayMode", "legend.placement", "tooltip.mode", "tooltip.sort"},
				"table":          {"cellHeight"},
				"state-timeline": {"showValue", "legend.displayMode", "legend.placement", "tooltip.mode", "tooltip.sort"},
				"text":           {"mode", "content"},
			} {
				for _, path := range paths {
					if built.Type == panel && textAt(options, path) == "" {
						t.Errorf("%s: option %s is not set", p.name, path)
					}
				}
			}
			if built.Type == "timeseries" && textAt(options, "legend.displayMode") == "hidden" {
				t.Errorf("%s: a hidden legend blanks the panel in schema v2", p.name)
			}
		}
	}
}

// textAt is the text at a path of two levels at most.
func textAt(node map[string]any, path string) string {
	first, rest, deep := strings.Cut(path, ".")
	if !deep {
		text, _ := node[first].(string)
		return text
	}
	next, _ := node[first].(map[string]any)
	return textAt(next, rest)
}

type form struct {
	name  string
	value any
}

// forms are a board's forms as plain JSON.
func forms(t *testing.T, b board) []form {
	t.Helper()
	classic, err := b.classic()
	if err != nil {
		t.Fatal(err)
	}
	manifest, err := b.v2()
	if err != nil {
		t.Fatal(err)
	}
	return []form{{"classic", plain(t, classic)}, {"v2", plain(t, manifest)}}
}

func plain(t *testing.T, value any) (plain any) {
	t.Helper()
	body, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(body, &plain); err != nil {
		t.Fatal(err)
	}
	return plain
}

// walk calls visit for every object.
func walk(value any, visit func(path string, node map[string]any)) { walkAt("", value, visit) }

func walkAt(path string, value any, visit func(path string, node map[string]any)) {
	switch v := value.(type) {
	case map[string]any:
		visit(path, v)
		for key, child := range v {
			walkAt(path+"."+key, child, visit)
		}
	case []any:
		for i, child := range v {
			walkAt(fmt.Sprintf("%s[%d]", path, i), child, visit)
		}
	}
}

// queries are all SQL texts of a board, by where they stand.
func queries(t *testing.T, b board) map[string]string {
	t.Helper()
	list := map[string]string{}
	for _, form := range forms(t, b) {
		walk(form.value, func(path string, node map[string]any) {
			for _, key := range []string{"rawSql", "__legacyStringValue", "query", "definition"} {
				if sql, ok := node[key].(string); ok && strings.Contains(sql, "SELECT") {
					list[form.name+path+"."+key] = sql
				}
			}
		})
	}
	want := 0
	for _, p := range b.elements() {
		built, err := p.build.Build()
		if err != nil {
			t.Fatal(err)
		}
		for _, target := range built.Targets {
			if _, ok := target.(sqlQuery); ok {
				want++
			}
		}
	}
	if want == 0 || len(list) < 2*want-1 { // a panel that is there only in schema v2
		t.Fatalf("only %d of 2 × %d queries found", len(list), want)
	}
	return list
}
