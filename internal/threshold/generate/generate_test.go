package generate

import (
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/whalegate/whalegate/internal/threshold"
)

const root = "../../.."

func texts(t *testing.T) map[string]string {
	t.Helper()
	files, err := Files(root)
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		all[file] = string(text)
	}
	return all
}

// The rules and the pages say the figures that count (make generate).
func TestTheTextsSayTheFigures(t *testing.T) {
	for file, text := range texts(t) {
		renewed, err := Renew(file, text)
		if err != nil {
			t.Error(err)
		} else if renewed != text {
			t.Errorf("%s says other figures than package threshold: make generate", file)
		}
	}
}

// Any figure that is marked, and is another one, is found and put right.
func TestAnotherFigureIsFound(t *testing.T) {
	marked := 0
	number := regexp.MustCompile(`[0-9][0-9.]*`)
	for file, text := range texts(t) {
		for _, pattern := range []*regexp.Regexp{inWords, regexp.MustCompile(`(?m)` + inQuery.String())} {
			for _, at := range pattern.FindAllStringIndex(text, -1) {
				marked++
				figure := number.FindStringIndex(text[at[0]:at[1]])
				wrong := text[:at[0]+figure[0]] + "77" + text[at[0]+figure[1]:]
				if renewed, err := Renew(file, wrong); err != nil || renewed != text {
					t.Errorf("%s: %q is not put right: %v", file, text[at[0]:at[1]], err)
				}
			}
		}
	}
	if marked < 30 {
		t.Errorf("%d figures are marked", marked)
	}
	if _, err := Renew("x.md", "5 minutes<!-- no_such -->"); err == nil || !strings.Contains(err.Error(), "no_such") {
		t.Error(err)
	}
}

// No rule compares with a figure of its own that others judge by too: what is not marked
// is a count of errors, a share of a budget or a state.
func TestRulesNameTheirFigures(t *testing.T) {
	compared := regexp.MustCompile(`[<>]=? *([0-9][0-9.]*)`)
	own := []string{"0", "2.5", "5.5"} // none, a few errors within the range
	rules := 0
	for file, text := range texts(t) {
		if !strings.HasSuffix(file, ".yml") {
			continue
		}
		for line := range strings.Lines(text) {
			m := compared.FindStringSubmatch(line)
			if m == nil || strings.HasPrefix(strings.TrimSpace(line), "#") {
				continue
			}
			rules++
			if !slices.Contains(own, m[1]) && !strings.Contains(line, " # ") && !strings.Contains(line, "2 ^ 60") {
				t.Errorf("%s: a figure without a name: %s", file, strings.TrimSpace(line))
			}
		}
	}
	if rules < 20 {
		t.Errorf("%d comparisons", rules)
	}
}

// Every figure is asked for somewhere: by SQL, by Go, by a rule or on a page.
func TestEveryFigureIsUsed(t *testing.T) {
	for _, f := range threshold.All {
		camel := ""
		for _, part := range strings.Split(f.Name, "_") {
			camel += strings.ToUpper(part[:1]) + part[1:]
		}
		out, _ := exec.Command("git", "-C", root, "grep", "-lE", fmt.Sprintf(`facts\.%s\(\)|threshold\.%s\b|<!-- %s -->|# %s$`, f.Name, camel, f.Name, f.Name), "--", "*.sql", "*.go", "*.yml", "*.md").Output()
		if len(out) == 0 {
			t.Errorf("%s is used nowhere", f.Name)
		}
	}
}
