// Package generate writes the figures of package threshold into the texts that name them:
// the Prometheus rules and the pages. A figure is marked by the name behind it: in Markdown
// as "5 minutes<!-- delivery_late -->", in rules and queries as "> 300 # delivery_late".
package generate

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"github.com/whalegate/whalegate/internal/runbook"
	"github.com/whalegate/whalegate/internal/threshold"
)

var (
	inWords = regexp.MustCompile(`([0-9][0-9.,]*(?: (?:%|hours?|minutes?|seconds))?)<!-- ([a-z_]+) -->`)
	inQuery = regexp.MustCompile(`([0-9][0-9.e]*)((?: and [^#\n]*| unless [^#\n]*)? # )([a-z_]+)$`)
	asked   = regexp.MustCompile(`(?s)(## Recovery criteria\n\n)((?:- [^\n]*\n)+)`)
)

// Files are those that name figures, below the root of the project.
func Files(root string) (files []string, err error) {
	for _, pattern := range []string{"README.md", "docs/*.md", "docs/runbooks/*.md", "provisioning/prometheus/rules/*.yml"} {
		found, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil {
			return nil, err
		}
		files = append(files, found...)
	}
	if len(files) < 10 {
		return nil, fmt.Errorf("%s is not the project: %d files that name figures", root, len(files))
	}
	return files, nil
}

// Renew writes the figures into a text. The error names a mark that no threshold has.
func Renew(file, text string) (string, error) {
	named := map[string]threshold.Threshold{}
	for _, t := range threshold.All {
		named[t.Name] = t
	}
	var unknown []string
	put := func(name string, write func(threshold.Threshold) string) string {
		t, ok := named[name]
		if !ok {
			unknown = append(unknown, name)
			return ""
		}
		return write(t)
	}
	lines := strings.SplitAfter(text, "\n")
	for i, line := range lines {
		body, end := strings.CutSuffix(line, "\n")
		body = inWords.ReplaceAllStringFunc(body, func(mark string) string {
			name := inWords.FindStringSubmatch(mark)[2]
			return put(name, threshold.Threshold.Words) + "<!-- " + name + " -->"
		})
		if m := inQuery.FindStringSubmatchIndex(body); m != nil {
			name := body[m[6]:m[7]]
			figure := put(name, func(t threshold.Threshold) string { return inUnit(t, body[:m[2]]) })
			body = body[:m[2]] + figure + body[m[4]:]
		}
		if lines[i] = body; end {
			lines[i] += "\n"
		}
	}
	if len(unknown) > 0 {
		return "", fmt.Errorf("%s names figures that there are not: %s", file, strings.Join(unknown, ", "))
	}
	return criteria(file, strings.Join(lines, "")), nil
}

// inUnit is the figure as a query has it: a share where a ratio is compared, seconds, or a
// count. Counts over a range are compared with halves, because Prometheus extrapolates.
func inUnit(t threshold.Threshold, before string) string {
	value := t.Value
	switch {
	case t.Unit == threshold.Percent && strings.Contains(before, "ratio"):
		value /= 100
	case t.Unit == threshold.Count && strings.Contains(before, "increase("):
		value += 0.5
	}
	return strconv.FormatFloat(value, 'f', -1, 64)
}

// criteria lists on a runbook's page what its verification looks at.
func criteria(file, text string) string {
	name, ok := strings.CutSuffix(filepath.Base(file), ".md")
	number, _, _ := strings.Cut(name, "-")
	r, err := runbook.Find(number)
	if !ok || err != nil || filepath.Base(r.Page) != filepath.Base(file) {
		return text
	}
	var list strings.Builder
	for _, c := range r.Verify(runbook.Facts{}) {
		fmt.Fprintf(&list, "- %s\n", c.Name)
	}
	return asked.ReplaceAllStringFunc(text, func(section string) string {
		return asked.FindStringSubmatch(section)[1] + list.String()
	})
}

// Write renews every file below root, and lists those that it changed.
func Write(root string) (changed []string, err error) {
	files, err := Files(root)
	if err != nil {
		return nil, err
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		renewed, err := Renew(file, string(text))
		if err != nil {
			return nil, err
		}
		if renewed == string(text) {
			continue
		}
		if err := os.WriteFile(file, []byte(renewed), 0o644); err != nil {
			return nil, err
		}
		changed = append(changed, file)
	}
	return changed, nil
}
