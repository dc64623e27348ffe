package threshold

import (
	"go/ast"
	"go/parser"
	"go/token"
	"regexp"
	"strings"
	"testing"
	"unicode"
)

// snake is a Go name as SQL has it.
func snake(name string) string {
	var b strings.Builder
	for i, r := range name {
		if unicode.IsUpper(r) && i > 0 {
			b.WriteByte('_')
		}
		b.WriteRune(unicode.ToLower(r))
	}
	return b.String()
}

// Every figure that Go has is listed for the others, by the same name, and once.
func TestEveryFigureIsListed(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "threshold.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	listed := map[string]int{}
	for _, threshold := range All {
		listed[threshold.Name]++
	}
	constants := 0
	for _, decl := range file.Decls {
		d, ok := decl.(*ast.GenDecl)
		if !ok || d.Tok != token.CONST {
			continue
		}
		for _, spec := range d.Specs {
			v := spec.(*ast.ValueSpec)
			if v.Type != nil {
				continue // the units
			}
			constants++
			if name := snake(v.Names[0].Name); listed[name] != 1 {
				t.Errorf("%s is listed %d times", name, listed[name])
			}
		}
	}
	if constants != len(All) || constants < 40 {
		t.Errorf("%d constants, %d are listed", constants, len(All))
	}
	for _, threshold := range All {
		if !regexp.MustCompile(`^[a-z_]+$`).MatchString(threshold.Name) || threshold.Value <= 0 || threshold.Means == "" {
			t.Errorf("%+v", threshold)
		}
	}
}

func TestFiguresInWords(t *testing.T) {
	for _, tt := range []struct {
		threshold Threshold
		want      string
	}{
		{span("a", 300e9, ""), "5 minutes"}, {span("a", 60e9, ""), "1 minute"}, {span("a", 150e9, ""), "150 seconds"}, {span("a", 3600e9, ""), "1 hour"},
		{span("a", 48*3600e9, ""), "48 hours"}, {percent("a", 2.5, ""), "2.5 %"}, {percent("a", 90, ""), "90 %"}, {count("a", 4, ""), "4"}, {count("a", 1.3, ""), "1.3"},
	} {
		if got := tt.threshold.Words(); got != tt.want {
			t.Errorf("%q, want %q", got, tt.want)
		}
	}
	if got := Plain("at 5 minutes<!-- delivery_late -->, or 2 %<!-- x -->."); got != "at 5 minutes, or 2 %." {
		t.Error(got)
	}
}
