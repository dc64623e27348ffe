package runbook

import (
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Every page tells the same things in the same order, and the criteria that are
// verified are those that it lists.
func TestThePagesAreWhole(t *testing.T) {
	index, err := os.ReadFile("../../docs/runbooks/README.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range All() {
		page := r.Text()
		if !strings.HasPrefix(page, "# "+strings.TrimSuffix(strings.Replace(strings.TrimPrefix(r.Page, "docs/runbooks/"), "-", ": ", 1), ".md")+"\n") {
			t.Errorf("%s has another title", r.Page)
		}
		for _, want := range []string{"**Severity** ", "**Time to recover** ", "```sh\n", "```promql\n", "whalegate runbook verify " + r.Slug} {
			if !strings.Contains(page, want) {
				t.Errorf("%s lacks %q", r.Page, want)
			}
		}
		var sections []string
		for line := range strings.Lines(page) {
			if title, ok := strings.CutPrefix(line, "## "); ok {
				sections = append(sections, strings.TrimSpace(title))
			}
		}
		if diff := cmp.Diff([]string{"Symptoms", "Diagnosis", "Automatic response", "Operator actions", "Verification", "Recovery criteria", "Do not"}, sections); diff != "" {
			t.Errorf("%s: %s", r.Page, diff)
		}
		var criteria []string
		for _, c := range r.Verify(calm()) {
			criteria = append(criteria, c.Name)
		}
		if diff := cmp.Diff(criteria, bullets(page, "Recovery criteria")); diff != "" {
			t.Errorf("%s lists other criteria than are verified: %s", r.Page, diff)
		}
		if len(r.doNot()) < 3 || len(bullets(page, "Symptoms")) < 2 {
			t.Errorf("%s: %d things not to do, %d symptoms", r.Page, len(r.doNot()), len(bullets(page, "Symptoms")))
		}
		if !strings.Contains(string(index), "| ["+strings.TrimSuffix(strings.TrimPrefix(r.Page, "docs/runbooks/"), ".md")+"](") {
			t.Errorf("README.md does not list %s", r.Page)
		}
	}
}

// What is to be done about a database that cannot be asked stands on its page.
func TestEveryTroubleHasItsRemedy(t *testing.T) {
	for _, trouble := range []Trouble{Unreachable, BadURL, LoginRefused, NoDatabase, TooMany, SchemaPending, SchemaNewer, SchemaBroken, Denied, Hangs, ReadFailed} {
		f := calm()
		f.unreached(trouble, "why")
		r := Diagnose(f)
		if r.Matching[0] != "database" {
			t.Errorf("%s: %v", trouble, r.Matching)
		}
		checkReport(t, r)
	}
}

func TestFindKnowsNumbersAndSlugs(t *testing.T) {
	for _, r := range All() {
		for _, name := range []string{r.Slug, r.Page[len("docs/runbooks/"):][:1]} {
			if got, err := Find(name); err != nil || got != r {
				t.Errorf("Find(%q) = %v, %v", name, got, err)
			}
		}
	}
	for _, name := range []string{"", "0", "10", "Ingestion", "1-ingestion"} {
		if _, err := Find(name); err == nil || !strings.Contains(err.Error(), "signal-lock") {
			t.Errorf("Find(%q): %v", name, err)
		}
	}
}
