package imports

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// pure packages compute: values in, values out. They may use these packages and those
// that stand beside them, and nothing of time that asks what time it is.
var (
	pure = map[string][]string{
		"signals":            nil,
		"signals/series":     {module + "signals"},
		"alerting":           {module + "signals"},
		"internal/duration":  nil,
		"internal/health":    nil,
		"internal/qa/check":  nil,
		"internal/facts":     {"strings", module + "internal/duration"},
		"internal/threshold": {"regexp", "strconv", "strings"},
		// What is judged, and its words: the pages are embedded text, and writing is to
		// whatever it is given.
		"internal/runbook": {
			"encoding/json", "io", "maps", "regexp", "strconv", "strings", "unicode", "github.com/jackc/pgerrcode", module + "docs/runbooks",
			module + "internal/duration", module + "internal/facts", module + "internal/health", module + "internal/qa/check",
		},
	}
	allowed = []string{"cmp", "fmt", "math", "math/big", "math/bits", "slices", "sort", "time", module + "internal/asset", module + "internal/threshold"}
	clocks  = []string{"Now", "Since", "Until", "Sleep", "After", "AfterFunc", "Tick", "NewTicker", "NewTimer"}
)

func TestThePureCoresHaveNoClockDatabaseOrLog(t *testing.T) {
	for dir, beside := range pure {
		out, err := exec.Command("go", "list", "-f", "{{join .Imports \"\\n\"}}", "../../"+dir).Output()
		if err != nil {
			t.Fatalf("list what %s imports: %v", dir, err)
		}
		for _, path := range strings.Fields(string(out)) {
			if !slices.Contains(allowed, path) && !slices.Contains(beside, path) {
				t.Errorf("%s imports %s", dir, path)
			}
		}
		files, err := filepath.Glob("../../" + dir + "/*.go")
		if err != nil || len(files) == 0 {
			t.Fatalf("%s has no files: %v", dir, err)
		}
		for _, file := range files {
			if !strings.HasSuffix(file, "_test.go") {
				findClocks(t, file)
			}
		}
	}
}

// findClocks looks for calls that ask for the present or wait.
func findClocks(t *testing.T, file string) {
	t.Helper()
	tree, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	ast.Inspect(tree, func(n ast.Node) bool {
		selector, ok := n.(*ast.SelectorExpr)
		if !ok {
			return true
		}
		if of, ok := selector.X.(*ast.Ident); ok && of.Name == "time" && slices.Contains(clocks, selector.Sel.Name) {
			t.Errorf("%s asks a clock: time.%s", file, selector.Sel.Name)
		}
		return true
	})
}
